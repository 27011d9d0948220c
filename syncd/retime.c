#include "syncd/retime.h"

#include "common/io/sysctl.h"
#include "syncd/ctattr.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* A closing entry may have so much more than its state's timeout before it is cut. */
#define CLOSING_SLACK_S 5u

/* The kernel's defaults (nf_conntrack_proto_*.c) for values that cannot be read. */
static uint32_t retime_read(const char *name, uint32_t otherwise)
{
	char path[96];
	int64_t value;

	snprintf(path, sizeof(path), "net/netfilter/nf_conntrack_%s", name);
	if (sysctl_read(path, &value) < 0 || value < 0 || value > INT32_MAX)
		return otherwise;
	return (uint32_t)value;
}

static void retime_read_all(struct retime *retime)
{
	static const struct {
		const char *name;
		uint32_t otherwise;
	} tcp[FLOW_TCP_STATE_MAX + 1] = {
		[1] = {"tcp_timeout_syn_sent", 120},
		[2] = {"tcp_timeout_syn_recv", 60},
		[3] = {"tcp_timeout_established", 432000},
		[4] = {"tcp_timeout_fin_wait", 120},
		[5] = {"tcp_timeout_close_wait", 60},
		[6] = {"tcp_timeout_last_ack", 30},
		[7] = {"tcp_timeout_time_wait", 120},
		[8] = {"tcp_timeout_close", 10},
		[9] = {"tcp_timeout_syn_sent", 120},
	};

	retime->tcp_s[0] = 60;
	for (int i = 1; i <= (int)FLOW_TCP_STATE_MAX; i++)
		retime->tcp_s[i] = retime_read(tcp[i].name, tcp[i].otherwise);
	retime->udp_s = retime_read("udp_timeout", 30);
	retime->udp_stream_s = retime_read("udp_timeout_stream", 120);
	retime->gre_s = retime_read("gre_timeout", 30);
	retime->gre_stream_s = retime_read("gre_timeout_stream", 180);
	retime->icmp_s = retime_read("icmp_timeout", 30);
	retime->icmpv6_s = retime_read("icmpv6_timeout", 30);
	retime->sctp_s = retime_read("sctp_timeout_established", 210);
	retime->generic_s = retime_read("generic_timeout", 600);
}

void retime_init(struct retime *retime, struct kernel_batch *batch, struct engine *engine)
{
	memset(retime, 0, sizeof(*retime));
	retime->batch = batch;
	retime->engine = engine;
	retime->strict_at = MONO_NEVER;
	retime_read_all(retime);
}

void retime_promoted(struct retime *retime, mono_t now, dur_t liberal_grace)
{
	retime_read_all(retime);
	retime->strict_at = mono_add(now, liberal_grace);
	retime->strict_cursor = 0;
}

static uint32_t retime_full(const struct retime *retime, const struct flow *flow)
{
	bool assured = flow->status & FLOW_STATUS_ASSURED;

	switch (flow->orig.proto) {
	case IPPROTO_TCP:
		return retime->tcp_s[flow->tcp_state];
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return assured ? retime->udp_stream_s : retime->udp_s;
	case IPPROTO_GRE:
		return assured ? retime->gre_stream_s : retime->gre_s;
	case IPPROTO_ICMP:
		return retime->icmp_s;
	case IPPROTO_ICMPV6:
		return retime->icmpv6_s;
	case IPPROTO_SCTP:
		return retime->sctp_s;
	default:
		return retime->generic_s;
	}
}

/* retime_on_error: ENOENT: it closed meanwhile, and that is the end of it. */
static void retime_on_error(void *context, uint64_t tag, int error)
{
	(void)context;
	(void)tag;
	(void)error;
}

void retime_flush(struct retime *retime)
{
	/* What could not be sent shows its hold in the next dump as well. */
	(void)kernel_batch_flush(retime->batch, retime_on_error, retime);
}

/* retime_room: where the next message goes. */
static void *retime_room(struct retime *retime)
{
	void *at = kernel_batch_room(retime->batch);

	if (at)
		return at;
	retime_flush(retime);
	return kernel_batch_room(retime->batch);
}

static void retime_put(struct retime *retime, const struct flow *flow)
{
	void *at = retime_room(retime);

	kernel_batch_add(
		retime->batch, ctattr_put_timeout(at, kernel_batch_seq(retime->batch), flow), 0);
	retime->retimed++;
}

void retime_entry(struct retime *retime, mono_t now, uint32_t slot, const struct flow *dumped)
{
	uint32_t full_s = retime_full(retime, dumped);
	struct flow flow;

	if (engine_retime(retime->engine, now, slot, full_s, &flow)) {
		retime_put(retime, &flow);
		return;
	}
	if (dumped->orig.proto == IPPROTO_TCP && (dumped->has & FLOW_HAS_TCP) &&
		dumped->tcp_state > FLOW_TCP_ESTABLISHED &&
		dumped->tcp_state < FLOW_TCP_STATE_MAX &&
		dumped->timeout_s > full_s + CLOSING_SLACK_S) {
		flow = *dumped;
		flow.timeout_s = full_s;
		retime_put(retime, &flow);
	}
}

bool retime_strict(struct retime *retime, mono_t now, uint32_t operations_max)
{
	struct flow flow;
	uint32_t count = 0;
	bool more = true;

	if (!mono_reached(now, retime->strict_at))
		return false;
	while (count < operations_max &&
		(more = engine_strict_next(retime->engine, now, &retime->strict_cursor, &flow))) {
		void *at = retime_room(retime);

		kernel_batch_add(retime->batch,
			ctattr_put_strict(at, kernel_batch_seq(retime->batch), &flow), 0);
		retime->strict++;
		count++;
	}
	retime_flush(retime);
	if (!more)
		retime->strict_at = MONO_NEVER;
	return more;
}

void retime_demoted(struct retime *retime, uint8_t group)
{
	retime->loose_groups |= UINT32_C(1) << group;
	retime->loose_cursor = 0;
}

bool retime_loosen(struct retime *retime, mono_t now, uint32_t operations_max)
{
	struct flow flow;
	uint32_t count = 0;

	while (retime->loose_groups && count < operations_max) {
		if (!engine_loose_next(retime->engine, now, retime->loose_groups,
			    &retime->loose_cursor, &flow)) {
			retime->loose_groups = 0;
			break;
		}
		void *at = retime_room(retime);

		kernel_batch_add(retime->batch,
			ctattr_put_liberal(at, kernel_batch_seq(retime->batch), &flow), 0);
		retime->loosened++;
		count++;
	}
	retime_flush(retime);
	return retime->loose_groups != 0;
}
