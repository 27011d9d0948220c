/* Stories of two syncds: engines and sessions joined by a pipe of bytes, a clock moved by hand, and
 * a kernel that is a list. Each test tells what is told, in the order in which it is told. */
#include "../unit/syncd/sync_flows.h"
#include "syncd/core/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CAPACITY 4096u
#define PIPE	 (1u << 20)
#define STORY	 8192u

struct side {
	struct engine engine;
	struct session session;
	void *memory;
	uint8_t out[PIPE];
	size_t out_used;
	bool kernel[65536];	  /* by source port: whether the entry is there */
	uint16_t ports[CAPACITY]; /* by name: the flows that this side has told */
	struct session_update last;
};

struct pair {
	struct side sides[2]; /* fw1, fw2 */
	mono_t now;
	char story[STORY];
};

static void tell(struct pair *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct pair *p, const char *format, ...)
{
	size_t used = strlen(p->story);
	va_list list;

	va_start(list, format);
	vsnprintf(p->story + used, sizeof(p->story) - used, format, list);
	va_end(list);
}

static struct pair *pair_new(void)
{
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->now = mono_add(MONO_ZERO, dur_s(1000));
	for (uint8_t i = 0; i < 2; i++) {
		struct side *side = &p->sides[i];
		struct engine_config config = {.self = (uint8_t)(i + 1),
			.peer_count = 1,
			.group_count = 1,
			.life = 50u + i,
			.capacity = CAPACITY,
			.first_sequence = 5000,
			.seed = 7,
			.warm = true,
			.group_tags = {TEST_GROUP_TAG}};
		struct syncmsg_hello hello = {.version = SYNCMSG_VERSION,
			.node_id = (uint8_t)(i + 1),
			.names_max = CAPACITY,
			.cluster = "edge"};

		side->memory = calloc(1, engine_bytes(CAPACITY, 1));
		engine_init(&side->engine, &config, side->memory);
		session_init(&side->session, 0, &hello, (uint8_t)(2 - i));
	}
	return p;
}

static void pair_free(struct pair *p)
{
	for (int i = 0; i < 2; i++)
		free(p->sides[i].memory);
	free(p);
}

static void step(
	struct pair *p, int i, enum session_event_type type, const uint8_t *data, size_t size)
{
	struct side *side = &p->sides[i];
	struct session_event event = {
		.type = type, .now = p->now, .data = data, .size_bytes = size};

	session_step(&side->session, &side->engine, &event, &side->last);
	if (side->last.went_live)
		tell(p, "fw%d > hears HELLO -> live\n", i + 1);
	if (side->last.transfers_ended)
		tell(p, "fw%d > hears END -> %u swept, %u flows\n", i + 1, side->last.swept_count,
			engine_flow_count(&side->engine));
	if (side->last.tails_ended)
		tell(p, "fw%d > hears TAIL_END -> the tail is closed\n", i + 1);
	if (side->last.error)
		tell(p, "fw%d > %s -> closes\n", i + 1, session_error_name(side->last.error));
}

static void inject(struct pair *p, int i)
{
	static const char *const names[] = {"create", "update", "delete"};
	struct side *side = &p->sides[i];
	struct engine_op op;

	while (engine_op_next(&side->engine, p->now, &op)) {
		uint16_t port = op.flow.orig.src_port;
		bool there = side->kernel[port];

		if (op.type != ENGINE_OP_CREATE && !there)
			engine_op_failed(&side->engine, p->now, op.type, op.slot, ENOENT);
		else
			side->kernel[port] = op.type != ENGINE_OP_DELETE;
		if (port < 100)
			tell(p, "fw%d > kernel: %s %u%s\n", i + 1, names[op.type], port,
				op.type != ENGINE_OP_DELETE && op.flow.timeout_s > 432000 ? " held"
											  : "");
	}
}

/* told: the messages in a stretch of bytes, for the story; acknowledgements and roles are left out.
 */
