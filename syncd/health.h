/* health.h: whether this node could take over, told to carpd whenever it changes.
 *
 * A standby is ready when it is connected to the master's syncd, the full transfer has ended, and
 * everything is in the kernel (or, in mode on-promotion, in the table). A source is ready; so is a
 * standby of a group without a master or whose master is gone: nothing better can come. */
#ifndef SYNCD_HEALTH_H
#define SYNCD_HEALTH_H

struct node;

/* health_report: costs little when nothing has changed. */
void health_report(struct node *node);

#endif
