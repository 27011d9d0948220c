#include "rules/shield.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include <libnftnl/expr.h>

#include "common/check.h"
#include "rules/build.h"
#include "rules/census.h"

#define CHAIN	  "guard"
#define IP4_DADDR 16u
#define IP6_DADDR 24u

_Static_assert(
	RULES_INTERFACES_MAX >= LIMIT_INTERFACES, "a node has at least the group interfaces");

char *shield_name(const char *group, char name[static RULES_TABLE_NAME_MAX])
{
	snprintf(name, RULES_TABLE_NAME_MAX, RULES_SHIELD_PREFIX "%s", group);
	return name;
}

static void put_table(struct build *b, enum shield_mode mode)
{
	if (mode == SHIELD_REFRESH) {
		nfnl_batch_canary(b->batch, NFPROTO_INET, b->table);
		return;
	}
	if (mode == SHIELD_REPLACE)
		build_delete_table(b);
	build_table(b, 0);
}

static void put_addresses(
	struct build *b, const struct shield *shield, const char *set, enum ipaddr_family family)
{
	uint8_t keys[BUILD_ELEMENTS_MAX * 16];
	size_t key_bytes = family == IPADDR_V4 ? 4 : 16, count = 0;

	for (size_t i = 0; i < shield->address_count; i++) {
		if (shield->addresses[i].family != family)
			continue;
		memcpy(keys + count * key_bytes, shield->addresses[i].bytes, key_bytes);
		if (++count == BUILD_ELEMENTS_MAX) {
			build_elements(b, set, keys, key_bytes, count);
			count = 0;
		}
	}
	build_elements(b, set, keys, key_bytes, count);
}

static void add_family(struct nftnl_rule *rule, uint8_t family)
{
	build_meta(rule, NFT_META_NFPROTO);
	build_equals(rule, &family, sizeof(family));
}

static void add_network_header(struct nftnl_rule *rule, uint32_t offset, uint32_t size_bytes)
{
	struct nftnl_expr *expr = build_expr(rule, "payload");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, size_bytes);
}

static void add_destination_type(struct nftnl_rule *rule, uint32_t type)
{
	struct nftnl_expr *expr = build_expr(rule, "fib");

	nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
	build_equals(rule, &type, sizeof(type));
}

enum { SET_CANARY = 1, SET_INTERFACES, SET_ADDRESSES4, SET_ADDRESSES6 };

static void put_rules(struct build *b)
{
	static const uint32_t own[] = {RTN_LOCAL, RTN_BROADCAST, RTN_MULTICAST};
	static const uint8_t multicast = 0xff;
	struct nftnl_rule *rule = build_rule();

	build_meta(rule, NFT_META_IIFNAME);
	build_lookup(rule, "interfaces", SET_INTERFACES, true);
	build_rule_end(b, rule, CHAIN, NFT_RETURN);

	rule = build_rule();
	add_family(rule, NFPROTO_IPV4);
	add_network_header(rule, IP4_DADDR, 4);
	build_lookup(rule, "addresses4", SET_ADDRESSES4, false);
	build_rule_end(b, rule, CHAIN, NF_DROP);

	rule = build_rule();
	add_family(rule, NFPROTO_IPV6);
	add_network_header(rule, IP6_DADDR, 16);
	build_lookup(rule, "addresses6", SET_ADDRESSES6, false);
	build_rule_end(b, rule, CHAIN, NF_DROP);

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		rule = build_rule();
		add_destination_type(rule, own[i]);
		build_rule_end(b, rule, CHAIN, NF_ACCEPT);
	}
	rule = build_rule(); /* where no route for multicast exists, fib calls it unreachable */
	add_family(rule, NFPROTO_IPV6);
	add_network_header(rule, IP6_DADDR, 1);
	build_equals(rule, &multicast, 1);
	build_rule_end(b, rule, CHAIN, NF_ACCEPT);

	build_rule_end(b, build_rule(), CHAIN, NF_DROP);
}

bool shield_build(struct nfnl_batch *batch, void *memory, size_t size_bytes,
	const struct shield *shield, enum shield_mode mode)
{
	struct build b = {.batch = batch};
	char owner[CENSUS_OWNER_MAX];
	const uint32_t mark = 1;

	shield_name(shield->group, b.table);
	nfnl_batch_begin(batch, memory, size_bytes, false);
	put_table(&b, mode);
	if (mode != SHIELD_REFRESH) {
		build_set(&b, SET_CANARY, RULES_CANARY_SET, BUILD_TYPE_MARK, 4,
			census_owner(shield->group, RULES_ROLE_SHIELD, owner));
		build_elements(&b, RULES_CANARY_SET, &mark, sizeof(mark), 1);
		build_set(&b, SET_INTERFACES, "interfaces", BUILD_TYPE_IFNAME, RULES_IFNAME_MAX,
			NULL);
		build_set(&b, SET_ADDRESSES4, "addresses4", BUILD_TYPE_IPADDR, 4, NULL);
		build_set(&b, SET_ADDRESSES6, "addresses6", BUILD_TYPE_IP6ADDR, 16, NULL);
		build_chain(&b, CHAIN, NF_INET_PRE_ROUTING, SHIELD_PRIORITY);
	} else {
		build_flush_chain(&b, CHAIN);
		build_flush_set(&b, "interfaces");
		build_flush_set(&b, "addresses4");
		build_flush_set(&b, "addresses6");
	}
	build_interfaces(&b, "interfaces", shield->interfaces, shield->interface_count);
	put_addresses(&b, shield, "addresses4", IPADDR_V4);
	put_addresses(&b, shield, "addresses6", IPADDR_V6);
	put_rules(&b);
	return nfnl_batch_end(batch);
}
