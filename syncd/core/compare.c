#include "syncd/core/compare.h"

#include "common/check.h"
#include "syncd/core/session.h"

#include <string.h>

#define COMPARE_ROOM (2u * SYNCMSG_BYTES_MAX)
#define COMPARE_TOLD (SYNCMSG_DIGEST_CHUNKS + 1u)

void compare_init(struct compare *c)
{
	memset(c, 0, sizeof(*c));
	c->out_group = c->in_group = -1;
}

/* ---- as a source ---- */

void compare_abort(struct compare *c, uint8_t group)
{
	c->wanted &= ~(UINT32_C(1) << group);
	if (c->out_group == (int8_t)group) {
		c->out_group = -1;
		c->fetched = false;
	}
}

void compare_ask(struct session *s, mono_t now, uint8_t group)
{
	struct compare *c = &s->compare;

	compare_abort(c, group); /* the peer has changed its mind: from the start */
	if (c->wanted == 0)
		c->wanted_at = now;
	c->wanted |= UINT32_C(1) << group;
}

static void compare_on_fetch(struct session *s, const struct syncmsg *msg)
{
	struct compare *c = &s->compare;

	if (c->out_group >= 0 && c->out_chunk >= COMPARE_TOLD && !c->fetched)
		c->fetch[msg->digest.chunk] = msg->digest.buckets;
}

static void compare_on_fetch_end(struct session *s, const struct syncmsg *msg)
{
	struct compare *c = &s->compare;

	/* The answer to a comparison that was given up is of no use. */
	if (c->out_group >= 0 && c->out_chunk >= COMPARE_TOLD &&
		msg->transfer.transfer == c->out_transfer)
		c->fetched = true;
}

int compare_take_fetched(struct session *s, struct engine *e)
{
	struct compare *c = &s->compare;
	int8_t group = c->out_group;

	if (group < 0 || !c->fetched)
		return -1;
	c->out_group = -1;
	c->fetched = false;
	if (e->groups[group].role != SYNCMSG_ROLE_ACTIVE)
		return -1;
	engine_compare_forget(e, s->peer, (uint8_t)group, c->fetch);
	return group;
}

static void compare_put_mark(
	struct wbuf *w, enum syncmsg_type type, uint32_t group_tag, uint32_t transfer)
{
	struct syncmsg msg = {
		.type = type, .transfer = {.group_tag = group_tag, .transfer = transfer}};

	syncmsg_encode(w, &msg);
}

static void compare_begin(struct session *s, struct engine *e, struct wbuf *w)
{
	struct compare *c = &s->compare;
	uint8_t group = (uint8_t)__builtin_ctz(c->wanted);

	c->wanted &= c->wanted - 1;
	if (e->groups[group].role != SYNCMSG_ROLE_ACTIVE)
		return; /* the peer sees our role, and asks whom it concerns */
	c->out_group = (int8_t)group;
	c->out_transfer = ++s->bulk_transfer;
	c->out_chunk = 0;
	c->fetched = false;
	memset(c->fetch, 0, sizeof(c->fetch));
	engine_compare_begin(e, s->peer, group);
	compare_put_mark(w, SYNCMSG_DIGEST_BEGIN, e->groups[group].tag, c->out_transfer);
}

static void compare_put_chunk(
	const struct session *s, const struct engine *e, uint32_t chunk, struct wbuf *w)
{
	struct syncmsg msg = {.type = SYNCMSG_DIGEST};
	const uint64_t *sums = e->compared_out[s->peer] + chunk * SYNCMSG_DIGEST_CHUNK;
	uint64_t any = 0;

	for (uint32_t i = 0; i < SYNCMSG_DIGEST_CHUNK; i++)
		any |= sums[i];
	if (!any)
		return;
	msg.digest.chunk = (uint16_t)chunk;
	memcpy(msg.digest.sums, sums, sizeof(msg.digest.sums));
	syncmsg_encode(w, &msg);
}

static bool compare_may_begin(const struct session *s)
{
	return s->compare.wanted && s->compare.out_group < 0 && !s->bulk_groups && !s->bulk_wanted;
}

static void compare_fill_out(
	struct session *s, struct engine *e, mono_t now, struct wbuf *w, bool quiet)
{
	struct compare *c = &s->compare;

