/* What `carpool metrics` makes of the daemons' answers. That Prometheus takes it is asked of
 * promtool itself in tests/system/test_ctl_metrics.py. */
#include "ctl/metrics_text.h"

#include "common/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *test_render(const struct metrics_source *source, bool openmetrics)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	metrics_text_render(out, source, openmetrics);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_has(const char *text, const char *line)
{
	char wanted[256];

	snprintf(wanted, sizeof(wanted), "\n%s\n", line);
	if (!strstr(text, wanted))
		fail_msg("no line '%s' in:\n%s", line, text);
}

static void test_down(void **state)
{
	const struct metrics_source source = {.version = "1", .entries = -1, .entries_limit = -1};
	char *text = test_render(&source, false);

	(void)state;
	test_has(text, "carpool_up{daemon=\"carpd\"} 0");
	test_has(text, "keepalived_up 0");
	assert_null(strstr(text, "carpool_group_state"));
	assert_null(strstr(text, "carpool_conntrack_entries"));
	assert_null(strstr(text, "# EOF"));
	free(text);
}

static json_t *test_json(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);

	assert_non_null(json);
	return json;
}

static void test_values(void **state)
{
	json_t *status = test_json(
		"{\"cluster\":\"edge\",\"node\":\"fw1\",\"groups\":[{\"name\":\"a\\\"b\","
		"\"vhid\":51,\"state\":\"master\",\"term\":7,\"ready\":true,\"demotion\":50,"
		"\"since\":\"1970-01-01T00:00:10.500000Z\",\"not_ready\":[],\"peers\":[{\"node\":"
		"\"fw2\",\"alive\":true,\"ready\":false,\"paths\":[{\"via\":\"lan0\",\"alive\":"
		"true,"
		"\"heard_by_peer\":false}]}]}],\"alarms\":[{\"code\":\"PATH_SPLIT\",\"group\":"
		"\"a\"},{\"code\":\"TABLE_FULL\",\"group\":null},{\"code\":\"TABLE_FULL\","
		"\"group\":"
		"null}],\"rules\":[{\"group\":\"a\",\"active\":\"master\",\"peers_match\":null}]}");
	json_t *carpd = test_json(
		"{\"groups\":[{\"group\":\"a\",\"carpool_transitions_total\":{\"MASTER_DEAD\":3},"
		"\"carpool_dual_master_seconds_total\":0.25,\"carpool_became_master_total\":4,"
		"\"carpool_released_master_total\":1,\"carpool_stage_seconds\":[{\"stage\":"
		"\"rules\","
		"\"to\":\"master\",\"count\":2,\"sum_us\":500}]}],\"paths\":[],"
		"\"carpool_adverts_dropped_total\":{\"AUTH\":2,\"KEY_UNKNOWN\":3}}");
	json_t *sync =
		test_json("{\"role\":\"active\",\"flows\":12,\"peers\":[{\"node\":\"fw2\","
			  "\"connected\":true,\"in_sync\":false,\"lag_ms\":1.5,\"unacked\":2}]}");
	const struct metrics_source source = {.version = "1",
		.status = status,
		.carpd = carpd,
		.sync = sync,
		.entries = 10,
		.entries_limit = 100};
	char *text = test_render(&source, true), *alarm;

	(void)state;
	test_has(text, "carpool_group_state{group=\"a\\\"b\",state=\"master\"} 1");
	test_has(text, "carpool_group_state{group=\"a\\\"b\",state=\"backup\"} 0");
	test_has(text, "carpool_group_since_seconds{group=\"a\\\"b\"} 10.5");
	test_has(text, "carpool_path_up{group=\"a\\\"b\",peer=\"fw2\",via=\"lan0\"} 1");
	test_has(text, "carpool_path_heard_by_peer{group=\"a\\\"b\",peer=\"fw2\",via=\"lan0\"} 0");
	test_has(text, "carpool_peer_ready{group=\"a\\\"b\",peer=\"fw2\"} 0");
	test_has(text, "carpool_alarm{code=\"PATH_SPLIT\",group=\"a\"} 1");
	alarm = strstr(text, "carpool_alarm{code=\"TABLE_FULL\",group=\"\"} 1\n");
	assert_non_null(alarm);
	assert_null(strstr(alarm + 1, "carpool_alarm{code=\"TABLE_FULL\"")); /* once */
	assert_null(strstr(text, "carpool_rules_match{"));		     /* null: not known */
	test_has(text, "carpool_transitions_total{group=\"a\",reason=\"MASTER_DEAD\"} 3");
	test_has(text, "# TYPE carpool_transitions counter"); /* OpenMetrics: no _total here */
	test_has(text, "carpool_dual_master_seconds_total{group=\"a\"} 0.25");
	test_has(text,
		"carpool_stage_seconds_sum{group=\"a\",stage=\"rules\",to=\"master\"} 0.0005");
	test_has(text, "carpool_stage_seconds_count{group=\"a\",stage=\"rules\",to=\"master\"} 2");
	test_has(text, "carpool_sync_lag_seconds{peer=\"fw2\"} 0.0015");
	test_has(text, "carpool_sync_connected{peer=\"fw2\"} 1");
	test_has(text, "carpool_sync_in_sync{peer=\"fw2\"} 0");
	test_has(text, "carpool_conntrack_entries_limit 100");
	test_has(text, "keepalived_vrrp_state{iname=\"a\\\"b\",intf=\"lan0\",vrid=\"51\",ip_"
		       "address=\"\"} 2");
	test_has(text, "keepalived_become_master_total{iname=\"a\"} 4");
	test_has(text, "keepalived_authentication_failure_total 5");
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	free(text);
	json_decref(status);
	json_decref(carpd);
	json_decref(sync);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_down),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
