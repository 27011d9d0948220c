#include "carpd/core/paths.h"

#include "carpd/core/carp2_core.h"
#include "carpd/core/election_internal.h"
#include "carpd/core/peers.h"
#include "carpd/core/timers.h"
#include "carpd/core/trace.h"

uint8_t paths_port(const struct election *e, uint8_t path)
{
	const struct model_port *port = &e->ports[path];

	return port->carrier ? port->test : ADVERT_PORT_FAILED;
}

static bool paths_failed(const struct election *e, uint8_t path)
{
	return paths_port(e, path) == ADVERT_PORT_FAILED;
}

uint32_t paths_demotion(const struct election *e, uint8_t group)
{
	const struct election_config_group *config = &e->config.groups[group];
	uint32_t total = 0;

	for (uint8_t i = 0; i < config->interface_count; i++)
		if (paths_failed(e, config->interfaces[i].path))
			total += config->interfaces[i].weight;
	return total;
}

bool paths_fault(const struct election *e, uint8_t group)
{
	const struct election_config_group *config = &e->config.groups[group];

	for (uint8_t i = 0; i < config->interface_count; i++)
		if (!paths_failed(e, config->interfaces[i].path))
			return false;
	return config->interface_count > 0;
}

bool paths_all_well(const struct election *e, uint8_t group)
{
	const struct election_config_group *config = &e->config.groups[group];

	for (uint8_t i = 0; i < config->interface_count; i++)
		if (paths_failed(e, config->interfaces[i].path))
			return false;
	return true;
}

/* paths_judge_lane: whether the lane to that live peer is silent in either direction for longer
 * than chance explains. */
static bool paths_judge_lane(struct election *e, uint8_t group, uint16_t lane, uint8_t peer)
{
	const struct model_lane *l = &e->peers[peer].lanes[lane];
	const struct model_view *view = &e->peers[peer].views[group];
	dur_t silence = peers_silence(e, group, peer);
	mono_t due = mono_add(view->alive_from, silence);
	mono_t deaf_due = mono_add(view->alive_from,
		timers_beacon_down(e->config.advbase, e->config.dead_factor, DUR_ZERO));

	if (e->config.carp2 && !e->config.paths[e->lanes[lane].path].sync)
		return carp2_core_judge_lane(e, group, lane, peer);
	if (peers_lane_alive(e, lane, peer))
		election_wake(e, mono_add(l->heard_at, silence));
	else if (mono_reached(e->now, due))
		return true;
	else
		election_wake(e, due);
	if (l->heard_by_peer)
		return false;
	if (l->was_heard_by_peer || mono_reached(e->now, deaf_due))
		return true;
	election_wake(e, deaf_due);
	return false;
}

/* paths_alone: a group that this node took over hearing nobody, since then, waits for the port's
 * test; else MONO_NEVER. Not before it is master: a test that fails must not end a promotion that
 * is all that the group has. */
static mono_t paths_alone(const struct election *e, uint8_t path)
{
	for (uint8_t group = 0; group < e->config.group_count; group++) {
		const struct election_config_group *config = &e->config.groups[group];

		if (!e->groups[group].doubt || e->groups[group].state != GROUP_STATE_MASTER ||
			peers_any_alive_at(e, group, e->now))
			continue;
		for (uint8_t i = 0; i < config->interface_count; i++)
			if (config->interfaces[i].path == path)
				return e->groups[group].doubt_since;
	}
	return MONO_NEVER;
}

static void paths_judge_probe_tell(struct election *e, uint8_t group, uint8_t path, bool alone)
{
	const char *name = e->config.paths[path].name;

	if (alone)
		trace_line(e, group, "taken over, and nobody is heard",
			TRACE_TEXT("test the own %s", name));
	else
		trace_line(e, group, TRACE_TEXT("%s is silent, the peer lives elsewhere", name),
			"test the own port");
}

/* paths_judge_probe: asks the shell for a test: at once when an episode begins, then every second
 * while it lasts or while the last test failed. A test that began before a takeover proves nothing
 * after it: the next one follows it. */
static void paths_judge_probe(
	struct election *e, uint8_t group, uint8_t path, bool silent, mono_t alone)
{
	struct model_port *port = &e->ports[path];
	mono_t due = mono_add(port->probed_at, dur_ms(PATHS_PROBE_SPACING_MS));
	bool waiting = port->waiting && !mono_reached(e->now, due);

