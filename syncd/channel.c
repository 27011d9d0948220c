#include "syncd/channel.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHANNEL_LOG_EVERY_MS 10000
#define CHANNEL_LOG_BURST    5u

enum conn_state {
	CONN_FREE = 0,
	CONN_CONNECTING,
	CONN_HANDSHAKE,
	CONN_OPEN,
};

struct conn {
	struct channel *channel;
	enum conn_state state;
	int fd;
	sd_event_source *source;
	struct tls tls;
	int peer; /* -1: not known yet */
	bool dialled;
	bool busy; /* inside its own callback: closing waits */
	bool closing;
	enum channel_reason closing_reason;
	char closing_detail[TLS_ERROR_MAX];
	mono_t deadline; /* of the handshake */
	mono_t moved_at; /* last progress of unsent bytes */
	struct ipaddr from;
	uint32_t events; /* what epoll watches */
	uint8_t *in, *out;
	size_t in_used, out_used;
};

struct channel_dial {
	uint8_t address_index;
	uint8_t key_index;
	mono_t next_at; /* MONO_NEVER: connected, in progress, or not ours to dial */
};

struct channel {
	struct channel_options options;
	struct tls_context tls;
	uint8_t peer_count;
	struct conn pending[CHANNEL_PENDING_MAX];
	struct conn *open[LIMIT_PEERS]; /* authenticated */
	struct conn *dialling[LIMIT_PEERS];
	struct conn conns[2 * LIMIT_PEERS + 2]; /* where open and dialling ones live */
	struct channel_dial dials[LIMIT_PEERS];
	struct {
		int fd;
		sd_event_source *source;
		uint8_t address;
	} listeners[LIMIT_SYNC_LINKS];
	struct evloop_timer timer;
	uint64_t closed[CHANNEL_REASON_COUNT];
	mono_t log_window_at[CHANNEL_REASON_COUNT];
	uint32_t log_count[CHANNEL_REASON_COUNT];
};

static const char *const channel_reason_names[] = {
	[CHANNEL_REASON_CLOSED_BY_PEER] = "CLOSED_BY_PEER",
	[CHANNEL_REASON_BROKEN] = "BROKEN",
	[CHANNEL_REASON_HANDSHAKE] = "HANDSHAKE_REFUSED",
	[CHANNEL_REASON_HANDSHAKE_LATE] = "HANDSHAKE_LATE",
	[CHANNEL_REASON_UNKNOWN_ADDRESS] = "UNKNOWN_ADDRESS",
	[CHANNEL_REASON_WRONG_DIRECTION] = "WRONG_DIRECTION",
	[CHANNEL_REASON_TOO_MANY] = "TOO_MANY",
	[CHANNEL_REASON_REPLACED] = "REPLACED",
	[CHANNEL_REASON_STALLED] = "STALLED",
	[CHANNEL_REASON_SESSION] = "SESSION",
	[CHANNEL_REASON_SHUTDOWN] = "SHUTDOWN",
};
_Static_assert(ARRAY_LEN(channel_reason_names) == CHANNEL_REASON_COUNT, "a name for every reason");

const char *channel_reason_name(enum channel_reason reason)
{
	return (unsigned int)reason < CHANNEL_REASON_COUNT ? channel_reason_names[reason] : "?";
}

/* ---- peers ---- */

const struct config_node *channel_peer_node(const struct config *cfg, uint8_t peer)
{
	return &cfg->nodes[peer < cfg->self->index ? peer : peer + 1];
}

uint8_t channel_peer_count(const struct config *cfg)
{
	return (uint8_t)(cfg->node_count - 1);
}

static int channel_peer_of(const struct channel *channel, uint8_t node_id)
{
	for (uint8_t peer = 0; peer < channel->peer_count; peer++)
		if (channel_peer_node(channel->options.cfg, peer)->id == node_id)
			return peer;
	return -1;
}

static bool channel_dials(const struct channel *channel, uint8_t peer)
{
	return channel->options.cfg->self->id < channel_peer_node(channel->options.cfg, peer)->id;
}

