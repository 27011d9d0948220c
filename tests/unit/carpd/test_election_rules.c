/* The election's formulas and its order, by tables; and the tracer's small formatter. */
#include "carpd/core/order.h"
#include "carpd/core/timers.h"
#include "carpd/core/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_master_down(void **state)
{
	/* advbase, factor, the master's interval, own skew -> microseconds (design section 6) */
	static const struct {
		int64_t advbase_us;
		uint8_t factor;
		int64_t interval_us;
		uint8_t advskew;
		int64_t expect_us;
	} table[] = {
		{10000, 3, 10000, 100, 33906}, /* the drill's pair: 33.9 ms */
		{10000, 3, 10000, 0, 30000},
		{10000, 3, 13906, 0, 41718},   /* his interval */
		{100000, 3, 10000, 0, 300000}, /* own advbase is the greater */
		{100000, 3, 199218, 254, 696872},
		{1000, 2, 1000, 255, 2996},
		{10000000, 10, 10000000, 0, 100000000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(timers_master_down(dur_us(table[i].advbase_us), table[i].factor,
					 dur_us(table[i].interval_us), table[i].advskew)
					 .us,
			table[i].expect_us);
}

static void test_intervals(void **state)
{
	(void)state;
	assert_int_equal(timers_interval(dur_ms(10), 0).us, 10000);
	assert_int_equal(timers_interval(dur_ms(10), 100).us, 13906);
	assert_int_equal(timers_interval(dur_s(1), 128).us, 1500000);
	assert_int_equal(timers_beacon(dur_ms(10)).us, 100000);
	assert_int_equal(timers_beacon(dur_ms(300)).us, 300000);
	assert_int_equal(timers_beacon_down(dur_ms(10), 3, dur_ms(14)).us, 300000);
	assert_int_equal(timers_stagger(dur_ms(100), 0).us, 0);
	assert_int_equal(timers_stagger(dur_ms(100), 2).us, 50000);
	assert_int_equal(timers_stagger(dur_ms(4), 3).us, 6000);
	assert_int_equal(timers_hold(DUR_ZERO, dur_ms(34)).us, 1000000);
	assert_int_equal(timers_hold(DUR_ZERO, dur_ms(700)).us, 1400000);
	assert_int_equal(timers_hold(dur_s(5), dur_ms(700)).us, 5000000);
}

static void test_order_is_total(void **state)
{
	static const struct order_rank ranks[] = {
		{0, 100, 1}, {0, 100, 2}, {0, 110, 1}, {30, 90, 3}, {30, 100, 1}, {100, 10, 9}};

	(void)state;
	for (size_t i = 0; i < 6; i++)
		for (size_t j = 0; j < 6; j++)
			assert_int_equal((order_compare(ranks[i], ranks[j]) > 0) -
						 (order_compare(ranks[i], ranks[j]) < 0),
				(i > j) - (i < j));
}

static void test_format(void **state)
{
	struct trace_text text;

	(void)state;
	assert_string_equal(trace_format(&text, "%s %u %lld %%", "fw1", 7u, -42LL), "fw1 7 -42 %");
	assert_string_equal(trace_ms(&text, dur_us(33906)), "33.9 ms");
	assert_string_equal(trace_format(&text, "%lld", LLONG_MIN), "-9223372036854775808");
	for (int i = 0; i < 3; i++)
		trace_format(&text, "%s%s%s", "0123456789012345678901234567890123456789",
			"0123456789012345678901234567890123456789",
			"01234567890123456789012345678901234567890123456789");
	assert_int_equal(strlen(text.text), sizeof(text.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_master_down),
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_order_is_total),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
