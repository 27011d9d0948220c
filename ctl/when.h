/* when.h: times as the daemons write them, and as people read them. Pure: `now` comes in. */
#ifndef CTL_WHEN_H
#define CTL_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#define WHEN_TEXT_MAX 48u

/* when_parse: "2026-01-01T00:00:00.000000Z" (the fraction may be missing or shorter) to
 * microseconds since 1970. */
bool when_parse(const char *text, int64_t *ret_wall_us);

/* when_render_span: "0 us", "820 us", "31.5 ms", "4.2 s", "3 min 12 s", "3 h 12 min", "12 d 3 h".
 * Negative spans (a clock was set back) are "0 s". Returns `text`. */
char *when_render_span(int64_t span_us, char text[static WHEN_TEXT_MAX]);

/* when_render_moment: "2026-01-01 00:00:00 UTC" for what when_parse() takes, else the text itself,
 * cut. Returns `text`. */
char *when_render_moment(const char *moment, char text[static WHEN_TEXT_MAX]);

/* when_render_instant: the same to the millisecond, "2026-01-01 00:00:00.123 UTC". */
char *when_render_instant(const char *moment, char text[static WHEN_TEXT_MAX]);

/* when_render_age: the span from that moment to now; "?" when it is no moment. Returns `text`. */
char *when_render_age(const char *moment, int64_t now_wall_us, char text[static WHEN_TEXT_MAX]);

#endif
