/* ops: the operations of carpd.sock (doc/protocol-control.md section 4). What takes time is a
 * request to the core, answered when its REPLY comes; a hand-over of several groups is answered
 * when the last of them is. See node.h. */
#include "carpd/node.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPS_REQUEST_MS	       15000 /* the core answers by itself well before */
#define OPS_MAINTENANCE_MS_MAX (INT64_C(366) * 86400 * 1000)

/* How the core's answers read in the control protocol. */
static const struct {
	const char *code;
	const char *text;
} ops_replies[] = {
	[ELECTION_REPLY_OK] = {"OK", ""},
	[ELECTION_REPLY_NOT_READY] = {"NOT_READY", "the target is not ready to take over"},
	[ELECTION_REPLY_UNKNOWN_NODE] = {"NO_TARGET", "no living node that could take over"},
	[ELECTION_REPLY_BUSY] = {"BUSY", "a hand-over of the group is under way"},
	[ELECTION_REPLY_FAILED] = {"FAILED", "it began and failed; the old master goes on"},
	[ELECTION_REPLY_NO_MASTER] = {"FAILED", "nobody holds the group"},
	[ELECTION_REPLY_TIMEOUT] = {"TIMEOUT", "the master did not answer in time"},
	[ELECTION_REPLY_LAST_ELIGIBLE] = {"LAST_NODE", "no other node could be master"},
	[ELECTION_REPLY_STOPPING] = {"SHUTTING_DOWN", "the daemon is about to end"},
};

/* --- requests to the core ----------------------------------------------------------------------
 */

static void ops_arm(struct node *node)
{
	mono_t next = MONO_NEVER;

	for (unsigned int i = 0; i < NODE_REQUESTS_MAX; i++)
		if (node->requests[i].id != 0 && !node->requests[i].is_done)
			next = mono_min(next, node->requests[i].deadline);
	evloop_timer_set(&node->request_timer, next);
}

static struct node_request *ops_request_new(
	struct node *node, uint32_t batch, const struct control_ticket *ticket)
{
	for (unsigned int i = 0; i < NODE_REQUESTS_MAX; i++) {
		if (node->requests[i].id != 0)
			continue;
		if (++node->request_last == 0)
			node->request_last = 1;
		node->requests[i] = (struct node_request){
			.id = node->request_last,
			.batch = batch,
			.ticket = *ticket,
			.asked_at = clock_now(),
			.deadline = mono_add(clock_now(), dur_ms(OPS_REQUEST_MS)),
		};
		return &node->requests[i];
	}
	return NULL;
}

static unsigned int ops_free_count(const struct node *node)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < NODE_REQUESTS_MAX; i++)
		count += node->requests[i].id == 0;
	return count;
}

/* ops_batch_groups: what became of each group of a batch. */
static json_t *ops_batch_groups(struct node *node, uint32_t batch)
{
	json_t *groups = json_array();

	for (unsigned int i = 0; i < NODE_REQUESTS_MAX; i++) {
		const struct node_request *request = &node->requests[i];

		if (request->id == 0 || request->batch != batch || request->is_maintenance)
			continue;
		(void)json_array_append_new(
			groups, json_pack("{s:s, s:s?, s:s?, s:f}", "group",
					node->cfg->groups[request->group].name, "from",
					node_name_of(node, request->from), "to",
					node_name_of(node, request->to), "ms",
					(double)request->us / 1000.0));
	}
	return groups;
}

static void ops_answer_batch(struct node *node, const struct node_request *request)
{
	json_t *result = json_pack("{s:o}", "groups", ops_batch_groups(node, request->batch));

	if (request->is_maintenance) {
		const json_t *until = json_object_get(node->maintenance, "until_us");
		char time[CLOCK_TEXT_MAX];

		(void)json_object_set_new(result, "on", json_boolean(request->maintenance_on));
		(void)json_object_set_new(result, "until",
			json_is_integer(until) && request->maintenance_on
				? json_string(clock_render(json_integer_value(until), time))
				: json_null());
	}
	(void)control_server_ok(node->server, &request->ticket, result);
}

/* ops_batch_ended: when the last request of a batch is done: one answer, the first error of all. */
static void ops_batch_ended(struct node *node, uint32_t batch)
{
	const struct node_request *failed = NULL, *any = NULL;

	for (unsigned int i = 0; i < NODE_REQUESTS_MAX; i++) {
		const struct node_request *request = &node->requests[i];

		if (request->id == 0 || request->batch != batch)
			continue;
		if (!request->is_done)
			return;
		any = request;
		if (request->reply != ELECTION_REPLY_OK && !failed)
			failed = request;
	}
	if (failed)
		(void)control_server_error(node->server, &failed->ticket,
			ops_replies[failed->reply].code, "%s%s%s",
			failed->is_maintenance ? "" : node->cfg->groups[failed->group].name,
			failed->is_maintenance ? "" : ": ", ops_replies[failed->reply].text);
	else if (any)
		ops_answer_batch(node, any);
	for (unsigned int i = 0; i < NODE_REQUESTS_MAX; i++)
		if (node->requests[i].batch == batch)
			node->requests[i] = (struct node_request){0};
}

