/* guard.h: the child that takes the addresses away when carpd cannot (design section 7).
 *
 * It waits for a robust mutex that carpd's main thread holds, and watches the time of carpd's last
 * feeding; carpd's pidfd tells it when the last thread has ended. When carpd is dead, or has been
 * silent for too long while it held a group, the guard does three things in this order (measured,
 * facts/experiments.md 1c and 6): it withdraws every managed address, with its routes and the
 * interfaces that are up on a master alone; it wakes the shield and, a
 * millisecond later, puts the master's rules to sleep; it sends the resignations that carpd signed
 * for it. Then it releases its lock and ends. It holds no key: it can end only this life of carpd.
 *
 * carpd tells it what to do through shared memory: two tables, of which `current` names the whole
 * one, so that a death in the middle of an update leaves the older one. The guard allocates and
 * looks up nothing when it fires.
 *
 * A guard that has fired has burnt carpd's epoch (the last counter is spent): a carpd that was only
 * asleep must begin a new life (node.c). */
#ifndef CARPD_GUARD_H
#define CARPD_GUARD_H

#include "carpd/addresses.h"
#include "carpd/devices.h"
#include "carpd/frame.h"
#include "carpd/routes.h"
#include "common/advert.h"
#include "common/limits.h"
#include "common/mono.h"
#include "rules/rules.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define GUARD_LANES_MAX (LIMIT_INTERFACES + LIMIT_SYNC_LINKS * LIMIT_GROUPS)

/* Where the adverts of a path go. */
struct guard_destination {
	struct ipaddr address;
	uint8_t mac[FRAME_MAC_BYTES];
};

struct guard_path {
	uint32_t ifindex; /* 0: not there now */
	uint8_t destination_count;
	struct ipaddr source;
	struct guard_destination destinations[LIMIT_PEERS];
};

/* A signed resignation of one group on one path. */
struct guard_lane {
	uint8_t group;
	uint8_t path;
	uint16_t size_bytes;
	uint8_t bytes[ADVERT_BYTES_MAX];
};

struct guard_table {
	uint32_t held_groups; /* bit per group: addresses may be up, adverts claim it */
	uint32_t address_count;
	uint32_t route_count;
	uint32_t device_count;
	uint32_t lane_count;
	struct addresses_entry addresses[LIMIT_ADDRESSES];
	struct routes_entry routes[LIMIT_ROUTES];
	uint32_t devices[2 * LIMIT_INTERFACES]; /* to be set down */
	struct guard_path paths[LIMIT_PATHS];
	struct guard_lane lanes[GUARD_LANES_MAX];
};

struct guard;

struct guard_options {
	sd_event *event;
	const char *runtime_dir;
	/* Kept until guard_close; read by the child of the next (re)start. */
	const struct rules_manifest *manifests;
	uint32_t manifest_count;
	int priority; /* real-time priority of the child; 0 none */
	/* on_death: the child is gone without being told; a new one has been started. `fired`: it
	 * had withdrawn everything first. */
	void (*on_death)(void *context, bool fired);
	void *context;
};

/* guard_wait_former: waits for the guard of an earlier carpd in this runtime directory, at most
 * CARPD_GUARD_WAIT_MS, then kills it. 0, or -EBUSY when it could not be killed. */
int guard_wait_former(const char *runtime_dir) __attribute__((warn_unused_result));

/* guard_open: starts the child and waits until it is ready. 0 or a negative errno. */
int guard_open(struct guard **ret_guard, const struct guard_options *options)
	__attribute__((warn_unused_result));

/* guard_close: tells the child to go without doing anything. NULL is allowed. */
void guard_close(struct guard *guard);

/* guard_restart: a new child, which opens the rules anew (after a reload). */
int guard_restart(struct guard *guard) __attribute__((warn_unused_result));

/* guard_edit: the table to fill in (its old content is the one before the last publish), then
 * guard_publish makes it the current one. */
struct guard_table *guard_edit(struct guard *guard);
void guard_publish(struct guard *guard);

/* guard_feed: "I am awake": from the loop's deadline handler. `timeout` from now on;
 * MONO_NEVER-like values mean no limit. */
void guard_feed(struct guard *guard, mono_t now, dur_t timeout);

/* guard_fired: the child has begun to withdraw: this life is over. */
bool guard_fired(const struct guard *guard);

/* guard_emergency: for the hook of a failed CHECK: lets the child withdraw now and waits for it, at
 * most 100 ms. Async-signal-safe. Does nothing before guard_open. */
void guard_emergency(void);

#endif
