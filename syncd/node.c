#include "syncd/node.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/sysctl.h"
#include "syncd/health.h"
#include "syncd/life.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

/* What the old master had sent before it died is read before a promotion is answered, for so long.
 */
#define NODE_DRAIN_US	  2000
#define NODE_DRAIN_EVENTS 1000000u
#define NODE_INJECT_RUN	  8192u

bool node_is_active(const struct node *node)
{
	return engine_any_active(&node->engine);
}

/* ---- telling the peers ---- */

static void node_pump_all(struct node *node)
{
	bool bulk = false;

	for (uint8_t peer = 0; peer < node->peer_count; peer++) {
		if (node->sessions[peer].state == SESSION_STATE_IDLE)
			continue;
		channel_pump(node->channel, peer);
		bulk = bulk || session_bulk_running(&node->sessions[peer]);
	}
	if (bulk && !node->coalescing) {
		node->coalescing = true;
		evloop_timer_set(&node->coalesce, mono_add(clock_now(), dur_ms(SYNC_BULK_TURN_MS)));
	}
}

static uint32_t node_waiting(const struct node *node)
{
	uint32_t most = 0;

	for (uint8_t peer = 0; peer < node->peer_count; peer++)
		if (node->engine.consumers[peer].dirty.count > most)
			most = node->engine.consumers[peer].dirty.count;
	return most;
}

/* node_coalesce: a few changes wait a moment for company: one TLS record for all of them. */
static void node_coalesce(struct node *node)
{
	uint32_t waiting = node_waiting(node);

	if (waiting == 0)
		return;
	if (waiting >= SYNC_COALESCE_RECORDS) {
		node_pump_all(node);
		return;
	}
	if (node->coalescing)
		return;
	node->coalescing = true;
	evloop_timer_set(&node->coalesce, mono_add(clock_now(), dur_us(SYNC_COALESCE_US)));
}

static void on_coalesce(void *context)
{
	struct node *node = context;

	node->coalescing = false;
	node_pump_all(node);
}

/* ---- our kernel ---- */

int node_flow_group(struct node *node, const struct flow *flow)
{
	if (flow_is_expectation(flow)) {
		int group = engine_master_group(&node->engine, flow);

		return group < 0 ? OWNER_IGNORE : group;
	}
	return owner_group(&node->owner, flow);
}

static void on_kernel_event(void *context, enum kernel_event type, const struct flow *flow)
{
	struct node *node = context;
	mono_t now = node->inject.now;
	int group;

	if (type == KERNEL_EVENT_DESTROY) {
		engine_kernel_destroy(&node->engine, now, flow);
		return;
	}
	group = node_flow_group(node, flow);
	if (group == OWNER_IGNORE)
		return;
	(void)engine_kernel_upsert(&node->engine, now, flow, (uint8_t)group, false);
	if (flow_is_expectation(flow))
		kernel_reread_add(&node->reread, &flow->master, flow->zone);
}

static void on_reread(void *context, const struct flow *flow)
{
	struct node *node = context;
	int group = node_flow_group(node, flow);

	if (group != OWNER_IGNORE)
		(void)engine_kernel_upsert(
			&node->engine, node->inject.now, flow, (uint8_t)group, true);
}

static bool on_may_delete(void *context, const struct flow *flow)
{
	return node_flow_group(context, flow) != OWNER_IGNORE;
}

static uint32_t node_read_events(struct node *node, uint32_t events_max)
{
	uint32_t count;

	node->inject.now = clock_now();
	count = kernel_events_read(&node->events, events_max);
	kernel_reread_run(&node->reread);
	return count;
}

/* node_hear: whether epoll tells of events. */
static void node_hear(struct node *node, bool on)
{
	evloop_set(
		sd_event_source_set_enabled(node->events_source, on ? SD_EVENT_ON : SD_EVENT_OFF));
}

