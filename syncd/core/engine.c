#include "syncd/core/engine.h"

#include "common/check.h"
#include "syncd/core/bits.h"
#include "syncd/core/engine_internal.h"

#include <errno.h>
#include <string.h>

#define PROTO_TCP      6
#define ENGINE_RETRIES (TABLE_FLAG_RETRY_1 | TABLE_FLAG_RETRY_2)
#define ENGINE_OURS    (TABLE_FLAG_HELD | TABLE_FLAG_LIBERAL)

static const char *const engine_drop_names[] = {
	[ENGINE_DROP_NONE] = "NONE",
	[ENGINE_DROP_UNKNOWN_GROUP] = "UNKNOWN_GROUP",
	[ENGINE_DROP_NOT_SOURCE] = "NOT_SOURCE",
	[ENGINE_DROP_STALE] = "STALE",
	[ENGINE_DROP_BACKWARDS] = "BACKWARDS",
	[ENGINE_DROP_PARTIAL] = "PARTIAL",
	[ENGINE_DROP_TABLE_FULL] = "TABLE_FULL",
	[ENGINE_DROP_NO_SUCH_FLOW] = "NO_SUCH_FLOW",
	[ENGINE_DROP_KERNEL_CLASH] = "KERNEL_CLASH",
	[ENGINE_DROP_KERNEL_FULL] = "KERNEL_FULL",
	[ENGINE_DROP_KERNEL_CHAIN] = "KERNEL_CHAIN",
	[ENGINE_DROP_KERNEL_OTHER] = "KERNEL_OTHER",
};
_Static_assert(ARRAY_LEN(engine_drop_names) == ENGINE_DROP_COUNT, "a name for every drop");

const char *engine_drop_name(enum engine_drop drop)
{
	return (unsigned int)drop < ENGINE_DROP_COUNT ? engine_drop_names[drop] : "?";
}

uint32_t engine_seconds(mono_t now)
{
	/* One second ahead, so that 0 is never "now" and "passed" stays expressible. */
	return (uint32_t)(now.us / 1000000) + 1;
}

/* ---- life ---- */

static size_t engine_dirty_bytes(uint32_t capacity)
{
	return (dirty_bytes(capacity) + 7) & ~(size_t)7;
}

size_t engine_bytes(uint32_t capacity, uint8_t peer_count)
{
	size_t consumer = engine_dirty_bytes(capacity) + 2 * bits_bytes(capacity);

	return table_bytes(capacity) + (peer_count + 1u) * consumer +
	       peer_count * (2 * bits_bytes(capacity) + names_bytes(capacity)) +
	       (LIMIT_GROUPS + 2u * peer_count) * ENGINE_DIGEST_BYTES;
}

static uint8_t *engine_init_consumer(struct engine *e, uint8_t consumer, uint8_t *at)
{
	uint32_t capacity = e->config.capacity;
	struct engine_consumer *c = &e->consumers[consumer];

	dirty_init(&c->dirty, at, capacity);
	at += engine_dirty_bytes(capacity);
	c->known = (uint64_t *)at;
	at += bits_bytes(capacity);
	c->recreate = (uint64_t *)at;
	at += bits_bytes(capacity);
	if (consumer != SYNC_CONSUMER_KERNEL) {
		e->seen[consumer] = (uint64_t *)at;
		at += bits_bytes(capacity);
		c->named = (uint64_t *)at;
		at += bits_bytes(capacity);
		names_init(&e->names[consumer], at, capacity);
		at += names_bytes(capacity);
	}
	return at;
}

void engine_init(struct engine *e, const struct engine_config *config, void *memory)
{
	uint8_t *at = memory;

	CHECK(config->peer_count <= LIMIT_PEERS && config->group_count <= LIMIT_GROUPS);
	CHECK(config->group_count > 0 && config->self > 0);
	memset(e, 0, sizeof(*e));
	e->config = *config;
	e->sequence = config->first_sequence;
	table_init(&e->table, at, config->capacity, config->seed);
	at += table_bytes(config->capacity);
	for (uint8_t peer = 0; peer < config->peer_count; peer++)
		at = engine_init_consumer(e, peer, at);
	at = engine_init_consumer(e, SYNC_CONSUMER_KERNEL, at);
	for (uint32_t i = 0; i < LIMIT_GROUPS; i++, at += ENGINE_DIGEST_BYTES)
		e->groups[i].digests = (uint64_t *)at;
	for (uint8_t peer = 0; peer < config->peer_count; peer++, at += 2 * ENGINE_DIGEST_BYTES) {
		e->compared_out[peer] = (uint64_t *)at;
		e->compared_in[peer] = (uint64_t *)(at + ENGINE_DIGEST_BYTES);
	}
	CHECK((size_t)(at - (uint8_t *)memory) ==
		engine_bytes(config->capacity, config->peer_count));
	e->consumers[SYNC_CONSUMER_KERNEL].attached = true;
	for (uint8_t group = 0; group < config->group_count; group++) {
		e->groups[group].tag = config->group_tags[group];
		e->groups[group].tail_peer = -1;
	}
}

int engine_group_index(const struct engine *e, uint32_t tag)
{
	for (uint8_t group = 0; group < e->config.group_count; group++)
		if (e->groups[group].tag == tag)
			return group;
	return -1;
}

static enum engine_drop engine_count(struct engine *e, enum engine_drop drop)
{
	e->drops[drop]++;
	return drop;
}

/* ---- roles ---- */

