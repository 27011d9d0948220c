#include "checks.h"

#include "common/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct checks {
	char failure[256];
	int64_t dual_since[WORLD_NODES_MAX][WORLD_NODES_MAX][WORLD_GROUPS_MAX];
	int64_t both_since[WORLD_NODES_MAX][WORLD_GROUPS_MAX];
	int64_t vacant_since[WORLD_NODES_MAX][WORLD_GROUPS_MAX];
	int64_t looked_at, look_every;
	bool look; /* something has changed since */
	int64_t delay, interval, dual_bound, vacancy_bound, hold_bound;
	/* A bit for each advert that was ever sent: accepted there. */
	uint64_t *seen[WORLD_NODES_MAX];
	size_t seen_words[WORLD_NODES_MAX];
};

struct checks *checks_new(const struct world *w)
{
	struct checks *c = calloc(1, sizeof(*c));
	int64_t down = world_master_down(w);

	CHECK(c);
	c->delay = w->options.delay_us + w->options.jitter_us + w->options.turn_us;
	for (uint8_t node = 0; node < w->options.nodes; node++)
		for (uint8_t group = 0; group < w->options.groups; group++)
			if (world_interval(w, node, group) > c->interval)
				c->interval = world_interval(w, node, group);
	c->dual_bound = 6 * c->interval + 8 * c->delay + 30000;
	c->vacancy_bound = 3 * down + w->options.stage_us + 50000;
	if (w->options.late)
		c->vacancy_bound += 2 * WORLD_LATE_US;
	c->hold_bound = 6 * (down * 2 > 1000000 ? down * 2 : 1000000) + down + 200000;
	c->look_every = c->interval / 16 > 1000 ? c->interval / 16 : 1000;
	memset(c->dual_since, 0xff, sizeof(c->dual_since));
	memset(c->both_since, 0xff, sizeof(c->both_since));
	memset(c->vacant_since, 0xff, sizeof(c->vacant_since));
	return c;
}

void checks_free(struct checks *c)
{
	for (uint8_t node = 0; node < WORLD_NODES_MAX; node++)
		free(c->seen[node]);
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

/* checks_clean: since when some path from a to b lets everything through; INT64_MAX = not now.
 * native: among those that carry native adverts. */
static int64_t checks_clean(const struct world *w, uint8_t group, uint8_t a, uint8_t b, bool native)
{
	uint8_t lans = (uint8_t)(w->options.groups * w->options.interfaces);
	int64_t since = INT64_MAX;

	for (uint8_t path = native && w->options.carp2 ? lans : 0; path < w->path_count; path++)
		if (world_carries(w, path, group) && w->links[path][a][b].clean_since < since)
			since = w->links[path][a][b].clean_since;
	return since;
}

/* checks_both_clean: both ways. */
static int64_t checks_both_clean(
	const struct world *w, uint8_t group, uint8_t a, uint8_t b, bool native)
{
	int64_t there = checks_clean(w, group, a, b, native);
	int64_t back = checks_clean(w, group, b, a, native);

	return there > back ? there : back;
}

static bool checks_open(const struct world *w, uint8_t group, uint8_t a, uint8_t b)
{
	for (uint8_t path = 0; path < w->path_count; path++)
		if (world_carries(w, path, group) && w->links[path][a][b].cuts == 0)
			return true;
	return false;
}

static int64_t checks_later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static bool checks_handing_over(const struct world *w, uint8_t a, uint8_t b, uint8_t group)
{
	const struct model_group *ga = &w->nodes[a].election.groups[group];
	const struct model_group *gb = &w->nodes[b].election.groups[group];

	return (ga->offer.active && ga->offer.target == w->configs[b].own.id) ||
	       (gb->offer.active && gb->offer.target == w->configs[a].own.id);
}

/* one-master */
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
	from = checks_later(*since, checks_both_clean(w, group, a, b, false));
	from = checks_later(from, w->nodes[a].disturbed_at);
	from = checks_later(from, w->nodes[b].disturbed_at);
	if (from != INT64_MAX && w->now - from > c->dual_bound)
		checks_fail(w,
			"one-master: %s and %s are both master of g%u for %.1f ms, allowed %.1f",
			w->configs[a].own.name, w->configs[b].own.name, group,
			(double)(w->now - from) / 1e3, (double)c->dual_bound / 1e3);
}

