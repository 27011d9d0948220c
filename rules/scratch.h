/* scratch.h: a network namespace of one's own for a while, for trying rules where they harm nobody.
 *
 * A child process unshares the network (with a user namespace where CAP_SYS_ADMIN is gone), makes
 * placeholder interfaces, does its work there and leaves its results in memory that it shares with
 * the parent. Whatever it does to nftables, `flush ruleset` included, dies with it. */
#ifndef RULES_SCRATCH_H
#define RULES_SCRATCH_H

#include <stddef.h>

#include "common/mono.h"

/* scratch_run: runs `work` in a new process and network namespace, until the deadline.
 *   context  what the child reads; shared what it writes: scratch_memory().
 * The result of `work`; -ETIMEDOUT; -EPERM: neither CAP_SYS_ADMIN nor user namespaces; -ECHILD: the
 * child died. From a process with one thread: the child allocates. */
int scratch_run(int (*work)(const void *context, void *shared, mono_t deadline),
	const void *context, void *shared, mono_t deadline);

/* scratch_memory: zeroed memory that a child of ours shares; NULL = none. Untouched pages cost
 * nothing. */
void *scratch_memory(size_t size_bytes);
void scratch_memory_free(void *memory, size_t size_bytes);

/* scratch_interfaces: for the work: placeholder interfaces of these names, and lo up. 0 or -errno;
 * names that exist already are no error. */
int scratch_interfaces(const char names[][16], size_t count);

struct nlmsghdr;

/* scratch_exchange: one rtnetlink request in the current namespace, its flags but NLM_F_REQUEST and
 * NLM_F_ACK set by the caller; 0 or -errno. */
int scratch_exchange(struct nlmsghdr *nlh);

#endif
