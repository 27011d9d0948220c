/* wbuf.h: a bounded writer into the caller's bytes, with a sticky error.
 *
 * A write that does not fit writes nothing, sets `failed`, and every later write does nothing; an
 * encoder tests `failed` once at its end. Values are range-checked: one that is too wide fails. */
#ifndef COMMON_WBUF_H
#define COMMON_WBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wbuf {
	uint8_t *start; /* borrowed */
	uint8_t *pos;
	uint8_t *end;
	bool failed;
};

static inline struct wbuf wbuf_init(void *data, size_t size_bytes)
{
	uint8_t *bytes = data;

	return (struct wbuf){.start = bytes, .pos = bytes, .end = bytes + size_bytes};
}

static inline size_t wbuf_used(const struct wbuf *w)
{
	return (size_t)(w->pos - w->start);
}

static inline size_t wbuf_left(const struct wbuf *w)
{
	return w->failed ? 0 : (size_t)(w->end - w->pos);
}

/* wbuf_take: room for n bytes to be filled by the caller, or NULL (and failed). */
static inline uint8_t *wbuf_take(struct wbuf *w, size_t n)
{
	uint8_t *at = w->pos;

	if (w->failed || (size_t)(w->end - w->pos) < n) {
		w->failed = true;
		return NULL;
	}
	w->pos += n;
	return at;
}

static inline void wbuf_be(struct wbuf *w, uint64_t value, size_t width)
{
	uint8_t *at;

	if (width < 8 && value >> (8 * width)) {
		w->failed = true;
		return;
	}
	at = wbuf_take(w, width);
	for (size_t i = 0; at && i < width; i++)
		at[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
}

static inline void wbuf_u8(struct wbuf *w, uint64_t value)
{
	wbuf_be(w, value, 1);
}

static inline void wbuf_be16(struct wbuf *w, uint64_t value)
{
	wbuf_be(w, value, 2);
}

static inline void wbuf_be32(struct wbuf *w, uint64_t value)
{
	wbuf_be(w, value, 4);
}

static inline void wbuf_be64(struct wbuf *w, uint64_t value)
{
	wbuf_be(w, value, 8);
}

static inline void wbuf_bytes(struct wbuf *w, const void *from, size_t n)
{
	uint8_t *at = wbuf_take(w, n);

	if (at && n)
		memcpy(at, from, n);
}

#endif
