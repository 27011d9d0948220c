/* The engine: who is told what, fencing by stamps, dead flows, the kernel's refusals, holds. */
#include "sync_flows.h"
#include "syncd/core/engine.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#define CAPACITY 64u
#define PEER	 0u

static const mono_t now = {1000000000};

struct fixture {
	struct engine engine;
	void *memory;
};

static void make(struct fixture *f, uint8_t self, bool warm)
{
	struct engine_config config = {.self = self,
		.peer_count = 2,
		.group_count = 1,
		.life = 50,
		.capacity = CAPACITY,
		.first_sequence = 5000,
		.seed = 1,
		.warm = warm,
		.group_tags = {TEST_GROUP_TAG}};

	f->memory = calloc(1, engine_bytes(CAPACITY, 2));
	engine_init(&f->engine, &config, f->memory);
}

static struct engine *active(struct fixture *f)
{
	make(f, 1, true);
	engine_set_role(&f->engine, 0, SYNCMSG_ROLE_ACTIVE, 3, 1, -1, now);
	engine_attach(&f->engine, PEER, CAPACITY);
	return &f->engine;
}

static struct engine *standby(struct fixture *f, bool warm)
{
	make(f, 2, warm);
	engine_set_role(&f->engine, 0, SYNCMSG_ROLE_STANDBY, 3, 1, -1, now);
	engine_attach(&f->engine, PEER, CAPACITY);
	engine_set_claim(&f->engine, PEER, 0,
		(struct engine_claim){.role = SYNCMSG_ROLE_ACTIVE, .term = 3, .term_owner = 1});
	return &f->engine;
}

static void expect_told(struct engine *e, enum syncmsg_type type, struct flow *flow)
{
	enum syncmsg_type told;

	assert_true(engine_tell_next(e, now, PEER, &told, flow));
	assert_int_equal(told, type);
}

static void expect_nothing_told(struct engine *e)
{
	enum syncmsg_type type;
	struct flow flow;

	assert_false(engine_tell_next(e, now, PEER, &type, &flow));
}

static struct engine_op expect_op(struct engine *e, enum engine_op_type type)
{
	struct engine_op op = {0};

	assert_true(engine_op_next(e, now, &op));
	assert_int_equal(op.type, type);
	return op;
}

static void expect_no_op(struct engine *e)
{
	struct engine_op op;

	assert_false(engine_op_next(e, now, &op));
}

static void test_changes_coalesce(void **state)
{
	struct fixture f;
	struct engine *e = active(&f);
	struct flow flow = test_flow(1), told;

	(void)state;
	for (int i = 1; i <= 100; i++) {
		flow.mark = (uint32_t)i;
		flow.has |= FLOW_HAS_MARK;
		engine_kernel_upsert(e, now, &flow, 0, false);
	}
	expect_told(e, SYNCMSG_UPSERT, &told);
	assert_int_equal(told.mark, 100);
	assert_true(told.has & FLOW_HAS_REPLY);
	assert_int_equal(told.stamp.term, 3);
	assert_int_equal(told.stamp.owner, 1);
	expect_nothing_told(e);
	/* An update leaves out what the peer has. */
	engine_kernel_upsert(e, now, &flow, 0, false);
	expect_told(e, SYNCMSG_UPSERT, &told);
	assert_false(told.has & FLOW_HAS_REPLY);
	free(f.memory);
}

static void test_partial_events_merge(void **state)
{
	struct fixture f;
	struct engine *e = active(&f);
	struct flow flow = test_flow(1), told, news;

	(void)state;
	flow.has |= FLOW_HAS_LABELS;
	flow.labels[0] = 9;
	engine_kernel_upsert(e, now, &flow, 0, false);
	news = flow;
	news.has = FLOW_HAS_TCP | FLOW_HAS_STATUS;
	news.tcp_state = 4;
	engine_kernel_upsert(e, now, &news, 0, false);
	expect_told(e, SYNCMSG_UPSERT, &told);
	assert_int_equal(told.tcp_state, 4);
	assert_int_equal(told.labels[0], 9);
	assert_int_equal(told.tcp_wscale[1], 9);
	free(f.memory);
}

