#include "carpd/core/handover.h"

#include "carpd/core/election_internal.h"
#include "carpd/core/group.h"
#include "carpd/core/operator.h"
#include "carpd/core/order.h"
#include "carpd/core/paths.h"
#include "carpd/core/peers.h"
#include "carpd/core/timers.h"
#include "carpd/core/trace.h"
#include "common/check.h"

dur_t handover_patience(const struct election *e, uint8_t group, uint8_t peer)
{
	return timers_beacon_down(e->config.advbase, e->config.dead_factor,
		dur_us(e->peers[peer].views[group].interval_us));
}

static enum election_reply handover_begin_check(
	const struct election *e, uint8_t group, uint8_t *target, bool force)
{
	uint8_t peer;

	if (*target == 0) {
		peer = order_best_peer(e, group, !force);
		if (peer == MODEL_NO_PEER)
			return ELECTION_REPLY_NOT_READY;
		*target = e->config.peers[peer].id;
		return ELECTION_REPLY_OK;
	}
	peer = election_peer_index(e, *target);
	if (peer == MODEL_NO_PEER || !peers_alive(e, group, peer))
		return ELECTION_REPLY_UNKNOWN_NODE;
	/* No force makes a node in maintenance or in fault a master. */
	if (!order_peer_eligible(e, group, peer) || !peers_hears_us(e, group, peer))
		return ELECTION_REPLY_NOT_READY;
	if (!force && !e->peers[peer].views[group].ready)
		return ELECTION_REPLY_NOT_READY;
	return ELECTION_REPLY_OK;
}

enum election_reply handover_begin(struct election *e, uint8_t group, uint8_t target,
	enum reason cause, bool force, uint8_t asker, uint32_t nonce, uint32_t request_id)
{
	struct model_group *g = &e->groups[group];
	enum election_reply reply;

	CHECK(g->state == GROUP_STATE_MASTER);
	handover_judge_slept(e, group);
	if (g->offer.active || g->from != 0)
		return ELECTION_REPLY_BUSY;
	reply = handover_begin_check(e, group, &target, force);
	if (reply != ELECTION_REPLY_OK)
		return reply;
	g->offer = (struct model_offer){
		.active = true,
		.target = target,
		.force = force,
		.asker = asker,
		.nonce = nonce,
		.op = request_id,
		.id = ++g->offer_id_last,
		.cause = cause,
		.started_at = e->now,
	};
	g->send_now = true;
	election_append(e, ELECTION_ACTION_LIBERAL, group)->on = true;
	g->liberal = true;
	trace_line(e, group,
		TRACE_TEXT("hand-over to %s wanted: %s", trace_node(e, target), reason_name(cause)),
		"offer it");
	return ELECTION_REPLY_OK;
}

static void handover_drop_reply(struct election *e, uint8_t group, bool done)
{
	const struct model_offer *offer = &e->groups[group].offer;

	election_reply(e, group, offer->op, done ? ELECTION_REPLY_OK : ELECTION_REPLY_FAILED);
	operator_answer(e, group, offer->asker, offer->nonce,
		done ? ADVERT_ANSWER_DONE : ADVERT_ANSWER_FAILED);
}

void handover_drop(struct election *e, uint8_t group, bool done)
{
	struct model_group *g = &e->groups[group];

	CHECK(g->offer.active);
	g->offer.active = false;
	g->offer.done = done;
	if (done)
		return; /* whoever asked hears of it when everything is withdrawn */
	handover_drop_reply(e, group, false);
	election_alarm(e, group, ELECTION_ALARM_HANDOVER_FAILED, g->offer.target, true);
}

void handover_slept(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	CHECK(g->offer.active);
	g->offer.active = false;
	g->offer.slept = true;
}

void handover_judge_slept(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	struct model_offer *offer = &g->offer;
	mono_t deadline = mono_add(offer->started_at, dur_ms(HANDOVER_DEADLINE_MS));
	uint8_t master = peers_master(e, group);
	bool taken = master != MODEL_NO_PEER && e->config.peers[master].id == offer->target;

	if (!offer->slept || g->state == GROUP_STATE_DEMOTING)
		return;
	if (master == MODEL_NO_PEER && g->state != GROUP_STATE_MASTER &&
		!mono_reached(e->now, deadline)) {
		election_wake(e, deadline);
		return;
	}
	offer->slept = false;
	trace_line(e, group,
		TRACE_TEXT("%s is master after our sleep",
			master != MODEL_NO_PEER		 ? e->config.peers[master].name
			: g->state == GROUP_STATE_MASTER ? "this node"
							 : "nobody"),
		taken ? "the hand-over has happened" : "the hand-over failed");
	handover_drop_reply(e, group, taken);
	if (!taken)
		election_alarm(e, group, ELECTION_ALARM_HANDOVER_FAILED, offer->target, true);
}

