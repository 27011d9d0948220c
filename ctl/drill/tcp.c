#include "ctl/drill/tcp.h"

#include "ctl/drill/netsock.h"
#include "ctl/drill/thread.h"
#include "ctl/drill/tick.h"

#include "common/check.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TCP_CONNECT_DEADLINE_NS (5 * TICK_NS_PER_S)
#define TCP_EVENTS_MAX		32
#define TCP_ROUNDS_MAX		4 /* chunks a connection a turn: nobody starves */

static const char *const tcp_kind_names[] = {
	[TCP_KIND_CHATTER] = "chatter",
	[TCP_KIND_IDLE] = "idle",
	[TCP_KIND_DOWNLOAD] = "download",
	[TCP_KIND_UPLOAD] = "upload",
	[TCP_KIND_BOTH] = "both",
};
static_assert(ARRAY_LEN(tcp_kind_names) == TCP_KIND_COUNT, "a name for every kind");

const char *tcp_kind_name(enum tcp_kind kind)
{
	return tcp_kind_names[kind];
}

/* One end of one connection. Its thread alone writes it; the counters are read by others. */
struct tcp_end {
	struct tcp_conn *conn;
	int fd;
	bool is_client;
	bool writes; /* as fast as it goes */
	bool reads_bulk;
	_Atomic int error; /* errno, or ENODATA for an end of file; 0 alive */
	_Atomic uint64_t received_bytes;
	_Atomic int64_t last_arrival_at;
	_Atomic int64_t longest_pause_ns;
	uint64_t asked_bytes; /* client of a chatter or idle connection */
	int64_t ask_at;
};

struct tcp_conn {
	enum tcp_kind kind;
	struct tcp_end client;
	struct tcp_end server;
};

/* A thread and its connections' ends. */
struct tcp_side {
	struct tcp *tcp;
	int epoll_fd;
	bool is_client;
	pthread_t thread;
	bool started;
	uint8_t chunk[TCP_CHUNK_BYTES];
};

struct tcp {
	struct tcp_options options;
	unsigned int conn_count;
	struct tcp_conn conns[TCP_CONNS_MAX];
	struct tcp_side clients;
	struct tcp_side servers;
	_Atomic bool stop;
	_Atomic bool use_idle; /* set at the end: idle connections speak once */
};

static bool tcp_is_bulk(enum tcp_kind kind)
{
	return kind >= TCP_KIND_DOWNLOAD;
}

static void tcp_end_failed(struct tcp_side *side, struct tcp_end *end, int error)
{
	end->error = error;
	(void)epoll_ctl(side->epoll_fd, EPOLL_CTL_DEL, end->fd, NULL);
}

static void tcp_end_arrived(struct tcp_end *end, size_t size_bytes)
{
	int64_t now = tick_now();
	int64_t last = end->last_arrival_at;

	if (last != 0 && now - last > end->longest_pause_ns)
		end->longest_pause_ns = now - last;
	end->last_arrival_at = now;
	end->received_bytes += size_bytes;
}

