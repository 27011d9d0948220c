#include "carpd/gateways.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

/* What one next hop says, of a route or of a part of a multipath route. */
struct gateways_hop {
	uint32_t ifindex;
	struct ipaddr address; /* family IPADDR_NONE: a neighbour's network, no gateway */
};

void gateways_add(struct gateways *gateways, const struct ipaddr *address)
{
	for (uint32_t i = 0; i < gateways->count; i++)
		if (ipaddr_equal(&gateways->list[i], address))
			return;
	if (gateways->count < CARPD_GATEWAYS_MAX)
		gateways->list[gateways->count++] = *address;
}

static void gateways_address(
	struct ipaddr *address, int family, const void *bytes, size_t size_bytes)
{
	struct ipaddr read = {.family = family == AF_INET ? IPADDR_V4 : IPADDR_V6,
		.prefix_len = family == AF_INET ? 32 : 128};

	if ((family != AF_INET && family != AF_INET6) || ipaddr_size_bytes(&read) != size_bytes)
		return;
	memcpy(read.bytes, bytes, size_bytes);
	*address = read;
}

/* gateways_attr: RTA_GATEWAY and RTA_VIA; others say nothing of the hop's address. */
static void gateways_attr(struct gateways_hop *hop, int family, const struct nlattr *attr)
{
	const uint8_t *bytes = mnl_attr_get_payload(attr);
	size_t size_bytes = mnl_attr_get_payload_len(attr);
	uint16_t via_family;

	switch (mnl_attr_get_type(attr)) {
	case RTA_GATEWAY:
		gateways_address(&hop->address, family, bytes, size_bytes);
		return;
	case RTA_VIA:
		if (size_bytes <= sizeof(via_family))
			return;
		memcpy(&via_family, bytes, sizeof(via_family));
		gateways_address(&hop->address, via_family, bytes + sizeof(via_family),
			size_bytes - sizeof(via_family));
		return;
	case RTA_OIF:
		if (size_bytes == sizeof(hop->ifindex))
			memcpy(&hop->ifindex, bytes, sizeof(hop->ifindex));
		return;
	default:
		return;
	}
}

static void gateways_hop_add(
	struct gateways *gateways, const struct gateways_hop *hop, uint32_t ifindex)
{
	if (hop->ifindex == ifindex && hop->address.family != IPADDR_NONE)
		gateways_add(gateways, &hop->address);
}

/* gateways_multipath: RTA_MULTIPATH: struct rtnexthop, each with attributes of its own. */
static void gateways_multipath(
	struct gateways *gateways, int family, const struct nlattr *multipath, uint32_t ifindex)
{
	const uint8_t *at = mnl_attr_get_payload(multipath);
	size_t left = mnl_attr_get_payload_len(multipath);
	struct rtnexthop next;

	while (left >= sizeof(next)) {
		struct gateways_hop hop = {0};
		size_t size_bytes;

		memcpy(&next, at, sizeof(next));
		size_bytes = next.rtnh_len;
		if (size_bytes < sizeof(next) || size_bytes > left)
			return;
		hop.ifindex = (uint32_t)next.rtnh_ifindex;
		for (const struct nlattr *attr = (const void *)(at + sizeof(next));
			mnl_attr_ok(attr, (int)(at + size_bytes - (const uint8_t *)attr));
			attr = mnl_attr_next(attr))
			gateways_attr(&hop, family, attr);
		gateways_hop_add(gateways, &hop, ifindex);
		size_bytes = RTNH_ALIGN(size_bytes);
		if (size_bytes > left)
			return;
		at += size_bytes;
		left -= size_bytes;
	}
}

void gateways_take(struct gateways *gateways, const struct nlmsghdr *message, uint32_t ifindex)
{
	const struct rtmsg *body = mnl_nlmsg_get_payload(message);
	struct gateways_hop hop = {0};
	const struct nlattr *attr;

	if (message->nlmsg_type != RTM_NEWROUTE ||
		mnl_nlmsg_get_payload_len(message) < sizeof(*body) || body->rtm_type != RTN_UNICAST)
		return;
	mnl_attr_for_each (attr, message, sizeof(*body)) {
		if (mnl_attr_get_type(attr) == RTA_MULTIPATH)
			gateways_multipath(gateways, body->rtm_family, attr, ifindex);
		else
			gateways_attr(&hop, body->rtm_family, attr);
	}
	gateways_hop_add(gateways, &hop, ifindex);
}

int gateways_open(struct nl *nl)
{
	struct nl_options options = {.bus = NETLINK_ROUTE};
	int one = 1, r = nl_open(nl, &options);

	/* Without it an old kernel tells every route; gateways_take looks at the interface itself.
	 */
	if (r == 0)
		(void)setsockopt(nl_fd(nl), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	return r;
}

struct gateways_dump {
	struct gateways *gateways;
	uint32_t ifindex;
};

static int on_route(const struct nlmsghdr *message, void *context)
{
	struct gateways_dump *dump = context;

	gateways_take(dump->gateways, message, dump->ifindex);
	return 0;
}

int gateways_read(struct nl *nl, uint32_t ifindex, mono_t deadline, struct gateways *ret_gateways)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct gateways_dump dump = {.gateways = ret_gateways, .ifindex = ifindex};
	int result = 0;

	*ret_gateways = (struct gateways){0};
	for (unsigned int i = 0; i < 2; i++) {
		char buffer[256] __attribute__((aligned(NLMSG_ALIGNTO))) = {0};
		struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
		struct rtmsg *body = mnl_nlmsg_put_extra_header(request, sizeof(*body));
		int r;

		request->nlmsg_type = RTM_GETROUTE;
		request->nlmsg_flags = NLM_F_DUMP;
		body->rtm_family = families[i];
		mnl_attr_put_u32(request, RTA_TABLE, RT_TABLE_MAIN);
		mnl_attr_put_u32(request, RTA_OIF, ifindex);
		r = nl_dump(nl, request, deadline, on_route, &dump);
		/* A route that changed meanwhile is no harm: what was told was true. */
		if (r < 0 && r != -EINTR)
			result = r;
	}
	return result;
}
