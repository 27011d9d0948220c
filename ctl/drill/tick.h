/* tick.h: the drill's clock: one axis for probes, taps and faults.
 *
 * Nanoseconds of CLOCK_MONOTONIC. Packets are stamped by the kernel in CLOCK_REALTIME and the
 * daemons' histories are in wall time; NTP slews both clocks alike, so one offset, read when the
 * drill starts, brings everything onto the same axis. A step of the wall clock during a run would
 * show: tick_wall_step() tells it, and the run is then not judged. */
#ifndef CTL_DRILL_TICK_H
#define CTL_DRILL_TICK_H

#include <stdint.h>
#include <time.h>

#define TICK_NS_PER_US INT64_C(1000)
#define TICK_NS_PER_MS INT64_C(1000000)
#define TICK_NS_PER_S  INT64_C(1000000000)

/* tick_now: now, on the drill's axis. */
int64_t tick_now(void);

/* tick_wall_offset: what to subtract from CLOCK_REALTIME nanoseconds to get onto the axis; the
 * smallest of several readings, so that a preemption between the two clocks does not count. */
int64_t tick_wall_offset(void);

/* tick_from_wall: a kernel's time stamp on the axis. */
int64_t tick_from_wall(const struct timespec *wall, int64_t offset);

/* tick_sleep_until: returns at or after `at`; at once when it has passed. */
void tick_sleep_until(int64_t at);

/* tick_ms: for people. */
double tick_ms(int64_t ns);

#endif