static void told(struct pair *p, int i, const uint8_t *data, size_t size)
{
	struct rbuf r = rbuf_init(data, size);
	struct syncmsg msg;

	while (syncmsg_decode(&r, &msg) == SYNCMSG_OK) {
		if (msg.type == SYNCMSG_ACK || msg.type == SYNCMSG_ROLE ||
			msg.type == SYNCMSG_HELLO || msg.type == SYNCMSG_DIGEST ||
			msg.type == SYNCMSG_FETCH)
			continue;
		if (msg.type == SYNCMSG_ORIGIN)
			continue;
		if (syncmsg_is_record(msg.type) && msg.type != SYNCMSG_END &&
			msg.type != SYNCMSG_TAIL_END) {
			bool gone = msg.type == SYNCMSG_GONE || msg.type == SYNCMSG_DELETE;
			uint16_t port = msg.flow.orig.src_port;

			if (msg.type == SYNCMSG_NAMED)
				p->sides[i].ports[msg.name] = port;
			else if (msg.type == SYNCMSG_CHANGE || msg.type == SYNCMSG_GONE)
				port = p->sides[i].ports[msg.name];
			if (port < 100)
				tell(p, "fw%d > tells %s %u\n", i + 1, gone ? "DELETE" : "UPSERT",
					port);
		} else {
			tell(p, "fw%d > tells %s\n", i + 1, syncmsg_type_name(msg.type));
		}
	}
}

/* run: passes bytes to and fro, `piece` at a time, until both are silent. */
static void run(struct pair *p, size_t piece)
{
	bool moved = true;

	while (moved) {
		moved = false;
		for (int i = 0; i < 2; i++) {
			struct side *from = &p->sides[i], *to = &p->sides[!i];
			struct wbuf w = wbuf_init(
				from->out + from->out_used, sizeof(from->out) - from->out_used);
			size_t at = 0, given = 0;

			if (session_fill(&from->session, &from->engine, p->now, &w))
				told(p, i, from->out + from->out_used, wbuf_used(&w));
			from->out_used += wbuf_used(&w);
			while (given < from->out_used && !to->last.error) {
				given = given + piece < from->out_used ? given + piece
								       : from->out_used;
				step(p, !i, SESSION_EVENT_BYTES, from->out + at, given - at);
				at += to->last.consumed_bytes;
				moved = true;
			}
			from->out_used = 0;
			inject(p, !i);
		}
		p->now = mono_add(p->now, dur_us(100));
	}
}

static void connect_both(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		p->sides[i].out_used = 0;
		p->sides[i].last.error = SESSION_OK;
		step(p, i, SESSION_EVENT_OPENED, NULL, 0);
	}
}

static void close_both(struct pair *p)
{
	for (int i = 0; i < 2; i++)
		step(p, i, SESSION_EVENT_CLOSED, NULL, 0);
}

static void set_role(
	struct pair *p, int i, enum syncmsg_role role, uint32_t term, uint8_t owner, int tail)
{
	engine_set_role(&p->sides[i].engine, 0, role, term, owner, tail, p->now);
	session_tell_roles(&p->sides[i].session, 1);
}

static void born(struct pair *p, int i, uint16_t port)
{
	struct flow flow = test_flow(port);

	p->sides[i].kernel[port] = true;
	(void)engine_kernel_upsert(&p->sides[i].engine, p->now, &flow, 0, false);
}

static void died(struct pair *p, int i, uint16_t port)
{
	struct flow flow = test_flow(port);

	p->sides[i].kernel[port] = false;
	engine_kernel_destroy(&p->sides[i].engine, p->now, &flow);
}

static void expect(struct pair *p, const char *story)
{
	assert_string_equal(p->story, story);
	p->story[0] = '\0';
}

