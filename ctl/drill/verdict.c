#include "ctl/drill/verdict.h"

#include "ctl/drill/streams.h"
#include "ctl/drill/tick.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define VERDICT_REASON_MAX 256
#define VERDICT_PAUSE_NS   (10 * TICK_NS_PER_MS) /* our own sender late by more: said */

static void verdict_add(json_t *array, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void verdict_add(json_t *array, const char *format, ...)
{
	char text[VERDICT_REASON_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)json_array_append_new(array, json_string(text));
}

/* Three decimals are more than the probes can resolve; more digits only look exact. */
static json_t *verdict_ms(int64_t ns)
{
	return json_real((double)((ns + (ns < 0 ? -500 : 500)) / 1000) / 1000.0);
}

static json_t *verdict_since(const struct measure *measure, int64_t at)
{
	return at == 0 ? json_null() : verdict_ms(at - measure->fault_at);
}

static const char *verdict_node(const struct config *cfg, int node)
{
	return node >= 0 ? cfg->nodes[node].name : "nobody";
}

static bool verdict_demanded(int64_t objective)
{
	return objective >= 0;
}

/* That of the node which took over. */
static int64_t verdict_master_down(const struct measure *measure, const struct config *cfg)
{
	const struct config_group *group = config_group_lookup(cfg, measure->group);
	int node = measure->new_master >= 0 ? measure->new_master : 0;

	return group ? config_master_down(cfg, group, &cfg->nodes[node]).us * TICK_NS_PER_US : 0;
}

static int64_t verdict_outage_bound(
	const struct measure *measure, const struct config *cfg, int widen_ms)
{
	const struct scenario *scenario = measure->scenario;
	int64_t bound = (scenario->outage_ms + widen_ms) * TICK_NS_PER_MS;

	if (scenario->bound == SCENARIO_BOUND_NONE)
		return 0;
	if (verdict_demanded(measure->objectives ? measure->objectives->outage_us : -1))
		return measure->objectives->outage_us * TICK_NS_PER_US + widen_ms * TICK_NS_PER_MS;
	if (scenario->bound == SCENARIO_BOUND_MASTER_DOWN)
		bound += verdict_master_down(measure, cfg);
	return bound;
}

static void verdict_judge_outage(
	const struct measure *measure, const struct config *cfg, int widen_ms, json_t *reasons)
{
	int64_t bound = verdict_outage_bound(measure, cfg, widen_ms);
	int64_t loss_max = measure->objectives && measure->objectives->handover_loss > 0
				   ? measure->objectives->handover_loss
				   : 0;

	if (!measure->udp.recovered)
		verdict_add(reasons, "traffic did not come back");
	else if (measure->scenario->bound == SCENARIO_BOUND_NONE &&
		 (int64_t)measure->udp.lost_count > loss_max)
		verdict_add(reasons, "%zu probes lost, objective %lld", measure->udp.lost_count,
			(long long)loss_max);
	else if (measure->scenario->bound != SCENARIO_BOUND_NONE && measure->udp.stamp_ns > bound)
		verdict_add(reasons, "outage of %.1f ms, objective %.1f ms",
			tick_ms(measure->udp.stamp_ns), tick_ms(bound));
}

static int64_t verdict_dual_bound(
	const struct measure *measure, const struct config *cfg, int widen_ms)
{
	const struct scenario *scenario = measure->scenario;
	int64_t bound = (scenario->dual_ms + (scenario->dual_ms ? widen_ms : 0)) * TICK_NS_PER_MS;

	if (scenario->dual_master_down)
		return bound + verdict_master_down(measure, cfg);
	if (!scenario->dual_own &&
		verdict_demanded(measure->objectives ? measure->objectives->dual_us : -1))
		return measure->objectives->dual_us * TICK_NS_PER_US;
	return bound;
}

static void verdict_judge_master(
	const struct measure *measure, const struct config *cfg, int widen_ms, json_t *reasons)
{
	const struct scenario *scenario = measure->scenario;
	int64_t dual_bound = verdict_dual_bound(measure, cfg, widen_ms);
	int64_t settled_at = measure->old_silent_at > measure->new_answers_at
				     ? measure->old_silent_at
				     : measure->new_answers_at;

	if (measure->new_master < 0)
		verdict_add(reasons, "there is not exactly one master at the end");
	else if (scenario->master == SCENARIO_MASTER_MOVES &&
		 measure->new_master == measure->old_master)
		verdict_add(reasons, "%s is still master", verdict_node(cfg, measure->old_master));
	else if (scenario->master == SCENARIO_MASTER_STAYS &&
		 measure->new_master != measure->old_master)
		verdict_add(reasons, "the master moved from %s to %s",
			verdict_node(cfg, measure->old_master),
			verdict_node(cfg, measure->new_master));
	if (!scenario->planned && measure->dual_ns > dual_bound)
		verdict_add(reasons,
			"two nodes answered for one address for %.1f ms, objective %.1f",
			tick_ms(measure->dual_ns), tick_ms(dual_bound));
	if (scenario->takeover_ms > 0 && measure->new_master >= 0 &&
		settled_at - measure->fault_at >
			(scenario->takeover_ms + widen_ms) * TICK_NS_PER_MS)
		verdict_add(reasons,
			"the addresses were on one node only after %.1f ms, objective %d",
			tick_ms(settled_at - measure->fault_at), scenario->takeover_ms);
}

static const json_t *verdict_stage(const json_t *stages, const char *name, size_t *ret_index)
{
	json_t *stage;
	size_t i;

	json_array_foreach (stages, i, stage) {
		const char *its = json_string_value(json_object_get(stage, "stage"));

		*ret_index = i;
		if (its && strcmp(its, name) == 0)
			return stage;
	}
	return NULL;
}

/* The promotion as the new master has written it down: every stage done, and in the order without
 * which connections die (doc/decisions/0002). */
static void verdict_judge_stages(const struct measure *measure, json_t *reasons)
{
	static const char *const order[] = {"state", "rules", "addresses", "announce"};
	const json_t *stages = json_object_get(measure->transition, "stages");
	const char *before = NULL;
	size_t before_index = 0;

	for (unsigned int i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		size_t index;
		const json_t *stage = verdict_stage(stages, order[i], &index);
		const char *error = json_string_value(json_object_get(stage, "error"));

		if (!stage)
			continue;
		if (json_is_false(json_object_get(stage, "ok")))
			verdict_add(reasons, "stage %s of the promotion failed: %s", order[i],
				error ? error : "?");
		if (before && index < before_index)
			verdict_add(reasons, "the promotion did %s before %s", order[i], before);
		before = order[i];
		before_index = index;
	}
}

static void verdict_judge_rest(const struct measure *measure, json_t *reasons)
{
	const struct scenario *scenario = measure->scenario;

	if (scenario->moves_max > 0 && measure->promotion_count > (unsigned int)scenario->moves_max)
		verdict_add(reasons, "the mastership moved %u times, objective %d",
			measure->promotion_count, scenario->moves_max);
	if (scenario->ready_ms > 0 && measure->ready_again_at == 0)
		verdict_add(reasons, "not every node is ready again %d s after the last step: %s",
			scenario->ready_ms / 1000, measure->not_ready);
	if (scenario->alarm && measure->alarm_at == 0)
		verdict_add(reasons, "nobody raised the alarm %s", scenario->alarm);
	if (measure->complaints)
		(void)json_array_extend(reasons, measure->complaints);
}

/* So many percent of the connections and flows, rounded up: 100 is every one. */
static unsigned int verdict_survivors_wanted(const struct measure *measure, unsigned int count)
{
	int percent = 100;

	if (measure->objectives && measure->objectives->survival_percent >= 0)
		percent = measure->objectives->survival_percent;
	return (unsigned int)(((uint64_t)count * (unsigned int)percent + 99) / 100);
}

static void verdict_judge_flows(
	const struct measure *measure, const struct probes *probes, json_t *reasons)
{
	unsigned int survived = 0;

	for (unsigned int i = 0; i < probes->tcp_count; i++)
		survived += probes->tcp_results[i].survived;
	if (survived >= verdict_survivors_wanted(measure, probes->tcp_count) &&
		measure->flows_survived >= verdict_survivors_wanted(measure, measure->flows_before))
		return;
	for (unsigned int i = 0; i < probes->tcp_count; i++)
		if (!probes->tcp_results[i].survived)
			verdict_add(reasons, "TCP %s: %s",
				tcp_kind_name(probes->tcp_results[i].kind),
				probes->tcp_results[i].why);
	if (measure->flows_survived < measure->flows_before)
		verdict_add(reasons, "%u of %u flows are gone",
			measure->flows_before - measure->flows_survived, measure->flows_before);
}

/* What a reader has to know about the figures, and no failure. */
static json_t *verdict_notes(const struct measure *measure, int widen_ms)
{
	json_t *notes = json_array();

	if (widen_ms > 0)
		verdict_add(notes, "no real-time priority here: timing objectives widened by %d ms",
			widen_ms);
	if (measure->udp.worst_late_ns > VERDICT_PAUSE_NS)
		verdict_add(notes, "this machine paused for %.1f ms (our own sender was late)%s",
			tick_ms(measure->udp.worst_late_ns),
			measure->udp.pause_ns <= VERDICT_PAUSE_NS
				? ", but not beside a loss: judged as if it had not"
			: measure->udp.lost_count > 0
				? " beside a loss: timing objectives are wider by that"
				: ": timing objectives are wider by that");
	if (measure->tap_lost_count > 0)
		verdict_add(notes, "the tap missed %llu frames",
			(unsigned long long)measure->tap_lost_count);
	if (measure->duplicate_count > 0)
		verdict_add(notes, "%llu probes came back twice",
			(unsigned long long)measure->duplicate_count);
	return notes;
}

static json_t *verdict_tcp(const struct probes *probes)
{
	json_t *connections = json_array();
	unsigned int survived = 0;
	int64_t pause_ns = 0;

	for (unsigned int i = 0; i < probes->tcp_count; i++) {
		const struct tcp_result *result = &probes->tcp_results[i];

		survived += result->survived;
		if (result->longest_pause_ns > pause_ns)
			pause_ns = result->longest_pause_ns;
		(void)json_array_append_new(connections,
			json_pack("{s:s,s:b,s:s*,s:o,s:I,s:I}", "kind", tcp_kind_name(result->kind),
				"survived", result->survived, "why",
				result->survived ? NULL : result->why, "longest_pause_ms",
				verdict_ms(result->longest_pause_ns), "up_bytes",
				(json_int_t)result->up_bytes, "down_bytes",
				(json_int_t)result->down_bytes));
	}
	return json_pack("{s:i,s:i,s:o,s:o}", "total", (int)probes->tcp_count, "survived",
		(int)survived, "longest_pause_ms", verdict_ms(pause_ns), "connections",
		connections);
}

static int64_t verdict_fact_ns(const struct measure *measure, const char *name)
{
	const json_t *facts = json_object_get(measure->transition, "facts");

	return json_integer_value(json_object_get(facts, name)) * TICK_NS_PER_US;
}

/* From the silence that made the standby act - of master-down, or with rapid confirmation of one
 * advert - to its promotion: questions, its place among several, its own lateness. Below 0: nobody
 * had to decide by silence (a hand-over, a resignation), or the history does not tell. */
static int64_t verdict_decide(const struct measure *measure, const struct config *cfg)
{
	const struct config_group *group = config_group_lookup(cfg, measure->group);
	int64_t silent = verdict_fact_ns(measure, "silent_us");
	int64_t noticed = verdict_fact_ns(measure, "master_down_us");

	if (silent == 0 || noticed == 0 || !group || measure->old_master < 0)
		return -1;
	if (verdict_fact_ns(measure, "questions") > 0)
		noticed = cfg->election.advbase.us * TICK_NS_PER_US *
			  (256 + config_advskew(cfg, group, &cfg->nodes[measure->old_master])) /
			  256;
	return silent > noticed ? silent - noticed : 0;
}

/* Where the milliseconds went: until the standby had noticed (detect) and begun (decide), until its
 * announcement (activate), until it forwarded the first packet (learn: the hosts' and switches'
 * part). Where there was nothing to decide, detect goes on until the promotion began. */
static json_t *verdict_split(const struct measure *measure, const struct config *cfg)
{
	int64_t begun = measure->transition_from_at;
	int64_t announced = measure->announced_at;
	int64_t forwarded = measure->first_forward_at;
	int64_t decide = begun ? verdict_decide(measure, cfg) : -1;

	if (decide > begun - measure->fault_at)
		decide = begun - measure->fault_at;
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "detect_ms",
		verdict_since(measure, begun && decide > 0 ? begun - decide : begun), "decide_ms",
		decide >= 0 ? verdict_ms(decide) : json_null(), "activate_ms",
		begun && announced ? verdict_ms(announced - begun) : json_null(), "learn_ms",
		announced && forwarded ? verdict_ms(forwarded - announced) : json_null(),
		"announced_ms", verdict_since(measure, announced), "first_packet_ms",
		verdict_since(measure, forwarded));
}

