/* The node's paths: packet sockets in and out, and what interfaces say. See node.h. */
#include "carpd/node.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/rbuf.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <poll.h>
#include <string.h>

#define NODE_DROP_LOG_MS      1000
#define NODE_GROUP_TAG_OFFSET 16  /* in a native advert: common/advert.h */
#define NODE_NEIGHBOURS_TURN  32u /* packets of neighbours that are read in one turn */
#define NODE_GATEWAYS_MS      500 /* at the start, for one interface */

const struct links_entry *node_path_link(const struct node_path *path)
{
	return links_get(path->node->links, path->link);
}

bool node_is_managed(void *context, const struct ipaddr *address)
{
	const struct config *cfg = ((const struct node *)context)->cfg;

	for (uint32_t i = 0; i < cfg->address_count; i++)
		if (ipaddr_equal(&cfg->addresses[i], address))
			return true;
	return false;
}

/* --- in --------------------------------------------------------------------------------------- */

/* node_drop: counted always; in the log at most once a second. */
void node_drop(struct node *node, const struct node_path *path, const char *name)
{
	mono_t now = clock_now();

	if (node->drop_log.at.us != 0 &&
		mono_diff(now, node->drop_log.at).us < NODE_DROP_LOG_MS * 1000) {
		node->drop_log.suppressed++;
		return;
	}
	log_debug("%s: packet dropped: %s (and %u before)", path->config->name, name,
		node->drop_log.suppressed);
	node->drop_log.at = now;
	node->drop_log.suppressed = 0;
}

/* node_learn: a peer's Ethernet address, from an advert that is its own and new. */
static void node_learn(
	struct node_path *path, const struct advert *advert, const struct port_packet *packet)
{
	const struct config_node *peer = config_node_lookup_id(path->node->cfg, advert->sender);

	if (!peer || path->config->kind != CONFIG_PATH_SYNC)
		return;
	memcpy(path->macs[peer->index].mac, packet->mac, FRAME_MAC_BYTES);
	path->macs[peer->index].known = true;
	path->macs[peer->index].heard_at = clock_now();
}

/* node_packet_is_others: groups that share an interface have a port each there, and every port gets
 * every packet: what names another group of this interface is that port's to judge. */
static bool node_packet_is_others(const struct node_path *path, const struct frame_ip *ip)
{
	const struct config *cfg = path->node->cfg;
	const struct config_group *group;
	struct rbuf bytes = rbuf_init(ip->payload, ip->payload_bytes);

	if (path->config->kind != CONFIG_PATH_INTERFACE ||
		!rbuf_take(&bytes, NODE_GROUP_TAG_OFFSET))
		return false;
	group = config_group_lookup_tag(cfg, rbuf_be32(&bytes));
	if (!group || group->index == path->config->group)
		return false;
	for (uint32_t i = 0; i < group->interface_count; i++)
		if (strcmp(group->interfaces[i].name, path->config->name) == 0)
			return true;
	return false;
}

static void node_packet(struct node_path *path, const struct port_packet *packet)
{
	struct election_event event = {.type = ELECTION_EVENT_PACKET, .path = path->index};
	struct node *node = path->node;
	enum frame_drop frame_drop;
	enum advert_drop advert_drop;
	struct advert advert;
	struct frame_ip ip;
	uint64_t accepted;

	frame_drop = frame_ip_parse(packet->data, packet->size_bytes, &ip);
	if (frame_drop == FRAME_DROP_NONE && node_packet_is_others(path, &ip))
		return;
	path->received++;
	if (frame_drop != FRAME_DROP_NONE) {
		node->frame_drops[frame_drop]++;
		node_drop(node, path, frame_drop_name(frame_drop));
		return;
	}
	if (node_carp2_speaks(path)) {
		node_carp2_packet(path, &ip, packet);
		return;
	}
	/* The header's check has let through 255 alone. */
	advert_drop = advert_open(
		&node->keys, node->self->id, FRAME_HOPS, ip.payload, ip.payload_bytes, &advert);
	if (advert_drop != ADVERT_DROP_NONE) {
		node->advert_drops[advert_drop]++;
		node_drop(node, path, advert_drop_name(advert_drop));
		if (advert_drop == ADVERT_DROP_SELF)
			clash_own_id(path);
		else if (advert_drop != ADVERT_DROP_VALUE)
			clash_packet(path, &ip, packet);
		return;
	}
	if (!node->is_started)
		return;
	event.packet = &advert;
	accepted = node->core->accepted;
	node_event(node, &event);
	/* The frame's source is not signed: a repeated advert must not turn our answers away. */
	if (node->core->accepted != accepted)
		node_learn(path, &advert, packet);
}

