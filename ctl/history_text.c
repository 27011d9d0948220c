#include "ctl/history_text.h"

#include "ctl/field.h"
#include "ctl/when.h"

#include <string.h>

static void history_text_facts(FILE *out, json_t *facts)
{
	const char *name;
	json_t *value;

	json_object_foreach (facts, name, value) {
		fputs("  ", out);
		field_print(out, name, 0);
		fputc('=', out);
		field_print_value(out, value);
	}
}

static void history_text_stages(FILE *out, const json_t *stages)
{
	const json_t *stage;
	int64_t total_us = 0;
	char span[WHEN_TEXT_MAX];
	size_t index;

	if (json_array_size(stages) == 0)
		return;
	fputs("    stages:", out);
	json_array_foreach (stages, index, stage) {
		int64_t us = field_scaled(stage, "us", 1, 0);

		/* A handler's time lies within its phase. */
		if (strncmp(field_text(stage, "stage"), "handler:", strlen("handler:")) != 0 &&
			__builtin_add_overflow(total_us, us, &total_us))
			total_us = INT64_MAX;
		fputs(index ? ", " : " ", out);
		field_print(out, field_text(stage, "stage"), 0);
		fprintf(out, " %s%s", when_render_span(us, span),
			field_bool(stage, "ok", true) ? "" : " FAILED");
		if (*field_text(stage, "error")) {
			fputs(" (", out);
			field_print(out, field_text(stage, "error"), 6);
			fputc(')', out);
		}
	}
	fprintf(out, "; together %s\n", when_render_span(total_us, span));
}

void history_text_render(FILE *out, const json_t *transition)
{
	char moment[WHEN_TEXT_MAX];

	when_render_instant(field_text(transition, "time"), moment);
	fprintf(out, "%s  ", moment);
	field_print(out, field_text(transition, "group"), 0);
	fputs("  ", out);
	field_print(out, field_text(transition, "from"), 0);
	fputs(" -> ", out);
	field_print(out, field_text(transition, "to"), 0);
	fputs("  ", out);
	field_print(out, field_text(transition, "reason"), 0);
	fprintf(out, "  term %.0f", field_number(transition, "term", 0));
	history_text_facts(out, json_object_get(transition, "facts"));
	fputc('\n', out);
	history_text_stages(out, field_list(transition, "stages"));
}
