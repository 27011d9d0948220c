#include "ctl/metrics_text.h"

#include "ctl/field.h"
#include "ctl/when.h"

#include "common/check.h"

#include <stdarg.h>
#include <string.h>

#define METRICS_REASON_TEXT "reason"

struct metrics_writer {
	FILE *out;
	bool openmetrics;
};

/* A family: its name, what it is (gauge, counter, summary), and what it counts. */
static void metrics_family(
	const struct metrics_writer *w, const char *name, const char *type, const char *help)
{
	size_t length = strlen(name);

	/* OpenMetrics names a counter's family without the suffix of its samples. */
	if (w->openmetrics && strcmp(type, "counter") == 0 && length > 6 &&
		strcmp(name + length - 6, "_total") == 0)
		length -= 6;
	fprintf(w->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)length, name, help, (int)length,
		name, type);
}

static void metrics_label_value(FILE *out, const char *value)
{
	for (const char *c = value; *c; c++) {
		if (*c == '\n')
			fputs("\\n", out);
		else if (*c == '"' || *c == '\\')
			fprintf(out, "\\%c", *c);
		else
			fputc(*c, out);
	}
}

/* metrics_sample: labels as pairs of name and value, ended by NULL. */
static void metrics_sample(const struct metrics_writer *w, const char *name, double value, ...)
{
	const char *label, *comma = "{";
	va_list labels;

	fputs(name, w->out);
	va_start(labels, value);
	while ((label = va_arg(labels, const char *))) {
		fprintf(w->out, "%s%s=\"", comma, label);
		metrics_label_value(w->out, va_arg(labels, const char *));
		fputc('"', w->out);
		comma = ",";
	}
	va_end(labels);
	if (*comma == ',')
		fputc('}', w->out);
	fprintf(w->out, " %.15g\n", value);
}

static void metrics_single(const struct metrics_writer *w, const char *name, const char *type,
	const char *help, double value)
{
	metrics_family(w, name, type, help);
	metrics_sample(w, name, value, NULL);
}

/* metrics_scalar: one number of the object, if it is there. */
static void metrics_scalar(const struct metrics_writer *w, const json_t *object, const char *key,
	const char *name, const char *type, const char *help)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_number(value))
		metrics_single(w, name, type, help, json_number_value(value));
}

/* metrics_counts: {"NAME": number, ...} as one sample a name, under `label`. */
static void metrics_counts(const struct metrics_writer *w, const json_t *counts, const char *name,
	const char *label, const char *group)
{
	/* json_object_foreach wants to be able to change what it walks. */
	json_t *object = (json_t *)(uintptr_t)counts;

	for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i)) {
		double value = json_number_value(json_object_iter_value(i));

		if (group)
			metrics_sample(w, name, value, "group", group, label,
				json_object_iter_key(i), NULL);
		else
			metrics_sample(w, name, value, label, json_object_iter_key(i), NULL);
	}
}

/* --- groups, from carpd's status ----------------------------------------------------------------
 */

static void metrics_group_state(const struct metrics_writer *w, const json_t *groups)
{
	static const char *const states[] = {
		"init", "backup", "promoting", "master", "demoting", "maintenance", "fault"};
	const json_t *group;
	size_t index;

	metrics_family(w, "carpool_group_state", "gauge",
		"1 for the state that the group has on this node, 0 for the others.");
	json_array_foreach (groups, index, group) {
		for (size_t i = 0; i < ARRAY_LEN(states); i++)
			metrics_sample(w, "carpool_group_state",
				field_is(group, "state", states[i]), "group",
				field_text(group, "name"), "state", states[i], NULL);
	}
}

enum metrics_value {
	METRICS_NUMBER,
	METRICS_BOOL,
	METRICS_MOMENT, /* seconds since 1970 */
};

static void metrics_group_value(const struct metrics_writer *w, const json_t *groups,
	const char *key, enum metrics_value type, const char *name, const char *help)
{
	const json_t *group;
	size_t index;
	int64_t at_us;

	metrics_family(w, name, "gauge", help);
	json_array_foreach (groups, index, group) {
		double value = field_number(group, key, 0);

		if (type == METRICS_BOOL)
			value = field_bool(group, key, false);
		else if (type == METRICS_MOMENT)
			value = when_parse(field_text(group, key), &at_us) ? (double)at_us / 1e6
									   : 0;
		metrics_sample(w, name, value, "group", field_text(group, "name"), NULL);
	}
}

