/* run.h: one scenario, once, from an empty room to a verdict. */
#ifndef CTL_DRILL_RUN_H
#define CTL_DRILL_RUN_H

#include "ctl/drill/room.h"
#include "ctl/drill/scenario.h"

#include <stdbool.h>
#include <stdint.h>

#define RUN_RESULT_FILE "result.json" /* in the report directory */
#define RUN_WIDEN_MS	100	      /* added to timing objectives without real-time priority */

struct run_options {
	const struct scenario *scenario;
	const struct scenario_objectives *objectives; /* or NULL */
	struct room_options room;
	uint32_t rate_hz;
	uint32_t flow_count; /* fillers */
	int steady_ms;	     /* until the cluster has to be at rest, before the fault */
	int observe_ms;	     /* from the last step to the judgement of TCP; 0: the scenario's own */
	uint64_t seed;	     /* of everything that is left to chance: the fault's phase */
	bool rival;	     /* keepalived and conntrackd instead of carpool (rival.h) */
	bool keep;	     /* leave everything standing until a signal comes */
	bool quiet;	     /* no progress */
};

/* run_inside: the sandbox's main function. Writes RUN_RESULT_FILE, whatever happens. Returns 0. */
int run_inside(void *context);

#endif
