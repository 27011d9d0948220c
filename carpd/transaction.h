/* transaction.h: a promotion or a demotion of one group as a sequence of timed stages.
 *
 *     promotion  before -> state -> rules -> addresses -> announce           (design section 7)
 *     demotion   addresses -> rules -> state
 *
 * Pure bookkeeping: what a stage does is the caller's (`start`), and the caller reports its end
 * (transaction_stage_ended); the sequence, the deadlines, the rule for failures and the stage times
 * are here. The rule: a required stage that fails aborts, and the group is given back to a ready
 * peer if there is one (`yields`); otherwise the promotion goes on and an alarm is raised.
 * An abort, for whatever reason, runs the whole demotion: half a promotion is never left behind.
 * A demotion never stops at a failure: every stage is tried. */
#ifndef CARPD_TRANSACTION_H
#define CARPD_TRANSACTION_H

#include "common/advert.h"
#include "common/limits.h"
#include "common/mono.h"
#include "common/reason.h"

#include <stdbool.h>
#include <stdint.h>

#define TRANSACTION_ERROR_MAX 160u
#define TRANSACTION_NAME_MAX  (LIMIT_NAME + 8u)
#define TRANSACTION_RECORDS_MAX                                                                    \
	24u /* stages of a promotion, its rollback, and handlers; more are not kept */

enum transaction_kind {
	TRANSACTION_NONE = 0,
	TRANSACTION_PROMOTION,
	TRANSACTION_ROLLBACK, /* of a promotion that was aborted */
	TRANSACTION_DEMOTION,
};

enum transaction_stage {
	TRANSACTION_STAGE_BEFORE = 0,
	TRANSACTION_STAGE_STATE,
	TRANSACTION_STAGE_RULES,
	TRANSACTION_STAGE_ADDRESSES,
	TRANSACTION_STAGE_ANNOUNCE,
	TRANSACTION_STAGE_COUNT,
};

/* What a stage's start says. */
enum transaction_start {
	TRANSACTION_START_FAILED = 0, /* error text filled in */
	TRANSACTION_START_DONE,
	TRANSACTION_START_PENDING, /* transaction_stage_ended() will be called */
};

enum transaction_outcome {
	TRANSACTION_OUTCOME_PROMOTED = 1,
	TRANSACTION_OUTCOME_FAILED, /* rolled back completely */
	TRANSACTION_OUTCOME_DEMOTED,
};

struct transaction_record {
	char stage[TRANSACTION_NAME_MAX]; /* "state", or "handler:NAME" */
	int64_t us;
	bool ok;
	char error[TRANSACTION_ERROR_MAX];
};

/* Who and why; constant while a transaction runs. */
struct transaction_cause {
	enum reason reason;
	struct advert_term term;
	uint8_t node; /* promotion: the old master that is alive; demotion: the successor; or 0 */
	bool force;
};

struct transaction;

struct transaction_ops {
	/* start: begins the stage of `t`; is_demotion tells the direction. */
	enum transaction_start (*start)(struct transaction *t, enum transaction_stage stage,
		bool is_demotion, char error[static TRANSACTION_ERROR_MAX]);
	/* cancel: the stage was given up (deadline or abort); its late result is not awaited. */
	void (*cancel)(struct transaction *t, enum transaction_stage stage);
	dur_t (*deadline)(struct transaction *t, enum transaction_stage stage);
	bool (*yields)(struct transaction *t);
	/* failed: a stage failed, and the transaction goes on or back. */
	void (*failed)(struct transaction *t, enum transaction_stage stage, bool goes_on,
		const char *error);
	void (*finished)(struct transaction *t, enum transaction_outcome outcome);
};

struct transaction {
	const struct transaction_ops *ops;
	void *context;
	uint8_t group;
	/* The transaction's own. */
	enum transaction_kind kind;
	enum transaction_stage stage;
	struct transaction_cause cause;
	mono_t started_at;
	mono_t stage_started_at;
	mono_t stage_deadline;
	uint32_t record_count;
	struct transaction_record records[TRANSACTION_RECORDS_MAX];
};

void transaction_init(
	struct transaction *t, const struct transaction_ops *ops, void *context, uint8_t group);

/* transaction_promote: begins; nothing may be running (false then, and nothing is changed). */
bool transaction_promote(struct transaction *t, const struct transaction_cause *cause, mono_t now)
	__attribute__((warn_unused_result));

/* transaction_demote: begins; a running promotion is aborted first, its rollback becomes this
 * demotion. A running demotion goes on. */
void transaction_demote(struct transaction *t, const struct transaction_cause *cause, mono_t now);

/* transaction_stage_ended: the result of a pending stage. Another stage than the present one, or
 * none running: a late result, ignored.
 *   required  whether its failure counts for the rule above */
void transaction_stage_ended(struct transaction *t, enum transaction_stage stage, bool is_demotion,
	bool ok, bool required, const char *error, mono_t now);

/* transaction_expire: judges the deadline; call it at transaction_deadline(). */
void transaction_expire(struct transaction *t, mono_t now);
mono_t transaction_deadline(const struct transaction *t);

/* transaction_note: a record beside the stages (a handler's). */
void transaction_note(
	struct transaction *t, const char *name, int64_t us, bool ok, const char *error);

bool transaction_is_running(const struct transaction *t);

/* transaction_reset: forgets everything without a word (the node begins a new life). */
void transaction_reset(struct transaction *t);

const char *transaction_stage_name(enum transaction_stage stage);

#endif
