/* watch.h: what the daemons say of themselves after the fault: alarms, and when all are ready. */
#ifndef CTL_DRILL_WATCH_H
#define CTL_DRILL_WATCH_H

#include "ctl/drill/cluster.h"
#include "ctl/drill/measure.h"

/* watch_look: asks once; notes every alarm at its first sight, and the first time at which the
 * whole cluster is steady. A daemon that does not answer says nothing. */
void watch_look(struct cluster *cluster, struct measure *measure);

#endif
