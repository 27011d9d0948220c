/* flow.h: one tracked connection, as carpool carries it from kernel to kernel.
 *
 * struct flow is the plain, decoded form: what ctnetlink told (or can be told), nothing of any
 * wire. It is partial by nature: the kernel's events name only what changed, so `has` says which
 * parts are meant, and flow_merge() lays a partial flow over a whole one. Only the key (zone and
 * original tuple), the group and the stamp are always there.
 *
 * An expectation - a flow that a helper has announced and that has not come yet: FTP's data
 * connection - is carried as a flow whose zone_dir says so (flow_is_expectation). Its key is the
 * expected tuple, its `reply` the mask (of the source alone, as in the kernel), its master the flow
 * that announced it; `expect` says what becomes of it when it comes. It has no other parts than
 * these, a timeout, its helper's name and an id.
 *
 * NAT has no field. The kernel tells it only by the reply tuple and two status bits: with SRC_NAT
 * the new source is the reply's destination, with DST_NAT the new destination is the reply's source
 * (facts 2.2).
 *
 * Wire form (all numbers big-endian or varint; see doc/protocol-sync.md):
 *   be16 has | u8 shape | u8 proto | [zone varint] | orig src, dst, port, port | [reply: only what
 *   differs from the inverted original] | [status, timeout, tcp, ...] | group be32 | stamp
 * An IPv4 TCP flow with source NAT, window scales and a stamp takes 46-50 bytes; without group and
 * stamp (flow_parts_encode) 33. */
#ifndef COMMON_FLOW_H
#define COMMON_FLOW_H

#include "common/rbuf.h"
#include "common/wbuf.h"

#include <stdbool.h>
#include <stdint.h>

#define FLOW_LABELS_BYTES  16u
#define FLOW_HELPER_MAX	   16u	/* NF_CT_HELPER_NAME_LEN, with the NUL */
#define FLOW_EXPECT_FN_MAX 32u	/* with the NUL; the kernel's longest is "nat-follow-master" */
#define FLOW_BYTES_MAX	   320u /* the longest encoding; CHECKed by the unit test */

/* Kernel values that decide something here (uapi linux/netfilter/nf_conntrack_common.h and
 * nf_conntrack_tcp.h; repeated because common includes no kernel header). */
#define FLOW_STATUS_EXPECTED   0x0001u
#define FLOW_STATUS_SEEN_REPLY 0x0002u
#define FLOW_STATUS_ASSURED    0x0004u
#define FLOW_STATUS_CONFIRMED  0x0008u
#define FLOW_STATUS_SRC_NAT    0x0010u
#define FLOW_STATUS_DST_NAT    0x0020u
#define FLOW_STATUS_SEQ_ADJUST 0x0040u
#define FLOW_STATUS_DYING      0x0200u
#define FLOW_STATUS_FIXED      0x0400u
#define FLOW_STATUS_HELPER     0x2000u
#define FLOW_STATUS_OFFLOAD    0x4000u

#define FLOW_TCP_WINDOW_SCALE 0x01u
#define FLOW_TCP_SACK_PERM    0x02u
#define FLOW_TCP_CLOSE_INIT   0x04u
#define FLOW_TCP_BE_LIBERAL   0x08u
/* Of the TCP flags only these travel: the others describe a window that the receiver never saw, and
 * do harm there (facts 2.5: MAXACK_SET makes resets invalid, DATA_UNACKNOWLEDGED cuts the timeout).
 */
#define FLOW_TCP_FLAGS_KEPT  0x0fu
#define FLOW_TCP_STATE_MAX   9u /* SYN_SENT2 */
#define FLOW_TCP_WSCALE_MAX  14u
#define FLOW_TCP_SYN_SENT    1u
#define FLOW_TCP_ESTABLISHED 3u

