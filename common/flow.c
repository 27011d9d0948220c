#include "common/flow.h"

#include "common/check.h"
#include "common/ipaddr.h"
#include "common/varint.h"

#include <string.h>

#define PROTO_ICMP    1
#define PROTO_TCP     6
#define PROTO_UDP     17
#define PROTO_GRE     47
#define PROTO_ICMPV6  58
#define PROTO_SCTP    132
#define PROTO_UDPLITE 136

/* The shape byte. The four "differs" bits tell where the reply is not the inverted original. */
#define SHAPE_V6	0x01u
#define SHAPE_ZONE	0x02u
#define SHAPE_DIR_SHIFT 2u
#define SHAPE_DIR_MASK	0x0cu
#define SHAPE_SRC	0x10u
#define SHAPE_DST	0x20u
#define SHAPE_SRC_PORT	0x40u
#define SHAPE_DST_PORT	0x80u
#define SHAPE_REPLY	0xf0u

static const char *const flow_error_names[] = {
	[FLOW_OK] = "FLOW_OK",
	[FLOW_SHORT] = "FLOW_SHORT",
	[FLOW_BAD_SHAPE] = "FLOW_BAD_SHAPE",
	[FLOW_BAD_FAMILY] = "FLOW_BAD_FAMILY",
	[FLOW_BAD_TCP] = "FLOW_BAD_TCP",
	[FLOW_BAD_HELPER] = "FLOW_BAD_HELPER",
	[FLOW_BAD_REPLY] = "FLOW_BAD_REPLY",
	[FLOW_BAD_EXPECT] = "FLOW_BAD_EXPECT",
};
_Static_assert(ARRAY_LEN(flow_error_names) == FLOW_ERROR_COUNT, "a name for every error");

static const char *const flow_tcp_state_names[] = {"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED",
	"FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"};
_Static_assert(ARRAY_LEN(flow_tcp_state_names) == FLOW_TCP_STATE_MAX + 1, "a name for every state");

const char *flow_error_name(enum flow_error error)
{
	return (unsigned int)error < FLOW_ERROR_COUNT ? flow_error_names[error] : "FLOW_UNKNOWN";
}

const char *flow_tcp_state_name(uint8_t state)
{
	return state <= FLOW_TCP_STATE_MAX ? flow_tcp_state_names[state] : "?";
}

unsigned int flow_tcp_rank(uint8_t state)
{
	/* SYN_SENT2 (9) is an early state; every other number is already in order of progress. */
	return state == 9 ? 3u : state * 2u;
}

bool flow_proto_is_icmp(uint8_t proto)
{
	return proto == PROTO_ICMP || proto == PROTO_ICMPV6;
}

bool flow_proto_has_ports(uint8_t proto)
{
	return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_UDPLITE ||
	       proto == PROTO_SCTP || proto == PROTO_GRE;
}

/* flow_tuple_invert_type: query and answer of ICMP; a type without a partner stays as it is. */
static uint8_t flow_tuple_invert_type(uint8_t proto, uint8_t type)
{
	static const uint8_t pairs[][2] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}};
	static const uint8_t pairs_v6[][2] = {{128, 129}, {139, 140}};
	const uint8_t(*table)[2] = proto == PROTO_ICMP ? pairs : pairs_v6;
	size_t count = proto == PROTO_ICMP ? ARRAY_LEN(pairs) : ARRAY_LEN(pairs_v6);

	for (size_t i = 0; i < count; i++) {
		if (table[i][0] == type)
			return table[i][1];
		if (table[i][1] == type)
			return table[i][0];
	}
	return type;
}

void flow_tuple_invert(const struct flow_tuple *tuple, struct flow_tuple *ret_reply)
{
	struct flow_tuple reply = *tuple;

	memcpy(reply.src, tuple->dst, sizeof(reply.src));
	memcpy(reply.dst, tuple->src, sizeof(reply.dst));
	if (flow_proto_is_icmp(tuple->proto)) {
		uint8_t type = (uint8_t)(tuple->dst_port >> 8);

		reply.dst_port = (uint16_t)(flow_tuple_invert_type(tuple->proto, type) << 8 |
					    (tuple->dst_port & 0xff));
	} else {
		reply.src_port = tuple->dst_port;
		reply.dst_port = tuple->src_port;
	}
	*ret_reply = reply;
}

