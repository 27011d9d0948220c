#include "world.h"

#include "checks.h"
#include "common/check.h"
#include "faults.h"

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

static mono_t world_node_now(const struct world *w, uint8_t node)
{
	const struct world_node *n = &w->nodes[node];

	return (mono_t){n->origin_us + w->now + w->now / 1000 * n->ppm / 1000};
}

/* world_true_time: the earliest true time at which the node's clock has reached `at`. */
static int64_t world_true_time(const struct world *w, uint8_t node, mono_t at)
{
	int64_t ahead = at.us - world_node_now(w, node).us;

	if (ahead <= 0)
		return w->now;
	/* Slow clocks need a little longer; a WAKE too early is harmless and asks again. */
	return w->now + ahead + (w->nodes[node].ppm < 0 ? ahead / 1000 + 1 : 0);
}

/* --- Packets. --- */

static uint32_t world_packet_new(struct world *w)
{
	if (w->packet_free_count == 0) {
		uint32_t old = w->packet_size;

		w->packet_size = old ? old * 2 : 256;
		w->packets = realloc(w->packets, w->packet_size * sizeof(*w->packets));
		w->packet_refs = realloc(w->packet_refs, w->packet_size * sizeof(uint32_t));
		w->packet_free = realloc(w->packet_free, w->packet_size * sizeof(uint32_t));
		CHECK(w->packets && w->packet_refs && w->packet_free);
		for (uint32_t i = old; i < w->packet_size; i++)
			w->packet_free[w->packet_free_count++] = i;
	}
	uint32_t slot = w->packet_free[--w->packet_free_count];

	w->packet_refs[slot] = 1;
	return slot;
}

static void world_packet_put(struct world *w, uint32_t slot)
{
	if (--w->packet_refs[slot] == 0)
		w->packet_free[w->packet_free_count++] = slot;
}

static void world_record(struct world *w, const struct world_packet *packet)
{
	uint32_t slot;

	/* A reservoir: packets of every age stay on the recorder's tape. */
	w->recorded_seen++;
	if (w->recorded_count < WORLD_RECORDED_MAX)
		slot = w->recorded_count++;
	else if (rng_chance(&w->rng, 50))
		slot = rng_below(&w->rng, WORLD_RECORDED_MAX);
	else
		return;
	w->recorded[slot] = *packet;
}

static void world_transmit(struct world *w, uint32_t slot, uint8_t to)
{
	const struct world_packet *packet = &w->packets[slot];
	struct world_link *link = &w->links[packet->path][packet->sender][to];
	int copies = rng_chance(&w->rng, link->dup_per_mille) ? 2 : 1;

	if (link->cuts > 0 || rng_chance(&w->rng, link->loss_per_mille))
		return;
	while (copies-- > 0) {
		int64_t jitter = w->options.jitter_us + link->extra_jitter_us;
		struct world_event event = {.type = WORLD_ARRIVE, .node = to, .path = packet->path};

		event.at = w->now + w->options.delay_us +
			   (jitter > 0 ? (int64_t)rng_below(&w->rng, (uint32_t)jitter) : 0);
		event.index = slot;
		w->packet_refs[slot]++;
		world_push(w, &event);
	}
}

static void world_send(
	struct world *w, uint8_t node, uint8_t path, uint8_t to_id, const struct advert *advert)
{
	uint32_t slot = world_packet_new(w);
	struct world_packet *packet = &w->packets[slot];

	packet->sender = node;
	packet->path = path;
	packet->sent_at = w->now;
	packet->size_bytes = (uint16_t)advert_encode(advert, packet->bytes, sizeof(packet->bytes));
	CHECK(packet->size_bytes > 0);
	world_record(w, packet);
	checks_sent(w, node, advert);
	for (uint8_t to = 0; to < w->options.nodes; to++)
		if (to != node && (to_id == 0 || w->configs[to].own.id == to_id))
			world_transmit(w, slot, to);
	world_packet_put(w, slot);
}

void world_inject(struct world *w, const struct world_packet *packet, uint8_t path, uint8_t to)
{
	uint32_t slot = world_packet_new(w);
	struct world_event event = {
		.at = w->now, .type = WORLD_ARRIVE, .node = to, .path = path, .index = slot};

	w->packets[slot] = *packet;
	world_push(w, &event);
}

/* --- Carrying out actions. --- */

static void world_promote(struct world *w, uint8_t node, const struct election_action *action)
{
	struct world_node *n = &w->nodes[node];
	struct world_group *g = &n->groups[action->group];
	int64_t takes = 200 + rng_below(&w->rng, (uint32_t)w->options.stage_us);
	struct world_event event = {.node = node, .group = action->group};

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
	struct advert advert;

	switch (action->type) {
	case ELECTION_ACTION_SEND:
		election_advert(&w->nodes[node].election, action, &advert);
		world_send(w, node, action->path, action->node, &advert);
		break;
	case ELECTION_ACTION_PROMOTE:
		world_promote(w, node, action);
		break;
	case ELECTION_ACTION_DEMOTE:
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
	case ELECTION_ACTION_REANNOUNCE:
	case ELECTION_ACTION_LIBERAL:
	case ELECTION_ACTION_MASTER:
	case ELECTION_ACTION_ALARM:
	case ELECTION_ACTION_MAINTENANCE:
	case ELECTION_ACTION_DUAL:
	case ELECTION_ACTION_COUNT:
		break;
	}
}

