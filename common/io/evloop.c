#include "common/io/evloop.h"

#include "common/check.h"
#include "common/io/clock.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

/* What the kernel is told is not what was asked for: setting its timer is the dearest call of a
 * loop that moves its deadline with every packet (on a virtual machine it is a way out to the
 * hypervisor and back). So a deadline that has come already is no timer but a deferred
 * call, and one that only moves away leaves an earlier timer as it is, while that is still far
 * enough that the next packet will come before it does: it may fire too early, and is set again. */

static void evloop_timer_arm(struct evloop_timer *timer, mono_t at)
{
	timer->armed = at;
	/* Time 0 would never be past for sd-event's own bookkeeping of an exhausted clock. */
	evloop_set(sd_event_source_set_time(timer->source, at.us > 0 ? (uint64_t)at.us : 1));
	evloop_set(sd_event_source_set_enabled(timer->source, SD_EVENT_ONESHOT));
}

static void evloop_timer_call(struct evloop_timer *timer)
{
	timer->deadline = MONO_NEVER;
	timer->on_deadline(timer->context);
}

static int evloop_timer_fire(sd_event_source *source, uint64_t at_us, void *userdata)
{
	struct evloop_timer *timer = userdata;

	(void)source;
	(void)at_us;
	timer->armed = MONO_NEVER; /* one-shot: sd-event has disarmed it */
	if (timer->is_deferred || mono_is_never(timer->deadline))
		return 0;
	if (mono_reached(clock_now(), timer->deadline))
		evloop_timer_call(timer);
	else
		evloop_timer_arm(timer, timer->deadline);
	return 0;
}

static int evloop_timer_deferred(sd_event_source *source, void *userdata)
{
	struct evloop_timer *timer = userdata;

	(void)source;
	timer->is_deferred = false;
	evloop_timer_call(timer);
	return 0;
}

static void evloop_timer_defer(struct evloop_timer *timer, bool is_deferred)
{
	if (timer->is_deferred == is_deferred)
		return;
	timer->is_deferred = is_deferred;
	evloop_set(sd_event_source_set_enabled(
		timer->deferred, is_deferred ? SD_EVENT_ONESHOT : SD_EVENT_OFF));
}

int evloop_timer_open(struct evloop_timer *timer, sd_event *event, enum evloop_priority priority,
	void (*on_deadline)(void *context), void *context)
{
	sd_event_source *source, *deferred;
	int r;

	/* Accuracy 0 would mean "250 ms will do" (sd_event_add_time(3)); 1 is the least slack. */
	r = sd_event_add_time(event, &source, CLOCK_BOOTTIME, 0, 1, evloop_timer_fire, timer);
	if (r < 0)
		return r;
	r = sd_event_add_defer(event, &deferred, evloop_timer_deferred, timer);
	if (r < 0) {
		sd_event_source_disable_unref(source);
		return r;
	}
	evloop_set(sd_event_source_set_enabled(source, SD_EVENT_OFF));
	evloop_set(sd_event_source_set_enabled(deferred, SD_EVENT_OFF));
	evloop_set(sd_event_source_set_priority(source, priority));
	evloop_set(sd_event_source_set_priority(deferred, priority));
	*timer = (struct evloop_timer){
		.source = source,
		.deferred = deferred,
		.deadline = MONO_NEVER,
		.armed = MONO_NEVER,
		.on_deadline = on_deadline,
		.context = context,
	};
	return 0;
}

/* evloop_timer_will_do: the timer that runs is early enough, and not so early that it would only
 * wake the loop for nothing. */
static bool evloop_timer_will_do(const struct evloop_timer *timer, mono_t now, mono_t deadline)
{
	return !mono_is_never(timer->armed) && mono_reached(deadline, timer->armed) &&
	       mono_diff(timer->armed, now).us >= mono_diff(deadline, now).us / 2;
}

void evloop_timer_set(struct evloop_timer *timer, mono_t deadline)
{
	mono_t now;

	if (deadline.us == timer->deadline.us)
		return;
	timer->deadline = deadline;
	if (mono_is_never(deadline)) {
		timer->armed = MONO_NEVER;
		evloop_timer_defer(timer, false);
		evloop_set(sd_event_source_set_enabled(timer->source, SD_EVENT_OFF));
		return;
	}
	now = clock_now();
	evloop_timer_defer(timer, mono_reached(now, deadline));
	if (!timer->is_deferred && !evloop_timer_will_do(timer, now, deadline))
		evloop_timer_arm(timer, deadline);
}

void evloop_timer_close(struct evloop_timer *timer)
{
	if (timer->source)
		sd_event_source_disable_unref(timer->source);
	if (timer->deferred)
		sd_event_source_disable_unref(timer->deferred);
	*timer = (struct evloop_timer){.deadline = MONO_NEVER, .armed = MONO_NEVER};
}

int evloop_add_signals(sd_event *event, const int *signals, size_t signal_count,
	sd_event_signal_handler_t on_signal, void *context)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	for (size_t i = 0; i < signal_count; i++)
		sigaddset(&set, signals[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	for (size_t i = 0; i < signal_count; i++) {
		r = sd_event_add_signal(event, NULL, signals[i], on_signal, context);
		if (r < 0)
			return r;
	}
	return 0;
}

int evloop_watchdog(sd_event *event)
{
	return sd_event_set_watchdog(event, 1);
}
