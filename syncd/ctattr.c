#include "syncd/ctattr.h"

#include "common/check.h"
#include "common/ipaddr.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* INT_MAX jiffies at HZ=1000: the longest time that every kernel takes (experiments 2). */
#define TIMEOUT_S_MAX 2147483u

static const char *const ctattr_error_names[] = {
	[CTATTR_OK] = "CTATTR_OK",
	[CTATTR_SHORT] = "CTATTR_SHORT",
	[CTATTR_FAMILY] = "CTATTR_FAMILY",
	[CTATTR_NO_TUPLE] = "CTATTR_NO_TUPLE",
	[CTATTR_BAD_VALUE] = "CTATTR_BAD_VALUE",
};
_Static_assert(ARRAY_LEN(ctattr_error_names) == CTATTR_ERROR_COUNT, "a name for every error");

const char *ctattr_error_name(enum ctattr_error error)
{
	return (unsigned int)error < CTATTR_ERROR_COUNT ? ctattr_error_names[error] : "?";
}

/* ---- parsing ---- */

struct attr {
	const uint8_t *data;
	uint16_t size_bytes;
	uint16_t type;
};

struct attrs {
	const uint8_t *pos;
	const uint8_t *end;
	bool failed; /* sticky, as in rbuf */
};

static struct attrs attrs_of(const struct attr *parent)
{
	return (struct attrs){.pos = parent->data, .end = parent->data + parent->size_bytes};
}

static bool attrs_next(struct attrs *list, struct attr *ret_attr)
{
	struct nlattr head;
	size_t left = (size_t)(list->end - list->pos), step;

	if (left == 0 || list->failed)
		return false;
	if (left < sizeof(head)) {
		list->failed = true;
		return false;
	}
	memcpy(&head, list->pos, sizeof(head));
	if (head.nla_len < sizeof(head) || head.nla_len > left) {
		list->failed = true;
		return false;
	}
	ret_attr->type = head.nla_type & NLA_TYPE_MASK;
	ret_attr->data = list->pos + sizeof(head);
	ret_attr->size_bytes = (uint16_t)(head.nla_len - sizeof(head));
	step = NLA_ALIGN(head.nla_len);
	list->pos += step < left ? step : left;
	return true;
}

static uint32_t attr_be(const struct attr *attr, size_t width, bool *failed)
{
	uint32_t value = 0;

	if (attr->size_bytes < width) {
		*failed = true;
		return 0;
	}
	for (size_t i = 0; i < width; i++)
		value = value << 8 | attr->data[i];
	return value;
}

static void attr_bytes(const struct attr *attr, void *to, size_t size_bytes, bool *failed)
{
	if (attr->size_bytes < size_bytes)
		*failed = true;
	else
		memcpy(to, attr->data, size_bytes);
}

static bool parse_tuple_ip(const struct attr *parent, struct flow_tuple *tuple)
{
	struct attrs list = attrs_of(parent);
	struct attr attr;

	while (attrs_next(&list, &attr)) {
		switch (attr.type) {
		case CTA_IP_V4_SRC:
			attr_bytes(&attr, tuple->src, 4, &list.failed);
			tuple->family = IPADDR_V4;
			break;
		case CTA_IP_V4_DST:
			attr_bytes(&attr, tuple->dst, 4, &list.failed);
			break;
		case CTA_IP_V6_SRC:
			attr_bytes(&attr, tuple->src, 16, &list.failed);
			tuple->family = IPADDR_V6;
			break;
		case CTA_IP_V6_DST:
			attr_bytes(&attr, tuple->dst, 16, &list.failed);
			break;
		}
	}
	/* What comes twice, in two families, leaves nothing of the other behind the four bytes. */
	if (tuple->family == IPADDR_V4) {
		memset(tuple->src + 4, 0, sizeof(tuple->src) - 4);
		memset(tuple->dst + 4, 0, sizeof(tuple->dst) - 4);
	}
	return !list.failed;
}

static bool parse_tuple_proto(const struct attr *parent, struct flow_tuple *tuple)
{
	struct attrs list = attrs_of(parent);
	struct attr attr;
	uint8_t type = 0, code = 0;
	bool icmp = false;

	while (attrs_next(&list, &attr)) {
		switch (attr.type) {
		case CTA_PROTO_NUM:
			tuple->proto = (uint8_t)attr_be(&attr, 1, &list.failed);
			break;
		case CTA_PROTO_SRC_PORT:
		case CTA_PROTO_ICMP_ID:
		case CTA_PROTO_ICMPV6_ID:
			tuple->src_port = (uint16_t)attr_be(&attr, 2, &list.failed);
			break;
		case CTA_PROTO_DST_PORT:
			tuple->dst_port = (uint16_t)attr_be(&attr, 2, &list.failed);
			break;
		case CTA_PROTO_ICMP_TYPE:
		case CTA_PROTO_ICMPV6_TYPE:
			type = (uint8_t)attr_be(&attr, 1, &list.failed);
			icmp = true;
			break;
		case CTA_PROTO_ICMP_CODE:
		case CTA_PROTO_ICMPV6_CODE:
			code = (uint8_t)attr_be(&attr, 1, &list.failed);
			break;
		}
	}
	if (icmp)
		tuple->dst_port = (uint16_t)(type << 8 | code);
	return !list.failed;
}