void engine_set_role(struct engine *e, uint8_t group, enum syncmsg_role role, uint32_t term,
	uint8_t term_owner, int tail_peer, mono_t now)
{
	struct engine_group *g = &e->groups[group];

	CHECK(group < e->config.group_count && tail_peer < (int)e->config.peer_count);
	if (g->role != role)
		g->turn++;
	g->role = role;
	g->term = term;
	g->term_owner = term_owner;
	g->tail_peer = -1;
	if (role == SYNCMSG_ROLE_ACTIVE && tail_peer >= 0) {
		g->tail_peer = (int8_t)tail_peer;
		g->tail_until = mono_add(now, dur_ms(SYNC_TAIL_MS));
	}
}

void engine_tail_ended(struct engine *e, uint8_t group)
{
	e->groups[group].tail_peer = -1;
}

void engine_set_claim(struct engine *e, uint8_t peer, uint8_t group, struct engine_claim claim)
{
	CHECK(peer < e->config.peer_count && group < e->config.group_count);
	e->groups[group].claims[peer] = claim;
}

int engine_source(const struct engine *e, uint8_t group)
{
	const struct engine_group *g = &e->groups[group];
	int best = -1;

	if (g->role != SYNCMSG_ROLE_STANDBY || e->adopting)
		return -1;
	for (uint8_t peer = 0; peer < e->config.peer_count; peer++) {
		const struct engine_claim *claim = &g->claims[peer];

		if (claim->role != SYNCMSG_ROLE_ACTIVE)
			continue;
		if (best < 0 || claim->term > g->claims[best].term ||
			(claim->term == g->claims[best].term &&
				claim->term_owner > g->claims[best].term_owner))
			best = peer;
	}
	return best;
}

bool engine_any_active(const struct engine *e)
{
	for (uint8_t group = 0; group < e->config.group_count; group++)
		if (e->groups[group].role == SYNCMSG_ROLE_ACTIVE)
			return true;
	return false;
}

/* ---- records and who is told ---- */

bool engine_kernel_has(const struct engine *e, uint32_t slot)
{
	return bit_get(e->consumers[SYNC_CONSUMER_KERNEL].known, slot);
}

/* engine_clear_slot: a fresh slot is known to nobody. */
static void engine_clear_slot(struct engine *e, uint32_t slot)
{
	for (uint8_t peer = 0; peer < e->config.peer_count; peer++) {
		bit_clear(e->consumers[peer].known, slot);
		bit_clear(e->consumers[peer].recreate, slot);
		bit_clear(e->consumers[peer].named, slot);
		bit_clear(e->seen[peer], slot);
		names_forget(&e->names[peer], slot);
	}
	bit_clear(engine_kernel(e)->known, slot);
	bit_clear(engine_kernel(e)->recreate, slot);
}

/* engine_digest: counts a living flow in its bucket, or out of it, before it changes. */
static void engine_digest(struct engine *e, uint32_t slot, bool in)
{
	const struct table_record *record = table_at(&e->table, slot);
	uint64_t *sum = &e->groups[record->group].digests[digest_bucket(&e->table, slot)];

	if (record->flags & TABLE_FLAG_DEAD)
		return;
	if (in)
		*sum += digest_record(&e->config.digest_key, &e->table, slot);
	else
		*sum -= digest_record(&e->config.digest_key, &e->table, slot);
}

static uint32_t engine_add(struct engine *e, const struct flow *flow, uint8_t group, mono_t now)
{
	uint32_t slot = table_add(&e->table, flow, group, engine_seconds(now));

	e->table_full = slot == TABLE_NONE;
	if (slot == TABLE_NONE)
		return slot;
	engine_clear_slot(e, slot);
	engine_digest(e, slot, true);
	e->groups[group].flow_count++;
	return slot;
}

static void engine_store(
	struct engine *e, uint32_t slot, const struct flow *flow, uint8_t group, mono_t now)
{
	engine_digest(e, slot, false);
	e->groups[table_at(&e->table, slot)->group].flow_count--;
	e->groups[group].flow_count++;
	if (!table_store(&e->table, slot, flow, group, engine_seconds(now)))
		e->table_full = true;
	engine_digest(e, slot, true);
}

/* engine_release: a dead record goes when nobody is left to be told. */
void engine_release(struct engine *e, uint32_t slot)
{
	struct table_record *record = table_at(&e->table, slot);

	if (!(record->flags & TABLE_FLAG_DEAD))
		return;
	for (uint8_t peer = 0; peer < e->config.peer_count; peer++)
		if (dirty_has(&e->consumers[peer].dirty, slot))
			return;
	if (dirty_has(&engine_kernel(e)->dirty, slot))
		return;
	e->groups[record->group].flow_count--;
	e->dead_count--;
	table_remove(&e->table, slot);
	e->table_full = false;
}

/* engine_tell_peers: a change of our kernel, for every peer with a session. A delete matters only
 * to those who know the flow. */
static void engine_tell_peers(struct engine *e, uint32_t slot)
{
	bool dead = table_at(&e->table, slot)->flags & TABLE_FLAG_DEAD;

	for (uint8_t peer = 0; peer < e->config.peer_count; peer++) {
		struct engine_consumer *c = &e->consumers[peer];

		if (c->attached && (!dead || bit_get(c->known, slot)))
			(void)dirty_add(&c->dirty, slot); /* there already: coalesced */
	}
}

