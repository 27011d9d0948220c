#include "carpd/node.h"

#include "carpd/alarms.h"
#include "carpd/port.h"
#include "common/check.h"
#include "common/crypto.h"
#include "common/io/caps.h"
#include "common/io/clock.h"
#include "common/io/keyfile.h"
#include "common/io/log.h"
#include "common/io/notify.h"
#include "common/io/realtime.h"
#include "common/keyring.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* --- the core's loop -------------------------------------------------------------------------- */

/* node_step: one event in, its actions carried out in order. What they lead to at once (a stage
 * that is over when it starts) waits in the queue: a step is never nested. */
static void node_step(struct node *node, struct election_event *event)
{
	CHECK(!node->is_stepping);
	node->is_stepping = true;
	event->now = clock_now();
	node->actions->count = 0;
	election_step(node->core, event, node->actions);
	for (uint32_t i = 0; i < node->actions->count; i++)
		node_act(node, &node->actions->list[i]);
	node->is_stepping = false;
}

static void node_step_queued(struct node *node)
{
	while (node->event_count > 0) {
		struct election_event event = node->events[node->event_first];

		node->event_first = (node->event_first + 1) % NODE_EVENTS_MAX;
		node->event_count--;
		node_step(node, &event);
	}
}

void node_event(struct node *node, struct election_event *event)
{
	if (!node->is_started)
		return;
	if (node->is_stepping) {
		CHECK(node->event_count < NODE_EVENTS_MAX);
		node->events[(node->event_first + node->event_count++) % NODE_EVENTS_MAX] = *event;
		return;
	}
	node_step(node, event);
	node_step_queued(node);
	node_rearm(node);
}

/* node_rearm: never sooner than CARPD_JUDGE_PAUSE_US after the last judgement: whatever the core
 * wants, and however many packets come, this process leaves most of its processor to others. With
 * real-time priority a loop without a pause would starve the whole machine. */
void node_rearm(struct node *node)
{
	mono_t due = mono_add(node->judged_at, dur_us(CARPD_JUDGE_PAUSE_US));

	if (!node->is_started)
		return;
	if (!node->is_flooded)
		due = mono_max(due, election_next_deadline(node->core));
	evloop_timer_set(&node->core_timer, due);
	mover_expect(node->mover, due);
}

/* node_random: bytes that were never used before. */
static void node_random(struct node *node, uint8_t *out, size_t size_bytes)
{
	if (node->random_left < size_bytes) {
		if (crypto_random(node->random, sizeof(node->random)) != CRYPTO_OK)
			CHECK(false);
		node->random_left = sizeof(node->random);
	}
	node->random_left -= size_bytes;
	memcpy(out, node->random + node->random_left, size_bytes);
	crypto_wipe(node->random + node->random_left, size_bytes);
}

/* on_core_deadline: the only place where the core judges and sends, and only after every port has
 * been read (design section 6, stalls). */
static void on_core_deadline(void *context)
{
	struct election_event event = {.type = ELECTION_EVENT_TIMER};
	struct node *node = context;

	mover_expect(node->mover, MONO_NEVER); /* awake */
	if (node_guard_is_lost(node)) {
		/* Its death is about to be reported: nothing may be said until then. */
		evloop_timer_set(&node->core_timer, mono_add(clock_now(), dur_ms(1)));
		return;
	}
	node_drain(node);
	node_random(node, event.random, sizeof(event.random));
	node->judged_at = clock_now();
	node_event(node, &event);
	node_paths_resume(node);
	node_guard_feed(node);
}

void node_answer(struct node *node)
{
	mono_t floor = mono_add(node->judged_at, dur_us(CARPD_JUDGE_PAUSE_US));

	/* Sooner than the floor the timer does it, which node_rearm() has set. */
	if (node->is_started && !node->is_stepping && election_asked(node->core) &&
		mono_reached(clock_now(), floor))
		on_core_deadline(node);
}

static void on_feed(void *context)
{
	struct node *node = context;

	if (!node_guard_is_lost(node))
		node_guard_feed(node);
}

/* on_renew: addresses live for five seconds and are renewed every second. */
static void on_renew(void *context)
{
	struct node *node = context;

	for (uint32_t i = 0; i < node->group_count; i++) {
		struct node_group *group = &node->groups[i];

		if (group->holds && !executor_job_busy(&group->renew_job.job))
			node_renew(group);
	}
	node_rules_watch(node);
	clash_compare(node);
	alarms_expire(node);
	evloop_timer_set(&node->renew_timer, mono_add(clock_now(), dur_ms(CARPD_ADDRESS_RENEW_MS)));
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	struct node *node = context;

	(void)source;
	if (info->ssi_signo == SIGHUP)
		reload_start(node, NULL, false, false);
	else
		stop_start(node);
	return 0;
}

