#include "synccheck.h"

#include "common/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLACK_S	 100u	 /* a timeout that is told again only when it is far off */
#define FRESH_US 3000000 /* a connection with a packet since then cannot have timed out */

struct check_record {
	bool alive;
	uint8_t group;
	struct flow key;
	struct flow_stamp stamp;
};

struct check_claim {
	uint8_t role;
	uint32_t term;
	uint8_t owner;
};

struct check_group {
	bool master;
	int tail_peer;
	int64_t tail_until;
	struct check_claim claims[SYNCWORLD_PEERS];
};

struct syncworld_watch {
	struct check_record before[SYNCWORLD_CAPACITY];
	uint32_t before_high;
	bool allowed[SYNCWORLD_GROUPS]; /* the peer's records may move something */
	struct check_group groups[SYNCWORLD_NODES][SYNCWORLD_GROUPS];
};

void synccheck_make(struct syncworld *w)
{
	w->watch = calloc(1, sizeof(*w->watch));
	CHECK(w->watch);
}

void synccheck_free(struct syncworld *w)
{
	free(w->watch);
}

void synccheck_started(struct syncworld *w, uint8_t node)
{
	memset(w->watch->groups[node], 0, sizeof(w->watch->groups[node]));
}

void synccheck_role(struct syncworld *w, uint8_t node, uint8_t group, bool master, int tail_peer,
	int64_t tail_until)
{
	struct check_group *g = &w->watch->groups[node][group];

	g->master = master;
	g->tail_peer = tail_peer;
	g->tail_until = tail_until;
}

void synccheck_closed(struct syncworld *w, uint8_t node, uint8_t peer)
{
	for (uint8_t group = 0; group < SYNCWORLD_GROUPS; group++)
		w->watch->groups[node][group].claims[peer] = (struct check_claim){0};
}

/* ---- around a peer's bytes ---- */

static bool check_is_best(const struct check_group *g, uint8_t peer)
{
	const struct check_claim *mine = &g->claims[peer];

	if (mine->role != SYNCMSG_ROLE_ACTIVE)
		return false;
	for (uint8_t other = 0; other < SYNCWORLD_PEERS; other++) {
		const struct check_claim *claim = &g->claims[other];

		if (other != peer && claim->role == SYNCMSG_ROLE_ACTIVE &&
			(claim->term > mine->term ||
				(claim->term == mine->term && claim->owner > mine->owner)))
			return false;
	}
	return true;
}

static bool check_may_write(const struct syncworld *w, uint8_t node, uint8_t group, uint8_t peer)
{
	const struct check_group *g = &w->watch->groups[node][group];

	if (g->master)
		return g->tail_peer == peer && w->now <= g->tail_until;
	return w->nodes[node].roles[group].state != SYNCWORLD_ALONE && check_is_best(g, peer);
}

/* check_hear: notes what the bytes claim; a claim in their midst counts for all of them. */
static void check_hear(
	struct syncworld *w, uint8_t node, uint8_t peer, const uint8_t *data, size_t size)
{
	struct rbuf r = rbuf_init(data, size);
	struct syncmsg msg;

	while (syncmsg_decode(&r, &msg) == SYNCMSG_OK) {
		int group;

		if (msg.type != SYNCMSG_ROLE)
			continue;
		group = engine_group_index(&w->nodes[node].engine, msg.role.group_tag);
		if (group < 0)
			continue;
		w->watch->groups[node][group].claims[peer] = (struct check_claim){
			.role = msg.role.role, .term = msg.role.term, .owner = msg.role.term_owner};
		if (check_may_write(w, node, (uint8_t)group, peer))
			w->watch->allowed[group] = true;
	}
}

static void check_take(const struct engine *e, uint32_t slot, struct check_record *ret)
{
	const struct table_record *record = &e->table.records[slot];

	memset(ret, 0, sizeof(*ret));
	ret->alive = table_is_used(&e->table, slot) && !(record->flags & TABLE_FLAG_DEAD);
	if (!ret->alive)
		return;
	table_load_key(&e->table, slot, &ret->key);
	ret->group = record->group;
	ret->stamp = (struct flow_stamp){.sequence = record->sequence,
		.term = record->term,
		.life = record->life,
		.owner = record->owner};
}

