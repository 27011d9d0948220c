/* What each action of the core makes the shell do, and how a transition is told: one line in the
 * log, one record in the history, one event to whoever listens, one role to the handlers. */
#include "carpd/node.h"

#include "carpd/journal.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/notify.h"

#include <stdio.h>
#include <string.h>

#define NODE_LINE_MAX 1024u

const char *node_name_of(const struct node *node, uint8_t id)
{
	const struct config_node *found = id ? config_node_lookup_id(node->cfg, id) : NULL;

	return found ? found->name : NULL;
}

/* --- roles ------------------------------------------------------------------------------------ */

static json_t *node_role(const struct node *node, uint8_t group)
{
	struct election_group_view view;

	election_group_view(node->core, group, &view);
	return json_pack("{s:s, s:s, s:s, s:I, s:i, s:s?}", "event", "role", "group",
		node->cfg->groups[group].name, "state", state_name(view.state), "term",
		(json_int_t)view.term.number, "term_owner", (int)view.term.owner, "master",
		node_name_of(node, view.master));
}

void node_tell_role(struct node *node, uint8_t group, struct control_conn conn)
{
	json_t *role = node_role(node, group);

	handlers_tell_role(node->handlers, conn, role);
	json_decref(role);
}

void node_tell_roles(struct node *node, struct control_conn conn)
{
	for (uint32_t i = 0; node->is_started && i < node->group_count; i++)
		node_tell_role(node, (uint8_t)i, conn);
}

/* --- records -----------------------------------------------------------------------------------
 */

static json_t *node_record_stages(const struct transaction *t)
{
	json_t *stages = json_array();

	for (uint32_t i = 0; i < t->record_count; i++) {
		const struct transaction_record *record = &t->records[i];
		json_t *stage = json_pack("{s:s, s:I, s:b}", "stage", record->stage, "us",
			(json_int_t)record->us, "ok", record->ok);

		if (!record->ok)
			(void)json_object_set_new(stage, "error", json_string(record->error));
		(void)json_array_append_new(stages, stage);
	}
	return stages;
}

static json_t *node_record_facts(const struct node_group *group)
{
	json_t *facts = json_object();

	for (uint8_t i = 0; i < group->fact_count; i++)
		(void)json_object_set_new(facts, group->facts[i].name,
			json_integer((json_int_t)group->facts[i].value));
	return facts;
}

/* node_record_line: "edge: backup -> master, MASTER_DEAD (silent_us 31020), term 7; state 812 us".
 */
static void node_record_line(const struct node_group *group, enum group_state from,
	enum group_state to, enum reason reason, uint64_t term)
{
	char line[NODE_LINE_MAX];
	const struct journal_transition transition = {
		.group = group->config->name,
		.from = state_name(from),
		.to = state_name(to),
		.reason = reason_name(reason),
		.term = term,
		.details = line,
	};
	const struct transaction *t = &group->transaction;
	size_t used = 0;

	line[0] = '\0';
	for (uint8_t i = 0; i < group->fact_count && used < sizeof(line) - 1; i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s %lld",
			i ? ", " : " (", group->facts[i].name, (long long)group->facts[i].value);
	if (group->fact_count && used < sizeof(line) - 1)
		used += (size_t)snprintf(line + used, sizeof(line) - used, ")");
	for (uint32_t i = 0; i < t->record_count && used < sizeof(line) - 1; i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s %lld us%s",
			i ? ", " : "; ", t->records[i].stage, (long long)t->records[i].us,
			t->records[i].ok ? "" : " failed");
	journal_transition(&transition);
}

/* node_count_stages: for the metrics, by where the transition led; handlers' parts lie within. */
static void node_count_stages(struct node_group *group, enum group_state from, enum group_state to)
{
	const struct transaction *t = &group->transaction;

	group->became_master += to == GROUP_STATE_MASTER;
	group->released_master += from == GROUP_STATE_MASTER && to != GROUP_STATE_MASTER;
	for (uint32_t i = 0; i < t->record_count; i++) {
		for (unsigned int stage = 0; stage < TRANSACTION_STAGE_COUNT; stage++) {
			struct node_stage_sum *sum =
				&group->stage_sums[2 * stage + (to != GROUP_STATE_MASTER)];

			if (strcmp(transaction_stage_name((enum transaction_stage)stage),
				    t->records[i].stage) != 0)
				continue;
			sum->count++;
			sum->us += t->records[i].us;
		}
	}
}

void node_record(struct node *node, uint8_t index, enum group_state from, enum group_state to,
	enum reason reason, uint64_t term)
{
	struct node_group *group = &node->groups[index];
	char time[CLOCK_TEXT_MAX];
	json_t *record;

	node_record_line(group, from, to, reason, term);
	node_count_stages(group, from, to);
	record = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:o}", "time",
		clock_render(clock_wall_us(), time), "group", group->config->name, "from",
		state_name(from), "to", state_name(to), "reason", reason_name(reason), "facts",
		node_record_facts(group), "term", (json_int_t)term, "stages",
		node_record_stages(&group->transaction));
	history_add(node->history, record);
	(void)json_object_set_new(record, "event", json_string("transition"));
	if (node->server)
		(void)control_server_publish(node->server, NODE_TOPIC_EVENTS, record);
	else
		json_decref(record);
	group->transaction.record_count =
		transaction_is_running(&group->transaction) ? group->transaction.record_count : 0;
	group->fact_count = 0;
}

