/* census.h: what is in nf_tables now: all tables with their owners, and the digest of one table.
 *
 * The digest covers what a table's chains, rules, sets and objects *are*, by the kernel's handles:
 * handles are never used twice in a table and a replaced rule gets a new one, so that equal digests
 * mean the very objects that were loaded. Chains can change in place: their policy and hook count
 * too. Elements of named sets, counters and quotas are left out: packets and address-list daemons
 * change them rightfully. */
#ifndef RULES_CENSUS_H
#define RULES_CENSUS_H

#include "common/check.h"
#include "rules/nfnl.h"
#include "rules/rules.h"

#define CENSUS_TABLES_MAX 1024u
#define CENSUS_OWNER_MAX  128u

struct census_table {
	uint8_t family;
	bool asleep;
	bool ours; /* has our canary set */
	bool has_flowtable;
	char name[RULES_TABLE_NAME_MAX]; /* "" = longer than we can hold; never ours */
	char owner[CENSUS_OWNER_MAX];	 /* the canary's comment, see census_owner() */
	uint64_t handle;
};

struct census {
	size_t count;
	struct census_table tables[CENSUS_TABLES_MAX];
};

/* census_take: all tables of the namespace, none of their rules. `ret` may be large: not for a
 * small stack. -E2BIG: more than CENSUS_TABLES_MAX; other -errno. Does not allocate. */
int census_take(struct nfnl *n, struct census *ret);

const struct census_table *census_lookup(
	const struct census *census, uint8_t family, const char *name);

/* census_owner: the comment that marks a table as the group's, in the role. */
char *census_owner(const char *group, enum rules_role role, char text[static CENSUS_OWNER_MAX]);

/* census_state: one table. 0, -ENOENT, other -errno. */
struct census_state {
	uint64_t handle;
	bool asleep;
};
int census_state(struct nfnl *n, uint8_t family, const char *name, struct census_state *ret_state);

/* census_digest: of one table; 0, -EINTR when commits kept cutting through, other -errno. A table
 * that does not exist has the digest of an empty one: ask census_state() too. */
int census_digest(struct nfnl *n, uint8_t family, const char *name, uint64_t *ret_digest);

#endif
