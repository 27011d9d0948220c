/* frame.h: the bytes around an advert and the frames that tell neighbours where an address is now.
 *
 * Pure: builders write into the caller's memory, parsers read borrowed bytes into plain structs and
 * name every refusal. Everything starts at the network header (packet sockets of type SOCK_DGRAM;
 * the kernel writes the Ethernet header).
 *
 * IPv4 (RFC 791), 20 bytes, no options      IPv6 (RFC 8200), 40 bytes, no extension headers
 * ARP (RFC 826), 28 bytes                   ICMPv6 NS and NA (RFC 4861 sections 4.3 and 4.4)
 */
#ifndef CARPD_FRAME_H
#define CARPD_FRAME_H

#include "common/ipaddr.h"

#include <stddef.h>
#include <stdint.h>

#define FRAME_PROTOCOL_CARP 112u /* IANA: shared by CARP and VRRP */
#define FRAME_HOPS	    255u /* RFC 5082: whoever is not on this link cannot send it */
#define FRAME_MAC_BYTES	    6u
#define FRAME_IPV4_BYTES    20u
#define FRAME_IPV6_BYTES    40u
#define FRAME_ARP_BYTES	    28u
#define FRAME_ND_BYTES	    (FRAME_IPV6_BYTES + 32u) /* header 24 and one link-layer option 8 */
#define FRAME_PAYLOAD_MAX   1400u
#define FRAME_PACKET_MAX    (FRAME_IPV6_BYTES + FRAME_PAYLOAD_MAX)
#define FRAME_ETHERNET_MIN  46u /* shorter packets arrive padded to this size */

enum frame_drop {
	FRAME_DROP_NONE = 0,
	FRAME_DROP_SHORT,	  /* not even a header */
	FRAME_DROP_VERSION,	  /* neither 4 nor 6 */
	FRAME_DROP_HEADER_LENGTH, /* IPv4 options */
	FRAME_DROP_TOTAL_LENGTH,  /* the header's length is not the packet's */
	FRAME_DROP_FRAGMENT,
	FRAME_DROP_PROTOCOL,
	FRAME_DROP_TTL, /* not 255: it crossed a router */
	FRAME_DROP_CHECKSUM,
	FRAME_DROP_SOURCE, /* a multicast or broadcast source */
	FRAME_DROP_COUNT,
};

/* frame_drop_name: "FRAME_SHORT", ...; never NULL. */
const char *frame_drop_name(enum frame_drop drop);

struct frame_ip {
	struct ipaddr source;
	struct ipaddr destination;
	const uint8_t *payload; /* inside the packet */
	size_t payload_bytes;
};

/* frame_ip_parse: the header of an advert's packet, exactly as a carpool node writes it.
 * FRAME_DROP_NONE fills *ret_ip; anything else leaves it untouched. */
enum frame_drop frame_ip_parse(const uint8_t *packet, size_t size_bytes, struct frame_ip *ret_ip)
	__attribute__((warn_unused_result));

/* frame_ip_build: header and payload; both addresses of one family. Returns the size, or 0 when it
 * does not fit or the families differ. `identification` is IPv4's (it tells captures apart). */
size_t frame_ip_build(uint8_t *packet, size_t size_bytes, const struct ipaddr *source,
	const struct ipaddr *destination, uint16_t identification, const uint8_t *payload,
	size_t payload_bytes) __attribute__((warn_unused_result));

enum frame_arp_form {
	FRAME_ARP_REQUEST = 1, /* RFC 826 operation codes */
	FRAME_ARP_REPLY = 2,
};

/* frame_arp_announce: a gratuitous ARP for `address` at `mac` in either form: sender and target
 * address are the same (RFC 5227 section 3: both forms are seen, and some hosts heed only one). */
void frame_arp_announce(uint8_t frame[static FRAME_ARP_BYTES], enum frame_arp_form form,
	const uint8_t mac[static FRAME_MAC_BYTES], const struct ipaddr *address);

/* frame_arp_probe: who has `target`? With a zero sender address it claims nothing (RFC 5227). */
void frame_arp_probe(uint8_t frame[static FRAME_ARP_BYTES],
	const uint8_t mac[static FRAME_MAC_BYTES], const struct ipaddr *sender,
	const struct ipaddr *target);

/* frame_nd_announce: an unsolicited neighbour advertisement to ff02::1 with the override flag
 * (RFC 4861 section 7.2.6), from the address itself. */
void frame_nd_announce(uint8_t packet[static FRAME_ND_BYTES],
	const uint8_t mac[static FRAME_MAC_BYTES], const struct ipaddr *address, bool router);

/* frame_nd_solicit: who has `target`? To its solicited-node group, from `sender`. The group's
 * Ethernet address is put in `ret_mac`. */
void frame_nd_solicit(uint8_t packet[static FRAME_ND_BYTES],
	const uint8_t mac[static FRAME_MAC_BYTES], const struct ipaddr *sender,
	const struct ipaddr *target, uint8_t ret_mac[static FRAME_MAC_BYTES]);

/* A neighbour that spoke: from an ARP packet's sender or a neighbour advertisement. */
struct frame_neighbour {
	struct ipaddr address;
	uint8_t mac[FRAME_MAC_BYTES];
	bool is_answer; /* an ARP reply or a neighbour advertisement */
};

/* frame_arp_parse, frame_nd_parse: false for anything that is not exactly one. */
bool frame_arp_parse(const uint8_t *frame, size_t size_bytes, struct frame_neighbour *ret_neighbour)
	__attribute__((warn_unused_result));
bool frame_nd_parse(const uint8_t *packet, size_t size_bytes, struct frame_neighbour *ret_neighbour)
	__attribute__((warn_unused_result));

/* frame_multicast_mac: 01:00:5e:... (RFC 1112) or 33:33:... (RFC 2464) of a multicast address. */
void frame_multicast_mac(const struct ipaddr *address, uint8_t ret_mac[static FRAME_MAC_BYTES]);

/* The groups that adverts go to. */
struct ipaddr frame_group_v4(void); /* 224.0.0.18 */
struct ipaddr frame_group_v6(void); /* ff02::12 */

#endif
