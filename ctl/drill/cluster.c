#include "ctl/drill/cluster.h"

#include "ctl/drill/rival.h"
#include "ctl/drill/sandbox.h"
#include "ctl/drill/tick.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/control_client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const cluster_daemon_names[] = {
	[CLUSTER_DAEMON_CARPD] = "carpd",
	[CLUSTER_DAEMON_SYNCD] = "syncd",
};
static_assert(ARRAY_LEN(cluster_daemon_names) == CLUSTER_DAEMON_COUNT, "a name for each");

const char *cluster_daemon_name(enum cluster_daemon daemon)
{
	return cluster_daemon_names[daemon];
}

/* Set once, before any sandbox; inherited by what runs in there. */
static char cluster_self[PATH_MAX];

void cluster_note_self(void)
{
	ssize_t n = readlink("/proc/self/exe", cluster_self, sizeof(cluster_self) - 1);

	cluster_self[n > 0 ? n : 0] = '\0';
}

/* Beside us in the build tree, in our own directory, else wherever PATH leads. */
static void cluster_find_program(enum cluster_daemon daemon, char path[static PATH_MAX])
{
	const char *name = cluster_daemon_names[daemon];
	char own[PATH_MAX];
	char *slash;

	(void)snprintf(own, sizeof(own), "%s", cluster_self);
	slash = strrchr(own, '/');
	if (slash) {
		*slash = '\0';
		if (snprintf(path, PATH_MAX, "%s/../%s/%s", own, name, name) < PATH_MAX &&
			access(path, X_OK) == 0)
			return;
		if (snprintf(path, PATH_MAX, "%s/%s", own, name) < PATH_MAX &&
			access(path, X_OK) == 0)
			return;
	}
	(void)snprintf(path, PATH_MAX, "%s", name);
}

int cluster_init(
	struct cluster *cluster, struct lab *lab, const char *config_path, const char *report_dir)
{
	(void)memset(cluster, 0, sizeof(*cluster));
	cluster->lab = lab;
	cluster->config_path = config_path;
	cluster->report_dir = report_dir;
	for (unsigned int d = 0; d < CLUSTER_DAEMON_COUNT; d++)
		cluster_find_program((enum cluster_daemon)d, cluster->programs[d]);
	return 0;
}

static int cluster_open_log(const struct cluster *cluster, const char *node, const char *daemon)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s.%s.log", cluster->report_dir, node, daemon);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

int cluster_start(struct cluster *cluster, unsigned int index, enum cluster_daemon daemon)
{
	const struct lab_node *node = &cluster->lab->nodes[index];
	const char *argv[] = {cluster->programs[daemon], "--config", cluster->config_path, "--node",
		node->config->name, "--runtime-dir", node->runtime_dir, "--state-dir",
		node->state_dir, NULL};
	int log_fd = cluster_open_log(cluster, node->config->name, cluster_daemon_names[daemon]);
	pid_t pid;

	if (log_fd < 0)
		return log_fd;
	if (cluster->rival)
		pid = rival_start(cluster->lab, index, daemon, log_fd);
	else
		pid = lab_node_spawn(node, argv, log_fd);
	(void)close(log_fd);
	if (pid < 0) {
		(void)snprintf(cluster->error, sizeof(cluster->error), "%s on %s: %s",
			cluster_daemon_names[daemon], node->config->name, strerror(-pid));
		return pid;
	}
	cluster->pids[index][daemon] = pid;
	return 0;
}

int cluster_boot(struct cluster *cluster, unsigned int node)
{
	int r = cluster->rival ? rival_prepare(cluster->lab, node, cluster->realtime) : 0;

	if (r < 0)
		(void)snprintf(
			cluster->error, sizeof(cluster->error), "%.400s", cluster->lab->error);
	return r;
}

