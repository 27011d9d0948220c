#include "ctl/drill/prober.h"

#include "ctl/drill/chatter.h"
#include "ctl/drill/outage.h"
#include "ctl/drill/peerhost.h"
#include "ctl/drill/reflect.h"
#include "ctl/drill/thread.h"
#include "ctl/drill/tick.h"

#include "ctl/endpoint.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROBER_PROGRESS_MS 100
#define PROBER_STRAGGLERS_MS                                                                       \
	300 /* younger probes may still come back: they are the next part's                        \
	     */
#define PROBER_SAMPLES_FIRST 65536u
#define PROBER_BURST	     64
#define PROBER_ORDER_MAX     64
#define PROBER_BUFFER_BYTES  (1024 * 1024)

struct prober {
	const struct prober_options *options;
	struct sockaddr_storage to;
	socklen_t to_size;
	int fd;
	uint64_t session;
	int64_t period_ns;
	int64_t wall_offset;
	int64_t started_at;
	int64_t next_at;
	int64_t progress_at;
	int64_t answered_at; /* the newest answer's arrival */
	uint64_t base;	     /* index of samples[0] */
	size_t count;
	size_t capacity;
	struct outage_sample *samples;
	uint64_t sent, answered, duplicates;
	char order[PROBER_ORDER_MAX];
	size_t order_used;
	bool is_over;
	bool was_lost; /* in any part */
	struct chatter chatter;
};

static bool prober_room(struct prober *prober)
{
	size_t capacity = prober->capacity ? prober->capacity * 2 : PROBER_SAMPLES_FIRST;
	struct outage_sample *samples;

	if (prober->count < prober->capacity)
		return true;
	if (prober->count >= PROBER_SAMPLES_MAX)
		return false;
	samples = reallocarray(prober->samples, capacity, sizeof(*samples));
	if (!samples)
		return false;
	prober->samples = samples;
	prober->capacity = capacity;
	return true;
}

static void prober_send(struct prober *prober)
{
	struct reflect_probe probe = {.magic = htobe64(REFLECT_MAGIC),
		.session = htobe64(prober->session),
		.index = htobe64(prober->base + prober->count)};
	uint8_t bytes[REFLECT_BYTES] = {0};
	int64_t now = tick_now();

	if (now < prober->next_at)
		return;
	prober->next_at += prober->period_ns;
	if (prober->next_at < now) /* no burst to catch up */
		prober->next_at = now + prober->period_ns;
	if (!prober_room(prober)) {
		prober->is_over = true;
		return;
	}
	(void)memcpy(bytes, &probe, sizeof(probe));
	prober->samples[prober->count++] = (struct outage_sample){.sent_at = now};
	prober->sent++;
	/* An error (no route, an ICMP error of an earlier probe) is a lost probe. */
	(void)!send(prober->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
}

/* The kernel's time of arrival: this thread may have been busy with others. */
static int64_t prober_arrival(struct prober *prober, struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct timespec stamp;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		(void)memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
		return tick_from_wall(&stamp, prober->wall_offset);
	}
	return tick_now();
}

static bool prober_receive_one(struct prober *prober)
{
	union {
		char bytes[256];
		struct cmsghdr align;
	} control;
	uint8_t bytes[REFLECT_BYTES + 1];
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct reflect_probe probe;
	ssize_t n = recvmsg(prober->fd, &message, MSG_DONTWAIT);
	uint64_t index;

	if (n < 0)
		return errno != EAGAIN && errno != EINTR; /* an ICMP error is read and gone */
	(void)memcpy(&probe, bytes, sizeof(probe));
	index = be64toh(probe.index);
	if (n != (ssize_t)REFLECT_BYTES || be64toh(probe.magic) != REFLECT_MAGIC ||
		be64toh(probe.session) != prober->session || index < prober->base ||
		index - prober->base >= prober->count)
		return true;
	if (prober->samples[index - prober->base].received_at != 0) {
		prober->duplicates++;
		return true;
	}
	prober->answered_at = prober_arrival(prober, &message);
	prober->samples[index - prober->base].received_at = prober->answered_at;
	prober->answered++;
	return true;
}

static void prober_receive(struct prober *prober)
{
	for (unsigned int i = 0; i < PROBER_BURST && prober_receive_one(prober); i++)
		;
}

