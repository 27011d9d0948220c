/* The mover: a loop that is overdue is moved, and gets its freedom back; one that is on time, or
 * that nobody expects, is left alone. */
#include "carpd/mover.h"

#include "common/io/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static cpu_set_t allowed(void)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	return set;
}

static void test_overdue(void **state)
{
	cpu_set_t before = allowed(), after;
	mono_t end = mono_add(clock_now(), dur_s(30));
	struct mover *mover;

	(void)state;
	assert_int_equal(mover_open(&mover, 1, dur_ms(1), dur_ms(2)), 0);
	if (!mover)
		skip(); /* one processor */
	mover_expect(mover, clock_now());
	while (mover_moves(mover) < 3 && clock_now().us < end.us)
		usleep(1000);
	assert_true(mover_moves(mover) >= 3);
	mover_expect(mover, MONO_NEVER);
	mover_close(mover);
	after = allowed();
	assert_true(CPU_EQUAL(&before, &after));
}

static void test_not_expected(void **state)
{
	struct mover *mover;

	(void)state;
	assert_int_equal(mover_open(&mover, 1, dur_ms(1), dur_ms(2)), 0);
	mover_expect(mover, mono_add(clock_now(), dur_s(3600)));
	usleep(20000);
	assert_int_equal(mover_moves(mover), 0);
	mover_expect(mover, MONO_NEVER);
	usleep(20000);
	assert_int_equal(mover_moves(mover), 0);
	mover_close(mover);
	mover_expect(NULL, MONO_NEVER);
	assert_int_equal(mover_moves(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overdue),
		cmocka_unit_test(test_not_expected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
