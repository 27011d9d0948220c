/* backup.h: when a backup promotes by itself.
 *
 * While the master lives, only the master moves the group. A backup acts alone on four occasions:
 * every holder is dead (silent on all paths), the holder resigned, nobody held the group at the
 * start, or the master is demoted by 100 or more and leaves the request of a better backup
 * unanswered for master-down. In all of them the k-th best backup waits k staggers longer. */
#ifndef CARPD_CORE_BACKUP_H
#define CARPD_CORE_BACKUP_H

#include "carpd/core/election.h"

/* backup_judge: in state BACKUP; may end in PROMOTING. */
void backup_judge(struct election *e, uint8_t group);

/* backup_judge_vacancy: in any state without the group: the alarm that nobody has it. */
void backup_judge_vacancy(struct election *e, uint8_t group);

/* backup_judge_proof: UNPROVEN_PEER goes when the peer has proven itself, or is silent at last. */
void backup_judge_proof(struct election *e, uint8_t group);

#endif
