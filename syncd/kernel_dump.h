/* kernel_dump.h: reading our kernel's whole table, a slice at a time.
 *
 * One dump at a time, a buffer of answers a turn, so that events, peers and deadlines come in
 * between. It serves four ends: adopting what an earlier life of syncd (or the time as a standby)
 * left, telling timeouts that the kernel never reports, finding what lost events would have said,
 * and finding entries of ours that a standby's kernel has evicted. A dump may skip or repeat
 * entries (facts 2.1), so what it did not show is asked for one by one (a request that changes
 * nothing, in batches) before it counts as gone. */
#ifndef SYNCD_KERNEL_DUMP_H
#define SYNCD_KERNEL_DUMP_H

#include "common/io/nl.h"
#include "common/mono.h"
#include "syncd/core/engine.h"
#include "syncd/kernel_batch.h"

#include <stdbool.h>

#define KERNEL_DUMP_READ_BYTES	(64u * 1024u)
#define KERNEL_DUMP_PROBES_TURN 512u

enum kernel_dump_state {
	KERNEL_DUMP_IDLE = 0,
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
	bool again; /* asked for while one was running */
	mono_t now;
	mono_t started_at;
	uint64_t started_sequence;
	uint32_t probe_cursor;
	uint64_t dumps, entries, bad, gone;
	/* on_entry: what to do with an entry; the slot that it belongs to, or TABLE_NONE. */
	uint32_t (*on_entry)(void *context, const struct flow *flow);
	void (*on_end)(void *context); /* after the probes */
	void *context;
};

int kernel_dump_open(struct kernel_dump *dump, struct engine *engine, struct kernel_batch *batch,
	uint32_t (*on_entry)(void *context, const struct flow *flow), void (*on_end)(void *context),
	void *context) __attribute__((warn_unused_result));
void kernel_dump_close(struct kernel_dump *dump);

/* kernel_dump_start: now, or right after the one that is running. 0 or a negative errno. */
int kernel_dump_start(struct kernel_dump *dump, mono_t now);

/* kernel_dump_turn: one read, or one slice of probes. */
void kernel_dump_turn(struct kernel_dump *dump, mono_t now);

static inline bool kernel_dump_is_running(const struct kernel_dump *dump)
{
	return dump->state != KERNEL_DUMP_IDLE;
}

#endif
