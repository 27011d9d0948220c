#include "ctl/drill/udp.h"

#include "ctl/drill/netsock.h"
#include "ctl/drill/thread.h"
#include "ctl/drill/tick.h"

#include <errno.h>
#include <netinet/ip.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UDP_STRAGGLERS_NS (300 * TICK_NS_PER_MS)
#define UDP_POLL_MS	  100 /* how often a waiting thread looks whether it shall end */
#define UDP_PRIORITY	  6   /* TC_PRIO_INTERACTIVE */
#define UDP_MAGIC	  UINT64_C(0x6361727064726c31)

/* The probe, in host order: both ends are this process. */
struct udp_probe {
	uint64_t magic;
	uint64_t index;
	int64_t server_at;
};

struct udp {
	struct udp_options options;
	int client_fd;
	int server_fd;
	int64_t period_ns;
	struct outage_sample *samples;
	int64_t *server_at;
	size_t capacity;
	_Atomic size_t sent_count;
	_Atomic uint64_t answered;
	_Atomic int64_t last_answer_at;
	_Atomic uint64_t duplicates;
	_Atomic bool stop_sending;
	_Atomic bool stop_all;
	pthread_t sender;
	pthread_t receiver;
	pthread_t echo;
	unsigned int thread_count;
};

static void *udp_sender(void *context)
{
	struct udp *udp = context;
	uint8_t payload[UDP_PAYLOAD_BYTES] = {0};
	int64_t next = tick_now() + udp->period_ns;

	for (size_t i = 0; i < udp->capacity && !udp->stop_sending; i++) {
		struct udp_probe probe = {.magic = UDP_MAGIC, .index = i};
		int64_t now;

		(void)memcpy(payload, &probe, sizeof(probe));
		tick_sleep_until(next);
		now = tick_now();
		udp->samples[i].sent_at = now;
		udp->sent_count = i + 1;
		/* An error (no route, an ICMP error of an earlier probe) is a lost probe. */
		(void)!send(udp->client_fd, payload, sizeof(payload), MSG_DONTWAIT);
		next += udp->period_ns;
		if (next < now)
			next = now + udp->period_ns;
	}
	return NULL;
}

/* recvmsg(2) with the kernel's time stamp. Bytes, or a negative errno. */
static ssize_t udp_receive(const struct udp *udp, int fd, void *payload, size_t size_bytes,
	struct sockaddr_storage *from, socklen_t *from_size, int64_t *ret_at)
{
	union {
		char bytes[256];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = payload, .iov_len = size_bytes};
	struct msghdr message = {.msg_name = from,
		.msg_namelen = sizeof(*from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &message, 0);

	*ret_at = tick_now();
	if (n < 0)
		return -errno;
	*from_size = message.msg_namelen;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		struct timespec stamp;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		(void)memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
		*ret_at = tick_from_wall(&stamp, udp->options.wall_offset);
	}
	return n;
}

static bool udp_decode(const uint8_t *payload, ssize_t size_bytes, struct udp_probe *ret_probe)
{
	if (size_bytes != (ssize_t)UDP_PAYLOAD_BYTES)
		return false;
	(void)memcpy(ret_probe, payload, sizeof(*ret_probe));
	return ret_probe->magic == UDP_MAGIC;
}

static void *udp_echo(void *context)
{
	struct udp *udp = context;
	uint8_t payload[UDP_PAYLOAD_BYTES];

	while (!udp->stop_all) {
		struct sockaddr_storage from;
		struct udp_probe probe;
		socklen_t from_size = 0;
		int64_t at;
		ssize_t n = udp_receive(
			udp, udp->server_fd, payload, sizeof(payload), &from, &from_size, &at);

		if (!udp_decode(payload, n, &probe) || probe.index >= udp->capacity)
			continue;
		probe.server_at = at;
		udp->server_at[probe.index] = at;
		(void)memcpy(payload, &probe, sizeof(probe));
		(void)!sendto(udp->server_fd, payload, sizeof(payload), MSG_DONTWAIT,
			(const struct sockaddr *)&from, from_size);
	}
	return NULL;
}

static void *udp_receiver(void *context)
{
	struct udp *udp = context;
	uint8_t payload[UDP_PAYLOAD_BYTES];

	while (!udp->stop_all) {
		struct sockaddr_storage from;
		struct udp_probe probe;
		socklen_t from_size;
		int64_t at;
		ssize_t n = udp_receive(
			udp, udp->client_fd, payload, sizeof(payload), &from, &from_size, &at);

		if (!udp_decode(payload, n, &probe) || probe.index >= udp->capacity)
			continue;
		if (udp->samples[probe.index].received_at != 0) {
			udp->duplicates++;
			continue;
		}
		udp->samples[probe.index].received_at = at;
		udp->answered++;
		udp->last_answer_at = at;
	}
	return NULL;
}

