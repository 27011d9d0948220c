#include "carpd/neighbours.h"

#include "common/check.h"

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define NEIGHBOURS_MESSAGE_BYTES 64u /* 28 of headers, 20 and 12 of attributes */

static size_t neighbours_put(void *at, uint32_t seq, const struct neighbours_entry *entry)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	struct ndmsg *body;

	message->nlmsg_type = RTM_NEWNEIGH;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL;
	message->nlmsg_seq = seq;
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->ndm_family = entry->address.family == IPADDR_V4 ? AF_INET : AF_INET6;
	body->ndm_ifindex = (int)entry->ifindex;
	body->ndm_state = NUD_STALE;
	mnl_attr_put(message, NDA_DST, ipaddr_size_bytes(&entry->address), entry->address.bytes);
	mnl_attr_put(message, NDA_LLADDR, FRAME_MAC_BYTES, entry->mac);
	return NLMSG_ALIGN(message->nlmsg_len);
}

void neighbours_add(struct addresses_nl *nl, const struct neighbours_entry *entries, size_t count)
{
	char buffer[NEIGHBOURS_MAX * NEIGHBOURS_MESSAGE_BYTES]
		__attribute__((aligned(NLMSG_ALIGNTO)));
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	size_t used = 0;

	CHECK(count <= NEIGHBOURS_MAX);
	for (size_t i = 0; i < count; i++)
		used += neighbours_put(buffer + used, nl->seq++, &entries[i]);
	CHECK(used <= sizeof(buffer));
	/* Only refusals are answered; whoever reads this socket next skips numbers not its own. */
	if (used > 0)
		(void)!sendto(nl->fd, buffer, used, MSG_DONTWAIT, (const struct sockaddr *)&kernel,
			sizeof(kernel));
}
