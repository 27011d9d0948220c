#include "syncd/core/verify.h"

#include "syncd/core/bits.h"
#include "syncd/core/session.h"

#include <string.h>

#define VERIFY_ROOM (2u * SYNCMSG_BYTES_MAX)
/* What injection can set, and so what can be compared. */
#define VERIFY_STATUS                                                                              \
	(FLOW_STATUS_SEEN_REPLY | FLOW_STATUS_ASSURED | FLOW_STATUS_SRC_NAT | FLOW_STATUS_DST_NAT)

void verify_list_add(
	struct verify_list *list, enum verify_kind kind, uint32_t fields, const struct flow *flow)
{
	list->total++;
	if (list->count == VERIFY_LIST_MAX)
		return;
	list->items[list->count++] =
		(struct verify_item){.kind = kind, .fields = fields, .flow = *flow};
}

/* ---- in what two flows differ ---- */

static uint32_t verify_tcp_fields(const struct flow *a, const struct flow *b, uint8_t flags)
{
	uint32_t fields = 0;

	if (!(a->has & b->has & FLOW_HAS_TCP))
		return 0;
	if (a->tcp_state != b->tcp_state)
		fields |= FLOW_HAS_TCP;
	if (!(a->has & b->has & FLOW_HAS_TCP_WINDOW))
		return fields;
	for (int dir = 0; dir < 2; dir++)
		if ((a->tcp_flags[dir] ^ b->tcp_flags[dir]) & flags ||
			(a->tcp_flags[dir] & FLOW_TCP_WINDOW_SCALE &&
				a->tcp_wscale[dir] != b->tcp_wscale[dir]))
			fields |= FLOW_HAS_TCP_WINDOW;
	return fields;
}

/* verify_fields: a part that one does not have counts as zeros, which is what the kernel means when
 * it leaves one out. */
static uint32_t verify_fields(
	const struct flow *a, const struct flow *b, uint32_t status, uint8_t tcp_flags)
{
	uint32_t fields = verify_tcp_fields(a, b, tcp_flags);

	if (a->has & b->has & FLOW_HAS_REPLY &&
		(!flow_tuple_equal(&a->reply, &b->reply) ||
			memcmp(&a->expect, &b->expect, sizeof(a->expect)) != 0))
		fields |= FLOW_HAS_REPLY;
	if ((a->status ^ b->status) & status)
		fields |= FLOW_HAS_STATUS;
	if (a->mark != b->mark)
		fields |= FLOW_HAS_MARK;
	if (a->has & b->has & FLOW_HAS_SCTP &&
		(a->sctp_state != b->sctp_state ||
			memcmp(a->sctp_vtag, b->sctp_vtag, sizeof(a->sctp_vtag)) != 0))
		fields |= FLOW_HAS_SCTP;
	if (memcmp(a->labels, b->labels, sizeof(a->labels)) != 0)
		fields |= FLOW_HAS_LABELS;
	if (memcmp(a->seqadj, b->seqadj, sizeof(a->seqadj)) != 0)
		fields |= FLOW_HAS_SEQADJ;
	if (memcmp(a->synproxy, b->synproxy, sizeof(a->synproxy)) != 0)
		fields |= FLOW_HAS_SYNPROXY;
	if (strncmp(a->helper, b->helper, sizeof(a->helper)) != 0)
		fields |= FLOW_HAS_HELPER;
	if ((a->has ^ b->has) & FLOW_HAS_MASTER ||
		(a->has & FLOW_HAS_MASTER && !flow_tuple_equal(&a->master, &b->master)))
		fields |= FLOW_HAS_MASTER;
	return fields;
}

