#include "ctl/reload_text.h"

#include "ctl/field.h"

static void reload_text_list(FILE *out, const char *mark, const json_t *list)
{
	const json_t *value;
	size_t index;

	json_array_foreach (list, index, value) {
		fprintf(out, "  %s ", mark);
		field_print_value(out, value);
		fputc('\n', out);
	}
}

void reload_text_render(FILE *out, const json_t *result, bool diff)
{
	const json_t *changes = field_list(result, "changes");

	if (json_array_size(changes) == 0)
		fputs("nothing changed\n", out);
	else
		fputs(diff ? "would change:\n" : "changed:\n", out);
	reload_text_list(out, "*", changes);
	reload_text_list(out, "!", field_list(result, "warnings"));
}
