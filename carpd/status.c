/* status: the document of `carpool status --json` without `sync` (design section 5), and the
 * counters. Reads the core's views; never waits. See node.h. */
#include "carpd/node.h"

#include "carpd/readiness.h"
#include "common/io/clock.h"

#include <stdio.h>
#include <string.h>

/* status_time: an instant of the monotonic clock as people read it. */
static json_t *status_time(mono_t at)
{
	char text[CLOCK_TEXT_MAX];

	if (mono_is_never(at))
		return json_null();
	return json_string(clock_render(clock_wall_us() - mono_diff(clock_now(), at).us, text));
}

static json_t *status_wall(int64_t wall_us)
{
	char text[CLOCK_TEXT_MAX];

	return json_string(clock_render(wall_us, text));
}

static json_t *status_demotions(const struct node *node, uint8_t group)
{
	struct election_demotion_view view;
	json_t *list = json_array();

	for (uint8_t i = 0; election_demotion_view(node->core, group, i, &view); i++)
		(void)json_array_append_new(
			list, json_pack("{s:s, s:i, s:o, s:o}", "name", view.name, "weight",
				      (int)view.weight, "since", status_time(view.since), "expires",
				      status_time(view.expires)));
	/* What syncd, the table and the rules lack counts as one; not_ready has the words. */
	if (node->groups[group].is_unready)
		(void)json_array_append_new(
			list, json_pack("{s:s, s:i, s:o, s:n}", "name", "not_ready", "weight",
				      (int)MODEL_NOT_READY, "since",
				      status_time(node->groups[group].unready_at), "expires"));
	return list;
}

static json_t *status_peer_paths(
	const struct node *node, uint8_t group, uint8_t peer, uint8_t path_count)
{
	json_t *list = json_array();

	for (uint8_t i = 0; i < path_count; i++) {
		struct election_path_view view;

		election_path_view(node->core, group, peer, i, &view);
		(void)json_array_append_new(list,
			json_pack("{s:s, s:b, s:b, s:o}", "via", node->cfg->paths[view.path].name,
				"alive", view.alive, "heard_by_peer", view.heard_by_peer, "last_ms",
				view.last_ms < 0 ? json_null() : json_integer(view.last_ms)));
	}
	return list;
}

static json_t *status_words(uint8_t bits)
{
	json_t *words = json_array();

	for (unsigned int i = 0; i < 8; i++)
		if (bits & 1u << i)
			(void)json_array_append_new(words, json_string(readiness_name(i)));
	return words;
}

static json_t *status_peers(const struct node *node, uint8_t group)
{
	json_t *list = json_array();

	for (uint8_t i = 0; i + 1u < node->cfg->node_count; i++) {
		struct election_peer_view view;

		election_peer_view(node->core, group, i, &view);
		(void)json_array_append_new(
			list, json_pack("{s:s, s:s, s:b, s:b, s:b, s:o, s:i, s:I, s:o}", "node",
				      node_name_of(node, view.node), "state",
				      view.proven ? state_name(view.state) : "unknown", "alive",
				      view.alive, "proven", view.proven, "ready",
				      view.ready && view.alive, "not_ready",
				      status_words(view.not_ready), "demotion", (int)view.demotion,
				      "term", (json_int_t)view.term.number, "paths",
				      status_peer_paths(node, group, i, view.path_count)));
	}
	return list;
}

/* status_carp2: what CARPv2 alone tells of; null with a native wire. */
static json_t *status_carp2(const struct node *node, uint8_t group)
{
	struct election_carp2_view view;

	if (node->cfg->election.wire != CONFIG_WIRE_CARP2)
		return json_null();
	election_carp2_view(node->core, group, &view);
	return json_pack("{s:s, s:b, s:s?, s:b, s:i, s:i, s:i, s:I}", "counter",
		node->cfg->election.counter_strict ? "strict" : "lenient", "known", view.known,
		"node", node_name_of(node, view.node), "alive", view.alive, "advbase",
		(int)view.advbase, "advskew", (int)view.advskew, "demote", (int)view.demote,
		"last_ms", (json_int_t)view.last_ms);
}

/* status_confirm: null where it is off; on a backup, whether the master answers in time for its
 * silence to be believed, and how long its slowest answer of late took. */
static json_t *status_confirm(const struct node *node, const struct election_group_view *view)
{
	if (config_confirm_questions(node->cfg) == 0)
		return json_null();
	return json_pack("{s:b, s:f}", "armed", view->confirm_armed, "answer_ms",
		(double)view->answer_time.us / 1e3);
}

