/* rules.c: the names of things, and reports. */
#include "rules/report.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/check.h"
#include "rules/rules.h"

static const char *const role_names[] = {
	[RULES_ROLE_MASTER] = "master",
	[RULES_ROLE_BACKUP] = "backup",
	[RULES_ROLE_SHIELD] = "shield",
};
_Static_assert(ARRAY_LEN(role_names) == RULES_ROLE_COUNT, "a name for each role");

static const char *const result_names[] = {
	[RULES_FAILED] = "failed",
	[RULES_OK] = "ok",
	[RULES_MISSING] = "missing",
	[RULES_CHANGED] = "changed",
	[RULES_BUSY] = "busy",
};
_Static_assert(ARRAY_LEN(result_names) == RULES_RESULT_COUNT, "a name for each result");

const char *rules_role_name(enum rules_role role)
{
	return role < RULES_ROLE_COUNT ? role_names[role] : "?";
}

const char *rules_result_name(enum rules_result result)
{
	return result < RULES_RESULT_COUNT ? result_names[result] : "?";
}

void report_add(struct rules_report *report, const char *format, ...)
{
	va_list args;

	if (report->count == RULES_REPORT_LINES) {
		snprintf(report->lines[RULES_REPORT_LINES - 1], RULES_REPORT_LINE_MAX,
			"... and more");
		return;
	}
	va_start(args, format);
	vsnprintf(report->lines[report->count++], RULES_REPORT_LINE_MAX, format, args);
	va_end(args);
}
