#include "ctl/flow_text.h"

#include "ctl/field.h"

#include <string.h>

static void flow_text_tuple(FILE *out, const json_t *tuple)
{
	/* What a tuple may carry, in the order of `conntrack -L`; addresses always, the rest by
	 * protocol. */
	static const char *const keys[] = {
		"src", "dst", "sport", "dport", "type", "code", "id", "srckey", "dstkey"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const json_t *value = json_object_get(tuple, keys[i]);

		if (!value)
			continue;
		fprintf(out, " %s=", keys[i]);
		field_print_value(out, value);
	}
}

static bool flow_text_has_status(const json_t *status, const char *name)
{
	const json_t *value;
	size_t index;

	json_array_foreach (status, index, value) {
		if (json_is_string(value) && strcmp(json_string_value(value), name) == 0)
			return true;
	}
	return false;
}

void flow_text_render(FILE *out, const json_t *flow)
{
	const json_t *status = field_list(flow, "status");
	double timeout_s = field_number(flow, "timeout_s", -1);

	fprintf(out, "%-8s", field_text(flow, "proto"));
	if (timeout_s >= 0)
		fprintf(out, " %.0f", timeout_s);
	if (*field_text(flow, "state"))
		fprintf(out, " %s", field_text(flow, "state"));
	flow_text_tuple(out, json_object_get(flow, "orig"));
	if (json_is_true(json_object_get(flow, "expected"))) {
		fputs(" [EXPECTED] mask:", out);
		flow_text_tuple(out, json_object_get(flow, "mask"));
	} else if (status && !flow_text_has_status(status, "SEEN_REPLY")) {
		fputs(" [UNREPLIED]", out);
	}
	flow_text_tuple(out, json_object_get(flow, "reply"));
	if (json_object_get(flow, "master")) {
		fputs(" master:", out);
		flow_text_tuple(out, json_object_get(flow, "master"));
	}
	if (flow_text_has_status(status, "ASSURED"))
		fputs(" [ASSURED]", out);
	fprintf(out, " mark=%.0f", field_number(flow, "mark", 0));
	if (field_number(flow, "zone", 0) != 0)
		fprintf(out, " zone=%.0f", field_number(flow, "zone", 0));
	if (*field_text(flow, "group")) {
		fputs(" group=", out);
		field_print(out, field_text(flow, "group"), 0);
	}
	fputc('\n', out);
}