static json_t *status_group(const struct node *node, uint8_t index)
{
	const struct node_group *group = &node->groups[index];
	struct election_group_view view;
	json_t *words = json_array();

	election_group_view(node->core, index, &view);
	(void)node_not_ready(node, index, words);
	return json_pack("{s:s, s:i, s:s, s:I, s:s?, s:s, s:o, s:b, s:o, s:o, s:i, s:o, s:o, s:o, "
			 "s:o}",
		"name", group->config->name, "vhid", (int)group->config->vhid, "state",
		state_name(view.state), "term", (json_int_t)view.term.number, "master",
		node_name_of(node, view.master), "reason", reason_name(view.reason), "since",
		status_wall(group->since_wall_us), "ready", view.ready, "not_ready", words,
		"confirm", status_confirm(node, &view), "demotion", (int)view.demotion, "demotions",
		status_demotions(node, index), "tracks", track_status(node, index), "peers",
		status_peers(node, index), "carp2", status_carp2(node, index));
}

/* --- alarms ------------------------------------------------------------------------------------
 */

static void status_alarm(
	json_t *list, const char *code, const char *group, json_t *since, const char *text)
{
	(void)json_array_append_new(list, json_pack("{s:s, s:s?, s:o, s:s}", "code", code, "group",
						  group, "since", since, "text", text));
}

static void status_core_alarms(const struct node *node, json_t *list)
{
	struct election_alarm_view view;
	char text[128];

	for (uint16_t i = 0; election_alarm_view(node->core, i, &view); i++) {
		const char *other = node_name_of(node, view.node);

		snprintf(text, sizeof(text), "%s%s%s", election_alarm_name(view.code),
			other ? ": node " : "", other ? other : "");
		status_alarm(list, election_alarm_name(view.code),
			view.group == ELECTION_ALL ? NULL : node->cfg->groups[view.group].name,
			status_time(view.since), text);
	}
}

static void on_handler_alarm(void *context, const char *handler, const char *code, const char *text)
{
	(void)handler;
	status_alarm(context, code, NULL, status_wall(clock_wall_us()), text);
}

/* status_rules_missing: what is gone, and who took it away, where the events told. */
static void status_rules_missing(json_t *list, const struct node_group *group)
{
	char text[512];

	snprintf(text, sizeof(text), "%s%s%s: %scarpool rules repair",
		group->rules_closed ? "rules are gone" : "tables that carpool had loaded are gone",
		group->rules_blame[0] ? ": " : "", group->rules_blame,
		group->rules_closed ? "closed by the shield until they are loaded again: " : "");
	status_alarm(list, "RULES_MISSING", group->config->name,
		status_wall(group->rules_since_wall_us), text);
}

static json_t *status_alarms(const struct node *node)
{
	json_t *list = json_array();

	status_core_alarms(node, list);
	for (uint32_t i = 0; i < node->group_count; i++) {
		const struct node_group *group = &node->groups[i];

		if (group->stage_alarm[0] != '\0')
			status_alarm(list, "STAGE_FAILED", group->config->name,
				status_wall(group->stage_alarm_wall_us), group->stage_alarm);
		if (group->rules_missing)
			status_rules_missing(list, group);
		else if (group->rules_changed)
			status_alarm(list, "RULES_CHANGED", group->config->name,
				status_wall(group->rules_since_wall_us), group->rules_blame);
	}
	if (!helper_is_alive(node->helper))
		status_alarm(list, "HELPER_DOWN", NULL, status_wall(clock_wall_us()),
			"scripts and rules cannot be run: restart carpd");
	alarms_status(node, list);
	handlers_each_alarm(node->handlers, on_handler_alarm, list);
	return list;
}

/* --- rules -------------------------------------------------------------------------------------
 */

/* status_rules_peers: what each peer that is heard says of its rules: the print's first 8 bytes.
 * *ret_match: null when nobody is heard. */
static json_t *status_rules_peers(
	const struct node *node, const struct node_group *group, json_t **ret_match)
{
	bool is_heard = false, match = true;
	json_t *list = json_array();
	uint64_t own = 0;

	for (unsigned int i = 0; i < 8; i++)
		own = own << 8 | group->manifest->fingerprint[i];
	for (uint8_t i = 0; i + 1u < node->cfg->node_count; i++) {
		struct election_peer_view view;
		char hex[17];

		election_peer_view(node->core, group->index, i, &view);
		if (!view.alive)
			continue;
		is_heard = true;
		match = match && view.rules_fingerprint == own;
		snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)view.rules_fingerprint);
		(void)json_array_append_new(
			list, json_pack("{s:s?, s:s, s:b}", "node", node_name_of(node, view.node),
				      "fingerprint", hex, "match", view.rules_fingerprint == own));
	}
	*ret_match = is_heard ? json_boolean(match) : json_null();
	return list;
}

