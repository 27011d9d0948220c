#include "syncfaults.h"

#include "common/check.h"
#include "common/ipaddr.h"
#include "synccheck.h"

#include <string.h>

#define PROTO_TCP  6
#define PROTO_UDP  17
#define GIVE_UP_US 2000000 /* a client tries for so long */
#define NAT_PORTS  400u
#define HEAL_FIRST 1000000
#define WATCH_US   1000000 /* after a hand-over: by then all is known */

static const char *const fault_names[] = {"link freezes", "connection breaks", "slow reader",
	"syncd is killed", "power loss", "syncd is stopped", "carpd dies", "hand-over", "take-over",
	"events get lost", "kernel refuses", "resync"};
_Static_assert(ARRAY_LEN(fault_names) == SYNCWORLD_FAULT_COUNT, "a name for every fault");

const char *syncfaults_name(enum syncworld_fault_type type)
{
	return fault_names[type];
}

/* ---- clients ---- */

static void conn_make(struct syncworld *w, struct syncworld_conn *conn, uint32_t index)
{
	struct flow *flow = &conn->flow;

	memset(conn, 0, sizeof(*conn));
	conn->group = (uint8_t)(index % w->options.groups);
	flow->orig.family = IPADDR_V4;
	flow->orig.proto = index % 3 ? PROTO_TCP : PROTO_UDP;
	memcpy(flow->orig.src, (const uint8_t[]){10, 1, conn->group, 10}, 4);
	memcpy(flow->orig.dst, (const uint8_t[]){10, 2, 0, 100}, 4);
	flow->orig.src_port = (uint16_t)(1000 + index);
	flow->orig.dst_port = 80;
}

/* conn_birth: what the first packet makes at a node, which chooses the translated port. */
static void conn_birth(struct syncworld *w, struct syncworld_conn *conn, struct syncworld_node *n)
{
	struct flow *flow = &conn->flow;

	flow->has = FLOW_HAS_REPLY | FLOW_HAS_STATUS | FLOW_HAS_TIMEOUT;
	flow->status = FLOW_STATUS_CONFIRMED | FLOW_STATUS_SEEN_REPLY;
	flow->mark = 0;
	flow->tcp_state = 0;
	flow->tcp_flags[0] = flow->tcp_flags[1] = 0;
	flow_tuple_invert(&flow->orig, &flow->reply);
	if (flow->orig.proto == PROTO_TCP) {
		flow->has |= FLOW_HAS_TCP | FLOW_HAS_TCP_WINDOW;
		flow->tcp_state = 1;
		flow->tcp_flags[0] = flow->tcp_flags[1] = FLOW_TCP_WINDOW_SCALE;
	}
	if (flow->orig.src_port % 2 == 0)
		return; /* plain */
	flow->status |= FLOW_STATUS_SRC_NAT;
	memcpy(flow->reply.dst, (const uint8_t[]){10, 2, 0, 254}, 4);
	do {
		flow->reply.dst_port = (uint16_t)(40000 + syncworld_below(&w->rng, NAT_PORTS));
	} while (synckernel_clash(&n->kernel, flow));
}

/* entry_change: the next state, or another mark. */
static void entry_change(struct syncworld *w, struct synckernel_entry *entry)
{
	struct flow *flow = &entry->flow;

	if ((flow->has & FLOW_HAS_TCP) && flow->tcp_state < FLOW_TCP_ESTABLISHED) {
		flow->tcp_state++;
		if (flow->tcp_state == FLOW_TCP_ESTABLISHED)
			flow->status |= FLOW_STATUS_ASSURED;
		return;
	}
	flow->has |= FLOW_HAS_MARK;
	flow->mark = 1 + syncworld_below(&w->rng, 1000000);
}

static void conn_packet(struct syncworld *w, struct syncworld_conn *conn, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];
	struct synckernel_entry *entry = synckernel_find(&n->kernel, &conn->flow);

	if (!entry) {
		/* Dropped: the client repeats it, for a while. */
		if (conn->missing_since == 0)
			conn->missing_since = w->now;
		if (w->now - conn->missing_since > GIVE_UP_US) {
			conn->alive = false;
			w->broken++;
		}
		return;
	}
	conn->missing_since = 0;
	conn->packet_at = w->now;
	if (syncworld_chance(&w->rng, 60)) {
		conn->alive = false;
		synckernel_destroy(&n->kernel, entry);
		return;
	}
	if (syncworld_chance(&w->rng, 400)) {
		entry_change(w, entry);
		synckernel_packet(entry, w->now);
		synckernel_changed(&n->kernel, entry, w->now);
		conn->told_term = n->roles[conn->group].term;
		return;
	}
	synckernel_packet(entry, w->now);
}

