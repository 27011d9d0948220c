/* guard_wire.h: the memory that carpd shares with its guard. Private to guard*.c. */
#ifndef CARPD_GUARD_WIRE_H
#define CARPD_GUARD_WIRE_H

#include "carpd/guard.h"

#include <pthread.h>
#include <stdatomic.h>

struct guard_shared {
	/* Held by carpd's main thread for its whole life. Robust: the kernel hands it on with
	 * EOWNERDEAD at the very beginning of that thread's end, before memory is torn down and
	 * before files are closed (closing one packet socket waits for an RCU grace period, some
	 * 15 ms each: a pidfd tells only after all of them). */
	pthread_mutex_t life;
	_Atomic int64_t fed_at_us;
	_Atomic int64_t timeout_us;   /* INT64_MAX: only death counts */
	_Atomic uint32_t current;     /* which of the tables */
	_Atomic bool is_disarmed;     /* carpd ends in order: do nothing */
	_Atomic bool is_ready;	      /* the child has everything open */
	_Atomic bool has_fired;	      /* set before anything is withdrawn */
	_Atomic bool is_done;	      /* withdrawn, rules switched, resigned */
	_Atomic int64_t withdrawn_us; /* how long after the trigger the addresses were gone */
	struct guard_table tables[2];
};

/* What the child inherits. */
struct guard_child {
	struct guard_shared *shared;
	int carpd_pidfd; /* readable when the last thread has ended */
	int lock_fd;
	const struct rules_manifest *manifests;
	uint32_t manifest_count;
	int priority;
};

/* guard_process_main: the child's whole life. */
int guard_process_main(const struct guard_child *child);

#endif
