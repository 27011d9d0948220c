#include "common/io/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int statefile_name(
	char name[static STATEFILE_PATH_MAX], const char *path, const char *suffix)
{
	int size = snprintf(name, STATEFILE_PATH_MAX, "%s%s", path, suffix);

	return size < (int)STATEFILE_PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int statefile_write_all(int fd, const char *data, size_t size_bytes)
{
	while (size_bytes > 0) {
		ssize_t written = write(fd, data, size_bytes);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		data += written;
		size_bytes -= (size_t)written;
	}
	return 0;
}

/* statefile_sync_folder: a rename is only safe once the folder itself is on disk. */
static int statefile_sync_folder(const char *path)
{
	char folder[STATEFILE_PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, r = 0;

	if (!slash)
		snprintf(folder, sizeof(folder), ".");
	else if (slash == path)
		snprintf(folder, sizeof(folder), "/");
	else if (snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path) >=
		 (int)sizeof(folder))
		return -ENAMETOOLONG;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

int statefile_write(const char *path, const void *data, size_t size_bytes)
{
	char fresh[STATEFILE_PATH_MAX];
	int fd, r = statefile_name(fresh, path, ".new");

	if (r < 0)
		return r;
	if (size_bytes > STATEFILE_SIZE_MAX)
		return -EFBIG;
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = statefile_write_all(fd, data, size_bytes);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r == 0)
		return statefile_sync_folder(path);
	(void)unlink(fresh); /* the next write would truncate it anyway */
	return r;
}

static int statefile_read_all(int fd, char *data, size_t size_bytes)
{
	size_t used = 0;

	while (used < size_bytes) {
		ssize_t got = read(fd, data + used, size_bytes - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EBADMSG; /* it shrank while we read: nobody of ours does that */
		used += (size_t)got;
	}
	return 0;
}

int statefile_read(const char *path, char **ret_data, size_t *ret_size_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *data = NULL;
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else if (st.st_size > (off_t)STATEFILE_SIZE_MAX)
		r = -EFBIG;
	else if (!(data = malloc((size_t)st.st_size + 1)))
		r = -ENOMEM;
	else
		r = statefile_read_all(fd, data, (size_t)st.st_size);
	close(fd);
	if (r < 0) {
		free(data);
		return r;
	}
	data[st.st_size] = 0;
	*ret_data = data;
	*ret_size_bytes = (size_t)st.st_size;
	return 0;
}

int statefile_write_json(const char *path, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);
	int r;

	if (!text)
		return -EINVAL;
	r = statefile_write(path, text, strlen(text));
	free(text);
	return r;
}

int statefile_read_json(const char *path, json_t **ret_value)
{
	json_t *value;
	char *data;
	size_t size;
	int r = statefile_read(path, &data, &size);

	if (r < 0)
		return r;
	value = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
	free(data);
	if (!json_is_object(value)) {
		json_decref(value);
		return -EBADMSG;
	}
	*ret_value = value;
	return 0;
}

/* statefile_log_whole: the size up to and with the last newline. */
static int statefile_log_whole(int fd, off_t size, off_t *ret_size)
{
	char block[4096];

	while (size > 0) {
		size_t length = size < (off_t)sizeof(block) ? (size_t)size : sizeof(block);
		off_t start = size - (off_t)length;
		const char *newline;

		if (pread(fd, block, length, start) != (ssize_t)length)
			return errno ? -errno : -EIO;
		newline = memrchr(block, '\n', length);
		if (newline) {
			*ret_size = start + (newline - block) + 1;
			return 0;
		}
		size = start;
	}
	*ret_size = 0;
	return 0;
}

static int statefile_log_open_file(struct statefile_log *log)
{
	off_t whole = 0;
	struct stat st;
	int r;

	log->fd = open(log->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (log->fd < 0)
		return -errno;
	if (fstat(log->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	r = statefile_log_whole(log->fd, st.st_size, &whole);
	if (r == 0 && whole < st.st_size && ftruncate(log->fd, whole) < 0)
		r = -errno;
	log->size_bytes = (uint64_t)whole;
	return r;
}

int statefile_log_open(struct statefile_log *log, const char *path, uint64_t size_bytes_max)
{
	int r;

	*log = (struct statefile_log){.fd = -1, .size_bytes_max = size_bytes_max};
	r = statefile_name(log->path, path, "");
	if (r == 0)
		r = statefile_log_open_file(log);
	if (r < 0)
		statefile_log_close(log);
	return r;
}

void statefile_log_close(struct statefile_log *log)
{
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
}

static int statefile_log_rotate(struct statefile_log *log)
{
	char previous[STATEFILE_PATH_MAX];
	int r = statefile_name(previous, log->path, ".1");

	if (r < 0)
		return r;
	if (rename(log->path, previous) < 0)
		return -errno;
	close(log->fd);
	r = statefile_log_open_file(log);
	return r < 0 ? r : statefile_sync_folder(log->path);
}

int statefile_log_append(struct statefile_log *log, const char *line)
{
	size_t length = strlen(line);
	char *text;
	int r = 0;

	if (length >= STATEFILE_LINE_MAX || memchr(line, '\n', length))
		return -EINVAL;
	if (log->fd < 0 ||
		(log->size_bytes > 0 && log->size_bytes + length + 1 > log->size_bytes_max)) {
		r = log->fd < 0 ? statefile_log_open_file(log) : statefile_log_rotate(log);
		if (r < 0)
			return r;
	}
	text = malloc(length + 1);
	if (!text)
		return -ENOMEM;
	memcpy(text, line, length);
	text[length] = '\n';
	r = statefile_write_all(log->fd, text, length + 1);
	free(text);
	if (r == 0 && fdatasync(log->fd) < 0)
		r = -errno;
	if (r == 0)
		log->size_bytes += length + 1;
	else if (ftruncate(log->fd, (off_t)log->size_bytes) < 0)
		statefile_log_close(log); /* opening it again cuts the torn line off */
	return r;
}

static int statefile_log_each_file(
	const char *path, int (*on_line)(const char *line, void *context), void *context)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	int r = 0;

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (length = getline(&line, &room, file)) > 0) {
		if (line[length - 1] != '\n')
			break; /* torn, or just being written */
		line[length - 1] = 0;
		r = on_line(line, context);
	}
	free(line);
	fclose(file);
	return r;
}

int statefile_log_each(
	const char *path, int (*on_line)(const char *line, void *context), void *context)
{
	char previous[STATEFILE_PATH_MAX];
	int r = statefile_name(previous, path, ".1");

	if (r == 0)
		r = statefile_log_each_file(previous, on_line, context);
	return r < 0 ? r : statefile_log_each_file(path, on_line, context);
}
