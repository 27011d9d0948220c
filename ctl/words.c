#include "ctl/words.h"

#include "common/check.h"

#include <stddef.h>
#include <string.h>

struct words_entry {
	const char *code;
	const char *words;
};

static const struct words_entry words_reasons[] = {
	{"BETTER_PEER", "a peer stands better in the order"},
	{"DUAL_MASTER", "two masters heard each other, one had to yield"},
	{"GUARD", "carpd died, its guard took the addresses away"},
	{"HANDOVER", "handed over by command"},
	{"LATE_CLOCK", "this node slept too long to trust itself"},
	{"MAINTENANCE", "maintenance"},
	{"MASTER_DEAD", "the master before fell silent on every path"},
	{"MASTER_RESIGNED", "the master before said goodbye"},
	{"OWN_DEMOTION", "this node demoted itself"},
	{"PEER_DEMOTED", "the master before was demoted"},
	{"PROMOTION_FAILED", "a required stage of the promotion failed"},
	{"RELOAD", "the config was reloaded"},
	{"SHUTDOWN", "carpd was stopped"},
	{"STARTUP", "carpd started"},
};

static const struct words_entry words_not_readys[] = {
	{"CONNTRACK_MAX_DIFFERS", "the nodes' nf_conntrack_max differ"},
	{"RULES_MISSING", "rules that carpool had loaded are gone"},
	{"SYNCD_NOT_REGISTERED", "syncd has not registered with carpd"},
	{"SYNC_BACKLOG", "the received flows are not all in the kernel yet"},
	{"SYNC_NOT_CONNECTED", "no connection to the master's syncd"},
	{"SYNC_TRANSFER", "the full transfer of the flows has not ended"},
	{"TABLE_FULL", "the connection table is (nearly) full"},
};

static const struct words_entry words_states[] = {
	{"backup", "a backup"},
	{"demoting", "giving it up"},
	{"fault", "in fault"},
	{"init", "starting"},
	{"maintenance", "in maintenance"},
	{"promoting", "taking over"},
};

static const struct words_entry words_alarms[] = {
	{"FAULT", "every group interface of this node has failed: look at cables and ports"},
	{"FLAPPING", "held where it is for 5 minutes; 'carpool history' shows what moved it"},
	{"HANDOVER_FAILED", "'carpool history' on both nodes says at which stage"},
	{"HELPER_DOWN", "restart carpd when another node is master"},
	{"NO_MASTER", "nobody may hold the group: maintenance, fault, or not started"},
	{"NO_READY_PEER", "a failure now would lose connections; the peers below say why"},
	{"PROMOTION_FAILED", "'carpool history' says which stage failed"},
	{"RULES_MISSING", "somebody removed carpool's tables: 'carpool reload'"},
	{"DUAL_MASTER", "look at the paths below: the nodes did not hear each other"},
	{"PATH_SPLIT", "look at the switch between the nodes: both test well, they do not meet"},
	{"SYNCD_DOWN", "start syncd; a takeover now would lose connections"},
	{"TABLE_FULL", "raise nf_conntrack_max, on every node"},
	{"UNPROVEN_PEER", "a master was heard that never proved that it is alive: a replay?"},
};

static const char *words_lookup(
	const struct words_entry *entries, size_t entry_count, const char *code)
{
	for (size_t i = 0; i < entry_count; i++)
		if (strcmp(entries[i].code, code) == 0)
			return entries[i].words;
	return NULL;
}

const char *words_reason(const char *code)
{
	return words_lookup(words_reasons, ARRAY_LEN(words_reasons), code);
}

const char *words_state(const char *code)
{
	return words_lookup(words_states, ARRAY_LEN(words_states), code);
}

const char *words_not_ready(const char *code)
{
	return words_lookup(words_not_readys, ARRAY_LEN(words_not_readys), code);
}

const char *words_alarm(const char *code)
{
	return words_lookup(words_alarms, ARRAY_LEN(words_alarms), code);
}
