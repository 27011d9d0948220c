/* bits.h: sets of slots, a bit a slot, in words of 64. */
#ifndef SYNCD_CORE_BITS_H
#define SYNCD_CORE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool bit_get(const uint64_t *bits, uint32_t slot)
{
	return bits[slot / 64] >> slot % 64 & 1;
}

static inline void bit_set(uint64_t *bits, uint32_t slot)
{
	bits[slot / 64] |= UINT64_C(1) << slot % 64;
}

static inline void bit_clear(uint64_t *bits, uint32_t slot)
{
	bits[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

static inline size_t bits_bytes(uint32_t capacity)
{
	return ((size_t)capacity + 63) / 64 * sizeof(uint64_t);
}

#endif
