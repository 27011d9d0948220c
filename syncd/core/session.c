#include "syncd/core/session.h"

#include "common/check.h"

#include <string.h>

#define FILL_ROOM (2u * SYNCMSG_BYTES_MAX)
#define PROTO_TCP 6

static const char *const session_error_names[] = {
	[SESSION_OK] = "OK",
	[SESSION_DEAD] = "PEER_DEAD",
	[SESSION_HELLO_LATE] = "HELLO_LATE",
	[SESSION_WRONG_CLUSTER] = "WRONG_CLUSTER",
	[SESSION_WRONG_NODE] = "WRONG_NODE",
	[SESSION_UNEXPECTED] = "UNEXPECTED_MESSAGE",
	[SESSION_BAD_ACK] = "BAD_ACK",
	[SESSION_BAD_MESSAGE] = "BAD_MESSAGE",
};
_Static_assert(ARRAY_LEN(session_error_names) == SESSION_ERROR_COUNT, "a name for every error");

static const char *const session_state_names[] = {"idle", "hello", "live"};
_Static_assert(ARRAY_LEN(session_state_names) == SESSION_STATE_COUNT, "a name for every state");

const char *session_error_name(enum session_error error)
{
	return (unsigned int)error < SESSION_ERROR_COUNT ? session_error_names[error] : "?";
}

const char *session_state_name(enum session_state state)
{
	return (unsigned int)state < SESSION_STATE_COUNT ? session_state_names[state] : "?";
}

void session_init(
	struct session *s, uint8_t peer, const struct syncmsg_hello *ours, uint8_t their_node)
{
	memset(s, 0, sizeof(*s));
	s->peer = peer;
	s->ours = *ours;
	s->their_node = their_node;
	s->backlog_since = MONO_NEVER;
	compare_init(&s->compare);
	for (uint8_t group = 0; group < LIMIT_GROUPS; group++)
		s->groups[group].compare_at = MONO_NEVER;
}

static void session_reset(struct session *s)
{
	struct session fresh;

	session_init(&fresh, s->peer, &s->ours, s->their_node);
	fresh.lag = s->lag;
	fresh.bytes_in = s->bytes_in;
	fresh.bytes_out = s->bytes_out;
	fresh.compare.compares = s->compare.compares;
	fresh.compare.differing_total = s->compare.differing_total;
	*s = fresh;
}

/* ---- receiving ---- */

static const struct engine_consumer *session_kernel(const struct engine *e)
{
	return &e->consumers[SYNC_CONSUMER_KERNEL];
}

static void session_on_hello(
	struct session *s, struct engine *e, const struct syncmsg *msg, struct session_update *out)
{
	if (s->state != SESSION_STATE_HELLO) {
		out->error = SESSION_UNEXPECTED;
		return;
	}
	if (strcmp(msg->hello.cluster, s->ours.cluster) != 0) {
		out->error = SESSION_WRONG_CLUSTER;
		return;
	}
	if (msg->hello.node_id != s->their_node) {
		out->error = SESSION_WRONG_NODE;
		return;
	}
	s->theirs = msg->hello;
	s->state = SESSION_STATE_LIVE;
	s->roles_untold = UINT32_MAX;
	engine_attach(e, s->peer, msg->hello.names_max);
	out->went_live = true;
}

static void session_on_role(
	struct session *s, struct engine *e, const struct syncmsg *msg, struct session_update *out)
{
	int group = engine_group_index(e, msg->role.group_tag);
	struct engine_claim claim = {.role = (enum syncmsg_role)msg->role.role,
		.term = msg->role.term,
		.term_owner = msg->role.term_owner};

	if (group < 0)
		return; /* a group that only the other config has: a rolling change */
	engine_set_claim(e, s->peer, (uint8_t)group, claim);
	out->claims_changed = true;
}

static void session_on_begin(struct session *s, struct engine *e, const struct syncmsg *msg)
{
	int group = engine_group_index(e, msg->transfer.group_tag);

	if (group < 0 || engine_source(e, (uint8_t)group) != s->peer)
		return;
	engine_transfer_begin(e, s->peer);
	s->groups[group].transfer = msg->transfer.transfer;
}

