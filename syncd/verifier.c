#include "syncd/verifier.h"

#include "common/io/clock.h"
#include "common/io/log.h"
#include "syncd/core/bits.h"
#include "syncd/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- our kernel ---- */

static uint32_t verifier_on_entry(void *context, const struct flow *flow)
{
	struct verifier *v = context;
	struct engine *e = &v->node->engine;
	int group = node_flow_group(v->node, flow);
	struct flow shown = *flow;
	uint32_t slot, fields;

	if (group == OWNER_IGNORE)
		return TABLE_NONE;
	shown.group_tag = e->groups[group].tag;
	slot = table_find(&e->table, flow);
	if (slot == TABLE_NONE || table_at(&e->table, slot)->flags & TABLE_FLAG_DEAD) {
		verify_list_add(&v->kernel, VERIFY_KERNEL_EXTRA, 0, &shown);
		return slot;
	}
	if (!verify_should_hold(e, slot))
		return slot;
	fields = verify_kernel_fields(e, v->dump.now, slot, flow);
	if (fields)
		verify_list_add(&v->kernel, VERIFY_KERNEL_DIFFERS, fields, &shown);
	return slot;
}

static void verifier_add_missing(struct verifier *v, uint32_t slot)
{
	struct engine *e = &v->node->engine;
	struct flow flow;

	table_load(&e->table, slot, engine_seconds(v->dump.now), &flow);
	flow.group_tag = e->groups[table_at(&e->table, slot)->group].tag;
	verify_list_add(&v->kernel, VERIFY_KERNEL_MISSING, 0, &flow);
}

/* verifier_on_gone: our kernel was asked for it, and does not have it. */
static void verifier_on_gone(void *context, uint32_t slot)
{
	struct verifier *v = context;

	if (verify_should_hold(&v->node->engine, slot))
		verifier_add_missing(v, slot);
}

static void verifier_tell_kernel(struct verifier *v);

static void verifier_stop_reading(struct verifier *v)
{
	kernel_dump_close(&v->dump);
	evloop_timer_set(&v->turn, MONO_NEVER);
	v->reading = false;
}

static void verifier_on_read(void *context)
{
	struct verifier *v = context;
	struct engine *e = &v->node->engine;

	/* What our kernel refused for good was not even asked for. */
	for (uint32_t slot = 0; slot < e->table.high; slot++)
		if (verify_should_hold(e, slot) && !engine_kernel_has(e, slot) &&
			!bit_get(v->dump.shown, slot))
			verifier_add_missing(v, slot);
	verifier_tell_kernel(v);
}

static int verifier_start_reading(struct verifier *v)
{
	int r;

	if (!v->kernel.items)
		v->kernel.items = calloc(VERIFY_LIST_MAX, sizeof(*v->kernel.items));
	if (!v->kernel.items)
		return -ENOMEM;
	v->kernel.count = 0;
	v->kernel.total = 0;
	r = kernel_dump_open(&v->dump, &v->node->engine, &v->node->inject.batch, verifier_on_entry,
		verifier_on_read, v);
	if (r < 0)
		return r;
	v->dump.on_gone = verifier_on_gone;
	r = kernel_dump_start(&v->dump, clock_now(), KERNEL_DUMP_ALL);
	if (r < 0) {
		kernel_dump_close(&v->dump);
		return r;
	}
	v->reading = true;
	evloop_timer_set(&v->turn, clock_now());
	return 0;
}

static void on_turn(void *context)
{
	struct verifier *v = context;

	kernel_dump_turn(&v->dump, clock_now());
	if (kernel_dump_is_running(&v->dump)) {
		evloop_timer_set(&v->turn, mono_add(clock_now(), dur_us(NODE_DUMP_TURN_US)));
		return;
	}
	verifier_stop_reading(v);
	verifier_look(v, clock_now());
}

/* ---- the operator's pass ---- */

static void verifier_free(struct verifier *v)
{
	for (uint8_t peer = 0; peer < v->node->peer_count; peer++) {
		struct verify *asked = &v->node->sessions[peer].verify;

		asked->asking = asked->waiting = asked->finished = false;
		free(v->found[peer].items);
		free(v->named[peer]);
		v->found[peer] = (struct verify_list){0};
		v->named[peer] = NULL;
	}
}

