#include "seeds.h"

#include "common/check.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

bool seeds_parse(int argc, char **argv, struct seeds_arguments *a)
{
	static const struct option known[] = {{"seeds", 1, 0, 'n'}, {"first", 1, 0, 'f'},
		{"seed", 1, 0, 'o'}, {"jobs", 1, 0, 'j'}, {"trace", 0, 0, 't'},
		{"no-shrink", 0, 0, 'x'}, {"keep-going", 0, 0, 'k'}, {"seconds", 1, 0, 's'}, {0}};
	bool timed = a->seconds != 0;
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
	return (a->seeds == 0) != (a->one == 0) && a->jobs >= 1 && a->jobs <= SEEDS_JOBS_MAX &&
	       (timed ? a->seconds >= 10 : a->seconds == 0);
}

typedef void seeds_one(uint64_t seed, const struct seeds_arguments *a, uint64_t *counters);

/* seeds_share: every jobs-th seed. */
static void seeds_share(
	const struct seeds_arguments *a, uint32_t job, seeds_one *one, uint64_t *counters)
{
	for (uint64_t i = job; i < a->seeds && (counters[SEEDS_FAILED] == 0 || a->keep_going);
		i += a->jobs)
		one(a->first + i, a, counters);
}

/* seeds_fork: each job is a process that writes its counters into the pipe, in one piece. */
static void seeds_fork(
	const struct seeds_arguments *a, seeds_one *one, uint64_t *counters, size_t count)
{
	uint64_t part[SEEDS_COUNTERS_MAX];
	ssize_t size_bytes = (ssize_t)(count * sizeof(*part));
	int ends[2];

	CHECK(pipe(ends) == 0);
	fflush(stdout);
	for (uint32_t job = 0; job < a->jobs; job++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (child > 0)
			continue;
		memset(part, 0, sizeof(part));
		seeds_share(a, job, one, part);
		CHECK(write(ends[1], part, (size_t)size_bytes) == size_bytes);
		_exit(0);
	}
	close(ends[1]);
	for (uint32_t job = 0; job < a->jobs; job++) {
		/* A job that died, by a CHECK of the core for example, has told nothing. */
		if (read(ends[0], part, (size_t)size_bytes) != size_bytes) {
			printf("FAILED: a job died\n");
			counters[SEEDS_FAILED]++;
			break;
		}
		for (size_t i = 0; i < count; i++)
			counters[i] += part[i];
	}
	while (wait(NULL) > 0)
		continue;
	close(ends[0]);
}

static double seeds_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double seeds_run(const struct seeds_arguments *a, seeds_one *one, uint64_t *counters, size_t count)
{
	double start = seeds_clock();

	CHECK(count >= SEEDS_OWN && count <= SEEDS_COUNTERS_MAX);
	if (a->jobs > 1)
		seeds_fork(a, one, counters, count);
	else
		seeds_share(a, 0, one, counters);
	return seeds_clock() - start;
}
