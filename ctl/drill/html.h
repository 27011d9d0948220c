/* html.h: a drill's report as one page that needs nothing else: no network, no script; light and
 * dark, and good on paper. Pure. */
#ifndef CTL_DRILL_HTML_H
#define CTL_DRILL_HTML_H

#include <jansson.h>
#include <stdio.h>

/* html_write: `document` as it is in report.json (doc/drills.md). */
void html_write(FILE *out, const json_t *document);

/* junit_write: the same as JUnit XML, a test case a run, for pipelines. */
void junit_write(FILE *out, const json_t *document);

#endif
