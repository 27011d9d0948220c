#include "syncworld.h"

#include "common/check.h"
#include "synccheck.h"
#include "syncfaults.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_US	     50000
#define REPAIR_US    2000000
#define GRACE_US     2000000
#define STOP_US	     1000000 /* between a syncd's end and its start */
#define REDIAL_US    200000
#define READ_BYTES   16384u
#define DUMP_ENTRIES 24u
#define HELLO_EPOCH  77u

static const uint32_t group_tags[SYNCWORLD_GROUPS] = {0x11223344, 0x55667788};

uint64_t syncworld_random(struct syncworld_rng *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint32_t syncworld_below(struct syncworld_rng *r, uint32_t n)
{
	return (uint32_t)((syncworld_random(r) >> 32) * n >> 32);
}

bool syncworld_chance(struct syncworld_rng *r, uint32_t per_mille)
{
	return syncworld_below(r, 1000) < per_mille;
}

mono_t syncworld_mono(const struct syncworld *w)
{
	return (mono_t){w->now + 1000000000};
}

void syncworld_fail(struct syncworld *w, const char *format, ...)
{
	va_list args;
	int used;

	if (w->failure[0])
		return;
	used = snprintf(w->failure, sizeof(w->failure), "at %.3f s: ", (double)w->now / 1e6);
	va_start(args, format);
	vsnprintf(w->failure + used, sizeof(w->failure) - (size_t)used, format, args);
	va_end(args);
}

void syncworld_say(const struct syncworld *w, const char *format, ...)
{
	va_list args;

	if (!w->trace)
		return;
	printf("[%9.3f] ", (double)w->now / 1e6);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

uint8_t syncworld_peer_index(uint8_t self, uint8_t other)
{
	return other < self ? other : (uint8_t)(other - 1);
}

uint8_t syncworld_peer_node(uint8_t self, uint8_t peer)
{
	return peer < self ? peer : (uint8_t)(peer + 1);
}

struct syncworld_link *syncworld_link_of(struct syncworld *w, uint8_t a, uint8_t b)
{
	/* 0-1, 0-2, 1-2 */
	return &w->links[a + b - 1];
}

int syncworld_master(const struct syncworld *w, uint8_t group)
{
	int best = -1;

	for (uint8_t node = 0; node < w->options.nodes; node++) {
		const struct syncworld_node *n = &w->nodes[node];

		if (!n->powered || n->roles[group].state != SYNCWORLD_MASTER)
			continue;
		if (best < 0 || n->roles[group].term > w->nodes[best].roles[group].term)
			best = node;
	}
	return best;
}

static bool node_awake(const struct syncworld *w, const struct syncworld_node *n)
{
	return n->powered && n->up && w->now >= n->asleep_until;
}

/* ---- our kernel ---- */

static bool node_active(const struct syncworld_node *n, uint8_t group)
{
	return n->engine.groups[group].role == SYNCMSG_ROLE_ACTIVE;
}

static uint8_t flow_group(const struct flow *flow)
{
	return flow->orig.src[2]; /* the world's rule: 10.1.GROUP.x */
}

static void node_inject(struct syncworld *w, struct syncworld_node *n)
{
	struct engine *e = &n->engine;
	struct engine_op op;
	bool full = false, any = false;

	while (engine_op_next(e, syncworld_mono(w), &op)) {
		bool standby = !node_active(n, flow_group(&op.flow));
		int error = synckernel_apply(&n->kernel, w->now, &op, standby);

		any = true;
		syncworld_say(w, "fw%u: kernel: %s port %u: timeout %u%s: %d", e->config.self,
			(const char *[]){"create", "update", "delete"}[op.type],
			op.flow.orig.src_port, op.flow.timeout_s, op.liberal ? ", liberal" : "",
			error);
		if (error)
			engine_op_failed(e, syncworld_mono(w), op.type, op.slot, error);
		full = full || error == 12; /* ENOMEM */
	}
	if (any && !full)
		engine_kernel_room(e);
}

static void node_read_events(struct syncworld *w, struct syncworld_node *n)
{
	struct synckernel *k = &n->kernel;

	for (; k->event_count; k->event_count--) {
		const struct synckernel_event *event = &k->events[k->event_first];

		k->event_first = (k->event_first + 1) % SYNCKERNEL_EVENTS;
		if (event->destroy)
			engine_kernel_destroy(&n->engine, syncworld_mono(w), &event->flow);
		else
			(void)engine_kernel_upsert(&n->engine, syncworld_mono(w), &event->flow,
				flow_group(&event->flow), false);
	}
}

static void node_leave_if_idle(struct syncworld *w, struct syncworld_node *n)
{
	if (engine_any_active(&n->engine))
		return;
	node_read_events(w, n);
	n->kernel.joined = false;
	n->kernel.lost = 0;
}

/* ---- dumps: syncd/kernel_dump.c and the node's part of them ---- */

void syncworld_dump_start(struct syncworld *w, uint8_t node, bool known)
{
	struct syncworld_node *n = &w->nodes[node];
	struct syncworld_dump *d = &n->dump;

	if (d->running) {
		if (!d->again || !known)
			d->again = (uint8_t)(1 + known);
		return;
	}
	memset(d, 0, sizeof(*d));
	d->running = true;
	d->known = known && syncworld_chance(&w->rng, 500);
	d->started_sequence = n->engine.sequence;
	d->started_at = w->now;
}

static void dump_retime(struct syncworld *w, struct syncworld_node *n, uint32_t slot,
	struct synckernel_entry *entry)
{
	struct flow flow;

	if (!engine_retime(
		    &n->engine, syncworld_mono(w), slot, synckernel_full_s(&entry->flow), &flow))
		return;
	entry->expires_us = w->now + (int64_t)flow.timeout_s * 1000000;
	entry->held = false;
}

static bool entry_looks_held(const struct flow *flow)
{
	return flow->timeout_s >= SYNC_HOLD_S &&
	       (!(flow->has & FLOW_HAS_TCP) ||
		       (flow->tcp_flags[0] & flow->tcp_flags[1] & FLOW_TCP_BE_LIBERAL));
}

static uint32_t dump_entry(
	struct syncworld *w, struct syncworld_node *n, struct synckernel_entry *entry)
{
	struct engine *e = &n->engine;
	struct flow flow = entry->flow;
	uint8_t group = flow_group(&flow);
	uint32_t slot;

	flow.timeout_s = synckernel_seconds(entry, w->now);
	if (node_active(n, group)) {
		slot = engine_kernel_upsert(e, syncworld_mono(w), &flow, group, true);
		if (slot != TABLE_NONE)
			dump_retime(w, n, slot, entry);
		return slot;
	}
	if (e->adopting && entry_looks_held(&flow))
		engine_adopt(e, syncworld_mono(w), &flow, group);
	return table_find(&e->table, &flow);
}

static bool dump_suspect(const struct syncworld_node *n, uint32_t slot)
{
	const struct engine *e = &n->engine;
	const struct table_record *record = &e->table.records[slot];
	bool ours = record->owner == e->config.self && record->life == e->config.life;

	if (record->flags & TABLE_FLAG_DEAD || !engine_kernel_has(e, slot) ||
		dirty_has(&e->consumers[SYNC_CONSUMER_KERNEL].dirty, slot))
		return false;
	return !ours || record->sequence <= n->dump.started_sequence;
}

static void dump_end(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];
	uint8_t again = n->dump.again;

	n->dump.running = false;
	if (n->engine.adopting) {
		n->engine.adopting = false;
		for (uint8_t peer = 0; peer < w->options.nodes - 1; peer++)
			session_want_again(&n->sessions[peer]);
	}
	node_inject(w, n);
	if (again)
		syncworld_dump_start(w, node, again == 2);
}

/* dump_slots: asks for slots one by one: all that are known, or those that the dump did not show.
 */
static void dump_slots(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];
	struct syncworld_dump *d = &n->dump;
	struct engine *e = &n->engine;
	struct flow key;

	for (uint32_t i = 0; i < DUMP_ENTRIES; i++, d->cursor++) {
		uint32_t slot = d->cursor;
		struct synckernel_entry *entry;

		if (slot >= e->table.high) {
			dump_end(w, node);
			return;
		}
		if (!table_is_used(&e->table, slot) || d->shown[slot / 64] >> slot % 64 & 1)
			continue;
		if (d->known ? (e->table.records[slot].flags & TABLE_FLAG_DEAD) ||
					!engine_kernel_has(e, slot)
			     : !dump_suspect(n, slot))
			continue;
		table_load(&e->table, slot, engine_seconds(syncworld_mono(w)), &key);
		entry = synckernel_find(&n->kernel, &key);
		if (entry && d->known)
			(void)dump_entry(w, n, entry);
		else if (!entry && dump_suspect(n, slot))
			engine_kernel_lost(e, syncworld_mono(w), slot);
	}
}