uint32_t verify_kernel_fields(
	const struct engine *e, mono_t now, uint32_t slot, const struct flow *entry)
{
	const struct table_record *record = &e->table.records[slot];
	struct flow flow;
	uint32_t fields;

	table_load(&e->table, slot, engine_seconds(now), &flow);
	fields = verify_fields(
		&flow, entry, VERIFY_STATUS, (uint8_t)(FLOW_TCP_FLAGS_KEPT & ~FLOW_TCP_BE_LIBERAL));
	if (record->has & TABLE_REFUSED_LABELS)
		fields &= ~(uint32_t)FLOW_HAS_LABELS;
	if (record->has & TABLE_REFUSED_HELPER)
		fields &= ~(uint32_t)FLOW_HAS_HELPER;
	if (record->has & TABLE_REFUSED_MASTER)
		fields &= ~(uint32_t)FLOW_HAS_MASTER;
	return fields;
}

bool verify_should_hold(const struct engine *e, uint32_t slot)
{
	const struct engine_consumer *kernel = &e->consumers[SYNC_CONSUMER_KERNEL];
	const struct table_record *record = &e->table.records[slot];

	if (!table_is_used(&e->table, slot) || record->flags & TABLE_FLAG_DEAD ||
		dirty_has(&kernel->dirty, slot))
		return false;
	return bit_get(kernel->known, slot) || e->config.warm ||
	       e->groups[record->group].role == SYNCMSG_ROLE_ACTIVE;
}

/* ---- asking ---- */

void verify_start(struct session *s, uint32_t number, struct verify_list *found, uint64_t *named)
{
	struct verify *v = &s->verify;

	v->asking = true;
	v->waiting = v->kernel_told = v->finished = false;
	v->group = 0;
	v->number = number;
	v->chunk = 0;
	v->found = found;
	v->named = named;
}

static void verify_put_mark(
	struct wbuf *w, enum syncmsg_type type, uint32_t group_tag, uint32_t number, uint64_t count)
{
	struct syncmsg msg = {.type = type,
		.transfer = {.group_tag = group_tag, .transfer = number, .count = count}};

	syncmsg_encode(w, &msg);
}

static void verify_put_chunk(const uint64_t *digests, uint32_t chunk, struct wbuf *w)
{
	struct syncmsg msg = {.type = SYNCMSG_VERIFY_DIGEST};
	uint64_t any = 0;

	for (uint32_t i = 0; i < SYNCMSG_DIGEST_CHUNK; i++)
		any |= msg.digest.sums[i] = digests[chunk * SYNCMSG_DIGEST_CHUNK + i];
	msg.digest.chunk = (uint16_t)chunk;
	if (any)
		syncmsg_encode(w, &msg);
}

static void verify_fill_ask(struct session *s, const struct engine *e, struct wbuf *w)
{
	struct verify *v = &s->verify;

	while (v->asking && !v->waiting && wbuf_left(w) >= VERIFY_ROOM) {
		const struct engine_group *g = &e->groups[v->group];

		if (v->group == e->config.group_count) {
			verify_put_mark(w, SYNCMSG_VERIFY_KERNEL, 0, v->number, 0);
			v->waiting = v->kernel_told = true;
			return;
		}
		if (v->chunk == 0) {
			memset(v->masks, 0, sizeof(v->masks));
			verify_put_mark(w, SYNCMSG_VERIFY, g->tag, v->number, 0);
		}
		if (v->chunk < SYNCMSG_DIGEST_CHUNKS) {
			verify_put_chunk(g->digests, v->chunk++, w);
			continue;
		}
		verify_put_mark(w, SYNCMSG_VERIFY_ASK, g->tag, v->number, 0);
		v->waiting = true;
	}
}

/* verify_on_named: a flow of the peer's, in a bucket that differs. */
static void verify_on_named(
	struct session *s, const struct engine *e, mono_t now, const struct flow *theirs)
{
	struct verify *v = &s->verify;
	uint32_t slot = table_find(&e->table, theirs), fields;
	struct flow ours;

	if (slot == TABLE_NONE || e->table.records[slot].flags & TABLE_FLAG_DEAD) {
		verify_list_add(v->found, VERIFY_PEER_EXTRA, 0, theirs);
		return;
	}
	bit_set(v->named, slot);
	table_load(&e->table, slot, engine_seconds(now), &ours);
	ours.group_tag = theirs->group_tag;
	fields = verify_fields(&ours, theirs, UINT32_MAX, FLOW_TCP_FLAGS_KEPT);
	if (flow_stamp_compare(&ours.stamp, &theirs->stamp) != 0)
		fields |= VERIFY_FIELD_STAMP;
	if (fields)
		verify_list_add(v->found, VERIFY_PEER_DIFFERS, fields, &ours);
}

