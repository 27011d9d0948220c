/* test.h: cmocka wants its includes in this order; and what every unit test of common shares. */
#ifndef TESTS_UNIT_COMMON_TEST_H
#define TESTS_UNIT_COMMON_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEST_SKIP 77 /* meson's exit code for "this test could not run here" */

/* test_bytes: "0b 0b 0b" or "0b0b0b" to bytes; returns how many. */
static inline size_t test_bytes(const char *hex, uint8_t *ret_bytes)
{
	size_t count = 0;
	unsigned int byte;
	int used;

	while (sscanf(hex, " %2x%n", &byte, &used) == 1) {
		ret_bytes[count++] = (uint8_t)byte;
		hex += used;
	}
	return count;
}

/* test_folder: a fresh folder of this test's own, for cmocka's state; test_folder_remove ends it.
 */
static inline int test_folder(void **state)
{
	char *folder = strdup("/tmp/house-test-XXXXXX");

	*state = folder;
	return folder && mkdtemp(folder) ? 0 : -1;
}

static inline int test_folder_remove(void **state)
{
	char command[128];
	int r;

	snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
	r = system(command);
	free(*state);
	return r;
}

#endif
