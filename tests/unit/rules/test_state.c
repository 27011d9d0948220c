/* state.h: what goes along when rules are replaced, and what does not. */
#include "tests/unit/common/test.h"

#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

#include <linux/netfilter.h>

#include "common/check.h"
#include "rules/state.h"

static const char live_text[] =
	"table inet fw {\n"
	"\tset dyn {\n"
	"\t\ttype ipv4_addr\n"
	"\t\tflags timeout\n"
	"\t\telements = { 10.0.0.1 timeout 1h expires 5m,\n"
	"\t\t\t     10.0.0.2 counter packets 1 bytes 2, 10.0.0.3,\n"
	"\t\t\t     10.0.0.4 comment \"a, } b\" }\n"
	"\t}\n"
	"\tmap m {\n"
	"\t\ttype ipv4_addr : verdict\n"
	"\t\telements = { 10.0.0.1 : accept, 10.0.0.2 counter packets 0 bytes 0 : jump c }\n"
	"\t}\n"
	"\tcounter seen {\n"
	"\t\tcomment \"x\"\n"
	"\t\tpackets 5 bytes 6\n"
	"\t}\n"
	"\tquota q {\n"
	"\t\tover 25 mbytes used 3 kbytes\n"
	"\t}\n"
	"}\n";

static const char old_text[] = "table inet fw {\n"
			       "\tset dyn {\n"
			       "\t\ttype ipv4_addr\n"
			       "\t\tflags timeout\n"
			       "\t\telements = { 10.0.0.3 }\n"
			       "\t}\n"
			       "}\n";

static const char new_text[] = "table inet fw {\n"
			       "\tset dyn {\n"
			       "\t\ttype ipv4_addr\n"
			       "\t\tflags timeout\n"
			       "\t\telements = { 10.0.0.2 }\n"
			       "\t}\n"
			       "\tcounter seen {\n"
			       "\t\tcomment \"x\"\n"
			       "\t}\n"
			       "\tquota q {\n"
			       "\t\tover 50 mbytes\n"
			       "\t}\n"
			       "}\n";

struct moving {
	struct state live, old_file, new_file;
	struct state_move move;
};

static int set_up(void **state)
{
	struct moving *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	state_read(&m->live, live_text, strlen(live_text));
	state_read(&m->old_file, old_text, strlen(old_text));
	state_read(&m->new_file, new_text, strlen(new_text));
	m->move = (struct state_move){&m->live, &m->old_file, &m->new_file, "", RULES_SWAP_PREFIX};
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	struct moving *m = *state;

	state_free(&m->live);
	state_free(&m->old_file);
	state_free(&m->new_file);
	free(m);
	return 0;
}

static void test_blocks_are_read(void **state)
{
	const struct moving *m = *state;
	const struct state_block *block =
		state_lookup(&m->live, NFPROTO_INET, "fw", STATE_KIND_SET, "dyn");

	assert_int_equal(m->live.count, 4);
	assert_false(m->live.failed);
	assert_non_null(block);
	assert_int_equal(block->element_count, 4);
	assert_string_equal(block->elements[3], "10.0.0.4 comment \"a, } b\"");
	assert_string_equal(block->type, "type ipv4_addr");
	block = state_lookup(&m->live, NFPROTO_INET, "fw", STATE_KIND_COUNTER, "seen");
	assert_string_equal(block->value, "packets 5 bytes 6");
	assert_null(state_lookup(&m->live, NFPROTO_IPV4, "fw", STATE_KIND_SET, "dyn"));
	assert_null(state_lookup(&m->live, NFPROTO_INET, "fw", STATE_KIND_MAP, "dyn"));
}

