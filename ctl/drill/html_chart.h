/* html_chart.h: the drawings of a drill's report: inline SVG, colours by the page's style. Pure. */
#ifndef CTL_DRILL_HTML_CHART_H
#define CTL_DRILL_HTML_CHART_H

#include <jansson.h>
#include <stdio.h>

#define HTML_CHART_RUNS_MAX 1000u

/* html_chart_text: escaped for text and for attributes in double quotes. */
void html_chart_text(FILE *out, const char *text);

/* html_chart_outages: one bar a scenario (the median of its runs), and its objective. */
void html_chart_outages(FILE *out, const json_t *runs);

/* html_chart_timeline: a lane a node and one for the traffic; events are numbered as in
 * run.timeline, counted from 1. */
void html_chart_timeline(FILE *out, const json_t *run);

/* html_chart_split: where the milliseconds of the outage went; nothing when they are not known. */
void html_chart_split(FILE *out, const json_t *run);

/* html_chart_histogram: of the outages of the runs of one scenario; nothing below three. */
void html_chart_histogram(FILE *out, const json_t *runs, const char *scenario);

/* html_chart_compare: two bars a run that has a comparison: ours, and the other's below it. */
void html_chart_compare(FILE *out, const json_t *runs);

/* html_chart_values: the outages in ms of all runs of a scenario, sorted; returns how many. */
size_t html_chart_values(
	const json_t *runs, const char *scenario, double values[static HTML_CHART_RUNS_MAX]);

/* html_chart_median: of sorted values; 0 without any. */
double html_chart_median(const double *values, size_t count);

#endif
