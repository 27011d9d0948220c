/* thread.h: a probe's thread: real-time where permitted, all signals left to the main thread. */
#ifndef CTL_DRILL_THREAD_H
#define CTL_DRILL_THREAD_H

#include <pthread.h>

/* thread_start: `run` in a new thread; SCHED_FIFO at `priority` when it is above 0 and permitted.
 * 0 or a negative errno. */
int thread_start(pthread_t *ret_thread, int priority, void *(*run)(void *context), void *context);

/* thread_realtime_permitted: whether SCHED_FIFO can be had here. */
int thread_realtime_permitted(void);

#endif
