/* readiness.h: why a node is not ready, as the one byte of its adverts and as words. The byte goes
 * over the wire between versions: a bit is never given another meaning. */
#ifndef CARPD_READINESS_H
#define CARPD_READINESS_H

#include <stdint.h>

enum readiness_bit {
	READINESS_SYNCD_NOT_REGISTERED = 0,
	READINESS_SYNC_NOT_CONNECTED,
	READINESS_SYNC_TRANSFER,
	READINESS_TABLE_FULL,
	READINESS_RULES_MISSING,
	READINESS_SYNC_BACKLOG,
	READINESS_OTHER,
	READINESS_BIT_COUNT,
};

/* readiness_bit_of: the bit that stands for a handler's word; READINESS_OTHER for one that this
 * version does not know. */
enum readiness_bit readiness_bit_of(const char *word);

/* readiness_name: "SYNC_NOT_CONNECTED", ...; "OTHER" for a bit of a newer version. Never NULL. */
const char *readiness_name(unsigned int bit);

#endif
