#include "ctl/drill/live_check.h"

#include "ctl/field.h"
#include "ctl/when.h"

#include <stdarg.h>
#include <string.h>

#define LIVE_CHECK_TEXT_MAX 400

struct live_check {
	const json_t *status;
	const struct live_check_options *options;
	json_t *checks;
};

/* Every check that went wrong says so in its first sentence; `good` is what it says otherwise. */
static void live_check_add(struct live_check *check, const char *name, const char *wrong,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

static void live_check_add(
	struct live_check *check, const char *name, const char *wrong, const char *format, ...)
{
	char text[LIVE_CHECK_TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)json_array_append_new(
		check->checks, json_pack("{s:s, s:b, s:s}", "check", name, "ok", wrong[0] == '\0',
				       "text", wrong[0] ? wrong : text));
}

static bool live_check_wanted(const struct live_check *check, const json_t *group)
{
	return !check->options->group || field_is(group, "name", check->options->group);
}

const json_t *live_check_group(const json_t *status, const char *name)
{
	const json_t *group;
	size_t i;

	json_array_foreach (field_list(status, "groups"), i, group)
		if (field_is(group, "name", name))
			return group;
	return NULL;
}

static void live_check_masters(struct live_check *check)
{
	char wrong[LIVE_CHECK_TEXT_MAX] = "";
	const json_t *group, *peer;
	unsigned int count = 0;
	size_t i, p;

	json_array_foreach (field_list(check->status, "groups"), i, group) {
		unsigned int masters = field_is(group, "state", "master");

		if (!live_check_wanted(check, group))
			continue;
		count++;
		json_array_foreach (field_list(group, "peers"), p, peer)
			masters += field_is(peer, "state", "master") &&
				   field_bool(peer, "alive", true);
		if (masters != 1 || !*field_text(group, "master"))
			(void)snprintf(wrong, sizeof(wrong), "group %s has %s",
				field_text(group, "name"),
				masters > 1 ? "two masters" : "no master");
		else if (check->options->to && field_is(group, "master", check->options->to))
			(void)snprintf(wrong, sizeof(wrong), "%s is the master of %s already",
				check->options->to, field_text(group, "name"));
	}
	if (count == 0)
		(void)snprintf(wrong, sizeof(wrong), "no group of that name");
	live_check_add(check, "one master", wrong, "each group has one master");
}

static void live_check_peer(
	const struct live_check *check, const json_t *peer, char wrong[static LIVE_CHECK_TEXT_MAX])
{
	const char *name = field_text(peer, "node");
	const json_t *path;
	size_t i;

	json_array_foreach (field_list(peer, "paths"), i, path)
		if (!field_bool(path, "alive", false) || !field_bool(path, "heard_by_peer", false))
			(void)snprintf(wrong, LIVE_CHECK_TEXT_MAX,
				"%s is not heard, or does not hear this node, on %s", name,
				field_text(path, "via"));
	if (!field_is(peer, "state", "master") && !field_is(peer, "state", "backup"))
		(void)snprintf(wrong, LIVE_CHECK_TEXT_MAX, "%s is in state %s", name,
			field_text(peer, "state"));
	(void)check;
}

static void live_check_health(struct live_check *check)
{
	char wrong[LIVE_CHECK_TEXT_MAX] = "";
	const json_t *group, *peer, *alarm;
	size_t i, p;

	json_array_foreach (field_list(check->status, "groups"), i, group) {
		if (!live_check_wanted(check, group))
			continue;
		json_array_foreach (field_list(group, "peers"), p, peer)
			live_check_peer(check, peer, wrong);
		if (!field_is(group, "state", "master") && !field_is(group, "state", "backup"))
			(void)snprintf(wrong, sizeof(wrong), "this node is in state %s",
				field_text(group, "state"));
	}
	json_array_foreach (field_list(check->status, "alarms"), i, alarm)
		(void)snprintf(wrong, sizeof(wrong), "alarm %s: %.300s", field_text(alarm, "code"),
			field_text(alarm, "text"));
	live_check_add(check, "healthy", wrong, "every node is heard on every path; no alarm");
}

static const char *live_check_first(const json_t *list)
{
	const char *text = json_string_value(json_array_get(list, 0));

	return text ? text : "it does not say why";
}

/* Whoever is not the master: ready, so that the way back is open too. */
static void live_check_ready(struct live_check *check)
{
	const char *to = check->options->to;
	char wrong[LIVE_CHECK_TEXT_MAX] = "";
	const json_t *group, *peer;
	size_t i, p;

	json_array_foreach (field_list(check->status, "groups"), i, group) {
		bool found = !to || field_is(check->status, "node", to);

		if (!live_check_wanted(check, group))
			continue;
		if (!field_bool(group, "ready", false))
			(void)snprintf(wrong, sizeof(wrong), "this node is not ready: %s",
				live_check_first(field_list(group, "not_ready")));
		json_array_foreach (field_list(group, "peers"), p, peer) {
			found |= to && field_is(peer, "node", to);
			if (!field_bool(peer, "ready", false))
				(void)snprintf(wrong, sizeof(wrong), "%s is not ready: %s",
					field_text(peer, "node"),
					live_check_first(field_list(peer, "not_ready")));
		}
		if (!found)
			(void)snprintf(wrong, sizeof(wrong), "no node named %s", to);
	}
	live_check_add(check, "ready", wrong, "every node could take over, there and back");
}

static void live_check_sync(struct live_check *check)
{
	const json_t *sync = json_object_get(check->status, "sync"), *peer;
	char wrong[LIVE_CHECK_TEXT_MAX] = "";
	double worst = 0;
	size_t i;

	if (!field_bool(check->status, "sync_configured", true)) {
		live_check_add(check, "in sync",
			"this cluster does not replicate connections (no sync: in its config): a "
			"hand-over would cost them",
			"-");
		return;
	}
	if (!json_is_object(sync))
		(void)snprintf(wrong, sizeof(wrong), "syncd does not answer");
	json_array_foreach (field_list(sync, "peers"), i, peer) {
		double lag_ms = field_number(peer, "lag_ms", 0);

		worst = lag_ms > worst ? lag_ms : worst;
		if (!field_bool(peer, "connected", false) || !field_bool(peer, "in_sync", false))
			(void)snprintf(wrong, sizeof(wrong), "%s is not in sync",
				field_text(peer, "node"));
		else if (lag_ms > LIVE_CHECK_LAG_MS)
			(void)snprintf(wrong, sizeof(wrong), "%s lags by %.0f ms, allowed are %d",
				field_text(peer, "node"), lag_ms, LIVE_CHECK_LAG_MS);
	}
	live_check_add(check, "in sync", wrong, "%.0f flows, lag %.1f ms",
		field_number(sync, "flows", 0), worst);
}

static void live_check_rules(struct live_check *check)
{
	const json_t *rules = field_list(check->status, "rules"), *entry;
	char wrong[LIVE_CHECK_TEXT_MAX] = "";
	size_t i;

	json_array_foreach (rules, i, entry)
		if (!field_bool(entry, "peers_match", true))
			(void)snprintf(wrong, sizeof(wrong),
				"the nodes have different rules for group %s",
				field_text(entry, "group"));
	live_check_add(check, "same rules", wrong, "%s",
		json_array_size(rules) > 0 ? "the nodes have the same rules"
					   : "carpool has no rules here");
}

static void live_check_room(struct live_check *check)
{
	double flows = field_number(json_object_get(check->status, "sync"), "flows", 0);
	double max = (double)check->options->table_max;
	char wrong[LIVE_CHECK_TEXT_MAX] = "";

	if (max > 0 && flows * 100 > max * LIVE_CHECK_HEADROOM_PERCENT)
		(void)snprintf(wrong, sizeof(wrong),
			"%.0f flows of %.0f: no room for what comes meanwhile (at most %d %%)",
			flows, max, LIVE_CHECK_HEADROOM_PERCENT);
	live_check_add(check, "headroom", wrong, "%.0f flows; a table takes %.0f", flows, max);
}

static void live_check_lock(struct live_check *check)
{
	const json_t *lock = json_object_get(check->status, "drill_lock");
	const json_t *last = json_object_get(lock, "last");
	char wrong[LIVE_CHECK_TEXT_MAX] = "", ago[WHEN_TEXT_MAX] = "";
	int64_t at_us = 0, since_us = 0;

	if (json_is_object(last) && when_parse(field_text(last, "time"), &at_us)) {
		since_us = check->options->now_wall_us - at_us;
		(void)when_render_span(since_us, ago);
	}
	if (!check->options->own_lock && *field_text(lock, "node"))
		(void)snprintf(wrong, sizeof(wrong), "%s drills already", field_text(lock, "node"));
	else if (ago[0] && since_us < check->options->quiet_us)
		(void)snprintf(wrong, sizeof(wrong),
			"the last drill, from %s, is only %s ago (--quiet says how long)",
			field_text(last, "node"), ago);
	live_check_add(check, "no other drill", wrong, "%s%s%s",
		ago[0] ? "the last one is " : "none is known", ago, ago[0] ? " ago" : "");
}

json_t *live_check(const json_t *status, const struct live_check_options *options)
{
	struct live_check check = {.status = status, .options = options, .checks = json_array()};
	char wrong[LIVE_CHECK_TEXT_MAX] = "";

	if (!field_is(status, "cluster", options->cluster))
		(void)snprintf(wrong, sizeof(wrong),
			"the config is of cluster %s, and %s runs here: --config tells which",
			options->cluster, field_text(status, "cluster"));
	live_check_add(&check, "this cluster", wrong, "%s, seen from %s", options->cluster,
		field_text(status, "node"));
	live_check_masters(&check);
	live_check_health(&check);
	live_check_ready(&check);
	live_check_sync(&check);
	live_check_rules(&check);
	live_check_room(&check);
	live_check_lock(&check);
	return check.checks;
}

bool live_check_passed(const json_t *checks)
{
	const json_t *check;
	size_t i;

	json_array_foreach (checks, i, check)
		if (!field_bool(check, "ok", false))
			return false;
	return true;
}

void live_check_print(FILE *out, const json_t *checks)
{
	const json_t *check;
	size_t i;

	json_array_foreach (checks, i, check) {
		(void)fprintf(out, "  %-4s %-15s ", field_bool(check, "ok", false) ? "ok" : "NO",
			field_text(check, "check"));
		field_print(out, field_text(check, "text"), 23);
		(void)fputc('\n', out);
	}
}
