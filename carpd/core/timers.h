/* timers.h: the formulas of design section 6, and nothing else. Tested by tables. */
#ifndef CARPD_CORE_TIMERS_H
#define CARPD_CORE_TIMERS_H

#include "common/mono.h"

#include <stdint.h>

/* Between two adverts of a node that holds the group or is about to. */
dur_t timers_interval(dur_t advbase, uint8_t advskew);

/* Between two adverts of everybody else. */
dur_t timers_beacon(dur_t advbase);

/* How long a master that signs `master_interval` may be silent on every path before this node,
 * with its own advbase and advskew, takes it for dead. */
dur_t timers_master_down(
	dur_t advbase, uint8_t dead_factor, dur_t master_interval, uint8_t advskew);

/* The same for a node that only beacons. */
dur_t timers_beacon_down(dur_t advbase, uint8_t dead_factor, dur_t peer_interval);

/* What the k-th best live backup waits besides; nothing for the best (k = 0). */
dur_t timers_stagger(dur_t advbase, uint8_t k);

/* How much later than its interval an advert may come before it counts as missed: what a timer and
 * a network may be late, and never much against the interval. */
dur_t timers_confirm_margin(dur_t interval);

/* The start-up hold: as configured, or max(1 s, 2 * master-down) when that is 0. */
dur_t timers_hold(dur_t configured, dur_t master_down);

#endif
