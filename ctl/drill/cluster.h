/* cluster.h: the real daemons on the lab's machines, and what they say of themselves.
 *
 * Everything is asked through the control sockets; nothing is assumed and nothing is waited for by
 * sleeping: cluster_wait_steady() asks until the answer is right or the deadline has come, and then
 * tells what was still wrong. */
#ifndef CTL_DRILL_CLUSTER_H
#define CTL_DRILL_CLUSTER_H

#include "ctl/drill/lab.h"

#include <jansson.h>

#define CLUSTER_WHY_MAX 256u
#define CLUSTER_CALL_MS 2000
#define CLUSTER_POLL_MS 20
#define CLUSTER_NOBODY	(-1)

enum cluster_daemon {
	CLUSTER_DAEMON_CARPD,
	CLUSTER_DAEMON_SYNCD,
	CLUSTER_DAEMON_COUNT,
};

struct cluster {
	struct lab *lab;
	const char *config_path; /* borrowed: the derived one */
	const char *report_dir;	 /* borrowed: where logs go */
	char programs[CLUSTER_DAEMON_COUNT][PATH_MAX];
	pid_t pids[LIMIT_NODES][CLUSTER_DAEMON_COUNT]; /* 0: not running */
	bool rival; /* keepalived and conntrackd run in the places of carpd and syncd (rival.h) */
	bool realtime; /* ... at real-time priority */
	char error[LAB_ERROR_MAX];
};

/* cluster_init: finds the programs: beside this command in the build tree, in its own directory, or
 * in PATH. 0, or -ENOENT with `error` set. */
int cluster_init(
	struct cluster *cluster, struct lab *lab, const char *config_path, const char *report_dir);

/* cluster_note_self: where this command lies, before a sandbox is entered: seen from there, the
 * name of a program that was started inside a chroot leads out of it. */
void cluster_note_self(void);

const char *cluster_daemon_name(enum cluster_daemon daemon);

/* cluster_start: one daemon of one machine; its log goes on. 0 or a negative errno. */
int cluster_start(struct cluster *cluster, unsigned int node, enum cluster_daemon daemon);

/* cluster_boot: what a node needs before its daemons start. 0 or a negative errno with `error`. */
int cluster_boot(struct cluster *cluster, unsigned int node);

/* cluster_start_all: both daemons everywhere. */
int cluster_start_all(struct cluster *cluster);

/* cluster_signal: to one daemon. -ESRCH when it does not run. */
int cluster_signal(
	struct cluster *cluster, unsigned int node, enum cluster_daemon daemon, int signal_number);

/* cluster_reap: notes which daemons have ended. True when one has ended that nobody killed through
 * cluster_signal() or by switching its machine off; `why` names it. */
bool cluster_reap(struct cluster *cluster, char why[static CLUSTER_WHY_MAX]);

/* cluster_ask: one request to a daemon. *ret_result is the caller's. 0 or a negative errno with
 * `error` set. */
int cluster_ask(struct cluster *cluster, unsigned int node, enum cluster_daemon daemon,
	const json_t *request, int timeout_ms, json_t **ret_result);

/* cluster_history: all transitions of a node, oldest first: an array, the caller's; NULL when it
 * does not answer. */
json_t *cluster_history(struct cluster *cluster, unsigned int node);

/* cluster_status: a daemon's status document, the caller's; NULL when it does not answer. */
json_t *cluster_status(struct cluster *cluster, unsigned int node, enum cluster_daemon daemon);

/* cluster_master: the one node that says it is master of the group, CLUSTER_NOBODY when none or
 * several do. `skip` is a node not to ask (a dead one), or CLUSTER_NOBODY. */
int cluster_master(struct cluster *cluster, const char *group, int skip);

/* cluster_synced: what the node holds of the others' flows, as far as it says: a rival's cache. */
long cluster_synced(struct cluster *cluster, unsigned int node);

/* cluster_wait_steady: until every group has one master on the running machines, all others are
 * ready backups, and the states are in sync. 0, -ETIMEDOUT with `error` saying what is not right,
 * or -EINTR (sandbox_stopped). */
int cluster_wait_steady(struct cluster *cluster, int timeout_ms);

#endif
