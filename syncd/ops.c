#include "syncd/ops.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/ipaddr.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ops {
	struct node *node;
	struct control_server *server;
	struct control_ticket verify_ticket; /* of the pass that is running */
};

/* ---- status ---- */

static json_t *ops_status_groups(const struct node *node)
{
	json_t *list = json_array();

	for (uint8_t group = 0; group < node->cfg->group_count; group++)
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "group", node->cfg->groups[group].name,
				      "role", syncmsg_role_name(node->engine.groups[group].role)));
	return list;
}

/* ops_peer_in_sync: towards whom we send, or from whom we hear: both must be whole. */
static bool ops_peer_in_sync(const struct node *node, const struct session *s)
{
	if (!session_peer_in_sync(s, &node->engine))
		return false;
	for (uint8_t group = 0; group < node->cfg->group_count; group++)
		if (engine_source(&node->engine, group) == s->peer &&
			!session_group_in_sync(s, &node->engine, group))
			return false;
	return !node->engine.adopting;
}

static json_t *ops_status_peers(const struct node *node)
{
	json_t *list = json_array();
	mono_t now = clock_now();

	for (uint8_t peer = 0; peer < node->peer_count; peer++) {
		const struct session *s = &node->sessions[peer];
		bool live = s->state == SESSION_STATE_LIVE;

		json_array_append_new(
			list, json_pack("{s:s, s:b, s:b, s:f, s:I}", "node",
				      channel_peer_node(node->cfg, peer)->name, "connected", live,
				      "in_sync", live && ops_peer_in_sync(node, s), "lag_ms",
				      live ? (double)session_lag(s, now).us / 1000 : 0.0, "unacked",
				      (json_int_t)session_unacked(s, &node->engine)));
	}
	return list;
}

static void op_status(void *context, const struct control_request *request)
{
	struct ops *ops = context;
	struct node *node = ops->node;

	control_server_ok(ops->server, &request->ticket,
		json_pack("{s:s, s:o, s:I, s:o}", "role",
			node_is_active(node) ? "active" : "standby", "groups",
			ops_status_groups(node), "flows",
			(json_int_t)engine_flow_count(&node->engine), "peers",
			ops_status_peers(node)));
}

/* ---- flows ---- */

struct ops_stream {
	struct node *node;
	uint32_t cursor;
};

static const char *ops_proto_name(uint8_t proto, char text[static 8])
{
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_UDPLITE:
		return "udplite";
	case IPPROTO_SCTP:
		return "sctp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmpv6";
	case IPPROTO_GRE:
		return "gre";
	default:
		snprintf(text, 8, "%u", proto);
		return text;
	}
}

static json_t *ops_tuple(const struct flow_tuple *tuple)
{
	struct ipaddr src = {.family = tuple->family}, dst = {.family = tuple->family};
	char src_text[IPADDR_TEXT_MAX], dst_text[IPADDR_TEXT_MAX];
	json_t *object;

	memcpy(src.bytes, tuple->src, sizeof(src.bytes));
	memcpy(dst.bytes, tuple->dst, sizeof(dst.bytes));
	object = json_pack("{s:s, s:s}", "src", ipaddr_render(&src, false, src_text), "dst",
		ipaddr_render(&dst, false, dst_text));
	if (flow_proto_is_icmp(tuple->proto)) {
		json_object_set_new(object, "type", json_integer(tuple->dst_port >> 8));
		json_object_set_new(object, "code", json_integer(tuple->dst_port & 0xff));
		json_object_set_new(object, "id", json_integer(tuple->src_port));
	} else if (flow_proto_has_ports(tuple->proto)) {
		bool gre = tuple->proto == IPPROTO_GRE;

		json_object_set_new(
			object, gre ? "srckey" : "sport", json_integer(tuple->src_port));
		json_object_set_new(
			object, gre ? "dstkey" : "dport", json_integer(tuple->dst_port));
	}
	return object;
}

