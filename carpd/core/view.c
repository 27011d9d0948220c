/* view.c: what status, the shell and the guard read; nothing here changes anything. The functions
 * are the const half of election.h. */
#include "carpd/core/carp2_core.h"
#include "carpd/core/confirm.h"
#include "carpd/core/demotion.h"
#include "carpd/core/election.h"
#include "carpd/core/election_internal.h"
#include "carpd/core/group.h"
#include "carpd/core/order.h"
#include "carpd/core/paths.h"
#include "carpd/core/peers.h"
#include "carpd/core/send.h"
#include "carpd/core/timers.h"
#include "common/check.h"

#include <assert.h>
#include <string.h>

static const char *const election_alarm_names[] = {
	[ELECTION_ALARM_PATH_SPLIT] = "PATH_SPLIT",
	[ELECTION_ALARM_UNPROVEN_PEER] = "UNPROVEN_PEER",
	[ELECTION_ALARM_DUAL_MASTER] = "DUAL_MASTER",
	[ELECTION_ALARM_NO_READY_PEER] = "NO_READY_PEER",
	[ELECTION_ALARM_NO_MASTER] = "NO_MASTER",
	[ELECTION_ALARM_FLAPPING] = "FLAPPING",
	[ELECTION_ALARM_PROMOTION_FAILED] = "PROMOTION_FAILED",
	[ELECTION_ALARM_FAULT] = "FAULT",
	[ELECTION_ALARM_HANDOVER_FAILED] = "HANDOVER_FAILED",
};
static_assert(ARRAY_LEN(election_alarm_names) == ELECTION_ALARM_COUNT, "an alarm has no name");

static const char *const election_reply_names[] = {
	[ELECTION_REPLY_OK] = "OK",
	[ELECTION_REPLY_NOT_READY] = "NOT_READY",
	[ELECTION_REPLY_UNKNOWN_NODE] = "UNKNOWN_NODE",
	[ELECTION_REPLY_BUSY] = "BUSY",
	[ELECTION_REPLY_FAILED] = "FAILED",
	[ELECTION_REPLY_NO_MASTER] = "NO_MASTER",
	[ELECTION_REPLY_TIMEOUT] = "TIMEOUT",
	[ELECTION_REPLY_LAST_ELIGIBLE] = "LAST_ELIGIBLE",
	[ELECTION_REPLY_STOPPING] = "STOPPING",
};
static_assert(ARRAY_LEN(election_reply_names) == ELECTION_REPLY_COUNT, "a reply has no name");

const char *election_alarm_name(enum election_alarm_code code)
{
	CHECK(code < ELECTION_ALARM_COUNT);
	return election_alarm_names[code];
}

const char *election_reply_name(enum election_reply reply)
{
	CHECK(reply < ELECTION_REPLY_COUNT);
	return election_reply_names[reply];
}

/* election_last_word: turns an advert into this epoch's resignation. */
static void election_last_word(const struct election *e, uint8_t group, struct advert *a)
{
	a->counter = REPLAY_COUNTER_LAST;
	a->state = GROUP_STATE_INIT;
	a->flags |= ADVERT_RESIGN;
	a->flags &= (uint16_t) ~(ADVERT_ANNOUNCED | ADVERT_REFUSED | ADVERT_WANTS | ADVERT_ASK);
	a->handover_to = 0;
	a->handover_from = 0;
	a->successor = group_next_best(e, group);
}

void election_advert(
	const struct election *e, const struct election_action *send, struct advert *ret_advert)
{
	uint8_t peer;

	CHECK(send->type == ELECTION_ACTION_SEND);
	send_fill(e, send->group, send->path, ret_advert);
	ret_advert->counter = send->counter;
	if (send->counter == REPLAY_COUNTER_LAST)
		election_last_word(e, send->group, ret_advert);
	ret_advert->challenge_to = send->challenge_to;
	ret_advert->echo_to = send->echo_to;
	memcpy(ret_advert->echo, send->echo, sizeof(ret_advert->echo));
	if (send->echo_to != 0)
		send_fit(ret_advert, send->size_bytes);
	peer = election_peer_index(e, send->challenge_to);
	if (peer != MODEL_NO_PEER)
		memcpy(ret_advert->challenge, e->peers[peer].challenge,
			sizeof(ret_advert->challenge));
}

void election_resignation(
	const struct election *e, uint16_t lane, struct advert *ret_advert, uint8_t *ret_path)
{
	uint8_t group;

	CHECK(lane < e->lane_count);
	group = e->lanes[lane].group;
	*ret_path = e->lanes[lane].path;
	send_fill(e, group, *ret_path, ret_advert);
	election_last_word(e, group, ret_advert);
	ret_advert->reason = REASON_GUARD;
}

uint16_t election_lane_count(const struct election *e)
{
	return e->lane_count;
}

bool election_yields(const struct election *e, uint8_t group)
{
	const struct model_group *g = &e->groups[group];
	uint8_t peer = order_best_peer(e, group, true);

	/* The old master of a hand-over still serves: nothing is lost by giving up. */
	if (g->from != 0)
		return true;
	return peer != MODEL_NO_PEER && e->peers[peer].views[group].demotion < MODEL_DEMOTION_LARGE;
}

