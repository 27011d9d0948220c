#include "ctl/drill/thread.h"

#include <sched.h>
#include <signal.h>

int thread_realtime_permitted(void)
{
	struct sched_param param = {.sched_priority = 1};
	struct sched_param normal = {0};

	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) < 0)
		return 0;
	(void)sched_setscheduler(0, SCHED_OTHER, &normal);
	return 1;
}

int thread_start(pthread_t *ret_thread, int priority, void *(*run)(void *context), void *context)
{
	struct sched_param param = {.sched_priority = priority};
	sigset_t all;
	sigset_t before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(ret_thread, NULL, run, context);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0 && priority > 0)
		(void)pthread_setschedparam(*ret_thread, SCHED_FIFO, &param); /* a wish */
	return -r;
}
