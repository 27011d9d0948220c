/* scenario.h: what a drill does: timed steps, and what is expected of the cluster. Pure data.
 *
 * The built-in ones are a table in scenario.c; an operator's own come out of a file
 * (scenario_file.h) in the same form. What a step does to the lab is fault.h's. */
#ifndef CTL_DRILL_SCENARIO_H
#define CTL_DRILL_SCENARIO_H

#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>

#define SCENARIO_STEPS_MAX   32u
#define SCENARIO_ALL_DAEMONS 0xffu
#define SCENARIO_FLOWS_MAX   4000000 /* of one fill */

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
	SCENARIO_ACTION_SPLIT, /* the nodes do not hear each other, the hosts hear all of them */
	SCENARIO_ACTION_JOIN,
	SCENARIO_ACTION_BREAK_RULES,  /* the rules file no longer parses; nobody has read it yet */
	SCENARIO_ACTION_CHANGE_RULES, /* the file has one harmless table more */
	SCENARIO_ACTION_DRIFT_RULES,  /* somebody adds a rule by hand, in the kernel of the node */
	SCENARIO_ACTION_RELOAD,
	SCENARIO_ACTION_FILL, /* flow_count flows into the node's table (run.c does it) */
	SCENARIO_ACTION_COUNT,
};

/* Roles are those before the first step and stay with their machines. */
enum scenario_who {
	SCENARIO_WHO_MASTER,
	SCENARIO_WHO_STANDBY,
	SCENARIO_WHO_NAMED,
};

enum scenario_where {
	SCENARIO_WHERE_ALL,
	SCENARIO_WHERE_CLIENT, /* the client's segment */
	SCENARIO_WHERE_SERVER,
	SCENARIO_WHERE_SYNC,
	SCENARIO_WHERE_NAMED,
};

struct scenario_step {
	int at_ms; /* from the first step */
	enum scenario_action action;
	enum scenario_who who;
	enum scenario_where where;
	unsigned int daemons; /* bits 1 << enum cluster_daemon (cluster.h) */
	int signal_number;
	bool refused;		    /* a reload that must be refused */
	uint32_t flow_count;	    /* fill */
	const char *node_name;	    /* SCENARIO_WHO_NAMED */
	const char *interface_name; /* SCENARIO_WHERE_NAMED: a segment of plan.h */
};

enum scenario_master {
	SCENARIO_MASTER_MOVES, /* another node is master at the end */
	SCENARIO_MASTER_STAYS,
	SCENARIO_MASTER_ANY, /* exactly one is */
};

/* What an objective is measured against, where it is no constant. */
enum scenario_bound {
	SCENARIO_BOUND_NONE,	    /* nothing may be lost */
	SCENARIO_BOUND_MASTER_DOWN, /* the standby's master-down plus outage_ms */
	SCENARIO_BOUND_FIXED,	    /* outage_ms */
};

/* What the operator demands, in place of the scenario's own bounds; below 0: nothing demanded. */
struct scenario_objectives {
	int64_t outage_us;     /* where the master has to move, unless by plan */
	int64_t handover_loss; /* probes, where nothing need be lost */
	int survival_percent;  /* of connections and flows */
	int64_t dual_us;       /* but where the fault makes it inevitable (dual_own) */
};

struct scenario {
	const char *name;
	const char *summary;	 /* one line */
	const char *description; /* one paragraph */
	unsigned int step_count;
	struct scenario_step steps[SCENARIO_STEPS_MAX];
	enum scenario_master master;
	bool planned; /* two may answer while the hand-over lasts: that is overlap_ms */
	enum scenario_bound bound;
	int outage_ms;
	int dual_ms;		     /* at most this long may two answer for one address */
	bool dual_master_down;	     /* on top of the standby's master-down */
	bool dual_own;		     /* what the fault itself makes inevitable: the operator's
				      * objective does not apply */
	unsigned int dual_from_step; /* two answer until this step, and nobody can help it */
	bool standby_away;	     /* at the end it cannot be reached, and is not asked */
	int takeover_ms;   /* from the fault until the addresses are on another node; 0: no bound */
	int moves_max;	   /* promotions in all; 0: no bound */
	int ready_ms;	   /* from the last step until everybody is ready again; 0: no bound */
	const char *alarm; /* must be raised by somebody; NULL: none */
	int observe_ms;	   /* after the last step, when nobody says otherwise */
	bool needs_rules;  /* a group with rules: in the config */
	bool needs_sync;
	uint32_t max_flows; /* sync.max_flows of the sandbox; 0: as configured */
};

/* scenario_count, scenario_nth: the built-in ones, in the order of `drill list`. */
unsigned int scenario_count(void);
const struct scenario *scenario_nth(unsigned int index);
const struct scenario *scenario_lookup(const char *name);

/* scenario_unfit: why this config has nothing that the scenario could break, or NULL. */
const char *scenario_unfit(const struct scenario *scenario, const struct config *cfg);

/* scenario_is_comparable: whether its steps mean something to other programs than carpool's. */
bool scenario_is_comparable(const struct scenario *scenario);

const char *scenario_action_name(enum scenario_action action);

/* scenario_action_lookup: false when there is no such action. */
bool scenario_action_lookup(const char *name, enum scenario_action *ret_action);

#endif
