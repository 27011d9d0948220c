/* drill: the lock of a drill of the running cluster, and who drilled last. See node.h.
 *
 * One node asks; its adverts say ADVERT_DRILL. A peer that hears it, and does not ask itself,
 * answers with ADVERT_DRILL_KNOWN. The lock is held when every configured peer lives and has
 * answered. Why two nodes never hold it at once: whoever asks or holds does not answer, so of two
 * that ask neither is answered by the other; the one with the higher id gives way. An answer to an
 * earlier question would be believed too soon, so a question waits until no peer speaks of drills
 * any more.
 *
 * The lock ends with the connection that asked for it, with its time, and with the life of this
 * carpd: peers then hear no more of it. It stops nobody from anything but a second drill. */
#include "carpd/node.h"

#include "common/io/clock.h"
#include "common/io/log.h"

#include <string.h>

#define DRILL_POLL_MS	 20
#define DRILL_ANSWER_MS	 3000
#define DRILL_FOR_MS	 (10 * 60 * 1000)
#define DRILL_FOR_MS_MAX (60 * 60 * 1000)
#define DRILL_FILE	 "drill.json"

struct drill_peers {
	const char *silent; /* one that is not heard, or NULL */
	uint8_t drilling;   /* the lowest id of those that drill; 0: nobody */
	bool all_know;
	bool any_knows;
};

/* A node says the same in all of its groups: the first one is enough. */
static struct drill_peers drill_look_at_peers(const struct node *node)
{
	struct drill_peers peers = {.all_know = true};

	for (uint8_t i = 0; i + 1u < node->cfg->node_count; i++) {
		struct election_peer_view view;

		election_peer_view(node->core, 0, i, &view);
		if (!view.alive || !view.proven) {
			peers.silent = node_name_of(node, view.node);
			peers.all_know = false;
			continue;
		}
		peers.all_know &= view.knows_drill;
		peers.any_knows |= view.knows_drill;
		if (view.drills && (peers.drilling == 0 || view.node < peers.drilling))
			peers.drilling = view.node;
	}
	return peers;
}

static void drill_arm(struct node *node)
{
	const struct node_drill *drill = &node->drill;
	mono_t next = MONO_NEVER;

	if (drill->state == NODE_DRILL_HELD)
		next = drill->until;
	else if (drill->state != NODE_DRILL_NONE)
		next = mono_add(clock_now(), dur_ms(DRILL_POLL_MS));
	evloop_timer_set(&node->drill.timer, next);
}

static void drill_tell(struct node *node, const char *name, bool on)
{
	const struct node_drill *drill = &node->drill;
	bool own = strcmp(name, node->self->name) == 0;
	char time[CLOCK_TEXT_MAX];

	if (own)
		log_notice("drill from this node %s: by %s: %s", on ? "begins" : "is over",
			drill->by, drill->reason);
	else
		log_notice("drill from %s %s", name, on ? "begins" : "is over");
	if (node->server)
		(void)control_server_publish(node->server, NODE_TOPIC_EVENTS,
			json_pack("{s:s, s:s, s:s, s:b, s:s*, s:s*}", "event", "drill", "time",
				clock_render(clock_wall_us(), time), "node", name, "on", on, "by",
				own ? drill->by : NULL, "reason", own ? drill->reason : NULL));
}

static void drill_remember(struct node *node, const char *name)
{
	json_decref(node->drill.last);
	node->drill.last =
		json_pack("{s:s, s:I}", "node", name, "time_us", (json_int_t)clock_wall_us());
	history_save(node->history, DRILL_FILE, node->drill.last);
}

static void drill_end(struct node *node)
{
	struct node_drill *drill = &node->drill;
	bool held = drill->state == NODE_DRILL_HELD;

	drill->state = NODE_DRILL_NONE;
	drill_arm(node);
	if (!held)
		return;
	drill_tell(node, node->self->name, false);
	drill_remember(node, node->self->name);
}

/* Whether peers begin or end one. */
static void drill_notice(struct node *node, const struct drill_peers *peers)
{
	struct node_drill *drill = &node->drill;
	uint8_t before = drill->heard;

	if (peers->drilling == before)
		return;
	drill->heard = peers->drilling;
	drill->heard_wall_us = clock_wall_us();
	if (before != 0) {
		drill_tell(node, node_name_of(node, before), false);
		drill_remember(node, node_name_of(node, before));
	}
	if (drill->heard != 0)
		drill_tell(node, node_name_of(node, drill->heard), true);
}

uint16_t drill_flags(struct node *node)
{
	struct node_drill *drill = &node->drill;
	struct drill_peers peers = drill_look_at_peers(node);

	drill_notice(node, &peers);
	if (drill->state == NODE_DRILL_ASKED || drill->state == NODE_DRILL_HELD)
		return ADVERT_DRILL;
	return drill->heard != 0 ? ADVERT_DRILL_KNOWN : 0;
}

/* --- the question ------------------------------------------------------------------------------
 */

static void drill_refuse(struct node *node, const char *code, const char *name, const char *text)
{
	(void)control_server_error(
		node->server, &node->drill.ticket, code, "%s%s", name ? name : "", text);
	drill_end(node);
}

static void drill_grant(struct node *node)
{
	struct node_drill *drill = &node->drill;

	drill->state = NODE_DRILL_HELD;
	drill->since_wall_us = clock_wall_us();
	drill_tell(node, node->self->name, true);
	(void)control_server_ok(node->server, &drill->ticket, drill_status(node));
}

