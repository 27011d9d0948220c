#include "carpd/executor.h"

#include "carpd/bounds.h"
#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/evloop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EXECUTOR_STACK_BYTES (512u * 1024u)

struct executor_list {
	struct executor_job *first;
	struct executor_job **last;
	unsigned int count;
};

struct executor {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct executor_list queued;
	struct executor_list finished;
	unsigned int busy_count; /* loop's view: posted and not yet done */
	bool is_stopping;
	int priority;
	int event_fd;
	sd_event_source *source;
};

static void executor_list_init(struct executor_list *list)
{
	list->first = NULL;
	list->last = &list->first;
	list->count = 0;
}

static void executor_list_append(struct executor_list *list, struct executor_job *job)
{
	job->next = NULL;
	*list->last = job;
	list->last = &job->next;
	list->count++;
	CHECK(list->count <= CARPD_EXECUTOR_JOBS_MAX);
}

static struct executor_job *executor_list_take(struct executor_list *list)
{
	struct executor_job *job = list->first;

	if (!job)
		return NULL;
	list->first = job->next;
	if (!list->first)
		list->last = &list->first;
	list->count--;
	return job;
}

static void *executor_main(void *context)
{
	struct executor *e = context;
	struct sched_param param = {.sched_priority = e->priority};
	struct executor_job *job;

	/* Refused is fine: whoever may not have real time was told so at start. */
	if (e->priority > 0)
		(void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
	pthread_mutex_lock(&e->lock);
	for (;;) {
		job = executor_list_take(&e->queued);
		if (!job && e->is_stopping)
			break;
		if (!job) {
			pthread_cond_wait(&e->wake, &e->lock);
			continue;
		}
		pthread_mutex_unlock(&e->lock);
		job->started_at = clock_now();
		job->run(job);
		job->finished_at = clock_now();
		pthread_mutex_lock(&e->lock);
		executor_list_append(&e->finished, job);
		(void)!write(e->event_fd, &(uint64_t){1}, 8); /* Full means that it is readable. */
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* executor_collect: `done` for what has finished; jobs may be posted again from there. */
static void executor_collect(struct executor *e)
{
	struct executor_job *job;
	uint64_t count;

	(void)!read(e->event_fd, &count, sizeof(count)); /* The list says how many. */
	for (;;) {
		pthread_mutex_lock(&e->lock);
		job = executor_list_take(&e->finished);
		pthread_mutex_unlock(&e->lock);
		if (!job)
			return;
		CHECK(job->is_busy);
		job->is_busy = false;
		e->busy_count--;
		if (job->done)
			job->done(job);
	}
}

static int on_finished(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	(void)source;
	(void)fd;
	(void)revents;
	executor_collect(context);
	return 0;
}

/* executor_start: the thread takes no signal: they belong to the loop. */
static int executor_start(struct executor *e, const char *name)
{
	pthread_attr_t attributes;
	sigset_t all, old;
	int r;

	/* With locked memory every byte of a stack is resident, so it is sized for its work. */
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, EXECUTOR_STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&e->thread, &attributes, executor_main, e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	if (r != 0)
		return -r;
	pthread_setname_np(e->thread, name);
	return 0;
}

/* executor_lock_init: with priority inheritance: the loop must not wait for an executor of ordinary
 * priority that was pushed aside, on a busy machine, while it held the lock. */
static void executor_lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	CHECK(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT) == 0);
	CHECK(pthread_mutex_init(lock, &attributes) == 0);
	pthread_mutexattr_destroy(&attributes);
}

int executor_open(struct executor **ret_executor, sd_event *event, const char *name, int priority)
{
	struct executor *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->priority = priority;
	executor_list_init(&e->queued);
	executor_list_init(&e->finished);
	executor_lock_init(&e->lock);
	pthread_cond_init(&e->wake, NULL);
	e->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->event_fd < 0) {
		r = -errno;
		goto err_free;
	}
	r = sd_event_add_io(event, &e->source, e->event_fd, EPOLLIN, on_finished, e);
	if (r < 0)
		goto err_close;
	(void)sd_event_source_set_priority(e->source, EVLOOP_PRIORITY_NORMAL);
	r = executor_start(e, name);
	if (r < 0)
		goto err_source;
	*ret_executor = e;
	return 0;

err_source:
	sd_event_source_disable_unref(e->source);
err_close:
	close(e->event_fd);
err_free:
	pthread_cond_destroy(&e->wake);
	pthread_mutex_destroy(&e->lock);
	free(e);
	return r;
}

void executor_close(struct executor *e)
{
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->is_stopping = true;
	pthread_cond_signal(&e->wake);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	sd_event_source_disable_unref(e->source);
	close(e->event_fd);
	pthread_cond_destroy(&e->wake);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

bool executor_post(struct executor *e, struct executor_job *job)
{
	CHECK(job->run != NULL);
	if (job->is_busy)
		return false;
	job->is_busy = true;
	job->result = 0;
	job->posted_at = clock_now();
	e->busy_count++;
	pthread_mutex_lock(&e->lock);
	CHECK(!e->is_stopping);
	executor_list_append(&e->queued, job);
	pthread_cond_signal(&e->wake);
	pthread_mutex_unlock(&e->lock);
	return true;
}

bool executor_drain(struct executor *e, mono_t deadline)
{
	struct pollfd poll_fd = {.fd = e->event_fd, .events = POLLIN};

	while (e->busy_count > 0) {
		int64_t left_us = mono_diff(deadline, clock_now()).us;

		if (left_us <= 0)
			return false;
		(void)poll(&poll_fd, 1, (int)(left_us / 1000 + 1));
		executor_collect(e);
	}
	return true;
}
