#include "common/io/control_server.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/unixsock.h"

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTROL_SERVER_GROUP	"carpool"
#define CONTROL_SERVER_TEXT_MAX 512u
#define CONTROL_SERVER_RETRY_MS 100 /* after accept(2) has run out of descriptors */

/* A connection is only ever closed by control_server_reap, from the loop: an op may answer on a
 * connection that dies under it, and its caller still holds pointers to it. Everything else dooms.
 */
struct control_server_conn {
	struct control_server *server;
	int fd; /* -1: the slot is free */
	uint32_t generation;
	struct unixsock_peer peer;
	enum control_rights rights;
	sd_event_source *source;
	const char *doom;  /* why it is to be closed; NULL while it lives */
	bool doom_flushed; /* close only when the output is out */
	bool ended;	   /* the caller has ended its side */
	uint32_t topics;
	uint32_t unanswered;

	char *input;			 /* LIMIT_CONTROL_LINE + 1 bytes */
	size_t input_start, input_bytes; /* not looked at yet: [start, bytes) */
	char *output;
	size_t output_start, output_bytes, output_room; /* pending: [start, bytes) */

	mono_t first_line_at; /* deadlines; MONO_NEVER when not running */
	mono_t torn_line_at;
	mono_t stalled_at;
	mono_t half_open_at;

	void *stream; /* the running streamed answer, if stream_next */
	json_t *(*stream_next)(void *stream);
	void (*stream_done)(void *stream);
	struct control_ticket stream_ticket;
	uint64_t stream_items;
};

struct control_server {
	struct control_server_options options;
	char *path;
	int fd;
	gid_t group;
	sd_event_source *accept_source;
	sd_event_source *work_source; /* runs what must not run inside somebody's callback */
	struct evloop_timer timer;
	mono_t accept_again_at;
	mono_t log_second_at;
	unsigned int log_count;
	uint64_t log_suppressed;
	uint32_t conn_count;
	uint32_t turn; /* whose line was the last one taken by control_server_on_work */
	struct control_server_conn conns[CONTROL_SERVER_CONNECTIONS_MAX];
};

