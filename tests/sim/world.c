#include "world.h"

#include "checks.h"
#include "common/check.h"
#include "faults.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15u); /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)((rng_next(r) >> 32) * n >> 32);
}

bool rng_chance(struct rng *r, uint32_t per_mille)
{
	return per_mille > 0 && rng_below(r, 1000) < per_mille;
}

/* --- The queue: a binary heap by time, then by order of insertion. --- */

static bool world_event_before(const struct world_event *a, const struct world_event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void world_push(struct world *w, const struct world_event *event)
{
	size_t i = w->heap_count++;

	if (w->heap_count > w->heap_size) {
		w->heap_size = w->heap_size ? w->heap_size * 2 : 1024;
		w->heap = realloc(w->heap, w->heap_size * sizeof(*w->heap));
		CHECK(w->heap);
	}
	w->heap[i] = *event;
	w->heap[i].order = w->order++;
	while (i > 0 && world_event_before(&w->heap[i], &w->heap[(i - 1) / 2])) {
		struct world_event swap = w->heap[i];

		w->heap[i] = w->heap[(i - 1) / 2];
		w->heap[(i - 1) / 2] = swap;
		i = (i - 1) / 2;
	}
}

static struct world_event world_pop(struct world *w)
{
	struct world_event top = w->heap[0];
	size_t i = 0;

	w->heap[0] = w->heap[--w->heap_count];
	for (;;) {
		size_t least = i, left = 2 * i + 1;

		for (size_t child = left; child < left + 2 && child < w->heap_count; child++)
			if (world_event_before(&w->heap[child], &w->heap[least]))
				least = child;
		if (least == i)
			return top;
		struct world_event swap = w->heap[i];

		w->heap[i] = w->heap[least];
		w->heap[least] = swap;
		i = least;
	}
}

/* --- Clocks. --- */

mono_t world_node_now(const struct world *w, uint8_t node)
{
	const struct world_node *n = &w->nodes[node];

	return (mono_t){n->origin_us + w->now + (w->now - n->ppm_from) * n->ppm / 1000000};
}

/* world_true_time: the earliest true time at which the node's clock has reached `at`. */
static int64_t world_true_time(const struct world *w, uint8_t node, mono_t at)
{
	int64_t ahead = at.us - world_node_now(w, node).us;

	if (ahead <= 0)
		return w->now;
	/* Slow clocks need a little longer; a WAKE too early is harmless and asks again. */
	return w->now + ahead + (w->nodes[node].ppm < 0 ? ahead / 128 + 1 : 0);
}

/* --- Carrying out actions. --- */

static void world_promote(struct world *w, uint8_t node, const struct election_action *action)
{
	struct world_node *n = &w->nodes[node];
	struct world_group *g = &n->groups[action->group];
	int64_t takes = 200 + rng_below(&w->rng, (uint32_t)w->options.stage_us);
	struct world_event event = {.node = node, .group = action->group};

	if (n->late > 0)
		takes += rng_below(&w->rng, WORLD_LATE_US);
	event.generation = ++g->stage;
	event.at = w->now + takes * 3 / 4;
	event.type = WORLD_ADDRESSES;
	world_push(w, &event);
	event.at = w->now + takes;
	event.type = WORLD_PROMOTED;
	world_push(w, &event);
}

static void world_withdraw(struct world *w, uint8_t node, const struct election_action *action)
{
	struct world_group *g = &w->nodes[node].groups[action->group];
	struct world_event event = {.node = node, .group = action->group};

	event.generation = ++g->stage;
	event.index = (uint32_t)action->reason << 8 | action->node;
	event.at = w->now + 100 + rng_below(&w->rng, 300);
	event.type = WORLD_WITHDRAWN;
	world_push(w, &event);
	event.at = w->now + 400 + rng_below(&w->rng, (uint32_t)w->options.withdraw_us);
	event.type = WORLD_DEMOTED;
	world_push(w, &event);
}

static void world_probe(struct world *w, uint8_t node, uint8_t path)
{
	const struct world_node *n = &w->nodes[node];
	struct world_event event = {.type = WORLD_TESTED, .node = node, .path = path};

	event.at = w->now + 150000;
	event.generation = n->life;
	event.flag = n->port_dead[path] == 0;
	world_push(w, &event);
}

static void world_stopped(struct world *w, uint8_t node)
{
	struct world_event event = {.type = WORLD_BOOT, .node = node};

	for (uint8_t g = 0; g < w->options.groups; g++)
		w->nodes[node].terms[g] = w->nodes[node].election.groups[g].term_seen;
	w->nodes[node].up = false;
	w->nodes[node].life++;
	w->changed_at = w->now;
	event.at = w->now + 50000 + rng_below(&w->rng, 2000000);
	event.generation = w->nodes[node].life;
	event.flag = true;
	world_push(w, &event);
}

static void world_act(struct world *w, uint8_t node, const struct election_action *action)
{
	switch (action->type) {
	case ELECTION_ACTION_SEND:
		world_send(w, node, action->node, action);
		break;
	case ELECTION_ACTION_PROMOTE:
		world_promote(w, node, action);
		break;
	case ELECTION_ACTION_DEMOTE:
		checks_gave_up(w, node, action);
		world_withdraw(w, node, action);
		break;
	case ELECTION_ACTION_PROBE:
		world_probe(w, node, action->path);
		break;
	case ELECTION_ACTION_TRANSITION:
		checks_transition(w, node, action);
		break;
	case ELECTION_ACTION_STOPPED:
		world_stopped(w, node);
		break;
	case ELECTION_ACTION_REPLY:
		w->last_reply.request_id = action->request_id;
		w->last_reply.reply = action->reply;
		break;
	case ELECTION_ACTION_MAINTENANCE:
		w->nodes[node].maintenance = action->on;
		w->nodes[node].maintenance_until =
			mono_is_never(action->until) ? INT64_MAX
						     : world_true_time(w, node, action->until);
		break;
	case ELECTION_ACTION_REANNOUNCE:
	case ELECTION_ACTION_LIBERAL:
	case ELECTION_ACTION_MASTER:
	case ELECTION_ACTION_ALARM:
	case ELECTION_ACTION_DUAL:
	case ELECTION_ACTION_COUNT:
		break;
	}
}

void world_step(struct world *w, uint8_t node, struct election_event *event)
{
	struct world_node *n = &w->nodes[node];

	event->now = world_node_now(w, node);
	if (event->type == ELECTION_EVENT_TIMER) {
		uint64_t random[2] = {rng_next(&w->rng), rng_next(&w->rng)};

		static_assert(sizeof(random) == sizeof(event->random), "a challenge");
		memcpy(event->random, random, sizeof(random));
	}
	w->actions.count = 0;
	election_step(&n->election, event, &w->actions);
	w->steps++;
	for (uint32_t i = 0; i < w->actions.count; i++)
		world_act(w, node, &w->actions.list[i]);
}

/* world_timer: judges, and asks to be woken at the next deadline. */
void world_timer(struct world *w, uint8_t node)
{
	struct election_event timer = {.type = ELECTION_EVENT_TIMER};
	struct world_node *n = &w->nodes[node];
	struct world_event wake = {.type = WORLD_WAKE, .node = node};
	mono_t deadline;

	do {
		world_step(w, node, &timer);
		if (!n->up)
			return;
		deadline = election_next_deadline(&n->election);
	} while (!mono_is_never(deadline) && deadline.us <= world_node_now(w, node).us &&
		 n->election.pending);
	wake.generation = ++n->wake_generation;
	if (mono_is_never(deadline))
		return;
	/* An honest clock is never exactly on time. */
	wake.at = world_true_time(w, node, deadline) + 20 + rng_below(&w->rng, 80);
	world_push(w, &wake);
}

void world_step_node(struct world *w, uint8_t node, struct election_event *event)
{
	struct world_node *n = &w->nodes[node];

	if (!n->up || n->paused)
		return;
	world_step(w, node, event);
	if (n->up && n->inbox_count > 0)
		world_drain(w, node);
	else if (n->up)
		world_timer(w, node);
}

/* --- Faults of nodes. --- */

void world_disturb(struct world *w, uint8_t node)
{
	w->nodes[node].disturbed_at = w->now;
	w->changed_at = w->now;
}

static void world_drop_held(struct world *w, uint8_t node)
{
	struct world_node *n = &w->nodes[node];

	for (uint32_t i = 0; i < n->held_count; i++)
		world_packet_put(w, n->held[i].packet);
	for (uint32_t i = 0; i < n->inbox_count; i++)
		world_packet_put(w, n->inbox[i].packet);
	n->held_count = 0;
	n->inbox_count = 0;
}

/* world_hold_inbox: the process sleeps before it got its turn. */
static void world_hold_inbox(struct world *w, uint8_t node)
{
	struct world_node *n = &w->nodes[node];

	CHECK(n->held_count == 0);
	for (uint32_t i = 0; i < n->inbox_count; i++) {
		n->held[i].path = n->inbox[i].path;
		n->held[i].packet = n->inbox[i].packet;
	}
	n->held_count = n->inbox_count;
	n->inbox_count = 0;
}

/* world_ports: what the kernel says of the carriers, to a process that boots or wakes. */
static void world_ports(struct world *w, uint8_t node)
{
	for (uint8_t path = 0; path < w->path_count; path++) {
		struct election_event event = {.type = ELECTION_EVENT_CARRIER, .path = path};

		event.up = w->nodes[node].carrier_off[path] == 0;
		world_step_node(w, node, &event);
	}
}

static void world_trace(void *context, const struct election_trace *line)
{
	const struct world_node *n = context;

	n->world->trace(n->world->trace_context, n->world, n->index, line);
}

void world_boot(struct world *w, uint8_t node, bool with_state)
{
	struct world_node *n = &w->nodes[node];
	struct election_config *config = &w->configs[node];

	CHECK(!n->up);
	world_drop_held(w, node);
	for (uint8_t g = 0; g < w->options.groups; g++)
		config->groups[g].term_floor = with_state ? n->terms[g] : 0;
	n->maintenance = n->maintenance && with_state;
	/* A reboot begins another monotonic clock. */
	n->origin_us = (int64_t)rng_below(&w->rng, 1000000) * 1000;
	n->ppm = (int32_t)rng_below(&w->rng, 401) - 200;
	n->ppm_from = w->now;
	n->up = true;
	n->paused = false;
	n->stopping = false;
	n->boot_at = w->now;
	n->resumed_at = -1;
	n->life++;
	config->maintenance = n->maintenance;
	config->maintenance_until =
		n->maintenance && n->maintenance_until != INT64_MAX
			? mono_add(world_node_now(w, node), dur_us(n->maintenance_until - w->now))
			: MONO_NEVER;
	election_init(&n->election, config, rng_next(&w->rng) | 1, world_node_now(w, node));
	n->world = w;
	n->index = node;
	if (w->trace)
		election_set_trace(&n->election, world_trace, n);
	memset(n->accepted_at, 0xff, sizeof(n->accepted_at));
	memset(n->accepted_epoch, 0, sizeof(n->accepted_epoch));
	for (uint8_t g = 0; g < w->options.groups; g++) {
		n->groups[g].holds = false;
		n->groups[g].stage++;
		n->groups[g].term_promised = 0;
		n->groups[g].slept_term = 0;
		n->groups[g].term_sent = 0;
		n->groups[g].cut_off = false;
	}
	world_disturb(w, node);
	world_timer(w, node);
	world_ports(w, node);
}

static void world_resign(struct world *w, uint8_t node)
{
	struct world_node *n = &w->nodes[node];

	for (uint16_t lane = 0; lane < election_lane_count(&n->election); lane++) {
		struct advert advert;
		uint8_t path;

		election_resignation(&n->election, lane, &advert, &path);
		world_send_advert(w, node, path, 0, &advert);
	}
}

void world_power_off(struct world *w, uint8_t node, bool guard)
{
	struct world_node *n = &w->nodes[node];

	if (!n->up)
		return;
	for (uint8_t g = 0; g < w->options.groups; g++) {
		n->terms[g] = n->election.groups[g].term_seen;
		if (n->groups[g].holds)
			n->groups[g].lost_at = w->now;
		n->groups[g].holds = false;
		n->groups[g].stage++;
	}
	if (guard)
		world_resign(w, node);
	n->up = false;
	n->paused = false;
	n->life++;
	world_drop_held(w, node);
	world_disturb(w, node);
}

/* world_pause_note: for check (g): was a peer alive in the eyes of the one that falls asleep? */
static void world_pause_note(struct world *w, uint8_t node)
{
	struct world_node *n = &w->nodes[node];

	for (uint8_t g = 0; g < w->options.groups; g++) {
		n->slept_in_company[g] = false;
		for (uint8_t p = 0; p + 1 < w->options.nodes; p++) {
			struct election_peer_view view;

			election_peer_view(&n->election, g, p, &view);
			n->slept_in_company[g] |= view.alive;
		}
	}
}

void world_pause(struct world *w, uint8_t node, bool drops)
{
	struct world_node *n = &w->nodes[node];

	if (!n->up || n->paused)
		return;
	world_hold_inbox(w, node);
	n->paused = true;
	n->pause_drops = drops;
	n->paused_at = w->now;
	world_pause_note(w, node);
	world_disturb(w, node);
	if (w->options.guard && !drops) {
		/* A SIGSTOP stops carpd, not its guard. */
		struct world_event event = {.type = WORLD_GUARD, .node = node};

		event.at = w->now + election_guard_timeout(&n->election).us;
		event.generation = n->life;
		world_push(w, &event);
	}
}

/* world_least_skew: of the other nodes: the quickest of them waits so much longer for a master. */
static int64_t world_least_skew(const struct world *w, uint8_t node, uint8_t group)
{
	int64_t least = INT64_MAX;

	for (uint8_t other = 0; other < w->options.nodes; other++)
		if (other != node && world_interval(w, other, group) < least)
			least = world_interval(w, other, group);
	return least - w->options.advbase_us;
}

void world_resume(struct world *w, uint8_t node)
{
	struct world_node *n = &w->nodes[node];

	if (!n->up || !n->paused)
		return;
	n->paused = false;
	n->resumed_at = w->now;
	n->slept_us = w->now - n->paused_at;
	for (uint8_t g = 0; g < w->options.groups; g++) {
		int64_t interval = world_interval(w, node, g);

		if (world_master(w, node, g) && n->slept_in_company[g] &&
			n->slept_us > interval * w->options.dead_factor +
					      world_least_skew(w, node, g) + 1000)
			n->groups[g].slept_term = n->election.groups[g].term.number;
	}
	world_disturb(w, node);
	for (uint32_t i = 0; i < n->held_count; i++) {
		if (n->up)
			world_deliver(w, node, n->held[i].path, n->held[i].packet);
		world_packet_put(w, n->held[i].packet);
	}
	n->held_count = 0;
	world_timer(w, node);
	world_ports(w, node);
}

static void world_guard(struct world *w, const struct world_event *event)
{
	struct world_node *n = &w->nodes[event->node];
	struct world_event boot = {.type = WORLD_BOOT, .node = event->node, .flag = true};
	bool holder = false;

	for (uint8_t g = 0; g < w->options.groups; g++)
		holder |= n->groups[g].holds;
	if (n->life != event->generation || !n->paused || !holder)
		return;
	world_power_off(w, event->node, true);
	boot.at = w->now + 100000;
	boot.generation = n->life;
	world_push(w, &boot);
}

void world_link_changed(struct world *w, uint8_t path, uint8_t from, uint8_t to)
{
	struct world_link *link = &w->links[path][from][to];

	if (link->cuts == 0)
		link->cut_since = INT64_MAX;
	else if (link->cut_since == INT64_MAX)
		link->cut_since = w->now;
	link->clean_since = link->cuts > 0 || link->loss_per_mille > 0 || link->extra_jitter_us > 0
				    ? INT64_MAX
				    : w->now;
	w->changed_at = w->now;
}

void world_cut(struct world *w, uint8_t path, uint8_t from, uint8_t to, int by)
{
	w->links[path][from][to].cuts += by;
	CHECK(w->links[path][from][to].cuts >= 0);
	world_link_changed(w, path, from, to);
}

/* world_revived: for check "displaced". */
static void world_revived(struct world *w, uint8_t node)
{
	for (uint8_t group = 0; group < w->options.groups; group++)
		for (uint8_t i = 0; i < w->options.interfaces; i++) {
			struct world_group *g = &w->nodes[node].groups[group];
			uint8_t path = (uint8_t)(group * w->options.interfaces + i);

			if (g->revived_at == INT64_MAX && world_port_alive(w, node, path))
				g->revived_at = w->now;
		}
}

void world_carrier(struct world *w, uint8_t node, uint8_t path, int by)
{
	struct world_node *n = &w->nodes[node];
	bool was_up = n->carrier_off[path] == 0;
	struct election_event event = {.type = ELECTION_EVENT_CARRIER, .path = path};

	n->carrier_off[path] += by;
	n->port_changed_at = w->now;
	world_revived(w, node);
	for (uint8_t other = 0; other < w->options.nodes; other++) {
		if (other == node)
			continue;
		world_cut(w, path, node, other, by);
		world_cut(w, path, other, node, by);
	}
	event.up = n->carrier_off[path] == 0;
	if (event.up != was_up)
		world_step_node(w, node, &event);
}

void world_port(struct world *w, uint8_t node, uint8_t path, int by)
{
	struct world_node *n = &w->nodes[node];

	n->port_dead[path] += by;
	n->port_changed_at = w->now;
	world_revived(w, node);
	for (uint8_t other = 0; other < w->options.nodes; other++) {
		if (other == node)
			continue;
		world_cut(w, path, node, other, by);
		world_cut(w, path, other, node, by);
	}
}

bool world_port_alive(const struct world *w, uint8_t node, uint8_t path)
{
	return w->nodes[node].port_dead[path] == 0 && w->nodes[node].carrier_off[path] == 0;
}

/* --- Operators. --- */

void world_handover(struct world *w, uint8_t node, uint8_t group, uint8_t target, bool force)
{
	struct election_event event = {.type = ELECTION_EVENT_HANDOVER, .group = group};

	event.handover.request_id = ++w->next_request;
	event.handover.target = target;
	event.handover.force = force;
	w->changed_at = w->now;
	world_step_node(w, node, &event);
}

void world_maintenance(struct world *w, uint8_t node, bool on, bool force, int64_t for_us)
{
	struct election_event event = {.type = ELECTION_EVENT_MAINTENANCE};

	event.maintenance.request_id = ++w->next_request;
	event.maintenance.on = on;
	event.maintenance.force = force;
	event.maintenance.until =
		for_us ? mono_add(world_node_now(w, node), dur_us(for_us)) : MONO_NEVER;
	w->changed_at = w->now;
	world_step_node(w, node, &event);
}

void world_stop(struct world *w, uint8_t node)
{
	struct election_event event = {.type = ELECTION_EVENT_STOP};

	world_disturb(w, node);
	w->nodes[node].stopping = true;
	world_step_node(w, node, &event);
}

void world_ready(struct world *w, uint8_t node, uint8_t group, bool ready)
{
	struct election_event event = {.type = ELECTION_EVENT_READINESS, .group = group};

	event.readiness.ready = ready;
	w->changed_at = w->now;
	world_step_node(w, node, &event);
}

void world_demote(struct world *w, uint8_t node, uint8_t group, const char *name, uint16_t weight)
{
	struct election_event event = {.type = ELECTION_EVENT_DEMOTION, .group = group};

	event.demotion.name = name;
	event.demotion.weight = weight;
	w->changed_at = w->now;
	world_step_node(w, node, &event);
}

void world_reload(struct world *w, uint8_t node, bool begin)
{
	struct election_event event = {.type = ELECTION_EVENT_RELOAD, .group = ELECTION_ALL};

	event.reload.preempt = w->options.preempt != begin;
	event.reload.settle = dur_ms(begin ? 200 : 1000);
	event.reload.damping_moves = 3;
	event.reload.damping_within = dur_s(60);
	event.reload.damping_hold = dur_s(300);
	event.reload.confirm_questions = begin ? 0 : w->options.confirm_questions;
	event.reload.confirm_spacing = dur_us(w->options.confirm_spacing_us);
	w->changed_at = w->now;
	world_step_node(w, node, &event);
}

void world_clock(struct world *w, uint8_t node, int64_t jump_us, int32_t ppm)
{
	struct world_node *n = &w->nodes[node];

	if (!n->up)
		return;
	n->origin_us += jump_us + (w->now - n->ppm_from) * n->ppm / 1000000;
	n->ppm_from = w->now;
	n->ppm = ppm;
	if (jump_us > 0) {
		n->jumped_at = w->now;
		world_disturb(w, node);
	}
	if (n->paused)
		return;
	if (n->inbox_count > 0)
		world_drain(w, node);
	else
		world_timer(w, node);
}

/* --- Running. --- */

static void world_stage(struct world *w, const struct world_event *event)
{
	struct world_node *n = &w->nodes[event->node];
	struct world_group *g = &n->groups[event->group];
	struct election_event done = {.type = ELECTION_EVENT_PROMOTED, .group = event->group};

	if (!n->up || g->stage != event->generation)
		return;
	if (n->paused) {
		/* The process sleeps, and its executor with it: later, in the same order. */
		struct world_event again = *event;

		again.at = (w->now / 1000 + 1) * 1000;
		world_push(w, &again);
		return;
	}
	if (event->type == WORLD_ADDRESSES) {
		if (n->fails == 0 || !election_yields(&n->election, event->group))
			g->holds = true;
	} else if (event->type == WORLD_WITHDRAWN) {
		if (g->holds)
			checks_withdrawn(w, event->node, event->group, event->index & 0xff,
				(enum reason)(event->index >> 8));
		g->holds = false;
	} else if (event->type == WORLD_DEMOTED) {
		done.type = ELECTION_EVENT_DEMOTED;
		world_step_node(w, event->node, &done);
	} else if (g->holds) {
		world_step_node(w, event->node, &done);
	} else {
		w->changed_at = w->now;
		done.type = ELECTION_EVENT_PROMOTION_FAILED;
		world_step_node(w, event->node, &done);
	}
}

static void world_handle(struct world *w, const struct world_event *event)
{
	struct world_node *n = &w->nodes[event->node];
	struct election_event tested = {
		.type = ELECTION_EVENT_TESTED, .path = event->path, .passed = event->flag};

	switch (event->type) {
	case WORLD_WAKE:
		if (!n->up || n->paused || n->wake_generation != event->generation)
			break;
		if (n->inbox_count > 0)
			world_drain(w, event->node); /* input goes before timers */
		else
			world_timer(w, event->node);
		break;
	case WORLD_ARRIVE:
		world_arrive(w, event);
		break;
	case WORLD_DRAIN:
		world_drain(w, event->node);
		break;
	case WORLD_RESUME:
		world_resume(w, event->node);
		break;
	case WORLD_BOOT:
		if (!n->up && n->life == event->generation)
			world_boot(w, event->node, event->flag);
		break;
	case WORLD_ADDRESSES:
	case WORLD_PROMOTED:
	case WORLD_WITHDRAWN:
	case WORLD_DEMOTED:
		world_stage(w, event);
		break;
	case WORLD_TESTED:
		if (n->life == event->generation)
			world_step_node(w, event->node, &tested);
		break;
	case WORLD_GUARD:
		world_guard(w, event);
		break;
	case WORLD_FAULT_BEGIN:
	case WORLD_FAULT_END:
		faults_apply(w, event->index, event->type == WORLD_FAULT_BEGIN);
		break;
	}
}

void world_run(struct world *w, int64_t until)
{
	while (w->heap_count > 0 && w->heap[0].at <= until && !checks_failure(w)) {
		struct world_event event = world_pop(w);

		CHECK(event.at >= w->now);
		w->now = event.at;
		world_handle(w, &event);
		checks_tick(w);
	}
	if (!checks_failure(w))
		w->now = until;
}

bool world_master(const struct world *w, uint8_t node, uint8_t group)
{
	return w->nodes[node].up &&
	       w->nodes[node].election.groups[group].state == GROUP_STATE_MASTER;
}

int64_t world_interval(const struct world *w, uint8_t node, uint8_t group)
{
	int64_t base = w->options.advbase_us, skew = w->configs[node].groups[group].advskew;

	return w->options.carp2 ? base + 1000000 * skew / 256 : base * (256 + skew) / 256;
}

int64_t world_master_down(const struct world *w)
{
	int64_t longest = 0;

	for (uint8_t n = 0; n < w->options.nodes; n++)
		for (uint8_t group = 0; group < w->options.groups; group++) {
			int64_t interval = world_interval(w, n, group);

			if (interval > longest)
				longest = interval;
		}
	if (w->options.carp2)
		return longest * w->options.dead_factor + 1000000;
	return longest * w->options.dead_factor + w->options.advbase_us;
}

bool world_carries(const struct world *w, uint8_t path, uint8_t group)
{
	uint8_t lans = (uint8_t)(w->options.groups * w->options.interfaces);

	return path >= lans || path / w->options.interfaces == group;
}

/* --- Building. --- */

struct world *world_new(const struct world_options *options)
{
	struct world *w = calloc(1, sizeof(*w));

	CHECK(w);
	w->options = *options;
	w->injected_at = INT64_MIN / 2;
	w->rng.state = options->seed;
	w->path_count = (uint8_t)(options->groups * options->interfaces + options->sync_links);
	CHECK(w->path_count <= WORLD_PATHS_MAX);
	CHECK(options->groups <= WORLD_GROUPS_MAX && options->nodes <= WORLD_NODES_MAX);
	w->recorded = calloc(WORLD_RECORDED_MAX, sizeof(*w->recorded));
	CHECK(w->recorded);
	for (uint8_t node = 0; node < options->nodes; node++)
		world_config(w, node);
	for (uint8_t path = 0; path < w->path_count; path++)
		for (uint8_t a = 0; a < options->nodes; a++)
			for (uint8_t b = 0; b < options->nodes; b++)
				w->links[path][a][b].cut_since = INT64_MAX;
	w->checks = checks_new(w);
	return w;
}

void world_free(struct world *w)
{
	checks_free(w->checks);
	free(w->faults);
	free(w->recorded);
	for (uint32_t i = 0; i < w->packet_size; i++)
		free(w->packets[i]);
	free(w->packets);
	free(w->packet_refs);
	free(w->packet_free);
	free(w->heap);
	free(w);
}