static void test_recreated_is_delete_then_create(void **state)
{
	struct fixture f;
	struct engine *e = active(&f);
	struct flow flow = test_flow(1), told;

	(void)state;
	engine_kernel_upsert(e, now, &flow, 0, false);
	expect_told(e, SYNCMSG_UPSERT, &told);
	engine_kernel_destroy(e, now, &flow);
	flow.id = 77;
	flow.tcp_state = 1;
	engine_kernel_upsert(e, now, &flow, 0, false);
	expect_told(e, SYNCMSG_DELETE, &told);
	expect_told(e, SYNCMSG_UPSERT, &told);
	assert_int_equal(told.id, 77);
	assert_true(told.has & FLOW_HAS_REPLY);
	expect_nothing_told(e);
	/* Its DESTROY was lost: the other id tells. */
	flow.id = 78;
	engine_kernel_upsert(e, now, &flow, 0, false);
	expect_told(e, SYNCMSG_DELETE, &told);
	expect_told(e, SYNCMSG_UPSERT, &told);
	/* The late DESTROY of an earlier flow ends nothing. */
	flow.id = 77;
	engine_kernel_destroy(e, now, &flow);
	expect_nothing_told(e);
	free(f.memory);
}

static void test_what_nobody_knows_dies_silently(void **state)
{
	struct fixture f;
	struct engine *e = active(&f);
	struct flow flow = test_flow(1);

	(void)state;
	engine_kernel_upsert(e, now, &flow, 0, false);
	engine_kernel_destroy(e, now, &flow);
	expect_nothing_told(e);
	assert_int_equal(engine_flow_count(e), 0);
	/* Full: refused and counted, not overrun; room comes back. */
	for (uint16_t i = 0; i < CAPACITY + 5; i++) {
		flow = test_flow(i);
		engine_kernel_upsert(e, now, &flow, 0, false);
	}
	assert_int_equal(engine_flow_count(e), CAPACITY);
	assert_int_equal(e->drops[ENGINE_DROP_TABLE_FULL], 5);
	assert_true(e->table_full);
	flow = test_flow(0);
	engine_kernel_destroy(
		e, now, &flow); /* the peer has not heard of it: it goes, told or not */
	engine_detach(e, PEER);
	assert_int_equal(engine_flow_count(e), CAPACITY - 1);
	flow = test_flow(CAPACITY);
	assert_int_not_equal(engine_kernel_upsert(e, now, &flow, 0, false), TABLE_NONE);
	assert_false(e->table_full);
	free(f.memory);
}

static void test_standby_injects_held(void **state)
{
	struct fixture f;
	struct engine *e = standby(&f, true);
	struct flow flow = test_flow(1);
	struct engine_op op;

	(void)state;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_NONE);
	op = expect_op(e, ENGINE_OP_CREATE);
	assert_int_equal(op.flow.timeout_s, 432000 + SYNC_HOLD_S);
	assert_true(op.liberal);
	expect_no_op(e);
	flow.stamp.sequence++;
	flow.has &= ~(uint32_t)FLOW_HAS_REPLY;
	flow.tcp_state = 4;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_NONE);
	op = expect_op(e, ENGINE_OP_UPDATE);
	assert_true(op.flow.has & FLOW_HAS_REPLY);
	flow.stamp.sequence++;
	assert_int_equal(engine_peer_delete(e, now, PEER, &flow), ENGINE_DROP_NONE);
	expect_op(e, ENGINE_OP_DELETE);
	expect_no_op(e);
	assert_int_equal(engine_flow_count(e), 0);
	free(f.memory);
}

