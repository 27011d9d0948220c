#include "ctl/drill/run.h"

#include "ctl/drill/fault.h"
#include "ctl/drill/measure.h"
#include "ctl/drill/probes.h"
#include "ctl/drill/sandbox.h"
#include "ctl/drill/thread.h"
#include "ctl/drill/tick.h"
#include "ctl/drill/timeline.h"
#include "ctl/drill/verdict.h"
#include "ctl/drill/watch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_GOOD_MS	 1000 /* so long must everything go well before the fault */
#define RUN_GOOD_WAIT_MS 20000
#define RUN_BEFORE_MS	 500   /* probes count from here before the fault: all was well then */
#define RUN_COPY_WAIT_MS 30000 /* and 1 ms for each FLOWS_PER_MS more */
#define RUN_FLOWS_PER_MS 10
#define RUN_FLOWS_SPARE	 1000 /* for the probes, and for others' */
#define RUN_WATCH_MS	 2000 /* the judgement of TCP */
#define RUN_SETTLE_MS	 5000 /* until somebody must be the one master, at the end */
#define RUN_STOP_POLL_MS 100
#define RUN_UNSEEN_MS	 300   /* our own questions keep out of the first moments' figures */
#define RUN_COMMIT_MS	 60000 /* of a rival's states into the kernel, at most */
#define RUN_QUIET_MS	 3000  /* nothing more comes */
#define RUN_DROPS_TOLD	 20    /* a few are the beginning's */
#define RUN_PHASE_MS	 200   /* the fault comes up to so much later: by the seed */
#define RUN_SECONDS_MAX	 900   /* of UDP probes */

struct run {
	const struct run_options *options;
	struct room room;
	struct probes probes;
	struct measure measure;
	int64_t started_at;
	double phase_ms;
	json_t *broken; /* reasons, when it was so before the fault; owned */
	char why[ROOM_ERROR_MAX];
};

