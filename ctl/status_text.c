#include "ctl/status_text.h"

#include "ctl/field.h"
#include "ctl/status_level.h"
#include "ctl/sync_text.h"
#include "ctl/when.h"
#include "ctl/words.h"

#include <string.h>

#define STATUS_TEXT_AGE_US_MIN 1000000
#define STATUS_TEXT_NOT_READY  30 /* what "not ready" adds to the demotion (design section 6) */

static void status_text_problems(
	FILE *out, const struct status_level_report *report, int64_t now_wall_us)
{
	char age[WHEN_TEXT_MAX];
	int64_t since_us;

	for (unsigned int i = 0; i < report->problem_count; i++) {
		const struct status_level_problem *problem = &report->problems[i];

		fputs(problem->level == STATUS_LEVEL_CRITICAL ? "  !! " : "  !  ", out);
		field_print(out, problem->text, 5);
		/* What asking just now has found out has no age. */
		if (problem->since && when_parse(problem->since, &since_us) &&
			now_wall_us - since_us >= STATUS_TEXT_AGE_US_MIN)
			fprintf(out, " (for %s)", when_render_span(now_wall_us - since_us, age));
		fputc('\n', out);
		if (problem->advice)
			fprintf(out, "     -> %s\n", problem->advice);
	}
	if (report->problems_left_off)
		fprintf(out, "  !  and %u more\n", report->problems_left_off);
}

/* status_text_path: "lan0 ok 3 ms", or what is wrong in which direction. */
static void status_text_path(FILE *out, const json_t *path)
{
	bool alive = field_bool(path, "alive", false);
	bool heard = field_bool(path, "heard_by_peer", false);
	int64_t last_us = field_scaled(path, "last_ms", 1000, -1);
	char span[WHEN_TEXT_MAX];

	field_print(out, field_text(path, "via"), 0);
	when_render_span(last_us, span);
	if (alive && heard)
		fprintf(out, " ok");
	else if (alive)
		fprintf(out, " ONE-WAY (it does not hear us)");
	else if (heard)
		fprintf(out, " ONE-WAY (we do not hear it)");
	else
		fprintf(out, " SILENT");
	if (!alive)
		fprintf(out, last_us >= 0 ? " for %s" : " since the start", span);
}

static void status_text_peer_word(FILE *out, const json_t *peer, bool any_alive)
{
	const json_t *reasons = field_list(peer, "not_ready"), *reason;
	const char *state = field_text(peer, "state");
	size_t index;

	if (!any_alive) {
		fprintf(out, "SILENT on every path (last heard of as %s)", *state ? state : "?");
		return;
	}
	field_print(out, state, 0);
	if (strcmp(state, "backup") != 0)
		return;
	if (field_bool(peer, "ready", false)) {
		fputs(", ready to take over", out);
		return;
	}
	fputs(", NOT READY", out);
	json_array_foreach (reasons, index, reason) {
		const char *code = json_string_value(reason);
		const char *words = code ? words_not_ready(code) : NULL;

		fputs(index ? ", " : ": ", out);
		field_print_value(out, reason);
		if (words)
			fprintf(out, " (%s)", words);
	}
}

static void status_text_peer(FILE *out, const json_t *peer)
{
	const json_t *paths = field_list(peer, "paths"), *path;
	bool any_alive = json_array_size(paths) == 0;
	size_t index;

	json_array_foreach (paths, index, path) {
		any_alive |= field_bool(path, "alive", false);
	}
	fputs("  peer ", out);
	field_print(out, field_text(peer, "node"), 0);
	fputs(": ", out);
	status_text_peer_word(out, peer, any_alive);
	fputc('\n', out);
	if (json_array_size(paths) == 0)
		return;
	fputs("    paths: ", out);
	json_array_foreach (paths, index, path) {
		fputs(index ? ", " : "", out);
		status_text_path(out, path);
	}
	fputc('\n', out);
}

/* status_text_demotions: what has a name, then what counts besides: not ready is 30 (design section
 * 6), the rest are interfaces that fail. */
