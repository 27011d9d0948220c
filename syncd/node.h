/* node.h: one syncd: the engine and its sessions, joined to the kernel, the peers and carpd.
 *
 * The shell of syncd's core. Every turn of the loop does a bounded piece of work: a buffer from a
 * peer and what it makes us inject, a bundle of kernel events, a slice of a dump. carpd's word
 * comes first (priority), since a promotion waits for it: become_master has only to inject what is
 * left of the last buffers, join the event groups and answer; the dump that finds out what the
 * kernel has, and the re-timing of held entries, follow behind. */
#ifndef SYNCD_NODE_H
#define SYNCD_NODE_H

#include "common/io/evloop.h"
#include "common/keyring.h"
#include "config/config.h"
#include "syncd/carpd_client.h"
#include "syncd/channel.h"
#include "syncd/core/engine.h"
#include "syncd/core/session.h"
#include "syncd/inject.h"
#include "syncd/kernel_dump.h"
#include "syncd/kernel_events.h"
#include "syncd/kernel_reread.h"
#include "syncd/owner.h"
#include "syncd/retime.h"
#include "syncd/verifier.h"

#include <stdbool.h>
#include <stdint.h>

#define NODE_TICK_MS	      50
#define NODE_REPAIR_MS	      2000   /* between two dumps that repair losses */
#define NODE_REFRESH_MS	      600000 /* between two dumps for timeouts and quiet flows */
#define NODE_FILL_MS	      1000   /* between two looks at how full the kernel is */
#define NODE_CHECK_MS	      30000  /* between a standby's dumps while its kernel is nearly full */
#define NODE_EVICTING_PERCENT 90     /* fill above which the kernel evicts silently */
#define NODE_FULL_PERCENT     95     /* fill above which a standby is not ready */
#define NODE_STOP_MS	      5000   /* an active syncd waits so long for carpd to become backup */
#define NODE_DUMP_TURN_US     500    /* between two buffers (100-150 entries) of a dump */
#define NODE_LOOSEN_TURN      256u   /* entries made liberal in a turn: a millisecond */
#define NODE_STRICT_TURN      1024u  /* entries made strict in a turn */

struct node_group {
	char master[LIMIT_NAME]; /* whom carpd takes for the master; "" nobody */
	bool tail_open;
	bool held_dumped; /* this life has looked for held entries */
};

struct node {
	const struct config *cfg;
	const struct keyring *ring; /* both borrowed until node_close */
	sd_event *event;
	void *arena;
	size_t arena_bytes;
	struct engine engine;
	uint8_t peer_count;
	struct session sessions[LIMIT_PEERS];
	struct node_group groups[LIMIT_GROUPS];
	struct channel *channel;
	struct inject inject;
	struct kernel_events events;
	struct kernel_dump dump;
	struct kernel_reread reread;
	struct retime retime;
	struct owner owner;
	struct carpd_client carpd;
	struct verifier verifier;
	struct evloop_timer tick, coalesce, gather, stop, dump_turn, loosen;
	sd_event_source *events_source, *owner_source;
	bool coalescing;
	bool adopt_pending;
	bool born_empty; /* nothing was in the kernel when this life began: nothing to adopt */
	bool stopping;
	mono_t repair_at; /* a repair is wanted, not before this; MONO_NEVER none */
	mono_t refresh_at;
	mono_t fill_at;
	mono_t check_at;
	uint32_t fill_percent;
	uint32_t kernel_count, kernel_max, kernel_buckets;
	char health[512]; /* as last told to carpd */
	uint64_t repairs, swept, promotions;
	int64_t promotion_us;
};

/* node_open: 0 or a negative errno (logged). runtime_dir: where carpd.sock is, and where the life
 * of the kernel's table is remembered. */
int node_open(struct node *node, sd_event *event, const struct config *cfg,
	const struct keyring *ring, const char *runtime_dir) __attribute__((warn_unused_result));
void node_close(struct node *node);

/* node_stop: ends the loop: at once on a standby, else when carpd has become backup, or after
 * NODE_STOP_MS. */
void node_stop(struct node *node);

/* node_resync: a full transfer of every group, from its source to whoever listens; a standby tells
 * its kernel everything again, a source reads its kernel again. */
void node_resync(struct node *node);

bool node_is_active(const struct node *node);

/* node_flow_group: the group that a flow of our kernel belongs to; of an expectation its master's,
 * if that is replicated. OWNER_IGNORE: it is not ours to replicate. */
int node_flow_group(struct node *node, const struct flow *flow);

#endif
