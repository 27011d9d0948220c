/* listing.h: tables found in nft's text, what is loaded, what is compared, what is fingerprinted.
 */
#include "tests/unit/common/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

#include <linux/netfilter.h>

#include "common/check.h"
#include "rules/listing.h"

static const char two_tables[] = "table inet fw {\n"
				 "\tset s {\n"
				 "\t\ttype ipv4_addr\n"
				 "\t\telements = { 10.0.0.2, 10.0.0.1,\n"
				 "\t\t\t     10.0.0.3 }\n"
				 "\t}\n"
				 "\n"
				 "\tchain c {\n"
				 "\t\tiif \"lan0\" accept\n"
				 "\t}\n"
				 "}\n"
				 "table ip6 idle {\n"
				 "\tflags dormant\n"
				 "\n"
				 "\tchain c {\n"
				 "\t}\n"
				 "}\n";

static void test_tables_are_found(void **state)
{
	struct rules_table tables[4];
	size_t count = 0;

	(void)state;
	assert_int_equal(listing_tables(two_tables, strlen(two_tables), RULES_ROLE_BACKUP, tables,
				 ARRAY_LEN(tables), &count),
		0);
	assert_int_equal(count, 2);
	assert_string_equal(tables[0].name, "fw");
	assert_int_equal(tables[0].family, NFPROTO_INET);
	assert_int_equal(tables[0].role, RULES_ROLE_BACKUP);
	assert_true(tables[0].by_index);
	assert_false(tables[0].sleeps_always);
	assert_string_equal(tables[1].name, "idle");
	assert_int_equal(tables[1].family, NFPROTO_IPV6);
	assert_true(tables[1].sleeps_always);
	assert_false(tables[1].by_index);
}