static int on_events(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct node *node = context;

	(void)source;
	(void)fd;
	(void)events;
	if (node_read_events(node, SYNC_EVENTS_PER_TURN) >= SYNC_EVENTS_PER_TURN) {
		/* A backlog: on at once, but with turns for the peers; the tick, which judges
		 * losses, comes after all of it, having a lower priority. */
		node_coalesce(node);
		return 0;
	}
	node_hear(node, false);
	evloop_timer_set(&node->gather, mono_add(clock_now(), dur_us(SYNC_GATHER_US)));
	return 0;
}

/* on_gather: after the first event the socket is not watched but read at intervals, until it is
 * found empty: a wake-up costs more than the work on an event, and peers are told in whole batches:
 * a TLS record, a segment, an acknowledgement. */
static void on_gather(void *context)
{
	struct node *node = context;
	uint32_t count = node->events.joined ? node_read_events(node, SYNC_EVENTS_PER_TURN) : 0;

	node_pump_all(node);
	if (count == 0 || count >= SYNC_EVENTS_PER_TURN)
		node_hear(node, true);
	else
		evloop_timer_set(&node->gather, mono_add(clock_now(), dur_us(SYNC_GATHER_US)));
}

/* node_inject: all that is waiting. A long run (mode on-promotion) lets the peers know in between
 * that we live. */
static void node_inject(struct node *node)
{
	while (inject_run(&node->inject, clock_now(), NODE_INJECT_RUN) == NODE_INJECT_RUN)
		node_pump_all(node);
}

static void node_start_dump(struct node *node, enum kernel_dump_scope scope)
{
	int r = kernel_dump_start(&node->dump, clock_now(), scope);

	if (r < 0) {
		errno = -r;
		log_warn("cannot start a conntrack dump");
		return;
	}
	evloop_timer_set(&node->dump_turn, clock_now());
}

static bool node_entry_is_held(const struct flow *flow)
{
	if (flow->timeout_s < SYNC_HOLD_S)
		return false;
	/* Only an established TCP flow may have more than a day by itself; ours are liberal. */
	if ((flow->has & FLOW_HAS_TCP) == 0)
		return true;
	return flow->tcp_flags[0] & flow->tcp_flags[1] & FLOW_TCP_BE_LIBERAL;
}

static uint32_t on_dump_entry(void *context, const struct flow *flow)
{
	struct node *node = context;
	struct engine *e = &node->engine;
	int group = node_flow_group(node, flow);
	uint32_t slot;

	if (group == OWNER_IGNORE)
		return TABLE_NONE;
	if (e->groups[group].role == SYNCMSG_ROLE_ACTIVE) {
		slot = engine_kernel_upsert(e, node->dump.now, flow, (uint8_t)group, true);
		if (slot != TABLE_NONE && !flow_is_expectation(flow))
			retime_entry(&node->retime, node->dump.now, slot, flow);
		return slot;
	}
	if (e->adopting && node_entry_is_held(flow))
		engine_adopt(e, node->dump.now, flow, (uint8_t)group);
	return table_find(&e->table, flow);
}

static void on_dump_end(void *context)
{
	struct node *node = context;

	retime_flush(&node->retime);
	if (node->engine.adopting) {
		node->engine.adopting = false;
		/* What a source began meanwhile was not taken: with everything known, from the
		 * start. */
		for (uint8_t peer = 0; peer < node->peer_count; peer++)
			session_want_again(&node->sessions[peer]);
		log_info(
			"%u entries of an earlier life are held", engine_flow_count(&node->engine));
	}
	node_inject(node); /* what was evicted is created again */
	node_pump_all(node);
	health_report(node);
}

/* on_dump_turn: paced: nothing waits for a dump but an adopting standby, and a table of a million
 * must not take a CPU of its own. */
static void on_dump_turn(void *context)
{
	struct node *node = context;

	kernel_dump_turn(&node->dump, clock_now());
	retime_flush(&node->retime);
	if (kernel_dump_is_running(&node->dump))
		evloop_timer_set(
			&node->dump_turn, mono_add(clock_now(), dur_us(NODE_DUMP_TURN_US)));
	node_coalesce(node);
}

