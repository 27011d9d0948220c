/* switch.c: from the backup's rules to the master's and back, in prepared netlink batches.
 *
 * What makes it safe, each point measured (facts/experiments.md section 4, facts/conntrackd.md 5):
 *
 *  - A flip of a table that is gone would create it, empty and awake: so each batch starts with a
 *    no-op on the canary set of every table that it touches (nfnl_batch_canary).
 *  - A flip of a table that somebody else re-made, or filled with other rules, would pass the
 *    canary: so each batch carries the generation at which *we* last knew our tables to be ours.
 * Any commit in between makes the kernel refuse the batch (ERESTART), and we look again. It is
 * never a generation fetched for the purpose.
 *  - Looking again is cheap, because the event socket tells what each commit touched: `verified`
 *    moves forward over commits that left our tables alone, without a dump. Only a commit inside
 * our tables, or lost events, cost a dump, where the digest decides.
 *  - Waking registers hooks before the commit, sleeping removes them in it: within one batch both
 *    sides filter for a moment, and never neither, but only *per hook*: a packet between two hooks
 *    can slip through half of each. To master that is harmless (no address here yet). To backup it
 *    is not: so the shield goes up first, and the master's tables sleep at least 1 ms later.
 *
 * Nothing here allocates after rules_switch_open(). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/check.h"
#include "common/io/clock.h"
#include "rules/census.h"
#include "rules/nfnl.h"
#include "rules/rules.h"
#include "rules/shield.h"

#define FLIP_BATCH_BYTES 24576u /* 32 tables: two messages of at most 300 bytes each, and room */
#define BLAME_MAX	 128u

struct prepared {
	struct nfnl_batch batch;
	_Alignas(8) char memory[FLIP_BATCH_BYTES];
};

struct rules_switch {
	struct rules_manifest manifest;
	bool asleep[RULES_TABLES_MAX];	/* as of `verified` */
	bool missing[RULES_TABLES_MAX]; /* as of `verified` */
	uint32_t verified;		/* the generation that our knowledge is of; 0 = none */
	enum rules_result state;	/* what the last look said: OK, MISSING or CHANGED */
	bool must_dump;			/* events were lost, or a commit touched our tables */
	bool commit_touches;		/* of the commit whose events are being read */
	char commit_what[48];
	char blame[BLAME_MAX];
	int error;
	mono_t raised_at; /* MONO_NEVER: rules_switch_raise() was not called since to_master */

	struct prepared to_master;
	struct prepared raise;
	struct prepared lower;
	struct prepared single; /* built on the spot when a table is missing */
	struct nfnl_batch remake[2];
	_Alignas(8) char remake_memory[2][SHIELD_BATCH_BYTES];

	struct nfnl commands;
	struct nfnl events;
};

/* Which way a table of a role goes. */
enum direction { TO_MASTER, RAISE, LOWER };

/* plan: whether a batch touches the table, and how it leaves it. */
static bool plan(const struct rules_table *table, enum direction direction, bool *ret_asleep)
{
	if (table->sleeps_always)
		return false;
	switch (direction) {
	case TO_MASTER:
		*ret_asleep = table->role != RULES_ROLE_MASTER;
		return true;
	case RAISE:
		*ret_asleep = false;
		return table->role != RULES_ROLE_MASTER;
	case LOWER:
		*ret_asleep = true;
		return table->role == RULES_ROLE_MASTER;
	}
	return false;
}

/* build: canaries first, then the flips; no bytes at all when there is nothing to do. False when it
 * does not fit. */
static bool build(const struct rules_switch *rules, struct prepared *p, enum direction direction,
	bool compares, bool skip_missing)
{
	const struct rules_manifest *m = &rules->manifest;
	bool asleep, any = false;

	nfnl_batch_begin(&p->batch, p->memory, sizeof(p->memory), compares);
	for (size_t i = 0; i < m->table_count; i++) {
		if (plan(&m->tables[i], direction, &asleep) && !(skip_missing && rules->missing[i]))
			nfnl_batch_canary(&p->batch, m->tables[i].family, m->tables[i].name);
	}
	for (size_t i = 0; i < m->table_count; i++) {
		if (plan(&m->tables[i], direction, &asleep) &&
			!(skip_missing && rules->missing[i])) {
			nfnl_batch_flip(&p->batch, m->tables[i].family, m->tables[i].name, asleep);
			any = true;
		}
	}
	if (!any)
		p->batch.used_bytes = 0;
	return !any || nfnl_batch_end(&p->batch);
}