static json_t *ops_status_bits(uint32_t status)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {{FLOW_STATUS_SEEN_REPLY, "SEEN_REPLY"}, {FLOW_STATUS_ASSURED, "ASSURED"},
		{FLOW_STATUS_SRC_NAT, "SRC_NAT"}, {FLOW_STATUS_DST_NAT, "DST_NAT"},
		{FLOW_STATUS_OFFLOAD, "OFFLOAD"}};
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (status & names[i].bit)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

static json_t *ops_flow(const struct node *node, const struct flow *flow, uint8_t group)
{
	char proto[8];
	json_t *item = json_pack("{s:s, s:s, s:i, s:I, s:I, s:o, s:o, s:o}", "proto",
		ops_proto_name(flow->orig.proto, proto), "group", node->cfg->groups[group].name,
		"zone", flow->zone, "timeout_s", (json_int_t)flow->timeout_s, "mark",
		(json_int_t)flow->mark, "orig", ops_tuple(&flow->orig),
		flow_is_expectation(flow) ? "mask" : "reply", ops_tuple(&flow->reply), "status",
		ops_status_bits(flow->status));

	if (flow->has & FLOW_HAS_TCP) {
		json_object_set_new(
			item, "state", json_string(flow_tcp_state_name(flow->tcp_state)));
		if (flow->has & FLOW_HAS_TCP_WINDOW)
			json_object_set_new(item, "wscale",
				json_pack("[i, i]", flow->tcp_wscale[0], flow->tcp_wscale[1]));
	}
	if (flow->has & FLOW_HAS_HELPER)
		json_object_set_new(item, "helper", json_string(flow->helper));
	if (flow->has & FLOW_HAS_MASTER)
		json_object_set_new(item, "master", ops_tuple(&flow->master));
	if (flow_is_expectation(flow))
		json_object_set_new(item, "expected", json_true());
	json_object_set_new(item, "stamp",
		json_pack("{s:I, s:i, s:I}", "term", (json_int_t)flow->stamp.term, "owner",
			flow->stamp.owner, "sequence", (json_int_t)flow->stamp.sequence));
	return item;
}

static json_t *ops_flows_next(void *stream)
{
	struct ops_stream *at = stream;
	struct table *table = &at->node->engine.table;
	struct flow flow;

	for (; at->cursor < table->high; at->cursor++) {
		const struct table_record *record = table_at(table, at->cursor);

		if (!table_is_used(table, at->cursor) || record->flags & TABLE_FLAG_DEAD)
			continue;
		table_load(table, at->cursor++, engine_seconds(clock_now()), &flow);
		return ops_flow(at->node, &flow, record->group);
	}
	return NULL;
}

static void op_flows(void *context, const struct control_request *request)
{
	struct ops *ops = context;
	struct ops_stream *stream = calloc(1, sizeof(*stream));

	if (!stream) {
		control_server_error(ops->server, &request->ticket, "FAILED", "out of memory");
		return;
	}
	stream->node = ops->node;
	control_server_stream(ops->server, &request->ticket, stream, ops_flows_next, free);
}

/* ---- the rest ---- */

static void op_resync(void *context, const struct control_request *request)
{
	struct ops *ops = context;

	node_resync(ops->node);
	control_server_ok(ops->server, &request->ticket, NULL);
}

/* ---- verify ---- */

struct ops_found {
	json_t *items;
	size_t next;
};

static json_t *ops_found_next(void *stream)
{
	struct ops_found *found = stream;

	return json_incref(json_array_get(found->items, found->next++));
}

static void ops_found_free(void *stream)
{
	struct ops_found *found = stream;

	json_decref(found->items);
	free(found);
}

static json_t *ops_verify_fields(uint32_t fields)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {{FLOW_HAS_REPLY, "reply"}, {FLOW_HAS_STATUS, "status"},
		{FLOW_HAS_TCP, "state"}, {FLOW_HAS_TCP_WINDOW, "window"}, {FLOW_HAS_SCTP, "sctp"},
		{FLOW_HAS_MARK, "mark"}, {FLOW_HAS_LABELS, "labels"}, {FLOW_HAS_SEQADJ, "seqadj"},
		{FLOW_HAS_SYNPROXY, "synproxy"}, {FLOW_HAS_HELPER, "helper"},
		{FLOW_HAS_MASTER, "master"}, {VERIFY_FIELD_STAMP, "stamp"}};
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (fields & names[i].bit)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

