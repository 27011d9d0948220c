#include "syncd/owner.h"

#include "common/io/clock.h"
#include "common/io/log.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define OWNER_ASK_MS 200

static int owner_compare(const void *a, const void *b)
{
	const struct ipaddr *left = a, *right = b;

	if (left->family != right->family)
		return left->family < right->family ? -1 : 1;
	return memcmp(left->bytes, right->bytes, sizeof(left->bytes));
}

/* owner_is_managed: a virtual address of any group belongs to whoever is master. */
static bool owner_is_managed(const struct owner *owner, const struct ipaddr *address)
{
	for (uint32_t i = 0; i < owner->cfg->address_count; i++)
		if (ipaddr_equal(&owner->cfg->addresses[i], address))
			return true;
	return false;
}

static int owner_on_address(const struct nlmsghdr *message, void *context)
{
	struct owner *owner = context;
	const struct ifaddrmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	struct ipaddr address = {0};
	bool local = false;

	if (message->nlmsg_type != RTM_NEWADDR ||
		(head->ifa_family != AF_INET && head->ifa_family != AF_INET6))
		return 0;
	address.family = head->ifa_family == AF_INET ? IPADDR_V4 : IPADDR_V6;
	mnl_attr_for_each (attr, message, sizeof(*head)) {
		uint16_t type = mnl_attr_get_type(attr);
		size_t size = ipaddr_size_bytes(&address);

		/* On a point-to-point link IFA_ADDRESS is the other end: IFA_LOCAL wins. */
		if ((type != IFA_LOCAL && (type != IFA_ADDRESS || local)) ||
			mnl_attr_get_payload_len(attr) < size)
			continue;
		memcpy(address.bytes, mnl_attr_get_payload(attr), size);
		local = type == IFA_LOCAL;
	}
	if (owner_is_managed(owner, &address))
		return 0;
	if (owner->local_count == OWNER_LOCAL_MAX) {
		log_warnx("more than %u local addresses: flows of the rest are replicated",
			OWNER_LOCAL_MAX);
		return -E2BIG;
	}
	owner->locals[owner->local_count++] = address;
	return 0;
}

static void owner_read_locals(struct owner *owner)
{
	uint8_t buffer[256] __attribute__((aligned(4)));
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *head;
	int r;

	message->nlmsg_type = RTM_GETADDR;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->ifa_family = AF_UNSPEC;
	owner->local_count = 0;
	r = nl_dump(&owner->routes, message, mono_add(clock_now(), dur_ms(OWNER_ASK_MS)),
		owner_on_address, owner);
	if (r < 0 && r != -E2BIG) {
		errno = -r;
		log_warn("cannot list local addresses");
	}
	qsort(owner->locals, owner->local_count, sizeof(*owner->locals), owner_compare);
}

static void owner_add_interface(struct owner *owner, const char *name, uint8_t group)
{
	unsigned int index = if_nametoindex(name);

	if (index == 0)
		return; /* not there yet: a later change tells */
	owner->interfaces[owner->interface_count].index = index;
	owner->interfaces[owner->interface_count++].group = group;
}

static void owner_read_interfaces(struct owner *owner)
{
	const enum ipaddr_family families[] = {IPADDR_V4, IPADDR_V6};
	const struct config *cfg = owner->cfg;
	char device[CONFIG_IFNAME_MAX];
	uint8_t mac[6];

	owner->interface_count = 0;
	for (uint32_t i = 0; i < cfg->interface_count; i++) {
		const struct config_interface *interface = &cfg->interfaces[i];

		owner_add_interface(
			owner, config_ifname(cfg, cfg->self, interface->name), interface->group);
		for (unsigned int k = 0; k < 2; k++)
			if (config_vmac(cfg, interface, families[k], device, mac))
				owner_add_interface(owner, device, interface->group);
	}
}

int owner_open(struct owner *owner, const struct config *cfg)
{
	struct nl_options asks = {.bus = NETLINK_ROUTE};
	struct nl_options hears = {.bus = NETLINK_ROUTE,
		.groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
			  RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE};
	int r;

	memset(owner, 0, sizeof(*owner));
	owner->cfg = cfg;
	for (uint32_t i = 0; i < cfg->group_count; i++)
		if (cfg->groups[i].vhid < cfg->groups[owner->lowest_group].vhid)
			owner->lowest_group = (uint8_t)i;
	owner->locals = calloc(OWNER_LOCAL_MAX, sizeof(*owner->locals));
	owner->cache = calloc(OWNER_CACHE_ENTRIES, sizeof(*owner->cache));
	r = owner->locals && owner->cache ? nl_open(&owner->routes, &asks) : -ENOMEM;
	if (r == 0)
		r = nl_open(&owner->changes, &hears);
	if (r < 0) {
		owner_close(owner);
		return r;
	}
	owner_read_locals(owner);
	owner_read_interfaces(owner);
	return 0;
}

void owner_close(struct owner *owner)
{
	nl_close(&owner->routes);
	nl_close(&owner->changes);
	free(owner->locals);
	free(owner->cache);
	memset(owner, 0, sizeof(*owner));
}

int owner_changes_fd(const struct owner *owner)
{
	return nl_fd(&owner->changes);
}

static void owner_on_news(const struct nlmsghdr *message, void *context)
{
	bool *addresses = context;

	if (message->nlmsg_type != RTM_NEWROUTE && message->nlmsg_type != RTM_DELROUTE)
		*addresses = true;
}