bool flow_tuple_equal(const struct flow_tuple *a, const struct flow_tuple *b)
{
	return a->proto == b->proto && a->family == b->family && a->src_port == b->src_port &&
	       a->dst_port == b->dst_port && memcmp(a->src, b->src, sizeof(a->src)) == 0 &&
	       memcmp(a->dst, b->dst, sizeof(a->dst)) == 0;
}

bool flow_key_equal(const struct flow *a, const struct flow *b)
{
	return a->zone == b->zone && a->zone_dir == b->zone_dir &&
	       flow_tuple_equal(&a->orig, &b->orig);
}

int flow_stamp_compare(const struct flow_stamp *a, const struct flow_stamp *b)
{
	if (a->term != b->term)
		return a->term < b->term ? -1 : 1;
	if (a->owner != b->owner)
		return a->owner < b->owner ? -1 : 1;
	if (a->life != b->life)
		return a->life < b->life ? -1 : 1;
	if (a->sequence != b->sequence)
		return a->sequence < b->sequence ? -1 : 1;
	return 0;
}

static void flow_merge_tcp(struct flow *onto, const struct flow *from)
{
	if (from->has & FLOW_HAS_TCP)
		onto->tcp_state = from->tcp_state;
	if (from->has & FLOW_HAS_TCP_WINDOW) {
		memcpy(onto->tcp_flags, from->tcp_flags, sizeof(onto->tcp_flags));
		memcpy(onto->tcp_wscale, from->tcp_wscale, sizeof(onto->tcp_wscale));
	}
}

void flow_merge(struct flow *onto, const struct flow *from)
{
	if (from->has & FLOW_HAS_REPLY) {
		onto->reply = from->reply;
		onto->expect = from->expect;
	}
	if (from->has & FLOW_HAS_STATUS)
		onto->status = from->status;
	if (from->has & FLOW_HAS_TIMEOUT)
		onto->timeout_s = from->timeout_s;
	flow_merge_tcp(onto, from);
	if (from->has & FLOW_HAS_SCTP) {
		onto->sctp_state = from->sctp_state;
		memcpy(onto->sctp_vtag, from->sctp_vtag, sizeof(onto->sctp_vtag));
	}
	if (from->has & FLOW_HAS_MARK)
		onto->mark = from->mark;
	if (from->has & FLOW_HAS_LABELS)
		memcpy(onto->labels, from->labels, sizeof(onto->labels));
	if (from->has & FLOW_HAS_SEQADJ)
		memcpy(onto->seqadj, from->seqadj, sizeof(onto->seqadj));
	if (from->has & FLOW_HAS_SYNPROXY)
		memcpy(onto->synproxy, from->synproxy, sizeof(onto->synproxy));
	if (from->has & FLOW_HAS_HELPER)
		memcpy(onto->helper, from->helper, sizeof(onto->helper));
	if (from->has & FLOW_HAS_MASTER)
		onto->master = from->master;
	if (from->has & FLOW_HAS_ID)
		onto->id = from->id;
	onto->has |= from->has;
}

static bool flow_same_rare(const struct flow *a, const struct flow *b, uint32_t has)
{
	if (has & FLOW_HAS_SCTP &&
		(a->sctp_state != b->sctp_state ||
			memcmp(a->sctp_vtag, b->sctp_vtag, sizeof(a->sctp_vtag)) != 0))
		return false;
	if (has & FLOW_HAS_LABELS && memcmp(a->labels, b->labels, sizeof(a->labels)) != 0)
		return false;
	if (has & FLOW_HAS_SEQADJ && memcmp(a->seqadj, b->seqadj, sizeof(a->seqadj)) != 0)
		return false;
	if (has & FLOW_HAS_SYNPROXY && memcmp(a->synproxy, b->synproxy, sizeof(a->synproxy)) != 0)
		return false;
	if (has & FLOW_HAS_HELPER && memcmp(a->helper, b->helper, sizeof(a->helper)) != 0)
		return false;
	return !(has & FLOW_HAS_MASTER) || flow_tuple_equal(&a->master, &b->master);
}