static void conn_new(struct syncworld *w, struct syncworld_conn *conn, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];
	struct synckernel_entry *old = synckernel_find(&n->kernel, &conn->flow);

	/* A tuple whose old entry lingers: the kernel takes the first packet for a new flow. */
	if (old)
		synckernel_destroy(&n->kernel, old);
	conn_birth(w, conn, n);
	conn->alive = synckernel_new(&n->kernel, w->now, &conn->flow) != NULL;
	conn->packet_at = w->now;
	conn->missing_since = 0;
	conn->told_term = n->roles[conn->group].term;
}

static void faults_traffic(struct syncworld *w)
{
	struct syncworld_conn *conn = &w->conns[syncworld_below(&w->rng, SYNCWORLD_CONNS)];
	uint8_t forwarders[SYNCWORLD_NODES], count = 0, node;

	for (node = 0; node < w->options.nodes; node++)
		if (w->nodes[node].powered &&
			w->nodes[node].roles[conn->group].state == SYNCWORLD_MASTER)
			forwarders[count++] = node;
	if (count == 0)
		return;
	node = forwarders[syncworld_below(&w->rng, count)];
	if (conn->alive)
		conn_packet(w, conn, node);
	else if (syncworld_chance(&w->rng, 500))
		conn_new(w, conn, node);
}

void syncfaults_touch_all(struct syncworld *w)
{
	for (uint32_t i = 0; i < SYNCWORLD_CONNS; i++) {
		struct syncworld_conn *conn = &w->conns[i];
		int master = syncworld_master(w, conn->group);
		struct synckernel_entry *entry;

		if (!conn->alive || master < 0)
			continue;
		entry = synckernel_find(&w->nodes[master].kernel, &conn->flow);
		if (!entry) {
			conn->alive = false;
			continue;
		}
		entry_change(w, entry);
		synckernel_packet(entry, w->now);
		synckernel_changed(&w->nodes[master].kernel, entry, w->now);
	}
}

/* ---- carpd ---- */

static bool node_has_carpd(const struct syncworld_node *n)
{
	return n->powered && n->roles[0].state != SYNCWORLD_ALONE;
}

static void carpd_comes(struct syncworld *w, uint8_t node)
{
	w->nodes[node].carpd_at = -1;
	for (uint8_t group = 0; group < w->options.groups; group++) {
		int master = syncworld_master(w, group);

		/* The election: a master that hears of a higher term takes one above it. */
		if (master >= 0 &&
			w->nodes[master].roles[group].term < w->nodes[node].roles[group].term)
			syncworld_term(w, (uint8_t)master, group, ++w->term);
		syncworld_demote(w, node, group,
			master < 0 ? 0 : w->nodes[master].roles[group].term,
			master < 0 ? 0 : w->nodes[master].roles[group].owner);
	}
}

static void carpd_group(struct syncworld *w, uint8_t group)
{
	int master = syncworld_master(w, group);
	uint8_t candidates[SYNCWORLD_NODES], count = 0;

	if (master < 0) {
		if (w->vacant_until[group] == 0)
			w->vacant_until[group] = w->now + 20000 + syncworld_below(&w->rng, 300000);
		for (uint8_t node = 0; node < w->options.nodes; node++)
			if (node_has_carpd(&w->nodes[node]))
				candidates[count++] = node;
		if (w->now >= w->vacant_until[group] && count) {
			w->vacant_until[group] = 0;
			syncworld_promote(w, candidates[syncworld_below(&w->rng, count)], group,
				++w->term, -1);
		}
		return;
	}
	w->vacant_until[group] = 0;
	for (uint8_t node = 0; node < w->options.nodes; node++) {
		struct syncworld_role *role = &w->nodes[node].roles[group];
		const struct syncworld_role *top = &w->nodes[master].roles[group];

		if (!w->nodes[node].powered || role->state != SYNCWORLD_MASTER || node == master)
			continue;
		if (role->demote_at == 0) /* the planned one sets it itself */
			role->demote_at = w->now + 10000 + syncworld_below(&w->rng, 600000);
		if (w->now >= role->demote_at)
			syncworld_demote(w, node, group, top->term, top->owner);
	}
}

