#include "rules/build.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>

#include "common/check.h"

/* nft's own numbers, as the types in build.h. */
enum { NFT_BYTEORDER_HOST = 1, NFT_BYTEORDER_BIG = 2 };

void build_table(struct build *b, uint32_t flags)
{
	struct nlmsghdr *nlh =
		nfnl_batch_add(b->batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, NFPROTO_INET);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, b->table);
	mnl_attr_put_u32(nlh, NFTA_TABLE_FLAGS, htonl(flags));
	nfnl_batch_added(b->batch, nlh);
}

void build_delete_table(struct build *b)
{
	struct nlmsghdr *nlh = nfnl_batch_add(b->batch, NFT_MSG_DELTABLE, 0, NFPROTO_INET);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, b->table);
	nfnl_batch_added(b->batch, nlh);
}

void build_chain(struct build *b, const char *name, uint32_t hook, int32_t priority)
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
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "filter");
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, hook);
	nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, priority);
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	nftnl_chain_nlmsg_build_payload(nlh, chain);
	nfnl_batch_added(b->batch, nlh);
	nftnl_chain_free(chain);
}

void build_set(struct build *b, uint32_t id, const char *name, enum build_type type,
	uint32_t key_bytes, const char *comment)
{
	struct nftnl_set *set = nftnl_set_alloc();
	struct nftnl_udata_buf *udata = nftnl_udata_buf_alloc(256);
	struct nlmsghdr *nlh = nfnl_batch_add(b->batch, NFT_MSG_NEWSET, NLM_F_CREATE, NFPROTO_INET);
	bool host_order = type == BUILD_TYPE_MARK || type == BUILD_TYPE_IFNAME;

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

/* flush: empties a set, or a chain of its rules; the table is attribute 1 of both. */
static void flush(struct build *b, uint16_t type, uint16_t attribute, const char *name)
{
	struct nlmsghdr *nlh = nfnl_batch_add(b->batch, type, 0, NFPROTO_INET);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, b->table);
	mnl_attr_put_strz(nlh, attribute, name);
	nfnl_batch_added(b->batch, nlh);
}

void build_flush_set(struct build *b, const char *name)
{
	flush(b, NFT_MSG_DELSETELEM, NFTA_SET_ELEM_LIST_SET, name);
}

void build_flush_chain(struct build *b, const char *name)
{
	flush(b, NFT_MSG_DELRULE, NFTA_RULE_CHAIN, name);
}

void build_elements(
	struct build *b, const char *set, const void *keys, size_t key_bytes, size_t count)
{
	struct nlmsghdr *nlh;
	struct nlattr *list;

	CHECK(count <= BUILD_ELEMENTS_MAX);
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

void build_interfaces(struct build *b, const char *set, const struct rules_interface *interfaces,
	size_t interface_count)
{
	char names[BUILD_ELEMENTS_MAX][RULES_IFNAME_MAX];
	size_t count = 0;

	for (size_t i = 0; i < interface_count; i++) {
		if (!interfaces[i].shielded)
			continue;
		memset(names[count], 0, sizeof(names[count]));
		snprintf(names[count], sizeof(names[count]), "%s", interfaces[i].name);
		if (++count == BUILD_ELEMENTS_MAX) {
			build_elements(b, set, names, sizeof(names[0]), count);
			count = 0;
		}
	}
	build_elements(b, set, names, sizeof(names[0]), count);
}

struct nftnl_rule *build_rule(void)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	CHECK(rule != NULL);
	return rule;
}

struct nftnl_expr *build_expr(struct nftnl_rule *rule, const char *name)
{
	struct nftnl_expr *expr = nftnl_expr_alloc(name);

	CHECK(expr != NULL); /* libnftnl knows these names; memory for 100 bytes at load time */
	nftnl_rule_add_expr(rule, expr);
	return expr;
}

void build_meta(struct nftnl_rule *rule, uint32_t key)
{
	struct nftnl_expr *expr = build_expr(rule, "meta");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_DREG, NFT_REG_1);
}

void build_set_meta(struct nftnl_rule *rule, uint32_t key)
{
	struct nftnl_expr *expr = build_expr(rule, "meta");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_META_SREG, NFT_REG_1);
}

void build_bits(struct nftnl_rule *rule, uint32_t mask, uint32_t flip)
{
	struct nftnl_expr *expr = build_expr(rule, "bitwise");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
	nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask));
	nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_XOR, &flip, sizeof(flip));
}

void build_equals(struct nftnl_rule *rule, const void *data, uint32_t size_bytes)
{
	struct nftnl_expr *expr = build_expr(rule, "cmp");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
	nftnl_expr_set(expr, NFTNL_EXPR_CMP_DATA, data, size_bytes);
}

void build_lookup(struct nftnl_rule *rule, const char *set, uint32_t set_id, bool inverted)
{
	struct nftnl_expr *expr = build_expr(rule, "lookup");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(expr, NFTNL_EXPR_LOOKUP_SET, set);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_SET_ID, set_id);
	if (inverted)
		nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

void build_rule_end(struct build *b, struct nftnl_rule *rule, const char *chain, int verdict)
{
	struct nlmsghdr *nlh = nfnl_batch_add(
		b->batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_INET);
	struct nftnl_expr *expr;

	if (verdict == NF_DROP)
		(void)build_expr(rule, "counter");
	if (verdict != BUILD_NO_VERDICT) {
		expr = build_expr(rule, "immediate");
		nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
		nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
	}
	nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, b->table);
	nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain);
	if (nlh) {
		nftnl_rule_nlmsg_build_payload(nlh, rule);
		nfnl_batch_added(b->batch, nlh);
	}
	nftnl_rule_free(rule);
}
