#include "ctl/drill/labserver.h"

#include "ctl/drill/fault.h"
#include "ctl/drill/measure.h"
#include "ctl/drill/probes.h"
#include "ctl/drill/sandbox.h"
#include "ctl/drill/scenario.h"
#include "ctl/drill/thread.h"
#include "ctl/drill/tick.h"
#include "ctl/drill/verdict.h"

#include "common/check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABSERVER_RATE_HZ     1000u
#define LABSERVER_SECONDS_MAX 600u
#define LABSERVER_WATCH_MS    2000
#define LABSERVER_QUIET_MS    500
#define LABSERVER_COPY_MS     30000

struct labserver {
	const struct labserver_options *options;
	struct room room;
	struct probes probes;
	bool probing;
	struct measure measure;
};

static json_t *labserver_ok(void)
{
	return json_pack("{s:b}", "ok", 1);
}

static json_t *labserver_error(const char *text)
{
	return json_pack("{s:b,s:s}", "ok", 0, "error", text);
}

static json_t *labserver_result(int r, const char *text)
{
	return r < 0 ? labserver_error(text && text[0] ? text : strerror(-r)) : labserver_ok();
}

static const char *labserver_text(const json_t *order, const char *name)
{
	const char *text = json_string_value(json_object_get(order, name));

	return text ? text : "";
}

static int labserver_number(const json_t *order, const char *name, int otherwise)
{
	const json_t *value = json_object_get(order, name);

	return json_is_integer(value) ? (int)json_integer_value(value) : otherwise;
}

static int labserver_node(struct labserver *server, const json_t *order)
{
	const struct lab_node *node =
		lab_node_lookup(&server->room.lab, labserver_text(order, "node"));

	return node ? (int)(node - server->room.lab.nodes) : -1;
}

static unsigned int labserver_daemons(const json_t *order)
{
	const json_t *list = json_object_get(order, "daemons");
	unsigned int bits = 0;
	json_t *item;
	size_t i;

	if (!list)
		return SCENARIO_ALL_DAEMONS;
	json_array_foreach (list, i, item) {
		for (unsigned int d = 0; d < CLUSTER_DAEMON_COUNT; d++) {
			const char *name = json_string_value(item);

			if (name && strcmp(name, cluster_daemon_name((enum cluster_daemon)d)) == 0)
				bits |= 1u << d;
		}
	}
	return bits;
}

static bool labserver_action(const char *name, enum scenario_action *ret_action)
{
	for (unsigned int i = 0; i < SCENARIO_ACTION_COUNT; i++) {
		if (strcmp(scenario_action_name((enum scenario_action)i), name) != 0)
			continue;
		*ret_action = (enum scenario_action)i;
		return true;
	}
	return false;
}

/* The instant of the newest fault is what probe-stop measures from. */
static json_t *labserver_apply(
	struct labserver *server, const json_t *order, enum scenario_action action)
{
	const char *segment = labserver_text(order, "segment");
	const char *group = labserver_text(order, "group");
	int node = labserver_node(server, order);
	struct fault_order resolved = {.action = action,
		.node = (unsigned int)node,
		.segment = segment[0] ? plan_segment_lookup(&server->room.plan, segment)
				      : LAB_SEGMENT_ALL,
		.daemons = labserver_daemons(order),
		.signal_number = labserver_number(order, "signal", SIGTERM),
		.group = group[0] ? group : NULL};
	int r;

	if (node < 0 || (segment[0] && resolved.segment < 0))
		return labserver_error("no such node or segment");
	r = fault_apply(&server->room.cluster, &resolved, &server->measure.fault_at);
	return labserver_result(r, server->room.cluster.error);
}

static json_t *labserver_wait_steady(struct labserver *server, const json_t *order)
{
	int r = cluster_wait_steady(
		&server->room.cluster, labserver_number(order, "timeout_ms", ROOM_STEADY_MS));

	return labserver_result(r, server->room.cluster.error);
}

