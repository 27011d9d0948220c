/* ask.h: one question to a daemon, with complaints that tell what to do next.
 *
 * A verb is: parse, ask, render. */
#ifndef CTL_ASK_H
#define CTL_ASK_H

#include "ctl/args.h"

#include "common/io/control_client.h"
#include "common/mono.h"

#include <jansson.h>
#include <stdbool.h>

#define ASK_TIMEOUT_MS 5000 /* for what a daemon answers from memory */
#define ASK_TEXT_MAX   1024u

enum ask_daemon {
	ASK_CARPD,
	ASK_SYNCD,
};

/* Why it did not work, for people and programs. */
struct ask_error {
	char code[CONTROL_CLIENT_CODE_MAX]; /* the daemon's, or NOT_RUNNING, TIMEOUT, ... */
	char text[ASK_TEXT_MAX];
};

/* ask_try: one request, one answer; reports nothing.
 *   request     moved, also on failure.
 *   ret_result  the "result" object, the caller's; untouched on failure.
 * False: *ret_error says why. */
bool ask_try(const struct args *args, enum ask_daemon daemon, json_t *request, dur_t timeout,
	json_t **ret_result, struct ask_error *ret_error);

/* ask_call: the same, and reports the error (report.h). The exit status of the command. */
int ask_call(const struct args *args, enum ask_daemon daemon, json_t *request, dur_t timeout,
	json_t **ret_result);

/* ask_stream: `on_item` for every item (or event, whole) until the end of the stream; reports
 * nothing, because the verb may be in the middle of a JSON document.
 *   on_item  0 to go on; a negative errno ends the stream.
 *   timeout  longest silence between lines. */
bool ask_stream(const struct args *args, enum ask_daemon daemon, json_t *request, dur_t timeout,
	int (*on_item)(const json_t *item, void *context), void *context,
	struct ask_error *ret_error);

#endif