static const struct rules_table *own_table(
	const struct rules_switch *rules, uint8_t family, const char *name, size_t *ret_index)
{
	for (size_t i = 0; i < rules->manifest.table_count; i++) {
		const struct rules_table *table = &rules->manifest.tables[i];

		if (table->family == family && !strcmp(table->name, name)) {
			*ret_index = i;
			return table;
		}
	}
	return NULL;
}

/* ---- looking: what did commits since `verified` do to our tables? ------------------------------
 */

static const char *event_word(int type)
{
	switch (type) {
	case NFT_MSG_NEWTABLE:
		return "made a table";
	case NFT_MSG_DELTABLE:
		return "deleted a table";
	case NFT_MSG_NEWCHAIN:
		return "added or changed a chain";
	case NFT_MSG_DELCHAIN:
		return "deleted a chain";
	case NFT_MSG_NEWRULE:
		return "added a rule";
	case NFT_MSG_DELRULE:
		return "deleted a rule";
	case NFT_MSG_NEWSET:
	case NFT_MSG_DELSET:
		return "added or deleted a set";
	default:
		return "changed an object";
	}
}

/* look_generation: the end of a commit's events. */
static void look_generation(struct rules_switch *rules, const struct nlmsghdr *nlh)
{
	uint32_t id = nfnl_u32(nlh, NFTA_GEN_ID);
	int32_t ahead = (int32_t)(id - rules->verified);

	if (ahead > 0) { /* else it is older than the last dump, which saw its work */
		if (ahead != 1)
			rules->must_dump = true;
		if (rules->commit_touches)
			rules->must_dump = true;
		/* Who makes a lost shield again is not the one to be told of. */
		if (rules->commit_touches &&
			nfnl_u32(nlh, NFTA_GEN_PROC_PID) != (uint32_t)gettid()) {
			snprintf(rules->blame, sizeof(rules->blame), "%.32s (%u) %s",
				nfnl_text(nlh, NFTA_GEN_PROC_NAME),
				nfnl_u32(nlh, NFTA_GEN_PROC_PID), rules->commit_what);
		}
		if (!rules->must_dump)
			rules->verified = id;
	}
	rules->commit_touches = false;
}

/* look_event: one object that a commit changed. Elements of sets do not count: address-list daemons
 * and operators add them rightfully. A flip of our table (the guard's, the executor's) is noted. */
static void look_event(const struct nlmsghdr *nlh, void *context)
{
	struct rules_switch *rules = context;
	int type = nfnl_type(nlh);
	size_t index;

	if (type == NFT_MSG_NEWGEN) {
		look_generation(rules, nlh);
		return;
	}
	if (type < 0 || type == NFT_MSG_NEWSETELEM || type == NFT_MSG_DELSETELEM)
		return;
	if (!own_table(rules, nfnl_family(nlh), nfnl_text(nlh, NFTA_TABLE_NAME), &index))
		return;
	if (type == NFT_MSG_NEWTABLE &&
		nfnl_u64(nlh, NFTA_TABLE_HANDLE) == rules->manifest.tables[index].handle) {
		rules->asleep[index] = nfnl_u32(nlh, NFTA_TABLE_FLAGS) & NFT_TABLE_F_DORMANT;
		return;
	}
	if (!rules->commit_touches)
		snprintf(rules->commit_what, sizeof(rules->commit_what), "%s", event_word(type));
	rules->commit_touches = true;
}

static void read_events(struct rules_switch *rules)
{
	int r;

	while ((r = nfnl_next_event(&rules->events, look_event, rules)) != 0) {
		if (r > 0)
			continue;
		rules->must_dump = true; /* ENOBUFS: some are lost */
		if (r != -ENOBUFS)
			return;
	}
}

/* look_at_states: which of our tables are there, and how, without their content: for the way down,
 * which must not wait for a dump of 100,000 rules. */
