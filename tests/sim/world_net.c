/* world_net: packets on their way: links, the recorder, what a process finds when it gets its turn.
 * See world.h. */
#include "checks.h"
#include "common/check.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

/* --- Slots. --- */

static uint32_t world_packet_new(struct world *w)
{
	uint32_t slot;

	if (w->packet_free_count == 0) {
		uint32_t old = w->packet_size;

		w->packet_size = old ? old * 2 : 256;
		w->packets = realloc(w->packets, w->packet_size * sizeof(struct world_packet *));
		w->packet_refs = realloc(w->packet_refs, w->packet_size * sizeof(uint32_t));
		w->packet_free = realloc(w->packet_free, w->packet_size * sizeof(uint32_t));
		CHECK(w->packets && w->packet_refs && w->packet_free);
		for (uint32_t i = old; i < w->packet_size; i++) {
			w->packets[i] = calloc(1, sizeof(struct world_packet));
			CHECK(w->packets[i]);
			w->packet_free[w->packet_free_count++] = i;
		}
	}
	slot = w->packet_free[--w->packet_free_count];
	w->packet_refs[slot] = 1;
	return slot;
}

void world_packet_put(struct world *w, uint32_t slot)
{
	if (--w->packet_refs[slot] == 0)
		w->packet_free[w->packet_free_count++] = slot;
}

static void world_record(struct world *w, const struct world_packet *packet)
{
	uint32_t slot;

	/* A reservoir: packets of every age stay on the recorder's tape. */
	if (w->recorded_count < WORLD_RECORDED_MAX)
		slot = w->recorded_count++;
	else if (rng_chance(&w->rng, 20))
		slot = rng_below(&w->rng, WORLD_RECORDED_MAX);
	else
		return;
	w->recorded[slot] = *packet;
}

/* --- Sending. --- */