static void control_server_log(struct control_server *server, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* control_server_log: bounded, so that a flood of bad callers does not become a flood of lines. */
static void control_server_log(struct control_server *server, const char *format, ...)
{
	char text[CONTROL_SERVER_TEXT_MAX];
	mono_t now = clock_now();
	va_list args;

	if (mono_reached(now, server->log_second_at)) {
		if (server->log_suppressed)
			log_warnx("control: %llu more lines like these were left out",
				(unsigned long long)server->log_suppressed);
		server->log_second_at = mono_add(now, dur_s(1));
		server->log_suppressed = 0;
		server->log_count = 0;
	}
	if (server->log_count == CONTROL_SERVER_LOG_PER_S) {
		server->log_suppressed++;
		return;
	}
	server->log_count++;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_warnx("control: %s", text);
}

static struct control_server_conn *control_server_lookup(
	const struct control_server *server, struct control_conn id)
{
	const struct control_server_conn *conn;

	if (id.generation == 0 || id.slot >= CONTROL_SERVER_CONNECTIONS_MAX)
		return NULL;
	conn = &server->conns[id.slot];
	if (conn->fd < 0 || conn->generation != id.generation || conn->doom)
		return NULL;
	return (struct control_server_conn *)(uintptr_t)conn;
}

static void control_server_work(struct control_server *server)
{
	evloop_set(sd_event_source_set_enabled(server->work_source, SD_EVENT_ONESHOT));
}

static void control_server_doom(struct control_server_conn *conn, const char *reason, bool flushed)
{
	if (conn->doom)
		return;
	conn->doom = reason;
	conn->doom_flushed = flushed;
	control_server_work(conn->server);
}

static size_t control_server_pending(const struct control_server_conn *conn)
{
	return conn->output_bytes - conn->output_start;
}

static bool control_server_has_line(const struct control_server_conn *conn)
{
	return memchr(conn->input + conn->input_start, '\n',
		       conn->input_bytes - conn->input_start) != NULL;
}

/* control_server_arm: asks for what this connection waits for: no input while it does not take its
 * output, so that a caller who only asks is bounded by the socket's own buffers. */
static void control_server_arm(struct control_server_conn *conn)
{
	size_t pending = control_server_pending(conn);
	uint32_t events = 0;

	if (pending < CONTROL_SERVER_OUTPUT_LOW && !conn->ended && !conn->doom)
		events |= EPOLLIN;
	if (pending > 0 || (conn->stream_next && !conn->doom))
		events |= EPOLLOUT;
	evloop_set(sd_event_source_set_io_events(conn->source, events));
}

static void control_server_flush(struct control_server_conn *conn)
{
	while (control_server_pending(conn) > 0) {
		ssize_t sent = send(conn->fd, conn->output + conn->output_start,
			control_server_pending(conn), MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN)
			break;
		if (sent < 0) {
			conn->output_start = conn->output_bytes = 0;
			control_server_doom(conn, "it went away before its answer", false);
			break;
		}
		conn->output_start += (size_t)sent;
		conn->stalled_at = MONO_NEVER;
	}
	if (control_server_pending(conn) == 0) {
		conn->output_start = conn->output_bytes = 0;
		conn->stalled_at = MONO_NEVER;
	} else if (mono_is_never(conn->stalled_at)) {
		conn->stalled_at = mono_add(clock_now(), dur_ms(CONTROL_SERVER_STALLED_MS));
	}
	control_server_arm(conn);
}

static bool control_server_reserve(struct control_server_conn *conn, size_t more)
{
	size_t room = conn->output_room ? conn->output_room : 4096;
	char *grown;

	if (conn->output_start > 0) {
		memmove(conn->output, conn->output + conn->output_start,
			control_server_pending(conn));
		conn->output_bytes -= conn->output_start;
		conn->output_start = 0;
	}
	while (room < conn->output_bytes + more)
		room *= 2;
	if (room == conn->output_room)
		return true;
	grown = realloc(conn->output, room);
	if (!grown)
		return false;
	conn->output = grown;
	conn->output_room = room;
	return true;
}

static mono_t control_server_conn_deadline(const struct control_server_conn *conn)
{
	return mono_min(mono_min(conn->first_line_at, conn->torn_line_at),
		mono_min(conn->stalled_at, conn->half_open_at));
}

static void control_server_rearm(struct control_server *server)
{
	mono_t deadline = server->accept_again_at;

	for (size_t i = 0; i < CONTROL_SERVER_CONNECTIONS_MAX; i++) {
		if (server->conns[i].fd >= 0)
			deadline =
				mono_min(deadline, control_server_conn_deadline(&server->conns[i]));
	}
	evloop_timer_set(&server->timer, deadline);
}

static bool control_server_queue(struct control_server_conn *conn, const char *text, size_t length)
{
	if (control_server_pending(conn) + length + 1 > CONTROL_SERVER_OUTPUT_MAX) {
		control_server_doom(conn, "slow reader: its output queue is full", false);
		return false;
	}
	if (!control_server_reserve(conn, length + 1)) {
		control_server_doom(conn, "out of memory", false);
		return false;
	}
	memcpy(conn->output + conn->output_bytes, text, length);
	conn->output[conn->output_bytes + length] = '\n';
	conn->output_bytes += length + 1;
	control_server_flush(conn);
	control_server_rearm(conn->server);
	return !conn->doom;
}

/* control_server_put: renders one line and queues it. -EMSGSIZE when it is longer than a line. */
static int control_server_put(struct control_server_conn *conn, const json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT);
	size_t length = text ? strlen(text) : 0;
	int r = 0;

	if (!text)
		r = -ENOMEM;
	else if (length >= LIMIT_CONTROL_LINE)
		r = -EMSGSIZE;
	else if (!control_server_queue(conn, text, length))
		r = -ECONNRESET;
	free(text);
	return r;
}

static void control_server_seq(json_t *line, const struct control_ticket *ticket)
{
	if (ticket->has_seq)
		(void)json_object_set_new(line, "seq", json_integer(ticket->seq));
}

static void control_server_answered(struct control_server_conn *conn)
{
	if (conn->unanswered > 0)
		conn->unanswered--;
	if (conn->ended)
		control_server_work(conn->server);
}

static bool control_server_refuse(struct control_server_conn *conn,
	const struct control_ticket *ticket, const char *code, const char *text)
{
	json_t *line = json_pack("{s:b,s:{s:s,s:s}}", "ok", 0, "error", "code", code, "text", text);
	bool sent;

	if (!line)
		return false;
	control_server_seq(line, ticket);
	sent = control_server_put(conn, line) == 0;
	json_decref(line);
	control_server_answered(conn);
	return sent;
}