static void test_stamps_fence(void **state)
{
	struct fixture f;
	struct engine *e = standby(&f, true);
	struct flow flow = test_flow(1), stale = flow;

	(void)state;
	flow.stamp.sequence = 2000;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_NONE);
	expect_op(e, ENGINE_OP_CREATE);
	stale.stamp.sequence = 1999;
	stale.tcp_state = 4;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &stale), ENGINE_DROP_STALE);
	assert_int_equal(engine_peer_delete(e, now, PEER, &stale), ENGINE_DROP_STALE);
	/* An older term loses whatever its sequence; a higher one wins. */
	stale.stamp.term = 2;
	stale.stamp.sequence = 9999;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &stale), ENGINE_DROP_STALE);
	stale.stamp.term = 4;
	stale.stamp.sequence = 1;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &stale), ENGINE_DROP_NONE);
	expect_op(e, ENGINE_OP_UPDATE);
	/* The same again changes nothing. */
	assert_int_equal(engine_peer_upsert(e, now, PEER, &stale), ENGINE_DROP_NONE);
	expect_no_op(e);
	/* Who is not the source is not heard at all. */
	flow.stamp.term = 9;
	assert_int_equal(engine_peer_upsert(e, now, 1, &flow), ENGINE_DROP_NOT_SOURCE);
	flow.group_tag++;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_UNKNOWN_GROUP);
	free(f.memory);
}

static void test_highest_claim_is_the_source(void **state)
{
	struct fixture f;
	struct engine *e = standby(&f, true);

	(void)state;
	assert_int_equal(engine_source(e, 0), PEER);
	engine_set_claim(e, 1, 0, (struct engine_claim){SYNCMSG_ROLE_ACTIVE, 4, 3});
	assert_int_equal(engine_source(e, 0), 1);
	engine_set_claim(e, 1, 0, (struct engine_claim){SYNCMSG_ROLE_FROZEN, 4, 3});
	assert_int_equal(engine_source(e, 0), PEER);
	engine_set_role(e, 0, SYNCMSG_ROLE_FROZEN, 3, 1, -1, now);
	assert_int_equal(engine_source(e, 0), -1);
	free(f.memory);
}

static void test_tail_of_a_handover(void **state)
{
	struct fixture f;
	struct engine *e = standby(&f, true);
	struct flow flow = test_flow(1), other = test_flow(2);
	mono_t late = mono_add(now, dur_ms(SYNC_TAIL_MS));

	(void)state;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_NONE);
	expect_op(e, ENGINE_OP_CREATE);
	engine_set_role(e, 0, SYNCMSG_ROLE_ACTIVE, 4, 2, PEER, now);
	/* A flow that only the old master saw. */
	assert_int_equal(engine_peer_upsert(e, now, PEER, &other), ENGINE_DROP_NONE);
	assert_int_equal(expect_op(e, ENGINE_OP_CREATE).flow.timeout_s, 432000);
	/* What our own kernel has changed since is newer than any tail. */
	engine_kernel_upsert(e, now, &flow, 0, false);
	flow.stamp.sequence += 10;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_STALE);
	/* A TCP state does not go back. */
	other.stamp.sequence++;
	other.tcp_state = 2;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &other), ENGINE_DROP_BACKWARDS);
	/* Another node, the new term, too late, after the end: not heard. */
	other.tcp_state = 7;
	assert_int_equal(engine_peer_upsert(e, now, 1, &other), ENGINE_DROP_NOT_SOURCE);
	assert_int_equal(engine_peer_upsert(e, late, PEER, &other), ENGINE_DROP_NOT_SOURCE);
	engine_tail_ended(e, 0);
	assert_int_equal(engine_peer_upsert(e, now, PEER, &other), ENGINE_DROP_NOT_SOURCE);
	free(f.memory);
}

