/* reason.h: the stable words that carpool gives for what it does (design section 10).
 *
 * Logs, history, status and metrics use these names; operators and outside tests rely on them, so a
 * name is never changed and never reused. */
#ifndef COMMON_REASON_H
#define COMMON_REASON_H

#include <stdbool.h>

enum reason {
	REASON_NONE = 0,
	REASON_STARTUP,
	REASON_MASTER_DEAD,
	REASON_MASTER_RESIGNED,
	REASON_BETTER_PEER,
	REASON_PEER_DEMOTED,
	REASON_OWN_DEMOTION,
	REASON_HANDOVER,
	REASON_MAINTENANCE,
	REASON_DUAL_MASTER,
	REASON_LATE_CLOCK,
	REASON_GUARD,
	REASON_PROMOTION_FAILED,
	REASON_RELOAD,
	REASON_SHUTDOWN,
	REASON_COUNT,
};

/* reason_name: "MASTER_DEAD", ...; "NONE" for REASON_NONE. Never NULL. */
const char *reason_name(enum reason reason);

/* reason_parse: the reason with that name; false leaves *ret_reason untouched. */
bool reason_parse(const char *name, enum reason *ret_reason);

#endif
