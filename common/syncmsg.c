#include "common/syncmsg.h"

#include "common/check.h"
#include "common/varint.h"

#include <string.h>

static const char *const syncmsg_error_names[] = {
	[SYNCMSG_OK] = "SYNCMSG_OK",
	[SYNCMSG_MORE] = "SYNCMSG_MORE",
	[SYNCMSG_BAD_TYPE] = "SYNCMSG_BAD_TYPE",
	[SYNCMSG_TOO_LONG] = "SYNCMSG_TOO_LONG",
	[SYNCMSG_BAD_LENGTH] = "SYNCMSG_BAD_LENGTH",
	[SYNCMSG_BAD_VERSION] = "SYNCMSG_BAD_VERSION",
	[SYNCMSG_BAD_CLUSTER] = "SYNCMSG_BAD_CLUSTER",
	[SYNCMSG_BAD_NODE] = "SYNCMSG_BAD_NODE",
	[SYNCMSG_BAD_ROLE] = "SYNCMSG_BAD_ROLE",
	[SYNCMSG_BAD_FLOW] = "SYNCMSG_BAD_FLOW",
	[SYNCMSG_BAD_CHUNK] = "SYNCMSG_BAD_CHUNK",
};
_Static_assert(ARRAY_LEN(syncmsg_error_names) == SYNCMSG_ERROR_COUNT, "a name for every error");

static const char *const syncmsg_type_names[] = {
	[0] = "?",
	[SYNCMSG_HELLO] = "HELLO",
	[SYNCMSG_ROLE] = "ROLE",
	[SYNCMSG_WANT] = "WANT",
	[SYNCMSG_BEGIN] = "BEGIN",
	[SYNCMSG_END] = "END",
	[SYNCMSG_UPSERT] = "UPSERT",
	[SYNCMSG_DELETE] = "DELETE",
	[SYNCMSG_ACK] = "ACK",
	[SYNCMSG_PING] = "PING",
	[SYNCMSG_TAIL_END] = "TAIL_END",
	[SYNCMSG_COMPARE] = "COMPARE",
	[SYNCMSG_DIGEST_BEGIN] = "DIGEST_BEGIN",
	[SYNCMSG_DIGEST] = "DIGEST",
	[SYNCMSG_DIGEST_END] = "DIGEST_END",
	[SYNCMSG_FETCH] = "FETCH",
	[SYNCMSG_FETCH_END] = "FETCH_END",
	[SYNCMSG_ORIGIN] = "ORIGIN",
	[SYNCMSG_NAMED] = "NAMED",
	[SYNCMSG_CHANGE] = "CHANGE",
	[SYNCMSG_GONE] = "GONE",
	[SYNCMSG_VERIFY] = "VERIFY",
	[SYNCMSG_VERIFY_DIGEST] = "VERIFY_DIGEST",
	[SYNCMSG_VERIFY_ASK] = "VERIFY_ASK",
	[SYNCMSG_VERIFY_KERNEL] = "VERIFY_KERNEL",
	[SYNCMSG_VERIFY_BUCKETS] = "VERIFY_BUCKETS",
	[SYNCMSG_VERIFY_FLOW] = "VERIFY_FLOW",
	[SYNCMSG_VERIFY_END] = "VERIFY_END",
};
_Static_assert(ARRAY_LEN(syncmsg_type_names) == SYNCMSG_TYPE_COUNT, "a name for every type");

static const char *const syncmsg_role_names[] = {"frozen", "standby", "active"};
_Static_assert(ARRAY_LEN(syncmsg_role_names) == SYNCMSG_ROLE_COUNT, "a name for every role");

const char *syncmsg_error_name(enum syncmsg_error error)
{
	return (unsigned int)error < SYNCMSG_ERROR_COUNT ? syncmsg_error_names[error] : "?";
}

const char *syncmsg_type_name(enum syncmsg_type type)
{
	return (unsigned int)type < SYNCMSG_TYPE_COUNT ? syncmsg_type_names[type] : "?";
}

