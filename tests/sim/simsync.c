/* simsync: syncd's engine and sessions under every fault that a seed can think of.
 *
 *   simsync --seeds N [--first S] [--jobs J] [--keep-going]   many worlds, in J processes
 *   simsync --seed S [--trace] [--no-shrink]                  one world, with its story
 *
 * Two phases: for some seconds anything may happen (syncfaults.h), and the checkers (synccheck.h)
 * look at every event of a peer. Then all is healed, each connection that lives moves once more,
 * the clients fall silent, and after two comparisons of digests tables, digests and kernels must be
 * equal everywhere. A failing seed is shrunk to the faults that it needs. Exit: 0 clean, 1 a
 * checker found something, 2 usage. */
#include "common/check.h"
#include "synccheck.h"
#include "syncfaults.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX   64u
#define SHRINK_MAX 300
#define HEAL_MS	   2500
#define SETTLE_MS  12000 /* short timeouts pass */
#define REST_MS	   75000 /* a periodic comparison, and what it finds */

struct simsync_arguments {
	uint64_t seeds, first, one;
	uint32_t jobs;
	bool trace, shrink, keep_going;
};

struct simsync_total {
	uint64_t seeds, failed, delivered, handovers, broken;
	uint64_t drops[ENGINE_DROP_COUNT];
};

static void simsync_options(uint64_t seed, struct syncworld_options *o)
{
	struct syncworld_rng r = {seed ^ 0x73796e63};

	*o = (struct syncworld_options){.seed = seed};
	o->nodes = (uint8_t)(2 + syncworld_below(&r, 2));
	o->groups = (uint8_t)(1 + syncworld_below(&r, 2));
	o->warm = syncworld_chance(&r, 800);
	o->quiet = syncworld_chance(&r, 60);
	o->capacity = SYNCWORLD_CAPACITY;
	o->pipe_room =
		syncworld_chance(&r, 500) ? SYNCWORLD_PIPE : 1500 + syncworld_below(&r, 8000);
	o->fault_every_ms = 30 + syncworld_below(&r, 700);
	o->traffic_per_mille = 50 + syncworld_below(&r, 500);
	o->active_ms = 3000 + syncworld_below(&r, 5000);
}

static void simsync_run_ms(struct syncworld *w, int64_t ms, int64_t pace_ms)
{
	for (int64_t t = 0; t < ms && !w->failure[0]; t += pace_ms)
		syncworld_step(w, pace_ms);
}

/* simsync_run: one world; skip: faults to leave out, or NULL. The caller frees it. */
static struct syncworld *simsync_run(
	const struct syncworld_options *options, const bool *skip, bool trace)
{
	struct syncworld *w = syncworld_make(options);

	w->trace = trace;
	for (uint32_t i = 0; skip && i < w->fault_count; i++)
		w->faults[i].skipped = skip[i];
	simsync_run_ms(w, options->active_ms, 1);
	syncfaults_heal(w);
	syncworld_say(w, "healed");
	simsync_run_ms(w, HEAL_MS, 1);
	w->resting = true;
	syncfaults_touch_all(w);
	simsync_run_ms(w, SETTLE_MS, 4);
	simsync_run_ms(w, REST_MS, 25);
	if (!w->failure[0])
		synccheck_rest(w);
	return w;
}

static void simsync_shrink(const struct syncworld_options *options)
{
	bool skip[SYNCWORLD_FAULTS_MAX] = {0}, again = true;
	struct syncworld *w;
	int runs = 0;

	while (again && runs < SHRINK_MAX) {
		again = false;
		for (uint32_t i = SYNCWORLD_FAULTS_MAX; i-- > 0 && runs < SHRINK_MAX;) {
			w = NULL;
			if (skip[i])
				continue;
			skip[i] = true;
			w = simsync_run(options, skip, false);
			runs++;
			if (i >= w->fault_count || w->failure[0])
				again = again || i < w->fault_count;
			else
				skip[i] = false;
			syncworld_free(w);
		}
	}
	printf("shrunk in %d runs to:\n", runs);
	w = simsync_run(options, skip, true);
	printf("FAILED: %s\n", w->failure);
	syncworld_free(w);
}