void handover_done(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	if (!g->offer.done)
		return;
	g->offer.done = false;
	handover_drop_reply(e, group, true);
}

static void handover_fail(struct election *e, uint8_t group, const char *why)
{
	struct model_group *g = &e->groups[group];

	trace_line(e, group, TRACE_TEXT("%s: %s", trace_node(e, g->offer.target), why),
		"hand-over failed, keep the group with a higher term");
	g->offer_retry_at = mono_add(e->now, dur_ms(HANDOVER_RETRY_MS));
	handover_drop(e, group, false);
	if (g->liberal)
		election_append(e, ELECTION_ACTION_LIBERAL, group)->on = false;
	g->liberal = false;
	group_raise_term(e, group);
}

static void handover_judge_announced(
	struct election *e, uint8_t group, const struct model_view *view)
{
	struct model_group *g = &e->groups[group];
	struct model_offer *offer = &g->offer;

	/* A target that lost sight of us has completed as MASTER_DEAD, without a word about the
	 * hand-over: it is master by a higher term and has announced all the same. But not one that
	 * took the group over by itself and is in doubt: it yields as soon as it hears us. */
	if (!offer->announced && view->state == GROUP_STATE_MASTER && !view->fault &&
		advert_term_compare(view->term, g->term) > 0) {
		offer->announced = true;
		offer->announced_at = e->now;
		trace_line(e, group, TRACE_TEXT("%s announced", trace_node(e, offer->target)),
			TRACE_TEXT("withdraw in %u ms", HANDOVER_TAIL_MS));
	}
	if (!offer->announced)
		return;
	if (!mono_reached(e->now, mono_add(offer->announced_at, dur_ms(HANDOVER_TAIL_MS)))) {
		election_wake(e, mono_add(offer->announced_at, dur_ms(HANDOVER_TAIL_MS)));
		return;
	}
	if (offer->cause == REASON_HANDOVER) {
		g->yielded = true;
		g->yielded_to = offer->target;
	}
	group_demote(e, group, offer->cause, offer->target);
}

/* handover_target_dead_at: until it has announced nothing is lost by patience: this node forwards.
 * A target that stalls as long as a backup may is waited for. */
static mono_t handover_target_dead_at(const struct election *e, uint8_t group, uint8_t peer)
{
	const struct model_view *view = &e->peers[peer].views[group];

	if (!view->known || view->closed || e->groups[group].offer.announced)
		return peers_dead_at(e, group, peer);
	return mono_add(view->heard_at, handover_patience(e, group, peer));
}

static void handover_judge_offer(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	struct model_offer *offer = &g->offer;
	uint8_t peer = election_peer_index(e, offer->target);
	const struct model_view *view = &e->peers[peer].views[group];
	mono_t deadline = mono_add(offer->started_at, dur_ms(HANDOVER_DEADLINE_MS));
	bool ours = view->handover_from == e->config.own.id && view->handover_id == offer->id;

	if (mono_reached(e->now, handover_target_dead_at(e, group, peer))) {
		handover_fail(e, group, "silent");
		return;
	}
	if (view->state == GROUP_STATE_PROMOTING && ours)
		offer->seen = true;
	if (view->refused && ours)
		handover_fail(e, group, "refused");
	else if ((offer->seen || offer->announced) && view->state != GROUP_STATE_PROMOTING &&
		 view->state != GROUP_STATE_MASTER)
		handover_fail(e, group, "gave up");
	else if (!offer->seen && view->state != GROUP_STATE_MASTER &&
		 !order_peer_eligible(e, group, peer))
		handover_fail(e, group, "no longer eligible");
	else if (mono_reached(e->now, deadline) && !offer->announced)
		handover_fail(e, group, "deadline passed");
	else
		handover_judge_announced(e, group, view);
	if (offer->active) {
		election_wake(e, deadline);
		election_wake(e, handover_target_dead_at(e, group, peer));
	}
}

