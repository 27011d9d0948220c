/* control_server_bare.c: common/io/control_server.c and nothing else, as a process of its own, so
 * that test_control_abuse.py can maltreat it (and tests/system's labs need not).
 *
 * control_server_bare SOCKET. Ops: status and big (everybody), stream and events (operate), root
 * (root). Publishes an event of 1 KB every millisecond. Ends on SIGTERM. */
#include "common/io/clock.h"
#include "common/io/control_server.h"
#include "common/io/evloop.h"
#include "common/io/log.h"

#include "common/check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BARE_STREAM_ITEMS 100000u
#define BARE_EVENT_BYTES  1024u

struct bare {
	struct control_server *server;
	struct evloop_timer timer;
	uint64_t event_count;
};

struct bare_stream {
	unsigned int count;
};

static void bare_status(void *context, const struct control_request *request)
{
	struct bare *bare = context;

	control_server_ok(bare->server, &request->ticket,
		json_pack("{s:i,s:i}", "uid", (int)request->uid, "connections",
			(int)control_server_connection_count(bare->server)));
}

static void bare_big(void *context, const struct control_request *request)
{
	struct bare *bare = context;
	static char text[60001];

	memset(text, 'x', sizeof(text) - 1);
	control_server_ok(bare->server, &request->ticket, json_pack("{s:s}", "text", text));
}

static json_t *bare_stream_next(void *context)
{
	struct bare_stream *stream = context;

	if (stream->count == BARE_STREAM_ITEMS)
		return NULL;
	return json_pack("{s:i}", "n", (int)stream->count++);
}

static void bare_stream(void *context, const struct control_request *request)
{
	struct bare *bare = context;
	struct bare_stream *stream = calloc(1, sizeof(*stream));

	CHECK(stream);
	control_server_stream(bare->server, &request->ticket, stream, bare_stream_next, free);
}

static void bare_events(void *context, const struct control_request *request)
{
	struct bare *bare = context;

	control_server_subscribe(bare->server, request->ticket.conn, 1);
}

static void bare_root(void *context, const struct control_request *request)
{
	struct bare *bare = context;

	control_server_ok(bare->server, &request->ticket, NULL);
}

static const struct control_op bare_ops[] = {
	{"status", CONTROL_RIGHTS_READ, bare_status},
	{"big", CONTROL_RIGHTS_READ, bare_big},
	{"stream", CONTROL_RIGHTS_OPERATE, bare_stream},
	{"events", CONTROL_RIGHTS_OPERATE, bare_events},
	{"root", CONTROL_RIGHTS_ROOT, bare_root},
};

static void bare_on_deadline(void *context)
{
	struct bare *bare = context;
	static char text[BARE_EVENT_BYTES];

	memset(text, 'e', sizeof(text) - 1);
	control_server_publish(bare->server, 1,
		json_pack("{s:s,s:I,s:s}", "event", "tick", "n", (json_int_t)bare->event_count++,
			"text", text));
	evloop_timer_set(&bare->timer, mono_add(clock_now(), dur_ms(1)));
}

static int bare_on_signal(
	sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	(void)info;
	(void)context;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

int main(int argc, char **argv)
{
	static const int signals[] = {SIGTERM, SIGINT};
	struct control_server_options options = {
		.path = argc == 2 ? argv[1] : "",
		.ops = bare_ops,
		.op_count = ARRAY_LEN(bare_ops),
	};
	struct bare bare = {0};
	sd_event *event;

	if (argc != 2)
		return 2;
	log_open("bare", LOG_LEVEL_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	CHECK(sd_event_new(&event) >= 0);
	CHECK(evloop_add_signals(event, signals, ARRAY_LEN(signals), bare_on_signal, NULL) >= 0);
	options.event = event;
	options.context = &bare;
	CHECK(control_server_open(&bare.server, &options) == 0);
	CHECK(evloop_timer_open(
		      &bare.timer, event, EVLOOP_PRIORITY_DEADLINE, bare_on_deadline, &bare) == 0);
	evloop_timer_set(&bare.timer, clock_now());
	puts("READY");
	fflush(stdout);
	CHECK(sd_event_loop(event) == 0);
	evloop_timer_close(&bare.timer);
	control_server_close(bare.server);
	sd_event_unref(event);
	return 0;
}
