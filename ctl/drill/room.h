/* room.h: a drilled cluster, ready to be used: config, plan, lab and daemons together. */
#ifndef CTL_DRILL_ROOM_H
#define CTL_DRILL_ROOM_H

#include "ctl/drill/cluster.h"
#include "ctl/drill/lab.h"
#include "ctl/drill/labconf.h"
#include "ctl/drill/plan.h"

#define ROOM_ERROR_MAX 1024u
#define ROOM_STEADY_MS 30000

struct room_options {
	const char *config_path;
	const char *client; /* segments, or NULL */
	const char *server;
	const char *report_dir; /* must exist */
	uint32_t link_mbit;	/* lab.h */
	struct labconf_options labconf;
};

struct room {
	struct config *cfg;
	struct plan plan;
	struct lab lab;
	struct cluster cluster;
	char error[ROOM_ERROR_MAX]; /* one sentence, or the config's errors, one a line */
};

/* room_open: inside the sandbox: loads the config, derives the harmless one, builds the lab. No
 * daemon runs yet. 0 or a negative errno with `error`; room_close() may be called in any case. */
int room_open(struct room *room, const struct room_options *options);
void room_close(struct room *room);

#endif
