#include "common/check.h"

#include <stdio.h>
#include <stdlib.h>

static void (*check_hook)(void);

void check_set_hook(void (*hook)(void))
{
	check_hook = hook;
}

_Noreturn void check_failed(const char *condition, const char *file, int line, const char *function)
{
	void (*hook)(void) = check_hook;

	/* A check that fails inside the hook must not run the hook again. */
	check_hook = NULL;
	fprintf(stderr, "carpool: invariant broken: %s (%s:%d, %s)\n", condition, file, line,
		function);
	if (hook)
		hook();
	abort();
}
