/* operator.h: commands, wherever they are asked, and the node-wide wishes: maintenance and SIGTERM.
 *
 * A hand-over can be asked on any node. A node that does not hold the group puts the request, with
 * a nonce, into its adverts until the master's adverts answer that nonce; the master remembers the
 * last answer for each peer and repeats it while the request is seen. Every operator's request ends
 * in exactly one REPLY. */
#ifndef CARPD_CORE_OPERATOR_H
#define CARPD_CORE_OPERATOR_H

#include "carpd/core/election.h"

#define OPERATOR_DEADLINE_MS 6000 /* of a request that another node must carry out */
#define OPERATOR_STOP_MS     5000

void operator_handover(struct election *e, const struct election_event *event);
void operator_maintenance(struct election *e, const struct election_event *event);
void operator_stop(struct election *e);

/* operator_judge: own requests on their way to another node, and the end of `yielded`. */
void operator_judge(struct election *e, uint8_t group);

/* operator_judge_requests: as master: what peers ask for. */
void operator_judge_requests(struct election *e, uint8_t group);

/* operator_forget_requests: at the end of a promotion. What peers asked so far they asked the old
 * master, and it answers: were "the best" tried again here, the group would move on and on. */
void operator_forget_requests(struct election *e, uint8_t group);

/* operator_answer: what the master says to a peer's request; asker 0 is nobody. */
void operator_answer(struct election *e, uint8_t group, uint8_t asker, uint32_t nonce,
	enum advert_answer answer);

/* operator_maintenance_failed: a group could not be handed over: the wish is off. */
void operator_maintenance_failed(struct election *e, uint8_t group);

/* operator_judge_node: after all groups: maintenance entered or expired; stop complete. */
void operator_judge_node(struct election *e);

#endif
