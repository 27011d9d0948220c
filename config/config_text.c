#include "config/config_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 1024u
#define ROOM_FIRST     4096u

static bool make_room(struct config_text *text, size_t size_bytes)
{
	size_t wanted = text->used_bytes + size_bytes + 1;
	size_t room = text->room_bytes ? text->room_bytes : ROOM_FIRST;
	char *bytes;

	if (wanted <= text->room_bytes)
		return true;
	while (room < wanted)
		room *= 2;
	bytes = realloc(text->bytes, room);
	if (!bytes)
		return false;
	text->bytes = bytes;
	text->room_bytes = room;
	return true;
}

void config_text_add(struct config_text *text, const void *bytes, size_t size_bytes)
{
	if (text->failed || !make_room(text, size_bytes)) {
		text->failed = true;
		return;
	}
	memcpy(text->bytes + text->used_bytes, bytes, size_bytes);
	text->used_bytes += size_bytes;
	text->bytes[text->used_bytes] = '\0';
}

void config_text_printf(struct config_text *text, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (length < 0 || (size_t)length >= sizeof(line))
		text->failed = true;
	else
		config_text_add(text, line, (size_t)length);
}

char *config_text_take(struct config_text *text, size_t *ret_size_bytes)
{
	char *bytes = text->bytes;

	if (text->failed || !bytes) {
		free(bytes);
		bytes = NULL;
	} else if (ret_size_bytes) {
		*ret_size_bytes = text->used_bytes;
	}
	*text = (struct config_text){0};
	return bytes;
}
