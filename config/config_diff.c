/* What a reload would change, in words: nodes, groups, interfaces and addresses are matched by
 * name, the rest is compared field by field. */
#include "config/config.h"
#include "config/config_value.h"

#include "common/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 512u

static const char *const change_names[] = {
	[CONFIG_CHANGE_CLUSTER] = "cluster",
	[CONFIG_CHANGE_KEYS] = "keys",
	[CONFIG_CHANGE_NODE] = "node",
	[CONFIG_CHANGE_TIMERS] = "timers",
	[CONFIG_CHANGE_ELECTION] = "election",
	[CONFIG_CHANGE_GROUP] = "group",
	[CONFIG_CHANGE_INTERFACE] = "interface",
	[CONFIG_CHANGE_ADDRESS] = "address",
	[CONFIG_CHANGE_RULES] = "rules",
	[CONFIG_CHANGE_HANDLERS] = "handlers",
	[CONFIG_CHANGE_TRACK] = "track",
	[CONFIG_CHANGE_SYNC] = "sync",
};
_Static_assert(ARRAY_LEN(change_names) == CONFIG_CHANGE_COUNT, "a name each");

struct diff {
	const struct config *old_cfg;
	const struct config *new_cfg;
	void *context;
	config_diff_fn *on_change;
	uint32_t count;
};

__attribute__((format(printf, 4, 5))) static void tell(
	struct diff *diff, enum config_change change, const char *group, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	diff->count++;
	if (diff->on_change)
		diff->on_change(diff->context, change, group, text);
}

static void compare_duration(
	struct diff *diff, enum config_change change, const char *name, dur_t before, dur_t after)
{
	char from[CONFIG_VALUE_DURATION_TEXT_MAX], to[CONFIG_VALUE_DURATION_TEXT_MAX];

	if (before.us != after.us)
		tell(diff, change, NULL, "%s: %s -> %s", name,
			config_value_render_duration(before, from),
			config_value_render_duration(after, to));
}

static void compare_number(struct diff *diff, enum config_change change, const char *group,
	const char *name, uint32_t before, uint32_t after)
{
	if (before != after && group)
		tell(diff, change, group, "group %s: %s: %u -> %u", group, name, before, after);
	else if (before != after)
		tell(diff, change, NULL, "%s: %u -> %u", name, before, after);
}

static bool same_addresses(
	const struct ipaddr *a, uint32_t a_count, const struct ipaddr *b, uint32_t b_count)
{
	if (a_count != b_count)
		return false;
	for (uint32_t i = 0; i < a_count; i++)
		if (ipaddr_compare(&a[i], &b[i]) != 0)
			return false;
	return true;
}

static void diff_keys(struct diff *diff)
{
	const struct config *a = diff->old_cfg, *b = diff->new_cfg;
	bool same = a->key_count == b->key_count;

	for (uint32_t i = 0; same && i < a->key_count; i++)
		same = strcmp(a->keys[i].path, b->keys[i].path) == 0;
	if (!same)
		tell(diff, CONFIG_CHANGE_KEYS, NULL, "keys: another list of files");
}

/* Whether every group interface of either file has the same name on the node. */
static bool same_interface_names(
	struct diff *diff, const struct config_node *a, const struct config_node *b)
{
	const struct config *cfgs[] = {diff->old_cfg, diff->new_cfg};

	for (size_t c = 0; c < ARRAY_LEN(cfgs); c++) {
		for (uint32_t i = 0; i < cfgs[c]->track_count; i++) {
			const char *name = cfgs[c]->tracks[i].interface;

			if (strcmp(config_ifname(diff->old_cfg, a, name),
				    config_ifname(diff->new_cfg, b, name)) != 0)
				return false;
		}
		for (uint32_t i = 0; i < cfgs[c]->interface_count; i++) {
			const char *name = cfgs[c]->interfaces[i].name;

			if (strcmp(config_ifname(diff->old_cfg, a, name),
				    config_ifname(diff->new_cfg, b, name)) != 0)
				return false;
		}
	}
	return true;
}