static void session_on_end(struct session *s, struct engine *e, mono_t now,
	const struct syncmsg *msg, struct session_update *out)
{
	int group = engine_group_index(e, msg->transfer.group_tag);
	const uint64_t *differing;
	struct session_group *g;

	if (group < 0)
		return;
	g = &s->groups[group];
	/* An END without its BEGIN (we changed roles in between) must not sweep. */
	if (engine_source(e, (uint8_t)group) != s->peer || g->transfer == 0 ||
		g->transfer != msg->transfer.transfer ||
		g->wanted_turn != e->groups[group].turn + 1)
		return;
	differing = compare_differing(s, e, (uint8_t)group, g->transfer);
	out->swept_count += engine_transfer_end(e, now, s->peer, (uint8_t)group, differing);
	out->transfers_ended |= 1u << group;
	out->compared = differing != NULL;
	out->differing = s->compare.differing;
	g->compare_at = mono_add(now, dur_ms(SYNC_COMPARE_MS));
	g->transfer = 0;
	g->ended = true;
	g->ended_mark = session_kernel(e)->dirty.added;
}

static void session_on_want(struct session *s, struct engine *e, const struct syncmsg *msg)
{
	int group = engine_group_index(e, msg->transfer.group_tag);

	if (group < 0)
		return;
	compare_abort(&s->compare, (uint8_t)group);
	s->bulk_wanted |= 1u << group;
}

static void session_on_compare(
	struct session *s, const struct engine *e, mono_t now, const struct syncmsg *msg)
{
	int group = engine_group_index(e, msg->transfer.group_tag);

	if (group >= 0)
		compare_ask(s, now, (uint8_t)group);
}

static void session_on_ack(
	struct session *s, mono_t now, const struct syncmsg *msg, struct session_update *out)
{
	if (msg->position > s->sent || msg->position < s->acked) {
		out->error = SESSION_BAD_ACK;
		return;
	}
	s->acked = msg->position;
	while (s->mark_count && s->marks[s->mark_first].position <= s->acked) {
		s->lag = mono_diff(now, s->marks[s->mark_first].at);
		s->mark_first = (s->mark_first + 1) % SYNC_LAG_MARKS;
		s->mark_count--;
	}
}

static void session_on_tail_end(
	struct session *s, struct engine *e, const struct syncmsg *msg, struct session_update *out)
{
	int group = engine_group_index(e, msg->role.group_tag);

	if (group < 0 || e->groups[group].tail_peer != (int8_t)s->peer)
		return;
	engine_tail_ended(e, (uint8_t)group);
	out->tails_ended |= 1u << group;
}

/* session_resolve: a record by name becomes one with a key, a group and a stamp. False: it is of a
 * flow that is not here, or *out has an error. */
static bool session_resolve(
	struct session *s, struct engine *e, struct syncmsg *msg, struct session_update *out)
{
	struct session_origin *origin = &s->heard_origin;
	struct flow *flow = &msg->flow;

	if (!origin->valid) {
		out->error = SESSION_UNEXPECTED;
		return false;
	}
	origin->stamp.sequence += (uint64_t)msg->moved;
	flow->group_tag = origin->group_tag;
	flow->stamp = origin->stamp;
	if (msg->type == SYNCMSG_NAMED)
		return true;
	if (!engine_peer_named(e, s->peer, msg->name, flow))
		return false;
	if ((flow->has & (FLOW_HAS_TCP | FLOW_HAS_TCP_WINDOW) && flow->orig.proto != PROTO_TCP) ||
		(flow_is_expectation(flow) && flow->has & ~(uint32_t)FLOW_HAS_EXPECTATION)) {
		out->error = SESSION_BAD_MESSAGE;
		out->message_error = SYNCMSG_BAD_FLOW;
		return false;
	}
	return true;
}

/* session_on_record: drops are counted by the engine. */
static void session_on_record(struct session *s, struct engine *e, mono_t now, struct syncmsg *msg,
	struct session_update *out)
{
	bool named = msg->type != SYNCMSG_UPSERT && msg->type != SYNCMSG_DELETE;
	enum engine_drop drop;

	if (named && !session_resolve(s, e, msg, out))
		return;
	if (msg->type == SYNCMSG_DELETE || msg->type == SYNCMSG_GONE) {
		(void)engine_peer_delete(e, now, s->peer, &msg->flow);
		if (msg->type == SYNCMSG_GONE)
			engine_peer_unname(e, s->peer, msg->name);
		return;
	}
	drop = engine_peer_upsert(e, now, s->peer, &msg->flow);
	if (msg->type != SYNCMSG_NAMED)
		return;
	/* Where we know the flow better the name is good. What was not taken otherwise must not be
	 * built upon by the changes that follow; and the name no longer means the flow that had it
	 * before. */
	if (drop == ENGINE_DROP_NONE || drop == ENGINE_DROP_STALE || drop == ENGINE_DROP_BACKWARDS)
		engine_peer_name(e, s->peer, msg->name, &msg->flow);
	else
		engine_peer_unname(e, s->peer, msg->name);
}