static void test_sweep_spares_what_is_not_ours(void **state)
{
	struct fixture f;
	struct engine *e;
	struct flow flows[4];

	(void)state;
	make(&f, 2, true);
	e = &f.engine;
	for (uint16_t i = 0; i < 4; i++)
		flows[i] = test_flow((uint16_t)(i + 1));
	/* 0: of our own time as master. 1: adopted with its hold. 2, 3: told by the source. */
	engine_set_role(e, 0, SYNCMSG_ROLE_ACTIVE, 2, 2, -1, now);
	engine_kernel_upsert(e, now, &flows[0], 0, false);
	engine_set_role(e, 0, SYNCMSG_ROLE_STANDBY, 3, 1, -1, now);
	flows[1].timeout_s += SYNC_HOLD_S;
	engine_adopt(e, now, &flows[1], 0);
	engine_attach(e, PEER, CAPACITY);
	engine_set_claim(e, PEER, 0, (struct engine_claim){SYNCMSG_ROLE_ACTIVE, 3, 1});
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flows[2]), ENGINE_DROP_NONE);
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flows[3]), ENGINE_DROP_NONE);
	expect_op(e, ENGINE_OP_CREATE);
	expect_op(e, ENGINE_OP_CREATE);
	engine_transfer_begin(e, PEER);
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flows[3]), ENGINE_DROP_NONE);
	assert_int_equal(engine_transfer_end(e, now, PEER, 0, NULL), 3);
	assert_int_equal(e->forgotten, 1); /* flows[0] ends by itself: no delete */
	expect_op(e, ENGINE_OP_DELETE);
	expect_op(e, ENGINE_OP_DELETE);
	expect_no_op(e);
	assert_int_equal(table_find(&e->table, &flows[0]), TABLE_NONE);
	assert_int_equal(table_find(&e->table, &flows[1]), TABLE_NONE);
	assert_int_equal(table_find(&e->table, &flows[2]), TABLE_NONE);
	assert_int_not_equal(table_find(&e->table, &flows[3]), TABLE_NONE);
	free(f.memory);
}

static void test_former_master_holds_what_the_new_one_tells(void **state)
{
	struct fixture f;
	struct engine *e = active(&f);
	struct flow flow = test_flow(1);
	struct engine_op op;

	(void)state;
	engine_kernel_upsert(e, now, &flow, 0, false);
	engine_set_role(e, 0, SYNCMSG_ROLE_STANDBY, 4, 2, -1, now);
	engine_set_claim(e, PEER, 0, (struct engine_claim){SYNCMSG_ROLE_ACTIVE, 4, 2});
	/* The new master has it with our own stamp: nothing new, but our entry has no hold. */
	flow.stamp = (struct flow_stamp){.sequence = 5001, .term = 3, .life = 50, .owner = 1};
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_NONE);
	op = expect_op(e, ENGINE_OP_UPDATE);
	assert_in_range(op.flow.timeout_s, SYNC_HOLD_S, 432000 + SYNC_HOLD_S);
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_NONE);
	expect_no_op(e);
	free(f.memory);
}

static void test_kernel_refusals(void **state)
{
	struct fixture f;
	struct engine *e = standby(&f, true);
	struct flow flow = test_flow(1);
	struct engine_op op;

	(void)state;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_NONE);
	op = expect_op(e, ENGINE_OP_CREATE);
	/* A NAT create of what exists: the rest of another flow, with another translation. */
	engine_op_failed(e, now, op.type, op.slot, EOPNOTSUPP);
	op = expect_op(e, ENGINE_OP_DELETE);
	/* It has expired meanwhile: fine. */
	engine_op_failed(e, now, op.type, op.slot, ENOENT);
	op = expect_op(e, ENGINE_OP_CREATE);
	/* Full: nothing is tried for a second, the flow is not forgotten. */
	engine_op_failed(e, now, op.type, op.slot, ENOMEM);
	assert_true(e->kernel_full);
	expect_no_op(e);
	assert_true(engine_op_next(e, mono_add(now, dur_s(1)), &op));
	assert_int_equal(op.type, ENGINE_OP_CREATE);
	engine_kernel_room(e);
	/* A clash on the reply tuple is counted, not tried for ever. */
	engine_op_failed(e, now, op.type, op.slot, EEXIST);
	expect_no_op(e);
	assert_int_equal(e->drops[ENGINE_DROP_KERNEL_CLASH], 1);
	free(f.memory);
}

