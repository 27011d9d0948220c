#include "carpd/core/trace.h"

#include "common/check.h"

#include <stdarg.h>
#include <string.h>

struct trace_cursor {
	char *at;
	char *end; /* the last byte, kept for the NUL */
};

static void trace_put(struct trace_cursor *cursor, const char *text)
{
	while (*text && cursor->at < cursor->end)
		*cursor->at++ = *text++;
}

static void trace_put_number(struct trace_cursor *cursor, unsigned long long value)
{
	char digits[24];
	size_t i = sizeof(digits) - 1;

	digits[i] = '\0';
	do {
		digits[--i] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	trace_put(cursor, digits + i);
}

static void trace_put_signed(struct trace_cursor *cursor, long long value)
{
	if (value < 0)
		trace_put(cursor, "-");
	trace_put_number(
		cursor, value < 0 ? 0ULL - (unsigned long long)value : (unsigned long long)value);
}

const char *trace_format(struct trace_text *text, const char *format, ...)
{
	struct trace_cursor cursor = {text->text, text->text + sizeof(text->text) - 1};
	va_list arguments;

	va_start(arguments, format);
	for (const char *f = format; *f; f++) {
		if (*f != '%') {
			trace_put(&cursor, (char[2]){*f, '\0'});
		} else if (*++f == 's') {
			trace_put(&cursor, va_arg(arguments, const char *));
		} else if (*f == 'u') {
			trace_put_number(&cursor, va_arg(arguments, unsigned));
		} else if (strncmp(f, "lld", 3) == 0) {
			trace_put_signed(&cursor, va_arg(arguments, long long));
			f += 2;
		} else {
			CHECK(*f == '%');
			trace_put(&cursor, "%");
		}
	}
	va_end(arguments);
	*cursor.at = '\0';
	return text->text;
}

const char *trace_ms(struct trace_text *text, dur_t d)
{
	return trace_format(text, "%lld.%lld ms", (long long)(d.us / 1000),
		(long long)(d.us % 1000 < 0 ? -(d.us % 1000) / 100 : d.us % 1000 / 100));
}

static void trace_copy(char *to, size_t size_bytes, const char *from)
{
	struct trace_cursor cursor = {to, to + size_bytes - 1};

	trace_put(&cursor, from);
	*cursor.at = '\0';
}

void trace_line(const struct election *e, uint8_t group, const char *fact, const char *decision)
{
	struct election_trace line = {.at = e->now, .group = group};

	if (!e->trace)
		return;
	trace_copy(line.fact, sizeof(line.fact), fact);
	trace_copy(line.decision, sizeof(line.decision), decision);
	e->trace(e->trace_context, &line);
}

const char *trace_node(const struct election *e, uint8_t id)
{
	if (id == e->config.own.id)
		return e->config.own.name;
	for (uint8_t p = 0; p < e->config.peer_count; p++)
		if (e->config.peers[p].id == id)
			return e->config.peers[p].name;
	return "?";
}
