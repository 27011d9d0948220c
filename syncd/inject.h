/* inject.h: tells our kernel what the engine has for it: batched creates, updates, deletes.
 *
 * Works off the engine's set of dirty flows for the kernel (masters come before their related
 * flows, since the source saw them first; one that comes too early is repeated). What each errno
 * means is the engine's business; a full table (ENOMEM) stops injection for a second and is an
 * alarm. Where another entry holds a flow's reply tuple the kernel is asked which one: the higher
 * stamp has it. */
#ifndef SYNCD_INJECT_H
#define SYNCD_INJECT_H

#include "common/mono.h"
#include "syncd/core/engine.h"
#include "syncd/kernel_batch.h"

#include <stdbool.h>

#define INJECT_CLASHES_MAX 64u /* of one batch; what is more is tried at the next comparison */

struct inject {
	struct kernel_batch batch;
	struct nl asks;	       /* who holds a reply tuple */
	struct engine *engine; /* borrowed until inject_close */
	mono_t now;
	uint64_t by_errno[134]; /* failed operations by errno; the last slot takes the rest */
	bool full;		/* this batch met ENOMEM */
	uint32_t clashes[INJECT_CLASHES_MAX]; /* slots that met EEXIST in this batch */
	uint32_t clash_count;
	uint64_t settled; /* entries that had to go for one with a higher stamp */
	/* may_delete: whether an entry that the engine does not know is replicated at all: a
	 * connection of the node itself stays. NULL: none may be deleted. */
	bool (*may_delete)(void *context, const struct flow *flow);
	void *context;
};

/* inject_open: 0 or a negative errno. */
int inject_open(struct inject *inject, struct engine *engine) __attribute__((warn_unused_result));
void inject_close(struct inject *inject);

/* inject_run: at most `operations_max`, in batches. Returns how many were sent. */
uint32_t inject_run(struct inject *inject, mono_t now, uint32_t operations_max);

/* inject_port: the netlink port whose events are our own doing. */
uint32_t inject_port(const struct inject *inject);

#endif