/* --- handlers' news ----------------------------------------------------------------------------
 */

static void on_phase(void *context, uint8_t group, enum config_phase phase, bool is_demotion,
	bool ok, bool required, const char *error)
{
	struct node *node = context;
	enum transaction_stage stage =
		phase == CONFIG_PHASE_BEFORE ? TRANSACTION_STAGE_BEFORE : TRANSACTION_STAGE_STATE;

	transaction_stage_ended(&node->groups[group].transaction, stage, is_demotion, ok, required,
		error, clock_now());
	evloop_timer_set(&node->groups[group].stage_timer,
		transaction_deadline(&node->groups[group].transaction));
}

static void on_answer(
	void *context, uint8_t group, const char *name, int64_t us, bool ok, const char *error)
{
	struct node *node = context;
	char stage[TRANSACTION_NAME_MAX];

	snprintf(stage, sizeof(stage), "handler:%.63s", name);
	if (transaction_is_running(&node->groups[group].transaction))
		transaction_note(&node->groups[group].transaction, stage, us, ok, error);
}

static void on_health(void *context)
{
	node_readiness(context);
}

/* on_registered: the newcomer learns where every group stands. With syncd there, a promotion that
 * went on without it is made good: on a common start carpd is often first. */
static void on_registered(void *context, struct control_conn conn)
{
	struct node *node = context;

	for (uint32_t i = 0; i < node->group_count; i++)
		if (node->groups[i].stage_alarm_stage == TRANSACTION_STAGE_STATE &&
			handlers_has(node->handlers, HANDLERS_SYNCD))
			node->groups[i].stage_alarm[0] = '\0';
	node_tell_roles(node, conn);
}

/* --- opening -----------------------------------------------------------------------------------
 */

/* node_open_keys: every key file of the config; each refusal names its line. */
static int node_open_keys(struct node *node)
{
	char error[KEYFILE_ERROR_MAX];
	struct keyring ring;
	int r = 0;

	keyring_init(&ring, node->cfg->cluster);
	for (uint32_t i = 0; i < node->cfg->key_count && r == 0; i++) {
		const struct config_file *file = &node->cfg->keys[i];

		r = keyfile_load(&ring, file->path, error);
		if (r < 0)
			log_errorx("%s:%u:%u: %s", node->cfg->file, file->pos.line,
				file->pos.column, error);
	}
	if (r == 0 && advert_keys_init(&node->keys, &ring) != CRYPTO_OK) {
		log_errorx("keys: OpenSSL refuses them");
		r = -EIO;
	}
	keyring_fini(&ring);
	return r;
}

/* node_open_rights: real time and locked memory where permitted; then only the capabilities that
 * are used from here on, in every thread that is started later. */
static void node_open_rights(struct node *node)
{
	const int keep[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_NICE, CAP_IPC_LOCK};
	char missing[REALTIME_TEXT_MAX], lacking[CAPS_TEXT_MAX];

	if (realtime_enable(NODE_PRIORITY, missing) > 0)
		log_warnx("without %s: deadlines depend on the load of this machine", missing);
	else
		node->realtime_priority = NODE_PRIORITY;
	/* Its few megabytes would help nobody. The helper and its scripts were forked before. */
	if (realtime_spare() < 0)
		log_info("not allowed to stand back when the kernel is short of memory: carpd may "
			 "be killed like any other process");
	if (caps_limit(keep, ARRAY_LEN(keep), lacking) != 0)
		log_warnx("capabilities: without %s", lacking);
}

static int node_open_loop(struct node *node)
{
	const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	int r = sd_event_new(&node->event);

	if (r == 0)
		r = evloop_add_signals(node->event, signals, ARRAY_LEN(signals), on_signal, node);
	if (r == 0)
		r = evloop_timer_open(&node->core_timer, node->event, EVLOOP_PRIORITY_DEADLINE,
			on_core_deadline, node);
	if (r == 0)
		r = evloop_timer_open(
			&node->feed_timer, node->event, EVLOOP_PRIORITY_DEADLINE, on_feed, node);
	if (r == 0)
		r = evloop_timer_open(
			&node->renew_timer, node->event, EVLOOP_PRIORITY_DEADLINE, on_renew, node);
	if (r == 0)
		r = helper_attach(node->helper, node->event);
	return r;
}

static int node_open_executors(struct node *node)
{
	int r = executor_open(
		&node->links_executor, node->event, "carpd-links", node->realtime_priority);

	if (r == 0)
		r = executor_open(
			&node->rules_executor, node->event, "carpd-rules", node->realtime_priority);
	if (r == 0)
		r = executor_open(&node->disk_executor, node->event, "carpd-disk", 0);
	if (r == 0 && node->realtime_priority > 0)
		r = mover_open(&node->mover, node->realtime_priority + 1,
			dur_min(dur_ms(1), dur_us(node->cfg->election.advbase.us / 4)),
			dur_min(dur_ms(10), node->cfg->election.advbase));
	return r;
}

