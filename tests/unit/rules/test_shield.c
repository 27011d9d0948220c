/* shield.h: the largest shield fits its batch, and no element is left out. */
#include "tests/unit/common/test.h"

#include <string.h>

#include "rules/shield.h"

static _Alignas(8) char memory[SHIELD_BATCH_BYTES];
static struct rules_interface interfaces[LIMIT_INTERFACES];
static struct ipaddr addresses[LIMIT_ADDRESSES];

static size_t count_type(const struct nfnl_batch *b, int type)
{
	const struct nlmsghdr *nlh = (const void *)b->start;
	int left = (int)b->used_bytes;
	size_t count = 0;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
		count += nfnl_type(nlh) == type;
	return count;
}

static size_t count_elements(const struct nfnl_batch *b, const char *set)
{
	const struct nlmsghdr *nlh = (const void *)b->start;
	int left = (int)b->used_bytes;
	const struct nlattr *list, *element;
	size_t count = 0;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		if (nfnl_type(nlh) != NFT_MSG_NEWSETELEM ||
			strcmp(nfnl_text(nlh, NFTA_SET_ELEM_LIST_SET), set) != 0)
			continue;
		list = nfnl_attr(nlh, NFTA_SET_ELEM_LIST_ELEMENTS, 0);
		mnl_attr_for_each_nested (element, list)
			count++;
	}
	return count;
}

static void test_largest(void **state)
{
	struct shield shield = {"edge", interfaces, LIMIT_INTERFACES, addresses, LIMIT_ADDRESSES};
	struct nfnl_batch b;

	(void)state;
	for (size_t i = 0; i < LIMIT_INTERFACES; i++) {
		snprintf(interfaces[i].name, sizeof(interfaces[i].name), "interface-%zu", i);
		interfaces[i].shielded = i != 0;
	}
	for (size_t i = 0; i < LIMIT_ADDRESSES; i++) {
		addresses[i].family = i % 4 ? IPADDR_V6 : IPADDR_V4;
		addresses[i].bytes[0] = (uint8_t)(i >> 8);
		addresses[i].bytes[3] = (uint8_t)i;
	}
	for (enum shield_mode mode = SHIELD_CREATE; mode <= SHIELD_REFRESH; mode++) {
		assert_true(shield_build(&b, memory, sizeof(memory), &shield, mode));
		assert_int_equal(count_elements(&b, "interfaces"), LIMIT_INTERFACES - 1);
		assert_int_equal(count_elements(&b, "addresses4"), LIMIT_ADDRESSES / 4);
		assert_int_equal(count_elements(&b, "addresses6"), LIMIT_ADDRESSES / 4 * 3);
		assert_int_equal(count_elements(&b, RULES_CANARY_SET), 1);
		assert_int_equal(count_type(&b, NFT_MSG_NEWRULE), 8);
		assert_int_equal(count_type(&b, NFT_MSG_NEWTABLE), mode != SHIELD_REFRESH);
		assert_int_equal(count_type(&b, NFT_MSG_DELTABLE), mode == SHIELD_REPLACE);
	}
	assert_false(shield_build(&b, memory, 8192, &shield, SHIELD_CREATE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