/* on_loosen: in short turns, so that a promotion that comes meanwhile does not wait. */
static void on_loosen(void *context)
{
	struct node *node = context;

	if (retime_loosen(&node->retime, clock_now(), NODE_LOOSEN_TURN))
		evloop_timer_set(&node->loosen, clock_now());
}

static int on_owner_change(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct node *node = context;

	(void)source;
	(void)fd;
	(void)events;
	owner_on_change(&node->owner);
	return 0;
}

/* ---- peers ---- */

static void node_after_step(struct node *node, uint8_t peer, const struct session_update *update)
{
	const char *name = channel_peer_node(node->cfg, peer)->name;

	node->swept += update->swept_count;
	if (update->compared && (update->differing || update->swept_count))
		log_notice("peer %s: %u of %u parts of the table differed: repaired: %u flows "
			   "here, %u swept",
			name, update->differing, DIGEST_BUCKETS, engine_flow_count(&node->engine),
			update->swept_count);
	else if (update->transfers_ended && !update->compared)
		log_notice("peer %s: full transfer ended: %u flows here, %u swept", name,
			engine_flow_count(&node->engine), update->swept_count);
	for (uint8_t group = 0; group < node->cfg->group_count; group++)
		if (update->tails_ended >> group & 1) {
			node->groups[group].tail_open = false;
			/* What the tail brought was held like the rest. */
			node_start_dump(node, KERNEL_DUMP_KNOWN);
		}
	if (update->error == SESSION_OK)
		return;
	log_warnx("peer %s: session ended: %s%s%s", name, session_error_name(update->error),
		update->error == SESSION_BAD_MESSAGE ? ": " : "",
		update->error == SESSION_BAD_MESSAGE ? syncmsg_error_name(update->message_error)
						     : "");
	channel_drop(node->channel, peer, CHANNEL_REASON_SESSION);
}

static void node_step(struct node *node, uint8_t peer, enum session_event_type type,
	const uint8_t *data, size_t size_bytes, struct session_update *update)
{
	struct session_event event = {
		.type = type, .now = clock_now(), .data = data, .size_bytes = size_bytes};

	session_step(&node->sessions[peer], &node->engine, &event, update);
}

static void on_peer_open(void *context, uint8_t peer)
{
	struct node *node = context;
	struct session_update update;

	node_step(node, peer, SESSION_EVENT_OPENED, NULL, 0, &update);
}

static size_t on_peer_bytes(void *context, uint8_t peer, const uint8_t *data, size_t size_bytes)
{
	struct node *node = context;
	struct session_update update;

	node_step(node, peer, SESSION_EVENT_BYTES, data, size_bytes, &update);
	node_inject(node);
	node_after_step(node, peer, &update);
	if (update.claims_changed || update.transfers_ended || update.went_live)
		health_report(node);
	verifier_look(&node->verifier, clock_now());
	return update.consumed_bytes;
}

static size_t on_peer_fill(void *context, uint8_t peer, struct wbuf *w)
{
	struct node *node = context;

	return session_fill(&node->sessions[peer], &node->engine, clock_now(), w);
}

static void on_peer_close(void *context, uint8_t peer)
{
	struct node *node = context;
	struct session_update update;

	verifier_peer_closed(&node->verifier, peer);
	node_step(node, peer, SESSION_EVENT_CLOSED, NULL, 0, &update);
	health_report(node);
}

static void node_tell_roles(struct node *node)
{
	for (uint8_t peer = 0; peer < node->peer_count; peer++)
		session_tell_roles(&node->sessions[peer], UINT32_MAX);
	node_pump_all(node);
}

void node_resync(struct node *node)
{
	engine_retell(&node->engine);
	if (node_is_active(node))
		node_start_dump(node, KERNEL_DUMP_ALL);
	for (uint8_t peer = 0; peer < node->peer_count; peer++) {
		session_want_again(&node->sessions[peer]);
		session_serve_again(&node->sessions[peer], &node->engine);
	}
	node_pump_all(node);
}

