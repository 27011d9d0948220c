#include "ctl/drill/live_ask.h"

#include "ctl/ask.h"
#include "ctl/field.h"

#include "common/io/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIVE_ASK_STATUS_MS   2000
#define LIVE_ASK_LOCK_MS     5000
#define LIVE_ASK_HANDOVER_MS 20000 /* carpd answers by itself well before */

json_t *live_ask_status(const struct args *args, char why[static LIVE_ASK_TEXT_MAX])
{
	json_t *status, *sync;
	struct ask_error error = {0};

	why[0] = '\0';
	if (!ask_try(args, ASK_CARPD, json_pack("{s:s}", "op", "status"),
		    dur_ms(LIVE_ASK_STATUS_MS), &status, &error)) {
		(void)snprintf(why, LIVE_ASK_TEXT_MAX, "%.400s", error.text);
		return NULL;
	}
	if (ask_try(args, ASK_SYNCD, json_pack("{s:s}", "op", "status"), dur_ms(LIVE_ASK_STATUS_MS),
		    &sync, &error))
		(void)json_object_set_new(status, "sync", sync);
	return status;
}

static int live_ask_open(
	const struct args *args, struct control_client *client, char why[static LIVE_ASK_TEXT_MAX])
{
	char path[256];
	int r;

	if (snprintf(path, sizeof(path), "%s/carpd.sock", args->runtime_dir) >= (int)sizeof(path))
		r = -ENAMETOOLONG;
	else
		r = control_client_open(client, path);
	if (r < 0)
		(void)snprintf(why, LIVE_ASK_TEXT_MAX, "carpd: %s", strerror(-r));
	return r;
}

bool live_ask_lock(const struct args *args, struct control_client *client, const char *by,
	const char *reason, int64_t for_ms, char why[static LIVE_ASK_TEXT_MAX])
{
	json_t *request = json_pack("{s:s, s:b, s:s, s:s, s:I}", "op", "drill", "on", 1, "by", by,
		"reason", reason, "for_ms", (json_int_t)for_ms);
	struct control_client_error error = {0};
	json_t *result = NULL;
	int r = request ? live_ask_open(args, client, why) : -EINVAL;

	if (!request)
		(void)snprintf(why, LIVE_ASK_TEXT_MAX, "the reason is not UTF-8");
	if (r == 0) {
		r = control_client_call(client, request,
			mono_add(clock_now(), dur_ms(LIVE_ASK_LOCK_MS)), &result, &error);
		if (r < 0) {
			(void)snprintf(why, LIVE_ASK_TEXT_MAX, "%s: %.400s",
				error.code[0] ? error.code : "FAILED",
				error.text[0] ? error.text : strerror(-r));
			control_client_close(client);
		}
	}
	json_decref(request);
	json_decref(result);
	return r == 0;
}

/* -EREMOTEIO: refused, `why` says it. */
static double live_ask_answer(const json_t *line, char why[static LIVE_ASK_TEXT_MAX])
{
	const json_t *error = json_object_get(line, "error");
	double ms = 0;
	const json_t *group;
	size_t i;

	if (!field_bool(line, "ok", false)) {
		(void)snprintf(why, LIVE_ASK_TEXT_MAX, "%.40s: %.400s", field_text(error, "code"),
			field_text(error, "text"));
		return -1;
	}
	json_array_foreach (field_list(json_object_get(line, "result"), "groups"), i, group)
		ms = field_number(group, "ms", 0);
	return ms;
}

double live_ask_handover(const struct args *args, const char *group, const char *to, bool force,
	void (*idle)(void *context), void *context, char why[static LIVE_ASK_TEXT_MAX])
{
	json_t *request = json_pack("{s:s, s:s, s:s*, s:b}", "op", "handover", "group", group, "to",
		to, "force", force);
	mono_t deadline = mono_add(clock_now(), dur_ms(LIVE_ASK_HANDOVER_MS));
	struct control_client client;
	json_t *line = NULL;
	double ms = -1;
	int r = live_ask_open(args, &client, why);

	if (r < 0) {
		json_decref(request);
		return -1;
	}
	r = control_client_send(&client, request, deadline);
	json_decref(request);
	while (r == 0 && !line && !mono_reached(clock_now(), deadline)) {
		idle(context);
		r = control_client_receive(&client, clock_now(), &line);
		r = r == -ETIMEDOUT ? 0 : r;
	}
	if (line)
		ms = live_ask_answer(line, why);
	else
		(void)snprintf(why, LIVE_ASK_TEXT_MAX, "TIMEOUT: carpd did not answer%s%s",
			r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
	json_decref(line);
	control_client_close(&client);
	return ms;
}

static int on_live_ask_item(const json_t *item, void *context)
{
	return json_array_append(context, (json_t *)(uintptr_t)item) < 0 ? -ENOMEM : 0;
}

json_t *live_ask_history(const struct args *args)
{
	json_t *history = json_array();
	struct ask_error error;

	(void)ask_stream(args, ASK_CARPD, json_pack("{s:s}", "op", "history"),
		dur_ms(LIVE_ASK_STATUS_MS), on_live_ask_item, history, &error);
	return history;
}