	if ((silent && !port->silent && mono_is_never(alone)) ||
		(!mono_is_never(alone) && port->probed_at.us < alone.us && !waiting))
		port->probed = false;
	port->silent = silent;
	if (!port->carrier || (!silent && port->test != ADVERT_PORT_FAILED))
		return;
	if (!port->probed || mono_reached(e->now, due)) {
		election_append(e, ELECTION_ACTION_PROBE, group)->path = path;
		if (!port->probed)
			paths_judge_probe_tell(e, group, path, !mono_is_never(alone));
		port->probed = true;
		port->waiting = true;
		port->probed_at = e->now;
		due = mono_add(e->now, dur_ms(PATHS_PROBE_SPACING_MS));
	}
	election_wake(e, due);
}

static uint8_t paths_judge_interface(struct election *e, uint8_t group, uint16_t lane)
{
	uint8_t path = e->lanes[lane].path, split = 0;
	struct model_port *port = &e->ports[path];
	mono_t alone = paths_alone(e, path);
	bool silent = false, heard = false;

	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_lane *l = &e->peers[p].lanes[lane];

		if (!peers_alive(e, group, p))
			continue;
		if (peers_lane_alive(e, lane, p))
			heard = true;
		if (!paths_judge_lane(e, group, lane, p))
			continue;
		silent = true;
		if (paths_port(e, path) != ADVERT_PORT_UNTESTED &&
			paths_port(e, path) == l->peer_port)
			split = e->config.peers[p].id;
	}
	silent = silent || !mono_is_never(alone);
	/* Whatever a test said: who receives adverts there and is heard has a living port. */
	if (!silent && (heard || port->test == ADVERT_PORT_PASSED))
		port->test = ADVERT_PORT_UNTESTED;
	paths_judge_probe(e, group, path, silent, alone);
	return split;
}

static void paths_judge_change(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	uint64_t hash = 0xcbf29ce484222325u;

	for (uint16_t lane = g->lane_first; lane < g->lane_first + g->lane_count; lane++) {
		uint64_t word = (uint64_t)paths_port(e, e->lanes[lane].path) << 8;

		for (uint8_t p = 0; p < e->config.peer_count; p++)
			if (peers_lane_alive(e, lane, p))
				word |= 1u << p;
		hash = (hash ^ word) * 0x100000001b3u;
	}
	if (hash != g->heard_hash)
		g->send_now = true;
	g->heard_hash = hash;
}

void paths_judge(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	uint8_t split = 0;

	for (uint16_t lane = g->lane_first; lane < g->lane_first + g->lane_count; lane++)
		if (!e->config.paths[e->lanes[lane].path].sync) {
			uint8_t node = paths_judge_interface(e, group, lane);

			split = node ? node : split;
		}
	paths_judge_change(e, group);
	election_alarm(e, group, ELECTION_ALARM_PATH_SPLIT, split, split != 0);
	election_alarm(e, group, ELECTION_ALARM_FAULT, 0, paths_fault(e, group));
}

void paths_carrier(struct election *e, uint8_t path, bool up)
{
	struct model_port *port = &e->ports[path];

	if (port->carrier == up)
		return;
	port->carrier = up;
	port->test = ADVERT_PORT_UNTESTED;
	port->probed = false;
	if (!up)
		port->failed_at = e->now;
	carp2_core_carrier(e, path, up);
	trace_line(e, ELECTION_ALL,
		TRACE_TEXT("%s: carrier %s", e->config.paths[path].name, up ? "back" : "lost"),
		up ? "port counts again" : "port failed");
}

/* paths_tested_doubt: a working port: the group was not taken over by one who is cut off. */
static void paths_tested_doubt(struct election *e, uint8_t group, uint8_t path)
{
	const struct election_config_group *config = &e->config.groups[group];
	struct model_group *g = &e->groups[group];

	if (e->ports[path].probed_at.us < g->doubt_since.us)
		return;
	for (uint8_t i = 0; g->doubt && i < config->interface_count; i++)
		if (config->interfaces[i].path == path) {
			g->doubt = false;
			g->send_now = true;
		}
}

void paths_tested(struct election *e, uint8_t path, bool passed)
{
	struct model_port *port = &e->ports[path];
	uint8_t test = passed ? ADVERT_PORT_PASSED : ADVERT_PORT_FAILED;

	port->waiting = false;
	for (uint8_t group = 0; passed && group < e->config.group_count; group++)
		paths_tested_doubt(e, group, path);
	/* A late answer to a silence that is over says nothing. */
	if (!port->silent && port->test != ADVERT_PORT_FAILED)
		return;
	if (test == port->test)
		return;
	port->test = test;
	if (!passed)
		port->failed_at = e->now;
	trace_line(e, ELECTION_ALL,
		TRACE_TEXT("%s: own test %s", e->config.paths[path].name,
			passed ? "passed" : "failed"),
		passed ? "not our port" : "port failed");
}
