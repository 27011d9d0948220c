#include "common/io/control_client.h"

#include "common/io/clock.h"
#include "common/io/unixsock.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int control_client_open(struct control_client *client, const char *path)
{
	char *buffer = malloc(LIMIT_CONTROL_LINE + 1);
	int fd;

	if (!buffer)
		return -ENOMEM;
	fd = unixsock_connect(path);
	if (fd < 0) {
		free(buffer);
		return fd;
	}
	*client = (struct control_client){.fd = fd, .buffer = buffer};
	return 0;
}

void control_client_close(struct control_client *client)
{
	if (client->fd >= 0 && client->buffer)
		close(client->fd);
	free(client->buffer);
	*client = (struct control_client){.fd = -1};
}

int control_client_fd(const struct control_client *client)
{
	return client->fd;
}

static int control_client_wait(const struct control_client *client, short events, mono_t deadline)
{
	struct pollfd poll_fd = {.fd = client->fd, .events = events};

	for (;;) {
		struct timespec left = {.tv_sec = 3600};
		mono_t now = clock_now();

		if (!mono_is_never(deadline)) {
			int64_t left_us = mono_diff(deadline, now).us;

			if (left_us < 0)
				left_us = 0;
			left = (struct timespec){left_us / 1000000, left_us % 1000000 * 1000};
		}
		if (ppoll(&poll_fd, 1, &left, NULL) > 0)
			return 0;
		if (mono_reached(clock_now(), deadline))
			return -ETIMEDOUT;
	}
}

int control_client_send(struct control_client *client, const json_t *line, mono_t deadline)
{
	char *text = json_dumps(line, JSON_COMPACT);
	size_t length, sent = 0;
	int r = 0;

	if (!text)
		return -EBADMSG;
	length = strlen(text);
	if (length >= LIMIT_CONTROL_LINE)
		r = -EMSGSIZE;
	text[length++] = '\n'; /* over the NUL: it is bytes from here on */
	while (r == 0 && sent < length) {
		ssize_t n = send(client->fd, text + sent, length - sent, MSG_NOSIGNAL);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno == EAGAIN)
			r = control_client_wait(client, POLLOUT, deadline);
		else if (errno != EINTR)
			r = errno == EPIPE ? -ECONNRESET : -errno;
	}
	free(text);
	return r;
}

/* control_client_take: the first whole line of the buffer, if any: 1, 0, or -EBADMSG. */
static int control_client_take(struct control_client *client, json_t **ret_line)
{
	const char *start = client->buffer + client->start_bytes;
	const char *newline = memchr(start, '\n', client->used_bytes - client->start_bytes);
	json_t *line;

	if (!newline)
		return 0;
	line = json_loadb(start, (size_t)(newline - start), JSON_REJECT_DUPLICATES, NULL);
	client->start_bytes = (size_t)(newline + 1 - client->buffer);
	if (!json_is_object(line)) {
		json_decref(line);
		return -EBADMSG;
	}
	*ret_line = line;
	return 1;
}

/* control_client_room: what is not taken yet goes to the front. -EMSGSIZE: that fills the buffer.
 */
static int control_client_room(struct control_client *client)
{
	client->used_bytes -= client->start_bytes;
	memmove(client->buffer, client->buffer + client->start_bytes, client->used_bytes);
	client->start_bytes = 0;
	return client->used_bytes > LIMIT_CONTROL_LINE ? -EMSGSIZE : 0;
}

int control_client_receive(struct control_client *client, mono_t deadline, json_t **ret_line)
{
	int r = control_client_take(client, ret_line);

	while (r == 0) {
		ssize_t size;

		r = control_client_room(client);
		if (r < 0)
			return r;
		size = recv(client->fd, client->buffer + client->used_bytes,
			LIMIT_CONTROL_LINE + 1 - client->used_bytes, 0);
		if (size > 0) {
			client->used_bytes += (size_t)size;
			r = control_client_take(client, ret_line);
		} else if (size == 0) {
			return -ECONNRESET;
		} else if (errno == EAGAIN) {
			r = control_client_wait(client, POLLIN, deadline);
		} else if (errno != EINTR) {
			r = -errno;
		}
	}
	return r < 0 ? r : 0;
}

static void control_client_explain(struct control_client_error *error, int r)
{
	const char *text = strerror(-r);

	if (error->text[0])
		return;
	if (r == -ETIMEDOUT)
		text = "the daemon did not answer in time";
	else if (r == -ECONNRESET)
		text = "the daemon closed the connection";
	else if (r == -EBADMSG)
		text = "the daemon did not speak the control protocol";
	else if (r == -EMSGSIZE)
		text = "a line longer than the control protocol allows";
	snprintf(error->text, sizeof(error->text), "%s", text);
}

/* control_client_verdict: of a final answer: 0 and the result, or -EREMOTEIO and the error. */
static int control_client_verdict(
	const json_t *answer, json_t **ret_result, struct control_client_error *error)
{
	const json_t *ok = json_object_get(answer, "ok");
	json_t *result = json_object_get(answer, "result");
	const json_t *said = json_object_get(answer, "error");
	const char *code = json_string_value(json_object_get(said, "code"));
	const char *text = json_string_value(json_object_get(said, "text"));

	if (json_is_true(ok)) {
		*ret_result = result ? json_incref(result) : json_object();
		return *ret_result ? 0 : -ENOMEM;
	}
	if (!json_is_false(ok) || !code)
		return -EBADMSG;
	snprintf(error->code, sizeof(error->code), "%s", code);
	snprintf(error->text, sizeof(error->text), "%s", text ? text : code);
	return -EREMOTEIO;
}

int control_client_call(struct control_client *client, const json_t *request, mono_t deadline,
	json_t **ret_result, struct control_client_error *ret_error)
{
	json_t *answer = NULL;
	int r;

	*ret_error = (struct control_client_error){0};
	r = control_client_send(client, request, deadline);
	while (r == 0) {
		r = control_client_receive(client, deadline, &answer);
		if (r == 0 && json_object_get(answer, "ok"))
			break;
		if (r == 0)
			json_decref(answer); /* an event that came in between */
	}
	if (r == 0) {
		r = control_client_verdict(answer, ret_result, ret_error);
		json_decref(answer);
	}
	if (r < 0)
		control_client_explain(ret_error, r);
	return r;
}

int control_client_stream(struct control_client *client, const json_t *request, dur_t timeout,
	int (*on_item)(const json_t *item, void *context), void *context, json_t **ret_result,
	struct control_client_error *ret_error)
{
	bool ended = false;
	int r;

	*ret_error = (struct control_client_error){0};
	r = control_client_send(client, request, mono_add(clock_now(), timeout));
	while (r == 0 && !ended) {
		json_t *line, *item;

		r = control_client_receive(client, mono_add(clock_now(), timeout), &line);
		if (r < 0)
			break;
		item = json_object_get(line, "item");
		ended = json_object_get(line, "ok") != NULL;
		if (ended)
			r = control_client_verdict(line, ret_result, ret_error);
		else
			r = on_item(item ? item : line, context);
		json_decref(line);
	}
	if (r < 0)
		control_client_explain(ret_error, r);
	return r;
}
