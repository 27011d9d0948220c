#include "config/permissions.h"

#include <stdlib.h>

struct config *config_load(const char *path, const char *node, struct config_errors *errors)
{
	struct config *cfg;
	size_t size = 0;
	char *text;

	config_errors_init(errors, path);
	text = permissions_read_file(path, &size, errors);
	if (!text)
		return NULL;
	cfg = config_parse(text, size, path, node, errors);
	free(text);
	if (!cfg || !node)
		return cfg;
	permissions_check(cfg, errors);
	if (errors->count == 0)
		return cfg;
	config_errors_sort(errors);
	config_free(cfg);
	return NULL;
}
