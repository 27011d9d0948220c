#include "rules/text.h"

#include <stdlib.h>
#include <string.h>

#include "rules/rules.h"

void text_add(struct text *t, const char *bytes, size_t length)
{
	if (t->failed)
		return;
	if (length >= RULES_TEXT_MAX_BYTES - t->length) {
		t->failed = true;
		return;
	}
	if (t->length + length + 1 > t->capacity) {
		size_t capacity = (t->length + length + 1) * 2;
		char *grown = realloc(t->bytes, capacity);

		if (!grown) {
			t->failed = true;
			return;
		}
		t->bytes = grown;
		t->capacity = capacity;
	}
	memcpy(t->bytes + t->length, bytes, length);
	t->length += length;
	t->bytes[t->length] = '\0';
}

void text_add_string(struct text *t, const char *string)
{
	text_add(t, string, strlen(string));
}
