/* verdict.h: what the measurements mean: pass or fail, why, and how it is told. Pure. */
#ifndef CTL_DRILL_VERDICT_H
#define CTL_DRILL_VERDICT_H

#include "ctl/drill/measure.h"

#include <jansson.h>
#include <stdio.h>

/* verdict_judge: the run's JSON document (design section 5, "runs"), the caller's.
 *   widen_ms  added to every timing objective (no real-time priority here). */
json_t *verdict_judge(const struct measure *measure, const struct probes *probes,
	const struct config *cfg, int widen_ms, const char *report);

/* verdict_error: the document of a run that could not be done. */
json_t *verdict_error(const char *scenario, const char *reason, const char *report);

/* verdict_broken: the document of a run that failed before its fault: this cluster never came to a
 * state in which it would have protected anything. `reasons` are taken over. */
json_t *verdict_broken(const char *scenario, json_t *reasons, const char *report);

/* verdict_is_measured: false where there are no figures: an error, or a cluster that was broken
 * from the beginning. */
bool verdict_is_measured(const json_t *run);

/* verdict_print: one run for people, at most 80 columns. */
void verdict_print(FILE *out, const json_t *run);

/* verdict_print_table: one line a run and, for several of one scenario, the median. */
void verdict_print_table(FILE *out, const json_t *runs);

/* verdict_exit: 0 all pass, 1 one fails, 2 one could not run. */
int verdict_exit(const json_t *runs);

#endif