/* engine_tell_kernel: a change of the source, for our kernel. */
static void engine_tell_kernel(struct engine *e, uint32_t slot)
{
	const struct table_record *record = table_at(&e->table, slot);
	bool dead = record->flags & TABLE_FLAG_DEAD;
	bool inject = e->config.warm || e->groups[record->group].role == SYNCMSG_ROLE_ACTIVE;

	if (bit_get(engine_kernel(e)->known, slot) || (inject && !dead))
		(void)dirty_add(&engine_kernel(e)->dirty, slot); /* there already: coalesced */
}

/* engine_reincarnate: the slot's flow is another one with the same tuple from now on. */
static void engine_reincarnate(struct engine *e, uint32_t slot)
{
	struct table_record *record = table_at(&e->table, slot);

	for (uint8_t peer = 0; peer < e->config.peer_count; peer++)
		if (bit_get(e->consumers[peer].known, slot))
			bit_set(e->consumers[peer].recreate, slot);
	if (bit_get(engine_kernel(e)->known, slot))
		bit_set(engine_kernel(e)->recreate, slot);
	if (record->flags & TABLE_FLAG_DEAD) {
		e->dead_count--;
		record->flags &= (uint8_t)~TABLE_FLAG_DEAD;
		engine_digest(e, slot, true);
	}
	record->has &= FLOW_HAS_ALL; /* what was refused may be taken now */
	record->flags &= (uint8_t) ~(TABLE_FLAG_HELD | TABLE_FLAG_LIBERAL | TABLE_FLAG_ADOPTED |
				     TABLE_FLAG_RETRY_1 | TABLE_FLAG_RETRY_2);
}

static void engine_kill(struct engine *e, uint32_t slot, const struct flow_stamp *stamp)
{
	struct table_record *record = table_at(&e->table, slot);

	CHECK(!(record->flags & TABLE_FLAG_DEAD));
	engine_digest(e, slot, false);
	record->flags |= TABLE_FLAG_DEAD;
	e->dead_count++;
	record->sequence = stamp->sequence;
	record->term = stamp->term;
	record->life = stamp->life;
	record->owner = stamp->owner;
}

static bool engine_other_incarnation(const struct engine *e, uint32_t slot, const struct flow *flow)
{
	const struct table_record *record = &e->table.records[slot];

	/* Ids are comparable within one kernel's life alone. */
	return (flow->has & FLOW_HAS_ID) && (record->has & FLOW_HAS_ID) && record->id != flow->id &&
	       record->owner == flow->stamp.owner && record->life == flow->stamp.life;
}

/* engine_reborn: another flow with the same tuple, where ids say nothing: translated differently,
 * or opened anew (the kernel ends an entry rather than take it back to SYN_SENT). */
static bool engine_reborn(const struct engine *e, uint32_t slot, const struct flow *flow)
{
	const struct table_record *record = &e->table.records[slot];
	struct flow ours;

	if (flow_is_expectation(flow))
		return false;
	if (flow->has & record->has & FLOW_HAS_TCP && flow->tcp_state == FLOW_TCP_SYN_SENT &&
		flow_tcp_rank(record->tcp_state) > flow_tcp_rank(flow->tcp_state))
		return flow->has & FLOW_HAS_REPLY;
	if (!(flow->has & record->has & FLOW_HAS_REPLY))
		return false;
	table_load(&e->table, slot, 0, &ours);
	return !flow_tuple_equal(&ours.reply, &flow->reply);
}

/* ---- our kernel as the source ---- */

static struct flow_stamp engine_stamp(struct engine *e, uint8_t group)
{
	return (struct flow_stamp){.term = e->groups[group].term,
		.owner = e->config.self,
		.life = e->config.life,
		.sequence = ++e->sequence};
}

/* engine_kernel_changed: whether a dumped entry says anything new; timeouts are no change. */
static bool engine_kernel_changed(const struct flow *before, const struct flow *after)
{
	return (after->has & ~before->has & ~(uint32_t)FLOW_HAS_ID) ||
	       before->status != after->status || before->mark != after->mark ||
	       before->tcp_state != after->tcp_state ||
	       memcmp(before->tcp_flags, after->tcp_flags, 2) != 0 ||
	       memcmp(before->tcp_wscale, after->tcp_wscale, 2) != 0 ||
	       before->sctp_state != after->sctp_state ||
	       memcmp(before->sctp_vtag, after->sctp_vtag, sizeof(before->sctp_vtag)) != 0 ||
	       memcmp(before->labels, after->labels, sizeof(before->labels)) != 0 ||
	       memcmp(before->synproxy, after->synproxy, sizeof(before->synproxy)) != 0 ||
	       memcmp(before->seqadj, after->seqadj, sizeof(before->seqadj)) != 0;
}

/* engine_still_held: whether a timeout that our kernel tells is the one that injection gave it. */
static bool engine_still_held(const struct table_record *record, uint32_t timeout_s, uint32_t now_s)
{
	int64_t expected = (int64_t)record->expires_s - now_s;

	if (!(record->flags & TABLE_FLAG_HELD))
		return false;
	expected = (expected > 0 ? expected : 0) + SYNC_HOLD_S - timeout_s;
	return expected >= -(int64_t)SYNC_HOLD_SLACK_S && expected <= (int64_t)SYNC_HOLD_SLACK_S;
}

