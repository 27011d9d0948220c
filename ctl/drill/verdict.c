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
		verdict_add(notes,
			"this machine paused for %.1f ms (our own sender was late): timing "
			"objectives are wider by that",
			tick_ms(measure->udp.worst_late_ns));
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

	for (unsigned int i = 0; i < probes->tcp_count; i++) {
		const struct tcp_result *result = &probes->tcp_results[i];

		survived += result->survived;
		(void)json_array_append_new(connections,
			json_pack("{s:s,s:b,s:s*,s:o,s:I,s:I}", "kind", tcp_kind_name(result->kind),
				"survived", result->survived, "why",
				result->survived ? NULL : result->why, "longest_pause_ms",
				verdict_ms(result->longest_pause_ns), "up_bytes",
				(json_int_t)result->up_bytes, "down_bytes",
				(json_int_t)result->down_bytes));
	}
	return json_pack("{s:i,s:i,s:o}", "total", (int)probes->tcp_count, "survived",
		(int)survived, "connections", connections);
}

/* Where the milliseconds went: until the standby began (detect), until its announcement (activate),
 * until it forwarded the first packet (learn: the hosts' and switches' part). */
static json_t *verdict_split(const struct measure *measure)
{
	int64_t begun = measure->transition_from_at;
	int64_t announced = measure->announced_at;
	int64_t forwarded = measure->first_forward_at;

	return json_pack("{s:o,s:o,s:o,s:o,s:o}", "detect_ms", verdict_since(measure, begun),
		"activate_ms", begun && announced ? verdict_ms(announced - begun) : json_null(),
		"learn_ms",
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

	return json_pack("{s:s,s:s,s:o,s:o,s:{s:o,s:o,s:o},s:{s:I,s:I,s:I,s:I,s:o},s:o,"
			 "s:{s:I,s:I},s:o,s:o,s:{s:s,s:s},s:o,s:{s:o,s:o},s:O?,s:O?,s:s}",
		"scenario", measure->scenario->name, "verdict", "pass", "outage_ms",
		verdict_ms(udp->stamp_ns), "resolution_ms", verdict_ms(udp->resolution_ns),
		"methods", "timestamp_ms", verdict_ms(udp->stamp_ns), "loss_ms",
		verdict_ms(udp->loss_ns), "time_ms", verdict_ms(udp->arrival_ns), "probes", "sent",
		(json_int_t)udp->sent_count, "lost", (json_int_t)udp->lost_count, "duplicated",
		(json_int_t)measure->duplicate_count, "late", (json_int_t)udp->late_count,
		"worst_late_ms", verdict_ms(udp->worst_late_ns), "tcp", verdict_tcp(probes),
		"flows", "before", (json_int_t)measure->flows_before, "survived",
		(json_int_t)measure->flows_survived, "dual_master_ms",
		verdict_ms(measure->scenario->planned ? 0 : measure->dual_ns), "overlap_ms",
		verdict_ms(measure->scenario->planned ? measure->dual_ns : 0), "master", "before",
		verdict_node(cfg, measure->old_master), "after",
		verdict_node(cfg, measure->new_master), "split", verdict_split(measure),
		"addresses", "old_silent_ms", verdict_since(measure, measure->old_silent_at),
		"new_answers_ms", verdict_since(measure, measure->new_answers_at), "stages", stages,
		"reason", reason, "report", report);
}

/* What happened when, and what was drilled: enough to compare two reports of different days. */
static void verdict_add_evidence(
	json_t *run, const struct measure *measure, const struct config *cfg)
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
	(void)json_object_set_new(run, "cluster", json_string(cfg->cluster));
	(void)json_object_set_new(run, "config_fingerprint", json_string(hash));
}

