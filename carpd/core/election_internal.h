/* election_internal.h: what the core's files share with each other: the batch and the next wake-up.
 */
#ifndef CARPD_CORE_ELECTION_INTERNAL_H
#define CARPD_CORE_ELECTION_INTERNAL_H

#include "carpd/core/election.h"

/* election_wake: something is to be judged at that instant; the earliest one becomes the deadline.
 * Only during a TIMER step. */
void election_wake(struct election *e, mono_t at);

/* election_append: a zeroed action of that type at the end of the batch, to be filled. */
struct election_action *election_append(
	struct election *e, enum election_action_type type, uint8_t group);

/* election_peer_index: MODEL_NO_PEER for an id that is no peer's. */
uint8_t election_peer_index(const struct election *e, uint8_t id);

/* election_alarm: raises or clears; only changes become actions. */
void election_alarm(
	struct election *e, uint8_t group, enum election_alarm_code code, uint8_t node, bool on);

/* election_reply: answers an operator's request; request_id 0 is nobody's. */
void election_reply(
	struct election *e, uint8_t group, uint32_t request_id, enum election_reply reply);

#endif