const char *syncmsg_role_name(enum syncmsg_role role)
{
	return (unsigned int)role < SYNCMSG_ROLE_COUNT ? syncmsg_role_names[role] : "?";
}

static bool syncmsg_is_named(enum syncmsg_type type)
{
	return type == SYNCMSG_NAMED || type == SYNCMSG_CHANGE || type == SYNCMSG_GONE;
}

bool syncmsg_is_record(enum syncmsg_type type)
{
	return type == SYNCMSG_UPSERT || type == SYNCMSG_DELETE || type == SYNCMSG_END ||
	       type == SYNCMSG_TAIL_END || syncmsg_is_named(type);
}

static void syncmsg_encode_hello(struct wbuf *w, const struct syncmsg_hello *hello)
{
	size_t length = strnlen(hello->cluster, sizeof(hello->cluster));

	CHECK(length < sizeof(hello->cluster));
	wbuf_u8(w, hello->version);
	wbuf_u8(w, hello->node_id);
	wbuf_be64(w, hello->epoch);
	wbuf_be32(w, hello->life);
	wbuf_be32(w, hello->flows_max);
	wbuf_be32(w, hello->buckets);
	wbuf_be32(w, hello->digest_id);
	wbuf_be32(w, hello->names_max);
	wbuf_u8(w, length);
	wbuf_bytes(w, hello->cluster, length);
}

static void syncmsg_encode_record(struct wbuf *w, enum syncmsg_type type, const struct flow *flow)
{
	if (type == SYNCMSG_UPSERT) {
		flow_encode(w, flow);
		return;
	}
	if (type == SYNCMSG_DELETE)
		flow_key_encode(w, flow);
	wbuf_be32(w, flow->group_tag);
	flow_stamp_encode(w, &flow->stamp);
}

static void syncmsg_encode_by_name(struct wbuf *w, enum syncmsg_type type, uint32_t name,
	int64_t moved, const struct flow *flow)
{
	/* Small differences of either sign become small numbers. */
	uint64_t zigzag = (uint64_t)moved << 1 ^ (moved < 0 ? UINT64_MAX : 0);

	varint_write(w, name);
	varint_write(w, zigzag);
	if (type == SYNCMSG_NAMED)
		flow_parts_encode(w, flow);
	else if (type == SYNCMSG_CHANGE)
		flow_change_encode(w, flow);
}

/* syncmsg_asks: no transfer has a number yet. */
static bool syncmsg_asks(enum syncmsg_type type)
{
	return type == SYNCMSG_WANT || type == SYNCMSG_COMPARE;
}

/* syncmsg_names_buckets: a mask of buckets, not their digests. */
static bool syncmsg_names_buckets(enum syncmsg_type type)
{
	return type == SYNCMSG_FETCH || type == SYNCMSG_VERIFY_BUCKETS;
}

static bool syncmsg_counts(enum syncmsg_type type)
{
	return type == SYNCMSG_END || type == SYNCMSG_VERIFY_END;
}

static void syncmsg_encode_digest(struct wbuf *w, const struct syncmsg *msg)
{
	wbuf_be16(w, msg->digest.chunk);
	if (syncmsg_names_buckets(msg->type)) {
		wbuf_be32(w, msg->digest.buckets);
		return;
	}
	for (uint32_t i = 0; i < SYNCMSG_DIGEST_CHUNK; i++)
		wbuf_be64(w, msg->digest.sums[i]);
}

