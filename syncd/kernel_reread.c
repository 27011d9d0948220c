#include "syncd/kernel_reread.h"

#include "common/io/log.h"
#include "syncd/ctattr.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define KERNEL_REREAD_BYTES (64u * 1024u)

int kernel_reread_open(struct kernel_reread *reread,
	void (*on_entry)(void *context, const struct flow *flow), void *context)
{
	struct nl_options options = {.bus = NETLINK_NETFILTER};
	int r;

	memset(reread, 0, sizeof(*reread));
	reread->on_entry = on_entry;
	reread->context = context;
	r = nl_open(&reread->nl, &options);
	if (r < 0)
		return r;
	reread->buffer = malloc(KERNEL_REREAD_BYTES);
	if (reread->buffer)
		return 0;
	kernel_reread_close(reread);
	return -ENOMEM;
}

void kernel_reread_close(struct kernel_reread *reread)
{
	nl_close(&reread->nl);
	free(reread->buffer);
	reread->buffer = NULL;
}

void kernel_reread_add(struct kernel_reread *reread, const struct flow_tuple *orig, uint16_t zone)
{
	struct flow *key;

	for (uint32_t i = 0; i < reread->count; i++)
		if (reread->keys[i].zone == zone && flow_tuple_equal(&reread->keys[i].orig, orig))
			return;
	if (reread->count == KERNEL_REREAD_MAX) {
		reread->overflows++;
		return;
	}
	key = &reread->keys[reread->count++];
	memset(key, 0, sizeof(*key));
	key->orig = *orig;
	key->zone = zone;
}

/* kernel_reread_answers: they are all there when the questions have been sent. */
static void kernel_reread_answers(struct kernel_reread *reread)
{
	ssize_t size;

	while ((size = recv(nl_fd(&reread->nl), reread->buffer, KERNEL_REREAD_BYTES,
			MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)reread->buffer;
		int left = (int)size;

		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
			struct flow flow;

			/* An error: it has ended meanwhile. */
			if (!ctattr_is_known(message) ||
				ctattr_parse(message, message->nlmsg_len, &flow) != CTATTR_OK)
				continue;
			reread->reread++;
			reread->on_entry(reread->context, &flow);
		}
	}
}

void kernel_reread_run(struct kernel_reread *reread)
{
	uint32_t at = 0;

	while (at < reread->count) {
		size_t used = 0;

		for (; at < reread->count && used + CTATTR_MESSAGE_MAX <= KERNEL_REREAD_BYTES; at++)
			used += NLMSG_ALIGN(ctattr_put_get(
				reread->buffer + used, ++reread->nl.seq, &reread->keys[at]));
		if (mnl_socket_sendto(reread->nl.socket, reread->buffer, used) < 0)
			log_warn("cannot read flows of the kernel anew");
		kernel_reread_answers(reread);
	}
	reread->count = 0;
}
