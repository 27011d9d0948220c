#include "carpd/core/group.h"

#include "carpd/core/backup.h"
#include "carpd/core/carp2_core.h"
#include "carpd/core/confirm.h"
#include "carpd/core/demotion.h"
#include "carpd/core/dual.h"
#include "carpd/core/election_internal.h"
#include "carpd/core/handover.h"
#include "carpd/core/operator.h"
#include "carpd/core/order.h"
#include "carpd/core/paths.h"
#include "carpd/core/peers.h"
#include "carpd/core/stalls.h"
#include "carpd/core/timers.h"
#include "carpd/core/trace.h"
#include "common/check.h"

dur_t group_interval(const struct election *e, uint8_t group)
{
	uint8_t advskew = e->config.groups[group].advskew;

	return e->config.carp2 ? carp2_core_interval(e->config.advbase, advskew)
			       : timers_interval(e->config.advbase, advskew);
}

dur_t group_master_down(const struct election *e, uint8_t group, dur_t master_interval)
{
	uint8_t advskew = e->config.groups[group].advskew;

	if (master_interval.us == 0)
		master_interval = group_interval(e, group);
	if (e->config.carp2)
		return carp2_core_down(
			e->config.advbase, e->config.dead_factor, master_interval, advskew);
	return timers_master_down(
		e->config.advbase, e->config.dead_factor, master_interval, advskew);
}

/* group_set_state: the one writer of `state`. */
static void group_set_state(struct election *e, uint8_t group, enum group_state state,
	enum reason reason, const struct election_fact *facts, uint8_t fact_count)
{
	struct model_group *g = &e->groups[group];
	struct election_action *action = election_append(e, ELECTION_ACTION_TRANSITION, group);

	CHECK(state != g->state);
	CHECK(fact_count <= ELECTION_FACTS_MAX);
	action->old_state = (uint8_t)g->state;
	action->new_state = (uint8_t)state;
	action->reason = reason;
	action->term = g->term;
	action->fact_count = fact_count;
	for (uint8_t i = 0; i < fact_count; i++)
		action->facts[i] = facts[i];
	trace_line(e, group, TRACE_TEXT("%s -> %s", state_name(g->state), state_name(state)),
		TRACE_TEXT("%s, term %lld", reason_name(reason), (long long)g->term.number));
	g->state = state;
	g->reason = reason;
	g->since = e->now;
	g->send_now = true;
}

void group_init(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	const struct election_config_group *config = &e->config.groups[group];
	dur_t down = group_master_down(e, group, DUR_ZERO);

	g->state = GROUP_STATE_INIT;
	g->reason = REASON_STARTUP;
	g->since = e->now;
	g->ready = config->ready;
	g->term_seen = config->term_floor;
	g->hold_until = mono_add(e->now, timers_hold(e->config.startup_hold, down));
	g->vacant_at = MONO_NEVER;
	g->vacant_reason = REASON_STARTUP;
	g->wants_since = MONO_NEVER;
	g->better_since = MONO_NEVER;
	g->empty_since = MONO_NEVER;
	g->carp2.better_since = MONO_NEVER;
	g->dual_seen_since = MONO_NEVER;
	/* Numbers that tie requests to answers must not repeat those of an earlier life. */
	g->nonce_last = (uint32_t)e->epoch;
	g->offer_id_last = (uint32_t)(e->epoch >> 32);
	g->send_now = true;
}

uint8_t group_next_best(const struct election *e, uint8_t group)
{
	uint8_t best = order_best_peer(e, group, true);

	if (best == MODEL_NO_PEER)
		best = order_best_peer(e, group, false);
	return best == MODEL_NO_PEER ? 0 : e->config.peers[best].id;
}

/* group_rest: the state of a node that does not hold the group. */
static enum group_state group_rest(const struct election *e, uint8_t group)
{
	if (e->maintenance)
		return GROUP_STATE_MAINTENANCE;
	return paths_fault(e, group) ? GROUP_STATE_FAULT : GROUP_STATE_BACKUP;
}