/* node_path_pause: more came in one turn than carpd reads in one. Input goes before everything else
 * in the loop, so a flood would keep deadlines, the guard's feeding and operators waiting for ever:
 * the port is left alone until the core has judged. What its buffer cannot hold the kernel drops.
 */
static void node_path_pause(struct node_path *path)
{
	path->floods++;
	if (path->is_paused || !path->source)
		return;
	path->is_paused = true;
	path->node->is_flooded = true;
	(void)sd_event_source_set_enabled(path->source, SD_EVENT_OFF);
	node_rearm(path->node);
}

void node_paths_resume(struct node *node)
{
	if (!node->is_flooded)
		return;
	node->is_flooded = false;
	for (uint32_t i = 0; i < node->path_count; i++) {
		struct node_path *path = &node->paths[i];

		if (path->is_paused && path->source)
			(void)sd_event_source_set_enabled(path->source, SD_EVENT_ON);
		path->is_paused = false;
	}
}

static void node_path_drain(struct node_path *path)
{
	struct port_batch *batch = &path->node->batch;

	for (unsigned int i = 0; path->port.fd >= 0 && i < CARPD_DRAIN_PACKETS_MAX;
		i += PORT_BATCH) {
		int count = port_receive(path->port.fd, batch);

		for (int k = 0; k < count; k++)
			node_packet(path, &batch->packets[k]);
		/* -ENETDOWN comes once; the link's own event tells the rest. */
		if (count >= 0 && count < (int)PORT_BATCH)
			return;
	}
	if (path->port.fd >= 0)
		node_path_pause(path);
}

/* node_drain: every port that has something; one call asks all of them. */
void node_drain(struct node *node)
{
	struct pollfd ports[LIMIT_PATHS];

	if (!node->is_started)
		return;
	for (uint32_t i = 0; i < node->path_count; i++)
		ports[i] = (struct pollfd){.fd = node->paths[i].port.fd, .events = POLLIN};
	if (poll(ports, node->path_count, 0) <= 0)
		return;
	for (uint32_t i = 0; i < node->path_count; i++)
		if (ports[i].revents)
			node_path_drain(&node->paths[i]);
}

static int on_packets(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct node_path *path = context;

	(void)source;
	(void)fd;
	(void)revents;
	if (node_guard_is_lost(path->node))
		return 0;
	node_drain(path->node);
	if (!path->node->is_started)
		node_path_drain(path);
	node_answer(path->node);
	return 0;
}

static int on_neighbours(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct node_path *path = context;
	struct port_batch *batch = &path->node->batch;
	struct frame_neighbour neighbour;

	(void)source;
	(void)revents;
	for (unsigned int i = 0; i < NODE_NEIGHBOURS_TURN; i += PORT_BATCH) {
		int count = port_receive(fd, batch);

		for (int k = 0; k < count; k++) {
			const struct port_packet *packet = &batch->packets[k];
			bool ok = packet->ethertype == ETH_P_ARP
					  ? frame_arp_parse(
						    packet->data, packet->size_bytes, &neighbour)
					  : frame_nd_parse(
						    packet->data, packet->size_bytes, &neighbour);

			if (ok)
				health_heard(path, &neighbour);
		}
		if (count < (int)PORT_BATCH)
			break;
	}
	return 0;
}

/* --- out -------------------------------------------------------------------------------------- */

bool node_path_source(const struct node_path *path, struct ipaddr *ret_source)
{
	const struct links_entry *link = node_path_link(path);

	if (link->ifindex == 0 || path->port.fd < 0)
		return false;
	if (path->config->kind == CONFIG_PATH_SYNC) {
		*ret_source = link->sync_address;
		return true;
	}
	/* An interface that has only IPv6 speaks IPv6; every other one IPv4, with 0.0.0.0 as a node
	 * that needs no address of its own there. */
	if (link->own_v4.family == IPADDR_NONE && link->link_local_v6.family == IPADDR_V6 &&
		path->config->interface->addresses[0].family == IPADDR_V6)
		*ret_source = link->link_local_v6;
	else if (link->own_v4.family == IPADDR_V4)
		*ret_source = link->own_v4;
	else
		*ret_source = (struct ipaddr){.family = IPADDR_V4, .prefix_len = 32};
	return true;
}

