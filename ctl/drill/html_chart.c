#include "ctl/drill/html_chart.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CHART_WIDTH	  760.0
#define CHART_LABEL	  130.0 /* the names' column */
#define CHART_LANE	  58.0
#define CHART_BAR	  26.0
#define CHART_PAIR	  34.0
#define CHART_BINS	  16
#define CHART_LANES_MAX	  9u /* traffic and eight nodes */
#define CHART_ROWS	  3u /* close events of a lane stand above each other */
#define CHART_EVENT_SPACE 17.0
#define CHART_ZOOM_MIN_MS 40.0

void html_chart_text(FILE *out, const char *text)
{
	for (; text && *text; text++) {
		switch (*text) {
		case '<':
			(void)fputs("&lt;", out);
			break;
		case '>':
			(void)fputs("&gt;", out);
			break;
		case '&':
			(void)fputs("&amp;", out);
			break;
		case '"':
			(void)fputs("&quot;", out);
			break;
		default:
			(void)fputc(*text, out);
		}
	}
}

static const char *chart_string(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static double chart_number(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static int chart_compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

size_t html_chart_values(
	const json_t *runs, const char *scenario, double values[static HTML_CHART_RUNS_MAX])
{
	size_t count = 0;
	json_t *run;
	size_t i;

	json_array_foreach (runs, i, run)
		if (strcmp(chart_string(run, "scenario"), scenario) == 0 &&
			json_is_number(json_object_get(run, "outage_ms")) &&
			count < HTML_CHART_RUNS_MAX)
			values[count++] = chart_number(run, "outage_ms");
	qsort(values, count, sizeof(*values), chart_compare);
	return count;
}

double html_chart_median(const double *values, size_t count)
{
	return count ? (values[(count - 1) / 2] + values[count / 2]) / 2 : 0;
}

/* A round number at or above. */
static double chart_round_up(double value)
{
	static const double steps[] = {1, 2, 2.5, 5, 10};
	double power = 1;

	while (power * 10 < value)
		power *= 10;
	for (unsigned int i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (steps[i] * power >= value)
			return steps[i] * power;
	return value;
}

static void chart_begin(FILE *out, double height, const char *label)
{
	(void)fprintf(out,
		"<svg class=\"chart\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s\">\n",
		CHART_WIDTH, height, label);
}

/* Vertical lines with their numbers at the foot. */
static void chart_axis(FILE *out, double from, double to, double height, const char *unit)
{
	double step = chart_round_up((to - from) / 6);
	double scale = (CHART_WIDTH - CHART_LABEL - 40) / (to - from);

	for (double at = (double)(long)(from / step) * step; at <= to; at += step) {
		double x = CHART_LABEL + (at - from) * scale;

		if (at < from)
			continue;
		(void)fprintf(out,
			"<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"4\" y2=\"%.1f\"/>"
			"<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">%g%s</text>\n",
			x, x, height - 20, x, height - 5, at, unit);
	}
}

/* The first run of each scenario stands for it. */
static bool chart_is_first(const json_t *runs, size_t index)
{
	const char *name = chart_string(json_array_get(runs, index), "scenario");

	for (size_t i = 0; i < index; i++)
		if (strcmp(chart_string(json_array_get(runs, i), "scenario"), name) == 0)
			return false;
	return true;
}

static bool chart_failed(const json_t *runs, const char *name)
{
	json_t *run;
	size_t i;

	json_array_foreach (runs, i, run)
		if (strcmp(chart_string(run, "scenario"), name) == 0 &&
			strcmp(chart_string(run, "verdict"), "pass") != 0)
			return true;
	return false;
}

static void chart_outage_bar(
	FILE *out, const json_t *runs, const json_t *run, double y, double scale)
{
	double *values = calloc(HTML_CHART_RUNS_MAX, sizeof(*values));
	const char *name = chart_string(run, "scenario");
	double objective = chart_number(run, "objective_ms");
	size_t count = values ? html_chart_values(runs, name, values) : 0;
	double median = html_chart_median(values, count);
	bool bad = chart_failed(runs, name);

	(void)fprintf(out, "<text class=\"name\" x=\"%.0f\" y=\"%.1f\">", CHART_LABEL - 10, y + 15);
	html_chart_text(out, name);
	(void)fprintf(out, "</text>\n");
	if (objective > 0)
		(void)fprintf(out,
			"<rect class=\"room\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
			"height=\"16\"/>\n",
			CHART_LABEL, y + 3, objective * scale);
	(void)fprintf(out,
		"<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"10\"/>"
		"<text class=\"value\" x=\"%.1f\" y=\"%.1f\">%.1f ms</text>\n",
		bad ? "bad" : "bar", CHART_LABEL, y + 6, median * scale > 1 ? median * scale : 1,
		CHART_LABEL + (median > objective ? median : objective) * scale + 6, y + 15,
		median);
	free(values);
}

void html_chart_outages(FILE *out, const json_t *runs)
{
	double max = 10;
	double y = 4;
	size_t bars = 0;
	json_t *run;
	size_t i;

	json_array_foreach (runs, i, run) {
		bars += chart_is_first(runs, i);
		if (chart_number(run, "outage_ms") > max)
			max = chart_number(run, "outage_ms");
		if (chart_number(run, "objective_ms") > max)
			max = chart_number(run, "objective_ms");
	}
	max *= 1.15;
	chart_begin(out, (double)bars * CHART_BAR + 30, "outage of each scenario");
	chart_axis(out, 0, max, (double)bars * CHART_BAR + 30, " ms");
	json_array_foreach (runs, i, run) {
		if (!chart_is_first(runs, i))
			continue;
		chart_outage_bar(out, runs, run, y, (CHART_WIDTH - CHART_LABEL - 40) / max);
		y += CHART_BAR;
	}
	(void)fprintf(out, "</svg>\n");
}

static void chart_compare_bar(
	FILE *out, const json_t *run, const char *class, double y, double scale)
{
	double outage = chart_number(run, "outage_ms");

	(void)fprintf(out,
		"<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"10\"/>"
		"<text class=\"value\" x=\"%.1f\" y=\"%.1f\">%.1f ms</text>\n",
		class, CHART_LABEL, y, outage * scale > 1 ? outage * scale : 1,
		CHART_LABEL + outage * scale + 6, y + 9, outage);
}

void html_chart_compare(FILE *out, const json_t *runs)
{
	double max = 10;
	double y = 24;
	size_t bars = 0;
	json_t *run;
	size_t i;

	json_array_foreach (runs, i, run) {
		const json_t *other = json_object_get(run, "compare");

		bars += other != NULL;
		if (other && chart_number(run, "outage_ms") > max)
			max = chart_number(run, "outage_ms");
		if (other && chart_number(other, "outage_ms") > max)
			max = chart_number(other, "outage_ms");
	}
	max *= 1.15;
	chart_begin(out, (double)bars * CHART_PAIR + 50, "outages side by side");
	chart_axis(out, 0, max, (double)bars * CHART_PAIR + 50, " ms");
	(void)fprintf(out,
		"<rect class=\"s1\" x=\"%.0f\" y=\"4\" width=\"12\" height=\"12\"/><text "
		"x=\"%.0f\" "
		"y=\"14\">carpool</text><rect class=\"s3\" x=\"%.0f\" y=\"4\" width=\"12\" "
		"height=\"12\"/><text x=\"%.0f\" y=\"14\">keepalived</text>\n",
		CHART_LABEL, CHART_LABEL + 18, CHART_LABEL + 110, CHART_LABEL + 128);
	json_array_foreach (runs, i, run) {
		if (!json_object_get(run, "compare"))
			continue;
		(void)fprintf(out, "<text class=\"name\" x=\"%.0f\" y=\"%.1f\">", CHART_LABEL - 10,
			y + 16);
		html_chart_text(out, chart_string(run, "scenario"));
		(void)fprintf(out, "</text>\n");
		chart_compare_bar(out, run, "s1", y, (CHART_WIDTH - CHART_LABEL - 40) / max);
		chart_compare_bar(out, json_object_get(run, "compare"), "s3", y + 12,
			(CHART_WIDTH - CHART_LABEL - 40) / max);
		y += CHART_PAIR;
	}
	(void)fprintf(out, "</svg>\n");
}

/* --- the timeline ---------------------------------------------------------------------------- */

struct chart_lanes {
	const char *names[CHART_LANES_MAX]; /* "" is the traffic */
	unsigned int count;
	double last_x[CHART_LANES_MAX][CHART_ROWS]; /* where the last event of each row stands */
};

static unsigned int chart_lane(struct chart_lanes *lanes, const char *name)
{
	for (unsigned int i = 0; i < lanes->count; i++)
		if (strcmp(lanes->names[i], name) == 0)
			return i;
	if (lanes->count == CHART_LANES_MAX)
		return 0;
	lanes->names[lanes->count] = name;
	for (unsigned int row = 0; row < CHART_ROWS; row++)
		lanes->last_x[lanes->count][row] = -1000;
	return lanes->count++;
}

/* The stretch that tells the story: the outage and a little around it, else everything. */
static void chart_window(const json_t *run, double *ret_from, double *ret_to)
{
	const json_t *timeline = json_object_get(run, "timeline");
	size_t count = json_array_size(timeline);
	double last = count ? chart_number(json_array_get(timeline, count - 1), "at_ms") : 0;
	double outage = chart_number(run, "outage_ms");
	double first_good = 0;
	json_t *item;
	size_t i;

	json_array_foreach (timeline, i, item)
		if (strstr(chart_string(item, "what"), "first good probe"))
			first_good = chart_number(item, "at_ms");
	*ret_to = first_good > 0 ? first_good * 1.5 : last;
	if (outage <= 0)
		*ret_to = last;
	if (*ret_to < CHART_ZOOM_MIN_MS)
		*ret_to = CHART_ZOOM_MIN_MS;
	*ret_to *= 1.04;
	*ret_from = -*ret_to / 12;
}

static void chart_lane_names(FILE *out, const struct chart_lanes *lanes)
{
	for (unsigned int i = 0; i < lanes->count; i++) {
		double y = 14 + i * CHART_LANE + CHART_LANE / 2;

		(void)fprintf(out,
			"<line class=\"lane\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>"
			"<text class=\"name\" x=\"%.0f\" y=\"%.1f\">",
			CHART_LABEL, CHART_WIDTH - 40, y, y, CHART_LABEL - 10, y + 4);
		html_chart_text(out, lanes->names[i][0] ? lanes->names[i] : "traffic");
		(void)fprintf(out, "</text>\n");
	}
}

static void chart_event(
	FILE *out, struct chart_lanes *lanes, const json_t *item, size_t number, double x)
{
	unsigned int lane = chart_lane(lanes, chart_string(item, "node"));
	unsigned int row = 0;
	double y;

	/* The row with the most room; where there is none, a little later than it was. */
	for (unsigned int i = 1; i < CHART_ROWS; i++)
		if (x - lanes->last_x[lane][row] < CHART_EVENT_SPACE &&
			lanes->last_x[lane][i] < lanes->last_x[lane][row])
			row = i;
	if (x - lanes->last_x[lane][row] < CHART_EVENT_SPACE)
		x = lanes->last_x[lane][row] + CHART_EVENT_SPACE;
	lanes->last_x[lane][row] = x;
	y = 14 + lane * CHART_LANE + CHART_LANE / 2;
	if (row > 0)
		y += row == 1 ? -CHART_EVENT_SPACE : CHART_EVENT_SPACE;
	(void)fprintf(out, "<g class=\"event\"><title>%.1f ms: ", chart_number(item, "at_ms"));
	html_chart_text(out, chart_string(item, "what"));
	(void)fprintf(out,
		"</title><circle cx=\"%.1f\" cy=\"%.1f\" r=\"8\"/>"
		"<text x=\"%.1f\" y=\"%.1f\">%zu</text></g>\n",
		x, y, x, y + 3.5, number);
}

/* The stretch without an answer, on the traffic's lane. */
static void chart_outage_band(FILE *out, const json_t *run, double from, double scale)
{
	double begin = 0;
	double end = 0;
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(run, "timeline"), i, item) {
		if (strstr(chart_string(item, "what"), "last good probe"))
			begin = chart_number(item, "at_ms");
		if (strstr(chart_string(item, "what"), "first good probe"))
			end = chart_number(item, "at_ms");
	}
	if (end > begin)
		(void)fprintf(out,
			"<rect class=\"outage\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
			"height=\"%.0f\"/>\n",
			CHART_LABEL + (begin - from) * scale, 20.0, (end - begin) * scale,
			CHART_LANE - 12);
}

void html_chart_timeline(FILE *out, const json_t *run)
{
	const json_t *timeline = json_object_get(run, "timeline");
	struct chart_lanes lanes = {.count = 0};
	double from;
	double to;
	double scale;
	double height;
	json_t *item;
	size_t i;

	if (json_array_size(timeline) == 0)
		return;
	(void)chart_lane(&lanes, "");
	json_array_foreach (timeline, i, item)
		(void)chart_lane(&lanes, chart_string(item, "node"));
	chart_window(run, &from, &to);
	scale = (CHART_WIDTH - CHART_LABEL - 40) / (to - from);
	height = lanes.count * CHART_LANE + 44;
	chart_begin(out, height, "timeline");
	chart_axis(out, from, to, height, " ms");
	chart_outage_band(out, run, from, scale);
	chart_lane_names(out, &lanes);
	json_array_foreach (timeline, i, item) {
		double at = chart_number(item, "at_ms");

		if (at >= from && at <= to)
			chart_event(out, &lanes, item, i + 1, CHART_LABEL + (at - from) * scale);
	}
	(void)fprintf(out, "</svg>\n");
}

/* --- the split and the histogram -------------------------------------------------------------- */

void html_chart_split(FILE *out, const json_t *run)
{
	static const struct {
		const char *name;
		const char *key;
		const char *class;
	} parts[] = {{"detect", "detect_ms", "s1"}, {"decide", "decide_ms", "s4"},
		{"activate", "activate_ms", "s2"}, {"learn", "learn_ms", "s3"}};
	const json_t *split = json_object_get(run, "split");
	double sum = 0;
	double x = 0;

	for (unsigned int i = 0; i < 4; i++) {
		bool may_miss = i == 1; /* often nothing is to be decided */

		if ((!may_miss && !json_is_number(json_object_get(split, parts[i].key))) ||
			chart_number(split, parts[i].key) < 0)
			return;
		sum += chart_number(split, parts[i].key);
	}
	if (sum <= 0)
		return;
	(void)fprintf(out, "<h4>Where the time went</h4>\n");
	chart_begin(out, 54, "detect, decide, activate, learn");
	for (unsigned int i = 0; i < 4; i++) {
		double ms = chart_number(split, parts[i].key);
		double width = ms / sum * CHART_WIDTH;

		(void)fprintf(out,
			"<rect class=\"%s\" x=\"%.1f\" y=\"2\" width=\"%.1f\" height=\"24\"/>\n",
			parts[i].class, x, width);
		(void)fprintf(out,
			"<rect class=\"%s\" x=\"%.0f\" y=\"36\" width=\"12\" height=\"12\"/>"
			"<text class=\"legend\" x=\"%.0f\" y=\"46\">%s %.1f ms</text>\n",
			parts[i].class, i * 180.0, i * 180.0 + 18, parts[i].name, ms);
		x += width;
	}
	(void)fprintf(out, "</svg>\n");
}

static void chart_bins(FILE *out, const unsigned int *bins, double from, double width)
{
	unsigned int highest = 1;
	double bar = (CHART_WIDTH - 40) / CHART_BINS;

	for (unsigned int i = 0; i < CHART_BINS; i++)
		if (bins[i] > highest)
			highest = bins[i];
	chart_begin(out, 150, "histogram of the outage");
	for (unsigned int i = 0; i < CHART_BINS; i++) {
		double height = 105.0 * bins[i] / highest;

		(void)fprintf(out,
			"<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>"
			"<text class=\"tick\" x=\"%.1f\" y=\"145\">%.1f</text>\n",
			20 + i * bar + 2, 125 - height, bar - 4, height, 20 + i * bar + bar / 2,
			from + (i + 0.5) * width);
		if (bins[i] > 0)
			(void)fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">%u</text>\n",
				20 + i * bar + bar / 2, 121 - height, bins[i]);
	}
	(void)fprintf(out, "</svg>\n");
}

void html_chart_histogram(FILE *out, const json_t *runs, const char *scenario)
{
	double *values = calloc(HTML_CHART_RUNS_MAX, sizeof(*values));
	unsigned int bins[CHART_BINS] = {0};
	size_t count = values ? html_chart_values(runs, scenario, values) : 0;
	double width;

	if (count < 3) {
		free(values);
		return;
	}
	width = chart_round_up((values[count - 1] - values[0]) / CHART_BINS + 0.01);
	for (size_t i = 0; i < count; i++) {
		unsigned int bin = (unsigned int)((values[i] - values[0]) / width);

		bins[bin < CHART_BINS ? bin : CHART_BINS - 1]++;
	}
	(void)fprintf(out, "<h4>Outage of %zu runs, in ms: median %.1f, from %.1f to %.1f</h4>\n",
		count, html_chart_median(values, count), values[0], values[count - 1]);
	chart_bins(out, bins, values[0], width);
	free(values);
}
