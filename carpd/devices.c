#include "carpd/devices.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

static size_t devices_put(void *at, uint32_t seq, uint32_t ifindex, bool up)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	struct ifinfomsg *body;

	message->nlmsg_type = RTM_NEWLINK; /* without CREATE: changes what is there */
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	message->nlmsg_seq = seq;
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->ifi_family = AF_UNSPEC;
	body->ifi_index = (int)ifindex;
	body->ifi_change = IFF_UP;
	body->ifi_flags = up ? IFF_UP : 0;
	return message->nlmsg_len;
}

static size_t devices_put_up(void *at, uint32_t seq, const void *context, size_t index)
{
	return devices_put(at, seq, ((const uint32_t *)context)[index], true);
}

static size_t devices_put_down(void *at, uint32_t seq, const void *context, size_t index)
{
	return devices_put(at, seq, ((const uint32_t *)context)[index], false);
}

int devices_set(struct addresses_nl *nl, const uint32_t *ifindexes, size_t count, bool up,
	mono_t deadline, struct addresses_result *ret_result)
{
	struct addresses_request request = {
		.put = up ? devices_put_up : devices_put_down,
		.context = ifindexes,
		.fine = {up ? 0 : ENODEV},
	};

	return addresses_exchange(nl, &request, count, deadline, ret_result);
}
