/* A flow that decodes must encode to the very bytes that it was: it has one form. */
#include "common/check.h"
#include "common/flow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rbuf r = rbuf_init(data, size);
	uint8_t again[FLOW_BYTES_MAX];
	struct wbuf w = wbuf_init(again, sizeof(again));
	struct flow flow;

	if (flow_decode(&r, &flow) != FLOW_OK)
		return 0;
	flow_encode(&w, &flow);
	CHECK(!w.failed);
	CHECK(wbuf_used(&w) == (size_t)(r.pos - data));
	CHECK(memcmp(again, data, wbuf_used(&w)) == 0);
	return 0;
}
