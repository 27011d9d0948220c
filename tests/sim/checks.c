#include "checks.h"

#include "common/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECKS_SEEN_BITS 14u /* at first */

struct checks {
	char failure[256];
	int64_t dual_since[WORLD_NODES_MAX][WORLD_NODES_MAX][WORLD_GROUPS_MAX];
	int64_t vacant_since[WORLD_NODES_MAX][WORLD_GROUPS_MAX];
	int64_t looked_at;
	bool look; /* something has changed since */
	int64_t dual_bound, vacancy_bound, hold_bound;
	uint64_t *seen; /* hash set of accepted (receiver, advert); at most half full */
	uint32_t seen_bits;
	size_t seen_count;
};

struct checks *checks_new(const struct world *w)
{
	struct checks *c = calloc(1, sizeof(*c));
	int64_t interval = w->options.advbase_us * 511 / 256;
	int64_t delay = w->options.delay_us + w->options.jitter_us;
	int64_t down = world_master_down(w);

	CHECK(c);
	c->seen_bits = CHECKS_SEEN_BITS;
	c->seen = calloc((size_t)1 << c->seen_bits, sizeof(*c->seen));
	CHECK(c->seen);
	c->dual_bound = 6 * interval + 8 * delay + 30000;
	c->vacancy_bound = 3 * down + w->options.stage_us + 50000;
	c->hold_bound = 6 * (down * 2 > 1000000 ? down * 2 : 1000000) + down + 200000;
	memset(c->dual_since, 0xff, sizeof(c->dual_since));
	memset(c->vacant_since, 0xff, sizeof(c->vacant_since));
	return c;
}

void checks_free(struct checks *c)
{
	free(c->seen);
	free(c);
}

const char *checks_failure(const struct world *w)
{
	return w->checks->failure[0] ? w->checks->failure : NULL;
}

