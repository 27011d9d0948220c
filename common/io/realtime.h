/* realtime.h: real-time scheduling and locked memory, where permitted (design section 6). */
#ifndef COMMON_IO_REALTIME_H
#define COMMON_IO_REALTIME_H

#define REALTIME_TEXT_MAX 256u

/* realtime_enable: SCHED_FIFO at `priority` for the calling thread, with SCHED_RESET_ON_FORK, and
 * mlockall(current and future). Both are wishes: what was not granted is said in `missing`, for one
 * log line; "" when all was. Returns the number of wishes not granted. */
int realtime_enable(int priority, char missing[static REALTIME_TEXT_MAX]);

#endif
