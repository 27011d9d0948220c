/* Rise and fall of a check's results. */
#include "tests/unit/common/test.h"

#include "carpd/score.h"

/* results: '+' and '-'; expected: what is_failed is after each, 'w'ell or 'f'ailed. */
static void check(uint8_t rise, uint8_t fall, const char *results, const char *expected)
{
	struct score score = {0};

	for (size_t i = 0; results[i]; i++) {
		bool before = score.is_failed;
		bool changed = score_add(&score, results[i] == '+', rise, fall);

		assert_int_equal(score.is_failed, expected[i] == 'f');
		assert_int_equal(changed, before != score.is_failed);
	}
}

static void test_scores(void **state)
{
	(void)state;
	check(1, 1, "+-+-", "wfwf");
	check(2, 2, "-+--", "wwwf");
	check(2, 2, "--+-++", "wffffw");
	check(3, 2, "--++-+++", "wffffffw");
	check(1, 3, "--+---+", "wwwwwfw");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_scores)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
