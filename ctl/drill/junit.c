#include "ctl/drill/html.h"
#include "ctl/drill/html_chart.h"

#include <string.h>

static const char *junit_string(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static unsigned int junit_count(const json_t *runs, const char *verdict)
{
	unsigned int count = 0;
	json_t *run;
	size_t i;

	json_array_foreach (runs, i, run)
		count += strcmp(junit_string(run, "verdict"), verdict) == 0;
	return count;
}

static void junit_reasons(FILE *out, const json_t *run, const char *element)
{
	const json_t *reasons = json_object_get(run, "reasons");
	json_t *reason;
	size_t i;

	(void)fprintf(out, "    <%s message=\"", element);
	html_chart_text(out, json_string_value(json_array_get(reasons, 0)));
	(void)fprintf(out, "\">");
	json_array_foreach (reasons, i, reason) {
		html_chart_text(out, json_string_value(reason));
		(void)fputc('\n', out);
	}
	(void)fprintf(out, "</%s>\n", element);
}

static void junit_case(FILE *out, const json_t *run, size_t index)
{
	const char *verdict = junit_string(run, "verdict");

	(void)fprintf(out, "  <testcase classname=\"carpool.drill\" name=\"");
	html_chart_text(out, junit_string(run, "scenario"));
	(void)fprintf(out, " (%zu)\" time=\"%.1f\">\n", index + 1,
		json_number_value(json_object_get(run, "duration_s")));
	if (strcmp(verdict, "fail") == 0)
		junit_reasons(out, run, "failure");
	if (strcmp(verdict, "error") == 0)
		junit_reasons(out, run, "error");
	(void)fprintf(out, "    <system-out>outage_ms=%.1f report=",
		json_number_value(json_object_get(run, "outage_ms")));
	html_chart_text(out, junit_string(run, "report"));
	(void)fprintf(out, "</system-out>\n  </testcase>\n");
}

void junit_write(FILE *out, const json_t *document)
{
	const json_t *runs = json_object_get(document, "runs");
	json_t *run;
	size_t i;

	(void)fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<testsuite name=\"carpool drill\" tests=\"%zu\" failures=\"%u\" errors=\"%u\">\n",
		json_array_size(runs), junit_count(runs, "fail"), junit_count(runs, "error"));
	json_array_foreach (runs, i, run)
		junit_case(out, run, i);
	(void)fprintf(out, "</testsuite>\n");
}
