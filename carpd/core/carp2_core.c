#include "carpd/core/carp2_core.h"

#include "carpd/core/election_internal.h"
#include "carpd/core/group.h"
#include "carpd/core/order.h"
#include "carpd/core/paths.h"
#include "carpd/core/peers.h"
#include "carpd/core/trace.h"
#include "common/check.h"

#include <string.h>

#define CARP2_CORE_CLAIMS_DUAL 2u /* ucarp's last advert after it has lost is no second master */

/* --- timers ----------------------------------------------------------------------------------- */

static dur_t carp2_core_skew(uint8_t advskew)
{
	return dur_us(INT64_C(1000000) * advskew / 256);
}

dur_t carp2_core_interval(dur_t advbase, uint8_t advskew)
{
	if (advbase.us == 0 && advskew == 0)
		advskew = 1; /* OpenBSD's word for the least of all */
	return dur_add(advbase, carp2_core_skew(advskew));
}

dur_t carp2_core_down(dur_t advbase, uint8_t dead_factor, dur_t master_interval, uint8_t advskew)
{
	if (advbase.us == 0)
		return dur_mul(dur_max(carp2_core_interval(advbase, advskew), master_interval),
			dead_factor);
	return dur_add(
		dur_mul(dur_max(advbase, master_interval), dead_factor), carp2_core_skew(advskew));
}

/* carp2_core_patience: the ancestors count with their own values, not with the master's. */
static dur_t carp2_core_patience(const struct election *e, uint8_t group)
{
	return carp2_core_down(e->config.advbase, e->config.dead_factor, DUR_ZERO,
		e->config.groups[group].advskew);
}

/* --- ranks ------------------------------------------------------------------------------------ */

struct carp2_core_rank {
	uint8_t demote, advbase, advskew;
};

/* carp2_core_own: as others read it. Each BSD carries a demotion in its own way: OpenBSD in a byte
 * of its own, FreeBSD in advskew; whoever listens understands one of them. */
static struct carp2_core_rank carp2_core_own(const struct election *e, uint8_t group)
{
	uint32_t demotion = order_self(e, group).demotion;
	uint32_t advskew = e->config.groups[group].advskew;

	if (demotion > 0 && advskew < CARP2_SKEW_DEMOTED)
		advskew = advskew + demotion < CARP2_SKEW_DEMOTED ? advskew + demotion
								  : CARP2_SKEW_DEMOTED;
	return (struct carp2_core_rank){
		.demote = (uint8_t)(demotion < CARP2_DEMOTE_MAX ? demotion : CARP2_DEMOTE_MAX),
		.advbase = (uint8_t)(e->config.advbase.us / 1000000),
		.advskew = (uint8_t)advskew,
	};
}

/* carp2_core_compare: negative when a is the better one. */
static int carp2_core_compare(struct carp2_core_rank a, struct carp2_core_rank b)
{
	if (a.demote != b.demote)
		return a.demote < b.demote ? -1 : 1;
	if (a.advbase != b.advbase)
		return a.advbase < b.advbase ? -1 : 1;
	return (a.advskew > b.advskew) - (a.advskew < b.advskew);
}

/* carp2_core_theirs: this node against the master that it hears: negative when it is the better. */
static int carp2_core_theirs(const struct election *e, uint8_t group)
{
	const struct model_carp2 *c = &e->groups[group].carp2;

	return carp2_core_compare(carp2_core_own(e, group),
		(struct carp2_core_rank){c->demote, c->advbase, c->advskew});
}

/* --- what is heard ---------------------------------------------------------------------------- */

bool carp2_core_foreign(const struct election *e)
{
	return e->config.carp2 && !e->config.carp2_strict;
}

bool carp2_core_stranger(const struct election *e)
{
	for (uint8_t p = 0; p < e->config.peer_count; p++)
		if (e->peers[p].proven)
			return false;
	return carp2_core_foreign(e);
}

/* carp2_core_contradicted: a peer's own native word is newer, and says that it has not the group.
 */
