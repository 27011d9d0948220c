#include "carpd/core/stalls.h"

#include "carpd/core/carp2_core.h"
#include "carpd/core/confirm.h"
#include "carpd/core/election_internal.h"
#include "carpd/core/group.h"
#include "carpd/core/handover.h"
#include "carpd/core/peers.h"
#include "carpd/core/timers.h"
#include "carpd/core/trace.h"

/* stalls_limit: after how long a silence of this node some living peer takes it for dead: its own
 * skew is in the interval that it signs. */
static dur_t stalls_limit(const struct election *e, uint8_t group, dur_t interval)
{
	int64_t skew_us = INT64_MAX;

	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		int64_t us = e->peers[p].views[group].interval_us - e->config.advbase.us;

		if (peers_alive_at(e, group, p, e->stepped_at) && us < skew_us)
			skew_us = us > 0 ? us : 0;
	}
	return dur_add(dur_mul(interval, e->config.dead_factor),
		dur_us(skew_us == INT64_MAX ? 0 : skew_us));
}

/* stalls_detect_promoting: a candidate that slept while peers lived may have been overtaken. Not
 * the target of a hand-over: the old master serves, and waits for it (handover_patience()). And not
 * one that is alone: its promotion is all that the group has. */
static bool stalls_detect_promoting(struct election *e, uint8_t group, dur_t silent)
{
	const struct model_group *g = &e->groups[group];
	uint8_t old = election_peer_index(e, g->from);

	if (old != MODEL_NO_PEER)
		return silent.us > handover_patience(e, group, old).us / 2;
	return peers_any_alive_at(e, group, e->stepped_at);
}

static bool stalls_late(const struct election *e, dur_t late)
{
	return !mono_is_never(e->wake_at) &&
	       late.us > dur_max(dur_us(STALLS_LATE_MIN_US), dur_us(e->config.advbase.us / 4)).us;
}

/* stalls_detect_listening: a late clock that listens, alone, and sleeps again: with somebody there
 * by now it goes, else it listens from the beginning. */
static void stalls_detect_listening(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	dur_t slept = mono_diff(e->now, e->stepped_at);

	if (!stalls_late(e, mono_diff(e->now, e->wake_at)) ||
		slept.us <= stalls_limit(e, group, group_interval(e, group)).us)
		return;
	if (!peers_any_alive_at(e, group, e->stepped_at)) {
		g->listen_asked = false;
		g->listen_until = mono_add(e->now, carp2_core_listen(e, group));
		return;
	}
	trace_line(e, group, TRACE_TEXT("asleep again for %s, a peer was alive", TRACE_MS(slept)),
		"step down before a word");
	g->mute = true;
	group_demote(e, group, REASON_LATE_CLOCK, 0);
}

static void stalls_detect_holder(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	dur_t interval = group_interval(e, group);
	dur_t silent = mono_diff(e->now, mono_max(g->sent_at, g->since));
	dur_t confirmed =
		dur_add(interval, dur_mul(e->config.confirm_spacing, e->config.confirm_questions));
	bool company = peers_any_alive_at(e, group, e->stepped_at);

	g->was_late = e->config.confirm_questions > 0 && silent.us > confirmed.us;
	if (g->listening) {
		stalls_detect_listening(e, group);
		return;
	}
	if (silent.us <= stalls_limit(e, group, interval).us)
		return;
	if (g->state == GROUP_STATE_PROMOTING && !stalls_detect_promoting(e, group, silent))
		return;
	if (company || g->state == GROUP_STATE_PROMOTING) {
		trace_line(e, group,
			TRACE_TEXT("asleep for %s, a peer was alive", TRACE_MS(silent)),
			"step down before a word");
		g->mute = true;
		group_demote(e, group, REASON_LATE_CLOCK, 0);
		return;
	}
	g->listening = true;
	g->listen_asked = false;
	g->listen_until = mono_add(e->now, carp2_core_listen(e, group));
	trace_line(e, group, TRACE_TEXT("asleep for %s, alone", TRACE_MS(silent)),
		carp2_core_foreign(e) ? "look whether a foreign node has claimed the group"
				      : "ask and listen for one master-down");
}

static void stalls_detect_backup(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	dur_t late = mono_diff(e->now, e->wake_at);
	/* CARPv2's advbase may be 0: there the skew is the interval. */
	dur_t interval = e->config.carp2 ? group_interval(e, group) : e->config.advbase;
	dur_t grace = dur_min(late, dur_add(interval, timers_confirm_margin(e->config.advbase)));

	if (!stalls_late(e, late))
		return;
	trace_line(e, group, TRACE_TEXT("late by %s", TRACE_MS(late)),
		"what it slept through is no silence");
	peers_forget_silence(e, group, late, grace);
	carp2_core_forget_silence(e, group, late);
	confirm_again(e, group);
	if (g->state == GROUP_STATE_INIT) {
		g->hold_until = mono_max(
			g->hold_until, mono_add(e->now, group_master_down(e, group, DUR_ZERO)));
		return;
	}
	if (g->vacant_at.us > e->stepped_at.us)
		g->vacant_at = mono_add(g->vacant_at, late);
	if (peers_holder(e, group) == MODEL_NO_PEER)
		g->vacant_at = mono_max(g->vacant_at, mono_add(e->now, grace));
}

void stalls_detect(struct election *e)
{
	for (uint8_t group = 0; group < e->config.group_count; group++) {
		enum group_state state = e->groups[group].state;

		if (state == GROUP_STATE_MASTER || state == GROUP_STATE_PROMOTING)
			stalls_detect_holder(e, group);
		else if (state != GROUP_STATE_DEMOTING)
			stalls_detect_backup(e, group);
	}
}

bool stalls_judge_listening(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	uint8_t holder;

	if (!g->listening)
		return false;
	if (carp2_core_judge_listening(e, group))
		return true;
	holder = peers_holder(e, group);
	if (holder != MODEL_NO_PEER) {
		trace_line(e, group,
			TRACE_TEXT("%s has claimed the group", e->config.peers[holder].name),
			"step down");
		group_demote(e, group, REASON_LATE_CLOCK, e->config.peers[holder].id);
		return true;
	}
	if (!mono_reached(e->now, g->listen_until)) {
		if (!g->listen_asked)
			g->send_now = true;
		g->listen_asked = true;
		election_wake(e, g->listen_until);
		return true;
	}
	trace_line(e, group, "nobody claims the group", "go on as master");
	g->listening = false;
	g->send_now = true;
	return false;
}
