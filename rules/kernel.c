#include "rules/kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "rules/census.h"
#include "rules/nfnl.h"
#include "rules/report.h"
#include "rules/shield.h"

#define GHOST "carpool_ghost"
#define PROBE "probe" /* the group whose shield is the table of the trials */

struct trials {
	struct nfnl commands;
	char table[RULES_TABLE_NAME_MAX];
	_Alignas(8) char memory[SHIELD_BATCH_BYTES];
};

/* flip: a canary and a flip, comparing when generation is not 0. */
static int flip(struct trials *t, const char *table, bool asleep, uint32_t generation)
{
	struct nfnl_batch b;

	nfnl_batch_begin(&b, t->memory, sizeof(t->memory), true);
	nfnl_batch_canary(&b, NFPROTO_INET, table);
	nfnl_batch_flip(&b, NFPROTO_INET, table, asleep);
	if (!nfnl_batch_end(&b))
		return -E2BIG;
	nfnl_batch_set_generation(&b, generation);
	return nfnl_send_batch(&t->commands, b.start, b.used_bytes);
}

static int make_table(struct trials *t)
{
	const struct shield shield = {.group = PROBE};
	struct nfnl_batch b;

	shield_name(PROBE, t->table);
	if (!shield_build(&b, t->memory, sizeof(t->memory), &shield, SHIELD_CREATE))
		return -E2BIG;
	return nfnl_send_batch(&t->commands, b.start, b.used_bytes);
}

static int delete_table(struct trials *t)
{
	struct nfnl_batch b;
	struct nlmsghdr *nlh;

	nfnl_batch_begin(&b, t->memory, sizeof(t->memory), false);
	nlh = nfnl_batch_add(&b, NFT_MSG_DELTABLE, 0, NFPROTO_INET);
	if (!nlh)
		return -E2BIG;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, t->table);
	nfnl_batch_added(&b, nlh);
	if (!nfnl_batch_end(&b))
		return -E2BIG;
	return nfnl_send_batch(&t->commands, b.start, b.used_bytes);
}

static bool try_ghost(struct trials *t)
{
	struct census_state state;

	return flip(t, GHOST, false, 0) == -ENOENT &&
	       census_state(&t->commands, NFPROTO_INET, GHOST, &state) == -ENOENT;
}

/* moves: a flip to `asleep` as of the present generation, after which that is `steps` further. */
static bool moves(struct trials *t, bool asleep, uint32_t steps)
{
	struct census_state state;
	uint32_t before, after;

	return nfnl_generation(&t->commands, &before) == 0 &&
	       flip(t, t->table, asleep, before) == 0 &&
	       nfnl_generation(&t->commands, &after) == 0 && after == before + steps &&
	       census_state(&t->commands, NFPROTO_INET, t->table, &state) == 0 &&
	       state.asleep == asleep;
}

static bool try_sleep(struct trials *t)
{
	return moves(t, true, 1) && moves(t, true, 0) && moves(t, false, 1) && moves(t, false, 0);
}

static bool try_old_generation(struct trials *t)
{
	struct census_state state;
	uint32_t generation;

	return nfnl_generation(&t->commands, &generation) == 0 && moves(t, true, 1) &&
	       flip(t, t->table, false, generation) == -ERESTART &&
	       census_state(&t->commands, NFPROTO_INET, t->table, &state) == 0 && state.asleep &&
	       moves(t, false, 1);
}

static const struct {
	bool (*run)(struct trials *trials);
	const char *what;
} trials[] = {
	{try_ghost, "refuse to flip a table that is missing"},
	{try_sleep, "put a table to sleep and wake it"},
	{try_old_generation, "refuse a batch of an older generation"},
};

int kernel_probe(struct rules_report *report)
{
	struct trials *t = calloc(1, sizeof(*t));
	int r = t ? nfnl_open(&t->commands, false) : -ENOMEM;

	if (r < 0) {
		free(t);
		return r;
	}
	r = make_table(t);
	if (r < 0)
		report_add(report, "this kernel cannot hold the shield: %s", strerror(-r));
	for (size_t i = 0; i < ARRAY_LEN(trials) && r == 0; i++) {
		if (trials[i].run(t))
			continue;
		report_add(report, "this kernel's nftables does not %s: rules cannot be held ready",
			trials[i].what);
		r = -EOPNOTSUPP;
	}
	if (r == 0)
		r = delete_table(t);
	nfnl_close(&t->commands);
	free(t);
	return r;
}
