/* links.h: what carpd knows of the interfaces that its paths and addresses live on.
 *
 * Two kinds of entry: an interface by name (a group's), and a sync address, which is on whatever
 * interface it is. Carrier and operational state come by rtnetlink events at once; everything else
 * (index, Ethernet address, own addresses) by a dump on the executor, asked for whenever an event
 * may have changed it: a dump waits for RTNL, the loop must not.
 *
 * An interface that goes away and comes back has a new index; `on_change` tells. */
#ifndef CARPD_LINKS_H
#define CARPD_LINKS_H

#include "carpd/addresses.h"
#include "carpd/executor.h"
#include "common/io/nl.h"
#include "common/ipaddr.h"
#include "common/limits.h"

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct links_entry {
	/* What is looked for: */
	char name[IF_NAMESIZE]; /* of a sync address: where it was found, or "" */
	bool is_sync;
	struct ipaddr sync_address;
	/* What is there: */
	uint32_t ifindex; /* 0: not there */
	bool is_up;	  /* administratively */
	bool has_carrier;
	uint8_t mac[6];
	struct ipaddr own_v4;	     /* the node's own first address, never a managed one */
	struct ipaddr own_v6;	     /* the same of any scope */
	struct ipaddr link_local_v6; /* fe80::/10, own */
};

/* What happens to virtual addresses. */
enum links_managed {
	LINKS_MANAGED_GONE,
	LINKS_MANAGED_DUPLICATE, /* IPv6: tentative, or failed duplicate address detection */
};

struct links;

struct links_options {
	sd_event *event;
	struct executor *executor;
	/* is_managed: whether a group manages this address (then it is never "own"). Called on
	 * both threads: reads constant data only. */
	bool (*is_managed)(void *context, const struct ipaddr *address);
	/* on_change: entry `index` was `old`, and is now links_get(links, index). In the loop. */
	void (*on_change)(void *context, uint32_t index, const struct links_entry *old);
	/* on_managed: the kernel said so just now; whoever did it. In the loop. */
	void (*on_managed)(
		void *context, const struct addresses_entry *entry, enum links_managed change);
	void *context;
};

int links_open(struct links **ret_links, const struct links_options *options)
	__attribute__((warn_unused_result));
void links_close(struct links *links);

/* links_add_interface: what to look for. The same name twice is the same index, which does not
 * change. After links_start it is not known until on_change tells. links_release: once for each
 * time that it was added; those of every path, virtual device and track fit (CHECKed).
 * links_add_sync: likewise, before links_start. */
uint32_t links_add_interface(struct links *links, const char *name);
void links_release(struct links *links, uint32_t index);
uint32_t links_add_sync(struct links *links, const struct ipaddr *address);

/* links_start: the first look, at once and on this thread (start-up), then events. 0 or -errno. */
int links_start(struct links *links) __attribute__((warn_unused_result));

const struct links_entry *links_get(const struct links *links, uint32_t index);

/* links_is_known: it has been looked for; before that links_get says that it is not there. */
bool links_is_known(const struct links *links, uint32_t index);

static inline bool links_entry_alive(const struct links_entry *entry)
{
	return entry->ifindex != 0 && entry->is_up && entry->has_carrier;
}

/* links_received: packets that the interface has received, from /proc/net/dev (no kernel lock);
 * false when it is not there. */
bool links_received(const char *name, uint64_t *ret_packets) __attribute__((warn_unused_result));

#endif
