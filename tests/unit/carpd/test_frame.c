/* carpd/frame.c: byte vectors of what is built, and a ladder of refusals for what is parsed. */
#include "carpd/frame.h"

#include "common/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t mac[6] = {0x02, 0, 0, 0, 0, 0x51};

static struct ipaddr address(const char *text)
{
	struct ipaddr result;

	assert_true(ipaddr_parse(text, &result));
	return result;
}

static void test_ipv4_vector(void **state)
{
	/* Checksum by hand: RFC 1071 over the header with a zero field. */
	const uint8_t expected[] = {0x45, 0xc0, 0x00, 0x18, 0x12, 0x34, 0x40, 0x00, 0xff, 0x70,
		0xb0, 0x89, 10, 9, 9, 1, 224, 0, 0, 18, 1, 2, 3, 4};
	struct ipaddr source = address("10.9.9.1"), group = frame_group_v4();
	uint8_t packet[64];
	struct frame_ip ip;

	(void)state;
	assert_int_equal(
		frame_ip_build(packet, sizeof(packet), &source, &group, 0x1234, expected + 20, 4),
		24);
	assert_memory_equal(packet, expected, 10);
	assert_memory_equal(packet + 12, expected + 12, 12);
	assert_int_equal(frame_ip_parse(packet, 24, &ip), FRAME_DROP_NONE);
	assert_int_equal(ip.payload_bytes, 4);
	assert_ptr_equal(ip.payload, packet + 20);
	assert_true(ipaddr_equal(&ip.source, &source));
	assert_true(ipaddr_equal(&ip.destination, &group));
}

static void test_ipv6_round(void **state)
{
	struct ipaddr source = address("fe80::1"), group = frame_group_v6(),
		      other = address("10.0.0.1");
	uint8_t packet[FRAME_PACKET_MAX], payload[FRAME_PAYLOAD_MAX + 1] = {7};
	struct frame_ip ip;
	size_t size;

	(void)state;
	size = frame_ip_build(packet, sizeof(packet), &source, &group, 0, payload, 100);
	assert_int_equal(size, 140);
	assert_int_equal(packet[6], 112);
	assert_int_equal(packet[7], 255);
	assert_int_equal(frame_ip_parse(packet, size, &ip), FRAME_DROP_NONE);
	assert_int_equal(ip.payload_bytes, 100);
	assert_true(ipaddr_equal(&ip.destination, &group));
	/* Never half a packet: two families, too long, no room. */
	assert_int_equal(frame_ip_build(packet, sizeof(packet), &other, &group, 0, payload, 1), 0);
	assert_int_equal(frame_ip_build(packet, sizeof(packet), &source, &group, 0, payload,
				 sizeof(payload)),
		0);
	assert_int_equal(frame_ip_build(packet, 139, &source, &group, 0, payload, 100), 0);
}

static size_t good_v4(uint8_t packet[static 64])
{
	struct ipaddr source = address("10.9.9.1"), to = address("10.9.9.2");

	return frame_ip_build(
		packet, 64, &source, &to, 1, (const uint8_t *)"abcdefghijklmnopqrstuvwxyz0123", 30);
}

/* One byte wrong, one name. The checksum is made right again where it is not the point. */
static void test_refusals_v4(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		enum frame_drop drop;
	} cases[] = {
		{0, 0x55, FRAME_DROP_VERSION},
		{0, 0x46, FRAME_DROP_HEADER_LENGTH},
		{3, 49, FRAME_DROP_TOTAL_LENGTH},
		{3, 51, FRAME_DROP_TOTAL_LENGTH},
		{3, 19, FRAME_DROP_TOTAL_LENGTH},
		{6, 0x20, FRAME_DROP_FRAGMENT},
		{7, 1, FRAME_DROP_FRAGMENT},
		{8, 254, FRAME_DROP_TTL},
		{9, 17, FRAME_DROP_PROTOCOL},
		{10, 0xee, FRAME_DROP_CHECKSUM},
		{13, 0xee, FRAME_DROP_CHECKSUM},
	};
	uint8_t packet[64];
	struct frame_ip ip = {.payload_bytes = 4711};
	size_t size = good_v4(packet);

	(void)state;
	assert_int_equal(frame_ip_parse(packet, size, &ip), FRAME_DROP_NONE);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		good_v4(packet);
		packet[cases[i].at] = cases[i].value;
		ip.payload_bytes = 4711;
		assert_int_equal(frame_ip_parse(packet, size, &ip), cases[i].drop);
		assert_int_equal(ip.payload_bytes, 4711);
		assert_true(strncmp(frame_drop_name(cases[i].drop), "FRAME_", 6) == 0);
	}
	for (size_t shorter = 0; shorter < 20; shorter++)
		assert_int_equal(frame_ip_parse(packet, shorter, &ip),
			shorter ? FRAME_DROP_SHORT : FRAME_DROP_SHORT);
}

