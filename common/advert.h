/* advert.h: the native advert, wire version 4 of IP protocol 112.
 *
 * One advert speaks for one group of its sender on one path. Every number is in network byte order,
 * there is no padding that a receiver skips, and the length follows exactly from the three counts:
 *
 *     0               1               2               3
 *     +---------------+---------------+---------------+---------------+
 *   0 | 4 |  type = 1 |     vhid      |  peer_count   |  path_count   |
 *   4 |   key_count   |    sender     |         length in bytes       |
 *   8 |                            key id                             |
 *  12 |                           path tag                            |
 *  16 |                           group tag                           |
 *  20 |     state     |    reason     |  highest wire |   not ready   |
 *  24 |                      boot epoch (8 bytes)                     |
 *  32 |                       counter (8 bytes)                       |
 *  40 |                     interval in us (signed)                   |
 *  44 |           demotion            |             flags             |
 *  48 |                     term number (8 bytes)                     |
 *  56 |  term owner   |  handover to  | handover from |   successor   |
 *  60 |                          handover id                          |
 *  64 |                   age of the state in ms                      |
 *  68 | request kind  | request node  | request flags |  answer node  |
 *  72 |                         request nonce                         |
 *  76 |  answer code  | challenge to  |    echo to    |    zero       |
 *  80 |                         answer nonce                          |
 *  84 |                     challenge (16 bytes)                      |
 * 100 |                       echo (16 bytes)                         |
 * 116 |                  ruleset fingerprint (8 bytes)                |
 * 124 |                  config fingerprint (8 bytes)                 |
 * 132 |                address-set fingerprint (8 bytes)              |
 * 140 |    key_count x accepted key id (4 bytes each)                 |
 *     |    peer_count x node id (1 byte each)                         |
 *     |    path_count x { path tag (4), port (1), heard (1) }         |
 *     |    HMAC-SHA-256 (32 bytes)                                    |
 *     +---------------------------------------------------------------+
 *
 * Bit i of `heard` says that the sender hears the i-th node of its peer list on that path. The tag
 * covers every byte before it and the cluster's name (which is in the derived key's label besides).
 * The order of a receiver is: TTL, exact length, version, key, tag, decode; and then, in the core,
 * path, epoch, replay, state. Nothing before the tag is believed.
 *
 * Counters run per boot epoch over all of a sender's adverts together, so that one proof of an
 * epoch gives every lane its baseline. Counter UINT64_MAX is the resignation: the epoch's last
 * word. */
#ifndef COMMON_ADVERT_H
#define COMMON_ADVERT_H

#include "common/crypto.h"
#include "common/keyring.h"
#include "common/limits.h"
#include "common/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADVERT_IP_PROTOCOL     112u /* CARP's and VRRP's too: the version tells */
#define ADVERT_TTL	       255u
#define ADVERT_WIRE_VERSION    4u
#define ADVERT_TYPE	       1u
#define ADVERT_FIXED_BYTES     140u
#define ADVERT_TAG_BYTES       CRYPTO_HASH_BYTES
#define ADVERT_CHALLENGE_BYTES 16u
#define ADVERT_PATHS_MAX       LIMIT_PATHS
#define ADVERT_BYTES_MIN       (ADVERT_FIXED_BYTES + ADVERT_TAG_BYTES)
#define ADVERT_BYTES_MAX                                                                           \
	(ADVERT_BYTES_MIN + 4u * KEYRING_KEYS_MAX + LIMIT_PEERS + 6u * ADVERT_PATHS_MAX)

