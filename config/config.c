#include "config/config.h"

#include "common/check.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

static const char *const phase_names[] = {
	[CONFIG_PHASE_BEFORE] = "before",
	[CONFIG_PHASE_STATE] = "state",
	[CONFIG_PHASE_AFTER] = "after",
};
_Static_assert(ARRAY_LEN(phase_names) == CONFIG_PHASE_COUNT, "a name each");

static const char *const sync_mode_names[] = {
	[CONFIG_SYNC_MODE_WARM] = "warm",
	[CONFIG_SYNC_MODE_ON_PROMOTION] = "on-promotion",
};
_Static_assert(ARRAY_LEN(sync_mode_names) == CONFIG_SYNC_MODE_COUNT, "a name each");

void config_free(struct config *cfg)
{
	free(cfg);
}

const struct config_node *config_node_lookup(const struct config *cfg, const char *name)
{
	for (uint32_t i = 0; i < cfg->node_count; i++)
		if (strcmp(cfg->nodes[i].name, name) == 0)
			return &cfg->nodes[i];
	return NULL;
}

const struct config_node *config_node_lookup_id(const struct config *cfg, uint8_t id)
{
	for (uint32_t i = 0; i < cfg->node_count; i++)
		if (cfg->nodes[i].id == id)
			return &cfg->nodes[i];
	return NULL;
}

const struct config_group *config_group_lookup(const struct config *cfg, const char *name)
{
	for (uint32_t i = 0; i < cfg->group_count; i++)
		if (strcmp(cfg->groups[i].name, name) == 0)
			return &cfg->groups[i];
	return NULL;
}

const struct config_group *config_group_lookup_tag(const struct config *cfg, uint32_t group_tag)
{
	for (uint32_t i = 0; i < cfg->group_count; i++)
		if (cfg->groups[i].group_tag == group_tag)
			return &cfg->groups[i];
	return NULL;
}

const struct config_interface *config_interface_lookup(const struct config *cfg, const char *name)
{
	for (uint32_t i = 0; i < cfg->interface_count; i++)
		if (strcmp(cfg->interfaces[i].name, name) == 0)
			return &cfg->interfaces[i];
	return NULL;
}

const struct config_path *config_path_lookup(const struct config *cfg, const char *name)
{
	for (uint32_t i = 0; i < cfg->path_count; i++)
		if (strcmp(cfg->paths[i].name, name) == 0)
			return &cfg->paths[i];
	return NULL;
}

const struct config_path *config_path_lookup_tag(const struct config *cfg, uint32_t path_tag)
{
	for (uint32_t i = 0; i < cfg->path_count; i++)
		if (cfg->paths[i].path_tag == path_tag)
			return &cfg->paths[i];
	return NULL;
}

bool config_vmac(const struct config *cfg, const struct config_interface *interface,
	enum ipaddr_family family, char ret_name[static CONFIG_IFNAME_MAX],
	uint8_t ret_mac[static 6])
{
	uint8_t vhid = cfg->groups[interface->group].vhid;
	bool is_v4 = family == IPADDR_V4, is_there = false;
	/* RFC 9568 section 7.3. */
	const uint8_t mac[6] = {0x00, 0x00, 0x5e, 0x00, is_v4 ? 0x01 : 0x02, vhid};

	for (uint32_t i = 0; i < interface->address_count; i++)
		is_there |= interface->addresses[i].family == family;
	if (!interface->virtual_mac || !is_there)
		return false;
	(void)snprintf(ret_name, CONFIG_IFNAME_MAX, "%.*s.%c%u", (int)CONFIG_VMAC_IFNAME_MAX,
		interface->name, is_v4 ? 'v' : 'w', vhid);
	memcpy(ret_mac, mac, sizeof(mac));
	return true;
}

const struct config_track *config_track_lookup(const struct config_group *group, const char *name)
{
	for (uint32_t i = 0; i < group->track_count; i++)
		if (strcmp(group->tracks[i].name, name) == 0)
			return &group->tracks[i];
	return NULL;
}

const char *config_ifname(
	const struct config *cfg, const struct config_node *node, const char *logical)
{
	(void)cfg;
	for (uint32_t i = 0; i < node->alias_count; i++)
		if (strcmp(node->aliases[i].logical, logical) == 0)
			return node->aliases[i].name;
	return logical;
}

const struct ipaddr *config_sync_address(
	const struct config_node *node, const struct config_path *path)
{
	if (path->kind != CONFIG_PATH_SYNC || path->sync_link >= node->address_count)
		return NULL;
	return &node->addresses[path->sync_link];
}

bool config_group_uses_path(const struct config_group *group, const struct config_path *path)
{
	if (path->kind == CONFIG_PATH_INTERFACE && path->interface->bring_up)
		return false;
	return path->kind == CONFIG_PATH_SYNC || path->group == group->index;
}

uint32_t config_group_paths(const struct config *cfg, const struct config_group *group,
	const struct config_path *ret_paths[static LIMIT_PATHS])
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < cfg->path_count; i++)
		if (config_group_uses_path(group, &cfg->paths[i]))
			ret_paths[count++] = &cfg->paths[i];
	return count;
}

uint8_t config_advskew(
	const struct config *cfg, const struct config_group *group, const struct config_node *node)
{
	(void)cfg;
	return group->advskew[node->index];
}

/* advbase * advskew / 256; with carp2 a skew is in 1/256 s, whatever advbase is. */
static dur_t skew(
	const struct config *cfg, const struct config_group *group, const struct config_node *node)
{
	if (cfg->election.wire == CONFIG_WIRE_CARP2)
		return dur_us(INT64_C(1000000) * config_advskew(cfg, group, node) / 256);
	return dur_us(cfg->election.advbase.us * config_advskew(cfg, group, node) / 256);
}

dur_t config_advert_interval(
	const struct config *cfg, const struct config_group *group, const struct config_node *node)
{
	return dur_add(cfg->election.advbase, skew(cfg, group, node));
}

dur_t config_master_down(
	const struct config *cfg, const struct config_group *group, const struct config_node *node)
{
	dur_t slowest = cfg->election.advbase;

	for (uint32_t i = 0; i < cfg->node_count; i++)
		slowest = dur_max(slowest, config_advert_interval(cfg, group, &cfg->nodes[i]));
	return dur_add(dur_mul(slowest, cfg->election.dead_factor), skew(cfg, group, node));
}

dur_t config_startup_hold(
	const struct config *cfg, const struct config_group *group, const struct config_node *node)
{
	if (!cfg->election.startup_hold_auto)
		return cfg->election.startup_hold;
	return dur_max(dur_s(1), dur_mul(config_master_down(cfg, group, node), 2));
}

uint8_t config_confirm_questions(const struct config *cfg)
{
	return cfg->election.confirm.enabled ? cfg->election.confirm.questions : 0;
}

const char *config_phase_name(enum config_phase phase)
{
	CHECK(phase < CONFIG_PHASE_COUNT);
	return phase_names[phase];
}

const char *config_sync_mode_name(enum config_sync_mode mode)
{
	CHECK(mode < CONFIG_SYNC_MODE_COUNT);
	return sync_mode_names[mode];
}
