#include "ctl/args.h"
#include "ctl/nearest.h"
#include "ctl/when.h"

#include "common/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct test_values {
	bool force;
	const char *to;
	struct args args;
	int exit_status;
};

/* test_parse: "a b c" as argv of a verb with --to NODE, --force and at most one word. */
static bool test_parse(const char *line, struct test_values *values)
{
	static char text[256];
	char *argv[16] = {text}, *rest;
	int argc = 0;
	const struct args_option options[] = {
		{"--to", "NODE", "target", NULL, &values->to},
		{"--force", NULL, "even so", &values->force, NULL},
	};
	const struct args_spec spec = {"carpool x", "Text.", options, ARRAY_LEN(options), 1};

	*values = (struct test_values){0};
	snprintf(text, sizeof(text), "x %s", line);
	for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	return args_parse(&spec, argc, argv, &values->args, &values->exit_status);
}

static void test_good(void **state)
{
	struct test_values v;

	(void)state;
	assert_true(test_parse("", &v));
	assert_string_equal(v.args.runtime_dir, ARGS_RUNTIME_DIR);
	assert_false(v.args.json);
	assert_true(test_parse("on --to fw2 --force --json", &v));
	assert_string_equal(v.to, "fw2");
	assert_true(v.force);
	assert_true(v.args.json);
	assert_int_equal(v.args.word_count, 1);
	assert_string_equal(v.args.words[0], "on");
	assert_true(test_parse("--to=fw2 --runtime-dir=/tmp/x", &v));
	assert_string_equal(v.to, "fw2");
	assert_string_equal(v.args.runtime_dir, "/tmp/x");
	assert_true(test_parse("-- --force", &v));
	assert_false(v.force);
	assert_string_equal(v.args.words[0], "--force");
	assert_true(test_parse("-", &v));
}

static void test_bad(void **state)
{
	static const char *const lines[] = {
		"--too fw2",
		"--to",
		"--to=",
		"--force=yes",
		"--runtime-dir",
		"on off",
		"--to --force",
		"-x",
		"--t fw2",
	};
	struct test_values v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		assert_false(test_parse(lines[i], &v));
		assert_int_equal(v.exit_status, 2);
	}
	assert_false(test_parse("--to fw2 --help", &v));
	assert_int_equal(v.exit_status, 0);
}

static void test_duration(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* 0: refused */
	} cases[] = {
		{"500ms", 500},
		{"10s", 10000},
		{"30m", 1800000},
		{"2h", 7200000},
		{"1d", 86400000},
		{"366d", INT64_C(31622400000)},
		{"367d", 0},
		{"0s", 0},
		{"-1s", 0},
		{"+1s", 0},
		{" 1s", 0},
		{"1", 0},
		{"s", 0},
		{"1 s", 0},
		{"1.5h", 0},
		{"1sx", 0},
		{"9223372036854775807h", 0},
		{"99999999999999999999s", 0},
		{"", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t ms = 0;

		assert_int_equal(args_duration_ms(cases[i].text, &ms), cases[i].ms != 0);
		assert_int_equal(ms, cases[i].ms);
	}
}

static void test_nearest(void **state)
{
	static const char *const words[] = {"status", "handover", "sync", "flows", "keygen"};
	static const struct {
		const char *typed, *meant;
	} cases[] = {
		{"statsu", "status"},
		{"stat", "status"},
		{"hand-over", "handover"},
		{"sycn", "sync"},
		{"flow", "flows"},
		{"x", NULL},
		{"", NULL},
		{"reboot", NULL},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *near = nearest_word(cases[i].typed, words, ARRAY_LEN(words));

		if (cases[i].meant)
			assert_string_equal(near, cases[i].meant);
		else
			assert_null(near);
	}
}

static void test_when(void **state)
{
	char text[WHEN_TEXT_MAX];
	int64_t us;

	(void)state;
	assert_true(when_parse("1970-01-01T00:00:01.000002Z", &us));
	assert_int_equal(us, 1000002);
	assert_true(when_parse("2026-01-01T00:00:00Z", &us));
	assert_int_equal(us, INT64_C(1767225600) * 1000000);
	assert_false(when_parse("2026-01-01 00:00:00", &us));
	assert_false(when_parse("2026-01-01T00:00:00", &us));
	assert_false(when_parse("", &us));
	assert_string_equal(when_render_span(-5, text), "0 s");
	assert_string_equal(when_render_span(812, text), "812 us");
	assert_string_equal(when_render_span(31500, text), "31.5 ms");
	assert_string_equal(when_render_span(4200000, text), "4.2 s");
	assert_string_equal(when_render_span(INT64_C(192000000), text), "3 min 12 s");
	assert_string_equal(when_render_span(INT64_C(11520000000), text), "3 h 12 min");
	assert_string_equal(when_render_span(INT64_MAX, text), "106751991 d 4 h");
}

static void test_number(void **state)
{
	static const char *const bad[] = {"", "x", "9x", "9", "101", "-1", "99999999999999999999"};
	long number = 42;

	(void)state;
	assert_true(args_number(NULL, 10, 100, &number));
	assert_int_equal(number, 42);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(args_number(bad[i], 10, 100, &number));
		assert_int_equal(number, 42);
	}
	assert_true(args_number("10", 10, 100, &number));
	assert_int_equal(number, 10);
	assert_true(args_number("100", 10, 100, &number));
	assert_int_equal(number, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_when),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
