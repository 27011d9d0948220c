/* The election in the largest cluster that a config may describe, and with three nodes where two
 * are not enough to show a fault. Several cores talk to each other without loss and without delay;
 * the seeded simulator (tests/sim) is where the network is bad. */
#include "carpd/core/election.h"

#include "common/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CROWD_PACKETS_MAX 65536u

struct crowd_packet {
	struct advert advert;
	uint8_t from;
	uint8_t to; /* node id; 0: everybody on the path */
	uint8_t path;
};

struct crowd {
	mono_t now;
	unsigned int node_count;
	struct election *nodes[LIMIT_NODES];
	struct election_actions *actions;
	struct crowd_packet *packets;
	unsigned int packet_count;
	uint32_t actions_most;
	uint32_t random;
	unsigned int master_moves; /* transitions to master, all nodes */
	enum election_reply reply; /* of the last request */
	uint32_t replied;
};

static void crowd_act(struct crowd *crowd, unsigned int node);

static void crowd_step(struct crowd *crowd, unsigned int node, struct election_event event)
{
	event.now = crowd->now;
	for (size_t i = 0; i < sizeof(event.random); i++)
		event.random[i] =
			(uint8_t)((crowd->random = crowd->random * 1103515245u + 12345u) >> 16);
	crowd->actions->count = 0;
	election_step(crowd->nodes[node], &event, crowd->actions);
	if (crowd->actions->count > crowd->actions_most)
		crowd->actions_most = crowd->actions->count;
	crowd_act(crowd, node);
}

static void crowd_act(struct crowd *crowd, unsigned int node)
{
	struct election_event follow[LIMIT_GROUPS];
	unsigned int follow_count = 0;

	for (uint32_t i = 0; i < crowd->actions->count; i++) {
		const struct election_action *action = &crowd->actions->list[i];

		if (action->type == ELECTION_ACTION_SEND) {
			struct crowd_packet *packet = &crowd->packets[crowd->packet_count++];

			assert_true(crowd->packet_count < CROWD_PACKETS_MAX);
			election_advert(crowd->nodes[node], action, &packet->advert);
			packet->from = (uint8_t)node;
			packet->to = action->node;
			packet->path = action->path;
		} else if (action->type == ELECTION_ACTION_PROMOTE) {
			follow[follow_count++] = (struct election_event){
				.type = ELECTION_EVENT_PROMOTED, .group = action->group};
		} else if (action->type == ELECTION_ACTION_DEMOTE) {
			follow[follow_count++] = (struct election_event){
				.type = ELECTION_EVENT_DEMOTED, .group = action->group};
		} else if (action->type == ELECTION_ACTION_TRANSITION) {
			crowd->master_moves += action->new_state == GROUP_STATE_MASTER;
		} else if (action->type == ELECTION_ACTION_REPLY) {
			crowd->reply = action->reply;
			crowd->replied = action->request_id;
		}
	}
	for (unsigned int i = 0; i < follow_count; i++)
		crowd_step(crowd, node, follow[i]);
}

/* crowd_turn: all packets of the turn before arrive everywhere; then every node judges; then 1 ms
 * passes. */
static void crowd_turn(struct crowd *crowd)
{
	unsigned int count = crowd->packet_count;
	struct crowd_packet *packets = calloc(count + 1, sizeof(*packets));

	assert_non_null(packets);
	memcpy(packets, crowd->packets, count * sizeof(*packets));
	crowd->packet_count = 0;
	for (unsigned int i = 0; i < count; i++)
		for (unsigned int node = 0; node < crowd->node_count; node++)
			if (node != packets[i].from &&
				(packets[i].to == 0 || packets[i].to == node + 1))
				crowd_step(crowd, node,
					(struct election_event){.type = ELECTION_EVENT_PACKET,
						.path = packets[i].path,
						.packet = &packets[i].advert});
	free(packets);
	for (unsigned int node = 0; node < crowd->node_count; node++)
		if (mono_reached(crowd->now, election_next_deadline(crowd->nodes[node])))
			crowd_step(
				crowd, node, (struct election_event){.type = ELECTION_EVENT_TIMER});
	crowd->now = mono_add(crowd->now, dur_ms(1));
}

static void crowd_config_node(
	struct election_config_node *node, unsigned int id, uint8_t sync_count)
{
	snprintf(node->name, sizeof(node->name), "fw%u", id);
	node->id = (uint8_t)id;
	node->sync_count = sync_count;
}

