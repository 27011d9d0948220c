#include "ctl/drill/room.h"

#include "ctl/drill/flows.h"
#include "ctl/drill/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int room_load(struct room *room, const char *path)
{
	struct config_errors errors;
	size_t used = 0;

	room->cfg = config_load(path, NULL, &errors);
	if (room->cfg)
		return 0;
	for (uint32_t i = 0; i < errors.count && used < sizeof(room->error) - 1; i++) {
		char text[CONFIG_ERROR_LINE_MAX];
		int n = snprintf(room->error + used, sizeof(room->error) - used, "%s%s",
			i > 0 ? "\n" : "", config_errors_render(&errors, i, text));

		used += n > 0 ? (size_t)n : 0;
	}
	return -EINVAL;
}

int room_open(struct room *room, const struct room_options *options)
{
	char error[LABCONF_ERROR_MAX > PLAN_ERROR_MAX ? LABCONF_ERROR_MAX : PLAN_ERROR_MAX] = "";
	int r;

	(void)memset(room, 0, sizeof(*room));
	r = room_load(room, options->config_path);
	if (r < 0)
		return r;
	r = labconf_write(room->cfg, &options->labconf, error);
	if (r == 0)
		r = plan_make(&room->plan, room->cfg, options->client, options->server, error);
	if (r < 0) {
		(void)snprintf(room->error, sizeof(room->error), "%s", error);
		return r;
	}
	r = lab_open(&room->lab, &room->plan, options->link_mbit);
	if (r < 0) {
		(void)snprintf(room->error, sizeof(room->error), "%s", room->lab.error);
		return r;
	}
	return cluster_init(&room->cluster, &room->lab, LABCONF_FILE, options->report_dir);
}

void room_close(struct room *room)
{
	/* Emptied here, where we wait for it; else the kernel does it behind the next run's back.
	 */
	for (unsigned int n = 0; n < room->lab.node_count; n++) {
		lab_node_off(&room->lab.nodes[n]);
		if (room->lab.nodes[n].netns_fd >= 0)
			flows_flush(room->lab.nodes[n].netns_fd);
	}
	if (room->lab.plan)
		lab_close(&room->lab);
	config_free(room->cfg);
	room->cfg = NULL;
}
