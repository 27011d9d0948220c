#include "syncd/kernel_batch.h"

#include "common/check.h"
#include "syncd/ctattr.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH_RECEIVE_BYTES (4u * 1024u * 1024u)
#define BATCH_SEND_BYTES    (1024u * 1024u)
/* What one error answer costs in the receive buffer: skb and message, generously. */
#define BATCH_ANSWER_BYTES 1536u

int kernel_batch_open(struct kernel_batch *batch)
{
	struct nl_options options = {.bus = NETLINK_NETFILTER,
		.receive_bytes = BATCH_RECEIVE_BYTES,
		.send_bytes = BATCH_SEND_BYTES};
	int r;

	memset(batch, 0, sizeof(*batch));
	batch->buffer = malloc(SYNC_BATCH_BYTES);
	if (!batch->buffer)
		return -ENOMEM;
	r = nl_open(&batch->nl, &options);
	if (r < 0) {
		free(batch->buffer);
		batch->buffer = NULL;
		return r;
	}
	batch->count_max = SYNC_BATCH_MESSAGES_MAX;
	if (batch->nl.receive_buffer_bytes / BATCH_ANSWER_BYTES < batch->count_max)
		batch->count_max =
			(uint32_t)(batch->nl.receive_buffer_bytes / BATCH_ANSWER_BYTES) + 1;
	batch->first_seq = 1;
	return 0;
}

void kernel_batch_close(struct kernel_batch *batch)
{
	if (!batch->buffer)
		return;
	nl_close(&batch->nl);
	free(batch->buffer);
	memset(batch, 0, sizeof(*batch));
}

void *kernel_batch_room(struct kernel_batch *batch)
{
	if (batch->count == batch->count_max ||
		SYNC_BATCH_BYTES - batch->used_bytes < CTATTR_MESSAGE_MAX)
		return NULL;
	return batch->buffer + batch->used_bytes;
}

uint32_t kernel_batch_seq(const struct kernel_batch *batch)
{
	return batch->first_seq + batch->count;
}

void kernel_batch_add(struct kernel_batch *batch, size_t size_bytes, uint64_t tag)
{
	CHECK(size_bytes <= CTATTR_MESSAGE_MAX && batch->count < batch->count_max);
	batch->tags[batch->count++] = tag;
	batch->used_bytes += NLMSG_ALIGN(size_bytes);
}

/* kernel_batch_answers: all error answers of one read. */
static void kernel_batch_answers(struct kernel_batch *batch, const uint8_t *data, size_t size_bytes,
	void (*on_error)(void *context, uint64_t tag, int error), void *context)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)data;
	int left = (int)size_bytes;

	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
		const struct nlmsgerr *answer;
		uint32_t index = message->nlmsg_seq - batch->first_seq;

		if (message->nlmsg_type != NLMSG_ERROR || index >= batch->count ||
			message->nlmsg_len < mnl_nlmsg_size(sizeof(*answer)))
			continue;
		answer = mnl_nlmsg_get_payload(message);
		if (answer->error == 0)
			continue;
		batch->errors++;
		on_error(context, batch->tags[index], -answer->error);
	}
}

static int kernel_batch_collect(struct kernel_batch *batch,
	void (*on_error)(void *context, uint64_t tag, int error), void *context)
{
	uint8_t data[NL_RECEIVE_BYTES] __attribute__((aligned(4)));

	for (;;) {
		ssize_t size = recv(nl_fd(&batch->nl), data, sizeof(data), MSG_DONTWAIT);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return errno == EAGAIN ? 0 : -errno;
		kernel_batch_answers(batch, data, (size_t)size, on_error, context);
	}
}

int kernel_batch_flush(struct kernel_batch *batch,
	void (*on_error)(void *context, uint64_t tag, int error), void *context)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int r = 0;

	if (batch->count == 0)
		return 0;
	while (sendto(nl_fd(&batch->nl), batch->buffer, batch->used_bytes, 0,
		       (struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
		if (errno == EINTR)
			continue;
		r = -errno;
		break;
	}
	if (r == 0)
		r = kernel_batch_collect(batch, on_error, context);
	for (uint32_t i = 0; r < 0 && i < batch->count; i++)
		on_error(context, batch->tags[i], EAGAIN);
	batch->batches++;
	batch->messages += batch->count;
	batch->first_seq += batch->count;
	batch->count = 0;
	batch->used_bytes = 0;
	return r;
}
