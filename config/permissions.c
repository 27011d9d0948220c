#include "config/permissions.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS_WRITE (S_IWGRP | S_IWOTH)

static const struct config_pos nowhere = {0, 0};

static bool check_opened(
	int fd, const char *path, size_t *ret_size_bytes, struct config_errors *errors)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		config_errors_add(errors, nowhere, "%s", strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		config_errors_add(errors, nowhere, "is not a regular file");
		return false;
	}
	if (st.st_mode & OTHERS_WRITE) {
		config_errors_add(errors, nowhere,
			"can be written by others (mode %04o): chmod go-w %s", st.st_mode & 07777,
			path);
		return false;
	}
	if (st.st_size > CONFIG_FILE_BYTES_MAX) {
		config_errors_add(errors, nowhere, "has %lld bytes; allowed: at most %u",
			(long long)st.st_size, CONFIG_FILE_BYTES_MAX);
		return false;
	}
	*ret_size_bytes = (size_t)st.st_size;
	return true;
}

/* Reads at most `size` bytes: a file that grows meanwhile is cut, and its YAML will not be right.
 */
static char *read_all(int fd, size_t size_bytes, size_t *ret_size_bytes)
{
	char *text = malloc(size_bytes + 1);
	size_t used = 0;

	while (text && used < size_bytes) {
		ssize_t got = read(fd, text + used, size_bytes - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			free(text);
			return NULL;
		}
		if (got == 0)
			break;
		used += (size_t)got;
	}
	if (text)
		text[used] = '\0';
	*ret_size_bytes = used;
	return text;
}

char *permissions_read_file(const char *path, size_t *ret_size_bytes, struct config_errors *errors)
{
	/* Non-blocking, or a FIFO would hold the daemon at its start. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char *text = NULL;
	size_t size = 0;

	if (fd < 0) {
		config_errors_add(errors, nowhere, "%s", strerror(errno));
		return NULL;
	}
	if (check_opened(fd, path, &size, errors)) {
		text = read_all(fd, size, ret_size_bytes);
		if (!text)
			config_errors_add(errors, nowhere, "cannot be read: %s", strerror(errno));
	}
	close(fd);
	return text;
}

/* Each folder above an absolute path; false when one is not safe, told. */
static bool check_folders(const char *absolute, struct config_pos pos, struct config_errors *errors)
{
	char folder[PATH_MAX];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", absolute);
	while ((slash = strrchr(folder, '/'))) {
		struct stat st;

		slash[slash == folder ? 1 : 0] = '\0'; /* the root keeps its slash */
		if (stat(folder, &st) < 0) {
			config_errors_add(
				errors, pos, "folder '%.300s': %s", folder, strerror(errno));
			return false;
		}
		if (st.st_mode & OTHERS_WRITE && !(st.st_mode & S_ISVTX)) {
			config_errors_add(errors, pos,
				"folder '%.300s' can be written by others (mode %04o): chmod go-w "
				"it",
				folder, st.st_mode & 07777);
			return false;
		}
		if (slash == folder)
			break;
	}
	return true;
}

static bool make_absolute(const char *path, char text[static PATH_MAX])
{
	char here[PATH_MAX];
	int length;

	if (path[0] == '/')
		length = snprintf(text, PATH_MAX, "%s", path);
	else if (getcwd(here, sizeof(here)))
		length = snprintf(text, PATH_MAX, "%s/%s", here, path);
	else
		return false;
	return length > 0 && length < PATH_MAX;
}

void permissions_check_program(
	const char *path, struct config_pos pos, struct config_errors *errors)
{
	char absolute[PATH_MAX], *resolved;
	struct stat st;

	if (!make_absolute(path, absolute)) {
		config_errors_add(errors, pos, "program '%.300s': too long a name", path);
		return;
	}
	resolved = realpath(absolute, NULL);
	if (!resolved || stat(resolved, &st) < 0)
		config_errors_add(errors, pos, "program '%.300s': %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		config_errors_add(errors, pos, "program '%.300s' is not an executable file", path);
	else if (st.st_mode & OTHERS_WRITE)
		config_errors_add(errors, pos,
			"program '%.300s' can be written by others (mode %04o): chmod go-w it",
			path, st.st_mode & 07777);
	else if (check_folders(absolute, pos, errors) && strcmp(absolute, resolved) != 0)
		(void)check_folders(resolved, pos, errors); /* told either way */
	free(resolved);
}

static void check_same_rules(
	const struct config_file *a, const struct config_file *b, struct config_errors *errors)
{
	struct stat first, second;

	if (!a->path || !b->path || strcmp(a->path, b->path) == 0 || stat(a->path, &first) < 0 ||
		stat(b->path, &second) < 0)
		return;
	if (first.st_dev == second.st_dev && first.st_ino == second.st_ino)
		config_errors_add(errors, b->pos, "rules: '%.200s' and '%.200s' are the same file",
			a->text, b->text);
}

void permissions_check(const struct config *cfg, struct config_errors *errors)
{
	for (uint32_t i = 0; i < cfg->handler_count; i++)
		permissions_check_program(
			cfg->handlers[i].arguments[0], cfg->handlers[i].pos, errors);
	for (uint32_t i = 0; i < cfg->group_count; i++)
		check_same_rules(
			&cfg->groups[i].rules_master, &cfg->groups[i].rules_backup, errors);
}
