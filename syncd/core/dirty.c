#include "syncd/core/dirty.h"

#include "common/check.h"

static size_t dirty_bits_bytes(uint32_t capacity)
{
	return ((size_t)capacity + 63) / 64 * sizeof(uint64_t);
}

size_t dirty_bytes(uint32_t capacity)
{
	return dirty_bits_bytes(capacity) + (size_t)capacity * sizeof(uint32_t);
}

void dirty_init(struct dirty *set, void *memory, uint32_t capacity)
{
	CHECK((uintptr_t)memory % sizeof(uint64_t) == 0);
	*set = (struct dirty){.bits = memory, .capacity = capacity};
	set->ring = (uint32_t *)((uint8_t *)memory + dirty_bits_bytes(capacity));
}

bool dirty_has(const struct dirty *set, uint32_t slot)
{
	return set->bits[slot / 64] >> slot % 64 & 1;
}

bool dirty_add(struct dirty *set, uint32_t slot)
{
	uint32_t at;

	CHECK(slot < set->capacity);
	if (dirty_has(set, slot))
		return false;
	CHECK(set->count < set->capacity);
	/* An empty set starts at the front again: the ring's far pages stay untouched. */
	if (set->count == 0)
		set->head = 0;
	at = set->head + set->count;
	if (at >= set->capacity)
		at -= set->capacity;
	set->ring[at] = slot;
	set->bits[slot / 64] |= UINT64_C(1) << slot % 64;
	set->count++;
	set->added++;
	return true;
}

bool dirty_take(struct dirty *set, uint32_t *ret_slot)
{
	uint32_t slot;

	if (set->count == 0)
		return false;
	slot = set->ring[set->head];
	set->head = set->head + 1 == set->capacity ? 0 : set->head + 1;
	set->count--;
	set->taken++;
	set->bits[slot / 64] &= ~(UINT64_C(1) << slot % 64);
	*ret_slot = slot;
	return true;
}
