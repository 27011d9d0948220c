#include "carpd/core/send.h"

#include "carpd/core/carp2_core.h"
#include "carpd/core/demotion.h"
#include "carpd/core/election_internal.h"
#include "carpd/core/group.h"
#include "carpd/core/order.h"
#include "carpd/core/paths.h"
#include "carpd/core/peers.h"
#include "carpd/core/timers.h"
#include "common/check.h"

#include <string.h>

/* send_sync_index: k of "the k-th pair of sync addresses". */
static uint8_t send_sync_index(const struct election *e, uint8_t path)
{
	uint8_t k = 0;

	for (uint8_t i = 0; i < path; i++)
		if (e->config.paths[i].sync)
			k++;
	return k;
}

static bool send_reaches(const struct election *e, uint8_t path, uint8_t peer)
{
	uint8_t k;

	if (!e->config.paths[path].sync)
		return true;
	k = send_sync_index(e, path);
	return k < e->config.own.sync_count && k < e->config.peers[peer].sync_count;
}

static struct election_action *send_one(
	struct election *e, uint8_t group, uint8_t path, uint8_t node)
{
	struct election_action *action = election_append(e, ELECTION_ACTION_SEND, group);

	CHECK(e->counter < REPLAY_COUNTER_LAST - 1);
	action->path = path;
	action->node = node;
	action->counter = ++e->counter;
	return action;
}

static void send_lane(struct election *e, uint16_t lane, uint64_t counter)
{
	uint8_t group = e->lanes[lane].group, path = e->lanes[lane].path;
	bool sync = e->config.paths[path].sync;

	if (e->config.carp2 && !sync) {
		carp2_core_send(e, lane, counter != 0);
		return;
	}
	for (uint8_t p = 0; p < (sync ? e->config.peer_count : 1); p++) {
		struct election_action *action;

		if (sync && !send_reaches(e, path, p))
			continue;
		action = send_one(e, group, path, sync ? e->config.peers[p].id : 0);
		if (counter)
			action->counter = counter;
	}
}

static dur_t send_judge_interval(const struct election *e, uint8_t group)
{
	enum group_state state = e->groups[group].state;

	if (state == GROUP_STATE_MASTER || state == GROUP_STATE_PROMOTING ||
		state == GROUP_STATE_DEMOTING)
		return group_interval(e, group);
	return timers_beacon(e->config.advbase);
}

void send_judge(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	if (e->closed || g->mute || (g->listening && !g->send_now))
		return;
	if (!g->send_now && !mono_reached(e->now, g->send_next)) {
		election_wake(e, g->send_next);
		return;
	}
	for (uint16_t lane = g->lane_first; lane < g->lane_first + g->lane_count; lane++)
		send_lane(e, lane, 0);
	g->send_now = false;
	g->sent_at = e->now;
	g->send_next = mono_add(e->now, send_judge_interval(e, group));
	election_wake(e, g->send_next);
}

static void send_challenge(struct election *e, uint16_t lane, uint8_t peer, const uint8_t *random)
{
	struct model_peer *p = &e->peers[peer];
	struct model_lane *l = &p->lanes[lane];
	uint8_t path = e->lanes[lane].path, id = e->config.peers[peer].id;

	l->challenge_due = false;
	if (!send_reaches(e, path, peer))
		return;
	if (!p->challenge_open) {
		memcpy(p->challenge, random, sizeof(p->challenge));
		p->challenge_open = true;
	}
	l->challenged = true;
	l->challenged_at = e->now;
	send_one(e, e->lanes[lane].group, path, e->config.paths[path].sync ? id : 0)->challenge_to =
		id;
}

/* send_questions: one to the master, on every path that has a carrier; the challenge in it is
 * answered at once and closed by the answer. */
void send_questions(
	struct election *e, uint8_t group, const uint8_t random[static ADVERT_CHALLENGE_BYTES])
{
	struct model_group *g = &e->groups[group];