static const char *labserver_group(const struct labserver *server, const json_t *order)
{
	const char *group = labserver_text(order, "group");

	return group[0] ? group : server->room.plan.pairs[0].group->name;
}

static json_t *labserver_master(struct labserver *server, const json_t *order)
{
	int node = cluster_master(
		&server->room.cluster, labserver_group(server, order), CLUSTER_NOBODY);

	return json_pack("{s:b,s:s?}", "ok", 1, "master",
		node < 0 ? NULL : server->room.cfg->nodes[node].name);
}

static json_t *labserver_probe_start(struct labserver *server, const json_t *order)
{
	struct probes_options options = {
		.rate_hz = (uint32_t)labserver_number(order, "rate", LABSERVER_RATE_HZ),
		.seconds_max = LABSERVER_SECONDS_MAX,
		.realtime = thread_realtime_permitted()};
	int r;

	if (server->probing)
		return labserver_error("probes are running");
	server->measure = (struct measure){.scenario = scenario_nth(0),
		.group = server->room.plan.pairs[0].group->name,
		.fault_at = tick_now()};
	server->measure.old_master =
		cluster_master(&server->room.cluster, server->measure.group, CLUSTER_NOBODY);
	r = probes_start(&server->probes, &server->room.lab, &server->room.plan.pairs[0], &options);
	if (r == 0 && !json_is_false(json_object_get(order, "tcp")))
		r = probes_start_tcp(&server->probes);
	if (r == 0 && json_is_true(json_object_get(order, "users")))
		r = probes_start_users(&server->probes);
	if (r < 0) {
		probes_free(&server->probes);
		return labserver_error(server->probes.why);
	}
	server->probing = true;
	return labserver_ok();
}

static json_t *labserver_probe_good(struct labserver *server, const json_t *order)
{
	int r;

	if (!server->probing)
		return labserver_error("no probes");
	r = probes_wait_good(&server->probes,
		labserver_number(order, "quiet_ms", LABSERVER_QUIET_MS),
		labserver_number(order, "timeout_ms", ROOM_STEADY_MS));
	return labserver_result(r, server->probes.why);
}

static json_t *labserver_probe_stop(struct labserver *server, const json_t *order)
{
	struct measure *measure = &server->measure;
	json_t *document;

	if (!server->probing)
		return labserver_error("no probes");
	probes_judge_tcp(&server->probes, labserver_number(order, "watch_ms", LABSERVER_WATCH_MS));
	measure->new_master = cluster_master(&server->room.cluster, measure->group, CLUSTER_NOBODY);
	probes_end(&server->probes);
	measure_udp(measure, &server->probes);
	measure_taps(measure, &server->probes);
	document = verdict_judge(measure, &server->probes, server->room.cfg, 0, "");
	probes_free(&server->probes);
	measure_fini(measure);
	server->probing = false;
	/* The objectives of a scenario are not the test's: it judges for itself. */
	(void)json_object_del(document, "verdict");
	(void)json_object_del(document, "reasons");
	(void)json_object_del(document, "scenario");
	return json_pack("{s:b,s:o}", "ok", 1, "measured", document);
}

static json_t *labserver_fill(struct labserver *server, const json_t *order)
{
	unsigned int all = (1u << server->room.lab.node_count) - 1;
	int node = labserver_node(server, order);
	int count = labserver_number(order, "count", 0);
	int r;

	if (!server->probing || node < 0 || count <= 0 || (uint32_t)count > FLOWS_MAX)
		return labserver_error("fill needs running probes, a node and a count");
	r = probes_fill(&server->probes, (unsigned int)node, (uint32_t)count);
	if (r == 0 && !json_is_false(json_object_get(order, "wait")))
		r = probes_wait_copied(&server->probes, all & ~(1u << node), LABSERVER_COPY_MS);
	return labserver_result(r, server->probes.why);
}

