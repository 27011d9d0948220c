#include "syncd/kernel_events.h"

#include "syncd/core/limits.h"
#include "syncd/ctattr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

static const int kernel_events_groups[] = {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE,
	NFNLGRP_CONNTRACK_DESTROY, NFNLGRP_CONNTRACK_EXP_NEW, NFNLGRP_CONNTRACK_EXP_UPDATE,
	NFNLGRP_CONNTRACK_EXP_DESTROY};

/* kernel_events_filter: drops messages whose nlmsg_pid (offset 12, host order; BPF loads words in
 * network order) is our injection socket's. */
static int kernel_events_filter(int fd, uint32_t own_port)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(own_port), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

int kernel_events_open(struct kernel_events *events, uint32_t own_port,
	void (*on_event)(void *context, enum kernel_event type, const struct flow *flow),
	void *context)
{
	struct nl_options options = {.bus = NETLINK_NETFILTER,
		.receive_bytes = SYNC_EVENT_BUFFER_BYTES,
		.no_enobufs = true};
	int r;

	memset(events, 0, sizeof(*events));
	events->on_event = on_event;
	events->context = context;
	r = nl_open(&events->nl, &options);
	if (r < 0)
		return r;
	events->buffer = malloc((size_t)KERNEL_EVENTS_PER_READ * KERNEL_EVENTS_MESSAGE_BYTES);
	events->headers = calloc(KERNEL_EVENTS_PER_READ, sizeof(*events->headers));
	events->vectors = calloc(KERNEL_EVENTS_PER_READ, sizeof(*events->vectors));
	r = events->buffer && events->headers && events->vectors ? 0 : -ENOMEM;
	if (r == 0)
		r = kernel_events_filter(nl_fd(&events->nl), own_port);
	if (r < 0) {
		kernel_events_close(events);
		return r;
	}
	for (uint32_t i = 0; i < KERNEL_EVENTS_PER_READ; i++) {
		events->vectors[i].iov_base = events->buffer + i * KERNEL_EVENTS_MESSAGE_BYTES;
		events->vectors[i].iov_len = KERNEL_EVENTS_MESSAGE_BYTES;
		events->headers[i].msg_hdr.msg_iov = &events->vectors[i];
		events->headers[i].msg_hdr.msg_iovlen = 1;
	}
	(void)kernel_events_lost(events); /* the count starts here */
	return 0;
}

void kernel_events_close(struct kernel_events *events)
{
	nl_close(&events->nl);
	free(events->buffer);
	free(events->headers);
	free(events->vectors);
	memset(events, 0, sizeof(*events));
}

int kernel_events_join(struct kernel_events *events)
{
	for (size_t i = 0; i < sizeof(kernel_events_groups) / sizeof(int); i++)
		if (setsockopt(nl_fd(&events->nl), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
			    &kernel_events_groups[i], sizeof(int)))
			return -errno;
	events->joined = true;
	return 0;
}

void kernel_events_leave(struct kernel_events *events)
{
	for (size_t i = 0; i < sizeof(kernel_events_groups) / sizeof(int); i++)
		/* Leaving a group that one is not in is no harm. */
		(void)setsockopt(nl_fd(&events->nl), SOL_NETLINK, NETLINK_DROP_MEMBERSHIP,
			&kernel_events_groups[i], sizeof(int));
	events->joined = false;
}

static void kernel_events_message(
	struct kernel_events *events, const struct nlmsghdr *message, size_t size_bytes)
{
	struct flow flow;
	enum ctattr_error error;

	if (!ctattr_is_known(message))
		return;
	events->received++;
	error = ctattr_parse(message, size_bytes, &flow);
	if (error != CTATTR_OK) {
		events->bad++;
		return;
	}
	/* IPCTNL_MSG_EXP_DELETE is the same number. */
	events->on_event(events->context,
		NFNL_MSG_TYPE(message->nlmsg_type) == IPCTNL_MSG_CT_DELETE ? KERNEL_EVENT_DESTROY
									   : KERNEL_EVENT_NEW,
		&flow);
}

uint32_t kernel_events_read(struct kernel_events *events, uint32_t events_max)
{
	uint32_t total = 0;

	while (total < events_max) {
		int count = recvmmsg(nl_fd(&events->nl), events->headers, KERNEL_EVENTS_PER_READ,
			MSG_DONTWAIT, NULL);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			break;
		for (int i = 0; i < count; i++) {
			const struct nlmsghdr *message = events->vectors[i].iov_base;
			int left = (int)events->headers[i].msg_len;

			for (; mnl_nlmsg_ok(message, left);
				message = mnl_nlmsg_next(message, &left))
				kernel_events_message(events, message, message->nlmsg_len);
		}
		total += (uint32_t)count;
		if ((uint32_t)count < KERNEL_EVENTS_PER_READ)
			break;
	}
	return total;
}

uint32_t kernel_events_lost(struct kernel_events *events)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t size = sizeof(info);
	uint32_t lost;

	if (getsockopt(nl_fd(&events->nl), SOL_SOCKET, SO_MEMINFO, info, &size) ||
		size < (SK_MEMINFO_DROPS + 1) * sizeof(uint32_t))
		return 0;
	lost = info[SK_MEMINFO_DROPS] - events->drops_seen;
	events->drops_seen = info[SK_MEMINFO_DROPS];
	events->dropped += lost;
	return lost;
}
