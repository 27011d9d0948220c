/* live.h: the drill of the running cluster: every group to another node and back, by planned
 * hand-overs, with traffic of a client host measured meanwhile.
 *
 * Nothing begins unless every check of live_check.h passes, under a lock that all nodes know
 * (carpd/drill.c). Aborted, the groups go back to where they were: when the probes are not answered
 * for longer than the limit, a hand-over fails, an alarm tells of two masters or none, or the
 * operator stops it. */
#ifndef CTL_DRILL_LIVE_H
#define CTL_DRILL_LIVE_H

#include "ctl/args.h"
#include "ctl/drill/scenario.h"

#include "config/config.h"

#include <jansson.h>

#define LIVE_QUIET_MS	(10 * 60 * 1000)
#define LIVE_LIMIT_MS	1000
#define LIVE_OBSERVE_MS 5000
#define LIVE_WHAT	"live" /* in reports */

struct live_options {
	const struct args *args;
	const struct config *cfg;
	const char *group; /* NULL: all */
	const char *to;	   /* NULL: the best ready peer */
	const char *by;
	const char *reason;
	const char *probe; /* the prober's command; NULL: nothing is measured */
	int64_t quiet_ms;
	int64_t limit_ms; /* longer without an answer: abort */
	int64_t observe_ms;
	const struct scenario_objectives *objectives; /* or NULL */
	const char *report_dir;
};

/* live_plan: checks, and says what would be done. Changes nothing. 0 it may begin, 1 it may not, 2
 * the cluster could not be asked. */
int live_plan(const struct live_options *options);

/* live_run: the array of runs (doc/drills.md), the caller's. */
json_t *live_run(const struct live_options *options);

#endif