static void session_on_message(struct session *s, struct engine *e, mono_t now, struct syncmsg *msg,
	struct session_update *out)
{
	if (msg->type != SYNCMSG_HELLO && s->state != SESSION_STATE_LIVE) {
		out->error = SESSION_UNEXPECTED;
		return;
	}
	if (syncmsg_is_record(msg->type))
		s->received++;
	switch (msg->type) {
	case SYNCMSG_HELLO:
		session_on_hello(s, e, msg, out);
		break;
	case SYNCMSG_ROLE:
		session_on_role(s, e, msg, out);
		break;
	case SYNCMSG_WANT:
		session_on_want(s, e, msg);
		break;
	case SYNCMSG_BEGIN:
		session_on_begin(s, e, msg);
		break;
	case SYNCMSG_END:
		session_on_end(s, e, now, msg, out);
		break;
	case SYNCMSG_UPSERT:
	case SYNCMSG_DELETE:
	case SYNCMSG_NAMED:
	case SYNCMSG_CHANGE:
	case SYNCMSG_GONE:
		session_on_record(s, e, now, msg, out);
		break;
	case SYNCMSG_ORIGIN:
		s->heard_origin = (struct session_origin){
			.group_tag = msg->flow.group_tag, .stamp = msg->flow.stamp, .valid = true};
		break;
	case SYNCMSG_ACK:
		session_on_ack(s, now, msg, out);
		break;
	case SYNCMSG_TAIL_END:
		session_on_tail_end(s, e, msg, out);
		break;
	case SYNCMSG_COMPARE:
		session_on_compare(s, e, now, msg);
		break;
	case SYNCMSG_DIGEST_BEGIN:
	case SYNCMSG_DIGEST:
	case SYNCMSG_DIGEST_END:
	case SYNCMSG_FETCH:
	case SYNCMSG_FETCH_END:
		compare_on_message(s, e, msg);
		break;
	case SYNCMSG_VERIFY:
	case SYNCMSG_VERIFY_DIGEST:
	case SYNCMSG_VERIFY_ASK:
	case SYNCMSG_VERIFY_KERNEL:
	case SYNCMSG_VERIFY_BUCKETS:
	case SYNCMSG_VERIFY_FLOW:
	case SYNCMSG_VERIFY_END:
		verify_on_message(s, e, now, msg);
		break;
	case SYNCMSG_PING:
	case SYNCMSG_TYPE_COUNT:
		break;
	}
}

static void session_step_bytes(struct session *s, struct engine *e,
	const struct session_event *event, struct session_update *out)
{
	struct rbuf r = rbuf_init(event->data, event->size_bytes);
	struct syncmsg msg;

	s->heard_at = event->now;
	s->bytes_in += event->size_bytes;
	while (out->error == SESSION_OK) {
		enum syncmsg_error error = syncmsg_decode(&r, &msg);

		if (error == SYNCMSG_MORE)
			break;
		if (error != SYNCMSG_OK) {
			out->error = SESSION_BAD_MESSAGE;
			out->message_error = error;
			break;
		}
		session_on_message(s, e, event->now, &msg, out);
	}
	out->consumed_bytes = (size_t)(r.pos - event->data);
}

static void session_step_timer(struct session *s, mono_t now, struct session_update *out)
{
	if (s->state == SESSION_STATE_HELLO &&
		mono_reached(now, mono_add(s->opened_at, dur_ms(SYNC_HELLO_MS))))
		out->error = SESSION_HELLO_LATE;
	else if (s->state == SESSION_STATE_LIVE &&
		 mono_reached(now, mono_add(s->heard_at, dur_ms(SYNC_DEAD_MS))))
		out->error = SESSION_DEAD;
}