static void begin(struct pair *p)
{
	set_role(p, 0, SYNCMSG_ROLE_ACTIVE, 3, 1, -1);
	set_role(p, 1, SYNCMSG_ROLE_STANDBY, 3, 1, -1);
	connect_both(p);
	run(p, 1000);
	p->story[0] = '\0';
}

static void test_first_meeting(void **state)
{
	struct pair *p = pair_new();

	(void)state;
	set_role(p, 0, SYNCMSG_ROLE_ACTIVE, 3, 1, -1);
	set_role(p, 1, SYNCMSG_ROLE_STANDBY, 3, 1, -1);
	born(p, 0, 1);
	born(p, 0, 2);
	connect_both(p);
	run(p, 1); /* byte by byte */
	expect(p, "fw2 > hears HELLO -> live\n"
		  "fw1 > hears HELLO -> live\n"
		  "fw2 > tells WANT\n"
		  "fw1 > tells BEGIN\n"
		  "fw1 > tells UPSERT 1\n"
		  "fw1 > tells UPSERT 2\n"
		  "fw1 > tells END\n"
		  "fw2 > hears END -> 0 swept, 2 flows\n"
		  "fw2 > kernel: create 1 held\n"
		  "fw2 > kernel: create 2 held\n");
	assert_true(session_peer_in_sync(&p->sides[0].session, &p->sides[0].engine));
	assert_true(session_group_in_sync(&p->sides[1].session, &p->sides[1].engine, 0));
	assert_int_equal(session_unacked(&p->sides[0].session, &p->sides[0].engine), 0);
	pair_free(p);
}

static void test_live_changes(void **state)
{
	struct pair *p = pair_new();

	(void)state;
	begin(p);
	born(p, 0, 1);
	run(p, 1000);
	born(p, 0, 1); /* an update */
	run(p, 1000);
	died(p, 0, 1);
	run(p, 1000);
	expect(p, "fw1 > tells UPSERT 1\n"
		  "fw2 > kernel: create 1 held\n"
		  "fw1 > tells UPSERT 1\n"
		  "fw2 > kernel: update 1 held\n"
		  "fw1 > tells DELETE 1\n"
		  "fw2 > kernel: delete 1\n");
	pair_free(p);
}

static void test_link_flap_sweeps_what_ended_meanwhile(void **state)
{
	struct pair *p = pair_new();

	(void)state;
	begin(p);
	born(p, 0, 1);
	born(p, 0, 2);
	run(p, 1000);
	close_both(p);
	died(p, 0, 1);
	born(p, 0, 3);
	p->story[0] = '\0';
	connect_both(p);
	run(p, 7);
	expect(p, "fw2 > hears HELLO -> live\n"
		  "fw1 > hears HELLO -> live\n"
		  "fw2 > tells COMPARE\n"
		  "fw1 > tells DIGEST_BEGIN\n"
		  "fw1 > tells DIGEST_END\n"
		  "fw2 > tells FETCH_END\n"
		  "fw1 > tells BEGIN\n"
		  "fw1 > tells UPSERT 3\n"
		  "fw1 > tells END\n"
		  "fw2 > hears END -> 1 swept, 2 flows\n"
		  "fw2 > kernel: create 3 held\n"
		  "fw2 > kernel: delete 1\n");
	pair_free(p);
}

/* same_tables: every digest of both sides agrees, and is what the flows say when counted anew. */
static void same_tables(struct pair *p)
{
	uint64_t *anew = calloc(DIGEST_BUCKETS, sizeof(*anew));

	assert_non_null(anew);
	assert_memory_equal(p->sides[0].engine.groups[0].digests,
		p->sides[1].engine.groups[0].digests, ENGINE_DIGEST_BYTES);
	for (uint32_t slot = 0; slot < p->sides[1].engine.table.high; slot++) {
		struct table *t = &p->sides[1].engine.table;

		if (table_is_used(t, slot) && !(table_at(t, slot)->flags & TABLE_FLAG_DEAD))
			anew[digest_bucket(t, slot)] +=
				digest_record(&p->sides[1].engine.config.digest_key, t, slot);
	}
	assert_memory_equal(
		anew, p->sides[1].engine.groups[0].digests, DIGEST_BUCKETS * sizeof(*anew));
	free(anew);
}

