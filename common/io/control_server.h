/* control_server.h: the serving side of the control protocol (design section 5).
 *
 * Newline-delimited JSON over a Unix stream socket. A request is an object with a string "op" and,
 * if the caller likes, a number "seq", which every line that answers it repeats. Ops are a table;
 * each has the least rights that may call it. An answer may come at once or later: keep the
 * request's ticket (plain data; a dead connection makes it stale, and answering it then is a
 * harmless no-op). Events are pushed to one connection or published to those that subscribed.
 *
 * Rights come from the kernel: uid 0 (in the host's or in our user namespace) ROOT, members of
 * group `carpool` OPERATE, others READ.
 *
 * A request is served when the loop has nothing more important to do, one a turn: packets and
 * deadlines come between any two, however fast somebody asks.
 *
 * Bounds: the line, the connections in all and a uid, the output queue, the time for a first and
 * for a torn line. Who breaks one is closed with a logged reason; the others notice nothing. */
#ifndef COMMON_IO_CONTROL_SERVER_H
#define COMMON_IO_CONTROL_SERVER_H

#include "common/io/evloop.h"
#include "common/limits.h"
#include "common/mono.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define CONTROL_SERVER_CONNECTIONS_MAX 64u /* in all; LIMIT_CONTROL_PER_UID for one uid */
#define CONTROL_SERVER_OUTPUT_MAX                                                                  \
	(1024u * 1024u)				   /* queued bytes: more, and it is a slow reader  \
						    */
#define CONTROL_SERVER_OUTPUT_LOW    (64u * 1024u) /* a stream's producer is asked below this */
#define CONTROL_SERVER_FIRST_LINE_MS 10000	   /* from connecting to the first whole line */
#define CONTROL_SERVER_TORN_LINE_MS  5000	   /* from a line's first byte to its newline */
#define CONTROL_SERVER_STALLED_MS    10000	   /* queued output of which nothing is taken */
#define CONTROL_SERVER_HALF_OPEN_MS  30000	   /* the caller has ended its side, we have not */
#define CONTROL_SERVER_ROOT_RESERVE  16u	   /* of the connections: never for others */
#define CONTROL_SERVER_LOG_PER_S     10u	   /* lines a second; the rest is counted */
#define CONTROL_SERVER_STREAM_TURN   32u /* items of a stream, then others have their turn */

enum control_rights {
	CONTROL_RIGHTS_READ = 0,
	CONTROL_RIGHTS_OPERATE,
	CONTROL_RIGHTS_ROOT,
};

struct control_server;

/* A connection, by value: stale once it is closed, never reused for another one. {0} is nobody. */
struct control_conn {
	uint32_t slot;
	uint32_t generation;
};

/* What an answer needs to find its question. */
struct control_ticket {
	struct control_conn conn;
	bool has_seq;
	int64_t seq;
};

struct control_request {
	struct control_ticket ticket;
	enum control_rights rights;
	uint32_t uid;
	int32_t pid;
	const char *op;
	json_t *body; /* borrowed for the call (json_incref to keep) */
};

struct control_op {
	const char *name;
	enum control_rights rights_min;
	void (*run)(void *context, const struct control_request *request);
};

struct control_server_options {
	sd_event *event;
	const char *path;
	const struct control_op *ops; /* kept until control_server_close */
	size_t op_count;
	void *context; /* given to ops and to on_close */
	void (*on_close)(void *context, struct control_conn conn); /* NULL allowed */
};

/* control_server_open: listens (mode 0666: rights are the kernel's word about the caller). 0 or a
 * negative errno as of unixsock_listen. */
int control_server_open(struct control_server **ret_server,
	const struct control_server_options *options) __attribute__((warn_unused_result));

/* control_server_close: closes all connections, frees, removes the file. NULL is allowed. */
void control_server_close(struct control_server *server);

/* control_server_ok: {"ok":true,"result":...}; `result` (an object, or NULL for {}) is moved.
 * An answer longer than a line may be becomes the error TOO_LARGE: stream it instead.
 * All of these return false when the connection is gone. */
bool control_server_ok(
	struct control_server *server, const struct control_ticket *ticket, json_t *result);

/* control_server_error: {"ok":false,"error":{"code":...,"text":...}}. */
bool control_server_error(struct control_server *server, const struct control_ticket *ticket,
	const char *code, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* control_server_item: {"item":...} of a short streamed answer; `item` is moved. */
bool control_server_item(
	struct control_server *server, const struct control_ticket *ticket, json_t *item);

/* control_server_send: any line, as it is ({"event":...}); `line` is moved. */
bool control_server_send(struct control_server *server, struct control_conn conn, json_t *line);

/* control_server_stream: an answer of any length: `next` is asked for items ({"item":...}) while
 * the caller reads, and at its end (NULL) {"ok":true,"result":{"items":N}} follows. `done` is
 * called exactly once, at the end or when the connection closes. One stream a connection at a time:
 * a second one is answered BUSY (and its `done` called). Items are moved here. */
bool control_server_stream(struct control_server *server, const struct control_ticket *ticket,
	void *stream, json_t *(*next)(void *stream), void (*done)(void *stream));

/* control_server_subscribe: adds topics (bits of your own) to a connection. */
bool control_server_subscribe(
	struct control_server *server, struct control_conn conn, uint32_t topics);

/* control_server_publish: the line to every connection that subscribed to one of the topics; `line`
 * is moved. Returns how many got it. */
unsigned int control_server_publish(struct control_server *server, uint32_t topics, json_t *line);

/* control_server_drop: closes one connection with a logged reason. */
void control_server_drop(
	struct control_server *server, struct control_conn conn, const char *reason);

/* control_server_prioritise: a connection that must not wait behind other callers (a handler in a
 * promotion); all start with EVLOOP_PRIORITY_CONTROL. */
void control_server_prioritise(
	struct control_server *server, struct control_conn conn, enum evloop_priority priority);

bool control_server_is_open(const struct control_server *server, struct control_conn conn);
unsigned int control_server_connection_count(const struct control_server *server);

#endif
