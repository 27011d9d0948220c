/* dual.h: two masters of one group, and who goes.
 *
 * The loser is, in this order (design section 6): the one in fault or maintenance; the one whose
 * adverts show that it hears none of the nodes that hear it, if the other's own ports are well; the
 * more demoted; the lower term. One that took over hearing nobody, before a port of its own was
 * seen to work, counts as in fault: perhaps it was cut off, and the other one served all the time.
 * Both sides apply the same rule to the same facts. The winner takes a term above both and
 * re-announces, for the network may have learnt the loser last, and again when the loser has let
 * go: it answered until then. How long both claimed the group is counted, the time before they
 * heard each other included: each advert tells the age of its state, so no clocks are compared. A
 * hand-over's overlap is not dual mastership. */
#ifndef CARPD_CORE_DUAL_H
#define CARPD_CORE_DUAL_H

#include "carpd/core/election.h"

/* dual_judge: as master; true when this node has lost and is demoting. */
bool dual_judge(struct election *e, uint8_t group);

/* dual_doubt: the promotion just begun is one that heard nobody. */
void dual_doubt(struct election *e, uint8_t group);

/* dual_judge_doubt: as master: a port's test that passed ends the doubt about a takeover that heard
 * nobody (paths.c), or a master-down in company that brings no second master to light. */
void dual_judge_doubt(struct election *e, uint8_t group);

/* dual_judge_seen: as anything but a master: two others that do not hear each other, while this
 * node hears both: only it can say so. */
void dual_judge_seen(struct election *e, uint8_t group);

/* dual_leave: this node gives the group up, for whatever reason: nothing is double any more. */
void dual_leave(struct election *e, uint8_t group);

#endif