static void world_transmit(struct world *w, uint32_t slot, uint8_t to)
{
	struct world_packet *packet = w->packets[slot];
	struct world_link *link = &w->links[packet->path][packet->sender][to];
	int copies = rng_chance(&w->rng, link->dup_per_mille) ? 2 : 1;

	packet->lane_number[to] =
		++w->nodes[packet->sender].number_sent[to][packet->path][packet->group];
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

/* world_put: a filled packet onto its path. */
static void world_put(struct world *w, uint32_t slot, uint8_t to_id)
{
	struct world_packet *packet = w->packets[slot];
	uint8_t node = packet->sender;

	packet->life = w->nodes[node].life;
	packet->serial = w->serial++;
	packet->sent_at = w->now;
	/* A foreign node's counter proves nothing: replays of the lenient wire are not ours to
	 * refuse (doc/protocol-carp2.md). */
	if (!packet->is_carp2 || w->options.carp2_strict)
		world_record(w, packet);
	for (uint8_t to = 0; to < w->options.nodes; to++)
		if (to != node && (to_id == 0 || w->configs[to].own.id == to_id))
			world_transmit(w, slot, to);
	world_packet_put(w, slot);
}

static uint8_t world_group_of(const struct world *w, uint32_t tag)
{
	for (uint8_t group = 0; group < w->options.groups; group++)
		if (w->configs[0].groups[group].tag == tag)
			return group;
	CHECK(!"an advert of no group");
}

void world_send_advert(
	struct world *w, uint8_t node, uint8_t path, uint8_t to_id, const struct advert *advert)
{
	uint32_t slot = world_packet_new(w);
	struct world_packet *packet = w->packets[slot];
	uint8_t bytes[ADVERT_BYTES_MAX];
	size_t size = advert_encode(advert, bytes, sizeof(bytes));

	CHECK(size > 0);
	CHECK(advert_decode(bytes, size, &packet->as.native) == ADVERT_DROP_NONE);
	packet->sender = node;
	packet->path = path;
	packet->group = world_group_of(w, advert->group_tag);
	packet->is_carp2 = false;
	checks_sent(w, node, packet->group, advert);
	world_put(w, slot, to_id);
}

void world_send(struct world *w, uint8_t node, uint8_t to_id, const struct election_action *action)
{
	const struct election *e = &w->nodes[node].election;
	struct world_packet *packet;
	struct advert advert;
	uint32_t slot;

	if (!action->carp2) {
		election_advert(e, action, &advert);
		world_send_advert(w, node, action->path, to_id, &advert);
		return;
	}
	slot = world_packet_new(w);
	packet = w->packets[slot];
	election_carp2_advert(e, action, &packet->as.carp2.advert);
	packet->as.carp2.epoch = e->epoch;
	packet->sender = node;
	packet->path = action->path;
	packet->group = action->group;
	packet->is_carp2 = true;
	world_put(w, slot, 0);
}

void world_inject(struct world *w, const struct world_packet *packet, uint8_t path, uint8_t to)
{
	uint32_t slot = world_packet_new(w);
	struct world_event event = {
		.at = w->now, .type = WORLD_ARRIVE, .node = to, .path = path, .index = slot};

	w->injected_at = w->now;
	*w->packets[slot] = *packet;
	world_push(w, &event);
}

/* --- Receiving. --- */

/* world_deliver_note: for check (e). What an earlier advert on the same path has overtaken proves
 * no life. */
static void world_deliver_note(
	struct world *w, uint8_t node, uint8_t path, const struct world_packet *packet)
{
	struct world_node *n = &w->nodes[node];
	const struct advert *advert = &packet->as.native;
	uint8_t sender = packet->sender, group = packet->group;
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

/* world_passes_2004: Polyakov's check: the next number of the lane, or nothing. */
static bool world_passes_2004(
	struct world *w, uint8_t node, uint8_t path, const struct world_packet *packet)
{
	struct world_node *n = &w->nodes[node];
	uint8_t sender = packet->sender;
	uint64_t *taken = &n->number_taken[sender][path][packet->group];
	uint32_t *life = &n->number_life[sender][path][packet->group];

	if (*life == packet->life && packet->lane_number[node] != *taken + 1)
		return false;
	*life = packet->life;
	*taken = packet->lane_number[node];
	return true;
}

/* world_carp2_event: what the shell makes of it (carpd/node_carp2.c): whose number it is. */
static bool world_carp2_event(const struct world *w, uint8_t node, uint8_t path,
	const struct world_packet *packet, struct election_event *event)
{
	const struct election *e = &w->nodes[node].election;
	const struct carp2_advert *advert = &packet->as.carp2.advert;
	uint8_t peer = 0;

	if (path != packet->path)
		return false; /* another interface's addresses are signed there */
	while (e->config.peers[peer].id != w->configs[packet->sender].own.id)
		peer++;
	event->type = ELECTION_EVENT_CARP2;
	event->group = packet->group;
	event->carp2.peer = peer;
	event->carp2.number = advert->counter;
	if (!e->peers[peer].proven || e->peers[peer].epoch != packet->as.carp2.epoch) {
		event->carp2.unproven = w->options.carp2_strict;
		event->carp2.peer = w->options.carp2_strict ? peer : ELECTION_ALL;
	}
	event->carp2.advbase = advert->advbase;
	event->carp2.advskew = advert->advskew;
	event->carp2.demote = advert->demote;
	event->carp2.lower_source = packet->sender < node;
	return true;
}

void world_deliver(struct world *w, uint8_t node, uint8_t path, uint32_t slot)
{
	struct world_node *n = &w->nodes[node];
	struct election_event event = {.type = ELECTION_EVENT_PACKET, .path = path};
	uint64_t accepted = n->election.accepted;
	const struct world_packet *packet = w->packets[slot];

	if (packet->sender == node)
		return; /* advert_open() drops it */
	if (w->options.counter_2004 && !world_passes_2004(w, node, path, packet))
		return;
	if (!packet->is_carp2)
		event.packet = &packet->as.native;
	else if (!world_carp2_event(w, node, path, packet, &event))
		return;
	w->delivered++;
	world_step(w, node, &event);
	if (n->election.accepted == accepted || event.carp2.peer == ELECTION_ALL)
		return;
	checks_accepted(w, node, packet);
	if (!packet->is_carp2)
		world_deliver_note(w, node, path, packet);
}

/* world_arrive: into the socket's buffer. An honest process gets its turn a moment later. */
void world_arrive(struct world *w, const struct world_event *event)
{
	struct world_node *n = &w->nodes[event->node];

	if (n->up && !n->paused && n->carrier_off[event->path] == 0) {
		if (n->inbox_count == WORLD_INBOX_MAX)
			world_drain(w, event->node);
		if (n->inbox_count == 0) {
			struct world_event drain = {.type = WORLD_DRAIN, .node = event->node};

			drain.at = w->now + w->options.turn_us;
			world_push(w, &drain);
		}
		n->inbox[n->inbox_count].path = event->path;
		n->inbox[n->inbox_count++].packet = event->index;
		return; /* keeps its reference */
	}
	if (n->up && n->paused && !n->pause_drops && n->held_count < WORLD_HELD_MAX) {
		n->held[n->held_count].path = event->path;
		n->held[n->held_count++].packet = event->index;
		return;
	}
	world_packet_put(w, event->index);
}

void world_drain(struct world *w, uint8_t node)
{
	struct world_node *n = &w->nodes[node];
	uint32_t count = n->inbox_count;

	if (count == 0)
		return;
	n->inbox_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (n->up && !n->paused)
			world_deliver(w, node, n->inbox[i].path, n->inbox[i].packet);
		world_packet_put(w, n->inbox[i].packet);
	}
	if (n->up && !n->paused)
		world_timer(w, node);
}
