/* What a group has on its interfaces: the interfaces that are up for it, its addresses, its routes.
 *
 * Added in this order by a promotion, taken away by a demotion as the guard does it: addresses
 * first, which is what stops traffic, then routes, then interfaces. Once a second everything is
 * added again: that renews the addresses' lifetimes and puts back routes that somebody removed. An
 * address that somebody removes is put back at once, when the kernel says so, but not more often
 * than NODE_PUT_BACK_MS: two programs that fight over an address must not make a load. Whoever does
 * it is told by an alarm and an event, because carpool cannot know why. See node.h. */
#include "carpd/node.h"

#include "carpd/alarms.h"
#include "carpd/devices.h"
#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODE_ADDRESS_CALL_MS 400  /* the kernel's time for one group; the stage has 500 */
#define NODE_RENEW_LATE_MS   1500 /* a renewal that waited longer is not carried out */
#define NODE_PUT_BACK_MS     100
#define NODE_REPAIR_QUIET_MS 1000 /* the removals that belong to a repair are our own */

#define NODE_REMOVED_SHOWN_S 300
#define NODE_LINK_QUIET_MS   5000 /* after a link's change: the kernel has removed, nobody else */

/* node_fill_devices: what is up on a master alone: the interface itself, or its virtual devices. */
static void node_fill_devices(const struct node_path *path, struct node_holdings *holdings)
{
	const struct links_entry *link = node_path_link(path);

	if (path->config->interface->bring_up && link->ifindex != 0)
		holdings->devices[holdings->device_count++] = link->ifindex;
	for (unsigned int i = 0; i < NODE_VMACS; i++) {
		if (!path->vmacs[i].is_used)
			continue;
		link = links_get(path->node->links, path->vmacs[i].link);
		if (link->ifindex != 0)
			holdings->devices[holdings->device_count++] = link->ifindex;
	}
}

void node_fill_holdings(struct node_group *group, struct node_holdings *holdings)
{
	holdings->device_count = holdings->address_count = holdings->route_count = 0;
	for (uint32_t i = 0; i < group->config->interface_count; i++) {
		const struct config_interface *interface = &group->config->interfaces[i];
		const struct node_path *path = &group->node->paths[interface->path];

		/* Without its interface an address is nowhere: nothing to add or remove. */
		node_fill_devices(path, holdings);
		for (uint32_t k = 0; k < interface->address_count; k++) {
			const struct ipaddr *address = &interface->addresses[k];
			uint32_t ifindex = node_address_link(path, address->family)->ifindex;

			if (ifindex != 0)
				holdings->addresses[holdings->address_count++] =
					(struct addresses_entry){
						.ifindex = ifindex, .address = *address};
		}
		for (uint32_t k = 0; k < interface->route_count; k++) {
			const struct config_route *route = &interface->routes[k];
			uint32_t ifindex = node_address_link(path, route->to.family)->ifindex;

			if (ifindex == 0)
				continue;

			holdings->routes[holdings->route_count++] = (struct routes_entry){
				.ifindex = ifindex,
				.to = route->to,
				.via = route->via,
				.metric = route->metric,
			};
		}
	}
}

/* --- on the links executor -------------------------------------------------------------------- */

/* node_holdings_failed: remembers what the first error of a job was about. */
static void node_holdings_failed(struct node_address_job *job, int r, const char *what,
	const struct addresses_result *outcome)
{
	if (r == 0 || job->job.result < 0)
		return;
	job->job.result = r;
	job->failed_what = what;
	job->outcome = *outcome;
}

static void node_holdings_remove(struct node_address_job *job, mono_t deadline)
{
	const struct node_holdings *all = &job->holdings;
	struct addresses_nl *nl = &job->node->addresses;
	struct addresses_result outcome;
	int r = addresses_remove(nl, all->addresses, all->address_count, deadline, &outcome);

	node_holdings_failed(job, r, "address", &outcome);
	r = routes_remove(nl, all->routes, all->route_count, deadline, &outcome);
	node_holdings_failed(job, r, "route", &outcome);
	r = devices_set(nl, all->devices, all->device_count, false, deadline, &outcome);
	node_holdings_failed(job, r, "interface", &outcome);
}