static void syncmsg_encode_body(struct wbuf *w, const struct syncmsg *msg)
{
	switch (msg->type) {
	case SYNCMSG_HELLO:
		syncmsg_encode_hello(w, &msg->hello);
		break;
	case SYNCMSG_ROLE:
	case SYNCMSG_TAIL_END:
		wbuf_be32(w, msg->role.group_tag);
		varint_write(w, msg->role.term);
		wbuf_u8(w, msg->role.term_owner);
		if (msg->type == SYNCMSG_ROLE)
			wbuf_u8(w, msg->role.role);
		break;
	case SYNCMSG_WANT:
	case SYNCMSG_COMPARE:
	case SYNCMSG_BEGIN:
	case SYNCMSG_END:
	case SYNCMSG_DIGEST_BEGIN:
	case SYNCMSG_DIGEST_END:
	case SYNCMSG_FETCH_END:
	case SYNCMSG_VERIFY:
	case SYNCMSG_VERIFY_ASK:
	case SYNCMSG_VERIFY_KERNEL:
	case SYNCMSG_VERIFY_END:
		wbuf_be32(w, msg->transfer.group_tag);
		if (!syncmsg_asks(msg->type))
			wbuf_be32(w, msg->transfer.transfer);
		if (syncmsg_counts(msg->type))
			varint_write(w, msg->transfer.count);
		break;
	case SYNCMSG_UPSERT:
	case SYNCMSG_DELETE:
	case SYNCMSG_ORIGIN:
		syncmsg_encode_record(w, msg->type, &msg->flow);
		break;
	case SYNCMSG_NAMED:
	case SYNCMSG_CHANGE:
	case SYNCMSG_GONE:
		syncmsg_encode_by_name(w, msg->type, msg->name, msg->moved, &msg->flow);
		break;
	case SYNCMSG_DIGEST:
	case SYNCMSG_FETCH:
	case SYNCMSG_VERIFY_DIGEST:
	case SYNCMSG_VERIFY_BUCKETS:
		syncmsg_encode_digest(w, msg);
		break;
	case SYNCMSG_VERIFY_FLOW:
		wbuf_u8(w, msg->verify.kind);
		wbuf_be32(w, msg->verify.fields);
		flow_encode(w, &msg->verify.flow);
		break;
	case SYNCMSG_ACK:
		varint_write(w, msg->position);
		break;
	case SYNCMSG_PING:
		break;
	case SYNCMSG_TYPE_COUNT:
		CHECK(!"a message has a type");
	}
}

/* syncmsg_frame_begin, syncmsg_frame_end: a one-byte length is reserved, since nearly every body is
 * below 128 bytes; a longer one moves its body by one. */
static uint8_t *syncmsg_frame_begin(struct wbuf *w)
{
	return wbuf_take(w, 2);
}

static void syncmsg_frame_end(struct wbuf *w, uint8_t *head, enum syncmsg_type type)
{
	uint8_t *body;
	size_t length;

	if (w->failed || !head)
		return;
	body = head + 2;
	length = (size_t)(w->pos - body);
	CHECK(length <= SYNCMSG_BODY_MAX);
	head[0] = (uint8_t)type;
	if (length < 0x80) {
		head[1] = (uint8_t)length;
		return;
	}
	if (!wbuf_take(w, 1))
		return;
	memmove(body + 1, body, length);
	head[1] = (uint8_t)(length & 0x7f) | 0x80;
	body[0] = (uint8_t)(length >> 7);
}

void syncmsg_encode(struct wbuf *w, const struct syncmsg *msg)
{
	uint8_t *head = syncmsg_frame_begin(w);

	syncmsg_encode_body(w, msg);
	syncmsg_frame_end(w, head, msg->type);
}

void syncmsg_encode_flow(struct wbuf *w, enum syncmsg_type type, const struct flow *flow)
{
	uint8_t *head = syncmsg_frame_begin(w);

	CHECK(type == SYNCMSG_UPSERT || type == SYNCMSG_DELETE || type == SYNCMSG_ORIGIN);
	syncmsg_encode_record(w, type, flow);
	syncmsg_frame_end(w, head, type);
}

void syncmsg_encode_named(struct wbuf *w, enum syncmsg_type type, uint32_t name, int64_t moved,
	const struct flow *flow)
{
	uint8_t *head = syncmsg_frame_begin(w);

	CHECK(syncmsg_is_named(type));
	syncmsg_encode_by_name(w, type, name, moved, flow);
	syncmsg_frame_end(w, head, type);
}

