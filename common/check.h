/* check.h: invariants that stay on in production.
 *
 * CHECK() is for bugs alone: something that no input, peer or kernel can bring about. A failed
 * check runs the process's emergency hook first (carpd withdraws its addresses there), then aborts,
 * so that a broken invariant never goes on serving. Bad input is never a CHECK: it is a named drop.
 */
#ifndef COMMON_CHECK_H
#define COMMON_CHECK_H

#include <stdbool.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			check_failed(#condition, __FILE__, __LINE__, __func__);                    \
	} while (0)

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* check_set_hook: what runs, once, before the abort of a failed CHECK. Must not allocate or block;
 * NULL for none. The hook of a process belongs to its main.c. */
void check_set_hook(void (*hook)(void));

/* check_failed: called by CHECK() only. Writes one line to standard error, runs the hook, aborts.
 */
_Noreturn void check_failed(
	const char *condition, const char *file, int line, const char *function);

#endif
