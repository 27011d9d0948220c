#include "ctl/drill/dial.h"

#include "ctl/drill/netsock.h"
#include "ctl/drill/sandbox.h"
#include "ctl/drill/thread.h"
#include "ctl/drill/tick.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define DIAL_STRAGGLERS_NS (300 * TICK_NS_PER_MS)
#define DIAL_BACKLOG	   256
#define DIAL_EVENTS_MAX	   32
#define DIAL_POLL_MS	   100
#define DIAL_TIMER	   DIAL_PENDING_MAX /* what epoll tells: a place, or these */
#define DIAL_LISTENER	   (DIAL_PENDING_MAX + 1u)

struct dial_attempt {
	int fd; /* -1: the place is free */
	size_t index;
};

struct dial {
	struct dial_options options;
	struct sockaddr_storage server;
	socklen_t server_size;
	int listen_fd;
	int epoll_fd;
	int timer_fd;
	struct dial_attempt pending[DIAL_PENDING_MAX];
	struct outage_sample *samples;
	bool *retried;
	size_t capacity;
	_Atomic size_t sent_count;
	_Atomic bool stop;
	pthread_t thread;
	bool started;
};

int64_t dial_period_ns(void)
{
	return TICK_NS_PER_S / DIAL_RATE_HZ;
}

/* With a reset: nothing lingers at either end, nor for two minutes in the firewalls' tables. */
static void dial_close(int fd)
{
	struct linger reset = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)close(fd);
}

static void dial_forget(struct dial_attempt *attempt)
{
	dial_close(attempt->fd);
	attempt->fd = -1;
}

