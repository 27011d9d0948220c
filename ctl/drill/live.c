#include "ctl/drill/live.h"

#include "ctl/drill/flows.h"
#include "ctl/drill/live_ask.h"
#include "ctl/drill/live_check.h"
#include "ctl/drill/live_probe.h"
#include "ctl/drill/measure.h"
#include "ctl/drill/peerhost.h"
#include "ctl/drill/tick.h"
#include "ctl/drill/timeline.h"
#include "ctl/drill/verdict.h"

#include "ctl/field.h"

#include "common/io/clock.h"
#include "common/limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LIVE_TURN_MS	   20
#define LIVE_LOOK_MS	   500
#define LIVE_GOOD_MS	   1000 /* so long must the probes be answered before anything is done */
#define LIVE_GOOD_WAIT_MS  10000
#define LIVE_HEALTHY_MS	   30000 /* until everything is as before, after each hand-over */
#define LIVE_PROBE_DEAF_MS 2000	 /* on top of the limit: the prober itself says nothing */
#define LIVE_LOCK_SPARE_MS 120000
#define LIVE_PAUSE_MS	   10 /* the prober's own sender late by more: said */

struct live_leg {
	const char *name, *description;
	int64_t started_at;
	double handover_ms; /* of all groups together; below 0: failed */
	json_t *reasons;
	json_t *notes;
	struct measure measure;		       /* for its timeline */
	json_t *probes;			       /* the prober's result, or NULL */
	char from[LIMIT_NAME], to[LIMIT_NAME]; /* of the first group */
};

struct live {
	const struct live_options *options;
	struct control_client lock;
	struct live_probe probe;
	struct live_leg *leg; /* the one that is under way */
	int64_t started_at;
	int64_t wall_offset;
	int64_t looked_at;
	unsigned int group_count;
	char groups[LIMIT_GROUPS][LIMIT_NAME];
	char masters[LIMIT_GROUPS][LIMIT_NAME]; /* before the drill */
	char abort[LIVE_ASK_TEXT_MAX];		/* "": go on */
	bool reverting;
};

static void live_say(const struct live *live, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void live_add(json_t *list, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void live_say(const struct live *live, const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr, "[%5.1f s] ", tick_ms(tick_now() - live->started_at) / 1000.0);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
}

static void live_add(json_t *list, const char *format, ...)
{
	char text[LIVE_ASK_TEXT_MAX + 100];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)json_array_append_new(list, json_string(text));
}

static json_t *live_checks(const struct live *live, const json_t *status, bool own_lock)
{
	const struct live_options *options = live->options;
	const struct live_check_options check = {.cluster = options->cfg->cluster,
		.group = options->group,
		.to = options->to,
		.quiet_us = options->quiet_ms * 1000,
		.now_wall_us = clock_wall_us(),
		.table_max = flows_table_max(),
		.own_lock = own_lock};

	return live_check(status, &check);
}

/* --- the abort rule ----------------------------------------------------------------------------
 */