static void test_link_flap_of_equal_tables_tells_no_flow(void **state)
{
	struct pair *p = pair_new();
	struct session *fw2 = &p->sides[1].session;
	uint64_t bytes;

	(void)state;
	begin(p);
	for (uint16_t port = 1000; port < 4000; port++)
		born(p, 0, port);
	run(p, 1000);
	same_tables(p);
	close_both(p);
	p->story[0] = '\0';
	bytes = p->sides[0].session.bytes_out;
	connect_both(p);
	run(p, 1000);
	expect(p, "fw2 > hears HELLO -> live\n"
		  "fw1 > hears HELLO -> live\n"
		  "fw2 > tells COMPARE\n"
		  "fw1 > tells DIGEST_BEGIN\n"
		  "fw1 > tells DIGEST_END\n"
		  "fw2 > tells FETCH_END\n"
		  "fw1 > tells BEGIN\n"
		  "fw1 > tells END\n"
		  "fw2 > hears END -> 0 swept, 3000 flows\n");
	assert_true(p->sides[0].session.bytes_out - bytes < 150000);
	assert_int_equal(fw2->compare.compares, 1);
	assert_int_equal(fw2->compare.differing_total, 0);
	assert_true(session_peer_in_sync(&p->sides[0].session, &p->sides[0].engine));
	assert_true(session_group_in_sync(fw2, &p->sides[1].engine, 0));
	/* The source takes us to know them: their ends are told. */
	died(p, 0, 1000);
	run(p, 1000);
	assert_int_equal(engine_flow_count(&p->sides[1].engine), 2999);
	same_tables(p);
	pair_free(p);
}

/* What no message of the source ever said, as a bug would have it. */
static void test_periodic_comparison_repairs(void **state)
{
	struct pair *p = pair_new();
	struct engine *fw2 = &p->sides[1].engine;
	struct flow flow = test_flow(2000), gone = test_flow(2001), extra = test_flow(9000);

	(void)state;
	begin(p);
	for (uint16_t port = 2000; port < 2100; port++)
		born(p, 0, port);
	run(p, 1000);
	flow.stamp =
		(struct flow_stamp){.sequence = UINT64_MAX / 2, .term = 3, .life = 50, .owner = 1};
	gone.stamp = extra.stamp = flow.stamp;
	assert_int_equal(engine_peer_delete(fw2, p->now, 0, &gone), ENGINE_DROP_NONE);
	assert_int_equal(engine_peer_upsert(fw2, p->now, 0, &extra), ENGINE_DROP_NONE);
	inject(p, 1);
	assert_memory_not_equal(
		fw2->groups[0].digests, p->sides[0].engine.groups[0].digests, ENGINE_DIGEST_BYTES);
	for (int64_t ms = 0; ms < SYNC_COMPARE_MS; ms += SYNC_PING_MS) {
		p->now = mono_add(p->now, dur_ms(SYNC_PING_MS));
		run(p, 1000);
	}
	same_tables(p);
	assert_int_equal(engine_flow_count(fw2), 100);
	assert_true(p->sides[1].kernel[2001]);
	assert_false(p->sides[1].kernel[9000]);
	assert_int_equal(p->sides[1].session.compare.differing_total, 2);
	pair_free(p);
}

static void test_other_digest_key_means_a_full_transfer(void **state)
{
	struct pair *p = pair_new();

	(void)state;
	begin(p);
	born(p, 0, 1);
	run(p, 1000);
	close_both(p);
	p->sides[1].session.ours.digest_id = 77;
	p->story[0] = '\0';
	connect_both(p);
	run(p, 1000);
	expect(p, "fw2 > hears HELLO -> live\n"
		  "fw1 > hears HELLO -> live\n"
		  "fw2 > tells WANT\n"
		  "fw1 > tells BEGIN\n"
		  "fw1 > tells UPSERT 1\n"
		  "fw1 > tells END\n"
		  "fw2 > hears END -> 0 swept, 1 flows\n");
	pair_free(p);
}

