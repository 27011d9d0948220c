/* What status, the guard and the operator read of a running election, and what they are answered:
 * a pair of the simulator's world, asked from outside. */
#include "checks.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int setup(void **state)
{
	struct world_options o = {.seed = 11,
		.nodes = 2,
		.groups = 1,
		.interfaces = 2,
		.sync_links = 1,
		.advbase_us = 10000,
		.dead_factor = 3,
		.delay_us = 100,
		.stage_us = 1000,
		.withdraw_us = 1000,
		.advskew = {0, 100}};
	struct world *w = world_new(&o);

	world_boot(w, 0, false);
	world_boot(w, 1, false);
	world_run(w, 3000000);
	*state = w;
	return world_master(w, 0, 0) ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;
	const char *failure = checks_failure(w);

	if (failure)
		print_error("%s\n", failure);
	world_free(w);
	return failure ? -1 : 0;
}

static void run_ms(struct world *w, int64_t ms)
{
	world_run(w, w->now + ms * 1000);
}

static void test_group_and_peer(void **state)
{
	struct world *w = *state;
	struct election_group_view own, other;
	struct election_peer_view peer;
	struct election_path_view path;

	election_group_view(&w->nodes[0].election, 0, &own);
	election_group_view(&w->nodes[1].election, 0, &other);
	assert_int_equal(own.state, GROUP_STATE_MASTER);
	assert_int_equal(own.master, 1);
	assert_int_equal(own.reason, REASON_STARTUP);
	assert_int_equal(other.state, GROUP_STATE_BACKUP);
	assert_int_equal(other.master, 1);
	assert_int_equal(other.term.number, own.term.number);
	assert_int_equal(other.term.owner, 1);
	assert_int_equal(other.master_down.us, 33906);
	election_peer_view(&w->nodes[0].election, 0, 0, &peer);
	assert_true(peer.proven && peer.alive && peer.ready);
	assert_int_equal(peer.node, 2);
	assert_int_equal(peer.path_count, 3);
	for (uint8_t i = 0; i < peer.path_count; i++) {
		election_path_view(&w->nodes[0].election, 0, 0, i, &path);
		assert_int_equal(path.path, i);
		assert_true(path.alive && path.heard_by_peer);
		assert_in_range(path.last_ms, 0, 101);
	}
	world_cut(w, 1, 1, 0, 1);
	run_ms(w, 400);
	election_path_view(&w->nodes[0].election, 0, 0, 1, &path);
	assert_false(path.alive);
	assert_true(path.heard_by_peer);
	election_path_view(&w->nodes[1].election, 0, 0, 1, &path);
	assert_true(path.alive);
	assert_false(path.heard_by_peer);
}

static void test_demotions(void **state)
{
	struct world *w = *state;
	struct election_demotion_view view;
	struct election_group_view group;

	assert_false(election_demotion_view(&w->nodes[1].election, 0, 0, &view));
	world_demote(w, 1, 0, "track:dmz0", 50);
	world_carrier(w, 1, 1, 1);
	world_ready(w, 1, 0, false);
	assert_true(election_demotion_view(&w->nodes[1].election, 0, 0, &view));
	assert_string_equal(view.name, "track:dmz0");
	assert_int_equal(view.weight, 50);
	assert_true(mono_is_never(view.expires));
	assert_true(election_demotion_view(&w->nodes[1].election, 0, 1, &view));
	assert_string_equal(view.name, "lan1");
	assert_int_equal(view.weight, 100);
	assert_false(election_demotion_view(&w->nodes[1].election, 0, 2, &view));
	election_group_view(&w->nodes[1].election, 0, &group);
	assert_int_equal(group.demotion, 180);
	world_demote(w, 1, 0, "track:dmz0", 0);
	election_group_view(&w->nodes[1].election, 0, &group);
	assert_int_equal(group.demotion, 130);
}

/* A check that only runs on the master: its demotion outlives mastership, but not for ever. */
static void test_sticky_demotion(void **state)
{
	struct world *w = *state;
	struct election_event event = {.type = ELECTION_EVENT_DEMOTION};
	struct election_demotion_view view;

	event.demotion.name = "script:isp";
	event.demotion.weight = 50;
	event.demotion.when_master = true;
	world_step_node(w, 0, &event);
	assert_true(election_demotion_view(&w->nodes[0].election, 0, 0, &view));
	assert_true(mono_is_never(view.expires));
	run_ms(w, 3000);
	assert_true(world_master(w, 1, 0));
	assert_true(election_demotion_view(&w->nodes[0].election, 0, 0, &view));
	assert_false(mono_is_never(view.expires));
	/* 10 minutes are long for a test; a reload ends it at once. */
	event = (struct election_event){.type = ELECTION_EVENT_RELOAD, .group = ELECTION_ALL};
	event.reload.settle = dur_s(1);
	world_step_node(w, 0, &event);
	assert_false(election_demotion_view(&w->nodes[0].election, 0, 0, &view));
}

/* move: the master's check fails, and what moves the group is neither a death nor an operator. */
static bool move(struct world *w)
{
	uint8_t master = world_master(w, 0, 0) ? 0 : 1;

	world_demote(w, master, 0, "track:isp", 50);
	world_demote(w, (uint8_t)(1 - master), 0, "track:isp", 0);
	run_ms(w, 2000);
	return world_master(w, (uint8_t)(1 - master), 0);
}

