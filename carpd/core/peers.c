#include "carpd/core/peers.h"

#include "carpd/core/confirm.h"
#include "carpd/core/election_internal.h"
#include "carpd/core/group.h"
#include "carpd/core/timers.h"
#include "carpd/core/trace.h"
#include "common/check.h"

#include <string.h>

#define PEERS_NO_LANE 0xffffu

bool peers_holds(const struct election *e, uint8_t group, uint8_t peer)
{
	const struct model_view *view = &e->peers[peer].views[group];

	return view->known &&
	       (view->state == GROUP_STATE_MASTER || view->state == GROUP_STATE_PROMOTING ||
		       view->state == GROUP_STATE_DEMOTING);
}

dur_t peers_silence(const struct election *e, uint8_t group, uint8_t peer)
{
	const struct election_config *config = &e->config;
	dur_t interval = dur_us(e->peers[peer].views[group].interval_us);

	if (peers_holds(e, group, peer))
		return group_master_down(e, group, interval);
	return timers_beacon_down(config->advbase, config->dead_factor, interval);
}

mono_t peers_dead_at(const struct election *e, uint8_t group, uint8_t peer)
{
	const struct model_view *view = &e->peers[peer].views[group];

	if (!view->known || view->closed)
		return MONO_ZERO;
	if (view->confirmed)
		return view->confirmed_at;
	return mono_add(view->heard_at, peers_silence(e, group, peer));
}

bool peers_alive_at(const struct election *e, uint8_t group, uint8_t peer, mono_t at)
{
	const struct model_view *view = &e->peers[peer].views[group];

	return view->known && !view->closed && at.us < peers_dead_at(e, group, peer).us;
}

bool peers_alive(const struct election *e, uint8_t group, uint8_t peer)
{
	return peers_alive_at(e, group, peer, e->now);
}

bool peers_any_alive_at(const struct election *e, uint8_t group, mono_t at)
{
	for (uint8_t p = 0; p < e->config.peer_count; p++)
		if (peers_alive_at(e, group, p, at))
			return true;
	return false;
}

bool peers_lane_alive(const struct election *e, uint16_t lane, uint8_t peer)
{
	uint8_t group = e->lanes[lane].group;
	const struct model_lane *l = &e->peers[peer].lanes[lane];
	const struct model_view *view = &e->peers[peer].views[group];

	return l->heard && view->known && !view->closed && !view->confirmed &&
	       e->now.us < mono_add(l->heard_at, peers_silence(e, group, peer)).us;
}

bool peers_hears_us(const struct election *e, uint8_t group, uint8_t peer)
{
	return e->peers[peer].views[group].hears & 0x80;
}

/* peers_best_of: the live peer with the highest term among those in one of two states. */
static uint8_t peers_best_of(
	const struct election *e, uint8_t group, enum group_state a, enum group_state b)
{
	uint8_t best = MODEL_NO_PEER;

	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_view *view = &e->peers[p].views[group];

		if (!peers_alive(e, group, p) || (view->state != a && view->state != b))
			continue;
		if (best == MODEL_NO_PEER ||
			advert_term_compare(view->term, e->peers[best].views[group].term) > 0)
			best = p;
	}
	return best;
}

uint8_t peers_master(const struct election *e, uint8_t group)
{
	return peers_best_of(e, group, GROUP_STATE_MASTER, GROUP_STATE_MASTER);
}

uint8_t peers_holder(const struct election *e, uint8_t group)
{
	uint8_t master = peers_master(e, group);

	if (master != MODEL_NO_PEER)
		return master;
	return peers_best_of(e, group, GROUP_STATE_PROMOTING, GROUP_STATE_DEMOTING);
}

/* peers_forget: the instant of the last advert, moved by what was slept through since; so much that
 * at least `grace` is left, and never past now. */
static mono_t peers_forget(
	const struct election *e, mono_t heard_at, dur_t silence, dur_t late, dur_t grace)
{
	mono_t least = {e->now.us + grace.us - silence.us};

	return mono_min(e->now, mono_max(mono_add(heard_at, late), least));
}

