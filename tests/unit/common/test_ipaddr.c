/* ipaddr.h: what is an address and what is not, and the order and containment of networks. */
#include "tests/unit/common/test.h"

#include "common/ipaddr.h"

static struct ipaddr addr(const char *text)
{
	struct ipaddr a = {0};

	assert_true(ipaddr_parse(text, &a));
	return a;
}

static void test_text_and_back(void **state)
{
	static const struct {
		const char *in, *plain, *with_prefix;
	} cases[] = {
		{"10.1.0.254/24", "10.1.0.254", "10.1.0.254/24"},
		{"10.9.9.1", "10.9.9.1", "10.9.9.1/32"},
		{"0.0.0.0/0", "0.0.0.0", "0.0.0.0/0"},
		{"fd01::fe/64", "fd01::fe", "fd01::fe/64"},
		{"FE80::1", "fe80::1", "fe80::1/128"},
		{"fd01:0:0:0:0:0:0:fe", "fd01::fe", "fd01::fe/128"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
	};
	char text[IPADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipaddr a = addr(cases[i].in);

		assert_string_equal(ipaddr_render(&a, false, text), cases[i].plain);
		assert_string_equal(ipaddr_render(&a, true, text), cases[i].with_prefix);
	}
}

static void test_what_is_no_address(void **state)
{
	static const char *const cases[] = {"", "/", "/24", "10.1.0", "10.1.0.256", "10.1.0.1/33",
		"10.1.0.1/-1", "10.1.0.1/", "10.1.0.1/ 24", "10.1.0.1/24x", "10.1.0.1/+8",
		" 10.1.0.1", "10.1.0.1 ", "fd01::fe/129", "fd01:::1", "fe80::1%eth0", "localhost",
		"10.1.0.1/999999999999999999999",
		"1234567890123456789012345678901234567890123456789012345678901234567890"};
	struct ipaddr a = {.family = 99};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (ipaddr_parse(cases[i], &a))
			fail_msg("\"%s\" was taken for an address", cases[i]);
		assert_int_equal(a.family, 99); /* untouched */
	}
}

static void test_containment(void **state)
{
	struct ipaddr net = addr("10.1.0.254/23"), all = addr("0.0.0.0/0"), v6 = addr("fd01::/63");
	struct ipaddr in = addr("10.1.1.7"), out = addr("10.1.2.1");
	struct ipaddr in6 = addr("fd01:0:0:1::5"), out6 = addr("fd01:0:0:2::5");

	(void)state;
	assert_true(ipaddr_contains(&net, &in));
	assert_false(ipaddr_contains(&net, &out));
	assert_true(ipaddr_contains(&all, &out));
	assert_false(ipaddr_contains(&all, &in6));
	assert_true(ipaddr_contains(&v6, &in6));
	assert_false(ipaddr_contains(&v6, &out6));
}

static void test_order_and_equality(void **state)
{
	struct ipaddr a = addr("10.1.0.1/24"), b = addr("10.1.0.1/16"), c = addr("10.1.0.2/8");
	struct ipaddr v6 = addr("::1");

	(void)state;
	assert_true(ipaddr_equal(&a, &b));
	assert_false(ipaddr_equal(&a, &c));
	assert_true(ipaddr_compare(&b, &a) < 0);
	assert_true(ipaddr_compare(&a, &c) < 0);
	assert_true(ipaddr_compare(&c, &v6) < 0);
	assert_true(ipaddr_compare(&v6, &c) > 0);
	assert_int_equal(ipaddr_compare(&a, &a), 0);
}

static void test_link_local(void **state)
{
	struct ipaddr yes[] = {addr("fe80::1"), addr("febf::1"), addr("169.254.3.4")};
	struct ipaddr no[] = {addr("fec0::1"), addr("fe00::1"), addr("169.255.0.1"), addr("::1")};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_true(ipaddr_is_link_local(&yes[i]));
	for (size_t i = 0; i < 4; i++)
		assert_false(ipaddr_is_link_local(&no[i]));
	assert_int_equal(ipaddr_size_bytes(&yes[0]), 16);
	assert_int_equal(ipaddr_size_bytes(&yes[2]), 4);
	assert_int_equal(ipaddr_size_bytes(&(struct ipaddr){0}), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_and_back),
		cmocka_unit_test(test_what_is_no_address),
		cmocka_unit_test(test_containment),
		cmocka_unit_test(test_order_and_equality),
		cmocka_unit_test(test_link_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
