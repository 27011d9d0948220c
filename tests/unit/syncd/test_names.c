/* Names that a peer gives to flows: each stands for one slot, and a slot answers to one. */
#include "syncd/core/names.h"
#include "syncd/core/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#define CAPACITY 100u

static void test_names(void **state)
{
	void *memory = calloc(1, names_bytes(CAPACITY));
	struct names names;

	(void)state;
	names_init(&names, memory, CAPACITY);
	assert_int_equal(names_find(&names, 0), TABLE_NONE);
	names_give(&names, 0, 99);
	names_give(&names, 99, 0);
	assert_int_equal(names_find(&names, 0), 99);
	assert_int_equal(names_find(&names, 99), 0);
	/* The name goes to another slot: the old one has none. */
	names_give(&names, 0, 5);
	assert_int_equal(names_find(&names, 0), 5);
	names_give(&names, 7, 99);
	assert_int_equal(names_find(&names, 7), 99);
	assert_int_equal(names_find(&names, 0), 5);
	/* The slot gets another name: the old one is nobody's. */
	names_give(&names, 8, 5);
	assert_int_equal(names_find(&names, 8), 5);
	assert_int_equal(names_find(&names, 0), TABLE_NONE);
	/* The slot goes to another flow. */
	names_forget(&names, 5);
	names_forget(&names, 5);
	assert_int_equal(names_find(&names, 8), TABLE_NONE);
	/* The name means nothing any more; one that never did stays so. */
	names_give(&names, 8, 5);
	names_drop(&names, 8);
	names_drop(&names, 9);
	names_drop(&names, CAPACITY);
	assert_int_equal(names_find(&names, 8), TABLE_NONE);
	assert_int_equal(names_find(&names, 7), 99);
	/* What is not remembered. */
	names_give(&names, CAPACITY, 3);
	names_give(&names, UINT32_MAX, 3);
	assert_int_equal(names_find(&names, CAPACITY), TABLE_NONE);
	assert_int_equal(names_find(&names, UINT32_MAX), TABLE_NONE);
	names_forget_all(&names, CAPACITY);
	assert_int_equal(names_find(&names, 7), TABLE_NONE);
	assert_int_equal(names_find(&names, 99), TABLE_NONE);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
