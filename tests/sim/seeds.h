/* seeds.h: many seeds, in several processes, for every simulator.
 *
 * What a run of many seeds comes to is an array of counters that add up; the first two are the same
 * everywhere. */
#ifndef TESTS_SIM_SEEDS_H
#define TESTS_SIM_SEEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEEDS_JOBS_MAX	   64u
#define SEEDS_COUNTERS_MAX 64u

enum {
	SEEDS_RUN,    /* seeds */
	SEEDS_FAILED, /* of them */
	SEEDS_OWN,    /* the simulator's own counters from here on */
};

struct seeds_arguments {
	uint64_t seeds, first, one; /* many, or one */
	int64_t seconds;	    /* of a world; 0: the simulator has no such option */
	uint32_t jobs;
	bool trace, shrink, keep_going;
};

/* seeds_parse: --seeds N [--first S] [--jobs J] [--keep-going] | --seed S [--trace], --no-shrink,
 * and --seconds (at least 10) where a->seconds is not 0. *a: the defaults. */
bool seeds_parse(int argc, char **argv, struct seeds_arguments *a);

/* seeds_run: every seed once, by `one`, which prints its failure and adds to the counters; each job
 * ends with its first failure unless keep_going. Returns the seconds that it took. */
double seeds_run(const struct seeds_arguments *a,
	void (*one)(uint64_t seed, const struct seeds_arguments *a, uint64_t *counters),
	uint64_t *counters, size_t count);

#endif