/* crowd_config: every group has the same number of interfaces of its own. */
static void crowd_config(struct election_config *config, unsigned int own, unsigned int nodes,
	unsigned int groups, unsigned int interfaces, unsigned int syncs)
{
	memset(config, 0, sizeof(*config));
	crowd_config_node(&config->own, own + 1, (uint8_t)syncs);
	for (unsigned int i = 0; i < nodes; i++)
		if (i != own)
			crowd_config_node(
				&config->peers[config->peer_count++], i + 1, (uint8_t)syncs);
	for (unsigned int g = 0; g < groups; g++) {
		struct election_config_group *group = &config->groups[config->group_count++];

		snprintf(group->name, sizeof(group->name), "g%u", g);
		group->tag = 1000 + g;
		group->vhid = (uint8_t)(1 + g);
		group->advskew = (uint8_t)(own * 20);
		group->ready = true;
		for (unsigned int i = 0; i < interfaces; i++) {
			struct election_config_path *path = &config->paths[config->path_count];

			snprintf(path->name, sizeof(path->name), "if%u-%u", g, i);
			path->tag = 1 + config->path_count;
			group->interfaces[group->interface_count].weight = 100;
			group->interfaces[group->interface_count++].path = config->path_count++;
		}
	}
	for (unsigned int k = 0; k < syncs; k++) {
		struct election_config_path *path = &config->paths[config->path_count];

		snprintf(path->name, sizeof(path->name), "sync%u", k);
		path->tag = 1 + config->path_count++;
		path->sync = true;
	}
	config->advbase = dur_ms(50);
	config->dead_factor = 3;
	config->settle = dur_s(1);
	config->damping_moves = 3;
	config->damping_within = dur_s(60);
	config->damping_hold = dur_s(300);
	config->confirm_questions = 20;
	config->confirm_spacing = dur_ms(1);
	config->key_count = 1;
	config->maintenance_until = MONO_NEVER;
}

static struct crowd *crowd_new(
	unsigned int nodes, unsigned int groups, unsigned int interfaces, unsigned int syncs)
{
	struct election_config *config = calloc(1, sizeof(*config));
	struct crowd *crowd = calloc(1, sizeof(*crowd));

	assert_non_null(config);
	assert_non_null(crowd);
	crowd->now = (mono_t){1000000};
	crowd->node_count = nodes;
	crowd->actions = calloc(1, sizeof(*crowd->actions));
	crowd->packets = calloc(CROWD_PACKETS_MAX, sizeof(*crowd->packets));
	for (unsigned int i = 0; i < nodes; i++) {
		crowd->nodes[i] = calloc(1, sizeof(*crowd->nodes[i]));
		crowd_config(config, i, nodes, groups, interfaces, syncs);
		election_init(crowd->nodes[i], config, 0x1000 + i, crowd->now);
	}
	free(config);
	return crowd;
}

static void crowd_free(struct crowd *crowd)
{
	for (unsigned int i = 0; i < crowd->node_count; i++)
		free(crowd->nodes[i]);
	free(crowd->actions);
	free(crowd->packets);
	free(crowd);
}

static unsigned int crowd_masters(struct crowd *crowd, uint8_t group, unsigned int *ret_node)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < crowd->node_count; i++) {
		struct election_group_view view;

		election_group_view(crowd->nodes[i], group, &view);
		if (view.state == GROUP_STATE_MASTER) {
			*ret_node = i;
			count++;
		}
	}
	return count;
}

/* Eight nodes, 32 groups, 64 interfaces, 4 sync links, all started at the same moment, and their
 * readiness changes all the time: every node has an advert and a challenge due to every peer on
 * every lane, more than one batch holds. */
static void test_largest_cluster_starts(void **state)
{
	struct crowd *crowd = crowd_new(
		LIMIT_NODES, LIMIT_GROUPS, LIMIT_INTERFACES / LIMIT_GROUPS, LIMIT_SYNC_LINKS);
	unsigned int node = 0;

	(void)state;
	for (unsigned int turn = 0; turn < 400; turn++) {
		for (unsigned int i = 0; i < crowd->node_count && turn < 100; i++)
			crowd_step(crowd, i,
				(struct election_event){.type = ELECTION_EVENT_READINESS,
					.group = ELECTION_ALL,
					.readiness = {.ready = turn % 2}});
		crowd_turn(crowd);
	}
	print_message(
		"most actions in one step: %u of %u\n", crowd->actions_most, ELECTION_ACTIONS_MAX);
	for (uint8_t group = 0; group < LIMIT_GROUPS; group++)
		assert_int_equal(crowd_masters(crowd, group, &node), 1);
	crowd_free(crowd);
}

