/* What carpd tells its guard, and the new life after the guard has ended one. See node.h. */
#include "carpd/node.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <errno.h>
#include <string.h>

/* Fed this many times within the guard's patience. Two, of three missed adverts' time: every advert
 * feeds as well, so a master's loop is not woken for the guard alone. */
#define NODE_FEED_SHARE	      2
#define NODE_FEED_IDLE_MS     250 /* while nothing is held */
#define NODE_NEW_LIFE_WAIT_MS 1000

static void node_guard_put_path(struct guard_path *to, const struct node_path *path)
{
	*to = (struct guard_path){0};
	if (!path->is_used || !node_path_source(path, &to->source))
		return;
	to->ifindex = node_path_link(path)->ifindex;
	to->destination_count = (uint8_t)node_path_destinations(path, to->destinations);
}

static void node_guard_put_lanes(struct node *node, struct guard_table *table)
{
	uint16_t count = election_lane_count(node->core);

	table->lane_count = 0;
	CHECK(count <= GUARD_LANES_MAX);
	for (uint16_t i = 0; i < count; i++) {
		struct guard_lane *lane = &table->lanes[table->lane_count];
		const struct config_group *group;
		struct advert advert;

		election_resignation(node->core, i, &advert, &lane->path);
		group = config_group_lookup_tag(node->cfg, advert.group_tag);
		CHECK(group != NULL);
		/* Only what could be sent is signed: of the groups that this node holds. */
		if (!(table->held_groups & 1u << group->index))
			continue;
		if (node_carp2_speaks(&node->paths[lane->path])) {
			table->lane_count += node_carp2_guard_lane(&node->paths[lane->path], lane);
			continue;
		}
		lane->group = group->index;
		lane->size_bytes = (uint16_t)advert_sign(
			&node->keys, &advert, lane->bytes, sizeof(lane->bytes));
		CHECK(lane->size_bytes > 0);
		table->lane_count++;
	}
}

/* node_guard_holds: from the first moment of a promotion to the last of a demotion. */
static bool node_guard_holds(const struct node *node, uint8_t group)
{
	struct election_group_view view;

	election_group_view(node->core, group, &view);
	return view.state == GROUP_STATE_PROMOTING || view.state == GROUP_STATE_MASTER ||
	       view.state == GROUP_STATE_DEMOTING || node->groups[group].holds;
}

void node_guard_publish(struct node *node)
{
	struct guard_table *table;
	struct node_holdings all;

	/* A guard that has fired is reading what it was told last. */
	if (!node->guard || !node->is_started || guard_fired(node->guard))
		return;
	table = guard_edit(node->guard);
	table->held_groups = 0;
	table->address_count = table->route_count = table->device_count = 0;
	for (uint32_t i = 0; i < node->group_count; i++) {
		if (node_guard_holds(node, (uint8_t)i))
			table->held_groups |= 1u << i;
		all = (struct node_holdings){
			.devices = &table->devices[table->device_count],
			.addresses = &table->addresses[table->address_count],
			.routes = &table->routes[table->route_count],
		};
		node_fill_holdings(&node->groups[i], &all);
		table->device_count += all.device_count;
		table->address_count += all.address_count;
		table->route_count += all.route_count;
	}
	for (uint32_t i = 0; i < node->path_count; i++)
		node_guard_put_path(&table->paths[i], &node->paths[i]);
	node_guard_put_lanes(node, table);
	/* Fed before it is armed: its patience counts from now. */
	node_guard_feed(node);
	guard_publish(node->guard);
}

/* node_guard_patience: the core's word for groups that are held in peace; a group on its way up or
 * down may have its addresses already or still, and its stages take a while. */
static dur_t node_guard_patience(const struct node *node)
{
	dur_t timeout = election_guard_timeout(node->core);

	for (uint32_t i = 0; i < node->group_count; i++) {
		struct election_group_view view;

		election_group_view(node->core, (uint8_t)i, &view);
		if (view.state == GROUP_STATE_PROMOTING || view.state == GROUP_STATE_DEMOTING)
			timeout = dur_min(timeout, dur_max(dur_s(1), dur_mul(view.master_down, 3)));
	}
	return timeout;
}

void node_guard_feed(struct node *node)
{
	dur_t timeout, pause;
	mono_t now = clock_now();

	if (!node->guard || !node->is_started)
		return;
	timeout = node_guard_patience(node);
	guard_feed(node->guard, now, timeout);
	pause = dur_us(timeout.us / NODE_FEED_SHARE);
	pause = dur_max(dur_ms(1), dur_min(pause, dur_ms(NODE_FEED_IDLE_MS)));
	evloop_timer_set(&node->feed_timer, mono_add(now, pause));
}

bool node_guard_is_lost(struct node *node)
{
	return node->guard && guard_fired(node->guard);
}

/* node_new_life: the guard has withdrawn the addresses, switched the rules and spent this epoch's
 * last counter, because this process was asleep. Everything is brought to a backup's state again,
 * whatever was under way, and the core begins a life of its own, unproven, with a new epoch. */
static void node_new_life(struct node *node)
{
	log_errorx("the guard has ended this life of carpd: it was asleep for too long; "
		   "starting over as a backup");
	for (uint32_t i = 0; i < node->group_count; i++) {
		struct election_group_view view;

		election_group_view(node->core, (uint8_t)i, &view);
		node_group_forget(&node->groups[i]);
		if (view.state == GROUP_STATE_MASTER || view.state == GROUP_STATE_PROMOTING ||
			view.state == GROUP_STATE_DEMOTING)
			node_record(node, (uint8_t)i, view.state, GROUP_STATE_INIT, REASON_GUARD,
				view.term.number);
	}
	node->is_started = false;
	if (!executor_drain(
		    node->links_executor, mono_add(clock_now(), dur_ms(NODE_NEW_LIFE_WAIT_MS))) ||
		!executor_drain(
			node->rules_executor, mono_add(clock_now(), dur_ms(NODE_NEW_LIFE_WAIT_MS))))
		log_warnx("kernel calls of the former life are still under way");
	if (node_core_start(node) < 0)
		CHECK(false);
	node_tell_roles(node, (struct control_conn){0});
}

static void on_guard_death(void *context, bool fired)
{
	struct node *node = context;

	if (fired && node->is_started)
		node_new_life(node);
	else
		node_guard_publish(node);
}

int node_guard_open(struct node *node)
{
	struct guard_options options = {
		.event = node->event,
		.runtime_dir = node->options->runtime_dir,
		.manifests = node->manifests,
		.manifest_count = node->manifest_count,
		.priority = node->realtime_priority,
		.on_death = on_guard_death,
		.context = node,
	};
	int r = guard_open(&node->guard, &options);

	if (r == 0)
		check_set_hook(guard_emergency);
	return r;
}
