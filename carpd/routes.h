/* routes.h: routes that move with a group, by rtnetlink, many in one message.
 *
 * They carry carpool's own routing protocol number (ROUTES_PROTOCOL), and only such are ever
 * removed: a route of the operator's to the same network is left alone and comes into force again
 * when ours goes. They are looked after with the addresses' renewal: one that somebody has removed
 * is put back.
 *
 * Blocking (RTNL): for the links executor, the guard, and start-up. No allocation. */
#ifndef CARPD_ROUTES_H
#define CARPD_ROUTES_H

#include "carpd/addresses.h"

#define ROUTES_PROTOCOL 112u /* rtm_protocol; as IP's number of the election */

struct routes_entry {
	uint32_t ifindex;
	struct ipaddr to;  /* a network; prefix length 0: default */
	struct ipaddr via; /* family IPADDR_NONE: on the link */
	uint32_t metric;   /* 0: the kernel's default */
};

/* routes_add: one that is there is fine and counts as unchanged. routes_remove: one that is not
 * there is fine. Results and errors as addresses_add. */
int routes_add(struct addresses_nl *nl, const struct routes_entry *entries, size_t count,
	mono_t deadline, struct addresses_result *ret_result) __attribute__((warn_unused_result));
int routes_remove(struct addresses_nl *nl, const struct routes_entry *entries, size_t count,
	mono_t deadline, struct addresses_result *ret_result) __attribute__((warn_unused_result));

#endif
