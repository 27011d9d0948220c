/* node_rules: whether our tables in the kernel are still ours, between two switches.
 *
 * Every renewal of the addresses also asks the rules executor to read what others committed to
 * nftables since (rules_switch_verify). That costs one empty read when nobody did, keeps a later
 * switch from having to catch up, and tells the operator about a `nft flush ruleset` when it
 * happens and not at the next promotion: a node whose rules are gone is not ready. */
#include "carpd/node.h"

#include "common/check.h"
#include "common/io/log.h"

#include <stdio.h>
#include <string.h>

/* node_rules_look: on the rules executor, whose alone the switch is. */
static void node_rules_look(struct executor_job *base)
{
	struct node_rules_watch *watch = (struct node_rules_watch *)(void *)base;
	struct rules_switch *rules = watch->node->groups[watch->group].rules;

	watch->outcome = rules_switch_verify(rules);
	snprintf(watch->blame, sizeof(watch->blame), "%s", rules_switch_blame(rules));
	base->result = 0;
}

static void node_rules_looked(struct executor_job *base)
{
	struct node_rules_watch *watch = (struct node_rules_watch *)(void *)base;
	struct node_group *group = &watch->node->groups[watch->group];
	bool missing = watch->outcome == RULES_MISSING;
	bool changed = watch->outcome == RULES_CHANGED;

	if (watch->outcome == RULES_FAILED || watch->outcome == RULES_BUSY)
		return; /* nothing learned; the next look is near */
	if (changed && !group->rules_changed)
		log_warnx("group %s: somebody changed our rules: %s", group->config->name,
			watch->blame);
	if (missing && !group->rules_missing)
		log_errorx("group %s: rules that carpool had loaded are gone: %s: reload",
			group->config->name, watch->blame);
	group->rules_changed = changed;
	snprintf(group->rules_blame, sizeof(group->rules_blame), "%s", watch->blame);
	if (missing != group->rules_missing) {
		group->rules_missing = missing;
		node_readiness(watch->node);
	}
}

void node_rules_watch(struct node *node)
{
	for (uint32_t i = 0; i < node->group_count; i++) {
		struct node_group *group = &node->groups[i];
		struct node_rules_watch *watch = &group->rules_watch;

		if (!group->has_rules || executor_job_busy(&watch->job))
			continue;
		*watch = (struct node_rules_watch){
			.job = {.run = node_rules_look, .done = node_rules_looked},
			.node = node,
			.group = (uint8_t)i,
		};
		if (!executor_post(node->rules_executor, &watch->job))
			CHECK(false);
	}
}
