/* measure: what rapid confirmation costs and saves, as figures: a pair at advbase 10 ms in which
 * nothing is wrong but the network, or but one stall of the master.
 *
 *   measure loss MINUTES    moves of the group at loss on every path, with and without
 *   measure stalls RUNS     of stalls of the master at a random instant: how many move the group
 *   measure dead RUNS       from a power loss at a random instant to the promotion's begin
 *
 * The nodes are the real core in the simulator's world (world.h); no fault of the simulator. */
#include "checks.h"
#include "common/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum measure_kind {
	MEASURE_OFF,
	MEASURE_ON,
	MEASURE_KINDS,
};

static struct world_options measure_options(enum measure_kind kind, uint64_t seed, uint8_t skew)
{
	struct world_options o = {.seed = seed,
		.nodes = 2,
		.groups = 1,
		.interfaces = 2,
		.sync_links = 1,
		.advbase_us = 10000,
		.dead_factor = 3,
		.delay_us = 100,
		.jitter_us = 200,
		.stage_us = 1000,
		.withdraw_us = 1000};

	o.advskew[1] = skew;
	if (kind == MEASURE_ON) {
		o.confirm_questions = 5;
		o.confirm_spacing_us = 1000;
	}
	return o;
}

struct measure_count {
	int moves;
};

static void measure_trace(
	void *context, const struct world *w, uint8_t node, const struct election_trace *line)
{
	struct measure_count *count = context;

	(void)w;
	(void)node;
	if (strstr(line->fact, "-> promoting"))
		count->moves++;
}

/* measure_world: fw1 is master, for some seconds already. */
static struct world *measure_world(struct world_options *o, struct measure_count *count)
{
	for (;;) {
		struct world *w = world_new(o);

		w->trace = measure_trace;
		w->trace_context = count;
		for (uint8_t node = 0; node < o->nodes; node++)
			world_boot(w, node, false);
		world_run(w, 3000000);
		CHECK(!checks_failure(w));
		count->moves = 0;
		if (world_master(w, 0, 0))
			return w;
		world_free(w);
		o->seed += 1000000;
	}
}

/* measure_lossy: `paths` of the three are there, and lose that much. */
static int measure_lossy(enum measure_kind kind, uint32_t per_mille, uint8_t paths, int minutes)
{
	int moves = 0;

	for (int minute = 0; minute < minutes; minute++) {
		struct world_options o = measure_options(kind, 1000 + (uint64_t)minute, 0);
		struct measure_count count = {0};
		struct world *w = measure_world(&o, &count);

		for (uint8_t path = 0; path < w->path_count; path++)
			for (uint8_t a = 0; a < 2; a++) {
				struct world_link *link = &w->links[path][a][1 - a];

				link->loss_per_mille = path < paths ? per_mille : 1000;
				link->dup_per_mille = per_mille;
				link->extra_jitter_us = 500;
			}
		world_run(w, w->now + 60000000);
		moves += count.moves;
		world_free(w);
	}
	return moves;
}

static void measure_loss(int minutes)
{
	static const uint32_t losses[] = {10, 50, 100, 200};

	printf("loss a path | paths | moves in %d min, off | on\n", minutes);
	for (uint8_t paths = 1; paths <= 2; paths++)
		for (size_t i = 0; i < ARRAY_LEN(losses); i++)
			printf("%9u %% | %5u | %9d | %9d\n", losses[i] / 10, paths,
				measure_lossy(MEASURE_OFF, losses[i], paths, minutes),
				measure_lossy(MEASURE_ON, losses[i], paths, minutes));
}

static int measure_stalled(enum measure_kind kind, uint8_t skew, int64_t stall_us, int runs)
{
	int moved = 0;

	for (int run = 0; run < runs; run++) {
		struct world_options o = measure_options(kind, 1 + (uint64_t)run, skew);
		struct measure_count count = {0};
		struct world *w = measure_world(&o, &count);

		world_run(w, w->now + rng_below(&w->rng, 10000));
		world_pause(w, 0, false);
		world_run(w, w->now + stall_us);
		world_resume(w, 0);
		world_run(w, w->now + 200000);
		moved += count.moves > 0;
		world_free(w);
	}
	return moved;
}

static void measure_stalls(int runs)
{
	printf("stall | moves of %d, off, skew 0 | off, 100 | on, 0 | on, 100\n", runs);
	for (int64_t ms = 2; ms <= 40; ms += ms < 24 ? 2 : 4)
		printf("%2lld ms | %4d | %4d | %4d | %4d\n", (long long)ms,
			measure_stalled(MEASURE_OFF, 0, ms * 1000, runs),
			measure_stalled(MEASURE_OFF, 100, ms * 1000, runs),
			measure_stalled(MEASURE_ON, 0, ms * 1000, runs),
			measure_stalled(MEASURE_ON, 100, ms * 1000, runs));
}

static int measure_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void measure_dead(int runs)
{
	int64_t *us = calloc((size_t)runs, sizeof(*us));

	CHECK(us);
	printf("confirm | skew | from power loss to promoting: least, median, most in ms\n");
	for (int i = 0; i < 4; i++) {
		for (int run = 0; run < runs; run++) {
			struct world_options o = measure_options(i & 2 ? MEASURE_ON : MEASURE_OFF,
				1 + (uint64_t)run, i & 1 ? 100 : 0);
			struct measure_count count = {0};
			struct world *w = measure_world(&o, &count);
			int64_t from;

			world_run(w, w->now + rng_below(&w->rng, 10000));
			from = w->now;
			world_power_off(w, 0, false);
			while (count.moves == 0 && !checks_failure(w))
				world_run(w, w->now + 50);
			us[run] = w->now - from;
			world_free(w);
		}
		qsort(us, (size_t)runs, sizeof(*us), measure_compare);
		printf("%7s | %4d | %5.1f %5.1f %5.1f\n", i & 2 ? "on" : "off", i & 1 ? 100 : 0,
			(double)us[0] / 1e3, (double)us[runs / 2] / 1e3,
			(double)us[runs - 1] / 1e3);
	}
	free(us);
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 100;

	if (argc > 1 && strcmp(argv[1], "loss") == 0 && count > 0)
		measure_loss(count);
	else if (argc > 1 && strcmp(argv[1], "stalls") == 0 && count > 0)
		measure_stalls(count);
	else if (argc > 1 && strcmp(argv[1], "dead") == 0 && count > 0)
		measure_dead(count);
	else
		return fprintf(stderr, "measure loss MINUTES | stalls RUNS | dead RUNS\n"), 2;
	return 0;
}
