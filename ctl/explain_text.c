#include "ctl/explain_text.h"

#include <strings.h>

/* What each kind is, for somebody who met the name in a log. */
static const char *const explain_text_heads[] = {
	[CODE_REASON] = "why a group changed its state",
	[CODE_ALARM] = "an alarm",
	[CODE_NOT_READY] = "why a node is not ready to take over",
	[CODE_STATE] = "a state of a group on a node",
	[CODE_ADVERT_DROP] = "why an advert was not used",
	[CODE_SYNC_DROP] = "why a flow's record was not used",
	[CODE_CLOSE] = "why a connection between two syncds was closed",
	[CODE_ERROR] = "why a request was refused",
};

bool explain_text_matches(const struct code *code, const char *typed)
{
	return strcasecmp(code->name, typed) == 0;
}

void explain_text_render(FILE *out, const struct code *code)
{
	fprintf(out, "%s: %s\n  %s\n", code->name, explain_text_heads[code->kind], code->text);
	if (code->advice)
		fprintf(out, "  -> %s\n", code->advice);
}

void explain_text_list(FILE *out)
{
	unsigned int count;
	const struct code *codes = codes_table(&count);

	for (unsigned int i = 0; i < count; i++) {
		if (i == 0 || codes[i].kind != codes[i - 1].kind)
			fprintf(out, "%s%s: %s\n", i ? "\n" : "", codes_kind_name(codes[i].kind),
				explain_text_heads[codes[i].kind]);
		fprintf(out, "  %-22s %s\n", codes[i].name, codes[i].text);
	}
}

json_t *explain_text_json(const struct code *code)
{
	return json_pack("{s:s,s:s,s:s,s:s?}", "kind", codes_kind_name(code->kind), "code",
		code->name, "text", code->text, "advice", code->advice);
}