/* parse_tuple: zone and zone_dir may be NULL (a master's tuple). */
static bool parse_tuple(
	const struct attr *parent, struct flow_tuple *tuple, struct flow *flow, uint8_t zone_dir)
{
	struct attrs list = attrs_of(parent);
	struct attr attr;
	bool ok = true;

	while (ok && attrs_next(&list, &attr)) {
		if (attr.type == CTA_TUPLE_IP)
			ok = parse_tuple_ip(&attr, tuple);
		else if (attr.type == CTA_TUPLE_PROTO)
			ok = parse_tuple_proto(&attr, tuple);
		else if (attr.type == CTA_TUPLE_ZONE && flow) {
			flow->zone = (uint16_t)attr_be(&attr, 2, &list.failed);
			flow->zone_dir = flow->zone ? zone_dir : FLOW_ZONE_BOTH;
		}
	}
	return ok && !list.failed;
}

static bool parse_tcp(const struct attr *parent, struct flow *flow)
{
	struct attrs list = attrs_of(parent);
	struct attr attr;

	while (attrs_next(&list, &attr)) {
		uint8_t value = (uint8_t)attr_be(&attr, 1, &list.failed);

		switch (attr.type) {
		case CTA_PROTOINFO_TCP_STATE:
			flow->tcp_state = value;
			flow->has |= FLOW_HAS_TCP;
			break;
		case CTA_PROTOINFO_TCP_WSCALE_ORIGINAL:
		case CTA_PROTOINFO_TCP_WSCALE_REPLY:
			flow->tcp_wscale[attr.type == CTA_PROTOINFO_TCP_WSCALE_REPLY] = value;
			break;
		case CTA_PROTOINFO_TCP_FLAGS_ORIGINAL:
		case CTA_PROTOINFO_TCP_FLAGS_REPLY: /* struct nf_ct_tcp_flags: flags, mask */
			flow->tcp_flags[attr.type == CTA_PROTOINFO_TCP_FLAGS_REPLY] =
				value & FLOW_TCP_FLAGS_KEPT;
			flow->has |= FLOW_HAS_TCP_WINDOW;
			break;
		}
	}
	return !list.failed;
}

static bool parse_sctp(const struct attr *parent, struct flow *flow)
{
	struct attrs list = attrs_of(parent);
	struct attr attr;

	while (attrs_next(&list, &attr)) {
		if (attr.type == CTA_PROTOINFO_SCTP_STATE)
			flow->sctp_state = (uint8_t)attr_be(&attr, 1, &list.failed);
		else if (attr.type == CTA_PROTOINFO_SCTP_VTAG_ORIGINAL)
			flow->sctp_vtag[0] = attr_be(&attr, 4, &list.failed);
		else if (attr.type == CTA_PROTOINFO_SCTP_VTAG_REPLY) {
			flow->sctp_vtag[1] = attr_be(&attr, 4, &list.failed);
			flow->has |= FLOW_HAS_SCTP; /* both tags are told, or neither */
		}
	}
	return !list.failed;
}

static bool parse_protoinfo(const struct attr *parent, struct flow *flow)
{
	struct attrs list = attrs_of(parent);
	struct attr attr;
	bool ok = true;

	while (ok && attrs_next(&list, &attr)) {
		if (attr.type == CTA_PROTOINFO_TCP)
			ok = parse_tcp(&attr, flow);
		else if (attr.type == CTA_PROTOINFO_SCTP)
			ok = parse_sctp(&attr, flow);
	}
	return ok && !list.failed;
}

static bool parse_seqadj(const struct attr *parent, struct flow_seqadj *seqadj)
{
	struct attrs list = attrs_of(parent);
	struct attr attr;

	while (attrs_next(&list, &attr)) {
		if (attr.type == CTA_SEQADJ_CORRECTION_POS)
			seqadj->correction_pos = attr_be(&attr, 4, &list.failed);
		else if (attr.type == CTA_SEQADJ_OFFSET_BEFORE)
			seqadj->offset_before = (int32_t)attr_be(&attr, 4, &list.failed);
		else if (attr.type == CTA_SEQADJ_OFFSET_AFTER)
			seqadj->offset_after = (int32_t)attr_be(&attr, 4, &list.failed);
	}
	return !list.failed;
}

static bool parse_synproxy(const struct attr *parent, struct flow *flow)
{
	struct attrs list = attrs_of(parent);
	struct attr attr;

	while (attrs_next(&list, &attr))
		if (attr.type >= CTA_SYNPROXY_ISN && attr.type <= CTA_SYNPROXY_TSOFF)
			flow->synproxy[attr.type - CTA_SYNPROXY_ISN] =
				attr_be(&attr, 4, &list.failed);
	return !list.failed;
}

/* parse_name: a name that another kernel would not take is as good as none: false. */
static bool parse_name(const struct attr *attr, char *name, size_t size_bytes)
{
	size_t length = strnlen((const char *)attr->data, attr->size_bytes);

	if (length == 0 || length >= size_bytes)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!flow_name_byte((char)attr->data[i]))
			return false;
	memset(name, 0, size_bytes);
	memcpy(name, attr->data, length);
	return true;
}

