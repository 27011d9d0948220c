/* The flow table and the dirty set: against a plain model, with random work. */
#include "sync_flows.h"
#include "syncd/core/dirty.h"
#include "syncd/core/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#define CAPACITY 500u

static uint32_t random_state = 12345;

static uint32_t random_next(void)
{
	random_state = random_state * 1664525u + 1013904223u;
	return random_state >> 8;
}

static struct table *table_new(void **ret_memory)
{
	struct table *t = calloc(1, sizeof(*t));

	*ret_memory = calloc(1, table_bytes(CAPACITY));
	assert_non_null(t);
	assert_non_null(*ret_memory);
	table_init(t, *ret_memory, CAPACITY, 99);
	return t;
}

static struct flow numbered(uint32_t number)
{
	struct flow flow = number % 3 ? test_flow((uint16_t)number) : test_flow_full();

	flow.orig.src_port = (uint16_t)number;
	flow.mark = number;
	flow.has |= FLOW_HAS_MARK;
	flow.timeout_s = 100;
	flow.status &= 0xffff; /* what a kernel has: sixteen bits */
	flow.tcp_flags[0] &= 0x0f;
	flow.group_tag = 0; /* the engine's, not the table's */
	if (number % 3)
		flow_tuple_invert(&flow.orig, &flow.reply);
	return flow;
}

/* expect_equal: by their encodings: padding between members is nobody's. */
static void expect_equal(const struct flow *a, const struct flow *b)
{
	const struct flow *flows[2] = {a, b};
	uint8_t bytes[2][1024] = {0};

	for (int i = 0; i < 2; i++) {
		struct wbuf w = wbuf_init(bytes[i], sizeof(bytes[i]));

		flow_encode(&w, flows[i]);
		flow_stamp_encode(&w, &flows[i]->stamp);
		wbuf_be32(&w, flows[i]->timeout_s);
		wbuf_be32(&w, flows[i]->id);
		wbuf_be32(&w, flows[i]->group_tag);
		wbuf_be32(&w, flows[i]->has);
		assert_false(w.failed);
	}
	assert_memory_equal(bytes[0], bytes[1], sizeof(bytes[0]));
}

static void test_against_a_model(void **state)
{
	void *memory;
	struct table *t = table_new(&memory);
	static uint32_t slots[2000];
	uint32_t count = 0;

	(void)state;
	memset(slots, 0xff, sizeof(slots));
	for (int step = 0; step < 200000; step++) {
		uint32_t number = random_next() % 2000;
		struct flow flow = numbered(number), back;
		uint32_t found = table_find(t, &flow);

		assert_int_equal(found, slots[number]);
		if (found == TABLE_NONE) {
			slots[number] = table_add(t, &flow, 1, 50);
			if (count == CAPACITY) {
				assert_int_equal(slots[number], TABLE_NONE);
			} else {
				assert_int_not_equal(slots[number], TABLE_NONE);
				count++;
			}
		} else if (random_next() % 2) {
			table_load(t, found, 50, &back);
			expect_equal(&back, &flow);
			table_remove(t, found);
			slots[number] = TABLE_NONE;
			count--;
		}
		assert_int_equal(t->count, count);
	}
	free(memory);
	free(t);
}

static void test_timeouts_run_down(void **state)
{
	void *memory;
	struct table *t = table_new(&memory);
	struct flow flow = test_flow(1), back;
	uint32_t slot;

	(void)state;
	flow.timeout_s = 30;
	slot = table_add(t, &flow, 0, 1000);
	table_load(t, slot, 1010, &back);
	assert_int_equal(back.timeout_s, 20);
	table_load(t, slot, 2000, &back);
	assert_int_equal(back.timeout_s, 0);
	flow.timeout_s = UINT32_MAX;
	assert_true(table_store(t, slot, &flow, 0, 1000));
	table_load(t, slot, 1000, &back);
	assert_int_equal(back.timeout_s, UINT32_MAX - 1000);
	free(memory);
	free(t);
}

static void test_zones_and_protocols_are_part_of_the_key(void **state)
{
	void *memory;
	struct table *t = table_new(&memory);
	struct flow flow = test_flow(1), other;

	(void)state;
	assert_int_not_equal(table_add(t, &flow, 0, 1), TABLE_NONE);
	other = flow;
	other.zone = 5;
	assert_int_equal(table_find(t, &other), TABLE_NONE);
	other = flow;
	other.orig.proto = 17;
	assert_int_equal(table_find(t, &other), TABLE_NONE);
	other = flow;
	other.orig.family = IPADDR_V6;
	assert_int_equal(table_find(t, &other), TABLE_NONE);
	assert_int_not_equal(table_find(t, &flow), TABLE_NONE);
	free(memory);
	free(t);
}

static void test_dirty_is_a_set_in_order(void **state)
{
	struct dirty set;
	void *memory = calloc(1, dirty_bytes(100));
	static bool in[100];
	uint32_t queue[100], slot, head = 0, count = 0;

	(void)state;
	dirty_init(&set, memory, 100);
	for (int step = 0; step < 100000; step++) {
		if (random_next() % 5 < 3) {
			slot = random_next() % 100;
			assert_int_equal(dirty_add(&set, slot), !in[slot]);
			if (!in[slot])
				queue[(head + count++) % 100] = slot;
			in[slot] = true;
		} else {
			assert_int_equal(dirty_take(&set, &slot), count > 0);
			if (!count)
				continue;
			assert_int_equal(slot, queue[head]);
			head = (head + 1) % 100;
			count--;
			in[slot] = false;
		}
		assert_int_equal(set.count, count);
		assert_int_equal(set.added - set.taken, count);
	}
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_timeouts_run_down),
		cmocka_unit_test(test_zones_and_protocols_are_part_of_the_key),
		cmocka_unit_test(test_dirty_is_a_set_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
