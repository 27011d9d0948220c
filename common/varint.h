/* varint.h: unsigned numbers of 7 bits a byte, low part first (LEB128), over rbuf and wbuf.
 *
 * Only the shortest form is accepted, so that a value has one encoding: an encoded message can be
 * compared and digested as bytes. */
#ifndef COMMON_VARINT_H
#define COMMON_VARINT_H

#include "common/rbuf.h"
#include "common/wbuf.h"

#define VARINT_BYTES_MAX 10u

static inline void varint_write(struct wbuf *w, uint64_t value)
{
	while (value >= 0x80) {
		wbuf_u8(w, (value & 0x7f) | 0x80);
		value >>= 7;
	}
	wbuf_u8(w, value);
}

/* varint_read: fails the reader on a value above `max`, a longer form than needed, or the end. */
static inline uint64_t varint_read(struct rbuf *r, uint64_t max)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 64; shift += 7) {
		uint8_t byte = rbuf_u8(r);

		if (r->failed || (shift == 63 && byte > 1) || (byte == 0 && shift > 0))
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if (value > max)
			break;
		return value;
	}
	r->failed = true;
	return 0;
}

#endif
