#include "carpd/frame.h"

#include "common/check.h"
#include "common/rbuf.h"
#include "common/wbuf.h"

#include <assert.h>

#define FRAME_ICMPV6	  58u
#define FRAME_ND_SOLICIT  135u
#define FRAME_ND_ADVERT	  136u
#define FRAME_ND_OVERRIDE 0x20u
#define FRAME_ND_ROUTER	  0x80u
#define FRAME_DONT_FRAG	  0x4000u
#define FRAME_CLASS_CS6	  0xc0u /* RFC 2474: network control */

static const char *const frame_drop_names[] = {
	[FRAME_DROP_NONE] = "NONE",
	[FRAME_DROP_SHORT] = "FRAME_SHORT",
	[FRAME_DROP_VERSION] = "FRAME_VERSION",
	[FRAME_DROP_HEADER_LENGTH] = "FRAME_HEADER_LENGTH",
	[FRAME_DROP_TOTAL_LENGTH] = "FRAME_TOTAL_LENGTH",
	[FRAME_DROP_FRAGMENT] = "FRAME_FRAGMENT",
	[FRAME_DROP_PROTOCOL] = "FRAME_PROTOCOL",
	[FRAME_DROP_TTL] = "FRAME_TTL",
	[FRAME_DROP_CHECKSUM] = "FRAME_CHECKSUM",
	[FRAME_DROP_SOURCE] = "FRAME_SOURCE",
};

static_assert(ARRAY_LEN(frame_drop_names) == FRAME_DROP_COUNT, "a drop has no name");