bool flow_same(const struct flow *a, const struct flow *b)
{
	uint32_t ignored = FLOW_HAS_ID | FLOW_HAS_TIMEOUT;

	if ((a->has | ignored) != (b->has | ignored))
		return false;
	if (a->has & FLOW_HAS_REPLY && !flow_tuple_equal(&a->reply, &b->reply))
		return false;
	if (flow_is_expectation(a) && memcmp(&a->expect, &b->expect, sizeof(a->expect)) != 0)
		return false;
	if (a->has & FLOW_HAS_STATUS && a->status != b->status)
		return false;
	if (a->has & FLOW_HAS_MARK && a->mark != b->mark)
		return false;
	if (a->has & FLOW_HAS_TCP && a->tcp_state != b->tcp_state)
		return false;
	if (a->has & FLOW_HAS_TCP_WINDOW &&
		(memcmp(a->tcp_flags, b->tcp_flags, sizeof(a->tcp_flags)) != 0 ||
			memcmp(a->tcp_wscale, b->tcp_wscale, sizeof(a->tcp_wscale)) != 0))
		return false;
	return flow_same_rare(a, b, a->has);
}

/* ---- wire ---- */

static size_t flow_address_bytes(uint8_t family)
{
	return family == IPADDR_V6 ? 16 : 4;
}

static void flow_encode_tuple(struct wbuf *w, const struct flow_tuple *tuple)
{
	size_t size = flow_address_bytes(tuple->family);

	wbuf_bytes(w, tuple->src, size);
	wbuf_bytes(w, tuple->dst, size);
	wbuf_be16(w, tuple->src_port);
	wbuf_be16(w, tuple->dst_port);
}

static void flow_decode_tuple(struct rbuf *r, bool v6, uint8_t proto, struct flow_tuple *tuple)
{
	size_t size = v6 ? 16 : 4;

	memset(tuple, 0, sizeof(*tuple));
	tuple->family = v6 ? IPADDR_V6 : IPADDR_V4;
	tuple->proto = proto;
	rbuf_bytes(r, tuple->src, size);
	rbuf_bytes(r, tuple->dst, size);
	tuple->src_port = rbuf_be16(r);
	tuple->dst_port = rbuf_be16(r);
}

/* flow_encode_key: shape, protocol, zone, original tuple; `differs` are the SHAPE_REPLY bits. */
static void flow_encode_key(struct wbuf *w, const struct flow *flow, uint8_t differs)
{
	uint8_t shape = differs;

	CHECK(flow->orig.family == IPADDR_V4 || flow->orig.family == IPADDR_V6);
	CHECK(flow->zone_dir <= FLOW_ZONE_EXPECTATION);
	if (flow->orig.family == IPADDR_V6)
		shape |= SHAPE_V6;
	if (flow->zone)
		shape |= SHAPE_ZONE;
	if (flow->zone || flow_is_expectation(flow))
		shape |= (uint8_t)(flow->zone_dir << SHAPE_DIR_SHIFT);
	wbuf_u8(w, shape);
	wbuf_u8(w, flow->orig.proto);
	if (flow->zone)
		varint_write(w, flow->zone);
	flow_encode_tuple(w, &flow->orig);
}

static enum flow_error flow_decode_key(struct rbuf *r, struct flow *flow, uint8_t *ret_differs)
{
	uint8_t shape = rbuf_u8(r);
	uint8_t proto = rbuf_u8(r);

	flow->zone_dir = (shape & SHAPE_DIR_MASK) >> SHAPE_DIR_SHIFT;
	if (flow->zone_dir && !flow_is_expectation(flow) && !(shape & SHAPE_ZONE))
		return FLOW_BAD_SHAPE;
	if (shape & SHAPE_ZONE) {
		flow->zone = (uint16_t)varint_read(r, UINT16_MAX);
		if (!r->failed && flow->zone == 0)
			return FLOW_BAD_SHAPE;
	}
	flow_decode_tuple(r, shape & SHAPE_V6, proto, &flow->orig);
	*ret_differs = shape & SHAPE_REPLY;
	return r->failed ? FLOW_SHORT : FLOW_OK;
}

