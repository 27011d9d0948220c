/* nfnl.h: the nf_tables dialect of netlink, without allocation, for the fast half and the census.
 *
 * Two kinds of socket. A *command* socket sends requests and batches and reads their answers; since
 * the kernel handles nfnetlink in the sender's own context, every answer is queued when send
 * returns, so that reading never waits. An *event* socket has joined NFNLGRP_NFTABLES: after each
 * commit it holds one message for each changed object and then NFT_MSG_NEWGEN with the generation,
 * the pid and the name of who did it (nf_tables_api.c, nf_tables_gen_notify).
 *
 * Messages are walked and written with libmnl by hand: libnftnl allocates for each object. */
#ifndef RULES_NFNL_H
#define RULES_NFNL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <netinet/in.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#define NFNL_RECEIVE_BYTES     65536u	  /* one dump message; the kernel fills 32 kB */
#define NFNL_EVENT_QUEUE_BYTES (4u << 20) /* of the event socket; full = a full verification */
#define NFNL_DUMP_TRIES	       16u	  /* a dump that a commit cut through is taken again */

struct nfnl {
	int fd; /* -1 = closed */
	uint32_t portid;
	uint32_t seq;
	_Alignas(8) char buffer[NFNL_RECEIVE_BYTES];
};

/* nfnl_open: a command socket, or the event socket of rule changes; nfnl_open_group: an event
 * socket of another group. 0 or -errno. nfnl_close accepts a closed one, but not a zeroed one: its
 * fd 0 is somebody's; nfnl_reset() makes it a closed one. */
int nfnl_open(struct nfnl *n, bool events);
int nfnl_open_group(struct nfnl *n, int group);
void nfnl_reset(struct nfnl *n);
void nfnl_close(struct nfnl *n);

/* nfnl_generation: the ruleset's generation now. 0 or -errno. */
int nfnl_generation(struct nfnl *n, uint32_t *ret_generation);

/* nfnl_dump: all objects of a kind (NFT_MSG_GET...), of one family (NFPROTO_UNSPEC = all), and of
 * one table where the kernel filters by it (rules, sets, objects), rules of one `chain` of it (or
 * NULL); `visit` sees each message and must not use `n`. -EINTR: a commit cut through, what was
 * visited is no snapshot; other -errno. */
int nfnl_dump(struct nfnl *n, uint16_t type, uint8_t family, const char *table,
	void (*visit)(const struct nlmsghdr *nlh, void *context), void *context);
int nfnl_dump_chain(struct nfnl *n, uint8_t family, const char *table, const char *chain,
	void (*visit)(const struct nlmsghdr *nlh, void *context), void *context);

/* nfnl_request: sends prepared messages, not a batch, and hands every answer to `visit`. Returns 0,
 * or the first error among the answers. */
int nfnl_request(struct nfnl *n, const void *messages, size_t size_bytes,
	void (*visit)(const struct nlmsghdr *nlh, void *context), void *context);

/* nfnl_send_batch: a prepared batch; 0 when it was committed, else -errno of its first failure
 * (-ERESTART: the generation in its head is no longer the ruleset's). */
int nfnl_send_batch(struct nfnl *n, const void *batch, size_t size_bytes);

/* nfnl_next_event: the next event without waiting; visit sees each message of one read. 1 = read
 * some, 0 = none there, -ENOBUFS = events were lost, other -errno. */
int nfnl_next_event(
	struct nfnl *n, void (*visit)(const struct nlmsghdr *nlh, void *context), void *context);

/* ---- reading a message ---------------------------------------------------------------------- */

/* nfnl_type: the NFT_MSG_ of a message, or -1 when it is not one of nf_tables. */
int nfnl_type(const struct nlmsghdr *nlh);
uint8_t nfnl_family(const struct nlmsghdr *nlh);
/* nfnl_attr: the attribute, validated to hold at least size_bytes, or NULL. */
const struct nlattr *nfnl_attr(const struct nlmsghdr *nlh, uint16_t type, size_t size_bytes);
uint32_t nfnl_u32(const struct nlmsghdr *nlh, uint16_t type); /* network order; 0 when absent */
uint64_t nfnl_u64(const struct nlmsghdr *nlh, uint16_t type);
const char *nfnl_text(const struct nlmsghdr *nlh, uint16_t type); /* "" when absent */

/* ---- writing a batch ------------------------------------------------------------------------- */

/* A batch under construction in the caller's memory; sticky `failed` when full. */
struct nfnl_batch {
	char *start;
	size_t size_bytes;
	size_t used_bytes;
	size_t generation_offset; /* of the u32 in the head; 0 = the batch compares none */
	size_t last_offset;	  /* of the last command: it asks for the answer */
	bool failed;
};

/* nfnl_batch_begin: `memory` borrowed as long as the batch is used, 8-byte aligned. */
void nfnl_batch_begin(struct nfnl_batch *b, void *memory, size_t size_bytes, bool compares);
/* nfnl_batch_add: a command to be filled with mnl_attr_put_...; then nfnl_batch_added(). NULL when
 * fewer than NFNL_MESSAGE_ROOM bytes are left. */
#define NFNL_MESSAGE_ROOM 4096u
struct nlmsghdr *nfnl_batch_add(
	struct nfnl_batch *b, uint16_t type, uint16_t flags, uint8_t family);
void nfnl_batch_added(struct nfnl_batch *b, const struct nlmsghdr *nlh);
/* nfnl_batch_end: closes it; true when all fitted. */
bool nfnl_batch_end(struct nfnl_batch *b);
void nfnl_batch_set_generation(struct nfnl_batch *b, uint32_t generation);

/* nfnl_batch_canary: the no-op: adds the element that a table's canary set has had since the load.
 * With the table gone it fails, and the whole batch with it; without it a flip of a missing table
 * would create that table, empty and awake (measured, facts/experiments.md 4b). */
void nfnl_batch_canary(struct nfnl_batch *b, uint8_t family, const char *table);
/* nfnl_batch_flip: wakes a table or puts it to sleep; no effect on one that is so already. */
void nfnl_batch_flip(struct nfnl_batch *b, uint8_t family, const char *table, bool asleep);

#endif
