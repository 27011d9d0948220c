/* reflect.h: `carpool drill reflect` and what it has in common with the prober: an echo for probes
 * of the running cluster, on a host behind it.
 *
 * UDP: a datagram of REFLECT_BYTES that begins with the magic goes back as it is, to where it came
 * from: never more than came, so it amplifies nothing. TCP: what comes goes back. Both on one port.
 */
#ifndef CTL_DRILL_REFLECT_H
#define CTL_DRILL_REFLECT_H

#include <stdint.h>

#define REFLECT_PORT		4243u
#define REFLECT_BYTES		64u
#define REFLECT_MAGIC		UINT64_C(0x63617270726f6265) /* in network order */
#define REFLECT_CONNECTIONS_MAX 256u
#define REFLECT_IDLE_S		300 /* a connection that says nothing for so long is closed */

/* The beginning of a datagram; the numbers in network order, the rest zero. */
struct reflect_probe {
	uint64_t magic;
	uint64_t session; /* of the prober's life */
	uint64_t index;
};

/* reflect_run: until SIGINT or SIGTERM.
 *   listen  "ADDRESS", "ADDRESS:PORT", "[ADDRESS]:PORT" or NULL: every address, REFLECT_PORT.
 * 0, or a negative errno (a sentence on standard error). */
int reflect_run(const char *listen);

#endif
