#include "ctl/drill/outage.h"

static int64_t outage_min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* One stretch of losses: [first, end) where samples[end] is good, or end == sample_count. */
struct outage_run {
	size_t first;
	size_t end;
	size_t lost_count;
};

/* The next outage at or after `from`: losses, merged over short stretches of good probes. */
static bool outage_next_run(const struct outage_sample *samples, size_t sample_count, size_t from,
	struct outage_run *ret_run)
{
	struct outage_run run = {0};
	size_t good = 0;

	while (from < sample_count && samples[from].received_at != 0)
		from++;
	if (from == sample_count)
		return false;
	run.first = from;
	for (size_t i = from; i < sample_count && good < OUTAGE_SUSTAINED_COUNT; i++) {
		if (samples[i].received_at != 0) {
			good++;
			continue;
		}
		good = 0;
		run.lost_count++;
		run.end = i + 1;
	}
	*ret_run = run;
	return true;
}

/* The duration and resolution of one outage; see the head of outage.h for the edges. */
static void outage_judge_run(const struct outage_sample *samples, size_t sample_count,
	const struct outage_run *run, int64_t period_ns, struct outage *ret)
{
	int64_t inner = samples[run->end - 1].sent_at - samples[run->first].sent_at;
	int64_t before = period_ns;
	int64_t after = period_ns;
	int64_t stamp;

	if (run->first > 0)
		before = samples[run->first].sent_at - samples[run->first - 1].sent_at;
	if (run->end < sample_count)
		after = samples[run->end].sent_at - samples[run->end - 1].sent_at;
	stamp = inner + (outage_min(before, period_ns) + outage_min(after, period_ns)) / 2;
	if (stamp <= ret->stamp_ns)
		return;
	ret->stamp_ns = stamp;
	ret->resolution_ns = before + after - (stamp - inner);
	ret->outage_lost = run->lost_count;
	ret->last_good_at = run->first > 0 ? samples[run->first - 1].sent_at : 0;
	ret->recovered = run->end < sample_count;
	ret->first_good_at = ret->recovered ? samples[run->end].sent_at : 0;
	ret->first_good_arrival_at = ret->recovered ? samples[run->end].received_at : 0;
}

/* TBLM. The part of a gap in which we ourselves sent nothing is taken off. */
static int64_t outage_longest_gap(
	const struct outage_sample *samples, size_t sample_count, int64_t period_ns)
{
	int64_t longest = 0;
	int64_t own = 0;
	int64_t last = 0;

	for (size_t i = 0; i < sample_count; i++) {
		int64_t spacing = i > 0 ? samples[i].sent_at - samples[i - 1].sent_at : period_ns;

		if (spacing > period_ns)
			own += spacing - period_ns;
		if (samples[i].received_at == 0)
			continue;
		if (last != 0 && samples[i].received_at - last - own - period_ns > longest)
			longest = samples[i].received_at - last - own - period_ns;
		if (samples[i].received_at > last)
			last = samples[i].received_at;
		own = 0;
	}
	return longest;
}

static void outage_count(const struct outage_sample *samples, size_t sample_count,
	int64_t period_ns, struct outage *ret)
{
	for (size_t i = 0; i < sample_count; i++) {
		int64_t late = 0;

		if (samples[i].received_at == 0)
			ret->lost_count++;
		if (i > 0)
			late = samples[i].sent_at - samples[i - 1].sent_at - period_ns;
		if (late > period_ns / 2)
			ret->late_count++;
		if (late > ret->worst_late_ns)
			ret->worst_late_ns = late;
	}
}

/* The worst own delay near a loss; one sweep in each direction. */
static int64_t outage_pause(
	const struct outage_sample *samples, size_t sample_count, int64_t period_ns)
{
	int64_t worst = 0;

	for (int backwards = 0; backwards < 2; backwards++) {
		int64_t late = 0, late_at = 0;

		for (size_t n = 0; n < sample_count; n++) {
			size_t i = backwards ? sample_count - 1 - n : n;
			int64_t at = samples[i].sent_at;
			int64_t own = i > 0 ? at - samples[i - 1].sent_at - period_ns : 0;
			int64_t away = backwards ? late_at - at : at - late_at;

			if (away > OUTAGE_BESIDE_NS || own >= late) {
				late = own;
				late_at = at;
			}
			if (samples[i].received_at == 0 && late > worst)
				worst = late;
		}
	}
	return worst;
}

void outage_measure(const struct outage_sample *samples, size_t sample_count, int64_t period_ns,
	struct outage *ret_outage)
{
	struct outage result = {.sent_count = sample_count, .recovered = true};
	struct outage_run run;
	size_t from = 0;

	outage_count(samples, sample_count, period_ns, &result);
	while (outage_next_run(samples, sample_count, from, &run)) {
		outage_judge_run(samples, sample_count, &run, period_ns, &result);
		from = run.end;
	}
	result.pause_ns = result.lost_count > 0 ? outage_pause(samples, sample_count, period_ns)
						: result.worst_late_ns;
	if (result.lost_count == 0)
		result.resolution_ns = result.worst_late_ns > 0 ? result.worst_late_ns : 0;
	result.loss_ns = (int64_t)result.lost_count * period_ns;
	result.arrival_ns = outage_longest_gap(samples, sample_count, period_ns);
	*ret_outage = result;
}
