#include "ctl/drill/scenario.h"

#include "ctl/drill/cluster.h"

#include "common/check.h"

#include <assert.h>
#include <signal.h>
#include <string.h>

#define SCENARIO_CARPD (1u << CLUSTER_DAEMON_CARPD)
#define SCENARIO_SYNCD (1u << CLUSTER_DAEMON_SYNCD)

/* What the objectives allow on top of master-down: the promotion, the announcement, and the
 * scheduling of two machines on one. */
#define SCENARIO_TAKEOVER_MS 20

/* A dead port behind a live carrier: master-down, then three unanswered questions, then the
 * hand-over (design section 6). */
#define SCENARIO_PATH_MS     (300 + SCENARIO_TAKEOVER_MS)
#define SCENARIO_LINK_MS     100 /* from the carrier's loss until the other node forwards */
#define SCENARIO_FREEZE_MS   50
#define SCENARIO_HEAL_MS     1000  /* two masters that hear each other again: until one is left */
#define SCENARIO_READY_MS    20000 /* a machine that is back is of use again */
#define SCENARIO_WATCH_MS    3000
#define SCENARIO_SMALL_TABLE 4000

static const struct scenario scenarios[] = {
	{
		.name = "power-loss",
		.summary = "the master loses power",
		.description =
			"All switch ports of the master and its sync link go dead at one "
			"instant and all its processes are gone. The standby has to find out by "
			"silence, take the addresses, and go on with every connection.",
		.step_count = 1,
		.steps = {{.action = SCENARIO_ACTION_POWER_OFF}},
		.master = SCENARIO_MASTER_MOVES,
		.bound = SCENARIO_BOUND_MASTER_DOWN,
		.outage_ms = SCENARIO_TAKEOVER_MS,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "handover",
		.summary = "a planned switch to the standby",
		.description =
			"The operator asks for a hand-over (carpool handover). No packet of an "
			"established flow may be lost. For a moment both nodes forward; that is "
			"overlap_ms, not dual mastership.",
		.step_count = 1,
		.steps = {{.action = SCENARIO_ACTION_HANDOVER}},
		.master = SCENARIO_MASTER_MOVES,
		.planned = true,
		.bound = SCENARIO_BOUND_NONE,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "kill-daemon",
		.summary = "carpd of the master is killed (SIGKILL)",
		.description =
			"carpd dies without a word while the machine lives on: the addresses "
			"would stay up on a node that no longer takes part. The guard has to "
			"withdraw them and to tell the peer.",
		.step_count = 1,
		.steps = {{.action = SCENARIO_ACTION_SIGNAL,
			.daemons = SCENARIO_CARPD,
			.signal_number = SIGKILL}},
		.master = SCENARIO_MASTER_MOVES,
		.bound = SCENARIO_BOUND_FIXED,
		.outage_ms = 100,
		.dual_ms = 50,
		.takeover_ms = 100,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "kill-all",
		.summary = "carpd and syncd of the master are killed together",
		.description = "As kill-daemon, but the states' source dies at the same instant.",
		.step_count = 1,
		.steps = {{.action = SCENARIO_ACTION_SIGNAL,
			.daemons = SCENARIO_CARPD | SCENARIO_SYNCD,
			.signal_number = SIGKILL}},
		.master = SCENARIO_MASTER_MOVES,
		.bound = SCENARIO_BOUND_FIXED,
		.outage_ms = 100,
		.dual_ms = 50,
		.takeover_ms = 100,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "freeze",
		.summary = "carpd and syncd of the master hang for four seconds",
		.description =
			"Both daemons are stopped (SIGSTOP) and go on four seconds later, as on "
			"a machine that is out of memory or whose hypervisor has paused it. The "
			"kernel still forwards and still answers for the addresses. The standby "
			"has to take over, the guard has to withdraw the addresses from the "
			"frozen node, and the node that wakes up must not believe that it is "
			"master. Two nodes may answer for one address for master-down + 50 ms "
			"at most.",
		.step_count = 2,
		.steps = {{.action = SCENARIO_ACTION_SIGNAL,
				  .daemons = SCENARIO_CARPD | SCENARIO_SYNCD,
				  .signal_number = SIGSTOP},
			{.at_ms = 4000,
				.action = SCENARIO_ACTION_SIGNAL,
				.daemons = SCENARIO_CARPD | SCENARIO_SYNCD,
				.signal_number = SIGCONT}},
		.master = SCENARIO_MASTER_MOVES,
		.bound = SCENARIO_BOUND_MASTER_DOWN,
		.outage_ms = SCENARIO_FREEZE_MS,
		.dual_ms = SCENARIO_FREEZE_MS,
		.dual_master_down = true,
		.dual_own = true,
		.ready_ms = SCENARIO_READY_MS,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "link-down",
		.summary = "the cable of the master's client side is pulled",
		.description =
			"The carrier goes. The master sees it and has to hand over at once, "
			"because the other node can serve both sides and it cannot. When the "
			"cable is back the node is a standby again.",
		.step_count = 2,
		.steps = {{.action = SCENARIO_ACTION_LINK_DOWN, .where = SCENARIO_WHERE_CLIENT},
			{.at_ms = 3000,
				.action = SCENARIO_ACTION_LINK_UP,
				.where = SCENARIO_WHERE_CLIENT}},
		.master = SCENARIO_MASTER_MOVES,
		.bound = SCENARIO_BOUND_FIXED,
		.outage_ms = SCENARIO_LINK_MS,
		.planned = true,
		.ready_ms = SCENARIO_READY_MS,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "path-loss",
		.summary = "the master's port on the client side dies, its carrier stays",
		.description =
			"The switch port forwards nothing any more, and nothing tells the node: "
			"no carrier goes. It has to notice the silence, test itself, and hand "
			"over; the other node must not take over by force while the master "
			"lives on the other paths.",
		.step_count = 2,
		.steps = {{.action = SCENARIO_ACTION_PATH_LOSS, .where = SCENARIO_WHERE_CLIENT},
			{.at_ms = 3000,
				.action = SCENARIO_ACTION_PATH_MEND,
				.where = SCENARIO_WHERE_CLIENT}},
		.master = SCENARIO_MASTER_MOVES,
		.bound = SCENARIO_BOUND_MASTER_DOWN,
		.outage_ms = SCENARIO_PATH_MS,
		.planned = true,
		.ready_ms = SCENARIO_READY_MS,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "sync-loss",
		.summary = "the sync link dies for three seconds",
		.description =
			"Connections are no longer copied, and the adverts have one path less. "
			"Nobody may move and nothing may be lost; when the link is back the "
			"standby has to catch up.",
		.step_count = 2,
		.steps = {{.action = SCENARIO_ACTION_LINK_DOWN, .where = SCENARIO_WHERE_SYNC},
			{.at_ms = 3000,
				.action = SCENARIO_ACTION_LINK_UP,
				.where = SCENARIO_WHERE_SYNC}},
		.master = SCENARIO_MASTER_STAYS,
		.bound = SCENARIO_BOUND_NONE,
		.ready_ms = SCENARIO_READY_MS,
		.needs_sync = true,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "partition",
		.summary = "the standby is cut off from every network",
		.description =
			"All ports of the standby forward nothing, their carriers stay, as when "
			"its switch has died. It hears nobody and cannot know whether the "
			"master lives. Whatever it concludes, the traffic must not notice: same "
			"master, not one packet lost.",
		.step_count = 1,
		.steps = {{.action = SCENARIO_ACTION_PATH_LOSS, .who = SCENARIO_WHO_STANDBY}},
		.master = SCENARIO_MASTER_STAYS,
		.bound = SCENARIO_BOUND_NONE,
		.standby_away = true,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "heal",
		.summary = "the nodes stop hearing each other, and hear each other again",
		.description =
			"Every path between the nodes is cut while both go on hearing clients "
			"and servers: without a third party two masters cannot be avoided, and "
			"for those two seconds they are not judged. What is judged is the end "
			"of it: once the paths are back one master must be left within a "
			"second, traffic must flow, and the established connections must have "
			"survived.",
		.step_count = 2,
		.steps = {{.action = SCENARIO_ACTION_SPLIT},
			{.at_ms = 2000, .action = SCENARIO_ACTION_JOIN}},
		.master = SCENARIO_MASTER_ANY,
		.bound = SCENARIO_BOUND_FIXED,
		.outage_ms = SCENARIO_HEAL_MS,
		.dual_ms = SCENARIO_HEAL_MS,
		.dual_own = true,
		.dual_from_step = 1,
		.ready_ms = SCENARIO_READY_MS,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "flap",
		.summary = "a loose cable: the master's client side comes and goes five times",
		.description =
			"Down for 300 ms, up for 300 ms, five times. The mastership may follow "
			"the cable away once, and back once if the config says preempt, but not "
			"each time.",
		.step_count = 10,
		.steps = {{.at_ms = 0,
				  .action = SCENARIO_ACTION_LINK_DOWN,
				  .where = SCENARIO_WHERE_CLIENT},
			{.at_ms = 300,
				.action = SCENARIO_ACTION_LINK_UP,
				.where = SCENARIO_WHERE_CLIENT},
			{.at_ms = 600,
				.action = SCENARIO_ACTION_LINK_DOWN,
				.where = SCENARIO_WHERE_CLIENT},
			{.at_ms = 900,
				.action = SCENARIO_ACTION_LINK_UP,
				.where = SCENARIO_WHERE_CLIENT},
			{.at_ms = 1200,
				.action = SCENARIO_ACTION_LINK_DOWN,
				.where = SCENARIO_WHERE_CLIENT},
			{.at_ms = 1500,
				.action = SCENARIO_ACTION_LINK_UP,
				.where = SCENARIO_WHERE_CLIENT},
			{.at_ms = 1800,
				.action = SCENARIO_ACTION_LINK_DOWN,
				.where = SCENARIO_WHERE_CLIENT},
			{.at_ms = 2100,
				.action = SCENARIO_ACTION_LINK_UP,
				.where = SCENARIO_WHERE_CLIENT},
			{.at_ms = 2400,
				.action = SCENARIO_ACTION_LINK_DOWN,
				.where = SCENARIO_WHERE_CLIENT},
			{.at_ms = 2700,
				.action = SCENARIO_ACTION_LINK_UP,
				.where = SCENARIO_WHERE_CLIENT}},
		.master = SCENARIO_MASTER_ANY,
		.bound = SCENARIO_BOUND_FIXED,
		.outage_ms = SCENARIO_LINK_MS,
		.moves_max = 2,
		.planned = true,
		.ready_ms = SCENARIO_READY_MS,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "reboot",
		.summary = "the master loses power and comes back three seconds later",
		.description =
			"As power-loss, but the machine starts again, with nothing in its "
			"kernel: no addresses, no rules, no connections. It must not disturb "
			"the new master, and has to become a standby that could take over.",
		.step_count = 2,
		.steps = {{.action = SCENARIO_ACTION_POWER_OFF},
			{.at_ms = 3000, .action = SCENARIO_ACTION_POWER_ON}},
		.master = SCENARIO_MASTER_MOVES,
		.bound = SCENARIO_BOUND_MASTER_DOWN,
		.outage_ms = SCENARIO_TAKEOVER_MS,
		.ready_ms = SCENARIO_READY_MS,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "bad-rules",
		.summary = "a rules file with a mistake is loaded on the master",
		.description =
			"The master's rules file gets a line that nft does not understand, and "
			"somebody reloads. The reload has to be refused, and everything has to "
			"go on as if nobody had asked: same master, same rules, nothing lost.",
		.step_count = 2,
		.steps = {{.action = SCENARIO_ACTION_BREAK_RULES},
			{.at_ms = 200, .action = SCENARIO_ACTION_RELOAD, .refused = true}},
		.master = SCENARIO_MASTER_STAYS,
		.bound = SCENARIO_BOUND_NONE,
		.needs_rules = true,
		.observe_ms = SCENARIO_WATCH_MS,
	},
	{
		.name = "rules-drift",
		.summary = "somebody changes the standby's rules by hand",
		.description =
			"A rule is inserted with nft into a chain of the standby, behind the "
			"back of carpool. Nothing happens at first, and at the next failover "
			"the firewall is another one: so carpool has to raise an alarm "
			"(RULES_CHANGED) while there is time.",
		.step_count = 1,
		.steps = {{.action = SCENARIO_ACTION_DRIFT_RULES, .who = SCENARIO_WHO_STANDBY}},
		.master = SCENARIO_MASTER_STAYS,
		.bound = SCENARIO_BOUND_NONE,
		.alarm = "RULES_CHANGED",
		.needs_rules = true,
		.observe_ms = 6000,
	},
	{
		.name = "table-full",
		.summary = "more connections than the standby has room for",
		.description =
			"sync.max_flows is lowered to 4000 in the sandbox, and 6000 more "
			"connections are made than fit. The cluster has to say that the standby "
			"can no longer take all of them (TABLE_FULL); the master has to go on "
			"without a loss.",
		.step_count = 1,
		.steps = {{.action = SCENARIO_ACTION_FILL,
			.flow_count = SCENARIO_SMALL_TABLE + 2000}},
		.master = SCENARIO_MASTER_STAYS,
		.bound = SCENARIO_BOUND_NONE,
		.alarm = "TABLE_FULL",
		.needs_sync = true,
		.max_flows = SCENARIO_SMALL_TABLE,
		.observe_ms = 6000,
	},
	{
		.name = "reload-under-load",
		.summary = "changed rules are loaded on both nodes under traffic",
		.description =
			"The rules file gets one table more. The standby reloads; the master "
			"hands over to it, and reloads as a standby: the way in which an "
			"operator brings changed rules out. Not one packet may be lost.",
		.step_count = 4,
		.steps = {{.action = SCENARIO_ACTION_CHANGE_RULES},
			{.at_ms = 200,
				.action = SCENARIO_ACTION_RELOAD,
				.who = SCENARIO_WHO_STANDBY},
			{.at_ms = 1500, .action = SCENARIO_ACTION_HANDOVER},
			{.at_ms = 3000, .action = SCENARIO_ACTION_RELOAD}},
		.master = SCENARIO_MASTER_MOVES,
		.planned = true,
		.bound = SCENARIO_BOUND_NONE,
		.needs_rules = true,
		.ready_ms = SCENARIO_READY_MS,
		.observe_ms = SCENARIO_WATCH_MS,
	},
};

