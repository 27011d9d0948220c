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

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIM_JOBS_MAX 64u

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

/* What a run of many seeds comes to. */
struct sim_total {
	uint64_t seeds, failed, node_seconds, steps;
};

struct sim_arguments {
	uint64_t seeds, first, one;
	int64_t seconds;
	uint32_t jobs;
	bool trace, shrink, keep_going;
};

static void sim_one(
	uint64_t seed, const struct sim_arguments *a, bool shrink, struct sim_total *total)
{
	struct world_options options;
	struct run_result result;

	run_options(seed, a->seconds, &options);
	if (a->trace)
		run_print_options(&options);
	run_world(&options, NULL, a->trace, &result);
	total->seeds++;
	total->steps += result.steps;
	total->node_seconds += (uint64_t)a->seconds * options.nodes;
	if (!result.failure[0])
		return;
	total->failed++;
	run_print_options(&options);
	printf("FAILED: %s\n", result.failure);
	if (shrink)
		sim_shrink(&options, &result);
	fflush(stdout);
}

/* sim_share: every jobs-th seed; stops at its first failure. */
static void sim_share(const struct sim_arguments *a, uint32_t job, struct sim_total *total)
{
	for (uint64_t i = job; i < a->seeds && (total->failed == 0 || a->keep_going); i += a->jobs)
		sim_one(a->first + i, a, a->shrink && !a->keep_going, total);
}

/* sim_fork: each job is a process that writes its total into the pipe, in one piece. */
static void sim_fork(const struct sim_arguments *a, struct sim_total *total)
{
	int ends[2];
	struct sim_total part;

	CHECK(pipe(ends) == 0);
	fflush(stdout);
	for (uint32_t job = 0; job < a->jobs; job++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (child > 0)
			continue;
		memset(&part, 0, sizeof(part));
		sim_share(a, job, &part);
		CHECK(write(ends[1], &part, sizeof(part)) == (ssize_t)sizeof(part));
		_exit(0);
	}
	close(ends[1]);
	for (uint32_t job = 0; job < a->jobs; job++) {
		/* A job that died, by a CHECK of the core for example, has told nothing. */
		if (read(ends[0], &part, sizeof(part)) != (ssize_t)sizeof(part)) {
			printf("FAILED: a job died\n");
			total->failed++;
			break;
		}
		total->seeds += part.seeds;
		total->failed += part.failed;
		total->node_seconds += part.node_seconds;
		total->steps += part.steps;
	}
	while (wait(NULL) > 0)
		continue;
	close(ends[0]);
}

static double sim_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int sim_many(const struct sim_arguments *a)
{
	struct sim_total total = {0};
	double start = sim_clock(), took;

	if (a->jobs > 1)
		sim_fork(a, &total);
	else
		sim_share(a, 0, &total);
	took = sim_clock() - start;
	printf("%llu seeds from %llu on, %lld s each, %llu failed; %.1f s, "
	       "%.0f simulated node-hours a minute, %llu steps\n",
		(unsigned long long)total.seeds, (unsigned long long)a->first,
		(long long)a->seconds, (unsigned long long)total.failed, took,
		(double)total.node_seconds / 60 / took, (unsigned long long)total.steps);
	return total.failed > 0 ? 1 : 0;
}

static bool sim_parse(int argc, char **argv, struct sim_arguments *a)
{
	static const struct option known[] = {{"seeds", 1, 0, 'n'}, {"first", 1, 0, 'f'},
		{"seconds", 1, 0, 's'}, {"seed", 1, 0, 'o'}, {"jobs", 1, 0, 'j'},
		{"trace", 0, 0, 't'}, {"no-shrink", 0, 0, 'x'}, {"keep-going", 0, 0, 'k'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'n':
			a->seeds = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			a->first = strtoull(optarg, NULL, 10);
			break;
		case 's':
			a->seconds = strtoll(optarg, NULL, 10);
			break;
		case 'o':
			a->one = strtoull(optarg, NULL, 10);
			break;
		case 'j':
			a->jobs = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 't':
			a->trace = true;
			break;
		case 'x':
			a->shrink = false;
			break;
		case 'k':
			a->keep_going = true;
			break;
		default:
			return false;
		}
	}
	return (a->seeds == 0) != (a->one == 0) && a->seconds >= 10 && a->jobs >= 1 &&
	       a->jobs <= SIM_JOBS_MAX;
}

int main(int argc, char **argv)
{
	struct sim_arguments a = {.first = 1, .seconds = 60, .jobs = 1, .shrink = true};
	struct sim_total total = {0};

	if (!sim_parse(argc, argv, &a)) {
		fprintf(stderr, "sim --seeds N [--first S] [--jobs J] [--keep-going] | "
				"--seed S [--trace]  [--seconds 60] [--no-shrink]\n");
		return 2;
	}
	if (a.one == 0)
		return sim_many(&a);
	sim_one(a.one, &a, a.shrink && !a.trace, &total);
	return total.failed > 0 ? 1 : 0;
}