enum flow_has {
	FLOW_HAS_REPLY = 1 << 0,
	FLOW_HAS_STATUS = 1 << 1,
	FLOW_HAS_TIMEOUT = 1 << 2,
	FLOW_HAS_TCP = 1 << 3,	      /* the state */
	FLOW_HAS_TCP_WINDOW = 1 << 4, /* flags and scales: absent in the kernel's DESTROY */
	FLOW_HAS_SCTP = 1 << 5,
	FLOW_HAS_MARK = 1 << 6,
	FLOW_HAS_LABELS = 1 << 7,
	FLOW_HAS_SEQADJ = 1 << 8,
	FLOW_HAS_SYNPROXY = 1 << 9,
	FLOW_HAS_HELPER = 1 << 10,
	FLOW_HAS_MASTER = 1 << 11,
	FLOW_HAS_ID = 1 << 12,
	FLOW_HAS_ALL = (1 << 13) - 1,
};

/* What an expectation can have. */
#define FLOW_HAS_EXPECTATION                                                                       \
	(FLOW_HAS_REPLY | FLOW_HAS_TIMEOUT | FLOW_HAS_HELPER | FLOW_HAS_MASTER | FLOW_HAS_ID)

/* What never changes in a flow's life: an update to somebody who knows the flow leaves it out. */
#define FLOW_HAS_FOR_LIFE (FLOW_HAS_REPLY | FLOW_HAS_HELPER | FLOW_HAS_MASTER)

enum flow_zone_dir {
	FLOW_ZONE_BOTH = 0,
	FLOW_ZONE_ORIG = 1,
	FLOW_ZONE_REPLY = 2,
	FLOW_ZONE_EXPECTATION = 3, /* not a flow: an expected one, in both directions of the zone */
};

struct flow_tuple {
	uint8_t src[16]; /* IPv4: the first 4 bytes, the rest is zero */
	uint8_t dst[16];
	uint16_t src_port; /* ICMP: the id. GRE: the key. None: 0. Host order. */
	uint16_t dst_port; /* ICMP: type << 8 | code */
	uint8_t family;	   /* enum ipaddr_family */
	uint8_t proto;
};

/* The last change of the flow in its owner's kernel: what fences one node's view off another's.
 * Compared as (term, owner, life, sequence). */
struct flow_stamp {
	uint64_t sequence;
	uint32_t term;
	uint32_t life; /* of the owner's kernel table: later lives are greater */
	uint8_t owner; /* node id; 0: nobody (an adopted entry), below every real stamp */
};

struct flow_seqadj {
	uint32_t correction_pos;
	int32_t offset_before;
	int32_t offset_after;
};

/* What an expectation prescribes; told with FLOW_HAS_REPLY, which then is the mask. */
struct flow_expect {
	uint8_t nat_source[16]; /* with nat_port: what the helper replaced in the payload; of the */
	uint16_t nat_port;	/* master's family; all zero: no NAT */
	uint8_t nat_dir;	/* of the master's direction whose NAT it follows: 0 or 1 */
	uint8_t class;		/* which of the helper's policies */
	uint8_t flags;		/* NF_CT_EXPECT_PERMANENT 1, INACTIVE 2 */
	char fn[FLOW_EXPECT_FN_MAX]; /* the kernel's function for it, by name; "" none */
};

struct flow {
	uint32_t has; /* enum flow_has */
	uint16_t zone;
	uint8_t zone_dir; /* enum flow_zone_dir */
	uint8_t tcp_state;
	uint8_t tcp_flags[2]; /* original, reply */
	uint8_t tcp_wscale[2];
	struct flow_tuple orig;
	struct flow_tuple reply;
	struct flow_tuple master; /* original tuple of the master, same zone */
	uint32_t status;
	uint32_t timeout_s; /* remaining */
	uint32_t mark;
	uint32_t id; /* the owner's kernel's */
	uint32_t group_tag;
	uint8_t sctp_state;
	uint32_t sctp_vtag[2];
	uint8_t labels[FLOW_LABELS_BYTES];
	struct flow_seqadj seqadj[2];
	uint32_t synproxy[3]; /* isn, its, tsoff */
	char helper[FLOW_HELPER_MAX];
	struct flow_expect expect; /* zeroed in flows */
	struct flow_stamp stamp;
};

static inline bool flow_is_expectation(const struct flow *flow)
{
	return flow->zone_dir == FLOW_ZONE_EXPECTATION;
}

