/* node_swap: other rules for a group, while its traffic runs through the old ones.
 *
 *   helper:   BESIDE or REPAIR   new tables asleep, under other names
 *   executor: rules_switch_take_over(), and the guard is told of them
 *   helper:   SETTLE             the same tables asleep under their own names
 *   executor: rules_switch_take_over(), and the guard is told of them
 *   helper:   DROP
 *
 * Where the rules are gone (LOAD, RELOAD) there is nothing to keep: they are loaded in the backup's
 * state, behind the shield, and woken on a master. See node.h, rules/swap.c. */
#include "carpd/node.h"

#include "common/check.h"
#include "common/io/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node_rules_swap {
	struct executor_job job; /* first member: the executor's handle */
	struct node *node;
	uint8_t group;
	enum helper_rules_task task; /* under way */
	enum helper_rules_task wanted;
	bool is_wanted; /* `wanted` is still to be begun: an earlier swap is brought to its end */
	bool wakes;	/* this node is the master */
	node_rules_swapped_fn *done;
	void *context;
	enum rules_result outcome;
	int error_number;
	struct rules_manifest manifest;
	struct rules_report report;
};

static void swap_begin(struct node_rules_swap *swap, enum helper_rules_task task);

static void swap_end(struct node_rules_swap *swap, int error)
{
	struct node_group *group = &swap->node->groups[swap->group];

	if (error < 0 && swap->report.count == 0)
		snprintf(swap->report.lines[swap->report.count++], RULES_REPORT_LINE_MAX,
			"group %s: %s: %s", group->config->name, rules_result_name(swap->outcome),
			strerror(swap->error_number ? swap->error_number : -error));
	group->rules_swap = NULL;
	swap->done(swap->context, swap->group, error, &swap->report);
	free(swap);
}

/* On its way down a node must not wake what its demotion has put to sleep, or is about to. */
bool node_rules_holds(const struct node *node, uint8_t group)
{
	struct election_group_view view;

	election_group_view(node->core, group, &view);
	return view.state == GROUP_STATE_MASTER || view.state == GROUP_STATE_PROMOTING;
}

static bool swap_has_twins(const struct rules_manifest *manifest)
{
	for (size_t i = 0; i < manifest->table_count; i++)
		if (!strncmp(
			    manifest->tables[i].name, RULES_SWAP_PREFIX, strlen(RULES_SWAP_PREFIX)))
			return true;
	return false;
}

/* swap_run: on the rules executor: the new switch takes the place of the old one. */
static void swap_run(struct executor_job *job)
{
	struct node_rules_swap *swap = (struct node_rules_swap *)(void *)job;
	struct node_group *group = &swap->node->groups[swap->group];
	bool is_beside = swap->task != HELPER_RULES_LOAD && swap->task != HELPER_RULES_RELOAD;
	struct rules_switch *fresh = NULL;

	job->result = rules_switch_open(&swap->manifest, &fresh);
	if (job->result < 0)
		return;
	if (is_beside)
		swap->outcome = rules_switch_take_over(fresh, group->rules);
	else if (swap->wakes)
		swap->outcome = rules_switch_to_master(fresh, false);
	else
		swap->outcome = RULES_OK;
	swap->error_number = rules_switch_errno(fresh);
	job->result = swap->outcome == RULES_OK ? 0 : -EIO;
	if (is_beside && job->result < 0) { /* the old ones stay in force */
		rules_switch_close(fresh);
		return;
	}
	rules_switch_close(group->rules);
	group->rules = fresh;
	node_rules_take_indexes(group, &swap->manifest);
	if (swap->manifest.uses_mark && swap->node->latch) { /* the operator's bit is his */
		rules_latch_close(swap->node->latch);
		swap->node->latch = NULL;
	}
}

