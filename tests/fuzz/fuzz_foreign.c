/* Other speakers of protocol 112: whatever the bytes are, the answer has a name, and a shorter
 * packet is never taken for one of a fixed form. */
#include "carpd/foreign.h"
#include "common/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct foreign foreign = foreign_parse(data, size);

	CHECK(foreign_name(foreign.kind)[0] != 0);
	CHECK(foreign.kind == FOREIGN_NONE || foreign.vhid == data[1]);
	if (foreign.kind == FOREIGN_CARP || foreign.kind == FOREIGN_VRRP2)
		CHECK(foreign_parse(data, size - 1).kind == FOREIGN_NONE);
	return 0;
}
