/* devices.h: interfaces that are up on the master alone, switched by rtnetlink, many in one
 * message.
 *
 * Blocking (RTNL): for the links executor, the guard, and start-up. No allocation. */
#ifndef CARPD_DEVICES_H
#define CARPD_DEVICES_H

#include "carpd/addresses.h"

/* devices_set: administratively up or down. One that is not there cannot be up (-ENODEV), and is
 * down. Results and errors as addresses_add. */
int devices_set(struct addresses_nl *nl, const uint32_t *ifindexes, size_t count, bool up,
	mono_t deadline, struct addresses_result *ret_result) __attribute__((warn_unused_result));

#endif
