#include "carpd/addresses.h"

#include "carpd/bounds.h"
#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/sysctl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

#define ADDRESSES_CHUNK		64u /* messages in one sendmsg; their answers fit any buffer */
#define ADDRESSES_RECEIVE_BYTES 16384u

int addresses_open(struct addresses_nl *nl)
{
	struct sockaddr_nl local = {.nl_family = AF_NETLINK};
	int one = 1, buffer_bytes = 1 << 20;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	/* Answers without a copy of the question: 64 of them never fill the buffer. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof(buffer_bytes));
	if (bind(fd, (const struct sockaddr *)&local, sizeof(local)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	nl->fd = fd;
	nl->seq = 1;
	return 0;
}

void addresses_close(struct addresses_nl *nl)
{
	if (nl && nl->fd > 0)
		close(nl->fd);
	if (nl)
		nl->fd = -1;
}

static struct nlmsghdr *addresses_message(
	void *at, uint16_t type, uint16_t flags, uint32_t seq, const struct addresses_entry *entry)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	bool is_v4 = entry->address.family == IPADDR_V4;
	struct ifaddrmsg *body;

	message->nlmsg_type = type;
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	message->nlmsg_seq = seq;
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->ifa_family = is_v4 ? AF_INET : AF_INET6;
	body->ifa_prefixlen = entry->address.prefix_len;
	body->ifa_index = entry->ifindex;
	body->ifa_scope = ipaddr_is_link_local(&entry->address) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	mnl_attr_put(message, IFA_LOCAL, ipaddr_size_bytes(&entry->address), entry->address.bytes);
	if (is_v4)
		mnl_attr_put(message, IFA_ADDRESS, 4, entry->address.bytes);
	return message;
}

static size_t addresses_put_add(void *at, uint32_t seq, const void *context, size_t index)
{
	/* REPLACE renews the lifetime of an address that is there; CREATE adds it otherwise. */
	const struct addresses_entry *entry = (const struct addresses_entry *)context + index;
	struct nlmsghdr *message =
		addresses_message(at, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, seq, entry);
	struct ifa_cacheinfo lifetime = {
		.ifa_prefered = CARPD_ADDRESS_LIFETIME_S,
		.ifa_valid = CARPD_ADDRESS_LIFETIME_S,
	};

	mnl_attr_put(message, IFA_CACHEINFO, sizeof(lifetime), &lifetime);
	if (entry->address.family == IPADDR_V6)
		mnl_attr_put_u32(message, IFA_FLAGS, IFA_F_NODAD);
	return message->nlmsg_len;
}

static size_t addresses_put_remove(void *at, uint32_t seq, const void *context, size_t index)
{
	return addresses_message(
		at, RTM_DELADDR, 0, seq, (const struct addresses_entry *)context + index)
		->nlmsg_len;
}

/* addresses_wait: until something can be read. */
static int addresses_wait(const struct addresses_nl *nl, mono_t deadline)
{
	struct pollfd poll_fd = {.fd = nl->fd, .events = POLLIN};
	int64_t left_us = mono_diff(deadline, clock_now()).us;
	struct timespec timeout = {
		.tv_sec = left_us > 0 ? left_us / 1000000 : 0,
		.tv_nsec = left_us > 0 ? left_us % 1000000 * 1000 : 0,
	};
	int r = ppoll(&poll_fd, 1, &timeout, NULL);

	if (r < 0 && errno != EINTR)
		return -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

struct addresses_batch {
	uint32_t first_seq;
	uint32_t count;
	uint32_t answered;
	uint32_t base_index;
	const struct addresses_request *request;
	struct addresses_result *result;
};

static void addresses_take_answer(struct addresses_batch *batch, const struct nlmsghdr *message)
{
	const struct nlmsgerr *answer = mnl_nlmsg_get_payload(message);
	uint32_t index = message->nlmsg_seq - batch->first_seq;
	int error;

	if (message->nlmsg_type != NLMSG_ERROR || index >= batch->count)
		return; /* An answer to an earlier call that had timed out. */
	batch->answered++;
	error = answer->error;
	for (unsigned int i = 0; error != 0 && i < ADDRESSES_FINE_MAX; i++)
		if (error == -batch->request->fine[i]) {
			batch->result->unchanged++;
			error = 0;
		}
	if (error == 0) {
		batch->result->done++;
		return;
	}
	if (batch->result->failed++ == 0) {
		batch->result->first_error = error;
		batch->result->first_failed_index = batch->base_index + index;
	}
}

static int addresses_collect(
	struct addresses_nl *nl, struct addresses_batch *batch, mono_t deadline)
{
	char buffer[ADDRESSES_RECEIVE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));

	while (batch->answered < batch->count) {
		ssize_t size = recv(nl->fd, buffer, sizeof(buffer), 0);
		const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)buffer;
		int left = (int)size;

		if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
			int r = addresses_wait(nl, deadline);

			if (r < 0)
				return r;
			continue;
		}
		if (size < 0)
			return -errno;
		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
			addresses_take_answer(batch, message);
	}
	return 0;
}