/* verifier_is_told: nobody reads the list of our kernel's differences any more. */
static bool verifier_is_told(const struct verifier *v)
{
	for (uint8_t peer = 0; peer < v->node->peer_count; peer++)
		if (v->node->sessions[peer].verify.kernel)
			return false;
	return !v->running;
}

static void verifier_ask_peer(struct verifier *v, uint8_t peer)
{
	struct session *s = &v->node->sessions[peer];

	v->peers[peer] = VERIFIER_PEER_UNASKED;
	if (s->state != SESSION_STATE_LIVE || s->ours.digest_id != s->theirs.digest_id)
		return;
	v->found[peer].items = calloc(VERIFY_LIST_MAX, sizeof(*v->found[peer].items));
	v->named[peer] = calloc(1, bits_bytes(v->node->engine.config.capacity));
	v->peers[peer] = VERIFIER_PEER_LOST;
	if (!v->found[peer].items || !v->named[peer])
		return;
	v->peers[peer] = VERIFIER_PEER_ASKED;
	verify_start(s, v->number, &v->found[peer], v->named[peer]);
	channel_pump(v->node->channel, peer);
}

int verifier_start(struct verifier *v, void (*on_done)(void *context), void *context)
{
	int r;

	if (v->running || v->reading || !verifier_is_told(v))
		return -EBUSY;
	r = verifier_start_reading(v);
	if (r < 0)
		return r;
	v->running = true;
	v->kernel_done = v->failed = false;
	v->number++;
	v->on_done = on_done;
	v->context = context;
	v->give_up_at = mono_add(clock_now(), dur_ms(VERIFIER_PASS_MS));
	for (uint8_t peer = 0; peer < v->node->peer_count; peer++)
		verifier_ask_peer(v, peer);
	return 0;
}

/* verifier_tell_kernel: the dump has ended: for the peers who asked before it began. */
static void verifier_tell_kernel(struct verifier *v)
{
	v->kernel_done = true;
	v->failed = v->dump.failed;
	for (uint8_t peer = 0; peer < v->node->peer_count; peer++)
		if (v->node->sessions[peer].verify.kernel_asked && !v->failed) {
			verify_kernel_read(&v->node->sessions[peer], &v->kernel);
			channel_pump(v->node->channel, peer);
		}
}

static void verifier_look_at_pass(struct verifier *v, mono_t now)
{
	bool all = v->kernel_done && !v->reading;

	for (uint8_t peer = 0; peer < v->node->peer_count; peer++) {
		if (v->peers[peer] != VERIFIER_PEER_ASKED)
			continue;
		if (v->node->sessions[peer].verify.finished)
			v->peers[peer] = VERIFIER_PEER_DONE;
		else if (mono_reached(now, v->give_up_at))
			v->peers[peer] = VERIFIER_PEER_LOST;
		else
			all = false;
	}
	if (!all)
		return;
	v->on_done(v->context);
	v->running = false;
	verifier_free(v);
}

void verifier_look(struct verifier *v, mono_t now)
{
	bool asked = false;

	if (v->running)
		verifier_look_at_pass(v, now);
	for (uint8_t peer = 0; peer < v->node->peer_count; peer++)
		asked = asked || v->node->sessions[peer].verify.kernel_asked;
	/* Two nodes that verify each other wait for nothing of each other's. */
	if (asked && !v->reading && v->running && !v->failed)
		verifier_tell_kernel(v);
	else if (asked && !v->reading && verifier_is_told(v)) {
		int r = verifier_start_reading(v);

		if (r < 0) {
			errno = -r;
			log_warn("verify: cannot read our kernel's table");
		}
	}
	if (!v->reading && v->kernel.items && !asked && verifier_is_told(v)) {
		free(v->kernel.items);
		v->kernel = (struct verify_list){0};
	}
}

void verifier_peer_closed(struct verifier *v, uint8_t peer)
{
	if (v->running && v->peers[peer] == VERIFIER_PEER_ASKED)
		v->peers[peer] = VERIFIER_PEER_LOST;
}

int verifier_open(struct verifier *v, struct node *node)
{
	memset(v, 0, sizeof(*v));
	v->node = node;
	return evloop_timer_open(&v->turn, node->event, EVLOOP_PRIORITY_CONTROL, on_turn, v);
}

void verifier_close(struct verifier *v)
{
	if (!v->node)
		return;
	if (v->reading)
		verifier_stop_reading(v);
	evloop_timer_close(&v->turn);
	verifier_free(v);
	free(v->kernel.items);
	v->node = NULL;
}
