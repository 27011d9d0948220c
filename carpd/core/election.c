#include "carpd/core/election.h"

#include "carpd/core/carp2_core.h"
#include "carpd/core/demotion.h"
#include "carpd/core/election_internal.h"
#include "carpd/core/group.h"
#include "carpd/core/operator.h"
#include "carpd/core/order.h"
#include "carpd/core/paths.h"
#include "carpd/core/peers.h"
#include "carpd/core/send.h"
#include "carpd/core/stalls.h"
#include "carpd/core/trace.h"
#include "common/check.h"

#include <string.h>

void election_wake(struct election *e, mono_t at)
{
	/* Whoever asks for an instant that has come already should have acted on it: that is a
	 * fault of the core, which the simulator looks for. In production it must not become a busy
	 * loop. */
	if (mono_reached(e->now, at)) {
		e->wakes_overdue++;
		at = mono_add(e->now, dur_ms(1));
	}
	e->wake_at = mono_min(e->wake_at, at);
}

struct election_action *election_append(
	struct election *e, enum election_action_type type, uint8_t group)
{
	struct election_action *action;

	CHECK(e->out != NULL);
	CHECK(e->out->count < ELECTION_ACTIONS_MAX);
	action = &e->out->list[e->out->count++];
	memset(action, 0, sizeof(*action));
	action->type = type;
	action->group = group;
	return action;
}

uint8_t election_peer_index(const struct election *e, uint8_t id)
{
	for (uint8_t p = 0; id != 0 && p < e->config.peer_count; p++)
		if (e->config.peers[p].id == id)
			return p;
	return MODEL_NO_PEER;
}

void election_alarm(
	struct election *e, uint8_t group, enum election_alarm_code code, uint8_t node, bool on)
{
	struct model_group *g = &e->groups[group];
	struct election_action *action;

	if (g->alarms[code].on == on)
		return;
	g->alarms[code].on = on;
	g->alarms[code].node = node;
	g->alarms[code].since = e->now;
	action = election_append(e, ELECTION_ACTION_ALARM, group);
	action->alarm = code;
	action->node = node;
	action->on = on;
	trace_line(e, group, TRACE_TEXT("alarm %s", election_alarm_name(code)),
		on ? "raised" : "cleared");
}

void election_reply(
	struct election *e, uint8_t group, uint32_t request_id, enum election_reply reply)
{
	struct election_action *action;

	if (request_id == 0)
		return;
	action = election_append(e, ELECTION_ACTION_REPLY, group);
	action->request_id = request_id;
	action->reply = reply;
	trace_line(e, group, "operator's request",
		TRACE_TEXT("answer %s", election_reply_name(reply)));
}

/* election_init_lanes: a group's lanes are its interfaces, in the config's order, then every sync
 * path. */
static void election_init_lanes(struct election *e, uint8_t group)
{
	const struct election_config_group *config = &e->config.groups[group];
	struct model_group *g = &e->groups[group];

	g->lane_first = e->lane_count;
	for (uint8_t i = 0; i < config->interface_count; i++) {
		CHECK(config->interfaces[i].path < e->config.path_count);
		CHECK(e->lane_count < MODEL_LANES_MAX);
		e->lanes[e->lane_count].group = group;
		e->lanes[e->lane_count++].path = config->interfaces[i].path;
	}
	for (uint8_t path = 0; path < e->config.path_count; path++) {
		if (!e->config.paths[path].sync)
			continue;
		CHECK(e->lane_count < MODEL_LANES_MAX);
		e->lanes[e->lane_count].group = group;
		e->lanes[e->lane_count++].path = path;
	}
	g->lane_count = (uint8_t)(e->lane_count - g->lane_first);
}

void election_init(
	struct election *e, const struct election_config *config, uint64_t epoch, mono_t now)
{
	CHECK(epoch != 0);
	CHECK(config->peer_count <= LIMIT_PEERS);
	CHECK(config->group_count <= LIMIT_GROUPS);
	CHECK(config->path_count <= LIMIT_PATHS);
	CHECK(config->own.id != 0);
	CHECK(config->damping_moves <= MODEL_FLAPS_MAX);
	memset(e, 0, sizeof(*e));
	e->config = *config;
	e->epoch = epoch;
	e->now = now;
	e->stepped_at = now;
	e->wake_at = now;
	e->pending = true;
	e->maintenance = config->maintenance;
	e->maintenance_until = config->maintenance ? config->maintenance_until : MONO_NEVER;
	for (uint8_t path = 0; path < config->path_count; path++)
		e->ports[path].carrier = true;
	for (uint8_t group = 0; group < config->group_count; group++) {
		election_init_lanes(e, group);
		group_init(e, group);
	}
}

void election_set_trace(struct election *e,
	void (*trace)(void *context, const struct election_trace *line), void *context)
{
	e->trace = trace;
	e->trace_context = context;
}

static void election_step_timer(struct election *e, const struct election_event *event)
{
	e->pending = false;
	e->wake_at = MONO_NEVER;
	for (uint8_t group = 0; group < e->config.group_count; group++)
		group_judge(e, group);
	operator_judge_node(e);
	for (uint8_t group = 0; group < e->config.group_count; group++)
		send_judge(e, group);
	for (uint8_t group = 0; group < e->config.group_count; group++)
		send_questions(e, group, event->random);
	send_answers(e, event->random);
}

