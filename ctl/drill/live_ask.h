/* live_ask.h: what a live drill asks of the daemons, while it goes on looking after its probes. */
#ifndef CTL_DRILL_LIVE_ASK_H
#define CTL_DRILL_LIVE_ASK_H

#include "ctl/args.h"

#include "common/io/control_client.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define LIVE_ASK_TEXT_MAX 512u

/* live_ask_status: carpd's document with syncd's in it, the caller's; NULL: `why` says why not. */
json_t *live_ask_status(const struct args *args, char why[static LIVE_ASK_TEXT_MAX]);

/* live_ask_lock: the drill's lock; held as long as the client is open. False: `why`. */
bool live_ask_lock(const struct args *args, struct control_client *client, const char *by,
	const char *reason, int64_t for_ms, char why[static LIVE_ASK_TEXT_MAX]);

/* live_ask_handover: one group to that node (NULL: the best), `idle` being called all the time
 * until it is over. The duration in ms, or below 0: `why`, beginning with the error's code. */
double live_ask_handover(const struct args *args, const char *group, const char *to, bool force,
	void (*idle)(void *context), void *context, char why[static LIVE_ASK_TEXT_MAX]);

/* live_ask_history: this node's, an array, the caller's; empty when it does not answer. */
json_t *live_ask_history(const struct args *args);

#endif
