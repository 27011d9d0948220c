/* announce.h: telling the network where the addresses are now.
 *
 * Gratuitous ARP in both forms and unsolicited neighbour advertisements, as raw frames on the
 * ports: nothing is looked up and nothing waits. A round covers every interface of the group, one
 * address of each in turn, so that all interfaces are announced back to back: a peer that learns
 * one side 30 ms before the other breaks connections (facts/experiments.md section 7). Rounds
 * repeat (promotion: announce:), because frames get lost and switches move slowly. */
#ifndef CARPD_ANNOUNCE_H
#define CARPD_ANNOUNCE_H

#include "carpd/frame.h"
#include "common/ipaddr.h"

#include <stddef.h>
#include <stdint.h>

/* One interface to announce on. */
struct announce_target {
	int fd;			      /* of its port; negative: not there */
	uint32_t ifindex;	      /* may be a device on the port's interface */
	uint8_t family;		      /* only these addresses; IPADDR_NONE: all */
	uint8_t mac[FRAME_MAC_BYTES]; /* what the addresses are at */
	const struct ipaddr *addresses;
	uint32_t address_count;
};

/* announce_round: one round; the number of frames that could not be sent (of *ret_sent + that). */
unsigned int announce_round(
	const struct announce_target *targets, size_t target_count, unsigned int *ret_sent);

#endif
