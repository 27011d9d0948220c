/* endpoint.h: an address and a port, as people write them. */
#ifndef CTL_ENDPOINT_H
#define CTL_ENDPOINT_H

#include <stdint.h>
#include <sys/socket.h>

/* endpoint_parse: "ADDRESS", "ADDRESS:PORT", "[V6]:PORT", a bare IPv6 address; no names.
 *   port_default  where the text has none; 0: then it must have one.
 * 0 or -EINVAL. */
int endpoint_parse(const char *text, uint16_t port_default, struct sockaddr_storage *ret_address,
	socklen_t *ret_size);

#endif
