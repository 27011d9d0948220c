#include "faults.h"

#include "common/check.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define FAULTS_MAX 512u

static const char *const fault_names[] = {
	[FAULT_CUT] = "cut",
	[FAULT_ISOLATE] = "isolate",
	[FAULT_SPLIT] = "split",
	[FAULT_LOSS] = "loss",
	[FAULT_PATH_LOSS] = "path-loss",
	[FAULT_LINK_LOSS] = "link-loss",
	[FAULT_DUP] = "dup",
	[FAULT_JITTER] = "jitter",
	[FAULT_PAUSE] = "pause",
	[FAULT_FREEZE] = "freeze",
	[FAULT_REBOOT] = "reboot",
	[FAULT_KILL] = "kill",
	[FAULT_STOP] = "stop",
	[FAULT_CARRIER] = "carrier",
	[FAULT_PORT] = "port",
	[FAULT_UNPLUG] = "unplug",
	[FAULT_CLOCK] = "clock",
	[FAULT_DRIFT] = "drift",
	[FAULT_NOT_READY] = "not-ready",
	[FAULT_DEMOTE] = "demote",
	[FAULT_STAGES] = "stages-fail",
	[FAULT_LATE] = "late",
	[FAULT_HANDOVER] = "handover",
	[FAULT_BURST] = "burst",
	[FAULT_RELOAD] = "reload",
	[FAULT_MAINTENANCE] = "maintenance",
	[FAULT_REPLAY] = "replay",
};
static_assert(ARRAY_LEN(fault_names) == FAULT_KIND_COUNT, "a fault has no name");

void faults_make(struct world *w, int64_t from, int64_t until)
{
	struct rng r = {w->options.seed ^ 0x6661756c7473u};
	uint8_t lans = (uint8_t)(w->options.groups * w->options.interfaces);

	w->faults = calloc(FAULTS_MAX, sizeof(*w->faults));
	CHECK(w->faults);
	if (w->options.fault_every_us == 0)
		return;
	for (int64_t at = from; w->fault_count < FAULTS_MAX;) {
		struct fault *f = &w->faults[w->fault_count];

		at += 1 + rng_below(&r, (uint32_t)(2 * w->options.fault_every_us));
		if (at >= until - 1000000)
			break;
		f->kind = (enum fault_kind)rng_below(&r, FAULT_KIND_COUNT);
		if (f->kind == FAULT_LATE && !w->options.late)
			f->kind = FAULT_HANDOVER;
		f->at = at;
		f->until =
			at + 1000 + (int64_t)rng_below(&r, rng_chance(&r, 500) ? 300000 : 5000000);
		if (f->until > until)
			f->until = until;
		f->node = (uint8_t)rng_below(&r, w->options.nodes);
		f->other = (uint8_t)((f->node + 1 + rng_below(&r, w->options.nodes - 1u)) %
				     w->options.nodes);
		f->group = (uint8_t)rng_below(&r, w->options.groups);
		f->path = (uint8_t)rng_below(&r, w->path_count);
		if (f->kind == FAULT_CARRIER || f->kind == FAULT_PORT)
			f->path = (uint8_t)rng_below(&r, lans);
		f->value = rng_below(&r, 400);
		f->flag = rng_chance(&r, 500);
		w->fault_count++;
	}
}

void faults_schedule(struct world *w)
{
	for (uint32_t i = 0; i < w->fault_count; i++) {
		struct world_event event = {.type = WORLD_FAULT_BEGIN, .index = i};

		if (w->faults[i].skipped)
			continue;
		event.at = w->faults[i].at;
		world_push(w, &event);
		event.at = w->faults[i].until;
		event.type = WORLD_FAULT_END;
		world_push(w, &event);
	}
}

static void faults_apply_cut(struct world *w, const struct fault *f, int by)
{
	/* value: one path, or every one between the two. */
	for (uint8_t path = 0; path < w->path_count; path++) {
		if (path != f->path && f->value % 3 != 0)
			continue;
		world_cut(w, path, f->node, f->other, by);
		if (f->flag)
			world_cut(w, path, f->other, f->node, by);
	}
}

