/* The wire forms of flows and messages: there and back, every length cut, every byte flipped. */
#include "common/check.h"
#include "common/syncmsg.h"
#include "sync_flows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

static size_t encode(const struct flow *flow, uint8_t *data, size_t size)
{
	struct wbuf w = wbuf_init(data, size);

	flow_encode(&w, flow);
	assert_false(w.failed);
	return wbuf_used(&w);
}

static void check_there_and_back(const struct flow *flow)
{
	uint8_t data[FLOW_BYTES_MAX];
	size_t size = encode(flow, data, sizeof(data));
	struct rbuf r = rbuf_init(data, size);
	struct flow back;

	assert_int_equal(flow_decode(&r, &back), FLOW_OK);
	assert_true(rbuf_done(&r));
	assert_memory_equal(&back, flow, sizeof(back));
	for (size_t cut = 0; cut < size; cut++) {
		r = rbuf_init(data, cut);
		assert_int_not_equal(flow_decode(&r, &back), FLOW_OK);
	}
}

static void test_flows_there_and_back(void **state)
{
	struct flow small = test_flow(40000), full = test_flow_full(), udp = small;
	struct flow expected = test_expectation(40000);

	(void)state;
	check_there_and_back(&small);
	check_there_and_back(&full);
	check_there_and_back(&expected);
	full.has = (full.has | FLOW_HAS_SCTP) & ~(uint32_t)(FLOW_HAS_TCP | FLOW_HAS_TCP_WINDOW);
	full.tcp_state = 0;
	memset(full.tcp_flags, 0, 2);
	memset(full.tcp_wscale, 0, 2);
	full.sctp_state = 3;
	full.sctp_vtag[0] = 1;
	full.sctp_vtag[1] = UINT32_MAX;
	check_there_and_back(&full);
	udp.orig.proto = udp.reply.proto = 17;
	udp.has = FLOW_HAS_REPLY;
	udp.status = udp.timeout_s = udp.tcp_state = udp.id = 0;
	memset(udp.tcp_flags, 0, 2);
	memset(udp.tcp_wscale, 0, 2);
	check_there_and_back(&udp);
}

static void test_sizes(void **state)
{
	uint8_t data[SYNCMSG_BYTES_MAX];
	struct flow flow = test_flow(40000), full = test_flow_full();
	struct wbuf w = wbuf_init(data, sizeof(data));

	(void)state;
	flow.stamp.sequence = 10000000000u; /* half a day at the highest rate */
	syncmsg_encode_flow(&w, SYNCMSG_UPSERT, &flow);
	assert_false(w.failed);
	assert_in_range(wbuf_used(&w), 1, 52);
	flow.has &= ~(uint32_t)FLOW_HAS_FOR_LIFE;
	w = wbuf_init(data, sizeof(data));
	syncmsg_encode_flow(&w, SYNCMSG_UPSERT, &flow);
	assert_in_range(wbuf_used(&w), 1, 48);
	/* What travels at load: by name. A create, a change of state, the end. */
	flow = test_flow(40000);
	w = wbuf_init(data, sizeof(data));
	syncmsg_encode_named(&w, SYNCMSG_NAMED, 100000, 1, &flow);
	assert_in_range(wbuf_used(&w), 1, 38);
	flow.has &= ~(uint32_t)FLOW_HAS_FOR_LIFE;
	assert_true(flow_change_fits(&flow));
	w = wbuf_init(data, sizeof(data));
	syncmsg_encode_named(&w, SYNCMSG_CHANGE, 100000, 1, &flow);
	assert_in_range(wbuf_used(&w), 1, 15);
	w = wbuf_init(data, sizeof(data));
	syncmsg_encode_named(&w, SYNCMSG_GONE, 100000, 1, &flow);
	assert_in_range(wbuf_used(&w), 1, 6);
	flow.has |= FLOW_HAS_LABELS; /* what a change has no room for */
	assert_false(flow_change_fits(&flow));
	full.has = FLOW_HAS_ALL;
	w = wbuf_init(data, sizeof(data));
	syncmsg_encode_named(&w, SYNCMSG_NAMED, UINT32_MAX, INT64_MIN, &full);
	assert_false(w.failed);
	full = test_flow_full();
	/* The largest flow there can be: everything, SCTP too. */
	full.has = FLOW_HAS_ALL;
	w = wbuf_init(data, sizeof(data));
	syncmsg_encode_flow(&w, SYNCMSG_UPSERT, &full);
	assert_false(w.failed);
	assert_in_range(wbuf_used(&w), 128, SYNCMSG_BYTES_MAX);
}

