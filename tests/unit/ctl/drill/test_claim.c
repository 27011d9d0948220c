/* Who answered for an address, and when did two? Made-up answers with a known truth. */
#include "ctl/drill/claim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS	 INT64_C(1000000)
#define GAP	 (12 * MS)
#define CAPACITY 4096

static struct claim claims[CAPACITY];
static size_t count;

static int by_time(const void *a, const void *b)
{
	const struct claim *x = a;
	const struct claim *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* `node` answers every 2 ms in [from, to). */
static void reign(uint16_t target, uint8_t node, int64_t from, int64_t to)
{
	for (int64_t at = from; at < to && count < CAPACITY; at += 2 * MS)
		claims[count++] = (struct claim){.at = at, .target = target, .node = node};
	qsort(claims, count, sizeof(*claims), by_time);
}

static int64_t dual(void)
{
	return claim_dual(claims, count, 0, GAP, 0, INT64_MAX);
}

static void test_one_after_the_other(void **state)
{
	(void)state;
	count = 0;
	reign(0, 0, 0, 100 * MS);
	reign(0, 1, 130 * MS, 300 * MS);
	assert_int_equal(dual(), 0);
	assert_int_equal(claim_first(claims, count, 0, 1, 50 * MS), 130 * MS);
	assert_int_equal(claim_last(claims, count, 0, 0, 0, INT64_MAX), 98 * MS);
	assert_int_equal(claim_first(claims, count, 0, 2, 0), 0);
}

static void test_overlap(void **state)
{
	(void)state;
	for (int64_t length = 4 * MS; length < 200 * MS; length += 7 * MS) {
		count = 0;
		reign(0, 0, 0, 300 * MS + length);
		reign(0, 1, 300 * MS + MS, 900 * MS);
		assert_in_range(dual(), length - 4 * MS, length);
	}
}

/* Another address' answers are another matter. */
static void test_targets(void **state)
{
	(void)state;
	count = 0;
	reign(0, 0, 0, 200 * MS);
	reign(1, 1, 0, 200 * MS);
	assert_int_equal(dual(), 0);
	assert_int_equal(claim_dual(claims, count, 1, GAP, 0, INT64_MAX), 0);
}

/* Three at once are counted once. */
static void test_three(void **state)
{
	(void)state;
	count = 0;
	reign(0, 0, 0, 400 * MS);
	reign(0, 1, 100 * MS, 200 * MS);
	reign(0, 2, 100 * MS, 200 * MS);
	assert_in_range(dual(), 96 * MS, 102 * MS);
}

/* Nobody answered for a while: the reign before is over. */
static void test_gap(void **state)
{
	(void)state;
	count = 0;
	reign(0, 0, 0, 100 * MS);
	reign(0, 0, 300 * MS, 400 * MS);
	reign(0, 1, 150 * MS, 250 * MS);
	assert_int_equal(dual(), 0);
}

static void test_window(void **state)
{
	(void)state;
	count = 0;
	reign(0, 0, 0, 400 * MS);
	reign(0, 1, 0, 400 * MS);
	assert_in_range(claim_dual(claims, count, 0, GAP, 100 * MS, 150 * MS), 48 * MS, 50 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_after_the_other),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_three),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
