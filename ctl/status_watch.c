#include "ctl/status_watch.h"

#include "ctl/ask.h"
#include "ctl/field.h"
#include "ctl/history_text.h"

#include "common/io/clock.h"

#include <stdlib.h>
#include <string.h>

#define STATUS_WATCH_TIME_MS 1000

void status_watch_note(struct status_watch *watch, json_t *item)
{
	if (watch->recent_count == STATUS_WATCH_RECENT_MAX) {
		json_decref(watch->recent[0]);
		memmove(&watch->recent[0], &watch->recent[1],
			sizeof(watch->recent[0]) * (STATUS_WATCH_RECENT_MAX - 1));
		watch->recent_count--;
	}
	watch->recent[watch->recent_count++] = json_incref(item);
}

static void status_watch_forget(struct status_watch *watch)
{
	for (unsigned int i = 0; i < watch->recent_count; i++)
		json_decref(watch->recent[i]);
	watch->recent_count = 0;
}

static int status_watch_on_item(const json_t *item, void *context)
{
	json_t *copy = json_deep_copy(item);

	if (copy)
		status_watch_note(context, copy);
	json_decref(copy);
	return 0;
}

/* status_watch_states: what changes with every transition. */
static char *status_watch_states(const json_t *status)
{
	char *text = NULL;
	size_t size = 0, index;
	FILE *out = open_memstream(&text, &size);
	const json_t *group;

	if (!out)
		return NULL;
	json_array_foreach (field_list(status, "groups"), index, group) {
		fprintf(out, "%s %s %s;", field_text(group, "name"), field_text(group, "state"),
			field_text(group, "since"));
	}
	return fclose(out) == 0 ? text : NULL;
}

static void status_watch_recent(
	FILE *out, struct status_watch *watch, const struct args *args, const json_t *status)
{
	char *states = status_watch_states(status);
	struct ask_error error;

	if (!watch->seen || !states || strcmp(watch->seen, states) != 0) {
		status_watch_forget(watch);
		/* Without the right to ask there is no list; the status above says enough. */
		(void)ask_stream(args, ASK_CARPD, json_pack("{s:s}", "op", "history"),
			dur_ms(STATUS_WATCH_TIME_MS), status_watch_on_item, watch, &error);
		free(watch->seen);
		watch->seen = states;
	} else {
		free(states);
	}
	if (watch->recent_count > 0)
		fputs("\nlast transitions\n", out);
	for (unsigned int i = watch->recent_count; i > 0; i--) {
		fputs("  ", out);
		history_text_render(out, watch->recent[i - 1]);
	}
}

static json_t *status_watch_metrics(const struct args *args, enum ask_daemon daemon)
{
	struct ask_error error;
	json_t *result;

	return ask_try(args, daemon, json_pack("{s:s}", "op", "metrics"),
		       dur_ms(STATUS_WATCH_TIME_MS), &result, &error)
		       ? result
		       : NULL;
}

static void status_watch_rates(FILE *out, struct status_watch *watch, const struct args *args)
{
	json_t *carpd = status_watch_metrics(args, ASK_CARPD);
	json_t *syncd = status_watch_metrics(args, ASK_SYNCD);
	double adverts = field_number(carpd, "carpool_adverts_accepted_total", 0);
	double sent = 0, received = 0, span_s;
	mono_t now = clock_now();
	const json_t *peer;
	size_t index;

	json_array_foreach (field_list(syncd, "peers"), index, peer) {
		sent += field_number(peer, "sent", 0);
		received += field_number(peer, "received", 0);
	}
	span_s = (double)mono_diff(now, watch->counted_at).us / 1e6;
	/* A daemon that was restarted counts from 0 again: nothing is shown for a turn. */
	if (watch->has_counts && span_s > 0 && adverts >= watch->adverts && sent >= watch->sent &&
		received >= watch->received)
		fprintf(out,
			"\nrates: %.0f adverts/s accepted, %.0f flow changes/s sent, %.0f "
			"received\n",
			(adverts - watch->adverts) / span_s, (sent - watch->sent) / span_s,
			(received - watch->received) / span_s);
	watch->has_counts = carpd != NULL;
	watch->counted_at = now;
	watch->adverts = adverts;
	watch->sent = sent;
	watch->received = received;
	json_decref(carpd);
	json_decref(syncd);
}

void status_watch_render(
	FILE *out, struct status_watch *watch, const struct args *args, const json_t *status)
{
	status_watch_rates(out, watch, args);
	status_watch_recent(out, watch, args, status);
}

void status_watch_fini(struct status_watch *watch)
{
	status_watch_forget(watch);
	free(watch->seen);
	*watch = (struct status_watch){0};
}