static void dump_turn(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];
	struct syncworld_dump *d = &n->dump;

	if (d->known || d->probing) {
		dump_slots(w, node);
		return;
	}
	for (uint32_t i = 0; i < DUMP_ENTRIES && d->cursor < SYNCKERNEL_MAX; i++, d->cursor++) {
		struct synckernel_entry *entry = &n->kernel.entries[d->cursor];
		uint32_t slot = entry->used ? dump_entry(w, n, entry) : TABLE_NONE;

		if (slot != TABLE_NONE)
			d->shown[slot / 64] |= UINT64_C(1) << slot % 64;
	}
	if (d->cursor == SYNCKERNEL_MAX) {
		d->probing = true;
		d->cursor = 0;
	}
}

/* ---- peers ---- */

static void link_close(struct syncworld *w, struct syncworld_link *link, int end);

static void node_step(struct syncworld *w, uint8_t node, uint8_t peer, enum session_event_type type,
	const uint8_t *data, size_t size, struct session_update *out)
{
	struct syncworld_node *n = &w->nodes[node];
	struct session_event event = {
		.type = type, .now = syncworld_mono(w), .data = data, .size_bytes = size};

	session_step(&n->sessions[peer], &n->engine, &event, out);
}

static void node_after_step(
	struct syncworld *w, uint8_t node, uint8_t peer, const struct session_update *out)
{
	struct syncworld_node *n = &w->nodes[node];
	uint8_t other = syncworld_peer_node(node, peer);
	struct syncworld_link *link = syncworld_link_of(w, node, other);

