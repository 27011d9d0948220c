/* realtime.h: real-time scheduling and locked memory, where permitted (design section 6). */
#ifndef COMMON_IO_REALTIME_H
#define COMMON_IO_REALTIME_H

#define REALTIME_TEXT_MAX 256u

/* realtime_enable: SCHED_FIFO at `priority` for the calling thread, with SCHED_RESET_ON_FORK, and
 * mlockall(current and future). Both are wishes: what was not granted is said in `missing`, for one
 * log line; "" when all was. Returns the number of wishes not granted. */
int realtime_enable(int priority, char missing[static REALTIME_TEXT_MAX]);

/* realtime_spare: a machine that is short of memory shall kill others first: this process, and what
 * it forks from now on, gets an oom_score_adj of REALTIME_OOM_ADJUST (proc(5)); one that is lower
 * already is kept. Before CAP_SYS_RESOURCE is given up. 0 or a negative errno. */
#define REALTIME_OOM_ADJUST (-900)
int realtime_spare(void) __attribute__((warn_unused_result));

#endif
