#include "rules/census.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

/* The type-length-values that nft keeps in a set's user data; libnftnl's udata.h names this one
 * NFTNL_UDATA_SET_COMMENT. */
#define UDATA_SET_COMMENT 7

char *census_owner(const char *group, enum rules_role role, char text[static CENSUS_OWNER_MAX])
{
	snprintf(text, CENSUS_OWNER_MAX, "carpool %s %s", group, rules_role_name(role));
	return text;
}

static void take_table(const struct nlmsghdr *nlh, void *context)
{
	struct census *census = context;
	const char *name = nfnl_text(nlh, NFTA_TABLE_NAME);
	struct census_table *table;

	if (nfnl_type(nlh) != NFT_MSG_NEWTABLE)
		return;
	if (census->count++ >= CENSUS_TABLES_MAX)
		return;
	table = &census->tables[census->count - 1];
	*table = (struct census_table){
		.family = nfnl_family(nlh),
		.asleep = nfnl_u32(nlh, NFTA_TABLE_FLAGS) & NFT_TABLE_F_DORMANT,
		.handle = nfnl_u64(nlh, NFTA_TABLE_HANDLE),
	};
	if (strlen(name) < sizeof(table->name))
		strcpy(table->name, name);
}

static struct census_table *find(struct census *census, uint8_t family, const char *name)
{
	for (size_t i = 0; i < census->count; i++) {
		if (census->tables[i].family == family && !strcmp(census->tables[i].name, name))
			return &census->tables[i];
	}
	return NULL;
}

const struct census_table *census_lookup(
	const struct census *census, uint8_t family, const char *name)
{
	for (size_t i = 0; i < census->count; i++) {
		if (census->tables[i].family == family && !strcmp(census->tables[i].name, name))
			return &census->tables[i];
	}
	return NULL;
}

/* set_comment: copies the comment out of a set's user data; "" when it has none. */
static void set_comment(const struct nlmsghdr *nlh, char text[static CENSUS_OWNER_MAX])
{
	const struct nlattr *attr = nfnl_attr(nlh, NFTA_SET_USERDATA, 2);
	const uint8_t *bytes = attr ? mnl_attr_get_payload(attr) : NULL;
	size_t left = attr ? mnl_attr_get_payload_len(attr) : 0;

	text[0] = '\0';
	while (left >= 2 && left - 2 >= bytes[1]) {
		if (bytes[0] == UDATA_SET_COMMENT && bytes[1] <= CENSUS_OWNER_MAX && bytes[1] > 0 &&
			bytes[2 + bytes[1] - 1] == '\0') {
			memcpy(text, bytes + 2, bytes[1]);
			return;
		}
		left -= 2u + bytes[1];
		bytes += 2 + bytes[1];
	}
}

static void take_set(const struct nlmsghdr *nlh, void *context)
{
	struct census_table *table;

	if (nfnl_type(nlh) != NFT_MSG_NEWSET ||
		strcmp(nfnl_text(nlh, NFTA_SET_NAME), RULES_CANARY_SET) != 0)
		return;
	table = find(context, nfnl_family(nlh), nfnl_text(nlh, NFTA_SET_TABLE));
	if (!table)
		return;
	table->ours = true;
	set_comment(nlh, table->owner);
}

static void take_flowtable(const struct nlmsghdr *nlh, void *context)
{
	struct census_table *table;

	if (nfnl_type(nlh) != NFT_MSG_NEWFLOWTABLE)
		return;
	table = find(context, nfnl_family(nlh), nfnl_text(nlh, NFTA_FLOWTABLE_TABLE));
	if (table)
		table->has_flowtable = true;
}

int census_take(struct nfnl *n, struct census *ret)
{
	int r = -EINTR;

	for (unsigned int i = 0; i < NFNL_DUMP_TRIES && r == -EINTR; i++) {
		ret->count = 0;
		r = nfnl_dump(n, NFT_MSG_GETTABLE, NFPROTO_UNSPEC, NULL, take_table, ret);
		if (r == 0 && ret->count > CENSUS_TABLES_MAX)
			r = -E2BIG;
		if (r == 0)
			r = nfnl_dump(n, NFT_MSG_GETSET, NFPROTO_UNSPEC, NULL, take_set, ret);
		if (r == 0)
			r = nfnl_dump(
				n, NFT_MSG_GETFLOWTABLE, NFPROTO_UNSPEC, NULL, take_flowtable, ret);
	}
	return r;
}

#define CHAIN_NAMES_BYTES 32768u /* 2,000 chains or so */

struct one_table {
	const char *name;
	bool found;
	struct census_state state;
	uint64_t digest;
	/* The names of its chains, each with its NUL; do they all fit? */
	bool chains_fit;
	size_t chains_used;
	char chains[CHAIN_NAMES_BYTES];
};

static void state_visit(const struct nlmsghdr *nlh, void *context)
{
	struct one_table *one = context;

	if (nfnl_type(nlh) != NFT_MSG_NEWTABLE ||
		strcmp(nfnl_text(nlh, NFTA_TABLE_NAME), one->name) != 0)
		return;
	one->found = true;
	one->state.asleep = nfnl_u32(nlh, NFTA_TABLE_FLAGS) & NFT_TABLE_F_DORMANT;
	one->state.handle = nfnl_u64(nlh, NFTA_TABLE_HANDLE);
}