static int look_at_states(struct rules_switch *rules)
{
	for (size_t i = 0; i < rules->manifest.table_count; i++) {
		const struct rules_table *table = &rules->manifest.tables[i];
		struct census_state seen = {0};
		int r = census_state(&rules->commands, table->family, table->name, &seen);

		if (r < 0 && r != -ENOENT)
			return r;
		rules->missing[i] = r == -ENOENT || seen.handle != table->handle;
		rules->asleep[i] = rules->missing[i] || seen.asleep;
	}
	return 0;
}

/* dump_tables: the long way: every table of ours by handle, then by digest. */
static int dump_tables(struct rules_switch *rules, enum rules_result *ret_state)
{
	enum rules_result state = RULES_OK;
	int r = look_at_states(rules);

	for (size_t i = 0; i < rules->manifest.table_count && r == 0; i++) {
		const struct rules_table *table = &rules->manifest.tables[i];
		uint64_t digest;

		if (rules->missing[i]) {
			state = RULES_MISSING;
			continue;
		}
		r = census_digest(&rules->commands, table->family, table->name, &digest);
		if (r == 0 && digest != table->digest && state == RULES_OK)
			state = RULES_CHANGED;
	}
	*ret_state = state;
	return r;
}

/* look_fully: a dump that no commit cut through. */
static int look_fully(struct rules_switch *rules)
{
	for (unsigned int i = 0; i < RULES_SWITCH_TRIES; i++) {
		uint32_t before, after;
		enum rules_result state;
		int r;

		read_events(rules);
		r = nfnl_generation(&rules->commands, &before);
		if (r == 0)
			r = dump_tables(rules, &state);
		if (r == 0)
			r = nfnl_generation(&rules->commands, &after);
		if (r < 0 && r != -EINTR)
			return r;
		if (r == 0 && before == after) {
			rules->verified = before;
			rules->state = state;
			rules->must_dump = false;
			rules->commit_touches = false;
			return 0;
		}
	}
	return -EBUSY;
}

static enum rules_result fail(struct rules_switch *rules, int r)
{
	rules->error = -r;
	return r == -EBUSY ? RULES_BUSY : RULES_FAILED;
}

enum rules_result rules_switch_verify(struct rules_switch *rules)
{
	int r = 0;

	rules->error = 0;
	read_events(rules);
	if (rules->must_dump || rules->verified == 0)
		r = look_fully(rules);
	return r < 0 ? fail(rules, r) : rules->state;
}

/* ---- sending ----------------------------------------------------------------------------------
 */

/* changes_nothing: such a batch leaves the generation where it is (nf_tables_commit of an empty
 * list); any other moves it on by exactly one. */
static bool changes_nothing(const struct rules_switch *rules, enum direction direction)
{
	bool asleep;

	for (size_t i = 0; i < rules->manifest.table_count; i++) {
		if (plan(&rules->manifest.tables[i], direction, &asleep) && !rules->missing[i] &&
			rules->asleep[i] != asleep)
			return false;
	}
	return true;
}

/* send_flips: the batch as of the verified generation. On success our knowledge moves along with
 * the kernel: the comparison proved that nothing came between. */
static int send_flips(struct rules_switch *rules, struct prepared *p, enum direction direction)
{
	bool empty = changes_nothing(rules, direction), asleep;
	int r;

	if (p->batch.used_bytes == 0)
		return 0;
	nfnl_batch_set_generation(&p->batch, rules->verified);
	r = nfnl_send_batch(&rules->commands, p->batch.start, p->batch.used_bytes);
	if (r < 0)
		return r;
	for (size_t i = 0; i < rules->manifest.table_count; i++) {
		if (plan(&rules->manifest.tables[i], direction, &asleep) && !rules->missing[i])
			rules->asleep[i] = asleep;
	}
	if (!empty && ++rules->verified == 0) /* the kernel leaves 0 out, too */
		rules->verified = 1;
	return 0;
}

/* read_back: asks the kernel how the tables of this direction are now. */
static bool read_back(struct rules_switch *rules, enum direction direction)
{
	for (size_t i = 0; i < rules->manifest.table_count; i++) {
		const struct rules_table *table = &rules->manifest.tables[i];
		struct census_state seen;
		bool asleep;

		if (!plan(table, direction, &asleep) || rules->missing[i])
			continue;
		if (census_state(&rules->commands, table->family, table->name, &seen) < 0 ||
			seen.handle != table->handle || seen.asleep != asleep)
			return false;
	}
	return true;
}

