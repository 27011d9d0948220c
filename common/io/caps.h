/* caps.h: give up every capability but a named few. */
#ifndef COMMON_IO_CAPS_H
#define COMMON_IO_CAPS_H

#include <stdbool.h>
#include <stddef.h>

#define CAPS_TEXT_MAX 256u

/* caps_limit: permitted and effective become the intersection of what we have with `keep`
 * (CAP_NET_ADMIN, ...), inheritable and ambient become empty, the bounding set shrinks where that
 * is permitted, and PR_SET_NO_NEW_PRIVS is set. The calling thread alone is changed: call it before
 * threads are started.
 *   missing  the names that were wanted and are not there, separated by spaces; "" when none.
 * Number of missing ones, or a negative errno. */
int caps_limit(const int *keep, size_t keep_count, char missing[static CAPS_TEXT_MAX])
	__attribute__((warn_unused_result));

/* caps_has: whether the capability is effective now. */
bool caps_has(int capability);

#endif
