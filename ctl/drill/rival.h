/* rival.h: keepalived and conntrackd in the places of carpd and syncd, for `--compare keepalived`.
 *
 * The same lab, faults, rules, probes and verdict; only what runs on the nodes is another. It is
 * set up as its manuals advise for a stateful firewall: VRRPv3 with one instance an interface in a
 * sync group, real-time priority and locked memory, conntrackd in FTFW mode with external cache,
 * and its primary-backup script as the notify script. Intervals and order are those of the
 * cluster's config, as near as VRRP comes: adverts every 10 ms at least, priority 254 less the
 * advskew.
 *
 * What it needs beyond a carpool node it gets here: an address of each node's own on every
 * interface (VRRP sends from it), and rules that let VRRP and the sync traffic in. */
#ifndef CTL_DRILL_RIVAL_H
#define CTL_DRILL_RIVAL_H

#include "ctl/drill/lab.h"

#include <stdbool.h>
#include <sys/types.h>

#define RIVAL_NAME_MAX	128u
#define RIVAL_ERROR_MAX 512u

/* rival_find: whether both programs are here; their names and versions. False, with a sentence that
 * says what to do. */
bool rival_find(char name[static RIVAL_NAME_MAX], char error[static RIVAL_ERROR_MAX]);

/* rival_unfit: why it cannot stand in for this cluster, or NULL. */
const char *rival_unfit(const struct config *cfg);

/* rival_prepare: addresses, rules and config files of one node, which boots. 0 or a negative errno
 * with `error`. */
int rival_prepare(struct lab *lab, unsigned int node, bool realtime);

/* rival_start: 0 is keepalived, 1 conntrackd. The PID, or a negative errno. */
pid_t rival_start(const struct lab *lab, unsigned int node, unsigned int daemon, int log_fd);

/* rival_has_group: the node has (all, or with `any` at least one) of the group's addresses. */
bool rival_has_group(
	const struct lab *lab, unsigned int node, const struct config_group *group, bool any);

/* rival_synced: connections that conntrackd on the node holds for the other one; -1 unknown. */
long rival_synced(const struct lab *lab, unsigned int node);

/* rival_stop_family: a signal to a process and all its children (SIGSTOP to a parent alone stops
 * nothing). */
void rival_signal_family(pid_t pid, int signal_number);

#endif