enum rules_result rules_switch_to_master(struct rules_switch *rules, bool accept_changed)
{
	for (unsigned int i = 0; i < RULES_SWITCH_TRIES; i++) {
		enum rules_result looked = rules_switch_verify(rules);
		int r;

		if (looked != RULES_OK && !(looked == RULES_CHANGED && accept_changed))
			return looked;
		r = send_flips(rules, &rules->to_master, TO_MASTER);
		if (r == 0 && read_back(rules, TO_MASTER)) {
			rules->raised_at = MONO_NEVER;
			return RULES_OK;
		}
		if (r == 0 || r == -ENOENT)
			rules->must_dump = true; /* somebody was there: look, and say what */
		else if (r != -ERESTART)
			return fail(rules, r);
	}
	return fail(rules, -EBUSY);
}

/* flip_present: tables of ours that are there, whatever became of the others: without comparing,
 * each with its canary. For the way down alone, where doing less is never safer. */
static int flip_present(struct rules_switch *rules, enum direction direction)
{
	rules->must_dump = true; /* what the generation is now, we do not know */
	if (!build(rules, &rules->single, direction, false, true))
		return -E2BIG;
	if (rules->single.batch.used_bytes == 0)
		return 0; /* none is left */
	return nfnl_send_batch(
		&rules->commands, rules->single.batch.start, rules->single.batch.used_bytes);
}

/* flip_down: one half of a demotion. Where our knowledge is not of this generation, it goes on
 * without comparing instead of looking first. */
static int flip_down(struct rules_switch *rules, struct prepared *p, enum direction direction)
{
	int r = -ERESTART;

	for (unsigned int i = 0; i < RULES_SWITCH_TRIES && r == -ERESTART; i++) {
		read_events(rules);
		if (rules->must_dump || rules->state == RULES_MISSING)
			r = flip_present(rules, direction);
		else
			r = send_flips(rules, p, direction);
	}
	return r == 0 && !read_back(rules, direction) ? -ENOENT : r;
}

/* remake_shield: makes it anew where it is missing, in place of a broken one. */
static int remake_shield(struct rules_switch *rules)
{
	int r = nfnl_send_batch(
		&rules->commands, rules->remake[0].start, rules->remake[0].used_bytes);

	if (r == -EEXIST)
		r = nfnl_send_batch(
			&rules->commands, rules->remake[1].start, rules->remake[1].used_bytes);
	rules->must_dump = true;
	return r;
}

/* adopt_shield: a re-made shield has a new handle and digest: it is ours from now on. */
static void adopt_shield(struct rules_switch *rules)
{
	for (size_t i = 0; i < rules->manifest.table_count; i++) {
		struct rules_table *table = &rules->manifest.tables[i];
		struct census_state seen;
		uint64_t digest;

		if (table->role != RULES_ROLE_SHIELD)
			continue;
		if (census_state(&rules->commands, table->family, table->name, &seen) == 0 &&
			census_digest(&rules->commands, table->family, table->name, &digest) == 0) {
			table->handle = seen.handle;
			table->digest = digest;
		}
	}
}

static bool shield_is_missing(const struct rules_switch *rules)
{
	for (size_t i = 0; i < rules->manifest.table_count; i++) {
		if (rules->manifest.tables[i].role == RULES_ROLE_SHIELD)
			return rules->missing[i];
	}
	return false;
}

/* raise_damaged: something of ours is gone or the kernel refused: save what can be saved. */
static enum rules_result raise_damaged(struct rules_switch *rules, int error)
{
	int r = look_at_states(rules);

	if (r < 0)
		memset(rules->missing, 0, sizeof(rules->missing));
	if (shield_is_missing(rules)) {
		r = remake_shield(rules);
		if (r < 0)
			return fail(rules, r);
		adopt_shield(rules);
		(void)look_at_states(rules); /* an error leaves more to try, not less */
	}
	r = flip_present(rules, RAISE);
	if (r < 0)
		return fail(rules, r == -ENOENT && error ? error : r);
	return RULES_OK;
}

enum rules_result rules_switch_raise(struct rules_switch *rules)
{
	enum rules_result result = RULES_OK;
	int r;

