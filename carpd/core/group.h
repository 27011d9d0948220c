/* group.h: the state machine of one group on this node.
 *
 *              hold over              dead / resigned / start / offered
 *     INIT ---------------> BACKUP -----------------------------------> PROMOTING
 *                            ^  ^                                        |     | PROMOTED
 *                            |  |          DEMOTED                aborts |     v
 *                            |  +------------------ DEMOTING <-----------+   MASTER
 *                            v                          ^                      |
 *                   MAINTENANCE, FAULT                  +----------------------+
 *
 * group_set_state() is the only writer of `state`: it stamps, traces, records the transition and
 * lets the next advert go at once. Everything that judges runs in TIMER steps. */
#ifndef CARPD_CORE_GROUP_H
#define CARPD_CORE_GROUP_H

#include "carpd/core/election.h"

#define GROUP_HOLD_PROLONGED_MAX 5u

/* group_init: INIT, with a hold that begins now. */
void group_init(struct election *e, uint8_t group);

/* group_judge: everything that time and facts demand of this group. */
void group_judge(struct election *e, uint8_t group);

/* group_holder_left: a peer that held the group has said that it does not any more, or its life
 * has ended. dead_at: when it would have counted as dead. */
void group_holder_left(
	struct election *e, uint8_t group, uint8_t peer, mono_t dead_at, bool resigned);

/* Results of the shell's stages. */
void group_promoted(struct election *e, uint8_t group);
void group_promotion_failed(struct election *e, uint8_t group);
void group_demoted(struct election *e, uint8_t group);

/* group_promote: BACKUP -> PROMOTING with a term above every term seen. from: node id of the old
 * master in a hand-over, else 0. */
void group_promote(struct election *e, uint8_t group, enum reason reason, uint8_t from, bool force,
	const struct election_fact *facts, uint8_t fact_count);

/* group_demote: MASTER or PROMOTING -> DEMOTING. to: the node id that has the group then, or 0:
 * then the next word is a resignation that names the best peer. */
void group_demote(struct election *e, uint8_t group, enum reason reason, uint8_t to);

/* group_raise_term: a master takes a term above every term seen and says so to the network. */
void group_raise_term(struct election *e, uint8_t group);

/* group_interval: how often this node advertises as master of the group. */
dur_t group_interval(const struct election *e, uint8_t group);

/* group_master_down: this node's wait for a master with that interval (0: its own). */
dur_t group_master_down(const struct election *e, uint8_t group, dur_t master_interval);

/* group_next_best: whom a resignation names: the best ready peer, else the best at all, else 0. */
uint8_t group_next_best(const struct election *e, uint8_t group);

#endif