static int dial_watch(const struct dial *dial, int fd, uint32_t events, uint32_t what)
{
	struct epoll_event event = {.events = events, .data.u32 = what};

	return epoll_ctl(dial->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void dial_attempt(struct dial *dial)
{
	size_t index = dial->sent_count;
	uint32_t place = 0;
	int fd;

	while (place < DIAL_PENDING_MAX && dial->pending[place].fd >= 0)
		place++;
	if (index == dial->capacity || place == DIAL_PENDING_MAX)
		return;
	/* This thread lives in the client's namespace. */
	fd = socket(dial->server.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	dial->samples[index].sent_at = tick_now();
	dial->sent_count = index + 1;
	/* Refused at once (no route) is lost, like silence. */
	if ((connect(fd, (const struct sockaddr *)&dial->server, dial->server_size) < 0 &&
		    errno != EINPROGRESS) ||
		dial_watch(dial, fd, EPOLLOUT, place) < 0) {
		dial_close(fd);
		return;
	}
	dial->pending[place] = (struct dial_attempt){.fd = fd, .index = index};
}

/* The kernel knows; our own clock would blame the firewalls for a pause of this process. */
static bool dial_by_first_syn(int fd)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
	       info.tcpi_total_retrans == 0;
}

/* Established, or refused. */
static void dial_answer(struct dial *dial, uint32_t place)
{
	struct dial_attempt *attempt = &dial->pending[place];
	socklen_t size = sizeof(int);
	int error = 0;

	if (attempt->fd < 0)
		return;
	if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error == 0 && dial_by_first_syn(attempt->fd))
		dial->samples[attempt->index].received_at = tick_now();
	else if (error == 0)
		dial->retried[attempt->index] = true;
	dial_forget(attempt);
}

static void dial_expire(struct dial *dial)
{
	int64_t oldest = tick_now() - DIAL_PATIENCE_MS * TICK_NS_PER_MS;

	for (uint32_t i = 0; i < DIAL_PENDING_MAX; i++)
		if (dial->pending[i].fd >= 0 &&
			dial->samples[dial->pending[i].index].sent_at < oldest)
			dial_forget(&dial->pending[i]);
}

/* The server's side: an ordinary close; the client's reset takes what is left. */
static void dial_accept(const struct dial *dial)
{
	int fd;

	while ((fd = accept4(dial->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		(void)close(fd);
}

/* Missed periods are not made up for by a burst. */
static void dial_tick(struct dial *dial, bool sending)
{
	uint64_t periods;

	if (read(dial->timer_fd, &periods, sizeof(periods)) != (ssize_t)sizeof(periods))
		return;
	dial_expire(dial);
	if (sending)
		dial_attempt(dial);
}

static void *dial_main(void *context)
{
	struct dial *dial = context;
	struct epoll_event events[DIAL_EVENTS_MAX];
	int64_t end_at = INT64_MAX;

	if (sandbox_netns_enter(dial->options.client_netns_fd) < 0)
		return NULL;
	while (tick_now() < end_at) {
		int n = epoll_wait(dial->epoll_fd, events, DIAL_EVENTS_MAX, DIAL_POLL_MS);

		if (dial->stop && end_at == INT64_MAX)
			end_at = tick_now() + DIAL_STRAGGLERS_NS;
		for (int i = 0; i < n; i++) {
			if (events[i].data.u32 == DIAL_TIMER)
				dial_tick(dial, !dial->stop);
			else if (events[i].data.u32 == DIAL_LISTENER)
				dial_accept(dial);
			else
				dial_answer(dial, events[i].data.u32);
		}
	}
	return NULL;
}

static int dial_open(struct dial *dial)
{
	int64_t period = dial_period_ns();
	struct itimerspec every = {
		.it_interval = {.tv_nsec = (long)period}, .it_value = {.tv_nsec = (long)period}};
	int r;

	dial->server_size = netsock_address(&dial->options.server, DIAL_PORT, &dial->server);
	dial->listen_fd = netsock_bound(dial->options.server_netns_fd, SOCK_STREAM | SOCK_NONBLOCK,
		&dial->options.server, DIAL_PORT);
	if (dial->listen_fd < 0)
		return dial->listen_fd;
	dial->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	dial->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (dial->epoll_fd < 0 || dial->timer_fd < 0 || listen(dial->listen_fd, DIAL_BACKLOG) < 0 ||
		timerfd_settime(dial->timer_fd, 0, &every, NULL) < 0)
		return -errno;
	r = dial_watch(dial, dial->listen_fd, EPOLLIN, DIAL_LISTENER);
	return r < 0 ? r : dial_watch(dial, dial->timer_fd, EPOLLIN, DIAL_TIMER);
}

int dial_start(struct dial **ret_dial, const struct dial_options *options)
{
	struct dial *dial = calloc(1, sizeof(*dial));
	int r;

	if (!dial)
		return -ENOMEM;
	dial->options = *options;
	dial->listen_fd = -1;
	dial->epoll_fd = -1;
	dial->timer_fd = -1;
	for (uint32_t i = 0; i < DIAL_PENDING_MAX; i++)
		dial->pending[i].fd = -1;
	dial->capacity = (size_t)DIAL_RATE_HZ * options->seconds_max;
	dial->samples = calloc(dial->capacity, sizeof(*dial->samples));
	dial->retried = calloc(dial->capacity, sizeof(*dial->retried));
	r = dial->samples && dial->retried ? dial_open(dial) : -ENOMEM;
	if (r == 0)
		r = thread_start(&dial->thread, options->realtime_priority, dial_main, dial);
	dial->started = r == 0;
	if (r < 0) {
		dial_free(dial);
		return r;
	}
	*ret_dial = dial;
	return 0;
}

void dial_stop(struct dial *dial)
{
	dial->stop = true;
	if (dial->started)
		(void)pthread_join(dial->thread, NULL);
	dial->started = false;
}

const struct outage_sample *dial_samples(const struct dial *dial, size_t *ret_count)
{
	*ret_count = dial->sent_count;
	return dial->samples;
}

uint32_t dial_retried(const struct dial *dial, size_t from)
{
	uint32_t count = 0;

	for (size_t i = from; i < dial->sent_count; i++)
		count += dial->retried[i];
	return count;
}

void dial_free(struct dial *dial)
{
	if (!dial)
		return;
	dial_stop(dial);
	for (uint32_t i = 0; i < DIAL_PENDING_MAX; i++)
		if (dial->pending[i].fd >= 0)
			dial_forget(&dial->pending[i]);
	if (dial->listen_fd >= 0)
		(void)close(dial->listen_fd);
	if (dial->timer_fd >= 0)
		(void)close(dial->timer_fd);
	if (dial->epoll_fd >= 0)
		(void)close(dial->epoll_fd);
	free(dial->samples);
	free(dial->retried);
	free(dial);
}