void session_step(struct session *s, struct engine *e, const struct session_event *event,
	struct session_update *out)
{
	*out = (struct session_update){0};
	switch (event->type) {
	case SESSION_EVENT_OPENED:
		CHECK(s->state == SESSION_STATE_IDLE);
		session_reset(s);
		s->state = SESSION_STATE_HELLO;
		s->opened_at = s->heard_at = s->told_at = event->now;
		break;
	case SESSION_EVENT_BYTES:
		if (s->state == SESSION_STATE_IDLE)
			out->consumed_bytes = event->size_bytes;
		else
			session_step_bytes(s, e, event, out);
		break;
	case SESSION_EVENT_TIMER:
		session_step_timer(s, event->now, out);
		break;
	case SESSION_EVENT_CLOSED:
		if (s->state == SESSION_STATE_LIVE) {
			engine_detach(e, s->peer);
			out->claims_changed = true;
		}
		session_reset(s);
		break;
	}
}

/* ---- sending ---- */

static bool session_room(const struct wbuf *w)
{
	return wbuf_left(w) >= FILL_ROOM;
}

static void session_fill_roles(struct session *s, const struct engine *e, struct wbuf *w)
{
	for (uint8_t group = 0; group < e->config.group_count && session_room(w); group++) {
		const struct engine_group *g = &e->groups[group];
		struct syncmsg msg = {.type = SYNCMSG_ROLE};

		if (!(s->roles_untold >> group & 1))
			continue;
		msg.role.group_tag = g->tag;
		msg.role.term = g->term;
		msg.role.term_owner = g->term_owner;
		msg.role.role = (uint8_t)g->role;
		syncmsg_encode(w, &msg);
		s->roles_untold &= ~(1u << group);
	}
}

/* session_comparable: digests say something: there is something to compare, by the same key. */
static bool session_comparable(const struct session *s, const struct engine *e, uint8_t group)
{
	return s->ours.digest_id == s->theirs.digest_id && e->groups[group].flow_count &&
	       !s->groups[group].whole;
}

/* session_fill_compares: every now and then, while all is well. */
static void session_fill_compares(
	struct session *s, const struct engine *e, mono_t now, struct wbuf *w)
{
	for (uint8_t group = 0; group < e->config.group_count && session_room(w); group++) {
		struct session_group *mine = &s->groups[group];
		struct syncmsg msg = {.type = SYNCMSG_COMPARE};

		if (!mine->ended || !mono_reached(now, mine->compare_at) ||
			engine_source(e, group) != s->peer || !session_comparable(s, e, group))
			continue;
		msg.transfer.group_tag = e->groups[group].tag;
		syncmsg_encode(w, &msg);
		mine->compare_at = MONO_NEVER; /* END sets it */
	}
}

/* session_fill_wants: one transfer for each source, term and turn of ours: of what differs where
 * that can be told, else of everything. */
static void session_fill_wants(struct session *s, const struct engine *e, struct wbuf *w)
{
	for (uint8_t group = 0; group < e->config.group_count && session_room(w); group++) {
		const struct engine_group *g = &e->groups[group];
		struct session_group *mine = &s->groups[group];
		struct syncmsg msg = {.type = SYNCMSG_WANT};

		if (engine_source(e, group) != s->peer ||
			(mine->wanted_turn == g->turn + 1 &&
				mine->wanted_term == g->claims[s->peer].term))
			continue;
		if (session_comparable(s, e, group))
			msg.type = SYNCMSG_COMPARE;
		msg.transfer.group_tag = g->tag;
		syncmsg_encode(w, &msg);
		mine->whole = false;
		mine->compare_at = MONO_NEVER;
		mine->wanted_turn = g->turn + 1;
		mine->wanted_term = g->claims[s->peer].term;
		mine->transfer = 0;
		mine->ended = false;
	}
}

/* session_fill_ack: a position counts as applied when our kernel has been told everything that was
 * dirty when it came. One such mark waits at a time; the newest position takes the next. */
static void session_fill_ack(struct session *s, const struct engine *e, struct wbuf *w)
{
	const struct dirty *kernel = &session_kernel(e)->dirty;

	if (!s->ack_waiting && s->received > s->ack_told) {
		s->ack_position = s->received;
		s->ack_kernel = kernel->added;
		s->ack_waiting = true;
	}
	if (s->ack_waiting && kernel->taken >= s->ack_kernel && session_room(w)) {
		struct syncmsg msg = {.type = SYNCMSG_ACK, .position = s->ack_position};

		syncmsg_encode(w, &msg);
		s->ack_told = s->ack_position;
		s->ack_waiting = false;
	}
}