/* --- what is said ------------------------------------------------------------------------------
 */

static void prober_say(const json_t *line)
{
	(void)json_dumpf(line, stdout, JSON_COMPACT);
	(void)fputc('\n', stdout);
	(void)fflush(stdout);
}

static void prober_progress(struct prober *prober, int64_t now)
{
	const struct prober_options *options = prober->options;
	unsigned int alive = chatter_alive(&prober->chatter, now);
	double silent_ms = tick_ms(now - prober->answered_at);
	json_t *line;

	if (now < prober->progress_at)
		return;
	prober->progress_at = now + (options->json ? PROBER_PROGRESS_MS : 1000) * TICK_NS_PER_MS;
	if (!options->json) {
		(void)fprintf(stderr,
			"%7.1f s  %llu sent, %llu answered, the newest answer %.0f ms old, TCP %u "
			"of %u\n",
			tick_ms(now - prober->started_at) / 1000, (unsigned long long)prober->sent,
			(unsigned long long)prober->answered, silent_ms, alive,
			options->connection_count);
		return;
	}
	line = json_pack("{s:s, s:I, s:I, s:f, s:{s:i, s:i}}", "event", "progress", "sent",
		(json_int_t)prober->sent, "answered", (json_int_t)prober->answered, "silent_ms",
		silent_ms, "tcp", "total", (int)options->connection_count, "alive", (int)alive);
	prober_say(line);
	json_decref(line);
}

static void prober_print(const json_t *result)
{
	const json_t *probes = json_object_get(result, "probes");
	const json_t *tcp = json_object_get(result, "tcp");
	const json_t *connects = json_object_get(result, "connects");

	printf("outage           %.1f ms (+-%.1f)\n"
	       "probes           %lld sent, %lld lost (our own worst delay %.1f ms)\n"
	       "TCP              %lld of %lld survived, longest pause %.0f ms\n"
	       "new connections  %lld, %lld failed, %lld by a later SYN\n",
		json_number_value(json_object_get(result, "outage_ms")),
		json_number_value(json_object_get(result, "resolution_ms")),
		(long long)json_integer_value(json_object_get(probes, "sent")),
		(long long)json_integer_value(json_object_get(probes, "lost")),
		json_number_value(json_object_get(probes, "worst_late_ms")),
		(long long)json_integer_value(json_object_get(tcp, "survived")),
		(long long)json_integer_value(json_object_get(tcp, "total")),
		json_number_value(json_object_get(tcp, "longest_pause_ms")),
		(long long)json_integer_value(json_object_get(connects, "sent")),
		(long long)json_integer_value(json_object_get(connects, "lost")),
		(long long)json_integer_value(json_object_get(connects, "retried")));
}

/* A part ends: its probes are judged and forgotten. */
static void prober_part(struct prober *prober)
{
	int64_t until = tick_now() - PROBER_STRAGGLERS_MS * TICK_NS_PER_MS;
	struct outage outage;
	size_t count = prober->count;
	json_t *result;

	while (count > 0 && prober->samples[count - 1].sent_at > until)
		count--;
	outage_measure(prober->samples, count, prober->period_ns, &outage);
	result = json_pack("{s:s, s:f, s:f, s:{s:f, s:f, s:f}, s:{s:I, s:I, s:I, s:I, s:f}, s:b}",
		"event", "result", "outage_ms", tick_ms(outage.stamp_ns), "resolution_ms",
		tick_ms(outage.resolution_ns), "methods", "timestamp_ms", tick_ms(outage.stamp_ns),
		"loss_ms", tick_ms(outage.loss_ns), "time_ms", tick_ms(outage.arrival_ns), "probes",
		"sent", (json_int_t)outage.sent_count, "lost", (json_int_t)outage.lost_count,
		"duplicated", (json_int_t)prober->duplicates, "late", (json_int_t)outage.late_count,
		"worst_late_ms", tick_ms(outage.worst_late_ns), "recovered", outage.recovered);
	chatter_result(&prober->chatter, result);
	prober->was_lost |= outage.lost_count > 0 ||
			    chatter_alive(&prober->chatter, tick_now()) < prober->chatter.count;
	if (prober->options->json)
		prober_say(result);
	else
		prober_print(result);
	json_decref(result);
	prober->base += count;
	prober->count -= count;
	prober->duplicates = 0;
	(void)memmove(
		prober->samples, prober->samples + count, prober->count * sizeof(*prober->samples));
}