static bool verify_in_masks(const uint32_t *masks, uint32_t bucket)
{
	return masks[bucket / 32] >> bucket % 32 & 1;
}

/* verify_next_of: from *cursor on, the next living flow of a group in these buckets. */
static bool verify_next_of(
	const struct engine *e, uint8_t group, const uint32_t *masks, uint32_t *cursor)
{
	for (; *cursor < e->table.high; ++*cursor) {
		const struct table_record *record = &e->table.records[*cursor];

		if (table_is_used(&e->table, *cursor) && record->group == group &&
			!(record->flags & TABLE_FLAG_DEAD) &&
			verify_in_masks(masks, digest_bucket(&e->table, *cursor)))
			return true;
	}
	return false;
}

static void verify_on_group_end(struct session *s, const struct engine *e, mono_t now)
{
	struct verify *v = &s->verify;
	struct flow flow;

	for (uint32_t slot = 0; verify_next_of(e, v->group, v->masks, &slot); slot++) {
		if (bit_get(v->named, slot))
			continue;
		table_load(&e->table, slot, engine_seconds(now), &flow);
		flow.group_tag = e->groups[v->group].tag;
		verify_list_add(v->found, VERIFY_PEER_MISSING, 0, &flow);
	}
	v->group++;
	v->chunk = 0;
	v->waiting = false;
}

static void verify_on_end(
	struct session *s, const struct engine *e, mono_t now, const struct syncmsg *msg)
{
	struct verify *v = &s->verify;

	if (!v->kernel_told) {
		verify_on_group_end(s, e, now);
		return;
	}
	/* What was not named still counts. */
	if (msg->transfer.count > VERIFY_LIST_MAX)
		v->found->total += msg->transfer.count - VERIFY_LIST_MAX;
	v->asking = v->waiting = false;
	v->finished = true;
}

static void verify_on_flow(
	struct session *s, const struct engine *e, mono_t now, const struct syncmsg *msg)
{
	struct verify *v = &s->verify;

	if (msg->verify.kind == VERIFY_PEER_EXTRA && !v->kernel_told)
		verify_on_named(s, e, now, &msg->verify.flow);
	else if (msg->verify.kind <= VERIFY_KERNEL_DIFFERS && v->kernel_told)
		verify_list_add(v->found, (enum verify_kind)msg->verify.kind, msg->verify.fields,
			&msg->verify.flow);
}

/* ---- answering ---- */

static uint32_t verify_mask(const uint64_t *ours, const uint64_t *theirs)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < SYNCMSG_DIGEST_CHUNK; i++)
		if ((ours ? ours[i] : 0) != (theirs ? theirs[i] : 0))
			mask |= UINT32_C(1) << i;
	return mask;
}

static const uint64_t *verify_ours(const struct session *s, const struct engine *e, uint32_t chunk)
{
	if (s->verify.out_group < 0)
		return NULL; /* a group that only the other config has: all of it differs */
	return e->groups[s->verify.out_group].digests + chunk * SYNCMSG_DIGEST_CHUNK;
}

static void verify_on_begin(struct session *s, const struct engine *e, const struct syncmsg *msg)
{
	struct verify *v = &s->verify;

	v->answering = false;
	v->out_tag = msg->transfer.group_tag;
	v->out_number = msg->transfer.transfer;
	v->out_group = (int8_t)engine_group_index(e, v->out_tag);
	for (uint32_t chunk = 0; chunk < SYNCMSG_DIGEST_CHUNKS; chunk++)
		v->out_masks[chunk] = verify_mask(verify_ours(s, e, chunk), NULL);
}

static void verify_on_ask(struct session *s)
{
	s->verify.answering = true;
	s->verify.out_chunk = 0;
	s->verify.out_cursor = 0;
}

