#include "syncd/carpd_client.h"

#include "common/io/clock.h"
#include "common/io/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* carpd answers from memory; a line that it does not take within this is a carpd that hangs. */
#define CARPD_CLIENT_SEND_MS	200
#define CARPD_CLIENT_REFUSED_MS 1000
#define CARPD_CLIENT_SEQ	1 /* of the registration */

static void carpd_client_lose(struct carpd_client *client, int error)
{
	if (!client->connected)
		return;
	client->connected = false;
	sd_event_source_disable_unref(client->source);
	client->source = NULL;
	control_client_close(&client->client);
	errno = error;
	log_warn("carpd is gone: frozen until it is back");
	client->on_lost(client->context);
	evloop_timer_set(&client->retry, mono_add(clock_now(), dur_ms(CARPD_CLIENT_RETRY_MS)));
}

/* carpd_client_send: `line` is moved. */
static void carpd_client_send(struct carpd_client *client, json_t *line)
{
	int r = -ENOMEM;

	if (!client->connected) {
		json_decref(line);
		return;
	}
	if (line)
		r = control_client_send(
			&client->client, line, mono_add(clock_now(), dur_ms(CARPD_CLIENT_SEND_MS)));
	json_decref(line);
	if (r < 0)
		carpd_client_lose(client, -r);
}

void carpd_client_done(struct carpd_client *client, int64_t id, const char *error)
{
	json_t *line = json_pack(
		"{s:s, s:I, s:b}", "op", "done", "id", (json_int_t)id, "ok", error == NULL);

	if (line && error && json_object_set_new(line, "error", json_string(error)) < 0) {
		json_decref(line);
		line = NULL;
	}
	carpd_client_send(client, line);
}

void carpd_client_health(struct carpd_client *client, bool ready, json_t *not_ready, json_t *alarms)
{
	carpd_client_send(client, json_pack("{s:s, s:b, s:o, s:o}", "op", "health", "ready", ready,
					  "not_ready", not_ready, "alarms", alarms));
}

static const char *carpd_client_text(const json_t *line, const char *key)
{
	return json_string_value(json_object_get(line, key));
}

static void carpd_client_on_role(struct carpd_client *client, const json_t *line)
{
	struct carpd_role role = {.group = carpd_client_text(line, "group"),
		.state = carpd_client_text(line, "state"),
		.master = carpd_client_text(line, "master"),
		.term = (uint32_t)json_integer_value(json_object_get(line, "term")),
		.term_owner = (uint8_t)json_integer_value(json_object_get(line, "term_owner"))};

	if (role.group && role.state)
		client->on_role(client->context, &role);
}

static void carpd_client_on_transition(
	struct carpd_client *client, const json_t *line, bool to_master)
{
	struct carpd_transition transition = {.group = carpd_client_text(line, "group"),
		.other = carpd_client_text(line, to_master ? "from" : "to"),
		.id = json_integer_value(json_object_get(line, "id")),
		.term = (uint32_t)json_integer_value(json_object_get(line, "term")),
		.term_owner = (uint8_t)json_integer_value(json_object_get(line, "term_owner")),
		.to_master = to_master};

	if (transition.group)
		client->on_transition(client->context, &transition);
}

static void carpd_client_on_line(struct carpd_client *client, const json_t *line)
{
	const char *event = carpd_client_text(line, "event");
	const char *text = carpd_client_text(json_object_get(line, "error"), "text");
	bool refused = json_is_false(json_object_get(line, "ok"));

	if (refused)
		log_warnx("carpd refuses: %s", text ? text : "without a word");
	/* Connected and not registered is no state to stay in: an earlier connection of ours may
	 * not have been seen to end yet. */
	if (refused && json_integer_value(json_object_get(line, "seq")) == CARPD_CLIENT_SEQ) {
		carpd_client_lose(client, EBUSY);
		evloop_timer_set(
			&client->retry, mono_add(clock_now(), dur_ms(CARPD_CLIENT_REFUSED_MS)));
	}
	if (!event)
		return;
	if (strcmp(event, "role") == 0)
		carpd_client_on_role(client, line);
	else if (strcmp(event, "become_master") == 0)
		carpd_client_on_transition(client, line, true);
	else if (strcmp(event, "become_backup") == 0)
		carpd_client_on_transition(client, line, false);
}

static int on_carpd(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct carpd_client *client = context;

	(void)source;
	(void)fd;
	(void)events;
	while (client->connected) {
		json_t *line;
		int r = control_client_receive(&client->client, MONO_ZERO, &line);

		if (r == -ETIMEDOUT)
			break;
		if (r < 0) {
			carpd_client_lose(client, -r);
			break;
		}
		carpd_client_on_line(client, line);
		json_decref(line);
	}
	return 0;
}

static int carpd_client_connect(struct carpd_client *client)
{
	int r = control_client_open(&client->client, client->path);

	if (r < 0)
		return r;
	r = sd_event_add_io(client->event, &client->source, control_client_fd(&client->client),
		EPOLLIN, on_carpd, client);
	if (r < 0) {
		client->source = NULL;
		control_client_close(&client->client);
		return r;
	}
	/* A promotion waits for us: before peers and kernel events. */
	(void)sd_event_source_set_priority(client->source, EVLOOP_PRIORITY_INPUT);
	client->connected = true;
	client->complained = false;
	carpd_client_send(
		client, json_pack("{s:s, s:i, s:s, s:s, s:i, s:b}", "op", "register", "seq",
				CARPD_CLIENT_SEQ, "name", "syncd", "phase", "state", "timeout_ms",
				client->timeout_ms, "required", 1));
	if (!client->connected)
		return 0; /* lost again; the timer is set */
	log_notice("registered with carpd");
	client->on_registered(client->context);
	return 0;
}

static void on_retry(void *context)
{
	struct carpd_client *client = context;
	int r = carpd_client_connect(client);

	if (r == 0)
		return;
	if (!client->complained) {
		errno = -r;
		log_warn("cannot reach carpd at %s; waiting for it", client->path);
		client->complained = true;
	}
	evloop_timer_set(&client->retry, mono_add(clock_now(), dur_ms(CARPD_CLIENT_RETRY_MS)));
}

int carpd_client_start(struct carpd_client *client, sd_event *event)
{
	int r = evloop_timer_open(
		&client->retry, event, EVLOOP_PRIORITY_DEADLINE, on_retry, client);

	if (r < 0)
		return r;
	client->event = event;
	evloop_timer_set(&client->retry, clock_now());
	return 0;
}

void carpd_client_stop(struct carpd_client *client)
{
	evloop_timer_close(&client->retry);
	sd_event_source_disable_unref(client->source);
	client->source = NULL;
	if (client->connected)
		control_client_close(&client->client);
	client->connected = false;
}
