/* messages.h: nft's complaints with their places, and places in an operator's file. */
#include "tests/unit/common/test.h"

#include <string.h>

#include <netinet/in.h>

#include <linux/netfilter.h>

#include "common/check.h"
#include "rules/messages.h"

static struct rules_report report;

static void parse(const char *errors)
{
	memset(&report, 0, sizeof(report));
	messages_parse(errors, "/etc/fw.nft", "/etc", &report);
}

static void test_places(void **state)
{
	(void)state;
	parse("/etc/fw.nft:5:161-162: Error: syntax error, unexpected '}'\n"
	      "  chain f { : Error: }\n"
	      "            ^^\n"
	      "/etc/fw.nft:7:1-1: Error: unexpected end of file\n}\n^\n");
	assert_int_equal(report.count, 2);
	assert_string_equal(report.lines[0], "/etc/fw.nft:5:161: syntax error, unexpected '}'");
	assert_string_equal(report.lines[1], "/etc/fw.nft:7:1: unexpected end of file");
}

static void test_includes_lie_in_the_folder(void **state)
{
	(void)state;
	parse("In file included from /etc/fw.nft:1:1-24:\n"
	      "./parts/a:b.nft:2:5-9: Error: Interface does not exist\n");
	assert_int_equal(report.count, 1);
	assert_string_equal(report.lines[0], "/etc/parts/a:b.nft:2:5: Interface does not exist");
}

static void test_what_has_no_place(void **state)
{
	static const char *const odd[] = {"netlink: Error: cache initialization failed\nmore\n",
		":1:2-3: Error: x", "f:1:-3: Error: x", "f:x:2-3: Error: x",
		"f:99999999999:2-3: Error: x", "1:2-3: Error: x"};

	(void)state;
	parse("");
	assert_int_equal(report.count, 1);
	assert_string_equal(report.lines[0], "/etc/fw.nft:1:1: nft refused it");
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		parse(odd[i]);
		assert_int_equal(report.count, 1);
		assert_memory_equal(report.lines[0], "/etc/fw.nft:1:1: nft refused it: ", 33);
	}
}

static void test_more_than_fit(void **state)
{
	char many[8192] = "";

	(void)state;
	for (unsigned int i = 0; i < 100; i++)
		strcat(many, "/etc/fw.nft:5:1-2: Error: again\n");
	parse(many);
	assert_int_equal(report.count, RULES_REPORT_LINES);
	assert_string_equal(report.lines[RULES_REPORT_LINES - 1], "... and more");
}

static void test_find(void **state)
{
	static const char source[] = "# table inet fw\n"
				     "flush ruleset; \n"
				     "table inet other { chain c { } }\n"
				     "\ttable inet fw {\n"
				     "\t\tset x { comment \"flowtable\"; }\n"
				     "\t\tflowtable f {\n"
				     "\t\tchain forward_x {\n"
				     "\t\tchain forward {\n"
				     "table nat {\n";

	(void)state;
	assert_int_equal(messages_find_table(source, NFPROTO_INET, "fw"), 4);
	assert_int_equal(messages_find_table(source, NFPROTO_INET, "other"), 3);
	assert_int_equal(messages_find_table(source, NFPROTO_IPV4, "nat"), 9);
	assert_int_equal(messages_find_table(source, NFPROTO_IPV6, "nat"), 1);
	assert_int_equal(messages_find_word(source, "flowtable"), 6);
	assert_int_equal(messages_find_word(source, "table"), 3);
	assert_int_equal(messages_find_word(source, "absent"), 1);
	assert_int_equal(messages_find_chain(source, "forward"), 8);
	assert_int_equal(messages_find_chain(source, "c"), 3);
	assert_int_equal(messages_find_chain("", "c"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_includes_lie_in_the_folder),
		cmocka_unit_test(test_what_has_no_place),
		cmocka_unit_test(test_more_than_fit),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
