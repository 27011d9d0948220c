#include "common/reason.h"

#include "common/check.h"

#include <assert.h>
#include <string.h>

static const char *const reason_names[] = {
	[REASON_NONE] = "NONE",
	[REASON_STARTUP] = "STARTUP",
	[REASON_MASTER_DEAD] = "MASTER_DEAD",
	[REASON_MASTER_RESIGNED] = "MASTER_RESIGNED",
	[REASON_BETTER_PEER] = "BETTER_PEER",
	[REASON_PEER_DEMOTED] = "PEER_DEMOTED",
	[REASON_OWN_DEMOTION] = "OWN_DEMOTION",
	[REASON_HANDOVER] = "HANDOVER",
	[REASON_MAINTENANCE] = "MAINTENANCE",
	[REASON_DUAL_MASTER] = "DUAL_MASTER",
	[REASON_LATE_CLOCK] = "LATE_CLOCK",
	[REASON_GUARD] = "GUARD",
	[REASON_PROMOTION_FAILED] = "PROMOTION_FAILED",
	[REASON_RELOAD] = "RELOAD",
	[REASON_SHUTDOWN] = "SHUTDOWN",
};
static_assert(ARRAY_LEN(reason_names) == REASON_COUNT, "a reason has no name");

const char *reason_name(enum reason reason)
{
	CHECK(reason < REASON_COUNT);
	return reason_names[reason];
}

bool reason_parse(const char *name, enum reason *ret_reason)
{
	for (enum reason reason = 0; reason < REASON_COUNT; reason++) {
		if (strcmp(reason_names[reason], name) == 0) {
			*ret_reason = reason;
			return true;
		}
	}
	return false;
}