static bool parse_help(const struct attr *parent, struct flow *flow)
{
	struct attrs list = attrs_of(parent);
	struct attr attr;

	while (attrs_next(&list, &attr))
		if (attr.type == CTA_HELP_NAME &&
			parse_name(&attr, flow->helper, sizeof(flow->helper)))
			flow->has |= FLOW_HAS_HELPER;
	return !list.failed;
}

static bool parse_labels(const struct attr *attr, struct flow *flow)
{
	size_t size = attr->size_bytes < FLOW_LABELS_BYTES ? attr->size_bytes : FLOW_LABELS_BYTES;

	memcpy(flow->labels, attr->data, size);
	flow->has |= FLOW_HAS_LABELS;
	return true;
}

/* parse_nested: the parts that most events do not have. */
static bool parse_nested(const struct attr *attr, struct flow *flow)
{
	switch (attr->type) {
	case CTA_PROTOINFO:
		return parse_protoinfo(attr, flow);
	case CTA_HELP:
		return parse_help(attr, flow);
	case CTA_TUPLE_MASTER:
		flow->has |= FLOW_HAS_MASTER;
		return parse_tuple(attr, &flow->master, NULL, 0);
	case CTA_SEQ_ADJ_ORIG:
	case CTA_SEQ_ADJ_REPLY:
		flow->has |= FLOW_HAS_SEQADJ;
		return parse_seqadj(attr, &flow->seqadj[attr->type == CTA_SEQ_ADJ_REPLY]);
	case CTA_SYNPROXY:
		flow->has |= FLOW_HAS_SYNPROXY;
		return parse_synproxy(attr, flow);
	case CTA_LABELS:
		return parse_labels(attr, flow);
	default:
		return true; /* counters, timestamps, ...: not ours */
	}
}

static bool parse_attr(const struct attr *attr, struct flow *flow)
{
	bool failed = false;

	switch (attr->type) {
	case CTA_TUPLE_ORIG:
		return parse_tuple(attr, &flow->orig, flow, FLOW_ZONE_ORIG);
	case CTA_TUPLE_REPLY:
		flow->has |= FLOW_HAS_REPLY;
		return parse_tuple(attr, &flow->reply, flow, FLOW_ZONE_REPLY);
	case CTA_STATUS:
		flow->status = attr_be(attr, 4, &failed);
		flow->has |= FLOW_HAS_STATUS;
		break;
	case CTA_TIMEOUT:
		flow->timeout_s = attr_be(attr, 4, &failed);
		flow->has |= FLOW_HAS_TIMEOUT;
		break;
	case CTA_MARK:
		flow->mark = attr_be(attr, 4, &failed);
		flow->has |= FLOW_HAS_MARK;
		break;
	case CTA_ID:
		flow->id = attr_be(attr, 4, &failed);
		flow->has |= FLOW_HAS_ID;
		break;
	case CTA_ZONE:
		flow->zone = (uint16_t)attr_be(attr, 2, &failed);
		break;
	default:
		return parse_nested(attr, flow);
	}
	return !failed;
}

/* parse_drop_empty: every entry that was made through ctnetlink has room for both of these, and the
 * kernel then tells their zeros: no part of the flow. */
static void parse_drop_empty(struct flow *flow)
{
	static const struct flow_seqadj no_seqadj[2];
	static const uint32_t no_synproxy[3];

	if (memcmp(flow->seqadj, no_seqadj, sizeof(no_seqadj)) == 0)
		flow->has &= ~(uint32_t)FLOW_HAS_SEQADJ;
	if (memcmp(flow->synproxy, no_synproxy, sizeof(no_synproxy)) == 0)
		flow->has &= ~(uint32_t)FLOW_HAS_SYNPROXY;
}

static enum ctattr_error parse_check(struct flow *flow)
{
	parse_drop_empty(flow);
	if (flow->orig.family == IPADDR_NONE)
		return CTATTR_NO_TUPLE;
	if (flow->has & FLOW_HAS_REPLY &&
		(flow->reply.family != flow->orig.family || flow->reply.proto != flow->orig.proto))
		return CTATTR_NO_TUPLE;
	if (flow->has & FLOW_HAS_MASTER && flow->master.family == IPADDR_NONE)
		return CTATTR_NO_TUPLE;
	if (flow->orig.proto != IPPROTO_TCP)
		flow->has &= ~(uint32_t)(FLOW_HAS_TCP | FLOW_HAS_TCP_WINDOW);
	if (flow->tcp_state > FLOW_TCP_STATE_MAX || flow->tcp_wscale[0] > FLOW_TCP_WSCALE_MAX ||
		flow->tcp_wscale[1] > FLOW_TCP_WSCALE_MAX)
		return CTATTR_BAD_VALUE;
	return CTATTR_OK;
}

/* ---- parsing an expectation ---- */

