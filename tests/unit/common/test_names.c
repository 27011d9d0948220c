/* reason.h, state.h and mono.h: names that outside tools rely on, and time that saturates. */
#include "tests/unit/common/test.h"

#include "common/mono.h"
#include "common/reason.h"
#include "common/state.h"

static void test_reasons(void **state)
{
	static const char *const names[] = {"STARTUP", "MASTER_DEAD", "MASTER_RESIGNED",
		"BETTER_PEER", "PEER_DEMOTED", "OWN_DEMOTION", "HANDOVER", "MAINTENANCE",
		"DUAL_MASTER", "LATE_CLOCK", "GUARD", "PROMOTION_FAILED", "RELOAD", "SHUTDOWN"};
	enum reason reason = REASON_COUNT;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_true(reason_parse(names[i], &reason));
		assert_string_equal(reason_name(reason), names[i]);
	}
	for (int i = 0; i < REASON_COUNT; i++) {
		assert_true(reason_parse(reason_name((enum reason)i), &reason));
		assert_int_equal(reason, i);
	}
	reason = REASON_COUNT;
	assert_false(reason_parse("master_dead", &reason));
	assert_false(reason_parse("", &reason));
	assert_int_equal(reason, REASON_COUNT);
}

static void test_states(void **state)
{
	static const char *const names[] = {
		"init", "backup", "promoting", "master", "demoting", "maintenance", "fault"};

	(void)state;
	assert_int_equal(sizeof(names) / sizeof(names[0]), GROUP_STATE_COUNT);
	for (int i = 0; i < GROUP_STATE_COUNT; i++)
		assert_string_equal(state_name((enum group_state)i), names[i]);
}

static void test_never_stays_never(void **state)
{
	mono_t late = {INT64_MAX - 5}, t = {1000};

	(void)state;
	assert_true(mono_is_never(mono_add(MONO_NEVER, dur_ms(-1))));
	assert_true(mono_is_never(mono_add(late, dur_us(6))));
	assert_int_equal(mono_add(t, dur_ms(2)).us, 3000);
	assert_int_equal(mono_add(t, dur_us(-1)).us, 999);
	assert_int_equal(mono_min(MONO_NEVER, t).us, 1000);
	assert_true(mono_is_never(mono_max(MONO_NEVER, t)));
	assert_false(mono_reached(late, MONO_NEVER));
	assert_true(mono_reached(t, t));
	assert_int_equal(mono_diff(t, mono_add(t, dur_s(1))).us, -1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_never_stays_never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
