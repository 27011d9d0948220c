/* nl.h: netlink requests with answers matched by sequence number, and deadlines instead of hangs.
 *
 * A thin layer over libmnl for rtnetlink, ctnetlink and nftables. Messages are built with mnl_*
 * into a batch; nl_batch_commit sends them and collects one acknowledgement a message (NLM_F_ACK is
 * set on each), whatever order they come in. The kernel's extended acknowledgement text
 * (NETLINK_EXT_ACK) is kept for the first error. Not thread safe: one struct nl a thread. A socket
 * with groups is for nl_receive alone: a request on it would swallow events while it waits for its
 * answer.
 *
 * Errors of this layer itself: -ETIMEDOUT the deadline passed before every answer was there;
 * -ENOBUFS the kernel dropped answers or events (the receive buffer was full): what is known is not
 * complete; -EINTR a dump was torn by a change (NLM_F_DUMP_INTR): ask again; -EBADMSG not netlink;
 * -EMSGSIZE the batch did not fit the socket's send buffer. */
#ifndef COMMON_IO_NL_H
#define COMMON_IO_NL_H

#include "common/mono.h"

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NL_BATCH_MESSAGES_MAX 512u
#define NL_MESSAGE_BYTES_MAX  4096u /* room that nl_batch_begin guarantees for one message */
#define NL_RECEIVE_BYTES      32768u
#define NL_BUFFER_BYTES	      (1024u * 1024u) /* holds the answers to a full batch */
#define NL_TEXT_MAX	      160u

struct nl {
	struct mnl_socket *socket; /* NULL when closed */
	uint32_t port_id;
	uint32_t seq;		     /* of the last request */
	size_t receive_buffer_bytes; /* what the kernel granted, as SO_RCVBUF tells it */
	size_t send_buffer_bytes;
};

struct nl_options {
	int bus;	 /* NETLINK_ROUTE, NETLINK_NETFILTER, ... */
	uint32_t groups; /* bit mask of the first 32 groups, as in sockaddr_nl; 0: requests only */
	size_t receive_bytes; /* wanted buffers; 0: NL_BUFFER_BYTES */
	size_t send_bytes;
	bool no_enobufs; /* NETLINK_NO_ENOBUFS: losses are counted by the kernel, not reported */
};

/* nl_open: opens, binds, sizes the buffers (SO_*BUFFORCE, and where that is not permitted the plain
 * option, which the kernel caps at net.core.?mem_max), asks for extended and capped answers.
 * 0 or a negative errno. The descriptor is close-on-exec and non-blocking. */
int nl_open(struct nl *nl, const struct nl_options *options) __attribute__((warn_unused_result));
void nl_close(struct nl *nl);
int nl_fd(const struct nl *nl);

/* One batch of requests in the caller's memory. */
struct nl_batch {
	uint8_t *data; /* borrowed until the batch is dropped */
	size_t size_bytes;
	size_t used_bytes;
	uint32_t first_seq;
	uint32_t message_count;
};

void nl_batch_init(struct nl_batch *batch, struct nl *nl, void *memory, size_t size_bytes);

/* nl_batch_begin: the header of the next message, with the next sequence number and
 * NLM_F_REQUEST | NLM_F_ACK | flags; NULL when fewer than NL_MESSAGE_BYTES_MAX bytes are left or
 * the batch has NL_BATCH_MESSAGES_MAX messages: commit it first. Fill it with
 * mnl_nlmsg_put_extra_header and mnl_attr_put*, then call nl_batch_end. */
struct nlmsghdr *nl_batch_begin(
	struct nl_batch *batch, struct nl *nl, uint16_t type, uint16_t flags);
void nl_batch_end(struct nl_batch *batch, const struct nlmsghdr *message);

struct nl_result {
	uint32_t error_count;
	uint32_t first_error_index;
	int first_error;	/* negative errno, 0 when all went well */
	char text[NL_TEXT_MAX]; /* the kernel's own words about the first error; may be empty */
};

/* nl_batch_commit: sends and waits for one acknowledgement a message.
 *   errors  NULL, or message_count entries: 0 or the kernel's negative errno, by index.
 * 0 when every message was answered (look into ret_result for what the answers were), or an error
 * of this layer (head of this file). The batch is empty afterwards. */
int nl_batch_commit(struct nl_batch *batch, struct nl *nl, mono_t deadline, int *errors,
	struct nl_result *ret_result) __attribute__((warn_unused_result));

/* nl_call: one message (built by the caller, any size), one acknowledgement. The sequence number
 * and NLM_F_REQUEST | NLM_F_ACK are set here. 0 or the kernel's or this layer's negative errno. */
int nl_call(struct nl *nl, struct nlmsghdr *message, mono_t deadline, char text[NL_TEXT_MAX])
	__attribute__((warn_unused_result));

/* nl_dump: one request with NLM_F_DUMP, `on_message` for each answer: it returns 0 to go on or a
 * negative errno, which ends the dump (the rest is read and dropped). Without NLM_F_DUMP in the
 * message's flags: a "get" of one object, which ends with its acknowledgement. */
int nl_dump(struct nl *nl, struct nlmsghdr *message, mono_t deadline,
	int (*on_message)(const struct nlmsghdr *message, void *context), void *context)
	__attribute__((warn_unused_result));

/* nl_receive: what the loop calls when an event socket is readable: reads once, without waiting,
 * calls `on_message` for each message. Number of bytes, 0 nothing there, -ENOBUFS events were lost,
 * or another negative errno. */
ssize_t nl_receive(struct nl *nl, void (*on_message)(const struct nlmsghdr *message, void *context),
	void *context) __attribute__((warn_unused_result));

#endif
