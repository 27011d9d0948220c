/* syncmsg.h: the messages of one sync connection between two nodes (doc/protocol-sync.md).
 *
 * A message is `u8 type | varint length | body`. The length must be exactly what the type's body
 * takes; every violation has a name and ends the connection, since the peer behind the TLS channel
 * is authentic and so must be broken. Decoding gives a plain struct; nothing points into the wire.
 *
 *   HELLO     version, node, epoch (this process), life (its kernel table), table sizes, cluster
 *   ROLE      group, role of the sender in it, term (number, owner)
 *   WANT      group: the receiver asks for a full transfer
 *   BEGIN     group, transfer: a full transfer starts; what follows marks
 *   END       group, transfer, count: what was not marked since BEGIN does not exist at the source
 *   UPSERT    flow: created or changed
 *   DELETE    key, group, stamp: gone in the owner's kernel
 *   ACK       position: so many records (UPSERT, DELETE, END, TAIL_END) are applied, our kernel
 *             included
 *   PING      nothing; keeps the other side's dead-peer detection quiet
 *   TAIL_END  group, term that ends: the last word of an old master in a hand-over
 *   COMPARE   group: the receiver asks for digests
 *   DIGEST_BEGIN  group, transfer: the digests are of what has been sent until here
 *   DIGEST    chunk of buckets, their digests; a chunk of nothing but zeros is left out
 *   DIGEST_END    group, transfer
 *   FETCH     chunk, its buckets that differ (a bit each)
 *   FETCH_END group, transfer: BEGIN, the flows of these buckets, END are wanted
 *   ORIGIN    group, stamp: those of the next record by name; of its sequence the difference
 * follows NAMED     name, difference, parts: an UPSERT that gives the flow a short name CHANGE
 * name, difference, what changes all the time: an UPSERT without its key GONE      name,
 * difference: a DELETE without its key VERIFY, VERIFY_DIGEST, VERIFY_ASK        as DIGEST_...: what
 * differs is named, not repaired VERIFY_KERNEL                            the receiver compares
 * with its own kernel VERIFY_BUCKETS, VERIFY_FLOW, VERIFY_END  the answer to ASK and to KERNEL */
#ifndef COMMON_SYNCMSG_H
#define COMMON_SYNCMSG_H

#include "common/flow.h"
#include "common/rbuf.h"
#include "common/wbuf.h"

#define SYNCMSG_VERSION	    4u
#define SYNCMSG_BODY_MAX    (FLOW_BYTES_MAX + 5u)
#define SYNCMSG_BYTES_MAX   (1u + 2u + SYNCMSG_BODY_MAX)
#define SYNCMSG_CLUSTER_MAX 33u /* with the NUL */
/* The table is compared in so many chunks of so many buckets. */
#define SYNCMSG_DIGEST_CHUNK  32u
#define SYNCMSG_DIGEST_CHUNKS 512u

enum syncmsg_type {
	SYNCMSG_HELLO = 1,
	SYNCMSG_ROLE,
	SYNCMSG_WANT,
	SYNCMSG_BEGIN,
	SYNCMSG_END,
	SYNCMSG_UPSERT,
	SYNCMSG_DELETE,
	SYNCMSG_ACK,
	SYNCMSG_PING,
	SYNCMSG_TAIL_END,
	SYNCMSG_COMPARE,
	SYNCMSG_DIGEST_BEGIN,
	SYNCMSG_DIGEST,
	SYNCMSG_DIGEST_END,
	SYNCMSG_FETCH,
	SYNCMSG_FETCH_END,
	SYNCMSG_ORIGIN,
	SYNCMSG_NAMED,
	SYNCMSG_CHANGE,
	SYNCMSG_GONE,
	SYNCMSG_VERIFY,
	SYNCMSG_VERIFY_DIGEST,
	SYNCMSG_VERIFY_ASK,
	SYNCMSG_VERIFY_KERNEL,
	SYNCMSG_VERIFY_BUCKETS,
	SYNCMSG_VERIFY_FLOW,
	SYNCMSG_VERIFY_END,
	SYNCMSG_TYPE_COUNT,
};

enum syncmsg_role {
	SYNCMSG_ROLE_FROZEN = 0,
	SYNCMSG_ROLE_STANDBY,
	SYNCMSG_ROLE_ACTIVE,
	SYNCMSG_ROLE_COUNT,
};

