/* scenario.h: what a drill does: a table of timed steps, and what is expected of the cluster. */
#ifndef CTL_DRILL_SCENARIO_H
#define CTL_DRILL_SCENARIO_H

#include "ctl/drill/cluster.h"

#include <stdbool.h>
#include <stdint.h>

#define SCENARIO_STEPS_MAX   32u
#define SCENARIO_ALL_DAEMONS 0xffu

enum scenario_action {
	SCENARIO_ACTION_POWER_OFF, /* all ports dead at one instant, all processes killed */
	SCENARIO_ACTION_POWER_ON,  /* the machine and its daemons again, ports open */
	SCENARIO_ACTION_HANDOVER,  /* asked through the control socket */
	SCENARIO_ACTION_SIGNAL,	   /* to some daemons */
	SCENARIO_ACTION_START,	   /* the daemons that do not run */
	SCENARIO_ACTION_LINK_DOWN, /* pulled cable: the carrier goes */
	SCENARIO_ACTION_LINK_UP,
	SCENARIO_ACTION_PATH_LOSS, /* dead port behind a live carrier */
	SCENARIO_ACTION_PATH_MEND,
	SCENARIO_ACTION_COUNT,
};

/* Roles are those before the first step and stay with their machines. */
enum scenario_who {
	SCENARIO_WHO_MASTER,
	SCENARIO_WHO_STANDBY,
};

enum scenario_where {
	SCENARIO_WHERE_ALL,
	SCENARIO_WHERE_CLIENT, /* the client's segment */
	SCENARIO_WHERE_SERVER,
	SCENARIO_WHERE_SYNC,
};

struct scenario_step {
	int at_ms; /* from the first step */
	enum scenario_action action;
	enum scenario_who who;
	enum scenario_where where;
	unsigned int daemons; /* bits 1 << enum cluster_daemon */
	int signal_number;
};

/* What an objective is measured against, where it is no constant. */
enum scenario_bound {
	SCENARIO_BOUND_NONE,	    /* nothing may be lost */
	SCENARIO_BOUND_MASTER_DOWN, /* the standby's master-down plus outage_ms */
	SCENARIO_BOUND_FIXED,	    /* outage_ms */
};

struct scenario {
	const char *name;
	const char *summary;	 /* one line */
	const char *description; /* one paragraph */
	unsigned int step_count;
	struct scenario_step steps[SCENARIO_STEPS_MAX];
	bool master_moves; /* another node must be master at the end; else the same */
	bool planned;	   /* two may answer while the hand-over lasts: that is overlap_ms */
	enum scenario_bound bound;
	int outage_ms;
	int dual_ms;	 /* at most this long may two answer for one address */
	int takeover_ms; /* from the fault until the addresses are on another node; 0: no bound */
};

/* scenario_count, scenario_nth: the built-in ones, in the order of `drill list`. */
unsigned int scenario_count(void);
const struct scenario *scenario_nth(unsigned int index);
const struct scenario *scenario_lookup(const char *name);

const char *scenario_action_name(enum scenario_action action);

/* An action with everything resolved. */
struct scenario_order {
	enum scenario_action action;
	unsigned int node;
	int segment; /* LAB_SEGMENT_ALL or one */
	unsigned int daemons;
	int signal_number;
	const char *group; /* hand-over */
};

/* scenario_apply: does it. *ret_at (tick.h) is the instant at which it takes effect. 0, or a
 * negative errno with cluster->error set. A hand-over returns when the daemons have answered. */
int scenario_apply(struct cluster *cluster, const struct scenario_order *order, int64_t *ret_at);

#endif
