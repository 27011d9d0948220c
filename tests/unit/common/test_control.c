/* control_server.h, control_client.h and unixsock.h: the protocol over real sockets. The server
 * runs in a child with its own loop; it must end in order (exit 0), whatever its callers did. */
#include "tests/unit/common/test.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/control_client.h"
#include "common/io/control_server.h"
#include "common/io/log.h"
#include "common/io/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOPIC_NEWS 1u
#define TOPIC_ODDS 2u

/* The server's side. */

static struct {
	sd_event *event;
	struct control_server *server;
	struct evloop_timer timer;
	struct control_ticket later;
	unsigned int closed_count;
	unsigned int streams_open;
} daemon_state;

static void op_echo(void *context, const struct control_request *request)
{
	(void)context;
	control_server_ok(daemon_state.server, &request->ticket, json_incref(request->body));
}

static void op_who(void *context, const struct control_request *request)
{
	(void)context;
	control_server_ok(daemon_state.server, &request->ticket,
		json_pack("{s:i,s:i,s:i}", "rights", (int)request->rights, "uid", (int)request->uid,
			"pid", (int)request->pid));
}

static void op_later(void *context, const struct control_request *request)
{
	(void)context;
	daemon_state.later = request->ticket;
	evloop_timer_set(&daemon_state.timer, mono_add(clock_now(), dur_ms(50)));
}

static void on_later(void *context)
{
	(void)context;
	control_server_ok(daemon_state.server, &daemon_state.later, NULL);
}

static void op_large(void *context, const struct control_request *request)
{
	char *text = malloc(LIMIT_CONTROL_LINE + 1);

	(void)context;
	memset(text, 'x', LIMIT_CONTROL_LINE);
	text[LIMIT_CONTROL_LINE] = 0;
	control_server_ok(daemon_state.server, &request->ticket, json_pack("{s:s}", "text", text));
	free(text);
}

struct count_stream {
	json_int_t next, end;
};

static json_t *stream_next(void *stream)
{
	struct count_stream *count = stream;

	return count->next < count->end ? json_pack("{s:I}", "n", count->next++) : NULL;
}

static void stream_done(void *stream)
{
	free(stream);
	daemon_state.streams_open--;
}

static void op_stream(void *context, const struct control_request *request)
{
	struct count_stream *count = calloc(1, sizeof(*count));

	(void)context;
	count->end = json_integer_value(json_object_get(request->body, "items"));
	daemon_state.streams_open++;
	control_server_stream(
		daemon_state.server, &request->ticket, count, stream_next, stream_done);
}

static void op_subscribe(void *context, const struct control_request *request)
{
	(void)context;
	control_server_subscribe(daemon_state.server, request->ticket.conn,
		(uint32_t)json_integer_value(json_object_get(request->body, "topics")));
	control_server_ok(daemon_state.server, &request->ticket, NULL);
}

static void op_publish(void *context, const struct control_request *request)
{
	json_int_t lines = json_integer_value(json_object_get(request->body, "lines"));
	char pad[1001];
	unsigned int got = 0;

	(void)context;
	memset(pad, 'y', sizeof(pad) - 1);
	pad[sizeof(pad) - 1] = 0;
	for (json_int_t i = 0; i < lines; i++)
		got += control_server_publish(daemon_state.server, TOPIC_NEWS,
			json_pack("{s:I,s:s}", "event", i, "pad", pad));
	control_server_ok(
		daemon_state.server, &request->ticket, json_pack("{s:i}", "got", (int)got));
}

static void op_counts(void *context, const struct control_request *request)
{
	(void)context;
	control_server_ok(daemon_state.server, &request->ticket,
		json_pack("{s:i,s:i,s:i}", "open",
			(int)control_server_connection_count(daemon_state.server), "closed",
			(int)daemon_state.closed_count, "streams", (int)daemon_state.streams_open));
}

static void op_suicide(void *context, const struct control_request *request)
{
	(void)context;
	control_server_drop(daemon_state.server, request->ticket.conn, "asked for it");
	/* From here on the ticket is stale, and that is harmless. */
	CHECK(!control_server_ok(daemon_state.server, &request->ticket, NULL));
	CHECK(!control_server_is_open(daemon_state.server, request->ticket.conn));
}