bool control_server_ok(
	struct control_server *server, const struct control_ticket *ticket, json_t *result)
{
	struct control_server_conn *conn = control_server_lookup(server, ticket->conn);
	json_t *line = json_pack("{s:b,s:o}", "ok", 1, "result", result ? result : json_object());
	int r = -ECONNRESET;

	if (conn && line) {
		control_server_seq(line, ticket);
		r = control_server_put(conn, line);
		if (r == 0)
			control_server_answered(conn);
		else if (r == -EMSGSIZE)
			(void)control_server_refuse(conn, ticket, "TOO_LARGE",
				"the answer is longer than a line of the control protocol");
	}
	json_decref(line);
	return r == 0;
}

bool control_server_error(struct control_server *server, const struct control_ticket *ticket,
	const char *code, const char *format, ...)
{
	struct control_server_conn *conn = control_server_lookup(server, ticket->conn);
	char text[CONTROL_SERVER_TEXT_MAX];
	va_list args;

	if (!conn)
		return false;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return control_server_refuse(conn, ticket, code, text);
}

bool control_server_item(
	struct control_server *server, const struct control_ticket *ticket, json_t *item)
{
	struct control_server_conn *conn = control_server_lookup(server, ticket->conn);
	json_t *line = json_pack("{s:o}", "item", item);
	bool sent = false;

	if (conn && line) {
		control_server_seq(line, ticket);
		sent = control_server_put(conn, line) == 0;
	}
	json_decref(line);
	return sent;
}

bool control_server_send(struct control_server *server, struct control_conn id, json_t *line)
{
	struct control_server_conn *conn = control_server_lookup(server, id);
	bool sent = conn && line && control_server_put(conn, line) == 0;

	json_decref(line);
	return sent;
}

bool control_server_subscribe(
	struct control_server *server, struct control_conn id, uint32_t topics)
{
	struct control_server_conn *conn = control_server_lookup(server, id);

	if (!conn)
		return false;
	conn->topics |= topics;
	return true;
}

unsigned int control_server_publish(struct control_server *server, uint32_t topics, json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT);
	size_t length = text ? strlen(text) : 0;
	unsigned int count = 0;

	json_decref(line);
	for (size_t i = 0; text && i < CONTROL_SERVER_CONNECTIONS_MAX; i++) {
		struct control_server_conn *conn = &server->conns[i];

		if (conn->fd >= 0 && !conn->doom && conn->topics & topics &&
			length < LIMIT_CONTROL_LINE && control_server_queue(conn, text, length))
			count++;
	}
	free(text);
	return count;
}

void control_server_drop(struct control_server *server, struct control_conn id, const char *reason)
{
	struct control_server_conn *conn = control_server_lookup(server, id);

	if (conn)
		control_server_doom(conn, reason, false);
}

void control_server_prioritise(
	struct control_server *server, struct control_conn id, enum evloop_priority priority)
{
	struct control_server_conn *conn = control_server_lookup(server, id);

	if (conn)
		evloop_set(sd_event_source_set_priority(conn->source, priority));
}

bool control_server_is_open(const struct control_server *server, struct control_conn id)
{
	return control_server_lookup(server, id) != NULL;
}

unsigned int control_server_connection_count(const struct control_server *server)
{
	return server->conn_count;
}

/* Streams. */

static void control_server_stream_end(struct control_server_conn *conn)
{
	void (*done)(void *stream) = conn->stream_done;

	conn->stream_next = NULL;
	conn->stream_done = NULL;
	if (done)
		done(conn->stream);
}

/* control_server_stream_pump: items while the reader keeps up; called again when it is writable. */
static void control_server_stream_pump(struct control_server_conn *conn)
{
	struct control_ticket ticket = conn->stream_ticket;
	uint64_t items;

	while (conn->stream_next && !conn->doom &&
		control_server_pending(conn) < CONTROL_SERVER_OUTPUT_LOW) {
		json_t *item = conn->stream_next(conn->stream);

		if (!item) {
			items = conn->stream_items;
			control_server_stream_end(conn);
			(void)control_server_ok(conn->server, &ticket,
				json_pack("{s:I}", "items", (json_int_t)items));
			return;
		}
		if (control_server_item(conn->server, &ticket, item))
			conn->stream_items++;
		if (conn->stream_items % CONTROL_SERVER_STREAM_TURN == 0)
			return;
	}
}

