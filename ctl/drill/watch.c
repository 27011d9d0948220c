#include "ctl/drill/watch.h"

#include "ctl/drill/tick.h"

#include <stdio.h>
#include <string.h>

static bool watch_seen(const struct measure *measure, const char *node, const char *code)
{
	json_t *seen;
	size_t i;

	json_array_foreach (measure->alarms, i, seen)
		if (strcmp(json_string_value(json_object_get(seen, "node")), node) == 0 &&
			strcmp(json_string_value(json_object_get(seen, "code")), code) == 0)
			return true;
	return false;
}

static void watch_alarms(struct measure *measure, const char *node, const json_t *status)
{
	json_t *alarm;
	size_t i;

	json_array_foreach (json_object_get(status, "alarms"), i, alarm) {
		const char *code = json_string_value(json_object_get(alarm, "code"));
		int64_t at = tick_now();

		if (!code || watch_seen(measure, node, code))
			continue;
		if (!measure->alarms)
			measure->alarms = json_array();
		(void)json_array_append_new(measure->alarms,
			json_pack("{s:f,s:s,s:s}", "at_ms", tick_ms(at - measure->fault_at), "node",
				node, "code", code));
		if (measure->scenario->alarm && measure->alarm_at == 0 &&
			strcmp(measure->scenario->alarm, code) == 0)
			measure->alarm_at = at;
	}
}

void watch_look(struct cluster *cluster, struct measure *measure)
{
	for (unsigned int n = 0; n < cluster->lab->node_count; n++) {
		json_t *status;

		if (cluster->pids[n][CLUSTER_DAEMON_CARPD] <= 0)
			continue;
		status = cluster_status(cluster, n, CLUSTER_DAEMON_CARPD);
		watch_alarms(measure, cluster->lab->nodes[n].config->name, status);
		json_decref(status);
	}
	if (measure->ready_again_at != 0)
		return;
	if (cluster_wait_steady(cluster, 0) == 0)
		measure->ready_again_at = tick_now();
	else
		(void)snprintf(measure->not_ready, sizeof(measure->not_ready), "%.*s",
			(int)sizeof(measure->not_ready) - 1, cluster->error);
}
