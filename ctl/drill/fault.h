/* fault.h: one step of a scenario, done to the lab: dead ports, dead processes, foreign hands. */
#ifndef CTL_DRILL_FAULT_H
#define CTL_DRILL_FAULT_H

#include "ctl/drill/cluster.h"
#include "ctl/drill/scenario.h"

/* A step with everything resolved. */
struct fault_order {
	enum scenario_action action;
	unsigned int node;
	int segment; /* LAB_SEGMENT_ALL or one */
	unsigned int daemons;
	int signal_number;
	const char *group; /* hand-over */
};

/* fault_apply: does it. *ret_at (tick.h) is the instant at which it takes effect. 0, or a negative
 * errno with cluster->error set. A hand-over and a reload return when the daemon has answered;
 * -EREMOTEIO when it has refused. SCENARIO_ACTION_FILL is not for here. */
int fault_apply(struct cluster *cluster, const struct fault_order *order, int64_t *ret_at);

#endif
