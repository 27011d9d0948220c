#include "carpd/journal.h"

#include "common/io/log.h"

#include <stdio.h>

#define JOURNAL_FIELD_MAX 96u

void journal_transition(const struct journal_transition *transition)
{
	char group[JOURNAL_FIELD_MAX], from[JOURNAL_FIELD_MAX], to[JOURNAL_FIELD_MAX];
	char reason[JOURNAL_FIELD_MAX], term[JOURNAL_FIELD_MAX];
	const char *const fields[] = {
		"MESSAGE_ID=" JOURNAL_ID_TRANSITION, group, from, to, reason, term, NULL};

	snprintf(group, sizeof(group), "CARPOOL_GROUP=%s", transition->group);
	snprintf(from, sizeof(from), "CARPOOL_STATE_BEFORE=%s", transition->from);
	snprintf(to, sizeof(to), "CARPOOL_STATE=%s", transition->to);
	snprintf(reason, sizeof(reason), "CARPOOL_REASON=%s", transition->reason);
	snprintf(term, sizeof(term), "CARPOOL_TERM=%llu", (unsigned long long)transition->term);
	log_fields(LOG_LEVEL_NOTICE, fields, "%s: %s -> %s, %s, term %llu%s", transition->group,
		transition->from, transition->to, transition->reason,
		(unsigned long long)transition->term, transition->details);
}

void journal_alarm(const char *group, const char *code, bool on, const char *text)
{
	char field_group[JOURNAL_FIELD_MAX], field_code[JOURNAL_FIELD_MAX];
	const char *const fields[] = {
		on ? "MESSAGE_ID=" JOURNAL_ID_ALARM : "MESSAGE_ID=" JOURNAL_ID_ALARM_ENDED,
		field_group, field_code, NULL};

	snprintf(field_group, sizeof(field_group), "CARPOOL_GROUP=%s", group);
	snprintf(field_code, sizeof(field_code), "CARPOOL_ALARM=%s", code);
	if (on)
		log_fields(LOG_LEVEL_WARNING, fields, "%s: alarm %s%s%s", group, code,
			*text ? ": " : "", text);
	else
		log_fields(LOG_LEVEL_NOTICE, fields, "%s: alarm %s is over", group, code);
}
