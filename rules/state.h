/* state.h: what packets and other programs have put into a ruleset, carried into its successor.
 *
 * Pure: no I/O. nft prints what a table's sets have gathered (`nft list sets`, `maps`) in the form
 * in which it lists the table itself, so one reader does for three texts: the *live* one, and the
 * compiled listings of the old and of the new file. An element of the live set that neither file
 * lists was put there by a packet (`add @set { ... }`), by fail2ban or by hand: it goes along, with
 * its remaining time and its own counter, when the new file has a set of that name and type. One
 * that only the old file lists goes with the old file: the operator took it out. Counters and
 * quotas go along by name. Counters and limits inside rules, and meters, have no name to go by:
 * they begin anew. */
#ifndef RULES_STATE_H
#define RULES_STATE_H

#include "rules/rules.h"
#include "rules/text.h"

#define STATE_BLOCKS_MAX (1u << 16) /* sets, maps, counters and quotas of a namespace */

enum state_kind {
	STATE_KIND_SET,
	STATE_KIND_MAP,
	STATE_KIND_COUNTER,
	STATE_KIND_QUOTA,
	STATE_KIND_COUNT,
};

struct state_block {
	uint8_t family;
	enum state_kind kind;
	char *table;
	char *name;
	char *type;  /* of a set or map: the line "type ..." or "typeof ..." */
	char *value; /* "packets 5 bytes 6"; "over 25 mbytes used 3 kbytes" */
	char **elements;
	size_t element_count;
	size_t element_capacity;
};

struct state {
	struct state_block *blocks;
	size_t count;
	size_t capacity;
	bool failed; /* no memory, or more than STATE_BLOCKS_MAX */
};

/* state_read: appends what the listing holds; chains and anything else are skipped. */
void state_read(struct state *state, const char *text, size_t length);
/* state_add_object: a counter or quota that was read otherwise; the value as nft prints it. */
void state_add_object(struct state *state, enum state_kind kind, uint8_t family, const char *table,
	const char *name, const char *value);
void state_free(struct state *state);

const struct state_block *state_lookup(const struct state *state, uint8_t family, const char *table,
	enum state_kind kind, const char *name);

/* state_key_length: of an element "10.0.0.1 timeout 1h expires 5m : accept" the part that names it.
 */
size_t state_key_length(const char *element);

/* Where from, where to. Tables of the live state are named `live_prefix` + the file's name, those
 * that are written `new_prefix` + it; "" = none. */
struct state_move {
	const struct state *live;
	const struct state
		*old_file; /* NULL: what the files listed is not known: only new_file's */
	const struct state *new_file;
	const char *live_prefix;
	const char *new_prefix;
};

/* state_objects: copies a text for `nft -f` (of the new file's tables, named with new_prefix) with
 * the counters and quotas of the live state in it. */
void state_objects(
	const struct state_move *move, const char *text, size_t length, struct text *ret);

/* state_elements: one command `add element ...` for the live block, a set or map; nothing when it
 * has nothing that must go along. Returns how many elements it names. *ret_lost: how many should go
 * along and cannot, as the new file has no such set; *ret_why says so. */
size_t state_elements(const struct state_move *move, const struct state_block *block,
	struct text *ret, size_t *ret_lost, const char **ret_why);

#endif