int census_state(struct nfnl *n, uint8_t family, const char *name, struct census_state *ret_state)
{
	_Alignas(8) char message[512];
	struct one_table one;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(message);
	struct nfgenmsg *nfg;
	int r;

	one.name = name; /* the chains are nobody's here: not set to zero on the fast path */
	one.found = false;
	nlh->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = ++n->seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = 0;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, name);
	r = nfnl_request(n, nlh, nlh->nlmsg_len, state_visit, &one);
	if (r == 0 && !one.found)
		r = -ENOENT;
	if (r == 0)
		*ret_state = one.state;
	return r;
}

static void mix(struct one_table *one, const void *data, size_t size_bytes)
{
	one->digest = XXH3_64bits_withSeed(data, size_bytes, one->digest);
}

static void mix_u64(struct one_table *one, uint64_t value)
{
	mix(one, &value, sizeof(value));
}

static void mix_attr(struct one_table *one, const struct nlmsghdr *nlh, uint16_t type)
{
	const struct nlattr *attr = nfnl_attr(nlh, type, 0);

	mix_u64(one, type);
	if (attr)
		mix(one, mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
}

static void keep_chain(struct one_table *one, const char *chain)
{
	size_t length = strlen(chain) + 1;

	one->chains_fit &= length <= sizeof(one->chains) - one->chains_used;
	if (!one->chains_fit)
		return;
	memcpy(one->chains + one->chains_used, chain, length);
	one->chains_used += length;
}

/* digest_visit: the table's name is attribute 1 of every kind of object. */
static void digest_visit(const struct nlmsghdr *nlh, void *context)
{
	struct one_table *one = context;
	int type = nfnl_type(nlh);

	if (strcmp(nfnl_text(nlh, NFTA_RULE_TABLE), one->name) != 0)
		return;
	mix_u64(one, (uint64_t)type);
	switch (type) {
	case NFT_MSG_NEWCHAIN:
		keep_chain(one, nfnl_text(nlh, NFTA_CHAIN_NAME));
		mix_attr(one, nlh, NFTA_CHAIN_NAME);
		mix_attr(one, nlh, NFTA_CHAIN_HANDLE);
		mix_attr(one, nlh, NFTA_CHAIN_HOOK);
		mix_attr(one, nlh, NFTA_CHAIN_POLICY);
		break;
	case NFT_MSG_NEWRULE:
		mix_attr(one, nlh, NFTA_RULE_CHAIN);
		mix_attr(one, nlh, NFTA_RULE_HANDLE);
		break;
	case NFT_MSG_NEWSET:
		mix_attr(one, nlh, NFTA_SET_NAME);
		mix_attr(one, nlh, NFTA_SET_HANDLE);
		break;
	case NFT_MSG_NEWOBJ:
		mix_attr(one, nlh, NFTA_OBJ_NAME);
		mix_attr(one, nlh, NFTA_OBJ_HANDLE);
		break;
	default:
		break;
	}
}

/* digest_rules: chain by chain, as the kernel goes through all rules before those that it gives,
 * for each part of a dump: 100,000 rules take it seconds, chains of 1,000 a tenth of that. */
static int digest_rules(struct nfnl *n, uint8_t family, struct one_table *one)
{
	int r = 0;

	if (!one->chains_fit)
		return nfnl_dump(n, NFT_MSG_GETRULE, family, one->name, digest_visit, one);
	for (size_t at = 0; at < one->chains_used && r == 0; at += strlen(one->chains + at) + 1) {
		r = nfnl_dump_chain(n, family, one->name, one->chains + at, digest_visit, one);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

static int digest(struct nfnl *n, uint8_t family, struct one_table *one)
{
	static const uint16_t kinds[] = {NFT_MSG_GETCHAIN, NFT_MSG_GETSET, NFT_MSG_GETOBJ};
	int r = 0;

	one->digest = 0;
	one->chains_fit = true;
	one->chains_used = 0;
	for (size_t i = 0; i < ARRAY_LEN(kinds) && r == 0; i++) {
		/* GETCHAIN knows no filter by table, and some kernels reject one; a missing table
		 * gives nothing from the others. */
		const char *filter = kinds[i] == NFT_MSG_GETCHAIN ? NULL : one->name;

		r = nfnl_dump(n, kinds[i], family, filter, digest_visit, one);
		if (r == -ENOENT)
			r = 0;
	}
	if (r == 0)
		r = digest_rules(n, family, one);
	return r == -ENOENT ? 0 : r;
}

int census_digest(struct nfnl *n, uint8_t family, const char *name, uint64_t *ret_digest)
{
	struct one_table one;
	int r = -EINTR;

	one.name = name;
	for (unsigned int try = 0; try < NFNL_DUMP_TRIES && r == -EINTR; try++)
		r = digest(n, family, &one);
	if (r == 0)
		*ret_digest = one.digest;
	return r;
}