static void diff_node(struct diff *diff, const struct config_node *a, const struct config_node *b)
{
	if (a->id != b->id)
		tell(diff, CONFIG_CHANGE_NODE, NULL, "node %s: id: %u -> %u", a->name, a->id,
			b->id);
	if (!same_addresses(a->addresses, a->address_count, b->addresses, b->address_count))
		tell(diff, CONFIG_CHANGE_NODE, NULL, "node %s: other sync addresses", a->name);
	if (a->advskew != b->advskew)
		tell(diff, CONFIG_CHANGE_TIMERS, NULL, "node %s: advskew: %u -> %u", a->name,
			a->advskew, b->advskew);
	if (!same_interface_names(diff, a, b))
		tell(diff, CONFIG_CHANGE_NODE, NULL, "node %s: other interface names", a->name);
}

static void diff_nodes(struct diff *diff)
{
	const struct config *a = diff->old_cfg, *b = diff->new_cfg;

	for (uint32_t n = 0; n < a->node_count; n++) {
		const struct config_node *other = config_node_lookup(b, a->nodes[n].name);

		if (other)
			diff_node(diff, &a->nodes[n], other);
		else
			tell(diff, CONFIG_CHANGE_NODE, NULL, "node %s removed", a->nodes[n].name);
	}
	for (uint32_t n = 0; n < b->node_count; n++)
		if (!config_node_lookup(a, b->nodes[n].name))
			tell(diff, CONFIG_CHANGE_NODE, NULL, "node %s added", b->nodes[n].name);
}

static void diff_confirm(
	struct diff *diff, const struct config_confirm *a, const struct config_confirm *b)
{
	if (a->enabled != b->enabled) {
		tell(diff, CONFIG_CHANGE_ELECTION, NULL, "confirm: %s",
			b->enabled ? "off -> on" : "on -> off");
	} else if (a->enabled) {
		compare_number(diff, CONFIG_CHANGE_ELECTION, NULL, "confirm questions",
			a->questions, b->questions);
		compare_duration(
			diff, CONFIG_CHANGE_ELECTION, "confirm spacing", a->spacing, b->spacing);
	}
}

static void diff_damping(
	struct diff *diff, const struct config_damping *a, const struct config_damping *b)
{
	compare_number(diff, CONFIG_CHANGE_ELECTION, NULL, "damping moves", a->moves, b->moves);
	compare_duration(diff, CONFIG_CHANGE_ELECTION, "damping within", a->within, b->within);
	compare_duration(diff, CONFIG_CHANGE_ELECTION, "damping hold", a->hold, b->hold);
}

static void diff_announce(
	struct diff *diff, const struct config_announce *a, const struct config_announce *b)
{
	bool same = a->repeat_count == b->repeat_count;

	compare_number(diff, CONFIG_CHANGE_ELECTION, NULL, "announce burst", a->burst, b->burst);
	for (uint8_t i = 0; same && i < a->repeat_count; i++)
		same = a->repeats[i].us == b->repeats[i].us;
	if (!same)
		tell(diff, CONFIG_CHANGE_ELECTION, NULL, "announce repeats changed");
	compare_duration(diff, CONFIG_CHANGE_ELECTION, "announce refresh", a->refresh, b->refresh);
}

static void diff_wire(
	struct diff *diff, const struct config_election *a, const struct config_election *b)
{
	const char *old_name = a->passphrase.text ? a->passphrase.text : "none";
	const char *new_name = b->passphrase.text ? b->passphrase.text : "none";

	if (a->wire != b->wire)
		tell(diff, CONFIG_CHANGE_CLUSTER, NULL, "wire: %s",
			b->wire == CONFIG_WIRE_CARP2 ? "native -> carp2" : "carp2 -> native");
	if (a->counter_strict != b->counter_strict)
		tell(diff, CONFIG_CHANGE_CLUSTER, NULL, "counter: %s",
			b->counter_strict ? "lenient -> strict" : "strict -> lenient");
	if (strcmp(old_name, new_name) != 0)
		tell(diff, CONFIG_CHANGE_KEYS, NULL, "passphrase_file: %.64s -> %.64s", old_name,
			new_name);
}