static void run_progress(const struct run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void run_progress(const struct run *run, const char *format, ...)
{
	va_list args;

	if (run->options->quiet)
		return;
	(void)fprintf(stderr, "[%5.1f s] ", tick_ms(tick_now() - run->started_at) / 1000.0);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
}

static int run_fail(struct run *run, int r, const char *why)
{
	(void)snprintf(run->why, sizeof(run->why), "%s", why);
	return r;
}

static const char *run_node(const struct run *run, int node)
{
	return node >= 0 ? run->room.cfg->nodes[node].name : "nobody";
}

/* What each node's carpd has refused to hear: the usual reason why nodes do not find each other. */
static void run_note_drops(struct run *run, unsigned int node)
{
	json_t *request = json_pack("{s:s}", "op", "metrics");
	json_t *metrics = NULL;
	const char *reason;
	json_t *count;

	(void)cluster_ask(
		&run->room.cluster, node, CLUSTER_DAEMON_CARPD, request, CLUSTER_CALL_MS, &metrics);
	json_decref(request);
	json_object_foreach (
		json_object_get(metrics, "carpool_adverts_dropped_total"), reason, count)
		if (json_integer_value(count) > RUN_DROPS_TOLD)
			(void)json_array_append_new(
				run->broken, json_sprintf("%s dropped %lld adverts: %s",
						     run_node(run, (int)node),
						     (long long)json_integer_value(count), reason));
	json_decref(metrics);
}

/* A cluster that does not come to rest protects nobody: that is a finding, and no accident of the
 * drill. */
static void run_note_broken(struct run *run)
{
	run->broken = json_pack("[o]",
		json_sprintf("this cluster did not come to rest: %s", run->room.cluster.error));
	for (unsigned int n = 0; n < run->room.lab.node_count; n++)
		if (run->room.cluster.pids[n][CLUSTER_DAEMON_CARPD] > 0)
			run_note_drops(run, n);
}

/* The rooms, the daemons, a master and ready standbys. */
static int run_begin(struct run *run)
{
	const struct plan_pair *pair = &run->room.plan.pairs[0];
	int r = room_open(&run->room, &run->options->room);

	if (r < 0)
		return run_fail(run, r, run->room.error);
	run->measure.group = pair->group->name;
	run->room.cluster.rival = run->options->rival;
	run->room.cluster.realtime = thread_realtime_permitted();
	run_progress(run, "lab: %u firewalls, client on %s, server on %s", run->room.lab.node_count,
		run->room.plan.segments[pair->client].name,
		run->room.plan.segments[pair->server].name);
	r = cluster_start_all(&run->room.cluster);
	if (r == 0)
		r = cluster_wait_steady(&run->room.cluster, run->options->steady_ms);
	if (r == -ETIMEDOUT || r == -ECHILD)
		run_note_broken(run);
	if (r < 0)
		return run_fail(run, r, run->room.cluster.error);
	run->measure.old_master =
		cluster_master(&run->room.cluster, pair->group->name, CLUSTER_NOBODY);
	if (run->measure.old_master < 0)
		return run_fail(run, -EAGAIN, "the master is gone again before the drill began");
	run_progress(run, "steady: %s is master", run_node(run, run->measure.old_master));
	return 0;
}

/* The kernel's limit is global: a drill never changes it, and says when it is too low. */
static bool run_flows_fit(struct run *run)
{
	int64_t max = flows_table_max();

	if (max < 0 || (int64_t)run->options->flow_count + RUN_FLOWS_SPARE <= max)
		return true;
	(void)snprintf(run->why, sizeof(run->why),
		"%u flows do not fit: net.netfilter.nf_conntrack_max is %lld here",
		run->options->flow_count, (long long)max);
	return false;
}

/* On a starved machine the cluster may move before the fault: then a machine is drilled that is not
 * the master, or not the one whose table was filled. */
static int run_check_master(struct run *run)
{
	int master = cluster_master(&run->room.cluster, run->measure.group, CLUSTER_NOBODY);

	if (master == run->measure.old_master)
		return 0;
	(void)snprintf(run->why, sizeof(run->why),
		"the master moved from %s to %s by itself before the fault: is this machine "
		"overloaded?",
		run_node(run, run->measure.old_master), run_node(run, master));
	return -EAGAIN;
}

/* A rival's standby holds the flows in its own memory, and says how many. */
static int run_wait_rival(struct run *run, unsigned int node, int timeout_ms)
{
	int64_t deadline = tick_now() + timeout_ms * TICK_NS_PER_MS;

	while (cluster_synced(&run->room.cluster, node) < (long)run->options->flow_count) {
		if (sandbox_stopped())
			return run_fail(run, -EINTR, "stopped");
		if (tick_now() >= deadline)
			return run_fail(run, -ETIMEDOUT, "the flows do not come to conntrackd");
		tick_sleep_until(tick_now() + RUN_STOP_POLL_MS * TICK_NS_PER_MS);
	}
	return 0;
}

static int run_fill(struct run *run)
{
	unsigned int all = (1u << run->room.lab.node_count) - 1;
	unsigned int master = (unsigned int)run->measure.old_master;
	uint32_t count = run->options->flow_count;
	int timeout_ms = RUN_COPY_WAIT_MS + (int)(count / RUN_FLOWS_PER_MS);
	int64_t from;
	int r;

	if (count == 0)
		return 0;
	if (!run_flows_fit(run))
		return -ENOSPC;
	from = tick_now();
	r = probes_fill(&run->probes, master, count);
	if (r < 0)
		return run_fail(run, r, run->probes.why);
	run_progress(run, "%u established flows in the table of %s (%.1f s)", count,
		run_node(run, (int)master), tick_ms(tick_now() - from) / 1000.0);
	r = run->options->rival
		    ? run_wait_rival(run, 1 - master, timeout_ms)
		    : probes_wait_copied(&run->probes, all & ~(1u << master), timeout_ms);
	if (r == -ETIMEDOUT && run_check_master(run) < 0)
		return r;
	if (r < 0)
		return run_fail(run, r, run->probes.why);
	run_progress(run, "and in the standby's (%.1f s)", tick_ms(tick_now() - from) / 1000.0);
	return 0;
}

/* Traffic, and proof that it is good. What is not good before the fault cannot be judged after. */
static int run_traffic(struct run *run, bool realtime)
{
	struct probes_options options = {.rate_hz = run->options->rate_hz,
		.seconds_max = RUN_SECONDS_MAX,
		.realtime = realtime};
	int r = probes_start(&run->probes, &run->room.lab, &run->room.plan.pairs[0], &options);

	if (r == 0)
		r = probes_wait_good(&run->probes, RUN_GOOD_MS / 2, RUN_GOOD_WAIT_MS);
	if (r < 0)
		return run_fail(run, r, run->probes.why);
	probes_wait_others(&run->probes);
	run_progress(run, "UDP probes flow, %u a second", run->options->rate_hz);
	r = run_fill(run);
	if (r < 0)
		return r;
	r = probes_start_tcp(&run->probes);
	if (r < 0)
		return run_fail(run, r, run->probes.why);
	r = probes_start_users(&run->probes);
	if (r < 0)
		return run_fail(run, r, run->probes.why);
	run_progress(
		run, "TCP connections that chatter, idle, download, upload, and new ones; pings");
	/* The lines shall be full, and the idle ones idle, when the fault comes. */
	tick_sleep_until(tick_now() + RUN_GOOD_MS * TICK_NS_PER_MS);
	r = cluster_wait_steady(&run->room.cluster, ROOM_STEADY_MS);
	if (r < 0)
		return run_fail(run, r, run->room.cluster.error);
	r = probes_wait_good(&run->probes, RUN_GOOD_MS, RUN_GOOD_WAIT_MS);
	return r < 0 ? run_fail(run, r, run->probes.why) : run_check_master(run);
}

static int run_resolve_segment(const struct run *run, const struct scenario_step *step)
{
	const struct plan *plan = &run->room.plan;

	switch (step->where) {
	case SCENARIO_WHERE_ALL:
		return LAB_SEGMENT_ALL;
	case SCENARIO_WHERE_CLIENT:
		return plan->pairs[0].client;
	case SCENARIO_WHERE_SERVER:
		return plan->pairs[0].server;
	case SCENARIO_WHERE_SYNC:
		return plan_segment_lookup(plan, "sync0");
	case SCENARIO_WHERE_NAMED:
		return plan_segment_lookup(plan, step->interface_name);
	}
	return LAB_SEGMENT_ALL;
}

static int run_resolve_node(struct run *run, const struct scenario_step *step)
{
	const struct lab_node *node;

	if (step->who == SCENARIO_WHO_MASTER)
		return run->measure.old_master;
	if (step->who == SCENARIO_WHO_STANDBY)
		return run->measure.old_master == 0 ? 1 : 0;
	node = lab_node_lookup(&run->room.lab, step->node_name);
	return node ? (int)(node - run->room.lab.nodes) : -1;
}

/* The steps' names against this config, before anything is built up for them. */
static int run_check_steps(struct run *run)
{
	const struct scenario *scenario = run->options->scenario;

	for (unsigned int i = 0; i < scenario->step_count; i++) {
		const struct scenario_step *step = &scenario->steps[i];
		const char *name = step->who == SCENARIO_WHO_NAMED ? step->node_name : NULL;

		if (name && !lab_node_lookup(&run->room.lab, name)) {
			(void)snprintf(
				run->why, sizeof(run->why), "step %u: no node %s", i + 1, name);
			return -EINVAL;
		}
		if (step->where != SCENARIO_WHERE_ALL && run_resolve_segment(run, step) < 0) {
			(void)snprintf(run->why, sizeof(run->why),
				"step %u: this cluster has no interface %s", i + 1,
				step->where == SCENARIO_WHERE_NAMED ? step->interface_name
								    : "sync0");
			return -EINVAL;
		}
	}
	return 0;
}

/* More flows than there is room for: that they do not all come to the standby is the point. */
static int run_overfill(struct run *run, const struct scenario_step *step, unsigned int node)
{
	int r = probes_fill(&run->probes, node, step->flow_count);

	return r < 0 ? run_fail(run, r, run->probes.why) : 0;
}

static int run_complain(struct run *run, const char *text)
{
	if (!run->measure.complaints)
		run->measure.complaints = json_array();
	return json_array_append_new(run->measure.complaints, json_string(text));
}

/* A reload is allowed to be refused; whether it should have been is for the verdict. */
static int run_step_result(struct run *run, const struct scenario_step *step, int r)
{
	if (step->action == SCENARIO_ACTION_RELOAD && (r == 0 || r == -EREMOTEIO)) {
		if (step->refused && r == 0)
			return run_complain(run, "a reload was accepted that had to be refused");
		if (!step->refused && r < 0)
			return run_complain(run, run->room.cluster.error);
		return 0;
	}
	return r < 0 ? run_fail(run, r, run->room.cluster.error) : 0;
}

static int run_step(struct run *run, const struct scenario_step *step, int64_t *ret_at)
{
	struct fault_order order = {.action = step->action,
		.node = (unsigned int)run_resolve_node(run, step),
		.segment = run_resolve_segment(run, step),
		.daemons = step->daemons,
		.signal_number = step->signal_number,
		.group = run->measure.group};
	const char *interface =
		order.segment == LAB_SEGMENT_ALL ? "" : run->room.plan.segments[order.segment].name;

	run_progress(run, "%s on %s%s%s", scenario_action_name(order.action),
		run_node(run, (int)order.node), interface[0] ? ", " : "", interface);
	if (step->action == SCENARIO_ACTION_FILL) {
		*ret_at = tick_now();
		return run_overfill(run, step, order.node);
	}
	return run_step_result(run, step, fault_apply(&run->room.cluster, &order, ret_at));
}

static int run_wait_step(struct run *run, const struct scenario_step *step)
{
	int64_t at = run->measure.fault_at + step->at_ms * TICK_NS_PER_MS;

	while (tick_now() < at) {
		int64_t next = tick_now() + RUN_STOP_POLL_MS * TICK_NS_PER_MS;

		if (sandbox_stopped())
			return run_fail(run, -EINTR, "stopped");
		tick_sleep_until(next < at ? next : at);
	}
	return 0;
}

/* Adverts and probes come at even intervals. A fault that always met them at the same phase would
 * make a distribution of --repeat that is none. */
static void run_wait_phase(struct run *run)
{
	unsigned short state[3] = {(unsigned short)run->options->seed,
		(unsigned short)(run->options->seed >> 16),
		(unsigned short)(run->options->seed >> 32)};

	run->phase_ms = erand48(state) * RUN_PHASE_MS;
	tick_sleep_until(tick_now() + (int64_t)(run->phase_ms * (double)TICK_NS_PER_MS));
}

/* What the standbys say that they hold, before anything happens. */
static void run_note_synced(struct run *run)
{
	run->measure.flows_synced = -1;
	for (unsigned int n = 0; n < run->room.lab.node_count; n++) {
		json_t *status, *flows;
		int64_t count;

		if ((int)n == run->measure.old_master || run->options->rival)
			continue;
		status = cluster_status(&run->room.cluster, n, CLUSTER_DAEMON_SYNCD);
		flows = json_object_get(status, "flows");
		count = json_integer_value(flows);
		if (json_is_integer(flows) &&
			(run->measure.flows_synced < 0 || count < run->measure.flows_synced))
			run->measure.flows_synced = count;
		json_decref(status);
	}
}

static int run_steps(struct run *run)
{
	const struct scenario *scenario = run->options->scenario;
	struct measure *measure = &run->measure;

	run_note_synced(run);
	run_wait_phase(run);
	for (unsigned int i = 0; i < scenario->step_count; i++) {
		const struct scenario_step *step = &scenario->steps[i];
		int64_t at;
		int r = measure->fault_at != 0 ? run_wait_step(run, step) : 0;

		if (r == 0)
			r = run_step(run, step, &at);
		if (r < 0)
			return r;
		if (measure->fault_at == 0) {
			measure->fault_at = at;
			measure->probes_from_at = at - RUN_BEFORE_MS * TICK_NS_PER_MS;
		}
		if (i > 0 && i == scenario->dual_from_step)
			measure->dual_from_at = at;
		timeline_add(measure, at, run_node(run, run_resolve_node(run, step)), "%s",
			scenario_action_name(step->action));
	}
	measure->fault_done_at = tick_now();
	return 0;
}

static int run_observe_ms(const struct run *run)
{
	if (run->options->observe_ms > 0)
		return run->options->observe_ms;
	return run->options->scenario->observe_ms;
}

/* Waits until the observation ends; a stop in between is the end of the run. Where the cluster has
 * to come back to a state, or an alarm has to come, the wait is as long as that takes. */
static int run_observe(struct run *run)
{
	const struct scenario *scenario = run->options->scenario;
	int64_t until = run->measure.fault_done_at + run_observe_ms(run) * TICK_NS_PER_MS;
	int64_t ready_until = run->measure.fault_done_at + scenario->ready_ms * TICK_NS_PER_MS;

	while (tick_now() < until || (scenario->ready_ms > 0 && run->measure.ready_again_at == 0 &&
					     tick_now() < ready_until)) {
		if (sandbox_stopped())
			return run_fail(run, -EINTR, "stopped");
		tick_sleep_until(tick_now() + RUN_STOP_POLL_MS * TICK_NS_PER_MS);
		if (tick_now() >= run->measure.fault_done_at + RUN_UNSEEN_MS * TICK_NS_PER_MS)
			watch_look(&run->room.cluster, &run->measure);
	}
	return 0;
}

static void run_find_new_master(struct run *run)
{
	int64_t deadline = tick_now() + RUN_SETTLE_MS * TICK_NS_PER_MS;
	int away = CLUSTER_NOBODY;

	if (run->options->scenario->standby_away)
		away = run->measure.old_master == 0 ? 1 : 0;
	do {
		run->measure.new_master =
			cluster_master(&run->room.cluster, run->measure.group, away);
		if (run->measure.new_master >= 0)
			return;
		tick_sleep_until(tick_now() + CLUSTER_POLL_MS * TICK_NS_PER_MS);
	} while (tick_now() < deadline);
}

/* A rival commits its states to the kernel after its promotion: the judgement waits until that is
 * over. */
static void run_wait_commit(struct run *run)
{
	int64_t deadline = tick_now() + RUN_COMMIT_MS * TICK_NS_PER_MS;
	int64_t quiet_since = tick_now();
	int64_t last = -1;

	run_find_new_master(run);
	while (run->measure.new_master >= 0 && tick_now() < deadline && !sandbox_stopped() &&
		tick_now() - quiet_since < RUN_QUIET_MS * TICK_NS_PER_MS) {
		int64_t count =
			flows_table_count(run->room.lab.nodes[run->measure.new_master].netns_fd);

		if (count >= (int64_t)run->probes.flows.count)
			return;
		if (count > last)
			quiet_since = tick_now();
		last = count;
		tick_sleep_until(tick_now() + RUN_STOP_POLL_MS * TICK_NS_PER_MS);
	}
}

static void run_count_flows(struct run *run)
{
	const struct flows_set *set = &run->probes.flows;
	struct measure *measure = &run->measure;
	int64_t survived = 0;

	if (set->count > 0 && measure->new_master >= 0)
		survived = flows_count(run->room.lab.nodes[measure->new_master].netns_fd, set);
	measure->flows_before = set->count + run->probes.tcp_count;
	measure->flows_survived = survived > 0 ? (uint32_t)survived : 0;
	for (unsigned int i = 0; i < run->probes.tcp_count; i++)
		measure->flows_survived += run->probes.tcp_results[i].survived;
}

static void run_save_json(const struct run *run, const char *node, const char *what, json_t *value)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s%s%s.json", run->options->room.report_dir, node,
		node[0] ? "." : "", what);
	if (value)
		(void)json_dump_file(value, path, JSON_INDENT(1));
}

