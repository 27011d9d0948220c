/* kernel_dump.h: reading our kernel's whole table, a slice at a time.
 *
 * One dump at a time, a buffer of answers a turn, so that events, peers and deadlines come in
 * between. It serves four ends: adopting what an earlier life of syncd (or the time as a standby)
 * left, telling timeouts that the kernel never reports, finding what lost events would have said,
 * and finding entries of ours that a standby's kernel has evicted. A dump may skip or repeat
 * entries (facts 2.1), so what it did not show is asked for one by one (a request that changes
 * nothing, in batches) before it counts as gone.
 *
 * The kernel walks every bucket of its hash for a dump, with softirqs off, and stops early only
 * when a buffer is full (ctnetlink_dump_table(), nf_conntrack_netlink.c): 40 ns an empty bucket
 * here, 40 ms in one piece for 1,048,576 of them with a few flows. For so long neither a packet nor
 * carpd has that processor. So where it is enough to see what is known (after a promotion, when the
 * table came from a source), and the table is small beside the hash, the entries are asked for one
 * by one instead. */
#ifndef SYNCD_KERNEL_DUMP_H
#define SYNCD_KERNEL_DUMP_H

#include "common/io/nl.h"
#include "common/mono.h"
#include "syncd/core/engine.h"
#include "syncd/kernel_batch.h"

#include <stdbool.h>

#define KERNEL_DUMP_READ_BYTES	(64u * 1024u)
#define KERNEL_DUMP_PROBES_TURN 512u
#define KERNEL_DUMP_ASKS_TURN	128u
/* Fewer flows than one in so many buckets: a read of the dump would last longer than a turn. */
#define KERNEL_DUMP_SPARSE 128u

enum kernel_dump_scope {
	KERNEL_DUMP_KNOWN = 1, /* flows of the engine's table will do */
	KERNEL_DUMP_ALL,       /* and those that it does not know */
};

enum kernel_dump_state {
	KERNEL_DUMP_IDLE = 0,
	KERNEL_DUMP_ASKING, /* what is known, entry by entry */
	KERNEL_DUMP_READING,
	KERNEL_DUMP_PROBING,
};

struct kernel_dump {
	struct nl nl;
	struct kernel_batch *batch; /* for the probes; borrowed */
	struct engine *engine;	    /* borrowed */
	uint8_t *buffer;
	uint64_t *shown; /* a bit a slot */
	enum kernel_dump_state state;
	enum kernel_dump_scope again; /* asked for while one was running; 0: not */
	mono_t now;
	mono_t started_at;
	uint64_t started_sequence;
	uint32_t probe_cursor;
	uint32_t ask_cursor;
	uint32_t ask_slots[KERNEL_DUMP_ASKS_TURN]; /* by sequence number, from ask_seq on */
	uint32_t ask_seq;
	uint32_t asked;
	bool expectations;			   /* READING: the flows have been read */
	bool failed;				   /* the last one, in its middle */
	uint64_t dumps, walks, entries, bad, gone; /* walks: dumps of the whole hash */
	/* on_entry: what to do with an entry; the slot that it belongs to, or TABLE_NONE. */
	uint32_t (*on_entry)(void *context, const struct flow *flow);
	void (*on_end)(void *context); /* after the probes */
	/* on_gone: a flow that ought to be in the kernel is not; NULL: engine_kernel_lost(). */
	void (*on_gone)(void *context, uint32_t slot);
	void *context;
};

int kernel_dump_open(struct kernel_dump *dump, struct engine *engine, struct kernel_batch *batch,
	uint32_t (*on_entry)(void *context, const struct flow *flow), void (*on_end)(void *context),
	void *context) __attribute__((warn_unused_result));
void kernel_dump_close(struct kernel_dump *dump);

/* kernel_dump_start: now, or right after the one that is running. 0 or a negative errno. */
int kernel_dump_start(struct kernel_dump *dump, mono_t now, enum kernel_dump_scope scope);

/* kernel_dump_is_empty: whether the kernel's table (of our network namespace) has no entry. */
bool kernel_dump_is_empty(void);

/* kernel_dump_turn: one read, or one slice of questions or probes. */
void kernel_dump_turn(struct kernel_dump *dump, mono_t now);

static inline bool kernel_dump_is_running(const struct kernel_dump *dump)
{
	return dump->state != KERNEL_DUMP_IDLE;
}

#endif
