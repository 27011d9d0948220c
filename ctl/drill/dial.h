/* dial.h: new TCP connections through the firewalls, one every period: can a user who comes just
 * now get through?
 *
 * An attempt is good when it is established by its first SYN. When it took a retransmission (TCP
 * waits a second for that: RFC 6298) it counts as lost, and as retried: the user has waited. When
 * it is not established within DIAL_PATIENCE_MS, or was refused, it has failed. */
#ifndef CTL_DRILL_DIAL_H
#define CTL_DRILL_DIAL_H

#include "common/ipaddr.h"
#include "ctl/drill/outage.h"

#include <stdint.h>

#define DIAL_PORT	 4244u
#define DIAL_RATE_HZ	 50u
#define DIAL_PATIENCE_MS 3500
#define DIAL_PENDING_MAX 256u /* of 175 within the patience */

struct dial_options {
	int client_netns_fd;
	int server_netns_fd;
	struct ipaddr client;
	struct ipaddr server;
	uint32_t seconds_max;
	int realtime_priority; /* 0: none */
};

struct dial;

/* dial_start: 0 or a negative errno. */
int dial_start(struct dial **ret_dial, const struct dial_options *options);

/* dial_stop: no more attempts; gives those under way a moment. */
void dial_stop(struct dial *dial);

/* dial_samples: after dial_stop; borrowed until dial_free. received_at is when it was established
 * by its first SYN. */
const struct outage_sample *dial_samples(const struct dial *dial, size_t *ret_count);

/* dial_retried: how many of the samples from `from` on were established by a later SYN. */
uint32_t dial_retried(const struct dial *dial, size_t from);

int64_t dial_period_ns(void);

/* dial_free: NULL is allowed; stops first when still running. */
void dial_free(struct dial *dial);

#endif
