/* kernel_events.h: ctnetlink's events, as they happen (design section 8, source).
 *
 * One large socket with NETLINK_NO_ENOBUFS: on an overflow only what overflows is lost, and the
 * socket's drop counter tells (without it the kernel would throw everything away until the queue is
 * drained: facts 2.2). The groups are joined only while this node is a source: a standby's kernel
 * then makes no event at all for what is injected. Our own injections are dropped in the kernel by
 * a classic BPF filter on the sender's port (word 12 of the message; experiments 10). */
#ifndef SYNCD_KERNEL_EVENTS_H
#define SYNCD_KERNEL_EVENTS_H

#include "common/flow.h"
#include "common/io/nl.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define KERNEL_EVENTS_PER_READ	    64u
#define KERNEL_EVENTS_MESSAGE_BYTES 4096u

enum kernel_event {
	KERNEL_EVENT_NEW, /* or an update: both are merged alike */
	KERNEL_EVENT_DESTROY,
};

struct kernel_events {
	struct nl nl;
	bool joined;
	uint8_t *buffer;
	struct mmsghdr *headers;
	struct iovec *vectors;
	uint32_t drops_seen;
	uint64_t received, bad, dropped;
	void (*on_event)(void *context, enum kernel_event type, const struct flow *flow);
	void *context;
};

/* kernel_events_open: joins no group yet. own_port: whose events are not wanted. */
int kernel_events_open(struct kernel_events *events, uint32_t own_port,
	void (*on_event)(void *context, enum kernel_event type, const struct flow *flow),
	void *context) __attribute__((warn_unused_result));
void kernel_events_close(struct kernel_events *events);

/* kernel_events_join, kernel_events_leave: the groups NEW, UPDATE, DESTROY of flows and of
 * expectations. 0 or -errno. */
int kernel_events_join(struct kernel_events *events);
void kernel_events_leave(struct kernel_events *events);

/* kernel_events_read: at most events_max events that wait now. Returns how many there were. */
uint32_t kernel_events_read(struct kernel_events *events, uint32_t events_max);

/* kernel_events_lost: how many were dropped since the last call, by the socket's own count. */
uint32_t kernel_events_lost(struct kernel_events *events);

#endif
