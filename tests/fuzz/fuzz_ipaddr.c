/* Text to address and back: what is accepted renders to a text that means the same address. */
#include "common/check.h"
#include "common/ipaddr.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), rendered[IPADDR_TEXT_MAX];
	struct ipaddr addr, again;

	memcpy(text, data, size);
	text[size] = 0;
	if (ipaddr_parse(text, &addr)) {
		CHECK(addr.prefix_len <= 8 * ipaddr_size_bytes(&addr));
		CHECK(ipaddr_parse(ipaddr_render(&addr, true, rendered), &again));
		CHECK(ipaddr_compare(&addr, &again) == 0);
		CHECK(ipaddr_contains(&addr, &again));
	}
	free(text);
	return 0;
}
