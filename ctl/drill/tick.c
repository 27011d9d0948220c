#include "ctl/drill/tick.h"

#include <errno.h>

static int64_t tick_read(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts); /* cannot fail for these clocks */
	return (int64_t)ts.tv_sec * TICK_NS_PER_S + ts.tv_nsec;
}

int64_t tick_now(void)
{
	return tick_read(CLOCK_MONOTONIC);
}

int64_t tick_wall_offset(void)
{
	int64_t best_width = INT64_MAX;
	int64_t best = 0;

	for (int i = 0; i < 8; i++) {
		int64_t before = tick_read(CLOCK_MONOTONIC);
		int64_t wall = tick_read(CLOCK_REALTIME);
		int64_t width = tick_read(CLOCK_MONOTONIC) - before;

		if (width < best_width) {
			best_width = width;
			best = wall - before - width / 2;
		}
	}
	return best;
}

int64_t tick_from_wall(const struct timespec *wall, int64_t offset)
{
	return (int64_t)wall->tv_sec * TICK_NS_PER_S + wall->tv_nsec - offset;
}

void tick_sleep_until(int64_t at)
{
	struct timespec ts = {
		.tv_sec = (time_t)(at / TICK_NS_PER_S),
		.tv_nsec = (long)(at % TICK_NS_PER_S),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

double tick_ms(int64_t ns)
{
	return (double)ns / (double)TICK_NS_PER_MS;
}