void group_holder_left(
	struct election *e, uint8_t group, uint8_t peer, mono_t dead_at, bool resigned)
{
	struct model_group *g = &e->groups[group];
	const struct model_view *view = &e->peers[peer].views[group];
	const char *name = e->config.peers[peer].name;

	if (!resigned) {
		/* No successor was named: wait as long as for a silent one. The peer itself may
		 * live on (a failed candidate, a rebooted node), so this is no MASTER_DEAD. */
		g->vacant_at = mono_max(dead_at, e->now);
		g->vacant_reason = REASON_MASTER_RESIGNED;
		return;
	}
	g->vacant_reason = REASON_MASTER_RESIGNED;
	if (g->state == GROUP_STATE_MASTER || g->state == GROUP_STATE_PROMOTING)
		return;
	if (view->successor == 0 || view->successor == e->config.own.id) {
		g->vacant_at = e->now;
		trace_line(e, group, TRACE_TEXT("%s resigned", name),
			view->successor ? "we are its successor" : "the best goes first");
	} else {
		dur_t down = group_master_down(e, group, dur_us(view->interval_us));

		g->vacant_at = mono_add(e->now, down);
		trace_line(e, group,
			TRACE_TEXT("%s resigned, names %s", name, trace_node(e, view->successor)),
			TRACE_TEXT("wait %s", TRACE_MS(down)));
	}
}

/* group_next_term: above every term seen. The numbers come from peers, so their end is no bug of
 * ours: it saturates (and only a peer that holds the key and means harm gets there). */
static struct advert_term group_next_term(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	if (g->term_seen < UINT64_MAX)
		g->term_seen++;
	return (struct advert_term){g->term_seen, e->config.own.id};
}

void group_promote(struct election *e, uint8_t group, enum reason reason, uint8_t from, bool force,
	const struct election_fact *facts, uint8_t fact_count)
{
	struct model_group *g = &e->groups[group];
	struct election_action *action;

	CHECK(g->state == GROUP_STATE_BACKUP);
	g->term = group_next_term(e, group);
	g->from = from;
	g->lost = 0;
	g->wants = false;
	g->wants_since = MONO_NEVER;
	g->overruled = 0;
	g->resigned = false;
	g->doubt = false;
	group_set_state(e, group, GROUP_STATE_PROMOTING, reason, facts, fact_count);
	if (from) {
		election_append(e, ELECTION_ACTION_LIBERAL, group)->on = true;
		g->liberal = true;
	}
	action = election_append(e, ELECTION_ACTION_PROMOTE, group);
	action->reason = reason;
	action->term = g->term;
	action->node = from;
	action->force = force;
}

void group_demote(struct election *e, uint8_t group, enum reason reason, uint8_t to)
{
	struct model_group *g = &e->groups[group];
	struct election_action *action;

	CHECK(g->state == GROUP_STATE_MASTER || g->state == GROUP_STATE_PROMOTING);
	if (g->offer.active && reason == REASON_LATE_CLOCK && to == 0)
		handover_slept(e, group);
	else if (g->offer.active)
		handover_drop(e, group, to && to == g->offer.target);
	dual_leave(e, group);
	g->doubt = false;
	g->resigned = to == 0;
	g->demote_reason = reason;
	g->listening = false;
	group_set_state(e, group, GROUP_STATE_DEMOTING, reason, NULL, 0);
	action = election_append(e, ELECTION_ACTION_DEMOTE, group);
	action->reason = reason;
	action->term = g->term;
	action->node = to;
}

void group_raise_term(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	CHECK(g->state == GROUP_STATE_MASTER);
	g->term = group_next_term(e, group);
	g->send_now = true;
	election_append(e, ELECTION_ACTION_REANNOUNCE, group)->term = g->term;
}