/* Which rules a node had, and what it refused to hear: {GROUP: fingerprint}, {REASON: count}. */
static void run_note_evidence(struct run *run, unsigned int node, const json_t *status)
{
	json_t *request = json_pack("{s:s}", "op", "metrics");
	json_t *metrics = NULL, *rules = json_object(), *entry;
	size_t i;

	json_array_foreach (json_object_get(status, "rules"), i, entry) {
		const char *group = json_string_value(json_object_get(entry, "group"));

		if (group)
			(void)json_object_set(rules, group, json_object_get(entry, "fingerprint"));
	}
	(void)json_object_set_new(run->measure.rules, run_node(run, (int)node), rules);
	(void)cluster_ask(
		&run->room.cluster, node, CLUSTER_DAEMON_CARPD, request, CLUSTER_CALL_MS, &metrics);
	if (json_object_get(metrics, "carpool_adverts_dropped_total"))
		(void)json_object_set(run->measure.adverts_dropped, run_node(run, (int)node),
			json_object_get(metrics, "carpool_adverts_dropped_total"));
	json_decref(metrics);
	json_decref(request);
}

/* The daemons' own view, kept beside their logs. */
static void run_collect(struct run *run)
{
	json_t *request = json_pack("{s:s}", "op", "status");

	run->measure.rules = json_object();
	run->measure.adverts_dropped = json_object();
	for (unsigned int n = 0; n < run->room.lab.node_count; n++) {
		json_t *history;

		if (run->room.cluster.pids[n][CLUSTER_DAEMON_CARPD] <= 0)
			continue;
		history = cluster_history(&run->room.cluster, n);
		run_save_json(run, run_node(run, (int)n), "history", history);
		timeline_history(
			&run->measure, history, run_node(run, (int)n), run->probes.wall_offset);
		if ((int)n == run->measure.new_master && history)
			measure_history(&run->measure, history, run->probes.wall_offset);
		json_decref(history);
		for (unsigned int d = 0; d < CLUSTER_DAEMON_COUNT; d++) {
			json_t *status = NULL;
			char what[32];

			(void)snprintf(what, sizeof(what), "%s-status",
				cluster_daemon_name((enum cluster_daemon)d));
			if (cluster_ask(&run->room.cluster, n, (enum cluster_daemon)d, request,
				    CLUSTER_CALL_MS, &status) == 0)
				run_save_json(run, run_node(run, (int)n), what, status);
			if (d == CLUSTER_DAEMON_CARPD)
				run_note_evidence(run, n, status);
			json_decref(status);
		}
	}
	json_decref(request);
}