static bool parse_expect_nat(const struct attr *parent, struct flow *flow)
{
	struct attrs list = attrs_of(parent);
	struct attr attr;
	struct flow_tuple tuple = {0};
	bool ok = true;

	while (ok && attrs_next(&list, &attr)) {
		if (attr.type == CTA_EXPECT_NAT_DIR)
			flow->expect.nat_dir = attr_be(&attr, 4, &list.failed) != 0;
		else if (attr.type == CTA_EXPECT_NAT_TUPLE)
			ok = parse_tuple(&attr, &tuple, NULL, 0);
	}
	memcpy(flow->expect.nat_source, tuple.src, sizeof(tuple.src));
	flow->expect.nat_port = tuple.src_port;
	return ok && !list.failed;
}

static bool parse_expect_attr(const struct attr *attr, struct flow *flow)
{
	bool failed = false;

	switch (attr->type) {
	case CTA_EXPECT_TUPLE:
		return parse_tuple(attr, &flow->orig, NULL, 0);
	case CTA_EXPECT_MASK:
		flow->has |= FLOW_HAS_REPLY;
		return parse_tuple(attr, &flow->reply, NULL, 0);
	case CTA_EXPECT_MASTER:
		flow->has |= FLOW_HAS_MASTER;
		return parse_tuple(attr, &flow->master, NULL, 0);
	case CTA_EXPECT_NAT:
		return parse_expect_nat(attr, flow);
	case CTA_EXPECT_TIMEOUT:
		flow->timeout_s = attr_be(attr, 4, &failed);
		flow->has |= FLOW_HAS_TIMEOUT;
		break;
	case CTA_EXPECT_ID:
		flow->id = attr_be(attr, 4, &failed);
		flow->has |= FLOW_HAS_ID;
		break;
	case CTA_EXPECT_ZONE:
		flow->zone = (uint16_t)attr_be(attr, 2, &failed);
		break;
	case CTA_EXPECT_FLAGS:
		flow->expect.flags = (uint8_t)attr_be(attr, 4, &failed);
		break;
	case CTA_EXPECT_CLASS:
		flow->expect.class = (uint8_t)attr_be(attr, 4, &failed);
		break;
	case CTA_EXPECT_HELP_NAME:
		if (parse_name(attr, flow->helper, sizeof(flow->helper)))
			flow->has |= FLOW_HAS_HELPER;
		break;
	case CTA_EXPECT_FN:
		(void)parse_name(attr, flow->expect.fn, sizeof(flow->expect.fn)); /* or none */
		break;
	}
	return !failed;
}

static enum ctattr_error parse_expect_check(struct flow *flow)
{
	const uint32_t whole = FLOW_HAS_REPLY | FLOW_HAS_MASTER;

	flow->zone_dir = FLOW_ZONE_EXPECTATION;
	if (flow->orig.family == IPADDR_NONE || (flow->has & whole) != whole ||
		flow->reply.family != flow->orig.family || flow->reply.proto != flow->orig.proto ||
		flow->master.family != flow->orig.family)
		return CTATTR_NO_TUPLE;
	if (flow->orig.family == IPADDR_V4)
		memset(flow->expect.nat_source + 4, 0, sizeof(flow->expect.nat_source) - 4);
	return CTATTR_OK;
}

static bool is_expectation(const struct nlmsghdr *message)
{
	return NFNL_SUBSYS_ID(message->nlmsg_type) == NFNL_SUBSYS_CTNETLINK_EXP;
}

bool ctattr_is_known(const struct nlmsghdr *message)
{
	return NFNL_SUBSYS_ID(message->nlmsg_type) == NFNL_SUBSYS_CTNETLINK ||
	       is_expectation(message);
}

enum ctattr_error ctattr_parse(
	const struct nlmsghdr *message, size_t size_bytes, struct flow *ret_flow)
{
	const uint8_t *bytes = (const uint8_t *)message;
	size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	struct attrs list;
	struct attr attr;
	bool ok = true, expect;

	memset(ret_flow, 0, sizeof(*ret_flow));
	if (size_bytes < head)
		return CTATTR_SHORT;
	if (bytes[NLMSG_HDRLEN] != AF_INET && bytes[NLMSG_HDRLEN] != AF_INET6)
		return CTATTR_FAMILY;
	expect = is_expectation(message);
	list = (struct attrs){.pos = bytes + head, .end = bytes + size_bytes};
	while (ok && attrs_next(&list, &attr))
		ok = expect ? parse_expect_attr(&attr, ret_flow) : parse_attr(&attr, ret_flow);
	if (!ok || list.failed)
		return CTATTR_SHORT;
	return expect ? parse_expect_check(ret_flow) : parse_check(ret_flow);
}

/* ---- building ---- */

static struct nlmsghdr *put_head(void *at, uint32_t seq, uint8_t type, uint16_t flags, int family)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	struct nfgenmsg *head;

	message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	message->nlmsg_seq = seq;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->nfgen_family = (uint8_t)family;
	head->version = NFNETLINK_V0;
	head->res_id = 0;
	return message;
}

static void put_be16(struct nlmsghdr *message, uint16_t type, uint16_t value)
{
	mnl_attr_put_u16(message, type, htons(value));
}

static void put_be32(struct nlmsghdr *message, uint16_t type, uint32_t value)
{
	mnl_attr_put_u32(message, type, htonl(value));
}