/* ---- closing ---- */

/* channel_log_allowed: a flood of refusals must not become a flood of lines. */
static bool channel_log_allowed(struct channel *channel, enum channel_reason reason)
{
	mono_t now = clock_now();

	if (mono_reached(now, channel->log_window_at[reason])) {
		channel->log_window_at[reason] = mono_add(now, dur_ms(CHANNEL_LOG_EVERY_MS));
		channel->log_count[reason] = 0;
	}
	return channel->log_count[reason]++ < CHANNEL_LOG_BURST;
}

static void channel_log_close(struct channel *channel, const struct conn *conn,
	enum channel_reason reason, const char *detail)
{
	char text[IPADDR_TEXT_MAX];
	const char *node =
		conn->peer >= 0 ? channel_peer_node(channel->options.cfg, (uint8_t)conn->peer)->name
				: "-";

	if (reason == CHANNEL_REASON_SHUTDOWN || !channel_log_allowed(channel, reason))
		return;
	if (conn->state == CONN_OPEN)
		log_notice("peer %s (%s): connection closed: %s%s%s", node,
			ipaddr_render(&conn->from, false, text), channel_reason_name(reason),
			detail[0] ? ": " : "", detail);
	else
		log_info("connection %s %s closed: %s%s%s", conn->dialled ? "to" : "from",
			ipaddr_render(&conn->from, false, text), channel_reason_name(reason),
			detail[0] ? ": " : "", detail);
}

static void channel_schedule(struct channel *channel);

/* conn_release: frees everything of a connection that nobody refers to any more. */
static void conn_release(struct conn *conn)
{
	sd_event_source_disable_unref(conn->source);
	tls_close(&conn->tls);
	if (conn->fd >= 0)
		close(conn->fd);
	free(conn->in);
	free(conn->out);
	*conn = (struct conn){.fd = -1, .peer = -1};
}

static void channel_redial(struct channel *channel, uint8_t peer, bool failed)
{
	struct channel_dial *dial = &channel->dials[peer];
	const struct config *cfg = channel->options.cfg;
	uint8_t pairs = channel_peer_node(cfg, peer)->address_count;

	if (!channel_dials(channel, peer) || channel->open[peer] || channel->dialling[peer])
		return;
	if (cfg->self->address_count < pairs)
		pairs = cfg->self->address_count;
	dial->next_at = clock_now();
	dial->address_index = (uint8_t)((dial->address_index + (failed ? 1 : 0)) % pairs);
	/* After a round over all addresses a pause. */
	if (failed && dial->address_index == 0)
		dial->next_at = mono_add(dial->next_at, dur_ms(CHANNEL_REDIAL_MS));
	channel_schedule(channel);
}

static void conn_close(struct conn *conn, enum channel_reason reason, const char *detail)
{
	struct channel *channel = conn->channel;
	bool was_open = conn->state == CONN_OPEN;
	int peer = conn->peer;

	if (conn->state == CONN_FREE)
		return;
	if (conn->busy) {
		if (conn->closing)
			return;
		conn->closing = true;
		conn->closing_reason = reason;
		snprintf(conn->closing_detail, sizeof(conn->closing_detail), "%s", detail);
		return;
	}
	channel->closed[reason]++;
	channel_log_close(channel, conn, reason, detail);
	if (peer >= 0 && channel->open[peer] == conn)
		channel->open[peer] = NULL;
	if (peer >= 0 && channel->dialling[peer] == conn)
		channel->dialling[peer] = NULL;
	/* Another key next time, if there is one: the peer may not have ours yet. */
	if (conn->dialled && reason == CHANNEL_REASON_HANDSHAKE)
		channel->dials[peer].key_index = (uint8_t)((channel->dials[peer].key_index + 1) %
							   channel->options.ring->key_count);
	conn_release(conn);
	if (was_open)
		channel->options.on_close(channel->options.context, (uint8_t)peer);
	if (peer >= 0 && reason != CHANNEL_REASON_SHUTDOWN && reason != CHANNEL_REASON_REPLACED)
		channel_redial(channel, (uint8_t)peer, true);
}

