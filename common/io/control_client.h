/* control_client.h: the calling side of the control protocol, for the command and for syncd.
 *
 * Blocking with a deadline (the command), or, with deadline MONO_ZERO and control_client_fd in a
 * loop, never blocking (syncd). Errors: -ETIMEDOUT nothing complete before the deadline,
 * -ECONNRESET the daemon has closed, -EBADMSG not the protocol, -EMSGSIZE a line longer than
 * LIMIT_CONTROL_LINE; -ENOENT and -ECONNREFUSED from opening: the daemon does not run. */
#ifndef COMMON_IO_CONTROL_CLIENT_H
#define COMMON_IO_CONTROL_CLIENT_H

#include "common/limits.h"
#include "common/mono.h"

#include <jansson.h>
#include <stddef.h>

#define CONTROL_CLIENT_CODE_MAX 32u
#define CONTROL_CLIENT_TEXT_MAX 512u

struct control_client {
	int fd; /* -1 when closed */
	char *buffer;
	size_t start_bytes; /* received and not taken: [start, used) of the buffer */
	size_t used_bytes;
};

/* What the daemon said when it said no; code "" when it did not get to say anything. */
struct control_client_error {
	char code[CONTROL_CLIENT_CODE_MAX];
	char text[CONTROL_CLIENT_TEXT_MAX];
};

int control_client_open(struct control_client *client, const char *path)
	__attribute__((warn_unused_result));
void control_client_close(struct control_client *client);
int control_client_fd(const struct control_client *client);

/* control_client_send: one line; `line` is borrowed. */
int control_client_send(struct control_client *client, const json_t *line, mono_t deadline)
	__attribute__((warn_unused_result));

/* control_client_receive: the next line; *ret_line is the caller's (json_decref). */
int control_client_receive(struct control_client *client, mono_t deadline, json_t **ret_line)
	__attribute__((warn_unused_result));

/* control_client_call: one request, one answer. *ret_result is the caller's.
 * 0; -EREMOTEIO the daemon answered with an error (see *ret_error); or as above, with a sentence
 * for people in ret_error->text. */
int control_client_call(struct control_client *client, const json_t *request, mono_t deadline,
	json_t **ret_result, struct control_client_error *ret_error)
	__attribute__((warn_unused_result));

/* control_client_stream: one request, `on_item` for each {"item":...} (and for each {"event":...}
 * line whole) until the final answer, which is returned as by control_client_call.
 *   timeout  longest silence between two lines; {INT64_MAX} for none (live streams).
 *   on_item  0 to go on; a negative errno ends the stream and is returned. */
int control_client_stream(struct control_client *client, const json_t *request, dur_t timeout,
	int (*on_item)(const json_t *item, void *context), void *context, json_t **ret_result,
	struct control_client_error *ret_error) __attribute__((warn_unused_result));

#endif