void peers_forget_silence(struct election *e, uint8_t group, dur_t late, dur_t grace)
{
	const struct model_group *g = &e->groups[group];
	mono_t asleep_at = e->stepped_at;

	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		struct model_view *view = &e->peers[p].views[group];
		dur_t silence = peers_silence(e, group, p);

		if (!peers_alive_at(e, group, p, asleep_at))
			continue;
		view->heard_at = peers_forget(e, view->heard_at, silence, late, grace);
		for (uint16_t lane = g->lane_first; lane < g->lane_first + g->lane_count; lane++) {
			struct model_lane *l = &e->peers[p].lanes[lane];

			if (l->heard && asleep_at.us < mono_add(l->heard_at, silence).us)
				l->heard_at = peers_forget(e, l->heard_at, silence, late, grace);
		}
	}
}

static uint16_t peers_receive_lane(const struct election *e, uint8_t group, uint8_t path)
{
	const struct model_group *g = &e->groups[group];

	for (uint16_t lane = g->lane_first; lane < g->lane_first + g->lane_count; lane++)
		if (e->lanes[lane].path == path)
			return lane;
	return PEERS_NO_LANE;
}

static uint8_t peers_receive_group(const struct election *e, uint32_t tag)
{
	for (uint8_t i = 0; i < e->config.group_count; i++)
		if (e->config.groups[i].tag == tag)
			return i;
	return ELECTION_ALL;
}

/* peers_receive_hears: whom the packet's sender hears on any path, as own peer indices; bit 7 is
 * this node. Also notes, lane by lane, whether it hears us and how its port is. */
static uint8_t peers_receive_hears(
	struct election *e, uint8_t group, uint8_t peer, const struct advert *packet)
{
	const struct model_group *g = &e->groups[group];
	uint8_t any = 0, own_bit = 0, hears = 0;

	for (uint8_t i = 0; i < packet->path_count; i++)
		any |= packet->paths[i].heard;
	for (uint8_t i = 0; i < packet->peer_count; i++) {
		uint8_t index = election_peer_index(e, packet->peers[i]);

		if (packet->peers[i] == e->config.own.id)
			own_bit = (uint8_t)(1u << i);
		else if (index != MODEL_NO_PEER && any & 1u << i)
			hears |= (uint8_t)(1u << index);
	}
	if (any & own_bit)
		hears |= 0x80;
	for (uint16_t lane = g->lane_first; lane < g->lane_first + g->lane_count; lane++) {
		struct model_lane *l = &e->peers[peer].lanes[lane];
		uint32_t tag = e->config.paths[e->lanes[lane].path].tag;

		l->heard_by_peer = false;
		for (uint8_t i = 0; i < packet->path_count; i++) {
			if (packet->paths[i].tag != tag)
				continue;
			l->heard_by_peer = packet->paths[i].heard & own_bit;
			l->peer_port = packet->paths[i].port;
		}
		if (l->heard_by_peer)
			l->was_heard_by_peer = true;
	}
	return hears;
}

static void peers_receive_flags(struct model_view *view, uint16_t flags)
{
	view->ready = flags & ADVERT_READY;
	view->maintenance = flags & ADVERT_MAINTENANCE;
	view->fault = flags & ADVERT_FAULT;
	view->announced = flags & ADVERT_ANNOUNCED;
	view->resign = flags & ADVERT_RESIGN;
	view->force = flags & ADVERT_FORCE;
	view->refused = flags & ADVERT_REFUSED;
	view->yielded = flags & ADVERT_YIELDED;
	view->wants = flags & ADVERT_WANTS;
	view->asks = flags & ADVERT_ASK;
	view->stopping = flags & ADVERT_STOPPING;
	view->drills = flags & ADVERT_DRILL;
	view->knows_drill = flags & ADVERT_DRILL_KNOWN;
}

/* peers_receive_content: an advert newer than all that this peer has said about the group. */
static void peers_receive_content(
	struct election *e, uint8_t group, uint8_t peer, const struct advert *packet)
{
	struct model_view *view = &e->peers[peer].views[group];

