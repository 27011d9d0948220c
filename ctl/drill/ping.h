/* ping.h: echo requests to the virtual addresses, each from the host on its own side (ICMP,
 * ICMPv6).
 *
 * What an operator's monitor does, only faster: the address itself is asked, not a path through it,
 * so this sees a firewall that forwards and does not answer. One thread for all targets, on
 * absolute deadlines; answers are stamped by the kernel, so it does not matter when they are read.
 */
#ifndef CTL_DRILL_PING_H
#define CTL_DRILL_PING_H

#include "common/ipaddr.h"
#include "ctl/drill/outage.h"

#include <stdint.h>

#define PING_TARGETS_MAX 8u
#define PING_RATE_HZ	 100u

struct ping_target {
	int netns_fd;
	struct ipaddr address;
};

struct ping_options {
	unsigned int target_count;
	struct ping_target targets[PING_TARGETS_MAX];
	uint32_t seconds_max;
	int64_t wall_offset;   /* tick_wall_offset() */
	int realtime_priority; /* 0: none */
};

struct ping;

/* ping_start: 0 or a negative errno. */
int ping_start(struct ping **ret_ping, const struct ping_options *options);

/* ping_stop: stops sending, waits for stragglers, ends the thread. */
void ping_stop(struct ping *ping);

/* ping_samples: after ping_stop; borrowed until ping_free. */
const struct outage_sample *ping_samples(
	const struct ping *ping, unsigned int target, size_t *ret_count);

int64_t ping_period_ns(void);

/* ping_free: NULL is allowed; stops first when still running. */
void ping_free(struct ping *ping);

#endif
