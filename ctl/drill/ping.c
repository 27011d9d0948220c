#include "ctl/drill/ping.h"

#include "ctl/drill/netsock.h"
#include "ctl/drill/thread.h"
#include "ctl/drill/tick.h"

#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PING_STRAGGLERS_NS (300 * TICK_NS_PER_MS)
#define PING_MAGIC	   UINT64_C(0x6361727064726c32)
#define PING_PACKET_BYTES  256u

/* Type, code, checksum, identifier, sequence number: the same eight bytes in both families. */
struct ping_packet {
	uint8_t type;
	uint8_t code;
	uint16_t checksum;
	uint16_t id;
	uint16_t sequence;
	uint64_t magic;
	uint64_t index;
};

struct ping_line {
	int fd;
	uint16_t id;
	struct outage_sample *samples;
};

struct ping {
	struct ping_options options;
	struct ping_line lines[PING_TARGETS_MAX];
	size_t capacity;
	_Atomic size_t sent_count;
	_Atomic bool stop;
	pthread_t thread;
	bool started;
};

int64_t ping_period_ns(void)
{
	return TICK_NS_PER_S / PING_RATE_HZ;
}

/* RFC 1071, over an even number of bytes. For ICMPv6 the kernel does it (RFC 3542, 3.1). */
static uint16_t ping_checksum(const struct ping_packet *packet)
{
	uint16_t words[sizeof(*packet) / 2];
	uint32_t sum = 0;

	(void)memcpy(words, packet, sizeof(*packet));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		sum += words[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void ping_send(struct ping *ping, unsigned int target, size_t index)
{
	struct ping_line *line = &ping->lines[target];
	bool v4 = ping->options.targets[target].address.family == IPADDR_V4;
	struct ping_packet packet = {.type = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST,
		.id = line->id,
		.sequence = (uint16_t)index,
		.magic = PING_MAGIC,
		.index = index};

	if (v4)
		packet.checksum = ping_checksum(&packet);
	line->samples[index].sent_at = tick_now();
	/* An error (no neighbour answers: EHOSTUNREACH) is a lost probe. */
	(void)!send(line->fd, &packet, sizeof(packet), MSG_DONTWAIT);
}

static int64_t ping_stamp(const struct ping *ping, struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct timespec stamp;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		(void)memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
		return tick_from_wall(&stamp, ping->options.wall_offset);
	}
	return tick_now();
}

/* One waiting packet. False when there is none. */
static bool ping_receive(struct ping *ping, unsigned int target)
{
	struct ping_line *line = &ping->lines[target];
	bool v4 = ping->options.targets[target].address.family == IPADDR_V4;
	union {
		char bytes[128];
		struct cmsghdr align;
	} control;
	uint8_t bytes[PING_PACKET_BYTES];
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct ping_packet packet;
	ssize_t n = recvmsg(line->fd, &message, MSG_DONTWAIT);
	size_t header = 0;

	if (n < 0)
		return errno != EAGAIN; /* an ICMP error waits: it is taken off by this */
	/* ip(7): a raw socket of IPv4 gets the header too, one of IPv6 does not. */
	if (v4 && n > 0)
		header = (size_t)(bytes[0] & 0xf) * 4;
	if ((size_t)n < header + sizeof(packet))
		return true;
	(void)memcpy(&packet, bytes + header, sizeof(packet));
	if (packet.type == (v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) && packet.id == line->id &&
		packet.magic == PING_MAGIC && packet.index < ping->sent_count &&
		line->samples[packet.index].received_at == 0)
		line->samples[packet.index].received_at = ping_stamp(ping, &message);
	return true;
}

static void ping_drain(struct ping *ping)
{
	for (unsigned int t = 0; t < ping->options.target_count; t++)
		while (ping_receive(ping, t))
			;
}

static void *ping_main(void *context)
{
	struct ping *ping = context;
	int64_t next = tick_now() + ping_period_ns();

	for (size_t i = 0; i < ping->capacity && !ping->stop; i++) {
		tick_sleep_until(next);
		ping_drain(ping);
		for (unsigned int t = 0; t < ping->options.target_count; t++)
			ping_send(ping, t, i);
		ping->sent_count = i + 1;
		next += ping_period_ns();
		if (next < tick_now())
			next = tick_now() + ping_period_ns();
	}
	while (!ping->stop)
		tick_sleep_until(tick_now() + PING_STRAGGLERS_NS);
	tick_sleep_until(tick_now() + PING_STRAGGLERS_NS);
	ping_drain(ping);
	return NULL;
}

static int ping_filter(int fd, bool v4)
{
	struct icmp6_filter v6_filter;
	struct icmp_filter v4_filter = {.data = ~(1U << ICMP_ECHOREPLY)};

	ICMP6_FILTER_SETBLOCKALL(&v6_filter);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &v6_filter);
	if (v4)
		return setsockopt(fd, SOL_RAW, ICMP_FILTER, &v4_filter, sizeof(v4_filter));
	return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &v6_filter, sizeof(v6_filter));
}

static int ping_open(struct ping *ping, unsigned int target)
{
	const struct ping_target *to = &ping->options.targets[target];
	struct ping_line *line = &ping->lines[target];
	bool v4 = to->address.family == IPADDR_V4;
	struct sockaddr_storage address;
	socklen_t size = netsock_address(&to->address, 0, &address);
	int one = 1;

	line->id = (uint16_t)(0x4300 + target);
	line->samples = calloc(ping->capacity, sizeof(*line->samples));
	if (!line->samples)
		return -ENOMEM;
	line->fd = netsock_open(
		to->netns_fd, address.ss_family, SOCK_RAW, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	if (line->fd < 0)
		return line->fd;
	if (ping_filter(line->fd, v4) < 0 ||
		setsockopt(line->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) < 0 ||
		connect(line->fd, (const struct sockaddr *)&address, size) < 0)
		return -errno;
	return 0;
}

int ping_start(struct ping **ret_ping, const struct ping_options *options)
{
	struct ping *ping = calloc(1, sizeof(*ping));
	int r = 0;

	if (!ping)
		return -ENOMEM;
	ping->options = *options;
	ping->capacity = (size_t)PING_RATE_HZ * options->seconds_max;
	for (unsigned int t = 0; t < PING_TARGETS_MAX; t++)
		ping->lines[t].fd = -1;
	for (unsigned int t = 0; r == 0 && t < options->target_count; t++)
		r = ping_open(ping, t);
	if (r == 0)
		r = thread_start(&ping->thread, options->realtime_priority, ping_main, ping);
	ping->started = r == 0;
	if (r < 0) {
		ping_free(ping);
		return r;
	}
	*ret_ping = ping;
	return 0;
}

void ping_stop(struct ping *ping)
{
	ping->stop = true;
	if (ping->started)
		(void)pthread_join(ping->thread, NULL);
	ping->started = false;
}

const struct outage_sample *ping_samples(
	const struct ping *ping, unsigned int target, size_t *ret_count)
{
	*ret_count = ping->sent_count;
	return ping->lines[target].samples;
}

void ping_free(struct ping *ping)
{
	if (!ping)
		return;
	ping_stop(ping);
	for (unsigned int t = 0; t < PING_TARGETS_MAX; t++) {
		if (ping->lines[t].fd >= 0)
			(void)close(ping->lines[t].fd);
		free(ping->lines[t].samples);
	}
	free(ping);
}
