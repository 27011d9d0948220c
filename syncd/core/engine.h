/* engine.h: what this node knows of every flow, and who has still to be told.
 *
 * The engine joins the table with its consumers: each peer's session, and our own kernel, which is
 * told by batched injection. For each consumer it keeps a set of dirty flows (dirty.h) and which
 * flows the consumer knows, so that a change is told as create, update, or delete-then-create (a
 * tuple that was deleted and re-created is a new flow, design section 8). A deleted flow stays as a
 * dead record until all who knew it are told.
 *
 * Per group the node has a role: ACTIVE, its kernel is the source: events and dumps are written
 * down, stamped (term, this node, life, sequence), and told to the peers. STANDBY: the source
 * peer's records are written down and told to our kernel, held. FROZEN: carpd is not there: nothing
 * moves. A record is only ever replaced by one with a higher stamp: a stale node, or a late packet
 * of the old master, changes nothing.
 *
 * Pure: no clock (now comes in), no allocation, no I/O. Bad input from a peer is an enum
 * engine_drop with a counter. */
#ifndef SYNCD_CORE_ENGINE_H
#define SYNCD_CORE_ENGINE_H

#include "common/flow.h"
#include "common/mono.h"
#include "common/syncmsg.h"
#include "syncd/core/digest.h"
#include "syncd/core/dirty.h"
#include "syncd/core/limits.h"
#include "syncd/core/names.h"
#include "syncd/core/table.h"

enum engine_drop {
	ENGINE_DROP_NONE = 0,
	ENGINE_DROP_UNKNOWN_GROUP,
	ENGINE_DROP_NOT_SOURCE, /* the peer is not whom this group's records are taken from */
	ENGINE_DROP_STALE,	/* our record has a higher stamp */
	ENGINE_DROP_BACKWARDS,	/* a tail would have moved a TCP state back */
	ENGINE_DROP_PARTIAL,	/* an update of a flow that is not here, without its reply tuple */
	ENGINE_DROP_TABLE_FULL,
	ENGINE_DROP_NO_SUCH_FLOW, /* a delete of what is not here */
	ENGINE_DROP_KERNEL_CLASH, /* our kernel holds another flow with that reply tuple */
	ENGINE_DROP_KERNEL_FULL,  /* ENOMEM: tried again later */
	ENGINE_DROP_KERNEL_CHAIN, /* ENOSPC: its bucket is too long: at the next comparison again */
	ENGINE_DROP_KERNEL_OTHER,
	ENGINE_DROP_COUNT,
};

enum engine_op_type {
	ENGINE_OP_CREATE,
	ENGINE_OP_UPDATE,
	ENGINE_OP_DELETE,
};

/* One thing to tell the kernel. */
struct engine_op {
	enum engine_op_type type;
	uint32_t slot;
	bool liberal;	  /* set BE_LIBERAL on both directions although the source has not */
	struct flow flow; /* timeout_s is what the kernel shall get, hold included */
};

#define ENGINE_DIGEST_BYTES (DIGEST_BUCKETS * sizeof(uint64_t)) /* of one group */

/* What a peer says about itself and a group. */
struct engine_claim {
	enum syncmsg_role role;
	uint32_t term;
	uint8_t term_owner;
};

struct engine_group {
	uint32_t tag;
	enum syncmsg_role role;
	uint32_t term; /* that we stamp with while active */
	uint8_t term_owner;
	uint32_t turn;	  /* counts our changes of role: transfers of an earlier turn are void */
	int8_t tail_peer; /* whose tail is accepted while active; -1 nobody's */
	mono_t tail_until;
	struct engine_claim claims[LIMIT_PEERS];
	bool retell; /* until a transfer ends our kernel is told even what it ought to have */
	uint32_t flow_count;
	uint64_t *digests; /* a sum a bucket: digest.h */
};

struct engine_consumer {
	struct dirty dirty;
	uint64_t *known;    /* a bit a slot: the consumer has it */
	uint64_t *recreate; /* it is another incarnation of what the consumer has */
	uint64_t *
		named; /* a peer: it was told by a name, its slot, and has all that never changes */
	uint32_t names_max; /* slots below are names that the peer remembers */
	uint32_t told;	 /* the slot of the record told last: its name if it is below names_max */
	bool told_named; /* the peer knew it by that name */
	bool attached;
};

struct engine_config {
	uint8_t self; /* node id */
	uint8_t peer_count;
	uint8_t group_count;
	uint32_t group_tags[LIMIT_GROUPS];
	uint32_t life; /* of our kernel's table */
	uint32_t capacity;
	uint64_t first_sequence; /* above every one that this life has used */
	uint64_t seed; /* of the table's hash: the same on all nodes, or no digest is equal */
	struct digest_key digest_key;
	bool warm;
};