	for (uint8_t group = 0; group < w->options.groups; group++)
		if (out->tails_ended >> group & 1) {
			n->tail_open[group] = false;
			syncworld_dump_start(w, node, true);
		}
	if (out->transfers_ended)
		syncworld_say(w, "fw%u: transfer from fw%u ended: %u flows, %s, %u swept", node + 1,
			other + 1, engine_flow_count(&n->engine),
			out->compared ? "compared" : "whole", out->swept_count);
	if (out->error == SESSION_OK)
		return;
	syncworld_say(w, "fw%u: session with fw%u ended: %s", node + 1, other + 1,
		session_error_name(out->error));
	if (out->error != SESSION_DEAD && out->error != SESSION_HELLO_LATE)
		syncworld_fail(w, "fw%u: session error %s (%s)", node + 1,
			session_error_name(out->error), syncmsg_error_name(out->message_error));
	link_close(w, link, link->nodes[1] == node);
}

static void link_close(struct syncworld *w, struct syncworld_link *link, int end)
{
	struct session_update out;
	uint8_t node = link->nodes[end], other = link->nodes[!end];

	if (!link->open[end])
		return;
	link->open[end] = false;
	link->redial_at = w->now + syncworld_below(&w->rng, REDIAL_US);
	if (!w->nodes[node].up)
		return;
	node_step(w, node, syncworld_peer_index(node, other), SESSION_EVENT_CLOSED, NULL, 0, &out);
	synccheck_closed(w, node, syncworld_peer_index(node, other));
}

void syncworld_break(struct syncworld *w, struct syncworld_link *link)
{
	for (int i = 0; i < 2; i++) {
		struct syncworld_pipe *pipe = &link->pipes[i];

		/* Whatever prefix got through is still read, the rest never. */
		pipe->size = pipe->arrived +
			     (pipe->size > pipe->arrived ? syncworld_below(&w->rng,
								   pipe->size - pipe->arrived + 1)
							 : 0);
		pipe->arrived = pipe->size;
		syncworld_deliver(w, link, i);
	}
	link_close(w, link, 0);
	link_close(w, link, 1);
}

static void link_dial(struct syncworld *w, struct syncworld_link *link)
{
	struct session_update out;

	if (link->open[1])
		link_close(w, link, 1); /* the older connection is replaced */
	for (int i = 0; i < 2; i++) {
		link->pipes[i].size = link->pipes[i].arrived = 0;
		link->pipes[i].stopped_until = link->pipes[i].trickles_until = 0;
		link->pipes[i].room = w->options.pipe_room;
	}
	for (int i = 0; i < 2; i++) {
		link->open[i] = true;
		node_step(w, link->nodes[i], syncworld_peer_index(link->nodes[i], link->nodes[!i]),
			SESSION_EVENT_OPENED, NULL, 0, &out);
	}
}

