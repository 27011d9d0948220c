#include "carpd/core/backup.h"

#include "carpd/core/carp2_core.h"
#include "carpd/core/dual.h"
#include "carpd/core/election_internal.h"
#include "carpd/core/group.h"
#include "carpd/core/handover.h"
#include "carpd/core/order.h"
#include "carpd/core/peers.h"
#include "carpd/core/timers.h"
#include "carpd/core/trace.h"

#define BACKUP_NO_MASTER_S 1
#define BACKUP_PROOF_S	   10

/* backup_wait: from when on nobody stands in the way of a takeover, stagger left out, and why.
 * ret_dead: the last holder to die, or MODEL_NO_PEER. */
static mono_t backup_wait(
	const struct election *e, uint8_t group, enum reason *ret_reason, uint8_t *ret_dead)
{
	const struct model_group *g = &e->groups[group];
	mono_t at = g->vacant_at;

	*ret_reason = g->vacant_reason;
	*ret_dead = MODEL_NO_PEER;
	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_view *view = &e->peers[p].views[group];
		mono_t dead_at = peers_dead_at(e, group, p);

		if (!peers_holds(e, group, p) || view->closed)
			continue;
		/* vacant_at is never "never" in BACKUP: group.c sets it with the state. */
		if (dead_at.us >= at.us || *ret_reason == REASON_STARTUP) {
			at = mono_max(at, dead_at);
			*ret_reason = REASON_MASTER_DEAD;
			*ret_dead = p;
		}
	}
	return carp2_core_wait(e, group, at, ret_reason);
}

static void backup_judge_unproven(struct election *e, uint8_t group)
{
	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_peer *peer = &e->peers[p];

		if (peer->unproven_master[group] && !peers_alive(e, group, p) &&
			mono_diff(e->now, peer->unproven_master_at[group]).us < dur_s(1).us) {
			trace_line(e, group,
				TRACE_TEXT("%s still sends adverts without proof",
					e->config.peers[p].name),
				"promote, alarm UNPROVEN_PEER");
			election_alarm(e, group, ELECTION_ALARM_UNPROVEN_PEER,
				e->config.peers[p].id, true);
		}
	}
}

/* backup_deaf: nobody has been heard since the dead master's next advert was due, nor for as long
 * as a beacon takes: perhaps it is not that one which is dead. */
static bool backup_deaf(const struct election *e, uint8_t group, uint8_t dead)
{
	dur_t beacon = timers_beacon(e->config.advbase);
	mono_t due = mono_add(e->now, dur_us(-beacon.us * 5 / 4));

	if (dead != MODEL_NO_PEER)
		due = mono_max(due, mono_add(e->peers[dead].views[group].heard_at,
					    dur_us(e->peers[dead].views[group].interval_us)));
	for (uint8_t p = 0; p < e->config.peer_count; p++)
		if (p != dead && peers_alive(e, group, p) &&
			e->peers[p].views[group].heard_at.us > due.us)
			return false;
	return true;
}

static void backup_take_over(
	struct election *e, uint8_t group, enum reason reason, uint8_t dead, uint8_t k)
{
	struct election_fact facts[ELECTION_FACTS_MAX] = {{"place", k}};
	uint8_t count = 1;

	if (reason == REASON_MASTER_DEAD && dead != MODEL_NO_PEER) {
		const struct model_view *view = &e->peers[dead].views[group];
		dur_t down = peers_silence(e, group, dead);
		dur_t silent = mono_diff(e->now, view->heard_at);

		if (!view->confirmed)
			trace_line(e, group,
				TRACE_TEXT("%s silent on all paths for %s, master-down %s",
					e->config.peers[dead].name, TRACE_MS(silent),
					TRACE_MS(down)),
				"dead, take over");
		facts[count++] = (struct election_fact){"silent_us", silent.us};
		facts[count++] = (struct election_fact){"master_down_us", down.us};
		if (view->confirmed)
			facts[count++] =
				(struct election_fact){"questions", e->config.confirm_questions};
	} else if (reason == REASON_MASTER_DEAD) {
		count = (uint8_t)(count + carp2_core_tell_dead(e, group, facts + count));
	}
	backup_judge_unproven(e, group);
	group_promote(e, group, reason, 0, false, facts, count);
	if (backup_deaf(e, group, dead))
		dual_doubt(e, group);
}