static void conn_close_tls(struct conn *conn, enum channel_reason reason)
{
	char text[TLS_ERROR_MAX];

	conn_close(conn, reason, tls_error(text));
}

static void conn_leave_close(struct conn *conn)
{
	char detail[TLS_ERROR_MAX];

	memcpy(detail, conn->closing_detail, sizeof(detail));
	conn_close(conn, conn->closing_reason, detail);
}

/* conn_leave: the end of a callback: what asked for closing meanwhile gets it. */
static void conn_leave(struct conn *conn)
{
	conn->busy = false;
	if (conn->closing)
		conn_leave_close(conn);
}

static void conn_watch(struct conn *conn, uint32_t events)
{
	if (events == conn->events)
		return;
	conn->events = events;
	if (sd_event_source_set_io_events(conn->source, events) < 0)
		log_warnx("cannot watch a connection");
}

/* ---- an open connection ---- */

static void conn_send(struct conn *conn)
{
	size_t done = 0;

	while (done < conn->out_used) {
		size_t size = 0;
		enum tls_result result =
			tls_write(&conn->tls, conn->out + done, conn->out_used - done, &size);

		if (result == TLS_FAILED) {
			conn_close_tls(conn, CHANNEL_REASON_BROKEN);
			return;
		}
		if (result != TLS_DONE)
			break;
		done += size;
	}
	if (done)
		conn->moved_at = clock_now();
	conn->out_used -= done;
	memmove(conn->out, conn->out + done, conn->out_used);
	conn_watch(conn, EPOLLIN | (conn->out_used ? EPOLLOUT : 0));
}

void channel_pump(struct channel *channel, uint8_t peer)
{
	struct conn *conn = channel->open[peer];

	/* At most two buffers a call: whoever else waits has a turn. */
	for (int round = 0; conn && conn->state == CONN_OPEN && !conn->closing && round < 2;
		round++) {
		struct wbuf w =
			wbuf_init(conn->out + conn->out_used, CHANNEL_OUT_BYTES - conn->out_used);

		if (conn->out_used == 0)
			conn->moved_at = clock_now();
		channel->options.on_fill(channel->options.context, peer, &w);
		conn->out_used += wbuf_used(&w);
		if (conn->out_used == 0)
			return;
		conn_send(conn);
		if (conn->state != CONN_OPEN)
			return;
		if (conn->out_used) {
			channel_schedule(channel);
			return;
		}
	}
}

/* conn_receive: one turn of reading. False: nothing is there, or the connection is at its end. */
static bool conn_receive(struct conn *conn)
{
	struct channel *channel = conn->channel;
	size_t size = 0, used;

	switch (tls_read(
		&conn->tls, conn->in + conn->in_used, CHANNEL_IN_BYTES - conn->in_used, &size)) {
	case TLS_FAILED:
		conn_close_tls(conn, CHANNEL_REASON_CLOSED_BY_PEER);
		return false;
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		return false;
	case TLS_DONE:
		break;
	}
	conn->in_used += size;
	used = channel->options.on_bytes(
		channel->options.context, (uint8_t)conn->peer, conn->in, conn->in_used);
	CHECK(used <= conn->in_used);
	conn->in_used -= used;
	memmove(conn->in, conn->in + used, conn->in_used);
	/* A message is far smaller than the buffer: it cannot be full. */
	CHECK(conn->in_used < CHANNEL_IN_BYTES || conn->closing);
	return !conn->closing;
}

/* conn_receive_turn: OpenSSL may hold decrypted bytes that epoll knows nothing of: read on until it
 * has none. A record is at most one buffer long. */
static void conn_receive_turn(struct conn *conn)
{
	while (conn_receive(conn) && SSL_pending(conn->tls.ssl) > 0)
		;
}

