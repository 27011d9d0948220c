#include "ctl/drill/reflect.h"

#include "ctl/drill/peerhost.h"
#include "ctl/drill/tick.h"

#include "ctl/endpoint.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REFLECT_BUFFER_BYTES 4096
#define REFLECT_POLL_MS	     1000
#define REFLECT_BACKLOG	     64
#define REFLECT_BURST	     64 /* datagrams in one turn */

struct reflect_connection {
	int fd;
	int64_t heard_at;
	size_t used; /* bytes that wait to go back */
	uint8_t buffer[REFLECT_BUFFER_BYTES];
};

struct reflect {
	int udp_fd;
	int tcp_fd;
	unsigned int count;
	struct reflect_connection connections[REFLECT_CONNECTIONS_MAX];
};

static int reflect_socket(const struct sockaddr_storage *address, socklen_t size, int type)
{
	int fd = socket(address->ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int off = 0, on = 1, r;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (const struct sockaddr *)address, size) < 0 ||
		(type == SOCK_STREAM && listen(fd, REFLECT_BACKLOG) < 0)) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	return fd;
}

static int reflect_open(struct reflect *reflect, const char *where)
{
	struct sockaddr_storage address = {.ss_family = AF_INET6};
	socklen_t size = sizeof(struct sockaddr_in6);
	int r = 0;

	((struct sockaddr_in6 *)&address)->sin6_port = htons(REFLECT_PORT);
	if (where)
		r = endpoint_parse(where, REFLECT_PORT, &address, &size);
	if (r < 0)
		return r;
	reflect->udp_fd = reflect_socket(&address, size, SOCK_DGRAM);
	if (reflect->udp_fd == -EAFNOSUPPORT && !where) {
		/* A host without IPv6. */
		address = (struct sockaddr_storage){.ss_family = AF_INET};
		((struct sockaddr_in *)&address)->sin_port = htons(REFLECT_PORT);
		size = sizeof(struct sockaddr_in);
		reflect->udp_fd = reflect_socket(&address, size, SOCK_DGRAM);
	}
	if (reflect->udp_fd < 0)
		return reflect->udp_fd;
	reflect->tcp_fd = reflect_socket(&address, size, SOCK_STREAM);
	return reflect->tcp_fd < 0 ? reflect->tcp_fd : 0;
}

static void reflect_datagrams(const struct reflect *reflect)
{
	for (unsigned int i = 0; i < REFLECT_BURST; i++) {
		uint8_t bytes[REFLECT_BYTES + 1];
		struct sockaddr_storage from;
		socklen_t size = sizeof(from);
		uint64_t magic;
		ssize_t n = recvfrom(
			reflect->udp_fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &size);

		if (n < 0)
			return;
		(void)memcpy(&magic, bytes, sizeof(magic));
		if (n == (ssize_t)REFLECT_BYTES && be64toh(magic) == REFLECT_MAGIC)
			(void)sendto(reflect->udp_fd, bytes, REFLECT_BYTES, MSG_DONTWAIT,
				(const struct sockaddr *)&from, size);
	}
}

/* One that is too much is closed: its owner sees it. */
static void reflect_accept(struct reflect *reflect)
{
	int fd = accept4(reflect->tcp_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (reflect->count == REFLECT_CONNECTIONS_MAX) {
		(void)close(fd);
		return;
	}
	reflect->connections[reflect->count].fd = fd;
	reflect->connections[reflect->count].used = 0;
	reflect->connections[reflect->count].heard_at = tick_now();
	reflect->count++;
}

/* False: it is over. */
static bool reflect_echo(struct reflect_connection *connection, short events)
{
	ssize_t n;

	if (events & (POLLIN | POLLHUP | POLLERR) && connection->used < REFLECT_BUFFER_BYTES) {
		n = recv(connection->fd, connection->buffer + connection->used,
			REFLECT_BUFFER_BYTES - connection->used, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		connection->used += n > 0 ? (size_t)n : 0;
		connection->heard_at = tick_now();
	}
	n = connection->used > 0
		    ? send(connection->fd, connection->buffer, connection->used, MSG_NOSIGNAL)
		    : 0;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n > 0) {
		connection->used -= (size_t)n;
		(void)memmove(connection->buffer, connection->buffer + n, connection->used);
	}
	return tick_now() - connection->heard_at < REFLECT_IDLE_S * TICK_NS_PER_S;
}

static void reflect_connections(struct reflect *reflect, const struct pollfd *polls)
{
	for (unsigned int i = reflect->count; i > 0; i--) {
		struct reflect_connection *connection = &reflect->connections[i - 1];

		if (reflect_echo(connection, polls[i - 1].revents))
			continue;
		(void)close(connection->fd);
		*connection = reflect->connections[--reflect->count];
	}
}

static void reflect_turn(struct reflect *reflect)
{
	struct pollfd polls[REFLECT_CONNECTIONS_MAX + 2];
	unsigned int count = reflect->count;

	for (unsigned int i = 0; i < count; i++) {
		const struct reflect_connection *connection = &reflect->connections[i];

		polls[i].fd = connection->fd;
		polls[i].revents = 0;
		polls[i].events = (short)((connection->used < REFLECT_BUFFER_BYTES ? POLLIN : 0) |
					  (connection->used > 0 ? POLLOUT : 0));
	}
	polls[count] = (struct pollfd){.fd = reflect->udp_fd, .events = POLLIN};
	polls[count + 1] = (struct pollfd){.fd = reflect->tcp_fd, .events = POLLIN};
	if (poll(polls, count + 2, REFLECT_POLL_MS) < 0)
		return;
	if (polls[count].revents)
		reflect_datagrams(reflect);
	reflect_connections(reflect, polls);
	if (polls[count + 1].revents)
		reflect_accept(reflect);
}

int reflect_run(const char *where)
{
	struct reflect *reflect = calloc(1, sizeof(*reflect));
	int r;

	if (!reflect)
		return -ENOMEM;
	reflect->udp_fd = -1;
	reflect->tcp_fd = -1;
	peerhost_catch_signals();
	r = reflect_open(reflect, where);
	if (r < 0)
		(void)fprintf(stderr, "carpool: cannot listen on %s: %s\n",
			where ? where : "port 4243", strerror(-r));
	else
		(void)fprintf(stderr, "reflecting probes; Ctrl-C ends it\n");
	while (r == 0 && !peerhost_stopped())
		reflect_turn(reflect);
	for (unsigned int i = 0; i < reflect->count; i++)
		(void)close(reflect->connections[i].fd);
	if (reflect->udp_fd >= 0)
		(void)close(reflect->udp_fd);
	if (reflect->tcp_fd >= 0)
		(void)close(reflect->tcp_fd);
	free(reflect);
	return r;
}