/* engine_kernel_filter: what we put into our kernel ourselves is not the flow's own. */
static void engine_kernel_filter(
	struct table_record *record, struct flow *flow, const struct flow *before, uint32_t now_s)
{
	if (record->flags & TABLE_FLAG_LIBERAL) {
		flow->tcp_flags[0] &= (uint8_t)~FLOW_TCP_BE_LIBERAL;
		flow->tcp_flags[1] &= (uint8_t)~FLOW_TCP_BE_LIBERAL;
	}
	if (!(flow->has & FLOW_HAS_TIMEOUT))
		return;
	if (engine_still_held(record, flow->timeout_s, now_s))
		flow->timeout_s = before->timeout_s;
	else
		record->flags &= (uint8_t)~TABLE_FLAG_HELD;
}

/* engine_unname: what peers know for life has changed: they are told in full once more. */
static void engine_unname(struct engine *e, uint32_t slot)
{
	for (uint8_t peer = 0; peer < e->config.peer_count; peer++)
		bit_clear(e->consumers[peer].named, slot);
}

/* engine_inherit: an entry that is new to us, and yet shows the hold: an earlier life of this
 * process put it there. Returns the record's flags, and leaves of the flow what is its own. Without
 * the hold BE_LIBERAL is nobody's to clear: flows picked up in their midst have it, and offloaded
 * ones. */
static uint8_t engine_inherit(struct flow *flow)
{
	bool tcp = flow->has & FLOW_HAS_TCP;
	bool liberal = tcp && flow->tcp_flags[0] & flow->tcp_flags[1] & FLOW_TCP_BE_LIBERAL;
	uint32_t own_s = tcp && flow->tcp_state == FLOW_TCP_ESTABLISHED ? SYNC_ESTABLISHED_S : 0;

	if (!(flow->has & FLOW_HAS_TIMEOUT) || (tcp && !liberal) || flow->timeout_s < SYNC_HOLD_S ||
		flow->timeout_s <= own_s)
		return 0;
	flow->timeout_s -= SYNC_HOLD_S;
	if (!tcp)
		return TABLE_FLAG_HELD;
	flow->tcp_flags[0] &= (uint8_t)~FLOW_TCP_BE_LIBERAL;
	flow->tcp_flags[1] &= (uint8_t)~FLOW_TCP_BE_LIBERAL;
	return ENGINE_OURS;
}

static void engine_kernel_update(struct engine *e, mono_t now, uint32_t slot,
	const struct flow *flow, uint8_t group, bool from_dump)
{
	struct table_record *record = table_at(&e->table, slot);
	uint32_t now_s = engine_seconds(now);
	uint32_t expires_s = record->expires_s;
	struct flow before, after, news = *flow;

	table_load(&e->table, slot, now_s, &before);
	if (bit_get(engine_kernel(e)->known, slot) && !bit_get(engine_kernel(e)->recreate, slot) &&
		(record->flags & ENGINE_OURS || !(record->flags & ENGINE_RETRIES)))
		engine_kernel_filter(record, &news, &before, now_s);
	else /* not as we put it there: or not in this life */
		record->flags |= engine_inherit(&news);
	bit_clear(engine_kernel(e)->recreate, slot); /* it lives */
	after = before;
	flow_merge(&after, &news);
	bit_set(engine_kernel(e)->known, slot);
	if (from_dump && !engine_kernel_changed(&before, &after)) {
		/* Nothing new but the time left; it travels only when it has moved far. All the
		 * rest stays as it belongs to the stamp: the peers have that. */
		before.timeout_s = after.timeout_s;
		engine_store(e, slot, &before, group, now);
		if (record->expires_s > expires_s &&
			record->expires_s - expires_s > SYNC_REFRESH_DRIFT_S)
			engine_tell_peers(e, slot);
		return;
	}
	if (after.id != before.id)
		engine_unname(e, slot);
	after.stamp = engine_stamp(e, group);
	engine_store(e, slot, &after, group, now);
	engine_tell_peers(e, slot);
}

int engine_master_group(const struct engine *e, const struct flow *flow)
{
	struct flow master = {.orig = flow->master, .zone = flow->zone};
	uint32_t slot;

	if (!(flow->has & FLOW_HAS_MASTER))
		return -1;
	slot = table_find(&e->table, &master);
	if (slot == TABLE_NONE || e->table.records[slot].flags & TABLE_FLAG_DEAD)
		return -1;
	return e->table.records[slot].group;
}

uint32_t engine_kernel_upsert(
	struct engine *e, mono_t now, const struct flow *flow, uint8_t group, bool from_dump)
{
	struct flow mine = *flow;
	uint32_t slot;

	CHECK(group < e->config.group_count);
	if (e->groups[group].role != SYNCMSG_ROLE_ACTIVE)
		return TABLE_NONE;
	e->kernel_events++;
	slot = table_find(&e->table, flow);
	if (slot == TABLE_NONE) {
		uint8_t inherited = engine_inherit(&mine);

		mine.stamp = engine_stamp(e, group);
		slot = engine_add(e, &mine, group, now);
		if (slot == TABLE_NONE) {
			engine_count(e, ENGINE_DROP_TABLE_FULL);
			return slot;
		}
		table_at(&e->table, slot)->flags |= inherited;
		bit_set(engine_kernel(e)->known, slot);
		engine_tell_peers(e, slot);
		return slot;
	}
	mine.stamp = (struct flow_stamp){.owner = e->config.self, .life = e->config.life};
	if (table_at(&e->table, slot)->flags & TABLE_FLAG_DEAD ||
		engine_other_incarnation(e, slot, &mine) || engine_reborn(e, slot, &mine) ||
		(from_dump && !bit_get(engine_kernel(e)->known, slot))) {
		engine_reincarnate(e, slot);
		table_at(&e->table, slot)->flags |= engine_inherit(&mine);
		mine.stamp = engine_stamp(e, group);
		engine_store(e, slot, &mine, group, now);
		bit_set(engine_kernel(e)->known, slot);
		bit_clear(engine_kernel(e)->recreate, slot);
		engine_tell_peers(e, slot);
		return slot;
	}
	engine_kernel_update(e, now, slot, flow, group, from_dump);
	return slot;
}

