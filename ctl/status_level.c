#include "ctl/status_level.h"

#include "ctl/field.h"
#include "ctl/words.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A group as all nodes' words about themselves add up, seen from here. */
struct status_level_group {
	unsigned int master_count;
	unsigned int moving_count; /* promoting or demoting */
	char masters[256];	   /* "fw1, fw2" */
};

static struct status_level_problem *status_level_add(struct status_level_report *report,
	enum status_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* status_level_add: NULL when there is no room left. */
static struct status_level_problem *status_level_add(
	struct status_level_report *report, enum status_level level, const char *format, ...)
{
	struct status_level_problem *problem;
	va_list args;

	if (level > report->level)
		report->level = level;
	if (report->problem_count == STATUS_LEVEL_PROBLEMS_MAX) {
		report->problems_left_off++;
		return NULL;
	}
	problem = &report->problems[report->problem_count++];
	*problem = (struct status_level_problem){.level = level};
	va_start(args, format);
	vsnprintf(problem->text, sizeof(problem->text), format, args);
	va_end(args);
	return problem;
}

/* status_level_is_silent: not one path alive. A peer without any path listed is taken at its word.
 */
static bool status_level_is_silent(const json_t *peer)
{
	const json_t *paths = field_list(peer, "paths"), *path;
	size_t index;

	json_array_foreach (paths, index, path) {
		if (field_bool(path, "alive", false))
			return false;
	}
	return json_array_size(paths) > 0;
}

static void status_level_count(
	struct status_level_group *group, const char *node, const char *state)
{
	size_t used = strlen(group->masters);

	if (strcmp(state, "promoting") == 0 || strcmp(state, "demoting") == 0)
		group->moving_count++;
	if (strcmp(state, "master") != 0)
		return;
	snprintf(group->masters + used, sizeof(group->masters) - used, "%s%s",
		group->master_count ? ", " : "", node);
	group->master_count++;
}

static void status_level_judge_masters(
	struct status_level_report *report, const char *node, const json_t *group)
{
	struct status_level_group sum = {0};
	const json_t *peer;
	size_t index;

	status_level_count(&sum, node, field_text(group, "state"));
	json_array_foreach (field_list(group, "peers"), index, peer) {
		if (!status_level_is_silent(peer))
			status_level_count(
				&sum, field_text(peer, "node"), field_text(peer, "state"));
	}
	if (sum.master_count > 1)
		status_level_add(report, STATUS_LEVEL_CRITICAL, "%s has %u masters: %s",
			field_text(group, "name"), sum.master_count, sum.masters);
	/* A foreign node, or one of ours whose sync links are cut: CARPv2 tells of it. */
	if (sum.master_count == 0 && field_bool(json_object_get(group, "carp2"), "alive", false))
		return;
	if (sum.master_count == 0)
		status_level_add(report, STATUS_LEVEL_CRITICAL, "%s has no master%s",
			field_text(group, "name"),
			sum.moving_count ? " at this moment: a node is taking over" : "");
}

static void status_level_join(const json_t *list, char *text, size_t size)
{
	size_t index, used = 0;
	const json_t *value;

	text[0] = '\0';
	json_array_foreach (list, index, value) {
		if (json_is_string(value) && used + 1 < size)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
				json_string_value(value));
		used = used < size ? used : size - 1;
	}
}

static void status_level_judge_peer(
	struct status_level_report *report, const char *group, const json_t *peer, bool is_foreign)
{
	const char *node = field_text(peer, "node"), *state = field_text(peer, "state");
	char reasons[256];

	if (status_level_is_silent(peer)) {
		if (!is_foreign)
			status_level_add(report, STATUS_LEVEL_WARNING,
				"%s: %s is silent on every path", group, node);
		return;
	}
	if (strcmp(state, "maintenance") == 0 || strcmp(state, "fault") == 0) {
		status_level_add(
			report, STATUS_LEVEL_WARNING, "%s: %s is in %s", group, node, state);
		return;
	}
	if (field_bool(peer, "ready", true) || strcmp(state, "master") == 0)
		return;
	status_level_join(field_list(peer, "not_ready"), reasons, sizeof(reasons));
	status_level_add(report, STATUS_LEVEL_WARNING, "%s: %s is not ready to take over%s%s",
		group, node, reasons[0] ? ": " : "", reasons);
}

