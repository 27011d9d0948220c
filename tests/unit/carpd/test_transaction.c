/* carpd/transaction.c with a made-up stage runner: order, deadlines, the rule for failures. */
#include "carpd/transaction.h"

#include "common/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* What the runner was asked, as one line of words; what each stage answers. */
static struct {
	char story[512];
	enum transaction_start answers[2][TRANSACTION_STAGE_COUNT];
	bool yields;
} lab;

static void tell(const char *word)
{
	size_t used = strlen(lab.story);

	snprintf(lab.story + used, sizeof(lab.story) - used, "%s%s", used ? " " : "", word);
}

static enum transaction_start run_start(struct transaction *t, enum transaction_stage stage,
	bool is_demotion, char error[static TRANSACTION_ERROR_MAX])
{
	char word[32];

	(void)t;
	snprintf(
		word, sizeof(word), "%s%s", is_demotion ? "-" : "+", transaction_stage_name(stage));
	tell(word);
	snprintf(error, TRANSACTION_ERROR_MAX, "made up");
	return lab.answers[is_demotion][stage];
}

static void run_cancel(struct transaction *t, enum transaction_stage stage)
{
	(void)t;
	(void)stage;
	tell("cancel");
}

static dur_t run_deadline(struct transaction *t, enum transaction_stage stage)
{
	(void)t;
	return dur_ms(100 * (int64_t)(stage + 1));
}

static bool run_yields(struct transaction *t)
{
	(void)t;
	return lab.yields;
}

static void run_failed(
	struct transaction *t, enum transaction_stage stage, bool goes_on, const char *error)
{
	(void)t;
	(void)stage;
	(void)error;
	tell(goes_on ? "goes-on" : "back");
}

static void run_finished(struct transaction *t, enum transaction_outcome outcome)
{
	assert_false(transaction_is_running(t));
	tell(outcome == TRANSACTION_OUTCOME_PROMOTED	? "PROMOTED"
		: outcome == TRANSACTION_OUTCOME_FAILED ? "FAILED"
							: "DEMOTED");
}

static const struct transaction_ops ops = {
	.start = run_start,
	.cancel = run_cancel,
	.deadline = run_deadline,
	.yields = run_yields,
	.failed = run_failed,
	.finished = run_finished,
};

static const struct transaction_cause cause = {.reason = REASON_MASTER_DEAD};

static mono_t at(int64_t ms)
{
	return (mono_t){1000000000 + ms * 1000};
}

static struct transaction fresh(void)
{
	struct transaction t;

	memset(&lab, 0, sizeof(lab));
	for (unsigned int i = 0; i < TRANSACTION_STAGE_COUNT; i++)
		lab.answers[0][i] = lab.answers[1][i] = TRANSACTION_START_DONE;
	transaction_init(&t, &ops, NULL, 3);
	return t;
}

static void test_order(void **state)
{
	struct transaction t = fresh();

	(void)state;
	assert_true(transaction_promote(&t, &cause, at(0)));
	assert_string_equal(lab.story, "+before +state +rules +addresses +announce PROMOTED");
	lab.story[0] = '\0';
	transaction_demote(&t, &cause, at(1));
	assert_string_equal(lab.story, "-addresses -rules -state DEMOTED");
}

static void test_times_and_pending(void **state)
{
	struct transaction t = fresh();

	(void)state;
	lab.answers[0][TRANSACTION_STAGE_STATE] = TRANSACTION_START_PENDING;
	assert_true(transaction_promote(&t, &cause, at(0)));
	assert_string_equal(lab.story, "+before +state");
	assert_int_equal(transaction_deadline(&t).us, at(200).us);
	assert_false(transaction_promote(&t, &cause, at(1)));
	/* Results of other stages, or of the other direction, are late ones. */
	transaction_stage_ended(&t, TRANSACTION_STAGE_RULES, false, true, true, "", at(2));
	transaction_stage_ended(&t, TRANSACTION_STAGE_STATE, true, true, true, "", at(2));
	assert_string_equal(lab.story, "+before +state");
	transaction_expire(&t, at(199));
	assert_string_equal(lab.story, "+before +state");
	transaction_stage_ended(&t, TRANSACTION_STAGE_STATE, false, true, true, "", at(7));
	assert_string_equal(lab.story, "+before +state +rules +addresses +announce PROMOTED");
	assert_true(mono_is_never(transaction_deadline(&t)));
	assert_int_equal(t.record_count, 5);
	assert_string_equal(t.records[1].stage, "state");
	assert_int_equal(t.records[1].us, 7000);
	assert_true(t.records[1].ok);
}