static void status_text_demotions(FILE *out, const json_t *group)
{
	double total = field_number(group, "demotion", 0), rest = total;
	const json_t *entries = field_list(group, "demotions"), *entry;
	char moment[WHEN_TEXT_MAX];
	const char *comma = " ";
	size_t index;

	if (total == 0 && json_array_size(entries) == 0)
		return;
	fprintf(out, "  demoted by %.0f:", total);
	json_array_foreach (entries, index, entry) {
		fputs(comma, out);
		field_print(out, field_text(entry, "name"), 0);
		fprintf(out, " %.0f since %s", field_number(entry, "weight", 0),
			when_render_moment(field_text(entry, "since"), moment));
		if (*field_text(entry, "expires"))
			fprintf(out, " until %s",
				when_render_moment(field_text(entry, "expires"), moment));
		rest -= field_number(entry, "weight", 0);
		comma = ", ";
	}
	if (!field_bool(group, "ready", true) && rest >= STATUS_TEXT_NOT_READY) {
		fprintf(out, "%snot ready %d", comma, STATUS_TEXT_NOT_READY);
		rest -= STATUS_TEXT_NOT_READY;
		comma = ", ";
	}
	if (rest > 0)
		fprintf(out, "%sinterfaces that fail %.0f", comma, rest);
	fputc('\n', out);
}

/* status_text_own: this node's own readiness, when it is not the master. */
static void status_text_own(FILE *out, const json_t *group)
{
	if (field_is(group, "state", "backup") && json_object_get(group, "ready")) {
		fprintf(out, "  this node: %s",
			field_bool(group, "ready", false) ? "ready to take over" : "NOT READY: ");
		field_print_list(out, field_list(group, "not_ready"));
		fputc('\n', out);
	}
}

static void status_text_group_head(
	FILE *out, const json_t *group, const char *node, int64_t now_wall_us)
{
	const char *master = field_text(group, "master"), *state = field_text(group, "state");
	const json_t *carp2 = json_object_get(group, "carp2");
	const char *other = field_text(carp2, "node");
	char age[WHEN_TEXT_MAX];

	fputs("\ngroup ", out);
	field_print(out, field_text(group, "name"), 0);
	fprintf(out, " (vhid %.0f): ", field_number(group, "vhid", 0));
	if (!*master && field_bool(carp2, "alive", false)) {
		field_print(out, *other ? other : "a foreign node", 0);
		fputs(" is the master, by CARPv2 alone", out);
	} else if (!*master)
		fputs("NO MASTER", out);
	else if (strcmp(master, node) == 0)
		fputs("this node is the master", out);
	else {
		field_print(out, master, 0);
		fputs(" is the master", out);
	}
	if (strcmp(state, "master") != 0 || strcmp(master, node) != 0) {
		fputs(", this node is ", out);
		field_print(out, words_state(state) ? words_state(state) : state, 0);
	}
	fprintf(out, ", for %s\n", when_render_age(field_text(group, "since"), now_wall_us, age));
}

static void status_text_group(FILE *out, const json_t *group, const char *node, int64_t now_wall_us)
{
	const char *reason = field_text(group, "reason"), *words = words_reason(reason);
	const json_t *peer;
	char moment[WHEN_TEXT_MAX];
	size_t index;

	status_text_group_head(out, group, node, now_wall_us);
	fprintf(out, "  since %s: ", when_render_moment(field_text(group, "since"), moment));
	field_print(out, reason, 0);
	fprintf(out, "%s%s%s, term %.0f\n", words ? " (" : "", words ? words : "", words ? ")" : "",
		field_number(group, "term", 0));
	status_text_own(out, group);
	status_text_demotions(out, group);
	json_array_foreach (field_list(group, "peers"), index, peer) {
		status_text_peer(out, peer);
	}
}

static void status_text_rules(FILE *out, const json_t *rules)
{
	const json_t *entry;
	size_t index;

	if (json_array_size(rules) == 0)
		return;
	fputs("\nrules\n", out);
	json_array_foreach (rules, index, entry) {
		fputs("  ", out);
		field_print(out, field_text(entry, "group"), 0);
		fputs(": the ", out);
		field_print(out, field_text(entry, "active"), 0);
		fprintf(out, " rules are awake, %s, fingerprint %.16s\n",
			field_bool(entry, "peers_match", true) ? "the same on every peer heard"
							       : "a peer has OTHERS",
			field_text(entry, "fingerprint"));
	}
}

