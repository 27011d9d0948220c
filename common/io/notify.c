#include "common/io/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#define NOTIFY_STATUS_MAX 256u

/* Results are ignored throughout: nobody to tell is no error, and nothing depends on being heard.
 */

void notify_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
	(void)sd_notify(0, "RELOADING=1");
}

void notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

void notify_watchdog(void)
{
	(void)sd_notify(0, "WATCHDOG=1");
}

void notify_status(const char *format, ...)
{
	char text[NOTIFY_STATUS_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *c = text; *c; c++) {
		if (*c == '\n') /* would begin another assignment */
			*c = ' ';
	}
	(void)sd_notifyf(0, "STATUS=%s", text);
}
