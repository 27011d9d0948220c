/* evloop.h: deadlines fire after their time and soon, input goes before deadlines. */
#include "tests/unit/common/test.h"

#include "common/io/clock.h"
#include "common/io/evloop.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

static sd_event *event;
static struct evloop_timer timer;
static mono_t fired_at;
static int fired, inputs_before_deadline, inputs;

static int set_up(void **state)
{
	(void)state;
	fired = inputs = inputs_before_deadline = 0;
	return sd_event_new(&event) < 0;
}

static int tear_down(void **state)
{
	(void)state;
	evloop_timer_close(&timer);
	evloop_timer_close(&timer);
	event = sd_event_unref(event);
	return 0;
}

static void on_deadline(void *context)
{
	assert_ptr_equal(context, &fired);
	fired++;
	fired_at = clock_now();
	inputs_before_deadline = inputs;
	sd_event_exit(event, 0);
}

static void open_timer(void)
{
	assert_int_equal(
		evloop_timer_open(&timer, event, EVLOOP_PRIORITY_DEADLINE, on_deadline, &fired), 0);
}

static void test_fires_after_its_time(void **state)
{
	mono_t deadline = mono_add(clock_now(), dur_ms(20));

	(void)state;
	open_timer();
	evloop_timer_set(&timer, mono_add(deadline, dur_s(100)));
	evloop_timer_set(&timer, deadline);
	assert_int_equal(sd_event_loop(event), 0);
	assert_int_equal(fired, 1);
	assert_true(mono_reached(fired_at, deadline));
	/* sd-event's default slack of 250 ms must not be there; a busy machine gets 200. */
	assert_true(mono_diff(fired_at, deadline).us < 200000);
	assert_true(mono_is_never(timer.deadline));
}

static void test_a_past_deadline_fires_at_once_and_never_does_not(void **state)
{
	(void)state;
	open_timer();
	evloop_timer_set(&timer, MONO_ZERO);
	assert_int_equal(sd_event_loop(event), 0);
	assert_int_equal(fired, 1);
	event = sd_event_unref(event);
	assert_true(sd_event_new(&event) >= 0);
	evloop_timer_close(&timer);
	open_timer();
	evloop_timer_set(&timer, clock_now());
	evloop_timer_set(&timer, MONO_NEVER);
	assert_int_equal(sd_event_run(event, 30000), 0);
	assert_int_equal(fired, 1);
}

/* A deadline that moves away again and again, as a backup's does: never early, never lost. */
static void test_a_deadline_that_moves_away(void **state)
{
	mono_t deadline = MONO_ZERO;

	(void)state;
	open_timer();
	for (int i = 0; i < 40; i++) {
		deadline = mono_add(clock_now(), dur_ms(2000 + i));
		evloop_timer_set(&timer, deadline);
		assert_true(timer.armed.us <= deadline.us);
		assert_true(sd_event_run(event, 1000) >= 0);
		assert_int_equal(fired, 0);
	}
	/* Nearer: the kernel must be told. */
	deadline = mono_add(clock_now(), dur_ms(30));
	evloop_timer_set(&timer, deadline);
	assert_int_equal(timer.armed.us, deadline.us);
	/* Farther by less than what is left: it need not, and the early wake-up is not the
	 * caller's.
	 */
	deadline = mono_add(deadline, dur_ms(10));
	evloop_timer_set(&timer, deadline);
	assert_int_equal(sd_event_loop(event), 0);
	assert_int_equal(fired, 1);
	assert_true(mono_reached(fired_at, deadline));
	assert_true(mono_diff(fired_at, deadline).us < 200000);
}

static void test_a_past_deadline_can_be_moved(void **state)
{
	mono_t deadline;

	(void)state;
	open_timer();
	evloop_timer_set(&timer, mono_add(clock_now(), dur_ms(20)));
	evloop_timer_set(&timer, clock_now());
	assert_true(timer.is_deferred);
	deadline = mono_add(clock_now(), dur_ms(50));
	evloop_timer_set(&timer, deadline);
	assert_int_equal(sd_event_loop(event), 0);
	assert_int_equal(fired, 1);
	assert_true(mono_reached(fired_at, deadline));
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	char byte;

	(void)source;
	(void)events;
	(void)userdata;
	assert_int_equal(read(fd, &byte, 1), 1);
	inputs++;
	return 0;
}

static void test_all_input_is_drained_before_a_deadline_is_judged(void **state)
{
	sd_event_source *source;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "0123456789", 10), 10);
	open_timer();
	evloop_timer_set(&timer, MONO_ZERO);
	assert_true(sd_event_add_io(event, &source, fds[0], EPOLLIN, on_input, NULL) >= 0);
	assert_int_equal(sd_event_loop(event), 0);
	assert_int_equal(inputs_before_deadline, 10);
	sd_event_source_unref(source);
	close(fds[0]);
	close(fds[1]);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	(void)source;
	*(int *)userdata = (int)info->ssi_signo;
	return sd_event_exit(event, 0);
}

static void test_signals_come_from_the_loop(void **state)
{
	static const int signals[] = {SIGTERM, SIGHUP};
	int got = 0;

	(void)state;
	assert_int_equal(evloop_add_signals(event, signals, 2, on_signal, &got), 0);
	assert_int_equal(raise(SIGHUP), 0);
	assert_int_equal(got, 0);
	assert_int_equal(sd_event_loop(event), 0);
	assert_int_equal(got, SIGHUP);
}

static void test_watchdog_without_systemd(void **state)
{
	(void)state;
	assert_int_equal(evloop_watchdog(event), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fires_after_its_time),
		TEST(test_a_past_deadline_fires_at_once_and_never_does_not),
		TEST(test_a_deadline_that_moves_away),
		TEST(test_a_past_deadline_can_be_moved),
		TEST(test_all_input_is_drained_before_a_deadline_is_judged),
		TEST(test_signals_come_from_the_loop),
		TEST(test_watchdog_without_systemd),
	};

	(void)unsetenv("WATCHDOG_USEC");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