static void metrics_not_ready(const struct metrics_writer *w, const json_t *groups)
{
	const json_t *group, *word;
	size_t index, k;

	metrics_family(w, "carpool_group_not_ready", "gauge",
		"1 for each word why this node could not take the group over without loss.");
	json_array_foreach (groups, index, group) {
		json_array_foreach (field_list(group, "not_ready"), k, word) {
			if (json_is_string(word))
				metrics_sample(w, "carpool_group_not_ready", 1, "group",
					field_text(group, "name"), METRICS_REASON_TEXT,
					json_string_value(word), NULL);
		}
	}
}

static void metrics_peers(const struct metrics_writer *w, const json_t *groups, const char *key,
	const char *name, const char *help)
{
	const json_t *group, *peer;
	size_t index, k;

	metrics_family(w, name, "gauge", help);
	json_array_foreach (groups, index, group) {
		json_array_foreach (field_list(group, "peers"), k, peer) {
			metrics_sample(w, name, field_bool(peer, key, false), "group",
				field_text(group, "name"), "peer", field_text(peer, "node"), NULL);
		}
	}
}

static void metrics_peer_paths(const struct metrics_writer *w, const json_t *groups,
	const char *key, const char *name, const char *help)
{
	const json_t *group, *peer, *path;
	size_t index, k, m;

	metrics_family(w, name, "gauge", help);
	json_array_foreach (groups, index, group) {
		json_array_foreach (field_list(group, "peers"), k, peer) {
			json_array_foreach (field_list(peer, "paths"), m, path) {
				metrics_sample(w, name, field_bool(path, key, false), "group",
					field_text(group, "name"), "peer", field_text(peer, "node"),
					"via", field_text(path, "via"), NULL);
			}
		}
	}
}

static void metrics_alarms(const struct metrics_writer *w, const json_t *alarms)
{
	const json_t *alarm;
	size_t index;

	metrics_family(w, "carpool_alarm", "gauge",
		"1 while an alarm lasts; 'carpool explain CODE' says what it means.");
	json_array_foreach (alarms, index, alarm) {
		bool seen = false;

		/* Two handlers may raise the same one; a sample stands once. */
		for (size_t k = 0; k < index && !seen; k++) {
			const json_t *other = json_array_get(alarms, k);

			seen = field_is(other, "code", field_text(alarm, "code")) &&
			       strcmp(field_text(other, "group"), field_text(alarm, "group")) == 0;
		}
		if (!seen)
			metrics_sample(w, "carpool_alarm", 1, "code", field_text(alarm, "code"),
				"group", field_text(alarm, "group"), NULL);
	}
}

static void metrics_rules(const struct metrics_writer *w, const json_t *rules)
{
	const json_t *entry;
	size_t index;

	metrics_family(w, "carpool_rules_match", "gauge",
		"1 when every peer that is heard has the same ruleset.");
	json_array_foreach (rules, index, entry) {
		if (json_is_boolean(json_object_get(entry, "peers_match")))
			metrics_sample(w, "carpool_rules_match",
				field_bool(entry, "peers_match", true), "group",
				field_text(entry, "group"), NULL);
	}
	metrics_family(w, "carpool_rules_awake", "gauge", "1 for the rules that are awake.");
	json_array_foreach (rules, index, entry) {
		metrics_sample(w, "carpool_rules_awake", field_is(entry, "active", "master"),
			"group", field_text(entry, "group"), "rules", "master", NULL);
		metrics_sample(w, "carpool_rules_awake", field_is(entry, "active", "backup"),
			"group", field_text(entry, "group"), "rules", "backup", NULL);
	}
}

