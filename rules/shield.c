#include "rules/shield.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>

#include "common/check.h"
#include "rules/census.h"

/* nft's own numbers of its types (nftables include/datatype.h): only `nft list` needs them. */
enum {
	NFT_TYPE_IPADDR = 7,
	NFT_TYPE_IP6ADDR = 8,
	NFT_TYPE_MARK = 19,
	NFT_TYPE_IFNAME = 41,
	NFT_BYTEORDER_HOST = 1,
	NFT_BYTEORDER_BIG = 2,
};

#define CHAIN	      "guard"
#define IP4_DADDR     16u
#define IP6_DADDR     24u
#define ELEMENTS_EACH 64u /* in one message: it stays far below NFNL_MESSAGE_ROOM */

_Static_assert(
	RULES_INTERFACES_MAX >= LIMIT_INTERFACES, "a node has at least the group interfaces");

char *shield_name(const char *group, char name[static RULES_TABLE_NAME_MAX])
{
	snprintf(name, RULES_TABLE_NAME_MAX, RULES_SHIELD_PREFIX "%s", group);
	return name;
}

struct builder {
	struct nfnl_batch *batch;
	char table[RULES_TABLE_NAME_MAX];
};

static void put_table(struct builder *b, enum shield_mode mode)
{
	struct nlmsghdr *nlh;

	if (mode == SHIELD_REFRESH) {
		nfnl_batch_canary(b->batch, NFPROTO_INET, b->table);
		return;
	}
	if (mode == SHIELD_REPLACE) {
		nlh = nfnl_batch_add(b->batch, NFT_MSG_DELTABLE, 0, NFPROTO_INET);
		if (!nlh)
			return;
		mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, b->table);
		nfnl_batch_added(b->batch, nlh);
	}
	nlh = nfnl_batch_add(b->batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, NFPROTO_INET);
	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, b->table);
	mnl_attr_put_u32(nlh, NFTA_TABLE_FLAGS, 0);
	nfnl_batch_added(b->batch, nlh);
}

static void put_set(struct builder *b, uint32_t id, const char *name, uint32_t type,
	uint32_t key_bytes, const char *comment)
{
	struct nftnl_set *set = nftnl_set_alloc();
	struct nftnl_udata_buf *udata = nftnl_udata_buf_alloc(256);
	struct nlmsghdr *nlh = nfnl_batch_add(b->batch, NFT_MSG_NEWSET, NLM_F_CREATE, NFPROTO_INET);
	bool host_order = type == NFT_TYPE_MARK || type == NFT_TYPE_IFNAME;

	if (!set || !udata || !nlh) {
		b->batch->failed = true;
		goto out;
	}
	nftnl_set_set_str(set, NFTNL_SET_TABLE, b->table);
	nftnl_set_set_str(set, NFTNL_SET_NAME, name);
	nftnl_set_set_u32(set, NFTNL_SET_ID, id);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, type);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, key_bytes);
	nftnl_udata_put_u32(udata, NFTNL_UDATA_SET_KEYBYTEORDER,
		host_order ? NFT_BYTEORDER_HOST : NFT_BYTEORDER_BIG);
	if (comment)
		nftnl_udata_put_strz(udata, NFTNL_UDATA_SET_COMMENT, comment);
	nftnl_set_set_data(
		set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(udata), nftnl_udata_buf_len(udata));
	nftnl_set_nlmsg_build_payload(nlh, set);
	nfnl_batch_added(b->batch, nlh);
out:
	nftnl_set_free(set);
	nftnl_udata_buf_free(udata);
}

/* put_flush: empties a set, or with chain a chain of its rules. */
static void put_flush(struct builder *b, uint16_t type, uint16_t attribute, const char *name)
{
	struct nlmsghdr *nlh = nfnl_batch_add(b->batch, type, 0, NFPROTO_INET);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, b->table);
	mnl_attr_put_strz(nlh, attribute, name);
	nfnl_batch_added(b->batch, nlh);
}

/* put_elements: at most ELEMENTS_EACH keys of key_bytes, one after the other in `keys`. */
static void put_elements(
	struct builder *b, const char *set, const void *keys, size_t key_bytes, size_t count)
{
	struct nlmsghdr *nlh;
	struct nlattr *list;

