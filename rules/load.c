/* load.c: the compiled tables and the shield into the real namespace, in the backup's state.
 *
 * Order, so that no packet passes between an earlier run's rules and these:
 *   1. the shield is made, or woken and given its new content (one chain, one commit: no gap);
 *   2. 1 ms later, tables of an earlier run that are still awake as a master's go to sleep;
 *   3. one nft transaction deletes the old tables and adds the new ones: the master's
 *      asleep, the backup's awake behind the shield.
 * Whose a table is, its canary's comment says ("carpool GROUP ROLE"). A table of one of our names
 * without our canary is somebody else's (nftables.service, perhaps, with the same file): refused.
 * Everything else in the namespace is left alone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/check.h"
#include "common/io/clock.h"
#include "rules/census.h"
#include "rules/compile.h"
#include "rules/latch.h"
#include "rules/listing.h"
#include "rules/nfnl.h"
#include "rules/nft.h"
#include "rules/load.h"
#include "rules/report.h"
#include "rules/shield.h"

#define LOAD_TRIES 4u /* somebody else may delete or add between our look and nft's commit */

bool load_is_ours(const struct loading *l, const struct census_table *t, enum rules_role role)
{
	char owner[CENSUS_OWNER_MAX];

	return t->ours && role < RULES_ROLE_COUNT &&
	       !strcmp(t->owner, census_owner(l->spec->group, role, owner));
}

bool load_is_old(const struct loading *l, const struct census_table *t)
{
	return load_is_ours(l, t, RULES_ROLE_MASTER) || load_is_ours(l, t, RULES_ROLE_BACKUP);
}

static int check_foreign_one(struct loading *l, uint8_t family, const char *name)
{
	const struct census_table *there = census_lookup(&l->census, family, name);

	if (!there || load_is_old(l, there) || load_is_ours(l, there, RULES_ROLE_SHIELD))
		return 0;
	if (there->ours)
		report_add(l->report, "table %s %s is in the namespace already, as \"%s\"",
			listing_family_name(family), name, there->owner);
	else
		report_add(l->report,
			"table %s %s is in the kernel already and is not carpool's: whoever loads "
			"it "
			"(nftables.service?) must leave it to carpool; `nft delete table %s %s` "
			"removes it",
			listing_family_name(family), name, listing_family_name(family), name);
	return -EEXIST;
}

int load_check_foreign(struct loading *l)
{
	char name[RULES_TABLE_NAME_MAX];
	size_t count;
	const struct rules_table *tables = compile_tables(l->compiled, &count);
	int r = check_foreign_one(l, NFPROTO_INET, shield_name(l->spec->group, name));

	for (size_t i = 0; i < count; i++) {
		int one = check_foreign_one(l, tables[i].family, tables[i].name);

		if (r == 0)
			r = one;
	}
	return r;
}

int load_send(struct loading *l, const struct nfnl_batch *b)
{
	return nfnl_send_batch(&l->commands, b->start, b->used_bytes);
}

int load_flip(struct loading *l, enum rules_role role, bool asleep)
{
	struct nfnl_batch b;
	bool any = false;

	nfnl_batch_begin(&b, l->batch, sizeof(l->batch), false);
	for (size_t i = 0; i < l->census.count; i++) {
		const struct census_table *t = &l->census.tables[i];

		if (!load_is_ours(l, t, role) || t->asleep == asleep)
			continue;
		nfnl_batch_canary(&b, t->family, t->name);
		nfnl_batch_flip(&b, t->family, t->name, asleep);
		any = true;
	}
	if (!any)
		return 0;
	return nfnl_batch_end(&b) ? load_send(l, &b) : -E2BIG;
}