/* --- transitions -------------------------------------------------------------------------------
 */

/* node_is_passing: states that a group passes through; their record is written at the end. */
static bool node_is_passing(enum group_state state)
{
	return state == GROUP_STATE_PROMOTING || state == GROUP_STATE_DEMOTING;
}

static void node_after_handlers(struct node *node, const struct election_action *action)
{
	struct node_group *group = &node->groups[action->group];
	struct handlers_transition transition = {
		.group = action->group,
		.is_demotion = action->new_state != GROUP_STATE_MASTER,
		.reason = action->reason,
		.term = action->term,
		.other = node_name_of(node, group->transaction.cause.node),
	};
	struct handlers_failure failure;

	/* Told, and not awaited. */
	(void)!handlers_begin(node->handlers, CONFIG_PHASE_AFTER, &transition, &failure);
}

static void node_save_term(struct node *node, const struct election_action *action)
{
	const char *name = node->cfg->groups[action->group].name;

	(void)json_object_set_new(node->terms, name, json_integer((json_int_t)action->term.number));
	history_save(node->history, "terms.json", node->terms);
}

static void node_act_transition(struct node *node, const struct election_action *action)
{
	struct node_group *group = &node->groups[action->group];
	enum group_state from = (enum group_state)action->old_state;
	enum group_state to = (enum group_state)action->new_state;

	group->since_wall_us = clock_wall_us();
	/* The numbers that decided came with the first step of the transition. */
	if (action->fact_count > 0 && (!group->record_open || group->fact_count == 0)) {
		group->fact_count = action->fact_count;
		memcpy(group->facts, action->facts, sizeof(group->facts));
	}
	if (node_is_passing(to)) {
		if (!group->record_open)
			group->record_from = from;
		group->record_open = true;
		if (to == GROUP_STATE_PROMOTING)
			node_save_term(node, action);
		log_info("%s: %s -> %s, %s, term %llu", group->config->name, state_name(from),
			state_name(to), reason_name(action->reason),
			(unsigned long long)action->term.number);
	} else {
		node_record(node, action->group, group->record_open ? group->record_from : from, to,
			action->reason, action->term.number);
		group->transitions[action->reason]++;
		if (group->record_open || to == GROUP_STATE_MASTER)
			node_after_handlers(node, action);
		group->record_open = false;
	}
	node_guard_publish(node);
	node_tell_role(node, action->group, (struct control_conn){0});
	notify_status("%s: %s", group->config->name, state_name(to));
}

static void node_act_alarm(struct node *node, const struct election_action *action)
{
	const char *name = election_alarm_name(action->alarm);
	const char *group = node->cfg->groups[action->group].name;
	char time[CLOCK_TEXT_MAX];

	journal_alarm(group, name, action->on, "");
	(void)control_server_publish(node->server, NODE_TOPIC_EVENTS,
		json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "event", "alarm", "time",
			clock_render(clock_wall_us(), time), "code", name, "group", group, "on",
			action->on, "text", name));
}

static void node_act_maintenance(struct node *node, const struct election_action *action)
{
	json_t *value = json_pack("{s:b, s:n}", "on", action->on, "until_us");

	if (action->on && !mono_is_never(action->until))
		(void)json_object_set_new(value, "until_us",
			json_integer(clock_wall_us() + mono_diff(action->until, clock_now()).us));
	json_decref(node->maintenance);
	node->maintenance = value;
	history_save(node->history, "maintenance.json", value);
	log_notice("maintenance is %s", action->on ? "on" : "off");
}

static void node_act_dual(struct node *node, const struct election_action *action)
{
	node->groups[action->group].dual_ms += action->dual_ms;
	log_warnx("%s: DUAL_MASTER for %lld ms is over", node->cfg->groups[action->group].name,
		(long long)action->dual_ms);
}

void node_act(struct node *node, const struct election_action *action)
{
	switch (action->type) {
	case ELECTION_ACTION_SEND:
		node_send(node, action);
		return;
	case ELECTION_ACTION_PROMOTE:
		node_promote(node, action);
		return;
	case ELECTION_ACTION_DEMOTE:
		node_demote(node, action);
		return;
	case ELECTION_ACTION_REANNOUNCE:
		node_announce(&node->groups[action->group]);
		return;
	case ELECTION_ACTION_LIBERAL:
		liberal_set(node, action->group, action->on);
		return;
	case ELECTION_ACTION_PROBE:
		health_start(&node->paths[action->path]);
		return;
	case ELECTION_ACTION_TRANSITION:
		node_act_transition(node, action);
		return;
	case ELECTION_ACTION_MASTER:
		node_guard_publish(node);
		node_tell_role(node, action->group, (struct control_conn){0});
		return;
	case ELECTION_ACTION_ALARM:
		node_act_alarm(node, action);
		return;
	case ELECTION_ACTION_REPLY:
		ops_reply(node, action);
		return;
	case ELECTION_ACTION_MAINTENANCE:
		node_act_maintenance(node, action);
		return;
	case ELECTION_ACTION_DUAL:
		node_act_dual(node, action);
		return;
	case ELECTION_ACTION_STOPPED:
		(void)sd_event_exit(node->event, 0);
		return;
	case ELECTION_ACTION_COUNT:
		break;
	}
	CHECK(false);
}