static bool carp2_core_contradicted(const struct election *e, uint8_t group)
{
	uint8_t peer = election_peer_index(e, e->groups[group].carp2.node);

	if (peer == MODEL_NO_PEER)
		return false;
	return e->peers[peer].views[group].closed ||
	       (peers_alive(e, group, peer) && !peers_holds(e, group, peer));
}

static mono_t carp2_core_dead_at(const struct election *e, uint8_t group)
{
	const struct model_carp2 *c = &e->groups[group].carp2;

	return c->bowed_out ? c->heard_at : mono_add(c->heard_at, carp2_core_patience(e, group));
}

bool carp2_core_alive(const struct election *e, uint8_t group)
{
	return e->config.carp2 && e->groups[group].carp2.known &&
	       !carp2_core_contradicted(e, group) &&
	       !mono_reached(e->now, carp2_core_dead_at(e, group));
}

/* carp2_core_rules: such a master, and the rule of CARP is the only one that both obey. */
static bool carp2_core_rules(const struct election *e, uint8_t group)
{
	uint8_t peer = election_peer_index(e, e->groups[group].carp2.node);

	return carp2_core_alive(e, group) &&
	       (peer == MODEL_NO_PEER || !peers_alive(e, group, peer));
}

static const char *carp2_core_name(const struct election *e, uint8_t group)
{
	uint8_t node = e->groups[group].carp2.node;

	return node ? trace_node(e, node) : "a foreign node";
}

/* carp2_core_bows_out: the ancestors say it with intervals that nobody would wait for. */
static bool carp2_core_bows_out(const struct election *e, const struct election_event *event)
{
	dur_t theirs = carp2_core_interval(dur_s(event->carp2.advbase), event->carp2.advskew);

	return event->carp2.advbase == CARP2_BOW_OUT ||
	       (e->config.advbase.us > 0 &&
		       theirs.us > dur_mul(e->config.advbase, e->config.dead_factor).us);
}

static void carp2_core_record(struct election *e, const struct election_event *event, uint8_t node)
{
	struct model_group *g = &e->groups[event->group];
	struct model_carp2 *c = &g->carp2;
	bool bowed_out = carp2_core_bows_out(e, event);
	bool alone = node == 0 || !peers_alive(e, event->group, event->carp2.peer);

	if (alone && !bowed_out && !carp2_core_alive(e, event->group))
		trace_line(e, event->group,
			TRACE_TEXT("%s is heard as master, %u+%u/256 s, demotion %u",
				node ? trace_node(e, node) : "a foreign node", event->carp2.advbase,
				event->carp2.advskew, event->carp2.demote),
			"by CARPv2 alone");
	else if (alone && bowed_out && !c->bowed_out)
		trace_line(e, event->group,
			TRACE_TEXT("%s bows out", node ? trace_node(e, node) : "a foreign node"),
			"its group is vacant");
	if (g->state == GROUP_STATE_MASTER && !bowed_out && c->claims++ == 0)
		c->claimed_at = e->now;
	/* Somebody holds the group: whatever this node waited for before is over. */
	if (!bowed_out && !mono_is_never(g->vacant_at))
		g->vacant_at = mono_min(g->vacant_at, e->now);
	c->known = true;
	c->node = node;
	c->bowed_out = bowed_out;
	c->heard_at = e->now;
	c->advbase = event->carp2.advbase;
	c->advskew = event->carp2.advskew;
	c->demote = event->carp2.demote;
	c->lower_source = event->carp2.lower_source;
}

static uint16_t carp2_core_lane(const struct election *e, uint8_t group, uint8_t path)
{
	const struct model_group *g = &e->groups[group];
	uint16_t lane = g->lane_first;

	while (lane < g->lane_first + g->lane_count && e->lanes[lane].path != path)
		lane++;
	CHECK(lane < g->lane_first + g->lane_count);
	return lane;
}

/* carp2_core_receive_peer: the same window as every lane's: the echo that proved this life was its
 * baseline, so a recorded advert is none of ours twice. */
