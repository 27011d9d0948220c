/* Bytes to advert and back: what is accepted encodes to the very same bytes, tag apart. */
#include "common/advert.h"
#include "common/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct advert advert;
	uint8_t again[ADVERT_BYTES_MAX];

	if (advert_decode(data, size, &advert) != ADVERT_DROP_NONE)
		return 0;
	CHECK(advert_encode(&advert, again, sizeof(again)) == size);
	CHECK(memcmp(data, again, size - ADVERT_TAG_BYTES) == 0);
	return 0;
}
