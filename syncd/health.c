#include "syncd/health.h"

#include "syncd/node.h"

#include <stdio.h>
#include <string.h>

/* A standby whose kernel has so much still to be told is behind. */
#define HEALTH_BACKLOG_MAX 50000u

static const struct session *health_source(const struct node *node, const char *master)
{
	for (uint8_t peer = 0; peer < node->peer_count; peer++)
		if (strcmp(channel_peer_node(node->cfg, peer)->name, master) == 0)
			return &node->sessions[peer];
	return NULL;
}

static const char *health_of_group(const struct node *node, uint8_t group)
{
	const char *master = node->groups[group].master;
	const struct session *s = health_source(node, master);

	if (node->engine.groups[group].role == SYNCMSG_ROLE_ACTIVE || !s)
		return NULL;
	if (s->state != SESSION_STATE_LIVE)
		return "SYNC_NOT_CONNECTED";
	if (!session_group_in_sync(s, &node->engine, group))
		return "SYNC_TRANSFER";
	return NULL;
}

static void health_add(json_t *list, const char *code)
{
	size_t index;
	json_t *other;

	json_array_foreach (list, index, other)
		if (strcmp(json_string_value(other), code) == 0)
			return;
	/* Without memory the report is shorter; the next one is made anew. */
	(void)json_array_append_new(list, json_string(code));
}

static void health_add_alarm(json_t *list, const char *code, const char *text)
{
	(void)json_array_append_new(list, json_pack("{s:s, s:s}", "code", code, "text", text));
}

static void health_collect(const struct node *node, json_t *not_ready, json_t *alarms)
{
	const struct engine *e = &node->engine;
	bool active = node_is_active(node);

	for (uint8_t group = 0; group < node->cfg->group_count; group++) {
		const char *code = health_of_group(node, group);

		if (code)
			health_add(not_ready, code);
	}
	if (e->kernel_full || e->table_full) {
		health_add_alarm(alarms, "TABLE_FULL",
			e->kernel_full ? "the kernel's conntrack table is full: flows are missing"
				       : "sync.max_flows is reached: flows are missing");
		if (!active)
			health_add(not_ready, "TABLE_FULL");
	} else if (node->fill_percent > NODE_FULL_PERCENT) {
		health_add_alarm(alarms, "TABLE_NEARLY_FULL",
			"the kernel's conntrack table is more than 95 % full");
		if (!active)
			health_add(not_ready, "TABLE_FULL");
	}
	if (!active && e->config.warm &&
		e->consumers[SYNC_CONSUMER_KERNEL].dirty.count > HEALTH_BACKLOG_MAX)
		health_add(not_ready, "SYNC_BACKLOG");
}

/* health_of_peers: sizes that differ are a warning: the backup could take fewer flows. */
static void health_of_peers(const struct node *node, json_t *alarms)
{
	for (uint8_t peer = 0; peer < node->peer_count; peer++) {
		const struct session *s = &node->sessions[peer];
		char text[160];

		if (s->state != SESSION_STATE_LIVE || !s->theirs.flows_max ||
			(s->theirs.flows_max == s->ours.flows_max &&
				s->theirs.buckets == s->ours.buckets))
			continue;
		snprintf(text, sizeof(text),
			"nf_conntrack_max/buckets are %u/%u here and %u/%u on %.40s",
			s->ours.flows_max, s->ours.buckets, s->theirs.flows_max, s->theirs.buckets,
			channel_peer_node(node->cfg, peer)->name);
		health_add_alarm(alarms, "TABLE_SIZES_DIFFER", text);
	}
}

void health_report(struct node *node)
{
	json_t *not_ready = json_array(), *alarms = json_array();
	json_t *both = json_pack("[O, O]", not_ready, alarms);
	char *text;

	health_collect(node, not_ready, alarms);
	health_of_peers(node, alarms);
	text = both ? json_dumps(both, JSON_COMPACT) : NULL;
	if (node->carpd.connected && text &&
		strncmp(text, node->health, sizeof(node->health) - 1) != 0) {
		snprintf(node->health, sizeof(node->health), "%s", text);
		carpd_client_health(&node->carpd, json_array_size(not_ready) == 0,
			json_incref(not_ready), json_incref(alarms));
	}
	free(text);
	json_decref(both);
	json_decref(not_ready);
	json_decref(alarms);
}
