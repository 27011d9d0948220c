/* paths.h: a silent path, and whose fault it is.
 *
 * Silence does not tell whose port is dead. When a group interface is silent while the peer lives
 * elsewhere - or when the peer says that it no longer hears us there - this node has its own port
 * tested by the shell (carrier; anything received; three probes) and repeats that every second
 * while the silence lasts. Who takes a group over hearing nobody at all has its ports tested, too,
 * and is in doubt (dual.h) until one of them works. A port that fails costs its weight; both alike
 * move nothing: PATH_SPLIT. A sync path is never tested: losing it costs readiness, which the shell
 * reports. */
#ifndef CARPD_CORE_PATHS_H
#define CARPD_CORE_PATHS_H

#include "carpd/core/election.h"

#define PATHS_PROBE_SPACING_MS 1000

/* paths_judge: looks at every interface of the group; asks for probes; raises PATH_SPLIT. */
void paths_judge(struct election *e, uint8_t group);

/* paths_port: what this node says of its own port: enum advert_port. */
uint8_t paths_port(const struct election *e, uint8_t path);

/* paths_demotion: the weights of the group's failed interfaces. */
uint32_t paths_demotion(const struct election *e, uint8_t group);

/* paths_fault: every interface of the group has failed. */
bool paths_fault(const struct election *e, uint8_t group);

/* paths_all_well: none of them has. */
bool paths_all_well(const struct election *e, uint8_t group);

void paths_carrier(struct election *e, uint8_t path, bool up);
void paths_tested(struct election *e, uint8_t path, bool passed);

#endif
