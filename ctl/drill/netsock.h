/* netsock.h: sockets of other namespaces, and addresses in the form that sockets want. */
#ifndef CTL_DRILL_NETSOCK_H
#define CTL_DRILL_NETSOCK_H

#include "common/ipaddr.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

/* netsock_address: returns the length. */
socklen_t netsock_address(
	const struct ipaddr *addr, uint16_t port, struct sockaddr_storage *ret_address);

/* netsock_open: socket(2) in that namespace, close-on-exec. A descriptor or a negative errno. */
int netsock_open(int netns_fd, int family, int type, int protocol);

/* netsock_bound: an inet socket of the address' family, bound to addr:port. */
int netsock_bound(int netns_fd, int type, const struct ipaddr *addr, uint16_t port);

#endif