static void world_step(struct world *w, uint8_t node, struct election_event *event)
{
	struct world_node *n = &w->nodes[node];

	event->now = world_node_now(w, node);
	for (size_t i = 0; i < sizeof(event->random); i++)
		event->random[i] = (uint8_t)rng_next(&w->rng);
	w->actions.count = 0;
	election_step(&n->election, event, &w->actions);
	w->steps++;
	for (uint32_t i = 0; i < w->actions.count; i++)
		world_act(w, node, &w->actions.list[i]);
}

/* world_timer: judges, and asks to be woken at the next deadline. */
static void world_timer(struct world *w, uint8_t node)
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
	if (n->up)
		world_timer(w, node);
}

/* world_deliver_note: for check (e). What an earlier advert on the same path has overtaken proves
 * no life. */
static void world_deliver_note(struct world *w, uint8_t node, uint8_t path, uint8_t sender,
	uint8_t group, const struct advert *advert)
{
	struct world_node *n = &w->nodes[node];
	uint64_t *highest = &n->accepted_counter[sender][path][group];

	if (n->accepted_epoch[sender] != advert->epoch) {
		memset(n->accepted_counter[sender], 0, sizeof(n->accepted_counter[sender]));
		n->accepted_epoch[sender] = advert->epoch;
	}
	if (advert->counter <= *highest)
		return;
	*highest = advert->counter;
	n->accepted_at[sender][group] = advert->state == GROUP_STATE_MASTER ? w->now : -1;
	n->accepted_interval[sender][group] = advert->interval_us;
}

static void world_deliver(struct world *w, uint8_t node, uint8_t path, uint32_t slot)
{
	struct world_node *n = &w->nodes[node];
	struct election_event event = {.type = ELECTION_EVENT_PACKET, .path = path};
	uint64_t accepted = n->election.accepted;
	int64_t sent_at = w->packets[slot].sent_at;
	struct advert advert;
	enum advert_drop drop =
		advert_decode(w->packets[slot].bytes, w->packets[slot].size_bytes, &advert);

	CHECK(drop == ADVERT_DROP_NONE);
	if (advert.sender == n->election.config.own.id)
		return; /* advert_open() drops it */
	event.packet = &advert;
	w->delivered++;
	world_step(w, node, &event);
	if (n->election.accepted == accepted)
		return;
	checks_accepted(w, node, &advert, sent_at);
	for (uint8_t s = 0; s < w->options.nodes; s++)
		for (uint8_t g = 0; g < w->options.groups; g++)
			if (w->configs[s].own.id == advert.sender &&
				w->configs[s].groups[g].tag == advert.group_tag)
				world_deliver_note(w, node, path, s, g, &advert);
}

static void world_arrive(struct world *w, const struct world_event *event)
{
	struct world_node *n = &w->nodes[event->node];

	if (n->up && !n->paused && n->carrier_off[event->path] == 0) {
		world_deliver(w, event->node, event->path, event->index);
		if (n->up)
			world_timer(w, event->node);
	} else if (n->up && n->paused && !n->pause_drops && n->held_count < WORLD_HELD_MAX) {
		n->held[n->held_count].path = event->path;
		n->held[n->held_count++].packet = event->index;
		return; /* keeps its reference */
	}
	world_packet_put(w, event->index);
}

/* --- Faults of nodes. --- */

static void world_disturb(struct world *w, uint8_t node)
{
	w->nodes[node].disturbed_at = w->now;
	w->changed_at = w->now;
}