static void test_handover_with_its_tail(void **state)
{
	struct pair *p = pair_new();

	(void)state;
	begin(p);
	born(p, 0, 1);
	run(p, 1000);
	p->story[0] = '\0';
	/* fw2 becomes master and tells of its own flow; fw1, still master, does not listen. */
	set_role(p, 1, SYNCMSG_ROLE_ACTIVE, 4, 2, 0);
	born(p, 1, 2);
	run(p, 1000);
	expect(p, "fw2 > tells UPSERT 2\n");
	assert_int_equal(engine_flow_count(&p->sides[0].engine), 1);
	/* The tail: what fw1 saw in the overlap. Then its end mark, and it becomes a standby. */
	born(p, 0, 3);
	set_role(p, 0, SYNCMSG_ROLE_STANDBY, 4, 2, -1);
	session_end_tail(&p->sides[0].session, &p->sides[0].engine, 0, 3, 1);
	run(p, 1000);
	expect(p, "fw1 > tells COMPARE\n"
		  "fw1 > tells UPSERT 3\n"
		  "fw1 > tells TAIL_END\n"
		  "fw2 > hears TAIL_END -> the tail is closed\n"
		  "fw2 > kernel: create 3\n"
		  "fw2 > tells DIGEST_BEGIN\n"
		  "fw2 > tells DIGEST_END\n"
		  "fw1 > tells FETCH_END\n"
		  "fw2 > tells BEGIN\n"
		  "fw2 > tells UPSERT 2\n"
		  "fw2 > tells END\n"
		  "fw1 > hears END -> 0 swept, 3 flows\n"
		  "fw1 > kernel: create 2 held\n"
		  "fw1 > kernel: update 1 held\n"
		  "fw1 > kernel: update 3 held\n");
	pair_free(p);
}

static void test_stale_master_is_not_heard(void **state)
{
	struct pair *p = pair_new();

	(void)state;
	begin(p);
	born(p, 0, 1);
	run(p, 1000);
	/* fw2 was promoted behind fw1's back; fw1 still believes to be master of term 3. */
	set_role(p, 1, SYNCMSG_ROLE_ACTIVE, 4, 2, -1);
	p->story[0] = '\0';
	died(p, 0, 1);
	run(p, 1000);
	expect(p, "fw1 > tells DELETE 1\n");
	assert_int_equal(engine_flow_count(&p->sides[1].engine), 1);
	assert_int_equal(p->sides[1].engine.drops[ENGINE_DROP_NOT_SOURCE], 1);
	pair_free(p);
}

static void test_both_notice_a_dead_peer(void **state)
{
	struct pair *p = pair_new();

	(void)state;
	begin(p);
	/* Silence of ours is broken by a PING before the other can take us for dead. */
	p->now = mono_add(p->now, dur_ms(SYNC_PING_MS + 1));
	step(p, 0, SESSION_EVENT_TIMER, NULL, 0);
	step(p, 1, SESSION_EVENT_TIMER, NULL, 0);
	run(p, 1000);
	expect(p, "fw1 > tells PING\nfw2 > tells PING\n");
	p->now = mono_add(p->now, dur_ms(SYNC_DEAD_MS));
	step(p, 0, SESSION_EVENT_TIMER, NULL, 0);
	step(p, 1, SESSION_EVENT_TIMER, NULL, 0);
	expect(p, "fw1 > PEER_DEAD -> closes\nfw2 > PEER_DEAD -> closes\n");
	pair_free(p);
}

