/* What the stages of a promotion and a demotion do. Sequence, deadlines and the rule for failures
 * are transaction.c's; kernel calls are jobs for the executors. See node.h. */
#include "carpd/node.h"

#include "carpd/announce.h"
#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NODE_ANNOUNCE_STAGE_MS 500

static struct node_group *node_group_of(struct transaction *t)
{
	return t->context;
}

void node_group_arm(struct node_group *group)
{
	evloop_timer_set(&group->stage_timer, transaction_deadline(&group->transaction));
}

static void on_stage_deadline(void *context)
{
	struct node_group *group = context;
	mono_t now = clock_now(), deadline = transaction_deadline(&group->transaction);

	if (!group->stage_is_late && !mono_is_never(deadline) &&
		mono_diff(now, deadline).us > CARPD_LATE_US) {
		group->stage_is_late = true;
		evloop_timer_set(&group->stage_timer, mono_add(now, dur_ms(CARPD_LATE_GRACE_MS)));
		return;
	}
	group->stage_is_late = false;
	transaction_expire(&group->transaction, now);
	node_group_arm(group);
}

/* --- rules ------------------------------------------------------------------------------------ */

/* node_rules_run: on the rules executor, whose alone the switch is. */
static void node_rules_run(struct executor_job *base)
{
	struct node_rules_job *job = (struct node_rules_job *)(void *)base;
	struct rules_switch *rules = job->node->groups[job->group].rules;

	job->outcome = job->to_master ? rules_switch_to_master(rules, job->accept_changed)
				      : rules_switch_to_backup(rules);
	job->error_number = rules_switch_errno(rules);
	base->result = job->outcome == RULES_OK ? 0 : -EIO;
}

static void node_rules_done(struct executor_job *base)
{
	struct node_rules_job *job = (struct node_rules_job *)(void *)base;
	struct node_group *group = &job->node->groups[job->group];
	char error[TRANSACTION_ERROR_MAX] = "";

	if (base->result < 0)
		snprintf(error, sizeof(error), "%s%s%s", rules_result_name(job->outcome),
			job->error_number ? ": " : "",
			job->error_number ? strerror(job->error_number) : "");
	else
		group->rules_are_master = job->to_master;
	if (job->outcome == RULES_MISSING && !group->rules_missing) {
		group->rules_missing = true;
		group->rules_since_wall_us = clock_wall_us();
		log_errorx("group %s: rules that carpool had loaded are gone: reload",
			group->config->name);
	}
	transaction_stage_ended(&group->transaction, TRANSACTION_STAGE_RULES, !job->to_master,
		base->result == 0, true, error, clock_now());
	node_group_arm(group);
	node_readiness(job->node);
}

static enum transaction_start node_stage_rules(
	struct node_group *group, bool is_demotion, char error[static TRANSACTION_ERROR_MAX])
{
	struct node_rules_job *job = is_demotion ? &group->backup_job : &group->master_job;

	if (!group->has_rules)
		return TRANSACTION_START_DONE;
	if (executor_job_busy(&job->job)) {
		snprintf(error, TRANSACTION_ERROR_MAX, "an earlier switch has not come back");
		return TRANSACTION_START_FAILED;
	}
	/* With nobody to yield to, rules that somebody changed are better than none. */
	job->accept_changed = !is_demotion && !election_yields(group->node->core, group->index);
	if (!executor_post(group->node->rules_executor, &job->job))
		CHECK(false);
	return TRANSACTION_START_PENDING;
}

/* --- handlers --------------------------------------------------------------------------------- */

