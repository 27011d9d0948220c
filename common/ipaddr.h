/* ipaddr.h: an IPv4 or IPv6 address with a prefix length, as plain data.
 *
 * No resolver, no scope id: the interface is always named beside the address. */
#ifndef COMMON_IPADDR_H
#define COMMON_IPADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPADDR_TEXT_MAX 50u /* "ffff:...:255.255.255.255/128" and the NUL */

enum ipaddr_family {
	IPADDR_NONE = 0,
	IPADDR_V4 = 4,
	IPADDR_V6 = 6,
};

struct ipaddr {
	uint8_t family;	    /* enum ipaddr_family */
	uint8_t prefix_len; /* 32 or 128 when the text named none */
	uint8_t bytes[16];  /* network order; IPv4 uses the first 4, the rest is zero */
};

/* ipaddr_parse: "10.1.0.254/24", "fd01::fe", ...; false leaves *ret_addr untouched. */
bool ipaddr_parse(const char *text, struct ipaddr *ret_addr) __attribute__((warn_unused_result));

/* ipaddr_render: the canonical text, with "/len" when with_prefix; returns `text`. */
char *ipaddr_render(const struct ipaddr *addr, bool with_prefix, char text[static IPADDR_TEXT_MAX]);

/* ipaddr_size_bytes: 4, 16, or 0 for IPADDR_NONE. */
size_t ipaddr_size_bytes(const struct ipaddr *addr);

/* ipaddr_equal: same family and address; the prefix length does not count. */
bool ipaddr_equal(const struct ipaddr *a, const struct ipaddr *b);

/* ipaddr_compare: IPv4 before IPv6, then by address, then by prefix length; like memcmp. */
int ipaddr_compare(const struct ipaddr *a, const struct ipaddr *b);

/* ipaddr_contains: whether `addr` lies in the network that `net` names with its prefix length. */
bool ipaddr_contains(const struct ipaddr *net, const struct ipaddr *addr);

/* ipaddr_is_link_local: fe80::/10 (RFC 4291) or 169.254.0.0/16 (RFC 3927). */
bool ipaddr_is_link_local(const struct ipaddr *addr);

#endif