	if (!g->confirm.send || e->closed || g->mute)
		return;
	g->confirm.send = false;
	for (uint16_t lane = g->lane_first; lane < g->lane_first + g->lane_count; lane++)
		if (e->ports[e->lanes[lane].path].carrier)
			send_challenge(e, lane, g->confirm.peer, random);
}

void send_answers(struct election *e, const uint8_t random[static ADVERT_CHALLENGE_BYTES])
{
	for (uint8_t i = 0; i < e->echo_count && !e->closed; i++) {
		const struct model_echo *echo = &e->echoes[i];
		uint8_t group = e->lanes[echo->lane].group, path = e->lanes[echo->lane].path;
		uint8_t id = e->config.peers[echo->peer].id;
		struct election_action *action;

		if (e->groups[group].mute || !send_reaches(e, path, echo->peer))
			continue;
		action = send_one(e, group, path, e->config.paths[path].sync ? id : 0);
		action->echo_to = id;
		action->size_bytes = echo->size_bytes;
		memcpy(action->echo, echo->bytes, sizeof(action->echo));
	}
	e->echo_count = 0;
	for (uint8_t p = 0; p < e->config.peer_count && !e->closed; p++)
		for (uint16_t lane = 0; lane < e->lane_count; lane++) {
			if (!e->peers[p].lanes[lane].challenge_due ||
				e->groups[e->lanes[lane].group].mute)
				continue;
			if (e->out->count == ELECTION_ACTIONS_MAX) {
				e->pending = true; /* the rest with the next TIMER, at once */
				return;
			}
			send_challenge(e, lane, p, random);
		}
}

void send_resignations(struct election *e)
{
	for (uint16_t lane = 0; lane < e->lane_count; lane++)
		send_lane(e, lane, REPLAY_COUNTER_LAST);
}

static void send_fill_paths(const struct election *e, uint8_t group, struct advert *a)
{
	const struct model_group *g = &e->groups[group];

	a->peer_count = e->config.peer_count;
	for (uint8_t p = 0; p < e->config.peer_count; p++)
		a->peers[p] = e->config.peers[p].id;
	for (uint16_t lane = g->lane_first; lane < g->lane_first + g->lane_count; lane++) {
		uint8_t path = e->lanes[lane].path;
		struct advert_path *entry = &a->paths[a->path_count++];

		entry->tag = e->config.paths[path].tag;
		entry->port = paths_port(e, path);
		for (uint8_t p = 0; p < e->config.peer_count; p++)
			if (peers_lane_alive(e, lane, p))
				entry->heard |= (uint8_t)(1u << p);
	}
}

/* send_fill_vacated: this group was given up and nobody is known to have it yet. */
static bool send_fill_vacated(const struct election *e, uint8_t group)
{
	const struct model_group *g = &e->groups[group];

	return g->resigned && g->state != GROUP_STATE_DEMOTING && g->state != GROUP_STATE_MASTER &&
	       g->state != GROUP_STATE_PROMOTING && peers_holder(e, group) == MODEL_NO_PEER;
}

static uint16_t send_fill_flags(const struct election *e, uint8_t group)
{
	const struct model_group *g = &e->groups[group];
	uint16_t flags = 0;

	flags |= g->ready ? ADVERT_READY : 0;
	flags |= e->maintenance ? ADVERT_MAINTENANCE : 0;
	flags |= paths_fault(e, group) || g->doubt ? ADVERT_FAULT : 0;
	flags |= g->state == GROUP_STATE_MASTER && g->from ? ADVERT_ANNOUNCED : 0;
	flags |= send_fill_vacated(e, group) ? ADVERT_RESIGN : 0;
	flags |= g->offer.active && g->offer.force ? ADVERT_FORCE : 0;
	flags |= g->yielded ? ADVERT_YIELDED : 0;
	flags |= g->wants ? ADVERT_WANTS : 0;
	flags |= g->listening ? ADVERT_ASK : 0;
	flags |= e->stopping || e->maintenance_wish.request_id ? ADVERT_STOPPING : 0;
	return flags;
}