/* Who has the reply tuple that two flows want: the higher stamp; never against our own kernel. */
static void test_clashes_are_settled_by_stamps(void **state)
{
	struct fixture f;
	struct engine *e = standby(&f, true);
	struct flow old = test_flow(1), fresh = test_flow(2), foreign = test_flow(3);
	uint32_t slots[2];

	(void)state;
	fresh.reply = old.reply;
	fresh.stamp.term++;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &old), ENGINE_DROP_NONE);
	assert_int_equal(engine_peer_upsert(e, now, PEER, &fresh), ENGINE_DROP_NONE);
	for (int i = 0; i < 2; i++)
		slots[i] = expect_op(e, ENGINE_OP_CREATE).slot;
	/* The old one, refused, gives way; so does not the fresh one. */
	engine_op_failed(e, now, ENGINE_OP_CREATE, slots[0], EEXIST);
	assert_false(engine_clash_settle(e, slots[0], &fresh));
	expect_no_op(e);
	engine_op_failed(e, now, ENGINE_OP_CREATE, slots[1], EEXIST);
	assert_true(engine_clash_settle(e, slots[1], &old));
	assert_false(engine_kernel_has(e, slots[0]));
	assert_int_equal(expect_op(e, ENGINE_OP_CREATE).slot, slots[1]);
	/* What no source knows has no stamp; but nothing is tried for ever. */
	for (unsigned int i = 1; i <= SYNC_MASTER_RETRIES; i++) {
		engine_op_failed(e, now, ENGINE_OP_CREATE, slots[1], EEXIST);
		assert_int_equal(
			engine_clash_settle(e, slots[1], &foreign), i < SYNC_MASTER_RETRIES);
		if (i < SYNC_MASTER_RETRIES)
			(void)expect_op(e, ENGINE_OP_CREATE);
	}
	/* While active our kernel is right; and a bucket that is too long has its own name. */
	engine_set_role(e, 0, SYNCMSG_ROLE_ACTIVE, 9, 2, -1, now);
	assert_false(engine_clash_settle(e, slots[0], &foreign));
	engine_op_failed(e, now, ENGINE_OP_CREATE, slots[0], ENOSPC);
	assert_int_equal(e->drops[ENGINE_DROP_KERNEL_CHAIN], 1);
	free(f.memory);
}

static void test_missing_master_waits_then_goes_without(void **state)
{
	struct fixture f;
	struct engine *e = standby(&f, true);
	struct flow flow = test_flow(1);
	struct engine_op op;

	(void)state;
	flow.has |= FLOW_HAS_MASTER;
	flow.master = flow.orig;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_NONE);
	for (unsigned int i = 0; i <= SYNC_MASTER_RETRIES; i++) {
		op = expect_op(e, ENGINE_OP_CREATE);
		assert_true(op.flow.has & FLOW_HAS_MASTER);
		engine_op_failed(e, now, op.type, op.slot, ENOENT);
	}
	op = expect_op(e, ENGINE_OP_CREATE);
	assert_false(op.flow.has & FLOW_HAS_MASTER);
	expect_no_op(e);
	free(f.memory);
}

/* An expectation waits for its master like a related flow, but never goes without it; it carries no
 * hold; a sweep takes away even one that was our own. */