/* Hand-overs are to be expected: nobody should wonder about them. */
static void status_text_drill_lock(FILE *out, const json_t *lock)
{
	if (!*field_text(lock, "node"))
		return;
	fputs("\ndrill\n  UNDER WAY from ", out);
	field_print(out, field_text(lock, "node"), 0);
	if (*field_text(lock, "by")) {
		fputs(", by ", out);
		field_print(out, field_text(lock, "by"), 0);
		fputs(": ", out);
		field_print(out, field_text(lock, "reason"), 4);
	}
	fputc('\n', out);
}

static void status_text_drill(FILE *out, const json_t *drill, int64_t now_wall_us)
{
	char age[WHEN_TEXT_MAX];
	int64_t at_us;

	if (!drill || !when_parse(field_text(drill, "time"), &at_us))
		return;
	fprintf(out, "\ndrill\n  last %s ago: ", when_render_span(now_wall_us - at_us, age));
	field_print(out, field_text(drill, "what"), 0);
	fprintf(out, ", %.0f of %.0f passed\n", field_number(drill, "passed", 0),
		field_number(drill, "total", 0));
}

void status_text_render(FILE *out, const json_t *status, int64_t now_wall_us)
{
	const char *node = field_text(status, "node");
	struct status_level_report report;
	const json_t *group;
	size_t index;

	status_level_judge(status, &report);
	fputs("cluster ", out);
	field_print(out, field_text(status, "cluster"), 0);
	fputs(", seen from ", out);
	field_print(out, node, 0);
	fprintf(out, ": %s\n", status_level_name(report.level));
	status_text_problems(out, &report, now_wall_us);
	json_array_foreach (field_list(status, "groups"), index, group) {
		status_text_group(out, group, node, now_wall_us);
	}
	status_text_rules(out, field_list(status, "rules"));
	if (field_bool(status, "sync_configured", true) && json_object_get(status, "sync")) {
		fputc('\n', out);
		sync_text_render(out, json_object_get(status, "sync"));
	}
	status_text_drill_lock(out, json_object_get(status, "drill_lock"));
	status_text_drill(out, json_object_get(status, "drill"), now_wall_us);
}

/* status_text_check_masters: "edge: fw1" for each group, so that OK says something too. */
static void status_text_check_masters(FILE *out, const json_t *status)
{
	const json_t *group;
	size_t index;

	json_array_foreach (field_list(status, "groups"), index, group) {
		const char *master = field_text(group, "master");

		fputs(index ? ", " : "", out);
		field_print(out, field_text(group, "name"), 0);
		fputs(": ", out);
		if (!*master && field_bool(json_object_get(group, "carp2"), "alive", false))
			master = "a foreign node";
		field_print(out, *master ? master : "no master", 0);
	}
}

void status_text_render_check(FILE *out, const json_t *status)
{
	const json_t *sync = json_object_get(status, "sync"), *peer;
	struct status_level_report report;
	double lag_ms = -1;
	size_t index;

	status_level_judge(status, &report);
	fprintf(out, "CARPOOL %s - ", status_level_name(report.level));
	if (report.problem_count == 0)
		status_text_check_masters(out, status);
	for (unsigned int i = 0; i < report.problem_count; i++) {
		fputs(i ? "; " : "", out);
		/* A monitor reads one line, and everything behind a bar as figures. */
		for (const char *c = report.problems[i].text; *c; c++)
			fputc(*c == '|' || (unsigned char)*c < 0x20 ? ' ' : *c, out);
	}
	json_array_foreach (field_list(sync, "peers"), index, peer) {
		double peer_lag_ms = field_number(peer, "lag_ms", -1);

		lag_ms = peer_lag_ms > lag_ms ? peer_lag_ms : lag_ms;
	}
	fprintf(out, " | problems=%u", report.problem_count + report.problems_left_off);
	if (json_is_object(sync))
		fprintf(out, " flows=%.0f", field_number(sync, "flows", 0));
	if (lag_ms >= 0)
		fprintf(out, " lag_ms=%.3f", lag_ms);
	fputc('\n', out);
}