/* session_fill_fetched: the peer has said what differs: that is a transfer like any other. */
static void session_fill_fetched(struct session *s, struct engine *e, struct wbuf *w)
{
	struct syncmsg msg = {.type = SYNCMSG_BEGIN};
	uint32_t transfer = s->compare.out_transfer;
	int group;

	if (s->bulk_groups || !session_room(w))
		return;
	group = compare_take_fetched(s, e);
	if (group < 0)
		return;
	msg.transfer.group_tag = e->groups[group].tag;
	msg.transfer.transfer = transfer;
	syncmsg_encode(w, &msg);
	s->bulk_groups = 1u << group;
	s->bulk_cursor = 0;
	s->bulk_count = 0;
	s->bulk_transfer_open = transfer;
}

static void session_fill_begin(struct session *s, struct engine *e, struct wbuf *w)
{
	uint32_t groups = 0;

	if (s->bulk_groups || !s->bulk_wanted)
		return;
	/* All BEGINs go out together: each one clears the marks of the receiver. */
	if (wbuf_left(w) < LIMIT_GROUPS * 16u)
		return;
	s->bulk_transfer++;
	for (uint8_t group = 0; group < e->config.group_count; group++) {
		struct syncmsg msg = {.type = SYNCMSG_BEGIN};

		if (!(s->bulk_wanted >> group & 1) || e->groups[group].role != SYNCMSG_ROLE_ACTIVE)
			continue;
		engine_forget_group(e, s->peer, group);
		msg.transfer.group_tag = e->groups[group].tag;
		msg.transfer.transfer = s->bulk_transfer;
		syncmsg_encode(w, &msg);
		groups |= 1u << group;
	}
	s->bulk_transfer_open = s->bulk_transfer;
	s->bulk_wanted = 0;
	s->bulk_groups = groups;
	s->bulk_cursor = 0;
	s->bulk_count = 0;
}

static void session_refill(struct session *s, mono_t now)
{
	int64_t ms = dur_to_ms(mono_diff(now, s->bulk_refilled_at));

	if (ms <= 0)
		return;
	if (ms > (int64_t)(SYNC_BULK_BURST / SYNC_BULK_PER_MS))
		s->bulk_tokens = SYNC_BULK_BURST;
	else
		s->bulk_tokens += (uint32_t)ms * SYNC_BULK_PER_MS;
	if (s->bulk_tokens > SYNC_BULK_BURST)
		s->bulk_tokens = SYNC_BULK_BURST;
	s->bulk_refilled_at = now;
}

static void session_fill_end(struct session *s, const struct engine *e, struct wbuf *w)
{
	for (uint8_t group = 0; group < e->config.group_count; group++) {
		struct syncmsg msg = {.type = SYNCMSG_END};

		if (!(s->bulk_groups >> group & 1))
			continue;
		if (!session_room(w))
			return;
		s->bulk_groups &= ~(1u << group);
		/* Who is no longer the source has nothing to say about the rest. */
		if (e->groups[group].role != SYNCMSG_ROLE_ACTIVE)
			continue;
		msg.transfer.group_tag = e->groups[group].tag;
		msg.transfer.transfer = s->bulk_transfer_open;
		msg.transfer.count = s->bulk_count;
		syncmsg_encode(w, &msg);
		s->sent++;
		s->served |= 1u << group;
		s->bulk_end_position = s->sent;
	}
}

/* session_tell: one record: by its name where the peer takes names, so that what it knows need not
 * be said: the key, and the group and stamp of the record before. */
static void session_tell(struct session *s, const struct engine *e, struct wbuf *w,
	enum syncmsg_type type, const struct flow *flow)
{
	const struct engine_consumer *peer = &e->consumers[s->peer];
	struct session_origin *origin = &s->told_origin;
	const struct flow_stamp *stamp = &flow->stamp;

	s->sent++;
	if (peer->told >= peer->names_max || (type == SYNCMSG_DELETE && !peer->told_named)) {
		syncmsg_encode_flow(w, type, flow);
		return;
	}
	if (!origin->valid || origin->group_tag != flow->group_tag ||
		origin->stamp.term != stamp->term || origin->stamp.owner != stamp->owner ||
		origin->stamp.life != stamp->life) {
		*origin = (struct session_origin){
			.group_tag = flow->group_tag, .stamp = *stamp, .valid = true};
		syncmsg_encode_flow(w, SYNCMSG_ORIGIN, flow);
	}
	if (type == SYNCMSG_DELETE)
		type = SYNCMSG_GONE;
	else
		type = peer->told_named && flow_change_fits(flow) ? SYNCMSG_CHANGE : SYNCMSG_NAMED;
	syncmsg_encode_named(
		w, type, peer->told, (int64_t)(stamp->sequence - origin->stamp.sequence), flow);
	origin->stamp.sequence = stamp->sequence;
}