static enum transaction_start node_stage_handlers(struct node_group *group, enum config_phase phase,
	bool is_demotion, char error[static TRANSACTION_ERROR_MAX])
{
	struct node *node = group->node;
	const struct transaction_cause *cause = &group->transaction.cause;
	struct handlers_transition transition = {
		.group = group->index,
		.is_demotion = is_demotion,
		.reason = cause->reason,
		.term = cause->term,
		.other = node_name_of(node, cause->node),
	};
	struct handlers_failure failure = {0};
	int r;

	/* With sync: configured, states are part of a promotion; nobody there is a failure. */
	if (phase == CONFIG_PHASE_STATE && node->cfg->sync.configured &&
		!handlers_has(node->handlers, HANDLERS_SYNCD)) {
		snprintf(error, TRANSACTION_ERROR_MAX, "syncd is not registered");
		(void)!handlers_begin(node->handlers, phase, &transition, &failure);
		handlers_cancel(node->handlers, group->index);
		return TRANSACTION_START_FAILED;
	}
	r = handlers_begin(node->handlers, phase, &transition, &failure);
	if (r > 0)
		return TRANSACTION_START_PENDING;
	if (r == 0 || !failure.required) {
		if (r < 0)
			log_warnx("group %s: %s", group->config->name, failure.error);
		return TRANSACTION_START_DONE;
	}
	snprintf(error, TRANSACTION_ERROR_MAX, "%s", failure.error);
	return TRANSACTION_START_FAILED;
}

/* --- announcements ---------------------------------------------------------------------------- */

/* node_announce_target: the addresses of one family where they live, or all of a plain interface.
 */
static struct announce_target node_announce_target(
	const struct node_path *path, const struct links_entry *link, uint8_t family)
{
	const struct config_interface *interface = path->config->interface;
	struct announce_target target = {
		.fd = link->ifindex != 0 ? path->port.fd : -1,
		.ifindex = link->ifindex,
		.family = family,
		.addresses = interface->addresses,
		.address_count = interface->address_count,
	};

	memcpy(target.mac, link->mac, FRAME_MAC_BYTES);
	return target;
}

static unsigned int node_announce_round(struct node_group *group)
{
	struct announce_target targets[NODE_VMACS * LIMIT_INTERFACES];
	unsigned int sent = 0, failed, count = 0;

	for (uint32_t i = 0; i < group->config->interface_count; i++) {
		const struct config_interface *interface = &group->config->interfaces[i];
		const struct node_path *path = &group->node->paths[interface->path];

		if (!interface->virtual_mac) {
			targets[count++] =
				node_announce_target(path, node_path_link(path), IPADDR_NONE);
			continue;
		}
		targets[count++] =
			node_announce_target(path, node_address_link(path, IPADDR_V4), IPADDR_V4);
		targets[count++] =
			node_announce_target(path, node_address_link(path, IPADDR_V6), IPADDR_V6);
	}
	failed = announce_round(targets, count, &sent);
	if (failed > 0)
		log_warnx("group %s: %u of %u announcements could not be sent", group->config->name,
			failed, failed + sent);
	return sent;
}

static void node_announce_arm(struct node_group *group)
{
	const struct config_announce *config = &group->node->cfg->announce;
	mono_t next = MONO_NEVER;

	if (group->announce_index < config->repeat_count)
		next = mono_add(group->announced_at, config->repeats[group->announce_index]);
	else if (config->refresh.us > 0)
		next = mono_add(clock_now(), config->refresh);
	evloop_timer_set(&group->announce_timer, next);
}

static void on_announce_repeat(void *context)
{
	struct node_group *group = context;

	if (!group->holds || node_guard_is_lost(group->node))
		return;
	(void)node_announce_round(group);
	if (group->announce_index < group->node->cfg->announce.repeat_count)
		group->announce_index++;
	node_announce_arm(group);
}

void node_announce(struct node_group *group)
{
	group->announced_at = clock_now();
	group->announce_index = 0;
	for (uint8_t i = 0; i < group->node->cfg->announce.burst; i++)
		(void)node_announce_round(group);
	node_announce_arm(group);
}

static enum transaction_start node_stage_announce(struct node_group *group)
{
	/* Frames that cannot be sent now (an interface is down) are repeated; never a failure. */
	node_announce(group);
	return TRANSACTION_START_DONE;
}