static void test_too_little_room(void **state)
{
	struct flow full = test_flow_full();
	uint8_t data[SYNCMSG_BYTES_MAX], guard[SYNCMSG_BYTES_MAX + 8];
	struct wbuf w = wbuf_init(data, sizeof(data));
	size_t need;

	(void)state;
	syncmsg_encode_flow(&w, SYNCMSG_UPSERT, &full);
	need = wbuf_used(&w);
	for (size_t room = 0; room < need; room++) {
		memset(guard, 0x5a, sizeof(guard));
		w = wbuf_init(guard, room);
		syncmsg_encode_flow(&w, SYNCMSG_UPSERT, &full);
		assert_true(w.failed);
		for (size_t i = room; i < sizeof(guard); i++)
			assert_int_equal(guard[i], 0x5a);
	}
}

static void test_named_errors(void **state)
{
	struct flow flow = test_flow(1), back;
	uint8_t data[FLOW_BYTES_MAX];
	size_t size = encode(&flow, data, sizeof(data));
	struct rbuf r;

	(void)state;
	data[0] = 0xff; /* unknown presence bits */
	r = rbuf_init(data, size);
	assert_int_equal(flow_decode(&r, &back), FLOW_BAD_SHAPE);
	encode(&flow, data, sizeof(data));
	data[2] |= 0x04; /* one direction of no zone */
	r = rbuf_init(data, size);
	assert_int_equal(flow_decode(&r, &back), FLOW_BAD_SHAPE);
	data[2] |= 0x0c; /* an expectation, and in a TCP state */
	r = rbuf_init(data, size);
	assert_int_equal(flow_decode(&r, &back), FLOW_BAD_EXPECT);
	encode(&flow, data, sizeof(data));
	data[3] = 17; /* TCP parts on UDP */
	r = rbuf_init(data, size);
	assert_int_equal(flow_decode(&r, &back), FLOW_BAD_TCP);
	flow.tcp_state = 10;
	size = encode(&flow, data, sizeof(data));
	r = rbuf_init(data, size);
	assert_int_equal(flow_decode(&r, &back), FLOW_BAD_TCP);
	flow = test_flow_full();
	flow.helper[3] = '\n';
	size = encode(&flow, data, sizeof(data));
	r = rbuf_init(data, size);
	assert_int_equal(flow_decode(&r, &back), FLOW_BAD_HELPER);
	memset(flow.helper, 'a', sizeof(flow.helper)); /* no NUL in its field */
	size = encode(&flow, data, sizeof(data));
	r = rbuf_init(data, size);
	assert_int_equal(flow_decode(&r, &back), FLOW_BAD_HELPER);
}

/* Parts that an expectation cannot have, no master, a master of another family, a name that is no
 * name: refused, whatever else is right. */
static void test_expectations_are_checked(void **state)
{
	static const char *const names[] = {"a b", "a\"b", "a\\b", "\x7f"};
	struct flow flows[4] = {
		test_expectation(1), test_expectation(1), test_expectation(1), test_expectation(1)};
	struct flow back;

	(void)state;
	flows[0].has |= FLOW_HAS_MARK;
	flows[1].has &= ~(uint32_t)FLOW_HAS_MASTER;
	flows[2].master.family = IPADDR_V6;
	flows[3].expect.nat_dir = 2;
	for (size_t i = 0; i < 4 + ARRAY_LEN(names); i++) {
		struct flow flow = i < 4 ? flows[i] : test_expectation(1);
		uint8_t data[FLOW_BYTES_MAX];
		struct rbuf r;

		if (i >= 4)
			strcpy(flow.expect.fn, names[i - 4]);
		r = rbuf_init(data, encode(&flow, data, sizeof(data)));
		assert_int_equal(flow_decode(&r, &back), FLOW_BAD_EXPECT);
	}
}

/* An expectation and a flow with the same tuple are two things, and what it prescribes counts. */
static void test_expectations_are_not_flows(void **state)
{
	struct flow expected = test_expectation(1), flow = test_expectation(1), other = expected;

	(void)state;
	flow.zone_dir = FLOW_ZONE_BOTH;
	assert_false(flow_key_equal(&expected, &flow));
	assert_true(flow_same(&expected, &other));
	other.expect.nat_port++;
	assert_false(flow_same(&expected, &other));
	flow_merge(&expected, &other);
	assert_true(flow_same(&expected, &other));
}