static void put_tuple_proto(struct nlmsghdr *message, const struct flow_tuple *tuple)
{
	struct nlattr *nest = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);

	mnl_attr_put_u8(message, CTA_PROTO_NUM, tuple->proto);
	if (tuple->proto == IPPROTO_ICMP) {
		put_be16(message, CTA_PROTO_ICMP_ID, tuple->src_port);
		mnl_attr_put_u8(message, CTA_PROTO_ICMP_TYPE, (uint8_t)(tuple->dst_port >> 8));
		mnl_attr_put_u8(message, CTA_PROTO_ICMP_CODE, (uint8_t)tuple->dst_port);
	} else if (tuple->proto == IPPROTO_ICMPV6) {
		put_be16(message, CTA_PROTO_ICMPV6_ID, tuple->src_port);
		mnl_attr_put_u8(message, CTA_PROTO_ICMPV6_TYPE, (uint8_t)(tuple->dst_port >> 8));
		mnl_attr_put_u8(message, CTA_PROTO_ICMPV6_CODE, (uint8_t)tuple->dst_port);
	} else if (flow_proto_has_ports(tuple->proto)) {
		put_be16(message, CTA_PROTO_SRC_PORT, tuple->src_port);
		put_be16(message, CTA_PROTO_DST_PORT, tuple->dst_port);
	}
	mnl_attr_nest_end(message, nest);
}

static void put_tuple(
	struct nlmsghdr *message, uint16_t type, const struct flow_tuple *tuple, uint16_t zone)
{
	struct nlattr *nest = mnl_attr_nest_start(message, type);
	struct nlattr *ip = mnl_attr_nest_start(message, CTA_TUPLE_IP);

	if (tuple->family == IPADDR_V6) {
		mnl_attr_put(message, CTA_IP_V6_SRC, 16, tuple->src);
		mnl_attr_put(message, CTA_IP_V6_DST, 16, tuple->dst);
	} else {
		mnl_attr_put(message, CTA_IP_V4_SRC, 4, tuple->src);
		mnl_attr_put(message, CTA_IP_V4_DST, 4, tuple->dst);
	}
	mnl_attr_nest_end(message, ip);
	put_tuple_proto(message, tuple);
	if (zone)
		put_be16(message, CTA_TUPLE_ZONE, zone);
	mnl_attr_nest_end(message, nest);
}

/* put_key: by the original tuple the kernel finds every entry; a zone of one direction lies inside
 * that direction's tuple, so a zone of the reply needs the reply tuple as well. */
static void put_key(
	struct nlmsghdr *message, const struct flow *flow, const struct flow_tuple *reply)
{
	put_tuple(message, CTA_TUPLE_ORIG, &flow->orig,
		flow->zone_dir == FLOW_ZONE_ORIG ? flow->zone : 0);
	if (reply)
		put_tuple(message, CTA_TUPLE_REPLY, reply,
			flow->zone_dir == FLOW_ZONE_REPLY ? flow->zone : 0);
	if (flow->zone && flow->zone_dir == FLOW_ZONE_BOTH)
		put_be16(message, CTA_ZONE, flow->zone);
}

static void put_nat_range(struct nlmsghdr *message, uint16_t type, const uint8_t *address,
	uint8_t family, bool port_set, uint16_t port)
{
	struct nlattr *nest = mnl_attr_nest_start(message, type);
	struct nlattr *proto;

	if (family == IPADDR_V6) {
		mnl_attr_put(message, CTA_NAT_V6_MINIP, 16, address);
		mnl_attr_put(message, CTA_NAT_V6_MAXIP, 16, address);
	} else {
		mnl_attr_put(message, CTA_NAT_V4_MINIP, 4, address);
		mnl_attr_put(message, CTA_NAT_V4_MAXIP, 4, address);
	}
	if (port_set) {
		proto = mnl_attr_nest_start(message, CTA_NAT_PROTO);
		put_be16(message, CTA_PROTONAT_PORT_MIN, port);
		put_be16(message, CTA_PROTONAT_PORT_MAX, port);
		mnl_attr_nest_end(message, proto);
	}
	mnl_attr_nest_end(message, nest);
}

/* put_nat: read from where the reply goes and comes from. An ICMP id has no direction of its own:
 * it belongs to the source's translation. */
static void put_nat(struct nlmsghdr *message, const struct flow *flow)
{
	const struct flow_tuple *orig = &flow->orig, *reply = &flow->reply;
	bool icmp = flow_proto_is_icmp(orig->proto), ports = flow_proto_has_ports(orig->proto);
	uint16_t new_source = icmp ? reply->src_port : reply->dst_port;
	uint16_t new_target = icmp ? 0 : reply->src_port;

	if (memcmp(reply->dst, orig->src, sizeof(reply->dst)) != 0 || new_source != orig->src_port)
		put_nat_range(
			message, CTA_NAT_SRC, reply->dst, orig->family, ports || icmp, new_source);
	if (memcmp(reply->src, orig->dst, sizeof(reply->src)) != 0 ||
		(!icmp && new_target != orig->dst_port))
		put_nat_range(message, CTA_NAT_DST, reply->src, orig->family, ports, new_target);
}

