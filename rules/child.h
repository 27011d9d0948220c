/* child.h: waiting for a child with a deadline. */
#ifndef RULES_CHILD_H
#define RULES_CHILD_H

#include <sys/types.h>

#include "common/mono.h"

/* child_wait: the end of `pid`, which leads its own process group; at the deadline the group is
 * killed. Reaps it. 0 with waitpid()'s status, or -ETIMEDOUT. */
int child_wait(pid_t pid, mono_t deadline, int *ret_status);

#endif