static void faults_apply_isolate(struct world *w, const struct fault *f, int by)
{
	for (uint8_t path = 0; path < w->path_count; path++)
		for (uint8_t other = 0; other < w->options.nodes; other++) {
			if (other == f->node)
				continue;
			/* value: both ways, only deaf, only dumb. */
			if (f->value % 3 != 1)
				world_cut(w, path, f->node, other, by);
			if (f->value % 3 != 2)
				world_cut(w, path, other, f->node, by);
		}
}

static void faults_apply_split(struct world *w, const struct fault *f, int by)
{
	for (uint8_t path = 0; path < w->path_count; path++)
		for (uint8_t a = 0; a < w->options.nodes; a++)
			for (uint8_t b = 0; b < w->options.nodes; b++)
				if (a != b && (f->value >> a & 1) != (f->value >> b & 1))
					world_cut(w, path, a, b, by);
}

static void faults_apply_links(struct world *w, const struct fault *f, int by)
{
	for (uint8_t path = 0; path < w->path_count; path++)
		for (uint8_t a = 0; a < w->options.nodes; a++)
			for (uint8_t b = 0; b < w->options.nodes; b++) {
				struct world_link *link = &w->links[path][a][b];

				if (f->kind == FAULT_LOSS ||
					(f->kind == FAULT_PATH_LOSS && path == f->path))
					link->loss_per_mille += (uint32_t)by * f->value;
				if (f->kind == FAULT_DUP)
					link->dup_per_mille += (uint32_t)by * f->value;
				if (f->kind == FAULT_JITTER)
					link->extra_jitter_us += by * (w->options.advbase_us / 4) *
								 (int64_t)f->value / 400;
				if (f->kind != FAULT_DUP)
					world_link_changed(w, path, a, b);
			}
}

static void faults_apply_link_loss(struct world *w, const struct fault *f, int by)
{
	w->links[f->path][f->node][f->other].loss_per_mille += (uint32_t)by * (100 + 2 * f->value);
	world_link_changed(w, f->path, f->node, f->other);
}

/* faults_apply_unplug: what a dead switch of the node's own, or its own switch port, does to all it
 * has; value: also to the sync links. */
static void faults_apply_unplug(struct world *w, const struct fault *f, int by)
{
	uint8_t lans = (uint8_t)(w->options.groups * w->options.interfaces);

	for (uint8_t path = 0; path < w->path_count; path++)
		if (path < lans || f->value % 4 != 0)
			world_port(w, f->node, path, by);
}

/* faults_apply_clock: a rate of at most half a percent; a jump so long that it is one. */
static void faults_apply_clock(struct world *w, const struct fault *f, bool begin)
{
	if (f->kind == FAULT_DRIFT)
		world_clock(w, f->node, 0, begin ? (int32_t)f->value * 25 - 5000 : 0);
	else if (begin)
		world_clock(w, f->node, (w->options.advbase_us + 4000) * (1 + f->value % 16), 100);
}

static void faults_apply_replay(struct world *w, const struct fault *f)
{
	struct rng r = {w->options.seed ^ (uint64_t)f->at};

	for (uint32_t i = 0; i < f->value && w->recorded_count > 0; i++) {
		const struct world_packet *packet = &w->recorded[rng_below(&r, w->recorded_count)];
		uint8_t path =
			rng_chance(&r, 200) ? (uint8_t)rng_below(&r, w->path_count) : packet->path;

		world_inject(w, packet, path, (uint8_t)rng_below(&r, w->options.nodes));
	}
}

static void faults_apply_start(struct world *w, uint8_t node, bool with_state)
{
	if (!w->nodes[node].up)
		world_boot(w, node, with_state);
}

static void faults_apply_node(struct world *w, const struct fault *f, bool begin)
{
	switch (f->kind) {
	case FAULT_PAUSE:
	case FAULT_FREEZE:
		if (begin)
			world_pause(w, f->node, f->kind == FAULT_FREEZE);
		else
			world_resume(w, f->node);
		break;
	case FAULT_REBOOT:
	case FAULT_KILL:
		if (begin)
			world_power_off(w, f->node, f->kind == FAULT_KILL);
		else
			faults_apply_start(w, f->node, f->flag);
		break;
	case FAULT_STOP:
		if (begin)
			world_stop(w, f->node);
		break;
	default:
		CHECK(!"not a fault of a node");
	}
}