static enum carp2_drop carp2_core_receive_peer(
	struct election *e, const struct election_event *event)
{
	struct model_peer *p = &e->peers[event->carp2.peer];
	struct model_lane *l = &p->lanes[carp2_core_lane(e, event->group, event->path)];

	if (event->carp2.unproven || !p->proven) {
		p->unproven_master[event->group] = true;
		p->unproven_master_at[event->group] = e->now;
		return CARP2_DROP_UNPROVEN;
	}
	if (p->views[event->group].closed)
		return CARP2_DROP_UNPROVEN;
	switch (replay_commit(&l->window, event->carp2.number)) {
	case REPLAY_REFUSED:
		return CARP2_DROP_REPLAY;
	case REPLAY_LATE:
		return CARP2_DROP_NONE;
	case REPLAY_NEW:
		break;
	}
	l->heard = true;
	l->heard_at = e->now;
	carp2_core_record(e, event, e->config.peers[event->carp2.peer].id);
	return CARP2_DROP_NONE;
}

enum carp2_drop carp2_core_receive(struct election *e, const struct election_event *event)
{
	CHECK(e->config.carp2);
	if (event->carp2.peer != ELECTION_ALL) {
		CHECK(event->carp2.peer < e->config.peer_count);
		return carp2_core_receive_peer(e, event);
	}
	if (e->config.carp2_strict)
		return CARP2_DROP_FOREIGN;
	carp2_core_record(e, event, 0);
	return CARP2_DROP_NONE;
}

/* --- backup ----------------------------------------------------------------------------------- */

mono_t carp2_core_wait(const struct election *e, uint8_t group, mono_t at, enum reason *ret_reason)
{
	const struct model_carp2 *c = &e->groups[group].carp2;
	mono_t dead_at;

	if (!e->config.carp2 || !c->known || carp2_core_contradicted(e, group))
		return at;
	dead_at = carp2_core_dead_at(e, group);
	if (dead_at.us <= at.us)
		return at;
	*ret_reason = c->bowed_out ? REASON_MASTER_RESIGNED : REASON_MASTER_DEAD;
	return dead_at;
}

uint8_t carp2_core_tell_dead(
	const struct election *e, uint8_t group, struct election_fact facts[static 2])
{
	const struct model_carp2 *c = &e->groups[group].carp2;
	dur_t silent = mono_diff(e->now, c->heard_at), down = carp2_core_patience(e, group);

	if (!e->config.carp2 || !c->known || c->bowed_out)
		return 0;
	trace_line(e, group,
		TRACE_TEXT("%s silent for %s, master-down %s", carp2_core_name(e, group),
			TRACE_MS(silent), TRACE_MS(down)),
		"dead, take over");
	facts[0] = (struct election_fact){"silent_us", silent.us};
	facts[1] = (struct election_fact){"master_down_us", down.us};
	return 2;
}

uint8_t carp2_core_place(const struct election *e, uint8_t group)
{
	return e->config.carp2 && e->groups[group].carp2.yielded;
}

bool carp2_core_judge_backup(struct election *e, uint8_t group)
{
	struct model_carp2 *c = &e->groups[group].carp2;
	struct carp2_core_rank own;
	struct election_fact facts[2];
	bool demoted, better;
	mono_t due;

	if (!e->config.carp2)
		return false;
	own = carp2_core_own(e, group);
	demoted = c->demote > own.demote;
	better = carp2_core_rules(e, group) && c->node == 0 && !e->groups[group].held &&
		 order_place(e, group) == 0 &&
		 (demoted || (e->config.preempt && carp2_core_theirs(e, group) < 0));
	if (!better) {
		c->better_since = MONO_NEVER;
		return false;
	}
	if (mono_is_never(c->better_since))
		c->better_since = e->now;
	due = mono_add(c->better_since, e->config.settle);
	if (!mono_reached(e->now, due)) {
		election_wake(e, due);
		return false;
	}
	trace_line(e, group,
		TRACE_TEXT("%s is master with %u+%u/256 s, demotion %u", carp2_core_name(e, group),
			c->advbase, c->advskew, c->demote),
		demoted ? "more demoted, take over" : "we are better, take over");
	facts[0] = (struct election_fact){"advskew", own.advskew};
	facts[1] = (struct election_fact){"master_advskew", c->advskew};
	c->better_since = MONO_NEVER;
	group_promote(
		e, group, demoted ? REASON_PEER_DEMOTED : REASON_BETTER_PEER, 0, false, facts, 2);
	return true;
}

