/* confirm.h: rapid confirmation: one missed advert and a few milliseconds instead of three
 * intervals of silence.
 *
 *   advert          advert missed          ask    ask    ask    ask    ask    dead
 *     |<-- interval -->|<---- margin ---->|<---->| spacing                   |
 *
 * A backup that misses one advert of the master asks it, on every path at once, `questions` times,
 * `spacing` apart. A question is an ordinary advert with a challenge in it: signed, counted and
 * replay-checked like every other one. The answer is the echo of that challenge, which every node
 * gives at once (send.c), and an advert with a new counter: whatever arrives of the master, on any
 * path, ends the questions. When all of them are unanswered on all paths, the master is dead. So
 * loss must hit the advert and every question or its answer. A path without carrier is not asked.
 *
 * What is not believed:
 *   - silence of a master that would not answer in time anyway. Once a second it is asked while all
 *     is well; only if the slowest answer, which fades by a quarter a test, takes at most half of
 *     what the questions take together, silence is evidence. So a long line, a peer that stalls
 *     often, or one that never answers is left to master-down;
 *   - silence that this node's own late clock may have made: who wakes up late after the last
 *     question asks once more, and who was really asleep (stalls.c) begins again: the answers to
 *     what it asked before may have come in vain. */
#ifndef CARPD_CORE_CONFIRM_H
#define CARPD_CORE_CONFIRM_H

#include "carpd/core/election.h"

#define CONFIRM_TEST_MS 1000
#define CONFIRM_TEST_VALID_MS                                                                      \
	10000 /* an answer older than this says nothing about the next one                         \
	       */

/* confirm_judge: as backup, of the only living master; anything else ends the questions. */
void confirm_judge(struct election *e, uint8_t group);

/* confirm_answered: an echo of the last challenge has come in. */
void confirm_answered(struct election *e, uint8_t group, uint8_t peer);

/* confirm_again: this node slept; the questions so far are no evidence. */
void confirm_again(struct election *e, uint8_t group);

/* confirm_armed: whether the master's silence would be believed. */
bool confirm_armed(const struct election *e, uint8_t group);

#endif
