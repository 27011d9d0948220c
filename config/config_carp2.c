/* carp2's own rules, and what that wire cannot give: see config_parse.h and config.h. */
#include "config/config_parse.h"

#include "common/check.h"

static uint32_t carrying_count(const struct config_group *group)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < group->interface_count; i++)
		count += !group->interfaces[i].bring_up;
	return count;
}

/* Foreign nodes elect each interface on its own; only a group of one moves as one with them. */
static void check_interfaces(const struct config *cfg, struct config_errors *errors)
{
	for (uint32_t i = 0; i < cfg->group_count; i++) {
		const struct config_group *group = &cfg->groups[i];
		uint32_t count = carrying_count(group);

		if (count != 1)
			config_errors_add(errors, group->pos,
				"%s: %u interfaces carry adverts; foreign CARP nodes elect each "
				"interface on its own; allowed with carp2: one, or any number with "
				"counter: strict (no foreign nodes)",
				group->name, count);
	}
}

static void check_zero_advbase(const struct config *cfg, struct config_errors *errors)
{
	for (uint32_t g = 0; g < cfg->group_count; g++)
		for (uint32_t n = 0; n < cfg->node_count; n++)
			if (cfg->groups[g].advskew[n] == 0)
				config_errors_add(errors, cfg->election.advbase_pos,
					"advbase: 0 needs a skew: node %s has none in group %s; "
					"allowed: advskew 1..%u on every node, or 1s and more",
					cfg->nodes[n].name, cfg->groups[g].name,
					CONFIG_ADVSKEW_MAX);
}

void config_carp2_check(const struct config *cfg, struct config_errors *errors)
{
	const struct config_election *election = &cfg->election;

	if (election->wire != CONFIG_WIRE_CARP2) {
		if (election->counter_strict)
			config_errors_add(errors, election->counter_pos,
				"counter: strict is for wire: carp2; native adverts are always "
				"strict: leave it out");
		if (election->passphrase.path)
			config_errors_add(errors, election->passphrase.pos,
				"passphrase_file: only for wire: carp2; leave it out");
		return;
	}
	if (!election->passphrase.text)
		config_errors_add(errors, election->wire_pos,
			"wire: carp2 needs passphrase_file: a file with one line of 1..20 bytes");
	if (!election->counter_strict)
		check_interfaces(cfg, errors);
	if (election->advbase.us == 0)
		check_zero_advbase(cfg, errors);
}

const char *config_carp2_note(const struct config *cfg, uint32_t index)
{
	static const char *const lenient[] = {
		"carp2: foreign nodes' adverts are not protected against replay: whoever records "
		"one on the link can keep a dead master alive with it",
		"carp2: CARPv2 does not sign advbase, advskew and demotion: whoever hears an "
		"advert can send it again with a better or worse priority, or as a bow-out",
		"carp2: the signature is HMAC-SHA-1 under a passphrase of at most 20 bytes, and "
		"every node that knows it can speak for every other",
		"carp2: foreign nodes take part in the election only: they replicate no states, "
		"are never handed a group, and their backups are not seen",
	};
	static const char *const strict[] = {
		"carp2: the signature is HMAC-SHA-1 under a passphrase of at most 20 bytes; "
		"priorities in it are not signed, and not believed: the native adverts on the "
		"sync links decide",
		"carp2: counter: strict: foreign nodes are not heard at all",
	};

	if (cfg->election.wire != CONFIG_WIRE_CARP2)
		return NULL;
	if (cfg->election.counter_strict)
		return index < ARRAY_LEN(strict) ? strict[index] : NULL;
	return index < ARRAY_LEN(lenient) ? lenient[index] : NULL;
}
