/* helper_rules.h: the helper's tasks on rules, and what it remembers of them. Private to helper*.c.
 *
 * A task runs in a child of the helper, because it forks, waits and needs much memory. What it
 * compiled outlives it in a memfd that the helper made before: the rules that are in force, which a
 * repair loads again and a diff compares with, and which tell a reload's elements from the file's.
 */
#ifndef CARPD_HELPER_RULES_H
#define CARPD_HELPER_RULES_H

#include "carpd/helper.h"

#include "common/limits.h"

struct helper_memory {
	char group[LIMIT_NAME]; /* "" = not used */
	int loaded_fd;		/* in force before the latest task; -1 = nothing */
	int fresh_fd;		/* of the latest task that loads; -1 = nothing */
	bool fresh_in_force;	/* once it is whole */
	int compiled_fd;	/* what HELPER_RULES_COMPILE made of the files; -1 = nothing */
	bool compiled_counts;	/* the task at hand loads that, once */
};

/* helper_rules_remember: in the helper, before the child of the task is forked: the memory that the
 * child shall use; NULL: more than LIMIT_GROUPS groups, or no memfd. */
struct helper_memory *helper_rules_remember(struct helper_memory memories[static LIMIT_GROUPS],
	const char *group, enum helper_rules_task task);

/* helper_rules_work: the task itself, in the child. */
void helper_rules_work(const struct config *cfg, const char *node,
	const struct helper_memory *memory, enum helper_rules_task task,
	struct helper_rules_result *result);

#endif
