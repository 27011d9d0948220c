/* ctattr.h: ctnetlink messages to flows and back (uapi linux/netfilter/nfnetlink_conntrack.h).
 *
 * Parsing walks the attributes once, without tables or allocation: it is on the hot path of every
 * kernel event. Building appends one message to a batch. What may be said in which message is
 * measured in facts/conntrackd.md 2.4: a create carries the un-NATed reply tuple and NAT attributes
 * (a NATed reply would be accepted without the NAT bits, and packets would not be translated); an
 * update must not carry NAT or master (EOPNOTSUPP), nor another helper (EBUSY). */
#ifndef SYNCD_CTATTR_H
#define SYNCD_CTATTR_H

#include "common/flow.h"

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Expectations (flow_is_expectation()) are told in messages of another subsystem, with other
 * attributes: every function here takes and gives both. What the kernel does not tell of them is
 * the zone of their master (ctnetlink_exp_dump_expect()): they are taken to be in none. It takes
 * their timeout in updates alone: at its creation an expectation gets its helper's. */

#define CTATTR_MESSAGE_MAX 1024u /* room that a builder needs at most; CHECKed by the unit test */

enum ctattr_error {
	CTATTR_OK = 0,
	CTATTR_SHORT,	  /* an attribute or the message ends early */
	CTATTR_FAMILY,	  /* neither IPv4 nor IPv6 */
	CTATTR_NO_TUPLE,  /* no original tuple, or one of another family */
	CTATTR_BAD_VALUE, /* a TCP state or scale that cannot be */
	CTATTR_ERROR_COUNT,
};

const char *ctattr_error_name(enum ctattr_error error);

/* ctattr_parse: one IPCTNL_MSG_CT_* or IPCTNL_MSG_EXP_* message of `size_bytes` in memory.
 * *ret_flow has no group and no stamp. */
enum ctattr_error ctattr_parse(const struct nlmsghdr *message, size_t size_bytes,
	struct flow *ret_flow) __attribute__((warn_unused_result));

/* The builders write a whole message at `at` (4-aligned, CTATTR_MESSAGE_MAX bytes) and return its
 * length. No acknowledgement is asked for: the kernel answers errors alone. */

/* ctattr_put_create: with NLM_F_CREATE and no EXCL: creates, or updates a flow without NAT. */
size_t ctattr_put_create(void *at, uint32_t seq, const struct flow *flow, bool liberal);
size_t ctattr_put_update(void *at, uint32_t seq, const struct flow *flow, bool liberal);
size_t ctattr_put_delete(void *at, uint32_t seq, const struct flow *flow);
/* ctattr_put_timeout: flow->timeout_s alone; never creates. */
size_t ctattr_put_timeout(void *at, uint32_t seq, const struct flow *flow);
/* ctattr_put_liberal: sets BE_LIBERAL on both directions and nothing else; never creates. */
size_t ctattr_put_liberal(void *at, uint32_t seq, const struct flow *flow);

/* ctattr_put_strict: clears BE_LIBERAL on both directions (mask 0x08); never creates. */
size_t ctattr_put_strict(void *at, uint32_t seq, const struct flow *flow);
/* ctattr_put_probe: changes nothing; ENOENT tells that the flow is not there. */
size_t ctattr_put_probe(void *at, uint32_t seq, const struct flow *flow);
/* ctattr_put_get: answered by the entry (IPCTNL_MSG_CT_NEW, the same seq) or ENOENT. */
size_t ctattr_put_get(void *at, uint32_t seq, const struct flow *flow);
/* ctattr_put_get_reply: the same, by the reply tuple: who holds it, whatever its original one is.
 */
size_t ctattr_put_get_reply(void *at, uint32_t seq, const struct flow *flow);
/* ctattr_put_dump: all families. */
size_t ctattr_put_dump(void *at, uint32_t seq);
size_t ctattr_put_dump_expectations(void *at, uint32_t seq);

/* ctattr_is_known: whether the message is of one of the two subsystems that ctattr_parse takes. */
bool ctattr_is_known(const struct nlmsghdr *message);

#endif
