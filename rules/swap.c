/* swap.c: new rules beside those that are at work, and in their place, without a gap.
 *
 * `nft -f` of a changed file is atomic in its rules and not in its hooks: the kernel registers a
 * new base chain when it reads it, empty, with its policy, and fills it at the commit. Behind a
 * `policy drop` everything is dropped meanwhile: for as long as the batch takes. So:
 *
 *   rules_beside   loads the new tables asleep, under other names: twins, `inet carpool_new_fw` for
 *                  `inet fw`;
 *   (the switch's owner: rules_switch_take_over(): twins awake, 1 ms, old ones asleep)
 *   rules_settle   replaces the old `inet fw`, now asleep, by the new one under its own name;
 *   (rules_switch_take_over() again: `inet fw` awake, 1 ms, twins asleep)
 *   rules_drop     deletes the twins.
 *
 * In the millisecond of a take-over both rulesets filter: a packet passes if both let it. At any
 * time the switch in force has all its tables, so that a promotion or demotion in between goes its
 * way. Every step leaves something that filters, also when the next one never comes: twins carry
 * their group and role in the canary's comment, so that the next load finds and removes them.
 *
 * What packets and other programs have put into the old tables goes along (state.h); each step
 * takes what has come since the one before. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/io/clock.h"
#include "rules/compile.h"
#include "rules/listing.h"
#include "rules/load.h"
#include "rules/nft.h"
#include "rules/report.h"
#include "rules/state.h"

struct swap {
	struct loading *l;
	struct state live;
	struct state old_file;
	struct state new_file;
	bool has_old_file;
};

static bool is_twin(const struct census_table *t)
{
	return !strncmp(t->name, RULES_SWAP_PREFIX, strlen(RULES_SWAP_PREFIX));
}

/* ---- what is there ----------------------------------------------------------------------------
 */

static void read_compiled(struct state *state, const struct rules_compiled *compiled)
{
	for (size_t role = 0; role < RULES_ROLE_SHIELD; role++) {
		const char *text = rules_compiled_text(compiled, (enum rules_role)role);

		state_read(state, text, strlen(text));
	}
}

static uint64_t nested_u64(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested (attr, nest) {
		if (mnl_attr_get_type(attr) == type &&
			mnl_attr_get_payload_len(attr) >= sizeof(uint64_t))
			return be64toh(mnl_attr_get_u64(attr));
	}
	return 0;
}

static void take_object(const struct nlmsghdr *nlh, void *context)
{
	struct state *state = context;
	const struct nlattr *data = nfnl_attr(nlh, NFTA_OBJ_DATA, 0);
	uint32_t type = nfnl_u32(nlh, NFTA_OBJ_TYPE);
	bool is_counter = type == NFT_OBJECT_COUNTER;
	char value[96];

	if (nfnl_type(nlh) != NFT_MSG_NEWOBJ || !data || (!is_counter && type != NFT_OBJECT_QUOTA))
		return;
	if (is_counter)
		snprintf(value, sizeof(value), "packets %llu bytes %llu",
			(unsigned long long)nested_u64(data, NFTA_COUNTER_PACKETS),
			(unsigned long long)nested_u64(data, NFTA_COUNTER_BYTES));
	else
		snprintf(value, sizeof(value), "quota used %llu bytes",
			(unsigned long long)nested_u64(data, NFTA_QUOTA_CONSUMED));
	state_add_object(state, is_counter ? STATE_KIND_COUNTER : STATE_KIND_QUOTA,
		nfnl_family(nlh), nfnl_text(nlh, NFTA_OBJ_TABLE), nfnl_text(nlh, NFTA_OBJ_NAME),
		value);
}

/* read_objects: not with `nft list counters`, which has the kernel list every rule as well: half a
 * minute for 100,000 of them. */
static int read_objects(struct swap *s)
{
	int r = -EINTR;

	for (unsigned int i = 0; i < NFNL_DUMP_TRIES && r == -EINTR; i++) {
		state_free(&s->live);
		r = nfnl_dump(&s->l->commands, NFT_MSG_GETOBJ, NFPROTO_UNSPEC, NULL, take_object,
			&s->live);
	}
	return r;
}

/* read_live: what the kernel's sets and objects hold. */
static int read_live(struct swap *s)
{
	static const char *const kinds[] = {"sets", "maps"};
	mono_t deadline = mono_add(clock_now(), dur_ms(RULES_COMPILE_TIMEOUT_MS));
	int r = read_objects(s);

	for (size_t i = 0; i < ARRAY_LEN(kinds) && r == 0; i++) {
		const char *const list[] = {"list", kinds[i], NULL};
		struct nft_output output = {0};

		r = nft_run(list, NULL, NULL, 0, deadline, &output);
		if (r == 0 && output.status != 0)
			r = -EIO;
		if (r == 0)
			state_read(&s->live, output.out, output.out_length);
		nft_output_fini(&output);
	}
	return r == 0 && s->live.failed ? -ENOMEM : r;
}

