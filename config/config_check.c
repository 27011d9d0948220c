/* What no single key can say: see config_check() in config_parse.h. */
#include "config/config_parse.h"

#include "common/check.h"
#include "config/config_value.h"

#include <string.h>

/* ---- nodes ---- */

static void check_node_ids(const struct config *cfg, struct config_errors *errors)
{
	for (uint32_t i = 0; i < cfg->node_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (cfg->nodes[i].id && cfg->nodes[i].id == cfg->nodes[j].id)
				config_errors_add(errors, cfg->nodes[i].pos,
					"%s: id %u is %s's already; allowed: an id of its own",
					cfg->nodes[i].name, cfg->nodes[i].id, cfg->nodes[j].name);
}

static void check_sync_pair(
	const struct config_node *a, const struct config_node *b, struct config_errors *errors)
{
	char text[IPADDR_TEXT_MAX];

	for (uint32_t i = 0; i < a->address_count; i++)
		for (uint32_t j = 0; j < b->address_count; j++)
			if (ipaddr_equal(&a->addresses[i], &b->addresses[j]))
				config_errors_add(errors, a->pos, "%s: address %s is %s's already",
					a->name, ipaddr_render(&a->addresses[i], false, text),
					b->name);
	for (uint32_t i = 0; i < a->address_count && i < b->address_count; i++)
		if (a->addresses[i].family != b->addresses[i].family)
			config_errors_add(errors, a->pos,
				"%s: address %u is not of the same family as %s's address %u; the "
				"k-th addresses of all nodes are one link",
				a->name, i + 1, b->name, i + 1);
}

static void check_sync_addresses(const struct config *cfg, struct config_errors *errors)
{
	char text[IPADDR_TEXT_MAX];

	for (uint32_t n = 0; n < cfg->node_count; n++) {
		const struct config_node *node = &cfg->nodes[n];

		for (uint32_t i = 0; i < node->address_count; i++)
			for (uint32_t j = 0; j < i; j++)
				if (ipaddr_equal(&node->addresses[i], &node->addresses[j]))
					config_errors_add(errors, node->pos,
						"%s: address %s is there twice", node->name,
						ipaddr_render(&node->addresses[i], false, text));
		for (uint32_t other = 0; other < n; other++)
			check_sync_pair(node, &cfg->nodes[other], errors);
	}
}

static void check_alias_known(
	const struct config *cfg, const struct config_alias *alias, struct config_errors *errors)
{
	const char *names[LIMIT_INTERFACES + LIMIT_TRACKS];
	const char *nearest;
	uint32_t count = 0;

	for (uint32_t i = 0; i < cfg->interface_count; i++)
		names[count++] = cfg->interfaces[i].name;
	for (uint32_t i = 0; i < cfg->track_count; i++)
		if (cfg->tracks[i].interface[0])
			names[count++] = cfg->tracks[i].interface;
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(names[i], alias->logical) == 0)
			return;
	nearest = config_value_nearest(alias->logical, names, count);
	config_errors_add(errors, alias->pos,
		"unknown interface '%s'%s%s%s; allowed: the interfaces of the groups",
		alias->logical, nearest ? ": did you mean '" : "", nearest ? nearest : "",
		nearest ? "'?" : "");
}

/* Two group interfaces that are one device on a node. (The same name twice is another check.) */
static void check_devices(
	const struct config *cfg, const struct config_node *node, struct config_errors *errors)
{
	for (uint32_t i = 0; i < cfg->interface_count; i++) {
		const char *name = cfg->interfaces[i].name;
		const char *device = config_ifname(cfg, node, name);

		for (uint32_t j = 0; j < i; j++) {
			const char *other = cfg->interfaces[j].name;

			if (strcmp(name, other) == 0 ||
				strcmp(device, config_ifname(cfg, node, other)) != 0)
				continue;
			config_errors_add(errors, node->pos,
				"%s: interfaces %s and %s are both %s; allowed: a device each",
				node->name, other, name, device);
		}
	}
}

/* ---- groups ---- */

