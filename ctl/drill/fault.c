#include "ctl/drill/fault.h"

#include "ctl/drill/flows.h"
#include "ctl/drill/sandbox.h"
#include "ctl/drill/spawn.h"
#include "ctl/drill/tick.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define FAULT_CARRIER_MS  2000
#define FAULT_HANDOVER_MS 15000
#define FAULT_RELOAD_MS	  30000
#define FAULT_WORDS_MAX	  160u

static const char fault_broken_rules[] = "\nthis is no rule {\n";
static const char fault_changed_rules[] =
	"\ntable inet drill_reload {\n\tchain seen {\n\t\tcounter\n\t}\n}\n";

static int fault_fail(struct cluster *cluster, int r)
{
	if (r < 0 && cluster->lab->error[0] != '\0')
		(void)snprintf(cluster->error, sizeof(cluster->error), "%s", cluster->lab->error);
	return r;
}

/* First the ports, in one message train, so that nothing a dying process says gets out; then the
 * processes; then the carriers, for whoever looks at them. */
static int fault_power_off(struct cluster *cluster, unsigned int node, int64_t *ret_at)
{
	int r = lab_port_block(cluster->lab, node, LAB_SEGMENT_ALL, false);

	/* The kernel may have let us wait for a lock that all network namespaces share: the cut is
	 * now, not when we asked for it. */
	*ret_at = tick_now();

	if (r < 0)
		return fault_fail(cluster, r);
	lab_node_off(&cluster->lab->nodes[node]);
	for (unsigned int d = 0; d < CLUSTER_DAEMON_COUNT; d++)
		cluster->pids[node][d] = 0;
	return fault_fail(cluster, lab_port_down(cluster->lab, node, LAB_SEGMENT_ALL, false));
}

static int fault_start(struct cluster *cluster, unsigned int node, unsigned int daemons)
{
	int r = 0;

	for (unsigned int d = 0; r == 0 && d < CLUSTER_DAEMON_COUNT; d++)
		if ((daemons & (1u << d)) && cluster->pids[node][d] <= 0)
			r = cluster_start(cluster, node, (enum cluster_daemon)d);
	return r;
}

/* A port takes orders when it has noticed its carrier, which is a moment after its link is up. */
static int fault_open_ports(struct cluster *cluster, unsigned int node)
{
	int64_t deadline = tick_now() + FAULT_CARRIER_MS * TICK_NS_PER_MS;
	int r;

	while ((r = lab_port_block(cluster->lab, node, LAB_SEGMENT_ALL, true)) == -ENETDOWN &&
		tick_now() < deadline)
		tick_sleep_until(tick_now() + TICK_NS_PER_MS);
	return r;
}

/* The machine boots: its namespace is still that of the moment before, so it has to forget
 * addresses, tables and connections first. What it had on disk (state_dir) it still has. */
static int fault_power_on(struct cluster *cluster, unsigned int node)
{
	int r;

	flows_flush(cluster->lab->nodes[node].netns_fd);
	r = lab_node_forget(cluster->lab, node);
	if (r == 0)
		r = lab_node_on(cluster->lab, &cluster->lab->nodes[node]);

	if (r == 0)
		r = lab_port_down(cluster->lab, node, LAB_SEGMENT_ALL, true);
	if (r == 0)
		r = fault_open_ports(cluster, node);
	if (r == 0)
		r = cluster_boot(cluster, node);
	if (r < 0)
		return fault_fail(cluster, r);
	return fault_start(cluster, node, SCENARIO_ALL_DAEMONS);
}

static int fault_handover(struct cluster *cluster, const struct fault_order *order)
{
	json_t *request;
	json_t *result = NULL;
	int r;

	/* Its planned switch: stopped, it resigns (an advert of priority 0). */
	if (cluster->rival)
		return cluster_signal(cluster, order->node, CLUSTER_DAEMON_CARPD, SIGTERM);
	request = json_pack("{s:s,s:s*}", "op", "handover", "group", order->group);
	r = cluster_ask(
		cluster, order->node, CLUSTER_DAEMON_CARPD, request, FAULT_HANDOVER_MS, &result);

	json_decref(request);
	json_decref(result);
	return r;
}

static int fault_signal(struct cluster *cluster, const struct fault_order *order)
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

/* The files are the sandbox's own copies (labconf.h). */
static int fault_edit_rules(struct cluster *cluster, const struct fault_order *order)
{
	const char *text = order->action == SCENARIO_ACTION_BREAK_RULES ? fault_broken_rules
									: fault_changed_rules;
	const struct config *cfg = cluster->lab->plan->cfg;
	unsigned int edited_count = 0;

	for (uint32_t g = 0; g < cfg->group_count; g++) {
		const char *path = cfg->groups[g].rules_master.path;
		FILE *file;

		if (!path || strncmp(path, SANDBOX_DIR "/", strlen(SANDBOX_DIR "/")) != 0)
			continue;
		file = fopen(path, "ae");
		if (!file)
			return -errno;
		if (fputs(text, file) < 0 || fclose(file) != 0)
			return -EIO;
		edited_count++;
		break; /* the text names a table: one file has it */
	}
	if (edited_count > 0)
		return 0;
	(void)snprintf(cluster->error, sizeof(cluster->error), "no rules of the sandbox's own");
	return -ENOENT;
}