static void ops_verify_list(
	const struct node *node, const struct verify_list *list, const char *peer, json_t *items)
{
	static const char *const kinds[] = {"missing", "extra", "differs"};

	for (uint32_t i = 0; i < list->count; i++) {
		const struct verify_item *item = &list->items[i];
		int group = engine_group_index(&node->engine, item->flow.group_tag);
		json_t *object = ops_flow(node, &item->flow, group < 0 ? 0 : (uint8_t)group);

		json_object_update_new(
			object, json_pack("{s:s, s:s, s:s, s:o}", "node", peer, "where",
					item->kind <= VERIFY_KERNEL_DIFFERS ? "kernel" : "table",
					"kind", kinds[(unsigned int)item->kind % ARRAY_LEN(kinds)],
					"fields", ops_verify_fields(item->fields)));
		json_array_append_new(items, object);
	}
}

static json_t *ops_verify_peers(const struct node *node)
{
	static const char *const reasons[] = {[VERIFIER_PEER_UNASKED] = "not connected",
		[VERIFIER_PEER_ASKED] = "",
		[VERIFIER_PEER_DONE] = "",
		[VERIFIER_PEER_LOST] = "the connection ended, or it did not answer in time"};
	json_t *list = json_array();

	for (uint8_t peer = 0; peer < node->peer_count; peer++) {
		enum verifier_peer state = node->verifier.peers[peer];

		json_array_append_new(
			list, json_pack("{s:s, s:b, s:s}", "node",
				      channel_peer_node(node->cfg, peer)->name, "compared",
				      state == VERIFIER_PEER_DONE, "reason", reasons[state]));
	}
	return list;
}

/* on_verified: the differences, and as the last item what they are worth. */
static void on_verified(void *context)
{
	struct ops *ops = context;
	const struct node *node = ops->node;
	const struct verifier *v = &node->verifier;
	struct ops_found *found = calloc(1, sizeof(*found));
	uint64_t total = v->kernel.total;

	if (!found) {
		control_server_error(ops->server, &ops->verify_ticket, "FAILED", "out of memory");
		return;
	}
	found->items = json_array();
	ops_verify_list(node, &v->kernel, node->cfg->self->name, found->items);
	for (uint8_t peer = 0; peer < node->peer_count; peer++) {
		total += v->found[peer].total;
		ops_verify_list(node, &v->found[peer], channel_peer_node(node->cfg, peer)->name,
			found->items);
	}
	json_array_append_new(found->items,
		json_pack("{s:{s:s, s:I, s:I, s:b, s:o}}", "summary", "node", node->cfg->self->name,
			"flows", (json_int_t)engine_flow_count(&node->engine), "differences",
			(json_int_t)total, "kernel_read", !v->failed, "peers",
			ops_verify_peers(node)));
	control_server_stream(
		ops->server, &ops->verify_ticket, found, ops_found_next, ops_found_free);
}

static void op_verify(void *context, const struct control_request *request)
{
	struct ops *ops = context;
	int r = verifier_start(&ops->node->verifier, on_verified, ops);

	if (r == 0)
		ops->verify_ticket = request->ticket;
	else if (r == -EBUSY)
		control_server_error(ops->server, &request->ticket, "BUSY",
			"another verification is running: try again when it has ended");
	else
		control_server_error(ops->server, &request->ticket, "FAILED",
			"cannot read the kernel's table: %s", strerror(-r));
}

/* ---- metrics ---- */

static json_t *ops_metrics_drops(const struct engine *e)
{
	json_t *object = json_object();

	for (unsigned int drop = 1; drop < ENGINE_DROP_COUNT; drop++)
		json_object_set_new(object, engine_drop_name((enum engine_drop)drop),
			json_integer((json_int_t)e->drops[drop]));
	return object;
}

static json_t *ops_metrics_closed(const struct node *node)
{
	json_t *object = json_object();

	for (unsigned int reason = 0; reason < CHANNEL_REASON_COUNT; reason++)
		json_object_set_new(object, channel_reason_name((enum channel_reason)reason),
			json_integer((json_int_t)channel_closed_count(
				node->channel, (enum channel_reason)reason)));
	return object;
}