static void check_virtual_mac(const struct config *cfg, struct config_errors *errors)
{
	for (uint32_t i = 0; i < cfg->interface_count; i++) {
		const struct config_interface *interface = &cfg->interfaces[i];

		if (interface->virtual_mac && strlen(interface->name) > CONFIG_VMAC_IFNAME_MAX)
			config_errors_add(errors, interface->pos,
				"%s: too long a name for virtual_mac; allowed: %u characters (a "
				"node's own name may be longer)",
				interface->name, CONFIG_VMAC_IFNAME_MAX);
		if (interface->virtual_mac && interface->bring_up)
			config_errors_add(errors, interface->pos,
				"%s: virtual_mac and bring_up exclude each other", interface->name);
	}
}

/* The wire of a bring_up interface is dark on a backup: it says nothing about the node. */
static void check_bring_up(const struct config *cfg, struct config_errors *errors)
{
	for (uint32_t i = 0; i < cfg->interface_count; i++) {
		const struct config_interface *interface = &cfg->interfaces[i];

		for (uint32_t t = 0; interface->bring_up && t < cfg->track_count; t++)
			if (strcmp(cfg->tracks[t].interface, interface->name) == 0)
				config_errors_add(errors, cfg->tracks[t].pos,
					"track: %s is down on every backup (bring_up): it cannot "
					"be tracked",
					interface->name);
	}
}

static void check_shared_interfaces(const struct config *cfg, struct config_errors *errors)
{
	for (uint32_t i = 0; i < cfg->interface_count; i++) {
		const struct config_interface *a = &cfg->interfaces[i];

		for (uint32_t j = 0; j < i; j++) {
			const struct config_interface *b = &cfg->interfaces[j];
			const struct config_group *mine = &cfg->groups[a->group];
			const struct config_group *other = &cfg->groups[b->group];

			if (strcmp(a->name, b->name) != 0)
				continue;
			if (!a->virtual_mac || !b->virtual_mac)
				config_errors_add(errors, a->pos,
					"%s is an interface of group %s already: groups that share "
					"one need virtual_mac, both",
					a->name, other->name);
			else if (cfg->election.wire == CONFIG_WIRE_CARP2)
				config_errors_add(errors, a->pos,
					"%s is an interface of group %s already: allowed with "
					"wire: "
					"native alone",
					a->name, other->name);
			if (mine->vhid && mine->vhid == other->vhid)
				config_errors_add(errors, mine->pos,
					"%s: vhid %u is group %s's on the same interface %s",
					mine->name, mine->vhid, other->name, a->name);
			break;
		}
	}
}

static const struct config_interface *interface_of_address(const struct config *cfg, uint32_t index)
{
	for (uint32_t i = 0; i < cfg->interface_count; i++) {
		const struct config_interface *interface = &cfg->interfaces[i];
		uint32_t first = (uint32_t)(interface->addresses - cfg->addresses);

		if (index >= first && index < first + interface->address_count)
			return interface;
	}
	CHECK(!"an address belongs to an interface");
	return NULL;
}

/* A virtual address lives once; a link-local one once an interface. */
static void check_virtual_duplicate(
	const struct config *cfg, uint32_t index, struct config_errors *errors)
{
	const struct ipaddr *addr = &cfg->addresses[index];
	char text[IPADDR_TEXT_MAX];

	for (uint32_t j = 0; j < index; j++) {
		if (!ipaddr_equal(addr, &cfg->addresses[j]))
			continue;
		if (ipaddr_is_link_local(addr) &&
			interface_of_address(cfg, index) != interface_of_address(cfg, j))
			continue;
		config_errors_add(errors, cfg->address_pos[index],
			"virtual address %s is there twice (first in line %u)",
			ipaddr_render(addr, false, text), cfg->address_pos[j].line);
		return;
	}
}

