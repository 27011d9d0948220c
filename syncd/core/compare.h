/* compare.h: the part of a session in which two tables are compared by digests (digest.h).
 *
 *   standby                              source
 *   COMPARE group            ------->    waits until nothing is unsent
 *   sets its own aside       <-------    DIGEST_BEGIN   (the place in the stream that is compared)
 *   subtracts                <-------    DIGEST ...     (chunks; those of zeros are left out)
 *                            <-------    DIGEST_END
 *   FETCH ... FETCH_END      ------->
 *   sweeps these buckets     <-------    BEGIN, flows of the buckets that differ, END
 *
 * Live changes go on in between. Both sides set their digests aside at DIGEST_BEGIN, which has its
 * place in the stream, so a difference is never one of timing. The source takes the peer to know
 * everything from there on (deletes are told), until FETCH says otherwise. One comparison a
 * direction at a time. */
#ifndef SYNCD_CORE_COMPARE_H
#define SYNCD_CORE_COMPARE_H

#include "common/mono.h"
#include "common/syncmsg.h"
#include "common/wbuf.h"
#include "syncd/core/engine.h"

struct session;

struct compare {
	/* As a source. */
	uint32_t wanted; /* groups */
	mono_t wanted_at;
	int8_t out_group; /* -1: none is running */
	uint32_t out_transfer;
	uint32_t out_chunk; /* the next; above SYNCMSG_DIGEST_CHUNKS all is told */
	bool fetched;	    /* FETCH_END has come: the transfer is due */
	uint32_t fetch[SYNCMSG_DIGEST_CHUNKS];

	/* As a standby. */
	int8_t in_group; /* -1: none, or one that is not ours */
	uint32_t in_tag;
	uint32_t in_transfer; /* of the last DIGEST_BEGIN */
	bool answering;
	uint32_t in_chunk;
	uint32_t differing; /* buckets, in the last comparison */
	uint64_t compares, differing_total;
};

void compare_init(struct compare *c);

/* compare_ask: COMPARE has come. */
void compare_ask(struct session *s, mono_t now, uint8_t group);

/* compare_abort: the peer wants everything of a group. */
void compare_abort(struct compare *c, uint8_t group);

/* compare_on_message: DIGEST_BEGIN, DIGEST, DIGEST_END, FETCH, FETCH_END. */
void compare_on_message(struct session *s, struct engine *e, const struct syncmsg *msg);

/* compare_fill: as far as there is room. `quiet`: the peer has been told every change. */
void compare_fill(struct session *s, struct engine *e, mono_t now, struct wbuf *w, bool quiet);

/* compare_take_fetched: the group whose buckets are to be transferred now, or -1. */
int compare_take_fetched(struct session *s, struct engine *e);

/* compare_differing: for a transfer of that number: what differed in the group, or NULL: it was not
 * compared. */
const uint64_t *compare_differing(
	const struct session *s, const struct engine *e, uint8_t group, uint32_t transfer);

/* compare_has_more: compare_fill would write. */
bool compare_has_more(const struct session *s, const struct engine *e);

#endif