static void diff_election(struct diff *diff)
{
	const struct config_election *a = &diff->old_cfg->election, *b = &diff->new_cfg->election;
	const struct config_deadlines *old_deadlines = &diff->old_cfg->deadlines;
	const struct config_deadlines *new_deadlines = &diff->new_cfg->deadlines;

	diff_wire(diff, a, b);
	compare_duration(diff, CONFIG_CHANGE_TIMERS, "advbase", a->advbase, b->advbase);
	compare_number(
		diff, CONFIG_CHANGE_TIMERS, NULL, "dead_factor", a->dead_factor, b->dead_factor);
	/* Both auto: it follows the timers above. */
	if (a->startup_hold_auto != b->startup_hold_auto)
		tell(diff, CONFIG_CHANGE_TIMERS, NULL, "startup_hold: %s auto",
			b->startup_hold_auto ? "now" : "no longer");
	else if (!a->startup_hold_auto)
		compare_duration(diff, CONFIG_CHANGE_TIMERS, "startup_hold", a->startup_hold,
			b->startup_hold);
	compare_duration(diff, CONFIG_CHANGE_TIMERS, "settle", a->settle, b->settle);
	if (a->preempt != b->preempt)
		tell(diff, CONFIG_CHANGE_ELECTION, NULL, "preempt: %s",
			b->preempt ? "false -> true" : "true -> false");
	diff_confirm(diff, &a->confirm, &b->confirm);
	diff_damping(diff, &a->damping, &b->damping);
	diff_announce(diff, &diff->old_cfg->announce, &diff->new_cfg->announce);
	compare_duration(diff, CONFIG_CHANGE_ELECTION, "deadline before", old_deadlines->before,
		new_deadlines->before);
	compare_duration(diff, CONFIG_CHANGE_ELECTION, "deadline state", old_deadlines->state,
		new_deadlines->state);
	compare_duration(diff, CONFIG_CHANGE_ELECTION, "deadline rules", old_deadlines->rules,
		new_deadlines->rules);
	compare_duration(diff, CONFIG_CHANGE_ELECTION, "deadline addresses",
		old_deadlines->addresses, new_deadlines->addresses);
}

static const struct ipaddr *find_address(
	const struct config_interface *interface, const struct ipaddr *addr)
{
	for (uint32_t i = 0; i < interface->address_count; i++)
		if (ipaddr_compare(&interface->addresses[i], addr) == 0)
			return &interface->addresses[i];
	return NULL;
}

/* Tells the addresses that `of` has and `than` (NULL: nothing) has not. */
static void diff_addresses(struct diff *diff, const struct config_group *group,
	const struct config_interface *of, const struct config_interface *than, const char *word)
{
	char text[IPADDR_TEXT_MAX];

	for (uint32_t i = 0; i < of->address_count; i++)
		if (!than || !find_address(than, &of->addresses[i]))
			tell(diff, CONFIG_CHANGE_ADDRESS, group->name,
				"group %s: address %s on %s %s", group->name,
				ipaddr_render(&of->addresses[i], true, text), of->name, word);
}

static const struct config_interface *find_interface(
	const struct config_group *group, const char *name)
{
	for (uint32_t i = 0; i < group->interface_count; i++)
		if (strcmp(group->interfaces[i].name, name) == 0)
			return &group->interfaces[i];
	return NULL;
}

static bool same_routes(const struct config_interface *a, const struct config_interface *b)
{
	if (a->route_count != b->route_count)
		return false;
	for (uint32_t i = 0; i < a->route_count; i++)
		if (ipaddr_compare(&a->routes[i].to, &b->routes[i].to) != 0 ||
			ipaddr_compare(&a->routes[i].via, &b->routes[i].via) != 0 ||
			a->routes[i].metric != b->routes[i].metric)
			return false;
	return true;
}

static void diff_interface(struct diff *diff, const struct config_group *group,
	const struct config_interface *a, const struct config_interface *b)
{
	if (a->weight != b->weight)
		tell(diff, CONFIG_CHANGE_INTERFACE, group->name, "group %s: weight of %s: %u -> %u",
			group->name, a->name, a->weight, b->weight);
	if (!same_addresses(a->probes, a->probe_count, b->probes, b->probe_count))
		tell(diff, CONFIG_CHANGE_INTERFACE, group->name, "group %s: other probes of %s",
			group->name, a->name);
	if (a->bring_up != b->bring_up)
		tell(diff, CONFIG_CHANGE_INTERFACE, group->name, "group %s: bring_up of %s: %s",
			group->name, a->name, b->bring_up ? "false -> true" : "true -> false");
	if (a->virtual_mac != b->virtual_mac)
		tell(diff, CONFIG_CHANGE_INTERFACE, group->name, "group %s: virtual_mac of %s: %s",
			group->name, a->name, b->virtual_mac ? "false -> true" : "true -> false");
	if (!same_routes(a, b))
		tell(diff, CONFIG_CHANGE_INTERFACE, group->name, "group %s: other routes of %s",
			group->name, a->name);
	diff_addresses(diff, group, a, b, "removed");
	diff_addresses(diff, group, b, a, "added");
}