static void swap_adopt(struct node_rules_swap *swap)
{
	struct node_group *group = &swap->node->groups[swap->group];

	*group->manifest = swap->manifest;
	if (swap->task == HELPER_RULES_LOAD || swap->task == HELPER_RULES_RELOAD)
		group->rules_are_master = swap->wakes;
	group->rules_missing = false;
	group->rules_closed = false;
	group->rules_changed = false;
	node_fingerprints(swap->node, swap->group);
	/* The guard opens its own switch for the new tables. */
	if (guard_restart(swap->node->guard) < 0)
		log_errorx("guard: cannot start");
	node_guard_publish(swap->node);
	node_readiness(swap->node);
}

static void swap_switched(struct executor_job *job)
{
	struct node_rules_swap *swap = (struct node_rules_swap *)(void *)job;
	struct node_group *group = &swap->node->groups[swap->group];

	if (job->result < 0) {
		log_errorx("group %s: new rules: %s", group->config->name,
			rules_result_name(swap->outcome));
		if (swap->task == HELPER_RULES_LOAD || swap->task == HELPER_RULES_RELOAD)
			group->rules_missing = true;
		node_readiness(swap->node);
		swap_end(swap, job->result);
		return;
	}
	swap_adopt(swap);
	if (swap->task == HELPER_RULES_BESIDE || swap->task == HELPER_RULES_REPAIR)
		swap_begin(swap, HELPER_RULES_SETTLE);
	else if (swap->task == HELPER_RULES_SETTLE)
		swap_begin(swap, HELPER_RULES_DROP);
	else
		swap_end(swap, 0);
}

/* swap_keep_report: what the steps have told, one after the other; what failed tells alone. */
static void swap_keep_report(struct node_rules_swap *swap, const struct helper_rules_result *result)
{
	if (result->error < 0)
		swap->report.count = 0;
	for (size_t i = 0; i < result->report.count && i < RULES_REPORT_LINES; i++)
		if (swap->report.count < RULES_REPORT_LINES)
			memcpy(swap->report.lines[swap->report.count++], result->report.lines[i],
				RULES_REPORT_LINE_MAX);
}

static void on_task(void *context, const struct helper_rules_result *result)
{
	struct node_rules_swap *swap = context;

	swap_keep_report(swap, result);
	if (swap->task == HELPER_RULES_DROP) {
		if (result->error < 0)
			log_warnx("group %s: tables of the former rules stay behind, asleep: %s",
				swap->node->groups[swap->group].config->name,
				strerror(-result->error));
		if (swap->is_wanted) {
			swap->is_wanted = false;
			swap_begin(swap, swap->wanted);
			return;
		}
		swap_end(swap, 0);
		return;
	}
	if (result->error < 0) {
		node_rules_spec_log(&result->report);
		swap_end(swap, result->error);
		return;
	}
	swap->manifest = result->manifest;
	/* A load leaves the backup's rules; this node may have become master meanwhile. */
	swap->wakes = node_rules_holds(swap->node, swap->group);
	swap->job = (struct executor_job){.run = swap_run, .done = swap_switched};
	if (!executor_post(swap->node->rules_executor, &swap->job))
		CHECK(false);
}

static void swap_begin(struct node_rules_swap *swap, enum helper_rules_task task)
{
	int r;

	swap->task = task;
	r = helper_rules(swap->node->helper, swap->node->groups[swap->group].config->name, task,
		on_task, swap);
	if (r < 0)
		swap_end(swap, r);
}

int node_rules_swap(struct node *node, uint8_t group, enum helper_rules_task task,
	node_rules_swapped_fn *done, void *context)
{
	struct node_group *own = &node->groups[group];
	struct node_rules_swap *swap;

	if (own->rules_swap)
		return -EBUSY;
	if (!helper_is_alive(node->helper))
		return -EPIPE;
	swap = calloc(1, sizeof(*swap));
	if (!swap)
		return -ENOMEM;
	swap->node = node;
	swap->group = group;
	swap->wanted = task;
	swap->done = done;
	swap->context = context;
	own->rules_swap = swap;
	/* A swap that was cut short in its middle is brought to its end first. */
	swap->is_wanted = (task == HELPER_RULES_BESIDE || task == HELPER_RULES_REPAIR) &&
			  swap_has_twins(own->manifest);
	swap_begin(swap, swap->is_wanted ? HELPER_RULES_SETTLE : task);
	return 0;
}
