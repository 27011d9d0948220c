/* sync_flows.h: flows for the tests of syncd. */
#ifndef TESTS_UNIT_SYNCD_SYNC_FLOWS_H
#define TESTS_UNIT_SYNCD_SYNC_FLOWS_H

#include "common/flow.h"
#include "common/ipaddr.h"

#include <string.h>

#define TEST_GROUP_TAG 0xabcd0123u

/* test_flow: TCP 10.1.0.10:port -> 10.2.0.100:80 behind source NAT, established. */
static inline struct flow test_flow(uint16_t port)
{
	struct flow flow = {0};

	flow.orig.family = IPADDR_V4;
	flow.orig.proto = 6;
	memcpy(flow.orig.src, (const uint8_t[]){10, 1, 0, 10}, 4);
	memcpy(flow.orig.dst, (const uint8_t[]){10, 2, 0, 100}, 4);
	flow.orig.src_port = port;
	flow.orig.dst_port = 80;
	flow_tuple_invert(&flow.orig, &flow.reply);
	memcpy(flow.reply.dst, (const uint8_t[]){10, 2, 0, 254}, 4);
	flow.has = FLOW_HAS_REPLY | FLOW_HAS_STATUS | FLOW_HAS_TIMEOUT | FLOW_HAS_TCP |
		   FLOW_HAS_TCP_WINDOW | FLOW_HAS_ID;
	flow.status = FLOW_STATUS_CONFIRMED | FLOW_STATUS_ASSURED | FLOW_STATUS_SEEN_REPLY |
		      FLOW_STATUS_SRC_NAT;
	flow.timeout_s = 432000;
	flow.tcp_state = FLOW_TCP_ESTABLISHED;
	flow.tcp_flags[0] = flow.tcp_flags[1] = FLOW_TCP_WINDOW_SCALE | FLOW_TCP_SACK_PERM;
	flow.tcp_wscale[0] = 7;
	flow.tcp_wscale[1] = 9;
	flow.id = 0x1000u + port;
	flow.group_tag = TEST_GROUP_TAG;
	flow.stamp = (struct flow_stamp){.sequence = 1000, .term = 3, .life = 7, .owner = 1};
	return flow;
}

/* test_flow_full: IPv6 and every part that there is. */
static inline struct flow test_flow_full(void)
{
	struct flow flow = {0};

	flow.orig.family = IPADDR_V6;
	flow.orig.proto = 6;
	for (int i = 0; i < 16; i++) {
		flow.orig.src[i] = (uint8_t)(0x20 + i);
		flow.orig.dst[i] = (uint8_t)(0x40 + i);
	}
	flow.orig.src_port = 65535;
	flow.orig.dst_port = 443;
	flow.zone = 65535;
	flow.zone_dir = FLOW_ZONE_REPLY;
	for (int i = 0; i < 16; i++) {
		flow.reply.src[i] = (uint8_t)(0x60 + i);
		flow.reply.dst[i] = (uint8_t)(0x80 + i);
	}
	flow.reply.family = IPADDR_V6;
	flow.reply.proto = 6;
	flow.reply.src_port = 1;
	flow.reply.dst_port = 2;
	flow.has = FLOW_HAS_ALL & ~(uint32_t)FLOW_HAS_SCTP;
	flow.status = UINT32_MAX;
	flow.timeout_s = UINT32_MAX;
	flow.tcp_state = 9;
	flow.tcp_flags[0] = 0x0f;
	flow.tcp_wscale[0] = flow.tcp_wscale[1] = 14;
	flow.mark = UINT32_MAX;
	memset(flow.labels, 0xee, sizeof(flow.labels));
	flow.seqadj[0] = (struct flow_seqadj){UINT32_MAX, -1, INT32_MIN};
	flow.seqadj[1] = (struct flow_seqadj){1, 2, 3};
	flow.synproxy[2] = 9;
	strcpy(flow.helper, "ftp-20021-abcde");
	flow.master = flow.orig;
	flow.master.dst_port = 21;
	flow.id = UINT32_MAX;
	flow.group_tag = UINT32_MAX;
	flow.stamp = (struct flow_stamp){UINT64_MAX, UINT32_MAX, UINT32_MAX, 255};
	return flow;
}

/* test_expectation: the data connection that the FTP session of test_flow(port) has announced. */
static inline struct flow test_expectation(uint16_t port)
{
	struct flow master = test_flow(port), flow = {0};

	flow.orig = master.reply;
	flow.orig.src_port = 0;
	flow.orig.dst_port = port;
	flow.reply = flow.orig; /* the mask */
	memset(flow.reply.src, 0xff, 4);
	memset(flow.reply.dst, 0xff, 4);
	flow.reply.src_port = 0;
	flow.reply.dst_port = 0xffff;
	flow.zone_dir = FLOW_ZONE_EXPECTATION;
	flow.has = FLOW_HAS_EXPECTATION;
	flow.timeout_s = 299;
	flow.master = master.orig;
	strcpy(flow.helper, "ftp");
	memcpy(flow.expect.nat_source, master.orig.src, 4);
	flow.expect.nat_port = 1025;
	flow.expect.nat_dir = 1;
	flow.expect.class = 2;
	flow.expect.flags = 1;
	strcpy(flow.expect.fn, "nat-follow-master");
	flow.id = port;
	flow.group_tag = TEST_GROUP_TAG;
	flow.stamp = master.stamp;
	return flow;
}

#endif
