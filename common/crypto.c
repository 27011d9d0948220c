#include "common/crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

struct crypto_mac {
	EVP_MAC_CTX *context; /* keyed once; EVP_MAC_init(NULL key) restarts it */
};

static struct crypto_mac *crypto_mac_new_of(char *digest, const uint8_t *key, size_t key_bytes)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	struct crypto_mac *mac = calloc(1, sizeof(*mac));
	EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);

	if (mac && algorithm)
		mac->context = EVP_MAC_CTX_new(algorithm);
	EVP_MAC_free(algorithm);
	if (!mac || !mac->context || EVP_MAC_init(mac->context, key, key_bytes, params) != 1) {
		crypto_mac_free(mac);
		return NULL;
	}
	return mac;
}

struct crypto_mac *crypto_mac_new(const uint8_t key[static CRYPTO_KEY_BYTES])
{
	char digest[] = "SHA256";

	return crypto_mac_new_of(digest, key, CRYPTO_KEY_BYTES);
}

struct crypto_mac *crypto_sha1_new(const uint8_t key[static CRYPTO_SHA1_BYTES])
{
	char digest[] = "SHA1";

	return crypto_mac_new_of(digest, key, CRYPTO_SHA1_BYTES);
}

void crypto_mac_free(struct crypto_mac *mac)
{
	if (!mac)
		return;
	EVP_MAC_CTX_free(mac->context);
	free(mac);
}

static enum crypto_result crypto_mac_sign_as(struct crypto_mac *mac,
	const struct crypto_part *parts, size_t part_count, uint8_t *ret_tag, size_t tag_bytes)
{
	size_t written = 0;
	bool ok = EVP_MAC_init(mac->context, NULL, 0, NULL) == 1;

	for (size_t i = 0; ok && i < part_count; i++)
		ok = EVP_MAC_update(mac->context, parts[i].data, parts[i].size_bytes) == 1;
	ok = ok && EVP_MAC_final(mac->context, ret_tag, &written, tag_bytes) == 1 &&
	     written == tag_bytes;
	if (!ok)
		crypto_wipe(ret_tag, tag_bytes);
	return ok ? CRYPTO_OK : CRYPTO_FAILED;
}

static enum crypto_result crypto_mac_verify_as(struct crypto_mac *mac,
	const struct crypto_part *parts, size_t part_count, const uint8_t *tag, size_t tag_bytes)
{
	uint8_t expected[CRYPTO_HASH_BYTES];
	enum crypto_result result = crypto_mac_sign_as(mac, parts, part_count, expected, tag_bytes);

	if (result == CRYPTO_OK && !crypto_equal(expected, tag, tag_bytes))
		result = CRYPTO_FAILED;
	crypto_wipe(expected, sizeof(expected));
	return result;
}

enum crypto_result crypto_mac_sign(struct crypto_mac *mac, const struct crypto_part *parts,
	size_t part_count, uint8_t ret_tag[static CRYPTO_HASH_BYTES])
{
	return crypto_mac_sign_as(mac, parts, part_count, ret_tag, CRYPTO_HASH_BYTES);
}

enum crypto_result crypto_mac_verify(struct crypto_mac *mac, const struct crypto_part *parts,
	size_t part_count, const uint8_t tag[static CRYPTO_HASH_BYTES])
{
	return crypto_mac_verify_as(mac, parts, part_count, tag, CRYPTO_HASH_BYTES);
}

enum crypto_result crypto_sha1_sign(struct crypto_mac *mac, const struct crypto_part *parts,
	size_t part_count, uint8_t ret_tag[static CRYPTO_SHA1_BYTES])
{
	return crypto_mac_sign_as(mac, parts, part_count, ret_tag, CRYPTO_SHA1_BYTES);
}

enum crypto_result crypto_sha1_verify(struct crypto_mac *mac, const struct crypto_part *parts,
	size_t part_count, const uint8_t tag[static CRYPTO_SHA1_BYTES])
{
	return crypto_mac_verify_as(mac, parts, part_count, tag, CRYPTO_SHA1_BYTES);
}

enum crypto_result crypto_derive(const uint8_t secret[static CRYPTO_KEY_BYTES], const void *info,
	size_t info_bytes, uint8_t *ret_out, size_t out_bytes)
{
	char digest[] = "SHA256";
	uint8_t key[CRYPTO_KEY_BYTES];
	EVP_KDF *algorithm = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = algorithm ? EVP_KDF_CTX_new(algorithm) : NULL;
	OSSL_PARAM params[4];
	bool ok;

	memcpy(key, secret, sizeof(key));
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, sizeof(key));
	/* The parameter is read only, whatever its type says. */
	params[2] = OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info, info_bytes);
	params[3] = OSSL_PARAM_construct_end();
	ok = context && EVP_KDF_derive(context, ret_out, out_bytes, params) == 1;
	if (!ok)
		crypto_wipe(ret_out, out_bytes);
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(algorithm);
	crypto_wipe(key, sizeof(key));
	return ok ? CRYPTO_OK : CRYPTO_FAILED;
}

enum crypto_result crypto_hash(const struct crypto_part *parts, size_t part_count,
	uint8_t ret_hash[static CRYPTO_HASH_BYTES])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned int written = 0;
	bool ok = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;

	for (size_t i = 0; ok && i < part_count; i++)
		ok = EVP_DigestUpdate(context, parts[i].data, parts[i].size_bytes) == 1;
	ok = ok && EVP_DigestFinal_ex(context, ret_hash, &written) == 1 &&
	     written == CRYPTO_HASH_BYTES;
	if (!ok)
		crypto_wipe(ret_hash, CRYPTO_HASH_BYTES);
	EVP_MD_CTX_free(context);
	return ok ? CRYPTO_OK : CRYPTO_FAILED;
}

enum crypto_result crypto_random(void *ret_out, size_t out_bytes)
{
	if (RAND_bytes(ret_out, (int)out_bytes) != 1) {
		crypto_wipe(ret_out, out_bytes);
		return CRYPTO_FAILED;
	}
	return CRYPTO_OK;
}

bool crypto_equal(const void *a, const void *b, size_t size_bytes)
{
	return CRYPTO_memcmp(a, b, size_bytes) == 0;
}

void crypto_wipe(void *memory, size_t size_bytes)
{
	if (size_bytes)
		OPENSSL_cleanse(memory, size_bytes);
}
