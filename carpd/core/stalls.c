#include "carpd/core/stalls.h"

#include "carpd/core/election_internal.h"
#include "carpd/core/group.h"
#include "carpd/core/peers.h"
#include "carpd/core/timers.h"
#include "carpd/core/trace.h"

static void stalls_detect_holder(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	dur_t interval = timers_interval(e->config.advbase, e->config.groups[group].advskew);
	dur_t silent = mono_diff(e->now, mono_max(g->sent_at, g->since));
	dur_t limit = dur_mul(interval, e->config.dead_factor);
	bool company = peers_any_alive_at(e, group, e->stepped_at);

	if (silent.us <= limit.us || g->listening)
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
	g->listen_until = mono_add(e->now, group_master_down(e, group, DUR_ZERO));
	trace_line(e, group, TRACE_TEXT("asleep for %s, alone", TRACE_MS(silent)),
		"ask and listen for one master-down");
}

static void stalls_detect_backup(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	dur_t down = group_master_down(e, group, DUR_ZERO);
	dur_t late = mono_diff(e->now, e->wake_at);

	if (late.us <= down.us / 2)
		return;
	trace_line(e, group, TRACE_TEXT("late by %s", TRACE_MS(late)), "re-arm, do not promote");
	peers_forget_silence(e, group, e->stepped_at);
	if (g->state == GROUP_STATE_INIT)
		g->hold_until = mono_max(g->hold_until, mono_add(e->now, down));
	else
		g->vacant_at = mono_max(g->vacant_at, mono_add(e->now, down));
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