static void test_expectations(void **state)
{
	struct fixture f;
	struct engine *e = standby(&f, true);
	struct flow expected = test_expectation(1), stray;
	struct engine_op op;

	(void)state;
	assert_int_equal(engine_master_group(e, &expected), -1);
	assert_int_equal(engine_peer_upsert(e, now, PEER, &expected), ENGINE_DROP_NONE);
	for (unsigned int i = 0; i <= SYNC_MASTER_RETRIES; i++) {
		op = expect_op(e, ENGINE_OP_CREATE);
		assert_int_equal(op.flow.timeout_s, 299);
		assert_memory_equal(&op.flow.expect, &expected.expect, sizeof(expected.expect));
		assert_false(op.liberal);
		engine_op_failed(e, now, op.type, op.slot, ENOENT);
	}
	expect_no_op(e);
	assert_int_equal(e->drops[ENGINE_DROP_KERNEL_OTHER], 1);
	free(f.memory);

	/* Of a time when we were the source. */
	make(&f, 2, true);
	engine_set_role(&f.engine, 0, SYNCMSG_ROLE_ACTIVE, 2, 2, -1, now);
	stray = test_flow(1);
	assert_int_not_equal(engine_kernel_upsert(e, now, &stray, 0, false), TABLE_NONE);
	assert_int_equal(engine_master_group(e, &expected), 0);
	assert_int_not_equal(engine_kernel_upsert(e, now, &expected, 0, false), TABLE_NONE);
	engine_set_role(&f.engine, 0, SYNCMSG_ROLE_STANDBY, 3, 1, -1, now);
	engine_attach(&f.engine, PEER, CAPACITY);
	engine_set_claim(&f.engine, PEER, 0,
		(struct engine_claim){.role = SYNCMSG_ROLE_ACTIVE, .term = 3, .term_owner = 1});
	engine_transfer_begin(e, PEER);
	assert_int_equal(engine_transfer_end(e, now, PEER, 0, NULL), 2);
	op = expect_op(e, ENGINE_OP_DELETE);
	assert_true(flow_is_expectation(&op.flow));
	expect_no_op(e);
	free(f.memory);
}

/* A full transfer tells masters first, wherever their slots lie. */
static void test_bulk_tells_masters_first(void **state)
{
	struct fixture f;
	struct engine *e = active(&f);
	struct flow gap = test_flow(9), master = test_flow(1), expected = test_expectation(1), flow;
	enum syncmsg_type type;
	uint32_t cursor = 0, slot;

	(void)state;
	/* The expectation takes the slot that `gap` leaves, below its master's. */
	(void)engine_kernel_upsert(e, now, &gap, 0, false);
	slot = engine_kernel_upsert(e, now, &master, 0, false);
	engine_kernel_destroy(e, now, &gap);
	while (engine_tell_next(e, now, PEER, &type, &flow))
		;
	assert_in_range(engine_kernel_upsert(e, now, &expected, 0, false), 0, slot - 1);
	engine_forget_group(e, PEER, 0);
	assert_true(engine_bulk_next(e, now, PEER, 1, &cursor, &flow));
	assert_false(flow_is_expectation(&flow));
	assert_true(engine_bulk_next(e, now, PEER, 1, &cursor, &flow));
	assert_true(flow_is_expectation(&flow));
	assert_false(engine_bulk_next(e, now, PEER, 1, &cursor, &flow));
	free(f.memory);
}

static void test_retime_only_what_shows_the_hold(void **state)
{
	struct fixture f;
	struct engine *e = standby(&f, true);
	struct flow held = test_flow(1), touched = test_flow(2), out;
	uint32_t slot, cursor = 0;

	(void)state;
	held.timeout_s = touched.timeout_s = 1000;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &held), ENGINE_DROP_NONE);
	assert_int_equal(engine_peer_upsert(e, now, PEER, &touched), ENGINE_DROP_NONE);
	expect_op(e, ENGINE_OP_CREATE);
	expect_op(e, ENGINE_OP_CREATE);
	engine_set_role(e, 0, SYNCMSG_ROLE_ACTIVE, 4, 2, -1, now);
	/* The dump: one still has the hold, the other was re-timed by a packet. */
	held.timeout_s = 1000 + SYNC_HOLD_S - 1;
	held.tcp_flags[0] |= FLOW_TCP_BE_LIBERAL;
	held.tcp_flags[1] |= FLOW_TCP_BE_LIBERAL;
	slot = engine_kernel_upsert(e, now, &held, 0, true);
	assert_true(engine_retime(e, now, slot, 432000, &out));
	assert_int_equal(out.timeout_s, 432000); /* never below the full timeout of the state */
	assert_false(engine_retime(e, now, slot, 432000, &out));
	touched.timeout_s = 1500;
	slot = engine_kernel_upsert(e, now, &touched, 0, true);
	assert_false(engine_retime(e, now, slot, 432000, &out));
	/* The dump showed nothing new: no stamp changed, nobody is told. */
	table_load(&e->table, table_find(&e->table, &held), engine_seconds(now), &out);
	assert_int_equal(out.stamp.term, 3);
	assert_int_equal(out.stamp.owner, 1);
	expect_nothing_told(e);
	/* After the grace both become strict, once; the source had none of it. */
	assert_true(engine_strict_next(e, now, &cursor, &out));
	assert_int_equal(out.tcp_flags[0] & FLOW_TCP_BE_LIBERAL, 0);
	assert_true(engine_strict_next(e, now, &cursor, &out));
	assert_false(engine_strict_next(e, now, &cursor, &out));
	free(f.memory);
}

