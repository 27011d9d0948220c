/* evloop.h: what sd-event leaves to its users, and no more. Everything else is sd_event itself.
 *
 * Deadlines are mono_t, on CLOCK_BOOTTIME like clock_now(), without sd-event's slack of 250 ms.
 * Priorities keep the stall rule (design section 6): sd-event polls again before each dispatch and
 * takes the smallest number first, so all input is drained before any deadline is judged. */
#ifndef COMMON_IO_EVLOOP_H
#define COMMON_IO_EVLOOP_H

#include "common/check.h"
#include "common/mono.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

enum evloop_priority {
	EVLOOP_PRIORITY_INPUT = -100, /* packets of the election */
	EVLOOP_PRIORITY_NORMAL = 0,   /* everything else that is input: sockets, results, signals */
	EVLOOP_PRIORITY_DEADLINE = 100, /* timers: judged when nothing is left to be read */
	EVLOOP_PRIORITY_CONTROL = 200,	/* operators may wait, packets and deadlines may not */
};

/* evloop_set: for the sd_event_source_set_* calls, which can fail for two reasons: a bug, or
 * (-ESTALE) the loop has ended and nothing needs to be set any more. */
static inline void evloop_set(int r)
{
	CHECK(r >= 0 || r == -ESTALE);
}

struct evloop_timer {
	sd_event_source *source;
	sd_event_source *deferred; /* instead of it, for a deadline that has come already */
	mono_t deadline;
	mono_t armed; /* what `source` is set to: never later than the deadline; MONO_NEVER: off */
	bool is_deferred;
	void (*on_deadline)(void *context);
	void *context;
};

/* evloop_timer_open: a disarmed timer. `timer` stays at its place until evloop_timer_close.
 *   on_deadline  called once for each evloop_timer_set, at or after the deadline; may set again.
 * 0 or a negative errno. */
int evloop_timer_open(struct evloop_timer *timer, sd_event *event, enum evloop_priority priority,
	void (*on_deadline)(void *context), void *context) __attribute__((warn_unused_result));

/* evloop_timer_set: the one deadline of this timer; a past one fires at once, MONO_NEVER disarms.
 * Costs nothing when the deadline is the one already set, and no system call when it has come
 * already, or when it moves away by less than the time that is left. */
void evloop_timer_set(struct evloop_timer *timer, mono_t deadline);

/* evloop_timer_close: a zeroed or closed timer is allowed. */
void evloop_timer_close(struct evloop_timer *timer);

/* evloop_add_signals: blocks the signals in this thread and calls `on_signal` for each from the
 * loop. Call it before any thread is started. The sources live as long as the loop. */
int evloop_add_signals(sd_event *event, const int *signals, size_t signal_count,
	sd_event_signal_handler_t on_signal, void *context) __attribute__((warn_unused_result));

/* evloop_watchdog: feeds systemd's watchdog from the loop when the unit has WatchdogSec=.
 * Returns 1 when it does, 0 when nobody asked, or a negative errno. */
int evloop_watchdog(sd_event *event);

#endif
