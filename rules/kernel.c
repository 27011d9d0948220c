#include "rules/kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"
#include "rules/build.h"
#include "rules/census.h"
#include "rules/nfnl.h"
#include "rules/report.h"
#include "rules/shield.h"

#define GHOST "carpool_ghost"
#define PROBE "probe" /* the group whose shield is the table of the trials */
#define CHAIN "out"   /* in it, made by us: drops what this host sends */

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

/* aborted: a flip to `asleep` and, behind it in the same batch, one that is refused. */
static int aborted(struct trials *t, bool asleep)
{
	struct nfnl_batch b;

	nfnl_batch_begin(&b, t->memory, sizeof(t->memory), false);
	nfnl_batch_flip(&b, NFPROTO_INET, t->table, asleep);
	nfnl_batch_canary(&b, NFPROTO_INET, GHOST);
	if (!nfnl_batch_end(&b))
		return -E2BIG;
	return nfnl_send_batch(&t->commands, b.start, b.used_bytes);
}

static int make_table(struct trials *t)
{
	const struct shield shield = {.group = PROBE};
	struct nfnl_batch b;
	struct build chain = {.batch = &b};
	int r;

	shield_name(PROBE, t->table);
	if (!shield_build(&b, t->memory, sizeof(t->memory), &shield, SHIELD_CREATE))
		return -E2BIG;
	r = nfnl_send_batch(&t->commands, b.start, b.used_bytes);
	if (r < 0)
		return r;
	memcpy(chain.table, t->table, sizeof(chain.table));
	nfnl_batch_begin(&b, t->memory, sizeof(t->memory), false);
	build_chain(&chain, CHAIN, NF_INET_LOCAL_OUT, 0);
	build_rule_end(&chain, build_rule(), CHAIN, NF_DROP);
	if (!nfnl_batch_end(&b))
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

/* filters: a packet to ourselves, which the chain of the trials drops while its table is awake: the
 * kernel tells that to the sender (EPERM). 1, 0, or another -errno. */
static int filters(void)
{
	const struct sockaddr_in self = {.sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	r = sendto(fd, "", 1, 0, (const struct sockaddr *)&self, sizeof(self)) < 0 ? -errno : 0;
	close(fd);
	return r == -EPERM ? 1 : r;
}

/* try_packets: what a listing says of a table is one thing, its hooks are another. */
static bool try_packets(struct trials *t)
{
	return filters() == 1 && moves(t, true, 1) && filters() == 0 && moves(t, false, 1) &&
	       filters() == 1;
}

/* try_abort: a batch that fails behind a flip leaves everything as it was: hooks that it had
 * registered are gone again, and those that it was to remove are there. */
static bool try_abort(struct trials *t)
{
	return aborted(t, true) == -ENOENT && moves(t, false, 0) && filters() == 1 &&
	       moves(t, true, 1) && aborted(t, false) == -ENOENT && moves(t, true, 0) &&
	       filters() == 0 && moves(t, false, 1) && filters() == 1;
}

static const struct {
	bool (*run)(struct trials *trials);
	const char *what;
} trials[] = {
	{try_ghost, "refuse to flip a table that is missing"},
	{try_sleep, "put a table to sleep and wake it"},
	{try_old_generation, "refuse a batch of an older generation"},
	{try_packets, "stop filtering with a table that sleeps, or filter with one that woke"},
	{try_abort, "undo a flip whose batch fails"},
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