	peers_receive_flags(view, packet->flags);
	view->known = true;
	view->counter = packet->counter;
	view->state = packet->state;
	view->reason = packet->reason;
	view->not_ready = packet->not_ready;
	view->wire_max = packet->wire_max;
	view->handover_to = packet->handover_to;
	view->handover_from = packet->handover_from;
	view->handover_id = packet->handover_id;
	view->successor = packet->successor;
	view->interval_us = packet->interval_us;
	view->demotion = packet->demotion;
	view->age_ms = packet->age_ms;
	view->term = packet->term;
	view->request = packet->request;
	view->request_node = packet->request_node;
	view->request_force = packet->request_force;
	view->request_nonce = packet->request_nonce;
	view->answer_node = packet->answer_node;
	view->answer = packet->answer;
	view->answer_nonce = packet->answer_nonce;
	view->rules_fingerprint = packet->rules_fingerprint;
	view->config_fingerprint = packet->config_fingerprint;
	view->address_fingerprint = packet->address_fingerprint;
	/* Every node has keys, peers and paths: an answer that had no room for them leaves out what
	 * this node knows (send_fit()). */
	if (packet->peer_count > 0)
		view->hears = peers_receive_hears(e, group, peer, packet);
	view->closed = packet->counter == REPLAY_COUNTER_LAST;
	if (packet->term.number > e->groups[group].term_seen)
		e->groups[group].term_seen = packet->term.number;
	if (packet->key_count == 0)
		return;
	e->peers[peer].key_count = packet->key_count;
	memcpy(e->peers[peer].keys, packet->keys, sizeof(packet->keys));
}

/* peers_receive_alive: it lives, again or at last: what it heard before its silence is forgotten.
 */
static void peers_receive_alive(struct election *e, uint8_t group, uint8_t peer)
{
	const struct model_group *g = &e->groups[group];

	e->peers[peer].views[group].alive_from = e->now;
	for (uint16_t lane = g->lane_first; lane < g->lane_first + g->lane_count; lane++)
		e->peers[peer].lanes[lane].was_heard_by_peer = false;
}

/* peers_receive_take: an advert of the proven epoch that passed its window. */
static void peers_receive_take(
	struct election *e, uint8_t group, uint16_t lane, uint8_t peer, const struct advert *packet)
{
	struct model_lane *l = &e->peers[peer].lanes[lane];
	struct model_view *view = &e->peers[peer].views[group];
	bool was_alive = peers_alive(e, group, peer);
	bool held = peers_holds(e, group, peer);
	mono_t dead_at = peers_dead_at(e, group, peer);

	l->heard = true;
	l->heard_at = e->now;
	view->heard_at = e->now;
	view->confirmed = false;
	if (!was_alive)
		peers_receive_alive(e, group, peer);
	if (view->known && packet->counter <= view->counter)
		return; /* overtaken by the same sender's advert on another path */
	peers_receive_content(e, group, peer, packet);
	if (held && !peers_holds(e, group, peer))
		group_holder_left(e, group, peer, dead_at, packet->flags & ADVERT_RESIGN);
}

/* peers_receive_prove: this epoch is the living one; everything of the former life is over. */
static void peers_receive_prove(struct election *e, uint8_t peer, const struct advert *packet)
{
	struct model_peer *p = &e->peers[peer];

	p->proven = true;
	p->epoch = packet->epoch;
	for (uint16_t lane = 0; lane < e->lane_count; lane++) {
		struct model_lane *l = &p->lanes[lane];

		/* The echo itself is yet to be taken on its lane: everything below it is not. */
		replay_reset(&l->window, packet->counter - 1);
		l->heard = false;
		l->heard_by_peer = false;
		l->was_heard_by_peer = false;
		l->peer_port = ADVERT_PORT_UNTESTED;
	}
	for (uint8_t group = 0; group < e->config.group_count; group++) {
		bool held = peers_holds(e, group, peer);
		mono_t dead_at = peers_dead_at(e, group, peer);

		memset(&p->views[group], 0, sizeof(p->views[group]));
		p->unproven_master[group] = false;
		if (held)
			group_holder_left(e, group, peer, dead_at, false);
	}
	trace_line(e, ELECTION_ALL,
		TRACE_TEXT("%s echoed our challenge", e->config.peers[peer].name), "epoch proven");
}

