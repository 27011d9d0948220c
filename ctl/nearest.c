#include "ctl/nearest.h"

#include <string.h>

#define NEAREST_LENGTH_MAX 32u

static unsigned int nearest_min(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* nearest_distance: optimal string alignment, three rows. Words longer than the limit are far. */
static unsigned int nearest_distance(const char *a, const char *b)
{
	unsigned int row[3][NEAREST_LENGTH_MAX + 1];
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > NEAREST_LENGTH_MAX || b_length > NEAREST_LENGTH_MAX)
		return NEAREST_LENGTH_MAX;
	for (unsigned int j = 0; j <= b_length; j++)
		row[0][j] = j;
	for (unsigned int i = 1; i <= a_length; i++) {
		unsigned int *now = row[i % 3], *last = row[(i + 2) % 3],
			     *before = row[(i + 1) % 3];

		now[0] = i;
		for (unsigned int j = 1; j <= b_length; j++) {
			unsigned int replace = last[j - 1] + (a[i - 1] != b[j - 1]);

			now[j] = nearest_min(replace, nearest_min(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = nearest_min(now[j], before[j - 2] + 1);
		}
	}
	return row[a_length % 3][b_length];
}

const char *nearest_word(const char *typed, const char *const *words, unsigned int count)
{
	unsigned int best_distance = NEAREST_LENGTH_MAX;
	size_t length = strlen(typed);
	const char *best = NULL;

	for (unsigned int i = 0; i < count; i++) {
		unsigned int distance = nearest_distance(typed, words[i]);

		if (length >= 2 && strncmp(typed, words[i], length) == 0)
			distance = 0;
		if (distance < best_distance) {
			best_distance = distance;
			best = words[i];
		}
	}
	return best && best_distance * 3 <= strlen(best) ? best : NULL;
}
