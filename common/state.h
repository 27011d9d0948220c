/* state.h: the states of a group on a node, as the wire, the control protocol and people name them
 * (design section 5). */
#ifndef COMMON_STATE_H
#define COMMON_STATE_H

enum group_state {
	GROUP_STATE_INIT = 0,
	GROUP_STATE_BACKUP,
	GROUP_STATE_PROMOTING,
	GROUP_STATE_MASTER,
	GROUP_STATE_DEMOTING,
	GROUP_STATE_MAINTENANCE,
	GROUP_STATE_FAULT,
	GROUP_STATE_COUNT,
};

/* state_name: "init", "backup", ... Never NULL. */
const char *state_name(enum group_state state);

#endif