/* Our sender runs at real-time priority and does nothing: when it is late, so was everybody. */
static int verdict_pause_ms(const struct measure *measure)
{
	int64_t late = measure->udp.worst_late_ns;

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
	verdict_judge_rest(measure, reasons);
	if (json_array_size(reasons) > 0)
		(void)json_object_set_new(run, "verdict", json_string("fail"));
	(void)json_object_set_new(run, "reasons", reasons);
	(void)json_object_set_new(run, "notes", verdict_notes(measure, widen_ms));
	(void)json_object_set_new(run, "streams", streams_json(measure));
	(void)json_object_set_new(
		run, "objective_ms", verdict_ms(verdict_outage_bound(measure, cfg, allowed_ms)));
	verdict_add_evidence(run, measure, cfg);
	return run;
}

json_t *verdict_error(const char *scenario, const char *reason, const char *report)
{
	return json_pack("{s:s,s:s,s:[s],s:s*}", "scenario", scenario, "verdict", "error",
		"reasons", reason, "report", report);
}

static double verdict_number(const json_t *run, const char *object, const char *name)
{
	const json_t *from = object ? json_object_get(run, object) : run;

	return json_number_value(json_object_get(from, name));
}

static long long verdict_count(const json_t *run, const char *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(json_object_get(run, object), name));
}

static const char *verdict_text(const json_t *run, const char *object, const char *name)
{
	const json_t *from = object ? json_object_get(run, object) : run;
	const char *text = json_string_value(json_object_get(from, name));

	return text ? text : "?";
}

static void verdict_print_list(FILE *out, const json_t *run, const char *name, const char *label)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(run, name), i, item)
		(void)fprintf(out, "  %-12s %s\n", label, json_string_value(item));
}

static void verdict_print_stages(FILE *out, const json_t *run)
{
	json_t *stage;
	size_t i;

	json_array_foreach (json_object_get(run, "stages"), i, stage)
		(void)fprintf(out, "%s %s %.2f", i == 0 ? "  stages      " : ",",
			json_string_value(json_object_get(stage, "stage")),
			json_number_value(json_object_get(stage, "us")) / 1000.0);
	if (json_array_size(json_object_get(run, "stages")) > 0)
		(void)fprintf(out, " ms\n");
}

static void verdict_print_split(FILE *out, const json_t *run)
{
	const char *const names[] = {"detect", "activate", "learn"};

	(void)fprintf(out, "  of these    ");
	for (unsigned int i = 0; i < 3; i++) {
		char key[32];
		const json_t *value;

		(void)snprintf(key, sizeof(key), "%s_ms", names[i]);
		value = json_object_get(json_object_get(run, "split"), key);
		if (json_is_number(value))
			(void)fprintf(out, " %s %.1f ms%s", names[i], json_number_value(value),
				i < 2 ? "," : "");
		else
			(void)fprintf(out, " %s ?%s", names[i], i < 2 ? "," : "");
	}
	(void)fprintf(out, "\n");
}

static void verdict_print_previous(FILE *out, const json_t *run)
{
	if (json_is_object(json_object_get(run, "previous")))
		(void)fprintf(out, "  before       %.1f ms, %s (%.19s)\n",
			verdict_number(run, "previous", "outage_ms"),
			verdict_text(run, "previous", "verdict"),
			verdict_text(run, "previous", "time"));
}

