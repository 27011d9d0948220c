/* carpd/handlers.c over a real control socket: registration, answers, deadlines, ends. The client
 * is a plain socket; the loop runs until what is waited for has come. */
#include "carpd/handlers.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/unixsock.h"
#include "config/config.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT_MS 5000

static const char config_text[] =
	"cluster: t\nkeys: [k]\nnodes:\n"
	"  fw1: { id: 1, address: 10.9.9.1 }\n"
	"  fw2: { id: 2, address: 10.9.9.2 }\n"
	"groups: { edge: { vhid: 1, interfaces: { lan0: [10.1.0.254/24] } } }\n";

struct lab {
	sd_event *event;
	struct config *cfg;
	struct handlers *handlers;
	struct control_server *server;
	char folder[64], path[96];
	int client;
	char input[65536];
	size_t input_used;
	/* What the handlers' owner was told. */
	unsigned int phases, answers, healths;
	bool ok, required;
	char error[256];
};

static void on_phase(void *context, uint8_t group, enum config_phase phase, bool is_demotion,
	bool ok, bool required, const char *error)
{
	struct lab *lab = context;

	(void)phase;
	(void)is_demotion;
	assert_int_equal(group, 0);
	lab->phases++;
	lab->ok = ok;
	lab->required = required;
	snprintf(lab->error, sizeof(lab->error), "%s", error);
}

static void on_answer(
	void *context, uint8_t group, const char *name, int64_t us, bool ok, const char *error)
{
	(void)group;
	(void)name;
	(void)ok;
	(void)error;
	assert_true(us >= 0);
	((struct lab *)context)->answers++;
}

static void on_health(void *context)
{
	((struct lab *)context)->healths++;
}

static void on_registered(void *context, struct control_conn conn)
{
	struct lab *lab = context;
	json_t *role = json_pack("{s:s}", "event", "role");

	handlers_tell_role(lab->handlers, conn, role);
	json_decref(role);
}

static void op_register(void *context, const struct control_request *request)
{
	handlers_op_register(((struct lab *)context)->handlers, request);
}

static void op_done(void *context, const struct control_request *request)
{
	handlers_op_done(((struct lab *)context)->handlers, request);
}

static void op_health(void *context, const struct control_request *request)
{
	handlers_op_health(((struct lab *)context)->handlers, request);
}

static void on_close(void *context, struct control_conn conn)
{
	handlers_conn_closed(((struct lab *)context)->handlers, conn);
}

static const struct control_op ops[] = {
	{"register", CONTROL_RIGHTS_READ, op_register},
	{"done", CONTROL_RIGHTS_READ, op_done},
	{"health", CONTROL_RIGHTS_READ, op_health},
};

static int set_up(void **state)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	struct config_errors *errors = calloc(1, sizeof(*errors));
	struct control_server_options server = {
		.ops = ops, .op_count = ARRAY_LEN(ops), .context = lab, .on_close = on_close};
	struct handlers_options options = {.on_phase = on_phase,
		.on_answer = on_answer,
		.on_health = on_health,
		.on_registered = on_registered,
		.context = lab};

	assert_int_equal(sd_event_new(&lab->event), 0);
	lab->cfg = config_parse(config_text, strlen(config_text), "t.yaml", "fw1", errors);
	assert_non_null(lab->cfg);
	free(errors);
	strcpy(lab->folder, "/tmp/carpd-handlers-XXXXXX");
	assert_non_null(mkdtemp(lab->folder));
	snprintf(lab->path, sizeof(lab->path), "%s/s", lab->folder);
	options.event = server.event = lab->event;
	options.cfg = lab->cfg;
	server.path = lab->path;
	assert_int_equal(handlers_open(&lab->handlers, &options), 0);
	assert_int_equal(control_server_open(&lab->server, &server), 0);
	handlers_serve(lab->handlers, lab->server);
	lab->client = unixsock_connect(lab->path);
	assert_true(lab->client >= 0);
	*state = lab;
	return 0;
}

static int tear_down(void **state)
{
	struct lab *lab = *state;

	if (lab->client >= 0)
		close(lab->client);
	control_server_close(lab->server);
	handlers_close(lab->handlers);
	sd_event_unref(lab->event);
	config_free(lab->cfg);
	rmdir(lab->folder);
	free(lab);
	return 0;
}

/* run: lets the loop turn until the counter reaches the value. */
static void run(struct lab *lab, const unsigned int *counter, unsigned int value)
{
	mono_t deadline = mono_add(clock_now(), dur_ms(WAIT_MS));

	while (*counter < value) {
		assert_false(mono_reached(clock_now(), deadline));
		assert_true(sd_event_run(lab->event, 10000) >= 0);
	}
}

