/* clash: others on the wire, and nodes that do not agree: said once, by name, with what to do.
 *
 * Two sources. A packet that was dropped is looked at once more: a VRRP router or a foreign CARP
 * with a group's own vhid, or an advert with our vhid that nobody of this cluster can have signed.
 * And once a second what the peers' signed adverts say of their configs is compared with ours.
 * None of it changes what the election does (design section 6, rolling changes): an unauthenticated
 * packet can raise an alarm and nothing else, and a difference may be on purpose for a while.
 * See node.h. */
#include "carpd/node.h"

#include "carpd/foreign.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <stdio.h>
#include <string.h>

#define CLASH_SHOWN_S	  300 /* after the last packet: a VRRPv2 router may be quiet for 255 s */
#define CLASH_DIFFERS_S	  5   /* compared every second */
#define CLASH_INTERVAL_US 2   /* what rounding may do to a signed interval */

/* clash_origin: "10.1.0.7 (52:54:00:12:34:56) on lan0". */
static const char *clash_origin(const struct node_path *path, const struct frame_ip *ip,
	const struct port_packet *packet, char text[static 96])
{
	char address[IPADDR_TEXT_MAX];
	const uint8_t *mac = packet->mac;

	snprintf(text, 96, "%s (%02x:%02x:%02x:%02x:%02x:%02x) on %s",
		ipaddr_render(&ip->source, false, address), mac[0], mac[1], mac[2], mac[3], mac[4],
		mac[5], path->config->name);
	return text;
}

/* clash_group: the group with that vhid that lives on the path, or NULL. */
static const struct config_group *clash_group(const struct node_path *path, uint8_t vhid)
{
	const struct config *cfg = path->node->cfg;

	for (uint32_t g = 0; g < cfg->group_count; g++)
		for (uint32_t i = 0; i < cfg->groups[g].interface_count; i++)
			if (cfg->groups[g].vhid == vhid &&
				strcmp(cfg->groups[g].interfaces[i].name, path->config->name) == 0)
				return &cfg->groups[g];
	return NULL;
}

void clash_packet(
	struct node_path *path, const struct frame_ip *ip, const struct port_packet *packet)
{
	struct foreign foreign = foreign_parse(ip->payload, ip->payload_bytes);
	const struct config_group *group = clash_group(path, foreign.vhid);
	bool is_carp2 = path->node->cfg->election.wire == CONFIG_WIRE_CARP2;
	char origin[96];

	if (foreign.kind == FOREIGN_NONE || !group)
		return;
	clash_origin(path, ip, packet, origin);
	if (foreign.kind == FOREIGN_VRRP2 || foreign.kind == FOREIGN_VRRP3)
		alarms_raise(path->node, "CLASH_VRRP", group->index, dur_s(CLASH_SHOWN_S),
			"a %s router, %s, has our vhid %u: give one of the two another number",
			foreign_name(foreign.kind), origin, group->vhid);
	else if (foreign.kind == FOREIGN_CARP && is_carp2)
		alarms_raise(path->node, "CLASH_CARP", group->index, dur_s(CLASH_SHOWN_S),
			"CARP of %s with vhid %u does not verify: another passphrase, other "
			"addresses on the interface, or another cluster: compare them",
			origin, group->vhid);
	else if (foreign.kind == FOREIGN_CARP)
		alarms_raise(path->node, "CLASH_CARP", group->index, dur_s(CLASH_SHOWN_S),
			"a foreign CARP, %s, has our vhid %u: give one of the two another number, "
			"or use wire: carp2 to elect together with it",
			origin, group->vhid);
	else
		alarms_raise(path->node, "CLASH_CLUSTER", group->index, dur_s(CLASH_SHOWN_S),
			"adverts of %s with vhid %u are not signed by this cluster's key and name: "
			"another cluster (give it another vhid), or a node with another key file",
			origin, group->vhid);
}

void clash_own_id(struct node_path *path)
{
	uint8_t group = path->config->kind == CONFIG_PATH_INTERFACE ? path->config->group : 0;

	alarms_raise(path->node, "CLASH_NODE", group, dur_s(CLASH_SHOWN_S),
		"adverts with this node's own id come in on %s: two nodes were started as %s, or "
		"the network sends packets back",
		path->config->name, path->node->self->name);
}

/* --- what the peers' configs are -------------------------------------------------------------- */

/* clash_interval: whether the peer advertises as our config says it should. */
static bool clash_interval(const struct node *node, uint8_t group, uint8_t peer,
	const struct config_node *config, dur_t *ret_theirs, dur_t *ret_ours)
{
	const struct model_view *view = &node->core->peers[peer].views[group];

	*ret_theirs = dur_us(view->interval_us);
	*ret_ours = config_advert_interval(node->cfg, &node->cfg->groups[group], config);
	if (!view->known || view->interval_us == 0)
		return true;
	return ret_theirs->us - ret_ours->us <= CLASH_INTERVAL_US &&
	       ret_ours->us - ret_theirs->us <= CLASH_INTERVAL_US;
}

static void clash_peer(struct node *node, uint8_t group, uint8_t peer)
{
	const struct config_group *config = &node->cfg->groups[group];
	const struct model_group *own = &node->core->groups[group];
	struct election_peer_view view;
	const struct config_node *other;
	dur_t theirs, ours;

	election_peer_view(node->core, group, peer, &view);
	other = config_node_lookup_id(node->cfg, view.node);
	if (!view.alive || !view.proven || !other)
		return;
	if (view.address_fingerprint != 0 && view.address_fingerprint != own->address_fingerprint)
		alarms_raise(node, "ADDRESSES_DIFFER", group, dur_s(CLASH_DIFFERS_S),
			"node %s has other virtual addresses, prefix lengths, interfaces or "
			"another "
			"vhid in group %s: compare `carpool config show` on both, then reload",
			other->name, config->name);
	if (!clash_interval(node, group, peer, other, &theirs, &ours))
		alarms_raise(node, "TIMERS_DIFFER", group, dur_s(CLASH_DIFFERS_S),
			"node %s advertises every %lld us, this node's file says %lld us: advbase "
			"or "
			"advskew differ: make the files the same and restart the older one",
			other->name, (long long)theirs.us, (long long)ours.us);
	if (view.config_fingerprint != 0 && view.config_fingerprint != own->config_fingerprint)
		alarms_raise(node, "CONFIG_DIFFERS", group, dur_s(CLASH_DIFFERS_S),
			"node %s runs another config: make the files the same, then reload (in a "
			"change that is under way: go on)",
			other->name);
}

void clash_compare(struct node *node)
{
	if (!node->is_started)
		return;
	for (uint32_t g = 0; g < node->group_count; g++)
		for (uint8_t p = 0; p + 1u < node->cfg->node_count; p++)
			clash_peer(node, (uint8_t)g, p);
}