/* The first chain of the kernel's list that is no table of carpool's own. `words` becomes "FAMILY
 * TABLE CHAIN". */
static bool fault_find_chain(const char *list, char words[static FAULT_WORDS_MAX])
{
	char family[16] = "";
	char table[64] = "";
	char chain[64];

	while (list && *list) {
		if (sscanf(list, "table %15s %63s", family, table) == 2 &&
			strncmp(table, "carpool", strlen("carpool")) == 0)
			table[0] = '\0';
		if (table[0] != '\0' && sscanf(list, " chain %63s", chain) == 1) {
			(void)snprintf(words, FAULT_WORDS_MAX, "%s %s %s", family, table, chain);
			return true;
		}
		list = strchr(list, '\n');
		list = list ? list + 1 : NULL;
	}
	return false;
}

static int fault_nft(struct cluster *cluster, unsigned int node, const char *const *argv,
	const char *input, char output[static SPAWN_OUTPUT_MAX])
{
	struct spawn_options options = {.argv = argv,
		.netns_fd = cluster->lab->nodes[node].netns_fd,
		.mntns_fd = -1,
		.pidns_fd = -1,
		.root_fd = -1,
		.input_fd = -1,
		.output_fd = -1};
	int r = spawn_run(&options, input, output);

	if (r != 0)
		(void)snprintf(cluster->error, sizeof(cluster->error), "nft on %s: %.300s",
			cluster->lab->nodes[node].config->name, r < 0 ? strerror(-r) : output);
	return r > 0 ? -EIO : r;
}

static int fault_drift_rules(struct cluster *cluster, unsigned int node)
{
	static const char *const list[] = {"nft", "-t", "list", "ruleset", NULL};
	static const char *const add[] = {"nft", "-f", "-", NULL};
	char output[SPAWN_OUTPUT_MAX];
	char words[FAULT_WORDS_MAX];
	char command[FAULT_WORDS_MAX + 64];
	int r = fault_nft(cluster, node, list, NULL, output);

	if (r < 0)
		return r;
	if (!fault_find_chain(output, words)) {
		(void)snprintf(cluster->error, sizeof(cluster->error),
			"no chain of the operator's rules in the kernel of %s",
			cluster->lab->nodes[node].config->name);
		return -ENOENT;
	}
	(void)snprintf(command, sizeof(command), "insert rule %s counter\n", words);
	return fault_nft(cluster, node, add, command, output);
}

static int fault_reload(struct cluster *cluster, const struct fault_order *order)
{
	json_t *request = json_pack("{s:s,s:b,s:b}", "op", "reload", "diff", 0, "force", 0);
	json_t *result = NULL;
	int r = cluster_ask(
		cluster, order->node, CLUSTER_DAEMON_CARPD, request, FAULT_RELOAD_MS, &result);

	json_decref(request);
	json_decref(result);
	return r;
}

static int fault_split(struct cluster *cluster, bool split)
{
	int r = 0;

	for (unsigned int n = 0; r == 0 && n < cluster->lab->node_count; n++)
		r = lab_port_isolate(cluster->lab, n, split);
	return fault_fail(cluster, r);
}

static int fault_apply_link(struct cluster *cluster, const struct fault_order *order)
{
	struct lab *lab = cluster->lab;

	if (order->action == SCENARIO_ACTION_LINK_DOWN || order->action == SCENARIO_ACTION_LINK_UP)
		return fault_fail(cluster, lab_port_down(lab, order->node, order->segment,
						   order->action == SCENARIO_ACTION_LINK_UP));
	return fault_fail(cluster, lab_port_block(lab, order->node, order->segment,
					   order->action == SCENARIO_ACTION_PATH_MEND));
}

int fault_apply(struct cluster *cluster, const struct fault_order *order, int64_t *ret_at)
{
	*ret_at = tick_now();
	switch (order->action) {
	case SCENARIO_ACTION_POWER_OFF:
		return fault_power_off(cluster, order->node, ret_at);
	case SCENARIO_ACTION_POWER_ON:
		return fault_power_on(cluster, order->node);
	case SCENARIO_ACTION_HANDOVER:
		return fault_handover(cluster, order);
	case SCENARIO_ACTION_SIGNAL:
		return fault_signal(cluster, order);
	case SCENARIO_ACTION_START:
		return fault_start(cluster, order->node, order->daemons);
	case SCENARIO_ACTION_LINK_DOWN:
	case SCENARIO_ACTION_LINK_UP:
	case SCENARIO_ACTION_PATH_LOSS:
	case SCENARIO_ACTION_PATH_MEND:
		return fault_apply_link(cluster, order);
	case SCENARIO_ACTION_SPLIT:
	case SCENARIO_ACTION_JOIN:
		return fault_split(cluster, order->action == SCENARIO_ACTION_SPLIT);
	case SCENARIO_ACTION_BREAK_RULES:
	case SCENARIO_ACTION_CHANGE_RULES:
		return fault_edit_rules(cluster, order);
	case SCENARIO_ACTION_DRIFT_RULES:
		return fault_drift_rules(cluster, order->node);
	case SCENARIO_ACTION_RELOAD:
		return fault_reload(cluster, order);
	case SCENARIO_ACTION_FILL:
	case SCENARIO_ACTION_COUNT:
		break;
	}
	return -EINVAL;
}
