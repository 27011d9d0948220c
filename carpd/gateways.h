/* gateways.h: the next hops that the kernel's routes name on an interface.
 *
 * Whoever routes through an interface knows that its gateways should answer there: they are the
 * first to be asked when the interface tests itself (health.c) and needs no configuration. They are
 * read when a test begins, so a routing daemon may change them as it likes; the kernel filters by
 * interface (NETLINK_GET_STRICT_CHK, Linux 4.20), so that a full table of the Internet's routes
 * costs its walk and not its transfer. */
#ifndef CARPD_GATEWAYS_H
#define CARPD_GATEWAYS_H

#include "carpd/bounds.h"
#include "common/io/nl.h"
#include "common/ipaddr.h"
#include "common/mono.h"

#include <stdint.h>

/* At most CARPD_GATEWAYS_MAX different ones, in the order of the kernel's answer; the rest is left
 * out: enough are asked. */
struct gateways {
	uint32_t count;
	struct ipaddr list[CARPD_GATEWAYS_MAX];
};

/* gateways_open: a socket for gateways_read, one a thread. 0 or a negative errno. */
int gateways_open(struct nl *nl) __attribute__((warn_unused_result));

/* gateways_read: the main table's gateways on that interface, IPv4 and IPv6. 0 or a negative errno;
 * *ret_gateways has what was read until then. Blocking. */
int gateways_read(struct nl *nl, uint32_t ifindex, mono_t deadline, struct gateways *ret_gateways)
	__attribute__((warn_unused_result));

/* gateways_add: one more, unless it is there or there is no room. */
void gateways_add(struct gateways *gateways, const struct ipaddr *address);

/* gateways_take: the gateways on that interface of one RTM_NEWROUTE, nexthops of a multipath route
 * and IPv6 gateways of IPv4 routes (RTA_VIA) included. Anything else is passed over. */
void gateways_take(struct gateways *gateways, const struct nlmsghdr *message, uint32_t ifindex);

#endif