void group_promoted(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	if (g->state != GROUP_STATE_PROMOTING)
		return; /* an abort crossed it; DEMOTED will follow */
	group_set_state(e, group, GROUP_STATE_MASTER, g->reason, NULL, 0);
	g->overlap_until = mono_add(e->now, dur_ms(HANDOVER_DEADLINE_MS));
	g->yielded = false;
	g->better_since = MONO_NEVER;
	operator_forget_requests(e, group);
	demotion_regained_mastership(e, group);
	election_alarm(e, group, ELECTION_ALARM_PROMOTION_FAILED, 0, false);
	election_alarm(e, group, ELECTION_ALARM_HANDOVER_FAILED, 0, false);
}

/* group_leave: what every way out of PROMOTING or DEMOTING has in common. */
static void group_leave(struct election *e, uint8_t group, enum reason reason)
{
	struct model_group *g = &e->groups[group];

	g->doubt = false;
	group_set_state(e, group, group_rest(e, group), reason, NULL, 0);
	if (g->liberal)
		election_append(e, ELECTION_ACTION_LIBERAL, group)->on = false;
	g->liberal = false;
	g->from = 0;
	g->lost = 0;
	g->mute = false;
	/* Who has the group now is known by its own adverts, and its death by their end. */
	g->vacant_at = e->now;
	if (peers_holder(e, group) == MODEL_NO_PEER)
		g->vacant_at = mono_add(e->now, group_master_down(e, group, DUR_ZERO));
	else
		g->resigned = false;
	g->vacant_reason = REASON_MASTER_RESIGNED;
	handover_done(e, group);
	carp2_core_left(e, group);
	if (g->resigned) {
		g->successor = group_next_best(e, group);
		g->resigned_at = e->now;
		trace_line(e, group, "withdrawn, nobody has the group",
			g->successor ? TRACE_TEXT("resign, name %s", trace_node(e, g->successor))
				     : "resign, name nobody");
	}
	demotion_lost_mastership(e, group);
	if (g->resigned && g->successor == 0)
		carp2_core_bow_out(e, group);
}

void group_promotion_failed(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	demotion_set(e, group, "promotion_failed", DEMOTION_FAILED_WEIGHT, false,
		mono_add(e->now, dur_s(DEMOTION_FAILED_SECONDS)));
	election_alarm(e, group, ELECTION_ALARM_PROMOTION_FAILED, 0, true);
	if (g->state != GROUP_STATE_PROMOTING)
		return;
	/* The old master of a hand-over still has everything; else somebody must take over. */
	g->resigned = g->from == 0;
	group_leave(e, group, REASON_PROMOTION_FAILED);
}

void group_demoted(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	if (g->state == GROUP_STATE_DEMOTING)
		group_leave(e, group, g->demote_reason);
}

static bool group_judge_unproven(struct election *e, uint8_t group)
{
	dur_t hold = timers_hold(e->config.startup_hold, group_master_down(e, group, DUR_ZERO));

	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_peer *peer = &e->peers[p];

		/* From a peer whose living epoch is proven they are replays. */
		if (peer->unproven_master[group] && !peers_alive(e, group, p) &&
			mono_diff(e->now, peer->unproven_master_at[group]).us < hold.us)
			return true;
	}
	return false;
}

/* group_judge_init_early: everybody is there, nobody is master, and nobody is still getting ready:
 * on a common start syncd registers within the hold, and not by luck but by order fw1 goes first.
 */
static bool group_judge_init_early(const struct election *e, uint8_t group)
{
	/* A foreign master is heard once a second, and never as one of these. */
	if (carp2_core_foreign(e))
		return false;
	for (uint8_t p = 0; p < e->config.peer_count; p++)
		if (!peers_alive(e, group, p) || peers_holds(e, group, p) ||
			!e->peers[p].views[group].ready)
			return false;
	return e->groups[group].ready;
}

