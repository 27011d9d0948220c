/* claim.h: who answers for a virtual address, and do two? Pure arithmetic over what the taps saw.
 *
 * A claim is one ARP answer (or announcement) for a virtual address, seen on the switch port of one
 * node. The observer asks at a steady rate; answers of one node that follow each other closely are
 * one reign. Where the reigns of two nodes overlap, two answered for the address. */
#ifndef CTL_DRILL_CLAIM_H
#define CTL_DRILL_CLAIM_H

#include <stddef.h>
#include <stdint.h>

struct claim {
	int64_t at;	 /* ns */
	uint16_t target; /* which virtual address */
	uint8_t node;	 /* whose port */
};

/* claim_dual: nanoseconds in which two nodes or more answered for the target, in [from, to).
 *   claims   in the order of time; others' targets are skipped.
 *   gap_ns   two answers further apart than this do not belong to one reign. */
int64_t claim_dual(const struct claim *claims, size_t claim_count, uint16_t target, int64_t gap_ns,
	int64_t from, int64_t to);

/* claim_first: when `node` first claimed the target at or after `from`; 0 when it never did. */
int64_t claim_first(const struct claim *claims, size_t claim_count, uint16_t target, uint8_t node,
	int64_t from);

/* claim_last: when `node` last claimed the target in [from, to); 0 when it never did. */
int64_t claim_last(const struct claim *claims, size_t claim_count, uint16_t target, uint8_t node,
	int64_t from, int64_t to);

#endif