/* The server of a chatter or idle connection says back what it hears. */
static void tcp_end_answer(struct tcp_side *side, struct tcp_end *end, size_t size_bytes)
{
	if (end->is_client || tcp_is_bulk(end->conn->kind))
		return;
	if (send(end->fd, side->chunk, size_bytes, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
		errno != EAGAIN)
		tcp_end_failed(side, end, errno);
}

static void tcp_end_read(struct tcp_side *side, struct tcp_end *end)
{
	for (int i = 0; i < TCP_ROUNDS_MAX && !end->error; i++) {
		ssize_t n = recv(end->fd, side->chunk, sizeof(side->chunk), MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			tcp_end_failed(side, end, n < 0 ? errno : ENODATA);
			return;
		}
		tcp_end_arrived(end, (size_t)n);
		tcp_end_answer(side, end, (size_t)n);
	}
}

static void tcp_end_write(struct tcp_side *side, struct tcp_end *end)
{
	for (int i = 0; i < TCP_ROUNDS_MAX && !end->error; i++) {
		ssize_t n = send(
			end->fd, side->chunk, sizeof(side->chunk), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			tcp_end_failed(side, end, errno);
		if (n < 0)
			return;
	}
}

/* The next question of a chatter connection, when the last one is answered; of an idle one, when
 * it is told to. */
static void tcp_end_ask(struct tcp_side *side, struct tcp_end *end, int64_t now)
{
	uint8_t question[TCP_CHATTER_BYTES] = {0};
	bool idle = end->conn->kind == TCP_KIND_IDLE;

	if (end->error || tcp_is_bulk(end->conn->kind))
		return;
	if (idle ? (!side->tcp->use_idle || end->asked_bytes > 0)
		 : (now < end->ask_at || end->received_bytes < end->asked_bytes))
		return;
	if (send(end->fd, question, sizeof(question), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		tcp_end_failed(side, end, errno);
		return;
	}
	end->asked_bytes += sizeof(question);
	end->ask_at = now + TCP_CHATTER_MS * TICK_NS_PER_MS;
}

static void *tcp_side_main(void *context)
{
	struct tcp_side *side = context;
	struct epoll_event events[TCP_EVENTS_MAX];

	while (!side->tcp->stop) {
		int n = epoll_wait(side->epoll_fd, events, TCP_EVENTS_MAX, TCP_CHATTER_MS);
		int64_t now = tick_now();

		for (int i = 0; i < n; i++) {
			struct tcp_end *end = events[i].data.ptr;

			if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
				tcp_end_read(side, end);
			if ((events[i].events & EPOLLOUT) && end->writes && !end->error)
				tcp_end_write(side, end);
		}
		for (unsigned int i = 0; side->is_client && i < side->tcp->conn_count; i++)
			tcp_end_ask(side, &side->tcp->conns[i].client, now);
	}
	return NULL;
}

static int tcp_end_watch(struct tcp_side *side, struct tcp_end *end)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = end};
	int one = 1;

	if (end->writes)
		event.events |= EPOLLOUT;
	(void)setsockopt(end->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return epoll_ctl(side->epoll_fd, EPOLL_CTL_ADD, end->fd, &event) < 0 ? -errno : 0;
}

/* connect(2) with a deadline: through the master, which must be there already. */
static int tcp_connect(int fd, const struct sockaddr_storage *server, socklen_t size)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
	socklen_t error_size = sizeof(int);
	int error = 0;

	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, (const struct sockaddr *)server, size) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	if (poll(&pollfd, 1, (int)(TCP_CONNECT_DEADLINE_NS / TICK_NS_PER_MS)) != 1)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) < 0)
		return -errno;
	return -error;
}

