#include "carpd/foreign.h"

#include "common/advert.h"
#include "common/check.h"

#define FOREIGN_VRRP_ADVERT	 1u
#define FOREIGN_VRRP_BYTES	 8u
#define FOREIGN_VRRP2_AUTH_BYTES 8u /* a field that every VRRPv2 packet has, used or not */
#define FOREIGN_CARP_BYTES	 36u
#define FOREIGN_CARP_WORDS	 7u

static const char *const foreign_names[] = {
	[FOREIGN_NONE] = "unknown",
	[FOREIGN_VRRP2] = "VRRPv2",
	[FOREIGN_VRRP3] = "VRRPv3",
	[FOREIGN_CARP] = "CARP",
	[FOREIGN_CARPOOL] = "carpool",
};

static enum foreign_kind foreign_kind_of(const uint8_t *bytes, size_t size_bytes)
{
	size_t addresses = bytes[3];

	if ((bytes[0] & 0x0f) != FOREIGN_VRRP_ADVERT)
		return FOREIGN_NONE;
	switch (bytes[0] >> 4) {
	case 2:
		if (size_bytes == FOREIGN_CARP_BYTES && bytes[3] == FOREIGN_CARP_WORDS)
			return FOREIGN_CARP;
		return size_bytes == FOREIGN_VRRP_BYTES + 4 * addresses + FOREIGN_VRRP2_AUTH_BYTES
			       ? FOREIGN_VRRP2
			       : FOREIGN_NONE;
	case 3:
		return size_bytes == FOREIGN_VRRP_BYTES + 4 * addresses ||
				       size_bytes == FOREIGN_VRRP_BYTES + 16 * addresses
			       ? FOREIGN_VRRP3
			       : FOREIGN_NONE;
	case ADVERT_WIRE_VERSION:
		return FOREIGN_CARPOOL;
	default:
		return FOREIGN_NONE;
	}
}

struct foreign foreign_parse(const uint8_t *bytes, size_t size_bytes)
{
	struct foreign foreign = {.kind = FOREIGN_NONE};

	if (size_bytes < FOREIGN_VRRP_BYTES)
		return foreign;
	foreign.kind = foreign_kind_of(bytes, size_bytes);
	foreign.vhid = bytes[1]; /* all four have it there */
	return foreign;
}

const char *foreign_name(enum foreign_kind kind)
{
	return foreign_names[kind < ARRAY_LEN(foreign_names) ? kind : FOREIGN_NONE];
}