void synccheck_before(
	struct syncworld *w, uint8_t node, uint8_t peer, const uint8_t *data, size_t size)
{
	struct syncworld_watch *watch = w->watch;
	const struct engine *e = &w->nodes[node].engine;

	for (uint8_t group = 0; group < w->options.groups; group++)
		watch->allowed[group] = check_may_write(w, node, group, peer);
	watch->before_high = e->table.high;
	for (uint32_t slot = 0; slot < e->table.high; slot++)
		check_take(e, slot, &watch->before[slot]);
	check_hear(w, node, peer, data, size);
}

static void check_slot(struct syncworld *w, uint8_t node, uint8_t peer, uint32_t slot)
{
	static const struct check_record nothing;
	struct syncworld_watch *watch = w->watch;
	const struct check_record *before =
		slot < watch->before_high ? &watch->before[slot] : &nothing;
	struct check_record after;
	uint8_t group;
	bool same;

	check_take(&w->nodes[node].engine, slot, &after);
	same = before->alive && after.alive && flow_key_equal(&before->key, &after.key);
	if (!before->alive && !after.alive)
		return;
	if (same && flow_stamp_compare(&before->stamp, &after.stamp) == 0)
		return;
	if (same && flow_stamp_compare(&after.stamp, &before->stamp) < 0)
		syncworld_fail(w, "fw%u: port %u: fw%u's stamp of term %u replaced one of term %u",
			node + 1, after.key.orig.src_port, syncworld_peer_node(node, peer) + 1,
			after.stamp.term, before->stamp.term);
	group = after.alive ? after.group : before->group;
	if (!watch->allowed[group])
		syncworld_fail(w,
			"fw%u: port %u of group %u moved by the word of fw%u, which is not its "
			"source",
			node + 1, (after.alive ? &after : before)->key.orig.src_port, group,
			syncworld_peer_node(node, peer) + 1);
}

void synccheck_after(struct syncworld *w, uint8_t node, uint8_t peer)
{
	uint32_t high = w->nodes[node].engine.table.high;

	for (uint32_t slot = 0; slot < high; slot++)
		check_slot(w, node, peer, slot);
}

/* ---- bounds ---- */

void synccheck_step(struct syncworld *w)
{
	for (uint8_t node = 0; node < w->options.nodes; node++) {
		const struct engine *e = &w->nodes[node].engine;

		if (!w->nodes[node].up)
			continue;
		if (e->table.count > e->config.capacity || e->dead_count > e->table.count)
			syncworld_fail(w, "fw%u: %u records, %u of them dead", node + 1,
				e->table.count, e->dead_count);
		for (uint8_t c = 0; c < SYNC_CONSUMERS; c++)
			if (e->consumers[c].dirty.count > e->table.count)
				syncworld_fail(w, "fw%u: %u dirty flows of %u", node + 1,
					e->consumers[c].dirty.count, e->table.count);
	}
}

/* ---- a planned hand-over ---- */

void synccheck_handover(struct syncworld *w)
{
	const struct syncworld_handover *h = &w->handover;
	struct syncworld_node *to = &w->nodes[h->to];

	for (uint32_t i = 0; i < SYNCWORLD_CONNS; i++) {
		const struct syncworld_conn *conn = &w->conns[i];

		if (!conn->alive || conn->group != h->group ||
			w->now - conn->packet_at > FRESH_US ||
			(conn->told_term != h->old_term && conn->told_term != h->new_term) ||
			synckernel_find(&to->kernel, &conn->flow) ||
			synckernel_clash(&to->kernel, &conn->flow))
			continue;
		syncworld_fail(w, "hand-over of group %u from fw%u to fw%u: port %u was lost",
			h->group, h->from + 1, h->to + 1, conn->flow.orig.src_port);
	}
}

/* ---- at rest ---- */

static bool check_in_table(const struct engine *e, const struct flow *key, uint32_t *ret_slot)
{
	*ret_slot = table_find(&e->table, key);
	return *ret_slot != TABLE_NONE && !(e->table.records[*ret_slot].flags & TABLE_FLAG_DEAD);
}