static const struct control_op ops[] = {
	{"echo", CONTROL_RIGHTS_READ, op_echo},
	{"who", CONTROL_RIGHTS_READ, op_who},
	{"operate", CONTROL_RIGHTS_OPERATE, op_who},
	{"root", CONTROL_RIGHTS_ROOT, op_who},
	{"later", CONTROL_RIGHTS_READ, op_later},
	{"large", CONTROL_RIGHTS_READ, op_large},
	{"stream", CONTROL_RIGHTS_READ, op_stream},
	{"subscribe", CONTROL_RIGHTS_READ, op_subscribe},
	{"publish", CONTROL_RIGHTS_READ, op_publish},
	{"counts", CONTROL_RIGHTS_READ, op_counts},
	{"suicide", CONTROL_RIGHTS_READ, op_suicide},
};

static void on_close(void *context, struct control_conn conn)
{
	(void)context;
	CHECK(conn.generation > 0);
	daemon_state.closed_count++;
}

static int on_term(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	(void)source;
	(void)info;
	(void)userdata;
	return sd_event_exit(daemon_state.event, 0);
}

static int daemon_run(const char *path, int ready_fd, int log_fd)
{
	static const int signals[] = {SIGTERM};
	struct control_server_options options = {
		.path = path,
		.ops = ops,
		.op_count = ARRAY_LEN(ops),
		.context = &daemon_state,
		.on_close = on_close,
	};

	(void)dup2(log_fd, STDERR_FILENO);
	log_open("testd", LOG_LEVEL_INFO);
	CHECK(sd_event_new(&daemon_state.event) >= 0);
	CHECK(evloop_add_signals(daemon_state.event, signals, 1, on_term, NULL) == 0);
	CHECK(evloop_timer_open(&daemon_state.timer, daemon_state.event, EVLOOP_PRIORITY_DEADLINE,
		      on_later, NULL) == 0);
	options.event = daemon_state.event;
	CHECK(control_server_open(&daemon_state.server, &options) == 0);
	CHECK(write(ready_fd, "r", 1) == 1);
	CHECK(sd_event_loop(daemon_state.event) == 0);
	control_server_close(daemon_state.server);
	evloop_timer_close(&daemon_state.timer);
	sd_event_unref(daemon_state.event);
	return daemon_state.streams_open == 0 ? 0 : 3;
}

/* The callers' side. */

struct fixture {
	char folder[64], path[96], log_path[96];
	pid_t child;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int ready[2], log_fd;
	char byte;

	*state = f;
	strcpy(f->folder, "/tmp/house-test-XXXXXX");
	if (!mkdtemp(f->folder) || chmod(f->folder, 0755) < 0 || pipe(ready) < 0)
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/d.sock", f->folder);
	snprintf(f->log_path, sizeof(f->log_path), "%s/log", f->folder);
	log_fd = open(f->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	f->child = fork();
	if (f->child == 0)
		exit(daemon_run(f->path, ready[1], log_fd));
	close(ready[1]);
	close(log_fd);
	if (f->child < 0 || read(ready[0], &byte, 1) != 1)
		return -1;
	close(ready[0]);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];
	int status, r;

	kill(f->child, SIGTERM);
	if (waitpid(f->child, &status, 0) != f->child || status != 0) {
		snprintf(command, sizeof(command), "cat %s", f->log_path);
		r = system(command);
		fprintf(stderr, "the server ended with status %d\n", status);
		return -1;
	}
	r = access(f->path, F_OK) == 0 ? -1 : 0; /* it takes its socket away */
	snprintf(command, sizeof(command), "rm -rf %s", f->folder);
	r |= system(command);
	free(f);
	return r;
}

static mono_t soon(void)
{
	return mono_add(clock_now(), dur_s(20));
}

static void wait_for_log(const struct fixture *f, const char *wanted)
{
	mono_t deadline = soon();
	char text[16384];

	while (!mono_reached(clock_now(), deadline)) {
		int fd = open(f->log_path, O_RDONLY);
		ssize_t size = read(fd, text, sizeof(text) - 1);

		close(fd);
		text[size > 0 ? size : 0] = 0;
		if (strstr(text, wanted))
			return;
		(void)poll(NULL, 0, 10);
	}
	fail_msg("the log does not say \"%s\" but:\n%s", wanted, text);
}

static struct control_client open_client(const struct fixture *f)
{
	struct control_client client = {.fd = -1};

