#include "syncd/core/digest.h"

#include "common/check.h"
#include "common/wbuf.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* The largest flow: fixed fields, four IPv6 addresses, every rare part. */
#define DIGEST_BYTES_MAX 384u

void digest_key_init(struct digest_key *key, const uint8_t secret[static DIGEST_KEY_BYTES])
{
	/* Fails only for sizes below XXH's least. */
	CHECK(XXH3_generateSecret(key->secret, sizeof(key->secret), secret, DIGEST_KEY_BYTES) ==
		XXH_OK);
}

static void digest_tuples(struct wbuf *w, const struct table *t, const struct table_record *record)
{
	if (record->flags & TABLE_FLAG_V6)
		wbuf_bytes(w, t->addresses6[record->ext6].address, 64);
	else
		wbuf_bytes(w, record->v4, sizeof(record->v4));
	for (int i = 0; i < 4; i++)
		wbuf_be16(w, record->ports[i]);
}

/* digest_extra: the rare parts, each only where the flow has it: the rest of the block is whatever
 * an earlier flow left there. */
static void digest_extra(struct wbuf *w, const struct table_extra *extra, uint16_t has)
{
	if (has & FLOW_HAS_SCTP) {
		wbuf_u8(w, extra->sctp_state);
		wbuf_be32(w, extra->sctp_vtag[0]);
		wbuf_be32(w, extra->sctp_vtag[1]);
	}
	if (has & FLOW_HAS_LABELS)
		wbuf_bytes(w, extra->labels, sizeof(extra->labels));
	for (int i = 0; has & FLOW_HAS_SEQADJ && i < 2; i++) {
		wbuf_be32(w, extra->seqadj[i].correction_pos);
		wbuf_be32(w, (uint32_t)extra->seqadj[i].offset_before);
		wbuf_be32(w, (uint32_t)extra->seqadj[i].offset_after);
	}
	for (int i = 0; has & FLOW_HAS_SYNPROXY && i < 3; i++)
		wbuf_be32(w, extra->synproxy[i]);
	if (has & FLOW_HAS_HELPER)
		wbuf_bytes(w, extra->helper, sizeof(extra->helper));
	if (has & FLOW_HAS_MASTER) {
		wbuf_u8(w, extra->master.family);
		wbuf_u8(w, extra->master.proto);
		wbuf_bytes(w, extra->master.src, sizeof(extra->master.src));
		wbuf_bytes(w, extra->master.dst, sizeof(extra->master.dst));
		wbuf_be16(w, extra->master.src_port);
		wbuf_be16(w, extra->master.dst_port);
	}
}

static void digest_expect(struct wbuf *w, const struct flow_expect *expect)
{
	wbuf_bytes(w, expect->nat_source, sizeof(expect->nat_source));
	wbuf_be16(w, expect->nat_port);
	wbuf_u8(w, expect->nat_dir);
	wbuf_u8(w, expect->class);
	wbuf_u8(w, expect->flags);
	wbuf_bytes(w, expect->fn, sizeof(expect->fn));
}

uint64_t digest_record(const struct digest_key *key, const struct table *t, uint32_t slot)
{
	const struct table_record *record = &t->records[slot];
	uint16_t has = record->has & FLOW_HAS_ALL;
	uint8_t data[DIGEST_BYTES_MAX];
	struct wbuf w = wbuf_init(data, sizeof(data));

	wbuf_be16(&w, has);
	wbuf_be16(&w, record->zone);
	wbuf_u8(&w, record->zone_dir);
	wbuf_u8(&w, record->proto);
	digest_tuples(&w, t, record);
	wbuf_be64(&w, record->sequence);
	wbuf_be32(&w, record->term);
	wbuf_be32(&w, record->life);
	wbuf_u8(&w, record->owner);
	wbuf_be32(&w, record->id);
	wbuf_be32(&w, record->mark);
	wbuf_be16(&w, record->status);
	wbuf_u8(&w, record->tcp_state);
	wbuf_u8(&w, record->tcp_flags);
	wbuf_u8(&w, record->tcp_wscale);
	if (record->extra)
		digest_extra(&w, &t->extras[record->extra - 1], has);
	if (record->extra && record->zone_dir == FLOW_ZONE_EXPECTATION)
		digest_expect(&w, &t->extras[record->extra - 1].expect);
	CHECK(!w.failed);
	return XXH3_64bits_withSecret(data, wbuf_used(&w), key->secret, sizeof(key->secret));
}