static json_t *verdict_document(const struct measure *measure, const struct probes *probes,
	const struct config *cfg, const char *report)
{
	const struct outage *udp = &measure->udp;
	json_t *stages = json_object_get(measure->transition, "stages");
	json_t *reason = json_object_get(measure->transition, "reason");

	return json_pack("{s:s,s:s,s:o,s:o,s:{s:o,s:o,s:o},s:{s:I,s:I,s:I,s:I,s:o,s:o},s:o,"
			 "s:{s:I,s:I},s:o,s:o,s:{s:s,s:s},s:o,s:{s:o,s:o},s:O?,s:O?,s:s}",
		"scenario", measure->scenario->name, "verdict", "pass", "outage_ms",
		verdict_ms(udp->stamp_ns), "resolution_ms", verdict_ms(udp->resolution_ns),
		"methods", "timestamp_ms", verdict_ms(udp->stamp_ns), "loss_ms",
		verdict_ms(udp->loss_ns), "time_ms", verdict_ms(udp->arrival_ns), "probes", "sent",
		(json_int_t)udp->sent_count, "lost", (json_int_t)udp->lost_count, "duplicated",
		(json_int_t)measure->duplicate_count, "late", (json_int_t)udp->late_count,
		"worst_late_ms", verdict_ms(udp->worst_late_ns), "pause_ms",
		verdict_ms(udp->pause_ns), "tcp", verdict_tcp(probes), "flows", "before",
		(json_int_t)measure->flows_before, "survived", (json_int_t)measure->flows_survived,
		"dual_master_ms", verdict_ms(measure->scenario->planned ? 0 : measure->dual_ns),
		"overlap_ms", verdict_ms(measure->scenario->planned ? measure->dual_ns : 0),
		"master", "before", verdict_node(cfg, measure->old_master), "after",
		verdict_node(cfg, measure->new_master), "split", verdict_split(measure, cfg),
		"addresses", "old_silent_ms", verdict_since(measure, measure->old_silent_at),
		"new_answers_ms", verdict_since(measure, measure->new_answers_at), "stages", stages,
		"reason", reason, "report", report);
}

