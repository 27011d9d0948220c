#include "rules/latch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/check.h"
#include "rules/build.h"
#include "rules/census.h"

#define PASSED_PRIORITY (INT32_MAX - 2) /* after every rule; conntrack confirms at INT32_MAX */
#define LATCH_PRIORITY	(INT32_MAX - 1)

enum { SET_CANARY = 1, SET_INTERFACES };

struct rules_latch {
	size_t interface_count;
	struct rules_interface interfaces[LIMIT_INTERFACES];
	struct nfnl_batch passed;
	_Alignas(8) char passed_memory[LATCH_BATCH_BYTES];
	_Alignas(8) char memory[LATCH_BATCH_BYTES];
	struct nfnl owner; /* the latch is this socket's, and goes with it */
};

static const struct {
	const char *name;
	uint32_t hook;
} chains[] = {{"post", NF_INET_POST_ROUTING}, {"in", NF_INET_LOCAL_IN}};

bool latch_uses_mark(const char *listing)
{
	/* nft prints a mark as 0x and eight digits. */
	for (const char *at = listing; (at = strstr(at, "0x")); at += 2) {
		bool is_mask = at - listing >= 2 && at[-1] == ' ' && at[-2] == '&';

		if (strspn(at + 2, "0123456789abcdef") == 8 && strchr("89abcdef", at[2]) &&
			!is_mask)
			return true;
	}
	return false;
}

/* ---- the tables -------------------------------------------------------------------------------
 */

enum passed_mode { PASSED_CREATE, PASSED_REFRESH, PASSED_REPLACE };

/* build_passed: asleep where it is made; as it is where it is refreshed. */
static bool build_passed(struct nfnl_batch *batch, char *memory, enum passed_mode mode)
{
	struct build b = {.batch = batch, .table = LATCH_PASSED};
	const uint32_t mark = 1;

	nfnl_batch_begin(batch, memory, LATCH_BATCH_BYTES, false);
	if (mode == PASSED_REPLACE)
		build_delete_table(&b);
	if (mode == PASSED_REFRESH) {
		nfnl_batch_canary(batch, NFPROTO_INET, LATCH_PASSED);
	} else {
		build_table(&b, NFT_TABLE_F_DORMANT);
		build_set(&b, SET_CANARY, RULES_CANARY_SET, BUILD_TYPE_MARK, sizeof(mark),
			"carpool: what has passed all rules");
		build_elements(&b, RULES_CANARY_SET, &mark, sizeof(mark), 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
		struct nftnl_rule *rule = build_rule();

		if (mode == PASSED_REFRESH)
			build_flush_chain(&b, chains[i].name);
		else
			build_chain(&b, chains[i].name, chains[i].hook, PASSED_PRIORITY);
		build_meta(rule, NFT_META_MARK);
		build_bits(rule, ~LATCH_MARK, LATCH_MARK);
		build_set_meta(rule, NFT_META_MARK);
		build_rule_end(&b, rule, chains[i].name, BUILD_NO_VERDICT);
	}
	return nfnl_batch_end(batch);
}

static bool build_latch(struct rules_latch *latch, struct nfnl_batch *batch)
{
	const uint32_t mark = LATCH_MARK;
	struct build b = {.batch = batch, .table = LATCH_TABLE};

	nfnl_batch_begin(batch, latch->memory, LATCH_BATCH_BYTES, false);
	build_table(&b, NFT_TABLE_F_OWNER);
	build_set(&b, SET_INTERFACES, "interfaces", BUILD_TYPE_IFNAME, RULES_IFNAME_MAX, NULL);
	build_interfaces(&b, "interfaces", latch->interfaces, latch->interface_count);
	for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
		struct nftnl_rule *rule = build_rule();

		build_chain(&b, chains[i].name, chains[i].hook, LATCH_PRIORITY);
		build_meta(rule, NFT_META_MARK);
		build_bits(rule, LATCH_MARK, 0);
		build_equals(rule, &mark, sizeof(mark));
		build_meta(rule, NFT_META_MARK);
		build_bits(rule, ~LATCH_MARK, 0);
		build_set_meta(rule, NFT_META_MARK);
		build_rule_end(&b, rule, chains[i].name, NF_ACCEPT);
		rule = build_rule();
		build_meta(rule, NFT_META_IIFNAME);
		build_lookup(rule, "interfaces", SET_INTERFACES, false);
		build_rule_end(&b, rule, chains[i].name, NF_DROP);
	}
	return nfnl_batch_end(batch);
}

static int commit(struct rules_latch *latch, const struct nfnl_batch *batch)
{
	return nfnl_send_batch(&latch->owner, batch->start, batch->used_bytes);
}

static int delete_by(struct nfnl *n, const char *table)
{
	_Alignas(8) char memory[2 * NFNL_MESSAGE_ROOM];
	struct nfnl_batch batch;
	struct build b = {.batch = &batch};

	snprintf(b.table, sizeof(b.table), "%s", table);
	nfnl_batch_begin(&batch, memory, sizeof(memory), false);
	build_delete_table(&b);
	return nfnl_batch_end(&batch) ? nfnl_send_batch(n, batch.start, batch.used_bytes) : -E2BIG;
}

