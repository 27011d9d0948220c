#include "common/io/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define LOG_LINE_MAX   2048u
#define LOG_FIELDS_MAX 16u

static const char *log_program = "carpool";
static enum log_level log_level_max = LOG_LEVEL_INFO;
static bool log_to_journal;
static atomic_uint_fast64_t log_lost;

/* log_open_is_journal: sd_journal_stream_fd's convention: JOURNAL_STREAM names stderr's inode. */
static bool log_open_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(const char *program, enum log_level level_max)
{
	log_program = program;
	log_level_max = level_max;
	log_to_journal = log_open_is_journal();
}

static void log_write_stderr(const char *message)
{
	struct pollfd poll_fd = {.fd = STDERR_FILENO, .events = POLLOUT};
	char line[LOG_LINE_MAX + 64];
	int length = snprintf(line, sizeof(line), "%s: %s\n", log_program, message);

	/* A reader that has stopped must not stop us: the line is lost and counted instead. */
	if (poll(&poll_fd, 1, 0) != 1 || !(poll_fd.revents & POLLOUT) ||
		write(STDERR_FILENO, line, (size_t)length) != length)
		atomic_fetch_add(&log_lost, 1);
}

static void log_write_journal(enum log_level level, const char *const *fields, const char *message)
{
	struct iovec parts[LOG_FIELDS_MAX + 3];
	char text[LOG_LINE_MAX + 16], priority[16], identifier[64];
	int count = 0;

	snprintf(text, sizeof(text), "MESSAGE=%s", message);
	snprintf(priority, sizeof(priority), "PRIORITY=%d", level);
	snprintf(identifier, sizeof(identifier), "SYSLOG_IDENTIFIER=%s", log_program);
	parts[count++] = (struct iovec){text, strlen(text)};
	parts[count++] = (struct iovec){priority, strlen(priority)};
	parts[count++] = (struct iovec){identifier, strlen(identifier)};
	for (unsigned int i = 0; fields && fields[i] && i < LOG_FIELDS_MAX; i++)
		parts[count++] = (struct iovec){(void *)(uintptr_t)fields[i], strlen(fields[i])};
	if (sd_journal_sendv(parts, count) < 0)
		atomic_fetch_add(&log_lost, 1);
}

static void log_write(enum log_level level, const char *const *fields, int error,
	const char *format, va_list args)
{
	char message[LOG_LINE_MAX];
	int used;

	if (level > log_level_max)
		return;
	used = vsnprintf(message, sizeof(message), format, args);
	if (error && used >= 0 && (size_t)used < sizeof(message))
		snprintf(message + used, sizeof(message) - (size_t)used, ": %s", strerror(error));
	if (log_to_journal)
		log_write_journal(level, fields, message);
	else
		log_write_stderr(message);
}

#define LOG_BODY(level, fields, error)                                                             \
	do {                                                                                       \
		int saved_errno = errno;                                                           \
		va_list args;                                                                      \
		va_start(args, format);                                                            \
		log_write(level, fields, error, format, args);                                     \
		va_end(args);                                                                      \
		errno = saved_errno;                                                               \
	} while (0)

void log_error(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR, NULL, saved_errno);
}

void log_errorx(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR, NULL, 0);
}

void log_warn(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_WARNING, NULL, saved_errno);
}

void log_warnx(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_WARNING, NULL, 0);
}

void log_notice(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_NOTICE, NULL, 0);
}

void log_info(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_INFO, NULL, 0);
}

void log_debug(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_DEBUG, NULL, 0);
}

void log_fields(enum log_level level, const char *const *fields, const char *format, ...)
{
	LOG_BODY(level, fields, 0);
}

uint64_t log_lost_count(void)
{
	return atomic_load(&log_lost);
}
