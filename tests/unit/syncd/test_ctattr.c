/* ctnetlink messages: what is built is parsed back; what is cut or flipped does no harm. */
#include "sync_flows.h"
#include "syncd/ctattr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>

static uint32_t buffer[CTATTR_MESSAGE_MAX / 4];

static bool has_attr(const struct nlmsghdr *message, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each (attr, message, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == type)
			return true;
	}
	return false;
}

static void test_create_is_unnated_with_nat_attributes(void **state)
{
	struct flow flow = test_flow(40000), back;
	size_t size = ctattr_put_create(buffer, 7, &flow, false);
	const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
	struct flow_tuple plain;

	(void)state;
	assert_int_equal(message->nlmsg_seq, 7);
	assert_true(message->nlmsg_flags & NLM_F_CREATE);
	assert_false(message->nlmsg_flags & (NLM_F_EXCL | NLM_F_ACK));
	assert_int_equal(ctattr_parse(message, size, &back), CTATTR_OK);
	flow_tuple_invert(&flow.orig, &plain);
	assert_true(flow_tuple_equal(&back.reply, &plain));
	assert_true(has_attr(message, CTA_NAT_SRC));
	assert_false(has_attr(message, CTA_NAT_DST));
	assert_int_equal(back.tcp_wscale[1], 9);
	/* Destination NAT too. */
	memcpy(flow.reply.src, (const uint8_t[]){10, 1, 0, 99}, 4);
	ctattr_put_create(buffer, 7, &flow, false);
	assert_true(has_attr(message, CTA_NAT_SRC) && has_attr(message, CTA_NAT_DST));
	/* None. */
	flow.reply = plain;
	ctattr_put_create(buffer, 7, &flow, false);
	assert_false(has_attr(message, CTA_NAT_SRC) || has_attr(message, CTA_NAT_DST));
}

static void test_update_is_stripped(void **state)
{
	struct flow flow = test_flow_full();
	const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;

	(void)state;
	ctattr_put_update(buffer, 1, &flow, true);
	assert_false(message->nlmsg_flags & NLM_F_CREATE);
	assert_false(has_attr(message, CTA_NAT_SRC) || has_attr(message, CTA_NAT_DST) ||
		     has_attr(message, CTA_TUPLE_MASTER));
	/* The helper's name makes it take up the conversation where it is. */
	assert_true(has_attr(message, CTA_HELP));
	assert_true(has_attr(message, CTA_LABELS) && has_attr(message, CTA_MARK));
	/* These never create, and tell nothing of the state. */
	ctattr_put_timeout(buffer, 1, &flow);
	assert_false(message->nlmsg_flags & NLM_F_CREATE);
	assert_true(has_attr(message, CTA_TIMEOUT));
	assert_false(has_attr(message, CTA_PROTOINFO) || has_attr(message, CTA_STATUS));
	for (int liberal = 0; liberal < 2; liberal++) {
		struct flow back;
		size_t size = (liberal ? ctattr_put_liberal : ctattr_put_strict)(buffer, 1, &flow);

		assert_false(message->nlmsg_flags & NLM_F_CREATE);
		assert_true(has_attr(message, CTA_PROTOINFO));
		assert_false(has_attr(message, CTA_TIMEOUT) || has_attr(message, CTA_STATUS));
		assert_int_equal(ctattr_parse(message, size, &back), CTATTR_OK);
		assert_int_equal(back.tcp_flags[0] & back.tcp_flags[1] & FLOW_TCP_BE_LIBERAL,
			liberal ? FLOW_TCP_BE_LIBERAL : 0);
	}
}

static void check_expectation(const struct flow *flow)
{
	struct flow whole = *flow, back;
	size_t size = ctattr_put_create(buffer, 1, &whole, true);
	const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;

	assert_int_equal(NFNL_SUBSYS_ID(message->nlmsg_type), NFNL_SUBSYS_CTNETLINK_EXP);
	assert_true(message->nlmsg_flags & NLM_F_CREATE);
	assert_int_equal(ctattr_parse(message, size, &back), CTATTR_OK);
	/* At its creation the kernel takes no timeout; FTP's name would be the data connection's.
	 */
	whole.has &= ~(uint32_t)(FLOW_HAS_TIMEOUT | FLOW_HAS_ID | FLOW_HAS_HELPER);
	whole.timeout_s = whole.id = whole.group_tag = 0;
	memset(&whole.stamp, 0, sizeof(whole.stamp));
	memset(whole.helper, 0, sizeof(whole.helper));
	assert_memory_equal(&back, &whole, sizeof(back));
}