static void status_level_judge_group(
	struct status_level_report *report, const char *node, const json_t *group)
{
	const char *name = field_text(group, "name"), *state = field_text(group, "state");
	const json_t *peer, *carp2 = json_object_get(group, "carp2");
	char reasons[256];
	size_t index;

	status_level_judge_masters(report, node, group);
	if (strcmp(state, "maintenance") == 0 || strcmp(state, "fault") == 0)
		status_level_add(
			report, STATUS_LEVEL_WARNING, "%s: this node is in %s", name, state);
	else if (!field_bool(group, "ready", true) && strcmp(state, "master") != 0) {
		status_level_join(field_list(group, "not_ready"), reasons, sizeof(reasons));
		status_level_add(report, STATUS_LEVEL_WARNING,
			"%s: this node is not ready to take over%s%s", name, reasons[0] ? ": " : "",
			reasons);
	}
	json_array_foreach (field_list(group, "peers"), index, peer) {
		/* What never proved itself on a sync link may be no node of ours: no error. */
		status_level_judge_peer(report, name, peer,
			field_is(carp2, "counter", "lenient") && !field_bool(peer, "proven", true));
	}
}

static void status_level_judge_alarm(struct status_level_report *report, const json_t *alarm)
{
	const char *code = field_text(alarm, "code"), *group = field_text(alarm, "group");
	const char *text = field_text(alarm, "text");
	struct status_level_problem *problem;

	if (strncmp(text, code, strlen(code)) == 0)
		code = ""; /* the text begins with it */
	problem = status_level_add(report, STATUS_LEVEL_WARNING, "%s%s%s%s%s", group,
		*group ? ": " : "", code, *code && *text ? ": " : "", text);
	if (!problem)
		return;
	problem->since = json_string_value(json_object_get(alarm, "since"));
	problem->advice = words_alarm(field_text(alarm, "code"));
}

/* status_level_sort: the worst first, otherwise as they came (insertion: at most 32). */
static void status_level_sort(struct status_level_report *report)
{
	for (unsigned int i = 1; i < report->problem_count; i++) {
		struct status_level_problem problem = report->problems[i];
		unsigned int j = i;

		for (; j > 0 && report->problems[j - 1].level < problem.level; j--)
			report->problems[j] = report->problems[j - 1];
		report->problems[j] = problem;
	}
}

void status_level_judge(const json_t *status, struct status_level_report *ret_report)
{
	const json_t *value;
	size_t index;

	memset(ret_report, 0, sizeof(*ret_report));
	json_array_foreach (field_list(status, "groups"), index, value) {
		status_level_judge_group(ret_report, field_text(status, "node"), value);
	}
	json_array_foreach (field_list(status, "alarms"), index, value) {
		status_level_judge_alarm(ret_report, value);
	}
	json_array_foreach (field_list(status, "rules"), index, value) {
		if (!field_bool(value, "peers_match", true))
			status_level_add(ret_report, STATUS_LEVEL_WARNING,
				"%s: a peer has another ruleset (carpool check --peer)",
				field_text(value, "group"));
	}
	if (json_array_size(field_list(status, "groups")) == 0)
		status_level_add(ret_report, STATUS_LEVEL_UNKNOWN, "carpd reports no group");
	status_level_sort(ret_report);
}

const char *status_level_name(enum status_level level)
{
	static const char *const names[] = {
		[STATUS_LEVEL_OK] = "OK",
		[STATUS_LEVEL_WARNING] = "WARNING",
		[STATUS_LEVEL_CRITICAL] = "CRITICAL",
		[STATUS_LEVEL_UNKNOWN] = "UNKNOWN",
	};

	return names[level];
}