static int udp_socket_options(int fd)
{
	struct timeval wait = {.tv_usec = UDP_POLL_MS * 1000};
	int one = 1;
	int bytes = 4 * 1024 * 1024;
	int tos = IPTOS_LOWDELAY;
	int priority = UDP_PRIORITY;

	/* Ahead of the bulk transfers in the hosts' queues: a probe measures the firewalls. */
	(void)setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority));
	(void)setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)); /* and in theirs (IPv4) */

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		return -errno;
	return 0;
}

static int udp_open_sockets(struct udp *udp)
{
	const struct udp_options *options = &udp->options;
	struct sockaddr_storage server;
	socklen_t size = netsock_address(&options->server, UDP_PORT, &server);
	int r;

	udp->server_fd =
		netsock_bound(options->server_netns_fd, SOCK_DGRAM, &options->server, UDP_PORT);
	if (udp->server_fd < 0)
		return udp->server_fd;
	udp->client_fd =
		netsock_bound(options->client_netns_fd, SOCK_DGRAM, &options->client, UDP_PORT);
	if (udp->client_fd < 0)
		return udp->client_fd;
	if (connect(udp->client_fd, (const struct sockaddr *)&server, size) < 0)
		return -errno;
	r = udp_socket_options(udp->server_fd);
	return r < 0 ? r : udp_socket_options(udp->client_fd);
}

static int udp_start_threads(struct udp *udp)
{
	const struct {
		pthread_t *thread;
		void *(*run)(void *context);
	} threads[] = {
		{&udp->echo, udp_echo}, {&udp->receiver, udp_receiver}, {&udp->sender, udp_sender}};

	for (unsigned int i = 0; i < 3; i++) {
		int r = thread_start(
			threads[i].thread, udp->options.realtime_priority, threads[i].run, udp);

		if (r < 0)
			return r;
		udp->thread_count++;
	}
	return 0;
}

int udp_start(struct udp **ret_udp, const struct udp_options *options)
{
	struct udp *udp = calloc(1, sizeof(*udp));
	int r;

	if (!udp)
		return -ENOMEM;
	udp->options = *options;
	udp->client_fd = -1;
	udp->server_fd = -1;
	udp->period_ns = TICK_NS_PER_S / options->rate_hz;
	udp->capacity = (size_t)options->rate_hz * options->seconds_max;
	if (udp->capacity > UDP_SAMPLES_MAX)
		udp->capacity = UDP_SAMPLES_MAX;
	udp->samples = calloc(udp->capacity, sizeof(*udp->samples));
	udp->server_at = calloc(udp->capacity, sizeof(*udp->server_at));
	r = udp->samples && udp->server_at ? udp_open_sockets(udp) : -ENOMEM;
	if (r == 0)
		r = udp_start_threads(udp);
	if (r < 0) {
		udp_free(udp);
		return r;
	}
	*ret_udp = udp;
	return 0;
}

uint64_t udp_answered(const struct udp *udp)
{
	return udp->answered;
}

int64_t udp_last_answer_at(const struct udp *udp)
{
	return udp->last_answer_at;
}

void udp_stop(struct udp *udp)
{
	if (udp->stop_all)
		return;
	udp->stop_sending = true;
	if (udp->thread_count > 2)
		(void)pthread_join(udp->sender, NULL);
	tick_sleep_until(tick_now() + UDP_STRAGGLERS_NS);
	udp->stop_all = true;
	if (udp->thread_count > 1)
		(void)pthread_join(udp->receiver, NULL);
	if (udp->thread_count > 0)
		(void)pthread_join(udp->echo, NULL);
}

const struct outage_sample *udp_samples(const struct udp *udp, size_t *ret_count)
{
	*ret_count = udp->sent_count;
	return udp->samples;
}

const int64_t *udp_server_arrivals(const struct udp *udp)
{
	return udp->server_at;
}

int64_t udp_period_ns(const struct udp *udp)
{
	return udp->period_ns;
}

uint64_t udp_duplicate_count(const struct udp *udp)
{
	return udp->duplicates;
}

void udp_free(struct udp *udp)
{
	if (!udp)
		return;
	udp_stop(udp);
	if (udp->client_fd >= 0)
		(void)close(udp->client_fd);
	if (udp->server_fd >= 0)
		(void)close(udp->server_fd);
	free(udp->samples);
	free(udp->server_at);
	free(udp);
}