/* --- with the group --------------------------------------------------------------------------- */

/* carp2_core_yield: to a master that no native word names: nobody is told to take over. */
static void carp2_core_yield(struct election *e, uint8_t group, enum reason reason)
{
	struct model_group *g = &e->groups[group];
	int order = carp2_core_theirs(e, group);
	const char *decision = "the better one: withdraw";

	if (order == 0)
		decision = "a tie, and the lower address: withdraw";
	else if (order < 0)
		decision = "claimed it while we slept: withdraw";
	trace_line(e, group,
		TRACE_TEXT("%s is master with %u+%u/256 s, demotion %u", carp2_core_name(e, group),
			g->carp2.advbase, g->carp2.advskew, g->carp2.demote),
		decision);
	group_demote(e, group, reason, 0);
	g->resigned = false;
	g->carp2.yielded = order == 0;
}

static bool carp2_core_loses(const struct election *e, uint8_t group)
{
	int order = carp2_core_theirs(e, group);

	return order > 0 || (order == 0 && e->groups[group].carp2.lower_source);
}

bool carp2_core_judge_promoting(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	if (!carp2_core_rules(e, group) || g->carp2.heard_at.us <= g->since.us ||
		!carp2_core_loses(e, group))
		return false;
	carp2_core_yield(e, group, g->reason);
	return true;
}

dur_t carp2_core_listen(const struct election *e, uint8_t group)
{
	return carp2_core_foreign(e) ? DUR_ZERO : group_master_down(e, group, DUR_ZERO);
}

void carp2_core_forget_silence(struct election *e, uint8_t group, dur_t late)
{
	struct model_carp2 *c = &e->groups[group].carp2;

	if (e->config.carp2 && c->known && !c->bowed_out &&
		e->stepped_at.us < carp2_core_dead_at(e, group).us)
		c->heard_at = mono_min(e->now, mono_add(c->heard_at, late));
}

bool carp2_core_judge_listening(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	mono_t began = mono_add(g->listen_until, dur_us(-carp2_core_listen(e, group).us));

	if (!carp2_core_rules(e, group) || g->carp2.heard_at.us < began.us)
		return false;
	carp2_core_yield(e, group, REASON_LATE_CLOCK);
	return true;
}

static void carp2_core_reannounce(struct election *e, uint8_t group)
{
	election_append(e, ELECTION_ACTION_REANNOUNCE, group)->term = e->groups[group].term;
}

static void carp2_core_dual_end(struct election *e, uint8_t group)
{
	struct model_carp2 *c = &e->groups[group].carp2;
	struct election_action *action = election_append(e, ELECTION_ACTION_DUAL, group);

	action->node = c->node;
	action->dual_ms = dur_to_ms(mono_diff(c->heard_at, c->claimed_at));
	trace_line(e, group, "the lesser master is silent",
		TRACE_TEXT("DUAL_MASTER lasted %lld ms", (long long)action->dual_ms));
	c->dual = false;
	election_alarm(e, group, ELECTION_ALARM_DUAL_MASTER, 0, false);
}

/* carp2_core_claimed: a lesser master: it is to hear us soon, and the network may have learnt it
 * last. One that goes on is a second master. */
static void carp2_core_claimed(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	struct model_carp2 *c = &g->carp2;
	dur_t half = dur_us(group_interval(e, group).us / 2);

	if (c->heard_at.us == e->now.us && mono_reached(e->now, mono_add(g->sent_at, half)))
		g->send_now = true;
	if (c->claims == 1 && c->heard_at.us == e->now.us)
		carp2_core_reannounce(e, group);
	if (c->claims >= CARP2_CORE_CLAIMS_DUAL && !c->dual) {
		c->dual = true;
		trace_line(e, group,
			TRACE_TEXT("%s is master too, %u+%u/256 s", carp2_core_name(e, group),
				c->advbase, c->advskew),
			"two masters; stay");
		election_alarm(e, group, ELECTION_ALARM_DUAL_MASTER, c->node, true);
	}
	election_wake(e, carp2_core_dead_at(e, group));
}

