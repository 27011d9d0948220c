/* udp.h: the UDP probe: one established flow through the firewalls, at a steady rate.
 *
 * A sender on the client's host sends a numbered probe every period, on absolute deadlines; an echo
 * on the server's host sends each back with its own arrival time; a receiver notes when the answer
 * arrived, by the kernel's time stamp. Three threads, real-time where permitted. When the sender
 * was late it does not catch up with a burst: the rate drops for a moment, and outage.h knows. */
#ifndef CTL_DRILL_UDP_H
#define CTL_DRILL_UDP_H

#include "common/ipaddr.h"
#include "ctl/drill/outage.h"

#include <stdbool.h>
#include <stdint.h>

#define UDP_PORT	  4242u
#define UDP_RATE_HZ_MIN	  10u
#define UDP_RATE_HZ_MAX	  20000u
#define UDP_SAMPLES_MAX	  20000000u
#define UDP_PAYLOAD_BYTES 64u

struct udp_options {
	int client_netns_fd;
	int server_netns_fd;
	struct ipaddr client;
	struct ipaddr server;
	uint32_t rate_hz;
	uint32_t seconds_max;  /* no probe is sent after this many */
	int64_t wall_offset;   /* tick_wall_offset() */
	int realtime_priority; /* 0: none */
};

struct udp;

/* udp_start: opens the sockets, starts the threads. 0 or a negative errno. */
int udp_start(struct udp **ret_udp, const struct udp_options *options);

/* udp_answered: probes that have come back so far. */
uint64_t udp_answered(const struct udp *udp);

/* udp_last_answer_at: arrival of the newest answer, 0 when none. */
int64_t udp_last_answer_at(const struct udp *udp);

/* udp_stop: stops sending, waits for stragglers, ends the threads. */
void udp_stop(struct udp *udp);

/* udp_samples: after udp_stop; borrowed until udp_free. */
const struct outage_sample *udp_samples(const struct udp *udp, size_t *ret_count);

/* udp_server_arrivals: when each of the samples arrived at the server, 0 when it did not: tells on
 * which leg a probe was lost. Same length as udp_samples. */
const int64_t *udp_server_arrivals(const struct udp *udp);

int64_t udp_period_ns(const struct udp *udp);

/* udp_duplicate_count: answers that came a second time. */
uint64_t udp_duplicate_count(const struct udp *udp);

/* udp_free: NULL is allowed; stops first when still running. */
void udp_free(struct udp *udp);

#endif