static void link_manage(struct syncworld *w, struct syncworld_link *link)
{
	bool both = w->nodes[link->nodes[0]].up && w->nodes[link->nodes[1]].up;

	if (w->now < link->cut_until)
		return;
	if (link->open[0] != link->open[1]) { /* the other end hears of it */
		link_close(w, link, 0);
		link_close(w, link, 1);
	}
	if (both && !link->open[0] && w->now >= link->redial_at &&
		node_awake(w, &w->nodes[link->nodes[0]]) &&
		node_awake(w, &w->nodes[link->nodes[1]]))
		link_dial(w, link);
}

void syncworld_deliver(struct syncworld *w, struct syncworld_link *link, int from)
{
	struct syncworld_pipe *pipe = &link->pipes[from];
	uint8_t node = link->nodes[!from], other = link->nodes[from];
	uint8_t peer = syncworld_peer_index(node, other);
	struct session_update out;
	uint32_t size = pipe->arrived < READ_BYTES ? pipe->arrived : READ_BYTES;

	if (!link->open[!from] || size == 0)
		return;
	synccheck_before(w, node, peer, pipe->data, size);
	node_step(w, node, peer, SESSION_EVENT_BYTES, pipe->data, size, &out);
	w->delivered += out.consumed_bytes;
	synccheck_after(w, node, peer);
	node_inject(w, &w->nodes[node]);
	memmove(pipe->data, pipe->data + out.consumed_bytes, pipe->size - out.consumed_bytes);
	pipe->size -= (uint32_t)out.consumed_bytes;
	pipe->arrived -= (uint32_t)out.consumed_bytes;
	node_after_step(w, node, peer, &out);
}

static void link_move(struct syncworld *w, struct syncworld_link *link, int from)
{
	struct syncworld_pipe *pipe = &link->pipes[from];
	uint32_t left = pipe->size - pipe->arrived;

	if (w->now < link->cut_until || w->now < pipe->stopped_until)
		return;
	if (w->now < pipe->trickles_until)
		left = left < 40 ? left : 40; /* a slow path */
	if (left && syncworld_chance(&w->rng, 700))
		pipe->arrived +=
			syncworld_chance(&w->rng, 700) ? left : syncworld_below(&w->rng, left + 1);
	if (node_awake(w, &w->nodes[link->nodes[!from]]) && syncworld_chance(&w->rng, 800))
		syncworld_deliver(w, link, from);
}

static void node_pump(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];

	for (uint8_t peer = 0; peer < w->options.nodes - 1; peer++) {
		uint8_t other = syncworld_peer_node(node, peer);
		struct syncworld_link *link = syncworld_link_of(w, node, other);
		int end = link->nodes[1] == node;
		struct syncworld_pipe *pipe = &link->pipes[end];
		size_t room, written = 1;

		while (link->open[end] && written) {
			struct wbuf out;

			room = pipe->room > pipe->size ? pipe->room - pipe->size : 0;
			out = wbuf_init(pipe->data + pipe->size, room);
			written = session_fill(
				&n->sessions[peer], &n->engine, syncworld_mono(w), &out);
			pipe->size += (uint32_t)written;
		}
	}
}

/* ---- roles: what syncd/node.c does with carpd's word ---- */

static void node_become_source(
	struct syncworld *w, uint8_t node, uint8_t group, uint32_t term, int from)
{
	struct syncworld_node *n = &w->nodes[node];
	int tail = from >= 0 ? syncworld_peer_index(node, (uint8_t)from) : -1;
	int source = engine_source(&n->engine, group);

	engine_set_role(&n->engine, group, SYNCMSG_ROLE_ACTIVE, term, n->roles[group].owner,
		tail >= 0 ? tail : source, syncworld_mono(w));
	synccheck_role(w, node, group, true, tail >= 0 ? tail : source, w->now + 5000000);
	if (source >= 0) {
		uint8_t other = syncworld_peer_node(node, (uint8_t)source);
		struct syncworld_link *link = syncworld_link_of(w, node, other);

		syncworld_deliver(w, link, link->nodes[1] == other);
	}
	if (tail < 0) {
		engine_tail_ended(&n->engine, group);
		synccheck_role(w, node, group, true, -1, 0);
	}
	if (!w->options.warm)
		engine_inject_group(&n->engine, group);
	node_inject(w, n);
	n->kernel.joined = true;
	n->tail_open[group] = tail >= 0;
	n->held_dumped = true;
	n->strict_at = w->now + GRACE_US;
	n->strict_cursor = 0;
	for (uint8_t peer = 0; peer < w->options.nodes - 1; peer++)
		session_tell_roles(&n->sessions[peer], UINT32_MAX);
	node_pump(w, node);
}