	rules->error = 0;
	rules->raised_at = MONO_NEVER;
	r = flip_down(rules, &rules->raise, RAISE);
	if (r < 0 || shield_is_missing(rules))
		result = raise_damaged(rules, r);
	if (result == RULES_OK)
		rules->raised_at = clock_now();
	return result;
}

/* wait_gap: what is left of RULES_DEMOTION_GAP_US since the shield went up. */
static void wait_gap(const struct rules_switch *rules)
{
	int64_t waited_us = mono_diff(clock_now(), rules->raised_at).us;
	struct timespec gap = {.tv_nsec = ((int64_t)RULES_DEMOTION_GAP_US + 1 - waited_us) * 1000};

	if (waited_us > (int64_t)RULES_DEMOTION_GAP_US)
		return;
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &gap, &gap) == EINTR)
		;
}

enum rules_result rules_switch_lower(struct rules_switch *rules)
{
	int r;

	rules->error = 0;
	if (mono_is_never(rules->raised_at)) /* the shield is not up: asleep would mean open */
		return fail(rules, -ECANCELED);
	wait_gap(rules);
	if (flip_down(rules, &rules->lower, LOWER) == 0)
		return RULES_OK;
	if (look_at_states(rules) < 0)
		memset(rules->missing, 0, sizeof(rules->missing));
	r = flip_present(rules, LOWER);
	return r == 0 || r == -ENOENT ? RULES_OK : fail(rules, r);
}

enum rules_result rules_switch_to_backup(struct rules_switch *rules)
{
	enum rules_result result = rules_switch_raise(rules);

	return result == RULES_OK ? rules_switch_lower(rules) : result;
}

static struct shield shield_of(const struct rules_manifest *m)
{
	return (struct shield){
		.group = m->group,
		.interfaces = m->interfaces,
		.interface_count = m->interface_count,
		.addresses = m->addresses,
		.address_count = m->address_count,
	};
}

/* ---- a reload ---------------------------------------------------------------------------------
 */

/* is_kept: a table of the old switch that the new one knows as its own. */
static bool is_kept(const struct rules_switch *rules, const struct rules_table *table)
{
	size_t index;
	const struct rules_table *same = own_table(rules, table->family, table->name, &index);

	return same && same->handle == table->handle;
}

/* sleep_others: what is at work of `old` and not of `rules`: its time is over. Tables of the other
 * role sleep already; one that is gone is asleep enough. */
static int sleep_others(struct rules_switch *rules, struct rules_switch *old)
{
	struct nfnl_batch *b = &rules->single.batch;
	bool any = false;
	int r = look_at_states(old);

	if (r < 0)
		return r;
	nfnl_batch_begin(b, rules->single.memory, sizeof(rules->single.memory), false);
	for (size_t i = 0; i < old->manifest.table_count; i++) {
		const struct rules_table *table = &old->manifest.tables[i];

		if (table->sleeps_always || old->asleep[i] || table->role == RULES_ROLE_SHIELD ||
			is_kept(rules, table))
			continue;
		nfnl_batch_canary(b, table->family, table->name);
		nfnl_batch_flip(b, table->family, table->name, true);
		any = true;
	}
	if (!any)
		return 0;
	rules->must_dump = true; /* not compared: what the generation is now, we do not know */
	return nfnl_batch_end(b) ? nfnl_send_batch(&rules->commands, b->start, b->used_bytes)
				 : -E2BIG;
}

/* refresh_shield: somebody changed rules, perhaps the shield's: its chain is filled anew, in one
 * commit, awake or asleep as it is. One that cannot be mended stays as it is, and is reported. */
static void refresh_shield(struct rules_switch *rules)
{
	char *memory = aligned_alloc(8, SHIELD_BATCH_BYTES);
	const struct shield shield = shield_of(&rules->manifest);
	struct nfnl_batch b;

	if (memory && shield_build(&b, memory, SHIELD_BATCH_BYTES, &shield, SHIELD_REFRESH) &&
		nfnl_send_batch(&rules->commands, b.start, b.used_bytes) == 0) {
		adopt_shield(rules);
		rules->must_dump = true;
	}
	free(memory);
}

enum rules_result rules_switch_take_over(struct rules_switch *rules, struct rules_switch *old)
{
	bool is_master;
	enum rules_result result;
	int r = look_at_states(old);