/* --- the sequence's callbacks ----------------------------------------------------------------- */

static enum transaction_start node_stage_start(struct transaction *t, enum transaction_stage stage,
	bool is_demotion, char error[static TRANSACTION_ERROR_MAX])
{
	struct node_group *group = node_group_of(t);

	switch (stage) {
	case TRANSACTION_STAGE_BEFORE:
		return node_stage_handlers(group, CONFIG_PHASE_BEFORE, is_demotion, error);
	case TRANSACTION_STAGE_STATE:
		return node_stage_handlers(group, CONFIG_PHASE_STATE, is_demotion, error);
	case TRANSACTION_STAGE_RULES:
		return node_stage_rules(group, is_demotion, error);
	case TRANSACTION_STAGE_ADDRESSES:
		return node_addresses_stage(group, is_demotion, error);
	case TRANSACTION_STAGE_ANNOUNCE:
		return node_stage_announce(group);
	case TRANSACTION_STAGE_COUNT:
		break;
	}
	CHECK(false);
	return TRANSACTION_START_FAILED;
}

static void node_stage_cancel(struct transaction *t, enum transaction_stage stage)
{
	struct node_group *group = node_group_of(t);

	/* Kernel calls cannot be called back: what follows them in their executor undoes them. */
	if (stage == TRANSACTION_STAGE_BEFORE || stage == TRANSACTION_STAGE_STATE)
		handlers_cancel(group->node->handlers, group->index);
}

static dur_t node_stage_deadline(struct transaction *t, enum transaction_stage stage)
{
	const struct config_deadlines *deadlines = &node_group_of(t)->node->cfg->deadlines;

	switch (stage) {
	case TRANSACTION_STAGE_BEFORE:
		return deadlines->before;
	case TRANSACTION_STAGE_STATE:
		return deadlines->state;
	case TRANSACTION_STAGE_RULES:
		return deadlines->rules;
	case TRANSACTION_STAGE_ADDRESSES:
		return deadlines->addresses;
	case TRANSACTION_STAGE_ANNOUNCE:
	case TRANSACTION_STAGE_COUNT:
		break;
	}
	return dur_ms(NODE_ANNOUNCE_STAGE_MS);
}

static bool node_stage_yields(struct transaction *t)
{
	struct node_group *group = node_group_of(t);

	return election_yields(group->node->core, group->index);
}

static void node_stage_failed(
	struct transaction *t, enum transaction_stage stage, bool goes_on, const char *error)
{
	struct node_group *group = node_group_of(t);

	snprintf(group->stage_alarm, sizeof(group->stage_alarm), "stage %s: %.120s",
		transaction_stage_name(stage), error);
	group->stage_alarm_stage = stage;
	group->stage_alarm_wall_us = clock_wall_us();
	log_warnx("group %s: stage %s failed: %s: %s", group->config->name,
		transaction_stage_name(stage), error,
		goes_on ? "going on without it" : "giving the group back");
}

static void node_stage_finished(struct transaction *t, enum transaction_outcome outcome)
{
	struct node_group *group = node_group_of(t);
	struct election_event event = {.group = group->index};

	switch (outcome) {
	case TRANSACTION_OUTCOME_PROMOTED:
		event.type = ELECTION_EVENT_PROMOTED;
		break;
	case TRANSACTION_OUTCOME_FAILED:
		event.type = ELECTION_EVENT_PROMOTION_FAILED;
		break;
	case TRANSACTION_OUTCOME_DEMOTED:
		event.type = ELECTION_EVENT_DEMOTED;
		break;
	}
	node_event(group->node, &event);
}

static const struct transaction_ops node_stage_ops = {
	.start = node_stage_start,
	.cancel = node_stage_cancel,
	.deadline = node_stage_deadline,
	.yields = node_stage_yields,
	.failed = node_stage_failed,
	.finished = node_stage_finished,
};

