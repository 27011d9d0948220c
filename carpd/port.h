/* port.h: a port: the packet socket of one path.
 *
 * AF_PACKET with ETH_P_ALL taps before traffic control, netfilter's ingress hook and every input
 * chain, so no ruleset can blind it; a BPF filter in the kernel lets through IP protocol 112 alone,
 * to the group addresses (a group's interface) or to the node's own sync address (a sync path).
 * Outgoing and tagged frames and frames for other stations are not seen.
 *
 * An ordinary IPv6 socket joins ff02::12 besides, only for what the kernel says then: a switch that
 * snoops on MLD (RFC 4541 section 3) sends the group's packets to ports that have reported it
 * alone. (224.0.0.18 needs no such report: 224.0.0.0/24 goes to every port.)
 *
 * A second socket of the port takes ARP and neighbour advertisements, for the interface's own test
 * and for next hops; it is apart so that a flood of ARP cannot push adverts out of the buffer.
 *
 * Joining the group takes RTNL: port_open and port_close are for the executor or for start-up.
 * A socket outlives an interface that goes down; one that is deleted needs a new port. */
#ifndef CARPD_PORT_H
#define CARPD_PORT_H

#include "carpd/frame.h"
#include "common/ipaddr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct port {
	uint32_t ifindex;
	int fd;		  /* adverts; -1 closed */
	int neighbour_fd; /* ARP and ND; -1 closed or a sync path */
	int member_fd;	  /* joins ff02::12; 0 or -1: none (IPv6 is off there) */
};

/* port_open: a group's interface: `own` NULL; a sync path: the node's own address there.
 * 0 or a negative errno; *ret_port untouched on failure. */
int port_open(struct port *ret_port, uint32_t ifindex, const struct ipaddr *own)
	__attribute__((warn_unused_result));

/* port_close: a closed port is allowed. */
void port_close(struct port *port);

struct port_packet {
	const uint8_t *data; /* from the network header, in the caller's buffer */
	size_t size_bytes;
	uint16_t ethertype;
	uint8_t mac[FRAME_MAC_BYTES]; /* the sender's */
	uint32_t ifindex;
};

#define PORT_BATCH	  8u
#define PORT_PACKET_BYTES 2048u

struct port_batch {
	struct port_packet packets[PORT_BATCH];
	uint8_t bytes[PORT_BATCH][PORT_PACKET_BYTES];
};

/* port_receive: what `fd` holds, at most PORT_BATCH packets, whose data is the batch's. Returns how
 * many (fewer than PORT_BATCH: nothing is left), or a negative errno (-ENETDOWN once after the
 * interface went down). What is longer than PORT_PACKET_BYTES is cut. */
int port_receive(int fd, struct port_batch *batch) __attribute__((warn_unused_result));

/* port_send: one packet from the network header on, to a station. 0 or a negative errno. */
int port_send(int fd, uint32_t ifindex, uint16_t ethertype, const uint8_t mac[FRAME_MAC_BYTES],
	const uint8_t *data, size_t size_bytes);

/* port_open_sender: a socket that only sends, on any interface: the guard's. */
int port_open_sender(void) __attribute__((warn_unused_result));

/* port_open_quiet: raw IP sockets that claim protocol 112 and read nothing: without them the kernel
 * answers unicast adverts with "protocol unreachable" (RFC 1122 section 3.2.2.1), because their
 * real readers are packet sockets, which do not count. Kept open for the life of the process. */
void port_open_quiet(void);

extern const uint8_t port_broadcast[FRAME_MAC_BYTES];

#endif
