/* keyring.h: the cluster's keys and what is derived from them.
 *
 * A cluster has a list of 32-byte secrets: the first signs, all are accepted, so a key is changed
 * without an outage. No secret is used directly: adverts, TLS pre-shared keys and digests each get
 * a key of their own by HKDF, with the cluster's name in the label, so that two clusters that share
 * a file by mistake still do not hear each other. Files are read by common/io/keyfile.h. */
#ifndef COMMON_KEYRING_H
#define COMMON_KEYRING_H

#include "common/crypto.h"

#include <stdint.h>

#define KEYRING_KEYS_MAX 8u

struct keyring_key {
	uint32_t id; /* derived from the secret: names it on the wire without telling it */
	uint8_t secret[CRYPTO_KEY_BYTES];
	uint8_t advert[CRYPTO_KEY_BYTES];
	uint8_t digest[CRYPTO_KEY_BYTES];
};

struct keyring {
	char cluster[33];
	uint8_t key_count;
	struct keyring_key keys[KEYRING_KEYS_MAX]; /* [0] signs */
};

/* keyring_init: an empty ring for a cluster's name (at most 32 characters). */
void keyring_init(struct keyring *ring, const char *cluster);

/* keyring_add: derives everything for one secret and appends it. CRYPTO_FAILED: the ring is full,
 * the key is there already, or OpenSSL refused; the ring is unchanged then. */
enum crypto_result keyring_add(struct keyring *ring, const uint8_t secret[static CRYPTO_KEY_BYTES])
	__attribute__((warn_unused_result));

/* keyring_lookup: the key with that id, or NULL. */
const struct keyring_key *keyring_lookup(const struct keyring *ring, uint32_t id);

/* keyring_psk: the TLS 1.3 external PSK of the ordered pair (dialling node, answering node). */
enum crypto_result keyring_psk(const struct keyring *ring, const struct keyring_key *key,
	uint8_t dialling_id, uint8_t answering_id, uint8_t ret_psk[static CRYPTO_KEY_BYTES])
	__attribute__((warn_unused_result));

/* keyring_fini: wipes. NULL and a zeroed ring are allowed. */
void keyring_fini(struct keyring *ring);

#endif
