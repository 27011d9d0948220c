/* tap.h: what passes the switches: who answers for the virtual addresses, who forwards.
 *
 * An observer on each group switch (it has a MAC address and no IP address) asks at a steady rate
 * who has the virtual address, in the form of RFC 5227 probes: sender address 0.0.0.0, so no host
 * and no firewall learns anything from being asked, and the hosts under test never see the answers.
 * A tap in the switch's namespace notes, by the port where a frame came in - that is by node, not
 * by MAC address, which virtual_mac may share - every ARP answer and announcement, and every probe
 * of udp.h that the node forwards. */
#ifndef CTL_DRILL_TAP_H
#define CTL_DRILL_TAP_H

#include "ctl/drill/claim.h"
#include "ctl/drill/lab.h"

#include <stdint.h>

#define TAP_CLAIMS_MAX	  4000000u
#define TAP_FORWARDS_MAX  4000000u
#define TAP_ASK_PERIOD_NS INT64_C(2000000) /* 2 ms: the resolution of dual_master_ms */
#define TAP_REIGN_GAP_NS  INT64_C(12000000)

struct tap_options {
	struct lab *lab;
	int64_t wall_offset;
	int realtime_priority;
};

/* A probe on its way that a node has put onto a switch. */
struct tap_forward {
	int64_t at;
	uint8_t node;
	uint8_t segment;
};

struct tap;

int tap_start(struct tap **ret_tap, const struct tap_options *options);
void tap_stop(struct tap *tap);

/* After tap_stop; borrowed until tap_free. A claim's target is its segment. */
struct claim *tap_claims(struct tap *tap, size_t *ret_count);
const struct tap_forward *tap_forwards(const struct tap *tap, size_t *ret_count);

/* tap_announced: when `node` first sent an unasked announcement (gratuitous ARP) for an address of
 * the segment at or after `from`; 0 never. */
int64_t tap_announced(const struct tap *tap, unsigned int segment, unsigned int node, int64_t from);

/* tap_lost_count: frames that the tap's socket dropped; above 0 the figures are not complete. */
uint64_t tap_lost_count(const struct tap *tap);

void tap_free(struct tap *tap);

#endif