	assert_int_equal(control_client_open(&client, f->path), 0);
	return client;
}

/* ask: one request as text; the code of the error, or "" and *ret_result (NULL allowed). */
static const char *ask(struct control_client *client, const char *request, json_t **ret_result)
{
	static struct control_client_error error;
	json_t *body = json_loads(request, 0, NULL), *result = NULL;
	int r;

	assert_non_null(body);
	r = control_client_call(client, body, soon(), &result, &error);
	json_decref(body);
	if (r < 0) {
		assert_int_equal(r, -EREMOTEIO);
		return error.code;
	}
	if (ret_result)
		*ret_result = result;
	else
		json_decref(result);
	return "";
}

static int count_of(struct control_client *client, const char *what)
{
	json_t *result;
	int count;

	assert_string_equal(ask(client, "{\"op\":\"counts\"}", &result), "");
	count = (int)json_integer_value(json_object_get(result, what));
	json_decref(result);
	return count;
}

static void wait_for_count(struct control_client *client, const char *what, int wanted)
{
	mono_t deadline = soon();

	while (count_of(client, what) != wanted) {
		if (mono_reached(clock_now(), deadline))
			fail_msg("%s is %d, not %d", what, count_of(client, what), wanted);
		(void)poll(NULL, 0, 5);
	}
}

static int raw_connect(const struct fixture *f)
{
	int fd = unixsock_connect(f->path);

	assert_true(fd >= 0);
	return fd;
}

static void raw_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* raw_read_all: everything until the server closes. */
static const char *raw_read_all(int fd)
{
	static char text[65536];
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	size_t used = 0;
	ssize_t size = 1;

	while (size > 0 && used < sizeof(text) - 1) {
		assert_int_equal(poll(&poll_fd, 1, 20000), 1);
		size = recv(fd, text + used, sizeof(text) - 1 - used, 0);
		used += size > 0 ? (size_t)size : 0;
	}
	text[used] = 0;
	return text;
}

static void test_answers_and_seq(void **state)
{
	struct control_client client = open_client(*state);
	json_t *line, *request = json_pack("{s:s,s:i}", "op", "echo", "seq", 7);

	assert_int_equal(control_client_send(&client, request, soon()), 0);
	assert_int_equal(control_client_receive(&client, soon(), &line), 0);
	assert_int_equal(json_integer_value(json_object_get(line, "seq")), 7);
	assert_true(json_equal(json_object_get(line, "result"), request));
	json_decref(line);
	json_decref(request);
	assert_string_equal(ask(&client, "{\"op\":\"who\"}", &line), "");
	assert_int_equal(json_integer_value(json_object_get(line, "uid")), getuid());
	assert_int_equal(json_integer_value(json_object_get(line, "pid")), getpid());
	assert_int_equal(json_integer_value(json_object_get(line, "rights")), CONTROL_RIGHTS_ROOT);
	json_decref(line);
	assert_string_equal(ask(&client, "{\"op\":\"later\"}", NULL), "");
	control_client_close(&client);
	control_client_close(&client);
}

static void test_what_is_refused_and_leaves_the_connection(void **state)
{
	struct control_client client = open_client(*state);

	assert_string_equal(ask(&client, "{\"op\":\"frobnicate\"}", NULL), "UNKNOWN_OP");
	assert_string_equal(ask(&client, "{\"op\":7}", NULL), "BAD_REQUEST");
	assert_string_equal(ask(&client, "{}", NULL), "BAD_REQUEST");
	assert_string_equal(ask(&client, "{\"op\":\"echo\",\"seq\":\"a\"}", NULL), "BAD_REQUEST");
	assert_string_equal(ask(&client, "{\"op\":\"large\"}", NULL), "TOO_LARGE");
	assert_string_equal(ask(&client, "{\"op\":\"echo\"}", NULL), "");
	control_client_close(&client);
}

static void test_garbage_is_closed_with_a_reason(void **state)
{
	static const char *const cases[] = {"hello\n", "\n", "[1]\n", "{\"op\":\"echo\"\n",
		"{\"op\":\"echo\",\"op\":\"who\"}\n", "{\"op\":\"e\\u0000\"}\n", "\xff\xfe\n"};
	struct control_client client = open_client(*state);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int fd = raw_connect(*state);

		raw_send(fd, cases[i]);
		assert_non_null(strstr(raw_read_all(fd), "\"BAD_REQUEST\""));
		close(fd);
	}
	wait_for_log(*state, "garbage: not a JSON object");
	wait_for_count(&client, "open", 1);
	control_client_close(&client);
}