static void ops_done(struct node *node, struct node_request *request, enum election_reply reply)
{
	struct election_group_view view;

	election_group_view(node->core, request->group, &view);
	request->is_done = true;
	request->reply = reply;
	request->us = mono_diff(clock_now(), request->asked_at).us;
	request->to = view.master;
	ops_batch_ended(node, request->batch);
	ops_arm(node);
}

void ops_reply(struct node *node, const struct election_action *action)
{
	for (unsigned int i = 0; i < NODE_REQUESTS_MAX; i++)
		if (node->requests[i].id == action->request_id && !node->requests[i].is_done) {
			ops_done(node, &node->requests[i], action->reply);
			return;
		}
}

static void on_request_deadline(void *context)
{
	struct node *node = context;
	mono_t now = clock_now();

	for (unsigned int i = 0; i < NODE_REQUESTS_MAX; i++)
		if (node->requests[i].id != 0 && !node->requests[i].is_done &&
			mono_reached(now, node->requests[i].deadline))
			ops_done(node, &node->requests[i], ELECTION_REPLY_TIMEOUT);
	ops_arm(node);
}

/* --- handover ----------------------------------------------------------------------------------
 */

static bool ops_bad(struct node *node, const struct control_request *request, const char *text)
{
	(void)control_server_error(node->server, &request->ticket, "BAD_REQUEST", "%s", text);
	return false;
}

/* ops_take_name, ops_take_bool: a field that may be absent or null; false: of another type. */
static bool ops_take_name(
	const struct control_request *request, const char *name, const char **ret_value)
{
	const json_t *value = json_object_get(request->body, name);

	if (!value || json_is_null(value))
		return true;
	*ret_value = json_string_value(value);
	return *ret_value != NULL;
}

static bool ops_take_bool(const struct control_request *request, const char *name, bool *ret_value)
{
	const json_t *value = json_object_get(request->body, name);

	if (!value || json_is_null(value))
		return true;
	*ret_value = json_is_true(value);
	return json_is_boolean(value);
}

struct ops_handover {
	const struct config_node *to; /* NULL: the best */
	int group;		      /* -1: all that the target does not hold */
	bool force;
};

static bool ops_handover_parse(
	struct node *node, const struct control_request *request, struct ops_handover *ret_wish)
{
	const char *to = NULL, *group = NULL;
	bool force = false;

	if (!ops_take_name(request, "to", &to) || !ops_take_name(request, "group", &group) ||
		!ops_take_bool(request, "force", &force))
		return ops_bad(node, request, "handover takes to, group (names), force");
	*ret_wish = (struct ops_handover){.group = -1, .force = force};
	if (to) {
		ret_wish->to = config_node_lookup(node->cfg, to);
		if (!ret_wish->to) {
			(void)control_server_error(node->server, &request->ticket, "NO_TARGET",
				"no node named %s", to);
			return false;
		}
	}
	if (group) {
		const struct config_group *found = config_group_lookup(node->cfg, group);

		if (!found) {
			(void)control_server_error(node->server, &request->ticket, "NO_GROUP",
				"no group named %s", group);
			return false;
		}
		ret_wish->group = found->index;
	}
	return true;
}

static void ops_handover(void *context, const struct control_request *request)
{
	struct node *node = context;
	struct election_event events[LIMIT_GROUPS] = {0};
	struct ops_handover wish;
	unsigned int count = 0;
	uint32_t batch;

	if (!ops_handover_parse(node, request, &wish))
		return;
	if (node->is_stopping || ops_free_count(node) < node->group_count) {
		(void)control_server_error(node->server, &request->ticket,
			node->is_stopping ? "SHUTTING_DOWN" : "BUSY", "try again later");
		return;
	}
	batch = ++node->batch_last;
	for (uint32_t i = 0; i < node->group_count; i++) {
		struct election_group_view view;
		struct node_request *own;

		election_group_view(node->core, (uint8_t)i, &view);
		if (wish.group >= 0 ? wish.group != (int)i : wish.to && view.master == wish.to->id)
			continue;
		own = ops_request_new(node, batch, &request->ticket);
		CHECK(own != NULL);
		own->group = (uint8_t)i;
		own->from = view.master;
		events[count] = (struct election_event){
			.type = ELECTION_EVENT_HANDOVER, .group = (uint8_t)i};
		events[count].handover.request_id = own->id;
		events[count].handover.target = wish.to ? wish.to->id : 0;
		events[count++].handover.force = wish.force;
	}
	if (count == 0)
		(void)control_server_ok(
			node->server, &request->ticket, json_pack("{s:[]}", "groups"));
	/* The requests are all there before the first is asked: its answer may come at once. */
	ops_arm(node);
	for (unsigned int i = 0; i < count; i++)
		node_event(node, &events[i]);
}

/* --- maintenance -------------------------------------------------------------------------------
 */

