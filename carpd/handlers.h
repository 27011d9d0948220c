/* handlers.h: the programs that take part in transitions (doc/protocol-control.md section 5).
 *
 * Two kinds in one list: those that registered over the control socket (syncd is one of them), and
 * those that the config names, which the helper runs. A phase of a transition tells all of its
 * handlers at once, in the order of registration, and is over when each has answered, failed, gone
 * or used up its time. Handlers of phase `after` are told and not awaited. In a demotion the
 * addresses are withdrawn first; handlers of `before` and `state` are told together afterwards. */
#ifndef CARPD_HANDLERS_H
#define CARPD_HANDLERS_H

#include "carpd/helper.h"
#include "carpd/bounds.h"
#include "carpd/transaction.h"
#include "common/io/control_server.h"
#include "config/config.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define HANDLERS_SYNCD	   "syncd"
#define HANDLERS_SYNC_USER "carpool-sync" /* as the package makes it; syncd need not be root */

struct handlers;

/* What a handler is told about a transition. */
struct handlers_transition {
	uint8_t group;
	bool is_demotion;
	enum reason reason;
	struct advert_term term;
	const char *other; /* node: `from` of a promotion, `to` of a demotion; NULL */
};

struct handlers_options {
	sd_event *event;
	struct helper *helper;
	const struct config *cfg; /* kept; handlers_reconfigure changes it */
	/* on_phase: an awaited phase is over. */
	void (*on_phase)(void *context, uint8_t group, enum config_phase phase, bool is_demotion,
		bool ok, bool required, const char *error);
	/* on_answer: one handler's part in a transition, for its record. */
	void (*on_answer)(void *context, uint8_t group, const char *name, int64_t us, bool ok,
		const char *error);
	/* on_health: registered handlers came, went, or said something about this node. */
	void (*on_health)(void *context);
	/* on_registered: tell the newcomer where every group stands (handlers_tell_role). */
	void (*on_registered)(void *context, struct control_conn conn);
	void *context;
};

int handlers_open(struct handlers **ret_handlers, const struct handlers_options *options)
	__attribute__((warn_unused_result));
void handlers_close(struct handlers *handlers);

/* handlers_serve: the server that the registered ones come through. */
void handlers_serve(struct handlers *handlers, struct control_server *server);

/* handlers_reconfigure: the config's own handlers are now those of `cfg`. */
void handlers_reconfigure(struct handlers *handlers, const struct config *cfg);

struct handlers_failure {
	bool required;
	char error[TRANSACTION_ERROR_MAX];
};

/* handlers_begin: tells the phase's handlers. The number of those that are awaited: on_phase
 * follows, later; 0: nobody is; -1: all failed at once, and on_phase does not follow. */
int handlers_begin(struct handlers *handlers, enum config_phase phase,
	const struct handlers_transition *transition, struct handlers_failure *ret_failure)
	__attribute__((warn_unused_result));

/* handlers_cancel: nothing of this group is awaited any more; late answers are ignored. */
void handlers_cancel(struct handlers *handlers, uint8_t group);

bool handlers_has(const struct handlers *handlers, const char *name);

/* What the handlers say about this node. Strings kept until the next change. */
struct handlers_health {
	unsigned int reason_count;
	const char *reasons[LIMIT_HANDLERS * CARPD_HEALTH_REASONS_MAX];
};
void handlers_health(const struct handlers *handlers, struct handlers_health *ret_health);

/* handlers_each_alarm: the alarms that handlers raise. */
void handlers_each_alarm(const struct handlers *handlers,
	void (*on_alarm)(void *context, const char *handler, const char *code, const char *text),
	void *context);

/* handlers_tell_role: {"event":"role",...} to one, or with a zeroed conn to all registered. */
void handlers_tell_role(struct handlers *handlers, struct control_conn conn, const json_t *role);

/* The control operations (rights as in design section 5), and the end of a connection. */
void handlers_op_register(struct handlers *handlers, const struct control_request *request);
void handlers_op_done(struct handlers *handlers, const struct control_request *request);
void handlers_op_health(struct handlers *handlers, const struct control_request *request);
void handlers_conn_closed(struct handlers *handlers, struct control_conn conn);

/* handlers_ignored_count: answers that came too late, twice, or from another. */
uint64_t handlers_ignored_count(const struct handlers *handlers);

#endif