static json_t *status_rules(const struct node *node)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < node->group_count; i++) {
		const struct node_group *group = &node->groups[i];
		char hex[2 * RULES_FINGERPRINT_BYTES + 1];
		json_t *peers, *match;

		if (!group->has_rules)
			continue;
		peers = status_rules_peers(node, group, &match);
		for (unsigned int k = 0; k < RULES_FINGERPRINT_BYTES; k++)
			snprintf(hex + 2 * k, 3, "%02x", group->manifest->fingerprint[k]);
		(void)json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:o, s:o}", "group", group->config->name,
				      "active", group->rules_are_master ? "master" : "backup",
				      "fingerprint", hex, "peers_match", match, "peers", peers));
	}
	return list;
}

json_t *status_document(const struct node *node)
{
	json_t *groups = json_array();

	for (uint32_t i = 0; i < node->group_count; i++)
		(void)json_array_append_new(groups, status_group(node, (uint8_t)i));
	return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o}", "cluster", node->cfg->cluster,
		"node", node->self->name, "sync_configured", node->cfg->sync.configured, "groups",
		groups, "alarms", status_alarms(node), "rules", status_rules(node), "drill_lock",
		drill_status(node));
}

/* --- metrics -----------------------------------------------------------------------------------
 */

static void status_put_drop(json_t *drops, const char *name, uint64_t count)
{
	if (count > 0)
		(void)json_object_set_new(drops, name, json_integer((json_int_t)count));
}

static void status_carp2_drops(const struct node *node, json_t *drops)
{
	for (unsigned int i = 1; i < CARP2_DROP_COUNT; i++)
		status_put_drop(drops, carp2_drop_name((enum carp2_drop)i),
			node->carp2_drops[i] + node->core->carp2_drops[i]);
}

static json_t *status_drops(const struct node *node)
{
	json_t *drops = json_object();

	for (unsigned int i = 1; i < FRAME_DROP_COUNT; i++)
		status_put_drop(drops, frame_drop_name((enum frame_drop)i), node->frame_drops[i]);
	for (unsigned int i = 1; i < ADVERT_DROP_COUNT; i++)
		status_put_drop(drops, advert_drop_name((enum advert_drop)i),
			node->advert_drops[i] + node->core->drops[i]);
	status_carp2_drops(node, drops);
	return drops;
}

static json_t *status_transitions(const struct node_group *group)
{
	json_t *counts = json_object();

	for (unsigned int i = 1; i < REASON_COUNT; i++)
		if (group->transitions[i] > 0)
			(void)json_object_set_new(counts, reason_name((enum reason)i),
				json_integer((json_int_t)group->transitions[i]));
	return counts;
}

static json_t *status_paths(const struct node *node)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < node->path_count; i++) {
		const struct node_path *path = &node->paths[i];

		if (!path->is_used)
			continue;
		(void)json_array_append_new(list,
			json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}", "via", path->config->name, "up",
				links_entry_alive(node_path_link(path)), "sent",
				(json_int_t)path->sent, "received", (json_int_t)path->received,
				"send_errors", (json_int_t)path->send_errors, "floods",
				(json_int_t)path->floods));
	}
	return list;
}

/* status_stages: of promotions, then of demotions: how often, and how long together. */
static json_t *status_stages(const struct node_group *group)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < 2 * TRANSACTION_STAGE_COUNT; i++) {
		const struct node_stage_sum *sum = &group->stage_sums[i];

		if (sum->count > 0)
			(void)json_array_append_new(list,
				json_pack("{s:s, s:s, s:I, s:I}", "stage",
					transaction_stage_name((enum transaction_stage)(i / 2)),
					"to", i % 2 ? "backup" : "master", "count",
					(json_int_t)sum->count, "sum_us", (json_int_t)sum->us));
	}
	return list;
}

json_t *status_metrics(const struct node *node)
{
	json_t *groups = json_array();

	for (uint32_t i = 0; i < node->group_count; i++) {
		const struct node_group *group = &node->groups[i];
		struct election_group_view view;

		election_group_view(node->core, (uint8_t)i, &view);
		(void)json_array_append_new(groups,
			json_pack("{s:s, s:s, s:o, s:f, s:I, s:I, s:o}", "group",
				group->config->name, "carpool_group_state", state_name(view.state),
				"carpool_transitions_total", status_transitions(group),
				"carpool_dual_master_seconds_total",
				(double)group->dual_ms / 1000.0, "carpool_became_master_total",
				(json_int_t)group->became_master, "carpool_released_master_total",
				(json_int_t)group->released_master, "carpool_stage_seconds",
				status_stages(group)));
	}
	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "groups", groups, "paths",
		status_paths(node), "carpool_adverts_dropped_total", status_drops(node),
		"carpool_adverts_accepted_total", (json_int_t)node->core->accepted,
		"carpool_adverts_sent_total", (json_int_t)node->sent, "carpool_history_lost_total",
		(json_int_t)history_lost_count(node->history),
		"carpool_handler_answers_ignored_total",
		(json_int_t)handlers_ignored_count(node->handlers));
}