static void swap_close(struct swap *s)
{
	state_free(&s->live);
	state_free(&s->old_file);
	state_free(&s->new_file);
	load_free(s->l);
}

static int swap_open(struct swap *s, const struct rules_spec *spec,
	const struct rules_compiled *compiled, const struct rules_compiled *old,
	struct rules_report *report)
{
	int r;

	*s = (struct swap){.has_old_file = old != NULL};
	s->l = load_new(spec, compiled, report, &r);
	if (r < 0)
		return r;
	read_compiled(&s->new_file, compiled);
	if (old)
		read_compiled(&s->old_file, old);
	r = read_live(s);
	return r == 0 && (s->new_file.failed || s->old_file.failed) ? -ENOMEM : r;
}

/* ---- state ------------------------------------------------------------------------------------
 */

/* add_elements: of one block, into the tables that were just loaded (asleep, or at work). */
static void add_elements(
	struct swap *s, const struct state_move *move, const struct state_block *block)
{
	struct text text = {0};
	const char *why;
	size_t lost, count = state_elements(move, block, &text, &lost, &why);

	if (count > 0 && load_nft(s->l, &text, false) < 0) {
		lost = count;
		why = "nft refuses them there";
	}
	if (lost > 0)
		report_add(s->l->report, "table %s %s: %zu elements of %s were not kept: %s",
			listing_family_name(block->family), block->table, lost, block->name, why);
	free(text.bytes);
}

/* move_elements: from our tables that are named with the move's prefix. */
static void move_elements(struct swap *s, const struct state_move *move)
{
	for (size_t i = 0; i < move->live->count; i++) {
		const struct state_block *block = &move->live->blocks[i];
		const struct census_table *table =
			census_lookup(&s->l->census, block->family, block->table);

		if (table && load_is_old(s->l, table) &&
			is_twin(table) == (move->live_prefix[0] != '\0'))
			add_elements(s, move, block);
	}
}

static struct state_move move_of(const struct swap *s, const char *from, const char *to)
{
	return (struct state_move){
		.live = &s->live,
		.old_file = s->has_old_file && from[0] == '\0' ? &s->old_file : NULL,
		.new_file = &s->new_file,
		.live_prefix = from,
		.new_prefix = to,
	};
}

/* ---- transactions -----------------------------------------------------------------------------
 */

static void delete_table(struct text *text, const struct census_table *t)
{
	text_add_string(text, "delete table ");
	text_add_string(text, listing_family_name(t->family));
	text_add_string(text, " ");
	text_add_string(text, t->name);
	text_add_string(text, "\n");
}

/* add_tables: those of both files, asleep, with the counters and quotas of the old ones. */
static void add_tables(struct swap *s, const char *from, const char *prefix, struct text *ret)
{
	const struct state_move move = move_of(s, from, prefix);
	struct text text = {0};

	text_add_string(&text, "");
	for (size_t role = 0; role < RULES_ROLE_SHIELD; role++) {
		char owner[CENSUS_OWNER_MAX];
		const struct listing_form form = {
			.owner = census_owner(s->l->spec->group, (enum rules_role)role, owner),
			.prefix = prefix,
			.asleep = true,
			.with_switched = true,
			.with_sleepers = true,
		};
		const char *listing = rules_compiled_text(s->l->compiled, (enum rules_role)role);

		listing_to_load_as(listing, strlen(listing), &form, &text);
	}
	if (text.failed)
		ret->failed = true;
	else
		state_objects(&move, text.bytes, text.length, ret);
	free(text.bytes);
}

/* check_ready: the shield is there, and nothing half-done is in the way. */
static int check_ready(struct swap *s)
{
	char name[RULES_TABLE_NAME_MAX];
	const struct census_table *shield =
		census_lookup(&s->l->census, NFPROTO_INET, shield_name(s->l->spec->group, name));

	if (!shield || !load_is_ours(s->l, shield, RULES_ROLE_SHIELD)) {
		report_add(s->l->report, "group %s: its shield is gone", s->l->spec->group);
		return -ENOENT;
	}
	for (size_t i = 0; i < s->l->census.count; i++) {
		const struct census_table *t = &s->l->census.tables[i];

		if (!load_is_old(s->l, t) || !is_twin(t) || t->asleep)
			continue;
		report_add(s->l->report,
			"table %s %s is still at work from a reload that did not end: hand the "
			"group over and restart carpd",
			listing_family_name(t->family), t->name);
		return -EALREADY;
	}
	return 0;
}

static int end(struct swap *s, int r, size_t lines, struct rules_manifest *ret)
{
	if (r == 0)
		r = load_manifest(s->l, ret);
	if (r < 0 && s->l && s->l->report->count == lines)
		report_add(s->l->report, "loading the rules of group %s: %s", s->l->spec->group,
			strerror(-r));
	swap_close(s);
	return r;
}