	CHECK(count <= ELEMENTS_EACH);
	if (count == 0)
		return;
	nlh = nfnl_batch_add(b->batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, NFPROTO_INET);
	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, b->table);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (size_t i = 0; i < count; i++) {
		struct nlattr *element = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
		struct nlattr *key = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_KEY);

		mnl_attr_put(nlh, NFTA_DATA_VALUE, key_bytes, (const char *)keys + i * key_bytes);
		mnl_attr_nest_end(nlh, key);
		mnl_attr_nest_end(nlh, element);
	}
	mnl_attr_nest_end(nlh, list);
	nfnl_batch_added(b->batch, nlh);
}

static void put_interfaces(struct builder *b, const struct shield *shield)
{
	char names[ELEMENTS_EACH][RULES_IFNAME_MAX];
	size_t count = 0;

	for (size_t i = 0; i < shield->interface_count; i++) {
		if (!shield->interfaces[i].shielded)
			continue;
		memset(names[count], 0, sizeof(names[count]));
		snprintf(names[count], sizeof(names[count]), "%s", shield->interfaces[i].name);
		if (++count == ELEMENTS_EACH) {
			put_elements(b, "interfaces", names, sizeof(names[0]), count);
			count = 0;
		}
	}
	put_elements(b, "interfaces", names, sizeof(names[0]), count);
}

static void put_addresses(
	struct builder *b, const struct shield *shield, const char *set, enum ipaddr_family family)
{
	uint8_t keys[ELEMENTS_EACH * 16];
	size_t key_bytes = family == IPADDR_V4 ? 4 : 16, count = 0;

	for (size_t i = 0; i < shield->address_count; i++) {
		if (shield->addresses[i].family != family)
			continue;
		memcpy(keys + count * key_bytes, shield->addresses[i].bytes, key_bytes);
		if (++count == ELEMENTS_EACH) {
			put_elements(b, set, keys, key_bytes, count);
			count = 0;
		}
	}
	put_elements(b, set, keys, key_bytes, count);
}

static void put_chain(struct builder *b)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();
	struct nlmsghdr *nlh =
		nfnl_batch_add(b->batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFPROTO_INET);

	if (!chain || !nlh) {
		b->batch->failed = true;
		nftnl_chain_free(chain);
		return;
	}
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, b->table);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, CHAIN);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "filter");
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, NF_INET_PRE_ROUTING);
	nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, SHIELD_PRIORITY);
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	nftnl_chain_nlmsg_build_payload(nlh, chain);
	nfnl_batch_added(b->batch, nlh);
	nftnl_chain_free(chain);
}

/* add: one expression with its first attributes; NULL without memory. */
static struct nftnl_expr *add(struct nftnl_rule *rule, const char *name)
{
	struct nftnl_expr *expr = nftnl_expr_alloc(name);

	CHECK(expr != NULL); /* libnftnl knows these names; memory for 100 bytes at load time */
	nftnl_rule_add_expr(rule, expr);
	return expr;
}

static void add_meta(struct nftnl_rule *rule, uint32_t key)
{
	struct nftnl_expr *expr = add(rule, "meta");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_DREG, NFT_REG_1);
}

static void add_equals(struct nftnl_rule *rule, const void *data, uint32_t size_bytes)
{
	struct nftnl_expr *expr = add(rule, "cmp");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
	nftnl_expr_set(expr, NFTNL_EXPR_CMP_DATA, data, size_bytes);
}

static void add_family(struct nftnl_rule *rule, uint8_t family)
{
	add_meta(rule, NFT_META_NFPROTO);
	add_equals(rule, &family, sizeof(family));
}

static void add_network_header(struct nftnl_rule *rule, uint32_t offset, uint32_t size_bytes)
{
	struct nftnl_expr *expr = add(rule, "payload");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, size_bytes);
}

static void add_lookup(struct nftnl_rule *rule, const char *set, uint32_t set_id, bool inverted)
{
	struct nftnl_expr *expr = add(rule, "lookup");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(expr, NFTNL_EXPR_LOOKUP_SET, set);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_SET_ID, set_id);
	if (inverted)
		nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

static void add_destination_type(struct nftnl_rule *rule, uint32_t type)
{
	struct nftnl_expr *expr = add(rule, "fib");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
	add_equals(rule, &type, sizeof(type));
}

