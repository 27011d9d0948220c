/* shield.h: carpool's own table, awake on every node that is not the master of the group.
 *
 *     table inet carpool_GROUP {
 *         chain guard { type filter hook prerouting priority -450; policy accept;
 *             iifname != @interfaces return     what does not enter by the group is not ours to
 * judge ip  daddr @addresses4  drop       for the master, whatever this node's addresses say ip6
 * daddr @addresses6  drop fib daddr type local / multicast / broadcast  accept   for this very
 * host; its ND and DHCP ip6 daddr ff00::/8 accept drop } }                          to be
 * forwarded: the master's work
 *
 * Priority -450 is before defragmentation (-400) and conntrack (-200), so that no stray packet can
 * move an injected entry (a late RST turned ESTABLISHED into CLOSE behind a forward-only standby,
 * facts/experiments.md 1d), and before every hook of an operator's tables, so that a packet stopped
 * here never meets half of a switch. Adverts are read on packet sockets before any of this, ARP is
 * not in the inet family. It is written in raw netlink, so that the guard can re-make it. */
#ifndef RULES_SHIELD_H
#define RULES_SHIELD_H

#include "rules/nfnl.h"
#include "rules/rules.h"

#define SHIELD_BATCH_BYTES 98304u /* 1024 IPv6 addresses and 256 interfaces take 60 kB */
#define SHIELD_PRIORITY	   (-450)

/* What the shield has to know of its group; borrowed for the call. */
struct shield {
	const char *group;
	const struct rules_interface *interfaces; /* those that are `shielded` */
	size_t interface_count;
	const struct ipaddr *addresses;
	size_t address_count;
};

enum shield_mode {
	SHIELD_CREATE,	/* the table is not there */
	SHIELD_REPLACE, /* it is there but broken: delete and create in one batch */
	SHIELD_REFRESH, /* it is there and awake: new content, with no gap: one chain, one commit */
};

/* shield_build: the batch that makes the shield, awake. Allocates through libnftnl: not for the
 * switch itself. True when it fitted. */
bool shield_build(struct nfnl_batch *b, void *memory, size_t size_bytes,
	const struct shield *shield, enum shield_mode mode);

/* shield_name: "carpool_GROUP"; returns `name`. */
char *shield_name(const char *group, char name[static RULES_TABLE_NAME_MAX]);

#endif