static void check_virtual_addresses(const struct config *cfg, struct config_errors *errors)
{
	char text[IPADDR_TEXT_MAX];

	for (uint32_t i = 0; i < cfg->address_count; i++) {
		check_virtual_duplicate(cfg, i, errors);
		for (uint32_t n = 0; n < cfg->node_count; n++)
			for (uint32_t k = 0; k < cfg->nodes[n].address_count; k++)
				if (ipaddr_equal(&cfg->addresses[i], &cfg->nodes[n].addresses[k]))
					config_errors_add(errors, cfg->address_pos[i],
						"virtual address %s is the sync address of node %s",
						ipaddr_render(&cfg->addresses[i], false, text),
						cfg->nodes[n].name);
	}
}

static void check_probes(const struct config *cfg, struct config_errors *errors)
{
	char text[IPADDR_TEXT_MAX];

	for (uint32_t i = 0; i < cfg->interface_count; i++) {
		const struct config_interface *interface = &cfg->interfaces[i];

		for (uint32_t p = 0; p < interface->probe_count; p++)
			for (uint32_t a = 0; a < cfg->address_count; a++)
				if (ipaddr_equal(&interface->probes[p], &cfg->addresses[a]))
					config_errors_add(errors, interface->pos,
						"%s: probe %s is a virtual address: it would "
						"answer itself",
						interface->name,
						ipaddr_render(&interface->probes[p], false, text));
	}
}

static void check_rules_pair(const struct config_group *group, const struct config_file *mine,
	const struct config_group *other, const struct config_file *theirs,
	struct config_errors *errors)
{
	if (!mine->path || !theirs->path || strcmp(mine->path, theirs->path) != 0)
		return;
	if (group == other)
		config_errors_add(errors, mine->pos,
			"rules: '%.200s' is both master's and backup's; allowed: a file each",
			mine->text);
	else
		config_errors_add(errors, mine->pos,
			"rules: '%.200s' is group %s's already: one table cannot be awake for one "
			"group and asleep for another; allowed: a file each",
			mine->text, other->name);
}

static void check_rules(const struct config *cfg, struct config_errors *errors)
{
	for (uint32_t i = 0; i < cfg->group_count; i++) {
		const struct config_group *a = &cfg->groups[i];

		check_rules_pair(a, &a->rules_backup, a, &a->rules_master, errors);
		for (uint32_t j = 0; j < i; j++) {
			const struct config_group *b = &cfg->groups[j];

			check_rules_pair(a, &a->rules_master, b, &b->rules_master, errors);
			check_rules_pair(a, &a->rules_master, b, &b->rules_backup, errors);
			check_rules_pair(a, &a->rules_backup, b, &b->rules_master, errors);
			check_rules_pair(a, &a->rules_backup, b, &b->rules_backup, errors);
		}
	}
}

static void check_startup_hold(const struct config *cfg, struct config_errors *errors)
{
	const struct config_group *group = NULL;
	const struct config_node *node = NULL;
	dur_t most = DUR_ZERO;
	char hold[CONFIG_VALUE_DURATION_TEXT_MAX], least[CONFIG_VALUE_DURATION_TEXT_MAX];

	if (cfg->election.startup_hold_auto)
		return;
	for (uint32_t g = 0; g < cfg->group_count; g++)
		for (uint32_t n = 0; n < cfg->node_count; n++) {
			dur_t down = config_master_down(cfg, &cfg->groups[g], &cfg->nodes[n]);

			if (down.us <= most.us)
				continue;
			most = down;
			group = &cfg->groups[g];
			node = &cfg->nodes[n];
		}
	if (cfg->election.startup_hold.us >= most.us)
		return;
	config_errors_add(errors, cfg->election.pos,
		"startup_hold: %s is less than the master-down time %s of %s in group %s; allowed: "
		"auto, or %s and more",
		config_value_render_duration(cfg->election.startup_hold, hold),
		config_value_render_duration(most, least), node->name, group->name, least);
}

/* ---- what is worked out from the rest ---- */

static void fill_advskews(struct config *cfg)
{
	for (uint32_t g = 0; g < cfg->group_count; g++)
		for (uint32_t n = 0; n < cfg->node_count; n++)
			if (!cfg->groups[g].advskew_own[n])
				cfg->groups[g].advskew[n] = cfg->nodes[n].advskew;
}

