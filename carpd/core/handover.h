/* handover.h: a planned move of a group, started by the master, at most one at a time.
 *
 *   master                                   target
 *   offer: handover to T, id, every advert   ready (or forced): term above every seen, PROMOTING
 *     keeps addresses and forwarding           stages; claims with handover from M, the same id
 *                                            MASTER, `announced`
 *   20 ms after `announced`: DEMOTING        overlap ends when M is seen not master
 *
 * Nothing is said once: the offer, the claim and `announced` are in every advert until the other
 * side has answered. Target silent, refusing, failing, or 5 s over: the old master takes a term
 * above the target's and re-announces. Old master silent: the target completes as MASTER_DEAD. */
#ifndef CARPD_CORE_HANDOVER_H
#define CARPD_CORE_HANDOVER_H

#include "carpd/core/election.h"

#define HANDOVER_DEADLINE_MS 5000
#define HANDOVER_TAIL_MS     20
/* What has befallen this node may have befallen the peer as well: a switch that dies takes both
 * their carriers, or both their ports. So long the peer's word of that is waited for; a test of its
 * port takes longer than the loss of its carrier. */
#define HANDOVER_COMMON_MS	10
#define HANDOVER_COMMON_TEST_MS 150
#define HANDOVER_RETRY_MS	5000 /* after a failure, for moves that no operator asked for */

/* handover_begin: as master. target: node id, 0 = the best ready peer.
 *   asker, nonce  the peer whose request this is; 0: none
 *   request_id    the own operator's; 0: none */
enum election_reply handover_begin(struct election *e, uint8_t group, uint8_t target,
	enum reason cause, bool force, uint8_t asker, uint32_t nonce, uint32_t request_id);

/* handover_drop: the offer is over because this node leaves `master`; done: the target has it. */
void handover_drop(struct election *e, uint8_t group, bool done);

/* handover_slept: the same, because this node slept too long: what the target did meanwhile is not
 * known yet. handover_judge_slept() answers when it is: the hand-over has happened if the target is
 * the next master, and has failed if anybody else is, or nobody within the deadline. */
void handover_slept(struct election *e, uint8_t group);
void handover_judge_slept(struct election *e, uint8_t group);

/* handover_done: the old master has withdrawn: the hand-over is complete. */
void handover_done(struct election *e, uint8_t group);

/* handover_judge_master: the offer's progress, or reasons to make one. */
void handover_judge_master(struct election *e, uint8_t group);

/* handover_judge_overlap: a fresh master whose predecessor still forwards. */
void handover_judge_overlap(struct election *e, uint8_t group);

/* handover_judge_offered: as backup: takes or refuses an offer; true when it was taken. */
bool handover_judge_offered(struct election *e, uint8_t group);

/* handover_judge_target: as promoting target: the old master gave up on us, or died; or, without
 * a hand-over, a living master is heard. */
void handover_judge_target(struct election *e, uint8_t group);

/* handover_patience: how long the two sides of a hand-over wait for each other: as long as for a
 * backup, for until the target has announced the old master serves. */
dur_t handover_patience(const struct election *e, uint8_t group, uint8_t peer);

/* handover_rejoin: an old master that was given up for dead lives after all and still offers what
 * this node has taken: the hand-over goes on. */
void handover_rejoin(struct election *e, uint8_t group);

/* handover_related: whether that master peer is the other side of a hand-over under way. */
bool handover_related(const struct election *e, uint8_t group, uint8_t peer);

#endif
