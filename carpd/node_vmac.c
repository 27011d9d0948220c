/* virtual_mac: the virtual addresses under 00:00:5e:00:01:VHID (IPv6: 00:00:5e:00:02:VHID), so that
 * a takeover changes no neighbour's cache, only the switches' tables.
 *
 * They live on macvlan devices on the interface, "lan0.v51" and "lan0.w51", made at the start and
 * taken away at the end. A device is up on the master alone: down, the interface does not even take
 * frames for the virtual address. Mode private: what is sent goes out on the wire.
 *
 * The kernel's ways that must be changed for it, by sysctl: the interface may not answer ARP for an
 * address of the device with its own Ethernet address (arp_ignore=1 on both); answers may come in
 * on the device that routes expect on the interface (rp_filter=2, loose); the device shall have no
 * IPv6 address but ours (addr_gen_mode=1, accept_ra=0). See node.h. */
#include "carpd/node.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/sysctl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define NODE_VMAC_MS 1000 /* the kernel's time for one device */

static const enum ipaddr_family node_vmac_families[NODE_VMACS] = {IPADDR_V4, IPADDR_V6};

struct node_vmac_device {
	uint32_t parent;
	const struct node_vmac *vmac;
};

static size_t node_vmac_put_create(void *at, uint32_t seq, const void *context, size_t index)
{
	const struct node_vmac_device *device = context;
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	struct nlattr *info, *data;
	struct ifinfomsg *body;

	(void)index;
	message->nlmsg_type = RTM_NEWLINK;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	message->nlmsg_seq = seq;
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(message, IFLA_IFNAME, device->vmac->name);
	mnl_attr_put_u32(message, IFLA_LINK, device->parent);
	mnl_attr_put(message, IFLA_ADDRESS, FRAME_MAC_BYTES, device->vmac->mac);
	info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "macvlan");
	data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	mnl_attr_put_u32(message, IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, info);
	return message->nlmsg_len;
}

static size_t node_vmac_put_delete(void *at, uint32_t seq, const void *context, size_t index)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	struct ifinfomsg *body;

	(void)index;
	message->nlmsg_type = RTM_DELLINK;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	message->nlmsg_seq = seq;
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->ifi_family = AF_UNSPEC;
	body->ifi_index = *(const int *)context;
	return message->nlmsg_len;
}

static int node_vmac_exchange(struct node *node,
	size_t (*put)(void *at, uint32_t seq, const void *context, size_t index),
	const void *context)
{
	struct addresses_request request = {.put = put, .context = context, .fine = {ENODEV}};
	mono_t deadline = mono_add(clock_now(), dur_ms(NODE_VMAC_MS));
	struct addresses_result result;

	return addresses_exchange(&node->addresses, &request, 1, deadline, &result);
}

/* node_vmac_is_ours: by its name and its Ethernet address: nobody else makes such a device. */
static bool node_vmac_is_ours(const struct node_vmac *vmac)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_ours;

	memcpy(request.ifr_name, vmac->name, sizeof(vmac->name));
	is_ours = fd >= 0 && ioctl(fd, SIOCGIFHWADDR, &request) == 0 &&
		  memcmp(request.ifr_hwaddr.sa_data, vmac->mac, FRAME_MAC_BYTES) == 0;
	if (fd >= 0)
		close(fd);
	return is_ours;
}

/* node_vmac_set: best effort: a kernel without IPv6 has no such names. */
static void node_vmac_set(const char *family, const char *ifname, const char *name, int64_t value)
{
	char path[96];

	snprintf(path, sizeof(path), "net/%s/conf/%s/%s", family, ifname, name);
	if (sysctl_ensure(path, value) < 0)
		log_info("%s cannot be set to %lld", path, (long long)value);
}

static void node_vmac_prepare(const char *parent, const char *device)
{
	node_vmac_set("ipv4", parent, "arp_ignore", 1);
	node_vmac_set("ipv4", device, "arp_ignore", 1);
	node_vmac_set("ipv4", device, "rp_filter", 2);
	node_vmac_set("ipv4", device, "promote_secondaries", 1);
	node_vmac_set("ipv6", device, "addr_gen_mode", 1);
	node_vmac_set("ipv6", device, "accept_ra", 0);
	node_vmac_set("ipv6", device, "autoconf", 0);
}

