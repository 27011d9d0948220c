/* load.h: what load.c and swap.c share: a load under way. */
#ifndef RULES_LOAD_H
#define RULES_LOAD_H

#include "rules/census.h"
#include "rules/nfnl.h"
#include "rules/rules.h"
#include "rules/shield.h"
#include "rules/text.h"

#define LOAD_BATCH_BYTES 32768u

/* Everything that a load works with; too large for a stack. */
struct loading {
	const struct rules_spec *spec;
	const struct rules_compiled *compiled;
	struct rules_report *report;
	bool twins; /* the tables of the files go by RULES_SWAP_PREFIX */
	struct nfnl commands;
	struct census census;
	_Alignas(8) char batch[LOAD_BATCH_BYTES];
	_Alignas(8) char shield[SHIELD_BATCH_BYTES];
	struct rules_interface shielded[LIMIT_INTERFACES];
	size_t shielded_count;
};

/* load_new: with its socket and the first census; NULL: *ret_error says why. */
struct loading *load_new(const struct rules_spec *spec, const struct rules_compiled *compiled,
	struct rules_report *report, int *ret_error);
void load_free(struct loading *l);

/* load_is_ours: a table of this group, in that role; load_is_old: in either of the files'. */
bool load_is_ours(const struct loading *l, const struct census_table *t, enum rules_role role);
bool load_is_old(const struct loading *l, const struct census_table *t);

/* load_check_foreign: somebody else's table by one of our names: -EEXIST, and a report. */
int load_check_foreign(struct loading *l);

int load_send(struct loading *l, const struct nfnl_batch *b);

/* load_flip: tables of an earlier load, by role. */
int load_flip(struct loading *l, enum rules_role role, bool asleep);

/* load_shield: sends the batch that makes or refreshes the shield. */
int load_shield(struct loading *l, enum shield_mode mode);

/* load_nft: one transaction of nft; nothing for an empty text. Reports its refusal when `tells`.
 */
int load_nft(struct loading *l, const struct text *text, bool tells);

/* load_manifest: what is in the kernel now, by the compiled tables' names. */
int load_manifest(struct loading *l, struct rules_manifest *m);

#endif
