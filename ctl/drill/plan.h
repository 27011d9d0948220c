/* plan.h: the drilled cluster's topology, worked out from its config. Pure data, no system call.
 *
 * Every group interface and every sync link is a segment: a switch with one port a node. Every
 * segment of a group has a host of its own on it, addressed out of the virtual addresses' networks,
 * with the virtual address as default gateway, so that traffic crosses the firewalls:
 *
 *      host @lan0 --[switch lan0]--+-- fw1 --+--[switch wan0]-- host @wan0
 *      (client)                    +-- fw2 --+                  (server)
 *                                  [switch sync0]
 *
 * Which segment is the client's side? The operator says so (--client, --server); else the server's
 * is the one that is called wan*, out* or ext*, else the last of the group; the client's is the
 * first other one. */
#ifndef CTL_DRILL_PLAN_H
#define CTL_DRILL_PLAN_H

#include "common/ipaddr.h"
#include "common/limits.h"
#include "config/config.h"

#define PLAN_SEGMENTS_MAX  LIMIT_PATHS
#define PLAN_HOST_ADDR_MAX 16u
#define PLAN_PAIRS_MAX	   (2 * LIMIT_GROUPS)
#define PLAN_ERROR_MAX	   256u
#define PLAN_HOST_NUMBER   100u /* the host's place in its network, where there is room */

struct plan_segment {
	char name[LIMIT_NAME];			      /* "lan0", "sync0" */
	const struct config_interface *interface;     /* NULL: a sync link */
	uint8_t sync_link;			      /* for sync links */
	char ifnames[LIMIT_NODES][CONFIG_IFNAME_MAX]; /* by node index; "" when it has no port */
	unsigned int host_address_count;
	struct ipaddr host_addresses[PLAN_HOST_ADDR_MAX]; /* with the network's prefix length */
};

/* Traffic of one group: from one segment's host through the firewalls to another's. */
struct plan_pair {
	const struct config_group *group;
	uint8_t client; /* segments */
	uint8_t server;
	struct ipaddr client_address;
	struct ipaddr server_address;
	struct ipaddr client_gateway; /* virtual addresses */
	struct ipaddr server_gateway;
};

struct plan {
	const struct config *cfg; /* borrowed */
	unsigned int segment_count;
	struct plan_segment segments[PLAN_SEGMENTS_MAX];
	unsigned int pair_count;
	struct plan_pair pairs[PLAN_PAIRS_MAX]; /* a group's IPv4 before its IPv6 */
};

/* plan_make: `client` and `server` name interfaces, or NULL. 0, or -EINVAL with a sentence in
 * `error`: no group has two interfaces with addresses of one family. */
int plan_make(struct plan *plan, const struct config *cfg, const char *client, const char *server,
	char error[static PLAN_ERROR_MAX]);

/* plan_gateway: the first virtual address of that family on the segment, or NULL. */
const struct ipaddr *plan_gateway(const struct plan_segment *segment, uint8_t family);

/* plan_sync_prefix: the length of a network in which all nodes' k-th sync addresses lie. */
uint8_t plan_sync_prefix(const struct config *cfg, uint8_t sync_link);

/* plan_segment_lookup: by name; -1 when there is none. */
int plan_segment_lookup(const struct plan *plan, const char *name);

#endif