/* node_vmac_fill: what the config says of one family's device. */
static bool node_vmac_fill(const struct node *node, const struct config_interface *interface,
	unsigned int index, struct node_vmac *vmac)
{
	*vmac = (struct node_vmac){0};
	vmac->is_used =
		config_vmac(node->cfg, interface, node_vmac_families[index], vmac->name, vmac->mac);
	return vmac->is_used;
}

/* node_vmac_create: both devices of an interface that is there. */
static int node_vmac_create(
	struct node *node, const struct config_interface *interface, uint32_t ifindex)
{
	const char *parent = config_ifname(node->cfg, node->self, interface->name);
	struct node_vmac vmac;

	for (unsigned int i = 0; i < NODE_VMACS; i++) {
		struct node_vmac_device device = {.parent = ifindex, .vmac = &vmac};
		int r;

		if (!node_vmac_fill(node, interface, i, &vmac) || node_vmac_is_ours(&vmac))
			continue;
		r = node_vmac_exchange(node, node_vmac_put_create, &device);
		if (r < 0) {
			log_errorx("%s: virtual_mac: %s cannot be made: %s", parent, vmac.name,
				strerror(-r));
			return r;
		}
		node_vmac_prepare(parent, vmac.name);
		log_notice(
			"%s: virtual addresses are on %s: rules must name it", parent, vmac.name);
	}
	return 0;
}

int node_vmac_create_all(struct node *node)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < node->cfg->interface_count; i++) {
		const struct config_interface *interface = &node->cfg->interfaces[i];
		uint32_t ifindex =
			if_nametoindex(config_ifname(node->cfg, node->self, interface->name));

		if (interface->virtual_mac && ifindex != 0)
			r = node_vmac_create(node, interface, ifindex);
	}
	return r;
}

void node_vmac_sweep(struct node *node)
{
	struct node_vmac vmac;

	for (uint32_t i = 0; i < node->cfg->interface_count; i++)
		for (unsigned int k = 0; k < NODE_VMACS; k++) {
			int ifindex;

			if (!node_vmac_fill(node, &node->cfg->interfaces[i], k, &vmac) ||
				!node_vmac_is_ours(&vmac))
				continue;
			ifindex = (int)if_nametoindex(vmac.name);
			if (node_vmac_exchange(node, node_vmac_put_delete, &ifindex) < 0)
				log_warnx("%s cannot be taken away", vmac.name);
		}
}

/* --- in the loop ------------------------------------------------------------------------------ */

static void node_vmac_run(struct executor_job *base)
{
	struct node_vmac_job *job = (struct node_vmac_job *)(void *)base;

	base->result =
		node_vmac_create(job->path->node, job->path->config->interface, job->ifindex);
}

void node_vmac_open(struct node_path *path)
{
	path->vmac_job = (struct node_vmac_job){.job = {.run = node_vmac_run}, .path = path};
	for (unsigned int i = 0; i < NODE_VMACS; i++) {
		struct node_vmac *vmac = &path->vmacs[i];

		if (node_vmac_fill(path->node, path->config->interface, i, vmac))
			vmac->link = links_add_interface(path->node->links, vmac->name);
	}
}

void node_vmac_again(struct node_path *path)
{
	path->vmac_job.ifindex = node_path_link(path)->ifindex;
	if (path->config->interface->virtual_mac && path->vmac_job.ifindex != 0)
		(void)!executor_post(path->node->links_executor, &path->vmac_job.job);
}

const struct links_entry *node_address_link(const struct node_path *path, uint8_t family)
{
	const struct node_vmac *vmac = &path->vmacs[family == IPADDR_V4 ? 0 : 1];

	return vmac->is_used ? links_get(path->node->links, vmac->link) : node_path_link(path);
}
