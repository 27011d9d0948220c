/* rbuf.h and wbuf.h: bounds, the sticky error, byte order, and that one undoes the other. */
#include "tests/unit/common/test.h"

#include "common/rbuf.h"
#include "common/wbuf.h"

static void test_reads_in_network_order(void **state)
{
	static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	struct rbuf r = rbuf_init(data, sizeof(data));

	(void)state;
	assert_int_equal(rbuf_u8(&r), 0x01);
	assert_int_equal(rbuf_be16(&r), 0x0203);
	assert_int_equal(rbuf_be32(&r), 0x04050607);
	assert_int_equal(rbuf_be64(&r), 0x08090a0b0c0d0e0f);
	assert_true(rbuf_done(&r));
}

static void test_reading_past_the_end_sticks(void **state)
{
	static const uint8_t data[] = {0xff, 0xff, 0xff};
	struct rbuf r = rbuf_init(data, sizeof(data));

	(void)state;
	assert_int_equal(rbuf_be32(&r), 0);
	assert_true(r.failed);
	assert_int_equal(rbuf_u8(&r), 0); /* there is a byte, but the error sticks */
	assert_false(rbuf_done(&r));
}

static void test_bytes_left_over_are_not_done(void **state)
{
	static const uint8_t data[] = {1, 2};
	struct rbuf r = rbuf_init(data, sizeof(data));

	(void)state;
	(void)rbuf_u8(&r);
	assert_false(r.failed);
	assert_false(rbuf_done(&r));
}

static void test_writes_what_is_read(void **state)
{
	uint8_t data[18], seen[3];
	struct wbuf w = wbuf_init(data, sizeof(data));
	struct rbuf r;

	(void)state;
	wbuf_u8(&w, 0xfe);
	wbuf_be16(&w, 0xfedc);
	wbuf_be32(&w, 0xfedcba98);
	wbuf_be64(&w, 0xfedcba9876543210);
	wbuf_bytes(&w, "abc", 3);
	assert_false(w.failed);
	assert_int_equal(wbuf_used(&w), 18);
	assert_int_equal(wbuf_left(&w), 0);
	r = rbuf_init(data, sizeof(data));
	assert_int_equal(rbuf_u8(&r), 0xfe);
	assert_int_equal(rbuf_be16(&r), 0xfedc);
	assert_int_equal(rbuf_be32(&r), 0xfedcba98);
	assert_true(rbuf_be64(&r) == 0xfedcba9876543210);
	rbuf_bytes(&r, seen, 3);
	assert_memory_equal(seen, "abc", 3);
	assert_true(rbuf_done(&r));
}

static void test_writing_past_the_end_sticks(void **state)
{
	uint8_t data[4] = {0};
	struct wbuf w = wbuf_init(data, 3);

	(void)state;
	wbuf_be16(&w, 0x1234);
	wbuf_be16(&w, 0x5678);
	assert_true(w.failed);
	wbuf_u8(&w, 0x9a); /* would fit, but the error sticks */
	assert_int_equal(wbuf_used(&w), 2);
	assert_int_equal(data[2], 0);
	assert_int_equal(data[3], 0);
}

static void test_values_that_are_too_wide_fail(void **state)
{
	uint8_t data[8];
	struct wbuf w = wbuf_init(data, sizeof(data));

	(void)state;
	wbuf_u8(&w, 256);
	assert_true(w.failed);
	w = wbuf_init(data, sizeof(data));
	wbuf_be16(&w, 65536);
	assert_true(w.failed);
	w = wbuf_init(data, sizeof(data));
	wbuf_be64(&w, UINT64_MAX);
	assert_false(w.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_in_network_order),
		cmocka_unit_test(test_reading_past_the_end_sticks),
		cmocka_unit_test(test_bytes_left_over_are_not_done),
		cmocka_unit_test(test_writes_what_is_read),
		cmocka_unit_test(test_writing_past_the_end_sticks),
		cmocka_unit_test(test_values_that_are_too_wide_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
