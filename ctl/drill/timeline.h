/* timeline.h: what happened when, on one clock: faults, both daemons' histories, packets. */
#ifndef CTL_DRILL_TIMELINE_H
#define CTL_DRILL_TIMELINE_H

#include "ctl/drill/measure.h"

#define TIMELINE_ITEMS_MAX 200u
#define TIMELINE_TEXT_MAX  200u

/* timeline_add: `at` on the drill's axis (tick.h); `node` "" for what belongs to none. */
void timeline_add(struct measure *measure, int64_t at, const char *node, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* timeline_history: the transitions of one node after the fault, and their stages; counts the
 * promotions. `history` may be NULL. */
void timeline_history(
	struct measure *measure, const json_t *history, const char *node, int64_t wall_offset);

/* timeline_finish: adds what the probes and the taps have seen, and sorts. */
void timeline_finish(struct measure *measure, const struct config *cfg);

#endif