bool control_server_stream(struct control_server *server, const struct control_ticket *ticket,
	void *stream, json_t *(*next)(void *stream), void (*done)(void *stream))
{
	struct control_server_conn *conn = control_server_lookup(server, ticket->conn);

	if (!conn || conn->stream_next) {
		if (done)
			done(stream);
		if (conn)
			(void)control_server_refuse(conn, ticket, "BUSY",
				"this connection is in the middle of another streamed answer");
		return false;
	}
	conn->stream = stream;
	conn->stream_next = next;
	conn->stream_done = done;
	conn->stream_ticket = *ticket;
	conn->stream_items = 0;
	control_server_arm(conn); /* the first items go out from the loop */
	return true;
}

/* Requests. */

static const struct control_op *control_server_find_op(
	const struct control_server *server, const char *name)
{
	for (size_t i = 0; i < server->options.op_count; i++) {
		if (strcmp(server->options.ops[i].name, name) == 0)
			return &server->options.ops[i];
	}
	return NULL;
}

static void control_server_request(struct control_server_conn *conn, json_t *body)
{
	struct control_server *server = conn->server;
	const json_t *seq = json_object_get(body, "seq");
	struct control_request request = {
		.ticket.conn = {(uint32_t)(conn - server->conns), conn->generation},
		.ticket.has_seq = json_is_integer(seq),
		.ticket.seq = (int64_t)json_integer_value(seq),
		.rights = conn->rights,
		.uid = conn->peer.uid,
		.pid = conn->peer.pid,
		.op = json_string_value(json_object_get(body, "op")),
		.body = body,
	};
	const struct control_op *op;

	conn->unanswered++;
	if (!request.op || (seq && !request.ticket.has_seq)) {
		(void)control_server_refuse(conn, &request.ticket, "BAD_REQUEST",
			"a request has a string \"op\", and \"seq\", if any, is an integer");
		return;
	}
	op = control_server_find_op(server, request.op);
	if (!op)
		(void)control_server_refuse(
			conn, &request.ticket, "UNKNOWN_OP", "there is no such op here");
	else if (conn->rights < op->rights_min)
		(void)control_server_refuse(conn, &request.ticket, "FORBIDDEN",
			op->rights_min == CONTROL_RIGHTS_ROOT
				? "only root may do that"
				: "only root and members of group carpool may do that");
	else
		op->run(server->options.context, &request);
}

static void control_server_line(struct control_server_conn *conn, const char *line, size_t length)
{
	struct control_ticket ticket = {0};
	json_t *body = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);

	conn->first_line_at = MONO_NEVER;
	if (json_is_object(body)) {
		control_server_request(conn, body);
	} else {
		(void)control_server_refuse(conn, &ticket, "BAD_REQUEST",
			"a request is one line that holds one JSON object");
		control_server_doom(conn, "garbage: not a JSON object", true);
	}
	json_decref(body);
}

/* control_server_torn: the clock of a line that was begun and not ended. */
static void control_server_torn(struct control_server_conn *conn, bool is_new_line)
{
	if (conn->input_start == conn->input_bytes)
		conn->torn_line_at = MONO_NEVER;
	else if (is_new_line || mono_is_never(conn->torn_line_at))
		conn->torn_line_at = mono_add(clock_now(), dur_ms(CONTROL_SERVER_TORN_LINE_MS));
}

/* control_server_take: one whole line of the input, if there is one; the next one in another turn
 * of the loop, so that packets and deadlines come between any two requests. */
static void control_server_take(struct control_server_conn *conn)
{
	const char *start = conn->input + conn->input_start;
	const char *newline = memchr(start, '\n', conn->input_bytes - conn->input_start);

	if (conn->doom || !newline || control_server_pending(conn) >= CONTROL_SERVER_OUTPUT_LOW)
		return;
	conn->input_start += (size_t)(newline - start) + 1;
	control_server_line(conn, start, (size_t)(newline - start));
	control_server_torn(conn, true);
	if (control_server_has_line(conn))
		control_server_work(conn->server);
}

