/* config_text.h: text that grows, with a sticky error.
 *
 * After an allocation that failed nothing more is added and config_text_take() answers NULL: a
 * writer adds everything and looks once. (open_memstream() loses its text silently then.) */
#ifndef CONFIG_CONFIG_TEXT_H
#define CONFIG_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct config_text {
	char *bytes; /* NUL-ended once something was added */
	size_t used_bytes;
	size_t room_bytes;
	bool failed;
};

/* config_text_add: more bytes. */
void config_text_add(struct config_text *text, const void *bytes, size_t size_bytes);

/* config_text_printf: at most 1023 characters at once; more is a failure. */
void config_text_printf(struct config_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* config_text_take: the whole, for free(); or NULL, freed, when something failed or nothing was
 * added. The text is empty afterwards. */
char *config_text_take(struct config_text *text, size_t *ret_size_bytes);

#endif
