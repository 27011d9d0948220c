/* peerhost.h: what the programs of a live drill share: addresses as people write them, and being
 * told to stop. */
#ifndef CTL_DRILL_PEERHOST_H
#define CTL_DRILL_PEERHOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* peerhost_parse: "ADDRESS", "ADDRESS:PORT", "[V6]:PORT", a bare IPv6 address; no names. 0 or
 * -EINVAL.
 */
int peerhost_parse(const char *text, uint16_t port_default, struct sockaddr_storage *ret_address,
	socklen_t *ret_size);

/* peerhost_catch_signals: from now on SIGINT, SIGTERM and SIGHUP only set what peerhost_stopped()
 * tells, and SIGPIPE is ignored. */
void peerhost_catch_signals(void);
bool peerhost_stopped(void);

#endif
