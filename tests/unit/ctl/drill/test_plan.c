/* The topology that is worked out of a config. */
#include "ctl/drill/plan.h"

#include "common/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char head[] = "cluster: edge\nkeys: [edge.key]\nnodes:\n"
			   "  fw1: { id: 1, address: 10.9.9.1 }\n"
			   "  fw2: { id: 2, address: 10.9.9.2, interfaces: { lan0: ens3 } }\n"
			   "groups:\n  edge:\n    vhid: 51\n    interfaces:\n";

static struct config *parse(const char *interfaces)
{
	struct config_errors *errors = calloc(1, sizeof(*errors));
	struct config *cfg;
	char text[2048];

	(void)snprintf(text, sizeof(text), "%s%s", head, interfaces);
	cfg = config_parse(text, strlen(text), "test.yaml", NULL, errors);
	if (!cfg)
		config_errors_print(errors, stderr);
	assert_non_null(cfg);
	free(errors);
	return cfg;
}

static void assert_address(const struct ipaddr *addr, bool with_prefix, const char *expected)
{
	char text[IPADDR_TEXT_MAX];

	assert_string_equal(ipaddr_render(addr, with_prefix, text), expected);
}

static void test_pair(void **state)
{
	struct config *cfg = parse("      lan0: [10.1.0.254/24]\n      wan0: [10.2.0.254/24]\n");
	struct plan *plan = calloc(1, sizeof(*plan));
	char error[PLAN_ERROR_MAX];

	(void)state;
	assert_int_equal(plan_make(plan, cfg, NULL, NULL, error), 0);
	assert_int_equal(plan->segment_count, 3);
	assert_string_equal(plan->segments[0].name, "lan0");
	assert_string_equal(plan->segments[0].ifnames[0], "lan0");
	assert_string_equal(plan->segments[0].ifnames[1], "ens3");
	assert_string_equal(plan->segments[2].name, "sync0");
	assert_string_equal(plan->segments[2].ifnames[1], "sync");
	assert_int_equal(plan->pair_count, 1);
	assert_int_equal(plan->pairs[0].client, 0);
	assert_int_equal(plan->pairs[0].server, 1);
	assert_address(&plan->pairs[0].client_address, true, "10.1.0.100/24");
	assert_address(&plan->pairs[0].server_gateway, false, "10.2.0.254");
	assert_int_equal(plan_make(plan, cfg, "wan0", "lan0", error), 0);
	assert_int_equal(plan->pairs[0].client, 1);
	assert_int_equal(plan->pairs[0].server, 0);
	assert_int_equal(plan_sync_prefix(cfg, 0), 24);
	free(plan);
	config_free(cfg);
}

/* Outside is what is called so; the host's place is free even in a small network; the probe's
 * address is somebody's. */
static void test_places(void **state)
{
	struct config *cfg = parse(
		"      wan0: { addresses: [10.2.0.1/30], probe: [10.2.0.2] }\n"
		"      lan0: [10.1.0.100/24]\n      dmz0: [\"fe80::1/64\", \"fd01::fe/64\"]\n");
	struct plan *plan = calloc(1, sizeof(*plan));
	char error[PLAN_ERROR_MAX];

	(void)state;
	assert_int_equal(plan_make(plan, cfg, NULL, NULL, error), 0);
	assert_int_equal(plan->pairs[0].server, 0);
	assert_int_equal(plan->pairs[0].client, 1);
	assert_address(&plan->pairs[0].server_address, true, "10.2.0.2/30");
	assert_address(&plan->pairs[0].client_address, true, "10.1.0.101/24");
	assert_int_equal(plan->segments[2].host_address_count, 1);
	assert_address(&plan->segments[2].host_addresses[0], true, "fd01::64/64");
	free(plan);
	config_free(cfg);
}

static void test_nothing_to_forward(void **state)
{
	struct config *cfg = parse("      lan0: [10.1.0.254/24]\n      wan0: [\"fd02::1/64\"]\n");
	struct plan *plan = calloc(1, sizeof(*plan));
	char error[PLAN_ERROR_MAX] = "";

	(void)state;
	assert_true(plan_make(plan, cfg, NULL, NULL, error) < 0);
	assert_non_null(strstr(error, "one family"));
	free(plan);
	config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pair),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_nothing_to_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