/* ---- roles ---- */

static int node_group_index(const struct node *node, const char *name)
{
	const struct config_group *group = config_group_lookup(node->cfg, name);

	return group ? group->index : -1;
}

static int node_peer_index(const struct node *node, const char *name)
{
	if (!name)
		return -1;
	for (uint8_t peer = 0; peer < node->peer_count; peer++)
		if (strcmp(channel_peer_node(node->cfg, peer)->name, name) == 0)
			return peer;
	return -1;
}

static const char *node_join(struct node *node)
{
	int r = node->events.joined ? 0 : kernel_events_join(&node->events);

	if (r == 0)
		return NULL;
	errno = -r;
	log_error("cannot join the conntrack event groups");
	return "cannot join the conntrack event groups";
}

static void node_leave_if_idle(struct node *node)
{
	if (!node->events.joined || node_is_active(node))
		return;
	kernel_events_leave(&node->events);
	/* What came in between belongs to nobody. */
	(void)node_read_events(node, NODE_DRAIN_EVENTS);
}

/* node_become_source: the critical path of a promotion. Returns an error for carpd, or NULL. */
static const char *node_become_source(
	struct node *node, uint8_t group, uint32_t term, uint8_t term_owner, const char *from)
{
	mono_t began_at = clock_now();
	int tail = node_peer_index(node, from);
	int source = engine_source(&node->engine, group);
	const char *error;

	/* The source's last words count as a tail: only what is new is injected. A dead master's
	 * end with this drain; in a hand-over they go on until its end mark. */
	engine_set_role(&node->engine, group, SYNCMSG_ROLE_ACTIVE, term, term_owner,
		tail >= 0 ? tail : source, began_at);
	if (source >= 0)
		channel_drain(
			node->channel, (uint8_t)source, mono_add(began_at, dur_us(NODE_DRAIN_US)));
	if (tail < 0)
		engine_tail_ended(&node->engine, group);
	if (node->cfg->sync.mode == CONFIG_SYNC_MODE_ON_PROMOTION)
		engine_inject_group(&node->engine, group);
	node_inject(node);
	/* Only now: no packet comes before the answer, and our own creates make no events. */
	error = node_join(node);
	node->groups[group].tail_open = tail >= 0;
	node->promotions++;
	node->promotion_us = mono_diff(clock_now(), began_at).us;
	return error;
}

/* node_after_promotion: what need not be waited for. */
static void node_after_promotion(struct node *node, uint8_t group, enum kernel_dump_scope scope)
{
	retime_promoted(&node->retime, clock_now(), node->cfg->sync.liberal_grace);
	node_tell_roles(node);
	node_start_dump(node, scope);
	log_notice("group %s: source: %u flows, in the kernel after %lld us",
		node->cfg->groups[group].name, engine_flow_count(&node->engine),
		(long long)node->promotion_us);
}

/* node_become_standby: the tail goes out with its end mark behind it. */
static void node_become_standby(
	struct node *node, uint8_t group, enum syncmsg_role role, uint32_t term, uint8_t term_owner)
{
	struct engine_group *g = &node->engine.groups[group];
	bool was_active = g->role == SYNCMSG_ROLE_ACTIVE;
	uint32_t old_term = g->term;
	uint8_t old_owner = g->term_owner;

	if (was_active)
		(void)node_read_events(node, NODE_DRAIN_EVENTS);
	/* The tail must be on its way before a freeze holds it back. */
	if (was_active)
		node_pump_all(node);
	engine_set_role(&node->engine, group, role, term, term_owner, -1, clock_now());
	node->groups[group].tail_open = false;
	if (was_active) {
		node_leave_if_idle(node);
		retime_demoted(&node->retime, group);
		evloop_timer_set(&node->loosen, clock_now());
		for (uint8_t peer = 0; peer < node->peer_count; peer++)
			session_end_tail(
				&node->sessions[peer], &node->engine, group, old_term, old_owner);
		log_notice("group %s: %s", node->cfg->groups[group].name, syncmsg_role_name(role));
	}
	node_tell_roles(node);
}

