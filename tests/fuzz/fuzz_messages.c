/* Whatever nft may complain: at least one line, each ended. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "rules/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rules_report report;
	char *text = malloc(size + 1);

	CHECK(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	report.count = 0;
	messages_parse(text, "/etc/fw.nft", "/etc", &report);
	CHECK(report.count >= 1);
	CHECK(report.count <= RULES_REPORT_LINES);
	for (size_t i = 0; i < report.count; i++)
		CHECK(memchr(report.lines[i], '\0', RULES_REPORT_LINE_MAX) != NULL);
	CHECK(messages_find_word(text, "flowtable") >= 1);
	CHECK(messages_find_chain(text, "c") >= 1);
	CHECK(messages_find_table(text, 1, "fw") >= 1);
	free(text);
	return 0;
}