static void put_tcp_flags(struct nlmsghdr *message, uint16_t type, uint8_t flags, uint8_t mask)
{
	uint8_t pair[2] = {flags, mask}; /* struct nf_ct_tcp_flags */

	mnl_attr_put(message, type, sizeof(pair), pair);
}

static void put_tcp(struct nlmsghdr *message, const struct flow *flow, bool liberal)
{
	struct nlattr *nest = mnl_attr_nest_start(message, CTA_PROTOINFO);
	struct nlattr *tcp = mnl_attr_nest_start(message, CTA_PROTOINFO_TCP);
	uint8_t more = liberal ? FLOW_TCP_BE_LIBERAL : 0;
	uint8_t mask = flow->has & FLOW_HAS_TCP_WINDOW ? FLOW_TCP_FLAGS_KEPT : FLOW_TCP_BE_LIBERAL;

	mnl_attr_put_u8(message, CTA_PROTOINFO_TCP_STATE, flow->tcp_state);
	put_tcp_flags(message, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, flow->tcp_flags[0] | more, mask);
	put_tcp_flags(message, CTA_PROTOINFO_TCP_FLAGS_REPLY, flow->tcp_flags[1] | more, mask);
	/* Without both WINDOW_SCALE flags the kernel ignores the scales (facts 2.4). */
	if (flow->has & FLOW_HAS_TCP_WINDOW &&
		flow->tcp_flags[0] & flow->tcp_flags[1] & FLOW_TCP_WINDOW_SCALE) {
		mnl_attr_put_u8(message, CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, flow->tcp_wscale[0]);
		mnl_attr_put_u8(message, CTA_PROTOINFO_TCP_WSCALE_REPLY, flow->tcp_wscale[1]);
	}
	mnl_attr_nest_end(message, tcp);
	mnl_attr_nest_end(message, nest);
}

static void put_sctp(struct nlmsghdr *message, const struct flow *flow)
{
	struct nlattr *nest = mnl_attr_nest_start(message, CTA_PROTOINFO);
	struct nlattr *sctp = mnl_attr_nest_start(message, CTA_PROTOINFO_SCTP);

	mnl_attr_put_u8(message, CTA_PROTOINFO_SCTP_STATE, flow->sctp_state);
	put_be32(message, CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, flow->sctp_vtag[0]);
	put_be32(message, CTA_PROTOINFO_SCTP_VTAG_REPLY, flow->sctp_vtag[1]);
	mnl_attr_nest_end(message, sctp);
	mnl_attr_nest_end(message, nest);
}

static void put_seqadj(struct nlmsghdr *message, const struct flow *flow)
{
	for (int i = 0; i < 2; i++) {
		struct nlattr *nest =
			mnl_attr_nest_start(message, i ? CTA_SEQ_ADJ_REPLY : CTA_SEQ_ADJ_ORIG);

		put_be32(message, CTA_SEQADJ_CORRECTION_POS, flow->seqadj[i].correction_pos);
		put_be32(
			message, CTA_SEQADJ_OFFSET_BEFORE, (uint32_t)flow->seqadj[i].offset_before);
		put_be32(message, CTA_SEQADJ_OFFSET_AFTER, (uint32_t)flow->seqadj[i].offset_after);
		mnl_attr_nest_end(message, nest);
	}
}

static void put_timeout(struct nlmsghdr *message, uint32_t timeout_s)
{
	put_be32(message, CTA_TIMEOUT, timeout_s < TIMEOUT_S_MAX ? timeout_s : TIMEOUT_S_MAX);
}

/* put_state: what both a create and an update may say. */
static void put_state(
	struct nlmsghdr *message, const struct flow *flow, bool liberal, uint32_t more_status)
{
	/* Only these can be set; FIXED_TIMEOUT would forbid us to re-time the entry (EPERM). */
	uint32_t status = FLOW_STATUS_CONFIRMED |
			  (flow->status & (FLOW_STATUS_SEEN_REPLY | FLOW_STATUS_ASSURED)) |
			  more_status;

	put_be32(message, CTA_STATUS, status);
	put_timeout(message, flow->timeout_s);
	if (flow->orig.proto == IPPROTO_TCP)
		put_tcp(message, flow, liberal);
	else if (flow->has & FLOW_HAS_SCTP)
		put_sctp(message, flow);
	if (flow->has & FLOW_HAS_MARK)
		put_be32(message, CTA_MARK, flow->mark);
	if (flow->has & FLOW_HAS_LABELS)
		mnl_attr_put(message, CTA_LABELS, FLOW_LABELS_BYTES, flow->labels);
	if (flow->has & FLOW_HAS_SEQADJ)
		put_seqadj(message, flow);
	if (flow->has & FLOW_HAS_SYNPROXY) {
		struct nlattr *nest = mnl_attr_nest_start(message, CTA_SYNPROXY);

		for (uint16_t i = 0; i < 3; i++)
			put_be32(message, CTA_SYNPROXY_ISN + i, flow->synproxy[i]);
		mnl_attr_nest_end(message, nest);
	}
}

static void put_help(struct nlmsghdr *message, const struct flow *flow)
{
	struct nlattr *nest;

	if (!(flow->has & FLOW_HAS_HELPER))
		return;
	nest = mnl_attr_nest_start(message, CTA_HELP);
	mnl_attr_put_strz(message, CTA_HELP_NAME, flow->helper);
	mnl_attr_nest_end(message, nest);
}