static json_t *ops_metrics_errno(const struct inject *inject)
{
	json_t *object = json_object();

	for (size_t i = 0; i < ARRAY_LEN(inject->by_errno); i++) {
		const char *name = strerrorname_np((int)i);

		if (inject->by_errno[i])
			json_object_set_new(object, name ? name : "OTHER",
				json_integer((json_int_t)inject->by_errno[i]));
	}
	return object;
}

static json_t *ops_metrics_peers(const struct node *node)
{
	json_t *list = json_array();

	for (uint8_t peer = 0; peer < node->peer_count; peer++) {
		const struct session *s = &node->sessions[peer];

		json_array_append_new(list,
			json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "node",
				channel_peer_node(node->cfg, peer)->name, "state",
				session_state_name(s->state), "compares",
				(json_int_t)s->compare.compares, "differing",
				(json_int_t)s->compare.differing_total, "sent", (json_int_t)s->sent,
				"acked", (json_int_t)s->acked, "received", (json_int_t)s->received,
				"bytes_in", (json_int_t)s->bytes_in, "bytes_out",
				(json_int_t)s->bytes_out));
	}
	return list;
}

static void op_metrics(void *context, const struct control_request *request)
{
	struct ops *ops = context;
	const struct node *node = ops->node;
	const struct engine *e = &node->engine;
	json_t *result = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "flows",
		(json_int_t)e->table.count, "capacity", (json_int_t)e->config.capacity,
		"kernel_events", (json_int_t)node->events.received, "kernel_events_bad",
		(json_int_t)node->events.bad, "kernel_events_lost",
		(json_int_t)node->events.dropped, "injected", (json_int_t)e->injected, "dumps",
		(json_int_t)node->dump.dumps, "dumped", (json_int_t)node->dump.entries);

	json_object_update_new(result,
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "gone",
			(json_int_t)node->dump.gone, "retimed", (json_int_t)node->retime.retimed,
			"made_strict", (json_int_t)node->retime.strict, "swept",
			(json_int_t)node->swept, "ignored", (json_int_t)node->owner.ignored,
			"promotions", (json_int_t)node->promotions, "promotion_us",
			(json_int_t)node->promotion_us, "kernel_waiting",
			(json_int_t)e->consumers[SYNC_CONSUMER_KERNEL].dirty.count));
	json_object_set_new(result, "walks", json_integer((json_int_t)node->dump.walks));
	json_object_set_new(result, "forgotten", json_integer((json_int_t)e->forgotten));
	json_object_set_new(
		result, "clashes_settled", json_integer((json_int_t)node->inject.settled));
	json_object_set_new(result, "dropped", ops_metrics_drops(e));
	json_object_set_new(result, "injection_errors", ops_metrics_errno(&node->inject));
	json_object_set_new(result, "connections_closed", ops_metrics_closed(node));
	json_object_set_new(result, "peers", ops_metrics_peers(node));
	control_server_ok(ops->server, &request->ticket, result);
}

static const struct control_op ops_table[] = {
	{"status", CONTROL_RIGHTS_READ, op_status},
	{"flows", CONTROL_RIGHTS_OPERATE, op_flows},
	{"resync", CONTROL_RIGHTS_OPERATE, op_resync},
	{"verify", CONTROL_RIGHTS_OPERATE, op_verify},
	{"metrics", CONTROL_RIGHTS_READ, op_metrics},
};

int ops_open(struct control_server **ret_server, struct node *node, const char *runtime_dir)
{
	static struct ops ops; /* one socket a process */
	char path[PATH_MAX];
	struct control_server_options options = {.event = node->event,
		.path = path,
		.ops = ops_table,
		.op_count = ARRAY_LEN(ops_table),
		.context = &ops};
	int r;

	snprintf(path, sizeof(path), "%s/syncd.sock", runtime_dir);
	ops.node = node;
	r = control_server_open(&ops.server, &options);
	if (r == 0)
		*ret_server = ops.server;
	return r;
}
