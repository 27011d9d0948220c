#include "config/config_parse.h"
#include "config/permissions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder of the file with its slash, absolute, so that the names in the config stay right when
 * a daemon changes its own folder. False when it has no name (a folder removed under us). */
static bool folder_of(const char *path, char folder[static CONFIG_FILE_NAME_MAX])
{
	const char *slash = strrchr(path, '/');
	int above = slash ? (int)(slash - path) + 1 : 0;
	char here[CONFIG_FILE_NAME_MAX];
	int length;

	if (path[0] == '/')
		length = snprintf(folder, CONFIG_FILE_NAME_MAX, "%.*s", above, path);
	else if (getcwd(here, sizeof(here)))
		length = snprintf(folder, CONFIG_FILE_NAME_MAX, "%s/%.*s",
			strcmp(here, "/") == 0 ? "" : here, above, path);
	else
		return false;
	return length > 0 && (size_t)length < CONFIG_FILE_NAME_MAX;
}

struct config *config_load(const char *path, const char *node, struct config_errors *errors)
{
	char folder[CONFIG_FILE_NAME_MAX];
	struct config *cfg;
	size_t size = 0;
	char *text;

	config_errors_init(errors, path);
	text = permissions_read_file(path, &size, errors);
	if (!text)
		return NULL;
	if (!folder_of(path, folder)) {
		config_errors_add(errors, (struct config_pos){0, 0}, "its folder has no name");
		free(text);
		return NULL;
	}
	cfg = config_parse_in(text, size, path, folder, node, errors);
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