enum syncmsg_error {
	SYNCMSG_OK = 0,
	SYNCMSG_MORE, /* not an error: the message is not complete yet */
	SYNCMSG_BAD_TYPE,
	SYNCMSG_TOO_LONG,   /* its length is above SYNCMSG_BODY_MAX */
	SYNCMSG_BAD_LENGTH, /* the body is shorter or longer than its type's fields */
	SYNCMSG_BAD_VERSION,
	SYNCMSG_BAD_CLUSTER, /* not 1-32 of a-z 0-9 - */
	SYNCMSG_BAD_NODE,    /* node id 0 */
	SYNCMSG_BAD_ROLE,
	SYNCMSG_BAD_FLOW,  /* flow_decode() refused it */
	SYNCMSG_BAD_CHUNK, /* no such chunk of digests, or a FETCH of nothing */
	SYNCMSG_ERROR_COUNT,
};

struct syncmsg_hello {
	uint8_t version;
	uint8_t node_id;
	uint64_t epoch;	    /* random at process start */
	uint32_t life;	    /* of the sender's kernel table */
	uint32_t flows_max; /* nf_conntrack_max, 0 unknown: for warnings alone */
	uint32_t buckets;   /* nf_conntrack_buckets */
	uint32_t digest_id; /* of the key that its digests are made with */
	uint32_t names_max; /* names below this are remembered */
	char cluster[SYNCMSG_CLUSTER_MAX];
};

struct syncmsg {
	enum syncmsg_type type;
	union {
		struct syncmsg_hello hello;
		struct {
			uint32_t group_tag;
			uint32_t term;
			uint8_t term_owner;
			uint8_t role; /* enum syncmsg_role; not in TAIL_END */
		} role;		      /* ROLE, TAIL_END */
		struct {
			uint32_t group_tag;
			uint32_t transfer; /* not in WANT, COMPARE */
			uint64_t count;	   /* END, VERIFY_END alone */
		} transfer;		   /* WANT, BEGIN, END, COMPARE, ..._BEGIN, ..._END */
		struct {
			uint16_t chunk;
			uint32_t buckets;		     /* FETCH, VERIFY_BUCKETS: a bit each */
			uint64_t sums[SYNCMSG_DIGEST_CHUNK]; /* DIGEST */
		} digest;
		struct {
			uint8_t kind; /* syncd's enum verify_kind */
			uint32_t fields;
			struct flow flow;
		} verify;
		uint64_t position; /* ACK */
		struct {
			/* UPSERT; DELETE: key, group_tag and stamp alone; ORIGIN: the latter two;
			 * NAMED: without them; CHANGE: see flow_change_decode(). */
			struct flow flow;
			uint32_t name; /* NAMED, CHANGE, GONE */
			int64_t moved; /* their stamp's sequence, from that of the record before */
		};
	};
};

/* syncmsg_error_name: "SYNCMSG_BAD_TYPE", ... Never NULL. */
const char *syncmsg_error_name(enum syncmsg_error error);
/* syncmsg_type_name: "HELLO", ...; "?" for an unknown one. */
const char *syncmsg_type_name(enum syncmsg_type type);
const char *syncmsg_role_name(enum syncmsg_role role);

/* syncmsg_is_record: whether the type counts in the acknowledged position. */
bool syncmsg_is_record(enum syncmsg_type type);

/* syncmsg_encode: appends one whole message; with too little room w->failed is set. */
void syncmsg_encode(struct wbuf *w, const struct syncmsg *msg);

/* syncmsg_encode_flow: UPSERT, DELETE or ORIGIN straight from a flow, without copying it into a
 * union. */
void syncmsg_encode_flow(struct wbuf *w, enum syncmsg_type type, const struct flow *flow);

/* syncmsg_encode_named: NAMED, CHANGE or GONE. */
void syncmsg_encode_named(struct wbuf *w, enum syncmsg_type type, uint32_t name, int64_t moved,
	const struct flow *flow);

/* syncmsg_decode: the next message of a stream. SYNCMSG_OK moves the reader past it; on any other
 * result the reader stays and *ret_msg is undefined. */
enum syncmsg_error syncmsg_decode(struct rbuf *r, struct syncmsg *ret_msg)
	__attribute__((warn_unused_result));

#endif