static void metrics_status(const struct metrics_writer *w, const json_t *status)
{
	const json_t *groups = field_list(status, "groups");

	metrics_family(w, "carpool_node_info", "gauge", "Who tells this.");
	metrics_sample(w, "carpool_node_info", 1, "cluster", field_text(status, "cluster"), "node",
		field_text(status, "node"), NULL);
	metrics_group_state(w, groups);
	metrics_group_value(w, groups, "ready", METRICS_BOOL, "carpool_group_ready",
		"1 when this node holds the group or could take it over without loss.");
	metrics_not_ready(w, groups);
	metrics_group_value(w, groups, "demotion", METRICS_NUMBER, "carpool_group_demotion",
		"The sum of this node's demotions for the group.");
	metrics_group_value(w, groups, "term", METRICS_NUMBER, "carpool_group_term",
		"The term of the group's present master.");
	metrics_group_value(w, groups, "since", METRICS_MOMENT, "carpool_group_since_seconds",
		"Unix time of the last change of the group's state on this node.");
	metrics_peers(
		w, groups, "alive", "carpool_peer_alive", "1 when the peer is heard on any path.");
	metrics_peers(w, groups, "ready", "carpool_peer_ready",
		"1 when the peer says that it could take the group over without loss.");
	metrics_peer_paths(
		w, groups, "alive", "carpool_path_up", "1 when the peer is heard on the path.");
	metrics_peer_paths(w, groups, "heard_by_peer", "carpool_path_heard_by_peer",
		"1 when the peer says that it hears this node on the path.");
	metrics_rules(w, field_list(status, "rules"));
	metrics_alarms(w, field_list(status, "alarms"));
}

/* --- carpd's counters ---------------------------------------------------------------------------
 */

static void metrics_group_counter(const struct metrics_writer *w, const json_t *groups,
	const char *key, const char *name, const char *help)
{
	const json_t *group;
	size_t index;

	metrics_family(w, name, "counter", help);
	json_array_foreach (groups, index, group) {
		if (json_is_number(json_object_get(group, key)))
			metrics_sample(w, name, field_number(group, key, 0), "group",
				field_text(group, "group"), NULL);
	}
}

static void metrics_stages(const struct metrics_writer *w, const json_t *groups)
{
	const json_t *group, *stage;
	size_t index, k;

	metrics_family(w, "carpool_stage_seconds", "summary",
		"How long the stages of this node's transitions took; 'to' is where they led.");
	json_array_foreach (groups, index, group) {
		json_array_foreach (field_list(group, "carpool_stage_seconds"), k, stage) {
			metrics_sample(w, "carpool_stage_seconds_sum",
				field_number(stage, "sum_us", 0) / 1e6, "group",
				field_text(group, "group"), "stage", field_text(stage, "stage"),
				"to", field_text(stage, "to"), NULL);
			metrics_sample(w, "carpool_stage_seconds_count",
				field_number(stage, "count", 0), "group",
				field_text(group, "group"), "stage", field_text(stage, "stage"),
				"to", field_text(stage, "to"), NULL);
		}
	}
}

static void metrics_links(const struct metrics_writer *w, const json_t *paths)
{
	static const struct {
		const char *key, *name, *help;
	} counters[] = {
		{"sent", "carpool_path_adverts_sent_total", "Adverts sent on the path."},
		{"received", "carpool_path_adverts_received_total",
			"Packets of the election received on the path, used or not."},
		{"send_errors", "carpool_path_send_errors_total",
			"Adverts that the kernel did not take."},
		{"floods", "carpool_path_floods_total",
			"Times that the path had more to read than one turn reads."},
	};
	const json_t *path;
	size_t index;

	metrics_family(w, "carpool_link_up", "gauge", "1 when the path's interface has a carrier.");
	json_array_foreach (paths, index, path) {
		metrics_sample(w, "carpool_link_up", field_bool(path, "up", false), "via",
			field_text(path, "via"), NULL);
	}
	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		metrics_family(w, counters[i].name, "counter", counters[i].help);
		json_array_foreach (paths, index, path) {
			metrics_sample(w, counters[i].name, field_number(path, counters[i].key, 0),
				"via", field_text(path, "via"), NULL);
		}
	}
}