static void say(struct lab *lab, const char *line)
{
	assert_int_equal(write(lab->client, line, strlen(line)), (ssize_t)strlen(line));
}

/* hear: the next line that the client gets. */
static json_t *hear(struct lab *lab)
{
	mono_t deadline = mono_add(clock_now(), dur_ms(WAIT_MS));
	char *end;
	json_t *line;

	while (!(end = memchr(lab->input, '\n', lab->input_used))) {
		ssize_t size;

		assert_false(mono_reached(clock_now(), deadline));
		assert_true(sd_event_run(lab->event, 1000) >= 0);
		size = read(lab->client, lab->input + lab->input_used,
			sizeof(lab->input) - lab->input_used);
		lab->input_used += size > 0 ? (size_t)size : 0;
	}
	line = json_loadb(lab->input, (size_t)(end - lab->input), 0, NULL);
	assert_non_null(line);
	lab->input_used -= (size_t)(end + 1 - lab->input);
	memmove(lab->input, end + 1, lab->input_used);
	return line;
}

static void expect(struct lab *lab, const char *key, const char *value)
{
	json_t *line = hear(lab), *at = line;

	if (strcmp(key, "code") == 0)
		at = json_object_get(line, "error");
	assert_string_equal(json_string_value(json_object_get(at, key)), value);
	json_decref(line);
}

static void register_one(struct lab *lab, const char *fields)
{
	char text[256];
	json_t *line;

	snprintf(text, sizeof(text), "{\"op\":\"register\",%s}\n", fields);
	say(lab, text);
	line = hear(lab);
	assert_true(json_is_true(json_object_get(line, "ok")));
	json_decref(line);
	expect(lab, "event", "role");
}

static json_int_t hear_event(struct lab *lab, const char *name)
{
	json_t *line = hear(lab);
	json_int_t id = json_integer_value(json_object_get(line, "id"));

	assert_string_equal(json_string_value(json_object_get(line, "event")), name);
	json_decref(line);
	return id;
}

static int begin(struct lab *lab, enum config_phase phase, bool is_demotion)
{
	struct handlers_transition transition = {.is_demotion = is_demotion,
		.reason = REASON_HANDOVER,
		.term = {.number = 8, .owner = 2},
		.other = "fw1"};
	struct handlers_failure failure = {0};

	return handlers_begin(lab->handlers, phase, &transition, &failure);
}

static void test_answer(void **state)
{
	struct lab *lab = *state;
	char text[128];

	register_one(
		lab, "\"name\":\"syncd\",\"phase\":\"state\",\"timeout_ms\":500,\"required\":true");
	assert_true(handlers_has(lab->handlers, HANDLERS_SYNCD));
	assert_int_equal(begin(lab, CONFIG_PHASE_BEFORE, false), 0);
	assert_int_equal(begin(lab, CONFIG_PHASE_STATE, false), 1);
	snprintf(text, sizeof(text), "{\"op\":\"done\",\"id\":%lld,\"ok\":true}\n",
		(long long)hear_event(lab, "become_master"));
	say(lab, text);
	run(lab, &lab->phases, 1);
	assert_true(lab->ok);
	assert_int_equal(lab->answers, 1);
	/* The same answer again is counted and ignored. */
	say(lab, text);
	say(lab, "{\"op\":\"nothing\"}\n");
	expect(lab, "code", "UNKNOWN_OP");
	assert_int_equal(handlers_ignored_count(lab->handlers), 1);
	assert_int_equal(lab->phases, 1);
}

static void test_required_failure(void **state)
{
	struct lab *lab = *state;
	char text[128];

	register_one(lab, "\"name\":\"a\",\"phase\":\"before\",\"required\":true");
	assert_int_equal(begin(lab, CONFIG_PHASE_BEFORE, false), 1);
	snprintf(text, sizeof(text),
		"{\"op\":\"done\",\"id\":%lld,\"ok\":false,\"error\":\"no\"}\n",
		(long long)hear_event(lab, "become_master"));
	say(lab, text);
	run(lab, &lab->phases, 1);
	assert_false(lab->ok);
	assert_true(lab->required);
	assert_string_equal(lab->error, "a: no");
}

static void test_deadline(void **state)
{
	struct lab *lab = *state;
	mono_t start;

	register_one(lab, "\"name\":\"slow\",\"phase\":\"state\",\"timeout_ms\":40");
	start = clock_now();
	assert_int_equal(begin(lab, CONFIG_PHASE_STATE, false), 1);
	run(lab, &lab->phases, 1);
	assert_false(lab->ok);
	assert_false(lab->required);
	assert_true(mono_diff(clock_now(), start).us >= 40000);
}