static void world_drop_held(struct world *w, uint8_t node)
{
	struct world_node *n = &w->nodes[node];

	for (uint32_t i = 0; i < n->held_count; i++)
		world_packet_put(w, n->held[i].packet);
	n->held_count = 0;
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
	for (uint8_t g = 0; g < w->options.groups; g++)
		config->groups[g].term_floor = with_state ? n->terms[g] : 0;
	/* A reboot begins another monotonic clock. */
	n->origin_us = (int64_t)rng_below(&w->rng, 1000000) * 1000;
	n->ppm = (int32_t)rng_below(&w->rng, 401) - 200;
	n->up = true;
	n->paused = false;
	n->stopping = false;
	n->boot_at = w->now;
	n->resumed_at = -1;
	n->life++;
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
		world_send(w, node, path, 0, &advert);
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
	int64_t least = 255;

	for (uint8_t other = 0; other < w->options.nodes; other++)
		if (other != node && w->configs[other].groups[group].advskew < least)
			least = w->configs[other].groups[group].advskew;
	return w->options.advbase_us * least / 256;
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
		int64_t interval =
			w->options.advbase_us * (256 + w->configs[node].groups[g].advskew) / 256;

		if (world_master(w, node, g) && n->slept_in_company[g] &&
			n->slept_us > interval * w->options.dead_factor +
					      world_least_skew(w, node, g) + 1000)
			n->groups[g].slept_term = n->election.groups[g].term.number;
	}
	world_disturb(w, node);
	for (uint32_t i = 0; i < n->held_count; i++) {
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

	link->open_since = link->cuts > 0 ? INT64_MAX : w->now;
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

void world_carrier(struct world *w, uint8_t node, uint8_t path, int by)
{
	struct world_node *n = &w->nodes[node];
	bool was_up = n->carrier_off[path] == 0;
	struct election_event event = {.type = ELECTION_EVENT_CARRIER, .path = path};

	n->carrier_off[path] += by;
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
		if (n->up && !n->paused && n->wake_generation == event->generation)
			world_timer(w, event->node);
		break;
	case WORLD_ARRIVE:
		world_arrive(w, event);
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

int64_t world_master_down(const struct world *w)
{
	int64_t longest = 0;

	for (uint8_t n = 0; n < w->options.nodes; n++) {
		int64_t interval = w->options.advbase_us * (256 + w->options.advskew[n]) / 256;

		if (interval > longest)
			longest = interval;
	}
	return longest * w->options.dead_factor + w->options.advbase_us;
}

/* --- Building. --- */

static void world_config_group(struct world *w, uint8_t node, uint8_t group)
{
	struct election_config_group *g = &w->configs[node].groups[group];

	memcpy(g->name, (char[3]){'g', (char)('0' + group), 0}, 3);
	g->tag = 0x67000000u + group;
	g->vhid = (uint8_t)(group + 1);
	/* Active-active: the second group prefers the nodes in the opposite order. */
	g->advskew = group % 2 ? w->options.advskew[w->options.nodes - 1 - node]
			       : w->options.advskew[node];
	g->ready = true;
	g->interface_count = w->options.interfaces;
	for (uint8_t i = 0; i < w->options.interfaces; i++) {
		g->interfaces[i].path = (uint8_t)(group * w->options.interfaces + i);
		g->interfaces[i].weight = 100;
	}
}

static void world_config_node(struct election_config_node *n, uint8_t index, uint8_t sync_links)
{
	memcpy(n->name, (char[4]){'f', 'w', (char)('1' + index), 0}, 4);
	n->id = (uint8_t)(index + 1);
	n->sync_count = sync_links;
}

static void world_config(struct world *w, uint8_t node)
{
	const struct world_options *o = &w->options;
	struct election_config *c = &w->configs[node];

	world_config_node(&c->own, node, o->sync_links);
	for (uint8_t other = 0; other < o->nodes; other++)
		if (other != node)
			world_config_node(&c->peers[c->peer_count++], other, o->sync_links);
	c->path_count = w->path_count;
	for (uint8_t path = 0; path < w->path_count; path++) {
		bool sync = path >= w->path_count - o->sync_links;
		char digit = (char)('0' + (sync ? path - (w->path_count - o->sync_links) : path));

		memcpy(c->paths[path].name, sync ? "sync" : "lan", sync ? 4 : 3);
		c->paths[path].name[sync ? 4 : 3] = digit;
		c->paths[path].sync = sync;
		c->paths[path].tag = 0x70000000u + path;
	}
	c->group_count = o->groups;
	for (uint8_t group = 0; group < o->groups; group++)
		world_config_group(w, node, group);
	c->advbase = dur_us(o->advbase_us);
	c->dead_factor = o->dead_factor;
	c->preempt = o->preempt;
	c->settle = dur_s(1);
	c->confirm_questions = o->confirm_questions;
	c->confirm_spacing = dur_us(o->confirm_spacing_us);
	c->key_count = 1;
	c->keys[0] = 1;
	c->maintenance_until = MONO_NEVER;
}

struct world *world_new(const struct world_options *options)
{
	struct world *w = calloc(1, sizeof(*w));

	CHECK(w);
	w->options = *options;
	w->rng.state = options->seed;
	w->path_count = (uint8_t)(options->groups * options->interfaces + options->sync_links);
	CHECK(w->path_count <= WORLD_PATHS_MAX);
	CHECK(options->groups <= WORLD_GROUPS_MAX && options->nodes <= WORLD_NODES_MAX);
	w->recorded = calloc(WORLD_RECORDED_MAX, sizeof(*w->recorded));
	CHECK(w->recorded);
	w->checks = checks_new(w);
	for (uint8_t node = 0; node < options->nodes; node++)
		world_config(w, node);
	return w;
}

void world_free(struct world *w)
{
	checks_free(w->checks);
	free(w->faults);
	free(w->recorded);
	free(w->packets);
	free(w->packet_refs);
	free(w->packet_free);
	free(w->heap);
	free(w);
}
