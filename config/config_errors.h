/* config_errors.h: every error of one run over a config file, each with its place.
 *
 * A run reports all that is wrong, not just the first: errors are added in the order in which they
 * are found and printed in the order of the file. The list is bounded; what does not fit is
 * counted.
 */
#ifndef CONFIG_CONFIG_ERRORS_H
#define CONFIG_CONFIG_ERRORS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_ERRORS_MAX     128u
#define CONFIG_ERROR_TEXT_MAX 512u
#define CONFIG_FILE_NAME_MAX  4096u

/* A place in the file, counted from 1 as editors do; line 0: the file as a whole. */
struct config_pos {
	uint32_t line;
	uint32_t column;
};

struct config_error {
	struct config_pos pos;
	char text[CONFIG_ERROR_TEXT_MAX]; /* what is wrong, what is allowed */
};

struct config_errors {
	char file[CONFIG_FILE_NAME_MAX]; /* as the caller named it */
	uint32_t count;
	uint32_t lost_count; /* errors beyond CONFIG_ERRORS_MAX */
	struct config_error items[CONFIG_ERRORS_MAX];
};

/* config_errors_init: empty, for a file. */
void config_errors_init(struct config_errors *errors, const char *file);

/* config_errors_add: one more; a text that is too long is cut. Control characters of the text are
 * shown as '?', so that a hostile file cannot write to a terminal through its own error. */
void config_errors_add(struct config_errors *errors, struct config_pos pos, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* config_errors_sort: into the order of the file. config_load() has done it already. */
void config_errors_sort(struct config_errors *errors);

/* config_errors_render: "FILE:LINE:COL: text" without a newline; returns `line`. */
#define CONFIG_ERROR_LINE_MAX (CONFIG_FILE_NAME_MAX + CONFIG_ERROR_TEXT_MAX + 32u)
char *config_errors_render(const struct config_errors *errors, uint32_t index,
	char line[static CONFIG_ERROR_LINE_MAX]);

/* config_errors_print: all of them, one a line, and how many did not fit. */
void config_errors_print(const struct config_errors *errors, FILE *out);

#endif
