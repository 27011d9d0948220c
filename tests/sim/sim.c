/* sim: the election under every fault that a seed can think of.
 *
 *   sim --seeds N [--first S] [--jobs J]   many worlds, in J processes; prints a failure, and
 * shrinks it sim --seed S [--trace]                 one world, with its story
 *
 * Two phases. Safety: for the first two thirds anything may break (faults.h), and the checkers
 * (checks.h) look at every step. Liveness: all faults are healed, and at the end each group must
 * have exactly one master and only backups besides. Exit: 0 clean, 1 a checker found something, 2
 * usage. */
#include "checks.h"
#include "common/check.h"
#include "faults.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIM_JOBS_MAX 64u

struct sim_result {
	char failure[256];
	uint64_t steps, delivered, dropped;
	uint32_t faults;
	int64_t failed_at;
};

/* sim_options_confirm: from a stream of its own, so that older seeds keep their other options. The
 * questions last longer than any answer on its way. */
static void sim_options_confirm(struct world_options *o)
{
	struct rng r = {o->seed ^ 0x636f6e6669726du};

	if (rng_chance(&r, 500))
		return;
	o->confirm_questions = (uint8_t)(2 + rng_below(&r, 5));
	o->confirm_spacing_us = o->advbase_us / 10 + rng_below(&r, (uint32_t)o->advbase_us / 5);
}

static void sim_options(uint64_t seed, int64_t seconds, struct world_options *ret)
{
	static const int64_t bases[] = {10000, 20000, 50000, 100000, 100000, 200000, 500000};
	struct rng r = {seed ^ 0x6f7074696f6e73u};

	*ret = (struct world_options){.seed = seed, .seconds = seconds};
	ret->nodes = rng_chance(&r, 600) ? 2 : (uint8_t)(3 + rng_below(&r, 3));
	ret->groups = (uint8_t)(1 + rng_below(&r, 2));
	ret->interfaces = (uint8_t)(1 + rng_below(&r, 2));
	ret->sync_links = (uint8_t)(1 + rng_below(&r, 2));
	ret->advbase_us = bases[rng_below(&r, ARRAY_LEN(bases))];
	ret->dead_factor = (uint8_t)(rng_chance(&r, 600) ? 3 : 2 + rng_below(&r, 4));
	ret->preempt = rng_chance(&r, 500);
	sim_options_confirm(ret);
	ret->delay_us = 50 + rng_below(&r, (uint32_t)(ret->advbase_us / 8));
	ret->jitter_us = rng_below(&r, (uint32_t)(ret->advbase_us / 8));
	ret->stage_us = 1000 + rng_below(&r, rng_chance(&r, 300) ? 500000 : 20000);
	ret->withdraw_us = 1000 + rng_below(&r, 20000);
	ret->guard = rng_chance(&r, 700);
	ret->fault_every_us = 100000 + rng_below(&r, 3000000);
	for (uint8_t i = 0; i < ret->nodes; i++)
		ret->advskew[i] = (uint8_t)(rng_chance(&r, 500) ? rng_below(&r, 200) : i * 50);
}

static void sim_print_options(const struct world_options *o)
{
	printf("seed %llu: %u nodes, %u groups of %u interfaces, %u sync links, advbase %.0f ms, "
	       "dead_factor %u, preempt %d, confirm %u x %lld us, delay %lld+%lld us, stages %lld "
	       "us, guard %d, a fault "
	       "every %lld ms, skews",
		(unsigned long long)o->seed, o->nodes, o->groups, o->interfaces, o->sync_links,
		(double)o->advbase_us / 1e3, o->dead_factor, o->preempt, o->confirm_questions,
		(long long)o->confirm_spacing_us, (long long)o->delay_us, (long long)o->jitter_us,
		(long long)o->stage_us, o->guard, (long long)o->fault_every_us / 1000);
	for (uint8_t i = 0; i < o->nodes; i++)
		printf(" %u", o->advskew[i]);
	printf("\n");
}

static void sim_trace(
	void *context, const struct world *w, uint8_t node, const struct election_trace *line)
{
	char group[8] = "-";

	(void)context;
	if (line->group != ELECTION_ALL)
		snprintf(group, sizeof(group), "g%u", line->group);
	printf("[%12.6f] fw%u %s > %s -> %s\n", (double)w->now / 1e6, node + 1, group, line->fact,
		line->decision);
}

/* sim_heal: every fault is over by its own end; what lingers by itself is put right. */
static void sim_heal(struct world *w)
{
	for (uint8_t node = 0; node < w->options.nodes; node++) {
		world_resume(w, node);
		if (!w->nodes[node].up)
			world_boot(w, node, false);
		if (w->nodes[node].election.maintenance)
			world_maintenance(w, node, false, false, 0);
		/* What was told to a sleeper is told again. */
		for (uint8_t group = 0; group < w->options.groups; group++) {
			world_ready(w, node, group, true);
			world_demote(w, node, group, "track:x", 0);
		}
	}
}

/* sim_run: one world. skip: faults to leave out, or NULL. */
static void sim_run(
	const struct world_options *options, const bool *skip, bool trace, struct sim_result *ret)
{
	struct world *w = world_new(options);
	int64_t end = options->seconds * 1000000, heal = end * 2 / 3;
	const char *failure;

	if (trace)
		w->trace = sim_trace;
	faults_make(w, 2000000, heal);
	for (uint32_t i = 0; skip && i < w->fault_count; i++)
		w->faults[i].skipped = skip[i];
	faults_schedule(w);
	for (uint32_t i = 0; trace && i < w->fault_count; i++) {
		char text[160];

		if (!w->faults[i].skipped)
			printf("fault %s\n", faults_render(w, i, text, sizeof(text)));
	}
	for (uint8_t node = 0; node < options->nodes; node++) {
		world_run(w, w->now + rng_below(&w->rng, 500000));
		world_boot(w, node, false);
	}
	world_run(w, heal + 3000000);
	if (!checks_failure(w)) {
		sim_heal(w);
		world_run(w, end);
	}
	if (!checks_failure(w))
		checks_converged(w);
	failure = checks_failure(w);
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->failure, sizeof(ret->failure), "%s", failure ? failure : "");
	ret->steps = w->steps;
	ret->delivered = w->delivered;
	ret->faults = w->fault_count;
	ret->failed_at = w->now;
	world_free(w);
}

/* sim_shrink: leaves out every fault without which it still fails. */
static void sim_shrink(const struct world_options *options, const struct sim_result *first)
{
	bool *skip = calloc(first->faults + 1u, sizeof(*skip));
	struct sim_result result, last = *first;
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
			sim_run(options, skip, false, &result);
			if (result.failure[0]) {
				last = result;
				again = true;
			} else {
				skip[i] = false;
			}
		}
	}
	printf("shrunk in %d runs to: %s\n", runs, last.failure);
	sim_run(options, skip, true, &result);
	printf("FAILED: %s\n", result.failure);
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
	struct sim_result result;

	sim_options(seed, a->seconds, &options);
	if (a->trace)
		sim_print_options(&options);
	sim_run(&options, NULL, a->trace, &result);
	total->seeds++;
	total->steps += result.steps;
	total->node_seconds += (uint64_t)a->seconds * options.nodes;
	if (!result.failure[0])
		return;
	total->failed++;
	sim_print_options(&options);
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