static void test_padding(void **state)
{
	struct ipaddr source = address("10.9.9.1"), to = address("10.9.9.2");
	uint8_t packet[64] = {0};
	struct frame_ip ip;
	size_t size = frame_ip_build(packet, sizeof(packet), &source, &to, 1, mac, 6);

	(void)state;
	/* Ethernet pads to 46 bytes; a byte more is not padding. */
	assert_int_equal(frame_ip_parse(packet, 46, &ip), FRAME_DROP_NONE);
	assert_int_equal(ip.payload_bytes, 6);
	assert_int_equal(frame_ip_parse(packet, 47, &ip), FRAME_DROP_TOTAL_LENGTH);
	assert_int_equal(frame_ip_parse(packet, size - 1, &ip), FRAME_DROP_TOTAL_LENGTH);
}

static void test_arp_vectors(void **state)
{
	const uint8_t request[28] = {0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0x51, 10, 1, 0, 254, 0,
		0, 0, 0, 0, 0, 10, 1, 0, 254};
	const uint8_t reply[28] = {0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 0x51, 10, 1, 0, 254, 255,
		255, 255, 255, 255, 255, 10, 1, 0, 254};
	struct ipaddr vip = address("10.1.0.254"), nobody = {.family = IPADDR_V4};
	struct frame_neighbour seen;
	uint8_t frame[FRAME_ARP_BYTES];

	(void)state;
	frame_arp_announce(frame, FRAME_ARP_REQUEST, mac, &vip);
	assert_memory_equal(frame, request, 28);
	assert_true(frame_arp_parse(frame, 28, &seen));
	assert_false(seen.is_answer);
	frame_arp_announce(frame, FRAME_ARP_REPLY, mac, &vip);
	assert_memory_equal(frame, reply, 28);
	assert_true(frame_arp_parse(frame, 28, &seen));
	assert_true(seen.is_answer);
	assert_true(ipaddr_equal(&seen.address, &vip));
	assert_memory_equal(seen.mac, mac, 6);
	for (size_t size = 0; size < 28; size++)
		assert_false(frame_arp_parse(frame, size, &seen));
	/* A probe claims nothing: nobody learns from it. */
	frame_arp_probe(frame, mac, &nobody, &vip);
	assert_false(frame_arp_parse(frame, 28, &seen));
}

static void test_neighbour_advertisement(void **state)
{
	struct ipaddr vip = address("fd01::fe");
	uint8_t packet[FRAME_ND_BYTES], copy[FRAME_ND_BYTES];
	struct frame_neighbour seen;

	(void)state;
	frame_nd_announce(packet, mac, &vip, true);
	assert_int_equal(packet[7], 255);
	assert_int_equal(packet[40], 136);
	assert_int_equal(packet[44], 0xa0); /* router, override; never solicited */
	assert_true(frame_nd_parse(packet, sizeof(packet), &seen));
	assert_true(ipaddr_equal(&seen.address, &vip));
	assert_memory_equal(seen.mac, mac, 6);
	/* Every byte of the message counts: the checksum, or a fixed value, finds each flip. */
	for (size_t i = 4; i < sizeof(packet); i++) {
		memcpy(copy, packet, sizeof(copy));
		copy[i] ^= 0x01;
		assert_false(frame_nd_parse(copy, sizeof(copy), &seen));
	}
}

static void test_solicitation(void **state)
{
	struct ipaddr own = address("fe80::2"), target = address("fd01::12:3456");
	const uint8_t expected_mac[6] = {0x33, 0x33, 0xff, 0x12, 0x34, 0x56};
	uint8_t packet[FRAME_ND_BYTES], group[6];

	(void)state;
	frame_nd_solicit(packet, mac, &own, &target, group);
	assert_memory_equal(group, expected_mac, 6);
	assert_int_equal(packet[40], 135);
	assert_int_equal(packet[64], 1); /* source link-layer address */
	assert_int_equal(packet[24], 0xff);
	assert_int_equal(packet[39], 0x56);
}

static void test_multicast_macs(void **state)
{
	const uint8_t v4[6] = {0x01, 0, 0x5e, 0, 0, 0x12}, v6[6] = {0x33, 0x33, 0, 0, 0, 0x12};
	struct ipaddr group = frame_group_v4();
	uint8_t result[6];

	(void)state;
	frame_multicast_mac(&group, result);
	assert_memory_equal(result, v4, 6);
	group = frame_group_v6();
	frame_multicast_mac(&group, result);
	assert_memory_equal(result, v6, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4_vector),
		cmocka_unit_test(test_ipv6_round),
		cmocka_unit_test(test_refusals_v4),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_arp_vectors),
		cmocka_unit_test(test_neighbour_advertisement),
		cmocka_unit_test(test_solicitation),
		cmocka_unit_test(test_multicast_macs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