static unsigned int verdict_resets(const struct probes *probes)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < probes->tcp_count; i++)
		count += !probes->tcp_results[i].survived &&
			 strstr(probes->tcp_results[i].why, "reset") != NULL;
	return count;
}

/* What happened when, and what was drilled: enough to compare two reports of different days. */
static void verdict_add_evidence(json_t *run, const struct measure *measure,
	const struct probes *probes, const struct config *cfg)
{
	char hash[2 * CRYPTO_HASH_BYTES + 1];

	for (unsigned int i = 0; i < CRYPTO_HASH_BYTES; i++)
		(void)snprintf(hash + 2 * (size_t)i, 3, "%02x", cfg->fingerprint[i]);
	(void)json_object_set_new(run, "description", json_string(measure->scenario->description));
	(void)json_object_set_new(run, "ready_again_ms",
		measure->ready_again_at
			? verdict_ms(measure->ready_again_at - measure->fault_done_at)
			: json_null());
	(void)json_object_set_new(
		run, "promotions", json_integer((json_int_t)measure->promotion_count));
	(void)json_object_set_new(
		run, "alarms", measure->alarms ? json_incref(measure->alarms) : json_array());
	(void)json_object_set_new(
		run, "timeline", measure->timeline ? json_incref(measure->timeline) : json_array());
	(void)json_object_set_new(run, "evidence",
		json_pack("{s:o,s:I,s:O?,s:O?}", "flows_synced",
			measure->flows_synced >= 0 ? json_integer((json_int_t)measure->flows_synced)
						   : json_null(),
			"tcp_reset", (json_int_t)verdict_resets(probes), "adverts_dropped",
			measure->adverts_dropped, "rules", measure->rules));
	(void)json_object_set_new(run, "cluster", json_string(cfg->cluster));
	(void)json_object_set_new(run, "config_fingerprint", json_string(hash));
}