struct engine {
	struct engine_config config;
	struct table table;
	struct engine_group groups[LIMIT_GROUPS];
	struct engine_consumer consumers[SYNC_CONSUMERS]; /* [SYNC_CONSUMER_KERNEL] is the kernel */
	uint64_t *seen[LIMIT_PEERS];			  /* marks of the running transfer */
	struct names names[LIMIT_PEERS];		  /* that the peers gave to our flows */
	uint64_t *compared_out[LIMIT_PEERS];		  /* our digests, as they are being told */
	uint64_t *compared_in[LIMIT_PEERS];		  /* ours minus theirs */
	uint64_t sequence;
	uint32_t dead_count;	  /* records that wait for somebody to be told */
	mono_t kernel_full_until; /* ENOMEM: nothing is injected before */
	bool kernel_full;
	bool adopting; /* our kernel is being read for leftovers: no peer is taken as source yet */
	bool table_full;
	uint64_t drops[ENGINE_DROP_COUNT];
	uint64_t kernel_events; /* accepted ones */
	uint64_t injected;
	uint64_t forgotten; /* left to our kernel: the source does not have them */
};

const char *engine_drop_name(enum engine_drop drop);

/* engine_bytes: memory for engine_init; 8-aligned, zeroed, borrowed. */
size_t engine_bytes(uint32_t capacity, uint8_t peer_count);
void engine_init(struct engine *e, const struct engine_config *config, void *memory);

/* engine_group_index: of a tag, or -1. */
int engine_group_index(const struct engine *e, uint32_t tag);

/* ---- roles ---- */

/* engine_set_role: our role in a group, with the term that stamps what our kernel changes from now
 * on. tail_peer: in a hand-over the peer whose last changes are still taken, else -1. */
void engine_set_role(struct engine *e, uint8_t group, enum syncmsg_role role, uint32_t term,
	uint8_t term_owner, int tail_peer, mono_t now);

/* engine_tail_ended: the old master has said its last word, or its time is up. */
void engine_tail_ended(struct engine *e, uint8_t group);

/* engine_claim: a peer tells its role. */
void engine_set_claim(struct engine *e, uint8_t peer, uint8_t group, struct engine_claim claim);

/* engine_source: the peer whose records of the group are taken: the one that claims to be active
 * with the highest term; -1 nobody, or we are not a standby. */
int engine_source(const struct engine *e, uint8_t group);

bool engine_any_active(const struct engine *e);

/* ---- our kernel as the source ---- */

/* engine_kernel_upsert: an event (NEW, UPDATE) or an entry of a dump, for a group in which we are
 * active; otherwise nothing happens. Returns the slot, or TABLE_NONE. */
uint32_t engine_kernel_upsert(
	struct engine *e, mono_t now, const struct flow *flow, uint8_t group, bool from_dump);

/* engine_master_group: the group of a flow's or expectation's master; -1: it is not in the table.
 */
int engine_master_group(const struct engine *e, const struct flow *flow);

/* engine_kernel_destroy: a DESTROY event, or an entry that a dump no longer shows. */
void engine_kernel_destroy(struct engine *e, mono_t now, const struct flow *flow);

/* engine_adopt: an entry found in our kernel while we are a standby, which shows the hold: left by
 * an earlier life of this process. Its stamp is below all, so any source overrules it. */
void engine_adopt(struct engine *e, mono_t now, const struct flow *flow, uint8_t group);

/* engine_kernel_lost: our kernel does not have an entry that it ought to: while active the flow has
 * ended unheard, on a standby it is injected again. */
void engine_kernel_lost(struct engine *e, mono_t now, uint32_t slot);

/* engine_retime: after a promotion, for an entry that a dump (engine_kernel_upsert) has just shown
 * with its hold: the flow with the timeout that it shall have, at least full_s. False: no hold. */
bool engine_retime(
	struct engine *e, mono_t now, uint32_t slot, uint32_t full_s, struct flow *ret_flow);

/* engine_loose_next: after a demotion: the next TCP flow of these groups (a bit each), from *cursor
 * on, whose entry our kernel has in its own right, strict about windows. False: the end. */
bool engine_loose_next(struct engine *e, mono_t now, uint32_t groups, uint32_t *cursor,
	struct flow *ret_flow) __attribute__((warn_unused_result));

/* engine_strict_next: after liberal_grace: the next flow, from *cursor on, whose entry has a
 * BE_LIBERAL of ours. False: the end. */
bool engine_strict_next(struct engine *e, mono_t now, uint32_t *cursor, struct flow *ret_flow);

