/* status_level.h: how bad is it? One judgement for `status`, `status --watch` and
 * `status --check`.
 *
 * Pure: takes the status document (design section 5). Critical: a group without a master, or with
 * two. Warning: any alarm, and whatever would make the next failure an outage: a peer that is
 * silent, not ready or in maintenance, this node in fault, rules that differ. A hand-over under way
 * (a node promoting or demoting) is no alarm for the group that it moves. */
#ifndef CTL_STATUS_LEVEL_H
#define CTL_STATUS_LEVEL_H

#include <jansson.h>

#define STATUS_LEVEL_PROBLEMS_MAX 32u
#define STATUS_LEVEL_TEXT_MAX	  512u

enum status_level { /* the exit codes of monitoring plugins */
	STATUS_LEVEL_OK = 0,
	STATUS_LEVEL_WARNING = 1,
	STATUS_LEVEL_CRITICAL = 2,
	STATUS_LEVEL_UNKNOWN = 3,
};

struct status_level_problem {
	enum status_level level;
	char text[STATUS_LEVEL_TEXT_MAX];
	const char *since;  /* borrowed from the document; NULL when not known */
	const char *advice; /* NULL when there is none */
};

struct status_level_report {
	enum status_level level; /* the worst of the problems */
	unsigned int problem_count;
	unsigned int problems_left_off; /* beyond STATUS_LEVEL_PROBLEMS_MAX; counted in the level */
	struct status_level_problem problems[STATUS_LEVEL_PROBLEMS_MAX];
};

void status_level_judge(const json_t *status, struct status_level_report *ret_report);

/* status_level_name: "OK", "WARNING", "CRITICAL", "UNKNOWN". */
const char *status_level_name(enum status_level level);

#endif