	if (r < 0)
		return fail(rules, r);
	is_master = rules_switch_active(old) == RULES_ROLE_MASTER;
	result = is_master ? rules_switch_to_master(rules, false) : rules_switch_raise(rules);
	if (result != RULES_OK)
		return result;
	rules->raised_at = clock_now();
	wait_gap(rules);
	if (is_master)
		rules->raised_at = MONO_NEVER;
	r = sleep_others(rules, old);
	if (r == 0 && old->state == RULES_CHANGED)
		refresh_shield(rules);
	return r < 0 ? fail(rules, r) : RULES_OK;
}

void rules_switch_distrust(struct rules_switch *rules)
{
	rules->must_dump = true;
}

enum rules_result rules_switch_close_gap(struct rules_switch *rules)
{
	bool missing = false, shielded = false;
	int r;

	rules->error = 0;
	read_events(rules);
	if (!rules->must_dump)
		return RULES_OK;
	r = look_at_states(rules);
	if (r < 0)
		return fail(rules, r);
	for (size_t i = 0; i < rules->manifest.table_count; i++) {
		missing |= rules->missing[i];
		if (rules->manifest.tables[i].role == RULES_ROLE_SHIELD)
			shielded = !rules->missing[i] && !rules->asleep[i];
	}
	if (!missing)
		return RULES_OK;
	if (!shielded && raise_damaged(rules, 0) != RULES_OK)
		return RULES_FAILED;
	return RULES_MISSING;
}

/* ---- the object -------------------------------------------------------------------------------
 */

static bool prepare(struct rules_switch *rules)
{
	const struct shield shield = shield_of(&rules->manifest);

	return build(rules, &rules->to_master, TO_MASTER, true, false) &&
	       build(rules, &rules->raise, RAISE, true, false) &&
	       build(rules, &rules->lower, LOWER, true, false) &&
	       shield_build(&rules->remake[0], rules->remake_memory[0], SHIELD_BATCH_BYTES, &shield,
		       SHIELD_CREATE) &&
	       shield_build(&rules->remake[1], rules->remake_memory[1], SHIELD_BATCH_BYTES, &shield,
		       SHIELD_REPLACE);
}

/* open_and_look: the event socket comes first, so that no commit falls between it and the look. */
static int open_and_look(struct rules_switch *rules)
{
	uint32_t generation = 0;
	int r = nfnl_open(&rules->events, true);

	if (r == 0)
		r = nfnl_open(&rules->commands, false);
	if (r == 0)
		r = nfnl_generation(&rules->commands, &generation);
	if (r == 0)
		r = look_at_states(rules);
	rules->must_dump = generation != rules->manifest.generation;
	rules->verified = generation;
	return r;
}

int rules_switch_open(const struct rules_manifest *manifest, struct rules_switch **ret)
{
	struct rules_switch *rules = calloc(1, sizeof(*rules));
	int r;

	if (!rules)
		return -ENOMEM;
	nfnl_reset(&rules->commands);
	nfnl_reset(&rules->events);
	rules->manifest = *manifest;
	rules->raised_at = MONO_NEVER;
	rules->state = RULES_OK;
	r = prepare(rules) ? open_and_look(rules) : -E2BIG;
	if (r < 0) {
		rules_switch_close(rules);
		return r;
	}
	*ret = rules;
	return 0;
}

void rules_switch_close(struct rules_switch *rules)
{
	if (!rules)
		return;
	nfnl_close(&rules->commands);
	nfnl_close(&rules->events);
	free(rules);
}

enum rules_role rules_switch_active(const struct rules_switch *rules)
{
	for (size_t i = 0; i < rules->manifest.table_count; i++) {
		bool asleep;

		if (plan(&rules->manifest.tables[i], TO_MASTER, &asleep) &&
			(rules->missing[i] || rules->asleep[i] != asleep))
			return RULES_ROLE_BACKUP;
	}
	return RULES_ROLE_MASTER;
}

int rules_switch_fd(const struct rules_switch *rules)
{
	return rules->events.fd;
}

int rules_switch_errno(const struct rules_switch *rules)
{
	return rules->error;
}

const char *rules_switch_blame(const struct rules_switch *rules)
{
	return rules->blame;
}