void owner_on_change(struct owner *owner)
{
	bool addresses = false;
	ssize_t size;

	/* What was lost (-ENOBUFS) may have been an address. */
	while ((size = nl_receive(&owner->changes, owner_on_news, &addresses)) > 0)
		;
	if (size < 0)
		addresses = true;
	memset(owner->cache, 0, OWNER_CACHE_ENTRIES * sizeof(*owner->cache));
	if (!addresses)
		return;
	owner_read_locals(owner);
	owner_read_interfaces(owner);
}

/* ---- what is not ours ---- */

static bool owner_is_special(const uint8_t *bytes, uint8_t family)
{
	static const uint8_t loopback6[16] = {[15] = 1};

	if (family == IPADDR_V4)
		return bytes[0] == 127 || bytes[0] >= 224 || bytes[0] == 0;
	return bytes[0] == 0xff || memcmp(bytes, loopback6, sizeof(loopback6)) == 0;
}

static bool owner_ignores_address(const struct owner *owner, const uint8_t *bytes, uint8_t family)
{
	struct ipaddr address = {.family = family};

	if (owner_is_special(bytes, family))
		return true;
	memcpy(address.bytes, bytes, family == IPADDR_V6 ? 16 : 4);
	if (bsearch(&address, owner->locals, owner->local_count, sizeof(address), owner_compare))
		return true;
	for (uint32_t i = 0; i < owner->cfg->sync.ignore_address_count; i++)
		if (ipaddr_contains(&owner->cfg->sync.ignore_addresses[i], &address))
			return true;
	return false;
}

/* owner_is_sync: between nodes of the cluster, on the sync port. */
static bool owner_is_sync(const struct owner *owner, const struct flow *flow)
{
	const struct config *cfg = owner->cfg;
	struct ipaddr to = {.family = flow->orig.family};

	if (flow->orig.proto != IPPROTO_TCP || flow->orig.dst_port != cfg->sync.port)
		return false;
	memcpy(to.bytes, flow->orig.dst, sizeof(to.bytes));
	for (uint32_t node = 0; node < cfg->node_count; node++)
		for (uint8_t i = 0; i < cfg->nodes[node].address_count; i++)
			if (ipaddr_equal(&cfg->nodes[node].addresses[i], &to))
				return true;
	return false;
}

static bool owner_ignores(const struct owner *owner, const struct flow *flow)
{
	const struct config_sync *sync = &owner->cfg->sync;
	uint8_t family = flow->orig.family;

	if (owner_is_sync(owner, flow))
		return true;
	for (uint32_t i = 0; i < sync->ignore_protocol_count; i++)
		if (sync->ignore_protocols[i] == flow->orig.proto)
			return true;
	if (owner_ignores_address(owner, flow->orig.src, family) ||
		owner_ignores_address(owner, flow->orig.dst, family))
		return true;
	return flow->has & FLOW_HAS_REPLY &&
	       (owner_ignores_address(owner, flow->reply.src, family) ||
		       owner_ignores_address(owner, flow->reply.dst, family));
}

/* ---- groups ---- */

static int owner_on_route(const struct nlmsghdr *message, void *context)
{
	uint32_t *index = context;
	const struct nlattr *attr;

	if (message->nlmsg_type != RTM_NEWROUTE)
		return 0;
	mnl_attr_for_each (attr, message, sizeof(struct rtmsg)) {
		if (mnl_attr_get_type(attr) == RTA_OIF &&
			mnl_attr_get_payload_len(attr) >= sizeof(uint32_t))
			*index = mnl_attr_get_u32(attr);
	}
	return 0;
}

static int owner_ask_route(struct owner *owner, const uint8_t *bytes, uint8_t family)
{
	uint8_t buffer[256] __attribute__((aligned(4)));
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	size_t size = family == IPADDR_V6 ? 16 : 4;
	struct rtmsg *head;
	uint32_t index = 0;

	message->nlmsg_type = RTM_GETROUTE;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->rtm_family = family == IPADDR_V6 ? AF_INET6 : AF_INET;
	head->rtm_dst_len = (uint8_t)(size * 8);
	mnl_attr_put(message, RTA_DST, size, bytes);
	/* No route is an answer too: by no group's interface. */
	if (nl_dump(&owner->routes, message, mono_add(clock_now(), dur_ms(OWNER_ASK_MS)),
		    owner_on_route, &index) < 0)
		return -1;
	for (uint32_t i = 0; index && i < owner->interface_count; i++)
		if (owner->interfaces[i].index == index)
			return owner->interfaces[i].group;
	return -1;
}

static int owner_route_group(struct owner *owner, const uint8_t *bytes, uint8_t family)
{
	struct owner_cache *entry;
	uint32_t hash = 2166136261u; /* FNV-1a; an attacker can at worst make us ask again */

	for (int i = 0; i < (family == IPADDR_V6 ? 16 : 4); i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	entry = &owner->cache[(hash ^ hash >> 16) % OWNER_CACHE_ENTRIES];
	if (entry->family != family || memcmp(entry->address, bytes, 16) != 0) {
		memcpy(entry->address, bytes, 16);
		entry->family = family;
		entry->group = (int8_t)owner_ask_route(owner, bytes, family);
	}
	return entry->group;
}

int owner_group(struct owner *owner, const struct flow *flow)
{
	int group;

	if (owner_ignores(owner, flow)) {
		owner->ignored++;
		return OWNER_IGNORE;
	}
	if (owner->cfg->group_count == 1)
		return 0;
	group = owner_route_group(owner, flow->orig.src, flow->orig.family);
	if (group < 0)
		group = owner_route_group(owner, flow->orig.dst, flow->orig.family);
	return group < 0 ? owner->lowest_group : group;
}