static int load_beside(struct swap *s)
{
	struct text text = {0};
	int r;

	text_add_string(&text, "");
	for (size_t i = 0; i < s->l->census.count; i++) {
		const struct census_table *t = &s->l->census.tables[i];

		if (load_is_old(s->l, t) && is_twin(t)) /* a reload that was given up */
			delete_table(&text, t);
	}
	add_tables(s, "", RULES_SWAP_PREFIX, &text);
	r = load_nft(s->l, &text, true);
	free(text.bytes);
	return r;
}

/* has_nameless_counter: `counter` in a rule or a set, but not `counter name "x"` and not the
 * object.
 */
static bool has_nameless_counter(const char *text)
{
	for (const char *at = text; (at = strstr(at, "counter")); at += strlen("counter")) {
		bool is_word = at > text && (at[-1] == ' ' || (at - text > 1 && at[-2] == '\t'));

		if (is_word && strncmp(at, "counter name ", 13) != 0)
			return true;
	}
	return false;
}

/* tell_nameless: what has no name to go by. */
static void tell_nameless(struct swap *s)
{
	bool has_counter = false, has_meter = false;

	for (size_t role = 0; role < RULES_ROLE_SHIELD; role++) {
		const char *text = rules_compiled_text(s->l->compiled, (enum rules_role)role);

		has_counter |= has_nameless_counter(text);
		has_meter |= strstr(text, " meter ") != NULL;
	}
	if (has_counter)
		report_add(s->l->report,
			"group %s: counters inside rules and of listed elements begin at zero: "
			"they "
			"have no name to go by",
			s->l->spec->group);
	if (has_meter)
		report_add(s->l->report, "group %s: meters begin empty", s->l->spec->group);
}

int rules_beside(const struct rules_spec *spec, const struct rules_compiled *compiled,
	const struct rules_compiled *old, struct rules_manifest *ret, struct rules_report *report)
{
	size_t lines = report->count;
	struct swap s;
	int r = swap_open(&s, spec, compiled, old, report);

	if (r == 0)
		r = load_check_foreign(s.l);
	if (r == 0)
		r = check_ready(&s);
	if (r == 0)
		r = load_beside(&s);
	if (r == 0) {
		const struct state_move move = move_of(&s, "", RULES_SWAP_PREFIX);

		move_elements(&s, &move);
		tell_nameless(&s);
		s.l->twins = true;
	}
	return end(&s, r, lines, ret);
}

static int load_settled(struct swap *s)
{
	struct text text = {0};
	int r = 0;

	text_add_string(&text, "");
	for (size_t i = 0; i < s->l->census.count; i++) {
		const struct census_table *t = &s->l->census.tables[i];

		if (!load_is_old(s->l, t) || is_twin(t))
			continue;
		if (!t->asleep) /* its twin did not take over */
			r = -EBUSY;
		delete_table(&text, t);
	}
	add_tables(s, RULES_SWAP_PREFIX, "", &text);
	if (r == 0)
		r = load_nft(s->l, &text, true);
	free(text.bytes);
	return r;
}

int rules_settle(const struct rules_spec *spec, const struct rules_compiled *compiled,
	const struct rules_compiled *old, struct rules_manifest *ret, struct rules_report *report)
{
	size_t lines = report->count;
	struct swap s;
	int r = swap_open(&s, spec, compiled, old, report);

	if (r == 0)
		r = load_settled(&s);
	if (r == 0) {
		const struct state_move of_twins = move_of(&s, RULES_SWAP_PREFIX, "");
		const struct state_move of_old = move_of(&s, "", "");
		size_t told = report->count;

		move_elements(&s, &of_twins);
		move_elements(&s, &of_old); /* what came before the twins took over */
		report->count = told;	    /* what is lost was told with the twins */
	}
	return end(&s, r, lines, ret);
}

int rules_drop(const struct rules_spec *spec, const struct rules_compiled *compiled,
	struct rules_report *report)
{
	size_t lines = report->count;
	struct nfnl_batch b;
	struct swap s;
	int r = swap_open(&s, spec, compiled, NULL, report);
	bool any = false;

	if (r == 0) {
		const struct state_move of_twins = move_of(&s, RULES_SWAP_PREFIX, "");

		move_elements(&s, &of_twins);
		report->count = lines;
		nfnl_batch_begin(&b, s.l->batch, sizeof(s.l->batch), false);
	}
	for (size_t i = 0; r == 0 && i < s.l->census.count; i++) {
		const struct census_table *t = &s.l->census.tables[i];
		struct nlmsghdr *nlh;

		if (!is_twin(t) || !load_is_old(s.l, t))
			continue;
		if (!t->asleep)
			r = -EBUSY;
		nlh = nfnl_batch_add(&b, NFT_MSG_DELTABLE, 0, t->family);
		if (!nlh)
			break;
		mnl_attr_put_u64(nlh, NFTA_TABLE_HANDLE, htobe64(t->handle));
		nfnl_batch_added(&b, nlh);
		any = true;
	}
	if (r == 0 && any)
		r = nfnl_batch_end(&b) ? load_send(s.l, &b) : -E2BIG;
	swap_close(&s);
	return r;
}