static void test_close_in_the_middle(void **state)
{
	struct lab *lab = *state;

	register_one(lab, "\"name\":\"a\",\"phase\":\"state\",\"timeout_ms\":60000");
	assert_int_equal(begin(lab, CONFIG_PHASE_STATE, true), 1);
	close(lab->client);
	lab->client = -1;
	run(lab, &lab->phases, 1);
	assert_false(lab->ok);
	assert_false(handlers_has(lab->handlers, "a"));
}

static void test_cancel(void **state)
{
	struct lab *lab = *state;

	register_one(lab, "\"name\":\"a\",\"phase\":\"state\",\"timeout_ms\":30");
	assert_int_equal(begin(lab, CONFIG_PHASE_STATE, false), 1);
	handlers_cancel(lab->handlers, 0);
	(void)hear_event(lab, "become_master");
	say(lab, "{\"op\":\"done\",\"id\":1,\"ok\":true}\n{\"op\":\"x\"}\n");
	expect(lab, "code", "UNKNOWN_OP");
	assert_int_equal(lab->phases, 0);
}

/* A demotion tells `before` and `state` together: the addresses are gone by then. */
static void test_demotion_tells_both(void **state)
{
	struct lab *lab = *state;

	register_one(lab, "\"name\":\"a\",\"phase\":\"before\"");
	register_one(lab, "\"name\":\"b\",\"phase\":\"state\"");
	register_one(lab, "\"name\":\"c\",\"phase\":\"after\"");
	assert_int_equal(begin(lab, CONFIG_PHASE_STATE, true), 2);
	(void)hear_event(lab, "become_backup");
	(void)hear_event(lab, "become_backup");
	/* `after` is told, and nobody waits for it. */
	assert_int_equal(begin(lab, CONFIG_PHASE_AFTER, true), 0);
	(void)hear_event(lab, "become_backup");
}

static void test_health(void **state)
{
	struct lab *lab = *state;
	struct handlers_health health;
	unsigned int before;

	register_one(lab, "\"name\":\"syncd\",\"phase\":\"state\"");
	before = lab->healths;
	say(lab, "{\"op\":\"health\",\"ready\":false,\"not_ready\":[\"SYNC_NOT_CONNECTED\"],"
		 "\"alarms\":[{\"code\":\"TABLE_FULL\",\"text\":\"x\"}]}\n");
	run(lab, &lab->healths, before + 1);
	handlers_health(lab->handlers, &health);
	assert_int_equal(health.reason_count, 1);
	assert_string_equal(health.reasons[0], "SYNC_NOT_CONNECTED");
	say(lab, "{\"op\":\"health\",\"ready\":true,\"not_ready\":[\"STALE\"]}\n");
	run(lab, &lab->healths, before + 2);
	handlers_health(lab->handlers, &health);
	assert_int_equal(health.reason_count, 0);
}

static void test_bad_requests(void **state)
{
	struct lab *lab = *state;
	const char *const bad[] = {
		"{\"op\":\"register\"}\n",
		"{\"op\":\"register\",\"name\":\"\",\"phase\":\"state\"}\n",
		"{\"op\":\"register\",\"name\":\"A b\",\"phase\":\"state\"}\n",
		"{\"op\":\"register\",\"name\":\"a\",\"phase\":\"never\"}\n",
		"{\"op\":\"register\",\"name\":\"a\",\"phase\":\"state\",\"timeout_ms\":0}\n",
		"{\"op\":\"register\",\"name\":\"a\",\"phase\":\"state\",\"timeout_ms\":60001}\n",
		"{\"op\":\"register\",\"name\":7,\"phase\":\"state\"}\n",
		"{\"op\":\"health\",\"ready\":true}\n",
		"{\"op\":\"health\"}\n",
		"{\"op\":\"done\",\"id\":\"x\"}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		say(lab, bad[i]);
		expect(lab, "code", "BAD_REQUEST");
	}
	register_one(lab, "\"name\":\"a\",\"phase\":\"state\"");
	say(lab, "{\"op\":\"register\",\"name\":\"a\",\"phase\":\"after\"}\n");
	expect(lab, "code", "NAME_TAKEN");
	/* Readiness and promotions hang on syncd: its name is for nothing else. */
	say(lab, "{\"op\":\"register\",\"name\":\"syncd\",\"phase\":\"after\"}\n");
	expect(lab, "code", "FORBIDDEN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_required_failure, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_close_in_the_middle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_demotion_tells_both, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_health, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_requests, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
