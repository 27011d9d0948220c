#include "carpd/transaction.h"

#include "common/check.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *const transaction_stage_names[] = {
	[TRANSACTION_STAGE_BEFORE] = "before",
	[TRANSACTION_STAGE_STATE] = "state",
	[TRANSACTION_STAGE_RULES] = "rules",
	[TRANSACTION_STAGE_ADDRESSES] = "addresses",
	[TRANSACTION_STAGE_ANNOUNCE] = "announce",
};

static_assert(ARRAY_LEN(transaction_stage_names) == TRANSACTION_STAGE_COUNT, "a stage has no name");

const char *transaction_stage_name(enum transaction_stage stage)
{
	CHECK((unsigned int)stage < TRANSACTION_STAGE_COUNT);
	return transaction_stage_names[stage];
}

void transaction_init(
	struct transaction *t, const struct transaction_ops *ops, void *context, uint8_t group)
{
	*t = (struct transaction){.ops = ops, .context = context, .group = group};
	t->stage_deadline = MONO_NEVER;
}

void transaction_reset(struct transaction *t)
{
	transaction_init(t, t->ops, t->context, t->group);
}

bool transaction_is_running(const struct transaction *t)
{
	return t->kind != TRANSACTION_NONE;
}

mono_t transaction_deadline(const struct transaction *t)
{
	return t->kind == TRANSACTION_NONE ? MONO_NEVER : t->stage_deadline;
}

void transaction_note(
	struct transaction *t, const char *name, int64_t us, bool ok, const char *error)
{
	struct transaction_record *record;

	if (t->record_count == TRANSACTION_RECORDS_MAX)
		return;
	record = &t->records[t->record_count++];
	snprintf(record->stage, sizeof(record->stage), "%s", name);
	snprintf(record->error, sizeof(record->error), "%s", ok || !error ? "" : error);
	record->us = us;
	record->ok = ok;
}

static bool transaction_is_demotion(const struct transaction *t)
{
	return t->kind == TRANSACTION_DEMOTION || t->kind == TRANSACTION_ROLLBACK;
}

/* transaction_next: the stage after the present one, COUNT at the end: pure. */
static enum transaction_stage transaction_next(const struct transaction *t)
{
	if (!transaction_is_demotion(t))
		return t->stage + 1;
	switch (t->stage) {
	case TRANSACTION_STAGE_ADDRESSES:
		return TRANSACTION_STAGE_RULES;
	case TRANSACTION_STAGE_RULES:
		return TRANSACTION_STAGE_STATE;
	case TRANSACTION_STAGE_STATE:
	case TRANSACTION_STAGE_BEFORE:
	case TRANSACTION_STAGE_ANNOUNCE:
	case TRANSACTION_STAGE_COUNT:
		return TRANSACTION_STAGE_COUNT;
	}
	CHECK(false);
	return TRANSACTION_STAGE_COUNT;
}

static void transaction_finish(struct transaction *t)
{
	enum transaction_outcome outcome =
		t->kind == TRANSACTION_PROMOTION  ? TRANSACTION_OUTCOME_PROMOTED
		: t->kind == TRANSACTION_ROLLBACK ? TRANSACTION_OUTCOME_FAILED
						  : TRANSACTION_OUTCOME_DEMOTED;

	t->kind = TRANSACTION_NONE;
	t->stage_deadline = MONO_NEVER;
	t->ops->finished(t, outcome);
}

static void transaction_end_stage(
	struct transaction *t, bool ok, bool required, const char *error, mono_t now);

/* transaction_run: stage after stage until one is pending or the end is reached. */
static void transaction_run(struct transaction *t, enum transaction_stage stage, mono_t now)
{
	char error[TRANSACTION_ERROR_MAX] = "";
	enum transaction_start start;

	if (stage == TRANSACTION_STAGE_COUNT) {
		transaction_finish(t);
		return;
	}
	t->stage = stage;
	t->stage_started_at = now;
	t->stage_deadline = mono_add(now, t->ops->deadline(t, stage));
	start = t->ops->start(t, stage, transaction_is_demotion(t), error);
	if (start != TRANSACTION_START_PENDING)
		transaction_end_stage(t, start == TRANSACTION_START_DONE, true, error, now);
}

/* transaction_roll_back: what was done is undone in a demotion's order. */
static void transaction_roll_back(struct transaction *t, enum transaction_kind kind, mono_t now)
{
	t->kind = kind;
	transaction_run(t, TRANSACTION_STAGE_ADDRESSES, now);
}

static void transaction_end_stage(
	struct transaction *t, bool ok, bool required, const char *error, mono_t now)
{
	enum transaction_stage stage = t->stage;
	bool goes_on;

	transaction_note(t, transaction_stage_name(stage), mono_diff(now, t->stage_started_at).us,
		ok, error);
	if (ok) {
		transaction_run(t, transaction_next(t), now);
		return;
	}
	goes_on = transaction_is_demotion(t) || !required || !t->ops->yields(t);
	t->ops->failed(t, stage, goes_on, error);
	if (goes_on)
		transaction_run(t, transaction_next(t), now);
	else
		transaction_roll_back(t, TRANSACTION_ROLLBACK, now);
}

bool transaction_promote(struct transaction *t, const struct transaction_cause *cause, mono_t now)
{
	if (t->kind != TRANSACTION_NONE)
		return false;
	t->kind = TRANSACTION_PROMOTION;
	t->cause = *cause;
	t->record_count = 0;
	t->started_at = now;
	transaction_run(t, TRANSACTION_STAGE_BEFORE, now);
	return true;
}

void transaction_demote(struct transaction *t, const struct transaction_cause *cause, mono_t now)
{
	switch (t->kind) {
	case TRANSACTION_PROMOTION:
		t->ops->cancel(t, t->stage);
		transaction_note(t, transaction_stage_name(t->stage),
			mono_diff(now, t->stage_started_at).us, false, "cancelled");
		t->cause = *cause;
		transaction_roll_back(t, TRANSACTION_DEMOTION, now);
		return;
	case TRANSACTION_ROLLBACK:
		/* The same stages; only the word at the end differs. */
		t->kind = TRANSACTION_DEMOTION;
		return;
	case TRANSACTION_DEMOTION:
		return;
	case TRANSACTION_NONE:
		t->kind = TRANSACTION_DEMOTION;
		t->cause = *cause;
		t->record_count = 0;
		t->started_at = now;
		transaction_run(t, TRANSACTION_STAGE_ADDRESSES, now);
		return;
	}
	CHECK(false);
}

void transaction_stage_ended(struct transaction *t, enum transaction_stage stage, bool is_demotion,
	bool ok, bool required, const char *error, mono_t now)
{
	if (t->kind == TRANSACTION_NONE || t->stage != stage ||
		transaction_is_demotion(t) != is_demotion)
		return;
	transaction_end_stage(t, ok, required, error, now);
}

void transaction_expire(struct transaction *t, mono_t now)
{
	if (t->kind == TRANSACTION_NONE || !mono_reached(now, t->stage_deadline))
		return;
	t->ops->cancel(t, t->stage);
	transaction_end_stage(t, false, true, "deadline passed", now);
}
