#include "syncd/core/table.h"

#include "common/check.h"
#include "common/ipaddr.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(struct table_record) == 80, "the record is what the memory target counts on");

#define TABLE_EXTRA_PARTS                                                                          \
	(FLOW_HAS_SCTP | FLOW_HAS_LABELS | FLOW_HAS_SEQADJ | FLOW_HAS_SYNPROXY | FLOW_HAS_HELPER | \
		FLOW_HAS_MASTER)
#define TABLE_BUCKETS_MIN 64u

/* One entry of the layout: arrays follow each other, each 8-aligned. */
static size_t table_array_bytes(uint32_t capacity, size_t element_bytes)
{
	return ((size_t)capacity * element_bytes + 7) & ~(size_t)7;
}

static size_t table_used_bytes(uint32_t capacity)
{
	return ((size_t)capacity + 63) / 64 * sizeof(uint64_t);
}

size_t table_bytes(uint32_t capacity)
{
	return table_array_bytes(capacity, sizeof(struct table_record)) +
	       table_array_bytes(capacity + TABLE_BUCKETS_MIN, sizeof(uint32_t)) +
	       table_used_bytes(capacity) +
	       table_array_bytes(capacity, sizeof(struct table_addresses6)) +
	       table_array_bytes(capacity, sizeof(struct table_extra));
}

void table_init(struct table *t, void *memory, uint32_t capacity, uint64_t seed)
{
	uint8_t *at = memory;

	CHECK((uintptr_t)memory % 8 == 0 && capacity > 0 && capacity < TABLE_NONE / 2);
	memset(t, 0, sizeof(*t));
	t->capacity = capacity;
	t->hash_seed = seed;
	t->records = (struct table_record *)at;
	at += table_array_bytes(capacity, sizeof(struct table_record));
	t->buckets = (uint32_t *)at;
	at += table_array_bytes(capacity + TABLE_BUCKETS_MIN, sizeof(uint32_t));
	t->used = (uint64_t *)at;
	at += table_used_bytes(capacity);
	t->addresses6 = (struct table_addresses6 *)at;
	at += table_array_bytes(capacity, sizeof(struct table_addresses6));
	t->extras = (struct table_extra *)at;
	t->free_head = TABLE_NONE;
	t->addresses6_free = TABLE_NONE;
	t->extra_free = TABLE_NONE;
	t->bucket_count = TABLE_BUCKETS_MIN;
	t->bucket_mask = TABLE_BUCKETS_MIN - 1;
	memset(t->buckets, 0xff, TABLE_BUCKETS_MIN * sizeof(uint32_t));
}

/* ---- index ---- */

static uint32_t table_hash(const struct table *t, const struct flow *key)
{
	/* The key without padding; IPv4 hashes 4 bytes an address. */
	uint8_t bytes[2 + 1 + 1 + 4 + 32];
	size_t address = key->orig.family == IPADDR_V6 ? 16 : 4;
	size_t used = 0;

	bytes[used++] = (uint8_t)(key->zone >> 8);
	bytes[used++] = (uint8_t)key->zone;
	bytes[used++] = key->zone_dir;
	bytes[used++] = key->orig.proto;
	/* In one byte order: digests count on nodes of different make agreeing. */
	bytes[used++] = (uint8_t)(key->orig.src_port >> 8);
	bytes[used++] = (uint8_t)key->orig.src_port;
	bytes[used++] = (uint8_t)(key->orig.dst_port >> 8);
	bytes[used++] = (uint8_t)key->orig.dst_port;
	memcpy(bytes + used, key->orig.src, address);
	memcpy(bytes + used + address, key->orig.dst, address);
	return (uint32_t)XXH3_64bits_withSeed(bytes, used + 2 * address, t->hash_seed);
}

/* table_bucket: buckets below the split point use one more bit of the hash. */
static uint32_t *table_bucket(const struct table *t, uint32_t hash)
{
	uint32_t index = hash & (t->bucket_mask * 2 + 1);

	if (index >= t->bucket_count)
		index = hash & t->bucket_mask;
	return &t->buckets[index];
}

