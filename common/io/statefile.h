/* statefile.h: files that survive a crash in mid-write: the old content or the new, never a
 * mixture.
 *
 * Two kinds. A value is replaced whole: written to NAME.new in the same folder, fsync, rename over
 * NAME, fsync of the folder. A log is appended to, one line a write; a torn last line (a crash in
 * mid-write) is cut off when the log is next opened and never shown. A log that has reached its
 * size becomes NAME.1 (the previous NAME.1 goes), so that at most twice the size is ever on disk.
 * These calls wait for the disk: never from carpd's loop. */
#ifndef COMMON_IO_STATEFILE_H
#define COMMON_IO_STATEFILE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define STATEFILE_PATH_MAX 4096u
#define STATEFILE_SIZE_MAX (4u * 1024u * 1024u) /* a value larger than this is refused (-EFBIG) */
#define STATEFILE_LINE_MAX 65536u

/* statefile_write: replaces the file (mode 0600). 0 or a negative errno, and then the old one is
 * still there. */
int statefile_write(const char *path, const void *data, size_t size_bytes)
	__attribute__((warn_unused_result));

/* statefile_read: the whole file, NUL-terminated beyond its size; free() it. -ENOENT none yet. */
int statefile_read(const char *path, char **ret_data, size_t *ret_size_bytes)
	__attribute__((warn_unused_result));

/* The same for JSON objects. statefile_read_json: -EBADMSG when the content is not one. */
int statefile_write_json(const char *path, const json_t *value) __attribute__((warn_unused_result));
int statefile_read_json(const char *path, json_t **ret_value) __attribute__((warn_unused_result));

struct statefile_log {
	char path[STATEFILE_PATH_MAX];
	int fd; /* -1 when closed */
	uint64_t size_bytes;
	uint64_t size_bytes_max; /* of one file; two are kept */
};

/* statefile_log_open: for appending; cuts a torn last line off. */
int statefile_log_open(struct statefile_log *log, const char *path, uint64_t size_bytes_max)
	__attribute__((warn_unused_result));

/* statefile_log_append: `line` without a newline (one inside is -EINVAL); on disk when it returns
 * 0. On an error nothing of the line is shown to readers. */
int statefile_log_append(struct statefile_log *log, const char *line)
	__attribute__((warn_unused_result));
void statefile_log_close(struct statefile_log *log);

/* statefile_log_each: every whole line, oldest first, from NAME.1 and NAME. `on_line` returns 0 to
 * go on or a negative errno, which is returned. No file at all is 0 lines. */
int statefile_log_each(const char *path, int (*on_line)(const char *line, void *context),
	void *context) __attribute__((warn_unused_result));

#endif