static void test_reply_has_one_form(void **state)
{
	struct flow flow = test_flow(1), back;
	uint8_t data[FLOW_BYTES_MAX];
	size_t size = encode(&flow, data, sizeof(data));
	struct rbuf r = rbuf_init(data, size);

	(void)state;
	/* The reply's destination "differs" by being the same: refused, one flow has one form. */
	assert_int_equal(data[2], 0x20);
	memcpy(data + 16, flow.orig.src, 4);
	assert_int_equal(flow_decode(&r, &back), FLOW_BAD_REPLY);
}

static void check_message(const struct syncmsg *msg)
{
	uint8_t data[SYNCMSG_BYTES_MAX];
	struct wbuf w = wbuf_init(data, sizeof(data));
	struct rbuf r;
	struct syncmsg back;
	size_t size;

	syncmsg_encode(&w, msg);
	assert_false(w.failed);
	size = wbuf_used(&w);
	r = rbuf_init(data, size);
	assert_int_equal(syncmsg_decode(&r, &back), SYNCMSG_OK);
	assert_true(rbuf_done(&r));
	assert_int_equal(back.type, msg->type);
	/* Every shorter piece is incomplete, never wrong: a stream may break anywhere. */
	for (size_t cut = 0; cut < size; cut++) {
		r = rbuf_init(data, cut);
		assert_int_equal(syncmsg_decode(&r, &back), SYNCMSG_MORE);
		assert_ptr_equal(r.pos, data);
	}
	/* A body one byte too long, or (where it has one) too short. */
	if (data[1] < 0x7f && size < sizeof(data)) {
		data[size] = 0;
		data[1]++;
		r = rbuf_init(data, size + 1);
		assert_int_not_equal(syncmsg_decode(&r, &back), SYNCMSG_OK);
		data[1]--;
	}
	if (data[1] > 0 && data[1] < 0x80) {
		data[1]--;
		r = rbuf_init(data, size - 1);
		assert_int_not_equal(syncmsg_decode(&r, &back), SYNCMSG_OK);
	}
}

static void test_messages(void **state)
{
	struct syncmsg msg = {.type = SYNCMSG_HELLO,
		.hello = {
			.version = SYNCMSG_VERSION, .node_id = 1, .epoch = UINT64_MAX, .life = 9}};

	(void)state;
	strcpy(msg.hello.cluster, "abcdefghijklmnopqrstuvwxyz-01234");
	check_message(&msg);
	for (int type = SYNCMSG_ROLE; type < SYNCMSG_TYPE_COUNT; type++) {
		memset(&msg, 0, sizeof(msg));
		msg.type = (enum syncmsg_type)type;
		if (type == SYNCMSG_UPSERT || type == SYNCMSG_DELETE ||
			(type >= SYNCMSG_ORIGIN && type <= SYNCMSG_GONE))
			msg.flow = test_flow(7);
		if (type >= SYNCMSG_NAMED && type <= SYNCMSG_GONE)
			msg.moved = -5;
		if (type == SYNCMSG_CHANGE) /* what never changes goes by NAMED */
			msg.flow.has &= ~(uint32_t)FLOW_HAS_FOR_LIFE;
		else if (type == SYNCMSG_ROLE)
			msg.role.role = SYNCMSG_ROLE_ACTIVE;
		else if (type == SYNCMSG_END)
			msg.transfer.count = UINT64_MAX;
		else if (type == SYNCMSG_VERIFY_FLOW)
			msg.verify.flow = test_flow(7);
		else if (type == SYNCMSG_FETCH || type == SYNCMSG_VERIFY_BUCKETS)
			msg.digest.buckets = 1;
		check_message(&msg);
	}
}

