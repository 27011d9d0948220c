/* names.h: short names for flows, given by a peer: it told a flow once with a number, and from then
 * on the number stands for the key. One set a peer; both directions are kept, so that a slot that
 * went to another flow meanwhile no longer answers to the old name.
 *
 * 8 bytes a flow, in memory that is touched only where there are flows. A name above the capacity
 * is not remembered: HELLO says how many we take (doc/protocol-sync.md). */
#ifndef SYNCD_CORE_NAMES_H
#define SYNCD_CORE_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct names {
	uint32_t *slots; /* 1 + slot, by name; what it says counts only if the slot agrees */
	uint32_t *names; /* 1 + name, by slot */
	uint32_t capacity;
};

/* names_bytes: of the zeroed, 4-aligned memory for names_init, borrowed. */
size_t names_bytes(uint32_t capacity);
void names_init(struct names *names, void *memory, uint32_t capacity);

/* names_forget_all: a new session; slots at and above high were never used. */
void names_forget_all(struct names *names, uint32_t high);

/* names_forget: the slot is another flow's from now on. */
void names_forget(struct names *names, uint32_t slot);

/* names_drop: nobody has the name any more. */
void names_drop(struct names *names, uint32_t name);

/* names_give: a name that had another slot moves. */
void names_give(struct names *names, uint32_t name, uint32_t slot);

/* names_find: the slot, or TABLE_NONE. */
uint32_t names_find(const struct names *names, uint32_t name);

#endif