static void node_holdings_add(struct node_address_job *job, mono_t deadline)
{
	const struct node_holdings *all = &job->holdings;
	struct addresses_nl *nl = &job->node->addresses;
	struct addresses_result outcome;
	int r = devices_set(nl, all->devices, all->device_count, true, deadline, &outcome);

	node_holdings_failed(job, r, "interface", &outcome);
	if (job->repair_count > 0)
		(void)!addresses_remove(nl, job->repairs, job->repair_count, deadline, &outcome);
	r = addresses_add(nl, all->addresses, all->address_count, deadline, &outcome);
	node_holdings_failed(job, r, "address", &outcome);
	r = routes_add(nl, all->routes, all->route_count, deadline, &outcome);
	node_holdings_failed(job, r, "route", &outcome);
	job->routes_missing = outcome.done - outcome.unchanged;
}

/* node_address_run: a renewal that comes late is left out: the process may have slept, and the
 * guard may have withdrawn what it would bring back. */
static void node_address_run(struct executor_job *base)
{
	struct node_address_job *job = (struct node_address_job *)(void *)base;
	mono_t now = clock_now(), deadline = mono_add(now, dur_ms(NODE_ADDRESS_CALL_MS));
	struct node *node = job->node;
	const struct config_group *config = &node->cfg->groups[job->group];

	job->routes_missing = 0;
	job->outcome = (struct addresses_result){0};
	base->result = 0;
	if (job->is_renewal && (mono_diff(now, base->posted_at).us > NODE_RENEW_LATE_MS * 1000 ||
				       node_guard_is_lost(node)))
		return;
	if (job->is_removal) {
		node_holdings_remove(job, deadline);
		return;
	}
	for (uint32_t i = 0; !job->is_renewal && i < config->interface_count; i++)
		(void)!addresses_prepare_interface(
			config_ifname(node->cfg, node->self, config->interfaces[i].name));
	if (job->neighbour_count > 0)
		neighbours_add(&node->addresses, job->neighbours, job->neighbour_count);
	node_holdings_add(job, deadline);
}

/* --- in the loop ------------------------------------------------------------------------------ */

/* node_address_error: the first failure in words; "" when all went well. */
static void node_address_error(
	const struct node_address_job *job, char error[static TRANSACTION_ERROR_MAX])
{
	const struct addresses_result *outcome = &job->outcome;
	char text[IPADDR_TEXT_MAX] = "";

	error[0] = '\0';
	if (job->job.result == 0)
		return;
	if (outcome->failed > 0 && strcmp(job->failed_what, "address") == 0)
		ipaddr_render(
			&job->holdings.addresses[outcome->first_failed_index].address, true, text);
	else if (outcome->failed > 0 && strcmp(job->failed_what, "route") == 0)
		ipaddr_render(&job->holdings.routes[outcome->first_failed_index].to, true, text);
	snprintf(error, TRANSACTION_ERROR_MAX, "%s %s: %s", job->failed_what, text,
		strerror(-job->job.result));
	if (outcome->failed > 1)
		snprintf(error + strlen(error), TRANSACTION_ERROR_MAX - strlen(error),
			" (and %u more)", outcome->failed - 1);
}

static void node_renewed(struct node_group *group, const char error[static TRANSACTION_ERROR_MAX])
{
	struct node_address_job *job = &group->renew_job;

	/* Once for each thing that is wrong, not every second. */
	if (error[0] != '\0' && strcmp(error, group->renew_error) != 0)
		log_warnx("group %s: renewing: %s", group->config->name, error);
	memcpy(group->renew_error, error, sizeof(group->renew_error));
	/* A link that was down has taken its routes along. */
	if (job->routes_missing > 0 && group->holds &&
		(group->link_changed_at.us == 0 ||
			mono_diff(clock_now(), group->link_changed_at).us >
				NODE_LINK_QUIET_MS * 1000))
		alarms_raise(group->node, "ROUTE_REMOVED", group->index,
			dur_s(NODE_REMOVED_SHOWN_S),
			"%u routes were removed by another program; they are put back: stop it, "
			"or take them out of the config",
			job->routes_missing);
	job->repair_count = 0;
	if (group->is_renewal_wanted)
		node_renew(group);
}

