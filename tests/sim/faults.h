/* faults.h: what goes wrong, as a list made from the seed before the run, so that a failing run can
 * be shrunk by leaving faults out one by one. */
#ifndef TESTS_SIM_FAULTS_H
#define TESTS_SIM_FAULTS_H

#include "world.h"

enum fault_kind {
	FAULT_CUT,	 /* one path or all, one or both directions, between two nodes */
	FAULT_ISOLATE,	 /* a node from all others, on all paths; one way or both */
	FAULT_SPLIT,	 /* two halves */
	FAULT_LOSS,	 /* everywhere, per mille */
	FAULT_PATH_LOSS, /* one path */
	FAULT_LINK_LOSS, /* one direction of one path between two nodes */
	FAULT_DUP,
	FAULT_JITTER, /* reorders */
	FAULT_PAUSE,  /* SIGSTOP: input waits */
	FAULT_FREEZE, /* a virtual machine: input is lost */
	FAULT_REBOOT,
	FAULT_KILL, /* carpd dies, the guard does its work */
	FAULT_STOP, /* SIGTERM, and a start later */
	FAULT_CARRIER,
	FAULT_PORT,   /* dead behind a living carrier */
	FAULT_UNPLUG, /* all ports of a node dead behind living carriers, sync links too */
	FAULT_CLOCK,  /* a jump forward, as a migrated machine sees it */
	FAULT_DRIFT,  /* half a percent */
	FAULT_NOT_READY,
	FAULT_DEMOTE,
	FAULT_STAGES, /* promotions fail */
	FAULT_LATE,   /* promotions are slow: a handler that uses up its deadline */
	FAULT_HANDOVER,
	FAULT_BURST,  /* operators on every node at once, each with another wish */
	FAULT_RELOAD, /* preempt, settle and confirm change on one node */
	FAULT_MAINTENANCE,
	FAULT_REPLAY,
	FAULT_KIND_COUNT,
};

struct fault {
	enum fault_kind kind;
	int64_t at, until;
	uint8_t node, other, group, path;
	uint32_t value;
	bool flag;
	bool skipped;
	bool running;
};

/* faults_make: from the seed, all over before `until`. */
void faults_make(struct world *w, int64_t from, int64_t until);

/* faults_schedule: into the world's queue, but for the skipped ones. */
void faults_schedule(struct world *w);

void faults_apply(struct world *w, uint32_t index, bool begin);

/* faults_render: one line; returns `text`. */
const char *faults_render(const struct world *w, uint32_t index, char *text, size_t size);

#endif