static void node_become_standby(struct syncworld *w, uint8_t node, uint8_t group,
	enum syncmsg_role role, uint32_t term, uint8_t owner)
{
	struct syncworld_node *n = &w->nodes[node];
	struct engine_group *g = &n->engine.groups[group];
	bool was_active = g->role == SYNCMSG_ROLE_ACTIVE;
	uint32_t old_term = g->term;
	uint8_t old_owner = g->term_owner;

	if (was_active) {
		node_read_events(w, n);
		node_pump(w, node);
	}
	engine_set_role(&n->engine, group, role, term, owner, -1, syncworld_mono(w));
	synccheck_role(w, node, group, false, -1, 0);
	n->tail_open[group] = false;
	if (was_active) {
		node_leave_if_idle(w, n);
		n->loose_groups |= 1u << group;
		n->loose_cursor = 0;
		for (uint8_t peer = 0; peer < w->options.nodes - 1; peer++)
			session_end_tail(
				&n->sessions[peer], &n->engine, group, old_term, old_owner);
	}
	for (uint8_t peer = 0; peer < w->options.nodes - 1; peer++)
		session_tell_roles(&n->sessions[peer], UINT32_MAX);
	node_pump(w, node);
}

static void node_adopt(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];

	if (n->held_dumped)
		return;
	n->held_dumped = true;
	if (n->born_empty)
		return;
	n->engine.adopting = true;
	syncworld_dump_start(w, node, false);
}

void syncworld_promote(struct syncworld *w, uint8_t node, uint8_t group, uint32_t term, int from)
{
	struct syncworld_node *n = &w->nodes[node];
	bool known;

	syncworld_say(w, "fw%u: group %u: master, term %u%s", node + 1, group, term,
		from >= 0 ? " (hand-over)" : "");
	n->roles[group] = (struct syncworld_role){
		.state = SYNCWORLD_MASTER, .term = term, .owner = (uint8_t)(node + 1)};
	if (!n->up)
		return;
	known = from >= 0 || engine_source(&n->engine, group) >= 0;
	node_become_source(w, node, group, term, from);
	syncworld_dump_start(w, node, known);
}

void syncworld_demote(
	struct syncworld *w, uint8_t node, uint8_t group, uint32_t term, uint8_t owner)
{
	struct syncworld_node *n = &w->nodes[node];

	syncworld_say(w, "fw%u: group %u: backup, term %u", node + 1, group, term);
	n->roles[group] =
		(struct syncworld_role){.state = SYNCWORLD_BACKUP, .term = term, .owner = owner};
	if (!n->up)
		return;
	if (n->engine.groups[group].role != SYNCMSG_ROLE_STANDBY)
		node_become_standby(w, node, group, SYNCMSG_ROLE_STANDBY, term, owner);
	node_adopt(w, node);
}

void syncworld_term(struct syncworld *w, uint8_t node, uint8_t group, uint32_t term)
{
	struct syncworld_node *n = &w->nodes[node];

	syncworld_say(w, "fw%u: group %u: term %u", node + 1, group, term);
	n->roles[group].term = term;
	if (!n->up)
		return;
	n->engine.groups[group].term = term;
	for (uint8_t peer = 0; peer < w->options.nodes - 1; peer++)
		session_tell_roles(&n->sessions[peer], UINT32_MAX);
}

void syncworld_carpd_lost(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];

	for (uint8_t group = 0; group < w->options.groups; group++) {
		n->roles[group].state = SYNCWORLD_ALONE;
		if (n->up)
			node_become_standby(w, node, group, SYNCMSG_ROLE_FROZEN,
				n->engine.groups[group].term, n->engine.groups[group].term_owner);
	}
}

