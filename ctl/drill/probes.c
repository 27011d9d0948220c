#include "ctl/drill/probes.h"

#include "ctl/drill/sandbox.h"
#include "ctl/drill/tick.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PROBES_POLL_MS	     20
#define PROBES_OTHERS_MS     4000
#define PROBES_OTHERS_AGE_NS (100 * TICK_NS_PER_MS)

/* Eight connections: of the small kinds more, since they cost nothing and differ in age. */
static const unsigned int probes_tcp_counts[TCP_KIND_COUNT] = {
	[TCP_KIND_CHATTER] = 2,
	[TCP_KIND_IDLE] = 3,
	[TCP_KIND_DOWNLOAD] = 1,
	[TCP_KIND_UPLOAD] = 1,
	[TCP_KIND_BOTH] = 1,
};

static int probes_fail(struct probes *probes, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int probes_fail(struct probes *probes, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(probes->why, sizeof(probes->why), format, args);
	va_end(args);
	return r;
}

int probes_start_tcp(struct probes *probes)
{
	struct tcp_options options = {
		.client_netns_fd = lab_host(probes->lab, probes->pair->client),
		.server_netns_fd = lab_host(probes->lab, probes->pair->server),
		.client = probes->pair->client_address,
		.server = probes->pair->server_address,
	};

	int r;

	(void)memcpy(options.counts, probes_tcp_counts, sizeof(options.counts));
	r = tcp_start(&probes->tcp, &options);
	return r < 0 ? probes_fail(
			       probes, r, "TCP connections through the firewalls: %s", strerror(-r))
		     : 0;
}

static int probes_priority(const struct probes *probes)
{
	return probes->options.realtime ? PROBES_REALTIME_PRIORITY : 0;
}

static int probes_start_dial(struct probes *probes, unsigned int index)
{
	const struct plan_pair *pair = &probes->lab->plan->pairs[index];

	return dial_start(&probes->dials[index],
		&(struct dial_options){.client_netns_fd = lab_host(probes->lab, pair->client),
			.server_netns_fd = lab_host(probes->lab, pair->server),
			.client = pair->client_address,
			.server = pair->server_address,
			.seconds_max = probes->options.seconds_max,
			.realtime_priority = probes_priority(probes)});
}

static void probes_add_pings(
	struct probes *probes, struct ping_options *options, unsigned int index)
{
	const struct plan_pair *pair = &probes->lab->plan->pairs[index];

	for (unsigned int side = 0; side < 2; side++) {
		unsigned int n = options->target_count;

		if (n == PING_TARGETS_MAX)
			return;
		options->targets[n] = (struct ping_target){
			.netns_fd = lab_host(probes->lab, side ? pair->server : pair->client),
			.address = side ? pair->server_gateway : pair->client_gateway};
		probes->pinged[n] = (struct probes_pinged){.pair = index, .server_side = side == 1};
		options->target_count++;
	}
	probes->pinged_count = options->target_count;
}

int probes_start_users(struct probes *probes)
{
	const struct plan *plan = probes->lab->plan;
	struct ping_options pings = {.seconds_max = probes->options.seconds_max,
		.wall_offset = probes->wall_offset,
		.realtime_priority = probes_priority(probes)};
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < plan->pair_count; i++) {
		if (plan->pairs[i].group != probes->pair->group)
			continue;
		r = probes_start_dial(probes, i);
		probes_add_pings(probes, &pings, i);
	}
	if (r < 0)
		return probes_fail(probes, r, "new-connection probe: %s", strerror(-r));
	r = ping_start(&probes->ping, &pings);
	return r < 0 ? probes_fail(probes, r, "pings: %s", strerror(-r)) : 0;
}

static int probes_start_udp(
	struct probes *probes, const struct plan_pair *pair, uint32_t rate_hz, struct udp **ret_udp)
{
	struct udp_options options = {.client_netns_fd = lab_host(probes->lab, pair->client),
		.server_netns_fd = lab_host(probes->lab, pair->server),
		.client = pair->client_address,
		.server = pair->server_address,
		.rate_hz = rate_hz,
		.seconds_max = probes->options.seconds_max,
		.wall_offset = probes->wall_offset,
		.realtime_priority = probes_priority(probes)};

	return udp_start(ret_udp, &options);
}

int probes_start(struct probes *probes, struct lab *lab, const struct plan_pair *pair,
	const struct probes_options *options)
{
	int r;

	(void)memset(probes, 0, sizeof(*probes));
	probes->lab = lab;
	probes->pair = pair;
	probes->options = *options;
	probes->wall_offset = tick_wall_offset();
	r = tap_start(&probes->tap, &(struct tap_options){.lab = lab,
					    .wall_offset = probes->wall_offset,
					    .realtime_priority = probes_priority(probes)});
	if (r < 0)
		return probes_fail(probes, r, "taps: %s", strerror(-r));
	r = probes_start_udp(probes, pair, options->rate_hz, &probes->udp);
	for (unsigned int i = 1; r == 0 && i < lab->plan->pair_count; i++)
		r = probes_start_udp(
			probes, &lab->plan->pairs[i], PROBES_OTHERS_HZ, &probes->others[i]);
	return r < 0 ? probes_fail(probes, r, "UDP probe: %s", strerror(-r)) : 0;
}

