/* crypto.h against RFC 4231 (HMAC-SHA-256), RFC 5869 (HKDF) and FIPS 180-4 (SHA-256). */
#include "tests/unit/common/test.h"

#include "common/crypto.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

/* RFC 4231 keys are shorter than ours, or longer: HMAC pads a short key with zeros to the block, so
 * the zero-padded 32 bytes are the same key. Cases 6 and 7 (131-byte keys) cannot be expressed. */
static const struct {
	const char *key, *data, *tag;
} hmac_cases[] = {
	{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
	{"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
		"dddddddddddddddddddd",
		"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
	{"0102030405060708090a0b0c0d0e0f10111213141516171819",
		"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
		"cdcdcdcdcdcdcdcdcdcd",
		"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
};

static void test_hmac_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(hmac_cases) / sizeof(hmac_cases[0]); i++) {
		uint8_t key[CRYPTO_KEY_BYTES] = {0}, data[64], want[32], tag[32];
		size_t size = test_bytes(hmac_cases[i].data, data);
		/* In two parts, to see that parts are joined. */
		struct crypto_part parts[] = {{data, 3}, {data + 3, size - 3}};
		struct crypto_mac *mac;

		(void)test_bytes(hmac_cases[i].key, key);
		assert_int_equal(test_bytes(hmac_cases[i].tag, want), 32);
		mac = crypto_mac_new(key);
		assert_non_null(mac);
		assert_int_equal(crypto_mac_sign(mac, parts, 2, tag), CRYPTO_OK);
		assert_memory_equal(tag, want, 32);
		/* Again with the same object: signing must not use it up. */
		assert_int_equal(crypto_mac_sign(mac, parts, 2, tag), CRYPTO_OK);
		assert_memory_equal(tag, want, 32);
		assert_int_equal(crypto_mac_verify(mac, parts, 2, want), CRYPTO_OK);
		crypto_mac_free(mac);
	}
}

static void test_every_flipped_bit_is_refused(void **state)
{
	uint8_t key[CRYPTO_KEY_BYTES] = {7}, data[24] = {0}, tag[32];
	struct crypto_part part = {data, sizeof(data)};
	struct crypto_mac *mac = crypto_mac_new(key);

	(void)state;
	assert_int_equal(crypto_mac_sign(mac, &part, 1, tag), CRYPTO_OK);
	for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(crypto_mac_verify(mac, &part, 1, tag), CRYPTO_FAILED);
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * sizeof(tag); bit++) {
		tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(crypto_mac_verify(mac, &part, 1, tag), CRYPTO_FAILED);
		tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(crypto_mac_verify(mac, &part, 1, tag), CRYPTO_OK);
	crypto_mac_free(mac);
}

/* test_hkdf_rfc: RFC 5869's own construction, from the HMAC that hmac_cases has proven. */
static void test_hkdf_is_extract_then_expand(void **state)
{
	uint8_t zero[32] = {0}, secret[32], prk[32], block[32], joined[64], out[64];
	uint8_t counter = 1;
	struct crypto_part secret_part = {secret, 32};
	struct crypto_part first[] = {{"label", 5}, {&counter, 1}};
	struct crypto_part second[] = {{block, 32}, {"label", 5}, {&counter, 1}};
	struct crypto_mac *mac = crypto_mac_new(zero); /* section 2.2: no salt is zeros */

	(void)state;
	memset(secret, 0x0b, sizeof(secret));
	assert_int_equal(crypto_mac_sign(mac, &secret_part, 1, prk), CRYPTO_OK);
	crypto_mac_free(mac);
	mac = crypto_mac_new(prk);
	assert_int_equal(crypto_mac_sign(mac, first, 2, block), CRYPTO_OK);
	memcpy(joined, block, 32);
	counter = 2;
	assert_int_equal(crypto_mac_sign(mac, second, 3, block), CRYPTO_OK);
	memcpy(joined + 32, block, 32);
	crypto_mac_free(mac);
	assert_int_equal(crypto_derive(secret, "label", 5, out, 64), CRYPTO_OK);
	assert_memory_equal(out, joined, 64);
	/* A shorter output is a prefix (section 2.3). */
	memset(out, 0, sizeof(out));
	assert_int_equal(crypto_derive(secret, "label", 5, out, 42), CRYPTO_OK);
	assert_memory_equal(out, joined, 42);
	assert_int_equal(out[42], 0);
}

/* RFC 5869 test case 3 has a 22-byte secret, which crypto_derive does not take; OpenSSL below it
 * does, and must be the function that the RFC means. */
static void test_hkdf_of_openssl_is_the_rfc(void **state)
{
	uint8_t secret[22], want[42], out[42];
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("digest", digest, 0),
		OSSL_PARAM_construct_octet_string("key", secret, sizeof(secret)),
		OSSL_PARAM_construct_end(),
	};

	(void)state;
	memset(secret, 0x0b, sizeof(secret));
	assert_int_equal(test_bytes("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d"
				    "2d9d201395faa4b61a96c8",
				 want),
		42);
	assert_int_equal(EVP_KDF_derive(ctx, out, sizeof(out), params), 1);
	assert_memory_equal(out, want, 42);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static void test_hkdf_bound(void **state)
{
	static uint8_t out[255 * 32 + 1];
	uint8_t secret[CRYPTO_KEY_BYTES] = {1};

	(void)state;
	assert_int_equal(crypto_derive(secret, "x", 1, out, 255 * 32), CRYPTO_OK);
	assert_int_equal(crypto_derive(secret, "x", 1, out, sizeof(out)), CRYPTO_FAILED);
}

static void test_hash_vector(void **state)
{
	struct crypto_part parts[] = {{"a", 1}, {"bc", 2}};
	uint8_t hash[32], want[32];

	(void)state;
	(void)test_bytes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", want);
	assert_int_equal(crypto_hash(parts, 2, hash), CRYPTO_OK);
	assert_memory_equal(hash, want, 32);
}

static void test_small_things(void **state)
{
	uint8_t a[32] = {0}, b[32] = {0};

	(void)state;
	assert_true(crypto_equal(a, b, 32));
	b[31] = 1;
	assert_false(crypto_equal(a, b, 32));
	assert_true(crypto_equal(a, b, 31));
	assert_true(crypto_equal(a, b, 0));
	assert_int_equal(crypto_random(a, 32), CRYPTO_OK);
	assert_int_equal(crypto_random(b, 32), CRYPTO_OK);
	assert_false(crypto_equal(a, b, 32));
	crypto_wipe(a, 32);
	memset(b, 0, 32);
	assert_memory_equal(a, b, 32);
	crypto_wipe(NULL, 0);
	crypto_mac_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hmac_vectors),
		cmocka_unit_test(test_every_flipped_bit_is_refused),
		cmocka_unit_test(test_hkdf_is_extract_then_expand),
		cmocka_unit_test(test_hkdf_of_openssl_is_the_rfc),
		cmocka_unit_test(test_hkdf_bound),
		cmocka_unit_test(test_hash_vector),
		cmocka_unit_test(test_small_things),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