static void test_a_former_masters_own_entries_become_liberal(void **state)
{
	struct fixture f;
	struct engine *e = active(&f);
	struct flow own = test_flow(1), loose = test_flow(2), other = test_flow(3), out;
	uint32_t cursor = 0;

	(void)state;
	loose.tcp_flags[0] |=
		FLOW_TCP_BE_LIBERAL; /* by itself: nothing of ours, and not ours to clear */
	loose.tcp_flags[1] |= FLOW_TCP_BE_LIBERAL;
	other.orig.proto = other.reply.proto = IPPROTO_UDP;
	other.has &= ~(uint32_t)FLOW_HAS_TCP;
	engine_kernel_upsert(e, now, &own, 0, false);
	engine_kernel_upsert(e, now, &loose, 0, false);
	engine_kernel_upsert(e, now, &other, 0, false);
	engine_set_role(e, 0, SYNCMSG_ROLE_STANDBY, 4, 2, -1, now);
	assert_false(engine_loose_next(e, now, 0, &cursor, &out)); /* another group was demoted */
	cursor = 0;
	assert_true(engine_loose_next(e, now, 1, &cursor, &out));
	assert_true(flow_tuple_equal(&out.orig, &own.orig));
	assert_false(engine_loose_next(e, now, 1, &cursor, &out));
	cursor = 0;
	assert_false(engine_loose_next(e, now, 1, &cursor, &out)); /* once */
	/* Master again: after the grace it is strict, as the flow was. */
	engine_set_role(e, 0, SYNCMSG_ROLE_ACTIVE, 5, 1, -1, now);
	cursor = 0;
	assert_true(engine_strict_next(e, now, &cursor, &out));
	assert_true(flow_tuple_equal(&out.orig, &own.orig));
	assert_int_equal(out.tcp_flags[0] & FLOW_TCP_BE_LIBERAL, 0);
	assert_false(engine_strict_next(e, now, &cursor, &out));
	free(f.memory);
}

static void test_another_translation_is_another_flow(void **state)
{
	struct fixture f;
	struct engine *e = standby(&f, true);
	struct flow flow = test_flow(1);
	struct engine_op op;

	(void)state;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_NONE);
	expect_op(e, ENGINE_OP_CREATE);
	/* Told by another owner, so that the ids say nothing: an update would leave the old NAT. */
	flow.stamp.term = 4;
	flow.stamp.owner = 3;
	flow.reply.dst_port = 4242;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_NONE);
	expect_op(e, ENGINE_OP_DELETE);
	op = expect_op(e, ENGINE_OP_CREATE);
	assert_int_equal(op.flow.reply.dst_port, 4242);
	/* A mark of whatever was there does not stay. */
	assert_true(op.flow.has & FLOW_HAS_MARK);
	assert_int_equal(op.flow.mark, 0);
	/* The same stamp with another id: the digests would differ for ever. */
	flow.id++;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &flow), ENGINE_DROP_NONE);
	assert_int_equal(table_at(&e->table, op.slot)->id, flow.id);
	free(f.memory);
}