/* check_kernel_entry: an entry of a kernel against that node's table and the master's. */
static void check_kernel_entry(
	struct syncworld *w, uint8_t node, uint8_t master, const struct synckernel_entry *entry)
{
	const struct flow *flow = &entry->flow;
	uint32_t slot;

	if (entry->held && node == master)
		syncworld_fail(w, "fw%u: port %u still has the hold of a standby", node + 1,
			flow->orig.src_port);
	/* What a syncd made liberal that died before the grace was over, or forgot the entry when
	 * it was demoted, stays so: nothing tells it from the kernel's own doing. */
	if (node == master && !w->killed && !w->nodes[node].engine.forgotten &&
		flow->tcp_flags[0] & flow->tcp_flags[1] & FLOW_TCP_BE_LIBERAL &&
		check_in_table(&w->nodes[node].engine, flow, &slot))
		syncworld_fail(
			w, "fw%u: port %u is liberal for ever", node + 1, flow->orig.src_port);
	if (entry->held && !check_in_table(&w->nodes[node].engine, flow, &slot))
		syncworld_fail(w, "fw%u: port %u is held in the kernel, and nobody knows it",
			node + 1, flow->orig.src_port);
}

/* check_record: a record against its node's kernel, and another node's table. */
static void check_record(struct syncworld *w, uint8_t node, uint8_t master, uint32_t slot)
{
	struct syncworld_node *n = &w->nodes[node];
	struct synckernel_entry *entry;
	struct check_record ours, theirs;
	struct flow flow;
	uint32_t other;

	check_take(&n->engine, slot, &ours);
	table_load(&n->engine.table, slot, engine_seconds(syncworld_mono(w)), &flow);
	if (!check_in_table(&w->nodes[master].engine, &ours.key, &other)) {
		syncworld_fail(w, "fw%u knows port %u, its master fw%u does not", node + 1,
			ours.key.orig.src_port, master + 1);
		return;
	}
	check_take(&w->nodes[master].engine, other, &theirs);
	if (flow_stamp_compare(&ours.stamp, &theirs.stamp) != 0)
		syncworld_fail(w, "port %u: fw%u and its master fw%u have other stamps",
			ours.key.orig.src_port, node + 1, master + 1);
	if (!w->options.warm && node != master)
		return;
	entry = synckernel_find(&n->kernel, &ours.key);
	if (!entry) {
		if (!synckernel_clash(&n->kernel, &flow))
			syncworld_fail(w, "fw%u: port %u is not in the kernel", node + 1,
				ours.key.orig.src_port);
		return;
	}
	if (node != master && (!entry->held || synckernel_seconds(entry, w->now) + SLACK_S <
						       flow.timeout_s + SYNC_HOLD_S))
		syncworld_fail(w, "fw%u: port %u could expire on the standby", node + 1,
			ours.key.orig.src_port);
	if (entry->flow.mark != flow.mark || entry->flow.tcp_state != flow.tcp_state)
		syncworld_fail(w, "fw%u: port %u: the kernel has another state", node + 1,
			ours.key.orig.src_port);
}

/* check_missing: what the master has, a node has too, to the bit. */
static void check_missing(struct syncworld *w, uint8_t node, uint8_t master, uint8_t group)
{
	struct syncworld_node *n = &w->nodes[node], *top = &w->nodes[master];
	const struct digest_key *key = &n->engine.config.digest_key;
	struct check_record theirs;
	uint32_t ours;

	for (uint32_t slot = 0; slot < top->engine.table.high; slot++) {
		check_take(&top->engine, slot, &theirs);
		if (!theirs.alive || theirs.group != group)
			continue;
		if (!check_in_table(&n->engine, &theirs.key, &ours))
			syncworld_fail(w, "fw%u does not know port %u, its master fw%u does",
				node + 1, theirs.key.orig.src_port, master + 1);
		else if (digest_record(key, &n->engine.table, ours) !=
			 digest_record(key, &top->engine.table, slot))
			syncworld_fail(w,
				"port %u differs between fw%u and its master fw%u: has %x %x, mark "
				"%u %u, state %u %u, flags %x %x, id %u %u",
				theirs.key.orig.src_port, node + 1, master + 1,
				n->engine.table.records[ours].has,
				top->engine.table.records[slot].has,
				n->engine.table.records[ours].mark,
				top->engine.table.records[slot].mark,
				n->engine.table.records[ours].tcp_state,
				top->engine.table.records[slot].tcp_state,
				n->engine.table.records[ours].tcp_flags,
				top->engine.table.records[slot].tcp_flags,
				n->engine.table.records[ours].id,
				top->engine.table.records[slot].id);
	}
}

