#include "carpd/core/dual.h"

#include "carpd/core/carp2_core.h"
#include "carpd/core/election_internal.h"
#include "carpd/core/group.h"
#include "carpd/core/handover.h"
#include "carpd/core/order.h"
#include "carpd/core/paths.h"
#include "carpd/core/peers.h"
#include "carpd/core/timers.h"
#include "carpd/core/trace.h"

enum dual_verdict {
	DUAL_WAIT,
	DUAL_WE_LOSE,
	DUAL_THEY_LOSE,
};

/* dual_overruled: the demoted master that this node has just replaced has one master-down to see
 * it and go: that is the end of its request, not dual mastership. */
static bool dual_overruled(struct election *e, uint8_t group, uint8_t peer)
{
	const struct model_group *g = &e->groups[group];
	const struct model_view *view = &e->peers[peer].views[group];
	mono_t until = mono_add(g->since, group_master_down(e, group, dur_us(view->interval_us)));

	if (g->overruled != e->config.peers[peer].id || mono_reached(e->now, until) ||
		advert_term_compare(view->term, g->term) > 0)
		return false;
	election_wake(e, until);
	return true;
}

/* dual_yields: the other side of that: demoted by 100 or more, this node has been overruled. */
static bool dual_yields(const struct election *e, uint8_t group, uint8_t peer)
{
	const struct model_group *g = &e->groups[group];
	const struct model_view *view = &e->peers[peer].views[group];
	uint32_t own = order_self(e, group).demotion;

	return view->reason == REASON_PEER_DEMOTED && own >= MODEL_DEMOTION_LARGE &&
	       own > order_peer(e, group, peer).demotion &&
	       advert_term_compare(view->term, g->term) > 0;
}

static uint8_t dual_find(struct election *e, uint8_t group)
{
	uint8_t found = MODEL_NO_PEER;

	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_view *view = &e->peers[p].views[group];

		if (view->state != GROUP_STATE_MASTER || !peers_alive(e, group, p) ||
			handover_related(e, group, p) || dual_overruled(e, group, p))
			continue;
		if (found == MODEL_NO_PEER ||
			advert_term_compare(view->term, e->peers[found].views[group].term) > 0)
			found = p;
	}
	return found;
}

/* dual_deaf: the peer hears none of the nodes that hear it. This node hears it, so the set is
 * never empty. */
static bool dual_deaf(const struct election *e, uint8_t group, uint8_t peer)
{
	const struct model_view *view = &e->peers[peer].views[group];

	if (view->hears & 0x80)
		return false;
	for (uint8_t p = 0; p < e->config.peer_count; p++)
		if (p != peer && peers_alive(e, group, p) &&
			e->peers[p].views[group].hears & 1u << peer && view->hears & 1u << p)
			return false;
	return true;
}

static enum dual_verdict dual_decide(
	const struct election *e, uint8_t group, uint8_t peer, const char **ret_why)
{
	const struct model_group *g = &e->groups[group];
	const struct model_view *view = &e->peers[peer].views[group];
	bool deaf = dual_deaf(e, group, peer) && paths_all_well(e, group);
	bool we_out = e->maintenance || paths_fault(e, group) || g->doubt;
	bool they_out = view->maintenance || view->fault;
	uint32_t own = order_self(e, group).demotion;
	uint32_t theirs = order_peer(e, group, peer).demotion;

	*ret_why = "in fault, in doubt or in maintenance";
	/* Our doubt is who was cut off: first look whether it is the other. */
	if (we_out != they_out && !(g->doubt && deaf))
		return we_out ? DUAL_WE_LOSE : DUAL_THEY_LOSE;
	*ret_why = "hears nobody who hears it";
	if (deaf) {
		/* It may only just have begun to hear us: two of its intervals of patience. */
		dur_t patience = dur_mul(dur_us(view->interval_us), 2);

		return mono_reached(e->now, mono_add(g->dual_since, patience)) ? DUAL_THEY_LOSE
									       : DUAL_WAIT;
	}
	*ret_why = "more demoted";
	if (own != theirs)
		return own > theirs ? DUAL_WE_LOSE : DUAL_THEY_LOSE;
	*ret_why = "lower term";
	return advert_term_compare(g->term, view->term) < 0 ? DUAL_WE_LOSE : DUAL_THEY_LOSE;
}

