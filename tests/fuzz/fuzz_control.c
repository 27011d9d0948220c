/* Bytes of a caller to a control server: whatever comes, the server answers or closes, keeps
 * nothing of the caller, and serves the next one. The first byte of the input cuts the rest into
 * pieces. */
#include "common/check.h"
#include "common/io/control_server.h"
#include "common/io/log.h"
#include "common/io/unixsock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sd_event *event;
static struct control_server *server;

static void op_echo(void *context, const struct control_request *request)
{
	(void)context;
	control_server_ok(server, &request->ticket, json_incref(request->body));
}

static json_t *stream_next(void *stream)
{
	return --*(int *)stream > 0 ? json_object() : NULL;
}

static void op_stream(void *context, const struct control_request *request)
{
	int *count = malloc(sizeof(*count));

	(void)context;
	*count = 100;
	control_server_stream(server, &request->ticket, count, stream_next, free);
}

static const struct control_op ops[] = {
	{"e", CONTROL_RIGHTS_READ, op_echo},
	{"s", CONTROL_RIGHTS_READ, op_stream},
};

static char path[64];

static void tidy_up(void)
{
	control_server_close(server);
	(void)rmdir(path);
}

static void set_up(void)
{
	static char socket_path[80];
	struct control_server_options options = {.ops = ops, .op_count = ARRAY_LEN(ops)};

	snprintf(path, sizeof(path), "/tmp/fuzz-control-XXXXXX");
	CHECK(mkdtemp(path));
	snprintf(socket_path, sizeof(socket_path), "%s/s", path);
	log_open("fuzz", LOG_LEVEL_ERROR);
	CHECK(sd_event_new(&event) >= 0);
	options.event = event;
	options.path = socket_path;
	CHECK(control_server_open(&server, &options) == 0);
	CHECK(atexit(tidy_up) == 0);
}

static void run_loop(void)
{
	while (sd_event_run(event, 0) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char socket_path[80], answer[4096];
	size_t piece, sent = 1;
	int fd;

	if (!server)
		set_up();
	if (size < 2)
		return 0;
	piece = data[0] ? data[0] * 16u : size;
	snprintf(socket_path, sizeof(socket_path), "%s/s", path);
	fd = unixsock_connect(socket_path);
	CHECK(fd >= 0);
	while (sent < size) {
		size_t length = size - sent < piece ? size - sent : piece;
		ssize_t n = send(fd, data + sent, length, MSG_NOSIGNAL);

		run_loop();
		if (n <= 0)
			break;
		sent += (size_t)n;
		while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
			;
	}
	close(fd);
	run_loop();
	CHECK(control_server_connection_count(server) == 0);
	return 0;
}