unsigned int scenario_count(void)
{
	return ARRAY_LEN(scenarios);
}

const struct scenario *scenario_nth(unsigned int index)
{
	return index < ARRAY_LEN(scenarios) ? &scenarios[index] : NULL;
}

const struct scenario *scenario_lookup(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_LEN(scenarios); i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	return NULL;
}

const char *scenario_unfit(const struct scenario *scenario, const struct config *cfg)
{
	bool rules = false;

	for (uint32_t g = 0; g < cfg->group_count; g++)
		rules |= cfg->groups[g].rules_master.path != NULL;
	if (scenario->needs_rules && !rules)
		return "no group of the config has rules:";
	if (scenario->needs_sync && !cfg->sync.configured)
		return "the config has no sync:";
	return NULL;
}

bool scenario_is_comparable(const struct scenario *scenario)
{
	for (unsigned int i = 0; i < scenario->step_count; i++)
		switch (scenario->steps[i].action) {
		case SCENARIO_ACTION_BREAK_RULES:
		case SCENARIO_ACTION_CHANGE_RULES:
		case SCENARIO_ACTION_DRIFT_RULES:
		case SCENARIO_ACTION_RELOAD:
			return false;
		default:
			break;
		}
	return !scenario->alarm;
}

static const char *const scenario_action_names[] = {
	[SCENARIO_ACTION_POWER_OFF] = "power-off",
	[SCENARIO_ACTION_POWER_ON] = "power-on",
	[SCENARIO_ACTION_HANDOVER] = "handover",
	[SCENARIO_ACTION_SIGNAL] = "signal",
	[SCENARIO_ACTION_START] = "start",
	[SCENARIO_ACTION_LINK_DOWN] = "link-down",
	[SCENARIO_ACTION_LINK_UP] = "link-up",
	[SCENARIO_ACTION_PATH_LOSS] = "path-loss",
	[SCENARIO_ACTION_PATH_MEND] = "path-mend",
	[SCENARIO_ACTION_SPLIT] = "split",
	[SCENARIO_ACTION_JOIN] = "join",
	[SCENARIO_ACTION_BREAK_RULES] = "break-rules",
	[SCENARIO_ACTION_CHANGE_RULES] = "change-rules",
	[SCENARIO_ACTION_DRIFT_RULES] = "drift-rules",
	[SCENARIO_ACTION_RELOAD] = "reload",
	[SCENARIO_ACTION_FILL] = "fill",
};
static_assert(ARRAY_LEN(scenario_action_names) == SCENARIO_ACTION_COUNT, "a name for each");

const char *scenario_action_name(enum scenario_action action)
{
	return scenario_action_names[action];
}

bool scenario_action_lookup(const char *name, enum scenario_action *ret_action)
{
	for (unsigned int i = 0; i < ARRAY_LEN(scenario_action_names); i++) {
		if (strcmp(scenario_action_names[i], name) != 0)
			continue;
		*ret_action = (enum scenario_action)i;
		return true;
	}
	return false;
}
