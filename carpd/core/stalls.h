/* stalls.h: a clock that is late: SIGSTOP, a paused virtual machine, starvation.
 *
 * Seen at the first event after the sleep, before its facts are taken and before anything is sent.
 * A master that has not spoken for dead_factor of its own intervals may have been replaced: with a
 * peer alive when it fell asleep it steps down and says nothing until it has withdrawn; alone, it
 * keeps the addresses but stays silent for one master-down, asks who holds the group, and goes on
 * unless somebody claims it. A backup that was late by half a master-down re-arms: what it missed
 * while asleep is not silence. */
#ifndef CARPD_CORE_STALLS_H
#define CARPD_CORE_STALLS_H

#include "carpd/core/election.h"

/* stalls_detect: at the beginning of every step; e->now is the new instant, e->stepped_at and
 * e->wake_at are still those of the step before. */
void stalls_detect(struct election *e);

/* stalls_judge_listening: as master: true while silent. Ends in `demoting` when somebody claims. */
bool stalls_judge_listening(struct election *e, uint8_t group);

#endif