static uint8_t flow_reply_differs(const struct flow *flow)
{
	struct flow_tuple plain;
	uint8_t differs = 0;

	if (!(flow->has & FLOW_HAS_REPLY))
		return 0;
	flow_tuple_invert(&flow->orig, &plain);
	if (memcmp(plain.src, flow->reply.src, sizeof(plain.src)) != 0)
		differs |= SHAPE_SRC;
	if (memcmp(plain.dst, flow->reply.dst, sizeof(plain.dst)) != 0)
		differs |= SHAPE_DST;
	if (plain.src_port != flow->reply.src_port)
		differs |= SHAPE_SRC_PORT;
	if (plain.dst_port != flow->reply.dst_port)
		differs |= SHAPE_DST_PORT;
	return differs;
}

static void flow_encode_reply(struct wbuf *w, const struct flow *flow, uint8_t differs)
{
	size_t size = flow_address_bytes(flow->orig.family);

	if (differs & SHAPE_SRC)
		wbuf_bytes(w, flow->reply.src, size);
	if (differs & SHAPE_DST)
		wbuf_bytes(w, flow->reply.dst, size);
	if (differs & SHAPE_SRC_PORT)
		wbuf_be16(w, flow->reply.src_port);
	if (differs & SHAPE_DST_PORT)
		wbuf_be16(w, flow->reply.dst_port);
}

static enum flow_error flow_decode_reply(struct rbuf *r, struct flow *flow, uint8_t differs)
{
	size_t size = flow_address_bytes(flow->orig.family);

	if (!(flow->has & FLOW_HAS_REPLY))
		return differs ? FLOW_BAD_SHAPE : FLOW_OK;
	flow_tuple_invert(&flow->orig, &flow->reply);
	if (differs & SHAPE_SRC)
		rbuf_bytes(r, flow->reply.src, size);
	if (differs & SHAPE_DST)
		rbuf_bytes(r, flow->reply.dst, size);
	if (differs & SHAPE_SRC_PORT)
		flow->reply.src_port = rbuf_be16(r);
	if (differs & SHAPE_DST_PORT)
		flow->reply.dst_port = rbuf_be16(r);
	if (r->failed)
		return FLOW_SHORT;
	return flow_reply_differs(flow) == differs ? FLOW_OK : FLOW_BAD_REPLY;
}

static void flow_encode_tcp(struct wbuf *w, const struct flow *flow)
{
	if (flow->has & FLOW_HAS_TCP)
		wbuf_u8(w, flow->tcp_state);
	if (flow->has & FLOW_HAS_TCP_WINDOW) {
		/* Two flag sets of four bits, two scales of four bits. */
		wbuf_u8(w, (flow->tcp_flags[0] & FLOW_TCP_FLAGS_KEPT) << 4 |
				   (flow->tcp_flags[1] & FLOW_TCP_FLAGS_KEPT));
		wbuf_u8(w, flow->tcp_wscale[0] << 4 | flow->tcp_wscale[1]);
	}
}

static enum flow_error flow_decode_tcp(struct rbuf *r, struct flow *flow)
{
	if (!(flow->has & (FLOW_HAS_TCP | FLOW_HAS_TCP_WINDOW)))
		return FLOW_OK;
	if (flow->orig.proto != PROTO_TCP)
		return FLOW_BAD_TCP;
	if (flow->has & FLOW_HAS_TCP)
		flow->tcp_state = rbuf_u8(r);
	if (flow->has & FLOW_HAS_TCP_WINDOW) {
		uint8_t flags = rbuf_u8(r), scales = rbuf_u8(r);

		flow->tcp_flags[0] = flags >> 4;
		flow->tcp_flags[1] = flags & 0x0f;
		flow->tcp_wscale[0] = scales >> 4;
		flow->tcp_wscale[1] = scales & 0x0f;
	}
	if (flow->tcp_state > FLOW_TCP_STATE_MAX || flow->tcp_wscale[0] > FLOW_TCP_WSCALE_MAX ||
		flow->tcp_wscale[1] > FLOW_TCP_WSCALE_MAX)
		return FLOW_BAD_TCP;
	return FLOW_OK;
}