void engine_kernel_destroy(struct engine *e, mono_t now, const struct flow *flow)
{
	uint32_t slot = table_find(&e->table, flow);
	struct table_record *record;
	struct flow mine = *flow;
	struct flow_stamp stamp;

	(void)now; /* a delete has no time of its own */
	if (slot == TABLE_NONE)
		return;
	record = table_at(&e->table, slot);
	mine.stamp = (struct flow_stamp){.owner = e->config.self, .life = e->config.life};
	if (record->flags & TABLE_FLAG_DEAD ||
		e->groups[record->group].role != SYNCMSG_ROLE_ACTIVE ||
		engine_other_incarnation(e, slot, &mine))
		return; /* the latter: the end of an earlier flow, told late */
	e->kernel_events++;
	stamp = engine_stamp(e, record->group);
	engine_kill(e, slot, &stamp);
	bit_clear(engine_kernel(e)->known, slot);
	bit_clear(engine_kernel(e)->recreate, slot);
	engine_tell_peers(e, slot);
	engine_release(e, slot);
}

void engine_adopt(struct engine *e, mono_t now, const struct flow *flow, uint8_t group)
{
	uint32_t slot = table_find(&e->table, flow);
	struct flow mine = *flow;
	bool fresh = slot == TABLE_NONE;

	if (fresh) {
		if (!engine_inherit(&mine)) /* an established flow that had been idle for a day */
			mine.timeout_s -=
				mine.timeout_s > SYNC_HOLD_S ? SYNC_HOLD_S : mine.timeout_s;
		mine.stamp = (struct flow_stamp){0};
		mine.has &= ~(uint32_t)FLOW_HAS_ID; /* this kernel's, not the source's */
		mine.id = 0;
		slot = engine_add(e, &mine, group, now);
	}
	if (slot == TABLE_NONE) {
		engine_count(e, ENGINE_DROP_TABLE_FULL);
		return;
	}
	bit_set(engine_kernel(e)->known, slot);
	if (fresh)
		table_at(&e->table, slot)->flags |=
			TABLE_FLAG_ADOPTED | TABLE_FLAG_HELD | TABLE_FLAG_LIBERAL;
}

void engine_kernel_lost(struct engine *e, mono_t now, uint32_t slot)
{
	struct table_record *record = table_at(&e->table, slot);
	struct flow flow;

	if (!table_is_used(&e->table, slot) || record->flags & TABLE_FLAG_DEAD)
		return;
	if (e->groups[record->group].role == SYNCMSG_ROLE_ACTIVE) {
		table_load(&e->table, slot, engine_seconds(now), &flow);
		flow.has &= ~(uint32_t)FLOW_HAS_ID;
		engine_kernel_destroy(e, now, &flow);
		return;
	}
	bit_clear(engine_kernel(e)->known, slot);
	record->flags &= (uint8_t) ~(TABLE_FLAG_HELD | TABLE_FLAG_LIBERAL);
	engine_tell_kernel(e, slot);
}

bool engine_retime(
	struct engine *e, mono_t now, uint32_t slot, uint32_t full_s, struct flow *ret_flow)
{
	struct table_record *record = table_at(&e->table, slot);
	uint32_t now_s = engine_seconds(now);

	if (!(record->flags & TABLE_FLAG_HELD) || record->flags & TABLE_FLAG_DEAD ||
		e->groups[record->group].role != SYNCMSG_ROLE_ACTIVE)
		return false;
	table_load(&e->table, slot, now_s, ret_flow);
	if (ret_flow->timeout_s < full_s)
		ret_flow->timeout_s = full_s;
	record->flags &= (uint8_t)~TABLE_FLAG_HELD;
	record->expires_s = now_s + ret_flow->timeout_s;
	return true;
}

bool engine_loose_next(
	struct engine *e, mono_t now, uint32_t groups, uint32_t *cursor, struct flow *ret_flow)
{
	for (; *cursor < e->table.high; ++*cursor) {
		struct table_record *record = table_at(&e->table, *cursor);

		if (!table_is_used(&e->table, *cursor) || !(record->has & FLOW_HAS_TCP) ||
			record->flags & (TABLE_FLAG_LIBERAL | TABLE_FLAG_DEAD) ||
			!(groups >> record->group & 1) ||
			!bit_get(engine_kernel(e)->known, *cursor))
			continue;
		table_load(&e->table, *cursor, engine_seconds(now), ret_flow);
		if (ret_flow->tcp_flags[0] & ret_flow->tcp_flags[1] & FLOW_TCP_BE_LIBERAL)
			continue; /* the source had it: never ours to clear */
		record->flags |= TABLE_FLAG_LIBERAL;
		++*cursor;
		return true;
	}
	return false;
}

bool engine_strict_next(struct engine *e, mono_t now, uint32_t *cursor, struct flow *ret_flow)
{
	for (; *cursor < e->table.high; ++*cursor) {
		struct table_record *record = table_at(&e->table, *cursor);

		if (!table_is_used(&e->table, *cursor) || !(record->flags & TABLE_FLAG_LIBERAL) ||
			record->flags & TABLE_FLAG_DEAD ||
			e->groups[record->group].role != SYNCMSG_ROLE_ACTIVE)
			continue;
		table_load(&e->table, *cursor, engine_seconds(now), ret_flow);
		record->flags &= (uint8_t)~TABLE_FLAG_LIBERAL;
		++*cursor;
		return true;
	}
	return false;
}