static void test_bulk_and_live_take_turns(void **state)
{
	struct pair *p = pair_new();
	struct side *fw1 = &p->sides[0];
	uint8_t data[8192];
	struct wbuf w = wbuf_init(data, sizeof(data));

	(void)state;
	for (uint16_t port = 1000; port < 4000; port++)
		born(p, 0, port);
	begin(p);
	for (uint16_t port = 1000; port < 4000; port++)
		died(p, 0, port);
	for (uint16_t port = 4000; port < 7000; port++)
		born(p, 0, port);
	/* A full transfer is running; one live change is not kept waiting behind it. */
	session_serve_again(&fw1->session, &fw1->engine);
	(void)session_fill(&fw1->session, &fw1->engine, p->now, &w);
	born(p, 0, 7);
	w = wbuf_init(data, sizeof(data));
	(void)session_fill(&fw1->session, &fw1->engine, p->now, &w);
	assert_true(session_unacked(&fw1->session, &fw1->engine) > 0);
	assert_true(session_has_more(&fw1->session, &fw1->engine));
	pair_free(p);
}

/* churn: flows are born, change, end and come again with the same tuple at the active side; slots,
 * and with them names, go from flow to flow. */
static void churn(struct pair *p, int i, uint32_t *seed, uint32_t *id)
{
	for (int n = 0; n < 40; n++) {
		struct flow flow = test_flow((uint16_t)(100 + rand_r(seed) % 60));

		flow.id = ++*id;
		flow.tcp_state = (uint8_t)(1 + rand_r(seed) % 7);
		switch (rand_r(seed) % 4) {
		case 0: /* another life of the tuple, where it was there */
			break;
		case 1: /* does not fit a CHANGE */
			flow.has |= FLOW_HAS_LABELS;
			flow.labels[3] = flow.tcp_state;
			flow.has &= ~(uint32_t)FLOW_HAS_ID;
			flow.id = 0;
			break;
		default:
			flow.has &= ~(uint32_t)FLOW_HAS_ID;
			flow.id = 0;
		}
		p->sides[i].kernel[flow.orig.src_port] = rand_r(seed) % 3;
		if (p->sides[i].kernel[flow.orig.src_port])
			(void)engine_kernel_upsert(&p->sides[i].engine, p->now, &flow, 0, false);
		else
			engine_kernel_destroy(&p->sides[i].engine, p->now, &flow);
	}
}

/* Names are short for keys, nothing more: after any churn, loss of the connection and change of
 * roles both tables are equal, and nothing was dropped on the way. */
static void test_names_follow_their_flows(void **state)
{
	struct pair *p = pair_new();
	uint32_t seed = 1, id = 0, term = 3;
	int active = 0;

	(void)state;
	begin(p);
	for (int round = 0; round < 300; round++) {
		struct engine *ours = &p->sides[active].engine, *theirs = &p->sides[!active].engine;

		churn(p, active, &seed, &id);
		if (round % 7 == 3) {
			close_both(p);
			churn(p, active, &seed, &id);
			connect_both(p);
		}
		run(p, 1 + (size_t)rand_r(&seed) % 500);
		p->story[0] = '\0';
		assert_int_equal(engine_flow_count(ours), engine_flow_count(theirs));
		assert_memory_equal(
			ours->groups[0].digests, theirs->groups[0].digests, ENGINE_DIGEST_BYTES);
		assert_int_equal(theirs->drops[ENGINE_DROP_PARTIAL], 0);
		if (round % 11 != 5)
			continue;
		set_role(p, active, SYNCMSG_ROLE_STANDBY, ++term, (uint8_t)(2 - active), -1);
		active = !active;
		set_role(p, active, SYNCMSG_ROLE_ACTIVE, term, (uint8_t)(active + 1), -1);
		run(p, 1000);
	}
	pair_free(p);
}