/* backup_judge_overrule: a master demoted by 100 or more ought to hand over; when it leaves the
 * request of the best backup unanswered for master-down, that one promotes by itself. */
static void backup_judge_overrule(struct election *e, uint8_t group, uint8_t master)
{
	struct model_group *g = &e->groups[group];
	const struct model_view *view = &e->peers[master].views[group];
	struct order_rank own = order_self(e, group);
	struct order_rank theirs = order_peer(e, group, master);
	struct election_fact facts[2];
	dur_t down;
	bool wants = (view->demotion >= MODEL_DEMOTION_LARGE || view->fault) &&
		     own.demotion < theirs.demotion && view->handover_to == 0 && !g->held &&
		     order_place(e, group) == 0;

	if (wants != g->wants) {
		g->wants = wants;
		g->wants_since = wants ? e->now : MONO_NEVER;
		g->send_now = true;
	}
	if (!wants)
		return;
	down = group_master_down(e, group, dur_us(view->interval_us));
	if (!mono_reached(e->now, mono_add(g->wants_since, down))) {
		election_wake(e, mono_add(g->wants_since, down));
		return;
	}
	trace_line(e, group,
		TRACE_TEXT("%s, demoted by %u, left our request unanswered for %s",
			e->config.peers[master].name, theirs.demotion, TRACE_MS(down)),
		"take over");
	facts[0] = (struct election_fact){"own_demotion", own.demotion};
	facts[1] = (struct election_fact){"master_demotion", theirs.demotion};
	group_promote(e, group, REASON_PEER_DEMOTED, 0, false, facts, 2);
	g->overruled = e->config.peers[master].id;
}

void backup_judge(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	uint8_t master = peers_master(e, group), dead, k;
	enum reason reason;
	mono_t at;

	if (handover_judge_offered(e, group) || !order_self_eligible(e, group))
		return;
	if (master != MODEL_NO_PEER) {
		backup_judge_overrule(e, group, master);
		if (g->state != GROUP_STATE_BACKUP)
			return;
	} else {
		g->wants = false;
	}
	if (carp2_core_judge_backup(e, group))
		return;
	k = order_place(e, group) + carp2_core_place(e, group);
	at = backup_wait(e, group, &reason, &dead);
	at = mono_add(at, timers_stagger(e->config.advbase, k));
	if (mono_reached(e->now, at))
		backup_take_over(e, group, reason, dead, k);
	else
		election_wake(e, at);
}

void backup_judge_vacancy(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	bool vacant = g->state != GROUP_STATE_MASTER && g->state != GROUP_STATE_PROMOTING &&
		      g->state != GROUP_STATE_INIT && peers_holder(e, group) == MODEL_NO_PEER &&
		      !carp2_core_alive(e, group);
	mono_t due;

	if (!vacant)
		g->empty_since = MONO_NEVER;
	else if (mono_is_never(g->empty_since))
		g->empty_since = e->now;
	due = mono_add(g->empty_since, dur_s(BACKUP_NO_MASTER_S));
	if (!mono_reached(e->now, due))
		election_wake(e, due);
	election_alarm(e, group, ELECTION_ALARM_NO_MASTER, 0, mono_reached(e->now, due));
}

void backup_judge_proof(struct election *e, uint8_t group)
{
	const struct model_group *g = &e->groups[group];
	mono_t due;
	uint8_t peer;

	if (!g->alarms[ELECTION_ALARM_UNPROVEN_PEER].on)
		return;
	peer = election_peer_index(e, g->alarms[ELECTION_ALARM_UNPROVEN_PEER].node);
	due = mono_add(e->peers[peer].unproven_master_at[group], dur_s(BACKUP_PROOF_S));
	if (!peers_alive(e, group, peer) && !mono_reached(e->now, due)) {
		election_wake(e, due);
		return;
	}
	election_alarm(e, group, ELECTION_ALARM_UNPROVEN_PEER, 0, false);
}