/* The first four bytes of SHA-256("path|NAME") or ("group|NAME"). */
static uint32_t tag_of(const char *kind, const char *name, struct config_errors *errors)
{
	uint8_t hash[CRYPTO_HASH_BYTES] = {0};
	const struct crypto_part parts[] = {{kind, strlen(kind)}, {"|", 1}, {name, strlen(name)}};

	if (crypto_hash(parts, ARRAY_LEN(parts), hash) != CRYPTO_OK)
		config_errors_add(errors, (struct config_pos){0, 0}, "cannot hash a name");
	return (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 | hash[3];
}

static void fill_group_tags(struct config *cfg, struct config_errors *errors)
{
	for (uint32_t i = 0; i < cfg->group_count; i++) {
		struct config_group *group = &cfg->groups[i];

		group->group_tag = tag_of("group", group->name, errors);
		for (uint32_t j = 0; j < i; j++)
			if (cfg->groups[j].group_tag == group->group_tag)
				config_errors_add(errors, group->pos,
					"%s: the name has the same tag on the wire as group %s; "
					"rename one",
					group->name, cfg->groups[j].name);
	}
}

static struct config_path *add_path(
	struct config *cfg, const char *name, enum config_path_kind kind)
{
	struct config_path *path;

	CHECK(cfg->path_count < LIMIT_PATHS);
	path = &cfg->paths[cfg->path_count];
	*path = (struct config_path){.kind = kind, .index = (uint8_t)cfg->path_count++};
	snprintf(path->name, sizeof(path->name), "%s", name);
	return path;
}

/* The interface of the two that can be renamed; the sync paths' names are given. */
static struct config_pos pos_of_path(const struct config_path *a, const struct config_path *b)
{
	if (a->interface)
		return a->interface->pos;
	return b->interface ? b->interface->pos : (struct config_pos){0, 0};
}

static void fill_paths(struct config *cfg, struct config_errors *errors)
{
	uint32_t links = 0;

	for (uint32_t i = 0; i < cfg->interface_count; i++) {
		struct config_interface *interface = &cfg->interfaces[i];
		struct config_path *path = add_path(cfg, interface->name, CONFIG_PATH_INTERFACE);

		path->interface = interface;
		path->group = interface->group;
		interface->path = path->index;
	}
	for (uint32_t n = 0; n < cfg->node_count; n++)
		links = links > cfg->nodes[n].address_count ? links : cfg->nodes[n].address_count;
	for (uint32_t k = 0; k < links; k++) {
		char name[16];

		snprintf(name, sizeof(name), "sync%u", k);
		add_path(cfg, name, CONFIG_PATH_SYNC)->sync_link = (uint8_t)k;
	}
	for (uint32_t i = 0; i < cfg->path_count; i++) {
		struct config_path *path = &cfg->paths[i];

		path->path_tag = tag_of("path", path->name, errors);
		for (uint32_t j = 0; j < i; j++)
			if (cfg->paths[j].path_tag == path->path_tag &&
				strcmp(cfg->paths[j].name, path->name) != 0)
				config_errors_add(errors, pos_of_path(path, &cfg->paths[j]),
					"%s: the name has the same tag on the wire as %s; rename "
					"one",
					path->name, cfg->paths[j].name);
	}
}

void config_check(struct config *cfg, struct config_errors *errors)
{
	fill_advskews(cfg);
	fill_group_tags(cfg, errors);
	fill_paths(cfg, errors);
	check_node_ids(cfg, errors);
	check_sync_addresses(cfg, errors);
	for (uint32_t n = 0; n < cfg->node_count; n++) {
		for (uint32_t i = 0; i < cfg->nodes[n].alias_count; i++)
			check_alias_known(cfg, &cfg->nodes[n].aliases[i], errors);
		check_devices(cfg, &cfg->nodes[n], errors);
	}
	check_virtual_mac(cfg, errors);
	check_bring_up(cfg, errors);
	check_shared_interfaces(cfg, errors);
	check_virtual_addresses(cfg, errors);
	check_probes(cfg, errors);
	check_rules(cfg, errors);
	check_startup_hold(cfg, errors);
	config_carp2_check(cfg, errors);
}