/* ---- our kernel as a consumer ---- */

/* engine_op_dress: what the kernel shall get instead of what the source has. */
static void engine_op_dress(struct engine *e, struct table_record *record, struct engine_op *op)
{
	struct flow *flow = &op->flow;
	bool standby = e->groups[record->group].role != SYNCMSG_ROLE_ACTIVE;

	if (flow_is_expectation(flow)) {
		/* No hold: the kernel gives it its helper's time, as the source's did, and its
		 * end there is told. HELD says that it is ours to take away again. */
		record->flags &= (uint8_t)~TABLE_FLAG_ADOPTED;
		if (standby)
			record->flags |= TABLE_FLAG_HELD;
		return;
	}
	if (flow->orig.proto == PROTO_TCP) {
		/* The kernel would drop replies of a state NONE (facts 2.5); an offloaded flow is
		 * dumped without one (facts 2.1). */
		if (!(flow->has & FLOW_HAS_TCP)) {
			flow->has |= FLOW_HAS_TCP;
			flow->tcp_state = FLOW_TCP_ESTABLISHED;
		}
		op->liberal = true;
	}
	/* What may be there of another flow with that tuple keeps no mark of its own. */
	if (standby)
		flow->has |= FLOW_HAS_MARK;
	if (standby)
		flow->timeout_s += SYNC_HOLD_S;
	else if (flow->timeout_s == 0)
		flow->timeout_s = 1;
	record->flags &= (uint8_t) ~(TABLE_FLAG_HELD | TABLE_FLAG_LIBERAL | TABLE_FLAG_ADOPTED);
	if (standby)
		record->flags |= TABLE_FLAG_HELD;
	if (op->liberal && !(flow->tcp_flags[0] & flow->tcp_flags[1] & FLOW_TCP_BE_LIBERAL))
		record->flags |= TABLE_FLAG_LIBERAL;
}

/* engine_op_make: turns one dirty slot into an operation; false when there is nothing to do. */
static bool engine_op_make(struct engine *e, mono_t now, uint32_t slot, struct engine_op *op)
{
	struct engine_consumer *kernel = engine_kernel(e);
	struct table_record *record = table_at(&e->table, slot);
	bool known = bit_get(kernel->known, slot);

	op->slot = slot;
	op->liberal = false;
	table_load(&e->table, slot, engine_seconds(now), &op->flow);
	if (record->flags & TABLE_FLAG_DEAD || bit_get(kernel->recreate, slot)) {
		bool again = !(record->flags & TABLE_FLAG_DEAD);

		bit_clear(kernel->known, slot);
		bit_clear(kernel->recreate, slot);
		op->type = ENGINE_OP_DELETE;
		if (again)
			(void)dirty_add(&kernel->dirty, slot); /* then the create */
		else
			engine_release(e, slot);
		return known;
	}
	op->type = known ? ENGINE_OP_UPDATE : ENGINE_OP_CREATE;
	bit_set(kernel->known, slot);
	if (record->has & TABLE_REFUSED_LABELS)
		op->flow.has &= ~(uint32_t)FLOW_HAS_LABELS;
	if (record->has & TABLE_REFUSED_HELPER)
		op->flow.has &= ~(uint32_t)FLOW_HAS_HELPER;
	if (record->has & TABLE_REFUSED_MASTER)
		op->flow.has &= ~(uint32_t)FLOW_HAS_MASTER;
	engine_op_dress(e, record, op);
	return true;
}

bool engine_op_next(struct engine *e, mono_t now, struct engine_op *ret_op)
{
	uint32_t slot;

	if (e->kernel_full && !mono_reached(now, e->kernel_full_until))
		return false;
	while (dirty_take(&engine_kernel(e)->dirty, &slot)) {
		if (!engine_op_make(e, now, slot, ret_op))
			continue;
		e->injected++;
		return true;
	}
	return false;
}

void engine_retell(struct engine *e)
{
	for (uint8_t group = 0; group < e->config.group_count; group++)
		e->groups[group].retell = e->groups[group].role == SYNCMSG_ROLE_STANDBY;
}

void engine_kernel_room(struct engine *e)
{
	e->kernel_full = false;
}

void engine_inject_group(struct engine *e, uint8_t group)
{
	/* Flows with a master come in a second round. */
	for (int round = 0; round < 2; round++)
		for (uint32_t slot = 0; slot < e->table.high; slot++) {
			const struct table_record *record = table_at(&e->table, slot);

			if (table_is_used(&e->table, slot) && record->group == group &&
				!(record->flags & TABLE_FLAG_DEAD) &&
				!(record->has & FLOW_HAS_MASTER) == !round &&
				!bit_get(engine_kernel(e)->known, slot))
				(void)dirty_add(&engine_kernel(e)->dirty, slot); /* or is there */
		}
}

/* ---- a peer as the source ---- */

/* engine_peer_allowed: whose word about a group counts: the source's, and in a hand-over that of
 * the old master until its end mark. */
static enum engine_drop engine_peer_allowed(
	struct engine *e, mono_t now, uint8_t peer, const struct flow *flow, int *ret_group)
{
	int group = engine_group_index(e, flow->group_tag);
	struct engine_group *g;