static void diff_interfaces(
	struct diff *diff, const struct config_group *a, const struct config_group *b)
{
	for (uint32_t i = 0; i < a->interface_count; i++) {
		const struct config_interface *mine = &a->interfaces[i];
		const struct config_interface *other = find_interface(b, mine->name);

		if (other) {
			diff_interface(diff, a, mine, other);
			continue;
		}
		tell(diff, CONFIG_CHANGE_INTERFACE, a->name, "group %s: interface %s removed",
			a->name, mine->name);
		diff_addresses(diff, a, mine, NULL, "removed");
	}
	for (uint32_t i = 0; i < b->interface_count; i++) {
		const struct config_interface *mine = &b->interfaces[i];

		if (find_interface(a, mine->name))
			continue;
		tell(diff, CONFIG_CHANGE_INTERFACE, b->name, "group %s: interface %s added",
			b->name, mine->name);
		diff_addresses(diff, b, mine, NULL, "added");
	}
}

static bool same_file(const struct config_file *a, const struct config_file *b)
{
	if (!a->path || !b->path)
		return a->path == b->path;
	return strcmp(a->path, b->path) == 0;
}

static bool same_words(
	const char *const *a, uint32_t a_count, const char *const *b, uint32_t b_count)
{
	if (a_count != b_count)
		return false;
	for (uint32_t i = 0; i < a_count; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

static bool same_handler(const struct config_handler *a, const struct config_handler *b)
{
	if (strcmp(a->name, b->name) != 0 || a->on_master != b->on_master ||
		a->on_backup != b->on_backup || a->phase != b->phase ||
		a->timeout.us != b->timeout.us || a->required != b->required ||
		strcmp(a->user, b->user) != 0)
		return false;
	return same_words(a->arguments, a->argument_count, b->arguments, b->argument_count);
}

bool config_track_equal(const struct config_track *a, const struct config_track *b)
{
	if (strcmp(a->name, b->name) != 0 || a->kind != b->kind || a->demote != b->demote ||
		strcmp(a->interface, b->interface) != 0 || a->every.us != b->every.us ||
		a->timeout.us != b->timeout.us || a->rise != b->rise || a->fall != b->fall ||
		a->when_master != b->when_master || strcmp(a->user, b->user) != 0)
		return false;
	return same_words(a->arguments, a->argument_count, b->arguments, b->argument_count);
}

/* The order of the entries means nothing. */
static void diff_tracks(
	struct diff *diff, const struct config_group *a, const struct config_group *b)
{
	for (uint32_t i = 0; i < a->track_count; i++) {
		const struct config_track *other = config_track_lookup(b, a->tracks[i].name);

		if (!other)
			tell(diff, CONFIG_CHANGE_TRACK, a->name, "group %s: track:%s removed",
				a->name, a->tracks[i].name);
		else if (!config_track_equal(&a->tracks[i], other))
			tell(diff, CONFIG_CHANGE_TRACK, a->name, "group %s: track:%s changed",
				a->name, other->name);
	}
	for (uint32_t i = 0; i < b->track_count; i++)
		if (!config_track_lookup(a, b->tracks[i].name))
			tell(diff, CONFIG_CHANGE_TRACK, b->name, "group %s: track:%s added",
				b->name, b->tracks[i].name);
}

static void diff_handlers(
	struct diff *diff, const struct config_group *a, const struct config_group *b)
{
	bool same = a->handler_count == b->handler_count;

	for (uint32_t i = 0; same && i < a->handler_count; i++)
		same = same_handler(&a->handlers[i], &b->handlers[i]);
	if (!same)
		tell(diff, CONFIG_CHANGE_HANDLERS, a->name, "group %s: other handlers", a->name);
}

static void diff_group(
	struct diff *diff, const struct config_group *a, const struct config_group *b)
{
	compare_number(diff, CONFIG_CHANGE_GROUP, a->name, "vhid", a->vhid, b->vhid);
	for (uint32_t n = 0; n < diff->new_cfg->node_count; n++) {
		const struct config_node *node = &diff->new_cfg->nodes[n];
		const struct config_node *before = config_node_lookup(diff->old_cfg, node->name);
		uint8_t from = before ? a->advskew[before->index] : 0, to = b->advskew[n];

		/* A change of the node's own skew has been told with the node. */
		if (!before || from == to ||
			(from - before->advskew == 0 && to - node->advskew == 0))
			continue;
		tell(diff, CONFIG_CHANGE_TIMERS, a->name, "group %s: advskew of %s: %u -> %u",
			a->name, node->name, from, to);
	}
	diff_interfaces(diff, a, b);
	if (!same_file(&a->rules_master, &b->rules_master) ||
		!same_file(&a->rules_backup, &b->rules_backup))
		tell(diff, CONFIG_CHANGE_RULES, a->name, "group %s: other rule files", a->name);
	if (a->rules_drift != b->rules_drift)
		tell(diff, CONFIG_CHANGE_RULES, a->name, "group %s: drift of its rules: %s",
			a->name,
			b->rules_drift == CONFIG_DRIFT_REPAIR ? "report -> repair"
							      : "repair -> report");
	diff_handlers(diff, a, b);
	diff_tracks(diff, a, b);
}

static void diff_groups(struct diff *diff)
{
	const struct config *a = diff->old_cfg, *b = diff->new_cfg;

	for (uint32_t g = 0; g < a->group_count; g++) {
		const struct config_group *mine = &a->groups[g];
		const struct config_group *other = config_group_lookup(b, mine->name);

		if (other)
			diff_group(diff, mine, other);
		else
			tell(diff, CONFIG_CHANGE_GROUP, mine->name, "group %s removed", mine->name);
	}
	for (uint32_t g = 0; g < b->group_count; g++)
		if (!config_group_lookup(a, b->groups[g].name))
			tell(diff, CONFIG_CHANGE_GROUP, b->groups[g].name, "group %s added",
				b->groups[g].name);
}

static void diff_sync(struct diff *diff)
{
	const struct config_sync *a = &diff->old_cfg->sync, *b = &diff->new_cfg->sync;

	if (a->configured != b->configured) {
		tell(diff, CONFIG_CHANGE_SYNC, NULL, "sync %s",
			b->configured ? "added" : "removed");
		return;
	}
	if (a->mode != b->mode)
		tell(diff, CONFIG_CHANGE_SYNC, NULL, "sync mode: %s -> %s",
			config_sync_mode_name(a->mode), config_sync_mode_name(b->mode));
	compare_number(diff, CONFIG_CHANGE_SYNC, NULL, "sync max_flows (0: auto)", a->max_flows,
		b->max_flows);
	compare_duration(
		diff, CONFIG_CHANGE_SYNC, "sync liberal_grace", a->liberal_grace, b->liberal_grace);
	compare_number(diff, CONFIG_CHANGE_SYNC, NULL, "sync port", a->port, b->port);
	if (!same_addresses(a->ignore_addresses, a->ignore_address_count, b->ignore_addresses,
		    b->ignore_address_count) ||
		a->ignore_protocol_count != b->ignore_protocol_count ||
		memcmp(a->ignore_protocols, b->ignore_protocols, a->ignore_protocol_count) != 0)
		tell(diff, CONFIG_CHANGE_SYNC, NULL, "sync ignore: another list");
}

uint32_t config_diff(const struct config *old_cfg, const struct config *new_cfg, void *context,
	config_diff_fn *on_change)
{
	struct diff diff = {
		.old_cfg = old_cfg,
		.new_cfg = new_cfg,
		.context = context,
		.on_change = on_change,
	};

	if (strcmp(old_cfg->cluster, new_cfg->cluster) != 0)
		tell(&diff, CONFIG_CHANGE_CLUSTER, NULL, "cluster: %s -> %s", old_cfg->cluster,
			new_cfg->cluster);
	diff_keys(&diff);
	diff_nodes(&diff);
	diff_election(&diff);
	diff_groups(&diff);
	diff_sync(&diff);
	return diff.count;
}

const char *config_change_name(enum config_change change)
{
	CHECK(change < CONFIG_CHANGE_COUNT);
	return change_names[change];
}
