#include "carpd/core/confirm.h"

#include "carpd/core/election_internal.h"
#include "carpd/core/order.h"
#include "carpd/core/peers.h"
#include "carpd/core/timers.h"
#include "carpd/core/trace.h"

/* confirm_master: the living master, when it is the only node that has the group in its hands. */
static uint8_t confirm_master(const struct election *e, uint8_t group)
{
	uint8_t master = peers_master(e, group);

	for (uint8_t p = 0; p < e->config.peer_count; p++)
		if (p != master && peers_holds(e, group, p) && peers_alive(e, group, p))
			return MODEL_NO_PEER;
	return master;
}

/* confirm_can_ask: a port that has no carrier asks nobody; without any there is no evidence. */
static bool confirm_can_ask(const struct election *e, uint8_t group)
{
	const struct model_group *g = &e->groups[group];

	for (uint16_t lane = g->lane_first; lane < g->lane_first + g->lane_count; lane++)
		if (e->ports[e->lanes[lane].path].carrier)
			return true;
	return false;
}

void confirm_answered(struct election *e, uint8_t group, uint8_t peer)
{
	struct model_confirm *c = &e->groups[group].confirm;

	if (!c->testing || c->peer != peer)
		return;
	c->testing = false;
	c->answered = true;
	c->answered_at = e->now;
	c->answer_time =
		dur_max(mono_diff(e->now, c->tested_at), dur_us(c->answer_time.us * 3 / 4));
}

void confirm_again(struct election *e, uint8_t group)
{
	e->groups[group].confirm.asked = 0;
}

bool confirm_armed(const struct election *e, uint8_t group)
{
	const struct model_confirm *c = &e->groups[group].confirm;
	dur_t all = dur_mul(e->config.confirm_spacing, e->config.confirm_questions);

	return c->answered && c->answer_time.us <= all.us / 2 &&
	       !mono_reached(e->now, mono_add(c->answered_at, dur_ms(CONFIRM_TEST_VALID_MS)));
}

/* confirm_judge_test: a question while all is well, to know how soon answers come. */
static void confirm_judge_test(struct election *e, uint8_t group)
{
	struct model_confirm *c = &e->groups[group].confirm;
	mono_t due = mono_add(c->tested_at, dur_ms(CONFIRM_TEST_MS));

	if (!c->testing && !c->answered)
		due = e->now; /* a new master: at once */
	if (mono_reached(e->now, due)) {
		c->testing = true;
		c->tested_at = e->now;
		c->send = true;
		due = mono_add(e->now, dur_ms(CONFIRM_TEST_MS));
	}
	election_wake(e, due);
}

static void confirm_judge_ask(struct election *e, uint8_t group)
{
	struct model_confirm *c = &e->groups[group].confirm;

	if (!c->active) {
		c->active = true;
		c->asked = 0;
		c->testing = false;
		trace_line(e, group,
			TRACE_TEXT("%s has missed an advert, silent for %s",
				e->config.peers[c->peer].name,
				TRACE_MS(mono_diff(
					e->now, e->peers[c->peer].views[group].heard_at))),
			"ask on every path");
	}
	c->send = true;
	c->asked_at = e->now;
	if (c->asked < e->config.confirm_questions)
		c->asked++;
	election_wake(e, mono_add(e->now, e->config.confirm_spacing));
}

static void confirm_judge_dead(struct election *e, uint8_t group)
{
	struct model_confirm *c = &e->groups[group].confirm;
	struct model_view *view = &e->peers[c->peer].views[group];

	view->confirmed = true;
	view->confirmed_at = e->now;
	trace_line(e, group,
		TRACE_TEXT("%s left %u questions unanswered on every path, silent for %s",
			e->config.peers[c->peer].name, c->asked,
			TRACE_MS(mono_diff(e->now, view->heard_at))),
		"dead");
	*c = (struct model_confirm){0};
}

/* confirm_judge_missed: the next advert is overdue: ask, wait, conclude. */
static void confirm_judge_missed(struct election *e, uint8_t group)
{
	struct model_confirm *c = &e->groups[group].confirm;
	dur_t spacing = e->config.confirm_spacing;
	mono_t due = mono_add(c->asked_at, spacing);

	if (c->active && !mono_reached(e->now, due))
		election_wake(e, due);
	else if (!c->active || c->asked < e->config.confirm_questions ||
		 mono_diff(e->now, due).us > spacing.us)
		/* Late after the last one: the answer may wait behind what made this clock late. */
		confirm_judge_ask(e, group);
	else
		confirm_judge_dead(e, group);
}

void confirm_judge(struct election *e, uint8_t group)
{
	struct model_confirm *c = &e->groups[group].confirm;
	uint8_t peer = MODEL_NO_PEER;
	dur_t interval;
	mono_t missed;

	c->send = false;
	if (e->config.confirm_questions > 0 && e->groups[group].state == GROUP_STATE_BACKUP &&
		order_self_eligible(e, group) && confirm_can_ask(e, group))
		peer = confirm_master(e, group);
	if (peer == MODEL_NO_PEER) {
		*c = (struct model_confirm){0};
		return;
	}
	if (c->peer != peer)
		*c = (struct model_confirm){.peer = peer};
	interval = dur_max(e->config.advbase, dur_us(e->peers[peer].views[group].interval_us));
	missed = mono_add(e->peers[peer].views[group].heard_at,
		dur_add(interval, timers_confirm_margin(interval)));
	if (!mono_reached(e->now, missed)) {
		c->active = false;
		election_wake(e, missed);
		confirm_judge_test(e, group);
	} else if (confirm_armed(e, group)) {
		confirm_judge_missed(e, group);
	} else {
		c->active = false;
		confirm_judge_test(e, group);
	}
}
