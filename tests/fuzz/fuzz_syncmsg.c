/* A stream of sync messages: every one that decodes encodes again, and never reads past its end. */
#include "common/check.h"
#include "common/syncmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rbuf r = rbuf_init(data, size);
	uint8_t again[SYNCMSG_BYTES_MAX];
	struct syncmsg msg;

	for (;;) {
		const uint8_t *at = r.pos;
		struct wbuf w = wbuf_init(again, sizeof(again));

		if (syncmsg_decode(&r, &msg) != SYNCMSG_OK) {
			CHECK(r.pos == at);
			return 0;
		}
		CHECK(r.pos > at && r.pos <= data + size);
		syncmsg_encode(&w, &msg);
		CHECK(!w.failed && wbuf_used(&w) == (size_t)(r.pos - at));
		CHECK(memcmp(again, at, wbuf_used(&w)) == 0);
	}
}