enum advert_flag {
	ADVERT_READY = 1u << 0,	      /* may take the group without loss */
	ADVERT_MAINTENANCE = 1u << 1, /* out of the election by the operator's wish */
	ADVERT_FAULT = 1u << 2,	      /* every group interface has failed (a lone master may be), or
				       * may have: taken over hearing nobody */
	ADVERT_ANNOUNCED = 1u << 3,   /* a hand-over's target: addresses up and announced */
	ADVERT_RESIGN = 1u << 4,      /* gives the group up; `successor` may go at once */
	ADVERT_FORCE = 1u << 5,	      /* the offered hand-over does not need a ready target */
	ADVERT_REFUSED = 1u << 6,     /* the target will not take the offered hand-over */
	ADVERT_YIELDED = 1u << 7,     /* gave up by command: does not preempt */
	ADVERT_WANTS = 1u << 8, /* a backup's request: your demotion is 100 or more, mine less */
	ADVERT_ASK = 1u << 9,	/* a late clock: who holds the group? answer at once */
	ADVERT_STOPPING = 1u << 10,    /* SIGTERM: eligible for nothing */
	ADVERT_DRILL = 1u << 11,       /* a drill of the running cluster is steered from here */
	ADVERT_DRILL_KNOWN = 1u << 12, /* ... from another node, and this one has heard it */
	ADVERT_FLAGS_ALL = (1u << 13) - 1,
};

/* What the sender knows about its own port on a path. */
enum advert_port {
	ADVERT_PORT_UNTESTED = 0, /* nothing speaks against it */
	ADVERT_PORT_PASSED,	  /* tested because the path is silent, and well */
	ADVERT_PORT_FAILED,	  /* no carrier, or nothing received and no probe answered */
	ADVERT_PORT_COUNT,
};

enum advert_request {
	ADVERT_REQUEST_NONE = 0,
	ADVERT_REQUEST_HANDOVER, /* to request_node; 0 = the best ready peer of the master */
	ADVERT_REQUEST_COUNT,
};

/* The master's answer to a request, repeated until the asker stops asking. */
enum advert_answer {
	ADVERT_ANSWER_NONE = 0,
	ADVERT_ANSWER_STARTED,
	ADVERT_ANSWER_DONE,
	ADVERT_ANSWER_NOT_READY, /* no ready target, or the named one is not */
	ADVERT_ANSWER_BUSY,	 /* another hand-over is under way */
	ADVERT_ANSWER_FAILED,	 /* started, and did not happen */
	ADVERT_ANSWER_UNKNOWN,	 /* the named target is no living node */
	ADVERT_ANSWER_COUNT,
};

struct advert_term {
	uint64_t number;
	uint8_t owner; /* node id */
};

struct advert_path {
	uint32_t tag;
	uint8_t port;  /* enum advert_port */
	uint8_t heard; /* bit i: peers[i] is heard on this path */
};

struct advert {
	uint8_t vhid;
	uint8_t sender;
	uint32_t key_id; /* filled by advert_open(); advert_sign() writes its own */
	uint32_t path_tag;
	uint32_t group_tag;
	uint8_t state;	/* enum group_state */
	uint8_t reason; /* enum reason: of the last transition, or of the hand-over on offer */
	uint8_t wire_max;
	uint8_t not_ready; /* the shell's bits: why, for status */
	uint64_t epoch;
	uint64_t counter;
	uint32_t interval_us;
	uint16_t demotion; /* without the 30 for not ready */
	uint16_t flags;	   /* enum advert_flag */
	struct advert_term term;
	uint8_t handover_to;   /* the master offers the group to this node */
	uint8_t handover_from; /* the target's side of the same hand-over */
	uint8_t successor;     /* with ADVERT_RESIGN; 0 = nobody in particular */
	uint32_t handover_id;  /* ties both sides to one attempt */
	uint32_t age_ms;       /* of the state, saturated */
	uint8_t request;       /* enum advert_request */
	uint8_t request_node;
	bool request_force;
	uint32_t request_nonce;
	uint8_t answer_node; /* whose request is answered; 0 = none */
	uint8_t answer;	     /* enum advert_answer */
	uint32_t answer_nonce;
	uint8_t challenge_to; /* 0 = none */
	uint8_t echo_to;      /* 0 = none */
	uint8_t challenge[ADVERT_CHALLENGE_BYTES];
	uint8_t echo[ADVERT_CHALLENGE_BYTES];
	uint64_t rules_fingerprint;
	uint64_t config_fingerprint;
	uint64_t address_fingerprint;
	uint8_t key_count;
	uint8_t peer_count;
	uint8_t path_count;
	uint32_t keys[KEYRING_KEYS_MAX];
	uint8_t peers[LIMIT_PEERS];
	struct advert_path paths[ADVERT_PATHS_MAX];
};