/* handover_judge_better: whether a ready peer ought to have the group, and why. */
static uint8_t handover_judge_better(
	const struct election *e, uint8_t group, enum reason *ret_cause)
{
	uint8_t best = order_best_peer(e, group, true);
	struct order_rank own = order_self(e, group), theirs;

	if (best == MODEL_NO_PEER)
		return MODEL_NO_PEER;
	theirs = order_peer(e, group, best);
	*ret_cause = REASON_OWN_DEMOTION;
	if (theirs.demotion < own.demotion || paths_fault(e, group))
		return best;
	*ret_cause = REASON_BETTER_PEER;
	if (e->config.preempt && order_compare(theirs, own) < 0 &&
		!e->peers[best].views[group].yielded)
		return best;
	return MODEL_NO_PEER;
}

/* handover_common: how long a large demotion of this node may turn out to be the peer's as well. */
static dur_t handover_common(const struct election *e, uint8_t group, uint8_t peer)
{
	const struct model_group *g = &e->groups[group];

	for (uint16_t lane = g->lane_first; lane < g->lane_first + g->lane_count; lane++) {
		uint8_t path = e->lanes[lane].path;

		if (e->ports[path].carrier && e->ports[path].test == ADVERT_PORT_FAILED &&
			e->peers[peer].lanes[lane].peer_port == ADVERT_PORT_UNTESTED)
			return dur_ms(HANDOVER_COMMON_TEST_MS);
	}
	return dur_ms(HANDOVER_COMMON_MS);
}

/* handover_judge_health: better health and preempt; both must last for `settle`, or for a
 * moment when the difference is a large demotion. */
static void handover_judge_health(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	enum reason cause;
	uint8_t best = handover_judge_better(e, group, &cause);
	uint32_t own = order_self(e, group).demotion;
	mono_t due;

	if (best == MODEL_NO_PEER) {
		g->better_since = MONO_NEVER;
		return;
	}
	if (mono_is_never(g->better_since))
		g->better_since = e->now;
	due = mono_add(g->better_since, e->config.settle);
	if (cause == REASON_OWN_DEMOTION && (paths_fault(e, group) || own >= MODEL_DEMOTION_LARGE))
		due = mono_min(due, mono_add(g->better_since, handover_common(e, group, best)));
	due = mono_max(due, g->offer_retry_at);
	if (g->held)
		due = mono_max(due, g->held_until);
	if (!mono_reached(e->now, due)) {
		election_wake(e, due);
		return;
	}
	g->better_since = MONO_NEVER;
	(void)handover_begin(e, group, e->config.peers[best].id, cause, false, 0, 0, 0);
}

/* handover_judge_leave: SIGTERM and maintenance: hand over, else withdraw. */
static void handover_judge_leave(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	enum reason cause = e->stopping ? REASON_SHUTDOWN : REASON_MAINTENANCE;
	bool force = e->stopping ? false : e->maintenance_wish.force;

	if (!g->leave_tried &&
		handover_begin(e, group, 0, cause, false, 0, 0, 0) == ELECTION_REPLY_OK) {
		g->leave_tried = true;
		return;
	}
	if (!e->stopping && !force) {
		operator_maintenance_failed(e, group);
		return;
	}
	trace_line(e, group, "nobody can take the group over", "withdraw");
	group_demote(e, group, cause, 0);
}

void handover_judge_master(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	/* While the predecessor still forwards, this node must not leave: the two would cross, and
	 * nobody held the addresses. At most the overlap's 5 s. */
	if (g->from != 0)
		return;
	operator_judge_requests(e, group);
	if (!g->offer.active && (e->stopping || e->maintenance_wish.request_id))
		handover_judge_leave(e, group);
	else if (!g->offer.active)
		handover_judge_health(e, group);
	if (g->state == GROUP_STATE_MASTER && g->offer.active)
		handover_judge_offer(e, group);
}

bool handover_related(const struct election *e, uint8_t group, uint8_t peer)
{
	const struct model_group *g = &e->groups[group];
	const struct model_view *view = &e->peers[peer].views[group];
	uint8_t id = e->config.peers[peer].id;

	if (g->offer.active && g->offer.target == id)
		return true;
	/* The old master may hold on until it has our `announced`; afterwards it is a second one.
	 */
	return g->from == id && view->handover_to == e->config.own.id &&
	       view->handover_id == g->from_id;
}

