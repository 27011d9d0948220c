/* outage.h: how long was the path away? Pure arithmetic over the probes of one stream.
 *
 * Three methods of RFC 6414, side by side, because each is blind to something:
 *   packet loss (PLBM)  probes lost * period: blind to where the losses lie;
 *   time (TBLM)         last good arrival before to first good arrival after, by the receiver's
 *                       clock, less one period: sees packets that were delayed and not lost;
 *   time stamps (TBM)   from the send times of the probes that were lost: blind to nothing between
 *                       the two hosts, so this is the figure that is judged.
 * Our own jitter must not count: a probe that was sent late leaves a hole that is no outage. So the
 * edges of an outage (last good to first lost, last lost to first good) count as at most one period
 * each, half of it on average, and what was not observed widens the stated resolution instead. */
#ifndef CTL_DRILL_OUTAGE_H
#define CTL_DRILL_OUTAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Losses that are fewer good probes apart than this are one outage (the "sustained" part of
 * RFC 6413's convergence validation). */
#define OUTAGE_SUSTAINED_COUNT 20u

/* A pause of the machine and a loss that are further apart have nothing to do with each other. */
#define OUTAGE_BESIDE_NS INT64_C(250000000)

struct outage_sample {
	int64_t sent_at;     /* ns */
	int64_t received_at; /* ns; 0: never came back */
};

struct outage {
	size_t sent_count;
	size_t lost_count;     /* in all */
	size_t outage_lost;    /* of these, within the longest outage */
	int64_t stamp_ns;      /* TBM of the longest outage */
	int64_t resolution_ns; /* the true value lies within stamp_ns +- this: what is not
				* probed is not seen */
	int64_t loss_ns;       /* PLBM, all losses */
	int64_t arrival_ns;    /* TBLM, the longest gap */
	int64_t last_good_at; /* send time of the last good probe before the longest outage, or 0 */
	int64_t first_good_at; /* send time of the first good probe after it; 0: none came */
	int64_t first_good_arrival_at;
	size_t late_count;     /* probes sent more than half a period late */
	int64_t worst_late_ns; /* our own worst delay in sending */
	int64_t pause_ns;      /* the same, within OUTAGE_BESIDE_NS of a loss; without any loss: at
				* all */
	bool recovered;	       /* false: the stream ends in an outage */
};

/* outage_measure: samples in the order of sending; n may be 0. */
void outage_measure(const struct outage_sample *samples, size_t sample_count, int64_t period_ns,
	struct outage *ret_outage);

#endif
