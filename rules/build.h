/* build.h: batches that make carpool's own tables (shield.c, latch.c), through libnftnl.
 *
 * Everything goes into one table of the inet family. What does not fit, or finds no memory, makes
 * the batch fail for good; nfnl_batch_end() tells. Allocates: not for the switch itself. */
#ifndef RULES_BUILD_H
#define RULES_BUILD_H

#include <libnftnl/rule.h>

#include "rules/nfnl.h"
#include "rules/rules.h"

#define BUILD_ELEMENTS_MAX 64u /* in one message: it stays far below NFNL_MESSAGE_ROOM */
#define BUILD_NO_VERDICT   (-100)

/* nft's own numbers of its types (nftables include/datatype.h): only `nft list` needs them. */
enum build_type {
	BUILD_TYPE_IPADDR = 7,
	BUILD_TYPE_IP6ADDR = 8,
	BUILD_TYPE_MARK = 19,
	BUILD_TYPE_IFNAME = 41,
};

struct build {
	struct nfnl_batch *batch; /* begun; borrowed */
	char table[RULES_TABLE_NAME_MAX];
};

void build_table(struct build *b, uint32_t flags); /* must not be there yet */
void build_delete_table(struct build *b);
void build_chain(struct build *b, const char *name, uint32_t hook, int32_t priority);

/* build_set: `id` names it within the batch (build_lookup); comment may be NULL. */
void build_set(struct build *b, uint32_t id, const char *name, enum build_type type,
	uint32_t key_bytes, const char *comment);
/* build_elements: at most BUILD_ELEMENTS_MAX keys of key_bytes, one after the other. */
void build_elements(
	struct build *b, const char *set, const void *keys, size_t key_bytes, size_t count);
/* build_interfaces: the names of those that are `shielded`, into the set. */
void build_interfaces(struct build *b, const char *set, const struct rules_interface *interfaces,
	size_t interface_count);
void build_flush_set(struct build *b, const char *name);
void build_flush_chain(struct build *b, const char *name);

/* Expressions of a rule, on register 1; build_rule_end() puts the rule into the batch and frees it.
 * A drop counts what it drops. */
struct nftnl_rule *build_rule(void);
struct nftnl_expr *build_expr(struct nftnl_rule *rule, const char *name);
void build_meta(struct nftnl_rule *rule, uint32_t key);
void build_set_meta(struct nftnl_rule *rule, uint32_t key);
void build_bits(struct nftnl_rule *rule, uint32_t mask, uint32_t flip); /* (x & mask) ^ flip */
void build_equals(struct nftnl_rule *rule, const void *data, uint32_t size_bytes);
void build_lookup(struct nftnl_rule *rule, const char *set, uint32_t set_id, bool inverted);
void build_rule_end(struct build *b, struct nftnl_rule *rule, const char *chain, int verdict);

#endif
