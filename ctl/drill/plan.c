#include "ctl/drill/plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct ipaddr *plan_gateway(const struct plan_segment *segment, uint8_t family)
{
	if (!segment->interface)
		return NULL;
	for (uint32_t i = 0; i < segment->interface->address_count; i++) {
		const struct ipaddr *addr = &segment->interface->addresses[i];

		if (addr->family == family && !ipaddr_is_link_local(addr))
			return addr;
	}
	return NULL;
}

int plan_segment_lookup(const struct plan *plan, const char *name)
{
	for (unsigned int i = 0; i < plan->segment_count; i++)
		if (strcmp(plan->segments[i].name, name) == 0)
			return (int)i;
	return -1;
}

/* Whether somebody else has the address: a virtual address, or a host's already. */
static bool plan_address_taken(const struct plan_segment *segment, const struct ipaddr *addr)
{
	for (uint32_t i = 0; i < segment->interface->address_count; i++)
		if (ipaddr_equal(&segment->interface->addresses[i], addr))
			return true;
	for (unsigned int i = 0; i < segment->host_address_count; i++)
		if (ipaddr_equal(&segment->host_addresses[i], addr))
			return true;
	return false;
}

static unsigned int plan_bits(const struct ipaddr *addr)
{
	return (unsigned int)ipaddr_size_bytes(addr) * 8;
}

/* The `number`-th address of the network that `net` lies in; the prefix length stays. */
static struct ipaddr plan_nth(const struct ipaddr *net, unsigned int number)
{
	struct ipaddr addr = *net;
	unsigned int bits = plan_bits(net);

	for (unsigned int bit = net->prefix_len; bit < bits; bit++)
		addr.bytes[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
	addr.bytes[bits / 8 - 1] |= (uint8_t)(number & 0xff);
	return addr;
}

static void plan_add_host_address(struct plan_segment *segment, const struct ipaddr *addr)
{
	if (segment->host_address_count == PLAN_HOST_ADDR_MAX || plan_address_taken(segment, addr))
		return;
	segment->host_addresses[segment->host_address_count++] = *addr;
}

/* A host address in the network of one virtual address, unless it has one there already. */
static void plan_add_host_in(struct plan_segment *segment, const struct ipaddr *vip)
{
	unsigned int host_bits = plan_bits(vip) - vip->prefix_len;
	unsigned int last = host_bits >= 8 ? 254 : (1u << host_bits) - 2;

	if (ipaddr_is_link_local(vip) || host_bits < 2)
		return;
	for (unsigned int i = 0; i < segment->host_address_count; i++)
		if (ipaddr_contains(vip, &segment->host_addresses[i]))
			return;
	for (unsigned int number = last > PLAN_HOST_NUMBER ? PLAN_HOST_NUMBER : 1; number <= last;
		number++) {
		struct ipaddr addr = plan_nth(vip, number);

		if (!plan_address_taken(segment, &addr)) {
			plan_add_host_address(segment, &addr);
			return;
		}
	}
}

static void plan_interface_segment(
	struct plan *plan, const struct config *cfg, const struct config_interface *interface)
{
	struct plan_segment *segment = &plan->segments[plan->segment_count++];

