#include "ctl/rules_text.h"

#include "ctl/field.h"

#include <string.h>

static void rules_text_lines(FILE *out, const char *mark, const json_t *lines)
{
	const json_t *line;
	size_t index;

	json_array_foreach (lines, index, line) {
		fputs(mark, out);
		field_print_value(out, line);
		fputc('\n', out);
	}
}

static bool rules_text_drifts_one(const json_t *entry)
{
	const char *drift = json_string_value(json_object_get(entry, "drift"));

	return (drift && strcmp(drift, "none") != 0) ||
	       json_array_size(json_object_get(entry, "diff")) > 0;
}

bool rules_text_drifts(const json_t *result)
{
	const json_t *entry;
	size_t index;

	json_array_foreach (json_object_get(result, "groups"), index, entry)
		if (rules_text_drifts_one(entry) &&
			!json_is_true(json_object_get(entry, "repaired")))
			return true;
	return false;
}

static void rules_text_drift(FILE *out, const json_t *entry)
{
	const char *drift = json_string_value(json_object_get(entry, "drift"));
	const char *by = json_string_value(json_object_get(entry, "by"));

	if (json_is_true(json_object_get(entry, "repaired")))
		fputs("  what was loaded is loaded again\n", out);
	else if (!rules_text_drifts_one(entry))
		fputs("  as they were loaded\n", out);
	else if (drift && !strcmp(drift, "missing"))
		fprintf(out, "  GONE, closed by the shield");
	else
		fprintf(out, "  CHANGED");
	if (rules_text_drifts_one(entry) && !json_is_true(json_object_get(entry, "repaired"))) {
		if (by && by[0] != '\0') {
			fputs(" by ", out);
			field_print_value(out, json_object_get(entry, "by"));
		}
		fputs("; 'carpool rules repair' loads them again\n", out);
	}
}

void rules_text_render(FILE *out, const json_t *result)
{
	const json_t *groups = field_list(result, "groups"), *entry;
	size_t index;

	if (json_array_size(groups) == 0)
		fputs("no group has rules\n", out);
	json_array_foreach (groups, index, entry) {
		const char *print = json_string_value(json_object_get(entry, "fingerprint"));

		field_print_value(out, json_object_get(entry, "group"));
		fputs(": ", out);
		field_print_value(out, json_object_get(entry, "active"));
		fprintf(out, " rules are awake, fingerprint %.16s\n", print ? print : "?");
		rules_text_drift(out, entry);
		rules_text_lines(out, "  ", json_object_get(entry, "diff"));
		rules_text_lines(out, "  ! ", json_object_get(entry, "warnings"));
	}
}