static void group_judge_init(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	bool early = group_judge_init_early(e, group);

	if (!early && !mono_reached(e->now, g->hold_until)) {
		election_wake(e, g->hold_until);
		return;
	}
	if (!early && group_judge_unproven(e, group) &&
		g->hold_prolonged < GROUP_HOLD_PROLONGED_MAX) {
		g->hold_prolonged++;
		g->hold_until = mono_add(e->now,
			timers_hold(e->config.startup_hold, group_master_down(e, group, DUR_ZERO)));
		trace_line(e, group, "a master is heard that does not prove itself",
			TRACE_TEXT("hold prolonged, %u of %u", g->hold_prolonged,
				GROUP_HOLD_PROLONGED_MAX));
		election_wake(e, g->hold_until);
		return;
	}
	trace_line(e, group, early ? "every node is proven, none is master" : "start-up hold over",
		"take part");
	g->vacant_at = e->now;
	g->vacant_reason = REASON_STARTUP;
	group_set_state(e, group, group_rest(e, group), REASON_STARTUP, NULL, 0);
}

/* group_judge_rest: BACKUP, MAINTENANCE and FAULT change into each other by facts alone. */
static void group_judge_rest(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	enum group_state rest = group_rest(e, group);

	if (rest != g->state) {
		bool maintenance =
			rest == GROUP_STATE_MAINTENANCE || g->state == GROUP_STATE_MAINTENANCE;

		group_set_state(e, group, rest,
			maintenance ? REASON_MAINTENANCE : REASON_OWN_DEMOTION, NULL, 0);
		g->vacant_at = mono_max(g->vacant_at, e->now);
	}
}

static void group_judge_promoting(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	handover_rejoin(e, group);
	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_view *view = &e->peers[p].views[group];

		if (view->state != GROUP_STATE_PROMOTING || !peers_alive(e, group, p) ||
			advert_term_compare(view->term, g->term) <= 0)
			continue;
		trace_line(e, group,
			TRACE_TEXT("%s claims the better term %lld", e->config.peers[p].name,
				(long long)view->term.number),
			"abort our promotion");
		group_demote(e, group, g->reason, e->config.peers[p].id);
		return;
	}
	if (carp2_core_judge_promoting(e, group))
		return;
	if (!order_self_eligible(e, group)) {
		enum reason reason = REASON_OWN_DEMOTION;

		if (e->stopping)
			reason = REASON_SHUTDOWN;
		else if (e->maintenance || e->maintenance_wish.request_id)
			reason = REASON_MAINTENANCE;
		trace_line(e, group, "no longer eligible", "abort our promotion");
		group_demote(e, group, reason, g->from);
		return;
	}
	handover_judge_target(e, group);
}

/* group_judge_claims: a living master answers a claim at once, outside its timer: the candidate
 * that hears it aborts. Not more than one answer per half an interval. */
static void group_judge_claims(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	dur_t half = dur_us(group_interval(e, group).us / 2);

	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_view *view = &e->peers[p].views[group];

		if (!peers_alive(e, group, p))
			continue;
		if ((view->state == GROUP_STATE_PROMOTING || view->asks) &&
			!(g->offer.active && g->offer.target == e->config.peers[p].id) &&
			mono_reached(e->now, mono_add(g->sent_at, half)))
			g->send_now = true;
	}
}

static void group_judge_master(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	if (stalls_judge_listening(e, group))
		return;
	handover_rejoin(e, group);
	if (dual_judge(e, group) || carp2_core_judge_master(e, group))
		return;
	group_judge_claims(e, group);
	dual_judge_doubt(e, group);
	handover_judge_overlap(e, group);
	handover_judge_master(e, group);
	if (g->state == GROUP_STATE_MASTER)
		election_alarm(e, group, ELECTION_ALARM_NO_READY_PEER, 0,
			order_best_peer(e, group, true) == MODEL_NO_PEER &&
				!carp2_core_stranger(e));
}