/* table_split: one more bucket; the one that it is cut from is walked once. */
static void table_split(struct table *t)
{
	uint32_t old_index = t->bucket_count - (t->bucket_mask + 1);
	uint32_t new_index = t->bucket_count;
	uint32_t *old_end = &t->buckets[old_index], *new_end = &t->buckets[new_index];
	uint32_t slot = *old_end;

	while (slot != TABLE_NONE) {
		struct table_record *record = &t->records[slot];

		if ((record->hash & (t->bucket_mask * 2 + 1)) == new_index) {
			*new_end = slot;
			new_end = &record->next;
		} else {
			*old_end = slot;
			old_end = &record->next;
		}
		slot = record->next;
	}
	*old_end = TABLE_NONE;
	*new_end = TABLE_NONE;
	t->bucket_count++;
	if (t->bucket_count == (t->bucket_mask + 1) * 2)
		t->bucket_mask = t->bucket_mask * 2 + 1;
}

static bool table_key_matches(
	const struct table *t, const struct table_record *record, const struct flow *key)
{
	const struct flow_tuple *orig = &key->orig;
	bool v6 = orig->family == IPADDR_V6;

	if (record->proto != orig->proto || record->zone != key->zone ||
		record->zone_dir != key->zone_dir || record->ports[0] != orig->src_port ||
		record->ports[1] != orig->dst_port || !(record->flags & TABLE_FLAG_V6) != !v6)
		return false;
	if (v6) {
		const struct table_addresses6 *six = &t->addresses6[record->ext6];

		return memcmp(six->address[0], orig->src, 16) == 0 &&
		       memcmp(six->address[1], orig->dst, 16) == 0;
	}
	return memcmp(record->v4[0], orig->src, 4) == 0 && memcmp(record->v4[1], orig->dst, 4) == 0;
}

uint32_t table_find(const struct table *t, const struct flow *key)
{
	uint32_t hash = table_hash(t, key);
	uint32_t slot = *table_bucket(t, hash);

	while (slot != TABLE_NONE) {
		const struct table_record *record = &t->records[slot];

		if (record->hash == hash && table_key_matches(t, record, key))
			return slot;
		slot = record->next;
	}
	return TABLE_NONE;
}

/* ---- side arrays ---- */

static uint32_t table_take_extra(struct table *t)
{
	uint32_t index = t->extra_free;

	if (index != TABLE_NONE)
		t->extra_free = t->extras[index].next_free;
	else if (t->extra_high < t->capacity)
		index = t->extra_high++;
	return index;
}

static uint32_t table_take_addresses6(struct table *t)
{
	uint32_t index = t->addresses6_free;

	if (index != TABLE_NONE)
		t->addresses6_free = t->addresses6[index].next_free;
	else if (t->addresses6_high < t->capacity)
		index = t->addresses6_high++;
	return index;
}

static void table_drop_extra(struct table *t, struct table_record *record)
{
	if (!record->extra)
		return;
	t->extras[record->extra - 1].next_free = t->extra_free;
	t->extra_free = record->extra - 1;
	record->extra = 0;
}

static bool table_store_extra(struct table *t, struct table_record *record, const struct flow *flow)
{
	struct table_extra *extra;

	if (!(flow->has & TABLE_EXTRA_PARTS)) {
		table_drop_extra(t, record);
		return true;
	}
	if (!record->extra) {
		uint32_t index = table_take_extra(t);

		if (index == TABLE_NONE) {
			record->has &= (uint16_t)~TABLE_EXTRA_PARTS;
			return false;
		}
		record->extra = index + 1;
	}
	extra = &t->extras[record->extra - 1];
	extra->master = flow->master;
	memcpy(extra->helper, flow->helper, sizeof(extra->helper));
	if (flow_is_expectation(flow)) {
		extra->expect = flow->expect;
		return true;
	}
	memcpy(extra->labels, flow->labels, sizeof(extra->labels));
	memcpy(extra->seqadj, flow->seqadj, sizeof(extra->seqadj));
	memcpy(extra->synproxy, flow->synproxy, sizeof(extra->synproxy));
	memcpy(extra->sctp_vtag, flow->sctp_vtag, sizeof(extra->sctp_vtag));
	extra->sctp_state = flow->sctp_state;
	return true;
}

