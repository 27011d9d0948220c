/* reload: a changed config on a running node. See node.h. */
#include "carpd/node.h"

#include "common/io/log.h"

void reload_start(struct node *node, const struct control_ticket *ticket, bool diff, bool force)
{
	(void)diff;
	(void)force;
	log_warnx("reload: not built yet");
	if (ticket)
		(void)control_server_error(
			node->server, ticket, "NOT_YET", "restart carpd instead");
}