static bool group_flap_counts(enum reason reason)
{
	return reason == REASON_BETTER_PEER || reason == REASON_PEER_DEMOTED ||
	       reason == REASON_OWN_DEMOTION || reason == REASON_DUAL_MASTER ||
	       reason == REASON_LATE_CLOCK || reason == REASON_PROMOTION_FAILED;
}

/* group_judge_flap: too many moves (election: damping:) that no death and no operator brought
 * about: the group is held where it is. A dead master is always replaced. */
static void group_judge_flap(struct election *e, uint8_t group, enum reason reason)
{
	struct model_group *g = &e->groups[group];
	const struct election_config *config = &e->config;

	if (!group_flap_counts(reason) || config->damping_moves == 0)
		return;
	/* More than one too many after a reload that made the number smaller. */
	while (g->flap_count >= config->damping_moves) {
		for (uint8_t i = 1; i < g->flap_count; i++)
			g->flaps[i - 1] = g->flaps[i];
		g->flap_count--;
	}
	g->flaps[g->flap_count++] = e->now;
	if (g->flap_count < config->damping_moves ||
		mono_diff(e->now, g->flaps[0]).us > config->damping_within.us)
		return;
	g->held = true;
	g->held_until = mono_add(e->now, config->damping_hold);
	g->flap_count = 0;
	trace_line(e, group,
		TRACE_TEXT("%u moves in %lld s", config->damping_moves,
			(long long)(config->damping_within.us / 1000000)),
		TRACE_TEXT("held where it is for %lld s",
			(long long)(config->damping_hold.us / 1000000)));
}

/* group_judge_known: who is master, as far as this node knows; the shell's role events and the
 * flapping rule follow from it. */
static void group_judge_known(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	uint8_t peer = peers_master(e, group), node = 0;
	enum reason reason = g->reason;
	struct advert_term term = {0};

	if (g->state == GROUP_STATE_MASTER || g->state == GROUP_STATE_DEMOTING) {
		node = g->state == GROUP_STATE_MASTER ? e->config.own.id : g->master;
		term = g->term;
	} else if (peer != MODEL_NO_PEER) {
		node = e->config.peers[peer].id;
		term = e->peers[peer].views[group].term;
		reason = e->peers[peer].views[group].reason;
	}
	if (node != g->master || (node && advert_term_compare(term, g->master_term) != 0)) {
		struct election_action *action = election_append(e, ELECTION_ACTION_MASTER, group);

		if (node && node != g->master)
			group_judge_flap(e, group, reason);
		g->master = node;
		g->master_term = term;
		action->node = node;
		action->term = term;
	}
	if (g->held && mono_reached(e->now, g->held_until))
		g->held = false;
	if (g->held)
		election_wake(e, g->held_until);
	election_alarm(e, group, ELECTION_ALARM_FLAPPING, 0, g->held);
}

void group_judge(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	demotion_judge(e, group);
	paths_judge(e, group);
	if (g->state == GROUP_STATE_INIT)
		group_judge_init(e, group);
	if (g->state == GROUP_STATE_BACKUP || g->state == GROUP_STATE_MAINTENANCE ||
		g->state == GROUP_STATE_FAULT)
		group_judge_rest(e, group);
	confirm_judge(e, group);
	if (g->state == GROUP_STATE_BACKUP)
		backup_judge(e, group);
	else
		g->wants = false;
	if (g->state == GROUP_STATE_PROMOTING)
		group_judge_promoting(e, group);
	if (g->state == GROUP_STATE_MASTER)
		group_judge_master(e, group);
	else
		election_alarm(e, group, ELECTION_ALARM_NO_READY_PEER, 0, false);
	dual_judge_seen(e, group);
	backup_judge_vacancy(e, group);
	backup_judge_proof(e, group);
	group_judge_known(e, group);
	handover_judge_slept(e, group);
	operator_judge(e, group);
}