static void live_abort(struct live *live, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void live_abort(struct live *live, const char *format, ...)
{
	va_list args;

	if (live->abort[0] != '\0' || live->reverting)
		return;
	va_start(args, format);
	(void)vsnprintf(live->abort, sizeof(live->abort), format, args);
	va_end(args);
	live_say(live, "abort: %s", live->abort);
	if (live->leg)
		timeline_add(&live->leg->measure, tick_now(), "", "abort: %.150s", live->abort);
}

/* Alarms that are never part of a planned hand-over. */
static bool live_is_grave(const char *code)
{
	static const char *const codes[] = {
		"DUAL_MASTER", "NO_MASTER", "PROMOTION_FAILED", "HANDOVER_FAILED", "FAULT"};

	for (unsigned int i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(code, codes[i]) == 0)
			return true;
	return false;
}

static void live_look(struct live *live)
{
	char why[LIVE_ASK_TEXT_MAX];
	json_t *status = live_ask_status(live->options->args, why);
	const json_t *alarm;
	size_t i;

	if (!status)
		live_abort(live, "carpd does not answer: %s", why);
	json_array_foreach (field_list(status, "alarms"), i, alarm)
		if (live_is_grave(field_text(alarm, "code")))
			live_abort(live, "alarm %s: %.300s", field_text(alarm, "code"),
				field_text(alarm, "text"));
	json_decref(status);
	live->looked_at = tick_now();
}

/* One turn of whatever wait there is: probes are read, and what would end the drill is looked for.
 */
static void live_turn(void *context)
{
	struct live *live = context;
	double limit_ms = (double)live->options->limit_ms;
	double unheard_ms;

	live_probe_read(&live->probe, LIVE_TURN_MS);
	if (peerhost_stopped())
		live_abort(live, "stopped by the operator");
	if (live->probe.pid == 0)
		return;
	unheard_ms = tick_ms(tick_now() - live->probe.heard_at);
	if (live->probe.ended)
		live_abort(live, "the prober has ended: %.200s", live->probe.said);
	else if (live->probe.silent_ms > limit_ms)
		live_abort(live, "no probe was answered for %.0f ms, the limit is %.0f",
			live->probe.silent_ms, limit_ms);
	else if (unheard_ms > limit_ms + LIVE_PROBE_DEAF_MS)
		live_abort(live, "the prober has not said anything for %.0f ms", unheard_ms);
}

static void live_wait(struct live *live, int64_t ms)
{
	int64_t until = tick_now() + ms * TICK_NS_PER_MS;

	while (tick_now() < until && live->abort[0] == '\0') {
		live_turn(live);
		if (tick_now() - live->looked_at > LIVE_LOOK_MS * TICK_NS_PER_MS)
			live_look(live);
	}
}

/* Until all is well again, but that another drill was lately: this one. The first thing that is not
 * goes to `why` when the time is over. */
static bool live_wait_healthy(struct live *live, char why[static LIVE_ASK_TEXT_MAX])
{
	int64_t until = tick_now() + LIVE_HEALTHY_MS * TICK_NS_PER_MS;

	why[0] = '\0';
	while (live->abort[0] == '\0') {
		char silent[LIVE_ASK_TEXT_MAX];
		json_t *status = live_ask_status(live->options->args, silent);
		const struct live_check_options options = {.cluster = live->options->cfg->cluster,
			.group = live->options->group,
			.now_wall_us = clock_wall_us(),
			.own_lock = true};
		json_t *checks = status ? live_check(status, &options) : NULL;
		bool good = checks && live_check_passed(checks);
		const json_t *check;
		size_t i;

		if (!checks)
			(void)snprintf(why, LIVE_ASK_TEXT_MAX, "%s", silent);
		json_array_foreach (checks, i, check)
			if (!field_bool(check, "ok", false))
				(void)snprintf(why, LIVE_ASK_TEXT_MAX, "%.400s",
					field_text(check, "text"));
		json_decref(checks);
		json_decref(status);
		if (good || tick_now() >= until)
			return good;
		live_wait(live, LIVE_LOOK_MS / 2);
	}
	return false;
}

/* --- hand-overs --------------------------------------------------------------------------------
 */

static void live_masters(struct live *live, const json_t *status)
{
	const json_t *group;
	size_t i;

	live->group_count = 0;
	json_array_foreach (field_list(status, "groups"), i, group) {
		const char *name = field_text(group, "name");

		if ((live->options->group && strcmp(live->options->group, name) != 0) ||
			live->group_count == LIMIT_GROUPS)
			continue;
		(void)snprintf(live->groups[live->group_count], LIMIT_NAME, "%s", name);
		(void)snprintf(live->masters[live->group_count], LIMIT_NAME, "%s",
			field_text(group, "master"));
		live->group_count++;
	}
}

static void live_master_of(const struct live *live, const char *name, char master[LIMIT_NAME])
{
	char why[LIVE_ASK_TEXT_MAX];
	json_t *status = live_ask_status(live->options->args, why);

	(void)snprintf(
		master, LIMIT_NAME, "%s", field_text(live_check_group(status, name), "master"));
	json_decref(status);
}

/* Every group there, or back. */
static void live_move(struct live *live, struct live_leg *leg, bool back)
{
	for (unsigned int g = 0; g < live->group_count && live->abort[0] == '\0'; g++) {
		const char *to = back ? live->masters[g] : live->options->to;
		char why[LIVE_ASK_TEXT_MAX];
		double ms;

		live_say(live, "hand-over of %s to %s", live->groups[g],
			to ? to : "the best ready peer");
		timeline_add(&leg->measure, tick_now(), "", "hand-over of %s asked for",
			live->groups[g]);
		ms = live_ask_handover(
			live->options->args, live->groups[g], to, false, live_turn, live, why);
		if (ms < 0) {
			live_add(leg->reasons, "the hand-over of %s failed: %s", live->groups[g],
				why);
			live_abort(live, "the hand-over of %s failed: %s", live->groups[g], why);
			return;
		}
		leg->handover_ms += ms;
		timeline_add(&leg->measure, tick_now(), "", "hand-over of %s complete (%.1f ms)",
			live->groups[g], ms);
		live_say(live, "complete after %.1f ms", ms);
	}
}

/* After an abort: everything to where it was, with force where it must be. */
static void live_revert(struct live *live, struct live_leg *leg)
{
	live->reverting = true;
	for (unsigned int g = 0; g < live->group_count; g++) {
		char why[LIVE_ASK_TEXT_MAX], master[LIMIT_NAME];
		double ms;

		live_master_of(live, live->groups[g], master);
		if (strcmp(master, live->masters[g]) == 0)
			continue;
		live_say(live, "revert: %s back to %s", live->groups[g], live->masters[g]);
		ms = live_ask_handover(live->options->args, live->groups[g], live->masters[g],
			false, live_turn, live, why);
		if (ms < 0 && strncmp(why, "NOT_READY", 9) == 0)
			ms = live_ask_handover(live->options->args, live->groups[g],
				live->masters[g], true, live_turn, live, why);
		if (ms < 0)
			live_add(leg->reasons, "%s could not be given back to %s: %s",
				live->groups[g], live->masters[g], why);
		else
			live_add(leg->notes, "reverted: %s is %s's again (%.1f ms)",
				live->groups[g], live->masters[g], ms);
	}
}

/* --- a leg -------------------------------------------------------------------------------------
 */

static void live_judge_probes(const struct live *live, struct live_leg *leg)
{
	const struct scenario_objectives *objectives = live->options->objectives;
	const json_t *probes = json_object_get(leg->probes, "probes");
	const json_t *tcp = json_object_get(leg->probes, "tcp");
	const json_t *connects = json_object_get(leg->probes, "connects");
	int64_t lost = (int64_t)field_number(probes, "lost", 0);
	int64_t loss_max =
		objectives && objectives->handover_loss > 0 ? objectives->handover_loss : 0;
	double late_ms = field_number(probes, "worst_late_ms", 0);
	int percent = objectives && objectives->survival_percent >= 0 ? objectives->survival_percent
								      : 100;

	if (!leg->probes) {
		if (live->options->probe)
			live_add(leg->reasons, "the prober gave no result");
		return;
	}
	if (lost > loss_max)
		live_add(leg->reasons, "%lld probes lost, objective %lld", (long long)lost,
			(long long)loss_max);
	if (!field_bool(leg->probes, "recovered", true))
		live_add(leg->reasons, "traffic did not come back");
	if (field_number(tcp, "survived", 0) * 100 < field_number(tcp, "total", 0) * percent)
		live_add(leg->reasons, "%.0f of %.0f TCP connections survived",
			field_number(tcp, "survived", 0), field_number(tcp, "total", 0));
	if (field_number(connects, "lost", 0) > 0)
		live_add(leg->reasons, "%.0f of %.0f new connections failed",
			field_number(connects, "lost", 0), field_number(connects, "sent", 0));
	if (late_ms > LIVE_PAUSE_MS)
		live_add(leg->notes, "the client host paused for %.1f ms (its own sender was late)",
			late_ms);
}

static json_t *live_stages(struct live_leg *leg)
{
	json_t *stages = json_object_get(leg->measure.transition, "stages");

	return stages ? json_incref(stages) : json_null();
}

static json_t *live_leg_document(const struct live *live, struct live_leg *leg)
{
	static const char *const copied[] = {
		"outage_ms", "resolution_ms", "methods", "probes", "tcp", "connects"};
	char fingerprint[2 * CRYPTO_HASH_BYTES + 1];
	json_t *tcp = json_object_get(leg->probes, "tcp");
	json_t *run;

	for (unsigned int i = 0; i < CRYPTO_HASH_BYTES; i++)
		(void)snprintf(
			fingerprint + 2 * (size_t)i, 3, "%02x", live->options->cfg->fingerprint[i]);
	run = json_pack(
		"{s:s, s:s, s:s, s:O, s:O, s:b, s:s, s:s, s:n, s:f, s:f, s:{s:s, s:s}, s:s, "
		"s:o, s:O?, s:o, s:s, s:s, s:s, s:{s:I, s:I}}",
		"scenario", leg->name, "description", leg->description, "verdict",
		json_array_size(leg->reasons) > 0 ? "fail" : "pass", "reasons", leg->reasons,
		"notes", leg->notes, "live", 1, "by", live->options->by, "why",
		live->options->reason, "dual_master_ms", "objective_ms", 0.0, "handover_ms",
		leg->handover_ms, "master", "before", leg->from, "after", leg->to, "reason",
		"HANDOVER", "stages", live_stages(leg), "timeline", leg->measure.timeline, "alarms",
		json_array(), "cluster", live->options->cfg->cluster, "config_fingerprint",
		fingerprint, "report", live->options->report_dir, "flows", "before",
		(json_int_t)field_number(tcp, "total", 0), "survived",
		(json_int_t)field_number(tcp, "survived", 0));
	for (unsigned int i = 0; i < sizeof(copied) / sizeof(copied[0]); i++)
		if (json_object_get(leg->probes, copied[i]))
			(void)json_object_set(
				run, copied[i], json_object_get(leg->probes, copied[i]));
	(void)json_object_set_new(
		run, "duration_s", json_real(tick_ms(tick_now() - leg->started_at) / 1000.0));
	(void)json_object_set_new(run, "ready_again_ms",
		leg->measure.ready_again_at
			? json_real(tick_ms(leg->measure.ready_again_at - leg->started_at))
			: json_null());
	return run;
}

/* What this node's own history has of it; the other node's is asked for there. */
static void live_leg_history(struct live *live, struct live_leg *leg)
{
	char why[LIVE_ASK_TEXT_MAX];
	json_t *status = live_ask_status(live->options->args, why);
	json_t *history = live_ask_history(live->options->args);

	timeline_history(&leg->measure, history, field_text(status, "node"), live->wall_offset);
	measure_history(&leg->measure, history, live->wall_offset);
	timeline_finish(&leg->measure, live->options->cfg);
	json_decref(history);
	json_decref(status);
}

static json_t *live_leg(struct live *live, struct live_leg *leg, bool back)
{
	char why[LIVE_ASK_TEXT_MAX];
	json_t *run;

	live->leg = leg;
	leg->started_at = tick_now();
	leg->reasons = json_array();
	leg->notes = json_array();
	leg->measure.group = live->groups[0];
	leg->measure.fault_at = leg->started_at;
	leg->measure.old_master = CLUSTER_NOBODY;
	leg->measure.new_master = CLUSTER_NOBODY;
	live_master_of(live, live->groups[0], leg->from);
	live_move(live, leg, back);
	live_wait(live, live->options->observe_ms);
	if (live_wait_healthy(live, why))
		leg->measure.ready_again_at = tick_now();
	else if (live->abort[0] == '\0')
		live_add(leg->reasons, "not as before %d s after the hand-over: %s",
			LIVE_HEALTHY_MS / 1000, why);
	live_master_of(live, live->groups[0], leg->to);
	if (live->abort[0] != '\0') {
		live_add(leg->reasons, "aborted: %s", live->abort);
		live_revert(live, leg);
	} else if (strcmp(leg->to, leg->from) == 0) {
		live_add(leg->reasons, "%s is still master", leg->from);
	}
	if (live->probe.pid != 0)
		leg->probes = live_probe_part(&live->probe);
	live_judge_probes(live, leg);
	live_leg_history(live, leg);
	run = live_leg_document(live, leg);
	live->leg = NULL;
	json_decref(leg->reasons);
	json_decref(leg->notes);
	json_decref(leg->probes);
	measure_fini(&leg->measure);
	return run;
}

/* --- the whole ---------------------------------------------------------------------------------
 */

/* Traffic before anything is touched: what is not answered now cannot be judged later. */
static bool live_begin_probes(struct live *live, char why[static LIVE_ASK_TEXT_MAX])
{
	int64_t until = tick_now() + LIVE_GOOD_WAIT_MS * TICK_NS_PER_MS;
	int64_t good_since = 0;
	int64_t answered = 0;
	int r;

	if (!live->options->probe)
		return true;
	r = live_probe_start(&live->probe, live->options->probe);
	if (r < 0) {
		(void)snprintf(
			why, LIVE_ASK_TEXT_MAX, "the prober cannot be run: %s", strerror(-r));
		return false;
	}
	while (tick_now() < until && !live->probe.ended && !peerhost_stopped()) {
		live_probe_read(&live->probe, LIVE_TURN_MS);
		if (live->probe.answered == answered)
			continue;
		answered = live->probe.answered;
		if (good_since == 0)
			good_since = tick_now();
		if (tick_now() - good_since >= LIVE_GOOD_MS * TICK_NS_PER_MS) {
			json_decref(live_probe_part(&live->probe)); /* its beginning */
			live_say(live, "probes are answered");
			return true;
		}
	}
	(void)snprintf(why, LIVE_ASK_TEXT_MAX, "no probe is answered: %s",
		live->probe.said[0] ? live->probe.said : "does 'carpool drill reflect' run there?");
	return false;
}

static bool live_check_all(struct live *live, bool own_lock, char why[static LIVE_ASK_TEXT_MAX])
{
	json_t *status = live_ask_status(live->options->args, why);
	json_t *checks;
	bool passed;

	if (!status)
		return false;
	checks = live_checks(live, status, own_lock);
	passed = live_check_passed(checks);
	live_masters(live, status);
	if (!passed || !own_lock)
		live_check_print(stderr, checks);
	if (!passed)
		(void)snprintf(why, LIVE_ASK_TEXT_MAX, "not now: a check failed");
	json_decref(checks);
	json_decref(status);
	return passed;
}

static void live_open(struct live *live, const struct live_options *options)
{
	*live = (struct live){.options = options,
		.started_at = tick_now(),
		.wall_offset = tick_wall_offset(),
		.lock = {.fd = -1}};
}

int live_plan(const struct live_options *options)
{
	char why[LIVE_ASK_TEXT_MAX];
	struct live live;
	bool good;

	live_open(&live, options);
	good = live_check_all(&live, false, why);
	if (live.group_count == 0) {
		(void)fprintf(stderr, "carpool: %s\n", why);
		return 2;
	}
	printf("plan, which --dry-run leaves undone:\n");
	printf("  1. every node is told that a drill is under way\n");
	if (options->probe)
		printf("  2. probes: %s --orders --json\n", options->probe);
	else
		printf("  2. no probes: what it costs is not measured\n");
	for (unsigned int g = 0; g < live.group_count; g++)
		printf("  3. group %s: %s -> %s, watched for %.1f s\n", live.groups[g],
			live.masters[g], options->to ? options->to : "the best ready peer",
			(double)options->observe_ms / 1000);
	for (unsigned int g = 0; g < live.group_count; g++)
		printf("  4. group %s: back to %s, watched for %.1f s\n", live.groups[g],
			live.masters[g], (double)options->observe_ms / 1000);
	printf("abort, and back at once: no probe answered for %lld ms, a hand-over that fails, "
	       "an\n"
	       "alarm of two masters or none, Ctrl-C\n",
		(long long)options->limit_ms);
	return good ? 0 : 1;
}

static bool live_begin(struct live *live, char why[static LIVE_ASK_TEXT_MAX])
{
	const struct live_options *options = live->options;
	int64_t for_ms = 2 * (options->observe_ms + LIVE_HEALTHY_MS) + LIVE_LOCK_SPARE_MS;

	if (!live_check_all(live, false, why))
		return false;
	if (!live_ask_lock(options->args, &live->lock, options->by, options->reason, for_ms, why)) {
		live->lock.fd = -1;
		return false;
	}
	live_say(live, "every node knows of the drill");
	return live_begin_probes(live, why) && live_check_all(live, true, why);
}

json_t *live_run(const struct live_options *options)
{
	struct live_leg there = {.name = "live-handover",
		.description = "Every group of the running cluster is handed over to another "
			       "node, by plan. Nothing may be lost."};
	struct live_leg back = {.name = "live-return",
		.description = "Every group goes back to the node that had it before. Nothing may "
			       "be lost."};
	char why[LIVE_ASK_TEXT_MAX] = "";
	json_t *runs = json_array();
	struct live live;

	peerhost_catch_signals();
	live_open(&live, options);
	if (live_begin(&live, why)) {
		(void)json_array_append_new(runs, live_leg(&live, &there, false));
		if (live.abort[0] == '\0')
			(void)json_array_append_new(runs, live_leg(&live, &back, true));
	} else {
		(void)json_array_append_new(
			runs, verdict_error(LIVE_WHAT, why, options->report_dir));
	}
	live_probe_stop(&live.probe);
	if (live.lock.fd >= 0)
		control_client_close(&live.lock);
	return runs;
}