static void node_address_done(struct executor_job *base)
{
	struct node_address_job *job = (struct node_address_job *)(void *)base;
	struct node_group *group = &job->node->groups[job->group];
	char error[TRANSACTION_ERROR_MAX] = "";

	node_address_error(job, error);
	if (job->is_renewal) {
		node_renewed(group, error);
		return;
	}
	transaction_stage_ended(&group->transaction, TRANSACTION_STAGE_ADDRESSES, job->is_removal,
		base->result == 0, true, error, clock_now());
	node_group_arm(group);
}

/* node_fill_neighbours: the next hops that the group's ports have heard. */
static void node_fill_neighbours(struct node_group *group, struct node_address_job *job)
{
	job->neighbour_count = 0;
	for (uint32_t i = 0; i < group->config->interface_count; i++) {
		const struct node_path *path =
			&group->node->paths[group->config->interfaces[i].path];

		for (unsigned int k = 0; k < path->neighbour_count; k++) {
			const struct frame_neighbour *neighbour = &path->neighbours[k].neighbour;
			struct neighbours_entry *entry = &job->neighbours[job->neighbour_count];
			uint32_t ifindex =
				node_address_link(path, neighbour->address.family)->ifindex;

			if (ifindex == 0)
				continue;
			if (job->neighbour_count == NEIGHBOURS_MAX)
				return;
			entry->ifindex = ifindex;
			entry->address = neighbour->address;
			memcpy(entry->mac, neighbour->mac, FRAME_MAC_BYTES);
			job->neighbour_count++;
		}
	}
}

enum transaction_start node_addresses_stage(
	struct node_group *group, bool is_demotion, char error[static TRANSACTION_ERROR_MAX])
{
	struct node_address_job *job = is_demotion ? &group->remove_job : &group->add_job;

	group->holds = !is_demotion;
	if (is_demotion) {
		evloop_timer_set(&group->announce_timer, MONO_NEVER);
		group->announce_index = 0;
	}
	if (executor_job_busy(&job->job)) {
		snprintf(error, TRANSACTION_ERROR_MAX, "an earlier call has not come back");
		return TRANSACTION_START_FAILED;
	}
	node_fill_holdings(group, &job->holdings);
	if (!is_demotion)
		node_fill_neighbours(group, job);
	if (!executor_post(group->node->links_executor, &job->job))
		CHECK(false);
	return TRANSACTION_START_PENDING;
}

void node_readdress(struct node_group *group)
{
	struct node_address_job *job = &group->add_job;

	if (!group->holds || executor_job_busy(&job->job))
		return;
	node_fill_holdings(group, &job->holdings);
	if (executor_post(group->node->links_executor, &job->job))
		node_announce(group);
}

void node_renew(struct node_group *group)
{
	group->is_renewal_wanted = executor_job_busy(&group->renew_job.job);
	if (group->is_renewal_wanted || !group->holds ||
		transaction_is_running(&group->transaction) || node_guard_is_lost(group->node))
		return;
	node_fill_holdings(group, &group->renew_job.holdings);
	if (!executor_post(group->node->links_executor, &group->renew_job.job))
		CHECK(false);
}

void node_reannounce(struct node_group *group)
{
	if (!group->holds || transaction_is_running(&group->transaction))
		return;
	node_renew(group);
	node_announce(group);
}

/* --- what others do to them ------------------------------------------------------------------- */

