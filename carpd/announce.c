#include "carpd/announce.h"

#include "carpd/port.h"
#include "common/check.h"

#include <linux/if_ether.h>
#include <stdbool.h>

static unsigned int announce_arp(const struct announce_target *to, const struct ipaddr *address)
{
	const enum frame_arp_form forms[] = {FRAME_ARP_REQUEST, FRAME_ARP_REPLY};
	uint8_t frame[FRAME_ARP_BYTES];
	unsigned int failed = 0;

	for (unsigned int i = 0; i < ARRAY_LEN(forms); i++) {
		frame_arp_announce(frame, forms[i], to->mac, address);
		failed += port_send(to->fd, to->ifindex, ETH_P_ARP, port_broadcast, frame,
				  sizeof(frame)) < 0;
	}
	return failed;
}

static unsigned int announce_nd(const struct announce_target *to, const struct ipaddr *address)
{
	static const uint8_t all_nodes[FRAME_MAC_BYTES] = {0x33, 0x33, 0, 0, 0, 1};
	uint8_t packet[FRAME_ND_BYTES];

	/* A firewall's address is a router's (RFC 4861 section 4.4: the R flag). */
	frame_nd_announce(packet, to->mac, address, true);
	return port_send(to->fd, to->ifindex, ETH_P_IPV6, all_nodes, packet, sizeof(packet)) < 0;
}

unsigned int announce_round(
	const struct announce_target *targets, size_t target_count, unsigned int *ret_sent)
{
	unsigned int failed = 0, sent = 0;
	bool more = true;

	for (uint32_t index = 0; more; index++) {
		more = false;
		for (size_t i = 0; i < target_count; i++) {
			const struct announce_target *to = &targets[i];
			unsigned int frames, lost;

			if (index >= to->address_count || to->fd < 0)
				continue;
			more = true;
			if (to->family != IPADDR_NONE && to->family != to->addresses[index].family)
				continue;
			frames = to->addresses[index].family == IPADDR_V4 ? 2 : 1;
			lost = frames == 2 ? announce_arp(to, &to->addresses[index])
					   : announce_nd(to, &to->addresses[index]);
			failed += lost;
			sent += frames - lost;
		}
	}
	*ret_sent = sent;
	return failed;
}
