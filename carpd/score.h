/* score.h: rise and fall: what many results in a row make of a check.
 *
 * A check that has not been run yet is well. It has failed after `fall` failures in a row, and is
 * well again after `rise` successes in a row; one result of the other kind begins the count anew.
 */
#ifndef CARPD_SCORE_H
#define CARPD_SCORE_H

#include <stdbool.h>
#include <stdint.h>

struct score {
	bool is_failed;
	uint8_t streak; /* results in a row that speak against is_failed's present value */
};

/* score_add: one result; true when is_failed has changed. */
static inline bool score_add(struct score *score, bool ok, uint8_t rise, uint8_t fall)
{
	if (ok != score->is_failed) {
		score->streak = 0;
		return false;
	}
	if (++score->streak < (ok ? rise : fall))
		return false;
	score->is_failed = !ok;
	score->streak = 0;
	return true;
}

#endif