/* A run that was told to end in the midst of it has no verdict: what stopped was the lab. */
static int run_judge_tcp(struct run *run)
{
	if (run->options->rival)
		run_wait_commit(run);
	run_progress(run, "judging the TCP connections");
	probes_judge_tcp(&run->probes, RUN_WATCH_MS);
	return sandbox_stopped() ? run_fail(run, -EINTR, "stopped") : 0;
}

/* From the fault to the document. */
static json_t *run_judge(struct run *run, bool realtime)
{
	run_find_new_master(run);
	probes_end(&run->probes);
	measure_udp(&run->measure, &run->probes);
	measure_taps(&run->measure, &run->probes);
	run_count_flows(run);
	run_collect(run);
	timeline_finish(&run->measure, run->room.cfg);
	return verdict_judge(&run->measure, &run->probes, run->room.cfg,
		realtime ? 0 : RUN_WIDEN_MS, run->options->room.report_dir);
}

/* --keep: everything stands as the fault has left it, until somebody has seen enough. */
static void run_keep(const struct run *run)
{
	(void)fprintf(stderr,
		"\nkept; look around with\n"
		"  nsenter -a -t %d ip netns exec %s bash\n"
		"Ctrl-C ends it.\n",
		(int)sandbox_outside_pid(), run_node(run, run->measure.old_master));
	while (!sandbox_stopped())
		tick_sleep_until(tick_now() + 100 * TICK_NS_PER_MS);
}