static void prober_orders(struct prober *prober)
{
	ssize_t n = read(STDIN_FILENO, prober->order + prober->order_used,
		sizeof(prober->order) - prober->order_used);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		prober->is_over = true;
		return;
	}
	prober->order_used += (size_t)n;
	while ((end = memchr(prober->order, '\n', prober->order_used))) {
		if ((size_t)(end - prober->order) == 4 && memcmp(prober->order, "mark", 4) == 0)
			prober_part(prober);
		prober->order_used -= (size_t)(end + 1 - prober->order);
		(void)memmove(prober->order, end + 1, prober->order_used);
	}
	if (prober->order_used == sizeof(prober->order)) /* no order is so long */
		prober->is_over = true;
}

/* --- its life ----------------------------------------------------------------------------------
 */

static int prober_open(struct prober *prober)
{
	int r = endpoint_parse(prober->options->to, REFLECT_PORT, &prober->to, &prober->to_size);
	int one = 1, bytes = PROBER_BUFFER_BYTES;

	if (r < 0)
		return r;
	prober->fd = socket(prober->to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (prober->fd < 0)
		return -errno;
	(void)setsockopt(prober->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	(void)setsockopt(prober->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
	if (connect(prober->fd, (const struct sockaddr *)&prober->to, prober->to_size) < 0)
		return -errno;
	prober->period_ns = TICK_NS_PER_S / prober->options->rate_hz;
	prober->wall_offset = tick_wall_offset();
	prober->started_at = tick_now();
	prober->session = (uint64_t)prober->started_at ^ (uint64_t)getpid() << 40;
	prober->answered_at = prober->started_at;
	prober->next_at = prober->started_at + prober->period_ns;
	chatter_open(
		&prober->chatter, &prober->to, prober->to_size, prober->options->connection_count);
	return 0;
}

static void prober_turn(struct prober *prober)
{
	struct pollfd polls[CHATTER_POLLS_MAX + 2];
	unsigned int count = chatter_polls(&prober->chatter, polls), all = count;
	int64_t wait = prober->next_at - tick_now();
	struct timespec timeout = {0};

	if (wait > 0)
		timeout = (struct timespec){wait / TICK_NS_PER_S, wait % TICK_NS_PER_S};
	polls[all++] = (struct pollfd){.fd = prober->fd, .events = POLLIN};
	if (prober->options->orders)
		polls[all++] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	if (ppoll(polls, all, &timeout, NULL) < 0)
		return;
	prober_send(prober);
	if (polls[count].revents)
		prober_receive(prober);
	chatter_turn(&prober->chatter, polls, count);
	if (prober->options->orders && polls[count + 1].revents)
		prober_orders(prober);
	prober_progress(prober, tick_now());
	if (prober->options->for_ms > 0 &&
		tick_now() - prober->started_at >= prober->options->for_ms * TICK_NS_PER_MS)
		prober->is_over = true;
}

int prober_run(const struct prober_options *options)
{
	struct prober *prober = calloc(1, sizeof(*prober));
	int r;

	if (!prober)
		return -ENOMEM;
	prober->options = options;
	prober->fd = -1;
	peerhost_catch_signals();
	r = prober_open(prober);
	if (r < 0)
		(void)fprintf(stderr, "carpool: no probes to %s: %s\n", options->to,
			r == -EINVAL ? "that is no address (and port)" : strerror(-r));
	while (r == 0 && !prober->is_over && !peerhost_stopped())
		prober_turn(prober);
	if (r == 0) {
		int64_t until = tick_now() + PROBER_STRAGGLERS_MS * TICK_NS_PER_MS;

		prober->next_at = INT64_MAX; /* the last ones may come back */
		while (tick_now() < until) {
			tick_sleep_until(tick_now() + TICK_NS_PER_MS);
			prober_receive(prober);
		}
		prober_part(prober);
		r = prober->was_lost;
		chatter_close(&prober->chatter);
	}
	if (prober->fd >= 0)
		(void)close(prober->fd);
	free(prober->samples);
	free(prober);
	return r;
}
