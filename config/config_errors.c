#include "config/config_errors.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void config_errors_init(struct config_errors *errors, const char *file)
{
	errors->count = 0;
	errors->lost_count = 0;
	snprintf(errors->file, sizeof(errors->file), "%s", file);
}

/* C0 and DEL, and C1 as UTF-8 writes it (c2 80 .. c2 9f). */
static void hide_controls(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
		if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			c[0] = c[1] = '?';
	}
}

void config_errors_add(struct config_errors *errors, struct config_pos pos, const char *format, ...)
{
	struct config_error *error;
	va_list args;

	if (errors->count == CONFIG_ERRORS_MAX) {
		errors->lost_count++;
		return;
	}
	error = &errors->items[errors->count++];
	error->pos = pos;
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	hide_controls(error->text);
}

static bool config_errors_sort_after(const struct config_error *a, const struct config_error *b)
{
	if (a->pos.line != b->pos.line)
		return a->pos.line > b->pos.line;
	return a->pos.column > b->pos.column;
}

/* Insertion keeps errors of the same place in the order in which they were found. */
void config_errors_sort(struct config_errors *errors)
{
	for (uint32_t i = 1; i < errors->count; i++) {
		struct config_error moved = errors->items[i];
		uint32_t at = i;

		for (; at > 0 && config_errors_sort_after(&errors->items[at - 1], &moved); at--)
			errors->items[at] = errors->items[at - 1];
		errors->items[at] = moved;
	}
}

char *config_errors_render(
	const struct config_errors *errors, uint32_t index, char line[static CONFIG_ERROR_LINE_MAX])
{
	const struct config_error *error = &errors->items[index];

	/* What concerns the file as a whole is shown at its beginning: one form for every tool. */
	snprintf(line, CONFIG_ERROR_LINE_MAX, "%s:%u:%u: %s", errors->file,
		error->pos.line ? error->pos.line : 1, error->pos.column ? error->pos.column : 1,
		error->text);
	return line;
}

void config_errors_print(const struct config_errors *errors, FILE *out)
{
	char line[CONFIG_ERROR_LINE_MAX];

	for (uint32_t i = 0; i < errors->count; i++)
		fprintf(out, "%s\n", config_errors_render(errors, i, line));
	if (errors->lost_count)
		fprintf(out, "%s: and %u more errors\n", errors->file, errors->lost_count);
}