int cluster_start_all(struct cluster *cluster)
{
	for (unsigned int n = 0; n < cluster->lab->node_count; n++) {
		int r = cluster_boot(cluster, n);

		if (r < 0)
			return r;
		for (unsigned int d = 0; d < CLUSTER_DAEMON_COUNT; d++) {
			if (d == CLUSTER_DAEMON_SYNCD && !cluster->lab->plan->cfg->sync.configured)
				continue;
			r = cluster_start(cluster, n, (enum cluster_daemon)d);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int cluster_signal(
	struct cluster *cluster, unsigned int node, enum cluster_daemon daemon, int signal_number)
{
	pid_t pid = cluster->pids[node][daemon];

	if (pid <= 0)
		return -ESRCH;
	if (cluster->rival && (signal_number == SIGSTOP || signal_number == SIGCONT))
		rival_signal_family(pid, signal_number);
	else if (kill(pid, signal_number) < 0)
		return -errno;
	if (signal_number == SIGKILL || signal_number == SIGTERM)
		cluster->pids[node][daemon] = 0; /* its end is expected now */
	return 0;
}

bool cluster_reap(struct cluster *cluster, char why[static CLUSTER_WHY_MAX])
{
	bool unexpected = false;

	for (unsigned int n = 0; n < cluster->lab->node_count; n++) {
		for (unsigned int d = 0; d < CLUSTER_DAEMON_COUNT; d++) {
			pid_t pid = cluster->pids[n][d];
			int status = 0;

			/* Not our child any more: buried when a machine was switched off. */
			if (pid <= 0 || waitpid(pid, &status, WNOHANG) == 0)
				continue;
			cluster->pids[n][d] = 0;
			if (cluster->lab->nodes[n].first_process == 0)
				continue;
			unexpected = true;
			(void)snprintf(why, CLUSTER_WHY_MAX, "%s on %s has ended by itself: %s %d",
				cluster_daemon_names[d], cluster->lab->nodes[n].config->name,
				WIFEXITED(status) ? "exit" : "signal",
				WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		}
	}
	return unexpected;
}

static void cluster_socket_path(const struct cluster *cluster, unsigned int node,
	enum cluster_daemon daemon, char path[static PATH_MAX])
{
	(void)snprintf(path, PATH_MAX, "%.*s/%s.sock", PATH_MAX - 32,
		cluster->lab->nodes[node].runtime_dir, cluster_daemon_names[daemon]);
}

int cluster_ask(struct cluster *cluster, unsigned int node, enum cluster_daemon daemon,
	const json_t *request, int timeout_ms, json_t **ret_result)
{
	struct control_client_error error = {0};
	struct control_client client;
	char path[PATH_MAX];
	int r;

	if (cluster->rival)
		return -EOPNOTSUPP;
	cluster_socket_path(cluster, node, daemon, path);
	r = control_client_open(&client, path);
	if (r == 0) {
		r = control_client_call(&client, request, mono_add(clock_now(), dur_ms(timeout_ms)),
			ret_result, &error);
		control_client_close(&client);
	}
	if (r < 0)
		(void)snprintf(cluster->error, sizeof(cluster->error), "%s on %s: %s%s%.300s",
			cluster_daemon_names[daemon], cluster->lab->nodes[node].config->name,
			error.code, error.code[0] ? ": " : "",
			error.text[0] ? error.text : strerror(-r));
	return r;
}

static int cluster_on_item(const json_t *item, void *context)
{
	json_t *array = context;

	/* Streams wrap what they send; the caller of the stream gets what is inside. */
	return json_array_append(array, (json_t *)(uintptr_t)item) < 0 ? -ENOMEM : 0;
}

json_t *cluster_history(struct cluster *cluster, unsigned int node)
{
	struct control_client_error error = {0};
	struct control_client client;
	char path[PATH_MAX];
	json_t *request = json_pack("{s:s}", "op", "history");
	json_t *result = NULL;
	json_t *array = json_array();
	int r;

	cluster_socket_path(cluster, node, CLUSTER_DAEMON_CARPD, path);
	r = cluster->rival ? -EOPNOTSUPP : control_client_open(&client, path);
	if (r == 0) {
		r = control_client_stream(&client, request, dur_ms(CLUSTER_CALL_MS),
			cluster_on_item, array, &result, &error);
		control_client_close(&client);
	}
	json_decref(request);
	json_decref(result);
	if (r == 0)
		return array;
	json_decref(array);
	return NULL;
}

json_t *cluster_status(struct cluster *cluster, unsigned int node, enum cluster_daemon daemon)
{
	json_t *request = json_pack("{s:s}", "op", "status");
	json_t *result = NULL;

	(void)cluster_ask(cluster, node, daemon, request, CLUSTER_CALL_MS, &result);
	json_decref(request);
	return result;
}

/* The group's object in a status document; borrowed. */
static json_t *cluster_group(const json_t *status, const char *name)
{
	json_t *group;
	size_t i;

	json_array_foreach (json_object_get(status, "groups"), i, group) {
		const char *its = json_string_value(json_object_get(group, "name"));

		if (its && strcmp(its, name) == 0)
			return group;
	}
	return NULL;
}

static const char *cluster_group_state(const json_t *status, const char *name)
{
	const char *state =
		json_string_value(json_object_get(cluster_group(status, name), "state"));

	return state ? state : "?";
}

static bool cluster_is_on(const struct cluster *cluster, unsigned int node)
{
	return cluster->lab->nodes[node].first_process != 0;
}

static bool cluster_is_master(struct cluster *cluster, unsigned int node, const char *group)
{
	json_t *status;
	bool is;

	if (cluster->rival)
		return rival_has_group(cluster->lab, node,
			config_group_lookup(cluster->lab->plan->cfg, group), true);
	status = cluster_status(cluster, node, CLUSTER_DAEMON_CARPD);
	is = status && strcmp(cluster_group_state(status, group), "master") == 0;
	json_decref(status);
	return is;
}

int cluster_master(struct cluster *cluster, const char *group, int skip)
{
	int master = CLUSTER_NOBODY;
	unsigned int count = 0;

	for (unsigned int n = 0; n < cluster->lab->node_count; n++) {
		if ((int)n == skip || !cluster_is_on(cluster, n) ||
			!cluster_is_master(cluster, n, group))
			continue;
		master = (int)n;
		count++;
	}
	return count == 1 ? master : CLUSTER_NOBODY;
}

static bool cluster_not_steady(struct cluster *cluster, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool cluster_not_steady(struct cluster *cluster, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(cluster->error, sizeof(cluster->error), format, args);
	va_end(args);
	return false;
}

/* As the master sees them: every peer that is on is a ready backup. */
static bool cluster_peers_ready(
	struct cluster *cluster, const json_t *status, const char *group, const char *master)
{
	json_t *peers = json_object_get(cluster_group(status, group), "peers");
	json_t *peer;
	size_t i;

	json_array_foreach (peers, i, peer) {
		const char *name = json_string_value(json_object_get(peer, "node"));
		const char *state = json_string_value(json_object_get(peer, "state"));
		struct lab_node *node = name ? lab_node_lookup(cluster->lab, name) : NULL;

		if (!node || node->first_process == 0)
			continue;
		if (!state || strcmp(state, "backup") != 0)
			return cluster_not_steady(cluster, "group %s: %s sees %s as %s", group,
				master, name, state ? state : "?");
		if (!json_is_true(json_object_get(peer, "ready"))) {
			char *why = json_dumps(json_object_get(peer, "not_ready"), JSON_COMPACT);

			(void)cluster_not_steady(cluster, "group %s: %s sees %s as not ready %s",
				group, master, name, why ? why : "");
			free(why);
			return false;
		}
	}
	return true;
}

static bool cluster_group_steady(
	struct cluster *cluster, json_t *const *statuses, const char *group)
{
	int master = CLUSTER_NOBODY;

	for (unsigned int n = 0; n < cluster->lab->node_count; n++) {
		const char *name = cluster->lab->nodes[n].config->name;
		const char *state;

		if (!cluster_is_on(cluster, n))
			continue;
		state = cluster_group_state(statuses[n], group);
		if (strcmp(state, "master") == 0 && master != CLUSTER_NOBODY)
			return cluster_not_steady(cluster, "group %s has two masters", group);
		if (strcmp(state, "master") == 0)
			master = (int)n;
		else if (strcmp(state, "backup") != 0)
			return cluster_not_steady(
				cluster, "group %s: %s is %s", group, name, state);
	}
	if (master == CLUSTER_NOBODY)
		return cluster_not_steady(cluster, "group %s has no master", group);
	return cluster_peers_ready(
		cluster, statuses[master], group, cluster->lab->nodes[master].config->name);
}

/* Every peer that is on is connected and in sync. */
static bool cluster_sync_steady(struct cluster *cluster, unsigned int n)
{
	const char *own = cluster->lab->nodes[n].config->name;
	json_t *status = cluster_status(cluster, n, CLUSTER_DAEMON_SYNCD);
	bool steady = status != NULL;
	json_t *peer;
	size_t i;

	json_array_foreach (json_object_get(status, "peers"), i, peer) {
		const char *name = json_string_value(json_object_get(peer, "node"));
		struct lab_node *node = name ? lab_node_lookup(cluster->lab, name) : NULL;

		if (!node || node->first_process == 0)
			continue;
		if (!json_is_true(json_object_get(peer, "connected")))
			steady = cluster_not_steady(
				cluster, "syncd on %s is not connected to %s", own, name);
		else if (!json_is_true(json_object_get(peer, "in_sync")))
			steady = cluster_not_steady(
				cluster, "syncd on %s is not in sync with %s", own, name);
	}
	json_decref(status);
	return steady;
}

long cluster_synced(struct cluster *cluster, unsigned int node)
{
	return rival_synced(cluster->lab, node);
}

/* One node has all addresses of each group, and the other none; both conntrackds answer. */
static bool cluster_rival_steady(struct cluster *cluster)
{
	const struct config *cfg = cluster->lab->plan->cfg;

	for (uint32_t g = 0; g < cfg->group_count; g++) {
		int master = cluster_master(cluster, cfg->groups[g].name, CLUSTER_NOBODY);

		if (master < 0 || !rival_has_group(cluster->lab, (unsigned int)master,
					  &cfg->groups[g], false))
			return cluster_not_steady(cluster,
				"group %s: not exactly one node has its addresses",
				cfg->groups[g].name);
	}
	for (unsigned int n = 0; n < cluster->lab->node_count; n++)
		if (cluster->pids[n][CLUSTER_DAEMON_SYNCD] > 0 && rival_synced(cluster->lab, n) < 0)
			return cluster_not_steady(cluster, "conntrackd on %s does not answer",
				cluster->lab->nodes[n].config->name);
	return true;
}

static bool cluster_steady(struct cluster *cluster)
{
	json_t *statuses[LIMIT_NODES] = {NULL};
	const struct config *cfg = cluster->lab->plan->cfg;
	bool steady = true;

	if (cluster->rival)
		return cluster_rival_steady(cluster);
	for (unsigned int n = 0; steady && n < cluster->lab->node_count; n++) {
		if (!cluster_is_on(cluster, n))
			continue;
		statuses[n] = cluster_status(cluster, n, CLUSTER_DAEMON_CARPD);
		steady = statuses[n] != NULL;
	}
	for (uint32_t g = 0; steady && g < cfg->group_count; g++)
		steady = cluster_group_steady(cluster, statuses, cfg->groups[g].name);
	for (unsigned int n = 0; steady && cfg->sync.configured && n < cluster->lab->node_count;
		n++)
		if (cluster_is_on(cluster, n))
			steady = cluster_sync_steady(cluster, n);
	for (unsigned int n = 0; n < cluster->lab->node_count; n++)
		json_decref(statuses[n]);
	return steady;
}

int cluster_wait_steady(struct cluster *cluster, int timeout_ms)
{
	int64_t deadline = tick_now() + timeout_ms * TICK_NS_PER_MS;
	char why[CLUSTER_WHY_MAX];

	for (;;) {
		if (cluster_reap(cluster, why)) {
			(void)cluster_not_steady(cluster, "%s", why);
			return -ECHILD;
		}
		if (cluster_steady(cluster))
			return 0;
		if (sandbox_stopped())
			return -EINTR;
		if (tick_now() >= deadline)
			return -ETIMEDOUT;
		tick_sleep_until(tick_now() + CLUSTER_POLL_MS * TICK_NS_PER_MS);
	}
}