static void simsync_one(
	uint64_t seed, const struct simsync_arguments *a, struct simsync_total *total)
{
	struct syncworld_options o;
	struct syncworld *w;

	simsync_options(seed, &o);
	w = simsync_run(&o, NULL, a->trace);
	total->seeds++;
	total->delivered += w->delivered;
	total->handovers += w->handovers;
	total->broken += w->broken;
	for (int drop = 0; drop < ENGINE_DROP_COUNT; drop++)
		total->drops[drop] += w->drops[drop];
	if (w->failure[0]) {
		total->failed++;
		printf("seed %llu: %u nodes, %u groups, %s%s, pipes of %u bytes, a fault every %u "
		       "ms\nFAILED: %s\n",
			(unsigned long long)seed, o.nodes, o.groups, o.warm ? "warm" : "cold",
			o.quiet ? ", quiet" : "", o.pipe_room, o.fault_every_ms, w->failure);
	}
	fflush(stdout);
	if (w->failure[0] && a->shrink && !a->trace && !a->keep_going)
		simsync_shrink(&o);
	syncworld_free(w);
}

static void simsync_share(
	const struct simsync_arguments *a, uint32_t job, struct simsync_total *total)
{
	for (uint64_t i = job; i < a->seeds && (total->failed == 0 || a->keep_going); i += a->jobs)
		simsync_one(a->first + i, a, total);
}

static void simsync_add(struct simsync_total *total, const struct simsync_total *part)
{
	total->seeds += part->seeds;
	total->failed += part->failed;
	total->delivered += part->delivered;
	total->handovers += part->handovers;
	total->broken += part->broken;
	for (int drop = 0; drop < ENGINE_DROP_COUNT; drop++)
		total->drops[drop] += part->drops[drop];
}

/* simsync_fork: each job is a process that writes its total into the pipe, in one piece. */
static void simsync_fork(const struct simsync_arguments *a, struct simsync_total *total)
{
	struct simsync_total part;
	int ends[2];

	CHECK(pipe(ends) == 0);
	fflush(stdout);
	for (uint32_t job = 0; job < a->jobs; job++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (child > 0)
			continue;
		memset(&part, 0, sizeof(part));
		simsync_share(a, job, &part);
		CHECK(write(ends[1], &part, sizeof(part)) == (ssize_t)sizeof(part));
		_exit(0);
	}
	close(ends[1]);
	for (uint32_t job = 0; job < a->jobs; job++) {
		if (read(ends[0], &part, sizeof(part)) != (ssize_t)sizeof(part)) {
			printf("FAILED: a job died\n"); /* by a CHECK of the core, for example */
			total->failed++;
			break;
		}
		simsync_add(total, &part);
	}
	while (wait(NULL) > 0)
		continue;
	close(ends[0]);
}

static int simsync_many(const struct simsync_arguments *a)
{
	struct simsync_total total = {0};
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	if (a->jobs > 1)
		simsync_fork(a, &total);
	else
		simsync_share(a, 0, &total);
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%llu seeds from %llu on, %llu failed; %.1f s; %llu kB delivered, %llu hand-overs "
	       "watched, %llu connections broken by faults; drops:",
		(unsigned long long)total.seeds, (unsigned long long)a->first,
		(unsigned long long)total.failed,
		(double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9,
		(unsigned long long)total.delivered / 1000, (unsigned long long)total.handovers,
		(unsigned long long)total.broken);
	for (int drop = 1; drop < ENGINE_DROP_COUNT; drop++)
		if (total.drops[drop])
			printf(" %s %llu", engine_drop_name((enum engine_drop)drop),
				(unsigned long long)total.drops[drop]);
	printf("\n");
	return total.failed > 0 ? 1 : 0;
}

static bool simsync_parse(int argc, char **argv, struct simsync_arguments *a)
{
	static const struct option known[] = {{"seeds", 1, 0, 'n'}, {"first", 1, 0, 'f'},
		{"seed", 1, 0, 'o'}, {"jobs", 1, 0, 'j'}, {"trace", 0, 0, 't'},
		{"no-shrink", 0, 0, 'x'}, {"keep-going", 0, 0, 'k'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'n':
			a->seeds = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			a->first = strtoull(optarg, NULL, 10);
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
	return (a->seeds == 0) != (a->one == 0) && a->jobs >= 1 && a->jobs <= JOBS_MAX;
}

int main(int argc, char **argv)
{
	struct simsync_arguments a = {.first = 1, .jobs = 1, .shrink = true};
	struct simsync_total total = {0};

	if (!simsync_parse(argc, argv, &a)) {
		fprintf(stderr, "simsync --seeds N [--first S] [--jobs J] [--keep-going] | "
				"--seed S [--trace] [--no-shrink]\n");
		return 2;
	}
	if (a.one == 0)
		return simsync_many(&a);
	simsync_one(a.one, &a, &total);
	return total.failed > 0 ? 1 : 0;
}
