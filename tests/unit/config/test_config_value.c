/* Words into numbers and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/config_value.h"

#include <string.h>

struct duration_case {
	const char *text;
	enum config_value_result result;
	int64_t us;
	const char *rendered;
};

static const struct duration_case durations[] = {
	{"10ms", CONFIG_VALUE_OK, 10000, "10ms"},
	{"1000ms", CONFIG_VALUE_OK, 1000000, "1s"},
	{"1500us", CONFIG_VALUE_OK, 1500, "1500us"},
	{"30m", CONFIG_VALUE_OK, 1800000000, "30m"},
	{"90m", CONFIG_VALUE_OK, 5400000000, "90m"},
	{"24h", CONFIG_VALUE_OK, 86400000000, "24h"},
	{"1d", CONFIG_VALUE_OK, 86400000000, "24h"},
	{"0s", CONFIG_VALUE_OK, 0, "0s"},
	{"0", CONFIG_VALUE_NO_UNIT, 0, NULL},
	{"100", CONFIG_VALUE_NO_UNIT, 0, NULL},
	{"", CONFIG_VALUE_NOT_A_NUMBER, 0, NULL},
	{"ms", CONFIG_VALUE_NOT_A_NUMBER, 0, NULL},
	{"-1ms", CONFIG_VALUE_NOT_A_NUMBER, 0, NULL},
	{"+1ms", CONFIG_VALUE_NOT_A_NUMBER, 0, NULL},
	{"01ms", CONFIG_VALUE_NOT_A_NUMBER, 0, NULL},
	{"1 ms", CONFIG_VALUE_NOT_A_NUMBER, 0, NULL},
	{"1MS", CONFIG_VALUE_NOT_A_NUMBER, 0, NULL},
	{"1sec", CONFIG_VALUE_NOT_A_NUMBER, 0, NULL},
	{"1.5s", CONFIG_VALUE_NOT_A_NUMBER, 0, NULL},
	{"9223372036854775807us", CONFIG_VALUE_OK, INT64_MAX, "9223372036854775807us"},
	{"9223372036854775808us", CONFIG_VALUE_TOO_BIG, 0, NULL},
	{"9223372036854775807ms", CONFIG_VALUE_TOO_BIG, 0, NULL},
};

static void test_durations(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		const struct duration_case *c = &durations[i];
		char text[CONFIG_VALUE_DURATION_TEXT_MAX];
		dur_t got = dur_us(-1);

		assert_int_equal(config_value_duration(c->text, &got), c->result);
		assert_int_equal(got.us, c->result == CONFIG_VALUE_OK ? c->us : -1);
		if (c->rendered)
			assert_string_equal(config_value_render_duration(got, text), c->rendered);
	}
}

static void test_numbers(void **state)
{
	int64_t number = -1;

	(void)state;
	assert_int_equal(config_value_number("0", &number), CONFIG_VALUE_OK);
	assert_int_equal(number, 0);
	assert_int_equal(config_value_number("9223372036854775807", &number), CONFIG_VALUE_OK);
	assert_int_equal(number, INT64_MAX);
	number = -1;
	assert_int_equal(config_value_number("9223372036854775808", &number), CONFIG_VALUE_TOO_BIG);
	assert_int_equal(config_value_number("1x", &number), CONFIG_VALUE_NOT_A_NUMBER);
	assert_int_equal(config_value_number("0x1", &number), CONFIG_VALUE_NOT_A_NUMBER);
	assert_int_equal(config_value_number("00", &number), CONFIG_VALUE_NOT_A_NUMBER);
	assert_int_equal(number, -1);
}

static void test_names(void **state)
{
	(void)state;
	assert_true(config_value_is_name("a", 1));
	assert_true(config_value_is_name("eth0.100", 15));
	assert_false(config_value_is_name("ab", 1));
	assert_false(config_value_is_name("", 15));
	assert_false(config_value_is_name(".", 15));
	assert_false(config_value_is_name("..", 15));
	assert_false(config_value_is_name("-x", 15));
	assert_false(config_value_is_name("a/b", 15));
	assert_false(config_value_is_name("a b", 15));
	assert_true(config_value_is_cluster("edge-1"));
	assert_true(config_value_is_cluster("abcdefghijklmnopqrstuvwxyz012345"));
	assert_false(config_value_is_cluster("abcdefghijklmnopqrstuvwxyz0123456"));
	assert_false(config_value_is_cluster(""));
	assert_false(config_value_is_cluster("Edge"));
	assert_false(config_value_is_cluster("a|b"));
}

static void test_nearest(void **state)
{
	static const char *const words[] = {"advbase", "dead_factor", "preempt", "settle", "id"};
	char longest[65];

	(void)state;
	assert_int_equal(config_value_distance("advbase", "advbase"), 0);
	assert_int_equal(config_value_distance("advbsae", "advbase"), 1); /* a swap is one */
	assert_int_equal(config_value_distance("", "abc"), 3);
	assert_int_equal(config_value_distance("abc", ""), 3);
	assert_int_equal(config_value_distance("kitten", "sitting"), 3);
	memset(longest, 'a', 64);
	longest[64] = '\0';
	assert_int_equal(config_value_distance(longest, "a"), UINT32_MAX);
	assert_string_equal(config_value_nearest("advbas", words, 5), "advbase");
	assert_string_equal(config_value_nearest("deadfactor", words, 5), "dead_factor");
	assert_null(config_value_nearest("colour", words, 5));
	assert_null(config_value_nearest("x", words, 0));
}

static void test_protocols(void **state)
{
	uint8_t protocol = 0;

	(void)state;
	assert_true(config_value_protocol("icmpv6", &protocol));
	assert_int_equal(protocol, 58);
	assert_string_equal(config_value_protocol_name(58), "icmpv6");
	assert_true(config_value_protocol("255", &protocol));
	assert_int_equal(protocol, 255);
	assert_null(config_value_protocol_name(255));
	assert_false(config_value_protocol("256", &protocol));
	assert_false(config_value_protocol("TCP", &protocol));
	assert_false(config_value_protocol("", &protocol));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_protocols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