void channel_drain(struct channel *channel, uint8_t peer, mono_t deadline)
{
	struct conn *conn = channel->open[peer];

	if (!conn || conn->busy)
		return;
	conn->busy = true;
	while (conn_receive(conn) && !mono_reached(clock_now(), deadline))
		;
	conn_leave(conn);
}

/* conn_establish: the handshake is done and the peer proven. */
static void conn_establish(struct conn *conn)
{
	struct channel *channel = conn->channel;
	int peer = channel_peer_of(channel, conn->tls.peer_node);
	struct conn *place = conn;
	char text[IPADDR_TEXT_MAX];

	CHECK(peer >= 0);
	if (!conn->dialled && channel_dials(channel, (uint8_t)peer)) {
		conn_close(conn, CHANNEL_REASON_WRONG_DIRECTION, "");
		return;
	}
	if (channel->open[peer])
		conn_close(channel->open[peer], CHANNEL_REASON_REPLACED, "");
	conn->in = malloc(CHANNEL_IN_BYTES);
	conn->out = malloc(CHANNEL_OUT_BYTES);
	if (!conn->in || !conn->out) {
		conn_close(conn, CHANNEL_REASON_BROKEN, "out of memory");
		return;
	}
	conn->peer = peer;
	conn->state = CONN_OPEN;
	conn->deadline = MONO_NEVER;
	conn->moved_at = clock_now();
	if (channel->dialling[peer] == conn)
		channel->dialling[peer] = NULL;
	channel->open[peer] = place;
	channel->dials[peer].next_at = MONO_NEVER;
	conn_watch(conn, EPOLLIN);
	log_notice("peer %s (%s): connected",
		channel_peer_node(channel->options.cfg, (uint8_t)peer)->name,
		ipaddr_render(&conn->from, false, text));
	channel->options.on_open(channel->options.context, (uint8_t)peer);
	channel_pump(channel, (uint8_t)peer);
}

static void conn_handshake(struct conn *conn)
{
	switch (tls_handshake(&conn->tls)) {
	case TLS_FAILED:
		conn_close_tls(conn, CHANNEL_REASON_HANDSHAKE);
		break;
	case TLS_WANT_READ:
		conn_watch(conn, EPOLLIN);
		break;
	case TLS_WANT_WRITE:
		conn_watch(conn, EPOLLIN | EPOLLOUT);
		break;
	case TLS_DONE:
		conn_establish(conn);
		break;
	}
}

static void conn_connected(struct conn *conn)
{
	struct channel *channel = conn->channel;
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) || error) {
		conn_close(conn, CHANNEL_REASON_BROKEN, strerror(error ? error : errno));
		return;
	}
	if (!tls_dial(&conn->tls, &channel->tls, conn->fd,
		    channel_peer_node(channel->options.cfg, (uint8_t)conn->peer)->id,
		    channel->dials[conn->peer].key_index)) {
		conn_close(conn, CHANNEL_REASON_BROKEN, "OpenSSL");
		return;
	}
	conn->state = CONN_HANDSHAKE;
	conn_handshake(conn);
}