static struct transaction_cause node_cause(const struct election_action *action)
{
	return (struct transaction_cause){
		.reason = action->reason,
		.term = action->term,
		.node = action->node,
		.force = action->force,
	};
}

void node_promote(struct node *node, const struct election_action *action)
{
	struct node_group *group = &node->groups[action->group];
	struct transaction_cause cause = node_cause(action);

	group->stage_alarm[0] = '\0';
	/* The guard is armed before anything is done that it might have to undo. */
	node_guard_publish(node);
	/* A hand-over has time to ask its next hops where they are; the answers come while the
	 * stages before `addresses` run. A dead master's successor uses what it has heard. */
	if (action->node != 0)
		for (uint32_t i = 0; i < group->config->interface_count; i++)
			health_ask_neighbours(&node->paths[group->config->interfaces[i].path]);
	if (!transaction_promote(&group->transaction, &cause, clock_now())) {
		/* The core never asks twice; a demotion that still runs would be its own fault. */
		log_errorx("group %s: a promotion while a transition is under way",
			group->config->name);
		CHECK(false);
	}
	node_group_arm(group);
}

void node_demote(struct node *node, const struct election_action *action)
{
	struct node_group *group = &node->groups[action->group];
	struct transaction_cause cause = node_cause(action);

	transaction_demote(&group->transaction, &cause, clock_now());
	node_group_arm(group);
}

void node_group_forget(struct node_group *group)
{
	bool must_switch = group->has_rules && !executor_job_busy(&group->backup_job.job);

	handlers_cancel(group->node->handlers, group->index);
	transaction_reset(&group->transaction);
	node_group_arm(group);
	evloop_timer_set(&group->announce_timer, MONO_NEVER);
	group->holds = false;
	group->record_open = false;
	if (!executor_job_busy(&group->remove_job.job)) {
		node_fill_holdings(group, &group->remove_job.holdings);
		(void)!executor_post(group->node->links_executor, &group->remove_job.job);
		/* Addresses first, and only then rules: also here. */
		(void)executor_drain(
			group->node->links_executor, mono_add(clock_now(), dur_ms(500)));
	}
	if (must_switch)
		(void)!executor_post(group->node->rules_executor, &group->backup_job.job);
}

/* --- opening ---------------------------------------------------------------------------------- */

static int node_group_open(struct node *node, uint32_t index)
{
	struct node_group *group = &node->groups[index];
	int r;

	group->node = node;
	group->config = &node->cfg->groups[index];
	group->index = (uint8_t)index;
	group->since_wall_us = clock_wall_us();
	transaction_init(&group->transaction, &node_stage_ops, group, (uint8_t)index);
	group->master_job = (struct node_rules_job){
		.job = {.run = node_rules_run, .done = node_rules_done},
		.node = node,
		.group = (uint8_t)index,
		.to_master = true,
	};
	group->backup_job = group->master_job;
	group->backup_job.to_master = false;
	r = node_addresses_open(group);
	if (r == 0)
		r = evloop_timer_open(&group->stage_timer, node->event, EVLOOP_PRIORITY_DEADLINE,
			on_stage_deadline, group);
	if (r == 0)
		r = evloop_timer_open(&group->announce_timer, node->event, EVLOOP_PRIORITY_DEADLINE,
			on_announce_repeat, group);
	if (r == 0 && group->has_rules)
		r = node_rules_open(node, (uint8_t)index);
	return r;
}

int node_groups_open(struct node *node)
{
	int r = 0;

	node->group_count = node->cfg->group_count;
	for (uint32_t i = 0; r == 0 && i < node->group_count; i++)
		r = node_group_open(node, i);
	return r;
}

void node_groups_close(struct node *node)
{
	for (uint32_t i = 0; i < node->group_count; i++) {
		struct node_group *group = &node->groups[i];

		evloop_timer_close(&group->stage_timer);
		evloop_timer_close(&group->announce_timer);
	}
}