	segment->interface = interface;
	(void)snprintf(segment->name, sizeof(segment->name), "%s", interface->name);
	for (uint32_t n = 0; n < cfg->node_count; n++)
		(void)snprintf(segment->ifnames[n], sizeof(segment->ifnames[n]), "%s",
			config_ifname(cfg, &cfg->nodes[n], interface->name));
	for (uint32_t i = 0; i < interface->address_count; i++)
		plan_add_host_in(segment, &interface->addresses[i]);
	/* Who must answer for the interface to be alive: the host stands in. */
	for (uint8_t i = 0; i < interface->probe_count; i++) {
		for (uint32_t k = 0; k < interface->address_count; k++) {
			struct ipaddr addr = interface->probes[i];

			if (!ipaddr_contains(&interface->addresses[k], &addr))
				continue;
			addr.prefix_len = interface->addresses[k].prefix_len;
			plan_add_host_address(segment, &addr);
			break;
		}
	}
}

/* The k-th sync addresses, when they lie in the network of a group's interface: they ride there. */
static bool plan_sync_rides(const struct plan *plan, const struct ipaddr *addr)
{
	for (unsigned int i = 0; i < plan->segment_count; i++) {
		const struct config_interface *interface = plan->segments[i].interface;

		for (uint32_t k = 0; interface && k < interface->address_count; k++)
			if (ipaddr_contains(&interface->addresses[k], addr))
				return true;
	}
	return false;
}

static void plan_sync_segment(struct plan *plan, const struct config *cfg, uint8_t link)
{
	struct plan_segment *segment = &plan->segments[plan->segment_count];
	char logical[CONFIG_IFNAME_MAX] = "sync";
	bool any = false;

	if (link > 0)
		(void)snprintf(logical, sizeof(logical), "sync%u", link);
	for (uint32_t n = 0; n < cfg->node_count; n++) {
		const struct config_node *node = &cfg->nodes[n];

		if (link >= node->address_count || plan_sync_rides(plan, &node->addresses[link]))
			continue;
		(void)snprintf(segment->ifnames[n], sizeof(segment->ifnames[n]), "%s",
			config_ifname(cfg, node, logical));
		any = true;
	}
	if (!any)
		return;
	segment->sync_link = link;
	(void)snprintf(segment->name, sizeof(segment->name), "sync%u", link);
	plan->segment_count++;
}

uint8_t plan_sync_prefix(const struct config *cfg, uint8_t sync_link)
{
	const struct ipaddr *first = NULL;
	uint8_t prefix = 128;

	for (uint32_t n = 0; n < cfg->node_count; n++) {
		const struct config_node *node = &cfg->nodes[n];

		if (sync_link >= node->address_count)
			continue;
		if (!first) {
			first = &node->addresses[sync_link];
			prefix = first->family == IPADDR_V4 ? 24 : 64;
		}
		while (prefix > 1) {
			struct ipaddr net = *first;

			net.prefix_len = prefix;
			if (ipaddr_contains(&net, &node->addresses[sync_link]))
				break;
			prefix--;
		}
	}
	return prefix;
}

static bool plan_looks_outside(const char *name)
{
	return strncmp(name, "wan", 3) == 0 || strncmp(name, "out", 3) == 0 ||
	       strncmp(name, "ext", 3) == 0;
}

/* The host's address in the network of that gateway. */
static bool plan_host_for(const struct plan_segment *segment, const struct ipaddr *gateway,
	struct ipaddr *ret_address)
{
	for (unsigned int i = 0; i < segment->host_address_count; i++) {
		if (!ipaddr_contains(gateway, &segment->host_addresses[i]))
			continue;
		*ret_address = segment->host_addresses[i];
		return true;
	}
	return false;
}

static bool plan_pair_ends(const struct plan *plan, struct plan_pair *pair, uint8_t family)
{
	const struct plan_segment *client = &plan->segments[pair->client];
	const struct plan_segment *server = &plan->segments[pair->server];
	const struct ipaddr *client_gateway = plan_gateway(client, family);
	const struct ipaddr *server_gateway = plan_gateway(server, family);

	if (!client_gateway || !server_gateway ||
		!plan_host_for(client, client_gateway, &pair->client_address) ||
		!plan_host_for(server, server_gateway, &pair->server_address))
		return false;
	pair->client_gateway = *client_gateway;
	pair->server_gateway = *server_gateway;
	return true;
}

static bool plan_make_pair(
	struct plan *plan, const struct config_group *group, const char *client, const char *server)
{
	static const uint8_t families[] = {IPADDR_V4, IPADDR_V6};
	bool any = false;
	int client_index = -1;
	int server_index = -1;

	for (uint32_t i = 0; i < group->interface_count; i++) {
		const char *name = group->interfaces[i].name;
		int segment = plan_segment_lookup(plan, name);

		if (server ? strcmp(name, server) == 0
			   : (server_index < 0 && plan_looks_outside(name)) ||
					(server_index < 0 && i + 1 == group->interface_count))
			server_index = segment;
	}
	for (uint32_t i = 0; i < group->interface_count; i++) {
		const char *name = group->interfaces[i].name;
		int segment = plan_segment_lookup(plan, name);

		if (client_index < 0 && segment != server_index &&
			(!client || strcmp(name, client) == 0))
			client_index = segment;
	}
	if (client_index < 0 || server_index < 0)
		return false;
	for (unsigned int i = 0; i < 2; i++) {
		struct plan_pair *pair = &plan->pairs[plan->pair_count];

		*pair = (struct plan_pair){.group = group,
			.client = (uint8_t)client_index,
			.server = (uint8_t)server_index};
		if (!plan_pair_ends(plan, pair, families[i]))
			continue;
		plan->pair_count++;
		any = true;
	}
	return any;
}

int plan_make(struct plan *plan, const struct config *cfg, const char *client, const char *server,
	char error[static PLAN_ERROR_MAX])
{
	(void)memset(plan, 0, sizeof(*plan));
	plan->cfg = cfg;
	for (uint32_t i = 0; i < cfg->interface_count; i++)
		if (plan_segment_lookup(plan, cfg->interfaces[i].name) < 0)
			plan_interface_segment(plan, cfg, &cfg->interfaces[i]);
	for (uint8_t k = 0; k < LIMIT_SYNC_LINKS; k++)
		plan_sync_segment(plan, cfg, k);
	for (uint32_t i = 0; i < cfg->group_count; i++)
		(void)plan_make_pair(plan, &cfg->groups[i], client, server);
	if (plan->pair_count > 0)
		return 0;
	(void)snprintf(error, PLAN_ERROR_MAX,
		"no group forwards between two interfaces%s%s%s%s: a drill needs a client's and a "
		"server's side with addresses of one family",
		client ? ", client side " : "", client ? client : "",
		server ? ", server side " : "", server ? server : "");
	return -EINVAL;
}