/* Our sender runs at real-time priority and does nothing: when it is late, so was everybody. */
static int verdict_pause_ms(const struct measure *measure)
{
	int64_t late = measure->udp.pause_ns;

	return late > VERDICT_PAUSE_NS ? (int)((late + TICK_NS_PER_MS - 1) / TICK_NS_PER_MS) : 0;
}

json_t *verdict_judge(const struct measure *measure, const struct probes *probes,
	const struct config *cfg, int widen_ms, const char *report)
{
	int allowed_ms = widen_ms + verdict_pause_ms(measure);
	json_t *run = verdict_document(measure, probes, cfg, report);
	json_t *reasons = json_array();

	verdict_judge_outage(measure, cfg, allowed_ms, reasons);
	streams_judge(measure, verdict_outage_bound(measure, cfg, allowed_ms), reasons);
	verdict_judge_master(measure, cfg, allowed_ms, reasons);
	verdict_judge_flows(measure, probes, reasons);
	verdict_judge_stages(measure, reasons);
	verdict_judge_rest(measure, reasons);
	if (json_array_size(reasons) > 0)
		(void)json_object_set_new(run, "verdict", json_string("fail"));
	(void)json_object_set_new(run, "reasons", reasons);
	(void)json_object_set_new(run, "notes", verdict_notes(measure, widen_ms));
	(void)json_object_set_new(run, "streams", streams_json(measure));
	(void)json_object_set_new(
		run, "objective_ms", verdict_ms(verdict_outage_bound(measure, cfg, allowed_ms)));
	verdict_add_evidence(run, measure, probes, cfg);
	return run;
}

json_t *verdict_error(const char *scenario, const char *reason, const char *report)
{
	return json_pack("{s:s,s:s,s:[s],s:s*}", "scenario", scenario, "verdict", "error",
		"reasons", reason, "report", report);
}

json_t *verdict_broken(const char *scenario, json_t *reasons, const char *report)
{
	return json_pack("{s:s,s:s,s:o,s:s*}", "scenario", scenario, "verdict", "fail", "reasons",
		reasons, "report", report);
}

bool verdict_is_measured(const json_t *run)
{
	return json_is_number(json_object_get(run, "outage_ms"));
}
