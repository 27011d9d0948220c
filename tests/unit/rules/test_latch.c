/* latch.h: whose marks are taken, and where the kernel is asked for them. */
#include "tests/unit/common/test.h"

#include "rules/latch.h"

static void test_uses_mark(void **state)
{
	(void)state;
	assert_false(latch_uses_mark(""));
	assert_false(latch_uses_mark("\t\tmeta mark set 0x7fffffff accept\n"));
	assert_false(latch_uses_mark("\t\tmeta mark set ct mark & 0xffffff10 | 0x00000010\n"));
	assert_false(latch_uses_mark("\t\t@th,0,16 0x8001 ct mark 0x00000001 0x\n"));
	assert_true(latch_uses_mark("\t\tmeta mark set meta mark | 0x80000000\n"));
	assert_true(latch_uses_mark("\t\tmeta mark 0x80000000/4 accept\n"));
	assert_true(latch_uses_mark("\t\tmeta mark { 0x00000003, 0xee6b2800 } accept\n"));
	assert_true(latch_uses_mark("\t\tmeta mark set ct mark & 0x0000000f ^ 0x90000000"));
	assert_true(latch_uses_mark("0x90000000"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uses_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
