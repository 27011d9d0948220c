/* digest.h: what two tables are compared by.
 *
 * The flows of a group are cut into buckets by the hash of their key (table.h; nodes that share a
 * key share the hash's seed). A bucket's digest is the sum, modulo 2^64, of a keyed hash of each
 * living flow in it: a change costs one subtraction and one addition, and the order does not
 * matter. Hashed is everything that travels, stamp included, but the timeout, in one byte order, so
 * that nodes of different make agree. Who does not have the cluster's key can neither foresee a
 * flow's bucket nor make two states look alike. */
#ifndef SYNCD_CORE_DIGEST_H
#define SYNCD_CORE_DIGEST_H

#include "common/syncmsg.h"
#include "syncd/core/table.h"

#include <stdint.h>

#define DIGEST_BUCKETS	    (SYNCMSG_DIGEST_CHUNKS * SYNCMSG_DIGEST_CHUNK)
#define DIGEST_KEY_BYTES    32u
#define DIGEST_SECRET_BYTES 192u

struct digest_key {
	uint8_t secret[DIGEST_SECRET_BYTES];
};

/* digest_key_init: spreads the cluster's digest key over what the hash takes. */
void digest_key_init(struct digest_key *key, const uint8_t secret[static DIGEST_KEY_BYTES]);

/* digest_record: of the flow in a slot, as it stands. */
uint64_t digest_record(const struct digest_key *key, const struct table *t, uint32_t slot);

/* digest_bucket: where a slot's flow is counted. */
static inline uint32_t digest_bucket(const struct table *t, uint32_t slot)
{
	return t->records[slot].hash % DIGEST_BUCKETS;
}

#endif
