/* owner.h: which flows are ours to replicate, and to which group a flow belongs.
 *
 * Not replicated: flows from or to an address of this very node (any local address that no group
 * manages: they end with the node), loopback, multicast and broadcast, the sync connections, and
 * what sync.ignore names. Everything else belongs to the group on whose interface the route to the
 * original source lies, else the original destination, else to the group with the lowest vhid
 * (design section 8). With one group no route is asked for; else answers are kept in a small cache
 * that a change of routes or addresses empties. */
#ifndef SYNCD_OWNER_H
#define SYNCD_OWNER_H

#include "common/flow.h"
#include "common/io/nl.h"
#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>

#define OWNER_LOCAL_MAX	     4096u /* local addresses that are known; more are not ignored (logged) */
#define OWNER_CACHE_ENTRIES  4096u
#define OWNER_INTERFACES_MAX (3u * LIMIT_INTERFACES) /* and the devices of virtual_mac */

#define OWNER_IGNORE (-1)

struct owner_cache {
	uint8_t address[16];
	uint8_t family; /* IPADDR_NONE: empty */
	int8_t group;	/* or -1: by no group's interface */
};

struct owner {
	const struct config *cfg; /* borrowed until owner_close */
	struct nl routes;	  /* asks for routes and addresses */
	struct nl changes;	  /* hears of new ones */
	struct ipaddr *locals;	  /* sorted */
	uint32_t local_count;
	struct owner_cache *cache;
	struct {
		uint32_t index;
		uint8_t group;
	} interfaces[OWNER_INTERFACES_MAX];
	uint32_t interface_count;
	uint8_t lowest_group;
	uint64_t ignored;
};

int owner_open(struct owner *owner, const struct config *cfg) __attribute__((warn_unused_result));
void owner_close(struct owner *owner);

/* owner_changes_fd: readable when addresses or routes have changed: call owner_on_change. */
int owner_changes_fd(const struct owner *owner);
void owner_on_change(struct owner *owner);

/* owner_group: the index of the flow's group, or OWNER_IGNORE. */
int owner_group(struct owner *owner, const struct flow *flow);

#endif
