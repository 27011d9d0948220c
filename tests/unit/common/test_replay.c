/* The window of RFC 6479: a table of steps, each with the answer it must get. */
#include "test.h"

#include "common/replay.h"

struct step {
	uint64_t counter;
	enum replay_result expect;
};

static void run(struct replay *window, const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(replay_check(window, steps[i].counter), steps[i].expect);
		assert_int_equal(replay_commit(window, steps[i].counter), steps[i].expect);
		/* Whatever the answer was: a second time it is refused. */
		assert_int_equal(replay_commit(window, steps[i].counter), REPLAY_REFUSED);
	}
}
#define RUN(window, ...)                                                                           \
	run(window, (const struct step[]){__VA_ARGS__},                                            \
		sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))

static void test_order(void **state)
{
	struct replay w = {0};

	(void)state;
	RUN(&w, {0, REPLAY_REFUSED}, {1, REPLAY_NEW}, {3, REPLAY_NEW}, {2, REPLAY_LATE},
		{10, REPLAY_NEW}, {9, REPLAY_LATE}, {64, REPLAY_NEW}, {63, REPLAY_LATE},
		{65, REPLAY_NEW}, {4, REPLAY_LATE});
}

static void test_edges(void **state)
{
	struct replay w = {0};

	(void)state;
	RUN(&w, {1000, REPLAY_NEW}, {1000 - REPLAY_WINDOW + 1, REPLAY_LATE},
		{1000 - REPLAY_WINDOW, REPLAY_REFUSED}, {1, REPLAY_REFUSED},
		{1000 + 10 * REPLAY_WINDOW, REPLAY_NEW}, {1001, REPLAY_REFUSED},
		{1000 + 10 * REPLAY_WINDOW - 1, REPLAY_LATE});
}

static void test_last(void **state)
{
	struct replay w = {0};

	(void)state;
	RUN(&w, {5, REPLAY_NEW}, {REPLAY_COUNTER_LAST, REPLAY_NEW}, {6, REPLAY_REFUSED},
		{REPLAY_COUNTER_LAST - 1, REPLAY_LATE});
}

static void test_reset(void **state)
{
	struct replay w = {0};

	(void)state;
	for (uint64_t base = 1; base < 400; base++) {
		replay_reset(&w, base);
		/* Nothing at or below the baseline, everything above it, once. */
		for (uint64_t c = base > 300 ? base - 300 : 1; c <= base; c++)
			assert_int_equal(replay_check(&w, c), REPLAY_REFUSED);
		RUN(&w, {base + 3, REPLAY_NEW}, {base + 1, REPLAY_LATE}, {base + 2, REPLAY_LATE},
			{base + 70, REPLAY_NEW}, {base + 69, REPLAY_LATE}, {base + 4, REPLAY_LATE},
			{base + 900, REPLAY_NEW}, {base + 899, REPLAY_LATE});
	}
}

/* Against the plain truth: a long random walk, every counter remembered. */
static void test_model(void **state)
{
	static bool seen[100000];
	struct replay w = {0};
	uint64_t highest = 0;
	uint32_t random = 1;

	(void)state;
	for (int i = 0; i < 60000; i++) {
		uint64_t counter;
		enum replay_result expect = REPLAY_NEW;

		random = random * 1103515245u + 12345u;
		counter = highest + 40 - (random >> 16) % (REPLAY_WINDOW + 60);
		if ((int64_t)counter < 1 || counter >= 100000)
			continue;
		if (counter <= highest)
			expect = highest - counter >= REPLAY_WINDOW || seen[counter]
					 ? REPLAY_REFUSED
					 : REPLAY_LATE;
		assert_int_equal(replay_commit(&w, counter), expect);
		if (expect != REPLAY_REFUSED)
			seen[counter] = true;
		highest = counter > highest ? counter : highest;
	}
	assert_true(highest > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_last),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
