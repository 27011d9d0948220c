/* sim: the election under every fault that a seed can think of.
 *
 *   sim --seeds N [--first S] [--jobs J] [--keep-going]   many worlds, in J processes; a failure is
 *                                                         printed and shrunk
 *   sim --seed S [--trace]                                one world, with its story
 *
 * Each failure prints the world's options, what a checker found (checks.h), and the least list of
 * faults that still brings it about, with what every node said. That is the draft of a story test:
 * tests/trace/story.c does the same faults by hand, in a network without chance. Exit: 0 clean, 1 a
 * checker found something, 2 usage. */
#include "common/check.h"
#include "run.h"
#include "seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* sim_same: found by the same checker. */
static bool sim_same(const struct run_result *a, const struct run_result *b)
{
	const char *name_a = strstr(a->failure, ": "), *name_b = strstr(b->failure, ": ");
	size_t length = name_b ? strcspn(name_b + 2, ":") : 0;

	return name_a && name_b && strncmp(name_a + 2, name_b + 2, length + 1) == 0;
}

/* sim_shrink: leaves out every fault without which it still fails. */
static void sim_shrink(const struct world_options *options, const struct run_result *first)
{
	bool *skip = calloc(first->faults + 1u, sizeof(*skip));
	struct run_result result, last = *first;
	bool again = true;
	int runs = 0;

	CHECK(skip);
	while (again && runs < 400) {
		again = false;
		for (uint32_t i = first->faults; i-- > 0 && runs < 400;) {
			if (skip[i])
				continue;
			skip[i] = true;
			runs++;
			run_world(options, skip, false, &result);
			if (sim_same(&result, first)) {
				last = result;
				again = true;
			} else {
				skip[i] = false;
			}
		}
	}
	printf("shrunk in %d runs to: %s\n", runs, last.failure);
	run_world(options, skip, true, &result);
	printf("FAILED: %s\n", result.failure);
	printf("As a story: tests/trace/story.c, with world_options as above and these faults by "
	       "their functions in faults.c; `build/tests/trace/story NAME FILE --write` tells "
	       "it.\n");
	free(skip);
}

enum {
	SIM_NODE_SECONDS = SEEDS_OWN,
	SIM_STEPS,
	SIM_COUNTERS,
};

static void sim_one(uint64_t seed, const struct seeds_arguments *a, uint64_t *counters)
{
	struct world_options options;
	struct run_result result;

	run_options(seed, a->seconds, &options);
	if (a->trace)
		run_print_options(&options);
	run_world(&options, NULL, a->trace, &result);
	counters[SEEDS_RUN]++;
	counters[SIM_STEPS] += result.steps;
	counters[SIM_NODE_SECONDS] += (uint64_t)a->seconds * options.nodes;
	if (!result.failure[0])
		return;
	counters[SEEDS_FAILED]++;
	run_print_options(&options);
	printf("FAILED: %s\n", result.failure);
	if (a->shrink && !a->trace && !a->keep_going)
		sim_shrink(&options, &result);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct seeds_arguments a = {.first = 1, .seconds = 60, .jobs = 1, .shrink = true};
	uint64_t counters[SIM_COUNTERS] = {0};
	double took_s;

	if (!seeds_parse(argc, argv, &a)) {
		fprintf(stderr, "sim --seeds N [--first S] [--jobs J] [--keep-going] | "
				"--seed S [--trace]  [--seconds 60] [--no-shrink]\n");
		return 2;
	}
	if (a.one != 0) {
		sim_one(a.one, &a, counters);
		return counters[SEEDS_FAILED] > 0 ? 1 : 0;
	}
	took_s = seeds_run(&a, sim_one, counters, SIM_COUNTERS);
	printf("%llu seeds from %llu on, %lld s each, %llu failed; %.1f s, "
	       "%.0f simulated node-hours a minute, %llu steps\n",
		(unsigned long long)counters[SEEDS_RUN], (unsigned long long)a.first,
		(long long)a.seconds, (unsigned long long)counters[SEEDS_FAILED], took_s,
		(double)counters[SIM_NODE_SECONDS] / 60 / took_s,
		(unsigned long long)counters[SIM_STEPS]);
	return counters[SEEDS_FAILED] > 0 ? 1 : 0;
}