/* peers_receive_unproven: an authentic advert of an epoch that is not the proven one. Returns
 * whether it has just become that. */
static bool peers_receive_unproven(
	struct election *e, uint8_t group, uint16_t lane, uint8_t peer, const struct advert *packet)
{
	struct model_peer *p = &e->peers[peer];
	struct model_lane *l = &p->lanes[lane];

	if (p->challenge_open && packet->echo_to == e->config.own.id &&
		packet->counter != REPLAY_COUNTER_LAST &&
		memcmp(p->challenge, packet->echo, sizeof(p->challenge)) == 0) {
		peers_receive_prove(e, peer, packet);
		return true;
	}
	if (packet->state == GROUP_STATE_MASTER) {
		p->unproven_master[group] = true;
		p->unproven_master_at[group] = e->now;
	}
	if (!l->challenged || mono_reached(e->now, mono_add(l->challenged_at,
							   dur_ms(PEERS_CHALLENGE_SPACING_MS))))
		l->challenge_due = true;
	return false;
}

/* peers_receive_challenge: somebody asks whether this epoch of ours is alive. Queued, answered by
 * the next TIMER; one answer a peer and lane, to its last question, never larger than that, and not
 * more than the queue holds (a full queue drops the question: the peer asks again). */
static void peers_receive_challenge(
	struct election *e, uint16_t lane, uint8_t peer, const struct advert *packet)
{
	struct model_echo *echo;
	uint8_t i = 0;

	if (packet->challenge_to != e->config.own.id)
		return;
	while (i < e->echo_count && (e->echoes[i].peer != peer || e->echoes[i].lane != lane))
		i++;
	if (i == MODEL_ECHOES_MAX)
		return;
	if (i == e->echo_count)
		e->echo_count++;
	echo = &e->echoes[i];
	echo->peer = peer;
	echo->lane = lane;
	echo->size_bytes = (uint16_t)advert_size(packet);
	memcpy(echo->bytes, packet->challenge, sizeof(echo->bytes));
}

enum advert_drop peers_receive(struct election *e, uint8_t path, const struct advert *packet)
{
	uint8_t peer = election_peer_index(e, packet->sender);
	uint8_t group = peers_receive_group(e, packet->group_tag);
	struct model_peer *p;
	uint16_t lane;
	enum replay_result replay;
	bool echoes;

	if (peer == MODEL_NO_PEER)
		return ADVERT_DROP_SENDER_UNKNOWN;
	if (group == ELECTION_ALL)
		return ADVERT_DROP_GROUP_UNKNOWN;
	if (packet->vhid != e->config.groups[group].vhid)
		return ADVERT_DROP_VHID;
	lane = peers_receive_lane(e, group, path);
	if (lane == PEERS_NO_LANE || packet->path_tag != e->config.paths[path].tag)
		return ADVERT_DROP_PATH;
	p = &e->peers[peer];
	if (p->proven && p->epoch == packet->epoch && p->views[group].closed)
		return ADVERT_DROP_EPOCH_CLOSED;
	if (!p->proven || p->epoch != packet->epoch) {
		peers_receive_challenge(e, lane, peer, packet);
		if (!peers_receive_unproven(e, group, lane, peer, packet))
			return ADVERT_DROP_EPOCH_UNPROVEN;
	}
	replay = replay_commit(&p->lanes[lane].window, packet->counter);
	if (replay == REPLAY_REFUSED)
		return ADVERT_DROP_REPLAY;
	echoes = packet->echo_to == e->config.own.id &&
		 memcmp(p->challenge, packet->echo, sizeof(p->challenge)) == 0;
	if (echoes)
		p->challenge_open = false; /* used up: nothing echoes it a second time */
	if (replay == REPLAY_NEW) {
		if (echoes)
			confirm_answered(e, group, peer);
		peers_receive_challenge(e, lane, peer, packet);
		peers_receive_take(e, group, lane, peer, packet);
	}
	return ADVERT_DROP_NONE;
}