/* carp2_core_cut_off: alone, without carrier on its one interface, a node serves nobody; a foreign
 * backup has the group by now. With peers a hand-over is better: handover.c. */
static bool carp2_core_cut_off(struct election *e, uint8_t group)
{
	const struct election_config_group *config = &e->config.groups[group];

	if (!carp2_core_foreign(e) || config->interface_count != 1 ||
		e->ports[config->interfaces[0].path].carrier ||
		order_best_peer(e, group, false) != MODEL_NO_PEER)
		return false;
	trace_line(e, group, "no carrier, and nobody of ours", "withdraw");
	group_demote(e, group, REASON_OWN_DEMOTION, 0);
	return true;
}

bool carp2_core_judge_master(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	struct model_carp2 *c = &g->carp2;

	if (!e->config.carp2)
		return false;
	if (carp2_core_cut_off(e, group))
		return true;
	c->yielded = false;
	if (!carp2_core_rules(e, group) || c->heard_at.us <= g->since.us) {
		if (c->dual) {
			carp2_core_dual_end(e, group);
			carp2_core_reannounce(e, group);
		}
		c->claims = 0;
		return false;
	}
	if (carp2_core_loses(e, group)) {
		carp2_core_yield(e, group, REASON_BETTER_PEER);
		return true;
	}
	carp2_core_claimed(e, group);
	return false;
}

void carp2_core_left(struct election *e, uint8_t group)
{
	struct model_carp2 *c = &e->groups[group].carp2;

	if (c->dual)
		carp2_core_dual_end(e, group);
	c->claims = 0;
	c->better_since = MONO_NEVER;
}

/* --- paths ------------------------------------------------------------------------------------ */

bool carp2_core_judge_lane(struct election *e, uint8_t group, uint16_t lane, uint8_t peer)
{
	const struct model_lane *l = &e->peers[peer].lanes[lane];
	const struct model_view *view = &e->peers[peer].views[group];
	const struct model_group *g = &e->groups[group];
	dur_t silence = peers_silence(e, group, peer);
	mono_t due;

	if (view->state == GROUP_STATE_MASTER) {
		/* It speaks here since it is master. */
		due = mono_add(view->heard_at, dur_us(-INT64_C(1000) * view->age_ms));
		due = mono_add(mono_max(due, view->alive_from), silence);
		if (peers_lane_alive(e, lane, peer))
			election_wake(e, mono_add(l->heard_at, silence));
		else if (mono_reached(e->now, due))
			return true;
		else
			election_wake(e, due);
	}
	if (g->state != GROUP_STATE_MASTER || l->heard_by_peer)
		return false;
	due = mono_add(mono_max(g->since, view->alive_from),
		dur_add(group_master_down(e, group, DUR_ZERO), silence));
	if (mono_reached(e->now, due))
		return true;
	election_wake(e, due);
	return false;
}

void carp2_core_carrier(struct election *e, uint8_t path, bool up)
{
	if (!carp2_core_foreign(e) || !up)
		return;
	for (uint8_t group = 0; group < e->config.group_count; group++) {
		const struct election_config_group *config = &e->config.groups[group];
		struct model_group *g = &e->groups[group];
		mono_t until = mono_add(e->now, group_master_down(e, group, DUR_ZERO));

		for (uint8_t i = 0; i < config->interface_count; i++)
			if (config->interfaces[i].path == path)
				g->vacant_at = mono_max(g->vacant_at, until);
	}
}

/* --- sending ---------------------------------------------------------------------------------- */

void carp2_core_bow_out(struct election *e, uint8_t group)
{
	if (!carp2_core_foreign(e))
		return;
	e->groups[group].carp2.bow_out_due = true;
	e->groups[group].send_now = true;
}

