/* probe.h: does a ruleset let the sync port through? Asked with real packets, in a scratch
 * namespace.
 *
 * probe_run() is called inside scratch_run()'s child. It makes a second
 * namespace for the peer, a veth pair between them whose near end has the name of the node's sync
 * interface, and a TCP connection each way. What stops one is named from nft's own trace
 * (NFNLGRP_NFTRACE): the packets of the port are marked before all other rules. */
#ifndef RULES_PROBE_H
#define RULES_PROBE_H

#include "common/ipaddr.h"
#include "common/mono.h"
#include "rules/rules.h"

#define PROBE_WAIT_MS	  300  /* a dropped SYN is not answered; any other is, in microseconds */
#define PROBE_PATIENCE_MS 3500 /* two repeats of a SYN that nobody dropped (RFC 6298: 1 s, 3 s) */
#define PROBE_STOPPER_MAX 384u

struct probe {
	char ifname[RULES_IFNAME_MAX]; /* of this node, on the sync link; made here */
	struct ipaddr own;
	struct ipaddr peer;
	uint16_t port;
};

struct probe_result {
	bool out_passes;		     /* own connects to the peer's port */
	bool in_passes;			     /* the peer connects to ours */
	char out_stopper[PROBE_STOPPER_MAX]; /* "rule `...` in table inet fw, chain input"; "" =
						unseen */
	char in_stopper[PROBE_STOPPER_MAX];
	char chain[RULES_TABLE_NAME_MAX]; /* of the first stopper */
};

/* probe_run: 0 with the result, or -errno. `load` puts the rules there once the interface exists,
 * so that `iif` finds it. Leaves the namespace dirty. */
int probe_run(const struct probe *probe, mono_t deadline, struct probe_result *ret,
	int (*load)(const void *context, mono_t deadline), const void *context);

#endif