static json_t *labserver_flows(struct labserver *server, const json_t *order)
{
	int node = labserver_node(server, order);
	int netns_fd;

	if (node < 0)
		return labserver_error("no such node");
	netns_fd = server->room.lab.nodes[node].netns_fd;
	return json_pack("{s:b,s:I,s:I}", "ok", 1, "whole",
		(json_int_t)(server->probes.flows.count > 0
				     ? flows_count(netns_fd, &server->probes.flows)
				     : 0),
		"table", (json_int_t)flows_table_count(netns_fd));
}

static const struct {
	const char *name;
	json_t *(*run)(struct labserver *server, const json_t *order);
} labserver_orders[] = {
	{"wait-steady", labserver_wait_steady},
	{"master", labserver_master},
	{"probe-start", labserver_probe_start},
	{"probe-good", labserver_probe_good},
	{"probe-stop", labserver_probe_stop},
	{"fill", labserver_fill},
	{"flows", labserver_flows},
};

static json_t *labserver_do(struct labserver *server, const json_t *order)
{
	const char *name = labserver_text(order, "do");
	enum scenario_action action;

	for (unsigned int i = 0; i < ARRAY_LEN(labserver_orders); i++)
		if (strcmp(labserver_orders[i].name, name) == 0)
			return labserver_orders[i].run(server, order);
	if (labserver_action(name, &action))
		return labserver_apply(server, order, action);
	return labserver_error("unknown order");
}

static void labserver_say(json_t *line)
{
	(void)json_dumpf(line, stdout, JSON_COMPACT);
	(void)fputc('\n', stdout);
	(void)fflush(stdout);
	json_decref(line);
}

static json_t *labserver_describe(const struct labserver *server)
{
	const struct plan *plan = &server->room.plan;
	const struct plan_pair *pair = &plan->pairs[0];
	json_t *nodes = json_object();
	json_t *segments = json_object();
	char client[IPADDR_TEXT_MAX];
	char text[IPADDR_TEXT_MAX];

	for (unsigned int n = 0; n < server->room.lab.node_count; n++)
		(void)json_object_set_new(nodes, plan->cfg->nodes[n].name,
			json_pack("{s:s,s:s,s:i}", "runtime_dir",
				server->room.lab.nodes[n].runtime_dir, "state_dir",
				server->room.lab.nodes[n].state_dir, "index", (int)n));
	for (unsigned int s = 0; s < plan->segment_count; s++)
		(void)json_object_set_new(
			segments, plan->segments[s].name, json_integer((json_int_t)s));
	return json_pack("{s:b,s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "ok", 1, "pid",
		(int)sandbox_outside_pid(), "config", LABCONF_FILE, "logs",
		server->options->room.report_dir, "client", plan->segments[pair->client].name,
		"server", plan->segments[pair->server].name, "client_address",
		ipaddr_render(&pair->client_address, false, client), "server_address",
		ipaddr_render(&pair->server_address, false, text), "nodes", nodes, "segments",
		segments);
}

static void labserver_loop(struct labserver *server)
{
	char *line = NULL;
	size_t size_bytes = 0;

	while (!sandbox_stopped() && getline(&line, &size_bytes, stdin) > 0) {
		json_t *order = json_loads(line, 0, NULL);

		labserver_say(order ? labserver_do(server, order) : labserver_error("not JSON"));
		json_decref(order);
	}
	free(line);
}

int labserver_inside(void *context)
{
	struct labserver *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return 2;
	server->options = context;
	r = room_open(&server->room, &server->options->room);
	if (r == 0 && !server->options->no_start)
		r = cluster_start_all(&server->room.cluster);
	if (r < 0) {
		labserver_say(
			labserver_error(server->room.error[0] ? server->room.error : strerror(-r)));
	} else {
		labserver_say(labserver_describe(server));
		labserver_loop(server);
	}
	if (server->probing)
		probes_free(&server->probes);
	room_close(&server->room);
	free(server);
	return r < 0 ? 2 : 0;
}