	if (compare_may_begin(s) && quiet && wbuf_left(w) >= COMPARE_ROOM) {
		compare_begin(s, e, w);
	} else if (compare_may_begin(s) &&
		   mono_reached(now, mono_add(c->wanted_at, dur_ms(SYNC_COMPARE_WAIT_MS)))) {
		/* There is always something unsent: what would be compared never stands still. */
		s->bulk_wanted |= c->wanted;
		c->wanted = 0;
	}
	while (c->out_group >= 0 && c->out_chunk < COMPARE_TOLD && wbuf_left(w) >= COMPARE_ROOM) {
		if (c->out_chunk < SYNCMSG_DIGEST_CHUNKS)
			compare_put_chunk(s, e, c->out_chunk, w);
		else
			compare_put_mark(w, SYNCMSG_DIGEST_END, e->groups[c->out_group].tag,
				c->out_transfer);
		c->out_chunk++;
	}
}

/* ---- as a standby ---- */

static void compare_on_begin(struct session *s, struct engine *e, const struct syncmsg *msg)
{
	struct compare *c = &s->compare;
	int group = engine_group_index(e, msg->transfer.group_tag);

	c->answering = false;
	c->in_tag = msg->transfer.group_tag;
	c->in_transfer = msg->transfer.transfer;
	c->in_group = -1;
	if (group < 0 || engine_source(e, (uint8_t)group) != s->peer)
		return;
	c->in_group = (int8_t)group;
	memcpy(e->compared_in[s->peer], e->groups[group].digests, ENGINE_DIGEST_BYTES);
}

static void compare_on_digest(struct session *s, struct engine *e, const struct syncmsg *msg)
{
	uint64_t *ours = e->compared_in[s->peer] + msg->digest.chunk * SYNCMSG_DIGEST_CHUNK;

	if (s->compare.in_group < 0)
		return;
	for (uint32_t i = 0; i < SYNCMSG_DIGEST_CHUNK; i++)
		ours[i] -= msg->digest.sums[i];
}

static void compare_on_end(struct session *s, const struct engine *e, const struct syncmsg *msg)
{
	struct compare *c = &s->compare;

	if (msg->transfer.transfer != c->in_transfer)
		return;
	c->answering = true;
	c->in_chunk = 0;
	c->differing = 0;
	for (uint32_t i = 0; c->in_group >= 0 && i < DIGEST_BUCKETS; i++)
		c->differing += e->compared_in[s->peer][i] != 0;
	c->differing_total += c->differing;
	c->compares += c->in_group >= 0;
}

static void compare_fill_in(struct session *s, const struct engine *e, struct wbuf *w)
{
	struct compare *c = &s->compare;
	const uint64_t *sums = e->compared_in[s->peer];

	while (c->answering && wbuf_left(w) >= COMPARE_ROOM) {
		struct syncmsg msg = {.type = SYNCMSG_FETCH};

		if (c->in_group < 0 || c->in_chunk == SYNCMSG_DIGEST_CHUNKS) {
			compare_put_mark(w, SYNCMSG_FETCH_END, c->in_tag, c->in_transfer);
			c->answering = false;
			break;
		}
		msg.digest.chunk = (uint16_t)c->in_chunk;
		for (uint32_t i = 0; i < SYNCMSG_DIGEST_CHUNK; i++)
			if (sums[c->in_chunk * SYNCMSG_DIGEST_CHUNK + i])
				msg.digest.buckets |= UINT32_C(1) << i;
		if (msg.digest.buckets)
			syncmsg_encode(w, &msg);
		c->in_chunk++;
	}
}

const uint64_t *compare_differing(
	const struct session *s, const struct engine *e, uint8_t group, uint32_t transfer)
{
	if (s->compare.in_group != (int8_t)group || s->compare.in_transfer != transfer)
		return NULL;
	return e->compared_in[s->peer];
}

/* ---- both ---- */

void compare_on_message(struct session *s, struct engine *e, const struct syncmsg *msg)
{
	switch ((int)msg->type) {
	case SYNCMSG_DIGEST_BEGIN:
		compare_on_begin(s, e, msg);
		break;
	case SYNCMSG_DIGEST:
		compare_on_digest(s, e, msg);
		break;
	case SYNCMSG_DIGEST_END:
		compare_on_end(s, e, msg);
		break;
	case SYNCMSG_FETCH:
		compare_on_fetch(s, msg);
		break;
	case SYNCMSG_FETCH_END:
		compare_on_fetch_end(s, msg);
		break;
	}
}

void compare_fill(struct session *s, struct engine *e, mono_t now, struct wbuf *w, bool quiet)
{
	compare_fill_out(s, e, now, w, quiet);
	compare_fill_in(s, e, w);
}

bool compare_has_more(const struct session *s, const struct engine *e)
{
	const struct compare *c = &s->compare;

	if (c->answering || (c->fetched && !s->bulk_groups) ||
		(c->out_group >= 0 && c->out_chunk < COMPARE_TOLD))
		return true;
	return compare_may_begin(s) && e->consumers[s->peer].dirty.count == 0;
}
