/* foreign.h: who else speaks IP protocol 112: VRRP routers and CARP of the BSDs, by their headers.
 *
 * CARPv2 and VRRPv2 begin with the same byte, 0x21; they differ in length and in the fourth byte
 * (CARP: 7, the words of its counter and digest; VRRP: how many addresses follow). Nothing of it is
 * signed in a way that could be checked here: good for a warning, and for nothing else. Pure. */
#ifndef CARPD_FOREIGN_H
#define CARPD_FOREIGN_H

#include <stddef.h>
#include <stdint.h>

enum foreign_kind {
	FOREIGN_NONE,	 /* none of them */
	FOREIGN_VRRP2,	 /* RFC 3768 section 5.1 */
	FOREIGN_VRRP3,	 /* RFC 9568 section 5.1 */
	FOREIGN_CARP,	 /* CARPv2 */
	FOREIGN_CARPOOL, /* a native advert, whoever signed it */
};

struct foreign {
	enum foreign_kind kind;
	uint8_t vhid; /* VRRP calls it VRID */
};

/* foreign_parse: from an IP payload of protocol 112. */
struct foreign foreign_parse(const uint8_t *bytes, size_t size_bytes);

/* foreign_name: "VRRPv2", ...; never NULL. */
const char *foreign_name(enum foreign_kind kind);

#endif
