/* The op `rules`: what each group's rules are, how they differ from what was loaded (diff), and
 * loading that again (repair). One at a time: the helper lists the rules, group after group. */
#include "carpd/node.h"

#include "common/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPS_RULES_TEXT_MAX 40000u /* of all lines in one answer: it stays below a message */

struct ops_rules {
	struct node *node;
	struct control_ticket ticket;
	bool diff;
	bool repair;
	int only; /* group; -1: all */
	uint32_t group;
	size_t used;
	json_t *groups;
	json_t *entry; /* borrowed from groups */
};

static void rules_next(struct ops_rules *ask);

static void rules_end(struct ops_rules *ask, const char *code, const char *text)
{
	if (code)
		(void)control_server_error(ask->node->server, &ask->ticket, code, "%s", text);
	else
		(void)control_server_ok(
			ask->node->server, &ask->ticket, json_pack("{s:O}", "groups", ask->groups));
	json_decref(ask->groups);
	free(ask);
}

static void rules_put_lines(
	struct ops_rules *ask, const char *name, const struct rules_report *report)
{
	json_t *lines = json_array();

	for (size_t i = 0; i < report->count && i < RULES_REPORT_LINES; i++) {
		json_t *line =
			ask->used < OPS_RULES_TEXT_MAX ? json_string(report->lines[i]) : NULL;

		ask->used += strlen(report->lines[i]);
		if (line)
			(void)json_array_append_new(lines, line);
	}
	(void)json_object_set_new(ask->entry, name, lines);
}

static void on_diff(void *context, const struct helper_rules_result *result)
{
	struct ops_rules *ask = context;

	if (result->error < 0) {
		rules_end(ask, "FAILED",
			result->report.count ? result->report.lines[0] : strerror(-result->error));
		return;
	}
	rules_put_lines(ask, "diff", &result->report);
	rules_next(ask);
}

static void on_repair(void *context, uint8_t group, int error, const struct rules_report *report)
{
	struct ops_rules *ask = context;

	(void)group;
	if (error < 0) {
		rules_end(ask, "FAILED", report->count ? report->lines[0] : strerror(-error));
		return;
	}
	(void)json_object_set_new(ask->entry, "repaired", json_true());
	rules_put_lines(ask, "warnings", report);
	rules_next(ask);
}

static const char *rules_drift(const struct node_group *group)
{
	return group->rules_missing ? "missing" : group->rules_changed ? "changed" : "none";
}

static json_t *rules_entry(const struct node_group *group)
{
	char hex[2 * RULES_FINGERPRINT_BYTES + 1];

	for (unsigned int k = 0; k < RULES_FINGERPRINT_BYTES; k++)
		snprintf(hex + 2 * k, 3, "%02x", group->manifest->fingerprint[k]);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "group", group->config->name, "active",
		group->rules_are_master ? "master" : "backup", "fingerprint", hex, "policy",
		group->config->rules_drift == CONFIG_DRIFT_REPAIR ? "repair" : "report", "drift",
		rules_drift(group), "by",
		group->rules_missing || group->rules_changed ? group->rules_blame : "");
}

/* rules_ask: starts what is asked for one group; true: its answer comes later. */
static bool rules_ask(struct ops_rules *ask, struct node_group *group, int *ret_error)
{
	struct node *node = ask->node;

	*ret_error = 0;
	if (ask->repair && (group->rules_missing || group->rules_changed))
		*ret_error = node->reload ? -EBUSY
					  : node_rules_swap(node, group->index,
						    group->rules_missing ? HELPER_RULES_RELOAD
									 : HELPER_RULES_REPAIR,
						    on_repair, ask);
	else if (ask->diff)
		*ret_error = helper_rules(
			node->helper, group->config->name, HELPER_RULES_DIFF, on_diff, ask);
	else
		return false;
	return *ret_error == 0;
}

static void rules_next(struct ops_rules *ask)
{
	struct node *node = ask->node;

	while (ask->group < node->group_count) {
		struct node_group *group = &node->groups[ask->group++];
		int error;

		if (!group->has_rules || (ask->only >= 0 && ask->only != group->index))
			continue;
		ask->entry = rules_entry(group);
		(void)json_array_append_new(ask->groups, ask->entry);
		if (rules_ask(ask, group, &error))
			return;
		if (error < 0) {
			rules_end(ask, error == -EBUSY ? "BUSY" : "FAILED",
				error == -EBUSY ? "a reload or a repair is under way: try again"
						: "the helper process is gone: restart carpd");
			return;
		}
	}
	rules_end(ask, NULL, NULL);
}

void ops_rules(void *context, const struct control_request *request)
{
	struct node *node = context;
	const char *name = json_string_value(json_object_get(request->body, "group"));
	const struct config_group *group = name ? config_group_lookup(node->cfg, name) : NULL;
	struct ops_rules *ask;

	if (name && !group) {
		(void)control_server_error(
			node->server, &request->ticket, "NO_GROUP", "no group named %s", name);
		return;
	}
	ask = calloc(1, sizeof(*ask));
	if (!ask) {
		(void)control_server_error(node->server, &request->ticket, "FAILED", "no memory");
		return;
	}
	*ask = (struct ops_rules){
		.node = node,
		.ticket = request->ticket,
		.diff = json_is_true(json_object_get(request->body, "diff")),
		.repair = json_is_true(json_object_get(request->body, "repair")),
		.only = group ? (int)group->index : -1,
		.groups = json_array(),
	};
	rules_next(ask);
}