/* ---- decoding ---- */

static enum syncmsg_error syncmsg_decode_hello(struct rbuf *r, struct syncmsg_hello *hello)
{
	uint8_t length;

	hello->version = rbuf_u8(r);
	if (!r->failed && hello->version != SYNCMSG_VERSION)
		return SYNCMSG_BAD_VERSION;
	hello->node_id = rbuf_u8(r);
	hello->epoch = rbuf_be64(r);
	hello->life = rbuf_be32(r);
	hello->flows_max = rbuf_be32(r);
	hello->buckets = rbuf_be32(r);
	hello->digest_id = rbuf_be32(r);
	hello->names_max = rbuf_be32(r);
	length = rbuf_u8(r);
	if (r->failed)
		return SYNCMSG_BAD_LENGTH;
	if (hello->node_id == 0)
		return SYNCMSG_BAD_NODE;
	if (length == 0 || length >= sizeof(hello->cluster))
		return SYNCMSG_BAD_CLUSTER;
	memset(hello->cluster, 0, sizeof(hello->cluster));
	rbuf_bytes(r, hello->cluster, length);
	if (r->failed)
		return SYNCMSG_BAD_LENGTH;
	for (uint8_t i = 0; i < length; i++) {
		char c = hello->cluster[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return SYNCMSG_BAD_CLUSTER;
	}
	return SYNCMSG_OK;
}

static enum syncmsg_error syncmsg_decode_delete(struct rbuf *r, struct flow *flow)
{
	if (flow_key_decode(r, flow) != FLOW_OK)
		return SYNCMSG_BAD_FLOW;
	flow->group_tag = rbuf_be32(r);
	flow_stamp_decode(r, &flow->stamp);
	return SYNCMSG_OK;
}

static enum syncmsg_error syncmsg_decode_origin(struct rbuf *r, struct flow *flow)
{
	memset(flow, 0, sizeof(*flow));
	flow->group_tag = rbuf_be32(r);
	flow_stamp_decode(r, &flow->stamp);
	return SYNCMSG_OK;
}

static enum syncmsg_error syncmsg_decode_named(struct rbuf *r, struct syncmsg *msg)
{
	enum flow_error error = FLOW_OK;
	uint64_t zigzag;