/* node_adopt: before the first source is heard, a standby looks for what it had injected in an
 * earlier life: otherwise nothing would ever sweep it. */
static void node_adopt(struct node *node, uint8_t group)
{
	if (node->groups[group].held_dumped)
		return;
	for (uint32_t i = 0; i < node->cfg->group_count; i++)
		node->groups[i].held_dumped = true;
	if (node->born_empty)
		return;
	node->engine.adopting = true;
	node_start_dump(node, KERNEL_DUMP_ALL);
}

static void on_role(void *context, const struct carpd_role *role)
{
	struct node *node = context;
	int group = node_group_index(node, role->group);
	enum syncmsg_role ours;
	struct engine_group *g;

	if (group < 0)
		return;
	g = &node->engine.groups[group];
	ours = g->role;
	snprintf(node->groups[group].master, sizeof(node->groups[group].master), "%s",
		role->master ? role->master : "");
	if (strcmp(role->state, "master") == 0) {
		/* A restart of syncd or carpd on a living master. */
		if (ours != SYNCMSG_ROLE_ACTIVE) {
			node->groups[group].held_dumped = true;
			(void)node_become_source(node, (uint8_t)group, role->term, role->term_owner,
				NULL); /* logged there */
			node_after_promotion(node, (uint8_t)group, KERNEL_DUMP_ALL);
		} else if (g->term != role->term) {
			g->term = role->term;
			g->term_owner = role->term_owner;
			node_tell_roles(node);
		}
	} else if (strcmp(role->state, "promoting") != 0 && strcmp(role->state, "demoting") != 0) {
		if (ours != SYNCMSG_ROLE_STANDBY)
			node_become_standby(node, (uint8_t)group, SYNCMSG_ROLE_STANDBY, role->term,
				role->term_owner);
		node_adopt(node, (uint8_t)group);
	}
	health_report(node);
}

static void node_stop_if_idle(struct node *node)
{
	if (node->stopping && !node_is_active(node))
		(void)sd_event_exit(node->event, 0);
}

static void on_transition(void *context, const struct carpd_transition *transition)
{
	struct node *node = context;
	int group = node_group_index(node, transition->group);
	const char *error = NULL;

	if (group < 0) {
		carpd_client_done(&node->carpd, transition->id, "no such group here");
		return;
	}
	if (transition->to_master) {
		/* What a source had is all that a standby's kernel has; without one, nobody
		 * knows what was there before us. */
		bool known = transition->other || engine_source(&node->engine, (uint8_t)group) >= 0;

		error = node_become_source(node, (uint8_t)group, transition->term,
			transition->term_owner, transition->other);
		carpd_client_done(&node->carpd, transition->id, error);
		node->groups[group].held_dumped = true;
		node_after_promotion(
			node, (uint8_t)group, known ? KERNEL_DUMP_KNOWN : KERNEL_DUMP_ALL);
	} else {
		node_become_standby(node, (uint8_t)group, SYNCMSG_ROLE_STANDBY, transition->term,
			transition->term_owner);
		carpd_client_done(&node->carpd, transition->id, NULL);
		node->groups[group].held_dumped = true;
	}
	health_report(node);
	node_stop_if_idle(node);
}

static void on_carpd_registered(void *context)
{
	struct node *node = context;

	node->health[0] = '\0'; /* tell it anew */
	health_report(node);
}

static void on_carpd_lost(void *context)
{
	struct node *node = context;

	for (uint8_t group = 0; group < node->cfg->group_count; group++) {
		node->groups[group].master[0] = '\0';
		node_become_standby(node, group, SYNCMSG_ROLE_FROZEN,
			node->engine.groups[group].term, node->engine.groups[group].term_owner);
	}
	node_stop_if_idle(node);
}

/* ---- time ---- */

static uint32_t node_sysctl(const char *name)
{
	int64_t value;

	return sysctl_read(name, &value) < 0 || value < 0 || value > UINT32_MAX ? 0
										: (uint32_t)value;
}

