/* mover.h: takes the loop away from a processor that does not let it run.
 *
 * A kernel without full preemption (Debian's default is "voluntary") finishes what it is doing
 * before it lets even a real-time thread run: a commit of 20,000 rules holds a processor for 100 ms
 * and longer. The scheduler does not move a thread that waits behind that, though another processor
 * may be idle. So a few threads, each pinned to a processor of its own, know when the loop is due;
 * the one that finds it overdue puts it onto its own processor (sched_setaffinity() moves a thread
 * that waits in a run queue at once) and sets its old freedom again. Two stalls of different
 * processors rarely fall together: measured here under compilers and rule loads, 1 of 23 (doc/
 * decisions/0016-mover.md).
 *
 * Each costs one wake-up a deadline, or half of one. Only with real-time priority and two
 * processors or more. */
#ifndef CARPD_MOVER_H
#define CARPD_MOVER_H

#include "common/mono.h"

#include <stdint.h>

#define MOVER_THREADS_MAX 3u
#define MOVER_IDLE_MS	  100 /* between two looks when the loop has no deadline */

struct mover;

/* mover_open: for the calling thread.
 *   priority  of the threads, above the loop's
 *   slack     so late a loop is overdue
 *   far       so much later the thread of that processor looks where the loop ran last: if that is
 *             the one that is stuck, this thread is, too; if it is not (the loop may have woken up
 *             elsewhere), better late than never. It saves half of its wake-ups.
 * NULL in *ret_mover with 0: there is only one processor. Else a negative errno. */
int mover_open(struct mover **ret_mover, int priority, dur_t slack, dur_t far)
	__attribute__((warn_unused_result));
void mover_close(struct mover *mover);

/* mover_expect: when the loop is due next; MONO_NEVER: it is awake, or has nothing to do. NULL is
 * allowed. */
void mover_expect(struct mover *mover, mono_t deadline);

/* mover_moves: how often it was overdue. */
uint64_t mover_moves(const struct mover *mover);

#endif