static bool pair_is_fine(struct syncworld *w, uint8_t from, uint8_t to, uint8_t group)
{
	struct syncworld_node *old = &w->nodes[from], *target = &w->nodes[to];
	struct syncworld_link *link = syncworld_link_of(w, from, to);
	uint8_t there = syncworld_peer_index(from, to), back = syncworld_peer_index(to, from);

	return old->up && target->up && w->now >= old->asleep_until &&
	       w->now >= target->asleep_until && link->open[0] && link->open[1] &&
	       w->now >= link->cut_until && w->now >= link->pipes[0].stopped_until &&
	       w->now >= link->pipes[1].stopped_until && w->now >= link->pipes[0].trickles_until &&
	       w->now >= link->pipes[1].trickles_until && !target->kernel.full &&
	       old->kernel.lost == 0 && old->kernel.lose_next == 0 && old->repair_at < 0 &&
	       !old->dump.running && engine_source(&target->engine, group) == back &&
	       session_group_in_sync(&target->sessions[back], &target->engine, group) &&
	       session_peer_in_sync(&old->sessions[there], &old->engine);
}

static void carpd_handover(struct syncworld *w, const struct syncworld_fault *fault)
{
	int master = syncworld_master(w, fault->group);
	struct syncworld_handover *h = &w->handover;
	uint8_t to = (uint8_t)((fault->node + fault->dice % w->options.nodes) % w->options.nodes);

	if (master < 0 || to == master || !node_has_carpd(&w->nodes[to]) || h->leaving)
		return;
	*h = (struct syncworld_handover){.leaving = true,
		.watched = pair_is_fine(w, (uint8_t)master, to, fault->group),
		.group = fault->group,
		.from = (uint8_t)master,
		.to = to,
		.old_term = w->nodes[master].roles[fault->group].term,
		.new_term = ++w->term,
		.leave_at = w->now + 2000 + fault->dice % 40000};
	w->nodes[master].roles[fault->group].demote_at = h->leave_at;
	h->check_at = h->leave_at + WATCH_US;
	w->handovers += h->watched;
	syncworld_promote(w, to, fault->group, h->new_term, master);
}

static void carpd_handover_step(struct syncworld *w)
{
	struct syncworld_handover *h = &w->handover;

	if (!h->leaving || w->now < h->check_at)
		return;
	h->leaving = false;
	if (h->watched && syncworld_master(w, h->group) == h->to)
		synccheck_handover(w);
}

/* ---- faults ---- */

void syncfaults_make(struct syncworld *w)
{
	struct syncworld_rng r = {w->options.seed ^ 0x6661756c7473};
	int64_t at = HEAL_FIRST;

	for (uint32_t i = 0; i < SYNCWORLD_CONNS; i++)
		conn_make(w, &w->conns[i], i);
	for (uint8_t node = 0; node < w->options.nodes; node++)
		syncworld_boot(w, node, false);
	while (!w->options.quiet && w->fault_count < SYNCWORLD_FAULTS_MAX) {
		at += 1000 + syncworld_below(&r, w->options.fault_every_ms * 2000);
		if (at >= w->options.active_ms * 1000)
			break;
		w->faults[w->fault_count++] = (struct syncworld_fault){.at = at,
			.type = (enum syncworld_fault_type)syncworld_below(
				&r, SYNCWORLD_FAULT_COUNT),
			.node = (uint8_t)syncworld_below(&r, w->options.nodes),
			.group = (uint8_t)syncworld_below(&r, w->options.groups),
			.dice = (uint32_t)syncworld_random(&r),
			.lasts = 1000 + syncworld_below(&r, 1500000)};
	}
}

static struct syncworld_link *fault_link(struct syncworld *w, const struct syncworld_fault *fault)
{
	uint8_t other = (uint8_t)((fault->node + 1 + fault->dice % (w->options.nodes - 1u)) %
				  w->options.nodes);

	return syncworld_link_of(w, fault->node, other);
}

static void fault_take(struct syncworld *w, const struct syncworld_fault *fault)
{
	int master = syncworld_master(w, fault->group);

	if (master >= 0 && fault->node != master && node_has_carpd(&w->nodes[fault->node]))
		syncworld_promote(w, fault->node, fault->group, ++w->term, -1);
}