static void test_a_line_too_long_is_closed_with_a_reason(void **state)
{
	struct control_client client = open_client(*state);
	char *line = malloc(LIMIT_CONTROL_LINE + 3);
	int fd = raw_connect(*state);
	int size = snprintf(line, 32, "{\"op\":\"echo\",\"x\":\"");

	memset(line + size, 'z', LIMIT_CONTROL_LINE + 2 - (size_t)size);
	line[LIMIT_CONTROL_LINE + 2] = 0;
	raw_send(fd, line);
	assert_non_null(strstr(raw_read_all(fd), "\"TOO_LONG\""));
	close(fd);
	wait_for_log(*state, "longer than 65536 bytes");
	/* The longest line that is allowed: echoed inside an answer, it is too large to go back. */
	strcpy(line + LIMIT_CONTROL_LINE - 3, "\"}");
	assert_string_equal(ask(&client, line, NULL), "TOO_LARGE");
	free(line);
	control_client_close(&client);
}

static void test_lines_in_pieces_and_in_heaps(void **state)
{
	static const char request[] = "{\"op\":\"echo\",\"seq\":1}\n";
	struct control_client client = open_client(*state);
	json_t *line;

	for (size_t i = 0; i < sizeof(request) - 1; i++)
		assert_int_equal(send(client.fd, request + i, 1, MSG_NOSIGNAL), 1);
	assert_int_equal(control_client_receive(&client, soon(), &line), 0);
	json_decref(line);
	for (int i = 0; i < 100; i++) { /* more than the server takes in one turn */
		char text[64];

		snprintf(text, sizeof(text), "{\"op\":\"echo\",\"seq\":%d}\n", i);
		raw_send(client.fd, text);
	}
	for (int i = 0; i < 100; i++) {
		assert_int_equal(control_client_receive(&client, soon(), &line), 0);
		assert_int_equal(json_integer_value(json_object_get(line, "seq")), i);
		json_decref(line);
	}
	control_client_close(&client);
}

static void test_a_caller_that_ends_its_side_still_gets_its_answers(void **state)
{
	int fd = raw_connect(*state);

	raw_send(fd, "{\"op\":\"later\",\"seq\":1}\n{\"op\":\"echo\",\"seq\":2}\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_non_null(
		strstr(raw_read_all(fd), "\"seq\":1")); /* the later one came, then the end */
	close(fd);
}

static void test_an_answer_to_a_dead_connection_goes_nowhere(void **state)
{
	struct control_client client = open_client(*state);

	for (int i = 0; i < 20; i++) {
		int fd = raw_connect(*state);

		raw_send(fd, "{\"op\":\"later\"}\n");
		close(fd);
	}
	wait_for_count(&client, "open", 1);
	assert_string_equal(ask(&client, "{\"op\":\"later\"}", NULL), "");
	control_client_close(&client);
}

static int count_item(const json_t *item, void *context)
{
	json_int_t *next = context;

	if (json_integer_value(json_object_get(item, "n")) != *next)
		return -EPROTO;
	++*next;
	return 0;
}

static void test_long_streams(void **state)
{
	struct control_client client = open_client(*state);
	struct control_client_error error;
	json_t *request = json_pack("{s:s,s:i}", "op", "stream", "items", 100000), *result;
	json_int_t next = 0;

	assert_int_equal(control_client_stream(
				 &client, request, dur_s(20), count_item, &next, &result, &error),
		0);
	assert_int_equal(next, 100000);
	assert_int_equal(json_integer_value(json_object_get(result, "items")), 100000);
	json_decref(result);
	json_object_set_new(request, "items", json_integer(0));
	assert_int_equal(control_client_stream(
				 &client, request, dur_s(20), count_item, &next, &result, &error),
		0);
	json_decref(result);
	json_decref(request);
	control_client_close(&client);
}

