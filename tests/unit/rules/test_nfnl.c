/* nfnl.h: the bytes of a batch, and the reading of messages, without a kernel. */
#include "tests/unit/common/test.h"

#include <arpa/inet.h>
#include <string.h>

#include "rules/nfnl.h"
#include "rules/rules.h"

static _Alignas(8) char memory[3 * NFNL_MESSAGE_ROOM];

static const struct nlmsghdr none;

static const struct nlmsghdr *message(const struct nfnl_batch *b, size_t index)
{
	const struct nlmsghdr *nlh = (const void *)b->start;
	int left = (int)b->used_bytes;

	while (index-- > 0 && mnl_nlmsg_ok(nlh, left))
		nlh = mnl_nlmsg_next(nlh, &left);
	return mnl_nlmsg_ok(nlh, left) ? nlh : &none;
}

static void test_batch(void **state)
{
	struct nfnl_batch b;
	uint32_t generation;

	(void)state;
	nfnl_batch_begin(&b, memory, sizeof(memory), true);
	nfnl_batch_canary(&b, NFPROTO_INET, "fw");
	nfnl_batch_flip(&b, NFPROTO_INET, "fw", true);
	assert_true(nfnl_batch_end(&b));
	nfnl_batch_set_generation(&b, 0x01020304);

	assert_int_equal(message(&b, 0)->nlmsg_type, NFNL_MSG_BATCH_BEGIN);
	generation = nfnl_u32(message(&b, 0), NFNL_BATCH_GENID);
	assert_int_equal(generation, 0x01020304);
	assert_int_equal(nfnl_type(message(&b, 1)), NFT_MSG_NEWSETELEM);
	assert_string_equal(nfnl_text(message(&b, 1), NFTA_SET_ELEM_LIST_TABLE), "fw");
	assert_string_equal(nfnl_text(message(&b, 1), NFTA_SET_ELEM_LIST_SET), RULES_CANARY_SET);
	/* Without NLM_F_EXCL an element that is there is no error. */
	assert_false(message(&b, 1)->nlmsg_flags & NLM_F_EXCL);
	assert_int_equal(nfnl_type(message(&b, 2)), NFT_MSG_NEWTABLE);
	assert_int_equal(nfnl_u32(message(&b, 2), NFTA_TABLE_FLAGS), NFT_TABLE_F_DORMANT);
	assert_false(message(&b, 2)->nlmsg_flags & NLM_F_CREATE);
	assert_true(message(&b, 2)->nlmsg_flags & NLM_F_ACK);
	assert_false(message(&b, 1)->nlmsg_flags & NLM_F_ACK);
	assert_int_equal(message(&b, 3)->nlmsg_type, NFNL_MSG_BATCH_END);
	assert_ptr_equal(message(&b, 4), &none);
}

static void test_batch_that_does_not_compare(void **state)
{
	struct nfnl_batch b;

	(void)state;
	nfnl_batch_begin(&b, memory, sizeof(memory), false);
	nfnl_batch_flip(&b, NFPROTO_INET, "fw", false);
	nfnl_batch_set_generation(&b, 7); /* no place for it: no effect */
	assert_true(nfnl_batch_end(&b));
	assert_null(nfnl_attr(message(&b, 0), NFNL_BATCH_GENID, 4));
}

static void test_batch_that_is_full_or_empty(void **state)
{
	struct nfnl_batch b;

	(void)state;
	nfnl_batch_begin(&b, memory, sizeof(memory), true);
	for (unsigned int i = 0; i < 1000; i++)
		nfnl_batch_flip(&b, NFPROTO_INET, "a_table_with_a_rather_long_name", false);
	assert_true(b.failed);
	assert_true(b.used_bytes <= sizeof(memory));
	assert_false(nfnl_batch_end(&b));
	nfnl_batch_begin(&b, memory, sizeof(memory), true);
	assert_false(nfnl_batch_end(&b));
	nfnl_batch_begin(&b, memory, 16, true);
	assert_false(nfnl_batch_end(&b));
}

/* A NEWTABLE whose attributes are of the wrong size or shape reads as if they were absent. */
static void test_odd_attributes(void **state)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(memory);

	(void)state;
	nlh->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct nfgenmsg));
	mnl_attr_put_u8(nlh, NFTA_TABLE_FLAGS, 1);
	mnl_attr_put_u32(nlh, NFTA_TABLE_HANDLE, 1);
	mnl_attr_put(nlh, NFTA_TABLE_NAME, 3, "abc"); /* no NUL */
	assert_int_equal(nfnl_u32(nlh, NFTA_TABLE_FLAGS), 0);
	assert_int_equal(nfnl_u64(nlh, NFTA_TABLE_HANDLE), 0);
	assert_string_equal(nfnl_text(nlh, NFTA_TABLE_NAME), "");
	assert_string_equal(nfnl_text(nlh, NFTA_TABLE_USERDATA), "");
	nlh->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8;
	assert_int_equal(nfnl_type(nlh), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_batch_that_does_not_compare),
		cmocka_unit_test(test_batch_that_is_full_or_empty),
		cmocka_unit_test(test_odd_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