int addresses_exchange(struct addresses_nl *nl, const struct addresses_request *request,
	size_t count, mono_t deadline, struct addresses_result *result)
{
	char buffer[ADDRESSES_CHUNK * ADDRESSES_MESSAGE_BYTES]
		__attribute__((aligned(NLMSG_ALIGNTO)));
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	*result = (struct addresses_result){0};
	for (size_t start = 0; start < count; start += ADDRESSES_CHUNK) {
		size_t chunk = count - start < ADDRESSES_CHUNK ? count - start : ADDRESSES_CHUNK;
		struct addresses_batch batch = {
			.first_seq = nl->seq,
			.count = (uint32_t)chunk,
			.base_index = (uint32_t)start,
			.request = request,
			.result = result,
		};
		size_t used = 0;
		int r;

		for (size_t i = 0; i < chunk; i++)
			used += NLMSG_ALIGN(request->put(
				buffer + used, nl->seq++, request->context, start + i));
		CHECK(used <= sizeof(buffer));
		if (sendto(nl->fd, buffer, used, 0, (const struct sockaddr *)&kernel,
			    sizeof(kernel)) < 0)
			return -errno;
		r = addresses_collect(nl, &batch, deadline);
		if (r < 0)
			return r;
	}
	return result->failed ? result->first_error : 0;
}

int addresses_add(struct addresses_nl *nl, const struct addresses_entry *entries, size_t count,
	mono_t deadline, struct addresses_result *ret_result)
{
	struct addresses_request request = {.put = addresses_put_add, .context = entries};

	return addresses_exchange(nl, &request, count, deadline, ret_result);
}

int addresses_remove(struct addresses_nl *nl, const struct addresses_entry *entries, size_t count,
	mono_t deadline, struct addresses_result *ret_result)
{
	/* Gone with its subnet or its interface: what we wanted. */
	struct addresses_request request = {
		.put = addresses_put_remove, .context = entries, .fine = {EADDRNOTAVAIL, ENODEV}};

	return addresses_exchange(nl, &request, count, deadline, ret_result);
}

static bool addresses_decode(const struct nlmsghdr *message, struct addresses_entry *ret_entry)
{
	const struct ifaddrmsg *body = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr, *address = NULL, *local = NULL;
	uint16_t size_bytes;

	if (message->nlmsg_type != RTM_NEWADDR ||
		mnl_nlmsg_get_payload_len(message) < sizeof(*body) ||
		(body->ifa_family != AF_INET && body->ifa_family != AF_INET6))
		return false;
	mnl_attr_for_each (attr, message, sizeof(*body)) {
		if (mnl_attr_get_type(attr) == IFA_LOCAL)
			local = attr;
		else if (mnl_attr_get_type(attr) == IFA_ADDRESS)
			address = attr;
	}
	/* IFA_LOCAL is ours; on a point-to-point link IFA_ADDRESS is the other end's. */
	if (local)
		address = local;
	size_bytes = body->ifa_family == AF_INET ? 4 : 16;
	if (!address || mnl_attr_get_payload_len(address) != size_bytes)
		return false;
	*ret_entry = (struct addresses_entry){
		.ifindex = body->ifa_index,
		.address = {.family = body->ifa_family == AF_INET ? IPADDR_V4 : IPADDR_V6,
			.prefix_len = body->ifa_prefixlen},
	};
	memcpy(ret_entry->address.bytes, mnl_attr_get_payload(address), size_bytes);
	return true;
}

int addresses_each(struct addresses_nl *nl, mono_t deadline,
	bool (*on_address)(void *context, const struct addresses_entry *entry), void *context)
{
	char buffer[ADDRESSES_RECEIVE_BYTES * 2] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *body = mnl_nlmsg_put_extra_header(request, sizeof(*body));
	uint32_t seq = nl->seq++;
	bool is_wanted = true;

	request->nlmsg_type = RTM_GETADDR;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = seq;
	body->ifa_family = AF_UNSPEC;
	if (sendto(nl->fd, buffer, request->nlmsg_len, 0, (const struct sockaddr *)&kernel,
		    sizeof(kernel)) < 0)
		return -errno;
	for (;;) {
		ssize_t size = recv(nl->fd, buffer, sizeof(buffer), 0);
		const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)buffer;
		struct addresses_entry entry;
		int left = (int)size;

		if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
			int r = addresses_wait(nl, deadline);

			if (r < 0)
				return r;
			continue;
		}
		if (size < 0)
			return -errno;
		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
			if (message->nlmsg_seq != seq)
				continue;
			if (message->nlmsg_type == NLMSG_DONE)
				return 0;
			if (message->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(message))
					->error;
			if (is_wanted && addresses_decode(message, &entry))
				is_wanted = on_address(context, &entry);
		}
	}
}

int addresses_prepare_interface(const char *ifname)
{
	char name[64];
	int r;

	snprintf(name, sizeof(name), "net/ipv4/conf/%s/promote_secondaries", ifname);
	r = sysctl_ensure(name, 1);
	return r < 0 ? r : 0;
}