static void check_node(struct syncworld *w, uint8_t node, uint8_t group, uint8_t master)
{
	struct syncworld_node *n = &w->nodes[node], *top = &w->nodes[master];

	for (uint32_t slot = 0; slot < n->engine.table.high; slot++)
		if (table_is_used(&n->engine.table, slot) &&
			n->engine.table.records[slot].group == group &&
			!(n->engine.table.records[slot].flags & TABLE_FLAG_DEAD))
			check_record(w, node, master, slot);
	for (uint32_t i = 0; i < SYNCKERNEL_MAX; i++)
		if (n->kernel.entries[i].used && n->kernel.entries[i].flow.orig.src[2] == group)
			check_kernel_entry(w, node, master, &n->kernel.entries[i]);
	check_missing(w, node, master, group);
	if (memcmp(n->engine.groups[group].digests, top->engine.groups[group].digests,
		    ENGINE_DIGEST_BYTES) != 0)
		syncworld_fail(w, "fw%u and its master fw%u have other digests of group %u",
			node + 1, master + 1, group);
	if (n->engine.groups[group].flow_count != top->engine.groups[group].flow_count)
		syncworld_fail(w, "fw%u counts %u flows of group %u, its master fw%u %u", node + 1,
			n->engine.groups[group].flow_count, group, master + 1,
			top->engine.groups[group].flow_count);
}

/* check_drops: without a fault nothing is dropped but what is told to a syncd that has no role yet,
 * and the changes of that before its first transfer; and some drops would be a bug always. */
static void check_drops(struct syncworld *w)
{
	for (uint8_t node = 0; node < w->options.nodes; node++)
		for (int drop = 0; drop < ENGINE_DROP_COUNT; drop++)
			w->drops[drop] += w->nodes[node].engine.drops[drop];
	for (int drop = 0; drop < ENGINE_DROP_COUNT; drop++)
		if (w->drops[drop] &&
			((w->options.quiet && drop != ENGINE_DROP_NOT_SOURCE &&
				 drop != ENGINE_DROP_PARTIAL) ||
				drop == ENGINE_DROP_UNKNOWN_GROUP ||
				drop == ENGINE_DROP_KERNEL_OTHER || drop == ENGINE_DROP_TABLE_FULL))
			syncworld_fail(w, "%llu drops %s", (unsigned long long)w->drops[drop],
				engine_drop_name((enum engine_drop)drop));
}

void synccheck_rest(struct syncworld *w)
{
	uint32_t slot;

	for (uint8_t node = 0; node < w->options.nodes; node++)
		if (!w->nodes[node].up || w->nodes[node].engine.dead_count)
			syncworld_fail(w, "fw%u: %s, %u dead records", node + 1,
				w->nodes[node].up ? "up" : "down",
				w->nodes[node].engine.dead_count);
	for (uint8_t group = 0; group < w->options.groups && !w->failure[0]; group++) {
		int master = syncworld_master(w, group);

		if (master < 0) {
			syncworld_fail(w, "group %u has no master", group);
			return;
		}
		for (uint8_t node = 0; node < w->options.nodes; node++)
			check_node(w, node, group, (uint8_t)master);
		for (uint32_t i = 0; i < SYNCWORLD_CONNS; i++) {
			const struct syncworld_conn *conn = &w->conns[i];
			struct syncworld_node *n = &w->nodes[master];

			if (conn->alive && conn->group == group &&
				synckernel_find(&n->kernel, &conn->flow) &&
				!check_in_table(&n->engine, &conn->flow, &slot))
				syncworld_fail(w, "fw%d: port %u lives, and the table lacks it",
					master + 1, conn->flow.orig.src_port);
		}
	}
	check_drops(w);
}
