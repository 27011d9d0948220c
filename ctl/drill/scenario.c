#include "ctl/drill/scenario.h"

#include "ctl/drill/tick.h"

#include "common/check.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define SCENARIO_CARRIER_MS  2000
#define SCENARIO_HANDOVER_MS 15000
#define SCENARIO_CARPD	     (1u << CLUSTER_DAEMON_CARPD)
#define SCENARIO_SYNCD	     (1u << CLUSTER_DAEMON_SYNCD)

/* What the objectives allow on top of master-down: the promotion, the announcement, and the
 * scheduling of two machines on one. */
#define SCENARIO_TAKEOVER_MS 20

static const struct scenario scenarios[] = {
	{
		.name = "power-loss",
		.summary = "the master loses power",
		.description =
			"All switch ports of the master and its sync link go dead at one instant "
			"and all its processes are gone. The standby has to find out by silence, "
			"take the addresses, and go on with every connection.",
		.step_count = 1,
		.steps = {{.action = SCENARIO_ACTION_POWER_OFF}},
		.master_moves = true,
		.bound = SCENARIO_BOUND_MASTER_DOWN,
		.outage_ms = SCENARIO_TAKEOVER_MS,
	},
	{
		.name = "handover",
		.summary = "a planned switch to the standby",
		.description =
			"The operator asks for a hand-over (carpool handover). No packet of an "
			"established flow may be lost. For a moment both nodes forward; that is "
			"overlap_ms, not dual mastership.",
		.step_count = 1,
		.steps = {{.action = SCENARIO_ACTION_HANDOVER}},
		.master_moves = true,
		.planned = true,
		.bound = SCENARIO_BOUND_NONE,
	},
	{
		.name = "kill-daemon",
		.summary = "carpd of the master is killed (SIGKILL)",
		.description =
			"carpd dies without a word while the machine lives on: the addresses "
			"would stay up on a node that no longer takes part. The guard has to "
			"withdraw them and to tell the peer.",
		.step_count = 1,
		.steps = {{.action = SCENARIO_ACTION_SIGNAL,
			.daemons = SCENARIO_CARPD,
			.signal_number = SIGKILL}},
		.master_moves = true,
		.bound = SCENARIO_BOUND_FIXED,
		.outage_ms = 100,
		.dual_ms = 50,
		.takeover_ms = 100,
	},
	{
		.name = "kill-all",
		.summary = "carpd and syncd of the master are killed together",
		.description = "As kill-daemon, but the states' source dies at the same instant.",
		.step_count = 1,
		.steps = {{.action = SCENARIO_ACTION_SIGNAL,
			.daemons = SCENARIO_CARPD | SCENARIO_SYNCD,
			.signal_number = SIGKILL}},
		.master_moves = true,
		.bound = SCENARIO_BOUND_FIXED,
		.outage_ms = 100,
		.dual_ms = 50,
		.takeover_ms = 100,
	},
};

unsigned int scenario_count(void)
{
	return ARRAY_LEN(scenarios);
}

const struct scenario *scenario_nth(unsigned int index)
{
	return index < ARRAY_LEN(scenarios) ? &scenarios[index] : NULL;
}

const struct scenario *scenario_lookup(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_LEN(scenarios); i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	return NULL;
}

static const char *const scenario_action_names[] = {
	[SCENARIO_ACTION_POWER_OFF] = "power-off",
	[SCENARIO_ACTION_POWER_ON] = "power-on",
	[SCENARIO_ACTION_HANDOVER] = "handover",
	[SCENARIO_ACTION_SIGNAL] = "signal",
	[SCENARIO_ACTION_START] = "start",
	[SCENARIO_ACTION_LINK_DOWN] = "link-down",
	[SCENARIO_ACTION_LINK_UP] = "link-up",
	[SCENARIO_ACTION_PATH_LOSS] = "path-loss",
	[SCENARIO_ACTION_PATH_MEND] = "path-mend",
};
static_assert(ARRAY_LEN(scenario_action_names) == SCENARIO_ACTION_COUNT, "a name for each");

const char *scenario_action_name(enum scenario_action action)
{
	return scenario_action_names[action];
}

static int scenario_fail(struct cluster *cluster, int r)
{
	if (r < 0 && cluster->lab->error[0] != '\0')
		(void)snprintf(cluster->error, sizeof(cluster->error), "%s", cluster->lab->error);
	return r;
}

/* First the ports, in one message train, so that nothing a dying process says gets out; then the
 * processes; then the carriers, for whoever looks at them. */
