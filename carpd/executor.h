/* executor.h: a thread that makes the calls which may wait for a kernel lock.
 *
 * RTNL and the nftables commit mutex can be held by anybody for seconds (a large `nft -f`, a
 * driver's reset). carpd's loop must never wait for them (design section 6), so rules, addresses
 * and packet sockets are changed by executors: one thread each, jobs strictly in the order in which
 * they were posted. There is one for rtnetlink and one for rules: a stuck ruleset does not delay
 * the withdrawal of an address.
 *
 * A job is memory of its owner. From post until `done` it belongs to the executor; `run` is called
 * on the thread, then `done` in the loop. A job that never returns is the owner's stage deadline's
 * business, not the executor's. */
#ifndef CARPD_EXECUTOR_H
#define CARPD_EXECUTOR_H

#include "common/mono.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct executor_job {
	void (*run)(struct executor_job *job);	/* on the thread; sets result */
	void (*done)(struct executor_job *job); /* in the loop; may post again; NULL allowed */
	int result;				/* 0 or a negative errno */
	mono_t posted_at, started_at, finished_at;

	/* The executor's own. */
	struct executor_job *next;
	bool is_busy;
};

struct executor;

/* executor_open: starts the thread. `name` at most 15 characters; `priority` its real-time
 * priority where permitted, 0 none. 0 or a negative errno. */
int executor_open(struct executor **ret_executor, sd_event *event, const char *name, int priority)
	__attribute__((warn_unused_result));

/* executor_close: waits until what is queued is done, ends the thread; `done` is not called any
 * more. NULL is allowed. */
void executor_close(struct executor *executor);

/* executor_post: false when the job is still busy from an earlier post: nothing is changed then. */
bool executor_post(struct executor *executor, struct executor_job *job)
	__attribute__((warn_unused_result));

/* executor_drain: waits, at most so long, until nothing is queued or running, and calls `done`.
 * For start-up and shutdown only. True when all is done. */
bool executor_drain(struct executor *executor, mono_t deadline);

static inline bool executor_job_busy(const struct executor_job *job)
{
	return job->is_busy;
}

#endif
