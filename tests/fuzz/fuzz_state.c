/* What nft lists of sets and objects: an operator's names, comments and elements are in it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "rules/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	const char *text = (const char *)data;
	struct state state = {0}, half = {0};
	const struct state_move move = {&state, &half, &state, "", RULES_SWAP_PREFIX};
	struct text made = {0};

	state_read(&state, text, size_bytes);
	state_read(&half, text, size_bytes / 2);
	state_objects(&move, text, size_bytes, &made);
	for (size_t i = 0; i < state.count && !state.failed; i++) {
		size_t lost;
		const char *why;

		(void)state_elements(&move, &state.blocks[i], &made, &lost, &why);
	}
	free(made.bytes);
	state_free(&state);
	state_free(&half);
	return 0;
}