static void dual_begin(struct election *e, uint8_t group, uint8_t peer)
{
	struct model_group *g = &e->groups[group];
	int64_t own_ms = dur_to_ms(mono_diff(e->now, g->since));
	uint32_t theirs_ms = e->peers[peer].views[group].age_ms;

	g->dual = true;
	g->dual_told = false;
	g->dual_with = e->config.peers[peer].id;
	g->dual_since = e->now;
	g->dual_age_ms = own_ms < (int64_t)theirs_ms ? (uint32_t)own_ms : theirs_ms;
	election_alarm(e, group, ELECTION_ALARM_DUAL_MASTER, g->dual_with, true);
	trace_line(e, group,
		TRACE_TEXT("%s is master too, term %lld against our %lld",
			e->config.peers[peer].name,
			(long long)e->peers[peer].views[group].term.number,
			(long long)g->term.number),
		"two masters");
}

static void dual_end(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	struct election_action *action = election_append(e, ELECTION_ACTION_DUAL, group);

	action->node = g->dual_with;
	action->dual_ms = dur_to_ms(mono_diff(e->now, g->dual_since)) + g->dual_age_ms;
	trace_line(e, group, "two masters are over",
		TRACE_TEXT("DUAL_MASTER lasted %lld ms", (long long)action->dual_ms));
	g->dual = false;
	election_alarm(e, group, ELECTION_ALARM_DUAL_MASTER, 0, false);
}

/* dual_let_go: who withdraws still answers for the addresses, and may have had the last word on the
 * segment; once it says that it has let go, the winner's word is the last. */
static void dual_let_go(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	uint8_t peer = election_peer_index(e, g->dual_loser);

	if (g->dual_loser == 0)
		return;
	if (peer != MODEL_NO_PEER && peers_alive(e, group, peer) &&
		e->peers[peer].views[group].state == GROUP_STATE_DEMOTING)
		return;
	g->dual_loser = 0;
	trace_line(e, group, "the other master has let go", "announce again");
	election_append(e, ELECTION_ACTION_REANNOUNCE, group)->term = g->term;
}

/* dual_win: a term above both, said once, and again when the other goes on with a still higher
 * one; at most once in its interval. */
static void dual_win(struct election *e, uint8_t group, uint8_t peer, const char *why)
{
	struct model_group *g = &e->groups[group];
	const struct model_view *view = &e->peers[peer].views[group];
	bool above = advert_term_compare(g->term, view->term) > 0;
	mono_t again = mono_add(g->dual_raised_at, dur_us(view->interval_us));

	if (g->dual_told && (above || !mono_reached(e->now, again)))
		return;
	g->dual_told = true;
	g->dual_raised_at = e->now;
	group_raise_term(e, group);
	trace_line(e, group, TRACE_TEXT("%s loses: %s", e->config.peers[peer].name, why),
		TRACE_TEXT("stay, term %lld, announce again", (long long)g->term.number));
}

void dual_doubt(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	/* No port to be dead; or foreign nodes, which speak no native word and know no doubt. */
	if (e->config.groups[group].interface_count == 0 || carp2_core_foreign(e))
		return;
	g->doubt = true;
	g->doubt_since = e->now;
	g->doubt_until = MONO_NEVER;
}

static bool dual_heard_since(const struct election *e, uint8_t group, mono_t since)
{
	for (uint8_t p = 0; p < e->config.peer_count; p++)
		if (peers_alive(e, group, p) && e->peers[p].views[group].heard_at.us > since.us)
			return true;
	return false;
}

void dual_judge_doubt(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	if (!g->doubt || g->dual || !dual_heard_since(e, group, g->doubt_since)) {
		g->doubt_until = MONO_NEVER;
		return;
	}
	if (mono_is_never(g->doubt_until))
		g->doubt_until = mono_add(e->now, group_master_down(e, group, DUR_ZERO));
	if (!mono_reached(e->now, g->doubt_until)) {
		election_wake(e, g->doubt_until);
		return;
	}
	g->doubt = false;
	g->send_now = true;
}