static void flow_encode_expect(struct wbuf *w, const struct flow *flow)
{
	const struct flow_expect *expect = &flow->expect;
	size_t length = strnlen(expect->fn, sizeof(expect->fn));

	wbuf_u8(w, expect->nat_dir);
	wbuf_bytes(w, expect->nat_source, flow_address_bytes(flow->orig.family));
	wbuf_be16(w, expect->nat_port);
	wbuf_u8(w, expect->class);
	wbuf_u8(w, expect->flags);
	wbuf_u8(w, (uint8_t)length);
	wbuf_bytes(w, expect->fn, length);
}

static void flow_encode_extra(struct wbuf *w, const struct flow *flow)
{
	if (flow->has & FLOW_HAS_SCTP) {
		wbuf_u8(w, flow->sctp_state);
		wbuf_be32(w, flow->sctp_vtag[0]);
		wbuf_be32(w, flow->sctp_vtag[1]);
	}
	if (flow->has & FLOW_HAS_MARK)
		wbuf_be32(w, flow->mark);
	if (flow->has & FLOW_HAS_LABELS)
		wbuf_bytes(w, flow->labels, FLOW_LABELS_BYTES);
	for (int i = 0; flow->has & FLOW_HAS_SEQADJ && i < 2; i++) {
		wbuf_be32(w, flow->seqadj[i].correction_pos);
		wbuf_be32(w, (uint32_t)flow->seqadj[i].offset_before);
		wbuf_be32(w, (uint32_t)flow->seqadj[i].offset_after);
	}
	for (int i = 0; flow->has & FLOW_HAS_SYNPROXY && i < 3; i++)
		wbuf_be32(w, flow->synproxy[i]);
	if (flow->has & FLOW_HAS_HELPER)
		wbuf_bytes(w, flow->helper, FLOW_HELPER_MAX);
	if (flow->has & FLOW_HAS_MASTER) {
		wbuf_u8(w, flow->master.family == IPADDR_V6);
		wbuf_u8(w, flow->master.proto);
		flow_encode_tuple(w, &flow->master);
	}
	if (flow_is_expectation(flow) && flow->has & FLOW_HAS_REPLY)
		flow_encode_expect(w, flow);
}

bool flow_name_byte(char c)
{
	return c > ' ' && c <= '~' && c != '"' && c != '\\';
}

static enum flow_error flow_decode_expect(struct rbuf *r, struct flow *flow)
{
	struct flow_expect *expect = &flow->expect;
	uint8_t length;

	expect->nat_dir = rbuf_u8(r);
	rbuf_bytes(r, expect->nat_source, flow_address_bytes(flow->orig.family));
	expect->nat_port = rbuf_be16(r);
	expect->class = rbuf_u8(r);
	expect->flags = rbuf_u8(r);
	length = rbuf_u8(r);
	if (r->failed)
		return FLOW_SHORT;
	if (length >= sizeof(expect->fn) || expect->nat_dir > 1)
		return FLOW_BAD_EXPECT;
	rbuf_bytes(r, expect->fn, length);
	for (uint8_t i = 0; i < length && !r->failed; i++)
		if (!flow_name_byte(expect->fn[i]))
			return FLOW_BAD_EXPECT;
	return FLOW_OK;
}

/* flow_decode_helper: a name ends in its field, is padded with NULs, and is plain text: it reaches
 * the kernel, logs and JSON. */
static enum flow_error flow_decode_helper(struct rbuf *r, struct flow *flow)
{
	size_t length;

	rbuf_bytes(r, flow->helper, FLOW_HELPER_MAX);
	if (r->failed)
		return FLOW_SHORT;
	for (length = 0; length < FLOW_HELPER_MAX && flow->helper[length]; length++) {
		if (!flow_name_byte(flow->helper[length]))
			return FLOW_BAD_HELPER;
	}
	if (length == 0 || length == FLOW_HELPER_MAX)
		return FLOW_BAD_HELPER;
	for (; length < FLOW_HELPER_MAX; length++)
		if (flow->helper[length])
			return FLOW_BAD_HELPER;
	return FLOW_OK;
}

