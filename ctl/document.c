#include "ctl/document.h"

#include <errno.h>

void document_init(struct document *document, FILE *out, const char *name)
{
	*document = (struct document){.out = out, .name = name};
}

/* document_open: late, so that an error before the first item can be a document of its own. */
static void document_open(struct document *document)
{
	if (document->open)
		return;
	fprintf(document->out, "{\"%s\":[", document->name);
	document->open = true;
}

int document_item(struct document *document, const json_t *item)
{
	document_open(document);
	fputs(document->item_count++ ? ",\n" : "\n", document->out);
	if (json_dumpf(item, document->out, JSON_COMPACT | JSON_ENCODE_ANY) != 0 ||
		ferror(document->out))
		return -EPIPE;
	return 0;
}

int document_end(struct document *document, const char *code, const char *text)
{
	json_t *error = code ? json_pack("{s:s,s:s}", "code", code, "text", text) : NULL;

	document_open(document);
	fputs("]", document->out);
	if (error) {
		fputs(",\"error\":", document->out);
		(void)json_dumpf(error, document->out, JSON_COMPACT); /* ferror() below */
		json_decref(error);
	}
	fputs("}\n", document->out);
	return fflush(document->out) == 0 && !ferror(document->out) ? 0 : -EPIPE;
}