/* ---- the object -------------------------------------------------------------------------------
 */

static void take_interfaces(
	struct rules_latch *latch, const struct rules_manifest *manifests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < manifests[i].interface_count; k++) {
			const struct rules_interface *found = &manifests[i].interfaces[k];
			size_t at = 0;

			while (at < latch->interface_count &&
				strcmp(latch->interfaces[at].name, found->name) != 0)
				at++;
			if (at == latch->interface_count && at < LIMIT_INTERFACES)
				latch->interfaces[latch->interface_count++] = *found;
		}
	}
}

/* make_passed: the one of an earlier life keeps its place among the tables (latch.h). */
static int make_passed(struct rules_latch *latch)
{
	struct nfnl_batch batch;
	int r = build_passed(&latch->passed, latch->passed_memory, PASSED_CREATE) ? 0 : -E2BIG;

	if (r == 0)
		r = commit(latch, &latch->passed);
	if (r != -EEXIST)
		return r;
	if (build_passed(&batch, latch->memory, PASSED_REFRESH) && commit(latch, &batch) == 0)
		return 0;
	return build_passed(&batch, latch->memory, PASSED_REPLACE) ? commit(latch, &batch) : -E2BIG;
}

static int flip_passed(struct rules_latch *latch, bool asleep)
{
	struct nfnl_batch batch;

	nfnl_batch_begin(&batch, latch->memory, LATCH_BATCH_BYTES, false);
	nfnl_batch_canary(&batch, NFPROTO_INET, LATCH_PASSED);
	nfnl_batch_flip(&batch, NFPROTO_INET, LATCH_PASSED, asleep);
	return nfnl_batch_end(&batch) ? commit(latch, &batch) : -E2BIG;
}

/* holds: whether the kernel keeps the latch from everybody else: tried. */
static int holds(struct rules_latch *latch)
{
	struct census_state state;
	struct nfnl *other = malloc(sizeof(*other));
	int r = other ? nfnl_open(other, false) : -ENOMEM;

	if (r == 0) {
		r = delete_by(other, LATCH_TABLE) == 0 ? -EOPNOTSUPP : 0;
		nfnl_close(other);
	}
	free(other);
	return r == 0 ? census_state(&latch->owner, NFPROTO_INET, LATCH_TABLE, &state) : r;
}

/* wait_for_packets: until those are through that were on their way. */
static void wait_for_packets(void)
{
	struct timespec gap = {.tv_nsec = RULES_DEMOTION_GAP_US * 1000L};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &gap, &gap) == EINTR)
		;
}

static int make_latch(struct rules_latch *latch)
{
	struct nfnl_batch batch;
	int r;

	wait_for_packets(); /* they get their mark before it is asked for */
	r = build_latch(latch, &batch) ? commit(latch, &batch) : -E2BIG;
	if (r == -EINVAL)
		r = -EOPNOTSUPP; /* before 5.12: an unknown flag */
	return r == 0 ? holds(latch) : r;
}

int rules_latch_open(struct rules_latch **ret)
{
	struct rules_latch *latch = calloc(1, sizeof(*latch));
	int r;

	if (!latch)
		return -ENOMEM;
	nfnl_reset(&latch->owner);
	r = nfnl_open(&latch->owner, false);
	if (r == 0)
		r = make_passed(latch);
	if (r == 0)
		r = flip_passed(latch, true); /* awake: of one that died */
	if (r < 0) {
		rules_latch_close(latch);
		return r;
	}
	*ret = latch;
	return 0;
}

int rules_latch_arm(struct rules_latch *latch, const struct rules_manifest *manifests, size_t count)
{
	int r;

	take_interfaces(latch, manifests, count);
	r = flip_passed(latch, false);
	return r == 0 ? make_latch(latch) : r;
}

bool rules_latch_shut(struct rules_latch *latch)
{
	struct census_state state;
	int r = census_state(&latch->owner, NFPROTO_INET, LATCH_PASSED, &state);

	if (r == -ENOENT) /* before everything else is made again: asleep, at its place */
		r = commit(latch, &latch->passed);
	else if (r == 0 && !state.asleep)
		return false;
	return r == 0;
}

int rules_latch_mend(struct rules_latch *latch)
{
	/* What came past the place of the shield before it was up, and met no rules, would be
	 * marked. */
	wait_for_packets();
	return flip_passed(latch, false);
}

void rules_latch_close(struct rules_latch *latch)
{
	if (!latch)
		return;
	if (latch->owner.fd >= 0) {
		/* The latch first: while it is there, marks must be, too. */
		(void)delete_by(&latch->owner, LATCH_TABLE); /* else it goes with the socket */
		(void)flip_passed(latch, true);
	}
	nfnl_close(&latch->owner);
	free(latch);
}
