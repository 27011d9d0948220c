#include "common/io/clock.h"

#include "common/check.h"

#include <stdio.h>
#include <time.h>

static int64_t clock_read_us(clockid_t clock)
{
	struct timespec ts;

	CHECK(clock_gettime(clock, &ts) == 0);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

mono_t clock_now(void)
{
	static _Thread_local int64_t last_us;
	int64_t now_us = clock_read_us(CLOCK_BOOTTIME);

	CHECK(now_us >= last_us);
	last_us = now_us;
	return (mono_t){now_us};
}

int64_t clock_wall_us(void)
{
	return clock_read_us(CLOCK_REALTIME);
}

char *clock_render(int64_t wall_us, char text[static CLOCK_TEXT_MAX])
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;
	char date[24];

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, CLOCK_TEXT_MAX, "%s.%06uZ", date, (unsigned int)(wall_us % 1000000));
	return text;
}