static void node_path_destination(const struct node_path *path, const struct config_node *peer,
	struct guard_destination *destination)
{
	bool is_known = path->macs[peer->index].known &&
			mono_diff(clock_now(), path->macs[peer->index].heard_at).us <
				NODE_PEER_MAC_MAX_MS * 1000;

	destination->address = *config_sync_address(peer, path->config);
	/* To everybody on the link while the peer's card is not known: needs no resolution. */
	memcpy(destination->mac, is_known ? path->macs[peer->index].mac : port_broadcast,
		FRAME_MAC_BYTES);
}

unsigned int node_path_destinations(
	const struct node_path *path, struct guard_destination destinations[static LIMIT_PEERS])
{
	const struct config *cfg = path->node->cfg;
	unsigned int count = 0;
	struct ipaddr source;

	if (!node_path_source(path, &source))
		return 0;
	if (path->config->kind == CONFIG_PATH_INTERFACE) {
		destinations[0].address =
			source.family == IPADDR_V4 ? frame_group_v4() : frame_group_v6();
		frame_multicast_mac(&destinations[0].address, destinations[0].mac);
		return 1;
	}
	for (uint32_t i = 0; i < cfg->node_count; i++) {
		const struct config_node *peer = &cfg->nodes[i];
		const struct ipaddr *address = config_sync_address(peer, path->config);

		if (peer == path->node->self || !address || address->family != source.family)
			continue;
		node_path_destination(path, peer, &destinations[count++]);
	}
	return count;
}

void node_send_on(struct node_path *path, uint32_t ifindex, const struct ipaddr *source,
	const struct guard_destination *to, const uint8_t *bytes, size_t size_bytes)
{
	uint8_t packet[FRAME_PACKET_MAX];
	struct node *node = path->node;
	size_t packet_bytes = frame_ip_build(packet, sizeof(packet), source, &to->address,
		(uint16_t)node->sent, bytes, size_bytes);
	int r;

	CHECK(packet_bytes > 0);
	r = port_send(path->port.fd, ifindex,
		to->address.family == IPADDR_V4 ? ETH_P_IP : ETH_P_IPV6, to->mac, packet,
		packet_bytes);
	path->sent++;
	node->sent++;
	if (r < 0) {
		path->send_errors++;
		node->send_errors++;
	}
}

static void node_send_to(struct node_path *path, const struct ipaddr *source,
	const struct guard_destination *to, const uint8_t *bytes, size_t size_bytes)
{
	node_send_on(path, node_path_link(path)->ifindex, source, to, bytes, size_bytes);
}

void node_send(struct node *node, const struct election_action *action)
{
	struct node_path *path = &node->paths[action->path];
	const struct config_node *peer;
	uint8_t bytes[ADVERT_BYTES_MAX];
	struct guard_destination to;
	struct advert advert;
	struct ipaddr source;
	size_t size_bytes;

	if (!path->is_used || !node_path_source(path, &source))
		return;
	if (node_carp2_speaks(path)) {
		node_carp2_send(path, action);
		return;
	}
	election_advert(node->core, action, &advert);
	advert.flags |= drill_flags(node);
	size_bytes = advert_sign(&node->keys, &advert, bytes, sizeof(bytes));
	CHECK(size_bytes > 0);
	if (path->config->kind == CONFIG_PATH_INTERFACE) {
		to.address = source.family == IPADDR_V4 ? frame_group_v4() : frame_group_v6();
		frame_multicast_mac(&to.address, to.mac);
		node_send_to(path, &source, &to, bytes, size_bytes);
		return;
	}
	peer = config_node_lookup_id(node->cfg, action->node);
	if (!peer || !config_sync_address(peer, path->config))
		return;
	node_path_destination(path, peer, &to);
	if (to.address.family == source.family)
		node_send_to(path, &source, &to, bytes, size_bytes);
}