static int node_open_handlers(struct node *node)
{
	struct handlers_options options = {
		.event = node->event,
		.helper = node->helper,
		.cfg = node->cfg,
		.on_phase = on_phase,
		.on_answer = on_answer,
		.on_health = on_health,
		.on_registered = on_registered,
		.context = node,
	};

	return handlers_open(&node->handlers, &options);
}

struct node_open_step {
	const char *what;
	int (*run)(struct node *node);
	int exit_code;
};

static int node_open_history(struct node *node)
{
	int r = history_open(&node->history, node->options->state_dir, node->disk_executor);

	if (r < 0)
		return r;
	node->terms = history_load(node->history, "terms.json");
	if (!node->terms)
		node->terms = json_object();
	node->maintenance = history_load(node->history, "maintenance.json");
	return 0;
}

static int node_wait_former_guard(struct node *node)
{
	return guard_wait_former(node->options->runtime_dir);
}

/* The order is the contract of design section 7: nothing is heard or said before what an earlier
 * life may have left is gone. */
static const struct node_open_step node_open_steps[] = {
	{"keys", node_open_keys, 2},
	{"passphrase", node_carp2_open, 2},
	{"event loop", node_open_loop, 1},
	{"the guard of an earlier carpd", node_wait_former_guard, 1},
	{"leftovers", node_sweep, 1},
	{"virtual devices", node_vmac_create_all, 1},
	{"rules", node_rules_prepare, 2},
	{"threads", node_open_executors, 1},
	{"events of rules", node_rules_events_open, 1},
	{"state directory", node_open_history, 1},
	{"interfaces", node_paths_open, 1},
	{"groups", node_groups_open, 1},
	{"handlers", node_open_handlers, 1},
	{"guard", node_guard_open, 1},
	{"the drill's lock", drill_open, 1},
	{"control socket", ops_open, 1},
};

int node_open(
	struct node *node, const struct options *options, struct config *cfg, struct helper *helper)
{
	node->options = options;
	node->cfg = cfg;
	node->self = cfg->self;
	node->helper = helper;
	node->liberal_before = -1;
	node->addresses.fd = -1;
	node->rules_events_fd = -1;
	for (unsigned int i = 0; i < ARRAY_LEN(node_open_steps); i++) {
		const struct node_open_step *step = &node_open_steps[i];
		int r = step->run(node);

		if (r < 0) {
			log_errorx("%s: %s", step->what, strerror(-r));
			return step->exit_code;
		}
		/* Threads inherit what the thread that starts them has left. */
		if (step->run == node_rules_prepare)
			node_open_rights(node);
	}
	return 0;
}

int node_run(struct node *node)
{
	int r;

	liberal_recover(node);
	notify_ready();
	log_notice("%s: node %s of cluster %s, %u groups", CARPOOL_VERSION, node->self->name,
		node->cfg->cluster, node->group_count);
	r = node_core_start(node);
	if (r < 0) {
		log_errorx("election: %s", strerror(-r));
		return 1;
	}
	on_renew(node);
	(void)evloop_watchdog(node->event);
	r = sd_event_loop(node->event);
	if (r < 0) {
		log_errorx("event loop: %s", strerror(-r));
		return 1;
	}
	return node->exit_code;
}

void node_close(struct node *node)
{
	node->is_started = false;
	mover_close(node->mover);
	control_server_close(node->server);
	node_rules_events_close(node);
	guard_close(node->guard);
	handlers_close(node->handlers);
	track_close(node);
	node_groups_close(node);
	node_paths_close(node);
	executor_close(node->links_executor);
	executor_close(node->rules_executor);
	executor_close(node->disk_executor);
	rules_latch_close(node->latch);
	for (uint32_t i = 0; i < node->group_count; i++) {
		struct node_group *group = &node->groups[i];

		rules_switch_close(group->rules);
		free(group->rules_swap);
		node_addresses_close(group);
	}
	history_close(node->history);
	json_decref(node->terms);
	json_decref(node->maintenance);
	if (node->addresses.fd >= 0)
		node_vmac_sweep(node);
	addresses_close(&node->addresses);
	nl_close(&node->routes);
	evloop_timer_close(&node->core_timer);
	evloop_timer_close(&node->feed_timer);
	evloop_timer_close(&node->renew_timer);
	evloop_timer_close(&node->request_timer);
	drill_close(node);
	helper_close(node->helper);
	advert_keys_fini(&node->keys);
	node_carp2_close(node);
	free(node->manifests);
	free(node->core);
	free(node->actions);
	sd_event_unref(node->event);
	config_free(node->cfg);
	config_free(node->cfg_before);
}
