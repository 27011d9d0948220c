#include "ctl/report.h"

#include <stdio.h>

void report_error(bool json, const char *code, const char *text)
{
	json_t *document;

	fprintf(stderr, "carpool: %s\n", text);
	if (!json)
		return;
	/* "s%" would need lengths: bytes that are not UTF-8 make json_pack fail, then the code must
	 * do. */
	document = json_pack("{s:{s:s,s:s}}", "error", "code", code, "text", text);
	if (!document)
		document = json_pack("{s:{s:s}}", "error", "code", code);
	(void)report_json(document); /* the exit status tells the failure already */
	json_decref(document);
}

bool report_json(const json_t *document)
{
	return document && json_dumpf(document, stdout, JSON_COMPACT) == 0 &&
	       putchar('\n') != EOF && fflush(stdout) == 0;
}
