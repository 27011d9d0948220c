/* flows.h: established connections in a firewall's table, by the hundred thousand.
 *
 * Batched ctnetlink creates in the node's namespace, alike in every attribute to what the kernel
 * makes for a real TCP connection through the same rules: status, window scales, timeout, and the
 * source NAT that the real probe got (looked up, not guessed). They raise events like real ones, so
 * syncd replicates them. After the fault the new master's table is dumped and compared, flow by
 * flow, addresses and translated ports included. */
#ifndef CTL_DRILL_FLOWS_H
#define CTL_DRILL_FLOWS_H

#include "common/ipaddr.h"
#include "ctl/drill/plan.h"

#include <stdbool.h>
#include <stdint.h>

#define FLOWS_MAX	  4000000u
#define FLOWS_PORTS	  50000u /* flows of one (source, destination port) */
#define FLOWS_PORT_FIRST  10000u
#define FLOWS_DPORT_FIRST 20000u
#define FLOWS_BATCH	  400u

struct flows_set {
	uint32_t count;
	struct ipaddr client;
	struct ipaddr server;
	bool translated;
	struct ipaddr nat; /* the source as the server sees it */
};

/* flows_find_nat: how the table of this node translates the UDP probe's flow. True when the flow is
 * there. */
bool flows_find_nat(
	int netns_fd, const struct plan_pair *pair, bool *ret_translated, struct ipaddr *ret_nat);

/* flows_fill: creates the set. 0 or a negative errno; *ret_created tells how many there are. */
int flows_fill(int netns_fd, const struct flows_set *set, uint32_t *ret_created);

/* flows_count: how many of the set are in this node's table, whole and established. A negative
 * errno when the table cannot be dumped. */
int64_t flows_count(int netns_fd, const struct flows_set *set);

/* flows_table_count: all entries of the node's table (nf_conntrack_count), or a negative errno. */
int64_t flows_table_count(int netns_fd);

/* flows_table_max: nf_conntrack_max: one limit for all namespaces of the machine. */
int64_t flows_table_max(void);

/* flows_flush: empties the table, so that its memory is free before the next run. */
void flows_flush(int netns_fd);

#endif
