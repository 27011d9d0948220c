/* Whatever nft may print: found tables lie in bounds, and what the load adds the strip takes out.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "rules/listing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct rules_interface interfaces[] = {{"ens3", "lan0", true}};
	struct rules_table tables[8];
	struct text load = {0}, back = {0}, canonical = {0};
	const char *text = (const char *)data;
	size_t count = 0;
	int r = listing_tables(text, size, RULES_ROLE_MASTER, tables, ARRAY_LEN(tables), &count);

	listing_to_load(text, size, "carpool edge master", true, &load);
	if (load.length)
		listing_strip(load.bytes, load.length, &back);
	listing_canonical(text, size, interfaces, ARRAY_LEN(interfaces), &canonical);
	for (size_t i = 0; r == 0 && i < count; i++)
		CHECK(strlen(tables[i].name) > 0 && tables[i].family != 0);
	free(load.bytes);
	free(back.bytes);
	free(canonical.bytes);
	return 0;
}