static void test_a_reader_that_leaves_mid_stream_is_cleaned_up(void **state)
{
	struct control_client client = open_client(*state);
	int fd = raw_connect(*state), second = raw_connect(*state);

	raw_send(fd, "{\"op\":\"stream\",\"items\":1000000000}\n");
	raw_send(second, "{\"op\":\"stream\",\"items\":1000000000}\n{\"op\":\"stream\"}\n");
	wait_for_count(&client, "streams", 2); /* the third was told BUSY */
	close(fd);
	close(second);
	wait_for_count(&client, "streams", 0);
	control_client_close(&client);
}

static void test_subscribers(void **state)
{
	struct control_client news = open_client(*state), odds = open_client(*state);
	struct control_client client = open_client(*state);
	json_t *line, *result;

	assert_string_equal(ask(&news, "{\"op\":\"subscribe\",\"topics\":1}", NULL), "");
	assert_string_equal(ask(&odds, "{\"op\":\"subscribe\",\"topics\":2}", NULL), "");
	assert_string_equal(ask(&client, "{\"op\":\"publish\",\"lines\":3}", &result), "");
	assert_int_equal(json_integer_value(json_object_get(result, "got")), 3);
	json_decref(result);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(control_client_receive(&news, soon(), &line), 0);
		assert_int_equal(json_integer_value(json_object_get(line, "event")), i);
		json_decref(line);
	}
	assert_int_equal(control_client_receive(&odds, MONO_ZERO, &line), -ETIMEDOUT);
	control_client_close(&news);
	control_client_close(&odds);
	control_client_close(&client);
}

static void test_a_slow_reader_is_closed_and_nobody_else(void **state)
{
	struct control_client client = open_client(*state), reader = open_client(*state);
	struct control_client slow = open_client(*state);
	json_t *line;

	assert_string_equal(ask(&slow, "{\"op\":\"subscribe\",\"topics\":1}", NULL), "");
	for (int i = 0; i < 200; i++) /* 10 kB each: 2 MB that nobody reads */
		assert_string_equal(ask(&client, "{\"op\":\"publish\",\"lines\":10}", NULL), "");
	wait_for_log(*state, "slow reader");
	wait_for_count(&client, "open", 2);
	assert_string_equal(ask(&reader, "{\"op\":\"echo\"}", NULL), "");
	/* What had been sent is whole lines and then an end. */
	while (control_client_receive(&slow, soon(), &line) == 0)
		json_decref(line);
	control_client_close(&slow);
	control_client_close(&reader);
	control_client_close(&client);
}

static void test_one_who_asks_and_never_reads_is_held_back(void **state)
{
	struct control_client client = open_client(*state);
	int fd = raw_connect(*state);
	static char request[1100];
	size_t sent = 0;

	snprintf(request, sizeof(request), "{\"op\":\"echo\",\"x\":\"%01000d\"}\n", 0);
	/* At some point the socket is full, because the server has stopped reading it. */
	for (int i = 0; i < 100000; i++) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

		if (send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
			sent += strlen(request);
		else if (errno != EAGAIN || poll(&poll_fd, 1, 200) == 0)
			break;
	}
	assert_true(sent < 4u << 20);
	assert_string_equal(ask(&client, "{\"op\":\"echo\"}", NULL), "");
	close(fd);
	wait_for_count(&client, "open", 1);
	control_client_close(&client);
}

static void test_sixteen_a_uid(void **state)
{
	struct control_client client = open_client(*state);
	int fds[LIMIT_CONTROL_PER_UID];

	for (size_t i = 0; i < LIMIT_CONTROL_PER_UID; i++)
		fds[i] = raw_connect(*state);
	assert_non_null(strstr(raw_read_all(fds[LIMIT_CONTROL_PER_UID - 1]), "\"TOO_MANY\""));
	wait_for_log(*state, "too many connections of this user");
	for (size_t i = 0; i < LIMIT_CONTROL_PER_UID; i++)
		close(fds[i]);
	wait_for_count(&client, "open", 1);
	control_client_close(&client);
}

static void test_a_connection_that_dies_under_its_op(void **state)
{
	struct control_client client = open_client(*state);
	int fd = raw_connect(*state);

	raw_send(fd, "{\"op\":\"suicide\"}\n{\"op\":\"echo\"}\n");
	assert_string_equal(raw_read_all(fd), "");
	close(fd);
	wait_for_log(*state, "asked for it");
	assert_int_equal(count_of(&client, "closed"), 1);
	control_client_close(&client);
}