static int af_of(const struct flow *flow)
{
	CHECK(flow->orig.family == IPADDR_V4 || flow->orig.family == IPADDR_V6);
	return flow->orig.family == IPADDR_V6 ? AF_INET6 : AF_INET;
}

/* ---- building an expectation ---- */

/* put_expect_head: a message that names it. Tuple, mask and master are all wanted wherever one is
 * made or changed (ctnetlink_new_expect(), EINVAL); elsewhere the tuple is what counts. Above all a
 * delete without one would flush. */
static struct nlmsghdr *put_expect_head(
	void *at, uint32_t seq, uint8_t type, uint16_t flags, const struct flow *flow)
{
	struct nlmsghdr *message = put_head(at, seq, type, flags, af_of(flow));

	message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK_EXP << 8 | type);
	put_tuple(message, CTA_EXPECT_TUPLE, &flow->orig, 0);
	if (flow->has & FLOW_HAS_REPLY)
		put_tuple(message, CTA_EXPECT_MASK, &flow->reply, 0);
	if (flow->has & FLOW_HAS_MASTER)
		put_tuple(message, CTA_EXPECT_MASTER, &flow->master, 0);
	if (flow->zone)
		put_be16(message, CTA_EXPECT_ZONE, flow->zone);
	return message;
}

/* put_expect_helper: the kernel tells the master's helper, and takes the name for the helper that
 * the expected flow shall have, which it does not tell. Those whose flows have none are known; to
 * give FTP's helper to a data connection would let a file's contents open ports. */
static void put_expect_helper(struct nlmsghdr *message, const struct flow *flow)
{
	static const char *const plain[] = {
		"ftp", "tftp", "irc", "amanda", "sane", "pptp", "netbios-ns", "snmp"};

	if (!(flow->has & FLOW_HAS_HELPER))
		return;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		size_t length = strlen(plain[i]);

		/* Some are called after their port, too: "ftp-2121". */
		if (strncmp(flow->helper, plain[i], length) == 0 &&
			(flow->helper[length] == '\0' || flow->helper[length] == '-'))
			return;
	}
	mnl_attr_put_strz(message, CTA_EXPECT_HELP_NAME, flow->helper);
}

static size_t put_expect_create(void *at, uint32_t seq, const struct flow *flow)
{
	struct nlmsghdr *message = put_expect_head(at, seq, IPCTNL_MSG_EXP_NEW, NLM_F_CREATE, flow);
	static const uint8_t nowhere[16];
	const struct flow_expect *expect = &flow->expect;

	if (expect->nat_port ||
		memcmp(expect->nat_source, nowhere, sizeof(expect->nat_source)) != 0) {
		struct nlattr *nest = mnl_attr_nest_start(message, CTA_EXPECT_NAT);
		struct flow_tuple tuple = {.family = flow->master.family,
			.proto = flow->master.proto,
			.src_port = expect->nat_port};

		memcpy(tuple.src, expect->nat_source, sizeof(tuple.src));
		put_be32(message, CTA_EXPECT_NAT_DIR, expect->nat_dir);
		put_tuple(message, CTA_EXPECT_NAT_TUPLE, &tuple, 0);
		mnl_attr_nest_end(message, nest);
	}
	put_be32(message, CTA_EXPECT_FLAGS, expect->flags);
	put_be32(message, CTA_EXPECT_CLASS, expect->class);
	put_expect_helper(message, flow);
	if (expect->fn[0])
		mnl_attr_put_strz(message, CTA_EXPECT_FN, expect->fn);
	return message->nlmsg_len;
}

static size_t put_expect_timeout(void *at, uint32_t seq, const struct flow *flow)
{
	struct nlmsghdr *message = put_expect_head(at, seq, IPCTNL_MSG_EXP_NEW, 0, flow);

	if (flow->has & FLOW_HAS_TIMEOUT)
		put_be32(message, CTA_EXPECT_TIMEOUT, flow->timeout_s);
	return message->nlmsg_len;
}

static size_t put_expect(void *at, uint32_t seq, uint8_t type, const struct flow *flow)
{
	return put_expect_head(at, seq, type, 0, flow)->nlmsg_len;
}

/* ---- whole messages ---- */

size_t ctattr_put_create(void *at, uint32_t seq, const struct flow *flow, bool liberal)
{
	struct nlmsghdr *message;
	struct flow_tuple plain;

	if (flow_is_expectation(flow))
		return put_expect_create(at, seq, flow);
	message = put_head(at, seq, IPCTNL_MSG_CT_NEW, NLM_F_CREATE, af_of(flow));
	flow_tuple_invert(&flow->orig, &plain);
	put_key(message, flow, &plain);
	if (flow->has & FLOW_HAS_REPLY)
		put_nat(message, flow);
	put_state(message, flow, liberal, 0);
	if (flow->has & FLOW_HAS_MASTER)
		put_tuple(message, CTA_TUPLE_MASTER, &flow->master, 0);
	put_help(message, flow);
	return message->nlmsg_len;
}

