/* probes.h: everything that watches one pair of hosts: taps, UDP, TCP (old and new connections),
 * pings, and the filler flows. */
#ifndef CTL_DRILL_PROBES_H
#define CTL_DRILL_PROBES_H

#include "ctl/drill/dial.h"
#include "ctl/drill/flows.h"
#include "ctl/drill/lab.h"
#include "ctl/drill/ping.h"
#include "ctl/drill/tap.h"
#include "ctl/drill/tcp.h"
#include "ctl/drill/udp.h"

#define PROBES_REALTIME_PRIORITY 2
#define PROBES_OTHERS_HZ	 200u
#define PROBES_WHY_MAX		 256u

struct probes_options {
	uint32_t rate_hz;
	uint32_t seconds_max;
	bool realtime;
};

struct probes {
	struct lab *lab;
	const struct plan_pair *pair;
	struct probes_options options;
	int64_t wall_offset;
	struct tap *tap;
	struct udp *udp;
	/* Other families and groups: slower, and judged when they were heard before the fault. */
	struct udp *others[PLAN_PAIRS_MAX]; /* by pair of the plan; [0] unused */
	struct tcp *tcp;
	/* The drilled group's, of both families: */
	struct dial *dials[PLAN_PAIRS_MAX]; /* new connections, by pair of the plan */
	struct ping *ping;
	struct probes_pinged {
		unsigned int pair; /* of the plan */
		bool server_side;
	} pinged[PING_TARGETS_MAX]; /* by target of ping */
	unsigned int pinged_count;
	struct flows_set flows;
	unsigned int tcp_count; /* after probes_judge_tcp() */
	struct tcp_result tcp_results[TCP_CONNS_MAX];
	char why[PROBES_WHY_MAX]; /* one sentence when something failed */
};

/* probes_start: 0 or a negative errno with `why`. probes_stop always may be called after. */
int probes_start(struct probes *probes, struct lab *lab, const struct plan_pair *pair,
	const struct probes_options *options);

/* probes_start_tcp: the TCP connections, after the others: full lines take processor time that
 * filling the tables wants. 0 or a negative errno with `why`. */
int probes_start_tcp(struct probes *probes);

/* probes_start_users: new connections and pings. 0 or a negative errno with `why`. */
int probes_start_users(struct probes *probes);

/* probes_wait_good: until every stream flows and the UDP stream has lost nothing for `quiet_ms`. 0,
 * -ETIMEDOUT or -EINTR with `why`. */
int probes_wait_good(struct probes *probes, int quiet_ms, int timeout_ms);

/* probes_wait_others: until the other streams are answered, too; after a while without. (IPv6 takes
 * its time after a link is up: addresses are tentative.) */
void probes_wait_others(const struct probes *probes);

/* probes_fill: `count` established flows in the table of `master`, translated like the real ones.
 * 0 or a negative errno with `why`. */
int probes_fill(struct probes *probes, unsigned int master, uint32_t count);

/* probes_wait_copied: until every filler is in the table of each node of the bit set. */
int probes_wait_copied(struct probes *probes, unsigned int nodes, int timeout_ms);

void probes_judge_tcp(struct probes *probes, int watch_ms);

/* probes_end: stops sending and listening; the results stay. probes_free: forgets them. */
void probes_end(struct probes *probes);
void probes_free(struct probes *probes);

#endif
