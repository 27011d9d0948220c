/* node_rules: whether our tables in the kernel are still ours, and what is done when not.
 *
 * An event socket tells of every commit to nftables; a look once a second is the net below it. The
 * loop only hears that something came; the rules executor, whose alone the switch is, looks:
 *   - a table of ours is gone (`nft flush ruleset`): the shield goes up at once, in any role, so
 * that nothing passes that the missing rules would have stopped; a node whose rules are gone is not
 *     ready: a master with a ready peer hands over;
 *   - rules in ours were changed: an alarm with who and what.
 * With `drift: repair` what was loaded is then loaded again; otherwise `carpool reload` or `carpool
 * rules repair` do it.
 *
 * An interface that comes back has another index, and rules with `iif` hold the index: they are
 * loaded again without being asked, as nobody's hands were in them. */
#include "carpd/node.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RULES_INDEXES_MS 500  /* between two looks at the interfaces */
#define RULES_REPAIR_MS	 2000 /* between two repairs of a group: whoever undoes them is reported */

/* --- on the rules executor -------------------------------------------------------------------- */

static bool by_index(const struct rules_manifest *manifest)
{
	for (size_t i = 0; i < manifest->table_count; i++)
		if (manifest->tables[i].by_index)
			return true;
	return false;
}

/* indexes_take: as they are now, when the rules were just loaded. */
static void indexes_take(struct node_rules_indexes *known, const struct if_nameindex *present)
{
	for (; present && present->if_name && known->count < RULES_INTERFACES_MAX; present++) {
		snprintf(known->entries[known->count].name, RULES_IFNAME_MAX, "%s",
			present->if_name);
		known->entries[known->count++].index = present->if_index;
	}
}

/* indexes_compare: the first that is back with another index, which is its index from now on. */
static void indexes_compare(struct node_rules_indexes *known, const struct if_nameindex *present,
	char moved[static RULES_IFNAME_MAX])
{
	for (; present && present->if_name; present++)
		for (unsigned int i = 0; i < known->count; i++) {
			if (strcmp(known->entries[i].name, present->if_name) != 0 ||
				known->entries[i].index == present->if_index)
				continue;
			known->entries[i].index = present->if_index;
			snprintf(moved, RULES_IFNAME_MAX, "%s", present->if_name);
		}
}

void node_rules_take_indexes(struct node_group *group, const struct rules_manifest *manifest)
{
	struct node_rules_indexes *known = &group->rules_indexes;
	struct if_nameindex *present;

	known->matter = by_index(manifest);
	known->count = 0;
	present = known->matter ? if_nameindex() : NULL;
	indexes_take(known, present);
	if (present)
		if_freenameindex(present);
}

static void look_at_indexes(struct node_group *group, char moved[static RULES_IFNAME_MAX])
{
	struct node_rules_indexes *known = &group->rules_indexes;
	struct if_nameindex *present;
	mono_t now = clock_now();

	if (!known->matter || mono_diff(now, known->looked_at).us < RULES_INDEXES_MS * 1000)
		return;
	known->looked_at = now;
	present = if_nameindex();
	indexes_compare(known, present, moved);
	if (present)
		if_freenameindex(present);
}

/* close_gaps: on the rules executor. A flush takes every group's tables and shuts the latch: it may
 * be opened when all the shields are up, not this group's alone. */
static enum rules_result close_gaps(struct node *node, uint8_t index, bool *ret_was_shut)
{
	bool shut = node->latch && rules_latch_shut(node->latch), closed = true;
	enum rules_result own = RULES_OK;

	for (uint32_t i = 0; i < node->group_count; i++) {
		struct rules_switch *rules = node->groups[i].rules;
		enum rules_result result;

		if (!rules || (i != index && !shut))
			continue;
		if (shut) /* the commit's events may be still on their way */
			rules_switch_distrust(rules);
		result = rules_switch_close_gap(rules);
		closed &= result != RULES_FAILED;
		if (i == index)
			own = result;
	}
	*ret_was_shut = shut && closed && rules_latch_mend(node->latch) == 0;
	return own;
}

static void node_rules_look(struct executor_job *base)
{
	struct node_rules_watch *watch = (struct node_rules_watch *)(void *)base;
	struct node_group *group = &watch->node->groups[watch->group];

	watch->gap =
		close_gaps(watch->node, watch->group, &watch->was_shut); /* first: it is quick */
	watch->outcome = rules_switch_verify(group->rules);
	snprintf(watch->blame, sizeof(watch->blame), "%s", rules_switch_blame(group->rules));
	look_at_indexes(group, watch->moved);
	base->result = 0;
}

/* --- in the loop ------------------------------------------------------------------------------ */

static void on_repaired(void *context, uint8_t index, int error, const struct rules_report *report)
{
	struct node *node = context;
	struct node_group *group = &node->groups[index];

	for (size_t i = 0; i < report->count && i < RULES_REPORT_LINES; i++)
		log_warnx("%s", report->lines[i]);
	if (error < 0)
		log_errorx("group %s: its rules could not be repaired", group->config->name);
	else
		log_notice(
			"group %s: its rules are as they were loaded again", group->config->name);
}