	msg->name = (uint32_t)varint_read(r, UINT32_MAX);
	zigzag = varint_read(r, UINT64_MAX);
	msg->moved = (int64_t)(zigzag >> 1 ^ (zigzag & 1 ? UINT64_MAX : 0));
	if (msg->type == SYNCMSG_NAMED)
		error = flow_parts_decode(r, &msg->flow);
	else if (msg->type == SYNCMSG_CHANGE)
		error = flow_change_decode(r, &msg->flow);
	else
		memset(&msg->flow, 0, sizeof(msg->flow));
	return error == FLOW_OK ? SYNCMSG_OK : SYNCMSG_BAD_FLOW;
}

static enum syncmsg_error syncmsg_decode_digest(struct rbuf *r, struct syncmsg *msg)
{
	msg->digest.chunk = rbuf_be16(r);
	if (syncmsg_names_buckets(msg->type)) {
		msg->digest.buckets = rbuf_be32(r);
		if (!r->failed && msg->digest.buckets == 0)
			return SYNCMSG_BAD_CHUNK;
	} else {
		for (uint32_t i = 0; i < SYNCMSG_DIGEST_CHUNK; i++)
			msg->digest.sums[i] = rbuf_be64(r);
	}
	return msg->digest.chunk < SYNCMSG_DIGEST_CHUNKS ? SYNCMSG_OK : SYNCMSG_BAD_CHUNK;
}

static enum syncmsg_error syncmsg_decode_body(struct rbuf *r, struct syncmsg *msg)
{
	switch (msg->type) {
	case SYNCMSG_HELLO:
		return syncmsg_decode_hello(r, &msg->hello);
	case SYNCMSG_ROLE:
	case SYNCMSG_TAIL_END:
		msg->role.group_tag = rbuf_be32(r);
		msg->role.term = (uint32_t)varint_read(r, UINT32_MAX);
		msg->role.term_owner = rbuf_u8(r);
		msg->role.role = msg->type == SYNCMSG_ROLE ? rbuf_u8(r) : 0;
		return msg->role.role < SYNCMSG_ROLE_COUNT ? SYNCMSG_OK : SYNCMSG_BAD_ROLE;
	case SYNCMSG_WANT:
	case SYNCMSG_COMPARE:
	case SYNCMSG_BEGIN:
	case SYNCMSG_END:
	case SYNCMSG_DIGEST_BEGIN:
	case SYNCMSG_DIGEST_END:
	case SYNCMSG_FETCH_END:
	case SYNCMSG_VERIFY:
	case SYNCMSG_VERIFY_ASK:
	case SYNCMSG_VERIFY_KERNEL:
	case SYNCMSG_VERIFY_END:
		msg->transfer.group_tag = rbuf_be32(r);
		msg->transfer.transfer = syncmsg_asks(msg->type) ? 0 : rbuf_be32(r);
		msg->transfer.count = syncmsg_counts(msg->type) ? varint_read(r, UINT64_MAX) : 0;
		return SYNCMSG_OK;
	case SYNCMSG_UPSERT:
		return flow_decode(r, &msg->flow) == FLOW_OK ? SYNCMSG_OK : SYNCMSG_BAD_FLOW;
	case SYNCMSG_DELETE:
		return syncmsg_decode_delete(r, &msg->flow);
	case SYNCMSG_ORIGIN:
		return syncmsg_decode_origin(r, &msg->flow);
	case SYNCMSG_NAMED:
	case SYNCMSG_CHANGE:
	case SYNCMSG_GONE:
		return syncmsg_decode_named(r, msg);
	case SYNCMSG_DIGEST:
	case SYNCMSG_FETCH:
	case SYNCMSG_VERIFY_DIGEST:
	case SYNCMSG_VERIFY_BUCKETS:
		return syncmsg_decode_digest(r, msg);
	case SYNCMSG_VERIFY_FLOW:
		msg->verify.kind = rbuf_u8(r);
		msg->verify.fields = rbuf_be32(r);
		return flow_decode(r, &msg->verify.flow) == FLOW_OK ? SYNCMSG_OK : SYNCMSG_BAD_FLOW;
	case SYNCMSG_ACK:
		msg->position = varint_read(r, UINT64_MAX);
		return SYNCMSG_OK;
	case SYNCMSG_PING:
		return SYNCMSG_OK;
	case SYNCMSG_TYPE_COUNT:
		break;
	}
	return SYNCMSG_BAD_TYPE;
}

enum syncmsg_error syncmsg_decode(struct rbuf *r, struct syncmsg *ret_msg)
{
	struct rbuf ahead = *r;
	struct rbuf body;
	enum syncmsg_error error;
	uint8_t type;
	uint64_t length = 0;

	if (rbuf_left(&ahead) < 2)
		return SYNCMSG_MORE;
	type = rbuf_u8(&ahead);
	if (type == 0 || type >= SYNCMSG_TYPE_COUNT)
		return SYNCMSG_BAD_TYPE;
	if ((ahead.pos[0] & 0x80) && rbuf_left(&ahead) < 2)
		return SYNCMSG_MORE;
	length = varint_read(&ahead, SYNCMSG_BODY_MAX);
	if (ahead.failed)
		return SYNCMSG_TOO_LONG;
	if (rbuf_left(&ahead) < length)
		return SYNCMSG_MORE;
	body = rbuf_sub(&ahead, length);
	ret_msg->type = (enum syncmsg_type)type;
	error = syncmsg_decode_body(&body, ret_msg);
	if (error)
		return error;
	if (!rbuf_done(&body))
		return SYNCMSG_BAD_LENGTH;
	*r = ahead;
	return SYNCMSG_OK;
}
