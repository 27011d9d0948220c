/* clock.h: the only place that reads the system's clocks. */
#ifndef COMMON_IO_CLOCK_H
#define COMMON_IO_CLOCK_H

#include "common/mono.h"

#define CLOCK_TEXT_MAX 48u

/* clock_now: CLOCK_BOOTTIME, so that a suspended machine counts as the pause that it was. Never
 * goes back; CHECKed. */
mono_t clock_now(void);

/* clock_wall_us: microseconds since 1970 UTC; for people's eyes only, never for a decision. */
int64_t clock_wall_us(void);

/* clock_render: "2026-01-01T00:00:00.000000Z" for a wall time; returns `text`. */
char *clock_render(int64_t wall_us, char text[static CLOCK_TEXT_MAX]);

#endif
