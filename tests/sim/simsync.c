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
#include "seeds.h"
#include "synccheck.h"
#include "syncfaults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHRINK_MAX 300
#define HEAL_MS	   2500
#define SETTLE_MS  12000 /* short timeouts pass */
#define REST_MS	   75000 /* a periodic comparison, and what it finds */

enum {
	SIMSYNC_DELIVERED = SEEDS_OWN,
	SIMSYNC_HANDOVERS,
	SIMSYNC_BROKEN,
	SIMSYNC_DROPS, /* one a reason */
	SIMSYNC_COUNTERS = SIMSYNC_DROPS + ENGINE_DROP_COUNT,
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

static void simsync_one(uint64_t seed, const struct seeds_arguments *a, uint64_t *counters)
{
	struct syncworld_options o;
	struct syncworld *w;

	simsync_options(seed, &o);
	w = simsync_run(&o, NULL, a->trace);
	counters[SEEDS_RUN]++;
	counters[SIMSYNC_DELIVERED] += w->delivered;
	counters[SIMSYNC_HANDOVERS] += w->handovers;
	counters[SIMSYNC_BROKEN] += w->broken;
	for (int drop = 0; drop < ENGINE_DROP_COUNT; drop++)
		counters[SIMSYNC_DROPS + drop] += w->drops[drop];
	if (w->failure[0]) {
		counters[SEEDS_FAILED]++;
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

static void simsync_print(const struct seeds_arguments *a, const uint64_t *counters, double took_s)
{
	printf("%llu seeds from %llu on, %llu failed; %.1f s; %llu kB delivered, %llu hand-overs "
	       "watched, %llu connections broken by faults; drops:",
		(unsigned long long)counters[SEEDS_RUN], (unsigned long long)a->first,
		(unsigned long long)counters[SEEDS_FAILED], took_s,
		(unsigned long long)counters[SIMSYNC_DELIVERED] / 1000,
		(unsigned long long)counters[SIMSYNC_HANDOVERS],
		(unsigned long long)counters[SIMSYNC_BROKEN]);
	for (int drop = 1; drop < ENGINE_DROP_COUNT; drop++)
		if (counters[SIMSYNC_DROPS + drop])
			printf(" %s %llu", engine_drop_name((enum engine_drop)drop),
				(unsigned long long)counters[SIMSYNC_DROPS + drop]);
	printf("\n");
}

int main(int argc, char **argv)
{
	struct seeds_arguments a = {.first = 1, .jobs = 1, .shrink = true};
	uint64_t counters[SIMSYNC_COUNTERS] = {0};

	if (!seeds_parse(argc, argv, &a)) {
		fprintf(stderr, "simsync --seeds N [--first S] [--jobs J] [--keep-going] | "
				"--seed S [--trace] [--no-shrink]\n");
		return 2;
	}
	if (a.one != 0)
		simsync_one(a.one, &a, counters);
	else
		simsync_print(&a, counters, seeds_run(&a, simsync_one, counters, SIMSYNC_COUNTERS));
	return counters[SEEDS_FAILED] > 0 ? 1 : 0;
}
