/* dual.h: two masters of one group, and who goes.
 *
 * The loser is, in this order (design section 6): the one in fault or maintenance; the one whose
 * adverts show that it hears none of the nodes that hear it, if the other's own ports are well; the
 * more demoted; the lower term. Both sides apply the same rule to the same facts. The winner takes
 * a term above both and re-announces, for the network may have learnt the loser last. How long both
 * claimed the group is counted, the time before they heard each other included: each advert tells
 * the age of its state, so no clocks are compared. A hand-over's overlap is not dual mastership. */
#ifndef CARPD_CORE_DUAL_H
#define CARPD_CORE_DUAL_H

#include "carpd/core/election.h"

/* dual_judge: as master; true when this node has lost and is demoting. */
bool dual_judge(struct election *e, uint8_t group);

/* dual_leave: this node gives the group up, for whatever reason: nothing is double any more. */
void dual_leave(struct election *e, uint8_t group);

#endif
