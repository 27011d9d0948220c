#include "carpd/mover.h"

#include "common/check.h"
#include "common/io/clock.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MOVER_STACK_BYTES (64u << 10) /* all of it is resident: memory is locked */

struct mover_thread {
	struct mover *mover;
	pthread_t thread;
	int cpu;
};

struct mover {
	pid_t loop;
	cpu_set_t allowed; /* the loop's own */
	int priority;
	int64_t slack_us, far_us;
	_Atomic int64_t deadline_us;
	_Atomic int loop_cpu; /* where it ran when it set the deadline */
	_Atomic uint64_t moves;
	_Atomic bool stop;
	atomic_flag moving;
	unsigned int thread_count;
	struct mover_thread threads[MOVER_THREADS_MAX];
};

static void mover_sleep(int64_t until_us)
{
	struct timespec at = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};

	/* clock_now()'s clock. An early return is as good: the caller looks again. */
	(void)clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, NULL);
}

static void mover_move(struct mover *mover, int cpu)
{
	cpu_set_t here;

	if (atomic_flag_test_and_set(&mover->moving))
		return; /* another one does it */
	CPU_ZERO(&here);
	CPU_SET(cpu, &here);
	if (sched_setaffinity(mover->loop, sizeof(here), &here) == 0)
		mover->moves++;
	(void)sched_setaffinity(mover->loop, sizeof(mover->allowed), &mover->allowed);
	atomic_flag_clear(&mover->moving);
}

static void *mover_main(void *context)
{
	struct mover_thread *thread = context;
	struct mover *mover = thread->mover;
	struct sched_param parameter = {.sched_priority = mover->priority};
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(thread->cpu, &here);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(here), &here);
	(void)pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameter);
	(void)pthread_setname_np(pthread_self(), "carpd-mover");
	while (!mover->stop) {
		int64_t deadline_us = mover->deadline_us, now_us = clock_now().us;
		int64_t idle_us = now_us + MOVER_IDLE_MS * 1000;
		int64_t slack_us = mover->slack_us;

		if (mover->loop_cpu == thread->cpu)
			slack_us += mover->far_us;

		if (deadline_us >= idle_us) {
			mover_sleep(idle_us);
		} else if (deadline_us + slack_us > now_us) {
			mover_sleep(deadline_us + slack_us);
		} else {
			mover_move(mover, thread->cpu);
			mover_sleep(now_us + 2 * mover->slack_us);
		}
	}
	return NULL;
}

/* mover_start: threads take no signal: they belong to the loop. */
static int mover_start(struct mover *mover, int cpu)
{
	struct mover_thread *thread = &mover->threads[mover->thread_count];
	pthread_attr_t attributes;
	sigset_t all, old;
	int r;

	thread->mover = mover;
	thread->cpu = cpu;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, MOVER_STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread->thread, &attributes, mover_main, thread);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	if (r == 0)
		mover->thread_count++;
	return -r;
}

int mover_open(struct mover **ret_mover, int priority, dur_t slack, dur_t far)
{
	struct mover *mover = calloc(1, sizeof(*mover));
	int r = 0;

	*ret_mover = NULL;
	if (!mover)
		return -ENOMEM;
	CHECK(slack.us > 0 && far.us >= 0);
	mover->loop = gettid();
	mover->priority = priority;
	mover->slack_us = slack.us;
	mover->far_us = far.us;
	mover->loop_cpu = -1;
	mover->deadline_us = INT64_MAX;
	if (sched_getaffinity(0, sizeof(mover->allowed), &mover->allowed) < 0)
		r = -errno;
	if (r < 0 || CPU_COUNT(&mover->allowed) < 2) {
		free(mover);
		return r;
	}
	for (int cpu = 0; r == 0 && cpu < CPU_SETSIZE && mover->thread_count < MOVER_THREADS_MAX;
		cpu++)
		if (CPU_ISSET(cpu, &mover->allowed))
			r = mover_start(mover, cpu);
	if (r < 0) {
		mover_close(mover);
		return r;
	}
	*ret_mover = mover;
	return 0;
}

void mover_close(struct mover *mover)
{
	if (!mover)
		return;
	mover->stop = true;
	for (unsigned int i = 0; i < mover->thread_count; i++)
		pthread_join(mover->threads[i].thread, NULL);
	free(mover);
}

void mover_expect(struct mover *mover, mono_t deadline)
{
	if (!mover)
		return;
	if (!mono_is_never(deadline))
		mover->loop_cpu = sched_getcpu();
	mover->deadline_us = deadline.us;
}

uint64_t mover_moves(const struct mover *mover)
{
	return mover ? mover->moves : 0;
}
