/* rbuf.h: a bounded reader over borrowed bytes, with a sticky error.
 *
 * Every read past the end sets `failed`, returns zero and reads nothing more; a decoder reads all
 * its fields and tests rbuf_done() once. Width and byte order are in the name (be = network order).
 */
#ifndef COMMON_RBUF_H
#define COMMON_RBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rbuf {
	const uint8_t *pos; /* borrowed */
	const uint8_t *end;
	bool failed;
};

static inline struct rbuf rbuf_init(const void *data, size_t size_bytes)
{
	const uint8_t *bytes = data;

	return (struct rbuf){.pos = bytes, .end = bytes + size_bytes};
}

static inline size_t rbuf_left(const struct rbuf *r)
{
	return r->failed ? 0 : (size_t)(r->end - r->pos);
}

/* rbuf_take: the next n bytes where they lie, or NULL (and failed) when fewer are left. */
static inline const uint8_t *rbuf_take(struct rbuf *r, size_t n)
{
	const uint8_t *at = r->pos;

	if (r->failed || (size_t)(r->end - r->pos) < n) {
		r->failed = true;
		return NULL;
	}
	r->pos += n;
	return at;
}

static inline uint64_t rbuf_be(struct rbuf *r, size_t width)
{
	const uint8_t *at = rbuf_take(r, width);
	uint64_t value = 0;

	for (size_t i = 0; at && i < width; i++)
		value = value << 8 | at[i];
	return value;
}

static inline uint8_t rbuf_u8(struct rbuf *r)
{
	return (uint8_t)rbuf_be(r, 1);
}

static inline uint16_t rbuf_be16(struct rbuf *r)
{
	return (uint16_t)rbuf_be(r, 2);
}

static inline uint32_t rbuf_be32(struct rbuf *r)
{
	return (uint32_t)rbuf_be(r, 4);
}

static inline uint64_t rbuf_be64(struct rbuf *r)
{
	return rbuf_be(r, 8);
}

/* rbuf_bytes: copies n bytes out; on failure the destination is zeroed, never left half-written. */
static inline void rbuf_bytes(struct rbuf *r, void *to, size_t n)
{
	const uint8_t *at = rbuf_take(r, n);

	if (at)
		memcpy(to, at, n);
	else
		memset(to, 0, n);
}

/* rbuf_sub: a reader of exactly the next n bytes; failed when there are fewer. */
static inline struct rbuf rbuf_sub(struct rbuf *r, size_t n)
{
	const uint8_t *at = rbuf_take(r, n);

	return (struct rbuf){.pos = at, .end = at ? at + n : NULL, .failed = !at};
}

/* rbuf_done: true when nothing failed and every byte was read: the exact-length gate. */
static inline bool rbuf_done(const struct rbuf *r)
{
	return !r->failed && r->pos == r->end;
}

#endif