static void node_rules_repair(struct node_group *group, const char *why)
{
	struct node *node = group->node;
	mono_t now = clock_now();

	if (group->rules_swap || node->reload || node->is_stopping)
		return;
	if (group->rules_repairs > 0 &&
		mono_diff(now, group->rules_repaired_at).us < RULES_REPAIR_MS * 1000)
		return; /* the next look is near */
	group->rules_repaired_at = now;
	group->rules_repairs++;
	log_notice("group %s: %s: loading its rules again", group->config->name, why);
	if (node_rules_swap(node, group->index,
		    group->rules_missing ? HELPER_RULES_RELOAD : HELPER_RULES_REPAIR, on_repaired,
		    node) < 0)
		log_errorx("group %s: its rules could not be repaired", group->config->name);
}

/* node_rules_tell: what is new since the last look. */
static void node_rules_tell(struct node_group *group, const struct node_rules_watch *watch)
{
	bool missing = watch->outcome == RULES_MISSING;
	bool changed = watch->outcome == RULES_CHANGED;
	bool is_new = strcmp(watch->blame, group->rules_blame) != 0;

	if ((missing && !group->rules_missing) || (changed && !group->rules_changed))
		group->rules_since_wall_us = clock_wall_us();
	if (changed && (!group->rules_changed || is_new))
		log_warnx("group %s: somebody changed our rules: %s", group->config->name,
			watch->blame);
	if (missing && !group->rules_missing)
		log_errorx("group %s: rules that carpool had loaded are gone: %s: %s",
			group->config->name, watch->blame,
			watch->gap == RULES_FAILED ? "NOT closed" : "closed by the shield");
	if (!missing && watch->gap == RULES_MISSING)
		log_warnx("group %s: its shield was gone: %s: made again", group->config->name,
			watch->blame);
	if (watch->was_shut)
		log_warnx("a flush of nftables shut the latch: nothing passed until now, and the "
			  "shields of all groups are up");
	group->rules_changed = changed;
	snprintf(group->rules_blame, sizeof(group->rules_blame), "%s", watch->blame);
	if (missing && watch->gap == RULES_MISSING)
		group->rules_closed = true;
	if (missing != group->rules_missing) {
		group->rules_missing = missing;
		node_readiness(group->node);
	}
}

static void node_rules_post(struct node_group *group);

static void node_rules_looked(struct executor_job *base)
{
	struct node_rules_watch *watch = (struct node_rules_watch *)(void *)base;
	struct node_group *group = &watch->node->groups[watch->group];

	if (watch->outcome != RULES_FAILED && watch->outcome != RULES_BUSY) {
		node_rules_tell(group, watch);
		if ((group->rules_missing || group->rules_changed) &&
			group->config->rules_drift == CONFIG_DRIFT_REPAIR)
			node_rules_repair(group, watch->blame);
		else if (watch->moved[0] != '\0' && !group->rules_missing) {
			log_notice("group %s: %s is back with another index", group->config->name,
				watch->moved);
			node_rules_repair(group, "its rules hold the index of an interface");
		}
	}
	if (group->rules_watch_again)
		node_rules_post(group);
}

static void node_rules_post(struct node_group *group)
{
	struct node_rules_watch *watch = &group->rules_watch;

	group->rules_watch_again = executor_job_busy(&watch->job);
	if (group->rules_watch_again)
		return;
	*watch = (struct node_rules_watch){
		.job = {.run = node_rules_look, .done = node_rules_looked},
		.node = group->node,
		.group = group->index,
	};
	if (!executor_post(group->node->rules_executor, &watch->job))
		CHECK(false);
}

void node_rules_watch(struct node *node)
{
	for (uint32_t i = 0; i < node->group_count; i++)
		if (node->groups[i].has_rules)
			node_rules_post(&node->groups[i]);
}

static int on_rules_event(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct node *node = context;

	(void)source;
	(void)revents;
	rules_events_drain(fd);
	if (node->is_started)
		node_rules_watch(node);
	return 0;
}

/* latch_arm: without one, a foreign flush is closed within a millisecond or a few. */
static void latch_arm(struct node *node)
{
	const char *taken = NULL;
	int r = -EOPNOTSUPP;

	for (uint32_t i = 0; i < node->manifest_count; i++)
		if (node->manifests[i].uses_mark)
			taken = node->manifests[i].group;
	if (node->latch && !taken)
		r = rules_latch_arm(node->latch, node->manifests, node->manifest_count);
	if (r == 0)
		return;
	if (taken)
		log_notice("rules of group %s use bit 31 of the packet mark: no latch: after a "
			   "flush of nftables by somebody else this node is closed within "
			   "milliseconds, not at once",
			taken);
	else
		log_warnx("no latch (%s): after a flush of nftables by somebody else this node is "
			  "closed within milliseconds, not at once",
			strerror(-r));
	rules_latch_close(node->latch);
	node->latch = NULL;
}

int node_rules_events_open(struct node *node)
{
	int r;

	if (node->manifest_count == 0)
		return 0;
	for (uint32_t i = 0; i < node->cfg->group_count; i++)
		if (node->groups[i].has_rules)
			node_rules_take_indexes(&node->groups[i], node->groups[i].manifest);
	latch_arm(node);
	r = rules_events_open();
	if (r < 0)
		return r;
	node->rules_events_fd = r;
	r = sd_event_add_io(node->event, &node->rules_events, r, EPOLLIN, on_rules_event, node);
	if (r < 0)
		return r;
	return sd_event_source_set_priority(node->rules_events, EVLOOP_PRIORITY_NORMAL);
}

void node_rules_events_close(struct node *node)
{
	node->rules_events = sd_event_source_disable_unref(node->rules_events);
	if (node->rules_events_fd >= 0)
		close(node->rules_events_fd);
	node->rules_events_fd = -1;
}
