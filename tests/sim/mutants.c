/* mutants: proves the checkers: each mutant breaks one rule of the core (mutants.py), or of the
 * world (the counter rule of 2004), and one of the checkers that it names must be the first to see
 * it.
 *
 *   mutants [NAME]      all, or one; exit 1 when one lives */
#include "mutants.h"

#include "common/check.h"
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUTANTS_SEEDS_MAX 3000

/* mutants_found: by one of these checkers; a failure says "at ... s: NAME: ...". */
static bool mutants_found(const char *failure, const char *checkers)
{
	const char *name = strstr(failure, " s: ");
	size_t length;

	if (!name)
		return false;
	name += 4;
	length = strcspn(name, ":");
	for (const char *at = checkers; *at;) {
		size_t word = strcspn(at, " ");

		if (word == length && strncmp(at, name, word) == 0)
			return true;
		at += word;
		at += strspn(at, " ");
	}
	return false;
}

static int mutants_hunt(const char *name, const char *checkers, bool counter_2004)
{
	struct world_options options;
	struct run_result result = {0};
	uint64_t seed = 1;

	for (; seed <= MUTANTS_SEEDS_MAX; seed++) {
		run_options(seed, 60, &options);
		options.counter_2004 = counter_2004;
		if ((int)options.nodes * options.groups > 6)
			continue; /* small ones find it as well, and sooner */
		run_world(&options, NULL, false, &result);
		if (result.failure[0])
			break;
	}
	if (seed > MUTANTS_SEEDS_MAX) {
		printf("%-18s LIVES after %d seeds\n", name, MUTANTS_SEEDS_MAX);
		return 1;
	}
	printf("%-18s seed %llu: %s\n", name, (unsigned long long)seed, result.failure);
	if (mutants_found(result.failure, checkers))
		return 0;
	printf("%-18s FOUND BY ANOTHER than %s\n", name, checkers);
	return 1;
}

/* mutants_2004: accept a counter only if it is the last one and one: the first advert that is lost
 * is the last one heard. */
static int mutants_2004(void)
{
	return mutants_hunt("counter-2004", "one-master dead-heard", true);
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!only || strcmp(only, "counter-2004") == 0)
		failed += mutants_2004();
	for (size_t i = 0; i < mutant_count; i++) {
		core_mutant = (int)i + 1;
		if (!only || strcmp(only, mutants[i].name) == 0)
			failed += mutants_hunt(mutants[i].name, mutants[i].checkers, false);
	}
	return failed > 0;
}
