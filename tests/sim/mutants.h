/* mutants.h: the core with its rules broken (mutants.py), and the test that each is found out. */
#ifndef TESTS_SIM_MUTANTS_H
#define TESTS_SIM_MUTANTS_H

#include <stdbool.h>
#include <stddef.h>

struct mutant {
	const char *name;
	const char *checkers; /* names from checks.h, by blanks: who may find it first */
};

extern int core_mutant; /* 0: none; i: mutants[i - 1] */
extern const struct mutant mutants[];

static inline bool mutant_is(int number)
{
	return core_mutant == number;
}

extern const size_t mutant_count;

#endif