static bool is_held(struct world *w)
{
	struct election_group_view view;

	election_group_view(&w->nodes[world_master(w, 0, 0) ? 0 : 1].election, 0, &view);
	return view.held;
}

/* election: damping: as a reload brings it. */
static void test_damping(void **state)
{
	struct election_event event = {.type = ELECTION_EVENT_RELOAD, .group = ELECTION_ALL};
	struct world *w = *state;

	event.reload.settle = dur_s(1);
	event.reload.damping_moves = 5;
	event.reload.damping_within = dur_s(60);
	event.reload.damping_hold = dur_s(10);
	world_step_node(w, 0, &event);
	world_step_node(w, 1, &event);
	for (int i = 0; i < 4; i++)
		assert_true(move(w));
	assert_false(is_held(w));
	/* Fewer than were seen already: the next one is too many. */
	event.reload.damping_moves = 2;
	world_step_node(w, 0, &event);
	world_step_node(w, 1, &event);
	assert_true(move(w));
	assert_true(is_held(w));
	assert_false(move(w));
	run_ms(w, 10000);
	assert_false(is_held(w));
	/* Off. */
	event.reload.damping_moves = 0;
	world_step_node(w, 0, &event);
	world_step_node(w, 1, &event);
	for (int i = 0; i < 6; i++)
		(void)move(w);
	assert_false(is_held(w));
}

static void test_operator(void **state)
{
	struct world *w = *state;

	world_handover(w, 0, 0, 9, false);
	assert_int_equal(w->last_reply.reply, ELECTION_REPLY_UNKNOWN_NODE);
	world_handover(w, 1, 0, 9, false);
	assert_int_equal(w->last_reply.reply, ELECTION_REPLY_UNKNOWN_NODE);
	world_handover(w, 1, 0, 1, false);
	assert_int_equal(w->last_reply.reply, ELECTION_REPLY_OK); /* fw1 has it */
	world_ready(w, 1, 0, false);
	run_ms(w, 20);
	world_handover(w, 1, 0, 2, false);
	run_ms(w, 20);
	assert_int_equal(w->last_reply.reply, ELECTION_REPLY_NOT_READY);
	world_maintenance(w, 0, true, false, 0);
	assert_int_equal(w->last_reply.reply, ELECTION_REPLY_NOT_READY);
	world_ready(w, 1, 0, true);
	run_ms(w, 20);
	/* Two at once: the second is told so; the first is not disturbed. */
	world_handover(w, 0, 0, 2, false);
	world_handover(w, 0, 0, 2, false);
	assert_int_equal(w->last_reply.reply, ELECTION_REPLY_BUSY);
	run_ms(w, 100);
	assert_int_equal(w->last_reply.reply, ELECTION_REPLY_OK);
	assert_true(world_master(w, 1, 0));
	/* Asked while the overlap is on: it waits for its end. */
	world_handover(w, 1, 0, 1, false);
	run_ms(w, 5);
	assert_true(world_master(w, 0, 0));
	world_handover(w, 0, 0, 2, false);
	run_ms(w, 200);
	assert_int_equal(w->last_reply.reply, ELECTION_REPLY_OK);
	assert_true(world_master(w, 1, 0));
	world_power_off(w, 0, false);
	run_ms(w, 500);
	world_maintenance(w, 1, true, false, 0);
	assert_int_equal(w->last_reply.reply, ELECTION_REPLY_LAST_ELIGIBLE);
	world_handover(w, 1, 0, 0, false);
	assert_int_equal(w->last_reply.reply, ELECTION_REPLY_NOT_READY);
}

static void test_guard(void **state)
{
	struct world *w = *state;
	struct election *e = &w->nodes[0].election;
	struct advert advert;
	uint8_t path, bytes[ADVERT_BYTES_MAX];

	assert_int_equal(election_lane_count(e), 3);
	for (uint16_t lane = 0; lane < 3; lane++) {
		election_resignation(e, lane, &advert, &path);
		assert_int_equal(path, lane);
		assert_true(advert.counter == UINT64_MAX);
		assert_true(advert.flags & ADVERT_RESIGN);
		assert_int_equal(advert.successor, 2);
		assert_true(advert.epoch == e->epoch);
		assert_true(advert_encode(&advert, bytes, sizeof(bytes)) > 0);
	}
	assert_int_equal(election_guard_timeout(e).us, 30000);
	world_power_off(w, 1, false);
	run_ms(w, 500);
	assert_int_equal(election_guard_timeout(e).us, 300000);
}

static void test_alarms(void **state)
{
	struct world *w = *state;
	struct election_alarm_view view;

	assert_false(election_alarm_view(&w->nodes[0].election, 0, &view));
	world_power_off(w, 1, false);
	run_ms(w, 500);
	assert_true(election_alarm_view(&w->nodes[0].election, 0, &view));
	assert_string_equal(election_alarm_name(view.code), "NO_READY_PEER");
	assert_false(election_alarm_view(&w->nodes[0].election, 1, &view));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_group_and_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_demotions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sticky_demotion, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_operator, setup, teardown),
		cmocka_unit_test_setup_teardown(test_guard, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alarms, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