static void put_rule(struct builder *b, struct nftnl_rule *rule, int verdict)
{
	struct nlmsghdr *nlh = nfnl_batch_add(
		b->batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_INET);
	struct nftnl_expr *expr;

	if (verdict == NF_DROP)
		(void)add(rule, "counter");
	expr = add(rule, "immediate");
	nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
	nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, b->table);
	nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, CHAIN);
	if (nlh) {
		nftnl_rule_nlmsg_build_payload(nlh, rule);
		nfnl_batch_added(b->batch, nlh);
	}
	nftnl_rule_free(rule);
}

static struct nftnl_rule *new_rule(void)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	CHECK(rule != NULL);
	return rule;
}

enum { SET_CANARY = 1, SET_INTERFACES, SET_ADDRESSES4, SET_ADDRESSES6 };

static void put_rules(struct builder *b)
{
	static const uint32_t own[] = {RTN_LOCAL, RTN_BROADCAST, RTN_MULTICAST};
	static const uint8_t multicast = 0xff;
	struct nftnl_rule *rule = new_rule();

	add_meta(rule, NFT_META_IIFNAME);
	add_lookup(rule, "interfaces", SET_INTERFACES, true);
	put_rule(b, rule, NFT_RETURN);

	rule = new_rule();
	add_family(rule, NFPROTO_IPV4);
	add_network_header(rule, IP4_DADDR, 4);
	add_lookup(rule, "addresses4", SET_ADDRESSES4, false);
	put_rule(b, rule, NF_DROP);

	rule = new_rule();
	add_family(rule, NFPROTO_IPV6);
	add_network_header(rule, IP6_DADDR, 16);
	add_lookup(rule, "addresses6", SET_ADDRESSES6, false);
	put_rule(b, rule, NF_DROP);

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		rule = new_rule();
		add_destination_type(rule, own[i]);
		put_rule(b, rule, NF_ACCEPT);
	}
	rule = new_rule(); /* where no route for multicast exists, fib calls it unreachable */
	add_family(rule, NFPROTO_IPV6);
	add_network_header(rule, IP6_DADDR, 1);
	add_equals(rule, &multicast, 1);
	put_rule(b, rule, NF_ACCEPT);

	put_rule(b, new_rule(), NF_DROP);
}

bool shield_build(struct nfnl_batch *batch, void *memory, size_t size_bytes,
	const struct shield *shield, enum shield_mode mode)
{
	struct builder b = {.batch = batch};
	char owner[CENSUS_OWNER_MAX];
	const uint32_t mark = 1;

	shield_name(shield->group, b.table);
	nfnl_batch_begin(batch, memory, size_bytes, false);
	put_table(&b, mode);
	if (mode != SHIELD_REFRESH) {
		put_set(&b, SET_CANARY, RULES_CANARY_SET, NFT_TYPE_MARK, 4,
			census_owner(shield->group, RULES_ROLE_SHIELD, owner));
		put_elements(&b, RULES_CANARY_SET, &mark, sizeof(mark), 1);
		put_set(&b, SET_INTERFACES, "interfaces", NFT_TYPE_IFNAME, RULES_IFNAME_MAX, NULL);
		put_set(&b, SET_ADDRESSES4, "addresses4", NFT_TYPE_IPADDR, 4, NULL);
		put_set(&b, SET_ADDRESSES6, "addresses6", NFT_TYPE_IP6ADDR, 16, NULL);
		put_chain(&b);
	} else {
		put_flush(&b, NFT_MSG_DELRULE, NFTA_RULE_CHAIN, CHAIN);
		put_flush(&b, NFT_MSG_DELSETELEM, NFTA_SET_ELEM_LIST_SET, "interfaces");
		put_flush(&b, NFT_MSG_DELSETELEM, NFTA_SET_ELEM_LIST_SET, "addresses4");
		put_flush(&b, NFT_MSG_DELSETELEM, NFTA_SET_ELEM_LIST_SET, "addresses6");
	}
	put_interfaces(&b, shield);
	put_addresses(&b, shield, "addresses4", IPADDR_V4);
	put_addresses(&b, shield, "addresses6", IPADDR_V6);
	put_rules(&b);
	return nfnl_batch_end(batch);
}