static void test_by_index_means_outside_quotes(void **state)
{
	static const struct {
		const char *line;
		bool by_index;
	} cases[] = {
		{"iif \"lan0\" accept", true},
		{"oif { \"lan0\", \"wan0\" } accept", true},
		{"type filter hook ingress device \"lan0\" priority 0; policy accept;", true},
		{"type filter hook ingress devices = { lan0 } priority 0; policy accept;", true},
		{"iifname \"lan0\" accept", false},
		{"log prefix \"iif seen: \"", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rules_table tables[1];
		char text[256];
		size_t count;

		snprintf(text, sizeof(text), "table inet t {\n\tchain c {\n\t\t%s\n\t}\n}\n",
			cases[i].line);
		assert_int_equal(
			listing_tables(text, strlen(text), RULES_ROLE_MASTER, tables, 1, &count),
			0);
		assert_int_equal(tables[0].by_index, cases[i].by_index);
	}
}

static void test_what_is_no_listing(void **state)
{
	static const char *const bad[] = {
		"garbage\n",
		"table inet fw {\n",
		"table inet fw\n{\n}\n",
		"table nosuch fw {\n}\n",
		"table inet  {\n}\n",
		"table inet a b {\n}\n",
		"table inet fw {\n\tflags owner\n}\n",
		"table inet fw {\n}\n}\n",
	};
	struct rules_table tables[2];
	size_t count = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(listing_tables(bad[i], strlen(bad[i]), RULES_ROLE_MASTER, tables,
					 ARRAY_LEN(tables), &count),
			-EBADMSG);
	assert_int_equal(listing_tables(two_tables, strlen(two_tables), RULES_ROLE_MASTER, tables,
				 1, &count),
		-E2BIG);
	assert_int_equal(count, 77);
}

static void test_load_and_strip_are_inverse(void **state)
{
	struct text load = {0}, back = {0};

	(void)state;
	listing_to_load(two_tables, strlen(two_tables), "carpool edge master", true, &load);
	assert_non_null(
		strstr(load.bytes, "table inet fw {\n\tflags dormant\n\tset carpool_canary"));
	assert_non_null(strstr(load.bytes, "comment \"carpool edge master\""));
	/* The one that sleeps by itself says so once. */
	assert_non_null(
		strstr(load.bytes, "table ip6 idle {\n\tflags dormant\n\tset carpool_canary"));
	free(load.bytes);
	load = (struct text){0};
	listing_to_load(two_tables, strlen(two_tables), "carpool edge backup", false, &load);
	listing_strip(load.bytes, load.length, &back);
	assert_string_equal(back.bytes, two_tables);
	free(load.bytes);
	free(back.bytes);
}

static void test_strip_of_a_last_set(void **state)
{
	static const char listed[] = "table inet t {\n\tcounter c {\n\t}\n\n"
				     "\tset carpool_canary {\n\t\ttype mark\n\t}\n}\n";
	struct text back = {0};

	(void)state;
	listing_strip(listed, strlen(listed), &back);
	assert_string_equal(back.bytes, "table inet t {\n\tcounter c {\n\t}\n}\n");
	free(back.bytes);
}

static char *canonical(const char *text)
{
	static const struct rules_interface interfaces[] = {
		{"ens3", "lan0", true}, {"ens4", "wan0", true}, {"same", "", true}};
	struct text t = {0};

	text_add_string(&t, "");
	listing_canonical(text, strlen(text), interfaces, ARRAY_LEN(interfaces), &t);
	assert_false(t.failed);
	return t.bytes;
}

static void test_canonical(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"tcp dport { 80, 22 } accept\n", "tcp dport { 22, 80 } accept\n"},
		{"elements = { b,\n\t\t     a }\n", "elements = { a, b }\n"},
		{"vmap { 80 : accept, 22 : jump x }\n", "vmap { 22 : jump x, 80 : accept }\n"},
		{"iifname { \"zz\", \"ens3\" }\n", "iifname { \"lan0\", \"zz\" }\n"},
		{"iifname \"ens4\"\n", "iifname \"wan0\"\n"},
		{"iifname \"same\" \"ens33\" \"ens*\"\n", "iifname \"same\" \"ens33\" \"ens*\"\n"},
		{"hook ingress devices = { lo, ens3 } priority 0\n",
			"hook ingress devices = { lan0, lo } priority 0\n"},
		{"comment \"b, {a}\" { \"x,y\" comment \"}\", \"a\" }\n",
			"comment \"b, {a}\" { \"a\", \"x,y\" comment \"}\" }\n"},
		{"chain c {\n\taccept\n}\n", "chain c {\n\taccept\n}\n"},
		{"{ { b, a }, c }", "{ c, { a, b } }"},
		{"{ }", "{  }"},
		{"{ a", "{ a }"},
		{"\"open", "\"open\""},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *got = canonical(cases[i].in);

		assert_string_equal(got, cases[i].out);
		free(got);
	}
}

static void test_fingerprint(void **state)
{
	static const struct rules_interface other[] = {{"ens3", "lan0", true}};
	const char *one[] = {"table inet a {\n\tiifname \"lan0\" { 1, 2 }\n}\n", ""};
	const char *same[] = {"table inet a {\n\tiifname \"ens3\" { 2, 1 }\n}\n", ""};
	const char *swapped[] = {"", one[0]};
	uint8_t a[32], b[32], c[32], d[32];

	(void)state;
	assert_true(listing_fingerprint(one, NULL, 0, a));
	assert_true(listing_fingerprint(same, other, 1, b));
	assert_true(listing_fingerprint(same, NULL, 0, c));
	assert_true(listing_fingerprint(swapped, NULL, 0, d));
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, c, sizeof(a));
	assert_memory_not_equal(a, d, sizeof(a)); /* which role says it counts */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables_are_found),
		cmocka_unit_test(test_by_index_means_outside_quotes),
		cmocka_unit_test(test_what_is_no_listing),
		cmocka_unit_test(test_load_and_strip_are_inverse),
		cmocka_unit_test(test_strip_of_a_last_set),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_fingerprint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
