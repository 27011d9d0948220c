#include "ctl/drill/measure.h"

#include "ctl/drill/tick.h"

#include "common/check.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Clocks are read one after the other; a record made at the instant of the fault may seem to be
 * this much older. */
#define MEASURE_SLACK_NS (2 * TICK_NS_PER_MS)

/* Returns the first sample that counted, of `ret_stream`. */
static size_t measure_stream(const struct measure *measure, const struct outage_sample *samples,
	size_t count, int64_t period_ns, struct measure_stream *ret_stream)
{
	size_t first = 0;

	while (first < count && samples[first].sent_at < measure->probes_from_at)
		first++;
	for (size_t i = first; i < count && samples[i].sent_at < measure->fault_at; i++)
		ret_stream->heard |= samples[i].received_at != 0;
	outage_measure(samples + first, count - first, period_ns, &ret_stream->outage);
	return first;
}

static struct measure_stream *measure_add_stream(
	struct measure *measure, enum measure_stream_kind kind, const struct plan_pair *pair)
{
	struct measure_stream *stream = &measure->streams[measure->stream_count];

	CHECK(measure->stream_count < MEASURE_STREAMS_MAX);
	*stream = (struct measure_stream){.kind = kind, .pair = pair};
	measure->stream_count++;
	return stream;
}

static void measure_pair(struct measure *measure, const struct probes *probes, unsigned int pair)
{
	const struct plan_pair *planned = &probes->lab->plan->pairs[pair];
	const struct outage_sample *samples;
	struct measure_stream *stream;
	size_t count;
	size_t first;

	if (probes->others[pair]) {
		samples = udp_samples(probes->others[pair], &count);
		stream = measure_add_stream(measure, MEASURE_STREAM_UDP, planned);
		(void)measure_stream(
			measure, samples, count, udp_period_ns(probes->others[pair]), stream);
	}
	if (probes->dials[pair]) {
		samples = dial_samples(probes->dials[pair], &count);
		stream = measure_add_stream(measure, MEASURE_STREAM_CONNECT, planned);
		first = measure_stream(measure, samples, count, dial_period_ns(), stream);
		stream->retried = dial_retried(probes->dials[pair], first);
	}
}

static void measure_pings(struct measure *measure, const struct probes *probes)
{
	for (unsigned int i = 0; probes->ping && i < probes->pinged_count; i++) {
		const struct probes_pinged *pinged = &probes->pinged[i];
		size_t count;
		const struct outage_sample *samples = ping_samples(probes->ping, i, &count);
		struct measure_stream *stream = measure_add_stream(
			measure, MEASURE_STREAM_PING, &probes->lab->plan->pairs[pinged->pair]);

		stream->server_side = pinged->server_side;
		(void)measure_stream(measure, samples, count, ping_period_ns(), stream);
	}
}

void measure_udp(struct measure *measure, const struct probes *probes)
{
	size_t count;
	size_t first = 0;
	const struct outage_sample *samples = udp_samples(probes->udp, &count);

	measure->period_ns = udp_period_ns(probes->udp);
	measure->duplicate_count = udp_duplicate_count(probes->udp);
	/* What a starved machine lost while the tables were filled is not the fault's doing. */
	while (first < count && samples[first].sent_at < measure->probes_from_at)
		first++;
	outage_measure(samples + first, count - first, measure->period_ns, &measure->udp);
	for (unsigned int i = 0; i < PLAN_PAIRS_MAX; i++)
		measure_pair(measure, probes, i);
	measure_pings(measure, probes);
}

/* One segment of the group: who answered for its address, and for how long two did. */
static void measure_segment(struct measure *measure, const struct probes *probes,
	const struct claim *claims, size_t claim_count, uint16_t segment)
{
	int64_t dual_from = measure->dual_from_at ? measure->dual_from_at : measure->fault_at;
	int64_t dual =
		claim_dual(claims, claim_count, segment, TAP_REIGN_GAP_NS, dual_from, INT64_MAX);
	int64_t at;

	if (dual > measure->dual_ns)
		measure->dual_ns = dual;
	if (measure->old_master >= 0) {
		at = claim_last(claims, claim_count, segment, (uint8_t)measure->old_master,
			measure->fault_at, INT64_MAX);
		if (at > measure->old_silent_at)
			measure->old_silent_at = at;
	}
	if (measure->new_master < 0 || measure->new_master == measure->old_master)
		return;
	at = claim_first(
		claims, claim_count, segment, (uint8_t)measure->new_master, measure->fault_at);
	if (at > measure->new_answers_at)
		measure->new_answers_at = at;
	at = tap_announced(
		probes->tap, segment, (unsigned int)measure->new_master, measure->fault_at);
	if (at != 0 && (measure->announced_at == 0 || at < measure->announced_at))
		measure->announced_at = at;
}

