/* life.h: the life of a kernel's connection-tracking table.
 *
 * The table lives as long as the network namespace: it outlives syncd, not a reboot. Stamps carry
 * the life, so that a rebooted node's first changes are not mistaken for old ones. The number is
 * kept in the runtime directory beside the boot id and the namespace that it belongs to; a new life
 * takes the wall clock's seconds, or one more than the last: later lives are greater. */
#ifndef SYNCD_LIFE_H
#define SYNCD_LIFE_H

#include <stdint.h>

/* life_load: the life of this namespace's table, remembered in runtime_dir (written there when it
 * is new; a failure to write is logged and does no harm until a restart). */
uint32_t life_load(const char *runtime_dir);

#endif