static void metrics_carpd(const struct metrics_writer *w, const json_t *carpd)
{
	const json_t *groups = field_list(carpd, "groups"), *group;
	size_t index;

	metrics_family(w, "carpool_transitions_total", "counter",
		"Changes of the group's state on this node, by reason.");
	json_array_foreach (groups, index, group) {
		metrics_counts(w, json_object_get(group, "carpool_transitions_total"),
			"carpool_transitions_total", METRICS_REASON_TEXT,
			field_text(group, "group"));
	}
	metrics_group_counter(w, groups, "carpool_became_master_total",
		"carpool_became_master_total", "Times that this node became the group's master.");
	metrics_group_counter(w, groups, "carpool_released_master_total",
		"carpool_released_master_total", "Times that this node ceased to be it.");
	metrics_group_counter(w, groups, "carpool_dual_master_seconds_total",
		"carpool_dual_master_seconds_total",
		"Time in which this node was master and heard another one.");
	metrics_stages(w, groups);
	metrics_links(w, field_list(carpd, "paths"));
	metrics_scalar(w, carpd, "carpool_adverts_sent_total", "carpool_adverts_sent_total",
		"counter", "Adverts sent on all paths.");
	metrics_scalar(w, carpd, "carpool_adverts_accepted_total", "carpool_adverts_accepted_total",
		"counter", "Adverts accepted from peers.");
	metrics_family(w, "carpool_adverts_dropped_total", "counter",
		"Packets of the election that were not used; 'carpool explain REASON'.");
	metrics_counts(w, json_object_get(carpd, "carpool_adverts_dropped_total"),
		"carpool_adverts_dropped_total", METRICS_REASON_TEXT, NULL);
	metrics_scalar(w, carpd, "carpool_history_lost_total", "carpool_history_lost_total",
		"counter", "Transitions that could not be written down.");
	metrics_scalar(w, carpd, "carpool_handler_answers_ignored_total",
		"carpool_handler_answers_ignored_total", "counter",
		"Answers of handlers that came too late, twice, or to nothing.");
}

/* --- syncd --------------------------------------------------------------------------------------
 */

static void metrics_sync_peer(const struct metrics_writer *w, const json_t *peers, const char *key,
	double scale, const char *name, const char *type, const char *help)
{
	const json_t *peer, *value;
	size_t index;

	metrics_family(w, name, type, help);
	json_array_foreach (peers, index, peer) {
		value = json_object_get(peer, key);
		if (json_is_number(value) || json_is_boolean(value))
			metrics_sample(w, name,
				json_is_true(value) ? 1 : json_number_value(value) * scale, "peer",
				field_text(peer, "node"), NULL);
	}
}

static void metrics_sync(const struct metrics_writer *w, const json_t *sync)
{
	const json_t *peers = field_list(sync, "peers");

	metrics_single(w, "carpool_sync_active", "gauge",
		"1 when this node's kernel is the source of any group's flows.",
		field_is(sync, "role", "active"));
	metrics_scalar(
		w, sync, "flows", "carpool_sync_flows", "gauge", "Flows in the replicated table.");
	metrics_sync_peer(w, peers, "connected", 1, "carpool_sync_connected", "gauge",
		"1 when there is a connection to the peer's syncd.");
	metrics_sync_peer(w, peers, "in_sync", 1, "carpool_sync_in_sync", "gauge",
		"1 when the full transfer to or from the peer is complete.");
	metrics_sync_peer(w, peers, "lag_ms", 1e-3, "carpool_sync_lag_seconds", "gauge",
		"Age of the oldest change that the peer has not acknowledged.");
	metrics_sync_peer(w, peers, "unacked", 1, "carpool_sync_unacked", "gauge",
		"Changes that the peer has not acknowledged.");
}