/* A dead port's own tap still sees what its node says to nobody. Returns how many are left. */
static size_t measure_drop_away(const struct measure *measure, struct claim *claims, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (claims[i].node == measure->old_master || claims[i].at < measure->fault_at)
			claims[kept++] = claims[i];
	return kept;
}

void measure_taps(struct measure *measure, const struct probes *probes)
{
	const struct plan *plan = probes->lab->plan;
	size_t claim_count;
	size_t forward_count;
	struct claim *claims = tap_claims(probes->tap, &claim_count);
	const struct tap_forward *forwards = tap_forwards(probes->tap, &forward_count);

	if (measure->scenario->standby_away)
		claim_count = measure_drop_away(measure, claims, claim_count);
	measure->tap_lost_count = tap_lost_count(probes->tap);
	for (unsigned int s = 0; s < plan->segment_count; s++) {
		const struct config_interface *interface = plan->segments[s].interface;

		if (interface && interface->group == probes->pair->group->index)
			measure_segment(measure, probes, claims, claim_count, (uint16_t)s);
	}
	for (size_t i = 0; i < forward_count && measure->new_master != measure->old_master; i++) {
		if ((forwards[i].segment != probes->pair->client &&
			    forwards[i].segment != probes->pair->server) ||
			(int)forwards[i].node != measure->new_master ||
			forwards[i].at < measure->fault_at)
			continue;
		measure->first_forward_at = forwards[i].at;
		break;
	}
}

int64_t measure_parse_time(const char *text)
{
	struct tm tm = {0};
	int us = 0;

	if (!text || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ", &tm.tm_year, &tm.tm_mon,
			     &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &us) != 7)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (int64_t)timegm(&tm) * TICK_NS_PER_S + us * TICK_NS_PER_US;
}

/* What the stages took together, but those after the announcement, which nobody waits for. */
static int64_t measure_stages_ns(const json_t *transition)
{
	int64_t sum = 0;
	json_t *stage;
	size_t i;

	json_array_foreach (json_object_get(transition, "stages"), i, stage) {
		const char *name = json_string_value(json_object_get(stage, "stage"));

		if (name && strncmp(name, "after", 5) != 0)
			sum += json_integer_value(json_object_get(stage, "us")) * TICK_NS_PER_US;
	}
	return sum;
}

void measure_history(struct measure *measure, const json_t *history, int64_t wall_offset)
{
	json_t *item;
	size_t i;

	json_array_foreach (history, i, item) {
		const char *group = json_string_value(json_object_get(item, "group"));
		const char *to = json_string_value(json_object_get(item, "to"));
		int64_t at = measure_parse_time(json_string_value(json_object_get(item, "time")));

		if (!group || !to || strcmp(group, measure->group) != 0 ||
			strcmp(to, "master") != 0 || at == 0 ||
			at - wall_offset + MEASURE_SLACK_NS < measure->fault_at)
			continue;
		measure->transition = json_incref(item);
		measure->transition_to_at = at - wall_offset;
		measure->transition_from_at = measure->transition_to_at - measure_stages_ns(item);
		return;
	}
}

void measure_fini(struct measure *measure)
{
	json_decref(measure->transition);
	measure->transition = NULL;
	json_decref(measure->adverts_dropped);
	json_decref(measure->rules);
	measure->adverts_dropped = NULL;
	measure->rules = NULL;
	json_decref(measure->alarms);
	json_decref(measure->timeline);
	json_decref(measure->complaints);
	measure->alarms = NULL;
	measure->timeline = NULL;
	measure->complaints = NULL;
}