void syncworld_resync(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];

	engine_retell(&n->engine);
	if (engine_any_active(&n->engine))
		syncworld_dump_start(w, node, false);
	for (uint8_t peer = 0; peer < w->options.nodes - 1; peer++) {
		session_want_again(&n->sessions[peer]);
		session_serve_again(&n->sessions[peer], &n->engine);
	}
	node_pump(w, node);
}

/* ---- life ---- */

void syncworld_start(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];
	struct engine_config config = {.self = (uint8_t)(node + 1),
		.peer_count = (uint8_t)(w->options.nodes - 1),
		.group_count = w->options.groups,
		.life = n->life,
		.capacity = w->options.capacity,
		.first_sequence = (uint64_t)w->now / 4 + 1,
		.seed = 99,
		.warm = w->options.warm};
	struct syncmsg_hello hello = {.version = SYNCMSG_VERSION,
		.node_id = config.self,
		.epoch = HELLO_EPOCH,
		.life = n->life,
		.digest_id = 5,
		.names_max = config.capacity,
		.cluster = "sim"};
	static const uint8_t key[DIGEST_KEY_BYTES] = {1, 2, 3};

	CHECK(n->powered && !n->up);
	memcpy(config.group_tags, group_tags, sizeof(group_tags));
	digest_key_init(&config.digest_key, key);
	n->memory = calloc(1, engine_bytes(config.capacity, config.peer_count));
	CHECK(n->memory);
	engine_init(&n->engine, &config, n->memory);
	for (uint8_t peer = 0; peer < config.peer_count; peer++)
		session_init(&n->sessions[peer], peer, &hello,
			(uint8_t)(syncworld_peer_node(node, peer) + 1));
	n->up = true;
	n->start_at = -1;
	n->held_dumped = false;
	n->dump.running = false;
	n->repair_at = -1;
	n->strict_at = -1;
	n->loose_groups = 0;
	n->born_empty = true;
	for (uint32_t i = 0; i < SYNCKERNEL_MAX; i++)
		n->born_empty = n->born_empty && !n->kernel.entries[i].used;
	synccheck_started(w, node);
	syncworld_say(w, "fw%u: syncd starts", node + 1);
	for (uint8_t group = 0; group < w->options.groups; group++) {
		struct syncworld_role *role = &n->roles[group];

		if (role->state == SYNCWORLD_MASTER) {
			node_become_source(w, node, group, role->term, -1);
			syncworld_dump_start(w, node, false);
		} else if (role->state == SYNCWORLD_BACKUP) {
			node_become_standby(
				w, node, group, SYNCMSG_ROLE_STANDBY, role->term, role->owner);
			node_adopt(w, node);
		}
	}
}

void syncworld_kill(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];

	if (!n->up)
		return;
	for (int drop = 0; drop < ENGINE_DROP_COUNT; drop++)
		w->drops[drop] += n->engine.drops[drop];
	n->up = false;
	n->start_at = w->now + 1000 + syncworld_below(&w->rng, STOP_US);
	n->kernel.joined = false;
	n->kernel.event_count = n->kernel.lost = 0;
	for (uint8_t other = 0; other < w->options.nodes; other++) {
		struct syncworld_link *link;

		if (other == node)
			continue;
		link = syncworld_link_of(w, node, other);
		link_close(w, link, link->nodes[1] == node);
	}
	free(n->memory);
	n->memory = NULL;
}

void syncworld_power_off(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];

	syncworld_kill(w, node);
	n->powered = false;
	n->start_at = -1;
	memset(&n->kernel, 0, sizeof(n->kernel));
	for (uint8_t group = 0; group < w->options.groups; group++)
		n->roles[group].state = SYNCWORLD_ALONE;
}

void syncworld_boot(struct syncworld *w, uint8_t node, bool kernel_stays)
{
	struct syncworld_node *n = &w->nodes[node];

	if (!kernel_stays)
		n->life++;
	n->powered = true;
	n->power_at = -1;
	n->start_at = w->now + syncworld_below(&w->rng, 100000);
	n->carpd_at = w->now + syncworld_below(&w->rng, 100000);
}

struct syncworld *syncworld_make(const struct syncworld_options *options)
{
	struct syncworld *w = calloc(1, sizeof(*w));

