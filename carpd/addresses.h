/* addresses.h: virtual addresses in the kernel, by rtnetlink, a whole group in one message.
 *
 * An address is added with a lifetime of CARPD_ADDRESS_LIFETIME_S seconds, renewed every second: if
 * carpd and its guard die together, the kernel itself takes it away. IPv6 addresses skip duplicate
 * address detection (IFA_F_NODAD): its second of silence would be an outage, and CARP has decided
 * whose the address is. Removing an address that is not there is success.
 *
 * Every interface with a virtual address gets promote_secondaries=1: otherwise the kernel takes the
 * node's own address along when the first one of a subnet is withdrawn (experiments, section 6).
 *
 * Blocking (RTNL): for the executor, the guard, and start-up. No allocation. */
#ifndef CARPD_ADDRESSES_H
#define CARPD_ADDRESSES_H

#include "common/ipaddr.h"
#include "common/limits.h"
#include "common/mono.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One address on one interface, by the index that the kernel knows now. */
struct addresses_entry {
	uint32_t ifindex; /* 0: the interface is not there */
	struct ipaddr address;
};

struct addresses_nl {
	int fd; /* -1 when closed */
	uint32_t seq;
};

/* addresses_open, addresses_close: a socket for one thread or process. */
int addresses_open(struct addresses_nl *nl) __attribute__((warn_unused_result));
void addresses_close(struct addresses_nl *nl);

struct addresses_result {
	uint32_t done;
	uint32_t unchanged; /* of these, it was as wanted before: an answer that counts as fine */
	uint32_t failed;
	int first_error; /* negative errno */
	uint32_t first_failed_index;
};

#define ADDRESSES_FINE_MAX	2u
#define ADDRESSES_MESSAGE_BYTES 128u /* at most, each: headers and a few attributes */

/* A request of many messages (routes.c and devices.c have their own): put() writes the index-th,
 * acknowledged, with that sequence number, and returns its length; `fine` are errnos that mean that
 * there was nothing to do. */
struct addresses_request {
	size_t (*put)(void *at, uint32_t seq, const void *context, size_t index);
	const void *context;
	int fine[ADDRESSES_FINE_MAX];
};

/* addresses_exchange: sends them in chunks and takes every answer; as addresses_add. */
int addresses_exchange(struct addresses_nl *nl, const struct addresses_request *request,
	size_t count, mono_t deadline, struct addresses_result *ret_result)
	__attribute__((warn_unused_result));

/* addresses_add: adds or renews all; an entry without an interface fails with -ENODEV.
 * addresses_remove: removes all; what is not there is success.
 * Both go on after an error. 0 when every entry is as wanted, else the first error; -ETIMEDOUT when
 * the kernel had not answered at the deadline. */
int addresses_add(struct addresses_nl *nl, const struct addresses_entry *entries, size_t count,
	mono_t deadline, struct addresses_result *ret_result) __attribute__((warn_unused_result));
int addresses_remove(struct addresses_nl *nl, const struct addresses_entry *entries, size_t count,
	mono_t deadline, struct addresses_result *ret_result) __attribute__((warn_unused_result));

/* addresses_each: every address of this network namespace. `on_address` returns false to stop.
 * 0 or a negative errno. */
int addresses_each(struct addresses_nl *nl, mono_t deadline,
	bool (*on_address)(void *context, const struct addresses_entry *entry), void *context)
	__attribute__((warn_unused_result));

/* addresses_prepare_interface: promote_secondaries=1. 0 or a negative errno. */
int addresses_prepare_interface(const char *ifname) __attribute__((warn_unused_result));

#endif
