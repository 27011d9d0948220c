#include "ctl/field.h"

#include <stdlib.h>
#include <string.h>

#define FIELD_INTEGER_MAX 9.2e18 /* below 2^63 */
#define FIELD_WHOLE_MAX	  1e15	 /* whole numbers below are exact, and shown without a point */

const char *field_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

double field_number(const json_t *object, const char *key, double otherwise)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : otherwise;
}

int64_t field_scaled(const json_t *object, const char *key, double scale, int64_t otherwise)
{
	const json_t *value = json_object_get(object, key);
	double number = json_number_value(value) * scale;

	if (!json_is_number(value))
		return otherwise;
	if (number >= FIELD_INTEGER_MAX)
		return INT64_MAX;
	return number <= -FIELD_INTEGER_MAX ? INT64_MIN : (int64_t)number;
}

bool field_bool(const json_t *object, const char *key, bool otherwise)
{
	const json_t *value = json_object_get(object, key);

	return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

bool field_is(const json_t *object, const char *key, const char *text)
{
	return strcmp(field_text(object, key), text) == 0;
}

json_t *field_list(const json_t *object, const char *key)
{
	json_t *list = json_object_get(object, key);

	return json_is_array(list) ? list : NULL;
}

void field_print(FILE *out, const char *text, unsigned int indent)
{
	for (const char *c = text; *c; c++) {
		if (*c == '\n')
			fprintf(out, "\n%*s", (int)indent, "");
		else
			fputc((unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c, out);
	}
}

void field_print_list(FILE *out, const json_t *list)
{
	const json_t *value;
	size_t index;

	json_array_foreach (list, index, value) {
		fputs(index ? ", " : "", out);
		field_print_value(out, value);
	}
}

void field_print_value(FILE *out, const json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		field_print(out, json_string_value(value), 0);
		return;
	}
	if (json_is_real(value)) {
		double number = json_real_value(value);
		bool whole = number > -FIELD_WHOLE_MAX && number < FIELD_WHOLE_MAX &&
			     number == (double)(int64_t)number;

		fprintf(out, whole ? "%.0f" : "%.3f", number);
		return;
	}
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	field_print(out, text ? text : "?", 0);
	free(text);
}