/* session_fill_live, session_fill_bulk: at most SYNC_FAIR_RECORDS; return whether there may be
 * more.
 */
static bool session_fill_live(struct session *s, struct engine *e, mono_t now, struct wbuf *w)
{
	enum syncmsg_type type;
	struct flow flow;

	for (uint32_t i = 0; i < SYNC_FAIR_RECORDS; i++) {
		if (!session_room(w) || !engine_tell_next(e, now, s->peer, &type, &flow))
			return false;
		session_tell(s, e, w, type, &flow);
	}
	return true;
}

static bool session_fill_bulk(struct session *s, struct engine *e, mono_t now, struct wbuf *w)
{
	struct flow flow;

	for (uint32_t i = 0; s->bulk_groups && i < SYNC_FAIR_RECORDS; i++) {
		if (!session_room(w) || s->bulk_tokens == 0)
			return false;
		if (!engine_bulk_next(e, now, s->peer, s->bulk_groups, &s->bulk_cursor, &flow)) {
			session_fill_end(s, e, w);
			return false;
		}
		session_tell(s, e, w, SYNCMSG_UPSERT, &flow);
		s->bulk_count++;
		s->bulk_tokens--;
	}
	return s->bulk_groups != 0;
}

static void session_fill_tails(struct session *s, const struct engine *e, struct wbuf *w)
{
	const struct dirty *dirty = &e->consumers[s->peer].dirty;

	for (uint8_t group = 0; s->tails_untold && group < e->config.group_count; group++) {
		struct session_group *g = &s->groups[group];
		struct syncmsg msg = {.type = SYNCMSG_TAIL_END};

		if (!(s->tails_untold >> group & 1) || dirty->taken < g->tail_mark ||
			!session_room(w))
			continue;
		msg.role.group_tag = e->groups[group].tag;
		msg.role.term = g->tail_term;
		msg.role.term_owner = g->tail_owner;
		syncmsg_encode(w, &msg);
		s->sent++;
		s->tails_untold &= ~(1u << group);
	}
}

static void session_mark(struct session *s, mono_t now, uint64_t before)
{
	uint32_t last = (s->mark_first + s->mark_count - 1) % SYNC_LAG_MARKS;

	if (s->sent == before)
		return;
	if (s->mark_count == SYNC_LAG_MARKS) {
		/* No mark is free: the newest one stretches, so the lag is never told too small. */
		s->marks[last].position = s->sent;
		return;
	}
	s->marks[(s->mark_first + s->mark_count) % SYNC_LAG_MARKS] =
		(struct session_mark){.position = s->sent, .at = now};
	s->mark_count++;
}

static void session_fill_records(struct session *s, struct engine *e, mono_t now, struct wbuf *w)
{
	uint64_t before = s->sent;
	bool live = true, bulk = true;

	session_fill_fetched(s, e, w);
	session_fill_begin(s, e, w);
	session_refill(s, now);
	while ((live || bulk) && session_room(w)) {
		live = session_fill_live(s, e, now, w);
		bulk = session_fill_bulk(s, e, now, w);
	}
	session_fill_tails(s, e, w);
	compare_fill(s, e, now, w, e->consumers[s->peer].dirty.count == 0);
	session_mark(s, now, before);
	if (e->consumers[s->peer].dirty.count == 0)
		s->backlog_since = MONO_NEVER;
	else if (mono_is_never(s->backlog_since))
		s->backlog_since = now;
}

size_t session_fill(struct session *s, struct engine *e, mono_t now, struct wbuf *w)
{
	size_t before = wbuf_used(w);

	if (s->state == SESSION_STATE_IDLE || !session_room(w))
		return 0;
	if (!s->hello_told) {
		struct syncmsg msg = {.type = SYNCMSG_HELLO, .hello = s->ours};

		syncmsg_encode(w, &msg);
		s->hello_told = true;
	}
	if (s->state == SESSION_STATE_LIVE) {
		session_fill_roles(s, e, w);
		session_fill_wants(s, e, w);
		session_fill_compares(s, e, now, w);
		session_fill_ack(s, e, w);
		session_fill_records(s, e, now, w);
		verify_fill(s, e, now, w);
		if (wbuf_used(w) == before &&
			mono_reached(now, mono_add(s->told_at, dur_ms(SYNC_PING_MS)))) {
			struct syncmsg msg = {.type = SYNCMSG_PING};

			syncmsg_encode(w, &msg);
		}
	}
	CHECK(!w->failed);
	if (wbuf_used(w) > before)
		s->told_at = now;
	s->bytes_out += wbuf_used(w) - before;
	return wbuf_used(w) - before;
}