static void faults_apply_burst(struct world *w, const struct fault *f)
{
	struct rng r = {w->options.seed ^ (uint64_t)f->at};

	for (uint8_t node = 0; node < w->options.nodes; node++) {
		uint8_t target = (uint8_t)rng_below(&r, w->options.nodes + 1u);

		world_handover(w, node, f->group, target, rng_chance(&r, 300));
	}
}

static void faults_apply_operator(struct world *w, const struct fault *f, bool begin)
{
	switch (f->kind) {
	case FAULT_NOT_READY:
		world_ready(w, f->node, f->group, !begin);
		break;
	case FAULT_DEMOTE:
		world_demote(w, f->node, f->group, "track:x", (uint16_t)(begin ? f->value / 2 : 0));
		break;
	case FAULT_STAGES:
		w->nodes[f->node].fails += begin ? 1 : -1;
		w->changed_at = w->now;
		break;
	case FAULT_LATE:
		w->nodes[f->node].late += begin ? 1 : -1;
		w->changed_at = w->now;
		break;
	case FAULT_BURST:
		if (begin)
			faults_apply_burst(w, f);
		break;
	case FAULT_RELOAD:
		world_reload(w, f->node, begin);
		break;
	case FAULT_HANDOVER:
		if (begin)
			world_handover(w, f->node, f->group,
				f->value % 2 ? w->configs[f->other].own.id : 0, f->flag);
		break;
	case FAULT_MAINTENANCE:
		world_maintenance(
			w, f->node, begin, f->flag, f->value % 2 ? 1000 + 10000 * f->value : 0);
		break;
	case FAULT_REPLAY:
		if (begin)
			faults_apply_replay(w, f);
		break;
	default:
		CHECK(!"not an operator's fault");
	}
}

void faults_apply(struct world *w, uint32_t index, bool begin)
{
	const struct fault *f = &w->faults[index];
	int by = begin ? 1 : -1;

	switch (f->kind) {
	case FAULT_CUT:
		faults_apply_cut(w, f, by);
		break;
	case FAULT_ISOLATE:
		faults_apply_isolate(w, f, by);
		break;
	case FAULT_SPLIT:
		faults_apply_split(w, f, by);
		break;
	case FAULT_LOSS:
	case FAULT_PATH_LOSS:
	case FAULT_DUP:
	case FAULT_JITTER:
		faults_apply_links(w, f, by);
		break;
	case FAULT_LINK_LOSS:
		faults_apply_link_loss(w, f, by);
		break;
	case FAULT_UNPLUG:
		faults_apply_unplug(w, f, by);
		break;
	case FAULT_CLOCK:
	case FAULT_DRIFT:
		faults_apply_clock(w, f, begin);
		break;
	case FAULT_CARRIER:
		world_carrier(w, f->node, f->path, by);
		break;
	case FAULT_PORT:
		world_port(w, f->node, f->path, by);
		break;
	case FAULT_PAUSE:
	case FAULT_FREEZE:
	case FAULT_REBOOT:
	case FAULT_KILL:
	case FAULT_STOP:
		faults_apply_node(w, f, begin);
		break;
	case FAULT_NOT_READY:
	case FAULT_DEMOTE:
	case FAULT_STAGES:
	case FAULT_LATE:
	case FAULT_HANDOVER:
	case FAULT_BURST:
	case FAULT_RELOAD:
	case FAULT_MAINTENANCE:
	case FAULT_REPLAY:
		faults_apply_operator(w, f, begin);
		break;
	case FAULT_KIND_COUNT:
		break;
	}
}

const char *faults_render(const struct world *w, uint32_t index, char *text, size_t size)
{
	const struct fault *f = &w->faults[index];

	snprintf(text, size, "#%u %s %.3f..%.3f s node %u other %u group %u path %u value %u%s",
		index, fault_names[f->kind], (double)f->at / 1e6, (double)f->until / 1e6,
		f->node + 1, f->other + 1, f->group, f->path, f->value, f->flag ? " flag" : "");
	return text;
}
