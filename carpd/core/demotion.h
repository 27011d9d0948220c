/* demotion.h: why this node would rather not be master, as named weights.
 *
 * Three sources: names that the shell sets (tracked interfaces and scripts), failed interfaces
 * (paths.c), and the core's own `promotion_failed`. A demotion raised by a `when: master` check
 * stays when mastership is lost, until the check passes as master again, a reload, or 10 minutes:
 * else two nodes with the same fault would hand the group back and forth for ever. */
#ifndef CARPD_CORE_DEMOTION_H
#define CARPD_CORE_DEMOTION_H

#include "carpd/core/election.h"

#define DEMOTION_FAILED_WEIGHT	100u
#define DEMOTION_FAILED_SECONDS 60
#define DEMOTION_STICKY_SECONDS 600

/* demotion_set: weight 0 clears. expires: MONO_NEVER without. A full table keeps what it has. */
void demotion_set(struct election *e, uint8_t group, const char *name, uint16_t weight,
	bool when_master, mono_t expires);

/* demotion_total: without the 30 for not ready; saturates at 65535. */
uint32_t demotion_total(const struct election *e, uint8_t group);

/* demotion_judge: lets expired ones go. */
void demotion_judge(struct election *e, uint8_t group);

/* demotion_lost_mastership: starts the clock of the `when: master` ones. */
void demotion_lost_mastership(struct election *e, uint8_t group);

/* demotion_regained_mastership: stops it: the check runs again and decides itself. */
void demotion_regained_mastership(struct election *e, uint8_t group);

/* demotion_forget_sticky: a reload. */
void demotion_forget_sticky(struct election *e, uint8_t group);

#endif