static void node_tick_fill(struct node *node, mono_t now)
{
	if (!mono_reached(now, node->fill_at))
		return;
	node->fill_at = mono_add(now, dur_ms(NODE_FILL_MS));
	node->kernel_count = node_sysctl("net/netfilter/nf_conntrack_count");
	node->kernel_max = node_sysctl("net/netfilter/nf_conntrack_max");
	node->fill_percent =
		node->kernel_max ? (uint32_t)((uint64_t)node->kernel_count * 100 / node->kernel_max)
				 : 0;
	if (node->fill_percent <= NODE_EVICTING_PERCENT || node_is_active(node) ||
		!mono_reached(now, node->check_at))
		return;
	node->check_at = mono_add(now, dur_ms(NODE_CHECK_MS));
	node_start_dump(node, KERNEL_DUMP_KNOWN);
}

static void node_tick_dumps(struct node *node, mono_t now)
{
	uint32_t lost = node->events.joined ? kernel_events_lost(&node->events) : 0;

	if (lost) {
		log_warnx("%u kernel events lost: comparing with a dump", lost);
		node->repairs++;
		if (mono_is_never(node->repair_at))
			node->repair_at = mono_max(
				now, mono_add(node->dump.started_at, dur_ms(NODE_REPAIR_MS)));
	}
	if (mono_reached(now, node->repair_at) && !kernel_dump_is_running(&node->dump)) {
		node->repair_at = MONO_NEVER;
		/* What waits is older than the dump: read after it, it would make what ended seem
		 * alive. */
		(void)node_read_events(node, NODE_DRAIN_EVENTS);
		node_start_dump(node, KERNEL_DUMP_ALL);
	}
	if (mono_reached(now, node->refresh_at)) {
		node->refresh_at = mono_add(now, dur_ms(NODE_REFRESH_MS));
		if (node_is_active(node))
			node_start_dump(node, KERNEL_DUMP_ALL);
	}
}

static void node_tick_tails(struct node *node, mono_t now)
{
	for (uint8_t group = 0; group < node->cfg->group_count; group++) {
		struct engine_group *g = &node->engine.groups[group];

		if (!node->groups[group].tail_open || !mono_reached(now, g->tail_until))
			continue;
		log_warnx("group %s: the old master's tail had no end mark",
			node->cfg->groups[group].name);
		node->groups[group].tail_open = false;
		engine_tail_ended(&node->engine, group);
		node_start_dump(node, KERNEL_DUMP_KNOWN);
	}
}

static void on_tick(void *context)
{
	struct node *node = context;
	mono_t now = clock_now();
	struct session_update update;

	for (uint8_t peer = 0; peer < node->peer_count; peer++) {
		if (node->sessions[peer].state == SESSION_STATE_IDLE)
			continue;
		node_step(node, peer, SESSION_EVENT_TIMER, NULL, 0, &update);
		node_after_step(node, peer, &update);
	}
	node_tick_fill(node, now);
	node_tick_dumps(node, now);
	node_tick_tails(node, now);
	(void)retime_strict(&node->retime, now, NODE_STRICT_TURN); /* the rest at the next tick */
	node_inject(node);
	node_pump_all(node);
	verifier_look(&node->verifier, now);
	health_report(node);
	evloop_timer_set(&node->tick, mono_add(now, dur_ms(NODE_TICK_MS)));
}

static void on_stop_late(void *context)
{
	struct node *node = context;

	log_warnx("still the source after %d ms: stopping all the same", NODE_STOP_MS);
	(void)sd_event_exit(node->event, 0);
}

void node_stop(struct node *node)
{
	node->stopping = true;
	if (node_is_active(node))
		log_notice("still the source: waiting for carpd to become backup");
	evloop_timer_set(&node->stop, mono_add(clock_now(), dur_ms(NODE_STOP_MS)));
	node_stop_if_idle(node);
}

/* ---- life ---- */