static void ops_maintenance(void *context, const struct control_request *request)
{
	struct election_event event = {.type = ELECTION_EVENT_MAINTENANCE, .group = ELECTION_ALL};
	struct node *node = context;
	const json_t *span = json_object_get(request->body, "for_ms");
	json_int_t for_ms = json_is_integer(span) ? json_integer_value(span) : -1;
	bool on = false, force = false, has_span = span && !json_is_null(span);
	struct node_request *own;

	if (!json_object_get(request->body, "on") || !ops_take_bool(request, "on", &on) ||
		!ops_take_bool(request, "force", &force) ||
		(has_span && (for_ms < 1 || for_ms > OPS_MAINTENANCE_MS_MAX))) {
		(void)ops_bad(node, request, "maintenance wants on, and takes for_ms, force");
		return;
	}
	own = node->is_stopping ? NULL
				: ops_request_new(node, ++node->batch_last, &request->ticket);
	if (!own) {
		(void)control_server_error(node->server, &request->ticket,
			node->is_stopping ? "SHUTTING_DOWN" : "BUSY", "try again later");
		return;
	}
	own->is_maintenance = true;
	own->maintenance_on = on;
	event.maintenance.request_id = own->id;
	event.maintenance.on = on;
	event.maintenance.force = force;
	event.maintenance.until = for_ms < 0 ? MONO_NEVER : mono_add(clock_now(), dur_ms(for_ms));
	ops_arm(node);
	node_event(node, &event);
}

/* --- the rest ----------------------------------------------------------------------------------
 */

static void ops_status(void *context, const struct control_request *request)
{
	struct node *node = context;

	(void)control_server_ok(node->server, &request->ticket, status_document(node));
}

static void ops_metrics(void *context, const struct control_request *request)
{
	struct node *node = context;

	(void)control_server_ok(node->server, &request->ticket, status_metrics(node));
}

static void ops_events(void *context, const struct control_request *request)
{
	struct node *node = context;

	(void)control_server_subscribe(node->server, request->ticket.conn, NODE_TOPIC_EVENTS);
}

static void ops_history(void *context, const struct control_request *request)
{
	struct node *node = context;

	history_stream(node->history, node->server, &request->ticket);
}

static void ops_config(void *context, const struct control_request *request)
{
	struct node *node = context;
	char *text = config_render(node->cfg);

	if (text)
		(void)control_server_ok(node->server, &request->ticket,
			json_pack("{s:s, s:s}", "file", node->cfg->file, "yaml", text));
	else
		(void)control_server_error(node->server, &request->ticket, "FAILED", "no memory");
	free(text);
}

static void ops_reload(void *context, const struct control_request *request)
{
	struct node *node = context;

	reload_start(node, &request->ticket, json_is_true(json_object_get(request->body, "diff")),
		json_is_true(json_object_get(request->body, "force")));
}

static void ops_register(void *context, const struct control_request *request)
{
	handlers_op_register(((struct node *)context)->handlers, request);
}

static void ops_handler_done(void *context, const struct control_request *request)
{
	handlers_op_done(((struct node *)context)->handlers, request);
}

static void ops_health(void *context, const struct control_request *request)
{
	handlers_op_health(((struct node *)context)->handlers, request);
}

static void ops_closed(void *context, struct control_conn conn)
{
	handlers_conn_closed(((struct node *)context)->handlers, conn);
	drill_conn_closed(context, conn);
}

static const struct control_op ops_table[] = {
	{"status", CONTROL_RIGHTS_READ, ops_status},
	{"metrics", CONTROL_RIGHTS_READ, ops_metrics},
	{"handover", CONTROL_RIGHTS_OPERATE, ops_handover},
	{"maintenance", CONTROL_RIGHTS_OPERATE, ops_maintenance},
	{"events", CONTROL_RIGHTS_OPERATE, ops_events},
	{"history", CONTROL_RIGHTS_OPERATE, ops_history},
	{"config", CONTROL_RIGHTS_OPERATE, ops_config},
	{"reload", CONTROL_RIGHTS_OPERATE, ops_reload},
	{"rules", CONTROL_RIGHTS_OPERATE, ops_rules},
	{"drill", CONTROL_RIGHTS_OPERATE, drill_op},
	{"register", CONTROL_RIGHTS_OPERATE, ops_register},
	{"done", CONTROL_RIGHTS_OPERATE, ops_handler_done},
	{"health", CONTROL_RIGHTS_OPERATE, ops_health},
};

int ops_open(struct node *node)
{
	char path[OPTIONS_PATH_MAX + 16];
	struct control_server_options options = {
		.event = node->event,
		.path = path,
		.ops = ops_table,
		.op_count = ARRAY_LEN(ops_table),
		.context = node,
		.on_close = ops_closed,
	};
	int r = evloop_timer_open(&node->request_timer, node->event, EVLOOP_PRIORITY_DEADLINE,
		on_request_deadline, node);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/carpd.sock", node->options->runtime_dir);
	r = control_server_open(&node->server, &options);
	if (r == 0)
		handlers_serve(node->handlers, node->server);
	return r;
}
