/* engine_tell.c: a peer as a consumer: what it is told, live, in bulk, and after a comparison. */
#include "common/check.h"
#include "syncd/core/bits.h"
#include "syncd/core/engine_internal.h"

#include <string.h>

void engine_attach(struct engine *e, uint8_t peer, uint32_t names_max)
{
	struct engine_consumer *c = &e->consumers[peer];

	CHECK(peer < e->config.peer_count);
	memset(c->known, 0, bits_bytes(e->table.high));
	memset(c->recreate, 0, bits_bytes(e->table.high));
	memset(c->named, 0, bits_bytes(e->table.high));
	names_forget_all(&e->names[peer], e->table.high);
	c->names_max = names_max;
	c->attached = true;
}

void engine_detach(struct engine *e, uint8_t peer)
{
	struct engine_consumer *c = &e->consumers[peer];
	uint32_t slot;

	c->attached = false;
	while (dirty_take(&c->dirty, &slot))
		engine_release(e, slot);
	for (uint8_t group = 0; group < e->config.group_count; group++)
		e->groups[group].claims[peer] = (struct engine_claim){0};
}

/* engine_told: the flow in the slot is being told in full or by its name; from now on the peer has
 * the name, unless this is the end. */
static void engine_told(struct engine_consumer *c, uint32_t slot, bool gone)
{
	c->told = slot;
	c->told_named = bit_get(c->named, slot);
	if (gone)
		bit_clear(c->named, slot);
	else if (slot < c->names_max)
		bit_set(c->named, slot);
}

bool engine_tell_next(struct engine *e, mono_t now, uint8_t peer, enum syncmsg_type *ret_type,
	struct flow *ret_flow)
{
	struct engine_consumer *c = &e->consumers[peer];
	uint32_t slot;

	while (dirty_take(&c->dirty, &slot)) {
		struct table_record *record = table_at(&e->table, slot);
		bool known = bit_get(c->known, slot);
		bool dead = record->flags & TABLE_FLAG_DEAD;

		/* Who is frozen is no source: the change is dropped; the next transfer tells it. */
		if (e->groups[record->group].role == SYNCMSG_ROLE_FROZEN || (dead && !known)) {
			engine_release(e, slot);
			continue;
		}
		table_load(&e->table, slot, engine_seconds(now), ret_flow);
		ret_flow->group_tag = e->groups[record->group].tag;
		if (dead || bit_get(c->recreate, slot)) {
			*ret_type = SYNCMSG_DELETE;
			bit_clear(c->known, slot);
			bit_clear(c->recreate, slot);
			engine_told(c, slot, true);
			if (dead)
				engine_release(e, slot);
			else
				(void)dirty_add(&c->dirty, slot); /* then the create */
			return true;
		}
		*ret_type = SYNCMSG_UPSERT;
		if (known)
			ret_flow->has &= ~(uint32_t)FLOW_HAS_FOR_LIFE;
		bit_set(c->known, slot);
		engine_told(c, slot, false);
		return true;
	}
	return false;
}

/* What has a master comes in a second round, so that the master is there before it. */
#define BULK_SECOND_ROUND 0x80000000u

/* engine_bulk_is_due: a slot that is told in this round. */
static bool engine_bulk_is_due(
	const struct table_record *record, uint32_t groups, bool second_round)
{
	return !(record->flags & TABLE_FLAG_DEAD) && groups >> record->group & 1 &&
	       !(record->has & FLOW_HAS_MASTER) == !second_round;
}

bool engine_bulk_next(struct engine *e, mono_t now, uint8_t peer, uint32_t groups, uint32_t *cursor,
	struct flow *ret_flow)
{
	struct engine_consumer *c = &e->consumers[peer];
	uint32_t slot = *cursor & ~BULK_SECOND_ROUND, round = *cursor & BULK_SECOND_ROUND;

	for (;;) {
		uint64_t left;

		if (slot >= e->table.high) {
			*cursor = slot | round;
			if (round)
				return false;
			slot = 0;
			round = BULK_SECOND_ROUND;
			continue;
		}
		left = (e->table.used[slot / 64] & ~c->known[slot / 64]) >> slot % 64;
		if (!left) {
			slot = (slot / 64 + 1) * 64;
			continue;
		}
		slot += (uint32_t)__builtin_ctzll(left);
		if (!engine_bulk_is_due(table_at(&e->table, slot), groups, round)) {
			slot++;
			continue;
		}
		table_load(&e->table, slot, engine_seconds(now), ret_flow);
		ret_flow->group_tag = e->groups[table_at(&e->table, slot)->group].tag;
		bit_set(c->known, slot);
		bit_clear(c->recreate, slot);
		bit_clear(c->named, slot); /* all of it */
		engine_told(c, slot, false);
		*cursor = (slot + 1) | round;
		return true;
	}
}

void engine_forget_group(struct engine *e, uint8_t peer, uint8_t group)
{
	struct engine_consumer *c = &e->consumers[peer];

	if (e->config.group_count == 1) {
		memset(c->known, 0, bits_bytes(e->table.high));
		return;
	}
	for (uint32_t slot = 0; slot < e->table.high; slot++)
		if (table_is_used(&e->table, slot) && table_at(&e->table, slot)->group == group)
			bit_clear(c->known, slot);
}

void engine_compare_begin(struct engine *e, uint8_t peer, uint8_t group)
{
	struct engine_consumer *c = &e->consumers[peer];

	memcpy(e->compared_out[peer], e->groups[group].digests, ENGINE_DIGEST_BYTES);
	for (uint32_t slot = 0; slot < e->table.high; slot++) {
		const struct table_record *record = table_at(&e->table, slot);

		if (!table_is_used(&e->table, slot) || record->group != group ||
			record->flags & TABLE_FLAG_DEAD)
			continue;
		bit_set(c->known, slot);
		bit_clear(c->named, slot); /* it has the flow, whatever it knows of names */
		bit_clear(c->recreate, slot);
	}
}

void engine_compare_forget(struct engine *e, uint8_t peer, uint8_t group, const uint32_t *buckets)
{
	for (uint32_t slot = 0; slot < e->table.high; slot++) {
		uint32_t bucket = digest_bucket(&e->table, slot);

		if (table_is_used(&e->table, slot) && table_at(&e->table, slot)->group == group &&
			buckets[bucket / 32] >> bucket % 32 & 1)
			bit_clear(e->consumers[peer].known, slot);
	}
}