/* as_user: asks `op` as somebody else; 0 when the answer's code is `wanted`. */
static int as_user(
	const struct fixture *f, uid_t uid, gid_t group, const char *op, const char *wanted)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct control_client client;
		char request[64];

		if (setgroups(group ? 1 : 0, &group) < 0 || setresgid(uid, uid, uid) < 0 ||
			setresuid(uid, uid, uid) < 0 || control_client_open(&client, f->path) < 0)
			_exit(2);
		snprintf(request, sizeof(request), "{\"op\":\"%s\"}", op);
		_exit(strcmp(ask(&client, request, NULL), wanted) != 0);
	}
	return waitpid(child, &status, 0) == child ? status : -1;
}

static void test_rights_of_others(void **state)
{
	const struct group *group = getgrnam("carpool");

	if (geteuid() != 0)
		skip();
	assert_int_equal(as_user(*state, 65534, 0, "who", ""), 0);
	assert_int_equal(as_user(*state, 65534, 0, "operate", "FORBIDDEN"), 0);
	assert_int_equal(as_user(*state, 65534, 0, "root", "FORBIDDEN"), 0);
	if (group) { /* on a machine where carpool is installed */
		assert_int_equal(as_user(*state, 65534, group->gr_gid, "operate", ""), 0);
		assert_int_equal(as_user(*state, 65534, group->gr_gid, "root", "FORBIDDEN"), 0);
	}
}

static void test_peers_groups(void **state)
{
	struct unixsock_peer peer;
	gid_t groups[] = {4242, 4343};
	int fds[2];
	pid_t child;
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	child = fork();
	if (child == 0) { /* credentials are those of the time of the socketpair */
		if (setgroups(2, groups) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 ||
			setgroups(0, NULL) < 0)
			_exit(1);
		if (unixsock_peer(fds[0], 4343, &peer) < 0 || !peer.in_group ||
			peer.pid != getpid())
			_exit(2);
		if (unixsock_peer(fds[0], 4444, &peer) < 0 || peer.in_group)
			_exit(3);
		_exit(unixsock_peer(fds[0], (gid_t)-1, &peer) < 0 || peer.in_group ? 4 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_stale_sockets_are_replaced_living_ones_are_not(void **state)
{
	const struct fixture *f = *state;
	char path[128], long_path[300];
	struct stat st;
	int fd, second;

	assert_int_equal(unixsock_listen(f->path, 0600), -EADDRINUSE);
	snprintf(path, sizeof(path), "%s/stale", f->folder);
	fd = unixsock_listen(path, 0666);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	close(fd); /* without unlinking: what a crash leaves */
	assert_int_equal(unixsock_connect(path), -ECONNREFUSED);
	second = unixsock_listen(path, 0600);
	assert_true(second >= 0);
	unixsock_unlink(second, path);
	assert_int_equal(access(path, F_OK), -1);
	close(second);
	assert_int_equal(unixsock_connect(path), -ENOENT);
	assert_int_equal(unixsock_listen(f->log_path, 0600), -ENOTSOCK);
	/* Longer than sun_path. */
	snprintf(long_path, sizeof(long_path), "%s/%0120d", f->folder, 0);
	assert_int_equal(mkdir(long_path, 0700), 0);
	strcat(long_path, "/d.sock");
	fd = unixsock_listen(long_path, 0600);
	assert_true(fd >= 0);
	second = unixsock_connect(long_path);
	assert_true(second >= 0);
	close(second);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers_and_seq),
		TEST(test_what_is_refused_and_leaves_the_connection),
		TEST(test_garbage_is_closed_with_a_reason),
		TEST(test_a_line_too_long_is_closed_with_a_reason),
		TEST(test_lines_in_pieces_and_in_heaps),
		TEST(test_a_caller_that_ends_its_side_still_gets_its_answers),
		TEST(test_an_answer_to_a_dead_connection_goes_nowhere),
		TEST(test_long_streams),
		TEST(test_a_reader_that_leaves_mid_stream_is_cleaned_up),
		TEST(test_subscribers),
		TEST(test_a_slow_reader_is_closed_and_nobody_else),
		TEST(test_one_who_asks_and_never_reads_is_held_back),
		TEST(test_sixteen_a_uid),
		TEST(test_a_connection_that_dies_under_its_op),
		TEST(test_rights_of_others),
		TEST(test_peers_groups),
		TEST(test_stale_sockets_are_replaced_living_ones_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