dur_t election_guard_timeout(const struct election *e)
{
	dur_t shortest = dur_s(3600);

	for (uint8_t group = 0; group < e->config.group_count; group++) {
		dur_t down = group_master_down(e, group, DUR_ZERO);

		if (e->groups[group].state != GROUP_STATE_MASTER)
			continue;
		/* Foreign backups are never heard, and would not wait. */
		if (!peers_any_alive_at(e, group, e->now) && !carp2_core_foreign(e))
			down = dur_mul(down, 10);
		shortest = dur_min(shortest, down);
	}
	return shortest;
}

void election_group_view(const struct election *e, uint8_t group, struct election_group_view *ret)
{
	const struct model_group *g = &e->groups[group];
	uint8_t master;

	CHECK(group < e->config.group_count);
	memset(ret, 0, sizeof(*ret));
	master = peers_master(e, group);
	ret->state = g->state;
	ret->reason = g->reason;
	ret->since = g->since;
	ret->demotion = order_self(e, group).demotion;
	ret->ready = g->ready;
	ret->held = g->held;
	ret->handover_to = g->offer.active ? g->offer.target : 0;
	ret->confirm_armed = g->state == GROUP_STATE_BACKUP && confirm_armed(e, group);
	ret->answer_time = g->confirm.answered ? g->confirm.answer_time : DUR_ZERO;
	ret->interval = group_interval(e, group);
	ret->term = (struct advert_term){g->term_seen, 0};
	if (g->state == GROUP_STATE_MASTER || g->state == GROUP_STATE_PROMOTING)
		ret->term = g->term;
	else if (master != MODEL_NO_PEER)
		ret->term = e->peers[master].views[group].term;
	if (g->state == GROUP_STATE_MASTER)
		ret->master = e->config.own.id;
	else if (master != MODEL_NO_PEER)
		ret->master = e->config.peers[master].id;
	ret->master_down = group_master_down(e, group,
		master == MODEL_NO_PEER ? DUR_ZERO
					: dur_us(e->peers[master].views[group].interval_us));
}

bool election_demotion_view(
	const struct election *e, uint8_t group, uint8_t index, struct election_demotion_view *ret)
{
	const struct election_config_group *config = &e->config.groups[group];
	const struct model_group *g = &e->groups[group];

	for (size_t i = 0; i < MODEL_DEMOTIONS_MAX; i++) {
		const struct model_demotion *d = &g->demotions[i];

		if (d->weight == 0 || index-- != 0)
			continue;
		*ret = (struct election_demotion_view){d->name, d->weight, d->since, d->expires};
		return true;
	}
	for (uint8_t i = 0; i < config->interface_count; i++) {
		uint8_t path = config->interfaces[i].path;

		if (paths_port(e, path) != ADVERT_PORT_FAILED || index-- != 0)
			continue;
		*ret = (struct election_demotion_view){e->config.paths[path].name,
			config->interfaces[i].weight, e->ports[path].failed_at, MONO_NEVER};
		return true;
	}
	return false;
}

void election_peer_view(
	const struct election *e, uint8_t group, uint8_t peer, struct election_peer_view *ret)
{
	const struct model_view *view = &e->peers[peer].views[group];

	CHECK(group < e->config.group_count && peer < e->config.peer_count);
	*ret = (struct election_peer_view){
		.node = e->config.peers[peer].id,
		.proven = e->peers[peer].proven,
		.alive = peers_alive(e, group, peer),
		.state = (enum group_state)view->state,
		.ready = view->ready,
		.not_ready = view->not_ready,
		.demotion = view->known ? order_peer(e, group, peer).demotion : 0,
		.term = view->term,
		.rules_fingerprint = view->rules_fingerprint,
		.config_fingerprint = view->config_fingerprint,
		.address_fingerprint = view->address_fingerprint,
		.wire_max = view->wire_max,
		.drills = view->drills,
		.knows_drill = view->knows_drill,
		.path_count = e->groups[group].lane_count,
	};
}

bool election_peer_accepts_key(const struct election *e, uint8_t peer, uint32_t key_id)
{
	const struct model_peer *p = &e->peers[peer];

	if (!p->proven)
		return true;
	for (uint8_t i = 0; i < p->key_count; i++)
		if (p->keys[i] == key_id)
			return true;
	return false;
}

void election_path_view(const struct election *e, uint8_t group, uint8_t peer, uint8_t index,
	struct election_path_view *ret)
{
	uint16_t lane = (uint16_t)(e->groups[group].lane_first + index);
	const struct model_lane *l = &e->peers[peer].lanes[lane];

	CHECK(index < e->groups[group].lane_count);
	*ret = (struct election_path_view){
		.path = e->lanes[lane].path,
		.alive = peers_lane_alive(e, lane, peer),
		.heard_by_peer = l->heard_by_peer && peers_alive(e, group, peer),
		.last_ms = l->heard ? dur_to_ms(mono_diff(e->now, l->heard_at)) : -1,
		.port = paths_port(e, e->lanes[lane].path),
		.peer_port = l->peer_port,
	};
}

bool election_alarm_view(const struct election *e, uint16_t index, struct election_alarm_view *ret)
{
	for (uint8_t group = 0; group < e->config.group_count; group++)
		for (int code = 0; code < ELECTION_ALARM_COUNT; code++) {
			const struct model_group *g = &e->groups[group];

			if (!g->alarms[code].on || index-- != 0)
				continue;
			*ret = (struct election_alarm_view){(enum election_alarm_code)code, group,
				g->alarms[code].node, g->alarms[code].since};
			return true;
		}
	return false;
}