static void test_bad_messages_end_the_session(void **state)
{
	struct pair *p = pair_new();
	const uint8_t garbage[] = {0xff, 0xff, 0xff};
	uint8_t data[64];
	struct wbuf w = wbuf_init(data, sizeof(data));
	struct syncmsg ack = {.type = SYNCMSG_ACK, .position = 1000};

	(void)state;
	begin(p);
	step(p, 0, SESSION_EVENT_BYTES, garbage, sizeof(garbage));
	assert_int_equal(p->sides[0].last.error, SESSION_BAD_MESSAGE);
	assert_int_equal(p->sides[0].last.message_error, SYNCMSG_BAD_TYPE);
	syncmsg_encode(&w, &ack);
	step(p, 0, SESSION_EVENT_BYTES, data, wbuf_used(&w));
	assert_int_equal(p->sides[0].last.error, SESSION_BAD_ACK);
	/* Records before HELLO. */
	close_both(p);
	connect_both(p);
	step(p, 0, SESSION_EVENT_BYTES, data, wbuf_used(&w));
	assert_int_equal(p->sides[0].last.error, SESSION_UNEXPECTED);
	/* No HELLO at all. */
	p->now = mono_add(p->now, dur_ms(SYNC_HELLO_MS));
	step(p, 1, SESSION_EVENT_TIMER, NULL, 0);
	assert_int_equal(p->sides[1].last.error, SESSION_HELLO_LATE);
	/* Another node, another cluster. */
	close_both(p);
	p->sides[1].session.ours.node_id = 3;
	connect_both(p);
	run(p, 1000);
	assert_int_equal(p->sides[0].last.error, SESSION_WRONG_NODE);
	close_both(p);
	p->sides[1].session.ours.node_id = 2;
	strcpy(p->sides[1].session.ours.cluster, "core");
	connect_both(p);
	run(p, 1000);
	assert_int_equal(p->sides[0].last.error, SESSION_WRONG_CLUSTER);
	pair_free(p);
}

static void test_lag_is_measured(void **state)
{
	struct pair *p = pair_new();
	struct session *source = &p->sides[0].session;
	uint8_t data[4096];
	struct wbuf w = wbuf_init(data, sizeof(data));

	(void)state;
	begin(p);
	born(p, 0, 1);
	(void)session_fill(source, &p->sides[0].engine, p->now, &w);
	assert_int_equal(session_unacked(source, &p->sides[0].engine), 1);
	p->now = mono_add(p->now, dur_ms(25));
	assert_int_equal(dur_to_ms(session_lag(source, p->now)), 25);
	step(p, 1, SESSION_EVENT_BYTES, data, wbuf_used(&w));
	/* Not acknowledged before our kernel has it. */
	w = wbuf_init(data, sizeof(data));
	(void)session_fill(&p->sides[1].session, &p->sides[1].engine, p->now, &w);
	step(p, 0, SESSION_EVENT_BYTES, data, wbuf_used(&w));
	assert_int_equal(session_unacked(source, &p->sides[0].engine), 1);
	inject(p, 1);
	run(p, 1000);
	assert_int_equal(session_unacked(source, &p->sides[0].engine), 0);
	pair_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_meeting),
		cmocka_unit_test(test_live_changes),
		cmocka_unit_test(test_link_flap_sweeps_what_ended_meanwhile),
		cmocka_unit_test(test_link_flap_of_equal_tables_tells_no_flow),
		cmocka_unit_test(test_periodic_comparison_repairs),
		cmocka_unit_test(test_other_digest_key_means_a_full_transfer),
		cmocka_unit_test(test_handover_with_its_tail),
		cmocka_unit_test(test_stale_master_is_not_heard),
		cmocka_unit_test(test_both_notice_a_dead_peer),
		cmocka_unit_test(test_bulk_and_live_take_turns),
		cmocka_unit_test(test_names_follow_their_flows),
		cmocka_unit_test(test_bad_messages_end_the_session),
		cmocka_unit_test(test_lag_is_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