/* dual_seen_related: what two masters do for a moment by design. */
static bool dual_seen_related(const struct election *e, uint8_t a, uint8_t b, uint8_t group)
{
	const struct model_view *view_a = &e->peers[a].views[group];
	const struct model_view *view_b = &e->peers[b].views[group];

	return view_a->handover_to == e->config.peers[b].id ||
	       view_b->handover_to == e->config.peers[a].id;
}

void dual_judge_seen(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	uint8_t first = peers_master(e, group), second = MODEL_NO_PEER;
	mono_t due;

	if (g->state == GROUP_STATE_MASTER && (g->dual || g->carp2.dual))
		return; /* its own */
	for (uint8_t p = 0; p < e->config.peer_count; p++)
		if (p != first && e->peers[p].views[group].state == GROUP_STATE_MASTER &&
			peers_alive(e, group, p))
			second = p;
	if (g->state == GROUP_STATE_MASTER || second == MODEL_NO_PEER ||
		dual_seen_related(e, first, second, group)) {
		g->dual_seen_since = MONO_NEVER;
		election_alarm(e, group, ELECTION_ALARM_DUAL_MASTER, 0, false);
		return;
	}
	if (mono_is_never(g->dual_seen_since))
		g->dual_seen_since = e->now;
	due = mono_add(g->dual_seen_since, peers_silence(e, group, second));
	election_wake(e, peers_dead_at(e, group, first));
	election_wake(e, peers_dead_at(e, group, second));
	if (!mono_reached(e->now, due)) {
		election_wake(e, due);
		return;
	}
	if (!g->alarms[ELECTION_ALARM_DUAL_MASTER].on)
		trace_line(e, group,
			TRACE_TEXT("%s and %s are masters and do not hear each other",
				e->config.peers[first].name, e->config.peers[second].name),
			"two masters");
	election_alarm(e, group, ELECTION_ALARM_DUAL_MASTER, e->config.peers[second].id, true);
}

void dual_leave(struct election *e, uint8_t group)
{
	e->groups[group].dual_loser = 0;
	if (e->groups[group].dual)
		dual_end(e, group);
}

bool dual_judge(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	uint8_t peer = dual_find(e, group);
	const char *why;

	if (peer == MODEL_NO_PEER) {
		if (g->dual) {
			dual_end(e, group);
			g->dual_loser = g->dual_with;
		}
		dual_let_go(e, group);
		return false;
	}
	if (dual_yields(e, group, peer)) {
		trace_line(e, group,
			TRACE_TEXT("%s overrules our demotion", e->config.peers[peer].name),
			"withdraw");
		group_demote(e, group, REASON_OWN_DEMOTION, e->config.peers[peer].id);
		return true;
	}
	if (g->was_late && advert_term_compare(e->peers[peer].views[group].term, g->term) > 0) {
		trace_line(e, group,
			TRACE_TEXT("late, and %s has taken the group over",
				e->config.peers[peer].name),
			"withdraw before a word");
		group_demote(e, group, REASON_LATE_CLOCK, e->config.peers[peer].id);
		return true;
	}
	if (!g->dual || g->dual_with != e->config.peers[peer].id)
		dual_begin(e, group, peer);
	election_wake(e, peers_dead_at(e, group, peer));
	switch (dual_decide(e, group, peer, &why)) {
	case DUAL_WAIT:
		election_wake(
			e, mono_add(g->dual_since,
				   dur_mul(dur_us(e->peers[peer].views[group].interval_us), 2)));
		break;
	case DUAL_WE_LOSE:
		trace_line(e, group, TRACE_TEXT("we lose: %s", why), "withdraw");
		group_demote(e, group, REASON_DUAL_MASTER, e->config.peers[peer].id);
		return true;
	case DUAL_THEY_LOSE:
		dual_win(e, group, peer, why);
		break;
	}
	return false;
}