static void election_step_readiness(
	struct election *e, uint8_t group, const struct election_event *event)
{
	struct model_group *g = &e->groups[group];

	if (g->ready != event->readiness.ready)
		trace_line(e, group, event->readiness.ready ? "ready" : "not ready",
			event->readiness.ready ? "counts in full" : "counts 30 worse");
	if (g->ready != event->readiness.ready || g->not_ready != event->readiness.not_ready)
		g->send_now = true;
	g->ready = event->readiness.ready;
	g->not_ready = event->readiness.not_ready;
}

static void election_step_group(
	struct election *e, uint8_t group, const struct election_event *event)
{
	struct model_group *g = &e->groups[group];

	if (event->type == ELECTION_EVENT_READINESS) {
		election_step_readiness(e, group, event);
	} else if (event->type == ELECTION_EVENT_DEMOTION) {
		demotion_set(e, group, event->demotion.name, event->demotion.weight,
			event->demotion.when_master, MONO_NEVER);
	} else if (event->type == ELECTION_EVENT_FINGERPRINTS) {
		g->rules_fingerprint = event->fingerprints.rules;
		g->config_fingerprint = event->fingerprints.config;
		g->address_fingerprint = event->fingerprints.addresses;
		g->send_now = true;
	} else {
		CHECK(event->type == ELECTION_EVENT_RELOAD);
		demotion_forget_sticky(e, group);
	}
}

/* election_step_groups: an event for one group or for all. */
static void election_step_groups(struct election *e, const struct election_event *event)
{
	CHECK(event->group == ELECTION_ALL || event->group < e->config.group_count);
	for (uint8_t group = 0; group < e->config.group_count; group++)
		if (event->group == ELECTION_ALL || event->group == group)
			election_step_group(e, group, event);
}

static void election_step_packet(struct election *e, const struct election_event *event)
{
	enum advert_drop drop;

	CHECK(event->path < e->config.path_count);
	CHECK(event->packet != NULL);
	drop = peers_receive(e, event->path, event->packet);
	if (drop == ADVERT_DROP_NONE)
		e->accepted++;
	else
		e->drops[drop]++;
}

static void election_step_carp2(struct election *e, const struct election_event *event)
{
	enum carp2_drop drop;

	CHECK(event->group < e->config.group_count && event->path < e->config.path_count);
	drop = carp2_core_receive(e, event);
	if (drop == CARP2_DROP_NONE)
		e->accepted++;
	else
		e->carp2_drops[drop]++;
}

static void election_step_dispatch(struct election *e, const struct election_event *event)
{
	switch (event->type) {
	case ELECTION_EVENT_TIMER:
		election_step_timer(e, event);
		return;
	case ELECTION_EVENT_PACKET:
		election_step_packet(e, event);
		return;
	case ELECTION_EVENT_CARP2:
		election_step_carp2(e, event);
		return;
	case ELECTION_EVENT_PROMOTED:
		group_promoted(e, event->group);
		return;
	case ELECTION_EVENT_PROMOTION_FAILED:
		group_promotion_failed(e, event->group);
		return;
	case ELECTION_EVENT_DEMOTED:
		group_demoted(e, event->group);
		return;
	case ELECTION_EVENT_RELOAD:
		e->config.preempt = event->reload.preempt;
		e->config.settle = event->reload.settle;
		e->config.damping_moves = event->reload.damping_moves;
		e->config.damping_within = event->reload.damping_within;
		e->config.damping_hold = event->reload.damping_hold;
		e->config.confirm_questions = event->reload.confirm_questions;
		e->config.confirm_spacing = event->reload.confirm_spacing;
		election_step_groups(e, event);
		return;
	case ELECTION_EVENT_READINESS:
	case ELECTION_EVENT_DEMOTION:
	case ELECTION_EVENT_FINGERPRINTS:
		election_step_groups(e, event);
		return;
	case ELECTION_EVENT_CARRIER:
		paths_carrier(e, event->path, event->up);
		return;
	case ELECTION_EVENT_TESTED:
		paths_tested(e, event->path, event->passed);
		return;
	case ELECTION_EVENT_HANDOVER:
		operator_handover(e, event);
		return;
	case ELECTION_EVENT_MAINTENANCE:
		operator_maintenance(e, event);
		return;
	case ELECTION_EVENT_STOP:
		operator_stop(e);
		return;
	case ELECTION_EVENT_COUNT:
		break;
	}
	CHECK(!"an event of no known type");
}

void election_step(
	struct election *e, const struct election_event *event, struct election_actions *out)
{
	CHECK(event->now.us >= e->now.us);
	e->now = event->now;
	e->out = out;
	stalls_detect(e);
	/* Once seen, the lateness is over: the packets drained next are not late again. */
	e->wake_at = mono_max(e->wake_at, e->now);
	e->pending = true;
	election_step_dispatch(e, event);
	e->stepped_at = e->now;
	e->out = NULL;
}

bool election_asked(const struct election *e)
{
	return e->echo_count > 0;
}

mono_t election_next_deadline(const struct election *e)
{
	return e->pending ? e->stepped_at : e->wake_at;
}