static int on_conn(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct conn *conn = context;
	struct channel *channel = conn->channel;

	(void)source;
	(void)fd;
	conn->busy = true;
	switch (conn->state) {
	case CONN_CONNECTING:
		conn_connected(conn);
		break;
	case CONN_HANDSHAKE:
		conn_handshake(conn);
		break;
	case CONN_OPEN:
		if (events & EPOLLOUT)
			conn_send(conn);
		if (!conn->closing && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			conn_receive_turn(conn);
		if (!conn->closing)
			channel_pump(channel, (uint8_t)conn->peer);
		break;
	case CONN_FREE:
		break;
	}
	conn_leave(conn);
	return 0;
}

/* ---- new connections ---- */

static socklen_t channel_sockaddr(
	const struct ipaddr *address, uint16_t port, struct sockaddr_storage *ret_address)
{
	memset(ret_address, 0, sizeof(*ret_address));
	if (address->family == IPADDR_V4) {
		struct sockaddr_in *four = (struct sockaddr_in *)ret_address;

		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		memcpy(&four->sin_addr, address->bytes, 4);
		return sizeof(*four);
	}
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret_address;

	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	memcpy(&six->sin6_addr, address->bytes, 16);
	return sizeof(*six);
}

static void channel_address_of(const struct sockaddr_storage *from, struct ipaddr *ret_address)
{
	*ret_address = (struct ipaddr){0};
	if (from->ss_family == AF_INET) {
		ret_address->family = IPADDR_V4;
		memcpy(ret_address->bytes, &((const struct sockaddr_in *)from)->sin_addr, 4);
	} else if (from->ss_family == AF_INET6) {
		ret_address->family = IPADDR_V6;
		memcpy(ret_address->bytes, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
	}
}

static void channel_options_set(int fd)
{
	int on = 1, unsent = CHANNEL_UNSENT_BYTES;

	/* None of these is needed to work: an older kernel may not know one. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

static bool conn_start(
	struct conn *conn, struct channel *channel, int fd, enum conn_state state, uint32_t events)
{
	*conn = (struct conn){.channel = channel, .state = state, .fd = fd, .peer = -1};
	conn->events = events;
	if (sd_event_add_io(channel->options.event, &conn->source, fd, events, on_conn, conn) < 0) {
		conn->source = NULL;
		return false;
	}
	return true;
}

static struct conn *channel_free_conn(struct conn *conns, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (conns[i].state == CONN_FREE)
			return &conns[i];
	return NULL;
}

static bool channel_knows_address(const struct channel *channel, const struct ipaddr *from)
{
	for (uint8_t peer = 0; peer < channel->peer_count; peer++) {
		const struct config_node *node = channel_peer_node(channel->options.cfg, peer);

		for (uint8_t i = 0; i < node->address_count; i++)
			if (ipaddr_equal(&node->addresses[i], from))
				return true;
	}
	return false;
}

/* channel_pending_place: when all are taken, the oldest handshake gives way: a real one takes
 * milliseconds. */
static struct conn *channel_pending_place(struct channel *channel)
{
	struct conn *free_one = channel_free_conn(channel->pending, CHANNEL_PENDING_MAX);
	struct conn *oldest = NULL;

	if (free_one)
		return free_one;
	for (size_t i = 0; i < CHANNEL_PENDING_MAX; i++) {
		struct conn *conn = &channel->pending[i];

		if (conn->state == CONN_HANDSHAKE &&
			(!oldest || conn->deadline.us < oldest->deadline.us))
			oldest = conn;
	}
	if (oldest)
		conn_close(oldest, CHANNEL_REASON_TOO_MANY, "");
	return oldest;
}

static void channel_refuse(
	struct channel *channel, int fd, const struct ipaddr *from, enum channel_reason reason)
{
	struct conn nobody = {.peer = -1, .fd = -1, .from = *from};

	channel->closed[reason]++;
	channel_log_close(channel, &nobody, reason, "");
	close(fd);
}

static void channel_accept(struct channel *channel, int fd, const struct ipaddr *from)
{
	struct conn *conn;

	if (!channel_knows_address(channel, from)) {
		channel_refuse(channel, fd, from, CHANNEL_REASON_UNKNOWN_ADDRESS);
		return;
	}
	conn = channel_pending_place(channel);
	if (!conn) {
		channel_refuse(channel, fd, from, CHANNEL_REASON_TOO_MANY);
		return;
	}
	channel_options_set(fd);
	if (!conn_start(conn, channel, fd, CONN_HANDSHAKE, EPOLLIN) ||
		!tls_answer(&conn->tls, &channel->tls, fd)) {
		conn_release(conn);
		return;
	}
	conn->from = *from;
	conn->deadline = mono_add(clock_now(), dur_ms(CHANNEL_HANDSHAKE_MS));
	channel_schedule(channel);
}

static int on_listener(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct channel *channel = context;

	(void)source;
	(void)events;
	for (uint32_t i = 0; i < CHANNEL_PENDING_MAX; i++) {
		struct sockaddr_storage from;
		socklen_t size = sizeof(from);
		struct ipaddr address;
		int accepted =
			accept4(fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (accepted < 0)
			break;
		channel_address_of(&from, &address);
		channel_accept(channel, accepted, &address);
	}
	return 0;
}

static void channel_dial_peer(struct channel *channel, uint8_t peer)
{
	const struct config *cfg = channel->options.cfg;
	const struct config_node *node = channel_peer_node(cfg, peer);
	struct channel_dial *dial = &channel->dials[peer];
	struct conn *conn = channel_free_conn(channel->conns, ARRAY_LEN(channel->conns));
	const struct ipaddr *from = &cfg->self->addresses[dial->address_index];
	const struct ipaddr *to = &node->addresses[dial->address_index];
	struct sockaddr_storage address;
	socklen_t size;
	int fd, on = 1;

	CHECK(conn);
	dial->next_at = MONO_NEVER;
	fd = socket(to->family == IPADDR_V4 ? AF_INET : AF_INET6,
		SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		dial->next_at = mono_add(clock_now(), dur_ms(CHANNEL_REDIAL_MS));
		return;
	}
	channel_options_set(fd);
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)); /* a wish */
	size = channel_sockaddr(from, 0, &address);
	if (bind(fd, (struct sockaddr *)&address, size) == 0) {
		size = channel_sockaddr(to, cfg->sync.port, &address);
		if (connect(fd, (struct sockaddr *)&address, size) == 0 || errno == EINPROGRESS) {
			if (!conn_start(conn, channel, fd, CONN_CONNECTING, EPOLLOUT)) {
				conn_release(conn);
				return;
			}
			conn->from = *to;
			conn->dialled = true;
			conn->peer = peer;
			conn->deadline = mono_add(clock_now(), dur_ms(CHANNEL_DIAL_MS));
			channel->dialling[peer] = conn;
			return;
		}
	}
	close(fd);
	channel_redial(channel, peer, true);
	/* An address that is not there fails at once: not in a busy loop. */
	dial->next_at = mono_max(dial->next_at, mono_add(clock_now(), dur_ms(50)));
}

/* ---- time ---- */

static mono_t conn_deadline(const struct conn *conn)
{
	if (conn->state == CONN_FREE)
		return MONO_NEVER;
	if (conn->state == CONN_OPEN)
		return conn->out_used ? mono_add(conn->moved_at, dur_ms(CHANNEL_STALLED_MS))
				      : MONO_NEVER;
	return conn->deadline;
}

static void channel_schedule(struct channel *channel)
{
	mono_t next = MONO_NEVER;

	for (uint8_t peer = 0; peer < channel->peer_count; peer++)
		next = mono_min(next, channel->dials[peer].next_at);
	for (size_t i = 0; i < ARRAY_LEN(channel->conns); i++)
		next = mono_min(next, conn_deadline(&channel->conns[i]));
	for (size_t i = 0; i < CHANNEL_PENDING_MAX; i++)
		next = mono_min(next, conn_deadline(&channel->pending[i]));
	evloop_timer_set(&channel->timer, next);
}

static void conn_check_deadline(struct conn *conn, mono_t now)
{
	if (!mono_reached(now, conn_deadline(conn)))
		return;
	conn_close(conn,
		conn->state == CONN_OPEN ? CHANNEL_REASON_STALLED : CHANNEL_REASON_HANDSHAKE_LATE,
		"");
}

static void on_deadline(void *context)
{
	struct channel *channel = context;
	mono_t now = clock_now();

	for (size_t i = 0; i < ARRAY_LEN(channel->conns); i++)
		conn_check_deadline(&channel->conns[i], now);
	for (size_t i = 0; i < CHANNEL_PENDING_MAX; i++)
		conn_check_deadline(&channel->pending[i], now);
	for (uint8_t peer = 0; peer < channel->peer_count; peer++)
		if (mono_reached(now, channel->dials[peer].next_at))
			channel_dial_peer(channel, peer);
	channel_schedule(channel);
}

/* ---- life ---- */

static int channel_listen_one(struct channel *channel, uint8_t index)
{
	const struct config *cfg = channel->options.cfg;
	const struct ipaddr *address = &cfg->self->addresses[index];
	struct sockaddr_storage bound;
	socklen_t size = channel_sockaddr(address, cfg->sync.port, &bound);
	int fd = socket(bound.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	int r;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* restarts at once */
	/* The sync link may come up after us. */
	(void)setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	if (bound.ss_family == AF_INET6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
	}
	if (bind(fd, (struct sockaddr *)&bound, size) || listen(fd, 64)) {
		r = -errno;
		close(fd);
		return r;
	}
	r = sd_event_add_io(channel->options.event, &channel->listeners[index].source, fd, EPOLLIN,
		on_listener, channel);
	if (r < 0) {
		close(fd);
		return r;
	}
	channel->listeners[index].fd = fd;
	return 0;
}

static int channel_listen(struct channel *channel)
{
	const struct config_node *self = channel->options.cfg->self;
	char text[IPADDR_TEXT_MAX];

	for (uint8_t i = 0; i < self->address_count; i++) {
		int r = channel_listen_one(channel, i);

		if (r < 0) {
			errno = -r;
			log_error("cannot listen on %s port %u",
				ipaddr_render(&self->addresses[i], false, text),
				channel->options.cfg->sync.port);
			return r;
		}
	}
	return 0;
}

int channel_open(struct channel **ret_channel, const struct channel_options *options)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	int r;

	if (!channel)
		return -ENOMEM;
	channel->options = *options;
	channel->peer_count = channel_peer_count(options->cfg);
	for (size_t i = 0; i < ARRAY_LEN(channel->conns); i++)
		channel->conns[i] = (struct conn){.fd = -1, .peer = -1};
	for (size_t i = 0; i < CHANNEL_PENDING_MAX; i++)
		channel->pending[i] = (struct conn){.fd = -1, .peer = -1};
	for (size_t i = 0; i < LIMIT_SYNC_LINKS; i++)
		channel->listeners[i].fd = -1;
	for (uint8_t peer = 0; peer < LIMIT_PEERS; peer++)
		channel->dials[peer].next_at = MONO_NEVER;
	r = tls_context_open(&channel->tls, options->cfg, options->ring);
	if (r == 0)
		r = evloop_timer_open(&channel->timer, options->event, EVLOOP_PRIORITY_DEADLINE,
			on_deadline, channel);
	if (r == 0)
		r = channel_listen(channel);
	if (r < 0) {
		channel_close(channel);
		return r;
	}
	for (uint8_t peer = 0; peer < channel->peer_count; peer++)
		channel_redial(channel, peer, false);
	*ret_channel = channel;
	return 0;
}

void channel_close(struct channel *channel)
{
	if (!channel)
		return;
	for (size_t i = 0; i < ARRAY_LEN(channel->conns); i++)
		conn_close(&channel->conns[i], CHANNEL_REASON_SHUTDOWN, "");
	for (size_t i = 0; i < CHANNEL_PENDING_MAX; i++)
		conn_close(&channel->pending[i], CHANNEL_REASON_SHUTDOWN, "");
	for (size_t i = 0; i < LIMIT_SYNC_LINKS; i++) {
		sd_event_source_disable_unref(channel->listeners[i].source);
		if (channel->listeners[i].fd >= 0)
			close(channel->listeners[i].fd);
	}
	evloop_timer_close(&channel->timer);
	tls_context_close(&channel->tls);
	free(channel);
}

void channel_drop(struct channel *channel, uint8_t peer, enum channel_reason reason)
{
	if (channel->open[peer])
		conn_close(channel->open[peer], reason, "");
}

bool channel_is_open(const struct channel *channel, uint8_t peer)
{
	return channel->open[peer] && !channel->open[peer]->closing;
}

uint64_t channel_closed_count(const struct channel *channel, enum channel_reason reason)
{
	return channel->closed[reason];
}
