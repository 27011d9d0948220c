/* log.h: one line a message, to standard error, or to the journal with fields when systemd started
 * us.
 *
 * log_warn() and log_error() append the text of errno, the x forms do not; all keep errno. Fields
 * are a NULL-ended list of "NAME=value" strings that only the journal sees. A function either logs
 * or returns its error, never both; common/ (outside io) and the cores never log. Writing never
 * blocks: a full pipe drops the line and counts it. */
#ifndef COMMON_IO_LOG_H
#define COMMON_IO_LOG_H

#include <stdarg.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR = 3, /* syslog(3) numbers */
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* log_open: the program's name before each line, and the least important level that is written. */
void log_open(const char *program, enum log_level level_max);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_errorx(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* log_fields: a message with journal fields ("CARPOOL_GROUP=edge", ..., NULL). */
void log_fields(enum log_level level, const char *const *fields, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* log_lost_count: lines that could not be written. */
uint64_t log_lost_count(void);

#endif
