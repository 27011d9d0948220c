/* neighbours.h: next hops that are known before the first packet needs them.
 *
 * A new master has an empty neighbour cache: the kernel would hold back the first packets to every
 * next hop until it has asked (and drop what does not fit unres_qlen_bytes). carpd has heard those
 * neighbours all the while on its ports, so it tells the kernel what it knows, as NUD_STALE: used
 * at once, and asked again by the kernel itself a few seconds later (RFC 4861 section 7.3.2). An
 * entry that the kernel has already is left alone.
 *
 * Blocking (RTNL): for the links executor. No allocation. */
#ifndef CARPD_NEIGHBOURS_H
#define CARPD_NEIGHBOURS_H

#include "carpd/addresses.h"
#include "carpd/frame.h"

#include <stddef.h>
#include <stdint.h>

#define NEIGHBOURS_MAX 128u /* of one group: the most recent of each interface */

struct neighbours_entry {
	uint32_t ifindex;
	struct ipaddr address;
	uint8_t mac[FRAME_MAC_BYTES];
};

/* neighbours_add: best effort, nothing is waited for: a kernel that refuses one resolves it itself.
 * At most NEIGHBOURS_MAX entries (CHECKed). */
void neighbours_add(struct addresses_nl *nl, const struct neighbours_entry *entries, size_t count);

#endif