static enum flow_error flow_decode_master(struct rbuf *r, struct flow *flow)
{
	uint8_t v6 = rbuf_u8(r), proto = rbuf_u8(r);

	if (v6 > 1)
		return FLOW_BAD_FAMILY;
	flow_decode_tuple(r, v6, proto, &flow->master);
	return FLOW_OK;
}

static enum flow_error flow_decode_extra(struct rbuf *r, struct flow *flow)
{
	enum flow_error error = FLOW_OK;

	if (flow->has & FLOW_HAS_SCTP) {
		flow->sctp_state = rbuf_u8(r);
		flow->sctp_vtag[0] = rbuf_be32(r);
		flow->sctp_vtag[1] = rbuf_be32(r);
	}
	if (flow->has & FLOW_HAS_MARK)
		flow->mark = rbuf_be32(r);
	if (flow->has & FLOW_HAS_LABELS)
		rbuf_bytes(r, flow->labels, FLOW_LABELS_BYTES);
	for (int i = 0; flow->has & FLOW_HAS_SEQADJ && i < 2; i++) {
		flow->seqadj[i].correction_pos = rbuf_be32(r);
		flow->seqadj[i].offset_before = (int32_t)rbuf_be32(r);
		flow->seqadj[i].offset_after = (int32_t)rbuf_be32(r);
	}
	for (int i = 0; flow->has & FLOW_HAS_SYNPROXY && i < 3; i++)
		flow->synproxy[i] = rbuf_be32(r);
	if (flow->has & FLOW_HAS_HELPER)
		error = flow_decode_helper(r, flow);
	if (!error && flow->has & FLOW_HAS_MASTER)
		error = flow_decode_master(r, flow);
	if (!error && flow_is_expectation(flow) && flow->has & FLOW_HAS_REPLY)
		error = flow_decode_expect(r, flow);
	return error;
}

/* flow_expect_parts: an expectation that is told whole names its master, in its own family: the
 * address that NAT put into the payload is of the master's. */
static bool flow_expect_parts(const struct flow *flow)
{
	return !(flow->has & ~(uint32_t)FLOW_HAS_EXPECTATION) &&
	       (!(flow->has & FLOW_HAS_REPLY) || flow->has & FLOW_HAS_MASTER);
}

void flow_stamp_encode(struct wbuf *w, const struct flow_stamp *stamp)
{
	varint_write(w, stamp->term);
	wbuf_u8(w, stamp->owner);
	wbuf_be32(w, stamp->life);
	varint_write(w, stamp->sequence);
}

void flow_stamp_decode(struct rbuf *r, struct flow_stamp *ret_stamp)
{
	ret_stamp->term = (uint32_t)varint_read(r, UINT32_MAX);
	ret_stamp->owner = rbuf_u8(r);
	ret_stamp->life = rbuf_be32(r);
	ret_stamp->sequence = varint_read(r, UINT64_MAX);
}

void flow_parts_encode(struct wbuf *w, const struct flow *flow)
{
	uint8_t differs = flow_reply_differs(flow);

	wbuf_be16(w, flow->has);
	flow_encode_key(w, flow, differs);
	flow_encode_reply(w, flow, differs);
	if (flow->has & FLOW_HAS_STATUS)
		varint_write(w, flow->status);
	if (flow->has & FLOW_HAS_TIMEOUT)
		varint_write(w, flow->timeout_s);
	flow_encode_tcp(w, flow);
	flow_encode_extra(w, flow);
	if (flow->has & FLOW_HAS_ID)
		wbuf_be32(w, flow->id);
}

void flow_encode(struct wbuf *w, const struct flow *flow)
{
	flow_parts_encode(w, flow);
	wbuf_be32(w, flow->group_tag);
	flow_stamp_encode(w, &flow->stamp);
}

enum flow_error flow_parts_decode(struct rbuf *r, struct flow *ret_flow)
{
	struct flow *flow = ret_flow;
	enum flow_error error;
	uint8_t differs;