static void test_hello_is_checked(void **state)
{
	struct syncmsg msg = {.type = SYNCMSG_HELLO,
			       .hello = {.version = SYNCMSG_VERSION,
				       .node_id = 1,
				       .cluster = "edge"}},
		       back;
	uint8_t data[SYNCMSG_BYTES_MAX];
	struct wbuf w;
	struct rbuf r;

	(void)state;
#define EXPECT(error)                                                                              \
	do {                                                                                       \
		w = wbuf_init(data, sizeof(data));                                                 \
		syncmsg_encode(&w, &msg);                                                          \
		r = rbuf_init(data, wbuf_used(&w));                                                \
		assert_int_equal(syncmsg_decode(&r, &back), error);                                \
	} while (0)
	EXPECT(SYNCMSG_OK);
	msg.hello.version = SYNCMSG_VERSION + 1;
	EXPECT(SYNCMSG_BAD_VERSION);
	msg.hello.version = SYNCMSG_VERSION;
	msg.hello.node_id = 0;
	EXPECT(SYNCMSG_BAD_NODE);
	msg.hello.node_id = 1;
	strcpy(msg.hello.cluster, "Edge");
	EXPECT(SYNCMSG_BAD_CLUSTER);
	msg.hello.cluster[0] = '\0';
	EXPECT(SYNCMSG_BAD_CLUSTER);
	msg = (struct syncmsg){.type = SYNCMSG_FETCH}; /* nothing wanted */
	EXPECT(SYNCMSG_BAD_CHUNK);
	msg.digest.buckets = 1;
	msg.digest.chunk = SYNCMSG_DIGEST_CHUNKS;
	EXPECT(SYNCMSG_BAD_CHUNK);
	msg.type = SYNCMSG_DIGEST;
	EXPECT(SYNCMSG_BAD_CHUNK);
#undef EXPECT
	r = rbuf_init((const uint8_t[]){0, 0}, 2);
	assert_int_equal(syncmsg_decode(&r, &back), SYNCMSG_BAD_TYPE);
	r = rbuf_init((const uint8_t[]){SYNCMSG_PING, 0xff, 0x7f}, 3);
	assert_int_equal(syncmsg_decode(&r, &back), SYNCMSG_TOO_LONG);
	r = rbuf_init((const uint8_t[]){SYNCMSG_PING, 0x80, 0x00}, 3); /* 0 in two bytes */
	assert_int_equal(syncmsg_decode(&r, &back), SYNCMSG_TOO_LONG);
}

static void test_stamps_are_ordered(void **state)
{
	struct flow_stamp order[] = {{0, 0, 0, 0}, {1, 0, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1},
		{5, 1, 0, 0}, {0, 1, 0, 1}, {0, 1, 1, 1}, {9, 1, 1, 1}, {0, 1, 0, 2}, {0, 2, 0, 1}};

	(void)state;
	for (size_t a = 0; a < 10; a++)
		for (size_t b = 0; b < 10; b++) {
			int got = flow_stamp_compare(&order[a], &order[b]);

			assert_int_equal((got > 0) - (got < 0), (a > b) - (a < b));
		}
}

static void test_merge_keeps_what_is_not_told(void **state)
{
	struct flow whole = test_flow_full(),
		    news = {.has = FLOW_HAS_TCP | FLOW_HAS_MARK, .tcp_state = 4, .mark = 1};
	struct flow before = whole;

	(void)state;
	flow_merge(&whole, &news);
	assert_int_equal(whole.tcp_state, 4);
	assert_int_equal(whole.mark, 1);
	assert_memory_equal(whole.labels, before.labels, sizeof(whole.labels));
	assert_memory_equal(whole.tcp_wscale, before.tcp_wscale, 2);
	assert_memory_equal(&whole.reply, &before.reply, sizeof(whole.reply));
	assert_int_equal(whole.has, before.has);
}

static void test_icmp_inverts_its_type(void **state)
{
	struct flow_tuple query = {.family = IPADDR_V4,
				  .proto = 1,
				  .src_port = 77,
				  .dst_port = 8 << 8},
			  reply, back;

	(void)state;
	flow_tuple_invert(&query, &reply);
	assert_int_equal(reply.dst_port, 0);
	assert_int_equal(reply.src_port, 77);
	flow_tuple_invert(&reply, &back);
	assert_true(flow_tuple_equal(&back, &query));
	query.proto = 58;
	query.dst_port = 128 << 8;
	flow_tuple_invert(&query, &reply);
	assert_int_equal(reply.dst_port, 129 << 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flows_there_and_back),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_too_little_room),
		cmocka_unit_test(test_named_errors),
		cmocka_unit_test(test_expectations_are_checked),
		cmocka_unit_test(test_expectations_are_not_flows),
		cmocka_unit_test(test_reply_has_one_form),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_hello_is_checked),
		cmocka_unit_test(test_stamps_are_ordered),
		cmocka_unit_test(test_merge_keeps_what_is_not_told),
		cmocka_unit_test(test_icmp_inverts_its_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