static void send_fill_handover(const struct election *e, uint8_t group, struct advert *a)
{
	const struct model_group *g = &e->groups[group];

	if (g->offer.active) {
		a->handover_to = g->offer.target;
		a->handover_id = g->offer.id;
		a->reason = (uint8_t)g->offer.cause;
	} else if (g->from) {
		a->handover_from = g->from;
		a->handover_id = g->from_id;
	} else if (g->state == GROUP_STATE_BACKUP && g->refused) {
		a->handover_from = g->refused;
		a->handover_id = g->refused_id;
		a->flags |= ADVERT_REFUSED;
	}
	if (a->flags & ADVERT_RESIGN)
		a->successor = g->successor;
}

static void send_fill_commands(const struct election *e, uint8_t group, struct advert *a)
{
	const struct model_group *g = &e->groups[group];

	for (size_t i = 0; i < MODEL_REQUESTS_MAX; i++) {
		if (g->requests[i].request_id == 0 || g->requests[i].here)
			continue;
		a->request = ADVERT_REQUEST_HANDOVER;
		a->request_node = g->requests[i].target;
		a->request_force = g->requests[i].force;
		a->request_nonce = g->requests[i].nonce;
		break;
	}
	/* Answers take turns, by the parity of the counter, should two peers ask at once. */
	for (uint8_t i = 0; i < e->config.peer_count; i++) {
		uint8_t p = (uint8_t)((i + e->counter) % e->config.peer_count);
		const struct model_view *view = &e->peers[p].views[group];

		if (view->request != ADVERT_REQUEST_HANDOVER ||
			view->request_nonce != g->done_nonce[p] ||
			g->done_answer[p] == ADVERT_ANSWER_NONE)
			continue;
		a->answer_node = e->config.peers[p].id;
		a->answer = g->done_answer[p];
		a->answer_nonce = g->done_nonce[p];
		break;
	}
}

void send_fit(struct advert *advert, size_t size_bytes)
{
	if (advert_size(advert) > size_bytes)
		advert->key_count = 0;
	if (advert_size(advert) > size_bytes) {
		advert->peer_count = 0;
		advert->path_count = 0;
	}
}

void send_fill(const struct election *e, uint8_t group, uint8_t path, struct advert *ret_advert)
{
	const struct election_config_group *config = &e->config.groups[group];
	const struct model_group *g = &e->groups[group];
	int64_t age_ms = dur_to_ms(mono_diff(e->now, g->since));
	struct advert *a = ret_advert;

	memset(a, 0, sizeof(*a));
	a->vhid = config->vhid;
	a->sender = e->config.own.id;
	a->path_tag = e->config.paths[path].tag;
	a->group_tag = config->tag;
	/* A late clock that listens alone claims nothing. */
	a->state = (uint8_t)(g->listening ? GROUP_STATE_INIT : g->state);
	a->reason = (uint8_t)g->reason;
	a->wire_max = ADVERT_WIRE_VERSION;
	a->not_ready = g->not_ready;
	a->epoch = e->epoch;
	a->interval_us = (uint32_t)group_interval(e, group).us;
	a->demotion = (uint16_t)demotion_total(e, group);
	a->flags = send_fill_flags(e, group);
	a->term = g->state == GROUP_STATE_MASTER || g->state == GROUP_STATE_PROMOTING ||
				  g->state == GROUP_STATE_DEMOTING
			  ? g->term
			  : (struct advert_term){g->term_seen, 0};
	a->age_ms = age_ms < UINT32_MAX ? (uint32_t)age_ms : UINT32_MAX;
	a->rules_fingerprint = g->rules_fingerprint;
	a->config_fingerprint = g->config_fingerprint;
	a->address_fingerprint = g->address_fingerprint;
	a->key_count = e->config.key_count;
	memcpy(a->keys, e->config.keys, sizeof(a->keys));
	send_fill_handover(e, group, a);
	send_fill_commands(e, group, a);
	send_fill_paths(e, group, a);
}