	if (group < 0)
		return ENGINE_DROP_UNKNOWN_GROUP;
	*ret_group = group;
	g = &e->groups[group];
	if (g->role == SYNCMSG_ROLE_ACTIVE && g->tail_peer == (int8_t)peer &&
		!mono_reached(now, g->tail_until) && flow->stamp.term < g->term)
		return ENGINE_DROP_NONE;
	return engine_source(e, (uint8_t)group) == peer ? ENGINE_DROP_NONE : ENGINE_DROP_NOT_SOURCE;
}

static struct flow_stamp engine_record_stamp(const struct table_record *record)
{
	return (struct flow_stamp){.sequence = record->sequence,
		.term = record->term,
		.life = record->life,
		.owner = record->owner};
}

/* engine_peer_differs: the same stamp, told whole, and yet something else: an update reached us
 * before what it builds upon. The source is right. */
static bool engine_peer_differs(
	struct engine *e, mono_t now, uint32_t slot, const struct flow *flow)
{
	struct flow ours;

	if (!(flow->has & FLOW_HAS_REPLY))
		return false;
	table_load(&e->table, slot, engine_seconds(now), &ours);
	if (flow_same(&ours, flow) &&
		(!(flow->has & ours.has & FLOW_HAS_ID) || flow->id == ours.id))
		return false;
	if (!(ours.has & FLOW_HAS_REPLY) || !flow_tuple_equal(&ours.reply, &flow->reply))
		engine_reincarnate(e, slot);
	return true;
}

/* engine_peer_restated: the source repeats what we have (a transfer, a refreshed timeout). Our
 * kernel is told again only where its entry does not carry the hold, or is far off. */
static void engine_peer_restated(
	struct engine *e, mono_t now, uint32_t slot, const struct flow *flow, uint8_t group)
{
	struct table_record *record = table_at(&e->table, slot);
	uint32_t now_s = engine_seconds(now);
	int64_t moved = (int64_t)now_s + flow->timeout_s - record->expires_s;
	bool fine = bit_get(engine_kernel(e)->known, slot) ? record->flags & TABLE_FLAG_HELD
							   : !e->config.warm;

	/* While active our kernel is right by definition: what a tail repeats is nothing new. */
	if (record->flags & TABLE_FLAG_DEAD || e->groups[group].role == SYNCMSG_ROLE_ACTIVE)
		return;
	if (engine_peer_differs(e, now, slot, flow)) {
		engine_store(e, slot, flow, group, now);
		engine_tell_kernel(e, slot);
		return;
	}
	if (fine && !e->groups[group].retell && moved <= (int64_t)SYNC_EXPIRY_JUMP_S &&
		moved >= -(int64_t)SYNC_EXPIRY_JUMP_S)
		return;
	if (flow->has & FLOW_HAS_TIMEOUT) {
		struct flow whole;

		table_load(&e->table, slot, now_s, &whole);
		whole.timeout_s = flow->timeout_s;
		engine_store(e, slot, &whole, group, now);
	}
	engine_tell_kernel(e, slot);
}

/* engine_peer_revives: the flow itself behind the delete of its predecessor, with which it shares a
 * stamp; or what was swept and is told after all. Our kernel may not have heard of the end yet. */
static bool engine_peer_revives(
	const struct engine *e, uint32_t slot, const struct flow *flow, uint8_t group)
{
	return e->table.records[slot].flags & TABLE_FLAG_DEAD && flow->has & FLOW_HAS_REPLY &&
	       e->groups[group].role != SYNCMSG_ROLE_ACTIVE;
}

static enum engine_drop engine_peer_change(
	struct engine *e, mono_t now, uint32_t slot, const struct flow *flow, uint8_t group)
{
	struct table_record *record = table_at(&e->table, slot);
	bool active = e->groups[group].role == SYNCMSG_ROLE_ACTIVE;
	struct flow whole;

	if (record->flags & TABLE_FLAG_DEAD || engine_other_incarnation(e, slot, flow) ||
		(!active && engine_reborn(e, slot, flow))) {
		if (!(flow->has & FLOW_HAS_REPLY))
			return ENGINE_DROP_PARTIAL;
		engine_reincarnate(e, slot);
		engine_store(e, slot, flow, group, now);
		engine_tell_kernel(e, slot);
		return ENGINE_DROP_NONE;
	}
	if (active && (flow->has & FLOW_HAS_TCP) && (record->has & FLOW_HAS_TCP) &&
		flow_tcp_rank(flow->tcp_state) <= flow_tcp_rank(record->tcp_state))
		return ENGINE_DROP_BACKWARDS;
	table_load(&e->table, slot, engine_seconds(now), &whole);
	if (!active && flow->has & FLOW_HAS_REPLY)
		whole = *flow; /* told in full: what it does not have it has not */
	else
		flow_merge(&whole, flow);
	whole.stamp = flow->stamp;
	engine_store(e, slot, &whole, group, now);
	record->flags &= (uint8_t) ~(TABLE_FLAG_RETRY_1 | TABLE_FLAG_RETRY_2);
	engine_tell_kernel(e, slot);
	return ENGINE_DROP_NONE;
}

enum engine_drop engine_peer_upsert(
	struct engine *e, mono_t now, uint8_t peer, const struct flow *flow)
{
	int group = -1, order;
	enum engine_drop drop = engine_peer_allowed(e, now, peer, flow, &group);
	struct flow_stamp ours;
	uint32_t slot;

