/* labserver.h: a lab that a test steers: `carpool drill lab`.
 *
 * Builds the cluster of a config, prints one line of JSON that describes it (who is where, how to
 * get in), then takes orders on standard input, one JSON object a line, and answers each with one
 * line {"ok":true,...} or {"ok":false,"error":"..."}. It ends, and everything with it, when its
 * standard input does.
 *
 *   {"do":"wait-steady","timeout_ms":30000}        {"do":"master","group":"edge"}
 *   {"do":"power-off|power-on|link-down|link-up|path-loss|path-mend","node":"fw1","segment":"lan0"}
 *   {"do":"signal","node":"fw1","daemons":["carpd","syncd"],"signal":9}
 *   {"do":"start","node":"fw1","daemons":["carpd"]}
 *   {"do":"handover","node":"fw1","group":"edge"}
 *   {"do":"probe-start","rate":1000,"tcp":true,"users":true}    {"do":"probe-good","quiet_ms":500}
 *   {"do":"fill","node":"fw1","count":1000}        {"do":"flows","node":"fw2"}
 *   {"do":"probe-stop"}  -> what was measured since probe-start, or since the last order that
 *                           broke something
 */
#ifndef CTL_DRILL_LABSERVER_H
#define CTL_DRILL_LABSERVER_H

#include "ctl/drill/room.h"

#include <stdbool.h>

struct labserver_options {
	struct room_options room;
	bool no_start; /* the daemons are started by orders */
};

/* labserver_inside: the sandbox's main function. 0, 1 or 2. */
int labserver_inside(void *context);

#endif
