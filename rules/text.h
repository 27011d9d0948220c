/* text.h: a text that grows, up to a limit, with a sticky failure. */
#ifndef RULES_TEXT_H
#define RULES_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* A growing text; `failed` = no memory, or longer than RULES_TEXT_MAX_BYTES. */
struct text {
	char *bytes; /* NUL-terminated when length > 0; free() it */
	size_t length;
	size_t capacity;
	bool failed;
};

void text_add(struct text *t, const char *bytes, size_t length);
void text_add_string(struct text *t, const char *string);

#endif
