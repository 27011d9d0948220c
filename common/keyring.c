#include "common/keyring.h"

#include "common/check.h"

#include <stdio.h>
#include <string.h>

void keyring_init(struct keyring *ring, const char *cluster)
{
	CHECK(strlen(cluster) < sizeof(ring->cluster));
	memset(ring, 0, sizeof(*ring));
	strcpy(ring->cluster, cluster);
}

/* keyring_add_derive: one derived key; the label ends with the cluster's name, which holds no '|'.
 */
static enum crypto_result keyring_add_derive(const struct keyring *ring, const uint8_t *secret,
	const char *purpose, uint8_t *ret_out, size_t out_bytes)
{
	char label[96];
	int length = snprintf(label, sizeof(label), "carpool v1|%s|%s", purpose, ring->cluster);

	CHECK(length > 0 && (size_t)length < sizeof(label));
	return crypto_derive(secret, label, (size_t)length, ret_out, out_bytes);
}

enum crypto_result keyring_add(struct keyring *ring, const uint8_t secret[static CRYPTO_KEY_BYTES])
{
	struct keyring_key key = {0};
	uint8_t id[4];
	enum crypto_result result = CRYPTO_FAILED;

	if (ring->key_count == KEYRING_KEYS_MAX)
		return CRYPTO_FAILED;
	memcpy(key.secret, secret, sizeof(key.secret));
	if (keyring_add_derive(ring, secret, "key id", id, sizeof(id)) != CRYPTO_OK ||
		keyring_add_derive(ring, secret, "advert", key.advert, sizeof(key.advert)) !=
			CRYPTO_OK ||
		keyring_add_derive(ring, secret, "digest", key.digest, sizeof(key.digest)) !=
			CRYPTO_OK)
		goto out;
	key.id = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
	if (keyring_lookup(ring, key.id))
		goto out;
	ring->keys[ring->key_count++] = key;
	result = CRYPTO_OK;
out:
	crypto_wipe(&key, sizeof(key));
	return result;
}

const struct keyring_key *keyring_lookup(const struct keyring *ring, uint32_t id)
{
	for (uint8_t i = 0; i < ring->key_count; i++)
		if (ring->keys[i].id == id)
			return &ring->keys[i];
	return NULL;
}

enum crypto_result keyring_psk(const struct keyring *ring, const struct keyring_key *key,
	uint8_t dialling_id, uint8_t answering_id, uint8_t ret_psk[static CRYPTO_KEY_BYTES])
{
	char purpose[32];

	snprintf(purpose, sizeof(purpose), "psk %u %u", dialling_id, answering_id);
	return keyring_add_derive(ring, key->secret, purpose, ret_psk, CRYPTO_KEY_BYTES);
}

void keyring_fini(struct keyring *ring)
{
	if (ring)
		crypto_wipe(ring, sizeof(*ring));
}