int load_shield(struct loading *l, enum shield_mode mode)
{
	const struct shield shield = {
		.group = l->spec->group,
		.interfaces = l->shielded,
		.interface_count = l->shielded_count,
		.addresses = l->spec->addresses,
		.address_count = l->spec->address_count,
	};
	struct nfnl_batch b;

	if (!shield_build(&b, l->shield, sizeof(l->shield), &shield, mode))
		return -E2BIG;
	return load_send(l, &b);
}

/* raise_shield: awake, with the spec's content. */
static int raise_shield(struct loading *l)
{
	char name[RULES_TABLE_NAME_MAX];
	int r;

	if (!census_lookup(&l->census, NFPROTO_INET, shield_name(l->spec->group, name)))
		return load_shield(l, SHIELD_CREATE);
	r = load_flip(l, RULES_ROLE_SHIELD, false);
	if (r == 0)
		r = load_shield(l, SHIELD_REFRESH);
	if (r < 0) /* somebody damaged it */
		r = load_shield(l, SHIELD_REPLACE);
	return r;
}

static void wait_gap(void)
{
	struct timespec gap = {.tv_nsec = (RULES_DEMOTION_GAP_US + 50) * 1000L};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &gap, &gap) == EINTR)
		;
}

/* transaction: the text for nft: old tables out, new ones in. By name, not by handle: only so does
 * nft's own cache forget the old table, and a set that merges its intervals starts empty. (`list
 * table inet maps` is a syntax error to nft, `delete table inet maps` is not.) */
static void transaction(const struct loading *l, struct text *text)
{
	char line[RULES_TABLE_NAME_MAX + 32], owner[CENSUS_OWNER_MAX];
	const char *master = rules_compiled_text(l->compiled, RULES_ROLE_MASTER);
	const char *backup = rules_compiled_text(l->compiled, RULES_ROLE_BACKUP);

	for (size_t i = 0; i < l->census.count; i++) {
		const struct census_table *t = &l->census.tables[i];

		if (!load_is_old(l, t))
			continue;
		snprintf(line, sizeof(line), "delete table %s %s\n", listing_family_name(t->family),
			t->name);
		text_add_string(text, line);
	}
	listing_to_load(master, strlen(master),
		census_owner(l->spec->group, RULES_ROLE_MASTER, owner), true, text);
	listing_to_load(backup, strlen(backup),
		census_owner(l->spec->group, RULES_ROLE_BACKUP, owner), false, text);
}

int load_nft(struct loading *l, const struct text *text, bool tells)
{
	static const char *const load[] = {"-f", "-", NULL};
	mono_t deadline = mono_add(clock_now(), dur_ms(RULES_COMPILE_TIMEOUT_MS));
	struct nft_output output = {0};
	int r = text->failed ? -ENOMEM : 0;

	if (r == 0 && text->length > 0)
		r = nft_run(load, NULL, text->bytes, text->length, deadline, &output);
	if (r < 0 && tells) {
		report_add(l->report, "loading the rules of group %s: %s", l->spec->group,
			strerror(-r));
	} else if (r == 0 && output.status != 0) {
		if (tells)
			report_add(l->report, "loading the rules of group %s: %.*s", l->spec->group,
				(int)strcspn(output.errors, "\n"), output.errors);
		r = -EINVAL;
	}
	nft_output_fini(&output);
	return r;
}

static int run_transaction(struct loading *l)
{
	struct text text = {0};
	int r;

	text_add_string(&text, "");
	transaction(l, &text);
	r = load_nft(l, &text, true);
	free(text.bytes);
	return r;
}

/* attempt: one whole pass. */
static int attempt(struct loading *l)
{
	int r = census_take(&l->commands, &l->census);

	if (r == 0)
		r = load_check_foreign(l);
	if (r < 0)
		return r;
	r = raise_shield(l);
	if (r < 0) {
		report_add(l->report, "shield of group %s: %s", l->spec->group, strerror(-r));
		return r;
	}
	wait_gap();
	r = load_flip(l, RULES_ROLE_MASTER, true);
	if (r < 0)
		return r;
	return run_transaction(l);
}

