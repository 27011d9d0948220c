#include "ctl/ask.h"

#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/io/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ASK_PATH_MAX 256u

static const char *const ask_names[] = {[ASK_CARPD] = "carpd", [ASK_SYNCD] = "syncd"};

static void ask_fill(struct ask_error *error, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void ask_fill(struct ask_error *error, const char *code, const char *format, ...)
{
	va_list args;

	snprintf(error->code, sizeof(error->code), "%s", code);
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
}

/* ask_explain: an errno of the client as what it means to the one who asked. */
static void ask_explain(int r, enum ask_daemon daemon, const char *path, struct ask_error *error)
{
	const char *name = ask_names[daemon];

	switch (-r) {
	case ENOENT:
		ask_fill(error, "NOT_RUNNING",
			"%s does not run here: there is no %s (another --runtime-dir?)", name,
			path);
		break;
	case ECONNREFUSED:
		ask_fill(error, "NOT_RUNNING",
			"%s does not run here: nobody listens on %s any more", name, path);
		break;
	case EACCES:
	case EPERM:
		ask_fill(error, "NOT_ALLOWED", "you may not open %s", path);
		break;
	case ETIMEDOUT:
		ask_fill(error, "TIMEOUT", "%s accepted the request and did not answer in time",
			name);
		break;
	case EPIPE:
	case ECONNRESET:
		ask_fill(error, "CLOSED",
			"%s closed the connection without an answer (its log says why)", name);
		break;
	default:
		ask_fill(error, "PROTOCOL", "%s at %s: %s", name, path, strerror(-r));
	}
}

static bool ask_open(const struct args *args, enum ask_daemon daemon, char path[ASK_PATH_MAX],
	struct control_client *client, struct ask_error *ret_error)
{
	int length =
		snprintf(path, ASK_PATH_MAX, "%s/%s.sock", args->runtime_dir, ask_names[daemon]);
	int r;

	if (length < 0 || (size_t)length >= ASK_PATH_MAX) {
		ask_fill(ret_error, "USAGE", "the runtime dir's name is too long");
		return false;
	}
	r = control_client_open(client, path);
	if (r < 0)
		ask_explain(r, daemon, path, ret_error);
	return r >= 0;
}

/* ask_finish: the common end of a call and of a stream. */
static bool ask_finish(int r, enum ask_daemon daemon, const char *path,
	const struct control_client_error *answer, struct ask_error *ret_error)
{
	if (r >= 0)
		return true;
	if (r == -EREMOTEIO)
		ask_fill(
			ret_error, answer->code, "%s", *answer->text ? answer->text : answer->code);
	else
		ask_explain(r, daemon, path, ret_error);
	return false;
}

bool ask_try(const struct args *args, enum ask_daemon daemon, json_t *request, dur_t timeout,
	json_t **ret_result, struct ask_error *ret_error)
{
	struct control_client_error answer = {0};
	struct control_client client;
	char path[ASK_PATH_MAX];
	bool done = false;

	if (ask_open(args, daemon, path, &client, ret_error)) {
		int r = control_client_call(
			&client, request, mono_add(clock_now(), timeout), ret_result, &answer);

		done = ask_finish(r, daemon, path, &answer, ret_error);
		control_client_close(&client);
	}
	json_decref(request);
	return done;
}

int ask_call(const struct args *args, enum ask_daemon daemon, json_t *request, dur_t timeout,
	json_t **ret_result)
{
	struct ask_error error;

	if (ask_try(args, daemon, request, timeout, ret_result, &error))
		return VERB_EXIT_DONE;
	report_error(args->json, error.code, error.text);
	return VERB_EXIT_FAILED;
}

bool ask_stream(const struct args *args, enum ask_daemon daemon, json_t *request, dur_t timeout,
	int (*on_item)(const json_t *item, void *context), void *context,
	struct ask_error *ret_error)
{
	struct control_client_error answer = {0};
	struct control_client client;
	char path[ASK_PATH_MAX];
	json_t *result = NULL;
	bool done = false;

	if (ask_open(args, daemon, path, &client, ret_error)) {
		int r = control_client_stream(
			&client, request, timeout, on_item, context, &result, &answer);

		done = ask_finish(r, daemon, path, &answer, ret_error);
		control_client_close(&client);
	}
	json_decref(result);
	json_decref(request);
	return done;
}
