/* exporter.h: GET /metrics over HTTP, for Prometheus: libmicrohttpd, one thread, no rights.
 *
 * Limits: connections in all and from one address, memory a connection (request line and headers),
 * seconds a connection may be silent. Only GET and HEAD of / and /metrics; the daemons are asked at
 * most once in EXPORTER_FRESH_MS, however often somebody asks here. */
#ifndef CTL_EXPORTER_H
#define CTL_EXPORTER_H

#include "ctl/args.h"

#include <sys/socket.h>

#define EXPORTER_LISTEN		  "127.0.0.1:9807"
#define EXPORTER_CONNECTIONS_MAX  16u
#define EXPORTER_PER_ADDRESS_MAX  8u
#define EXPORTER_MEMORY_BYTES_MAX 16384u
#define EXPORTER_SILENCE_S_MAX	  10u
#define EXPORTER_FRESH_MS	  500
#define EXPORTER_TEXT_BYTES_MAX	  (4u * 1024 * 1024)

/* exporter_limit: gives up the user (root becomes `nobody`), every capability, and new privileges.
 * 0 or a negative errno. Call it when the socket is open. */
int exporter_limit(void);

/* exporter_run: serves until SIGTERM or SIGINT. 0, or a negative errno when it could not begin.
 *   args  borrowed until it returns. */
int exporter_run(const struct args *args, const struct sockaddr_storage *address, socklen_t size);

#endif