static void test_required_failure_yields(void **state)
{
	struct transaction t = fresh();

	(void)state;
	lab.yields = true;
	lab.answers[0][TRANSACTION_STAGE_RULES] = TRANSACTION_START_FAILED;
	assert_true(transaction_promote(&t, &cause, at(0)));
	/* Half a promotion is never left behind, and it is undone in a demotion's order. */
	assert_string_equal(
		lab.story, "+before +state +rules back -addresses -rules -state FAILED");
	assert_string_equal(t.records[2].error, "made up");
}

static void test_required_failure_alone(void **state)
{
	struct transaction t = fresh();

	(void)state;
	lab.answers[0][TRANSACTION_STAGE_STATE] = TRANSACTION_START_FAILED;
	assert_true(transaction_promote(&t, &cause, at(0)));
	assert_string_equal(
		lab.story, "+before +state goes-on +rules +addresses +announce PROMOTED");
}

static void test_optional_failure(void **state)
{
	struct transaction t = fresh();

	(void)state;
	lab.yields = true;
	lab.answers[0][TRANSACTION_STAGE_BEFORE] = TRANSACTION_START_PENDING;
	assert_true(transaction_promote(&t, &cause, at(0)));
	transaction_stage_ended(&t, TRANSACTION_STAGE_BEFORE, false, false, false, "no", at(1));
	assert_string_equal(
		lab.story, "+before goes-on +state +rules +addresses +announce PROMOTED");
}

static void test_deadline(void **state)
{
	struct transaction t = fresh();

	(void)state;
	lab.yields = true;
	lab.answers[0][TRANSACTION_STAGE_ADDRESSES] = TRANSACTION_START_PENDING;
	assert_true(transaction_promote(&t, &cause, at(0)));
	transaction_expire(&t, at(400));
	assert_string_equal(lab.story, "+before +state +rules +addresses cancel back -addresses "
				       "-rules -state FAILED");
	assert_string_equal(t.records[3].error, "deadline passed");
}

static void test_demotion_never_stops(void **state)
{
	struct transaction t = fresh();

	(void)state;
	lab.yields = true;
	for (unsigned int i = 0; i < TRANSACTION_STAGE_COUNT; i++)
		lab.answers[1][i] = TRANSACTION_START_FAILED;
	transaction_demote(&t, &cause, at(0));
	assert_string_equal(lab.story, "-addresses goes-on -rules goes-on -state goes-on DEMOTED");
}

static void test_demotion_of_a_promotion(void **state)
{
	struct transaction t = fresh();

	(void)state;
	lab.answers[0][TRANSACTION_STAGE_BEFORE] = TRANSACTION_START_PENDING;
	assert_true(transaction_promote(&t, &cause, at(0)));
	transaction_demote(&t, &cause, at(5));
	assert_string_equal(lab.story, "+before cancel -addresses -rules -state DEMOTED");
	assert_string_equal(t.records[0].error, "cancelled");
}

static void test_demotion_of_a_rollback(void **state)
{
	struct transaction t = fresh();

	(void)state;
	lab.yields = true;
	lab.answers[0][TRANSACTION_STAGE_STATE] = TRANSACTION_START_FAILED;
	lab.answers[1][TRANSACTION_STAGE_ADDRESSES] = TRANSACTION_START_PENDING;
	assert_true(transaction_promote(&t, &cause, at(0)));
	transaction_demote(&t, &cause, at(1));
	transaction_stage_ended(&t, TRANSACTION_STAGE_ADDRESSES, true, true, true, "", at(2));
	assert_string_equal(lab.story, "+before +state back -addresses -rules -state DEMOTED");
}

static void test_records_are_bounded(void **state)
{
	struct transaction t = fresh();

	(void)state;
	lab.answers[0][TRANSACTION_STAGE_BEFORE] = TRANSACTION_START_PENDING;
	assert_true(transaction_promote(&t, &cause, at(0)));
	for (unsigned int i = 0; i < 2 * TRANSACTION_RECORDS_MAX; i++)
		transaction_note(&t, "handler:x", 1, true, NULL);
	assert_int_equal(t.record_count, TRANSACTION_RECORDS_MAX);
	transaction_reset(&t);
	assert_false(transaction_is_running(&t));
	assert_int_equal(t.group, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_times_and_pending),
		cmocka_unit_test(test_required_failure_yields),
		cmocka_unit_test(test_required_failure_alone),
		cmocka_unit_test(test_optional_failure),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_demotion_never_stops),
		cmocka_unit_test(test_demotion_of_a_promotion),
		cmocka_unit_test(test_demotion_of_a_rollback),
		cmocka_unit_test(test_records_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
