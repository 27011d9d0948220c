/* node_carp2: CARPv2 on the groups' interfaces (wire: carp2): the passphrase, one signer an
 * interface, whose an advert is, adverts out, and the guard's bow-out. What follows from a packet
 * the core decides (core/carp2_core.h). See node.h.
 *
 * Whose: the tag in a carpool node's counter needs the cluster's key, which the core has not; so
 * the question is answered here, with the epochs and numbers that the core knows at this moment. */
#include "carpd/node.h"

#include "common/check.h"
#include "common/io/keyfile.h"
#include "common/io/log.h"

#include <errno.h>
#include <string.h>

bool node_carp2_speaks(const struct node_path *path)
{
	return path->node->carp2_mac != NULL && path->config->kind == CONFIG_PATH_INTERFACE;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int node_carp2_open_signers(struct node *node)
{
	for (uint32_t i = 0; i < node->cfg->path_count; i++) {
		const struct config_path *path = &node->cfg->paths[i];

		if (path->kind != CONFIG_PATH_INTERFACE)
			continue;
		if (!carp2_signer_new(&node->carp2_signers[i], node->carp2_mac,
			    node->cfg->groups[path->group].vhid, path->interface->addresses,
			    path->interface->address_count))
			return -ENOMEM;
	}
	return 0;
}

int node_carp2_open(struct node *node)
{
	const struct config_file *file = &node->cfg->election.passphrase;
	uint8_t key[CARP2_KEY_BYTES];
	char error[KEYFILE_ERROR_MAX];
	const char *note;
	int r;

	if (node->cfg->election.wire != CONFIG_WIRE_CARP2)
		return 0;
	r = keyfile_load_passphrase(file->path, key, error);
	if (r < 0) {
		log_errorx(
			"%s:%u:%u: %s", node->cfg->file, file->pos.line, file->pos.column, error);
		return r;
	}
	node->carp2_mac = crypto_sha1_new(key);
	crypto_wipe(key, sizeof(key));
	if (!node->carp2_mac) {
		log_errorx("passphrase: OpenSSL refuses HMAC-SHA-1");
		return -EIO;
	}
	for (uint32_t i = 0; (note = config_carp2_note(node->cfg, i)) != NULL; i++)
		log_warnx("%s", note);
	return node_carp2_open_signers(node);
}

void node_carp2_close(struct node *node)
{
	for (uint32_t i = 0; i < LIMIT_PATHS; i++)
		carp2_signer_free(&node->carp2_signers[i]);
	crypto_mac_free(node->carp2_mac);
	node->carp2_mac = NULL;
}

/* --- in --------------------------------------------------------------------------------------- */

/* node_carp2_lower: as ucarp compares: the four bytes as they lie in memory, as one number of the
 * machine, whose least byte comes first. */
static bool node_carp2_lower(const struct ipaddr *theirs, const struct ipaddr *own)
{
	for (size_t i = ipaddr_size_bytes(own); theirs->family == own->family && i-- > 0;)
		if (theirs->bytes[i] != own->bytes[i])
			return theirs->bytes[i] < own->bytes[i];
	return false;
}

/* node_carp2_claimed: strict: a counter of nobody's proven life says whose it would be. */
static enum carp2_drop node_carp2_claimed(
	const struct node *node, uint64_t counter, struct election_event *event)
{
	uint8_t id = carp2_counter_node(counter), index = 0;

	if (id == node->self->id)
		return CARP2_DROP_SELF;
	for (uint32_t i = 0; i < node->cfg->node_count; i++) {
		if (&node->cfg->nodes[i] == node->self)
			continue;
		if (node->cfg->nodes[i].id == id) {
			event->carp2.peer = index;
			event->carp2.unproven = true;
		}
		index++;
	}
	return CARP2_DROP_NONE;
}

/* node_carp2_identify: fills event->carp2.peer and number. */
static enum carp2_drop node_carp2_identify(
	const struct node_path *path, uint64_t counter, struct election_event *event)
{
	const struct node *node = path->node;
	bool strict = node->cfg->election.counter_strict;
	struct carp2_origin origin;
	uint64_t reference;

	event->carp2.peer = ELECTION_ALL;
	for (uint8_t peer = 0; peer + 1u < node->cfg->node_count; peer++) {
		if (!election_carp2_origin(
			    node->core, event->group, event->path, peer, &origin, &reference) ||
			!carp2_counter_matches(&node->keys, strict, &origin, reference, counter,
				&event->carp2.number))
			continue;
		event->carp2.peer = peer;
		return CARP2_DROP_NONE;
	}
	(void)election_carp2_origin(
		node->core, event->group, event->path, ELECTION_ALL, &origin, &reference);
	if (carp2_counter_matches(
		    &node->keys, strict, &origin, reference, counter, &event->carp2.number))
		return CARP2_DROP_SELF;
	return strict ? node_carp2_claimed(node, counter, event) : CARP2_DROP_NONE;
}

void node_carp2_packet(
	struct node_path *path, const struct frame_ip *ip, const struct port_packet *packet)
{
	struct election_event event = {
		.type = ELECTION_EVENT_CARP2, .group = path->config->group, .path = path->index};
	struct node *node = path->node;
	struct carp2_advert advert;
	enum carp2_drop drop = carp2_open(
		&node->carp2_signers[path->index], ip->payload, ip->payload_bytes, &advert);
	struct ipaddr own;

	/* Nobody of ours, by its bytes alone: whose is it? */
	if (drop != CARP2_DROP_NONE)
		clash_packet(path, ip, packet);
	if (drop == CARP2_DROP_NONE && !node->is_started)
		return;
	if (drop == CARP2_DROP_NONE)
		drop = node_carp2_identify(path, advert.counter, &event);
	if (drop != CARP2_DROP_NONE) {
		node->carp2_drops[drop]++;
		node_drop(node, path, carp2_drop_name(drop));
		return;
	}
	event.carp2.advbase = advert.advbase;
	event.carp2.advskew = advert.advskew;
	event.carp2.demote = advert.demote;
	event.carp2.lower_source =
		node_path_source(path, &own) && node_carp2_lower(&ip->source, &own);
	node_event(node, &event);
}

/* --- out -------------------------------------------------------------------------------------- */

/* node_carp2_make: the bytes of an advert with this node's own number. */
static bool node_carp2_make(const struct node_path *path, struct carp2_advert *advert,
	uint8_t ret_bytes[static CARP2_BYTES])
{
	const struct node *node = path->node;
	uint64_t number = advert->counter, reference;
	struct carp2_origin origin;

	(void)election_carp2_origin(
		node->core, path->config->group, path->index, ELECTION_ALL, &origin, &reference);
	if (node->cfg->election.counter_strict)
		advert->counter = carp2_counter_strict(&origin, number);
	else if (!carp2_counter_lenient(&node->keys, 0, &origin, number, &advert->counter))
		return false;
	return carp2_sign(&node->carp2_signers[path->index], advert, ret_bytes) == CRYPTO_OK;
}

static bool node_carp2_has(const struct node_path *path, enum ipaddr_family family)
{
	const struct config_interface *interface = path->config->interface;

	for (uint32_t i = 0; i < interface->address_count; i++)
		if (interface->addresses[i].family == family)
			return true;
	return false;
}

static void node_carp2_send_to(struct node_path *path, const struct ipaddr *source,
	const struct ipaddr *group, const struct election_action *action)
{
	const struct links_entry *device = node_address_link(path, group->family);
	struct guard_destination to = {.address = *group};
	uint8_t bytes[CARP2_BYTES];
	struct carp2_advert advert;

	election_carp2_advert(path->node->core, action, &advert);
	/* A number each: a receiver of both must not take the second for a repeated first. */
	advert.counter += group->family == IPADDR_V6;
	if (!node_carp2_make(path, &advert, bytes))
		CHECK(false);
	frame_multicast_mac(group, to.mac);
	/* With virtual_mac, as the BSDs: the switches learn from every advert where the virtual
	 * Ethernet address is. A device that is not up yet (a candidate's) says nothing. */
	if (!links_entry_alive(device))
		device = node_path_link(path);
	node_send_on(path, device->ifindex, source, &to, bytes, CARP2_BYTES);
}

/* node_carp2_send: on each family that the interface has virtual addresses of, as the BSDs do: they
 * keep a timer for either. Without an address of its own a node sends from 0.0.0.0; IPv6 needs the
 * link-local one, which every interface has. */
void node_carp2_send(struct node_path *path, const struct election_action *action)
{
	const struct ipaddr group_v4 = frame_group_v4(), group_v6 = frame_group_v6();
	const struct ipaddr any = {.family = IPADDR_V4, .prefix_len = 32};
	const struct links_entry *link = node_path_link(path);

	/* Native words - challenges, questions - have no place on this wire. */
	if (!action->carp2)
		return;
	if (node_carp2_has(path, IPADDR_V4))
		node_carp2_send_to(path, link->own_v4.family == IPADDR_V4 ? &link->own_v4 : &any,
			&group_v4, action);
	if (node_carp2_has(path, IPADDR_V6) && link->link_local_v6.family == IPADDR_V6)
		node_carp2_send_to(path, &link->link_local_v6, &group_v6, action);
}

bool node_carp2_guard_lane(struct node_path *path, struct guard_lane *lane)
{
	struct carp2_advert advert;

	if (!election_carp2_bow_out(path->node->core, path->config->group, &advert) ||
		!node_carp2_make(path, &advert, lane->bytes))
		return false;
	lane->group = path->config->group;
	lane->path = path->index;
	lane->size_bytes = CARP2_BYTES;
	return true;
}
