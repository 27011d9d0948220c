/* verify.h: the proof that two nodes hold the same flows, and their kernels too.
 *
 *   who asks                               who answers
 *   VERIFY group            ------->       takes every bucket that it has flows in to differ
 *   VERIFY_DIGEST ...       ------->       compares with its own digests, as they stand
 *   VERIFY_ASK              ------->
 *                           <-------       VERIFY_BUCKETS ..., VERIFY_FLOW ... (its flows there)
 *   compares flow by flow   <-------       VERIFY_END
 *   VERIFY_KERNEL           ------->       reads its own kernel
 *                           <-------       VERIFY_FLOW ... (what differs), VERIFY_END
 *
 * Nothing is repaired and nothing else waits: unlike a comparison (compare.h) it may run between
 * any two nodes, in either direction. On a moving table a pass may name flows that were just on
 * their way; who asks repeats it, and believes what persists.
 *
 * Pure: lists and marks are the caller's memory. */
#ifndef SYNCD_CORE_VERIFY_H
#define SYNCD_CORE_VERIFY_H

#include "common/mono.h"
#include "common/syncmsg.h"
#include "common/wbuf.h"
#include "syncd/core/engine.h"

#define VERIFY_LIST_MAX 1024u /* differences that are named; the rest is counted */

struct session;

enum verify_kind {
	VERIFY_KERNEL_MISSING = 0, /* the node's table has it, its kernel does not */
	VERIFY_KERNEL_EXTRA,	   /* its kernel has it, its table does not */
	VERIFY_KERNEL_DIFFERS,
	VERIFY_PEER_MISSING, /* we have it, the peer does not */
	VERIFY_PEER_EXTRA,
	VERIFY_PEER_DIFFERS,
	VERIFY_KIND_COUNT,
};

/* Above FLOW_HAS_ALL in `fields`. */
#define VERIFY_FIELD_STAMP (1u << 13)

struct verify_item {
	enum verify_kind kind;
	uint32_t fields; /* of ..._DIFFERS: enum flow_has, VERIFY_FIELD_STAMP */
	struct flow flow;
};

struct verify_list {
	struct verify_item *items; /* VERIFY_LIST_MAX */
	uint32_t count;
	uint64_t total;
};

struct verify {
	/* As the one who asks. */
	bool asking;
	bool waiting; /* for VERIFY_END */
	bool kernel_told;
	bool finished;
	uint8_t group;
	uint32_t number;
	uint32_t chunk;
	uint32_t masks[SYNCMSG_DIGEST_CHUNKS];
	struct verify_list *found;
	uint64_t *named; /* our flows that the peer has named; a bit a slot */

	/* As the one who answers. */
	bool answering;
	bool kernel_asked; /* the shell reads our kernel, then calls verify_kernel_read */
	int8_t out_group;
	uint32_t out_tag;
	uint32_t out_number;
	uint32_t out_masks[SYNCMSG_DIGEST_CHUNKS];
	uint32_t out_chunk;
	uint32_t out_cursor;
	const struct verify_list *kernel;
	uint32_t kernel_cursor;
};

void verify_list_add(
	struct verify_list *list, enum verify_kind kind, uint32_t fields, const struct flow *flow);

/* verify_kernel_fields: in what an entry of our kernel differs from the flow that it belongs to:
 * enum flow_has, 0: in nothing. Left out: timeouts, ids, what injection adds (BE_LIBERAL), and what
 * the kernel has refused. */
uint32_t verify_kernel_fields(
	const struct engine *e, mono_t now, uint32_t slot, const struct flow *entry);

/* verify_should_hold: our kernel ought to have the slot's flow, and nothing about it is on its way.
 */
bool verify_should_hold(const struct engine *e, uint32_t slot);

/* verify_start: asks the peer of a live session. `found` and `named` (bits_bytes(capacity), zeroed)
 * are borrowed until it is finished or the session ends. */
void verify_start(struct session *s, uint32_t number, struct verify_list *found, uint64_t *named);

/* verify_kernel_read: `kernel` is what VERIFY_KERNEL asked for; borrowed until the session has told
 * it (kernel is NULL again). */
void verify_kernel_read(struct session *s, const struct verify_list *kernel);

void verify_on_message(struct session *s, struct engine *e, mono_t now, const struct syncmsg *msg);
void verify_fill(struct session *s, struct engine *e, mono_t now, struct wbuf *w);
bool verify_has_more(const struct session *s);

#endif