/* node_group_holding: the group that has this address there, or NULL. */
static struct node_group *node_group_holding(
	struct node *node, const struct addresses_entry *entry, bool *ret_is_up)
{
	for (uint32_t g = 0; g < node->group_count; g++)
		for (uint32_t i = 0; i < node->cfg->groups[g].interface_count; i++) {
			const struct config_interface *interface =
				&node->cfg->groups[g].interfaces[i];
			const struct links_entry *link = node_address_link(
				&node->paths[interface->path], entry->address.family);

			for (uint32_t k = 0;
				link->ifindex == entry->ifindex && k < interface->address_count;
				k++)
				if (ipaddr_equal(&interface->addresses[k], &entry->address)) {
					*ret_is_up = link->is_up;
					return &node->groups[g];
				}
		}
	return NULL;
}

void node_managed_changed(
	void *context, const struct addresses_entry *entry, enum links_managed change)
{
	bool is_up = false;
	struct node_group *group = node_group_holding(context, entry, &is_up);
	struct node_address_job *job;
	char text[IPADDR_TEXT_MAX];
	mono_t now = clock_now();

	/* Down takes IPv6 addresses along; they come back with the renewals. */
	if (!group || !group->holds || !is_up || transaction_is_running(&group->transaction) ||
		node_guard_is_lost(group->node))
		return;
	job = &group->renew_job;
	ipaddr_render(&entry->address, true, text);
	if (change == LINKS_MANAGED_DUPLICATE) {
		log_warnx("group %s: %s failed its duplicate test: added anew without one",
			group->config->name, text);
		if (executor_job_busy(&job->job) || job->repair_count == NODE_REPAIRS_MAX)
			return; /* The next event or renewal finds it again. */
		job->repairs[job->repair_count++] = *entry;
		group->repaired_at = now;
	} else if (group->repaired_at.us != 0 &&
		   mono_diff(now, group->repaired_at).us < NODE_REPAIR_QUIET_MS * 1000) {
		return;
	} else {
		group->put_back_count++;
		alarms_raise(group->node, "ADDRESS_REMOVED", group->index,
			dur_s(NODE_REMOVED_SHOWN_S),
			"%s was removed by another program; it is put back (%llu times since the "
			"start): stop that program, or take the address out of the config",
			text, (unsigned long long)group->put_back_count);
	}
	/* In a fight the renewal of every second is all that the others get. */
	if (group->put_back_at.us != 0 &&
		mono_diff(now, group->put_back_at).us < NODE_PUT_BACK_MS * 1000)
		return;
	group->put_back_at = now;
	node_renew(group);
}

/* --- opening ---------------------------------------------------------------------------------- */

static int node_address_job_open(struct node_group *group, struct node_address_job *job)
{
	uint32_t addresses = 0, routes = 0, devices = 2 * group->config->interface_count;
	struct node_holdings *all = &job->holdings;

	for (uint32_t i = 0; i < group->config->interface_count; i++) {
		addresses += group->config->interfaces[i].address_count;
		routes += group->config->interfaces[i].route_count;
	}
	*job = (struct node_address_job){
		.job = {.run = node_address_run, .done = node_address_done},
		.node = group->node,
		.group = group->index,
		.is_removal = job == &group->remove_job,
		.is_renewal = job == &group->renew_job,
		.failed_what = "",
	};
	all->addresses = calloc(addresses + 1, sizeof(*all->addresses));
	all->routes = calloc(routes + 1, sizeof(*all->routes));
	all->devices = calloc(devices + 1, sizeof(*all->devices));
	return all->addresses && all->routes && all->devices ? 0 : -ENOMEM;
}

int node_addresses_open(struct node_group *group)
{
	int r = node_address_job_open(group, &group->add_job);

	if (r == 0)
		r = node_address_job_open(group, &group->remove_job);
	if (r == 0)
		r = node_address_job_open(group, &group->renew_job);
	return r;
}

void node_addresses_close(struct node_group *group)
{
	struct node_address_job *jobs[] = {&group->add_job, &group->remove_job, &group->renew_job};

	for (unsigned int i = 0; i < ARRAY_LEN(jobs); i++) {
		free(jobs[i]->holdings.addresses);
		free(jobs[i]->holdings.routes);
		free(jobs[i]->holdings.devices);
	}
}