bool session_has_more(const struct session *s, const struct engine *e)
{
	if (s->state != SESSION_STATE_LIVE)
		return s->state == SESSION_STATE_HELLO && !s->hello_told;
	return e->consumers[s->peer].dirty.count || (s->bulk_groups && s->bulk_tokens) ||
	       s->bulk_wanted || s->tails_untold || compare_has_more(s, e) || verify_has_more(s) ||
	       (s->received > s->ack_told &&
		       (!s->ack_waiting || session_kernel(e)->dirty.taken >= s->ack_kernel));
}

bool session_bulk_running(const struct session *s)
{
	return s->state == SESSION_STATE_LIVE && (s->bulk_groups || s->bulk_wanted);
}

mono_t session_next_deadline(const struct session *s)
{
	switch (s->state) {
	case SESSION_STATE_IDLE:
		return MONO_NEVER;
	case SESSION_STATE_HELLO:
		return mono_add(s->opened_at, dur_ms(SYNC_HELLO_MS));
	case SESSION_STATE_LIVE:
		return mono_min(mono_add(s->heard_at, dur_ms(SYNC_DEAD_MS)),
			mono_add(s->told_at, dur_ms(SYNC_PING_MS)));
	case SESSION_STATE_COUNT:
		break;
	}
	return MONO_NEVER;
}

/* ---- what the shell tells and asks ---- */

void session_tell_roles(struct session *s, uint32_t groups)
{
	s->roles_untold |= groups;
}

void session_end_tail(
	struct session *s, const struct engine *e, uint8_t group, uint32_t term, uint8_t term_owner)
{
	struct session_group *g = &s->groups[group];

	if (s->state != SESSION_STATE_LIVE)
		return;
	g->tail_mark = e->consumers[s->peer].dirty.added;
	g->tail_term = term;
	g->tail_owner = term_owner;
	s->tails_untold |= 1u << group;
}

void session_want_again(struct session *s)
{
	for (uint8_t group = 0; group < LIMIT_GROUPS; group++) {
		s->groups[group].wanted_turn = 0;
		s->groups[group].whole = true;
	}
}

void session_serve_again(struct session *s, struct engine *e)
{
	if (s->state != SESSION_STATE_LIVE)
		return;
	for (uint8_t group = 0; group < e->config.group_count; group++)
		if (e->groups[group].role == SYNCMSG_ROLE_ACTIVE)
			s->bulk_wanted |= 1u << group;
}

bool session_group_in_sync(const struct session *s, const struct engine *e, uint8_t group)
{
	const struct session_group *g = &s->groups[group];

	return s->state == SESSION_STATE_LIVE && g->ended &&
	       g->wanted_turn == e->groups[group].turn + 1 &&
	       session_kernel(e)->dirty.taken >= g->ended_mark;
}

bool session_peer_in_sync(const struct session *s, const struct engine *e)
{
	if (s->state != SESSION_STATE_LIVE || s->bulk_groups || s->bulk_wanted ||
		s->acked < s->bulk_end_position)
		return false;
	for (uint8_t group = 0; group < e->config.group_count; group++)
		if (e->groups[group].role == SYNCMSG_ROLE_ACTIVE && !(s->served >> group & 1))
			return false;
	return true;
}

uint64_t session_unacked(const struct session *s, const struct engine *e)
{
	if (s->state != SESSION_STATE_LIVE)
		return 0;
	return s->sent - s->acked + e->consumers[s->peer].dirty.count;
}

dur_t session_lag(const struct session *s, mono_t now)
{
	dur_t lag = s->lag;

	if (s->mark_count)
		lag = dur_max(lag, mono_diff(now, s->marks[s->mark_first].at));
	if (!mono_is_never(s->backlog_since))
		lag = dur_max(lag, mono_diff(now, s->backlog_since));
	return lag;
}
