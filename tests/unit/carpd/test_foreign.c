/* Who speaks protocol 112: headers of the RFCs, and what is almost one. */
#include "tests/unit/common/test.h"

#include "carpd/foreign.h"

static void check(const char *hex, enum foreign_kind kind, uint8_t vhid)
{
	uint8_t bytes[128] = {0};
	struct foreign foreign = foreign_parse(bytes, test_bytes(hex, bytes));

	assert_string_equal(foreign_name(foreign.kind), foreign_name(kind));
	if (kind != FOREIGN_NONE)
		assert_int_equal(foreign.vhid, vhid);
}

#define ZEROS_8	 "00 00 00 00 00 00 00 00"
#define ZEROS_28 ZEROS_8 ZEROS_8 ZEROS_8 "00 00 00 00"

static void test_headers(void **state)
{
	(void)state;
	/* keepalived's VRRPv2: one address, no authentication; two addresses. */
	check("21 33 64 01 00 01 b9 56 0a 01 00 fe" ZEROS_8, FOREIGN_VRRP2, 51);
	check("21 34 64 02 00 01 b9 56 0a 01 00 fe 0a 02 00 fe" ZEROS_8, FOREIGN_VRRP2, 52);
	check("21 33 64 01 00 01 b9 56 0a 01 00 fe 00", FOREIGN_NONE, 0);
	check("31 33 64 01 00 64 b9 56 0a 01 00 fe", FOREIGN_VRRP3, 51);
	check("31 33 64 01 00 64 b9 56" ZEROS_8 ZEROS_8, FOREIGN_VRRP3, 51);
	check("31 33 64 02 00 64 b9 56 0a 01 00 fe", FOREIGN_NONE, 0);
	/* CARP: 36 bytes with 7 in the fourth; VRRPv2 with 5 addresses is as long. */
	check("21 33 00 07 00 01 12 34" ZEROS_28, FOREIGN_CARP, 51);
	check("21 33 00 05 00 01 12 34" ZEROS_28, FOREIGN_VRRP2, 51);
	check("41 33 01 01 01 02 00 fa", FOREIGN_CARPOOL, 51);
	check("22 33 64 01 00 01 b9 56 0a 01 00 fe" ZEROS_8, FOREIGN_NONE, 0);
	check("51 33 64 01 00 01 b9 56", FOREIGN_NONE, 0);
	check("21 33", FOREIGN_NONE, 0);
	check("", FOREIGN_NONE, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_headers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
