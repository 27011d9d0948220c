/* ops.h: syncd's control socket (doc/protocol-control.md section 6): status, flows, resync,
 * metrics. */
#ifndef SYNCD_OPS_H
#define SYNCD_OPS_H

#include "common/io/control_server.h"
#include "syncd/node.h"

/* ops_open: listens on runtime_dir/syncd.sock. 0 or a negative errno. */
int ops_open(struct control_server **ret_server, struct node *node, const char *runtime_dir)
	__attribute__((warn_unused_result));

#endif
