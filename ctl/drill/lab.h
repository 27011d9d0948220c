/* lab.h: the drilled cluster in network namespaces: switches, hosts, firewalls, cables.
 *
 * One namespace `@switch` holds a bridge a segment; `@NAME` is the host on segment NAME; a firewall
 * has its node's name. All of them can be looked into while the lab stands (`ip netns exec fw1 sh`
 * inside the room). The cable of a node to a segment is a veth pair whose far end is the port
 * p<segment>n<node> of the switch:
 *   lab_port_block  the port forwards nothing, its carrier stays: a dead port, a dead machine;
 *   lab_port_down   the port is down, the node sees its carrier go: a pulled cable.
 * Several ports change in one netlink message train, so a cut machine is cut at one instant.
 *
 * The hosts' links have a rate, so that bulk transfers meet a full line and its queue without
 * taking every processor of the machine; what asks for priority (the probes) goes ahead in that
 * queue.
 *
 * A firewall's processes live in PID and mount namespaces of their own under a small first process;
 * killing that one is the end of all of them at once, as when the power goes. */
#ifndef CTL_DRILL_LAB_H
#define CTL_DRILL_LAB_H

#include "common/io/nl.h"
#include "ctl/drill/plan.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define LAB_ERROR_MAX 512u
#define LAB_SWITCH    "@switch"

struct lab_node {
	const struct config_node *config;
	int netns_fd; /* these: -1 when not there */
	int mntns_fd;
	int pidns_fd;
	int root_fd; /* of its first process: where we are in a chroot, not that of mntns_fd */
	pid_t first_process; /* 0: the machine is off */
	char runtime_dir[PATH_MAX];
	char state_dir[PATH_MAX];
};

struct lab {
	const struct plan *plan;
	uint32_t link_mbit; /* of the hosts' links; 0: as fast as this machine goes */
	int switch_netns_fd;
	int host_netns_fds[PLAN_SEGMENTS_MAX];		/* -1 for sync links */
	int port_index[PLAN_SEGMENTS_MAX][LIMIT_NODES]; /* interface numbers in @switch; 0: none */
	int bridge_index[PLAN_SEGMENTS_MAX];
	unsigned int node_count;
	struct lab_node nodes[LIMIT_NODES];
	struct nl switch_nl;
	char error[LAB_ERROR_MAX]; /* one sentence when something failed */
};

/* lab_open: builds everything but processes. 0, or a negative errno with `error` set. */
int lab_open(struct lab *lab, const struct plan *plan, uint32_t link_mbit);

/* lab_close: switches all machines off and forgets them; the kernel frees the rest with the room.
 */
void lab_close(struct lab *lab);

/* lab_node_on: the first process of a machine that is off. lab_node_off: kills every process of it
 * at once and waits for their end. */
int lab_node_on(struct lab *lab, struct lab_node *node);
void lab_node_off(struct lab_node *node);

/* lab_node_forget: a machine that is off loses what a reboot loses: addresses, rules. (The table of
 * connections: flows_flush().) */
int lab_node_forget(struct lab *lab, unsigned int node);

/* lab_node_spawn: runs a program on the machine. Its PID, or a negative errno. */
pid_t lab_node_spawn(const struct lab_node *node, const char *const *argv, int output_fd);

struct lab_node *lab_node_lookup(struct lab *lab, const char *name);

/* A set of ports: every segment of one node, or one segment. */
#define LAB_SEGMENT_ALL (-1)

/* lab_port_block: stops (or, with `open`, lets) the ports of a node forward. All at one instant. */
int lab_port_block(struct lab *lab, unsigned int node, int segment, bool open);

/* lab_port_isolate: the ports of a node and those of other isolated nodes do not hear each other;
 * hosts hear and are heard by all. */
int lab_port_isolate(struct lab *lab, unsigned int node, bool isolated);

/* lab_port_down: takes the ports' link down, or up again. */
int lab_port_down(struct lab *lab, unsigned int node, int segment, bool up);

/* lab_host: the namespace of the host on a segment. */
int lab_host(const struct lab *lab, unsigned int segment);

#endif