/* control_server_room: what is not looked at yet goes to the front. */
static size_t control_server_room(struct control_server_conn *conn)
{
	conn->input_bytes -= conn->input_start;
	memmove(conn->input, conn->input + conn->input_start, conn->input_bytes);
	conn->input_start = 0;
	return LIMIT_CONTROL_LINE + 1 - conn->input_bytes;
}

static void control_server_read(struct control_server_conn *conn)
{
	size_t room = control_server_room(conn);
	struct control_ticket ticket = {0};
	ssize_t size;

	if (room == 0) /* of whole lines, that are not taken yet */
		return;
	size = recv(conn->fd, conn->input + conn->input_bytes, room, 0);
	if (size < 0 && errno != EAGAIN && errno != EINTR)
		control_server_doom(conn, "it broke the connection", false);
	if (size < 0)
		return;
	conn->input_bytes += (size_t)size;
	if (size == 0) {
		conn->ended = true;
		conn->half_open_at = mono_add(clock_now(), dur_ms(CONTROL_SERVER_HALF_OPEN_MS));
		control_server_work(conn->server);
		return;
	}
	control_server_torn(conn, false);
	if (conn->input_bytes > LIMIT_CONTROL_LINE && !control_server_has_line(conn)) {
		(void)control_server_refuse(
			conn, &ticket, "TOO_LONG", "a line is at most 65536 bytes");
		control_server_doom(conn, "a line longer than 65536 bytes", true);
	}
}

static int control_server_on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct control_server_conn *conn = userdata;

	(void)source;
	(void)fd;
	if (events & EPOLLOUT) {
		control_server_flush(conn);
		if (!conn->doom)
			control_server_stream_pump(conn);
		if (control_server_has_line(conn))
			control_server_work(conn->server);
	}
	if (events & EPOLLIN && !conn->doom && !conn->ended) {
		control_server_read(conn);
		control_server_take(conn);
	}
	if (events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLIN) && !control_server_has_line(conn))
		control_server_doom(conn, "", false);
	if (conn->doom)
		control_server_work(conn->server);
	control_server_arm(conn);
	control_server_rearm(conn->server);
	return 0;
}

/* Life and death of connections. */

static void control_server_reap(struct control_server_conn *conn)
{
	struct control_server *server = conn->server;
	struct control_conn id = {(uint32_t)(conn - server->conns), conn->generation};
	const char *reason = conn->doom;

	if (reason && reason[0])
		control_server_log(server, "closed the connection of uid %u, pid %d: %s",
			(unsigned int)conn->peer.uid, (int)conn->peer.pid, reason);
	control_server_stream_end(conn);
	sd_event_source_disable_unref(conn->source);
	close(conn->fd);
	free(conn->input);
	free(conn->output);
	*conn = (struct control_server_conn){
		.server = server, .fd = -1, .generation = id.generation};
	server->conn_count--;
	if (server->options.on_close)
		server->options.on_close(server->options.context, id);
}

/* control_server_finished: the caller has ended its side and nothing is left to tell it. */
static bool control_server_finished(const struct control_server_conn *conn)
{
	return conn->ended && conn->unanswered == 0 && !conn->stream_next &&
	       control_server_pending(conn) == 0 && !control_server_has_line(conn);
}

/* control_server_take_next: one line of one connection, each in its turn. */
static void control_server_take_next(struct control_server *server)
{
	for (size_t i = 1; i <= CONTROL_SERVER_CONNECTIONS_MAX; i++) {
		uint32_t slot = (server->turn + i) % CONTROL_SERVER_CONNECTIONS_MAX;
		struct control_server_conn *conn = &server->conns[slot];

		if (conn->fd < 0 || conn->doom || !control_server_has_line(conn) ||
			control_server_pending(conn) >= CONTROL_SERVER_OUTPUT_LOW)
			continue;
		server->turn = slot;
		control_server_take(conn);
		control_server_work(server); /* perhaps others have lines, too */
		return;
	}
}

static int control_server_on_work(sd_event_source *source, void *userdata)
{
	struct control_server *server = userdata;

	(void)source;
	control_server_take_next(server);
	for (size_t i = 0; i < CONTROL_SERVER_CONNECTIONS_MAX; i++) {
		struct control_server_conn *conn = &server->conns[i];
		bool torn = conn->input_start < conn->input_bytes;

		if (conn->fd < 0)
			continue;
		if (!conn->doom && control_server_finished(conn))
			control_server_doom(
				conn, torn ? "it ended in the middle of a line" : "", false);
		if (conn->doom && (!conn->doom_flushed || control_server_pending(conn) == 0))
			control_server_reap(conn);
		else
			control_server_arm(conn);
	}
	control_server_rearm(server);
	return 0;
}