static void test_expectations(void **state)
{
	struct flow flow = test_expectation(5), back;
	const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
	size_t size;

	(void)state;
	check_expectation(&flow);
	strcpy(flow.helper, "ftp-2121");
	check_expectation(&flow);
	/* None of NAT. */
	memset(flow.expect.nat_source, 0, sizeof(flow.expect.nat_source));
	flow.expect.nat_port = flow.expect.nat_dir = 0;
	check_expectation(&flow);
	assert_false(has_attr(message, CTA_EXPECT_NAT));
	/* A call that SIP expects has SIP's helper itself. */
	strcpy(flow.helper, "sip");
	ctattr_put_create(buffer, 1, &flow, true);
	assert_true(has_attr(message, CTA_EXPECT_HELP_NAME));
	/* An update sets the time, and never creates. */
	size = ctattr_put_update(buffer, 1, &flow, true);
	assert_false(message->nlmsg_flags & NLM_F_CREATE);
	assert_true(has_attr(message, CTA_EXPECT_MASK) && has_attr(message, CTA_EXPECT_MASTER));
	assert_int_equal(ctattr_parse(message, size, &back), CTATTR_OK);
	assert_int_equal(back.timeout_s, 299);
	/* What lacks its mask or its master is none. */
	flow.has &= ~(uint32_t)FLOW_HAS_MASTER;
	size = ctattr_put_create(buffer, 1, &flow, true);
	assert_int_equal(ctattr_parse(message, size, &back), CTATTR_NO_TUPLE);
}

static void test_every_message_names_its_flow(void **state)
{
	struct flow flows[3] = {test_flow(1), test_flow_full(), test_expectation(1)};
	size_t (*const put[])(void *, uint32_t, const struct flow *) = {ctattr_put_delete,
		ctattr_put_timeout, ctattr_put_probe, ctattr_put_get, ctattr_put_strict,
		ctattr_put_liberal};

	(void)state;
	/* Above all a delete: without a tuple the kernel flushes its table. */
	for (int f = 0; f < 3; f++)
		/* An expectation has no windows. */
		for (size_t p = 0; p < (f == 2 ? 4 : sizeof(put) / sizeof(put[0])); p++) {
			struct flow back;
			size_t size = put[p](buffer, 1, &flows[f]);

			assert_in_range(size, 1, CTATTR_MESSAGE_MAX);
			assert_int_equal(
				ctattr_parse((struct nlmsghdr *)buffer, size, &back), CTATTR_OK);
			assert_true(flow_tuple_equal(&back.orig, &flows[f].orig));
		}
}

static void test_room_is_enough(void **state)
{
	struct flow full = test_flow_full();

	(void)state;
	assert_in_range(ctattr_put_create(buffer, 1, &full, true), 1, CTATTR_MESSAGE_MAX);
}

static void test_there_and_back(void **state)
{
	struct flow full = test_flow_full(), back;
	size_t size;

	(void)state;
	flow_tuple_invert(&full.orig, &full.reply);
	full.zone_dir = FLOW_ZONE_BOTH;
	full.timeout_s = 1000;
	full.tcp_flags[1] = 0x01;
	full.status = FLOW_STATUS_CONFIRMED | FLOW_STATUS_ASSURED;
	size = ctattr_put_create(buffer, 1, &full, false);
	assert_int_equal(ctattr_parse((struct nlmsghdr *)buffer, size, &back), CTATTR_OK);
	/* What is the engine's, or the kernel's own, does not travel this way. */
	memset(&full.stamp, 0, sizeof(full.stamp));
	full.group_tag = 0;
	full.id = 0;
	full.has &= ~(uint32_t)FLOW_HAS_ID;
	assert_memory_equal(&back, &full, sizeof(back));
}

static void test_zeroed_parts_are_none(void **state)
{
	struct flow flow = test_flow(1), back;
	size_t size;

	(void)state;
	flow.has |= FLOW_HAS_SEQADJ | FLOW_HAS_SYNPROXY;
	size = ctattr_put_create(buffer, 1, &flow, false);
	assert_int_equal(ctattr_parse((struct nlmsghdr *)buffer, size, &back), CTATTR_OK);
	assert_false(back.has & (FLOW_HAS_SEQADJ | FLOW_HAS_SYNPROXY));
}

static void test_cut_and_flipped(void **state)
{
	struct flow full = test_flow_full(), back;
	size_t size = ctattr_put_create(buffer, 1, &full, true);
	uint8_t *copy;
	unsigned int refused = 0, accepted = 0;

	(void)state;
	for (size_t cut = 0; cut < size; cut++) {
		copy = malloc(cut + 1); /* its end is the allocation's: a sanitizer sees overruns */
		memcpy(copy, buffer, cut);
		refused += ctattr_parse((struct nlmsghdr *)copy, cut, &back) != CTATTR_OK;
		free(copy);
	}
	assert_true(refused > 100);
	for (size_t at = 0; at < size; at++)
		for (int bit = 0; bit < 8; bit++) {
			((uint8_t *)buffer)[at] ^= (uint8_t)(1 << bit);
			accepted +=
				ctattr_parse((struct nlmsghdr *)buffer, size, &back) == CTATTR_OK;
			((uint8_t *)buffer)[at] ^= (uint8_t)(1 << bit);
		}
	assert_true(accepted > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_is_unnated_with_nat_attributes),
		cmocka_unit_test(test_update_is_stripped),
		cmocka_unit_test(test_expectations),
		cmocka_unit_test(test_every_message_names_its_flow),
		cmocka_unit_test(test_room_is_enough),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_zeroed_parts_are_none),
		cmocka_unit_test(test_cut_and_flipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