static uint32_t node_capacity(const struct node *node)
{
	uint64_t flows = node->cfg->sync.max_flows ? node->cfg->sync.max_flows : node->kernel_max;

	/* A little more: deleted flows stay until every peer is told. */
	flows += flows / 8;
	if (flows < SYNC_FLOWS_MAX_MIN)
		flows = SYNC_FLOWS_MAX_MIN;
	return flows > SYNC_FLOWS_MAX_MAX ? SYNC_FLOWS_MAX_MAX : (uint32_t)flows;
}

static int node_open_engine(struct node *node, const char *runtime_dir)
{
	struct engine_config config = {.self = node->cfg->self->id,
		.peer_count = node->peer_count,
		.group_count = (uint8_t)node->cfg->group_count,
		.life = life_load(runtime_dir),
		.capacity = node_capacity(node),
		/* Faster than any kernel makes events, so a restart never falls behind. */
		.first_sequence = (uint64_t)clock_now().us / 4,
		.warm = node->cfg->sync.mode == CONFIG_SYNC_MODE_WARM};
	struct syncmsg_hello hello = {.version = SYNCMSG_VERSION,
		.node_id = node->cfg->self->id,
		.life = config.life,
		.flows_max = node->kernel_max,
		.buckets = node->kernel_buckets,
		.digest_id = node->ring->keys[0].id,
		.names_max = config.capacity};

	for (uint8_t group = 0; group < config.group_count; group++)
		config.group_tags[group] = node->cfg->groups[group].group_tag;
	if (crypto_random(&hello.epoch, sizeof(hello.epoch)) != CRYPTO_OK)
		return -EIO;
	/* Whoever has this key cuts the table alike, and gets the same digests. */
	digest_key_init(&config.digest_key, node->ring->keys[0].digest);
	memcpy(&config.seed, config.digest_key.secret, sizeof(config.seed));
	snprintf(hello.cluster, sizeof(hello.cluster), "%s", node->cfg->cluster);
	/* Address space alone: pages come as flows come (table.h). */
	node->arena_bytes = engine_bytes(config.capacity, node->peer_count);
	node->arena = mmap(NULL, node->arena_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (node->arena == MAP_FAILED) {
		node->arena = NULL;
		return -errno;
	}
	engine_init(&node->engine, &config, node->arena);
	for (uint8_t peer = 0; peer < node->peer_count; peer++)
		session_init(&node->sessions[peer], peer, &hello,
			channel_peer_node(node->cfg, peer)->id);
	return 0;
}

static int node_open_kernel(struct node *node)
{
	int r = inject_open(&node->inject, &node->engine);

	node->inject.may_delete = on_may_delete;
	node->inject.context = node;
	if (r == 0)
		r = kernel_events_open(
			&node->events, inject_port(&node->inject), on_kernel_event, node);
	if (r == 0)
		r = kernel_dump_open(&node->dump, &node->engine, &node->inject.batch, on_dump_entry,
			on_dump_end, node);
	if (r == 0)
		r = kernel_reread_open(&node->reread, on_reread, node);
	if (r == 0)
		r = owner_open(&node->owner, node->cfg);
	if (r < 0)
		return r;
	retime_init(&node->retime, &node->inject.batch, &node->engine);
	/* Without it entries that are born while nobody listens never tell anything (facts 2.2). */
	r = sysctl_ensure("net/netfilter/nf_conntrack_events", 1);
	if (r < 0) {
		errno = -r;
		log_warn("cannot set nf_conntrack_events=1: quiet flows are seen by dumps alone");
	}
	return 0;
}

static int node_open_sources(struct node *node)
{
	int r = sd_event_add_io(node->event, &node->events_source, nl_fd(&node->events.nl), EPOLLIN,
		on_events, node);

	if (r >= 0)
		r = sd_event_add_io(node->event, &node->owner_source,
			owner_changes_fd(&node->owner), EPOLLIN, on_owner_change, node);
	if (r >= 0)
		r = evloop_timer_open(
			&node->dump_turn, node->event, EVLOOP_PRIORITY_CONTROL, on_dump_turn, node);
	if (r >= 0)
		r = evloop_timer_open(
			&node->loosen, node->event, EVLOOP_PRIORITY_CONTROL, on_loosen, node);
	if (r >= 0)
		r = evloop_timer_open(
			&node->tick, node->event, EVLOOP_PRIORITY_DEADLINE, on_tick, node);
	if (r >= 0)
		r = evloop_timer_open(
			&node->coalesce, node->event, EVLOOP_PRIORITY_NORMAL, on_coalesce, node);
	if (r >= 0)
		r = evloop_timer_open(
			&node->gather, node->event, EVLOOP_PRIORITY_NORMAL, on_gather, node);
	if (r >= 0)
		r = evloop_timer_open(
			&node->stop, node->event, EVLOOP_PRIORITY_DEADLINE, on_stop_late, node);
	return r < 0 ? r : 0;
}

static int node_open_partners(struct node *node, const char *runtime_dir)
{
	struct channel_options options = {.event = node->event,
		.cfg = node->cfg,
		.ring = node->ring,
		.context = node,
		.on_open = on_peer_open,
		.on_bytes = on_peer_bytes,
		.on_fill = on_peer_fill,
		.on_close = on_peer_close};
	int r = channel_open(&node->channel, &options);

	if (r < 0)
		return r;
	node->carpd.context = node;
	node->carpd.timeout_ms = (int)dur_to_ms(node->cfg->deadlines.state);
	node->carpd.on_registered = on_carpd_registered;
	node->carpd.on_lost = on_carpd_lost;
	node->carpd.on_role = on_role;
	node->carpd.on_transition = on_transition;
	r = snprintf(node->carpd.path, sizeof(node->carpd.path), "%s/carpd.sock", runtime_dir);
	if (r < 0 || (size_t)r >= sizeof(node->carpd.path))
		return -ENAMETOOLONG;
	return carpd_client_start(&node->carpd, node->event);
}

int node_open(struct node *node, sd_event *event, const struct config *cfg,
	const struct keyring *ring, const char *runtime_dir)
{
	int r;

	CHECK(cfg->self);
	memset(node, 0, sizeof(*node));
	node->event = event;
	node->cfg = cfg;
	node->ring = ring;
	node->peer_count = channel_peer_count(cfg);
	node->repair_at = MONO_NEVER;
	node->refresh_at = mono_add(clock_now(), dur_ms(NODE_REFRESH_MS));
	node->kernel_max = node_sysctl("net/netfilter/nf_conntrack_max");
	node->kernel_buckets = node_sysctl("net/netfilter/nf_conntrack_buckets");
	node->born_empty = kernel_dump_is_empty();
	r = node_open_engine(node, runtime_dir);
	if (r == 0)
		r = node_open_kernel(node);
	if (r == 0)
		r = node_open_sources(node);
	if (r == 0)
		r = verifier_open(&node->verifier, node);
	if (r == 0)
		r = node_open_partners(node, runtime_dir);
	if (r < 0) {
		errno = -r;
		log_error("cannot start");
		node_close(node);
		return r;
	}
	evloop_timer_set(&node->tick, clock_now());
	return 0;
}

void node_close(struct node *node)
{
	carpd_client_stop(&node->carpd);
	verifier_close(&node->verifier);
	channel_close(node->channel);
	sd_event_source_disable_unref(node->events_source);
	sd_event_source_disable_unref(node->owner_source);
	evloop_timer_close(&node->dump_turn);
	evloop_timer_close(&node->loosen);
	evloop_timer_close(&node->tick);
	evloop_timer_close(&node->coalesce);
	evloop_timer_close(&node->gather);
	evloop_timer_close(&node->stop);
	owner_close(&node->owner);
	kernel_dump_close(&node->dump);
	kernel_events_close(&node->events);
	kernel_reread_close(&node->reread);
	inject_close(&node->inject);
	if (node->arena)
		munmap(node->arena, node->arena_bytes);
	node->arena = NULL;
}