static int add_to_manifest(
	struct loading *l, struct rules_manifest *m, const struct rules_table *table)
{
	struct rules_table *kept = &m->tables[m->table_count];
	bool is_twin = l->twins && table->role != RULES_ROLE_SHIELD;
	char name[sizeof(RULES_SWAP_PREFIX) + RULES_TABLE_NAME_MAX];
	struct census_state state;
	int r;

	snprintf(name, sizeof(name), "%s%s", is_twin ? RULES_SWAP_PREFIX : "", table->name);
	if (strlen(name) >= sizeof(kept->name))
		return -ENAMETOOLONG;
	r = census_state(&l->commands, table->family, name, &state);

	if (r < 0)
		return r;
	*kept = *table;
	snprintf(kept->name, sizeof(kept->name), "%s", name);
	kept->handle = state.handle;
	r = census_digest(&l->commands, table->family, name, &kept->digest);
	if (r == 0)
		m->table_count++;
	return r;
}

/* digest_tables: all of them in one generation. */
static int digest_tables(struct loading *l, struct rules_manifest *m)
{
	struct rules_table shield = {.family = NFPROTO_INET, .role = RULES_ROLE_SHIELD};
	size_t count;
	const struct rules_table *tables = compile_tables(l->compiled, &count);
	uint32_t after = 0;
	int r = nfnl_generation(&l->commands, &m->generation);

	CHECK(count < RULES_TABLES_MAX);
	shield_name(l->spec->group, shield.name);
	m->table_count = 0;
	if (r == 0)
		r = add_to_manifest(l, m, &shield);
	for (size_t i = 0; i < count && r == 0; i++)
		r = add_to_manifest(l, m, &tables[i]);
	if (r == 0)
		r = nfnl_generation(&l->commands, &after);
	return r == 0 && after != m->generation ? -EINTR : r;
}

int load_manifest(struct loading *l, struct rules_manifest *m)
{
	int r = -EINTR;

	*m = (struct rules_manifest){.address_count = l->spec->address_count};
	snprintf(m->group, sizeof(m->group), "%s", l->spec->group);
	rules_compiled_fingerprint(l->compiled, m->fingerprint);
	for (size_t role = 0; role < RULES_ROLE_SHIELD; role++)
		m->uses_mark |=
			latch_uses_mark(rules_compiled_text(l->compiled, (enum rules_role)role));
	memcpy(m->addresses, l->spec->addresses, sizeof(m->addresses));
	memcpy(m->interfaces, l->shielded, sizeof(m->interfaces));
	m->interface_count = l->shielded_count;
	for (unsigned int i = 0; i < LOAD_TRIES && r == -EINTR; i++)
		r = digest_tables(l, m);
	if (r == -EINTR) { /* somebody commits all the time: the switch will compare by itself */
		m->generation = 0;
		r = 0;
	}
	return r;
}

static int take_shielded(struct loading *l)
{
	for (size_t i = 0; i < l->spec->interface_count; i++) {
		if (!l->spec->interfaces[i].shielded)
			continue;
		if (l->shielded_count == LIMIT_INTERFACES)
			return -E2BIG;
		l->shielded[l->shielded_count++] = l->spec->interfaces[i];
	}
	return 0;
}

struct loading *load_new(const struct rules_spec *spec, const struct rules_compiled *compiled,
	struct rules_report *report, int *ret_error)
{
	struct loading *l = calloc(1, sizeof(*l));
	int r;

	*ret_error = -ENOMEM;
	if (!l)
		return NULL;
	l->spec = spec;
	l->compiled = compiled;
	l->report = report;
	r = nfnl_open(&l->commands, false);
	if (r == 0)
		r = take_shielded(l);
	if (r == 0)
		r = census_take(&l->commands, &l->census);
	*ret_error = r;
	if (r == 0)
		return l;
	load_free(l);
	return NULL;
}