enum flow_error {
	FLOW_OK = 0,
	FLOW_SHORT,	/* ends before its last field, or a number out of range */
	FLOW_BAD_SHAPE, /* unknown presence or shape bits */
	FLOW_BAD_FAMILY,
	FLOW_BAD_TCP,	 /* state or scale out of range, TCP parts on another protocol */
	FLOW_BAD_HELPER, /* not a printable, NUL-padded name */
	FLOW_BAD_REPLY,	 /* reply part named but equal to what it differs from */
	FLOW_BAD_EXPECT, /* parts that no expectation has, or without its master */
	FLOW_ERROR_COUNT,
};

/* flow_error_name: "FLOW_SHORT", ... Never NULL. */
const char *flow_error_name(enum flow_error error);

/* flow_name_byte: what a helper's and a function's name may be made of: it reaches kernels, logs
 * and JSON. */
bool flow_name_byte(char c);

/* flow_encode: appends the wire form. A value that has no encoding (a port of a wrong family, ...)
 * is a bug of the caller, not an error; too little room sets w->failed. */
void flow_encode(struct wbuf *w, const struct flow *flow);

/* flow_decode: one flow at the reader; *ret_flow is defined only on FLOW_OK. */
enum flow_error flow_decode(struct rbuf *r, struct flow *ret_flow)
	__attribute__((warn_unused_result));

/* flow_parts_encode, flow_parts_decode: the same without group and stamp: who hears many flows of
 * one origin is told it once. */
void flow_parts_encode(struct wbuf *w, const struct flow *flow);
enum flow_error flow_parts_decode(struct rbuf *r, struct flow *ret_flow)
	__attribute__((warn_unused_result));

/* flow_change_fits: whether a flow has nothing but what changes all the time (its kernel id, which
 * does not, is left out); then flow_change_encode says so, without a key. The decoded flow may have
 * TCP parts whatever it is: who knows its protocol looks. */
bool flow_change_fits(const struct flow *flow);
void flow_change_encode(struct wbuf *w, const struct flow *flow);
enum flow_error flow_change_decode(struct rbuf *r, struct flow *ret_flow)
	__attribute__((warn_unused_result));

/* flow_key_encode, flow_key_decode: zone and original tuple alone (deletes). */
void flow_key_encode(struct wbuf *w, const struct flow *flow);
enum flow_error flow_key_decode(struct rbuf *r, struct flow *ret_flow)
	__attribute__((warn_unused_result));

void flow_stamp_encode(struct wbuf *w, const struct flow_stamp *stamp);
void flow_stamp_decode(struct rbuf *r, struct flow_stamp *ret_stamp);

/* flow_merge: lays what `from` has over `onto`; key, group and stamp are left to the caller. */
void flow_merge(struct flow *onto, const struct flow *from);

/* flow_same: whether two views of one flow (same key) agree in everything but timeout, group, stamp
 * and kernel id. */
bool flow_same(const struct flow *a, const struct flow *b);

/* flow_stamp_compare: negative, 0 or positive, like memcmp. */
int flow_stamp_compare(const struct flow_stamp *a, const struct flow_stamp *b);

/* flow_tuple_invert: what a reply to this tuple looks like when nobody translates (RFC 792, 4443
 * for the ICMP types). */
void flow_tuple_invert(const struct flow_tuple *tuple, struct flow_tuple *ret_reply);
bool flow_tuple_equal(const struct flow_tuple *a, const struct flow_tuple *b);

/* flow_key_equal: same zone (and direction of it) and same original tuple. */
bool flow_key_equal(const struct flow *a, const struct flow *b);

bool flow_proto_is_icmp(uint8_t proto);
bool flow_proto_has_ports(uint8_t proto);

/* flow_tcp_rank: orders TCP states by progress, so that "never back" can be judged (SYN_SENT2 lies
 * between SYN_SENT and SYN_RECV although its number is 9). */
unsigned int flow_tcp_rank(uint8_t state);

/* flow_tcp_state_name: "ESTABLISHED", ...; "?" for a number out of range. */
const char *flow_tcp_state_name(uint8_t state);

#endif
