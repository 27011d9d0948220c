/* groups: one entry of it with its interfaces, rules and handlers. What the whole cluster has of
 * them lies in three arrays of struct config; a group owns a stretch of each. */
#include "config/config_parse.h"

#include "common/check.h"
#include "config/config_value.h"

#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000)
#define S  (1000 * MS)

/* A name out of the file when an unknown one was used: the nearest node. */
static void report_unknown_node(struct config_parser *parser, const struct config_tree_node *child)
{
	const struct config *cfg = parser->cfg;
	const char *names[LIMIT_NODES];
	const char *nearest;

	for (uint32_t i = 0; i < cfg->node_count; i++)
		names[i] = cfg->nodes[i].name;
	nearest = config_value_nearest(child->key, names, cfg->node_count);
	config_errors_add(parser->errors, child->key_pos,
		"unknown node '%.64s'%s%s%s; allowed: the names under nodes:", child->key,
		nearest ? ": did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static void take_advskew(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_group *group = object;

	if (!config_shape_kind(parser, value, CONFIG_TREE_MAPPING, "node: 0..254"))
		return;
	for (const struct config_tree_node *child = value->first; child; child = child->next) {
		const struct config_node *node = config_node_lookup(parser->cfg, child->key);
		int64_t number = 0;

		if (!node)
			report_unknown_node(parser, child);
		if (!config_shape_number(parser, child, 0, CONFIG_ADVSKEW_MAX, &number) || !node)
			continue;
		group->advskew[node->index] = (uint8_t)number;
		group->advskew_own[node->index] = true;
	}
}

/* ---- interfaces: ---- */

/* The address that names the network itself, or all of its hosts, belongs to nobody. */
static bool is_network_or_broadcast(const struct ipaddr *addr)
{
	uint32_t word, hosts;

	if (addr->family != IPADDR_V4 || addr->prefix_len >= 31)
		return false;
	word = (uint32_t)addr->bytes[0] << 24 | (uint32_t)addr->bytes[1] << 16 |
	       (uint32_t)addr->bytes[2] << 8 | addr->bytes[3];
	hosts = UINT32_MAX >> addr->prefix_len;
	return (word & hosts) == 0 || (word & hosts) == hosts;
}

static void take_addresses(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config *cfg = parser->cfg;
	struct config_interface *interface = object;

	if (!config_shape_kind(
		    parser, value, CONFIG_TREE_LIST, "a list of addresses, as [10.1.0.254/24]"))
		return;
	if (value->count == 0)
		config_shape_error(parser, value, "no address; allowed: at least one");
	for (const struct config_tree_node *item = value->first; item; item = item->next) {
		struct ipaddr addr = {0};

		if (!config_parse_address(parser, item, true, &addr))
			continue;
		if (is_network_or_broadcast(&addr)) {
			config_shape_error(parser, item,
				"'%.64s' is the network's own or its broadcast address; allowed: "
				"a host's address",
				item->text);
			continue;
		}
		if (cfg->address_count == LIMIT_ADDRESSES) {
			config_shape_error(parser, item,
				"more than %u virtual addresses in one file", LIMIT_ADDRESSES);
			return;
		}
		cfg->address_pos[cfg->address_count] = item->pos;
		cfg->addresses[cfg->address_count++] = addr;
		interface->address_count++;
	}
}

static void take_probes(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_interface *interface = object;

	if (!config_shape_kind(
		    parser, value, CONFIG_TREE_LIST, "a list of addresses, as [10.2.0.1]"))
		return;
	if (value->count > CONFIG_PROBES_MAX) {
		config_shape_error(parser, value, "%u addresses; allowed: at most %u", value->count,
			CONFIG_PROBES_MAX);
		return;
	}
	for (const struct config_tree_node *item = value->first; item; item = item->next)
		if (config_parse_address(
			    parser, item, false, &interface->probes[interface->probe_count]))
			interface->probe_count++;
}

#define INTERFACE(field) CONFIG_SHAPE_FIELD(struct config_interface, field)

static const struct config_shape_key interface_keys[] = {
	{"addresses", CONFIG_SHAPE_OTHER, true, .take = take_addresses,
		.type_text = "list of addresses", .range_text = "at most 1024 in all",
		.meaning = "The virtual addresses, each with its prefix length; link-local ones "
			   "are allowed. `lan0: [10.1.0.254/24]` is short for this key alone."},
	{"weight", CONFIG_SHAPE_NUMBER, false, INTERFACE(weight), .min = 0,
		.max = CONFIG_WEIGHT_MAX, .fallback = 100,
		.meaning = "By how much a node demotes itself while this interface fails its own "
			   "test."},
	{"probe", CONFIG_SHAPE_OTHER, false, .take = take_probes, .type_text = "list of addresses",
		.fallback_text = "route gateways, then neighbours last seen",
		.range_text = "at most 8",
		.meaning = "Who must answer ARP or neighbour discovery for the interface to be "
			   "alive."},
	{"virtual_mac", CONFIG_SHAPE_BOOL, false, INTERFACE(virtual_mac), .fallback = false,
		.meaning = "The virtual addresses under 00:00:5e:00:01:VHID (IPv6: 02), on devices "
			   "of their own that rules must name: lan0.v51 (IPv6: lan0.w51)."},
	{"bring_up", CONFIG_SHAPE_BOOL, false, INTERFACE(bring_up), .fallback = false,
		.meaning = "The interface is administratively down except on the master. It "
			   "carries no adverts then: the group needs another path."},
	{"routes", CONFIG_SHAPE_OTHER, false, .take = config_parse_routes, .type_text = "list",
		.range_text = "256 in all",
		.meaning = "Routes through this interface that are there on the master alone."},
};

const struct config_shape config_parse_group_interface_shape = {
	"groups.GROUP.interfaces.INTERFACE", ARRAY_LEN(interface_keys), interface_keys};

static void read_interface(struct config_parser *parser, struct config_group *group,
	const struct config_tree_node *child)
{
	struct config *cfg = parser->cfg;
	struct config_interface *interface = &cfg->interfaces[cfg->interface_count];

	strcpy(interface->name, child->key);
	interface->group = group->index;
	interface->pos = child->key_pos;
	interface->addresses = &cfg->addresses[cfg->address_count];
	interface->routes = &cfg->routes[cfg->route_count];
	config_shape_defaults(&config_parse_group_interface_shape, interface);
	cfg->interface_count++;
	group->interface_count++;
	if (child->kind == CONFIG_TREE_LIST)
		take_addresses(parser, interface, child);
	else if (child->kind == CONFIG_TREE_MAPPING)
		config_shape_read(parser, &config_parse_group_interface_shape, interface, child);
	else
		config_shape_kind(parser, child, CONFIG_TREE_MAPPING,
			"a list of addresses, or keys with values");
}

/* Not the loopback, and not what a sync path is called: sync0, sync1, ... */
static bool is_group_interface_name(const char *name)
{
	if (!config_value_is_name(name, CONFIG_IFNAME_MAX - 1) || strcmp(name, "lo") == 0)
		return false;
	return strncmp(name, "sync", 4) != 0 || name[4] == '\0' ||
	       strspn(name + 4, "0123456789") != strlen(name + 4);
}

static void take_interfaces(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config *cfg = parser->cfg;
	struct config_group *group = object;

	if (!config_shape_kind(
		    parser, value, CONFIG_TREE_MAPPING, "interfaces by name, with addresses"))
		return;
	if (value->count == 0)
		config_shape_error(parser, value, "no interface; allowed: at least one");
	for (const struct config_tree_node *child = value->first; child; child = child->next) {
		if (cfg->interface_count == LIMIT_INTERFACES) {
			config_errors_add(parser->errors, child->key_pos,
				"interfaces: more than %u group interfaces in one file",
				LIMIT_INTERFACES);
			return;
		}
		if (is_group_interface_name(child->key))
			read_interface(parser, group, child);
		else
			config_errors_add(parser->errors, child->key_pos,
				"'%.64s' is not an interface's name here; allowed: 1..15 "
				"characters of A-Z a-z 0-9 . _ -, not lo, not sync0, "
				"sync1, ...",
				child->key);
	}
}

/* ---- rules: ---- */

static void take_master(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_group *group = object;

	config_shape_file(parser, value, &group->rules_master);
}

static void take_backup(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_group *group = object;

	config_shape_file(parser, value, &group->rules_backup);
}

static void take_drift(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	static const char *const names[] = {"report", "repair"};
	struct config_group *group = object;

	group->rules_drift = CONFIG_DRIFT_REPORT;
	if (config_shape_choice(parser, value, names, ARRAY_LEN(names)) == CONFIG_DRIFT_REPAIR)
		group->rules_drift = CONFIG_DRIFT_REPAIR;
}

static const struct config_shape_key rules_keys[] = {
	{"master", CONFIG_SHAPE_OTHER, true, .take = take_master, .type_text = "file",
		.range_text = "an nft file", .meaning = "What the master filters and translates."},
	{"backup", CONFIG_SHAPE_OTHER, false, .take = take_backup, .type_text = "file",
		.range_text = "an nft file",
		.meaning = "In addition to the shield, on every backup. May name no table of the "
			   "master's file."},
	{"drift", CONFIG_SHAPE_OTHER, false, .take = take_drift, .type_text = "word",
		.range_text = "report, repair", .fallback_text = "report",
		.meaning =
			"When somebody else changes these rules in the kernel: an alarm, or also "
			"what was loaded loaded again. What is deleted is closed by the shield "
			"in any case."},
};

const struct config_shape config_parse_group_rules_shape = {
	"groups.GROUP.rules", ARRAY_LEN(rules_keys), rules_keys};

static void take_rules(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	config_shape_read(parser, &config_parse_group_rules_shape, object, value);
}

/* ---- handlers: ---- */

static void take_name(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_handler *handler = object;
	const char *text = config_shape_word(parser, value, "a name");

	if (!text)
		return;
	if (config_value_is_name(text, LIMIT_NAME - 1) && strcmp(text, "syncd") != 0)
		strcpy(handler->name, text);
	else
		config_shape_error(parser, value,
			"'%.64s'; allowed: 1..63 characters of A-Z a-z 0-9 . _ -, not syncd", text);
}

/* One word of the command. {group}, {state} and {reason} are filled in when it runs; a word in
 * braces that is none of them is a slip that would otherwise be found in an emergency. */
static bool check_placeholders(struct config_parser *parser, const struct config_tree_node *item)
{
	static const char *const known[] = {"{group}", "{state}", "{reason}"};

	for (const char *brace = strchr(item->text, '{'); brace; brace = strchr(brace + 1, '{')) {
		size_t length = strspn(brace + 1, "abcdefghijklmnopqrstuvwxyz_");
		bool is_known = false;

		if (length == 0 || brace[1 + length] != '}')
			continue;
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			is_known |= strncmp(brace, known[i], strlen(known[i])) == 0;
		if (is_known)
			continue;
		config_shape_error(parser, item,
			"'%.*s' is unknown; allowed: {group}, {state}, {reason}",
			(int)(length > 60 ? 60 : length) + 2, brace);
		return false;
	}
	return true;
}

uint32_t config_parse_words(struct config_parser *parser, const struct config_tree_node *value,
	const char *const *ret_arguments[static 1], const char **ret_program_text,
	struct config_pos *ret_pos)
{
	struct config *cfg = parser->cfg;
	struct config_file program = {0};
	uint32_t count = 0;

	if (!config_shape_kind(
		    parser, value, CONFIG_TREE_LIST, "a program and its arguments, as a list"))
		return 0;
	if (value->count < 1 || value->count > CONFIG_ARGUMENTS_MAX) {
		config_shape_error(parser, value, "%u words; allowed: 1..%u", value->count,
			CONFIG_ARGUMENTS_MAX);
		return 0;
	}
	*ret_arguments = &cfg->arguments[cfg->argument_count];
	*ret_pos = value->first->pos;
	if (config_shape_file(parser, value->first, &program)) {
		cfg->arguments[cfg->argument_count++] = program.path;
		*ret_program_text = program.text;
		count++;
	}
	for (const struct config_tree_node *item = value->first->next; item; item = item->next) {
		const char *text;

		if (!config_shape_kind(parser, item, CONFIG_TREE_SCALAR, "a word") ||
			!check_placeholders(parser, item))
			continue;
		text = config_shape_text(parser, item, item->text);
		if (!text)
			return 0;
		cfg->arguments[cfg->argument_count++] = text;
		count++;
	}
	cfg->arguments[cfg->argument_count++] = NULL;
	return count;
}

static void take_run(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_handler *handler = object;

	handler->argument_count = config_parse_words(
		parser, value, &handler->arguments, &handler->program_text, &handler->pos);
}

static void take_on(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	static const char *const names[] = {"master", "backup"};
	struct config_handler *handler = object;

	if (!config_shape_kind(parser, value, CONFIG_TREE_LIST, "[master], [backup] or both"))
		return;
	handler->on_master = handler->on_backup = false;
	if (value->count == 0)
		config_shape_error(parser, value, "never; allowed: [master], [backup] or both");
	for (const struct config_tree_node *item = value->first; item; item = item->next) {
		int choice = config_shape_choice(parser, item, names, ARRAY_LEN(names));

		handler->on_master |= choice == 0;
		handler->on_backup |= choice == 1;
	}
}

static void take_phase(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	const char *names[CONFIG_PHASE_COUNT];
	struct config_handler *handler = object;
	int phase;

	for (int i = 0; i < CONFIG_PHASE_COUNT; i++)
		names[i] = config_phase_name((enum config_phase)i);
	phase = config_shape_choice(parser, value, names, ARRAY_LEN(names));
	if (phase >= 0)
		handler->phase = (enum config_phase)phase;
}

/* Read after the phase: a stage does not wait longer than its deadline. */
static void take_timeout(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	const struct config_deadlines *deadlines = &parser->cfg->deadlines;
	struct config_handler *handler = object;
	dur_t most = dur_s(600);

	if (handler->phase == CONFIG_PHASE_BEFORE)
		most = deadlines->before;
	else if (handler->phase == CONFIG_PHASE_STATE)
		most = deadlines->state;
	config_shape_duration(parser, value, dur_ms(1), most, &handler->timeout);
}

void config_parse_user(struct config_parser *parser, const struct config_tree_node *value,
	char user[static CONFIG_USER_MAX], struct config_pos *ret_pos)
{
	const char *text = config_shape_word(parser, value, "a user's name");

	*ret_pos = value->pos;
	if (!text)
		return;
	if (config_value_is_name(text, CONFIG_USER_MAX - 1) ||
		(text[0] == '_' && config_value_is_name(text + 1, CONFIG_USER_MAX - 2)))
		strcpy(user, text);
	else
		config_shape_error(parser, value, "'%.64s'; allowed: a user's name", text);
}

static void take_user(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_handler *handler = object;

	config_parse_user(parser, value, handler->user, &handler->user_pos);
}

#define HANDLER(field) CONFIG_SHAPE_FIELD(struct config_handler, field)

static const struct config_shape_key handler_keys[] = {
	{"name", CONFIG_SHAPE_OTHER, true, .take = take_name, .type_text = "name",
		.range_text = "1..63 characters, unique in the group, not syncd",
		.meaning = "What logs and history call it."},
	{"run", CONFIG_SHAPE_OTHER, true, .take = take_run, .type_text = "list of words",
		.range_text = "1..32 words",
		.meaning = "The program and its arguments; no shell. `{group}`, `{state}` and "
			   "`{reason}` are filled in."},
	{"on", CONFIG_SHAPE_OTHER, false, .take = take_on, .type_text = "list",
		.fallback_text = "[master, backup]", .range_text = "master, backup",
		.meaning = "On which transitions it runs."},
	{"phase", CONFIG_SHAPE_OTHER, false, .take = take_phase, .type_text = "word",
		.fallback_text = "after", .range_text = "before, state, after",
		.meaning = "Before everything, beside syncd, or after all is done (not awaited)."},
	{"timeout", CONFIG_SHAPE_OTHER, false, .take = take_timeout, .type_text = "duration",
		.fallback_text = "5s; in before and state the stage's deadline",
		.range_text = "1ms..10m; in before and state at most the stage's deadline",
		.meaning = "Then its whole process group is killed and it has failed."},
	{"required", CONFIG_SHAPE_BOOL, false, HANDLER(required), .fallback = false,
		.meaning = "Whether its failure fails the stage."},
	{"user", CONFIG_SHAPE_OTHER, false, .take = take_user, .type_text = "name",
		.fallback_text = "nobody", .range_text = "a user of the node",
		.meaning = "Whom it runs as."},
};

const struct config_shape config_parse_group_handler_shape = {
	"groups.GROUP.handlers[]", ARRAY_LEN(handler_keys), handler_keys};

static void read_handler(struct config_parser *parser, struct config_group *group,
	const struct config_tree_node *item)
{
	const struct config_deadlines *deadlines = &parser->cfg->deadlines;
	struct config_handler *handler = &parser->cfg->handlers[parser->cfg->handler_count];

	*handler = (struct config_handler){0};
	config_shape_defaults(&config_parse_group_handler_shape, handler);
	handler->pos = handler->user_pos = item->pos;
	handler->on_master = handler->on_backup = true;
	handler->phase = CONFIG_PHASE_AFTER;
	strcpy(handler->user, "nobody");
	if (!config_shape_read(parser, &config_parse_group_handler_shape, handler, item))
		return;
	if (handler->timeout.us == 0)
		handler->timeout = handler->phase == CONFIG_PHASE_BEFORE  ? deadlines->before
				   : handler->phase == CONFIG_PHASE_STATE ? deadlines->state
									  : dur_s(5);
	for (uint32_t i = 0; i < group->handler_count; i++)
		if (handler->name[0] && strcmp(group->handlers[i].name, handler->name) == 0)
			config_errors_add(parser->errors, item->pos,
				"handlers: name '%s' is there twice", handler->name);
	parser->cfg->handler_count++;
	group->handler_count++;
}

static void take_handlers(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_group *group = object;

	if (!config_shape_kind(parser, value, CONFIG_TREE_LIST, "a list of handlers"))
		return;
	for (const struct config_tree_node *item = value->first; item; item = item->next) {
		if (parser->cfg->handler_count == LIMIT_HANDLERS) {
			config_shape_error(
				parser, item, "more than %u handlers in one file", LIMIT_HANDLERS);
			return;
		}
		read_handler(parser, group, item);
	}
}

/* ---- the group ---- */

#define GROUP(field) CONFIG_SHAPE_FIELD(struct config_group, field)

static const struct config_shape_key group_keys[] = {
	{"vhid", CONFIG_SHAPE_NUMBER, true, GROUP(vhid), .min = 1, .max = 255,
		.meaning = "The virtual host's number; unique on an interface."},
	{"advskew", CONFIG_SHAPE_OTHER, false, .take = take_advskew, .type_text = "mapping",
		.fallback_text = "the nodes' own", .range_text = "node: 0..254",
		.meaning = "Which node this group prefers, over the nodes' own advskew."},
	{"interfaces", CONFIG_SHAPE_OTHER, true, .take = take_interfaces, .type_text = "mapping",
		.range_text = "at least one; 64 in all",
		.meaning = "Where the group's addresses live, by the interface's name. Adverts "
			   "travel on them, too."},
	{"rules", CONFIG_SHAPE_OTHER, false, .take = take_rules, .type_text = "mapping",
		.fallback_text = "nftables is left alone", .range_text = "see below",
		.meaning = "The rulesets that switch with the group."},
	{"track", CONFIG_SHAPE_OTHER, false, .take = config_parse_track, .type_text = "list",
		.range_text = "12 a group, 32 in all",
		.meaning = "Interfaces and scripts whose failure demotes a node."},
	{"handlers", CONFIG_SHAPE_OTHER, false, .take = take_handlers, .type_text = "list",
		.range_text = "32 in all", .meaning = "Programs that run at transitions."},
};

const struct config_shape config_parse_group_shape = {
	"groups.GROUP", ARRAY_LEN(group_keys), group_keys};

void config_parse_group(struct config_parser *parser, const struct config_tree_node *value)
{
	struct config *cfg = parser->cfg;
	struct config_group *group = &cfg->groups[cfg->group_count];

	if (!config_value_is_name(value->key, LIMIT_NAME - 1)) {
		config_errors_add(parser->errors, value->key_pos,
			"'%.80s' is not a group name; allowed: 1..63 characters of A-Z a-z 0-9 . _ "
			"-",
			value->key);
		return;
	}
	strcpy(group->name, value->key);
	group->index = (uint8_t)cfg->group_count++;
	group->pos = value->key_pos;
	group->interfaces = &cfg->interfaces[cfg->interface_count];
	group->handlers = &cfg->handlers[cfg->handler_count];
	group->tracks = &cfg->tracks[cfg->track_count];
	config_shape_read(parser, &config_parse_group_shape, group, value);
}
