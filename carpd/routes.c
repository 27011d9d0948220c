#include "carpd/routes.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

static struct nlmsghdr *routes_message(
	void *at, uint16_t type, uint16_t flags, uint32_t seq, const struct routes_entry *entry)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	struct rtmsg *body;

	message->nlmsg_type = type;
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	message->nlmsg_seq = seq;
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->rtm_family = entry->to.family == IPADDR_V4 ? AF_INET : AF_INET6;
	body->rtm_dst_len = entry->to.prefix_len;
	body->rtm_table = RT_TABLE_MAIN;
	body->rtm_protocol = ROUTES_PROTOCOL;
	body->rtm_type = RTN_UNICAST;
	body->rtm_scope = entry->via.family == IPADDR_NONE && entry->to.family == IPADDR_V4
				  ? RT_SCOPE_LINK
				  : RT_SCOPE_UNIVERSE;
	if (entry->to.prefix_len > 0)
		mnl_attr_put(message, RTA_DST, ipaddr_size_bytes(&entry->to), entry->to.bytes);
	if (entry->via.family != IPADDR_NONE)
		mnl_attr_put(
			message, RTA_GATEWAY, ipaddr_size_bytes(&entry->via), entry->via.bytes);
	mnl_attr_put_u32(message, RTA_OIF, entry->ifindex);
	if (entry->metric > 0)
		mnl_attr_put_u32(message, RTA_PRIORITY, entry->metric);
	return message;
}

/* Neither EXCL nor REPLACE: it goes before a route of somebody else's with the same metric (IPv4),
 * or beside it (IPv6: a metric of its own keeps them apart). */
static size_t routes_put_add(void *at, uint32_t seq, const void *context, size_t index)
{
	return routes_message(
		at, RTM_NEWROUTE, NLM_F_CREATE, seq, (const struct routes_entry *)context + index)
		->nlmsg_len;
}

static size_t routes_put_remove(void *at, uint32_t seq, const void *context, size_t index)
{
	return routes_message(
		at, RTM_DELROUTE, 0, seq, (const struct routes_entry *)context + index)
		->nlmsg_len;
}

int routes_add(struct addresses_nl *nl, const struct routes_entry *entries, size_t count,
	mono_t deadline, struct addresses_result *ret_result)
{
	struct addresses_request request = {
		.put = routes_put_add, .context = entries, .fine = {EEXIST}};

	return addresses_exchange(nl, &request, count, deadline, ret_result);
}

int routes_remove(struct addresses_nl *nl, const struct routes_entry *entries, size_t count,
	mono_t deadline, struct addresses_result *ret_result)
{
	struct addresses_request request = {
		.put = routes_put_remove, .context = entries, .fine = {ESRCH, ENODEV}};

	return addresses_exchange(nl, &request, count, deadline, ret_result);
}