size_t ctattr_put_update(void *at, uint32_t seq, const struct flow *flow, bool liberal)
{
	struct nlmsghdr *message;

	if (flow_is_expectation(flow))
		return put_expect_timeout(at, seq, flow);
	message = put_head(at, seq, IPCTNL_MSG_CT_NEW, 0, af_of(flow));
	put_key(message, flow, NULL);
	/* EXPECTED came with the master at the create; now it may not change (EBUSY). */
	put_state(message, flow, liberal, flow->has & FLOW_HAS_MASTER ? FLOW_STATUS_EXPECTED : 0);
	/* The same helper once more: FTP's then takes up the conversation wherever it is
	 * (nf_ct_ftp_from_nlattr()); where it knew an earlier part, it would ignore the next
	 * command. */
	put_help(message, flow);
	return message->nlmsg_len;
}

size_t ctattr_put_delete(void *at, uint32_t seq, const struct flow *flow)
{
	struct nlmsghdr *message;

	if (flow_is_expectation(flow))
		return put_expect(at, seq, IPCTNL_MSG_EXP_DELETE, flow);
	/* Without a tuple this message would flush the kernel's table. */
	message = put_head(at, seq, IPCTNL_MSG_CT_DELETE, 0, af_of(flow));
	put_key(message, flow, NULL);
	return message->nlmsg_len;
}

size_t ctattr_put_timeout(void *at, uint32_t seq, const struct flow *flow)
{
	struct nlmsghdr *message;

	if (flow_is_expectation(flow))
		return put_expect_timeout(at, seq, flow);
	message = put_head(at, seq, IPCTNL_MSG_CT_NEW, 0, af_of(flow));
	put_key(message, flow, NULL);
	put_timeout(message, flow->timeout_s);
	return message->nlmsg_len;
}

/* put_liberality: the flags alone; the state is the kernel's own by now. */
static size_t put_liberality(
	void *at, uint32_t seq, const struct flow *flow, uint8_t original, uint8_t reply)
{
	struct nlmsghdr *message = put_head(at, seq, IPCTNL_MSG_CT_NEW, 0, af_of(flow));
	struct nlattr *nest, *tcp;

	put_key(message, flow, NULL);
	nest = mnl_attr_nest_start(message, CTA_PROTOINFO);
	tcp = mnl_attr_nest_start(message, CTA_PROTOINFO_TCP);
	put_tcp_flags(message, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, original & FLOW_TCP_BE_LIBERAL,
		FLOW_TCP_BE_LIBERAL);
	put_tcp_flags(message, CTA_PROTOINFO_TCP_FLAGS_REPLY, reply & FLOW_TCP_BE_LIBERAL,
		FLOW_TCP_BE_LIBERAL);
	mnl_attr_nest_end(message, tcp);
	mnl_attr_nest_end(message, nest);
	return message->nlmsg_len;
}

size_t ctattr_put_liberal(void *at, uint32_t seq, const struct flow *flow)
{
	return put_liberality(at, seq, flow, FLOW_TCP_BE_LIBERAL, FLOW_TCP_BE_LIBERAL);
}

size_t ctattr_put_strict(void *at, uint32_t seq, const struct flow *flow)
{
	/* What the source had stays. */
	return put_liberality(at, seq, flow, flow->tcp_flags[0], flow->tcp_flags[1]);
}

size_t ctattr_put_probe(void *at, uint32_t seq, const struct flow *flow)
{
	struct nlmsghdr *message;

	if (flow_is_expectation(flow))
		return put_expect(at, seq, IPCTNL_MSG_EXP_NEW, flow);
	message = put_head(at, seq, IPCTNL_MSG_CT_NEW, 0, af_of(flow));
	put_key(message, flow, NULL);
	return message->nlmsg_len;
}

size_t ctattr_put_get(void *at, uint32_t seq, const struct flow *flow)
{
	struct nlmsghdr *message;

	if (flow_is_expectation(flow))
		return put_expect(at, seq, IPCTNL_MSG_EXP_GET, flow);
	message = put_head(at, seq, IPCTNL_MSG_CT_GET, 0, af_of(flow));
	put_key(message, flow, NULL);
	return message->nlmsg_len;
}

size_t ctattr_put_get_reply(void *at, uint32_t seq, const struct flow *flow)
{
	struct nlmsghdr *message = put_head(at, seq, IPCTNL_MSG_CT_GET, 0, af_of(flow));

	put_tuple(message, CTA_TUPLE_REPLY, &flow->reply,
		flow->zone_dir == FLOW_ZONE_REPLY ? flow->zone : 0);
	if (flow->zone && flow->zone_dir == FLOW_ZONE_BOTH)
		put_be16(message, CTA_ZONE, flow->zone);
	return message->nlmsg_len;
}

size_t ctattr_put_dump(void *at, uint32_t seq)
{
	return put_head(at, seq, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC)->nlmsg_len;
}

size_t ctattr_put_dump_expectations(void *at, uint32_t seq)
{
	struct nlmsghdr *message = put_head(at, seq, IPCTNL_MSG_EXP_GET, NLM_F_DUMP, AF_UNSPEC);

	message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK_EXP << 8 | IPCTNL_MSG_EXP_GET);
	return message->nlmsg_len;
}
