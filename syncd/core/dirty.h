/* dirty.h: which flows somebody has not been told yet: a set, not a queue of messages.
 *
 * A slot is in it at most once, however often it changes, so the set can never be longer than the
 * table and never overflows; what is sent is the latest state. It is served in the order in which
 * the slots became dirty. `added` and `taken` count for ever: a reader that remembers `added` knows
 * that everything until then is served when `taken` has reached it. */
#ifndef SYNCD_CORE_DIRTY_H
#define SYNCD_CORE_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dirty {
	uint32_t *ring; /* kept until the owner's end; `capacity` entries */
	uint64_t *bits; /* a bit a slot */
	uint32_t capacity;
	uint32_t head; /* next to serve */
	uint32_t count;
	uint64_t added;
	uint64_t taken;
};

/* dirty_bytes: what the memory of dirty_init must have, for slots 0..capacity-1. */
size_t dirty_bytes(uint32_t capacity);

/* dirty_init: `memory` is zeroed, 8-aligned, borrowed for the set's life. Only what is used is
 * ever touched. */
void dirty_init(struct dirty *set, void *memory, uint32_t capacity);

/* dirty_add: false when the slot is in the set already. */
bool dirty_add(struct dirty *set, uint32_t slot);

/* dirty_take: the oldest slot; false when the set is empty. */
bool dirty_take(struct dirty *set, uint32_t *ret_slot);

bool dirty_has(const struct dirty *set, uint32_t slot);

#endif