static void control_server_expire(struct control_server_conn *conn, mono_t now)
{
	const char *reason = NULL;

	/* While we do not take its input, the line is not torn by its caller. */
	if (mono_reached(now, conn->torn_line_at) &&
		(control_server_has_line(conn) ||
			control_server_pending(conn) >= CONTROL_SERVER_OUTPUT_LOW))
		conn->torn_line_at = mono_add(now, dur_ms(CONTROL_SERVER_TORN_LINE_MS));
	if (mono_reached(now, conn->first_line_at))
		reason = "half-open: no request in time";
	else if (mono_reached(now, conn->torn_line_at))
		reason = "half-open: a line was begun and not ended in time";
	else if (mono_reached(now, conn->stalled_at))
		reason = "slow reader: took nothing of its output in time";
	else if (mono_reached(now, conn->half_open_at))
		reason = "half-open: it ended its side long ago";
	if (!reason)
		return;
	if (conn->doom) { /* was waiting for its last output to leave */
		conn->doom_flushed = false;
		control_server_work(conn->server);
	} else {
		control_server_doom(conn, reason, false);
	}
	conn->first_line_at = conn->torn_line_at = MONO_NEVER;
	conn->stalled_at = conn->half_open_at = MONO_NEVER;
}

static void control_server_on_deadline(void *context)
{
	struct control_server *server = context;
	mono_t now = clock_now();

	if (mono_reached(now, server->accept_again_at)) {
		server->accept_again_at = MONO_NEVER;
		evloop_set(sd_event_source_set_enabled(server->accept_source, SD_EVENT_ON));
	}
	for (size_t i = 0; i < CONTROL_SERVER_CONNECTIONS_MAX; i++) {
		if (server->conns[i].fd >= 0)
			control_server_expire(&server->conns[i], now);
	}
	control_server_rearm(server);
}

static enum control_rights control_server_rights(const struct unixsock_peer *peer)
{
	if (peer->uid == 0 || peer->uid == geteuid())
		return CONTROL_RIGHTS_ROOT;
	return peer->in_group ? CONTROL_RIGHTS_OPERATE : CONTROL_RIGHTS_READ;
}

/* control_server_slot: a free slot for this caller, or NULL and why not. */
static struct control_server_conn *control_server_slot(
	struct control_server *server, const struct unixsock_peer *peer, const char **ret_reason)
{
	uint32_t max = CONTROL_SERVER_CONNECTIONS_MAX;
	struct control_server_conn *free_slot = NULL;
	uint32_t of_uid = 0;

	for (size_t i = 0; i < CONTROL_SERVER_CONNECTIONS_MAX; i++) {
		struct control_server_conn *conn = &server->conns[i];

		if (conn->fd < 0)
			free_slot = conn;
		else if (conn->peer.uid == peer->uid)
			of_uid++;
	}
	if (control_server_rights(peer) != CONTROL_RIGHTS_ROOT)
		max -= CONTROL_SERVER_ROOT_RESERVE;
	*ret_reason = of_uid >= LIMIT_CONTROL_PER_UID ? "too many connections of this user"
						      : "too many connections";
	return of_uid < LIMIT_CONTROL_PER_UID && server->conn_count < max ? free_slot : NULL;
}

static int control_server_welcome(
	struct control_server_conn *conn, int fd, const struct unixsock_peer *peer)
{
	struct control_server *server = conn->server;
	int r;

	conn->input = malloc(LIMIT_CONTROL_LINE + 1);
	if (!conn->input)
		return -ENOMEM;
	r = sd_event_add_io(
		server->options.event, &conn->source, fd, EPOLLIN, control_server_on_io, conn);
	if (r < 0) {
		free(conn->input);
		conn->input = NULL;
		return r;
	}
	evloop_set(sd_event_source_set_priority(conn->source, EVLOOP_PRIORITY_CONTROL));
	conn->fd = fd;
	conn->generation = conn->generation == UINT32_MAX ? 1 : conn->generation + 1;
	conn->peer = *peer;
	conn->rights = control_server_rights(peer);
	conn->first_line_at = mono_add(clock_now(), dur_ms(CONTROL_SERVER_FIRST_LINE_MS));
	conn->torn_line_at = conn->stalled_at = conn->half_open_at = MONO_NEVER;
	server->conn_count++;
	return 0;
}

