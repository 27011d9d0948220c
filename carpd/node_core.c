/* The core's lives: what it is told at its start, and what changes about this node meanwhile. */
#include "carpd/node.h"

#include "carpd/readiness.h"
#include "common/check.h"
#include "common/crypto.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void node_core_config_node(struct election_config_node *to, const struct config_node *from)
{
	memcpy(to->name, from->name, sizeof(to->name));
	to->id = from->id;
	to->sync_count = from->address_count;
}

static void node_core_config_group(
	const struct node *node, struct election_config_group *to, const struct config_group *from)
{
	memcpy(to->name, from->name, sizeof(to->name));
	to->tag = from->group_tag;
	to->vhid = from->vhid;
	to->advskew = config_advskew(node->cfg, from, node->self);
	for (uint32_t i = 0; i < from->interface_count; i++) {
		const struct config_interface *interface = &from->interfaces[i];

		if (interface->bring_up)
			continue;
		to->interfaces[to->interface_count].path = interface->path;
		to->interfaces[to->interface_count].weight = interface->weight;
		to->interface_count++;
	}
	to->term_floor = (uint64_t)json_integer_value(json_object_get(node->terms, from->name));
	to->ready = node_not_ready(node, from->index, NULL) == 0;
}

/* node_core_maintenance: what the operator wished in an earlier life, if it still holds. */
static void node_core_maintenance(const struct node *node, struct election_config *config)
{
	const json_t *saved = node->maintenance;
	const json_t *until = json_object_get(saved, "until_us");
	int64_t left_us = 0;

	config->maintenance = json_is_true(json_object_get(saved, "on"));
	config->maintenance_until = MONO_NEVER;
	if (json_is_integer(until)) {
		left_us = json_integer_value(until) - clock_wall_us();
		config->maintenance_until = mono_add(clock_now(), dur_us(left_us));
		if (left_us <= 0)
			config->maintenance = false;
	}
	if (config->maintenance)
		log_notice("maintenance is on, as before the start");
}

static void node_core_config(const struct node *node, struct election_config *config)
{
	const struct config *cfg = node->cfg;

	node_core_config_node(&config->own, node->self);
	for (uint32_t i = 0; i < cfg->node_count; i++)
		if (&cfg->nodes[i] != node->self)
			node_core_config_node(&config->peers[config->peer_count++], &cfg->nodes[i]);
	for (uint32_t i = 0; i < cfg->path_count; i++) {
		memcpy(config->paths[i].name, cfg->paths[i].name, LIMIT_NAME);
		config->paths[i].tag = cfg->paths[i].path_tag;
		config->paths[i].sync = cfg->paths[i].kind == CONFIG_PATH_SYNC;
	}
	config->path_count = (uint8_t)cfg->path_count;
	for (uint32_t i = 0; i < cfg->group_count; i++)
		node_core_config_group(node, &config->groups[i], &cfg->groups[i]);
	config->group_count = (uint8_t)cfg->group_count;
	config->carp2 = cfg->election.wire == CONFIG_WIRE_CARP2;
	config->carp2_strict = cfg->election.counter_strict;
	config->advbase = cfg->election.advbase;
	config->dead_factor = cfg->election.dead_factor;
	config->preempt = cfg->election.preempt;
	config->startup_hold =
		cfg->election.startup_hold_auto ? DUR_ZERO : cfg->election.startup_hold;
	config->settle = cfg->election.settle;
	config->damping_moves = cfg->election.damping.moves;
	config->damping_within = cfg->election.damping.within;
	config->damping_hold = cfg->election.damping.hold;
	config->confirm_questions = config_confirm_questions(cfg);
	config->confirm_spacing = cfg->election.confirm.spacing;
	config->key_count = node->keys.count;
	memcpy(config->keys, node->keys.ids, sizeof(config->keys));
	node_core_maintenance(node, config);
}

static void on_trace(void *context, const struct election_trace *line)
{
	const struct node *node = context;

	log_debug("%s > %s -> %s",
		line->group == ELECTION_ALL ? "node" : node->cfg->groups[line->group].name,
		line->fact, line->decision);
}

int node_core_start(struct node *node)
{
	struct election_config *config = calloc(1, sizeof(*config));
	uint64_t epoch = 0;
	int r = 0;

	if (!node->core)
		node->core = calloc(1, sizeof(*node->core));
	if (!node->actions)
		node->actions = calloc(1, sizeof(*node->actions));
	if (!config || !node->core || !node->actions)
		r = -ENOMEM;
	while (r == 0 && epoch == 0)
		if (crypto_random(&epoch, sizeof(epoch)) != CRYPTO_OK)
			r = -EIO;
	if (r == 0) {
		node_core_config(node, config);
		election_init(node->core, config, epoch, clock_now());
		if (node->options->verbose)
			election_set_trace(node->core, on_trace, node);
		node->event_count = 0;
		node->is_started = true;
		for (uint32_t i = 0; i < node->path_count; i++)
			node_path_carrier(&node->paths[i]);
		for (uint32_t i = 0; i < node->group_count; i++)
			node_fingerprints(node, (uint8_t)i);
		node_readiness(node);
		track_publish(node);
		node_guard_publish(node);
		node_guard_feed(node);
		node_rearm(node);
	}
	free(config);
	return r;
}

/* node_fingerprint: the first 8 bytes, as they travel in adverts. */
static uint64_t node_fingerprint(const uint8_t *bytes)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < 8; i++)
		value = value << 8 | bytes[i];
	return value;
}

void node_fingerprints(struct node *node, uint8_t group)
{
	const struct node_group *own = &node->groups[group];
	struct election_event event = {.type = ELECTION_EVENT_FINGERPRINTS, .group = group};

	event.fingerprints.rules =
		own->has_rules ? node_fingerprint(own->manifest->fingerprint) : 0;
	event.fingerprints.config = node_fingerprint(node->cfg->fingerprint);
	event.fingerprints.addresses = node_fingerprint(own->config->address_fingerprint);
	node_event(node, &event);
}

uint8_t node_not_ready(const struct node *node, uint8_t group, json_t *words)
{
	struct handlers_health health;
	uint8_t bits = 0;

	if (node->cfg->sync.configured && !handlers_has(node->handlers, HANDLERS_SYNCD)) {
		bits |= 1u << READINESS_SYNCD_NOT_REGISTERED;
		if (words)
			(void)json_array_append_new(
				words, json_string(readiness_name(READINESS_SYNCD_NOT_REGISTERED)));
	}
	if (node->groups[group].rules_missing) {
		bits |= 1u << READINESS_RULES_MISSING;
		if (words)
			(void)json_array_append_new(
				words, json_string(readiness_name(READINESS_RULES_MISSING)));
	}
	handlers_health(node->handlers, &health);
	for (unsigned int i = 0; i < health.reason_count; i++) {
		bits |= (uint8_t)(1u << readiness_bit_of(health.reasons[i]));
		if (words)
			(void)json_array_append_new(words, json_string(health.reasons[i]));
	}
	return bits;
}

void node_readiness(struct node *node)
{
	for (uint32_t i = 0; i < node->group_count; i++) {
		struct election_event event = {
			.type = ELECTION_EVENT_READINESS, .group = (uint8_t)i};

		event.readiness.not_ready = node_not_ready(node, (uint8_t)i, NULL);
		event.readiness.ready = event.readiness.not_ready == 0;
		if (!event.readiness.ready && !node->groups[i].is_unready)
			node->groups[i].unready_at = clock_now();
		node->groups[i].is_unready = !event.readiness.ready;
		node_event(node, &event);
	}
}
