/* May the running cluster be drilled? A healthy status document, and one thing wrong at a time. */
#include "ctl/drill/live_check.h"

#include "common/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_US INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */
#define MINUTE INT64_C(60000000)

static const char healthy[] =
	"{'cluster':'edge','node':'fw1','sync_configured':true,'groups':[{'name':'edge','state':'"
	"master',"
	"'master':'fw1','ready':true,'not_ready':[],'peers':[{'node':'fw2','state':'backup','ready'"
	":true,"
	"'not_ready':[],'paths':[{'via':'lan0','alive':true,'heard_by_peer':true}]}]}],'alarms':[],"
	"'rules':[{'group':'edge','peers_match':true}],'sync':{'flows':700,'peers':[{'node':'fw2',"
	"'connected':true,'in_sync':true,'lag_ms':0.4}]},"
	"'drill_lock':{'node':null,'last':{'node':'fw2','time':'2025-12-31T23:00:00.000000Z'}}}";

static const struct live_check_options usual = {
	.cluster = "edge", .quiet_us = 10 * MINUTE, .now_wall_us = NOW_US, .table_max = 1000};

/* The healthy document with one text in place of another. */
static json_t *altered(const char *from, const char *to)
{
	char text[4096];
	const char *at = strstr(healthy, from);
	json_t *status;
	json_error_t error;

	assert_non_null(at);
	(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - healthy), healthy, to,
		at + strlen(from));
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	status = json_loads(text, 0, &error);
	assert_non_null(status);
	return status;
}

/* The name of the only check that fails; "" none, "several". The caller frees nothing. */
static const char *failing(
	const struct live_check_options *options, const char *from, const char *to)
{
	static char name[64];
	json_t *status = altered(from, to);
	json_t *checks = live_check(status, options), *check;
	size_t i;

	name[0] = '\0';
	assert_int_equal(json_array_size(checks), 8);
	json_array_foreach (checks, i, check) {
		if (json_is_true(json_object_get(check, "ok")))
			continue;
		(void)snprintf(name, sizeof(name), "%s",
			name[0] ? "several" : json_string_value(json_object_get(check, "check")));
		assert_true(strlen(json_string_value(json_object_get(check, "text"))) > 1);
	}
	assert_int_equal(live_check_passed(checks), name[0] == '\0');
	json_decref(checks);
	json_decref(status);
	return name;
}

static void test_one_thing_wrong(void **state)
{
	static const struct {
		const char *from, *to, *check;
	} cases[] = {
		{"", "", ""},
		{"'cluster':'edge'", "'cluster':'other'", "this cluster"},
		{"'master':'fw1'", "'master':null", "one master"},
		{"'state':'backup'", "'state':'master'", "one master"},
		{"'state':'backup'", "'state':'maintenance'", "healthy"},
		{"'alive':true", "'alive':false", "healthy"},
		{"'heard_by_peer':true", "'heard_by_peer':false", "healthy"},
		{"'alarms':[]", "'alarms':[{'code':'PATH_SPLIT','text':'x'}]", "healthy"},
		{"'ready':true,'not_ready':[],'paths'",
			"'ready':false,'not_ready':['TABLE_FULL'],'paths'", "ready"},
		{"'ready':true,'not_ready':[],'peers'",
			"'ready':false,'not_ready':['RULES_MISSING'],'peers'", "ready"},
		{"'in_sync':true", "'in_sync':false", "in sync"},
		{"'connected':true", "'connected':false", "in sync"},
		{"'lag_ms':0.4", "'lag_ms':101", "in sync"},
		{"'sync_configured':true", "'sync_configured':false", "in sync"},
		{"'peers_match':true", "'peers_match':false", "same rules"},
		{"'flows':700", "'flows':801", "headroom"},
		{"'node':null", "'node':'fw2'", "no other drill"},
		{"2025-12-31T23:00:00", "2025-12-31T23:51:00", "no other drill"},
		{"2025-12-31T23:00:00", "2025-12-31T23:49:00", ""},
		{"{'node':'fw2','time':'2025-12-31T23:00:00.000000Z'}", "null", ""},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(failing(&usual, cases[i].from, cases[i].to), cases[i].check);
}

static void test_what_was_asked(void **state)
{
	struct live_check_options options = usual;

	(void)state;
	options.to = "fw1";
	assert_string_equal(failing(&options, "", ""), "one master"); /* it is already */
	options.to = "fw9";
	assert_string_equal(failing(&options, "", ""), "ready");
	options.to = "fw2";
	assert_string_equal(failing(&options, "", ""), "");
	options.group = "none";
	assert_string_equal(failing(&options, "", ""), "one master");
	options.group = "edge";
	options.own_lock = true;
	assert_string_equal(failing(&options, "'node':null", "'node':'fw1'"), "");
}

/* A daemon of another version may leave out anything: never a crash, and never a yes. */
static void test_nothing_known(void **state)
{
	json_t *status = json_object();
	json_t *checks = live_check(status, &usual);

	(void)state;
	assert_false(live_check_passed(checks));
	json_decref(checks);
	json_decref(status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_thing_wrong),
		cmocka_unit_test(test_what_was_asked),
		cmocka_unit_test(test_nothing_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