/* A step that failed while the probes ran: how late our own sender was tells whether the whole
 * machine had stood still, which is tried again and not believed. */
static json_t *run_error(struct run *run, int error, bool probing)
{
	const char *name = run->options->scenario->name;
	const char *report = run->options->room.report_dir;
	json_t *document;

	if (run->broken)
		return verdict_broken(name, json_incref(run->broken), report);
	document = verdict_error(name, run->why[0] ? run->why : strerror(-error), report);
	if (!probing)
		return document;
	probes_end(&run->probes);
	measure_udp(&run->measure, &run->probes);
	(void)json_object_set_new(document, "probes",
		json_pack("{s:f,s:f}", "worst_late_ms", tick_ms(run->measure.udp.worst_late_ns),
			"pause_ms", tick_ms(run->measure.udp.pause_ns)));
	return document;
}

int run_inside(void *context)
{
	struct run run = {.options = context, .started_at = tick_now()};
	bool realtime = thread_realtime_permitted();
	json_t *document = NULL;
	bool probing = false;
	int r;

	run.measure.scenario = run.options->scenario;
	run.measure.objectives = run.options->objectives;
	run.measure.old_master = CLUSTER_NOBODY;
	run.measure.new_master = CLUSTER_NOBODY;
	r = run_begin(&run);
	if (r == 0)
		r = run_check_steps(&run);
	if (r == 0)
		r = run_traffic(&run, realtime);
	probing = r == 0;
	if (r == 0)
		r = run_steps(&run);
	if (r == 0)
		r = run_observe(&run);
	if (r == 0)
		r = run_judge_tcp(&run);
	if (r == 0) {
		document = run_judge(&run, realtime);
	} else {
		document = run_error(&run, r, probing);
		run_collect(&run); /* what the daemons know may tell why */
	}
	(void)json_object_set_new(document, "seed", json_integer((json_int_t)run.options->seed));
	(void)json_object_set_new(document, "phase_ms", json_real(run.phase_ms));
	run_save_json(&run, "", "result", document);
	if (run.options->keep)
		run_keep(&run);
	probes_free(&run.probes);
	measure_fini(&run.measure);
	room_close(&run.room);
	json_decref(run.broken);
	json_decref(document);
	return 0;
}
