/* channel.h: one authenticated, encrypted connection to each peer (design section 8).
 *
 * The node with the lower id dials, the other answers: so there is one connection a pair, and both
 * know which. Dialling goes round the pairs of addresses (the k-th of ours to the k-th of theirs)
 * and, where a handshake fails, round the keys, so that a link or a key can be changed. A newer
 * authenticated connection of a peer replaces the older one: the peer knows best that the old one
 * is dead.
 *
 * Who is not a peer is kept cheap: connections from addresses that no node has are closed at once;
 * at most CHANNEL_PENDING_MAX may be in their handshake, the oldest goes when there are more; a
 * handshake has CHANNEL_HANDSHAKE_MS. Each close has a named reason, logged with a limit, counted.
 *
 * The channel owns sockets and TLS; what the bytes mean is the session's business. */
#ifndef SYNCD_CHANNEL_H
#define SYNCD_CHANNEL_H

#include "common/io/evloop.h"
#include "common/keyring.h"
#include "common/wbuf.h"
#include "config/config.h"
#include "syncd/tls.h"

#include <stdbool.h>
#include <stdint.h>

#define CHANNEL_PENDING_MAX  16u
#define CHANNEL_HANDSHAKE_MS 2000 /* answering: from accept to the end of the handshake */
#define CHANNEL_DIAL_MS	     400  /* dialling: one address, connect and handshake */
#define CHANNEL_REDIAL_MS    200  /* after a failed round over all addresses */
#define CHANNEL_STALLED_MS   5000 /* unsent bytes of which nothing moves: a slow reader */
/* A turn of reading: about 300 records, one to two milliseconds of injection. */
#define CHANNEL_IN_BYTES  16384u
#define CHANNEL_OUT_BYTES 65536u
/* TCP_NOTSENT_LOWAT: what would wait longer than this stays in the dirty set and is coalesced. */
#define CHANNEL_UNSENT_BYTES 262144

enum channel_reason {
	CHANNEL_REASON_CLOSED_BY_PEER,
	CHANNEL_REASON_BROKEN,	  /* an error of the socket or of TLS */
	CHANNEL_REASON_HANDSHAKE, /* no PSK in common, or not TLS at all */
	CHANNEL_REASON_HANDSHAKE_LATE,
	CHANNEL_REASON_UNKNOWN_ADDRESS,
	CHANNEL_REASON_WRONG_DIRECTION, /* a node that we ought to dial */
	CHANNEL_REASON_TOO_MANY,
	CHANNEL_REASON_REPLACED,
	CHANNEL_REASON_STALLED,
	CHANNEL_REASON_SESSION, /* the session asked for it: its own reason is logged */
	CHANNEL_REASON_SHUTDOWN,
	CHANNEL_REASON_COUNT,
};

struct channel;

struct channel_options {
	sd_event *event;
	const struct config *cfg;   /* cfg->self is set */
	const struct keyring *ring; /* both borrowed until channel_close */
	void *context;
	/* By index among the other nodes in file order. */
	void (*on_open)(void *context, uint8_t peer);
	/* Returns how many bytes were used; the rest comes again with more. */
	size_t (*on_bytes)(void *context, uint8_t peer, const uint8_t *data, size_t size_bytes);
	/* Writes what there is to say; asked again until it writes nothing. */
	size_t (*on_fill)(void *context, uint8_t peer, struct wbuf *w);
	void (*on_close)(void *context, uint8_t peer);
};

int channel_open(struct channel **ret_channel, const struct channel_options *options)
	__attribute__((warn_unused_result));
void channel_close(struct channel *channel);

/* channel_pump: lets the session write, and sends as much as the socket takes. */
void channel_pump(struct channel *channel, uint8_t peer);

/* channel_drain: what a peer has sent and was not read yet, until the deadline. */
void channel_drain(struct channel *channel, uint8_t peer, mono_t deadline);

/* channel_drop: closes the peer's connection, at the end of this turn if one is running. */
void channel_drop(struct channel *channel, uint8_t peer, enum channel_reason reason);

bool channel_is_open(const struct channel *channel, uint8_t peer);
uint64_t channel_closed_count(const struct channel *channel, enum channel_reason reason);
const char *channel_reason_name(enum channel_reason reason);

/* channel_peer_node: the configured node behind a peer index. */
const struct config_node *channel_peer_node(const struct config *cfg, uint8_t peer);
uint8_t channel_peer_count(const struct config *cfg);

#endif