/* ---- records ---- */

static void table_store_tuples(
	struct table *t, struct table_record *record, const struct flow *flow)
{
	const struct flow_tuple *reply = &flow->reply;
	struct flow_tuple plain;

	if (!(flow->has & FLOW_HAS_REPLY)) {
		/* Only a partial first sight of a flow; keep the record whole anyway. */
		flow_tuple_invert(&flow->orig, &plain);
		reply = &plain;
	}
	record->ports[0] = flow->orig.src_port;
	record->ports[1] = flow->orig.dst_port;
	record->ports[2] = reply->src_port;
	record->ports[3] = reply->dst_port;
	if (record->flags & TABLE_FLAG_V6) {
		struct table_addresses6 *six = &t->addresses6[record->ext6];

		memcpy(six->address[0], flow->orig.src, 16);
		memcpy(six->address[1], flow->orig.dst, 16);
		memcpy(six->address[2], reply->src, 16);
		memcpy(six->address[3], reply->dst, 16);
		return;
	}
	memcpy(record->v4[0], flow->orig.src, 4);
	memcpy(record->v4[1], flow->orig.dst, 4);
	memcpy(record->v4[2], reply->src, 4);
	memcpy(record->v4[3], reply->dst, 4);
}

bool table_store(
	struct table *t, uint32_t slot, const struct flow *flow, uint8_t group, uint32_t now_s)
{
	struct table_record *record = &t->records[slot];

	record->has = (uint16_t)((flow->has & FLOW_HAS_ALL) | (record->has & TABLE_REFUSED_ALL));
	record->group = group;
	record->status = (uint16_t)flow->status;
	record->id = flow->id;
	record->mark = flow->mark;
	record->tcp_state = flow->tcp_state;
	record->tcp_flags = (uint8_t)(flow->tcp_flags[0] << 4 | (flow->tcp_flags[1] & 0x0f));
	record->tcp_wscale = (uint8_t)(flow->tcp_wscale[0] << 4 | (flow->tcp_wscale[1] & 0x0f));
	record->sequence = flow->stamp.sequence;
	record->term = flow->stamp.term;
	record->life = flow->stamp.life;
	record->owner = flow->stamp.owner;
	if (__builtin_add_overflow(now_s, flow->timeout_s, &record->expires_s))
		record->expires_s = UINT32_MAX;
	table_store_tuples(t, record, flow);
	return table_store_extra(t, record, flow);
}

uint32_t table_add(struct table *t, const struct flow *flow, uint8_t group, uint32_t now_s)
{
	uint32_t slot = t->free_head, *bucket;
	struct table_record *record;

	if (slot == TABLE_NONE && t->high == t->capacity)
		return TABLE_NONE;
	if (slot != TABLE_NONE)
		t->free_head = t->records[slot].next;
	else
		slot = t->high++;
	record = &t->records[slot];
	memset(record, 0, sizeof(*record));
	record->flags = TABLE_FLAG_USED;
	if (flow->orig.family == IPADDR_V6) {
		/* As many address blocks as slots: there is always one. */
		record->flags |= TABLE_FLAG_V6;
		record->ext6 = table_take_addresses6(t);
		CHECK(record->ext6 != TABLE_NONE);
	}
	record->proto = flow->orig.proto;
	record->zone = flow->zone;
	record->zone_dir = flow->zone_dir;
	(void)table_store(t, slot, flow, group, now_s); /* as many extras as slots, too */
	record->hash = table_hash(t, flow);
	bucket = table_bucket(t, record->hash);
	record->next = *bucket;
	*bucket = slot;
	t->used[slot / 64] |= UINT64_C(1) << slot % 64;
	t->count++;
	if (t->count > t->bucket_count && t->bucket_count < t->capacity + TABLE_BUCKETS_MIN)
		table_split(t);
	return slot;
}

