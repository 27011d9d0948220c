/* table.h: the flow table: one compact record a flow, keyed by zone and original tuple.
 *
 * Records live in slots of one array; IPv6 addresses and the rare parts (labels, sequence
 * adjustment, helper, master, ...) in two side arrays. The hash index grows one bucket at a time
 * (linear hashing: Litwin 1980), so no insert ever pays for a rehash. The shell gives one zeroed
 * stretch of address space for `capacity` flows; only pages in use are touched, so a small table is
 * small and a million flows cost about 100 bytes each.
 *
 * The table knows nothing of peers or roles; a record's `flags` belong to the engine. A removed
 * slot is used again at once: who holds slot numbers is the engine's business. */
#ifndef SYNCD_CORE_TABLE_H
#define SYNCD_CORE_TABLE_H

#include "common/flow.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_NONE UINT32_MAX

enum table_flag {
	TABLE_FLAG_USED = 1 << 0,
	TABLE_FLAG_V6 = 1 << 1,	  /* addresses are in the side array `ext6` */
	TABLE_FLAG_DEAD = 1 << 2, /* a delete that not every consumer has been told yet */
	TABLE_FLAG_HELD = 1 << 3, /* our kernel's entry carries the hold */
	TABLE_FLAG_LIBERAL =
		1 << 4, /* our kernel's entry has a BE_LIBERAL that the source had not */
	TABLE_FLAG_ADOPTED = 1 << 5, /* came from our kernel's dump, not from an event */
	TABLE_FLAG_RETRY_1 = 1 << 6, /* two bits: how often injecting waited for its master */
	TABLE_FLAG_RETRY_2 = 1 << 7,
};

/* Above FLOW_HAS_ALL in a record's `has`: parts that our kernel refused: they are told to peers,
 * and compared, but not injected again. */
enum table_refused {
	TABLE_REFUSED_LABELS = 1 << 13,
	TABLE_REFUSED_HELPER = 1 << 14,
	TABLE_REFUSED_MASTER = 1 << 15,
};
#define TABLE_REFUSED_ALL (TABLE_REFUSED_LABELS | TABLE_REFUSED_HELPER | TABLE_REFUSED_MASTER)

/* Internal to table.c and the engine; the rest of the world loads a struct flow. 80 bytes. */
struct table_record {
	uint64_t sequence;
	uint32_t next; /* in its bucket, or in the list of free slots */
	uint32_t hash;
	uint32_t term;
	uint32_t life;
	uint32_t id;
	uint32_t mark;
	uint32_t expires_s; /* on the caller's clock of whole seconds */
	uint32_t extra;	    /* 1 + index in the side array of rare parts, 0 none */
	union {
		uint8_t v4[4][4]; /* original src, dst, reply src, dst */
		uint32_t ext6;	  /* index in the side array */
	};
	uint16_t ports[4]; /* original src, dst, reply src, dst */
	uint16_t has;
	uint16_t zone;
	uint16_t status;
	uint8_t proto;
	uint8_t flags; /* enum table_flag */
	uint8_t tcp_state;
	uint8_t tcp_flags; /* original << 4 | reply */
	uint8_t tcp_wscale;
	uint8_t group; /* index, the engine's */
	uint8_t owner;
	uint8_t zone_dir;
};

struct table_extra {
	struct flow_tuple master;
	union {
		struct {
			uint8_t labels[FLOW_LABELS_BYTES];
			struct flow_seqadj seqadj[2];
			uint32_t synproxy[3];
			uint32_t sctp_vtag[2];
		};
		struct flow_expect expect; /* of an expectation, which has none of those */
	};
	char helper[FLOW_HELPER_MAX];
	uint32_t next_free;
	uint8_t sctp_state;
};

struct table_addresses6 {
	union {
		uint8_t address[4][16];
		uint32_t next_free;
	};
};

struct table {
	struct table_record *records;
	uint32_t *buckets;
	uint64_t *used; /* a bit a slot: in use, dead ones included */
	struct table_addresses6 *addresses6;
	struct table_extra *extras;
	uint64_t hash_seed;
	uint32_t capacity;
	uint32_t high; /* slots at and above were never used */
	uint32_t free_head;
	uint32_t count;
	uint32_t bucket_count;
	uint32_t bucket_mask; /* of the round before the current split */
	uint32_t addresses6_high, addresses6_free;
	uint32_t extra_high, extra_free;
};

/* table_bytes: size of the stretch for table_init. */
size_t table_bytes(uint32_t capacity);

/* table_init: `memory` is zeroed, 8-aligned, borrowed for the table's life. `seed` is secret, so
 * that nobody can aim at one bucket. */
void table_init(struct table *t, void *memory, uint32_t capacity, uint64_t seed);

/* table_find: the slot of the key, dead ones included, or TABLE_NONE. */
uint32_t table_find(const struct table *t, const struct flow *key);

/* table_add: a new record with everything that `flow` has. TABLE_NONE: the table is full. The key
 * must not be there (CHECKed by table_find in tests, not here). */
uint32_t table_add(struct table *t, const struct flow *flow, uint8_t group, uint32_t now_s);

/* table_store: replaces everything but the key by what `flow` says. False: no room for the rare
 * parts; then they are left out and the record is otherwise stored. */
bool table_store(
	struct table *t, uint32_t slot, const struct flow *flow, uint8_t group, uint32_t now_s);

/* table_load: the whole flow; timeout_s is what is left at now_s (0 when passed). group_tag is not
 * filled: the engine knows it. */
void table_load(const struct table *t, uint32_t slot, uint32_t now_s, struct flow *ret_flow);

/* table_load_key: zone and original tuple alone. */
void table_load_key(const struct table *t, uint32_t slot, struct flow *ret_flow);

void table_remove(struct table *t, uint32_t slot);

static inline struct table_record *table_at(struct table *t, uint32_t slot)
{
	return &t->records[slot];
}

static inline bool table_is_used(const struct table *t, uint32_t slot)
{
	return t->used[slot / 64] >> slot % 64 & 1;
}

#endif
