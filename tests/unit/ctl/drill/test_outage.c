/* The outage of made-up streams whose truth is known. */
#include "ctl/drill/outage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS     INT64_C(1000000)
#define PERIOD MS
#define DELAY  (MS / 5)
#define COUNT  1000

static struct outage_sample samples[COUNT];

/* A path that is away in [from, to) on a probe every millisecond from 0 on. */
static void fill(int64_t from, int64_t to)
{
	for (int i = 0; i < COUNT; i++) {
		int64_t at = (i + 1) * PERIOD;

		samples[i].sent_at = at;
		samples[i].received_at = at >= from && at < to ? 0 : at + DELAY;
	}
}

static void assert_within(int64_t value, int64_t truth, int64_t tolerance)
{
	assert_in_range(value, truth - tolerance < 0 ? 0 : truth - tolerance, truth + tolerance);
}

static void test_nothing_lost(void **state)
{
	struct outage outage;

	(void)state;
	fill(0, 0);
	outage_measure(samples, COUNT, PERIOD, &outage);
	assert_int_equal(outage.stamp_ns, 0);
	assert_int_equal(outage.loss_ns, 0);
	assert_int_equal(outage.arrival_ns, 0);
	assert_int_equal(outage.lost_count, 0);
	assert_int_equal(outage.late_count, 0);
	assert_true(outage.recovered);
	outage_measure(samples, 0, PERIOD, &outage);
	assert_int_equal(outage.sent_count, 0);
	assert_int_equal(outage.stamp_ns, 0);
}

/* Wherever the outage lies between the probes, the truth is within the stated resolution. */
static void test_known_outage(void **state)
{
	(void)state;
	for (int64_t length = MS / 2; length < 60 * MS; length += 7 * MS / 10) {
		for (int64_t phase = 0; phase < PERIOD; phase += PERIOD / 7) {
			struct outage outage;

			fill(300 * MS + phase, 300 * MS + phase + length);
			outage_measure(samples, COUNT, PERIOD, &outage);
			if (outage.lost_count == 0) {
				assert_true(length < PERIOD);
				continue;
			}
			assert_within(outage.stamp_ns, length, outage.resolution_ns);
			assert_within(outage.loss_ns, length, PERIOD);
			assert_within(outage.arrival_ns, length, PERIOD);
			assert_int_equal(outage.resolution_ns, PERIOD);
		}
	}
}

/* A sender that slept is late, and no outage. */
static void test_own_pause(void **state)
{
	struct outage outage;

	(void)state;
	fill(0, 0);
	for (int i = 500; i < COUNT; i++) {
		samples[i].sent_at += 80 * MS;
		samples[i].received_at += 80 * MS;
	}
	outage_measure(samples, COUNT, PERIOD, &outage);
	assert_int_equal(outage.stamp_ns, 0);
	assert_int_equal(outage.arrival_ns, 0);
	assert_int_equal(outage.late_count, 1);
	assert_int_equal(outage.worst_late_ns, 80 * MS);
}

/* A pause of ours at the edge of an outage widens the resolution, not the outage. */
static void test_pause_at_the_edge(void **state)
{
	struct outage outage;

	(void)state;
	fill(300 * MS, 330 * MS);
	for (int i = 329; i < COUNT; i++) {
		samples[i].sent_at += 50 * MS;
		samples[i].received_at += 50 * MS;
	}
	outage_measure(samples, COUNT, PERIOD, &outage);
	assert_within(outage.stamp_ns, 30 * MS, PERIOD);
	assert_in_range(outage.resolution_ns, 49 * MS, 53 * MS);
}

/* Delayed, not lost: only the receiver's clock sees it. */
static void test_delay(void **state)
{
	struct outage outage;

	(void)state;
	fill(0, 0);
	for (int i = 400; i < 440; i++)
		samples[i].received_at = samples[440].received_at;
	outage_measure(samples, COUNT, PERIOD, &outage);
	assert_int_equal(outage.stamp_ns, 0);
	assert_within(outage.arrival_ns, 40 * MS, PERIOD);
}

/* A few good probes in the middle do not cut an outage in two; many do. */
static void test_merging(void **state)
{
	struct outage outage;

	(void)state;
	fill(300 * MS, 340 * MS);
	for (int i = 310; i < 313; i++)
		samples[i].received_at = samples[i].sent_at + DELAY;
	outage_measure(samples, COUNT, PERIOD, &outage);
	assert_within(outage.stamp_ns, 40 * MS, PERIOD);
	assert_int_equal(outage.outage_lost, 37);

	fill(300 * MS, 310 * MS);
	for (int i = 600; i < 605; i++)
		samples[i].received_at = 0;
	outage_measure(samples, COUNT, PERIOD, &outage);
	assert_within(outage.stamp_ns, 10 * MS, PERIOD);
	assert_int_equal(outage.outage_lost, 10);
	assert_int_equal(outage.lost_count, 15);
}

static void test_never_back(void **state)
{
	struct outage outage;

	(void)state;
	fill(900 * MS, 2000 * MS);
	outage_measure(samples, COUNT, PERIOD, &outage);
	assert_false(outage.recovered);
	assert_int_equal(outage.first_good_at, 0);
	assert_within(outage.stamp_ns, 101 * MS, 2 * PERIOD);
}

/* Our own sender was late by 30 ms, at probe 500: only what was lost near that may be its doing. */
static void test_pause_beside(void **state)
{
	static const struct {
		int lost;
		int64_t pause_ms;
	} cases[] = {{490, 30}, {510, 30}, {500, 30}, {100, 0}, {900, 0}, {-1, 30}};

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct outage outage;

		fill(-1, -1);
		for (int i = 500; i < COUNT; i++) {
			samples[i].sent_at += 30 * MS;
			samples[i].received_at += 30 * MS;
		}
		if (cases[c].lost >= 0)
			samples[cases[c].lost].received_at = 0;
		outage_measure(samples, COUNT, PERIOD, &outage);
		assert_int_equal(outage.worst_late_ns, 30 * MS);
		assert_int_equal(outage.pause_ns, cases[c].pause_ms * MS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_lost),
		cmocka_unit_test(test_known_outage),
		cmocka_unit_test(test_own_pause),
		cmocka_unit_test(test_pause_at_the_edge),
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_merging),
		cmocka_unit_test(test_never_back),
		cmocka_unit_test(test_pause_beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