void load_free(struct loading *l)
{
	if (!l)
		return;
	nfnl_close(&l->commands);
	free(l);
}

int rules_load(const struct rules_spec *spec, const struct rules_compiled *compiled,
	struct rules_manifest *ret, struct rules_report *report)
{
	size_t lines = report->count;
	int r;
	struct loading *l = load_new(spec, compiled, report, &r);

	for (unsigned int i = 0; i < LOAD_TRIES && r == 0; i++) {
		report->count = lines; /* what the last attempt tells */
		r = attempt(l);
		if (r == 0)
			break;
		if (i + 1 < LOAD_TRIES && r != -EEXIST)
			r = 0;
	}
	if (r == 0)
		r = load_manifest(l, ret);
	if (r < 0 && report->count == lines)
		report_add(report, "loading the rules of group %s: %s", spec->group, strerror(-r));
	load_free(l);
	return r;
}

int rules_shield(const struct rules_spec *spec)
{
	struct rules_report report = {0};
	int r;
	struct loading *l = load_new(spec, NULL, &report, &r);

	if (r == 0)
		r = raise_shield(l);
	if (r == 0) {
		wait_gap();
		r = load_flip(l, RULES_ROLE_MASTER, true);
	}
	load_free(l);
	return r;
}

int rules_prepare(
	const struct rules_spec *spec, struct rules_manifest *ret, struct rules_report *report)
{
	struct rules_compiled *compiled;
	int r = rules_compile(spec, &compiled, report);

	if (r < 0)
		return r;
	r = rules_load(spec, compiled, ret, report);
	rules_compiled_free(compiled);
	return r;
}

/* unload_one: by handle, so that a table that took the name since stays. */
static int unload_one(struct nfnl *n, uint8_t family, uint64_t handle)
{
	_Alignas(8) char memory[2 * NFNL_MESSAGE_ROOM];
	struct nfnl_batch b;
	struct nlmsghdr *nlh;
	int r;

	nfnl_batch_begin(&b, memory, sizeof(memory), false);
	nlh = nfnl_batch_add(&b, NFT_MSG_DELTABLE, 0, family);
	if (!nlh)
		return -E2BIG;
	mnl_attr_put_u64(nlh, NFTA_TABLE_HANDLE, htobe64(handle));
	nfnl_batch_added(&b, nlh);
	if (!nfnl_batch_end(&b))
		return -E2BIG;
	r = nfnl_send_batch(n, b.start, b.used_bytes);
	return r == -ENOENT ? 0 : r;
}

int rules_unload(const struct rules_manifest *manifest)
{
	struct nfnl *n = malloc(sizeof(*n));
	int r = n ? nfnl_open(n, false) : -ENOMEM, first = r;

	for (size_t i = 0; i < manifest->table_count && r == 0; i++) {
		int one = unload_one(n, manifest->tables[i].family, manifest->tables[i].handle);

		if (first == 0)
			first = one;
	}
	if (r == 0)
		nfnl_close(n);
	free(n);
	return first;
}

/* The latch's tables have no canary; carpd takes them along, unless it was killed. */
#define LATCH_PREFIX RULES_SHIELD_PREFIX "_"

int rules_clear(size_t *ret_count)
{
	struct nfnl *n = malloc(sizeof(*n));
	struct census *census = calloc(1, sizeof(*census));
	int r = n && census ? nfnl_open(n, false) : -ENOMEM;

	*ret_count = 0;
	if (r < 0)
		goto out;
	r = census_take(n, census);
	for (size_t i = 0; i < census->count && r == 0; i++) {
		if (!census->tables[i].ours &&
			strncmp(census->tables[i].name, LATCH_PREFIX, strlen(LATCH_PREFIX)) != 0)
			continue;
		r = unload_one(n, census->tables[i].family, census->tables[i].handle);
		*ret_count += r == 0;
	}
	nfnl_close(n);
out:
	free(census);
	free(n);
	return r;
}