/* dual-alarm */
static void checks_dual_alarm(struct world *w, uint8_t node, uint8_t group)
{
	struct checks *c = w->checks;
	int64_t *since = &c->both_since[node][group], from = w->nodes[node].disturbed_at;
	int masters = 0;
	uint8_t heard[WORLD_NODES_MAX];

	for (uint8_t m = 0; m < w->options.nodes; m++)
		if (checks_awake(w, m) && world_master(w, m, group) &&
			(m == node || checks_both_clean(w, group, m, node, true) != INT64_MAX))
			heard[masters++] = m;
	if (!checks_awake(w, node) || masters != 2 ||
		checks_handing_over(w, heard[0], heard[1], group) ||
		w->nodes[node].election.groups[group].state == GROUP_STATE_INIT) {
		*since = -1;
		return;
	}
	if (*since < 0)
		*since = w->now;
	from = checks_later(from, *since);
	for (int i = 0; i < 2; i++) {
		from = checks_later(from, w->nodes[heard[i]].disturbed_at);
		from = checks_later(from, w->nodes[heard[i]].groups[group].master_since);
		if (heard[i] != node)
			from = checks_later(
				from, checks_both_clean(w, group, heard[i], node, true));
	}
	if (w->now - from > c->dual_bound + world_master_down(w) &&
		!w->nodes[node].election.groups[group].alarms[ELECTION_ALARM_DUAL_MASTER].on)
		checks_fail(w,
			"dual-alarm: %s hears %s and %s as masters of g%u for %.1f ms, and "
			"does not say so",
			w->configs[node].own.name, w->configs[heard[0]].own.name,
			w->configs[heard[1]].own.name, group, (double)(w->now - from) / 1e3);
}

static bool checks_eligible(const struct world *w, uint8_t node, uint8_t group)
{
	const struct election *e = &w->nodes[node].election;
	enum group_state state = e->groups[group].state;

	return checks_awake(w, node) && !w->nodes[node].stopping && !e->maintenance &&
	       e->maintenance_wish.request_id == 0 && state != GROUP_STATE_INIT &&
	       state != GROUP_STATE_FAULT;
}

/* served */
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
		checks_fail(w,
			"served: %s, eligible, hears no master of g%u for %.1f ms, allowed %.1f",
			w->configs[node].own.name, group, (double)(w->now - from) / 1e3,
			(double)c->vacancy_bound / 1e3);
}

static void checks_hold(struct world *w, uint8_t node, uint8_t group)
{
	if (checks_awake(w, node) && w->nodes[node].disturbed_at == w->nodes[node].boot_at &&
		w->nodes[node].election.groups[group].state == GROUP_STATE_INIT &&
		w->now - w->nodes[node].boot_at > w->checks->hold_bound)
		checks_fail(w, "start: %s is still in init after %.1f s", w->configs[node].own.name,
			(double)(w->now - w->nodes[node].boot_at) / 1e6);
}

void checks_tick(struct world *w)
{
	struct checks *c = w->checks;

	/* Bounds are several intervals: a few looks in one, and one after each transition, are
	 * enough. */
	if (!c->look && w->now < c->looked_at + c->look_every)
		return;
	c->look = false;
	c->looked_at = w->now;
	for (uint8_t node = 0; node < w->options.nodes; node++)
		if (w->nodes[node].election.wakes_overdue > 0)
			checks_fail(w, "awake: %s asks to be woken for what is overdue",
				w->configs[node].own.name);
	for (uint8_t group = 0; group < w->options.groups; group++)
		for (uint8_t a = 0; a < w->options.nodes; a++) {
			checks_vacancy(w, a, group);
			checks_dual_alarm(w, a, group);
			checks_hold(w, a, group);
			for (uint8_t b = 0; b < a; b++)
				checks_dual(w, a, b, group);
		}
}

static void checks_seen_grow(struct checks *c, uint8_t node, size_t words)
{
	size_t old = c->seen_words[node];

	c->seen_words[node] = words * 2;
	c->seen[node] = realloc(c->seen[node], words * 2 * sizeof(uint64_t));
	CHECK(c->seen[node]);
	memset(c->seen[node] + old, 0, (words * 2 - old) * sizeof(uint64_t));
}

