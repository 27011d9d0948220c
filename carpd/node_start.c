/* The first seconds of a carpd: its lock, what an earlier one left, the rules. See node.h. */
#include "carpd/node.h"

#include "carpd/devices.h"
#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define NODE_SWEEP_MS 2000
#define NODE_RULES_MS (3 * (int64_t)RULES_COMPILE_TIMEOUT_MS)

int node_lock(const char *runtime_dir)
{
	char path[OPTIONS_PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/carpd.lock", runtime_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK ? -EBUSY : -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* --- leftovers ---------------------------------------------------------------------------------
 */

struct node_leftovers {
	struct node *node;
	uint32_t count;
	struct addresses_entry found[LIMIT_ADDRESSES];
};

static bool on_sweep_address(void *context, const struct addresses_entry *entry)
{
	struct node_leftovers *leftovers = context;

	if (leftovers->count < LIMIT_ADDRESSES && node_is_managed(leftovers->node, &entry->address))
		leftovers->found[leftovers->count++] = *entry;
	return true;
}

/* node_sweep_interfaces: routes of ours that were left, and interfaces that are down on a backup.
 */
static int node_sweep_interfaces(struct node *node, mono_t deadline)
{
	const struct config *cfg = node->cfg;
	struct routes_entry routes[LIMIT_ROUTES];
	uint32_t devices[LIMIT_INTERFACES], device_count = 0, route_count = 0;
	struct addresses_result result;
	int r;

	for (uint32_t i = 0; i < cfg->interface_count; i++) {
		const struct config_interface *interface = &cfg->interfaces[i];
		uint32_t ifindex = if_nametoindex(config_ifname(cfg, node->self, interface->name));

		if (ifindex == 0)
			continue;
		if (interface->bring_up)
			devices[device_count++] = ifindex;
		for (uint32_t k = 0; k < interface->route_count; k++)
			routes[route_count++] = (struct routes_entry){.ifindex = ifindex,
				.to = interface->routes[k].to,
				.via = interface->routes[k].via,
				.metric = interface->routes[k].metric};
	}
	r = routes_remove(&node->addresses, routes, route_count, deadline, &result);
	if (r == 0 && result.done > result.unchanged)
		log_notice("%u routes were left here: removed", result.done - result.unchanged);
	if (r == 0)
		r = devices_set(&node->addresses, devices, device_count, false, deadline, &result);
	return r;
}

int node_sweep(struct node *node)
{
	struct node_leftovers *leftovers = calloc(1, sizeof(*leftovers));
	mono_t deadline = mono_add(clock_now(), dur_ms(NODE_SWEEP_MS));
	struct addresses_result result;
	int r;

	if (!leftovers)
		return -ENOMEM;
	leftovers->node = node;
	r = addresses_open(&node->addresses);
	if (r == 0)
		r = addresses_each(&node->addresses, deadline, on_sweep_address, leftovers);
	/* Before an address is taken away: the subnet's other addresses must stay. */
	for (uint32_t i = 0; r == 0 && i < node->cfg->interface_count; i++) {
		const char *name =
			config_ifname(node->cfg, node->self, node->cfg->interfaces[i].name);

		if (if_nametoindex(name) != 0 && addresses_prepare_interface(name) < 0)
			log_warnx("%s: promote_secondaries cannot be set", name);
	}
	if (r == 0 && leftovers->count > 0) {
		log_notice("%u virtual addresses were left here: withdrawn", leftovers->count);
		r = addresses_remove(
			&node->addresses, leftovers->found, leftovers->count, deadline, &result);
	}
	if (r == 0)
		r = node_sweep_interfaces(node, deadline);
	if (r == 0)
		node_vmac_sweep(node);
	free(leftovers);
	return r;
}

/* --- rules ------------------------------------------------------------------------------------ */

void node_rules_spec_log(const struct rules_report *report)
{
	for (size_t i = 0; i < report->count && i < RULES_REPORT_LINES; i++)
		log_errorx("%s", report->lines[i]);
}

struct node_rules_wait {
	struct node *node;
	uint8_t group;
	int error;
};

static void on_rules(void *context, const struct helper_rules_result *result)
{
	struct node_rules_wait *wait = context;

	wait->error = result->error;
	if (result->error < 0)
		node_rules_spec_log(&result->report);
	else
		wait->node->manifests[wait->node->manifest_count] = result->manifest;
}

int node_rules_prepare(struct node *node)
{
	node->manifests = calloc(LIMIT_GROUPS, sizeof(*node->manifests));
	if (!node->manifests)
		return -ENOMEM;
	for (uint32_t i = 0; i < node->cfg->group_count; i++) {
		struct node_rules_wait wait = {.node = node, .group = (uint8_t)i, .error = -EIO};
		const struct config_group *config = &node->cfg->groups[i];
		int r;

		if (!config->rules_master.path)
			continue;
		if (!node->latch)			      /* older than all rules */
			(void)rules_latch_open(&node->latch); /* told when it is to be armed */
		r = helper_rules(node->helper, config->name, HELPER_RULES_LOAD, on_rules, &wait);
		if (r == 0 &&
			!helper_wait(node->helper, mono_add(clock_now(), dur_ms(NODE_RULES_MS))))
			r = -ETIMEDOUT;
		if (r == 0)
			r = wait.error;
		if (r < 0) {
			log_errorx("group %s: its rules do not load", config->name);
			return r;
		}
		node->groups[i].has_rules = true;
		node->groups[i].manifest = &node->manifests[node->manifest_count++];
	}
	return 0;
}

int node_rules_open(struct node *node, uint8_t group)
{
	struct node_group *own = &node->groups[group];
	int r = rules_switch_open(own->manifest, &own->rules);

	if (r < 0)
		log_errorx("group %s: rules: %s", node->cfg->groups[group].name, strerror(-r));
	return r;
}