static void test_keys(void **state)
{
	static const struct {
		const char *element;
		size_t length;
	} cases[] = {
		{"10.0.0.1", 8},
		{"10.0.0.1 timeout 1h expires 5m", 8},
		{"1.1.1.1 . 80 counter packets 0 bytes 0 : accept", 12},
		{"\"a counter b\" : 0x1", 13},
		{"tcp . 22-23 : jump x", 11},
		{"counter", 7},
		{"", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(state_key_length(cases[i].element), cases[i].length);
}

static void test_elements_that_no_file_lists_go_along(void **state)
{
	struct moving *m = *state;
	struct text text = {0};
	const char *why;
	size_t lost;

	assert_int_equal(state_elements(&m->move, &m->live.blocks[0], &text, &lost, &why), 2);
	assert_int_equal(lost, 0);
	assert_string_equal(text.bytes,
		"add element inet carpool_new_fw dyn { 10.0.0.1 timeout 1h expires 5m, "
		"10.0.0.4 comment \"a, } b\" }\n");
	free(text.bytes);
}

static void test_what_has_no_place_is_told(void **state)
{
	struct moving *m = *state;
	struct text text = {0};
	const char *why;
	size_t lost;

	assert_int_equal(state_elements(&m->move, &m->live.blocks[1], &text, &lost, &why), 0);
	assert_int_equal(lost, 2);
	assert_string_equal(why, "the new rules have no such set");
	assert_null(text.bytes);
	free(m->new_file.blocks[0].type);
	m->new_file.blocks[0].type = strdup("type ipv6_addr");
	assert_int_equal(state_elements(&m->move, &m->live.blocks[0], &text, &lost, &why), 0);
	assert_int_equal(lost, 3);
	assert_string_equal(why, "its type is another one now");
}

static void test_counters_and_quotas_go_along(void **state)
{
	static const char want[] = "table inet carpool_new_fw {\n"
				   "\tcounter seen {\n"
				   "\t\tpackets 5 bytes 6\n"
				   "\t\tcomment \"x\"\n"
				   "\t}\n"
				   "\tquota q {\n"
				   "\t\tover 50 mbytes used 3 kbytes\n"
				   "\t}\n"
				   "\tcounter other {\n"
				   "\t}\n"
				   "}\n";
	static const char text[] = "table inet carpool_new_fw {\n"
				   "\tcounter seen {\n"
				   "\t\tcomment \"x\"\n"
				   "\t}\n"
				   "\tquota q {\n"
				   "\t\tover 50 mbytes\n"
				   "\t}\n"
				   "\tcounter other {\n"
				   "\t}\n"
				   "}\n";
	struct moving *m = *state;
	struct text made = {0};

	state_objects(&m->move, text, strlen(text), &made);
	assert_string_equal(made.bytes, want);
	free(made.bytes);
}

/* nft never prints a second list of elements; what only looks like one is read on, not over the
 * end. */
static void test_a_second_list_of_elements(void **test_state)
{
	static const char text[] =
		"table inet fw {\n"
		"\tset s {\n"
		"\t\ttype ipv4_addr\n"
		"\t\telements = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 }\n"
		"\t\telements = { 17, 18 }\n"
		"\t}\n"
		"}\n";
	struct state state = {0};

	(void)test_state;
	state_read(&state, text, strlen(text));
	assert_int_equal(state.count, 1);
	assert_int_equal(state.blocks[0].element_count, 18);
	assert_string_equal(state.blocks[0].elements[17], "18");
	state_free(&state);
}

static void test_cut_off_text_harms_nothing(void **state)
{
	(void)state;
	for (size_t length = 0; length < strlen(live_text); length++) {
		struct state read = {0};
		char *cut = strndup(live_text, length);

		assert_non_null(cut);
		state_read(&read, cut, length);
		assert_false(read.failed);
		state_free(&read);
		free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_blocks_are_read, set_up, tear_down),
		cmocka_unit_test(test_keys),
		cmocka_unit_test_setup_teardown(
			test_elements_that_no_file_lists_go_along, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_has_no_place_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_counters_and_quotas_go_along, set_up, tear_down),
		cmocka_unit_test(test_a_second_list_of_elements),
		cmocka_unit_test(test_cut_off_text_harms_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
