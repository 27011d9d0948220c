#include "common/io/evloop.h"

#include "common/check.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

static int evloop_timer_fire(sd_event_source *source, uint64_t at_us, void *userdata)
{
	struct evloop_timer *timer = userdata;

	(void)source;
	(void)at_us;
	timer->deadline = MONO_NEVER; /* one-shot: sd-event has disarmed it */
	timer->on_deadline(timer->context);
	return 0;
}

int evloop_timer_open(struct evloop_timer *timer, sd_event *event, enum evloop_priority priority,
	void (*on_deadline)(void *context), void *context)
{
	sd_event_source *source;
	int r;

	/* Accuracy 0 would mean "250 ms will do" (sd_event_add_time(3)); 1 is the least slack. */
	r = sd_event_add_time(event, &source, CLOCK_BOOTTIME, 0, 1, evloop_timer_fire, timer);
	if (r < 0)
		return r;
	evloop_set(sd_event_source_set_enabled(source, SD_EVENT_OFF));
	evloop_set(sd_event_source_set_priority(source, priority));
	*timer = (struct evloop_timer){
		.source = source,
		.deadline = MONO_NEVER,
		.on_deadline = on_deadline,
		.context = context,
	};
	return 0;
}

void evloop_timer_set(struct evloop_timer *timer, mono_t deadline)
{
	if (deadline.us == timer->deadline.us)
		return;
	timer->deadline = deadline;
	if (mono_is_never(deadline)) {
		evloop_set(sd_event_source_set_enabled(timer->source, SD_EVENT_OFF));
		return;
	}
	/* Time 0 would never be past for sd-event's own bookkeeping of an exhausted clock. */
	evloop_set(sd_event_source_set_time(
		timer->source, deadline.us > 0 ? (uint64_t)deadline.us : 1));
	evloop_set(sd_event_source_set_enabled(timer->source, SD_EVENT_ONESHOT));
}

void evloop_timer_close(struct evloop_timer *timer)
{
	if (timer->source)
		sd_event_source_disable_unref(timer->source);
	*timer = (struct evloop_timer){.deadline = MONO_NEVER};
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
