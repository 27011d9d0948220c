#include "config/permissions.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS_WRITE (S_IWGRP | S_IWOTH)
#define WHAT_MAX     320u

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

/* Whether nobody but root and ourselves may change it: false, told. In a user namespace without
 * root's number in its map, root is what the root folder belongs to. */
static bool check_safe(const struct stat *st, const char *what, struct config_pos pos,
	struct config_errors *errors)
{
	struct stat root;
	bool shared =
		st->st_mode & OTHERS_WRITE && !(S_ISDIR(st->st_mode) && st->st_mode & S_ISVTX);

	if (shared) {
		config_errors_add(errors, pos,
			"%s can be written by others (mode %04o): chmod go-w it", what,
			st->st_mode & 07777);
		return false;
	}
	if (st->st_uid == 0 || st->st_uid == geteuid() ||
		(stat("/", &root) == 0 && st->st_uid == root.st_uid))
		return true;
	config_errors_add(errors, pos,
		"%s belongs to user %u, who may change it: chown root it, or use another", what,
		st->st_uid);
	return false;
}

/* Each folder above an absolute path; false when one is not safe, told. */
static bool check_folders(const char *absolute, struct config_pos pos, struct config_errors *errors)
{
	char folder[PATH_MAX], what[WHAT_MAX];
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
		snprintf(what, sizeof(what), "folder '%.300s'", folder);
		if (!check_safe(&st, what, pos, errors))
			return false;
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
	char absolute[PATH_MAX], what[WHAT_MAX], *resolved;
	struct stat st;

	snprintf(what, sizeof(what), "program '%.300s'", path);
	if (!make_absolute(path, absolute)) {
		config_errors_add(errors, pos, "%s: too long a name", what);
		return;
	}
	resolved = realpath(absolute, NULL);
	if (!resolved || stat(resolved, &st) < 0)
		config_errors_add(errors, pos, "%s: %s", what, strerror(errno));
	else if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		config_errors_add(errors, pos, "%s is not an executable file", what);
	else if (check_safe(&st, what, pos, errors) && check_folders(absolute, pos, errors) &&
		 strcmp(absolute, resolved) != 0)
		(void)check_folders(resolved, pos, errors); /* told either way */
	free(resolved);
}

/* A user that the node does not know would be found out at the transition that needs the handler.
 */
static void check_user(const char *user, struct config_pos pos, struct config_errors *errors)
{
	if (!getpwnam(user))
		config_errors_add(errors, pos, "user '%s' is not known on this node", user);
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
	for (uint32_t i = 0; i < cfg->handler_count; i++) {
		permissions_check_program(
			cfg->handlers[i].arguments[0], cfg->handlers[i].pos, errors);
		check_user(cfg->handlers[i].user, cfg->handlers[i].user_pos, errors);
	}
	for (uint32_t i = 0; i < cfg->track_count; i++) {
		const struct config_track *track = &cfg->tracks[i];

		if (track->kind != CONFIG_TRACK_SCRIPT)
			continue;
		permissions_check_program(track->arguments[0], track->pos, errors);
		check_user(track->user, track->user_pos, errors);
	}
	for (uint32_t i = 0; i < cfg->group_count; i++)
		check_same_rules(
			&cfg->groups[i].rules_master, &cfg->groups[i].rules_backup, errors);
}
