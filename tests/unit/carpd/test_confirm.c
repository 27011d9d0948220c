/* Questions and answers of rapid confirmation, seen from the master: each question is answered
 * once, at once, with its nonce, and never by more bytes than it had; what was asked before is no
 * question. When a backup asks and what it makes of silence is told in tests/trace. */
#include "carpd/core/election.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SYNC_PATH 1

static struct election nodes[2];
static struct election_actions actions;
static struct advert last_of[2]; /* on the sync path */
static mono_t now;

static void deliver(unsigned int to, const struct advert *advert, uint8_t path);

/* step: one event; what it sends goes to the other node at once. */
static void step(unsigned int node, struct election_event event)
{
	struct advert sent[32];
	uint8_t paths[32];
	unsigned int count = 0;
	bool promote = false;

	event.now = now;
	memset(event.random, (int)(now.us / 1000), sizeof(event.random));
	actions.count = 0;
	election_step(&nodes[node], &event, &actions);
	for (uint32_t i = 0; i < actions.count; i++) {
		struct election_action *action = &actions.list[i];

		if (action->type == ELECTION_ACTION_SEND) {
			assert_true(count < 32);
			paths[count] = action->path;
			election_advert(&nodes[node], action, &sent[count++]);
		} else if (action->type == ELECTION_ACTION_PROMOTE) {
			promote = true;
		}
	}
	for (unsigned int i = 0; i < count; i++) {
		if (paths[i] == SYNC_PATH)
			last_of[node] = sent[i];
		deliver(1 - node, &sent[i], paths[i]);
	}
	if (promote)
		step(node, (struct election_event){.type = ELECTION_EVENT_PROMOTED});
}

static void deliver(unsigned int to, const struct advert *advert, uint8_t path)
{
	step(to, (struct election_event){
			 .type = ELECTION_EVENT_PACKET, .path = path, .packet = advert});
}

static void configure(struct election_config *config, unsigned int own)
{
	*config = (struct election_config){
		.own = {.name = "fw", .id = (uint8_t)(own + 1), .sync_count = 1},
		.peer_count = 1,
		.path_count = 2,
		.group_count = 1,
		.advbase = dur_ms(10),
		.dead_factor = 3,
		.settle = dur_s(1),
		.damping_moves = 3,
		.damping_within = dur_s(60),
		.damping_hold = dur_s(300),
		.confirm_questions = 5,
		.confirm_spacing = dur_ms(1),
		.key_count = 2,
		.keys = {1, 2},
		.maintenance_until = MONO_NEVER,
	};
	config->peers[0] = (struct election_config_node){
		.name = "peer", .id = (uint8_t)(2 - own), .sync_count = 1};
	config->paths[0] = (struct election_config_path){.name = "lan0", .tag = 70};
	config->paths[1] = (struct election_config_path){.name = "sync0", .tag = 71, .sync = true};
	config->groups[0] = (struct election_config_group){.name = "edge",
		.tag = 90,
		.vhid = 51,
		.advskew = (uint8_t)(100 * own),
		.interface_count = 1,
		.interfaces = {{0, 100}},
		.ready = true};
}

/* start: fw1 is master, fw2 knows that it answers. */
static int start(void **state)
{
	struct election_group_view view;

	(void)state;
	now = (mono_t){1000000};
	for (unsigned int node = 0; node < 2; node++) {
		struct election_config config;

		configure(&config, node);
		election_init(&nodes[node], &config, 77 + node, now);
	}
	for (int turn = 0; turn < 20000; turn++) {
		for (unsigned int node = 0; node < 2; node++)
			if (mono_reached(now, election_next_deadline(&nodes[node])))
				step(node, (struct election_event){.type = ELECTION_EVENT_TIMER});
		now = mono_add(now, dur_us(100));
	}
	election_group_view(&nodes[0], 0, &view);
	assert_int_equal(view.state, GROUP_STATE_MASTER);
	election_group_view(&nodes[1], 0, &view);
	assert_true(view.confirm_armed);
	return 0;
}

static struct advert question(uint8_t nonce)
{
	struct advert advert = last_of[1];