void verify_kernel_read(struct session *s, const struct verify_list *kernel)
{
	s->verify.kernel_asked = false;
	s->verify.kernel = kernel;
	s->verify.kernel_cursor = 0;
}

static void verify_put_flow(
	struct wbuf *w, enum verify_kind kind, uint32_t fields, const struct flow *flow)
{
	struct syncmsg msg = {.type = SYNCMSG_VERIFY_FLOW};

	msg.verify.kind = (uint8_t)kind;
	msg.verify.fields = fields;
	msg.verify.flow = *flow;
	syncmsg_encode(w, &msg);
}

static void verify_fill_answer(
	struct session *s, const struct engine *e, mono_t now, struct wbuf *w)
{
	struct verify *v = &s->verify;
	struct flow flow;

	for (; v->answering && v->out_chunk < SYNCMSG_DIGEST_CHUNKS && wbuf_left(w) >= VERIFY_ROOM;
		v->out_chunk++) {
		struct syncmsg msg = {.type = SYNCMSG_VERIFY_BUCKETS};

		msg.digest.chunk = (uint16_t)v->out_chunk;
		msg.digest.buckets = v->out_masks[v->out_chunk];
		if (msg.digest.buckets)
			syncmsg_encode(w, &msg);
	}
	while (v->answering && wbuf_left(w) >= VERIFY_ROOM) {
		if (v->out_group < 0 ||
			!verify_next_of(e, (uint8_t)v->out_group, v->out_masks, &v->out_cursor)) {
			verify_put_mark(w, SYNCMSG_VERIFY_END, v->out_tag, v->out_number, 0);
			v->answering = false;
			return;
		}
		table_load(&e->table, v->out_cursor++, engine_seconds(now), &flow);
		flow.group_tag = v->out_tag;
		verify_put_flow(w, VERIFY_PEER_EXTRA, 0, &flow);
	}
}

static void verify_fill_kernel(struct session *s, struct wbuf *w)
{
	struct verify *v = &s->verify;

	while (v->kernel && wbuf_left(w) >= VERIFY_ROOM) {
		const struct verify_item *item = &v->kernel->items[v->kernel_cursor];

		if (v->kernel_cursor < v->kernel->count) {
			verify_put_flow(w, item->kind, item->fields, &item->flow);
			v->kernel_cursor++;
			continue;
		}
		verify_put_mark(w, SYNCMSG_VERIFY_END, 0, v->out_number, v->kernel->total);
		v->kernel = NULL;
	}
}

/* ---- both ---- */

void verify_on_message(struct session *s, struct engine *e, mono_t now, const struct syncmsg *msg)
{
	struct verify *v = &s->verify;

	switch ((int)msg->type) {
	case SYNCMSG_VERIFY:
		verify_on_begin(s, e, msg);
		break;
	case SYNCMSG_VERIFY_DIGEST:
		v->out_masks[msg->digest.chunk] =
			verify_mask(verify_ours(s, e, msg->digest.chunk), msg->digest.sums);
		break;
	case SYNCMSG_VERIFY_ASK:
		verify_on_ask(s);
		break;
	case SYNCMSG_VERIFY_KERNEL:
		v->out_number = msg->transfer.transfer;
		v->kernel = NULL;
		v->kernel_asked = true;
		break;
	case SYNCMSG_VERIFY_BUCKETS:
		v->masks[msg->digest.chunk] = msg->digest.buckets;
		break;
	case SYNCMSG_VERIFY_FLOW:
		if (v->waiting)
			verify_on_flow(s, e, now, msg);
		break;
	case SYNCMSG_VERIFY_END:
		if (v->waiting && msg->transfer.transfer == v->number)
			verify_on_end(s, e, now, msg);
		break;
	}
}

void verify_fill(struct session *s, struct engine *e, mono_t now, struct wbuf *w)
{
	verify_fill_ask(s, e, w);
	verify_fill_answer(s, e, now, w);
	verify_fill_kernel(s, w);
}

bool verify_has_more(const struct session *s)
{
	const struct verify *v = &s->verify;

	return (v->asking && !v->waiting) || v->answering || v->kernel;
}