/* --- ports ------------------------------------------------------------------------------------ */

static void node_port_run(struct executor_job *job)
{
	struct node_port_job *open = (struct node_port_job *)(void *)job;

	port_close(&open->closing);
	open->opened = (struct port){.fd = -1, .neighbour_fd = -1};
	if (open->ifindex != 0)
		job->result =
			port_open(&open->opened, open->ifindex, open->is_sync ? &open->own : NULL);
}

static int node_port_attach(struct node_path *path)
{
	struct node *node = path->node;
	int r;

	if (path->port.fd < 0)
		return 0;
	r = sd_event_add_io(node->event, &path->source, path->port.fd, EPOLLIN, on_packets, path);
	if (r < 0)
		return r;
	(void)sd_event_source_set_priority(path->source, EVLOOP_PRIORITY_INPUT);
	if (path->port.neighbour_fd < 0)
		return 0;
	r = sd_event_add_io(node->event, &path->neighbour_source, path->port.neighbour_fd, EPOLLIN,
		on_neighbours, path);
	if (r < 0)
		return r;
	return sd_event_source_set_priority(path->neighbour_source, EVLOOP_PRIORITY_NORMAL);
}

static void node_port_detach(struct node_path *path)
{
	path->source = sd_event_source_disable_unref(path->source);
	path->neighbour_source = sd_event_source_disable_unref(path->neighbour_source);
}

static void node_port_done(struct executor_job *job)
{
	struct node_port_job *open = (struct node_port_job *)(void *)job;
	struct node_path *path = &open->node->paths[open->path];

	if (job->result < 0)
		log_warnx("%s: packet socket: %s", path->config->name, strerror(-job->result));
	path->port = open->opened;
	if (node_port_attach(path) < 0)
		log_warnx("%s: packet socket cannot be watched", path->config->name);
	if (path->is_open_wanted || node_path_link(path)->ifindex != open->ifindex)
		node_path_reopen(path);
	node_path_carrier(path);
	node_guard_publish(open->node);
}

void node_path_reopen(struct node_path *path)
{
	struct node_port_job *open = &path->open_job;
	const struct links_entry *link = node_path_link(path);

	path->is_open_wanted = executor_job_busy(&open->job);
	if (path->is_open_wanted)
		return;
	node_port_detach(path);
	open->closing = path->port;
	path->port = (struct port){.fd = -1, .neighbour_fd = -1};
	open->ifindex = link->ifindex;
	open->is_sync = link->is_sync;
	open->own = link->sync_address;
	(void)!executor_post(path->node->links_executor, &open->job);
}

void node_path_carrier(struct node_path *path)
{
	struct election_event event = {.type = ELECTION_EVENT_CARRIER, .path = path->index};

	if (!path->is_used)
		return;
	event.up = links_entry_alive(node_path_link(path)) && path->port.fd >= 0;
	node_event(path->node, &event);
}

/* node_vmac_link_changed: true when it is a virtual device of the path that has changed. */
static bool node_vmac_link_changed(
	struct node_path *path, uint32_t index, const struct links_entry *old)
{
	const struct links_entry *link = links_get(path->node->links, index);

	for (unsigned int i = 0; i < NODE_VMACS; i++) {
		if (!path->vmacs[i].is_used || path->vmacs[i].link != index)
			continue;
		if (link->ifindex != old->ifindex && link->ifindex != 0)
			node_readdress(&path->node->groups[path->config->group]);
		node_guard_publish(path->node);
		return true;
	}
	return false;
}