/* Nothing lost among the probes of the last stretch, stragglers left out. */
static bool probes_udp_quiet(const struct probes *probes, int quiet_ms)
{
	int64_t now = tick_now();
	size_t count;
	const struct outage_sample *samples = udp_samples(probes->udp, &count);
	int64_t until = now - 20 * TICK_NS_PER_MS;
	int64_t from = until - quiet_ms * TICK_NS_PER_MS;

	if (count == 0 || samples[0].sent_at > from)
		return false;
	for (size_t i = count; i > 0; i--) {
		const struct outage_sample *sample = &samples[i - 1];

		if (sample->sent_at > until)
			continue;
		if (sample->sent_at < from)
			break;
		if (sample->received_at == 0)
			return false;
	}
	return true;
}

int probes_wait_good(struct probes *probes, int quiet_ms, int timeout_ms)
{
	int64_t deadline = tick_now() + timeout_ms * TICK_NS_PER_MS;

	for (;;) {
		if (probes_udp_quiet(probes, quiet_ms) &&
			(!probes->tcp || tcp_flowing(probes->tcp)))
			return 0;
		if (sandbox_stopped())
			return probes_fail(probes, -EINTR, "stopped");
		if (tick_now() >= deadline)
			return probes_fail(probes, -ETIMEDOUT,
				"no steady traffic through the firewalls: %llu UDP probes came "
				"back%s",
				(unsigned long long)udp_answered(probes->udp),
				probes->tcp && !tcp_flowing(probes->tcp)
					? ", TCP does not flow in all directions"
					: "");
		tick_sleep_until(tick_now() + PROBES_POLL_MS * TICK_NS_PER_MS);
	}
}

static bool probes_others_flow(const struct probes *probes)
{
	for (unsigned int i = 1; i < probes->lab->plan->pair_count; i++)
		if (tick_now() - udp_last_answer_at(probes->others[i]) > PROBES_OTHERS_AGE_NS)
			return false;
	return true;
}

void probes_wait_others(const struct probes *probes)
{
	int64_t deadline = tick_now() + PROBES_OTHERS_MS * TICK_NS_PER_MS;

	while (!probes_others_flow(probes) && !sandbox_stopped() && tick_now() < deadline)
		tick_sleep_until(tick_now() + PROBES_POLL_MS * TICK_NS_PER_MS);
}

int probes_fill(struct probes *probes, unsigned int master, uint32_t count)
{
	struct flows_set *set = &probes->flows;
	int netns_fd = probes->lab->nodes[master].netns_fd;
	uint32_t created = 0;
	int r;

	*set = (struct flows_set){.count = count,
		.client = probes->pair->client_address,
		.server = probes->pair->server_address};
	if (!flows_find_nat(netns_fd, probes->pair, &set->translated, &set->nat))
		return probes_fail(probes, -ENOENT,
			"the probe's flow is not in the master's table: are these connections "
			"tracked at all?");
	r = flows_fill(netns_fd, set, &created);
	if (r < 0)
		return probes_fail(
			probes, r, "%u of %u flows created: %s", created, count, strerror(-r));
	return 0;
}

int probes_wait_copied(struct probes *probes, unsigned int nodes, int timeout_ms)
{
	int64_t deadline = tick_now() + timeout_ms * TICK_NS_PER_MS;

	for (unsigned int n = 0; n < probes->lab->node_count; n++) {
		int netns_fd = probes->lab->nodes[n].netns_fd;

		if (!(nodes & (1u << n)))
			continue;
		for (;;) {
			/* The kernel's counter is cheap; the dump that proves it is not. */
			int64_t count = flows_table_count(netns_fd);

			if (count >= probes->flows.count)
				count = flows_count(netns_fd, &probes->flows);
			if (count >= probes->flows.count)
				break;
			if (sandbox_stopped())
				return probes_fail(probes, -EINTR, "stopped");
			if (tick_now() >= deadline)
				return probes_fail(probes, -ETIMEDOUT,
					"only %lld of %u flows have come to %s", (long long)count,
					probes->flows.count, probes->lab->nodes[n].config->name);
			tick_sleep_until(tick_now() + PROBES_POLL_MS * TICK_NS_PER_MS);
		}
	}
	return 0;
}

void probes_judge_tcp(struct probes *probes, int watch_ms)
{
	if (probes->tcp)
		probes->tcp_count = tcp_judge(probes->tcp, watch_ms, probes->tcp_results);
}

void probes_end(struct probes *probes)
{
	tcp_free(probes->tcp);
	probes->tcp = NULL;
	for (unsigned int i = 0; i < PLAN_PAIRS_MAX; i++)
		if (probes->dials[i])
			dial_stop(probes->dials[i]);
	if (probes->ping)
		ping_stop(probes->ping);
	for (unsigned int i = 0; i < PLAN_PAIRS_MAX; i++)
		if (probes->others[i])
			udp_stop(probes->others[i]);
	if (probes->udp)
		udp_stop(probes->udp);
	if (probes->tap)
		tap_stop(probes->tap);
}

void probes_free(struct probes *probes)
{
	probes_end(probes);
	for (unsigned int i = 0; i < PLAN_PAIRS_MAX; i++) {
		udp_free(probes->others[i]);
		probes->others[i] = NULL;
		dial_free(probes->dials[i]);
		probes->dials[i] = NULL;
	}
	ping_free(probes->ping);
	probes->ping = NULL;
	udp_free(probes->udp);
	tap_free(probes->tap);
	probes->udp = NULL;
	probes->tap = NULL;
}