static void fault_link_do(struct syncworld *w, const struct syncworld_fault *fault)
{
	struct syncworld_link *link = fault_link(w, fault);
	struct syncworld_pipe *pipe = &link->pipes[fault->dice >> 8 & 1];

	if (fault->type == SYNCWORLD_FAULT_CUT)
		link->cut_until = w->now + fault->lasts;
	else if (fault->type == SYNCWORLD_FAULT_BREAK)
		syncworld_break(w, link);
	else if (fault->dice >> 9 & 1)
		pipe->stopped_until = w->now + fault->lasts;
	else
		pipe->trickles_until = w->now + fault->lasts;
}

static void fault_node_do(struct syncworld *w, const struct syncworld_fault *fault)
{
	struct syncworld_node *n = &w->nodes[fault->node];

	if (!n->powered)
		return;
	switch ((int)fault->type) {
	case SYNCWORLD_FAULT_KILL:
		w->killed = true;
		syncworld_kill(w, fault->node);
		break;
	case SYNCWORLD_FAULT_POWER:
		syncworld_power_off(w, fault->node);
		n->power_at = w->now + fault->lasts;
		break;
	case SYNCWORLD_FAULT_SLEEP:
		n->asleep_until = w->now + fault->lasts;
		break;
	case SYNCWORLD_FAULT_CARPD:
		syncworld_carpd_lost(w, fault->node);
		n->carpd_at = w->now + fault->lasts;
		break;
	case SYNCWORLD_FAULT_LOSE:
		n->kernel.lose_next = 1 + fault->dice % 20;
		break;
	case SYNCWORLD_FAULT_FULL:
		n->full_until = w->now + fault->lasts;
		break;
	case SYNCWORLD_FAULT_RESYNC:
		if (n->up)
			syncworld_resync(w, fault->node);
		break;
	}
}

static void fault_do(struct syncworld *w, const struct syncworld_fault *fault)
{
	syncworld_say(w, "fault: %s: fw%u, group %u, %lld ms", syncfaults_name(fault->type),
		fault->node + 1, fault->group, (long long)fault->lasts / 1000);
	switch ((int)fault->type) {
	case SYNCWORLD_FAULT_CUT:
	case SYNCWORLD_FAULT_BREAK:
	case SYNCWORLD_FAULT_SLOW:
		w->handover.watched = false;
		fault_link_do(w, fault);
		break;
	case SYNCWORLD_FAULT_HANDOVER:
		carpd_handover(w, fault);
		break;
	case SYNCWORLD_FAULT_TAKE:
		w->handover.watched = false;
		fault_take(w, fault);
		break;
	default:
		w->handover.watched = false;
		fault_node_do(w, fault);
		break;
	}
}

static void faults_recover(struct syncworld *w, uint8_t node)
{
	struct syncworld_node *n = &w->nodes[node];

	n->kernel.full = w->now < n->full_until;
	if (!n->powered && n->power_at >= 0 && w->now >= n->power_at)
		syncworld_boot(w, node, false);
	if (n->powered && !n->up && n->start_at >= 0 && w->now >= n->start_at)
		syncworld_start(w, node);
	if (n->powered && n->carpd_at >= 0 && w->now >= n->carpd_at)
		carpd_comes(w, node);
}

void syncfaults_step(struct syncworld *w)
{
	while (w->fault_next < w->fault_count && w->faults[w->fault_next].at <= w->now) {
		const struct syncworld_fault *fault = &w->faults[w->fault_next++];

		if (!fault->skipped)
			fault_do(w, fault);
	}
	for (uint8_t node = 0; node < w->options.nodes; node++)
		faults_recover(w, node);
	for (uint8_t group = 0; group < w->options.groups; group++)
		carpd_group(w, group);
	carpd_handover_step(w);
	for (uint32_t i = 0; !w->resting && i < 4; i++)
		if (syncworld_chance(&w->rng, w->options.traffic_per_mille))
			faults_traffic(w);
}

void syncfaults_heal(struct syncworld *w)
{
	w->fault_next = w->fault_count;
	w->handover.watched = false;
	for (uint8_t node = 0; node < w->options.nodes; node++) {
		struct syncworld_node *n = &w->nodes[node];

		n->asleep_until = n->full_until = 0;
		n->kernel.lose_next = 0;
		if (!n->powered)
			n->power_at = w->now;
		else if (n->carpd_at >= 0)
			n->carpd_at = w->now;
	}
	for (uint32_t i = 0; i < SYNCWORLD_NODES; i++) {
		w->links[i].cut_until = 0;
		for (int way = 0; way < 2; way++)
			w->links[i].pipes[way].stopped_until =
				w->links[i].pipes[way].trickles_until = 0;
	}
}