/* Why a packet was not used. The first part is decided here, the second (from PATH on) by the
 * election core; both count into the same table, and status and metrics show these names. */
enum advert_drop {
	ADVERT_DROP_NONE = 0,
	ADVERT_DROP_TTL,
	ADVERT_DROP_SHORT,
	ADVERT_DROP_VERSION,
	ADVERT_DROP_TYPE,
	ADVERT_DROP_LENGTH,
	ADVERT_DROP_KEY_UNKNOWN,
	ADVERT_DROP_AUTH,
	ADVERT_DROP_VALUE, /* authentic, but a field is out of its range */
	ADVERT_DROP_SELF,  /* our own id: a loop, or two nodes with one name */
	ADVERT_DROP_SENDER_UNKNOWN,
	ADVERT_DROP_GROUP_UNKNOWN,
	ADVERT_DROP_VHID,
	ADVERT_DROP_PATH, /* arrived on another path than the one it was signed for */
	ADVERT_DROP_EPOCH_CLOSED,
	ADVERT_DROP_EPOCH_UNPROVEN,
	ADVERT_DROP_REPLAY,
	ADVERT_DROP_COUNT,
};

/* The keys of a cluster, prepared for signing and checking. */
struct advert_keys {
	char cluster[33];
	uint8_t count;
	uint32_t ids[KEYRING_KEYS_MAX]; /* [0] signs */
	struct crypto_mac *macs[KEYRING_KEYS_MAX];
};

/* advert_keys_init: prepares every key of the ring (which may be wiped afterwards). */
enum crypto_result advert_keys_init(struct advert_keys *keys, const struct keyring *ring)
	__attribute__((warn_unused_result));
void advert_keys_fini(struct advert_keys *keys);

/* advert_size: the length of the encoded advert, tag included. */
size_t advert_size(const struct advert *advert);

/* advert_encode: every byte but the tag, which is left zero. Returns the whole length, tag
 * included, or 0 when a field is out of range or the buffer too small. Pure. */
size_t advert_encode(const struct advert *advert, uint8_t *ret_bytes, size_t size_bytes)
	__attribute__((warn_unused_result));

/* advert_decode: bytes of any origin; checks version, type, exact length and ranges, not the tag.
 * *ret_advert is unspecified unless ADVERT_DROP_NONE is returned. Pure. */
enum advert_drop advert_decode(const uint8_t *bytes, size_t size_bytes, struct advert *ret_advert)
	__attribute__((warn_unused_result));

/* advert_sign: encodes and signs with the first key. Returns the length to send, 0 on failure. */
size_t advert_sign(const struct advert_keys *keys, const struct advert *advert, uint8_t *ret_bytes,
	size_t size_bytes) __attribute__((warn_unused_result));

/* advert_open: the whole ladder before the core: TTL, exact length, key, tag, decode, own id.
 *   bytes  the IP payload (after the IPv4 or IPv6 header)
 *   ttl    TTL or hop limit of the packet */
enum advert_drop advert_open(const struct advert_keys *keys, uint8_t own_id, uint8_t ttl,
	const uint8_t *bytes, size_t size_bytes, struct advert *ret_advert)
	__attribute__((warn_unused_result));

/* advert_drop_name: "TTL", "SHORT", ... Never NULL. */
const char *advert_drop_name(enum advert_drop drop);

/* advert_term_compare: by number, then by owner; like memcmp. */
int advert_term_compare(struct advert_term a, struct advert_term b);

#endif