	memset(flow, 0, sizeof(*flow));
	flow->has = rbuf_be16(r);
	if (flow->has & ~(uint32_t)FLOW_HAS_ALL)
		return FLOW_BAD_SHAPE;
	error = flow_decode_key(r, flow, &differs);
	if (!error && flow_is_expectation(flow) && !flow_expect_parts(flow))
		error = FLOW_BAD_EXPECT;
	if (!error)
		error = flow_decode_reply(r, flow, differs);
	if (error)
		return error;
	if (flow->has & FLOW_HAS_STATUS)
		flow->status = (uint32_t)varint_read(r, UINT32_MAX);
	if (flow->has & FLOW_HAS_TIMEOUT)
		flow->timeout_s = (uint32_t)varint_read(r, UINT32_MAX);
	error = flow_decode_tcp(r, flow);
	if (!error)
		error = flow_decode_extra(r, flow);
	if (!error && flow_is_expectation(flow) && flow->has & FLOW_HAS_MASTER &&
		flow->master.family != flow->orig.family)
		error = FLOW_BAD_EXPECT;
	if (error)
		return r->failed ? FLOW_SHORT : error;
	if (flow->has & FLOW_HAS_ID)
		flow->id = rbuf_be32(r);
	return r->failed ? FLOW_SHORT : FLOW_OK;
}

enum flow_error flow_decode(struct rbuf *r, struct flow *ret_flow)
{
	enum flow_error error = flow_parts_decode(r, ret_flow);

	if (error)
		return error;
	ret_flow->group_tag = rbuf_be32(r);
	flow_stamp_decode(r, &ret_flow->stamp);
	return r->failed ? FLOW_SHORT : FLOW_OK;
}

/* ---- a change ---- */

#define CHANGE_PARTS                                                                               \
	(FLOW_HAS_STATUS | FLOW_HAS_TIMEOUT | FLOW_HAS_TCP | FLOW_HAS_TCP_WINDOW | FLOW_HAS_MARK)

bool flow_change_fits(const struct flow *flow)
{
	return !(flow->has & ~(uint32_t)(CHANGE_PARTS | FLOW_HAS_ID));
}

void flow_change_encode(struct wbuf *w, const struct flow *flow)
{
	CHECK(flow_change_fits(flow));
	/* The bits of `has`, in one byte. */
	wbuf_u8(w, flow->has & CHANGE_PARTS);
	if (flow->has & FLOW_HAS_STATUS)
		varint_write(w, flow->status);
	if (flow->has & FLOW_HAS_TIMEOUT)
		varint_write(w, flow->timeout_s);
	flow_encode_tcp(w, flow);
	if (flow->has & FLOW_HAS_MARK)
		wbuf_be32(w, flow->mark);
}

enum flow_error flow_change_decode(struct rbuf *r, struct flow *ret_flow)
{
	struct flow *flow = ret_flow;
	enum flow_error error;

	memset(flow, 0, sizeof(*flow));
	flow->has = rbuf_u8(r);
	if (flow->has & ~(uint32_t)CHANGE_PARTS)
		return FLOW_BAD_SHAPE;
	if (flow->has & FLOW_HAS_STATUS)
		flow->status = (uint32_t)varint_read(r, UINT32_MAX);
	if (flow->has & FLOW_HAS_TIMEOUT)
		flow->timeout_s = (uint32_t)varint_read(r, UINT32_MAX);
	flow->orig.proto = PROTO_TCP; /* not known here */
	error = flow_decode_tcp(r, flow);
	flow->orig.proto = 0;
	if (!error && flow->has & FLOW_HAS_MARK)
		flow->mark = rbuf_be32(r);
	return r->failed ? FLOW_SHORT : error;
}

void flow_key_encode(struct wbuf *w, const struct flow *flow)
{
	flow_encode_key(w, flow, 0);
}

enum flow_error flow_key_decode(struct rbuf *r, struct flow *ret_flow)
{
	uint8_t differs = 0;
	enum flow_error error;

	memset(ret_flow, 0, sizeof(*ret_flow));
	error = flow_decode_key(r, ret_flow, &differs);
	return !error && differs ? FLOW_BAD_SHAPE : error;
}
