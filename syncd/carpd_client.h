/* carpd_client.h: syncd as carpd's handler of phase `state` (doc/protocol-control.md).
 *
 * Registers, hears roles and transitions, answers them, reports readiness. When the socket closes
 * it tells so at once (the node freezes) and tries again every CARPD_CLIENT_RETRY_MS. */
#ifndef SYNCD_CARPD_CLIENT_H
#define SYNCD_CARPD_CLIENT_H

#include "common/io/control_client.h"
#include "common/io/evloop.h"

#include <stdbool.h>
#include <stdint.h>

#define CARPD_CLIENT_RETRY_MS 100

struct carpd_role {
	const char *group;
	const char *state;  /* "backup", "master", ... */
	const char *master; /* or NULL */
	uint32_t term;
	uint8_t term_owner;
};

struct carpd_transition {
	const char *group;
	const char *other; /* from or to; NULL: nobody */
	int64_t id;
	uint32_t term;
	uint8_t term_owner;
	bool to_master;
};

struct carpd_client {
	struct control_client client;
	bool connected;
	bool complained;
	sd_event *event;
	sd_event_source *source;
	struct evloop_timer retry;
	char path[108];
	int timeout_ms; /* of a transition, as registered */
	void *context;
	void (*on_registered)(void *context);
	void (*on_lost)(void *context);
	void (*on_role)(void *context, const struct carpd_role *role);
	/* Answers with carpd_client_done. */
	void (*on_transition)(void *context, const struct carpd_transition *transition);
};

/* carpd_client_start: callbacks, context and path are set by the caller. Connects now, or when
 * carpd is there. */
int carpd_client_start(struct carpd_client *client, sd_event *event)
	__attribute__((warn_unused_result));
void carpd_client_stop(struct carpd_client *client);

/* carpd_client_done: error NULL: it went well. */
void carpd_client_done(struct carpd_client *client, int64_t id, const char *error);

/* carpd_client_health: `not_ready` and `alarms` are arrays and moved here. */
void carpd_client_health(
	struct carpd_client *client, bool ready, json_t *not_ready, json_t *alarms);

#endif
