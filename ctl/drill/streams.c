#include "ctl/drill/streams.h"

#include "ctl/drill/tick.h"

#include "common/check.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#define STREAMS_TEXT_MAX  256
#define STREAMS_LINE_ROOM 64 /* of 80 columns, behind the label */

static const char *const streams_kind_names[] = {
	[MEASURE_STREAM_UDP] = "udp",
	[MEASURE_STREAM_CONNECT] = "connect",
	[MEASURE_STREAM_PING] = "ping",
};
static_assert(ARRAY_LEN(streams_kind_names) == MEASURE_STREAM_KIND_COUNT, "a name for each");

static void streams_name(const struct measure_stream *stream, char name[static STREAMS_TEXT_MAX])
{
	const struct plan_pair *pair = stream->pair;
	char client[IPADDR_TEXT_MAX];
	char server[IPADDR_TEXT_MAX];

	(void)ipaddr_render(&pair->client_address, false, client);
	(void)ipaddr_render(&pair->server_address, false, server);
	switch (stream->kind) {
	case MEASURE_STREAM_UDP:
		(void)snprintf(name, STREAMS_TEXT_MAX, "group %s, UDP %s to %s", pair->group->name,
			client, server);
		return;
	case MEASURE_STREAM_CONNECT:
		(void)snprintf(name, STREAMS_TEXT_MAX, "new connections %s to %s", client, server);
		return;
	case MEASURE_STREAM_PING:
	case MEASURE_STREAM_KIND_COUNT:
		break;
	}
	(void)snprintf(name, STREAMS_TEXT_MAX, "ping %s from the %s's side",
		ipaddr_render(stream->server_side ? &pair->server_gateway : &pair->client_gateway,
			false, client),
		stream->server_side ? "server" : "client");
}

static void streams_complain(json_t *reasons, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void streams_complain(json_t *reasons, const char *format, ...)
{
	char text[STREAMS_TEXT_MAX + 96];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)json_array_append_new(reasons, json_string(text));
}

/* Where nothing may be lost. In a planned switch a connection in its very first handshake may need
 * one retransmission (its first packet made a state on one node, the answer came to the other). */
static size_t streams_losses_that_count(
	const struct measure *measure, const struct measure_stream *stream)
{
	size_t lost = stream->outage.lost_count;

	if (measure->objectives && measure->objectives->handover_loss > 0 &&
		lost <= (size_t)measure->objectives->handover_loss)
		return 0;
	if (measure->scenario->planned && stream->kind == MEASURE_STREAM_CONNECT)
		return lost - stream->retried;
	return lost;
}

void streams_judge(const struct measure *measure, int64_t bound_ns, json_t *reasons)
{
	for (unsigned int i = 0; i < measure->stream_count; i++) {
		const struct measure_stream *stream = &measure->streams[i];
		const struct outage *outage = &stream->outage;
		bool lossless = measure->scenario->bound == SCENARIO_BOUND_NONE;
		char name[STREAMS_TEXT_MAX];

		if (!stream->heard)
			continue;
		streams_name(stream, name);
		if (!outage->recovered)
			streams_complain(reasons, "%s: did not come back", name);
		else if (lossless && streams_losses_that_count(measure, stream) > 0)
			streams_complain(reasons, "%s: %zu of %zu lost", name,
				streams_losses_that_count(measure, stream), outage->sent_count);
		else if (!lossless && outage->stamp_ns - outage->resolution_ns > bound_ns)
			streams_complain(reasons, "%s: outage of %.1f ms, objective %.1f ms", name,
				tick_ms(outage->stamp_ns), tick_ms(bound_ns));
	}
}

json_t *streams_json(const struct measure *measure)
{
	json_t *streams = json_array();

	for (unsigned int i = 0; i < measure->stream_count; i++) {
		const struct measure_stream *stream = &measure->streams[i];
		const struct outage *outage = &stream->outage;
		char name[STREAMS_TEXT_MAX];
		json_t *object;

		streams_name(stream, name);
		object = json_pack("{s:s,s:s,s:b,s:f,s:f,s:I,s:I,s:I,s:f}", "kind",
			streams_kind_names[stream->kind], "name", name, "heard", stream->heard,
			"outage_ms", tick_ms(outage->stamp_ns), "resolution_ms",
			tick_ms(outage->resolution_ns), "sent", (json_int_t)outage->sent_count,
			"lost", (json_int_t)outage->lost_count, "late",
			(json_int_t)outage->late_count, "worst_late_ms",
			tick_ms(outage->worst_late_ns));
		if (stream->kind == MEASURE_STREAM_CONNECT)
			(void)json_object_set_new(
				object, "retried", json_integer((json_int_t)stream->retried));
		(void)json_array_append_new(streams, object);
	}
	return streams;
}

static double streams_number(const json_t *stream, const char *name)
{
	return json_number_value(json_object_get(stream, name));
}

/* On one line where it fits, else on two. */
static void streams_print_one(FILE *out, const json_t *stream)
{
	const char *name = json_string_value(json_object_get(stream, "name"));
	char figures[STREAMS_TEXT_MAX];
	char retried[48] = "";

	if (!json_is_true(json_object_get(stream, "heard"))) {
		(void)fprintf(out,
			"  not judged   %s:\n               no answer before the fault: the rules "
			"do "
			"not let it pass\n",
			name);
		return;
	}
	if (streams_number(stream, "retried") > 0)
		(void)snprintf(retried, sizeof(retried), " (%.0f by a retry)",
			streams_number(stream, "retried"));
	(void)snprintf(figures, sizeof(figures), "%.1f ms (+-%.1f), %.0f of %.0f lost%s",
		streams_number(stream, "outage_ms"), streams_number(stream, "resolution_ms"),
		streams_number(stream, "lost"), streams_number(stream, "sent"), retried);
	(void)fprintf(out, "  also         %s:%s%s\n", name,
		strlen(name) + strlen(figures) < STREAMS_LINE_ROOM ? " " : "\n               ",
		figures);
}

void streams_print(FILE *out, const json_t *run)
{
	json_t *stream;
	size_t i;

	json_array_foreach (json_object_get(run, "streams"), i, stream)
		streams_print_one(out, stream);
}
