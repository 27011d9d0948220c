/* world_config: a cluster's config, as the shell would fill it from its file. See world.h. */
#include "world.h"

#include <string.h>

static void world_config_group(struct world *w, uint8_t node, uint8_t group)
{
	struct election_config_group *g = &w->configs[node].groups[group];

	memcpy(g->name, (char[3]){'g', (char)('0' + group), 0}, 3);
	g->tag = 0x67000000u + group;
	g->vhid = (uint8_t)(group + 1);
	/* Active-active: the second group prefers the nodes in the opposite order. */
	g->advskew = group % 2 ? w->options.advskew[w->options.nodes - 1 - node]
			       : w->options.advskew[node];
	g->ready = true;
	g->interface_count = w->options.interfaces;
	for (uint8_t i = 0; i < w->options.interfaces; i++) {
		g->interfaces[i].path = (uint8_t)(group * w->options.interfaces + i);
		g->interfaces[i].weight = 100;
	}
}

static void world_config_node(struct election_config_node *n, uint8_t index, uint8_t sync_links)
{
	memcpy(n->name, (char[4]){'f', 'w', (char)('1' + index), 0}, 4);
	n->id = (uint8_t)(index + 1);
	n->sync_count = sync_links;
}

void world_config(struct world *w, uint8_t node)
{
	const struct world_options *o = &w->options;
	struct election_config *c = &w->configs[node];

	world_config_node(&c->own, node, o->sync_links);
	for (uint8_t other = 0; other < o->nodes; other++)
		if (other != node)
			world_config_node(&c->peers[c->peer_count++], other, o->sync_links);
	c->path_count = w->path_count;
	for (uint8_t path = 0; path < w->path_count; path++) {
		bool sync = path >= w->path_count - o->sync_links;
		char digit = (char)('0' + (sync ? path - (w->path_count - o->sync_links) : path));

		memcpy(c->paths[path].name, sync ? "sync" : "lan", sync ? 4 : 3);
		c->paths[path].name[sync ? 4 : 3] = digit;
		c->paths[path].sync = sync;
		c->paths[path].tag = 0x70000000u + path;
	}
	c->group_count = o->groups;
	for (uint8_t group = 0; group < o->groups; group++)
		world_config_group(w, node, group);
	c->carp2 = o->carp2;
	c->carp2_strict = o->carp2_strict;
	c->advbase = dur_us(o->advbase_us);
	c->dead_factor = o->dead_factor;
	c->preempt = o->preempt;
	c->settle = dur_s(1);
	c->damping_moves = 3;
	c->damping_within = dur_s(60);
	c->damping_hold = dur_s(300);
	c->confirm_questions = o->confirm_questions;
	c->confirm_spacing = dur_us(o->confirm_spacing_us);
	c->key_count = 1;
	c->keys[0] = 1;
	c->maintenance_until = MONO_NEVER;
}