static const uint8_t frame_broadcast[FRAME_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

const char *frame_drop_name(enum frame_drop drop)
{
	CHECK((unsigned int)drop < FRAME_DROP_COUNT);
	return frame_drop_names[drop];
}

/* frame_sum: RFC 1071, without the final complement. */
static uint32_t frame_sum(uint32_t sum, const uint8_t *data, size_t size_bytes)
{
	for (size_t i = 0; i + 1 < size_bytes; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	if (size_bytes % 2)
		sum += (uint32_t)data[size_bytes - 1] << 8;
	return sum;
}

static uint16_t frame_sum_finish(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static struct ipaddr frame_address(enum ipaddr_family family, const uint8_t *bytes)
{
	struct ipaddr address = {
		.family = (uint8_t)family,
		.prefix_len = family == IPADDR_V4 ? 32 : 128,
	};

	memcpy(address.bytes, bytes, ipaddr_size_bytes(&address));
	return address;
}

/* frame_length_fits: the header's length is the packet's, but for Ethernet's padding. */
static bool frame_length_fits(size_t total_bytes, size_t size_bytes)
{
	return total_bytes == size_bytes ||
	       (total_bytes < size_bytes && size_bytes <= FRAME_ETHERNET_MIN);
}

static enum frame_drop frame_ip_parse_v4(
	const uint8_t *packet, size_t size_bytes, struct frame_ip *ret_ip)
{
	struct rbuf r = rbuf_init(packet, size_bytes);
	const uint8_t *header = rbuf_take(&r, FRAME_IPV4_BYTES);
	size_t total_bytes;

	if (!header)
		return FRAME_DROP_SHORT;
	if ((header[0] & 0x0f) != 5)
		return FRAME_DROP_HEADER_LENGTH;
	total_bytes = (size_t)header[2] << 8 | header[3];
	if (total_bytes < FRAME_IPV4_BYTES || !frame_length_fits(total_bytes, size_bytes))
		return FRAME_DROP_TOTAL_LENGTH;
	/* More fragments, or an offset: an advert always fits one packet. */
	if ((header[6] & 0x3f) || header[7])
		return FRAME_DROP_FRAGMENT;
	if (header[9] != FRAME_PROTOCOL_CARP)
		return FRAME_DROP_PROTOCOL;
	if (header[8] != FRAME_HOPS)
		return FRAME_DROP_TTL;
	if (frame_sum_finish(frame_sum(0, header, FRAME_IPV4_BYTES)) != 0)
		return FRAME_DROP_CHECKSUM;
	if (header[12] >= 224)
		return FRAME_DROP_SOURCE;
	*ret_ip = (struct frame_ip){
		.source = frame_address(IPADDR_V4, header + 12),
		.destination = frame_address(IPADDR_V4, header + 16),
		.payload = packet + FRAME_IPV4_BYTES,
		.payload_bytes = total_bytes - FRAME_IPV4_BYTES,
	};
	return FRAME_DROP_NONE;
}

static enum frame_drop frame_ip_parse_v6(
	const uint8_t *packet, size_t size_bytes, struct frame_ip *ret_ip)
{
	struct rbuf r = rbuf_init(packet, size_bytes);
	const uint8_t *header = rbuf_take(&r, FRAME_IPV6_BYTES);
	size_t payload_bytes;

	if (!header)
		return FRAME_DROP_SHORT;
	payload_bytes = (size_t)header[4] << 8 | header[5];
	if (!frame_length_fits(FRAME_IPV6_BYTES + payload_bytes, size_bytes))
		return FRAME_DROP_TOTAL_LENGTH;
	if (header[6] != FRAME_PROTOCOL_CARP)
		return FRAME_DROP_PROTOCOL;
	if (header[7] != FRAME_HOPS)
		return FRAME_DROP_TTL;
	if (header[8] == 0xff)
		return FRAME_DROP_SOURCE;
	*ret_ip = (struct frame_ip){
		.source = frame_address(IPADDR_V6, header + 8),
		.destination = frame_address(IPADDR_V6, header + 24),
		.payload = packet + FRAME_IPV6_BYTES,
		.payload_bytes = payload_bytes,
	};
	return FRAME_DROP_NONE;
}

enum frame_drop frame_ip_parse(const uint8_t *packet, size_t size_bytes, struct frame_ip *ret_ip)
{
	if (size_bytes == 0)
		return FRAME_DROP_SHORT;
	switch (packet[0] >> 4) {
	case 4:
		return frame_ip_parse_v4(packet, size_bytes, ret_ip);
	case 6:
		return frame_ip_parse_v6(packet, size_bytes, ret_ip);
	default:
		return FRAME_DROP_VERSION;
	}
}

static void frame_ip_build_v4(struct wbuf *w, const struct ipaddr *source,
	const struct ipaddr *destination, uint16_t identification, size_t payload_bytes)
{
	uint8_t *header = w->pos;
	uint16_t sum;

	wbuf_u8(w, 0x45);
	wbuf_u8(w, FRAME_CLASS_CS6);
	wbuf_be16(w, FRAME_IPV4_BYTES + payload_bytes);
	wbuf_be16(w, identification);
	wbuf_be16(w, FRAME_DONT_FRAG);
	wbuf_u8(w, FRAME_HOPS);
	wbuf_u8(w, FRAME_PROTOCOL_CARP);
	wbuf_be16(w, 0);
	wbuf_bytes(w, source->bytes, 4);
	wbuf_bytes(w, destination->bytes, 4);
	if (w->failed)
		return;
	sum = frame_sum_finish(frame_sum(0, header, FRAME_IPV4_BYTES));
	header[10] = (uint8_t)(sum >> 8);
	header[11] = (uint8_t)sum;
}

/* frame_ipv6_header: any next header, hop limit 255. */
static void frame_ipv6_header(struct wbuf *w, const struct ipaddr *source,
	const struct ipaddr *destination, uint8_t next_header, size_t payload_bytes)
{
	wbuf_be32(w, 0x60000000u | (uint32_t)FRAME_CLASS_CS6 << 20);
	wbuf_be16(w, payload_bytes);
	wbuf_u8(w, next_header);
	wbuf_u8(w, FRAME_HOPS);
	wbuf_bytes(w, source->bytes, 16);
	wbuf_bytes(w, destination->bytes, 16);
}

size_t frame_ip_build(uint8_t *packet, size_t size_bytes, const struct ipaddr *source,
	const struct ipaddr *destination, uint16_t identification, const uint8_t *payload,
	size_t payload_bytes)
{
	struct wbuf w = wbuf_init(packet, size_bytes);

	if (source->family != destination->family || payload_bytes > FRAME_PAYLOAD_MAX)
		return 0;
	if (source->family == IPADDR_V4)
		frame_ip_build_v4(&w, source, destination, identification, payload_bytes);
	else
		frame_ipv6_header(
			&w, source, destination, (uint8_t)FRAME_PROTOCOL_CARP, payload_bytes);
	wbuf_bytes(&w, payload, payload_bytes);
	return w.failed ? 0 : wbuf_used(&w);
}

static void frame_arp(uint8_t frame[static FRAME_ARP_BYTES], enum frame_arp_form form,
	const uint8_t *sender_mac, const uint8_t *sender, const uint8_t *target_mac,
	const uint8_t *target)
{
	/* Ethernet, IPv4, their address sizes. */
	static const uint8_t head[6] = {0, 1, 0x08, 0, FRAME_MAC_BYTES, 4};

	memcpy(frame, head, sizeof(head));
	frame[6] = 0;
	frame[7] = (uint8_t)form;
	memcpy(frame + 8, sender_mac, FRAME_MAC_BYTES);
	memcpy(frame + 14, sender, 4);
	memcpy(frame + 18, target_mac, FRAME_MAC_BYTES);
	memcpy(frame + 24, target, 4);
}

void frame_arp_announce(uint8_t frame[static FRAME_ARP_BYTES], enum frame_arp_form form,
	const uint8_t mac[static FRAME_MAC_BYTES], const struct ipaddr *address)
{
	static const uint8_t nobody[FRAME_MAC_BYTES];

	CHECK(address->family == IPADDR_V4);
	frame_arp(frame, form, mac, address->bytes,
		form == FRAME_ARP_REPLY ? frame_broadcast : nobody, address->bytes);
}

void frame_arp_probe(uint8_t frame[static FRAME_ARP_BYTES],
	const uint8_t mac[static FRAME_MAC_BYTES], const struct ipaddr *sender,
	const struct ipaddr *target)
{
	static const uint8_t nobody[FRAME_MAC_BYTES];

	CHECK(target->family == IPADDR_V4);
	frame_arp(frame, FRAME_ARP_REQUEST, mac, sender->bytes, nobody, target->bytes);
}

/* frame_nd: an ICMPv6 message of 24 bytes and one link-layer address option, with its checksum over
 * the pseudo-header (RFC 8200 section 8.1). */
static void frame_nd(uint8_t packet[static FRAME_ND_BYTES], const struct ipaddr *source,
	const struct ipaddr *destination, uint8_t type, uint8_t flags, const struct ipaddr *target,
	const uint8_t *mac)
{
	size_t size_bytes = FRAME_ND_BYTES - FRAME_IPV6_BYTES;
	struct wbuf w = wbuf_init(packet, FRAME_ND_BYTES);
	uint8_t *icmp = packet + FRAME_IPV6_BYTES;
	uint16_t sum;

	frame_ipv6_header(&w, source, destination, FRAME_ICMPV6, size_bytes);
	wbuf_u8(&w, type);
	wbuf_u8(&w, 0);
	wbuf_be16(&w, 0);
	wbuf_u8(&w, flags);
	wbuf_be(&w, 0, 3);
	wbuf_bytes(&w, target->bytes, 16);
	/* Option 1 in a solicitation is the source's, option 2 in an advertisement the target's. */
	wbuf_u8(&w, type == FRAME_ND_SOLICIT ? 1 : 2);
	wbuf_u8(&w, 1);
	wbuf_bytes(&w, mac, FRAME_MAC_BYTES);
	CHECK(!w.failed);
	CHECK(wbuf_used(&w) == FRAME_ND_BYTES);
	sum = frame_sum_finish(
		frame_sum(frame_sum((uint32_t)(FRAME_ICMPV6 + size_bytes), packet + 8, 32), icmp,
			size_bytes));
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
}

static struct ipaddr frame_all_nodes(void)
{
	static const uint8_t bytes[16] = {0xff, 0x02, [15] = 0x01};

	return frame_address(IPADDR_V6, bytes);
}

void frame_nd_announce(uint8_t packet[static FRAME_ND_BYTES],
	const uint8_t mac[static FRAME_MAC_BYTES], const struct ipaddr *address, bool router)
{
	struct ipaddr everybody = frame_all_nodes();

	CHECK(address->family == IPADDR_V6);
	frame_nd(packet, address, &everybody, FRAME_ND_ADVERT,
		(uint8_t)(FRAME_ND_OVERRIDE | (router ? FRAME_ND_ROUTER : 0)), address, mac);
}

void frame_nd_solicit(uint8_t packet[static FRAME_ND_BYTES],
	const uint8_t mac[static FRAME_MAC_BYTES], const struct ipaddr *sender,
	const struct ipaddr *target, uint8_t ret_mac[static FRAME_MAC_BYTES])
{
	/* RFC 4291 section 2.7.1: ff02::1:ff00:0/104 and the last 24 bits of the address. */
	uint8_t bytes[16] = {0xff, 0x02, [11] = 0x01, [12] = 0xff};
	struct ipaddr solicited;

	CHECK(target->family == IPADDR_V6);
	memcpy(bytes + 13, target->bytes + 13, 3);
	solicited = frame_address(IPADDR_V6, bytes);
	frame_multicast_mac(&solicited, ret_mac);
	frame_nd(packet, sender, &solicited, FRAME_ND_SOLICIT, 0, target, mac);
}

bool frame_arp_parse(const uint8_t *frame, size_t size_bytes, struct frame_neighbour *ret_neighbour)
{
	static const uint8_t head[6] = {0, 1, 0x08, 0, FRAME_MAC_BYTES, 4};
	static const uint8_t nowhere[4];
	struct rbuf r = rbuf_init(frame, size_bytes);
	const uint8_t *start = rbuf_take(&r, sizeof(head));
	uint16_t form = rbuf_be16(&r);
	const uint8_t *mac = rbuf_take(&r, FRAME_MAC_BYTES);
	const uint8_t *sender = rbuf_take(&r, 4);

	(void)rbuf_take(&r, FRAME_MAC_BYTES + 4);
	if (r.failed || !start || !mac || !sender || memcmp(start, head, sizeof(head)) != 0 ||
		(form != FRAME_ARP_REQUEST && form != FRAME_ARP_REPLY) ||
		memcmp(sender, nowhere, 4) == 0)
		return false;
	ret_neighbour->address = frame_address(IPADDR_V4, sender);
	memcpy(ret_neighbour->mac, mac, FRAME_MAC_BYTES);
	ret_neighbour->is_answer = form == FRAME_ARP_REPLY;
	return true;
}

bool frame_nd_parse(const uint8_t *packet, size_t size_bytes, struct frame_neighbour *ret_neighbour)
{
	const uint8_t *icmp = packet + FRAME_IPV6_BYTES;
	size_t icmp_bytes = size_bytes - FRAME_IPV6_BYTES;
	uint32_t sum;

	if (size_bytes < FRAME_ND_BYTES || packet[0] >> 4 != 6 || packet[6] != FRAME_ICMPV6 ||
		packet[7] != FRAME_HOPS || ((size_t)packet[4] << 8 | packet[5]) != icmp_bytes)
		return false;
	/* Only an advertisement with the target's link-layer address says who is alive and where.
	 */
	if (icmp[0] != FRAME_ND_ADVERT || icmp[1] != 0 || icmp[24] != 2 || icmp[25] != 1)
		return false;
	sum = frame_sum((uint32_t)(FRAME_ICMPV6 + icmp_bytes), packet + 8, 32);
	if (frame_sum_finish(frame_sum(sum, icmp, icmp_bytes)) != 0)
		return false;
	ret_neighbour->address = frame_address(IPADDR_V6, icmp + 8);
	memcpy(ret_neighbour->mac, icmp + 26, FRAME_MAC_BYTES);
	ret_neighbour->is_answer = true;
	return true;
}

void frame_multicast_mac(const struct ipaddr *address, uint8_t ret_mac[static FRAME_MAC_BYTES])
{
	if (address->family == IPADDR_V4) {
		uint8_t mac[FRAME_MAC_BYTES] = {0x01, 0x00, 0x5e, address->bytes[1] & 0x7f,
			address->bytes[2], address->bytes[3]};

		memcpy(ret_mac, mac, FRAME_MAC_BYTES);
		return;
	}
	ret_mac[0] = 0x33;
	ret_mac[1] = 0x33;
	memcpy(ret_mac + 2, address->bytes + 12, 4);
}

struct ipaddr frame_group_v4(void)
{
	static const uint8_t bytes[4] = {224, 0, 0, 18};

	return frame_address(IPADDR_V4, bytes);
}

struct ipaddr frame_group_v6(void)
{
	static const uint8_t bytes[16] = {0xff, 0x02, [15] = 0x12};

	return frame_address(IPADDR_V6, bytes);
}