static void metrics_syncd_scalars(const struct metrics_writer *w, const json_t *syncd)
{
	static const struct {
		const char *key, *name, *type, *help;
	} scalars[] = {
		{"capacity", "carpool_sync_flows_limit", "gauge", "sync.max_flows, resolved."},
		{"kernel_waiting", "carpool_sync_kernel_waiting", "gauge",
			"Received flows that the kernel has not been told yet."},
		{"kernel_events", "carpool_sync_kernel_events_total", "counter",
			"Events of the kernel's connection tracking."},
		{"kernel_events_bad", "carpool_sync_kernel_events_bad_total", "counter",
			"Events that could not be read."},
		{"kernel_events_lost", "carpool_sync_kernel_events_lost_total", "counter",
			"Events that the kernel dropped; a dump repairs them."},
		{"injected", "carpool_sync_injected_total", "counter",
			"Changes written into this node's kernel."},
		{"dumps", "carpool_sync_dumps_total", "counter", "Dumps of the kernel's table."},
		{"swept", "carpool_sync_swept_total", "counter",
			"Flows removed because their source has them no more."},
		{"retimed", "carpool_sync_retimed_total", "counter",
			"Flows given their real timeout after a promotion."},
		{"ignored", "carpool_sync_ignored_total", "counter",
			"Flows of this node itself, which are not replicated."},
		{"promotions", "carpool_sync_promotions_total", "counter",
			"Times that this syncd became a source."},
	};

	for (size_t i = 0; i < ARRAY_LEN(scalars); i++)
		metrics_scalar(w, syncd, scalars[i].key, scalars[i].name, scalars[i].type,
			scalars[i].help);
}

static void metrics_syncd(const struct metrics_writer *w, const json_t *syncd)
{
	const json_t *peers = field_list(syncd, "peers");

	metrics_syncd_scalars(w, syncd);
	metrics_family(w, "carpool_sync_dropped_total", "counter",
		"Records that were not used; 'carpool explain REASON'.");
	metrics_counts(w, json_object_get(syncd, "dropped"), "carpool_sync_dropped_total",
		METRICS_REASON_TEXT, NULL);
	metrics_family(w, "carpool_sync_injection_errors_total", "counter",
		"Changes that this node's kernel refused, by its error.");
	metrics_counts(w, json_object_get(syncd, "injection_errors"),
		"carpool_sync_injection_errors_total", "errno", NULL);
	metrics_family(w, "carpool_sync_connections_closed_total", "counter",
		"Connections to other syncds that ended; 'carpool explain REASON'.");
	metrics_counts(w, json_object_get(syncd, "connections_closed"),
		"carpool_sync_connections_closed_total", METRICS_REASON_TEXT, NULL);
	metrics_sync_peer(w, peers, "sent", 1, "carpool_sync_sent_total", "counter",
		"Changes sent to the peer.");
	metrics_sync_peer(w, peers, "received", 1, "carpool_sync_received_total", "counter",
		"Changes received from the peer.");
	metrics_sync_peer(w, peers, "bytes_out", 1, "carpool_sync_sent_bytes_total", "counter",
		"Bytes sent to the peer, before TLS.");
	metrics_sync_peer(w, peers, "bytes_in", 1, "carpool_sync_received_bytes_total", "counter",
		"Bytes received from the peer, after TLS.");
}

/* --- the rest -----------------------------------------------------------------------------------
 */

static double metrics_drops(const json_t *carpd, const char *const *reasons)
{
	const json_t *drops = json_object_get(carpd, "carpool_adverts_dropped_total");
	double sum = 0;

	for (; *reasons; reasons++)
		sum += field_number(drops, *reasons, 0);
	return sum;
}

/* metrics_keepalived_state: 0 INIT, 1 BACKUP, 2 MASTER, 3 FAULT, as keepalived's exporters say. */
static void metrics_keepalived_state(const struct metrics_writer *w, const json_t *status)
{
	const json_t *group;
	size_t index;

	metrics_family(w, "keepalived_vrrp_state", "gauge",
		"State of the group, as keepalived's exporters number it.");
	json_array_foreach (field_list(status, "groups"), index, group) {
		const char *state = field_text(group, "state");
		const json_t *peer = json_array_get(field_list(group, "peers"), 0);
		const json_t *path = json_array_get(field_list(peer, "paths"), 0);
		char vrid[16];
		int number = 1;

		if (strcmp(state, "init") == 0)
			number = 0;
		else if (strcmp(state, "master") == 0 || strcmp(state, "demoting") == 0)
			number = 2;
		else if (strcmp(state, "fault") == 0 || strcmp(state, "maintenance") == 0)
			number = 3;
		snprintf(vrid, sizeof(vrid), "%.0f", field_number(group, "vhid", 0));
		metrics_sample(w, "keepalived_vrrp_state", number, "iname",
			field_text(group, "name"), "intf", field_text(path, "via"), "vrid", vrid,
			"ip_address", "", NULL);
	}
}