	CHECK(w && options->nodes >= 2 && options->nodes <= SYNCWORLD_NODES);
	w->options = *options;
	w->rng.state = options->seed * 1000003;
	for (uint8_t a = 0; a < SYNCWORLD_NODES; a++)
		for (uint8_t b = (uint8_t)(a + 1); b < SYNCWORLD_NODES; b++) {
			struct syncworld_link *link = syncworld_link_of(w, a, b);

			link->nodes[0] = a;
			link->nodes[1] = b;
		}
	for (uint8_t node = 0; node < SYNCWORLD_NODES; node++) {
		w->nodes[node].power_at = w->nodes[node].start_at = -1;
		w->nodes[node].carpd_at = -1;
	}
	synccheck_make(w);
	syncfaults_make(w);
	return w;
}

void syncworld_free(struct syncworld *w)
{
	for (uint8_t node = 0; node < SYNCWORLD_NODES; node++)
		free(w->nodes[node].memory);
	synccheck_free(w);
	free(w);
}

/* ---- a step ---- */

static void node_tick_kernel(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];
	struct flow flow;

	if (n->kernel.lost) {
		n->kernel.lost = 0;
		if (n->repair_at < 0)
			n->repair_at = n->dump.started_at + REPAIR_US > w->now
					       ? n->dump.started_at + REPAIR_US
					       : w->now;
	}
	if (n->repair_at >= 0 && w->now >= n->repair_at && !n->dump.running) {
		n->repair_at = -1;
		node_read_events(w, n);
		syncworld_dump_start(w, node, false);
	}
	while (n->strict_at >= 0 && w->now >= n->strict_at) {
		struct synckernel_entry *entry;

		if (!engine_strict_next(&n->engine, syncworld_mono(w), &n->strict_cursor, &flow)) {
			n->strict_at = -1;
			break;
		}
		entry = synckernel_find(&n->kernel, &flow);
		if (entry) {
			entry->flow.tcp_flags[0] &= (uint8_t)~FLOW_TCP_BE_LIBERAL;
			entry->flow.tcp_flags[1] &= (uint8_t)~FLOW_TCP_BE_LIBERAL;
		}
	}
	while (n->loose_groups && engine_loose_next(&n->engine, syncworld_mono(w), n->loose_groups,
					  &n->loose_cursor, &flow)) {
		struct synckernel_entry *entry = synckernel_find(&n->kernel, &flow);

		if (entry) {
			entry->flow.tcp_flags[0] |= FLOW_TCP_BE_LIBERAL;
			entry->flow.tcp_flags[1] |= FLOW_TCP_BE_LIBERAL;
		}
	}
	n->loose_groups = 0;
}

static void node_tick(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];
	struct session_update out;

	n->tick_at = w->now + TICK_US;
	for (uint8_t peer = 0; peer < w->options.nodes - 1; peer++) {
		if (n->sessions[peer].state == SESSION_STATE_IDLE)
			continue;
		node_step(w, node, peer, SESSION_EVENT_TIMER, NULL, 0, &out);
		node_after_step(w, node, peer, &out);
	}
	node_tick_kernel(w, node);
	for (uint8_t group = 0; group < w->options.groups; group++)
		if (n->tail_open[group] &&
			mono_reached(syncworld_mono(w), n->engine.groups[group].tail_until)) {
			n->tail_open[group] = false;
			engine_tail_ended(&n->engine, group);
			syncworld_dump_start(w, node, true);
		}
	node_inject(w, n);
	node_pump(w, node);
}

static void node_turn(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];

	if (n->kernel.event_count && w->now >= n->gather_at) {
		node_read_events(w, n);
		n->gather_at = w->now + syncworld_below(&w->rng, 8000);
	}
	if (n->dump.running && syncworld_chance(&w->rng, 500))
		dump_turn(w, node);
	if (w->now >= n->tick_at)
		node_tick(w, node);
	else if (syncworld_chance(&w->rng, 500))
		node_pump(w, node);
}

void syncworld_step(struct syncworld *w, int64_t pace_ms)
{
	w->now += pace_ms * 1000;
	syncfaults_step(w);
	for (uint8_t node = 0; node < w->options.nodes; node++) {
		struct syncworld_node *n = &w->nodes[node];

		if (n->powered)
			synckernel_expire(&n->kernel, w->now);
		if (node_awake(w, n))
			node_turn(w, node);
	}
	for (uint32_t i = 0; i < (w->options.nodes == 2 ? 1u : SYNCWORLD_NODES); i++) {
		link_manage(w, &w->links[i]);
		link_move(w, &w->links[i], 0);
		link_move(w, &w->links[i], 1);
	}
	synccheck_step(w);
}
