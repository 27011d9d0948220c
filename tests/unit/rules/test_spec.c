/* rules_spec_from_config(): a node's own names, the group's addresses, whole paths. */
#include "tests/unit/common/test.h"

#include <string.h>

#include "config/config.h"
#include "rules/rules.h"

static const char text[] = "cluster: edge\n"
			   "keys: [edge.key]\n"
			   "nodes:\n"
			   "  fw1: { id: 1, address: 10.9.9.1 }\n"
			   "  fw2: { id: 2, address: 10.9.9.2, interfaces: { lan0: ens3 } }\n"
			   "groups:\n"
			   "  edge:\n"
			   "    vhid: 51\n"
			   "    interfaces: { lan0: [10.1.0.254/24, \"fd01::fe/64\"] }\n"
			   "    rules: { master: fw.nft, backup: standby.nft }\n"
			   "  bare:\n"
			   "    vhid: 52\n"
			   "    interfaces: { wan0: [10.2.0.254/24] }\n";

static struct rules_spec spec;
static const struct rules_interface none;

static const struct rules_interface *find(const char *name)
{
	for (size_t i = 0; i < spec.interface_count; i++) {
		if (!strcmp(spec.interfaces[i].name, name))
			return &spec.interfaces[i];
	}
	return &none;
}

static void test_spec(void **state)
{
	static struct config_errors errors;
	struct config *config =
		config_parse(text, strlen(text), "/etc/carpool/cluster.yaml", NULL, &errors);

	(void)state;
	assert_non_null(config);
	assert_true(rules_spec_from_config(config, "fw2", "edge", &spec));
	assert_string_equal(spec.group, "edge");
	assert_string_equal(spec.master_file, "/etc/carpool/fw.nft");
	assert_string_equal(spec.backup_file, "/etc/carpool/standby.nft");
	assert_int_equal(spec.address_count, 2);
	assert_string_equal(find("ens3")->name, "ens3");
	assert_string_equal(find("ens3")->logical, "lan0");
	assert_true(find("ens3")->shielded);
	assert_ptr_equal(find("lan0"), &none);
	assert_false(find("wan0")->shielded); /* known to the rules, another group's to guard */
	assert_true(rules_spec_from_config(config, "fw1", "edge", &spec));
	assert_true(find("lan0")->shielded);

	assert_false(rules_spec_from_config(config, "fw1", "bare", &spec)); /* has no rules */
	assert_false(rules_spec_from_config(config, "fw1", "nosuch", &spec));
	assert_false(rules_spec_from_config(config, "nosuch", "edge", &spec));
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
