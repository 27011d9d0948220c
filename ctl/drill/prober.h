/* prober.h: `carpool drill probe`: traffic from a client host through the running cluster to a
 * `carpool drill reflect` behind it, and what became of it.
 *
 * A UDP stream of numbered probes at a steady rate, TCP connections that chatter all the time, and
 * new TCP connections. One thread; what it sent late itself is no outage (outage.h).
 *
 * With `orders` it is steered by `carpool drill run --live` through its standard input, usually
 * over ssh: a line "mark" ends a part and begins the next one, the end of the input ends
 * everything. On standard output comes one JSON object a line:
 *   {"event":"progress","sent":N,"answered":N,"silent_ms":X,"tcp":{"total":N,"alive":N}}  10 a
 * second
 *   {"event":"result",...}  at each mark and at the end: the names of doc/drills.md */
#ifndef CTL_DRILL_PROBER_H
#define CTL_DRILL_PROBER_H

#include <stdbool.h>
#include <stdint.h>

#define PROBER_RATE_HZ	       200
#define PROBER_RATE_HZ_MIN     10
#define PROBER_RATE_HZ_MAX     5000
#define PROBER_CONNECTIONS     4
#define PROBER_CONNECTIONS_MAX 32
#define PROBER_SAMPLES_MAX     4000000u /* of one part; then it ends */

struct prober_options {
	const char *to; /* ADDRESS or ADDRESS:PORT */
	uint32_t rate_hz;
	uint32_t connection_count;
	int64_t for_ms; /* 0: until it is stopped */
	bool orders;
	bool json;
};

/* prober_run: 0 nothing was lost, 1 something was, or a negative errno (said on standard error). */
int prober_run(const struct prober_options *options);

#endif
