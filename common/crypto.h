/* crypto.h: the few primitives that carpool needs, all from OpenSSL 3, all failing closed.
 *
 * No function here logs, and none leaves an output half-made: on failure outputs are zeroed and
 * must not be used. The zero value of every result is the failure. */
#ifndef COMMON_CRYPTO_H
#define COMMON_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPTO_KEY_BYTES  32u
#define CRYPTO_HASH_BYTES 32u
#define CRYPTO_SHA1_BYTES 20u /* key and tag of CARPv2; nothing else uses SHA-1 */

enum crypto_result {
	CRYPTO_FAILED = 0,
	CRYPTO_OK = 1,
};

struct crypto_part {
	const void *data; /* borrowed for the call */
	size_t size_bytes;
};

struct crypto_mac; /* a prepared HMAC-SHA-256 key: no allocation in the steady state */

/* crypto_mac_new: prepares a key (copied, wiped by crypto_mac_free). NULL when OpenSSL refuses. */
struct crypto_mac *crypto_mac_new(const uint8_t key[static CRYPTO_KEY_BYTES]);
void crypto_mac_free(struct crypto_mac *mac);

/* crypto_mac_sign: HMAC-SHA-256 (RFC 2104, FIPS 198-1) over the parts in order. */
enum crypto_result crypto_mac_sign(struct crypto_mac *mac, const struct crypto_part *parts,
	size_t part_count, uint8_t ret_tag[static CRYPTO_HASH_BYTES])
	__attribute__((warn_unused_result));

/* crypto_mac_verify: constant-time comparison with the tag that the parts ought to have. */
enum crypto_result crypto_mac_verify(struct crypto_mac *mac, const struct crypto_part *parts,
	size_t part_count, const uint8_t tag[static CRYPTO_HASH_BYTES])
	__attribute__((warn_unused_result));

/* crypto_sha1_new, crypto_sha1_sign, crypto_sha1_verify: the same with HMAC-SHA-1 and a key of 20
 * bytes, which CARPv2 prescribes. For that wire alone. */
struct crypto_mac *crypto_sha1_new(const uint8_t key[static CRYPTO_SHA1_BYTES]);
enum crypto_result crypto_sha1_sign(struct crypto_mac *mac, const struct crypto_part *parts,
	size_t part_count, uint8_t ret_tag[static CRYPTO_SHA1_BYTES])
	__attribute__((warn_unused_result));
enum crypto_result crypto_sha1_verify(struct crypto_mac *mac, const struct crypto_part *parts,
	size_t part_count, const uint8_t tag[static CRYPTO_SHA1_BYTES])
	__attribute__((warn_unused_result));

/* crypto_derive: HKDF-SHA-256 (RFC 5869), no salt, `info` as the label; at most 255 * 32 bytes. */
enum crypto_result crypto_derive(const uint8_t secret[static CRYPTO_KEY_BYTES], const void *info,
	size_t info_bytes, uint8_t *ret_out, size_t out_bytes) __attribute__((warn_unused_result));

/* crypto_hash: SHA-256 of the parts in order. */
enum crypto_result crypto_hash(const struct crypto_part *parts, size_t part_count,
	uint8_t ret_hash[static CRYPTO_HASH_BYTES]) __attribute__((warn_unused_result));

/* crypto_random: n unpredictable bytes. */
enum crypto_result crypto_random(void *ret_out, size_t out_bytes)
	__attribute__((warn_unused_result));

/* crypto_equal: constant time in the content, not in the length. */
bool crypto_equal(const void *a, const void *b, size_t size_bytes);

/* crypto_wipe: zeroes memory in a way that the compiler keeps. NULL with 0 bytes is allowed. */
void crypto_wipe(void *memory, size_t size_bytes);

#endif