/* twice */
void checks_accepted(struct world *w, uint8_t node, const struct world_packet *packet)
{
	struct checks *c = w->checks;
	size_t word = packet->serial / 64;
	uint64_t bit = UINT64_C(1) << (packet->serial % 64);

	if (packet->sent_at < w->nodes[node].boot_at)
		checks_fail(w, "twice: %s accepted an advert of %.3f s, before its own boot",
			w->configs[node].own.name, (double)packet->sent_at / 1e6);
	if (word >= c->seen_words[node])
		checks_seen_grow(c, node, word + 1);
	if (c->seen[node][word] & bit)
		checks_fail(w, "twice: %s accepted an advert of %s for g%u of %.3f s again",
			w->configs[node].own.name, w->configs[packet->sender].own.name,
			packet->group, (double)packet->sent_at / 1e6);
	c->seen[node][word] |= bit;
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

/* dead-soon */
static void checks_dead(struct world *w, uint8_t node, uint8_t group)
{
	const struct world_node *n = &w->nodes[node];

	for (uint8_t m = 0; m < w->options.nodes; m++) {
		int64_t interval = n->accepted_interval[m][group];

		if (m == node || !checks_awake(w, m) || !world_master(w, m, group) ||
			n->accepted_at[m][group] < n->jumped_at)
			continue; /* -1: none, and what a clock skips is no time that one waits */
		if (w->now - n->accepted_at[m][group] < checks_dead_after(w, interval))
			checks_fail(w,
				"dead-soon: %s takes g%u over as MASTER_DEAD %.1f ms after %s's "
				"advert",
				w->configs[node].own.name, group,
				(double)(w->now - n->accepted_at[m][group]) / 1e3,
				w->configs[m].own.name);
	}
}

/* dead-heard: from the other end: what the node ought to have heard, accepted or not. */
static void checks_audible(struct world *w, uint8_t node, uint8_t group)
{
	for (uint8_t m = 0; m < w->options.nodes; m++) {
		int64_t from;

		if (m == node || !checks_awake(w, m) || !world_master(w, m, group))
			continue;
		/* A proof, and the answer to a question, need the way back as well. */
		from = checks_both_clean(w, group, m, node, false);
		from = checks_later(from, w->nodes[m].disturbed_at);
		from = checks_later(from, w->nodes[node].disturbed_at);
		from = checks_later(from, w->nodes[m].groups[group].master_since);
		if (from != INT64_MAX && w->now - from > 2 * world_interval(w, m, group) +
								 8 * w->checks->delay + 30000)
			checks_fail(w,
				"dead-heard: %s takes g%u over as MASTER_DEAD, and could hear %s "
				"for %.1f ms",
				w->configs[node].own.name, group, w->configs[m].own.name,
				(double)(w->now - from) / 1e3);
	}
}

/* late-clock and terms */
void checks_sent(struct world *w, uint8_t node, uint8_t group, const struct advert *advert)
{
	struct world_group *g = &w->nodes[node].groups[group];

	if (g->slept_term > 0 && advert->state == GROUP_STATE_MASTER &&
		advert->term.number == g->slept_term)
		checks_fail(w, "late-clock: %s slept %.1f ms and still claims g%u",
			w->configs[node].own.name, (double)w->nodes[node].slept_us / 1e3, group);
	if (advert->term.number < g->term_sent)
		checks_fail(w, "terms: %s says term %llu of g%u, and had said %llu",
			w->configs[node].own.name, (unsigned long long)advert->term.number, group,
			(unsigned long long)g->term_sent);
	g->term_sent = advert->term.number;
}

/* checks_well: the node's ports of the group have been alive for so long that every test of them
 * has passed. */
static bool checks_well(const struct world *w, uint8_t node, uint8_t group)
{
	for (uint8_t path = 0; path < w->options.groups * w->options.interfaces; path++)
		if (world_carries(w, path, group) && !world_port_alive(w, node, path))
			return false;
	return w->now - w->nodes[node].port_changed_at > 2000000;
}

/* checks_cut: nothing has reached the node for so long. */
static bool checks_cut(const struct world *w, uint8_t node, uint8_t group, int64_t for_us)
{
	for (uint8_t path = 0; path < w->path_count; path++)
		for (uint8_t other = 0; other < w->options.nodes; other++)
			if (other != node && world_carries(w, path, group) &&
				(w->links[path][other][node].cut_since == INT64_MAX ||
					w->now - w->links[path][other][node].cut_since < for_us))
				return false;
	return true;
}

static bool checks_ports_dead(const struct world *w, uint8_t node, uint8_t group)
{
	for (uint8_t path = 0; path < w->options.groups * w->options.interfaces; path++)
		if (world_carries(w, path, group) && world_port_alive(w, node, path))
			return false;
	return true;
}

/* displaced */
void checks_gave_up(struct world *w, uint8_t node, const struct election_action *action)
{
	struct world_group *mine = &w->nodes[node].groups[action->group];
	const struct world_group *theirs;
	uint8_t to = 0;

	mine->gave_up_at = w->now;
	/* Who replays what nobody had received is a network, too. */
	if (action->reason != REASON_DUAL_MASTER || action->node == 0 || !mine->was_master ||
		w->now - w->injected_at < 1000000 || w->nodes[node].maintenance ||
		!checks_well(w, node, action->group))
		return;
	while (w->configs[to].own.id != action->node)
		to++;
	theirs = &w->nodes[to].groups[action->group];
	if (checks_cut(w, to, action->group, w->checks->dual_bound))
		checks_fail(w, "displaced: %s gives g%u to %s, which hears nobody",
			w->configs[node].own.name, action->group, w->configs[to].own.name);
	/* A test that was begun behind a port that lives again ends 150 ms later. */
	if (theirs->cut_off && w->injected_at < theirs->claimed_at - 1000000 &&
		mine->master_since < theirs->claimed_at &&
		(theirs->revived_at == INT64_MAX || w->now - theirs->revived_at < 140000))
		checks_fail(w, "displaced: %s gives g%u to %s, which was cut off when it took it",
			w->configs[node].own.name, action->group, w->configs[to].own.name);
}

/* woken */
static void checks_woken(struct world *w, uint8_t node, uint8_t group)
{
	const struct world_node *n = &w->nodes[node];

	int64_t least = w->options.carp2 ? world_interval(w, node, group) : w->options.advbase_us;
	int64_t asked = w->options.confirm_questions * w->options.confirm_spacing_us;

	/* Questions asked since it woke are evidence, and they may be quicker than an advert. */
	if (asked > 0 && asked < least)
		least = asked;
	if (n->resumed_at >= 0 && n->slept_us > 2 * world_master_down(w) &&
		w->now - n->resumed_at < least * 15 / 16)
		checks_fail(w, "woken: %s slept %.1f ms and calls the master of g%u dead",
			w->configs[node].own.name, (double)n->slept_us / 1e3, group);
}

/* checks_deaf_after: among many somebody may have been heard until just now; a beacon, and half. */
static int64_t checks_deaf_after(const struct world *w)
{
	int64_t beacon = w->options.advbase_us > 100000 ? w->options.advbase_us : 100000;

	return w->options.nodes > 2 ? beacon * 3 / 2 + 2 * w->checks->delay : 0;
}

/* terms, dead-* and woken */
void checks_transition(struct world *w, uint8_t node, const struct election_action *action)
{
	struct world_group *g = &w->nodes[node].groups[action->group];

	w->checks->look = true;
	if (action->new_state == GROUP_STATE_PROMOTING) {
		if (action->term.number <= g->term_promised)
			checks_fail(w, "terms: %s promotes g%u with term %llu, had %llu",
				w->configs[node].own.name, action->group,
				(unsigned long long)action->term.number,
				(unsigned long long)g->term_promised);
		g->claimed_at = w->now;
		g->revived_at = INT64_MAX;
		/* Beside foreign nodes the rule of CARP knows no doubt. */
		g->cut_off = (!w->options.carp2 || w->options.carp2_strict) &&
			     action->reason == REASON_MASTER_DEAD &&
			     checks_ports_dead(w, node, action->group) &&
			     checks_cut(w, node, action->group, checks_deaf_after(w));
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

/* hand-over */
void checks_withdrawn(struct world *w, uint8_t node, uint8_t group, uint8_t to, enum reason why)
{
	int64_t since;

	/* Only hand-overs: an aborted candidate gives way to a claim, not to a master. */
	if (why == REASON_DUAL_MASTER || why == REASON_LATE_CLOCK || to == 0 ||
		!w->nodes[node].groups[group].was_master)
		return;
	for (uint8_t m = 0; m < w->options.nodes; m++) {
		const struct world_node *n = &w->nodes[m];

		if (w->configs[m].own.id != to || n->groups[group].holds)
			continue;
		/* The target itself was struck within the tail. */
		since = w->nodes[node].groups[group].gave_up_at - 200000;
		if (n->disturbed_at > since || n->groups[group].lost_at > since)
			continue;
		if (checks_held_by_third(w, node, group))
			continue; /* the target lost to it, as one of two masters */
		checks_fail(w, "hand-over: %s gives g%u to %s, which does not hold it",
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
				checks_fail(w, "converged: %s still raises %s for g%u",
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
				checks_fail(
					w, "converged: %s is not up", w->configs[node].own.name);
			else if (state == GROUP_STATE_MASTER)
				masters++;
			else if (state != GROUP_STATE_BACKUP)
				checks_fail(w, "converged: %s is %s in g%u",
					w->configs[node].own.name, state_name(state), group);
		}
		checks_converged_alarms(w, group);
		if (masters != 1)
			checks_fail(w, "converged: g%u has %d masters", group, masters);
	}
}