static void test_a_new_life_knows_the_hold_of_the_old_one(void **state)
{
	struct fixture f;
	struct engine *e = active(&f);
	struct flow held = test_flow(1), loose = test_flow(2), out;
	uint32_t cursor = 0, slot, other;

	(void)state;
	held.timeout_s = 400000 + SYNC_HOLD_S;
	held.tcp_flags[0] |= FLOW_TCP_BE_LIBERAL;
	held.tcp_flags[1] |= FLOW_TCP_BE_LIBERAL;
	loose.tcp_flags[0] = loose.tcp_flags[1] = held.tcp_flags[0];
	slot = engine_kernel_upsert(e, now, &held, 0, true);
	other = engine_kernel_upsert(e, now, &loose, 0, true);
	expect_told(e, SYNCMSG_UPSERT, &out);
	assert_int_equal(out.timeout_s, 400000);
	assert_int_equal(out.tcp_flags[0] & FLOW_TCP_BE_LIBERAL, 0);
	assert_true(engine_retime(e, now, slot, 432000, &out));
	assert_int_equal(out.timeout_s, 432000);
	/* What is liberal by itself is left alone. */
	assert_false(engine_retime(e, now, other, 432000, &out));
	assert_true(engine_strict_next(e, now, &cursor, &out));
	assert_false(engine_strict_next(e, now, &cursor, &out));
	free(f.memory);
}

static void test_on_promotion_injects_masters_first(void **state)
{
	struct fixture f;
	struct engine *e = standby(&f, false);
	struct flow child = test_flow(1), master = test_flow(2);
	struct engine_op op;

	(void)state;
	child.has |= FLOW_HAS_MASTER;
	child.master = master.orig;
	assert_int_equal(engine_peer_upsert(e, now, PEER, &child), ENGINE_DROP_NONE);
	assert_int_equal(engine_peer_upsert(e, now, PEER, &master), ENGINE_DROP_NONE);
	expect_no_op(e);
	engine_set_role(e, 0, SYNCMSG_ROLE_ACTIVE, 4, 2, -1, now);
	engine_inject_group(e, 0);
	op = expect_op(e, ENGINE_OP_CREATE);
	assert_int_equal(op.flow.orig.src_port, 2);
	assert_int_equal(op.flow.timeout_s, 432000); /* no hold: we are the master */
	op = expect_op(e, ENGINE_OP_CREATE);
	assert_int_equal(op.flow.orig.src_port, 1);
	free(f.memory);
}

static void test_frozen_tells_nothing(void **state)
{
	struct fixture f;
	struct engine *e = active(&f);
	struct flow flow = test_flow(1);

	(void)state;
	engine_kernel_upsert(e, now, &flow, 0, false);
	engine_set_role(e, 0, SYNCMSG_ROLE_FROZEN, 3, 1, -1, now);
	expect_nothing_told(e);
	flow.mark = 5;
	assert_int_equal(engine_kernel_upsert(e, now, &flow, 0, false), TABLE_NONE);
	engine_kernel_destroy(e, now, &flow);
	assert_int_equal(engine_flow_count(e), 1); /* kept */
	free(f.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes_coalesce),
		cmocka_unit_test(test_partial_events_merge),
		cmocka_unit_test(test_recreated_is_delete_then_create),
		cmocka_unit_test(test_what_nobody_knows_dies_silently),
		cmocka_unit_test(test_standby_injects_held),
		cmocka_unit_test(test_stamps_fence),
		cmocka_unit_test(test_highest_claim_is_the_source),
		cmocka_unit_test(test_tail_of_a_handover),
		cmocka_unit_test(test_sweep_spares_what_is_not_ours),
		cmocka_unit_test(test_former_master_holds_what_the_new_one_tells),
		cmocka_unit_test(test_kernel_refusals),
		cmocka_unit_test(test_clashes_are_settled_by_stamps),
		cmocka_unit_test(test_missing_master_waits_then_goes_without),
		cmocka_unit_test(test_expectations),
		cmocka_unit_test(test_bulk_tells_masters_first),
		cmocka_unit_test(test_retime_only_what_shows_the_hold),
		cmocka_unit_test(test_a_former_masters_own_entries_become_liberal),
		cmocka_unit_test(test_another_translation_is_another_flow),
		cmocka_unit_test(test_a_new_life_knows_the_hold_of_the_old_one),
		cmocka_unit_test(test_on_promotion_injects_masters_first),
		cmocka_unit_test(test_frozen_tells_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