void carp2_core_send(struct election *e, uint16_t lane, bool last)
{
	uint8_t group = e->lanes[lane].group;
	struct model_group *g = &e->groups[group];
	struct election_action *action;
	/* While a living master is being replaced, it serves until this node does. */
	bool speaks = !g->listening &&
		      (g->state == GROUP_STATE_MASTER ||
			      (g->state == GROUP_STATE_PROMOTING && !carp2_core_alive(e, group)));

	if (!g->carp2.bow_out_due && (last || !speaks))
		return;
	/* Two numbers: the shell sends one advert a family, and none is ever sent twice. */
	CHECK(e->counter < REPLAY_COUNTER_LAST - 2);
	action = election_append(e, ELECTION_ACTION_SEND, group);
	action->path = e->lanes[lane].path;
	action->counter = e->counter + 1;
	e->counter += 2;
	action->carp2 = true;
	action->bow_out = g->carp2.bow_out_due && !speaks;
	g->carp2.bow_out_due = false;
	if (action->bow_out)
		trace_line(e, group, "nobody of ours takes over", "bow out");
}

void election_carp2_advert(const struct election *e, const struct election_action *send,
	struct carp2_advert *ret_advert)
{
	struct carp2_core_rank own = carp2_core_own(e, send->group);

	CHECK(send->type == ELECTION_ACTION_SEND && send->carp2);
	*ret_advert = (struct carp2_advert){
		.vhid = e->config.groups[send->group].vhid,
		.advskew = send->bow_out ? CARP2_BOW_OUT : own.advskew,
		.advbase = send->bow_out ? CARP2_BOW_OUT : own.advbase,
		.demote = own.demote,
		.counter = send->counter,
	};
}

bool election_carp2_bow_out(
	const struct election *e, uint8_t group, struct carp2_advert *ret_advert)
{
	const struct election_action send = {
		.type = ELECTION_ACTION_SEND,
		.group = group,
		.counter = REPLAY_COUNTER_LAST,
		.carp2 = true,
		.bow_out = true,
	};

	if (!carp2_core_foreign(e) || group_next_best(e, group) != 0)
		return false;
	election_carp2_advert(e, &send, ret_advert);
	return true;
}

/* --- views ------------------------------------------------------------------------------------ */

bool election_carp2_origin(const struct election *e, uint8_t group, uint8_t path, uint8_t peer,
	struct carp2_origin *ret_origin, uint64_t *ret_reference)
{
	const struct model_peer *p;

	CHECK(group < e->config.group_count && path < e->config.path_count);
	*ret_origin = (struct carp2_origin){
		.node = e->config.own.id,
		.epoch = e->epoch,
		.path_tag = e->config.paths[path].tag,
		.group_tag = e->config.groups[group].tag,
	};
	*ret_reference = e->counter;
	if (peer == ELECTION_ALL)
		return true;
	CHECK(peer < e->config.peer_count);
	p = &e->peers[peer];
	ret_origin->node = e->config.peers[peer].id;
	ret_origin->epoch = p->epoch;
	*ret_reference = 0;
	/* Its newest number on any lane is near all of them: they are one sequence. The last of all
	 * is none: it is reserved, and closes the epoch. */
	for (uint16_t lane = 0; lane < e->lane_count; lane++)
		if (p->lanes[lane].window.highest > *ret_reference &&
			p->lanes[lane].window.highest != REPLAY_COUNTER_LAST)
			*ret_reference = p->lanes[lane].window.highest;
	return p->proven;
}

void election_carp2_view(const struct election *e, uint8_t group, struct election_carp2_view *ret)
{
	const struct model_carp2 *c = &e->groups[group].carp2;

	*ret = (struct election_carp2_view){
		.known = c->known,
		.alive = carp2_core_alive(e, group),
		.node = c->node,
		.advbase = c->advbase,
		.advskew = c->advskew,
		.demote = c->demote,
		.last_ms = c->known ? dur_to_ms(mono_diff(e->now, c->heard_at)) : -1,
	};
}