static void metrics_keepalived(const struct metrics_writer *w, const struct metrics_source *source)
{
	static const struct {
		const char *name, *help;
		const char *const reasons[6];
	} drops[] = {
		{"keepalived_authentication_failure_total", "Adverts that no key of ours signed.",
			{"AUTH", "KEY_UNKNOWN", "CARP2_AUTH", NULL}},
		{"keepalived_ip_ttl_errors_total", "Adverts that crossed a router.",
			{"TTL", "FRAME_TTL", NULL}},
		{"keepalived_packet_length_errors_total", "Adverts of a wrong length.",
			{"SHORT", "LENGTH", "CARP2_LENGTH", "FRAME_SHORT", "FRAME_TOTAL_LENGTH",
				NULL}},
	};
	const json_t *groups = field_list(source->carpd, "groups"), *group;
	size_t index;

	metrics_single(
		w, "keepalived_up", "gauge", "1 when carpd answers.", source->status != NULL);
	if (source->status)
		metrics_keepalived_state(w, source->status);
	if (!source->carpd)
		return;
	metrics_family(w, "keepalived_become_master_total", "counter",
		"Times that this node became the group's master.");
	json_array_foreach (groups, index, group) {
		metrics_sample(w, "keepalived_become_master_total",
			field_number(group, "carpool_became_master_total", 0), "iname",
			field_text(group, "group"), NULL);
	}
	metrics_family(w, "keepalived_release_master_total", "counter",
		"Times that this node ceased to be it.");
	json_array_foreach (groups, index, group) {
		metrics_sample(w, "keepalived_release_master_total",
			field_number(group, "carpool_released_master_total", 0), "iname",
			field_text(group, "group"), NULL);
	}
	metrics_scalar(w, source->carpd, "carpool_adverts_accepted_total",
		"keepalived_advertisements_received_total", "counter", "Adverts accepted.");
	metrics_scalar(w, source->carpd, "carpool_adverts_sent_total",
		"keepalived_advertisements_sent_total", "counter", "Adverts sent.");
	for (size_t i = 0; i < ARRAY_LEN(drops); i++)
		metrics_single(w, drops[i].name, "counter", drops[i].help,
			metrics_drops(source->carpd, drops[i].reasons));
}

static void metrics_host(const struct metrics_writer *w, const struct metrics_source *source)
{
	int64_t at_us;

	if (source->entries >= 0)
		metrics_single(w, "carpool_conntrack_entries", "gauge",
			"Connections in this node's kernel.", source->entries);
	if (source->entries_limit >= 0)
		metrics_single(w, "carpool_conntrack_entries_limit", "gauge", "nf_conntrack_max.",
			source->entries_limit);
	if (!source->drill || !when_parse(field_text(source->drill, "time"), &at_us))
		return;
	metrics_single(w, "carpool_drill_last_time_seconds", "gauge",
		"Unix time of this cluster's last drill on this machine.", (double)at_us / 1e6);
	metrics_single(w, "carpool_drill_last_runs", "gauge", "Runs of that drill.",
		field_number(source->drill, "total", 0));
	metrics_single(w, "carpool_drill_last_passed", "gauge", "Runs of it that passed.",
		field_number(source->drill, "passed", 0));
}

void metrics_text_render(FILE *out, const struct metrics_source *source, bool openmetrics)
{
	const struct metrics_writer w = {.out = out, .openmetrics = openmetrics};

	metrics_family(&w, "carpool_up", "gauge", "1 when the daemon answers.");
	metrics_sample(&w, "carpool_up", source->status != NULL, "daemon", "carpd", NULL);
	metrics_sample(&w, "carpool_up", source->sync != NULL, "daemon", "syncd", NULL);
	metrics_family(&w, "carpool_build_info", "gauge", "The version of the command.");
	metrics_sample(&w, "carpool_build_info", 1, "version", source->version, NULL);
	if (source->status)
		metrics_status(&w, source->status);
	if (source->carpd)
		metrics_carpd(&w, source->carpd);
	if (source->sync)
		metrics_sync(&w, source->sync);
	if (source->syncd)
		metrics_syncd(&w, source->syncd);
	metrics_host(&w, source);
	metrics_keepalived(&w, source);
	if (openmetrics)
		fputs("# EOF\n", out);
}