static void control_server_turn_away(int fd, const char *reason)
{
	char line[CONTROL_SERVER_TEXT_MAX];
	int length = snprintf(line, sizeof(line),
		"{\"ok\":false,\"error\":{\"code\":\"TOO_MANY\",\"text\":\"%s\"}}\n", reason);

	(void)send(fd, line, (size_t)length, MSG_NOSIGNAL); /* a courtesy */
	close(fd);
}

static int control_server_on_accept(
	sd_event_source *source, int listen_fd, uint32_t events, void *userdata)
{
	struct control_server *server = userdata;
	struct control_server_conn *conn;
	struct unixsock_peer peer;
	const char *reason = "its identity cannot be told";
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)source;
	(void)events;
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
		control_server_log(server, "cannot accept a connection: %s", strerror(errno));
		evloop_set(sd_event_source_set_enabled(server->accept_source, SD_EVENT_OFF));
		server->accept_again_at = mono_add(clock_now(), dur_ms(CONTROL_SERVER_RETRY_MS));
		control_server_rearm(server);
	}
	if (fd < 0)
		return 0;
	peer = (struct unixsock_peer){.pid = -1, .uid = (uid_t)-1};
	if (unixsock_peer(fd, server->group, &peer) == 0) {
		conn = control_server_slot(server, &peer, &reason);
		if (conn && control_server_welcome(conn, fd, &peer) == 0) {
			control_server_rearm(server);
			return 0;
		}
	}
	control_server_log(server, "refused a connection of uid %u, pid %d: %s",
		(unsigned int)peer.uid, (int)peer.pid, reason);
	control_server_turn_away(fd, reason);
	return 0;
}

static int control_server_open_sources(struct control_server *server)
{
	sd_event *event = server->options.event;
	int r = evloop_timer_open(
		&server->timer, event, EVLOOP_PRIORITY_CONTROL, control_server_on_deadline, server);

	if (r >= 0)
		r = sd_event_add_defer(event, &server->work_source, control_server_on_work, server);
	if (r >= 0)
		r = sd_event_source_set_enabled(server->work_source, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_source_set_priority(server->work_source, EVLOOP_PRIORITY_CONTROL);
	if (r >= 0)
		r = sd_event_add_io(event, &server->accept_source, server->fd, EPOLLIN,
			control_server_on_accept, server);
	if (r >= 0)
		r = sd_event_source_set_priority(server->accept_source, EVLOOP_PRIORITY_CONTROL);
	return r < 0 ? r : 0;
}

int control_server_open(
	struct control_server **ret_server, const struct control_server_options *options)
{
	struct control_server *server = calloc(1, sizeof(*server));
	const struct group *group = getgrnam(CONTROL_SERVER_GROUP); /* once: NSS may block */
	int r = -ENOMEM;

	if (!server)
		return r;
	server->options = *options;
	server->fd = -1;
	server->group = group ? group->gr_gid : (gid_t)-1;
	server->accept_again_at = MONO_NEVER;
	for (size_t i = 0; i < CONTROL_SERVER_CONNECTIONS_MAX; i++) {
		server->conns[i].server = server;
		server->conns[i].fd = -1;
	}
	server->path = strdup(options->path);
	if (server->path) {
		r = unixsock_listen(options->path, 0666);
		if (r >= 0) {
			server->fd = r;
			r = control_server_open_sources(server);
		}
	}
	if (r < 0) {
		control_server_close(server);
		return r;
	}
	*ret_server = server;
	return 0;
}

void control_server_close(struct control_server *server)
{
	if (!server)
		return;
	for (size_t i = 0; i < CONTROL_SERVER_CONNECTIONS_MAX; i++) {
		if (server->conns[i].fd < 0)
			continue;
		control_server_flush(&server->conns[i]); /* the last words, as far as they go */
		control_server_reap(&server->conns[i]);
	}
	sd_event_source_disable_unref(server->accept_source);
	sd_event_source_disable_unref(server->work_source);
	evloop_timer_close(&server->timer);
	if (server->fd >= 0) {
		unixsock_unlink(server->fd, server->path);
		close(server->fd);
	}
	free(server->path);
	free(server);
}
