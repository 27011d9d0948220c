/* run: one world, from its seed to its verdict.
 *
 * Two phases. Safety: anything may break (faults.h), and the checkers (checks.h) look at every
 * step. Liveness: all faults are healed, and at the end each group must have exactly one master and
 * only backups besides. */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

#include "world.h"

struct run_result {
	char failure[256];
	uint64_t steps, delivered, dropped;
	uint32_t faults;
	int64_t failed_at;
};

/* run_options: what kind of cluster and network the seed stands for. */
void run_options(uint64_t seed, int64_t seconds, struct world_options *ret);

/* run_print_options: one line. */
void run_print_options(const struct world_options *o);

/* run_world: skip: faults to leave out, by number, or NULL. trace: the story on standard output. */
void run_world(
	const struct world_options *options, const bool *skip, bool trace, struct run_result *ret);

#endif
