/* The config parser on any bytes: never crashes, never leaks, never answers both a config and
 * errors; what it accepts, it renders, and reads back as the same content. */
#include "common/check.h"
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config_errors errors;
	struct config *cfg =
		config_parse((const char *)data, size, "/etc/carpool/cluster.yaml", NULL, &errors);
	struct config *again;
	char *text;

	CHECK(!cfg == (errors.count > 0));
	if (!cfg)
		return 0;
	text = config_render(cfg);
	CHECK(text);
	again = config_parse(text, strlen(text), "/etc/carpool/cluster.yaml", NULL, &errors);
	CHECK(again);
	CHECK(memcmp(cfg->fingerprint, again->fingerprint, CRYPTO_HASH_BYTES) == 0);
	CHECK(config_diff(cfg, again, NULL, NULL) == 0);
	free(text);
	config_free(again);
	config_free(cfg);
	return 0;
}
