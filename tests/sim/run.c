/* run: one world, from its seed to its verdict. See run.h. */
#include "run.h"

#include "checks.h"
#include "common/check.h"
#include "faults.h"

#include <stdio.h>
#include <string.h>

/* run_options_confirm: the questions last longer than any answer on its way. */
static void run_options_confirm(struct world_options *o, struct rng *r)
{
	if (o->carp2 || rng_chance(r, 500))
		return;
	o->confirm_questions = (uint8_t)(2 + rng_below(r, 5));
	o->confirm_spacing_us = o->advbase_us / 10 + rng_below(r, (uint32_t)o->advbase_us / 5);
}

/* run_options_size: most clusters are small; large ones cost by the square of their nodes, so they
 * are rarer and slower. */
static void run_options_size(struct world_options *o, struct rng *r)
{
	static const int64_t bases[] = {
		10000, 20000, 50000, 50000, 100000, 100000, 100000, 200000, 200000, 500000};
	uint32_t size;

	o->nodes = rng_chance(r, 550) ? 2 : 3;
	if (rng_chance(r, 200))
		o->nodes = (uint8_t)(3 + rng_below(r, 6));
	o->groups = rng_chance(r, 700) ? 1 : 2;
	if (rng_chance(r, 100))
		o->groups = (uint8_t)(3 + rng_below(r, 2));
	o->interfaces = (uint8_t)(1 + rng_below(r, 2));
	o->sync_links = (uint8_t)(1 + rng_below(r, 2));
	o->advbase_us = bases[rng_below(r, ARRAY_LEN(bases))];
	size = (uint32_t)o->nodes * o->nodes * o->groups;
	if (size > 16 && o->advbase_us < 50000)
		o->advbase_us = 50000;
	if (size > 48) {
		o->interfaces = 1;
		o->advbase_us = 200000;
	}
}

/* run_options_carp2: CARPv2 on the interfaces: whole seconds, or the skews alone. */
static void run_options_carp2(struct world_options *o, struct rng *r)
{
	o->carp2 = true;
	o->carp2_strict = rng_chance(r, 600);
	o->advbase_us = rng_chance(r, 500) ? 1000000 : 0;
	for (uint8_t i = 0; i < o->nodes; i++)
		o->advskew[i] =
			(uint8_t)(o->advbase_us ? rng_below(r, 200) : 30 + rng_below(r, 30));
}

void run_options(uint64_t seed, int64_t seconds, struct world_options *ret)
{
	struct rng r = {seed ^ 0x6f7074696f6e73u};
	uint32_t base_us;

	*ret = (struct world_options){.seed = seed, .seconds = seconds};
	run_options_size(ret, &r);
	for (uint8_t i = 0; i < ret->nodes; i++)
		ret->advskew[i] = (uint8_t)(rng_chance(&r, 500) ? rng_below(&r, 200) : i * 30);
	if (rng_chance(&r, 80))
		run_options_carp2(ret, &r);
	base_us = ret->advbase_us ? (uint32_t)ret->advbase_us : 100000;
	ret->dead_factor = (uint8_t)(rng_chance(&r, 600) ? 3 : 2 + rng_below(&r, 4));
	ret->preempt = rng_chance(&r, 500);
	run_options_confirm(ret, &r);
	/* Two of three networks are quick: all paths of an advert arrive as one. */
	if (rng_chance(&r, 650)) {
		ret->delay_us = 30 + rng_below(&r, 200);
		ret->jitter_us = rng_below(&r, 30);
	} else {
		ret->delay_us = 50 + rng_below(&r, base_us / 8);
		ret->jitter_us = rng_below(&r, base_us / 8);
	}
	ret->turn_us = 20 + rng_below(&r, 60);
	ret->stage_us = 1000 + rng_below(&r, rng_chance(&r, 300) ? 500000 : 20000);
	ret->withdraw_us = 1000 + rng_below(&r, 20000);
	ret->late = rng_chance(&r, 200);
	ret->guard = rng_chance(&r, 700);
	ret->fault_every_us = 100000 + rng_below(&r, 3000000);
}

void run_print_options(const struct world_options *o)
{
	printf("seed %llu: %u nodes, %u groups of %u interfaces, %u sync links, wire %s, advbase "
	       "%.0f ms, dead_factor %u, preempt %d, confirm %u x %lld us, delay %lld+%lld us, "
	       "turn "
	       "%lld us, stages %lld us%s, withdrawal %lld us, guard %d, a fault every %lld ms, "
	       "skews",
		(unsigned long long)o->seed, o->nodes, o->groups, o->interfaces, o->sync_links,
		!o->carp2	  ? "native"
		: o->carp2_strict ? "carp2 strict"
				  : "carp2",
		(double)o->advbase_us / 1e3, o->dead_factor, o->preempt, o->confirm_questions,
		(long long)o->confirm_spacing_us, (long long)o->delay_us, (long long)o->jitter_us,
		(long long)o->turn_us, (long long)o->stage_us, o->late ? ", some late" : "",
		(long long)o->withdraw_us, o->guard, (long long)o->fault_every_us / 1000);
	for (uint8_t i = 0; i < o->nodes; i++)
		printf(" %u", o->advskew[i]);
	printf("\n");
}

static void run_trace(
	void *context, const struct world *w, uint8_t node, const struct election_trace *line)
{
	char group[8] = "-";

	(void)context;
	if (line->group != ELECTION_ALL)
		snprintf(group, sizeof(group), "g%u", line->group);
	printf("[%12.6f] fw%u %s > %s -> %s\n", (double)w->now / 1e6, node + 1, group, line->fact,
		line->decision);
}

/* run_heal: every fault is over by its own end; what lingers by itself is put right. */
static void run_heal(struct world *w)
{
	for (uint8_t node = 0; node < w->options.nodes; node++) {
		world_resume(w, node);
		if (!w->nodes[node].up)
			world_boot(w, node, false);
		if (w->nodes[node].election.maintenance)
			world_maintenance(w, node, false, false, 0);
		world_reload(w, node, false);
		/* What was told to a sleeper is told again. */
		for (uint8_t group = 0; group < w->options.groups; group++) {
			world_ready(w, node, group, true);
			world_demote(w, node, group, "track:x", 0);
		}
	}
}

/* run_end: the liveness phase is a third of it all, and with long intervals longer: a replayed
 * master may have prolonged a start-up hold by five. */
static int64_t run_end(const struct world *w, int64_t heal)
{
	int64_t down = world_master_down(w);
	int64_t hold = 2 * down > 1000000 ? 2 * down : 1000000;
	int64_t least = 3000000 + 6 * hold + 4 * down + w->options.stage_us;

	if (w->options.late)
		least += 2 * WORLD_LATE_US;
	return heal + (heal / 2 > least ? heal / 2 : least);
}

/* run_world: one world. skip: faults to leave out, or NULL. */
void run_world(
	const struct world_options *options, const bool *skip, bool trace, struct run_result *ret)
{
	struct world *w = world_new(options);
	int64_t heal = options->seconds * 1000000 * 2 / 3, end = run_end(w, heal);
	const char *failure;

	if (trace)
		w->trace = run_trace;
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
		run_heal(w);
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