static int tcp_accept(int listen_fd)
{
	struct pollfd pollfd = {.fd = listen_fd, .events = POLLIN};
	int fd;

	if (poll(&pollfd, 1, (int)(TCP_CONNECT_DEADLINE_NS / TICK_NS_PER_MS)) != 1)
		return -ETIMEDOUT;
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* One after the other, so that the accepted descriptor is the other end of the connected one. */
static int tcp_open_conn(struct tcp *tcp, struct tcp_conn *conn, int listen_fd)
{
	struct sockaddr_storage server;
	socklen_t size = netsock_address(&tcp->options.server, TCP_PORT, &server);
	enum tcp_kind kind = conn->kind;
	int r;

	conn->client = (struct tcp_end){.conn = conn, .is_client = true, .fd = -1};
	conn->server = (struct tcp_end){.conn = conn, .fd = -1};
	conn->client.writes = kind == TCP_KIND_UPLOAD || kind == TCP_KIND_BOTH;
	conn->server.writes = kind == TCP_KIND_DOWNLOAD || kind == TCP_KIND_BOTH;
	conn->client.reads_bulk = conn->server.writes;
	conn->server.reads_bulk = conn->client.writes;
	conn->client.fd =
		netsock_bound(tcp->options.client_netns_fd, SOCK_STREAM, &tcp->options.client, 0);
	if (conn->client.fd < 0)
		return conn->client.fd;
	r = tcp_connect(conn->client.fd, &server, size);
	if (r < 0)
		return r;
	conn->server.fd = tcp_accept(listen_fd);
	if (conn->server.fd < 0)
		return conn->server.fd;
	r = tcp_end_watch(&tcp->clients, &conn->client);
	return r < 0 ? r : tcp_end_watch(&tcp->servers, &conn->server);
}

static int tcp_open_conns(struct tcp *tcp)
{
	int listen_fd = netsock_bound(
		tcp->options.server_netns_fd, SOCK_STREAM, &tcp->options.server, TCP_PORT);
	int r = 0;

	if (listen_fd < 0)
		return listen_fd;
	if (listen(listen_fd, TCP_CONNS_MAX) < 0)
		r = -errno;
	for (unsigned int kind = 0; kind < TCP_KIND_COUNT; kind++) {
		for (unsigned int i = 0; r == 0 && i < tcp->options.counts[kind]; i++) {
			struct tcp_conn *conn = &tcp->conns[tcp->conn_count];

			CHECK(tcp->conn_count < TCP_CONNS_MAX);
			conn->kind = (enum tcp_kind)kind;
			tcp->conn_count++;
			r = tcp_open_conn(tcp, conn, listen_fd);
		}
	}
	(void)close(listen_fd);
	return r;
}

static int tcp_side_open(struct tcp *tcp, struct tcp_side *side, bool is_client)
{
	side->tcp = tcp;
	side->is_client = is_client;
	side->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return side->epoll_fd < 0 ? -errno : 0;
}

static int tcp_side_start(struct tcp_side *side)
{
	int r = thread_start(&side->thread, 0, tcp_side_main, side);

	side->started = r == 0;
	return r;
}

int tcp_start(struct tcp **ret_tcp, const struct tcp_options *options)
{
	struct tcp *tcp = calloc(1, sizeof(*tcp));
	int r;

	if (!tcp)
		return -ENOMEM;
	tcp->options = *options;
	tcp->clients.epoll_fd = -1;
	tcp->servers.epoll_fd = -1;
	r = tcp_side_open(tcp, &tcp->clients, true);
	if (r == 0)
		r = tcp_side_open(tcp, &tcp->servers, false);
	if (r == 0)
		r = tcp_open_conns(tcp);
	if (r == 0)
		r = tcp_side_start(&tcp->servers);
	if (r == 0)
		r = tcp_side_start(&tcp->clients);
	if (r < 0) {
		tcp_free(tcp);
		return r;
	}
	*ret_tcp = tcp;
	return 0;
}

static bool tcp_moved(const struct tcp_conn *conn, uint64_t client_before, uint64_t server_before)
{
	bool to_client = conn->client.received_bytes > client_before;
	bool to_server = conn->server.received_bytes > server_before;

	if (conn->kind == TCP_KIND_DOWNLOAD)
		return to_client;
	if (conn->kind == TCP_KIND_UPLOAD)
		return to_server;
	return to_client && to_server;
}

bool tcp_flowing(const struct tcp *tcp)
{
	for (unsigned int i = 0; i < tcp->conn_count; i++)
		if (tcp->conns[i].kind != TCP_KIND_IDLE && !tcp_moved(&tcp->conns[i], 0, 0))
			return false;
	return true;
}

static void tcp_judge_conn(const struct tcp_conn *conn, uint64_t client_before,
	uint64_t server_before, struct tcp_result *ret)
{
	const struct tcp_end *down = conn->kind == TCP_KIND_UPLOAD ? &conn->server : &conn->client;
	const struct tcp_end *failed = conn->client.error ? &conn->client : &conn->server;

	*ret = (struct tcp_result){.kind = conn->kind,
		.up_bytes = conn->server.received_bytes,
		.down_bytes = conn->client.received_bytes};
	if (conn->kind != TCP_KIND_IDLE)
		ret->longest_pause_ns = down->longest_pause_ns;
	if (failed->error)
		(void)snprintf(ret->why, sizeof(ret->why), "%s at the %s",
			failed->error == ENODATA ? "closed" : strerror(failed->error),
			failed->is_client ? "client" : "server");
	else if (!tcp_moved(conn, client_before, server_before))
		(void)snprintf(ret->why, sizeof(ret->why), "hangs: no data moves any more");
	else
		ret->survived = true;
}

unsigned int tcp_judge(struct tcp *tcp, int watch_ms, struct tcp_result *ret_results)
{
	uint64_t client_before[TCP_CONNS_MAX];
	uint64_t server_before[TCP_CONNS_MAX];

	for (unsigned int i = 0; i < tcp->conn_count; i++) {
		client_before[i] = tcp->conns[i].client.received_bytes;
		server_before[i] = tcp->conns[i].server.received_bytes;
	}
	tcp->use_idle = true;
	tick_sleep_until(tick_now() + watch_ms * TICK_NS_PER_MS);
	for (unsigned int i = 0; i < tcp->conn_count; i++)
		tcp_judge_conn(&tcp->conns[i], client_before[i], server_before[i], &ret_results[i]);
	return tcp->conn_count;
}

static void tcp_end_close(struct tcp_end *end)
{
	struct linger reset = {.l_onoff = 1};

	if (end->fd <= 0)
		return;
	(void)setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)close(end->fd);
	end->fd = -1;
}

static void tcp_side_close(struct tcp_side *side)
{
	if (side->started)
		(void)pthread_join(side->thread, NULL);
	if (side->epoll_fd >= 0)
		(void)close(side->epoll_fd);
}

void tcp_free(struct tcp *tcp)
{
	if (!tcp)
		return;
	tcp->stop = true;
	tcp_side_close(&tcp->clients);
	tcp_side_close(&tcp->servers);
	for (unsigned int i = 0; i < tcp->conn_count; i++) {
		tcp_end_close(&tcp->conns[i].client);
		tcp_end_close(&tcp->conns[i].server);
	}
	free(tcp);
}
