/* Any bytes as a ctnetlink message; what parses can be built and encoded. */
#include "common/check.h"
#include "syncd/ctattr.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint32_t message[CTATTR_MESSAGE_MAX / 4];
	uint8_t wire[FLOW_BYTES_MAX];
	struct wbuf w = wbuf_init(wire, sizeof(wire));
	/* Aligned as netlink is, and with its end where the allocation ends. */
	uint8_t *copy = malloc(size ? size : 1);
	struct flow flow, back;
	struct rbuf r;

	CHECK(copy);
	memcpy(copy, data, size);
	if (ctattr_parse((const struct nlmsghdr *)copy, size, &flow) == CTATTR_OK) {
		CHECK(ctattr_put_create(message, 1, &flow, true) <= CTATTR_MESSAGE_MAX);
		CHECK(ctattr_put_update(message, 1, &flow, true) <= CTATTR_MESSAGE_MAX);
		flow_encode(&w, &flow);
		CHECK(!w.failed);
		/* What our own kernel tells, a peer takes. */
		r = rbuf_init(wire, wbuf_used(&w));
		CHECK(flow_decode(&r, &back) == FLOW_OK && rbuf_done(&r));
	}
	free(copy);
	return 0;
}