void verdict_print(FILE *out, const json_t *run)
{
	const char *verdict = verdict_text(run, NULL, "verdict");
	bool planned = verdict_number(run, NULL, "overlap_ms") > 0;

	(void)fprintf(out, "\n%s: %s\n", verdict_text(run, NULL, "scenario"),
		strcmp(verdict, "pass") == 0   ? "PASS"
		: strcmp(verdict, "fail") == 0 ? "FAIL"
					       : "COULD NOT RUN");
	verdict_print_list(out, run, "reasons", "because");
	if (strcmp(verdict, "error") != 0) {
		(void)fprintf(out, "  master       %s -> %s (%s)\n",
			verdict_text(run, "master", "before"), verdict_text(run, "master", "after"),
			verdict_text(run, NULL, "reason"));
		(void)fprintf(out,
			"  outage       %.1f ms (+-%.1f) by time stamps; %.1f by loss, %.1f by "
			"time\n",
			verdict_number(run, NULL, "outage_ms"),
			verdict_number(run, NULL, "resolution_ms"),
			verdict_number(run, "methods", "loss_ms"),
			verdict_number(run, "methods", "time_ms"));
		verdict_print_split(out, run);
		verdict_print_stages(out, run);
		(void)fprintf(out, "  probes       %lld sent, %lld lost\n",
			verdict_count(run, "probes", "sent"), verdict_count(run, "probes", "lost"));
		(void)fprintf(out, "  TCP          %lld of %lld connections survived\n",
			verdict_count(run, "tcp", "survived"), verdict_count(run, "tcp", "total"));
		(void)fprintf(out, "  flows        %lld of %lld survived\n",
			verdict_count(run, "flows", "survived"),
			verdict_count(run, "flows", "before"));
		(void)fprintf(out, "  two masters  %.1f ms%s",
			verdict_number(run, NULL, "dual_master_ms"), planned ? "" : "\n");
		if (planned)
			(void)fprintf(out, " (overlap of the hand-over: %.1f ms)\n",
				verdict_number(run, NULL, "overlap_ms"));
	}
	streams_print(out, run);
	verdict_print_previous(out, run);
	verdict_print_list(out, run, "notes", "note");
	(void)fprintf(out, "  seed         %lld\n",
		(long long)json_integer_value(json_object_get(run, "seed")));
	(void)fprintf(out, "  report       %s\n", verdict_text(run, NULL, "report"));
}

static int verdict_compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median outage of the runs of one scenario that could be run. */
static void verdict_print_median(FILE *out, const json_t *runs, const char *scenario)
{
	double *values = calloc(json_array_size(runs) + 1, sizeof(*values));
	size_t count = 0;
	json_t *run;
	size_t i;

	if (!values)
		return;
	json_array_foreach (runs, i, run)
		if (strcmp(verdict_text(run, NULL, "scenario"), scenario) == 0 &&
			json_is_number(json_object_get(run, "outage_ms")))
			values[count++] = verdict_number(run, NULL, "outage_ms");
	if (count > 1) {
		qsort(values, count, sizeof(*values), verdict_compare);
		(void)fprintf(out, "%-17s median outage of %zu runs: %.1f ms (%.1f to %.1f)\n",
			scenario, count, (values[(count - 1) / 2] + values[count / 2]) / 2,
			values[0], values[count - 1]);
	}
	free(values);
}

void verdict_print_table(FILE *out, const json_t *runs)
{
	const char *last = "";
	json_t *run;
	size_t i;

	(void)fprintf(out, "\n%-17s %-7s %9s %6s %7s %17s %8s\n", "scenario", "verdict", "outage",
		"lost", "TCP", "flows", "2 masters");
	json_array_foreach (runs, i, run) {
		const char *verdict = verdict_text(run, NULL, "verdict");

		if (strcmp(verdict, "error") == 0) {
			(void)fprintf(
				out, "%-17s could not run\n", verdict_text(run, NULL, "scenario"));
			continue;
		}
		(void)fprintf(out, "%-17s %-7s %6.1f ms %6lld %3lld/%-3lld %8lld/%-8lld %5.1f ms\n",
			verdict_text(run, NULL, "scenario"), verdict,
			verdict_number(run, NULL, "outage_ms"),
			verdict_count(run, "probes", "lost"), verdict_count(run, "tcp", "survived"),
			verdict_count(run, "tcp", "total"), verdict_count(run, "flows", "survived"),
			verdict_count(run, "flows", "before"),
			verdict_number(run, NULL, "dual_master_ms"));
	}
	json_array_foreach (runs, i, run) {
		const char *scenario = verdict_text(run, NULL, "scenario");

		if (strcmp(last, scenario) != 0)
			verdict_print_median(out, runs, scenario);
		last = scenario;
	}
}

int verdict_exit(const json_t *runs)
{
	int exit_status = json_array_size(runs) > 0 ? 0 : 2;
	json_t *run;
	size_t i;

	json_array_foreach (runs, i, run) {
		const char *verdict = verdict_text(run, NULL, "verdict");

		if (strcmp(verdict, "error") == 0)
			return 2;
		if (strcmp(verdict, "fail") == 0)
			exit_status = 1;
	}
	return exit_status;
}
