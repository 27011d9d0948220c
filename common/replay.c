#include "common/replay.h"

#include <string.h>

void replay_reset(struct replay *window, uint64_t highest)
{
	/* All bits set: whatever lies below a fresh baseline may have been accepted in an earlier
	 * life of this receiver, so none of it is taken again. */
	memset(window->bits, 0xff, sizeof(window->bits));
	window->highest = highest;
}

static uint64_t replay_word(uint64_t counter)
{
	return counter / 64 % REPLAY_WORDS;
}

static uint64_t replay_bit(uint64_t counter)
{
	return UINT64_C(1) << (counter % 64);
}

enum replay_result replay_check(const struct replay *window, uint64_t counter)
{
	if (counter == 0)
		return REPLAY_REFUSED;
	if (counter > window->highest)
		return REPLAY_NEW;
	if (window->highest - counter >= REPLAY_WINDOW)
		return REPLAY_REFUSED;
	if (window->bits[replay_word(counter)] & replay_bit(counter))
		return REPLAY_REFUSED;
	return REPLAY_LATE;
}

enum replay_result replay_commit(struct replay *window, uint64_t counter)
{
	enum replay_result result = replay_check(window, counter);

	if (result == REPLAY_NEW) {
		uint64_t steps = counter / 64 - window->highest / 64;

		/* RFC 6479: only whole words are cleared, those that the window slides into. */
		if (steps > REPLAY_WORDS)
			steps = REPLAY_WORDS;
		for (uint64_t i = 0; i < steps; i++)
			window->bits[(counter / 64 - i) % REPLAY_WORDS] = 0;
		/* Nothing above the old highest was ever accepted: replay_reset()'s set bits there
		 * are stale. */
		if (steps < REPLAY_WORDS)
			window->bits[replay_word(window->highest)] &=
				(replay_bit(window->highest) << 1) - 1;
		window->highest = counter;
	}
	if (result != REPLAY_REFUSED)
		window->bits[replay_word(counter)] |= replay_bit(counter);
	return result;
}
