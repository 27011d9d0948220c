#include "ctl/moves_text.h"

#include "ctl/field.h"

void moves_text_render(FILE *out, const json_t *result)
{
	const json_t *groups = field_list(result, "groups"), *group;
	size_t index;

	if (json_array_size(groups) == 0)
		fputs("no group had to move\n", out);
	json_array_foreach (groups, index, group) {
		double ms = field_number(group, "ms", -1);

		field_print(out, field_text(group, "group"), 0);
		fputs(": ", out);
		field_print(out, field_text(group, "from"), 0);
		fputs(" -> ", out);
		field_print(out, field_text(group, "to"), 0);
		if (ms >= 0)
			fprintf(out, ", complete in %.0f ms", ms);
		fputc('\n', out);
	}
}
