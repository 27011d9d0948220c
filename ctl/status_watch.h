/* status_watch.h: what `status --watch` shows below the status: the last transitions, and rates. */
#ifndef CTL_STATUS_WATCH_H
#define CTL_STATUS_WATCH_H

#include "ctl/args.h"

#include "common/mono.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define STATUS_WATCH_RECENT_MAX 5u

struct status_watch {
	json_t *recent[STATUS_WATCH_RECENT_MAX]; /* the newest transitions, oldest first */
	unsigned int recent_count;
	char *seen; /* the groups' states when they were asked for */
	bool has_counts;
	mono_t counted_at;
	double adverts, sent, received; /* as counted then */
};

/* status_watch_note: one more transition; the oldest goes when there is no room. `item` is borrowed
 * (kept by reference). */
void status_watch_note(struct status_watch *watch, json_t *item);

/* status_watch_render: asks what it needs (the history only when `status` shows that a group has
 * moved) and writes it. What may not be asked or is not answered is left out. */
void status_watch_render(
	FILE *out, struct status_watch *watch, const struct args *args, const json_t *status);

void status_watch_fini(struct status_watch *watch);

#endif
