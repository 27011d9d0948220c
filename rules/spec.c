/* spec.c: what the cluster's file says about a group's rules on one node. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "config/config.h"
#include "rules/rules.h"

_Static_assert(RULES_INTERFACES_MAX >= LIMIT_INTERFACES * 4,
	"interfaces, their devices, and aliases of a node fit");
_Static_assert(RULES_IFNAME_MAX == CONFIG_IFNAME_MAX, "the same names");

/* put_path: absolute, as nft runs in the file's folder. False: too long. */
static bool put_path(const char *path, char ret[static RULES_FILE_MAX])
{
	char here[PATH_MAX];
	int length;

	if (path[0] == '/')
		length = snprintf(ret, RULES_FILE_MAX, "%s", path);
	else if (getcwd(here, sizeof(here)))
		length = snprintf(ret, RULES_FILE_MAX, "%s/%s", here, path);
	else
		return false;
	return length > 0 && (size_t)length < RULES_FILE_MAX;
}

static void add_interface(
	struct rules_spec *spec, const char *name, const char *logical, bool shielded)
{
	for (size_t i = 0; i < spec->interface_count; i++) {
		if (!strcmp(spec->interfaces[i].name, name)) {
			spec->interfaces[i].shielded |= shielded;
			return;
		}
	}
	CHECK(spec->interface_count < RULES_INTERFACES_MAX);
	snprintf(spec->interfaces[spec->interface_count].name, RULES_IFNAME_MAX, "%s", name);
	snprintf(spec->interfaces[spec->interface_count].logical, LIMIT_NAME, "%s", logical);
	spec->interfaces[spec->interface_count++].shielded = shielded;
}

static void add_addresses(struct rules_spec *spec, const struct config_interface *interface)
{
	for (uint32_t i = 0; i < interface->address_count; i++) {
		CHECK(spec->address_count < LIMIT_ADDRESSES);
		spec->addresses[spec->address_count++] = interface->addresses[i];
	}
}

/* add_devices: those of virtual_mac are up on a master alone, so no shield guards them; rules name
 * them. */
static void add_devices(struct rules_spec *spec, const struct config *config,
	const struct config_interface *interface)
{
	const enum ipaddr_family families[] = {IPADDR_V4, IPADDR_V6};
	char name[CONFIG_IFNAME_MAX];
	uint8_t mac[6];

	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (config_vmac(config, interface, families[i], name, mac))
			add_interface(spec, name, name, false);
}

bool rules_spec_from_config(const struct config *config, const char *node_name,
	const char *group_name, struct rules_spec *ret)
{
	const struct config_group *group = config_group_lookup(config, group_name);
	const struct config_node *node = config_node_lookup(config, node_name);

	if (!group || !node || !group->rules_master.path)
		return false;
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->group, sizeof(ret->group), "%s", group->name);
	if (!put_path(group->rules_master.path, ret->master_file) ||
		(group->rules_backup.path && !put_path(group->rules_backup.path, ret->backup_file)))
		return false;
	for (uint32_t i = 0; i < config->interface_count; i++) {
		const struct config_interface *interface = &config->interfaces[i];
		bool shielded = interface->group == group->index;

		add_interface(ret, config_ifname(config, node, interface->name), interface->name,
			shielded);
		add_devices(ret, config, interface);
		if (shielded)
			add_addresses(ret, interface);
	}
	for (uint32_t i = 0; i < node->alias_count; i++)
		add_interface(ret, node->aliases[i].name, node->aliases[i].logical, false);
	return true;
}