/* ---- our kernel as a consumer ---- */

/* engine_op_next: the next thing to tell the kernel; false when there is nothing (or it is full).
 * The kernel is taken to have done it; engine_op_failed takes that back. */
bool engine_op_next(struct engine *e, mono_t now, struct engine_op *ret_op);

/* engine_op_failed: the kernel's answer (a positive errno) to an operation of engine_op_next. */
void engine_op_failed(
	struct engine *e, mono_t now, enum engine_op_type type, uint32_t slot, int error);

/* engine_clash_settle: our kernel refused to create the flow in the slot (EEXIST) because another
 * entry, the holder, has its reply tuple: each side of a cluster in two has given away one address
 * and port. The higher stamp has it; what the table does not know has none. True: the holder is to
 * be deleted, and the flow will be created again. */
bool engine_clash_settle(struct engine *e, uint32_t slot, const struct flow *holder);

/* engine_retell: what the next transfer of a group repeats is told to our kernel again: somebody
 * may have changed it behind our back. */
void engine_retell(struct engine *e);

/* engine_kernel_room: a batch went through without ENOMEM. */
void engine_kernel_room(struct engine *e);

/* engine_inject_group: marks everything of a group that the kernel does not have (mode
 * on-promotion), masters first. */
void engine_inject_group(struct engine *e, uint8_t group);

/* ---- a peer as the source ---- */

enum engine_drop engine_peer_upsert(
	struct engine *e, mono_t now, uint8_t peer, const struct flow *flow);
enum engine_drop engine_peer_delete(
	struct engine *e, mono_t now, uint8_t peer, const struct flow *flow);

/* engine_peer_name: the peer's name for a flow that it has just told, and that was taken. */
void engine_peer_name(struct engine *e, uint8_t peer, uint32_t name, const struct flow *flow);

/* engine_peer_unname: the name means nothing here from now on: its flow is gone at the peer, or
 * what the peer told with it was not taken. */
void engine_peer_unname(struct engine *e, uint8_t peer, uint32_t name);

/* engine_peer_named: completes a change or a delete that names its flow: the key. False: nobody has
 * that name (any more); counted as ENGINE_DROP_PARTIAL. */
bool engine_peer_named(struct engine *e, uint8_t peer, uint32_t name, struct flow *flow)
	__attribute__((warn_unused_result));

/* engine_transfer_begin: forgets the marks of the peer's last transfer. */
void engine_transfer_begin(struct engine *e, uint8_t peer);

/* engine_transfer_end: what of the group is alive and was not marked goes; returns how many.
 * differing: after a comparison: only in buckets where this is not 0; everywhere else our flows are
 * the source's, and our kernel is made to hold them. NULL: all were told. */
uint32_t engine_transfer_end(
	struct engine *e, mono_t now, uint8_t peer, uint8_t group, const uint64_t *differing);

/* ---- a peer as a consumer ---- */

/* engine_attach: a session begins: the peer knows nothing; live changes are collected from now. It
 * remembers names below names_max. */
void engine_attach(struct engine *e, uint8_t peer, uint32_t names_max);
void engine_detach(struct engine *e, uint8_t peer);

/* engine_tell_next: the next live change for a peer: 1 message type in *ret_type, or none: false.
 * A re-created flow comes twice: as DELETE, then as UPSERT. Updates leave out what the peer has.
 * How the flow may be named is in the consumer's told and told_named. */
bool engine_tell_next(struct engine *e, mono_t now, uint8_t peer, enum syncmsg_type *ret_type,
	struct flow *ret_flow);

/* engine_bulk_next: the next flow of the groups (bit mask by index) at or after *cursor that the
 * peer does not know. False: the end. */
bool engine_bulk_next(struct engine *e, mono_t now, uint8_t peer, uint32_t groups, uint32_t *cursor,
	struct flow *ret_flow);

/* engine_forget_group: the peer asked for all of a group again. */
void engine_forget_group(struct engine *e, uint8_t peer, uint8_t group);

/* engine_compare_begin: our digests of a group, for a peer to whom everything has been told: set
 * aside, and the peer is taken to know every flow, until it says which buckets differ. */
void engine_compare_begin(struct engine *e, uint8_t peer, uint8_t group);

/* engine_compare_forget: the peer asks for these buckets (a bit each). */
void engine_compare_forget(struct engine *e, uint8_t peer, uint8_t group, const uint32_t *buckets);

/* ---- shared by the shell ---- */

uint32_t engine_seconds(mono_t now);
bool engine_kernel_has(const struct engine *e, uint32_t slot);
static inline uint32_t engine_flow_count(const struct engine *e)
{
	return e->table.count - e->dead_count;
}

#endif
