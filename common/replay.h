/* replay.h: a window of counters, as RFC 6479 has it: the highest one seen and a bitmap below it.
 *
 * One window serves one lane (a sender's adverts of one group on one path). A counter is accepted
 * once: above the highest it moves the window on (a gap is fine), inside the window its bit
 * decides, below the window it is refused. Counter 0 is never valid. The last counter of all is
 * reserved for the resignation that closes an epoch: it is an ordinary counter here; only the
 * sender's discipline and the closed epoch (carpd/core/peers.c) make it special. */
#ifndef COMMON_REPLAY_H
#define COMMON_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_WORDS	    5u /* one word more than the window, so that sliding clears whole words */
#define REPLAY_WINDOW	    ((REPLAY_WORDS - 1u) * 64u)
#define REPLAY_COUNTER_LAST UINT64_MAX

enum replay_result {
	REPLAY_REFUSED = 0, /* seen before, too old, or zero */
	REPLAY_LATE,	    /* accepted, but below the highest: proves no liveness */
	REPLAY_NEW,	    /* accepted, the highest so far */
};

struct replay {
	uint64_t highest;
	uint64_t bits[REPLAY_WORDS];
};

/* replay_reset: everything up to and including `highest` counts as seen. */
void replay_reset(struct replay *window, uint64_t highest);

/* replay_check: what replay_commit would answer; changes nothing. */
enum replay_result replay_check(const struct replay *window, uint64_t counter)
	__attribute__((warn_unused_result));

/* replay_commit: the same, and marks the counter as seen. Only for authentic packets. */
enum replay_result replay_commit(struct replay *window, uint64_t counter)
	__attribute__((warn_unused_result));

#endif
