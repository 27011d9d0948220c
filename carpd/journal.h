/* journal.h: the two things that an operator filters the journal for: transitions and alarms.
 *
 * Under systemd each line carries fields, so that
 *   journalctl CARPOOL_GROUP=edge          what happened to a group
 *   journalctl MESSAGE_ID=6801ad37...      every transition
 *   journalctl -x                          with the catalog's explanation (carpd/carpool.catalog)
 * need no parsing; elsewhere the line is the same without them. The ids and field names are stable.
 */
#ifndef CARPD_JOURNAL_H
#define CARPD_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#define JOURNAL_ID_TRANSITION  "6801ad37a8a54fabae25d545d4ed06fe"
#define JOURNAL_ID_ALARM       "3a5b60ce8d2e4bf8aea3766d01f43a42"
#define JOURNAL_ID_ALARM_ENDED "7452d12f0d424b9d8e907b6e09b2cc80"

struct journal_transition {
	const char *group; /* all borrowed for the call */
	const char *from;
	const char *to;
	const char *reason;
	uint64_t term;
	const char *details; /* facts and stages, as they follow the term in the line */
};

/* journal_transition: notice; CARPOOL_GROUP, _STATE_BEFORE, _STATE, _REASON, _TERM. */
void journal_transition(const struct journal_transition *transition);

/* journal_alarm: a warning when it is raised, a notice when it is over; CARPOOL_GROUP, _ALARM.
 *   text  "" when the code says it all. */
void journal_alarm(const char *group, const char *code, bool on, const char *text);

#endif
