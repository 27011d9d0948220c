/* synckernel.h: conntrack of one node, as the simulator of syncd needs it.
 *
 * Entries with a key, a reply tuple, an id, a timeout; what ctnetlink answers to a create, an
 * update and a delete (facts 2.2 to 2.4); events for those who joined. Packets come from the world
 * (syncworld.h): they make entries, move states, refresh timeouts without a word, and end them. */
#ifndef TESTS_SIM_SYNCKERNEL_H
#define TESTS_SIM_SYNCKERNEL_H

#include "common/flow.h"
#include "syncd/core/engine.h"

#include <stdbool.h>
#include <stdint.h>

#define SYNCKERNEL_MAX	  512u
#define SYNCKERNEL_EVENTS 256u /* that wait for a reader; more are lost, and counted */

/* The timeouts of this world, short enough to pass in it. */
#define SYNCKERNEL_UDP_S	 6u
#define SYNCKERNEL_OPENING_S	 30u
#define SYNCKERNEL_ESTABLISHED_S 432000u

struct synckernel_entry {
	bool used;
	bool held; /* its timeout is what injection on a standby gave it */
	struct flow flow;
	int64_t expires_us;
};

struct synckernel_event {
	bool destroy;
	struct flow flow;
};

struct synckernel {
	struct synckernel_entry entries[SYNCKERNEL_MAX];
	struct synckernel_event events[SYNCKERNEL_EVENTS];
	uint32_t event_first, event_count;
	uint32_t lost;	    /* events, not told yet */
	uint32_t lose_next; /* a fault: so many events get lost */
	uint32_t id;
	bool joined;
	bool full; /* a fault: ENOMEM for every create */
};

/* synckernel_find: the entry of a key, or NULL. */
struct synckernel_entry *synckernel_find(struct synckernel *k, const struct flow *key);

/* synckernel_clash: an entry of another key that has this reply tuple, or NULL. */
struct synckernel_entry *synckernel_clash(struct synckernel *k, const struct flow *flow);

/* synckernel_apply: one operation of the engine; 0 or a positive errno. Makes no event: syncd does
 * not hear what it does itself. */
int synckernel_apply(
	struct synckernel *k, int64_t now_us, const struct engine_op *op, bool standby);

/* synckernel_new: a packet makes the flow; NULL: no room. Its id is set here. */
struct synckernel_entry *synckernel_new(
	struct synckernel *k, int64_t now_us, const struct flow *flow);

/* synckernel_packet: a packet of an entry: its timeout is that of its state again. */
void synckernel_packet(struct synckernel_entry *entry, int64_t now_us);

/* synckernel_changed: tells those who joined, as the kernel does: without what stays. */
void synckernel_changed(struct synckernel *k, const struct synckernel_entry *entry, int64_t now_us);

void synckernel_destroy(struct synckernel *k, struct synckernel_entry *entry);

/* synckernel_expire: ends what has timed out. */
void synckernel_expire(struct synckernel *k, int64_t now_us);

/* synckernel_seconds: an entry's timeout as a dump tells it. */
uint32_t synckernel_seconds(const struct synckernel_entry *entry, int64_t now_us);

/* synckernel_full_s: the timeout of the flow's state. */
uint32_t synckernel_full_s(const struct flow *flow);

#endif