static void table_load_tuples(
	const struct table *t, const struct table_record *record, struct flow *flow)
{
	bool v6 = record->flags & TABLE_FLAG_V6;
	const struct table_addresses6 *six = v6 ? &t->addresses6[record->ext6] : NULL;
	uint8_t *to[4] = {flow->orig.src, flow->orig.dst, flow->reply.src, flow->reply.dst};

	for (int i = 0; i < 4; i++) {
		if (v6)
			memcpy(to[i], six->address[i], 16);
		else
			memcpy(to[i], record->v4[i], 4);
	}
	flow->orig.family = flow->reply.family = v6 ? IPADDR_V6 : IPADDR_V4;
	flow->orig.proto = flow->reply.proto = record->proto;
	flow->orig.src_port = record->ports[0];
	flow->orig.dst_port = record->ports[1];
	flow->reply.src_port = record->ports[2];
	flow->reply.dst_port = record->ports[3];
}

void table_load_key(const struct table *t, uint32_t slot, struct flow *ret_flow)
{
	const struct table_record *record = &t->records[slot];

	memset(ret_flow, 0, sizeof(*ret_flow));
	ret_flow->zone = record->zone;
	ret_flow->zone_dir = record->zone_dir;
	table_load_tuples(t, record, ret_flow);
	memset(&ret_flow->reply, 0, sizeof(ret_flow->reply));
}

void table_load(const struct table *t, uint32_t slot, uint32_t now_s, struct flow *ret_flow)
{
	const struct table_record *record = &t->records[slot];
	struct flow *flow = ret_flow;

	memset(flow, 0, sizeof(*flow));
	flow->has = record->has & FLOW_HAS_ALL;
	flow->zone = record->zone;
	flow->zone_dir = record->zone_dir;
	table_load_tuples(t, record, flow);
	flow->status = record->status;
	flow->timeout_s = record->expires_s > now_s ? record->expires_s - now_s : 0;
	flow->mark = record->mark;
	flow->id = record->id;
	flow->tcp_state = record->tcp_state;
	flow->tcp_flags[0] = record->tcp_flags >> 4;
	flow->tcp_flags[1] = record->tcp_flags & 0x0f;
	flow->tcp_wscale[0] = record->tcp_wscale >> 4;
	flow->tcp_wscale[1] = record->tcp_wscale & 0x0f;
	flow->stamp = (struct flow_stamp){.sequence = record->sequence,
		.term = record->term,
		.life = record->life,
		.owner = record->owner};
	if (record->extra) {
		const struct table_extra *extra = &t->extras[record->extra - 1];

		flow->master = extra->master;
		memcpy(flow->helper, extra->helper, sizeof(flow->helper));
		if (flow_is_expectation(flow)) {
			flow->expect = extra->expect;
			return;
		}
		memcpy(flow->labels, extra->labels, sizeof(flow->labels));
		memcpy(flow->seqadj, extra->seqadj, sizeof(flow->seqadj));
		memcpy(flow->synproxy, extra->synproxy, sizeof(flow->synproxy));
		memcpy(flow->sctp_vtag, extra->sctp_vtag, sizeof(flow->sctp_vtag));
		flow->sctp_state = extra->sctp_state;
	}
}

void table_remove(struct table *t, uint32_t slot)
{
	struct table_record *record = &t->records[slot];
	uint32_t *at = table_bucket(t, record->hash);

	CHECK(table_is_used(t, slot));
	while (*at != slot) {
		CHECK(*at != TABLE_NONE);
		at = &t->records[*at].next;
	}
	*at = record->next;
	table_drop_extra(t, record);
	if (record->flags & TABLE_FLAG_V6) {
		t->addresses6[record->ext6].next_free = t->addresses6_free;
		t->addresses6_free = record->ext6;
	}
	record->flags = 0;
	record->next = t->free_head;
	t->free_head = slot;
	t->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
	t->count--;
}