void handover_judge_overlap(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	uint8_t peer = election_peer_index(e, g->from);

	if (g->from == 0)
		return;
	if (peer != MODEL_NO_PEER && peers_alive(e, group, peer) && peers_holds(e, group, peer) &&
		!mono_reached(e->now, g->overlap_until)) {
		election_wake(e, g->overlap_until);
		election_wake(e, peers_dead_at(e, group, peer));
		return;
	}
	trace_line(e, group, TRACE_TEXT("%s no longer has the group", trace_node(e, g->from)),
		"overlap over");
	g->from = 0;
	if (g->liberal && !g->offer.active) {
		election_append(e, ELECTION_ACTION_LIBERAL, group)->on = false;
		g->liberal = false;
	}
}

static enum reason handover_judge_offered_reason(uint8_t cause)
{
	/* What is its own demotion to the old master is a peer's to the new one. */
	return cause == REASON_OWN_DEMOTION ? REASON_PEER_DEMOTED : (enum reason)cause;
}

bool handover_judge_offered(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_view *view = &e->peers[p].views[group];
		uint8_t id = e->config.peers[p].id;

		if (view->handover_to != e->config.own.id || view->state != GROUP_STATE_MASTER ||
			!peers_alive(e, group, p))
			continue;
		if ((g->from_last == id && g->from_id == view->handover_id) ||
			(g->refused == id && g->refused_id == view->handover_id))
			continue;
		if (!order_self_eligible(e, group) || (!g->ready && !view->force)) {
			g->refused = id;
			g->refused_id = view->handover_id;
			g->send_now = true;
			trace_line(e, group,
				TRACE_TEXT("%s offers the group, we are not fit",
					e->config.peers[p].name),
				"refuse");
			continue;
		}
		trace_line(e, group, TRACE_TEXT("%s offers the group", e->config.peers[p].name),
			"take it");
		g->from_last = id;
		g->from_id = view->handover_id;
		group_promote(e, group, handover_judge_offered_reason(view->reason), id,
			view->force, NULL, 0);
		return true;
	}
	return false;
}

/* handover_judge_target_old: the old master is gone: go on alone. */
static void handover_judge_target_old(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	trace_line(e, group, TRACE_TEXT("%s died in the hand-over", trace_node(e, g->from)),
		"complete as MASTER_DEAD");
	g->reason = REASON_MASTER_DEAD;
	g->lost = g->from;
	g->from = 0;
	g->send_now = true;
}

void handover_rejoin(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	uint8_t old = election_peer_index(e, g->lost);
	const struct model_view *view;

	if (g->lost == 0 || old == MODEL_NO_PEER || !peers_alive(e, group, old))
		return;
	view = &e->peers[old].views[group];
	g->lost = 0;
	if (view->state != GROUP_STATE_MASTER || view->handover_to != e->config.own.id ||
		view->handover_id != g->from_id)
		return;
	trace_line(e, group,
		TRACE_TEXT("%s lives and still offers the group", e->config.peers[old].name),
		"the hand-over goes on");
	if (g->state == GROUP_STATE_PROMOTING)
		g->reason = handover_judge_offered_reason(view->reason);
	g->from = e->config.peers[old].id;
	g->send_now = true;
}

void handover_judge_target(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	uint8_t old = election_peer_index(e, g->from);

	if (g->from && old != MODEL_NO_PEER && !peers_alive(e, group, old)) {
		handover_judge_target_old(e, group);
		old = MODEL_NO_PEER;
	}
	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_view *view = &e->peers[p].views[group];

		if (!peers_alive(e, group, p))
			continue;
		election_wake(e, peers_dead_at(e, group, p));
		if (view->state != GROUP_STATE_MASTER ||
			(p == old && handover_related(e, group, p)))
			continue;
		/* Overruling a demoted master: it lives, and that is known. */
		if (g->from == 0 && g->reason == REASON_PEER_DEMOTED &&
			advert_term_compare(view->term, g->term) < 0)
			continue;
		trace_line(e, group, TRACE_TEXT("%s is master and lives", e->config.peers[p].name),
			"abort our promotion");
		group_demote(e, group, g->reason, e->config.peers[p].id);
		return;
	}
}
