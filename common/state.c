#include "common/state.h"

#include "common/check.h"

#include <assert.h>

static const char *const state_names[] = {
	[GROUP_STATE_INIT] = "init",
	[GROUP_STATE_BACKUP] = "backup",
	[GROUP_STATE_PROMOTING] = "promoting",
	[GROUP_STATE_MASTER] = "master",
	[GROUP_STATE_DEMOTING] = "demoting",
	[GROUP_STATE_MAINTENANCE] = "maintenance",
	[GROUP_STATE_FAULT] = "fault",
};
static_assert(ARRAY_LEN(state_names) == GROUP_STATE_COUNT, "a state has no name");

const char *state_name(enum group_state state)
{
	CHECK(state < GROUP_STATE_COUNT);
	return state_names[state];
}
