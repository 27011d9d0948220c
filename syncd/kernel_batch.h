/* kernel_batch.h: many ctnetlink requests in one sendmsg, errors matched by sequence number.
 *
 * The kernel works a datagram of requests off while sendmsg runs, one by one, and answers only
 * those that failed (none asks for an acknowledgement): when sendmsg has returned, every answer is
 * in our receive queue. Batches of 100 and more cost 1.3-1.7 us an update and 3-5 us a create;
 * single messages 6-8 us (experiments 2). */
#ifndef SYNCD_KERNEL_BATCH_H
#define SYNCD_KERNEL_BATCH_H

#include "common/io/nl.h"
#include "syncd/core/limits.h"

#include <stdint.h>

struct kernel_batch {
	struct nl nl;
	uint8_t *buffer; /* SYNC_BATCH_BYTES */
	size_t used_bytes;
	uint32_t count;
	uint32_t count_max; /* SYNC_BATCH_MESSAGES_MAX, less where the receive buffer is small */
	uint32_t first_seq;
	uint64_t tags[SYNC_BATCH_MESSAGES_MAX];
	uint64_t batches, messages, errors;
};

/* kernel_batch_open: 0 or a negative errno. */
int kernel_batch_open(struct kernel_batch *batch) __attribute__((warn_unused_result));
void kernel_batch_close(struct kernel_batch *batch);

/* kernel_batch_room: where the next message goes (CTATTR_MESSAGE_MAX bytes), NULL: flush first. */
void *kernel_batch_room(struct kernel_batch *batch);

/* kernel_batch_seq: the sequence number that this message must have. */
uint32_t kernel_batch_seq(const struct kernel_batch *batch);

/* kernel_batch_add: a message of that size lies at kernel_batch_room(); tag is given to on_error.
 */
void kernel_batch_add(struct kernel_batch *batch, size_t size_bytes, uint64_t tag);

/* kernel_batch_flush: sends, and calls `on_error` with the positive errno of each message that
 * failed (EAGAIN for all when the kernel took none, or its answers were lost). 0 or a negative
 * errno of the socket; the batch is empty afterwards. */
int kernel_batch_flush(struct kernel_batch *batch,
	void (*on_error)(void *context, uint64_t tag, int error), void *context);

#endif
