/* Bytes to a CARPv2 advert and back: what is accepted encodes to the very same fields. */
#include "common/carp2.h"
#include "common/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct carp2_advert advert, second;
	uint8_t again[CARP2_BYTES];

	if (carp2_decode(data, size, &advert) != CARP2_DROP_NONE)
		return 0;
	carp2_encode(&advert, again);
	carp2_seal(again);
	CHECK(size == CARP2_BYTES);
	CHECK(memcmp(data, again, 3) == 0);
	CHECK(memcmp(data + 4, again + 4, 2) == 0);
	CHECK(memcmp(data + 8, again + 8, 8) == 0);
	CHECK(carp2_decode(again, sizeof(again), &second) == CARP2_DROP_NONE);
	CHECK(second.counter == advert.counter && second.advskew == advert.advskew);
	return 0;
}
