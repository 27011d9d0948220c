/* report.h: adding lines to a struct rules_report. */
#ifndef RULES_REPORT_H
#define RULES_REPORT_H

#include "rules/rules.h"

void report_add(struct rules_report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