	if (drop != ENGINE_DROP_NONE)
		return engine_count(e, drop);
	slot = table_find(&e->table, flow);
	if (slot == TABLE_NONE) {
		if (!(flow->has & FLOW_HAS_REPLY))
			return engine_count(e, ENGINE_DROP_PARTIAL);
		slot = engine_add(e, flow, (uint8_t)group, now);
		if (slot == TABLE_NONE)
			return engine_count(e, ENGINE_DROP_TABLE_FULL);
		bit_set(e->seen[peer], slot);
		engine_tell_kernel(e, slot);
		return ENGINE_DROP_NONE;
	}
	bit_set(e->seen[peer], slot);
	ours = engine_record_stamp(table_at(&e->table, slot));
	order = flow_stamp_compare(&flow->stamp, &ours);
	if (order < 0)
		return engine_count(e, ENGINE_DROP_STALE);
	if (order == 0 && !engine_peer_revives(e, slot, flow, (uint8_t)group)) {
		engine_peer_restated(e, now, slot, flow, (uint8_t)group);
		return ENGINE_DROP_NONE;
	}
	drop = engine_peer_change(e, now, slot, flow, (uint8_t)group);
	return drop == ENGINE_DROP_NONE ? drop : engine_count(e, drop);
}

enum engine_drop engine_peer_delete(
	struct engine *e, mono_t now, uint8_t peer, const struct flow *flow)
{
	int group = -1;
	enum engine_drop drop = engine_peer_allowed(e, now, peer, flow, &group);
	struct flow_stamp ours;
	uint32_t slot;

	if (drop != ENGINE_DROP_NONE)
		return engine_count(e, drop);
	slot = table_find(&e->table, flow);
	if (slot == TABLE_NONE || table_at(&e->table, slot)->flags & TABLE_FLAG_DEAD)
		return engine_count(e, ENGINE_DROP_NO_SUCH_FLOW);
	ours = engine_record_stamp(table_at(&e->table, slot));
	if (flow_stamp_compare(&flow->stamp, &ours) < 0)
		return engine_count(e, ENGINE_DROP_STALE);
	engine_kill(e, slot, &flow->stamp);
	engine_tell_kernel(e, slot);
	if (e->groups[group].role == SYNCMSG_ROLE_ACTIVE)
		engine_tell_peers(e, slot); /* a tail: third nodes hear it from us alone */
	engine_release(e, slot);
	return ENGINE_DROP_NONE;
}

void engine_peer_name(struct engine *e, uint8_t peer, uint32_t name, const struct flow *flow)
{
	uint32_t slot = table_find(&e->table, flow);

	if (slot != TABLE_NONE)
		names_give(&e->names[peer], name, slot);
}

void engine_peer_unname(struct engine *e, uint8_t peer, uint32_t name)
{
	names_drop(&e->names[peer], name);
}

bool engine_peer_named(struct engine *e, uint8_t peer, uint32_t name, struct flow *flow)
{
	uint32_t slot = names_find(&e->names[peer], name);
	struct flow whole;

	if (slot == TABLE_NONE || !table_is_used(&e->table, slot)) {
		engine_count(e, ENGINE_DROP_PARTIAL);
		return false;
	}
	table_load_key(&e->table, slot, &whole);
	flow->zone = whole.zone;
	flow->zone_dir = whole.zone_dir;
	flow->orig = whole.orig;
	return true;
}

void engine_transfer_begin(struct engine *e, uint8_t peer)
{
	memset(e->seen[peer], 0, bits_bytes(e->table.high));
}

/* engine_sweep: the source does not have this flow. What we injected is deleted; a flow that lives
 * in our kernel in its own right (of the time when we were master) ends there by itself, and is
 * forgotten: the tables are equal. Not so an expectation: it would stand open for minutes. */
static void engine_sweep(struct engine *e, uint32_t slot)
{
	struct table_record *record = table_at(&e->table, slot);
	struct flow_stamp stamp = engine_record_stamp(record);

	if (bit_get(engine_kernel(e)->known, slot) && !(record->flags & TABLE_FLAG_HELD) &&
		record->zone_dir != FLOW_ZONE_EXPECTATION) {
		bit_clear(engine_kernel(e)->known, slot);
		bit_clear(engine_kernel(e)->recreate, slot);
		e->forgotten++;
	}
	engine_kill(e, slot, &stamp);
	engine_tell_kernel(e, slot);
	engine_release(e, slot);
}

uint32_t engine_transfer_end(
	struct engine *e, mono_t now, uint8_t peer, uint8_t group, const uint64_t *differing)
{
	const struct engine_consumer *kernel = engine_kernel(e);
	uint32_t swept = 0;

	(void)now;
	e->groups[group].retell = e->groups[group].retell && differing;
	for (uint32_t slot = 0; slot < e->table.high; slot++) {
		const struct table_record *record = table_at(&e->table, slot);

		if (!table_is_used(&e->table, slot) || record->group != group ||
			record->flags & TABLE_FLAG_DEAD || bit_get(e->seen[peer], slot) ||
			dirty_has(&e->consumers[peer].dirty, slot)) /* a tail, still to be told */
			continue;
		if (!differing || differing[digest_bucket(&e->table, slot)]) {
			engine_sweep(e, slot);
			swept++;
		} else if (bit_get(kernel->known, slot) ? !(record->flags & TABLE_FLAG_HELD)
							: e->config.warm) {
			/* Equal, and so not told again; but our kernel's entry must be held. */
			engine_tell_kernel(e, slot);
		}
	}
	return swept;
}