static void checks_fail(struct world *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void checks_fail(struct world *w, const char *format, ...)
{
	va_list arguments;
	int used;

	if (w->checks->failure[0])
		return;
	used = snprintf(w->checks->failure, sizeof(w->checks->failure),
		"at %.6f s: ", (double)w->now / 1e6);
	va_start(arguments, format);
	vsnprintf(w->checks->failure + used, sizeof(w->checks->failure) - (size_t)used, format,
		arguments);
	va_end(arguments);
}

static bool checks_awake(const struct world *w, uint8_t node)
{
	return w->nodes[node].up && !w->nodes[node].paused;
}

/* checks_clean: since when some path from a to b lets everything through; INT64_MAX = not now. */
static int64_t checks_clean(const struct world *w, uint8_t group, uint8_t a, uint8_t b)
{
	int64_t since = INT64_MAX;

	for (uint8_t path = 0; path < w->path_count; path++) {
		bool sync = path >= w->options.groups * w->options.interfaces;

		if (!sync && path / w->options.interfaces != group)
			continue;
		if (w->links[path][a][b].clean_since < since)
			since = w->links[path][a][b].clean_since;
	}
	return since;
}

static bool checks_open(const struct world *w, uint8_t group, uint8_t a, uint8_t b)
{
	for (uint8_t path = 0; path < w->path_count; path++) {
		bool sync = path >= w->options.groups * w->options.interfaces;

		if ((sync || path / w->options.interfaces == group) &&
			w->links[path][a][b].cuts == 0)
			return true;
	}
	return false;
}

static bool checks_handing_over(const struct world *w, uint8_t a, uint8_t b, uint8_t group)
{
	const struct model_group *ga = &w->nodes[a].election.groups[group];
	const struct model_group *gb = &w->nodes[b].election.groups[group];

	return (ga->offer.active && ga->offer.target == w->configs[b].own.id) ||
	       (gb->offer.active && gb->offer.target == w->configs[a].own.id);
}

/* (a) */
static void checks_dual(struct world *w, uint8_t a, uint8_t b, uint8_t group)
{
	struct checks *c = w->checks;
	int64_t *since = &c->dual_since[a][b][group], from;

	if (!checks_awake(w, a) || !checks_awake(w, b) || !world_master(w, a, group) ||
		!world_master(w, b, group) || checks_handing_over(w, a, b, group)) {
		*since = -1;
		return;
	}
	if (*since < 0)
		*since = w->now;
	from = checks_clean(w, group, a, b);
	if (checks_clean(w, group, b, a) > from)
		from = checks_clean(w, group, b, a);
	if (*since > from)
		from = *since;
	if (w->nodes[a].disturbed_at > from)
		from = w->nodes[a].disturbed_at;
	if (w->nodes[b].disturbed_at > from)
		from = w->nodes[b].disturbed_at;
	if (from != INT64_MAX && w->now - from > c->dual_bound)
		checks_fail(w, "(a) %s and %s are both master of g%u for %.1f ms, allowed %.1f",
			w->configs[a].own.name, w->configs[b].own.name, group,
			(double)(w->now - from) / 1e3, (double)c->dual_bound / 1e3);
}

static bool checks_eligible(const struct world *w, uint8_t node, uint8_t group)
{
	const struct election *e = &w->nodes[node].election;
	enum group_state state = e->groups[group].state;

	return checks_awake(w, node) && !w->nodes[node].stopping && !e->maintenance &&
	       e->maintenance_wish.request_id == 0 && state != GROUP_STATE_INIT &&
	       state != GROUP_STATE_FAULT;
}

/* (b) */
static void checks_vacancy(struct world *w, uint8_t node, uint8_t group)
{
	struct checks *c = w->checks;
	int64_t *since = &c->vacant_since[node][group], from;
	bool served = false;

	for (uint8_t m = 0; m < w->options.nodes; m++)
		if (checks_awake(w, m) && world_master(w, m, group) &&
			(m == node || checks_open(w, group, m, node)))
			served = true;
	if (served || !checks_eligible(w, node, group)) {
		*since = -1;
		return;
	}
	if (*since < 0)
		*since = w->now;
	from = *since > w->changed_at ? *since : w->changed_at;
	if (w->now - from > c->vacancy_bound)
		checks_fail(w, "(b) %s, eligible, hears no master of g%u for %.1f ms, allowed %.1f",
			w->configs[node].own.name, group, (double)(w->now - from) / 1e3,
			(double)c->vacancy_bound / 1e3);
}

static void checks_hold(struct world *w, uint8_t node, uint8_t group)
{
	if (checks_awake(w, node) && w->nodes[node].disturbed_at == w->nodes[node].boot_at &&
		w->nodes[node].election.groups[group].state == GROUP_STATE_INIT &&
		w->now - w->nodes[node].boot_at > w->checks->hold_bound)
		checks_fail(w, "(b) %s is still in init after %.1f s", w->configs[node].own.name,
			(double)(w->now - w->nodes[node].boot_at) / 1e6);
}

void checks_tick(struct world *w)
{
	struct checks *c = w->checks;

	/* Bounds are in tens of milliseconds: one look in a millisecond, and one after each
	 * transition, is enough, and costs a tenth. */
	if (!c->look && w->now < c->looked_at + 1000)
		return;
	c->look = false;
	c->looked_at = w->now;
	for (uint8_t node = 0; node < w->options.nodes; node++)
		if (w->nodes[node].election.wakes_overdue > 0)
			checks_fail(w, "%s asks to be woken for what is overdue",
				w->configs[node].own.name);
	for (uint8_t group = 0; group < w->options.groups; group++)
		for (uint8_t a = 0; a < w->options.nodes; a++) {
			checks_vacancy(w, a, group);
			checks_hold(w, a, group);
			for (uint8_t b = 0; b < a; b++)
				checks_dual(w, a, b, group);
		}
}

/* checks_seen_slot: where the key is, or belongs. */
static size_t checks_seen_slot(const struct checks *c, uint64_t key)
{
	size_t slot = key >> (64 - c->seen_bits);

	while (c->seen[slot] && c->seen[slot] != key)
		slot = (slot + 1) & (((size_t)1 << c->seen_bits) - 1);
	return slot;
}

static void checks_seen_grow(struct checks *c)
{
	uint64_t *old = c->seen;
	size_t size = (size_t)1 << c->seen_bits++;

	c->seen = calloc(size * 2, sizeof(*c->seen));
	CHECK(c->seen);
	for (size_t i = 0; i < size; i++)
		if (old[i])
			c->seen[checks_seen_slot(c, old[i])] = old[i];
	free(old);
}

/* (c) */
void checks_accepted(struct world *w, uint8_t node, const struct advert *packet, int64_t sent_at)
{
	struct checks *c = w->checks;
	struct rng mix = {packet->epoch ^ packet->counter * 0x9e3779b97f4a7c15u};
	uint64_t key;
	size_t slot;

	mix.state = rng_next(&mix) ^ (uint64_t)node << 56 ^ (uint64_t)packet->sender << 48 ^
		    (uint64_t)packet->path_tag << 16 ^ packet->group_tag;
	key = rng_next(&mix) | 1;
	if (sent_at < w->nodes[node].boot_at)
		checks_fail(w, "(c) %s accepted an advert of %.3f s, before its own boot",
			w->configs[node].own.name, (double)sent_at / 1e6);
	slot = checks_seen_slot(c, key);
	if (c->seen[slot] == key)
		checks_fail(w, "(c) %s accepted counter %llu of node %u twice",
			w->configs[node].own.name, (unsigned long long)packet->counter,
			packet->sender);
	c->seen[slot] = key;
	if (++c->seen_count > (size_t)1 << (c->seen_bits - 1))
		checks_seen_grow(c);
}

/* checks_dead_after: the soonest that silence may be called death: master-down, or one interval and
 * every question with its wait; less what a slow clock may gain. */
static int64_t checks_dead_after(const struct world *w, int64_t interval)
{
	int64_t down = interval * w->options.dead_factor;
	int64_t asked = interval + w->options.confirm_questions * w->options.confirm_spacing_us;

	if (w->options.confirm_questions > 0 && asked < down)
		down = asked;
	return down - interval / 16;
}

/* (e) */
static void checks_dead(struct world *w, uint8_t node, uint8_t group)
{
	const struct world_node *n = &w->nodes[node];

	for (uint8_t m = 0; m < w->options.nodes; m++) {
		int64_t interval = n->accepted_interval[m][group];

		if (m == node || !checks_awake(w, m) || !world_master(w, m, group) ||
			n->accepted_at[m][group] < 0)
			continue;
		if (w->now - n->accepted_at[m][group] < checks_dead_after(w, interval))
			checks_fail(w,
				"(e) %s takes g%u over as MASTER_DEAD %.1f ms after %s's advert",
				w->configs[node].own.name, group,
				(double)(w->now - n->accepted_at[m][group]) / 1e3,
				w->configs[m].own.name);
	}
}

/* (e), from the other end: what the node ought to have heard, accepted or not. */
static void checks_audible(struct world *w, uint8_t node, uint8_t group)
{
	int64_t delay = w->options.delay_us + w->options.jitter_us;

	for (uint8_t m = 0; m < w->options.nodes; m++) {
		int64_t interval =
			w->options.advbase_us * (256 + w->configs[m].groups[group].advskew) / 256;
		int64_t from = checks_clean(w, group, m, node);
		int64_t back = checks_clean(w, group, node, m);

		if (m == node || !checks_awake(w, m) || !world_master(w, m, group))
			continue;
		/* A proof, and the answer to a question, need the way back as well. */
		from = from > back ? from : back;
		if (w->nodes[m].disturbed_at > from)
			from = w->nodes[m].disturbed_at;
		if (w->nodes[node].disturbed_at > from)
			from = w->nodes[node].disturbed_at;
		if (w->nodes[m].groups[group].master_since > from)
			from = w->nodes[m].groups[group].master_since;
		if (from != INT64_MAX && w->now - from > 2 * interval + 8 * delay + 30000)
			checks_fail(w,
				"(e) %s takes g%u over as MASTER_DEAD, and could hear %s for %.1f "
				"ms",
				w->configs[node].own.name, group, w->configs[m].own.name,
				(double)(w->now - from) / 1e3);
	}
}

/* (g) */
void checks_sent(struct world *w, uint8_t node, const struct advert *advert)
{
	for (uint8_t group = 0; group < w->options.groups; group++) {
		uint64_t term = w->nodes[node].groups[group].slept_term;

		if (advert->group_tag == w->configs[node].groups[group].tag && term > 0 &&
			advert->state == GROUP_STATE_MASTER && advert->term.number == term)
			checks_fail(w, "(g) %s slept %.1f ms and still claims g%u",
				w->configs[node].own.name, (double)w->nodes[node].slept_us / 1e3,
				group);
	}
}

/* (h) */
static void checks_woken(struct world *w, uint8_t node, uint8_t group)
{
	const struct world_node *n = &w->nodes[node];

	int64_t least = w->options.advbase_us;
	int64_t asked = w->options.confirm_questions * w->options.confirm_spacing_us;

	/* Questions asked since it woke are evidence, and they may be quicker than an advert. */
	if (asked > 0 && asked < least)
		least = asked;
	if (n->resumed_at >= 0 && n->slept_us > 2 * world_master_down(w) &&
		w->now - n->resumed_at < least * 15 / 16)
		checks_fail(w, "(h) %s slept %.1f ms and calls the master of g%u dead",
			w->configs[node].own.name, (double)n->slept_us / 1e3, group);
}

/* (d), (e) and (h) */
void checks_transition(struct world *w, uint8_t node, const struct election_action *action)
{
	struct world_group *g = &w->nodes[node].groups[action->group];

	w->checks->look = true;
	if (action->new_state == GROUP_STATE_PROMOTING) {
		if (action->term.number <= g->term_promised)
			checks_fail(w, "(d) %s promotes g%u with term %llu, had %llu",
				w->configs[node].own.name, action->group,
				(unsigned long long)action->term.number,
				(unsigned long long)g->term_promised);
		if (action->reason == REASON_MASTER_DEAD) {
			checks_dead(w, node, action->group);
			checks_audible(w, node, action->group);
			checks_woken(w, node, action->group);
		}
	}
	if (action->new_state == GROUP_STATE_MASTER)
		g->master_since = w->now;
	if (action->new_state == GROUP_STATE_DEMOTING)
		g->was_master = action->old_state == GROUP_STATE_MASTER;
	if (action->term.number > g->term_promised)
		g->term_promised = action->term.number;
}

/* checks_held_by_third: another node, awake and heard by this one, holds the addresses as master.
 */
static bool checks_held_by_third(const struct world *w, uint8_t node, uint8_t group)
{
	for (uint8_t m = 0; m < w->options.nodes; m++)
		if (m != node && checks_awake(w, m) && world_master(w, m, group) &&
			w->nodes[m].groups[group].holds && checks_open(w, group, m, node))
			return true;
	return false;
}

/* (f) */
void checks_withdrawn(struct world *w, uint8_t node, uint8_t group, uint8_t to, enum reason why)
{
	/* Only hand-overs: an aborted candidate gives way to a claim, not to a master. */
	if (why == REASON_DUAL_MASTER || why == REASON_LATE_CLOCK || to == 0 ||
		!w->nodes[node].groups[group].was_master)
		return;
	for (uint8_t m = 0; m < w->options.nodes; m++) {
		const struct world_node *n = &w->nodes[m];

		if (w->configs[m].own.id != to || n->groups[group].holds)
			continue;
		/* The target itself was struck within the tail. */
		if (n->disturbed_at > w->now - 200000 || n->groups[group].lost_at > w->now - 200000)
			continue;
		if (checks_held_by_third(w, node, group))
			continue; /* the target lost to it, as one of two masters */
		checks_fail(w, "(f) %s gives g%u to %s, which does not hold it",
			w->configs[node].own.name, group, n->election.config.own.name);
	}
}

/* What is over must not be shown any more. */
static void checks_converged_alarms(struct world *w, uint8_t group)
{
	static const enum election_alarm_code codes[] = {ELECTION_ALARM_PATH_SPLIT,
		ELECTION_ALARM_UNPROVEN_PEER, ELECTION_ALARM_DUAL_MASTER,
		ELECTION_ALARM_NO_READY_PEER, ELECTION_ALARM_NO_MASTER, ELECTION_ALARM_FAULT};

	for (uint8_t node = 0; node < w->options.nodes; node++)
		for (size_t i = 0; i < ARRAY_LEN(codes); i++)
			if (w->nodes[node].election.groups[group].alarms[codes[i]].on)
				checks_fail(w, "liveness: %s still raises %s for g%u",
					w->configs[node].own.name, election_alarm_name(codes[i]),
					group);
}

void checks_converged(struct world *w)
{
	for (uint8_t group = 0; group < w->options.groups; group++) {
		int masters = 0;

		for (uint8_t node = 0; node < w->options.nodes; node++) {
			enum group_state state = w->nodes[node].election.groups[group].state;

			if (!checks_awake(w, node))
				checks_fail(w, "liveness: %s is not up", w->configs[node].own.name);
			else if (state == GROUP_STATE_MASTER)
				masters++;
			else if (state != GROUP_STATE_BACKUP)
				checks_fail(w, "liveness: %s is %s in g%u",
					w->configs[node].own.name, state_name(state), group);
		}
		checks_converged_alarms(w, group);
		if (masters != 1)
			checks_fail(w, "liveness: g%u has %d masters", group, masters);
	}
}