static int scenario_power_off(struct cluster *cluster, unsigned int node, int64_t *ret_at)
{
	int r = lab_port_block(cluster->lab, node, LAB_SEGMENT_ALL, false);

	/* The kernel may have let us wait for a lock that all network namespaces share: the cut is
	 * now, not when we asked for it. */
	*ret_at = tick_now();

	if (r < 0)
		return scenario_fail(cluster, r);
	lab_node_off(&cluster->lab->nodes[node]);
	for (unsigned int d = 0; d < CLUSTER_DAEMON_COUNT; d++)
		cluster->pids[node][d] = 0;
	return scenario_fail(cluster, lab_port_down(cluster->lab, node, LAB_SEGMENT_ALL, false));
}

static int scenario_start(struct cluster *cluster, unsigned int node, unsigned int daemons)
{
	int r = 0;

	for (unsigned int d = 0; r == 0 && d < CLUSTER_DAEMON_COUNT; d++)
		if ((daemons & (1u << d)) && cluster->pids[node][d] <= 0)
			r = cluster_start(cluster, node, (enum cluster_daemon)d);
	return r;
}

/* A port takes orders when it has noticed its carrier, which is a moment after its link is up. */
static int scenario_open_ports(struct cluster *cluster, unsigned int node)
{
	int64_t deadline = tick_now() + SCENARIO_CARRIER_MS * TICK_NS_PER_MS;
	int r;

	while ((r = lab_port_block(cluster->lab, node, LAB_SEGMENT_ALL, true)) == -ENETDOWN &&
		tick_now() < deadline)
		tick_sleep_until(tick_now() + TICK_NS_PER_MS);
	return r;
}

/* The machine boots: its kernel's state (addresses, tables, connections) is that of the moment
 * before, so a reboot scenario has to make it forget first; the daemons start as from nothing. */
static int scenario_power_on(struct cluster *cluster, unsigned int node)
{
	int r = lab_node_on(cluster->lab, &cluster->lab->nodes[node]);

	if (r == 0)
		r = lab_port_down(cluster->lab, node, LAB_SEGMENT_ALL, true);
	if (r == 0)
		r = scenario_open_ports(cluster, node);
	if (r < 0)
		return scenario_fail(cluster, r);
	return scenario_start(cluster, node, SCENARIO_ALL_DAEMONS);
}

static int scenario_handover(struct cluster *cluster, const struct scenario_order *order)
{
	json_t *request = json_pack("{s:s,s:s*}", "op", "handover", "group", order->group);
	json_t *result = NULL;
	int r = cluster_ask(
		cluster, order->node, CLUSTER_DAEMON_CARPD, request, SCENARIO_HANDOVER_MS, &result);

	json_decref(request);
	json_decref(result);
	return r;
}

static int scenario_signal(struct cluster *cluster, const struct scenario_order *order)
{
	int r = 0;

	for (unsigned int d = 0; d < CLUSTER_DAEMON_COUNT; d++)
		if ((order->daemons & (1u << d)) && r == 0)
			r = cluster_signal(
				cluster, order->node, (enum cluster_daemon)d, order->signal_number);
	if (r < 0)
		(void)snprintf(cluster->error, sizeof(cluster->error), "signal %d: %s",
			order->signal_number, strerror(-r));
	return r;
}

int scenario_apply(struct cluster *cluster, const struct scenario_order *order, int64_t *ret_at)
{
	struct lab *lab = cluster->lab;

	*ret_at = tick_now();
	switch (order->action) {
	case SCENARIO_ACTION_POWER_OFF:
		return scenario_power_off(cluster, order->node, ret_at);
	case SCENARIO_ACTION_POWER_ON:
		return scenario_power_on(cluster, order->node);
	case SCENARIO_ACTION_HANDOVER:
		return scenario_handover(cluster, order);
	case SCENARIO_ACTION_SIGNAL:
		return scenario_signal(cluster, order);
	case SCENARIO_ACTION_START:
		return scenario_start(cluster, order->node, order->daemons);
	case SCENARIO_ACTION_LINK_DOWN:
	case SCENARIO_ACTION_LINK_UP:
		return scenario_fail(cluster, lab_port_down(lab, order->node, order->segment,
						      order->action == SCENARIO_ACTION_LINK_UP));
	case SCENARIO_ACTION_PATH_LOSS:
	case SCENARIO_ACTION_PATH_MEND:
		return scenario_fail(cluster, lab_port_block(lab, order->node, order->segment,
						      order->action == SCENARIO_ACTION_PATH_MEND));
	case SCENARIO_ACTION_COUNT:
		break;
	}
	return -EINVAL;
}