	advert.counter += 1000u + nonce;
	advert.challenge_to = 1;
	memset(advert.challenge, nonce, sizeof(advert.challenge));
	return advert;
}

/* ask: as packets come in: facts alone. */
static void ask(const struct advert *advert)
{
	struct election_event event = {
		.type = ELECTION_EVENT_PACKET, .now = now, .path = SYNC_PATH, .packet = advert};

	actions.count = 0;
	election_step(&nodes[0], &event, &actions);
	assert_int_equal(actions.count, 0);
}

/* answers: judges; the number of answers, the last one in *ret_answer. */
static unsigned int answers(struct advert *ret_answer)
{
	struct election_event event = {.type = ELECTION_EVENT_TIMER, .now = now};
	unsigned int count = 0;

	actions.count = 0;
	election_step(&nodes[0], &event, &actions);
	for (uint32_t i = 0; i < actions.count; i++) {
		if (actions.list[i].type != ELECTION_ACTION_SEND || actions.list[i].echo_to == 0)
			continue;
		election_advert(&nodes[0], &actions.list[i], ret_answer);
		assert_int_equal(actions.list[i].path, SYNC_PATH);
		assert_int_equal(actions.list[i].node, 2);
		count++;
	}
	return count;
}

static void test_once(void **state)
{
	struct advert first = question(1), answer;
	uint64_t replays;

	(void)state;
	ask(&first);
	assert_true(election_asked(&nodes[0]));
	assert_int_equal(answers(&answer), 1);
	assert_memory_equal(answer.echo, first.challenge, sizeof(answer.echo));
	assert_false(election_asked(&nodes[0]));
	/* The same packet once more is a repetition, not a question. */
	replays = nodes[0].drops[ADVERT_DROP_REPLAY];
	ask(&first);
	assert_false(election_asked(&nodes[0]));
	assert_int_equal(nodes[0].drops[ADVERT_DROP_REPLAY], replays + 1);
	assert_int_equal(answers(&answer), 0);
}

static void test_not_for_us(void **state)
{
	struct advert other = question(1), answer;

	(void)state;
	other.challenge_to = 3;
	ask(&other);
	assert_false(election_asked(&nodes[0]));
	assert_int_equal(answers(&answer), 0);
}

/* Ten questions in one buffer: one answer, to the last of them. */
static void test_limit(void **state)
{
	struct advert answer;

	(void)state;
	for (uint8_t nonce = 1; nonce <= 10; nonce++) {
		struct advert advert = question(nonce);

		ask(&advert);
	}
	assert_int_equal(answers(&answer), 1);
	assert_int_equal(answer.echo[0], 10);
}

static void test_never_larger(void **state)
{
	struct advert full = question(1), answer;
	struct election_peer_view peer;

	(void)state;
	ask(&full);
	assert_int_equal(answers(&answer), 1);
	assert_int_equal(advert_size(&answer), advert_size(&full));
	assert_int_equal(answer.key_count, 2);
	/* No room for the key ids, and then for nothing but what is fixed. */
	full = question(2);
	full.key_count = 1;
	ask(&full);
	assert_int_equal(answers(&answer), 1);
	assert_true(advert_size(&answer) <= advert_size(&full));
	assert_int_equal(answer.path_count, 2);
	full = question(3);
	full.key_count = 0;
	full.peer_count = 0;
	full.path_count = 0;
	ask(&full);
	assert_int_equal(answers(&answer), 1);
	assert_int_equal(advert_size(&answer), advert_size(&full));
	/* And who gets it has forgotten nothing. */
	actions.count = 0;
	deliver(1, &answer, SYNC_PATH);
	assert_true(election_peer_accepts_key(&nodes[1], 0, 2));
	assert_false(election_peer_accepts_key(&nodes[1], 0, 3));
	election_peer_view(&nodes[1], 0, 0, &peer);
	assert_true(peer.alive);
	assert_true(nodes[1].peers[0].views[0].hears & 0x80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_once, start),
		cmocka_unit_test_setup(test_not_for_us, start),
		cmocka_unit_test_setup(test_limit, start),
		cmocka_unit_test_setup(test_never_larger, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