void node_link_changed(void *context, uint32_t index, const struct links_entry *old)
{
	struct node *node = context;

	track_link_changed(node, index);
	for (uint32_t i = 0; i < node->path_count; i++) {
		struct node_path *path = &node->paths[i];
		const struct links_entry *link;

		if (!path->is_used)
			continue;
		if (node_vmac_link_changed(path, index, old))
			continue;
		if (path->link != index)
			continue;
		link = node_path_link(path);
		if (path->config->kind == CONFIG_PATH_INTERFACE &&
			path->config->interface->route_count > 0)
			node->groups[path->config->group].link_changed_at = clock_now();
		if (links_entry_alive(link) != links_entry_alive(old))
			log_notice("%s (%s): %s", path->config->name, link->name,
				link->ifindex == 0   ? "the interface is gone"
				: !link->is_up	     ? "the interface is down"
				: !link->has_carrier ? "no carrier"
						     : "carrier");
		node_path_carrier(path);
		/* A cable that is back may be in another port, and down has taken IPv6 addresses.
		 */
		if (path->config->kind == CONFIG_PATH_INTERFACE && link->ifindex == old->ifindex &&
			links_entry_alive(link) && !links_entry_alive(old))
			node_reannounce(&node->groups[path->config->group]);
		if (link->ifindex != old->ifindex) {
			node_path_reopen(path);
			if (path->config->kind == CONFIG_PATH_INTERFACE)
				node_vmac_again(path);
			if (link->ifindex != 0 && path->config->kind == CONFIG_PATH_INTERFACE)
				node_readdress(&node->groups[path->config->group]);
		} else {
			node_guard_publish(node);
		}
	}
}

static int node_path_open(struct node *node, uint32_t index)
{
	struct node_path *path = &node->paths[index];
	const struct config_path *config = &node->cfg->paths[index];
	const struct ipaddr *own;

	path->node = node;
	path->config = config;
	path->index = (uint8_t)index;
	path->port = (struct port){.fd = -1, .neighbour_fd = -1};
	path->open_job = (struct node_port_job){
		.job = {.run = node_port_run, .done = node_port_done},
		.node = node,
		.path = (uint8_t)index,
		.opened = {.fd = -1, .neighbour_fd = -1},
		.closing = {.fd = -1, .neighbour_fd = -1},
	};
	if (config->kind == CONFIG_PATH_INTERFACE) {
		path->is_used = true;
		path->link = links_add_interface(
			node->links, config_ifname(node->cfg, node->self, config->name));
		node_vmac_open(path);
		return health_open(path);
	}
	own = config_sync_address(node->self, config);
	if (!own)
		return 0;
	path->is_used = true;
	path->link = links_add_sync(node->links, own);
	return health_open(path);
}

/* node_path_start: the first port is opened here and now: nobody waits for the loop yet. */
static int node_path_start(struct node_path *path)
{
	const struct links_entry *link;
	int r = 0;

	if (!path->is_used)
		return 0;
	link = node_path_link(path);
	if (link->ifindex == 0)
		log_warnx("%s: %s is not there (yet)", path->config->name,
			link->is_sync ? "its address" : link->name);
	else
		r = port_open(
			&path->port, link->ifindex, link->is_sync ? &link->sync_address : NULL);
	/* A first look, for the hand-over that asks its next hops before the first test. */
	if (r == 0 && link->ifindex != 0 && !link->is_sync &&
		gateways_read(&path->node->routes, link->ifindex,
			mono_add(clock_now(), dur_ms(NODE_GATEWAYS_MS)), &path->gateways) < 0)
		log_info("%s: its routes cannot be read yet", path->config->name);
	if (r < 0) {
		log_errorx("%s: packet socket: %s", path->config->name, strerror(-r));
		return r;
	}
	return node_port_attach(path);
}

int node_paths_open(struct node *node)
{
	struct links_options options = {
		.event = node->event,
		.executor = node->links_executor,
		.is_managed = node_is_managed,
		.on_change = node_link_changed,
		.on_managed = node_managed_changed,
		.context = node,
	};
	int r = links_open(&node->links, &options);

	if (r == 0)
		r = gateways_open(&node->routes);
	for (uint32_t i = 0; r == 0 && i < node->cfg->path_count; i++)
		r = node_path_open(node, i);
	if (r == 0)
		r = track_open(node);
	if (r == 0)
		r = links_start(node->links);
	node->path_count = node->cfg->path_count;
	for (uint32_t i = 0; r == 0 && i < node->path_count; i++)
		r = node_path_start(&node->paths[i]);
	if (r == 0)
		port_open_quiet();
	return r;
}

void node_paths_close(struct node *node)
{
	for (uint32_t i = 0; i < node->path_count; i++) {
		struct node_path *path = &node->paths[i];

		node_port_detach(path);
		if (path->is_used) {
			port_close(&path->port);
			health_close(path);
		}
	}
	links_close(node->links);
}