/* The third node asks for a hand-over to "the best": the group moves once, not on and on, although
 * its request is still in its adverts when the new master begins. */
static void test_request_of_a_third_moves_once(void **state)
{
	struct crowd *crowd = crowd_new(3, 1, 2, 1);
	unsigned int node = 9;

	(void)state;
	for (unsigned int turn = 0; turn < 3000; turn++)
		crowd_turn(crowd);
	assert_int_equal(crowd_masters(crowd, 0, &node), 1);
	assert_int_equal(node, 0);
	crowd->master_moves = 0;
	crowd_step(crowd, 2,
		(struct election_event){
			.type = ELECTION_EVENT_HANDOVER, .handover = {.request_id = 7}});
	for (unsigned int turn = 0; turn < 8000; turn++)
		crowd_turn(crowd);
	assert_int_equal(crowd->replied, 7);
	assert_int_equal(crowd->reply, ELECTION_REPLY_OK);
	assert_int_equal(crowd->master_moves, 1);
	assert_int_equal(crowd_masters(crowd, 0, &node), 1);
	assert_int_equal(node, 1);
	crowd_free(crowd);
}

/* What a peer says, however absurd, is no broken invariant: a term at the end of its numbers. */
static void test_last_term_of_all(void **state)
{
	struct crowd *crowd = crowd_new(2, 1, 2, 1);
	struct advert absurd;
	unsigned int node = 9;

	(void)state;
	for (unsigned int turn = 0; turn < 3000; turn++) {
		crowd_turn(crowd);
		for (unsigned int i = 0; i < crowd->packet_count; i++)
			if (crowd->packets[i].from == 1)
				absurd = crowd->packets[i].advert;
	}
	absurd.term.number = UINT64_MAX;
	absurd.counter += 1000;
	for (uint8_t path = 0; path < 3; path++)
		if (crowd->nodes[0]->config.paths[path].tag == absurd.path_tag)
			crowd_step(crowd, 0,
				(struct election_event){.type = ELECTION_EVENT_PACKET,
					.path = path,
					.packet = &absurd});
	crowd_step(crowd, 0,
		(struct election_event){
			.type = ELECTION_EVENT_HANDOVER, .handover = {.request_id = 7}});
	for (unsigned int turn = 0; turn < 8000; turn++)
		crowd_turn(crowd);
	assert_int_equal(crowd_masters(crowd, 0, &node), 1);
	crowd_free(crowd);
}

/* Nobody may hold the group and it stays so: after each judgement there is something to wait for in
 * the future, or the loop would spin, at real-time priority. */
static void test_nobody_left_does_not_spin(void **state)
{
	struct crowd *crowd = crowd_new(2, 1, 2, 1);

	(void)state;
	for (unsigned int turn = 0; turn < 6000; turn++) {
		crowd_turn(crowd);
		for (unsigned int i = 0; i < 4 && turn == 2000; i++)
			crowd_step(crowd, i % 2,
				(struct election_event){
					.type = ELECTION_EVENT_CARRIER, .path = (uint8_t)(i / 2)});
		for (unsigned int i = 0; i < 2 && turn == 4000; i++)
			crowd_step(crowd, i,
				(struct election_event){.type = ELECTION_EVENT_MAINTENANCE,
					.maintenance = {.request_id = 1 + i,
						.on = true,
						.force = true,
						.until = MONO_NEVER}});
		for (unsigned int i = 0; i < 2; i++) {
			unsigned int steps = 0;

			while (mono_reached(crowd->now, election_next_deadline(crowd->nodes[i]))) {
				assert_true(steps++ < 5);
				crowd_step(crowd, i,
					(struct election_event){.type = ELECTION_EVENT_TIMER});
			}
		}
	}
	crowd_free(crowd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_largest_cluster_starts),
		cmocka_unit_test(test_request_of_a_third_moves_once),
		cmocka_unit_test(test_last_term_of_all),
		cmocka_unit_test(test_nobody_left_does_not_spin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
