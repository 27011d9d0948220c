/* notify.h: what systemd is told (sd_notify(3)); harmless, and free, where nobody listens. */
#ifndef COMMON_IO_NOTIFY_H
#define COMMON_IO_NOTIFY_H

void notify_ready(void);
void notify_reloading(void); /* then notify_ready when it is done */
void notify_stopping(void);
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* notify_watchdog: for a process that feeds by hand; loops use evloop_watchdog. */
void notify_watchdog(void);

#endif
