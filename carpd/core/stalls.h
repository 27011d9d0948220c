/* stalls.h: a clock that is late: SIGSTOP, a paused virtual machine, starvation.
 *
 * Seen at the first event after the sleep, before its facts are taken and before anything is sent.
 * A master that has not spoken for as long as its quickest living peer waits for it may have been
 * replaced: with a peer alive when it fell asleep it steps down and says nothing until it has
 * withdrawn; alone, it keeps the addresses but stays silent for one master-down, asks who holds the
 * group, and goes on unless somebody claims it. With rapid confirmation it may have been replaced
 * sooner: then what it reads when it wakes up says so, and it goes without a word (dual.c). The
 * target of a hand-over may sleep longer: the old master serves and waits.
 * A backup that was late re-arms: what it slept through is no silence, so every wait is longer by
 * just that, and by no more. */
#ifndef CARPD_CORE_STALLS_H
#define CARPD_CORE_STALLS_H

#include "carpd/core/election.h"

#define STALLS_LATE_MIN_US 1000 /* with advbase / 4: less is a timer's ordinary lateness */

/* stalls_detect: at the beginning of every step; e->now is the new instant, e->stepped_at and
 * e->wake_at are still those of the step before. */
void stalls_detect(struct election *e);

/* stalls_judge_listening: as master: true while silent. Ends in `demoting` when somebody claims. */
bool stalls_judge_listening(struct election *e, uint8_t group);

#endif
