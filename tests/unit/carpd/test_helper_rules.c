/* What the helper remembers of rules: which of its files a task loads, and which are in force. */
#include "tests/unit/common/test.h"

#include "carpd/helper_rules.h"

#include <string.h>
#include <unistd.h>

static struct helper_memory memories[LIMIT_GROUPS];

/* whole: what rules_compiled_write() does last of all: FILE_MAGIC in rules/compile.c. */
static void whole(int fd)
{
	const uint32_t magic = 0x63727531u;

	assert_int_equal(pwrite(fd, &magic, sizeof(magic), 0), sizeof(magic));
	assert_true(rules_compiled_is_whole(fd));
}

static struct helper_memory *remember(enum helper_rules_task task)
{
	struct helper_memory *memory = helper_rules_remember(memories, "edge", task);

	assert_non_null(memory);
	return memory;
}

static int setup(void **state)
{
	(void)state;
	memset(memories, 0, sizeof(memories));
	return 0;
}

static void test_a_load_at_the_start_reads_the_files(void **state)
{
	const struct helper_memory *memory = remember(HELPER_RULES_LOAD);

	(void)state;
	assert_false(memory->compiled_counts);
	assert_true(memory->fresh_fd >= 0);
	assert_true(memory->fresh_in_force);
	assert_int_equal(memory->loaded_fd, -1);
}

static void test_what_was_judged_is_loaded_once(void **state)
{
	struct helper_memory *memory = remember(HELPER_RULES_LOAD);
	int first = memory->fresh_fd;

	(void)state;
	whole(first);
	whole(remember(HELPER_RULES_COMPILE)->compiled_fd);
	assert_false(memory->compiled_counts); /* the compile itself reads the files */
	remember(HELPER_RULES_BESIDE);
	assert_true(memory->compiled_counts);
	assert_int_equal(memory->loaded_fd, first);
	assert_false(memory->fresh_in_force);
	whole(memory->fresh_fd);
	remember(HELPER_RULES_SETTLE);
	assert_true(memory->fresh_in_force);
	assert_int_equal(memory->compiled_fd, -1);
	remember(HELPER_RULES_DROP);
	assert_false(memory->compiled_counts);
	remember(HELPER_RULES_BESIDE);
	assert_false(memory->compiled_counts);
}

static void test_what_did_not_compile_is_not_loaded(void **state)
{
	struct helper_memory *memory;

	(void)state;
	whole(remember(HELPER_RULES_COMPILE)->compiled_fd);
	memory = remember(HELPER_RULES_COMPILE); /* and this one fails */
	remember(HELPER_RULES_LOAD);
	assert_false(memory->compiled_counts);
}

static void test_a_repair_takes_what_is_loaded(void **state)
{
	struct helper_memory *memory = remember(HELPER_RULES_LOAD);
	int first = memory->fresh_fd;

	(void)state;
	whole(first);
	whole(remember(HELPER_RULES_COMPILE)->compiled_fd); /* of a reload that was refused */
	remember(HELPER_RULES_REPAIR);
	assert_false(memory->compiled_counts);
	assert_int_equal(memory->loaded_fd, first);
}

static void test_groups_are_kept_apart(void **state)
{
	(void)state;
	whole(remember(HELPER_RULES_COMPILE)->compiled_fd);
	assert_false(helper_rules_remember(memories, "guests", HELPER_RULES_LOAD)->compiled_counts);
	assert_true(remember(HELPER_RULES_LOAD)->compiled_counts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_load_at_the_start_reads_the_files, setup),
		cmocka_unit_test_setup(test_what_was_judged_is_loaded_once, setup),
		cmocka_unit_test_setup(test_what_did_not_compile_is_not_loaded, setup),
		cmocka_unit_test_setup(test_a_repair_takes_what_is_loaded, setup),
		cmocka_unit_test_setup(test_groups_are_kept_apart, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
