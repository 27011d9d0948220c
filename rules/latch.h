/* latch.h: after a foreign `nft flush ruleset` nothing passes, not for a moment.
 *
 *     table inet carpool__passed {                 carpool's, like any other: a flush takes it
 *         chain post { type filter hook postrouting priority 2147483645;
 *             meta mark set meta mark | 0x80000000 }
 *         chain in   { type filter hook input ... the same }
 *     }
 *     table inet carpool__latch {                  `flags owner`: a flush by others leaves it
 *         chain post { type filter hook postrouting priority 2147483646;
 *             meta mark & 0x80000000 != 0 meta mark set meta mark & 0x7fffffff accept
 *             iifname @interfaces drop }
 *         chain in   { type filter hook input ... the same }
 *     }
 *
 * The first marks what has passed every rule before it, the second takes the mark off again and
 * drops what has none. A commit that deletes tables takes their hooks off one after the other, in
 * the order in which the tables were made (nf_tables_commit(), tried), and with 100,000 rules that
 * takes a while. So carpool__passed is made before all others: it is the first to go, and a packet
 * that still got its mark had passed every rule before. None passes then until carpd has put the
 * shields up and wakes carpool__passed, made again before them, 1 ms later. It sleeps while no
 * carpd runs, so as to keep its place.
 *
 * The owner is the netlink socket in here: nobody else can change or flush the latch (nor need
 * anybody: unlike the operator's tables it has nothing to fill), and it dies with carpd, while the
 * operator's rules stay: no way to lock a machine up for good. Priorities: after everything, and
 * before conntrack confirms at INT_MAX, so that what is dropped leaves no entry. Needs
 * NFT_TABLE_F_OWNER (Linux 5.12); rules that use bit 31 of the mark go without. */
#ifndef RULES_LATCH_H
#define RULES_LATCH_H

#include "rules/nfnl.h"
#include "rules/rules.h"

/* No group's name begins with '_', so no shield has one of these names. */
#define LATCH_TABLE	  RULES_SHIELD_PREFIX "_latch"
#define LATCH_PASSED	  RULES_SHIELD_PREFIX "_passed"
#define LATCH_MARK	  0x80000000u
#define LATCH_BATCH_BYTES 65536u

/* latch_uses_mark: whether a canonical listing sets or matches the mark's bit: a constant that has
 * it and is not a mask (`& 0xffffff00` keeps the bit as it is). */
bool latch_uses_mark(const char *listing);

#endif
