/* mono.h: the two kinds of time, as types of their own so that they cannot be mixed up.
 *
 * mono_t is an instant of CLOCK_BOOTTIME-like monotonic time in microseconds, dur_t a span. Only
 * common/io/clock.c makes instants out of the system's clock; the simulator makes its own. Nothing
 * here reads a clock. All sums saturate, so "never" stays never. */
#ifndef COMMON_MONO_H
#define COMMON_MONO_H

#include <stdbool.h>
#include <stdint.h>

typedef struct mono {
	int64_t us;
} mono_t;

typedef struct dur {
	int64_t us;
} dur_t;

#define MONO_NEVER ((mono_t){INT64_MAX})
#define MONO_ZERO  ((mono_t){0})
#define DUR_ZERO   ((dur_t){0})

static inline dur_t dur_us(int64_t us)
{
	return (dur_t){us};
}

static inline dur_t dur_ms(int64_t ms)
{
	return (dur_t){ms * 1000};
}

static inline dur_t dur_s(int64_t s)
{
	return (dur_t){s * 1000000};
}

static inline int64_t dur_to_ms(dur_t d)
{
	return d.us / 1000;
}

static inline dur_t dur_add(dur_t a, dur_t b)
{
	return (dur_t){a.us + b.us};
}

static inline dur_t dur_mul(dur_t a, int64_t n)
{
	return (dur_t){a.us * n};
}

static inline dur_t dur_max(dur_t a, dur_t b)
{
	return a.us > b.us ? a : b;
}

static inline dur_t dur_min(dur_t a, dur_t b)
{
	return a.us < b.us ? a : b;
}

static inline bool mono_is_never(mono_t t)
{
	return t.us == INT64_MAX;
}

/* mono_add: t + d; never + anything is never, and an overflow is never. */
static inline mono_t mono_add(mono_t t, dur_t d)
{
	int64_t sum;

	if (t.us == INT64_MAX || __builtin_add_overflow(t.us, d.us, &sum))
		return MONO_NEVER;
	return (mono_t){sum};
}

/* mono_diff: later - earlier, negative when the order is the other way. */
static inline dur_t mono_diff(mono_t later, mono_t earlier)
{
	return (dur_t){later.us - earlier.us};
}

static inline mono_t mono_min(mono_t a, mono_t b)
{
	return a.us < b.us ? a : b;
}

static inline mono_t mono_max(mono_t a, mono_t b)
{
	return a.us > b.us ? a : b;
}

static inline bool mono_reached(mono_t now, mono_t deadline)
{
	return now.us >= deadline.us;
}

#endif