static void drill_judge(struct node *node)
{
	struct node_drill *drill = &node->drill;
	struct drill_peers peers = drill_look_at_peers(node);

	if (peers.drilling != 0 && peers.drilling < node->self->id) {
		drill_refuse(node, "BUSY", node_name_of(node, peers.drilling), " drills already");
		return;
	}
	if (drill->state == NODE_DRILL_WAITING && !peers.any_knows)
		drill->state = NODE_DRILL_ASKED;
	else if (drill->state == NODE_DRILL_ASKED && peers.all_know && peers.drilling == 0)
		drill_grant(node);
	else if (mono_reached(clock_now(), drill->answer_by)) {
		if (peers.drilling != 0)
			drill_refuse(node, "BUSY", node_name_of(node, peers.drilling),
				" drills already");
		else if (peers.silent)
			drill_refuse(node, "NOT_READY", peers.silent,
				" is not heard, and every node has to know of a drill");
		else
			drill_refuse(node, "TIMEOUT", NULL,
				"not every node has confirmed that it knows of the drill");
		return;
	}
	drill_arm(node);
}

static void on_drill_timer(void *context)
{
	struct node *node = context;

	if (node->drill.state == NODE_DRILL_HELD)
		drill_end(node);
	else if (node->drill.state != NODE_DRILL_NONE)
		drill_judge(node);
}

static bool drill_take_text(
	const struct control_request *request, const char *name, char text[NODE_DRILL_TEXT_MAX])
{
	const char *given = json_string_value(json_object_get(request->body, name));

	if (!given || given[0] == '\0' || strlen(given) >= NODE_DRILL_TEXT_MAX)
		return false;
	/* It goes into logs and onto terminals. */
	for (size_t i = 0; i <= strlen(given); i++)
		text[i] = given[i] != '\0' && (unsigned char)given[i] < ' ' ? ' ' : given[i];
	return true;
}

static bool drill_is_from(const struct node_drill *drill, struct control_conn conn)
{
	return drill->state != NODE_DRILL_NONE && drill->ticket.conn.slot == conn.slot &&
	       drill->ticket.conn.generation == conn.generation;
}

static void drill_ask(struct node *node, const struct control_request *request)
{
	const json_t *span = json_object_get(request->body, "for_ms");
	json_int_t for_ms = json_is_integer(span) ? json_integer_value(span) : DRILL_FOR_MS;
	struct node_drill *drill = &node->drill;

	if (drill->state != NODE_DRILL_NONE || drill->heard != 0) {
		(void)control_server_error(node->server, &request->ticket, "BUSY",
			"%s drills already",
			drill->heard ? node_name_of(node, drill->heard) : node->self->name);
		return;
	}
	if (node->is_stopping || !node->is_started) {
		(void)control_server_error(node->server, &request->ticket,
			node->is_stopping ? "SHUTTING_DOWN" : "NOT_READY", "try again later");
		return;
	}
	if (for_ms < 1 || for_ms > DRILL_FOR_MS_MAX || !drill_take_text(request, "by", drill->by) ||
		!drill_take_text(request, "reason", drill->reason)) {
		(void)control_server_error(node->server, &request->ticket, "BAD_REQUEST",
			"drill wants by and reason (texts of 1 to %u bytes), and takes for_ms (at "
			"most %d)",
			NODE_DRILL_TEXT_MAX - 1, DRILL_FOR_MS_MAX);
		return;
	}
	drill->ticket = request->ticket;
	drill->state = NODE_DRILL_WAITING;
	drill->answer_by = mono_add(clock_now(), dur_ms(DRILL_ANSWER_MS));
	drill->until = mono_add(clock_now(), dur_ms(for_ms));
	drill_judge(node);
}

void drill_op(void *context, const struct control_request *request)
{
	struct node *node = context;
	const json_t *on = json_object_get(request->body, "on");

	if (!json_is_boolean(on)) {
		(void)control_server_error(
			node->server, &request->ticket, "BAD_REQUEST", "drill wants on");
		return;
	}
	if (json_is_true(on)) {
		drill_ask(node, request);
		return;
	}
	if (drill_is_from(&node->drill, request->ticket.conn))
		drill_end(node);
	(void)control_server_ok(node->server, &request->ticket, drill_status(node));
}

void drill_conn_closed(struct node *node, struct control_conn conn)
{
	if (drill_is_from(&node->drill, conn))
		drill_end(node);
}

/* --- status ------------------------------------------------------------------------------------
 */

static json_t *drill_time(int64_t wall_us)
{
	char text[CLOCK_TEXT_MAX];

	return json_string(clock_render(wall_us, text));
}

static json_t *drill_status_last(const struct node *node)
{
	const json_t *last = node->drill.last;
	const char *name = json_string_value(json_object_get(last, "node"));

	if (!name)
		return json_null();
	return json_pack("{s:s, s:o}", "node", name, "time",
		drill_time(json_integer_value(json_object_get(last, "time_us"))));
}

json_t *drill_status(const struct node *node)
{
	const struct node_drill *drill = &node->drill;
	bool held = drill->state == NODE_DRILL_HELD;
	const char *name = held ? node->self->name : node_name_of(node, drill->heard);

	return json_pack("{s:s?, s:s?, s:s?, s:o, s:o}", "node", name, "by",
		held ? drill->by : NULL, "reason", held ? drill->reason : NULL, "since",
		name ? drill_time(held ? drill->since_wall_us : drill->heard_wall_us) : json_null(),
		"last", drill_status_last(node));
}

int drill_open(struct node *node)
{
	node->drill.last = history_load(node->history, DRILL_FILE);
	return evloop_timer_open(
		&node->drill.timer, node->event, EVLOOP_PRIORITY_CONTROL, on_drill_timer, node);
}

void drill_close(struct node *node)
{
	evloop_timer_close(&node->drill.timer);
	json_decref(node->drill.last);
	node->drill.last = NULL;
}
