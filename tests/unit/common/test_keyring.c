/* keyring.h: separation of what is derived, rotation lists, bounds. */
#include "tests/unit/common/test.h"

#include "common/keyring.h"

static void test_uses_of_one_secret_differ(void **state)
{
	uint8_t secret[CRYPTO_KEY_BYTES] = {1}, psk[32];
	struct keyring ring;
	const struct keyring_key *key;

	(void)state;
	keyring_init(&ring, "edge");
	assert_int_equal(keyring_add(&ring, secret), CRYPTO_OK);
	key = &ring.keys[0];
	assert_int_equal(keyring_psk(&ring, key, 1, 2, psk), CRYPTO_OK);
	assert_memory_not_equal(key->advert, key->secret, 32);
	assert_memory_not_equal(key->advert, key->digest, 32);
	assert_memory_not_equal(key->advert, psk, 32);
	assert_memory_not_equal(key->digest, psk, 32);
	keyring_fini(&ring);
}

static void test_clusters_that_share_a_file_do_not_hear_each_other(void **state)
{
	uint8_t secret[CRYPTO_KEY_BYTES] = {1}, psk[2][32];
	struct keyring one, two;

	(void)state;
	keyring_init(&one, "edge");
	keyring_init(&two, "edg");
	assert_int_equal(keyring_add(&one, secret), CRYPTO_OK);
	assert_int_equal(keyring_add(&two, secret), CRYPTO_OK);
	assert_memory_not_equal(one.keys[0].advert, two.keys[0].advert, 32);
	assert_int_equal(keyring_psk(&one, &one.keys[0], 1, 2, psk[0]), CRYPTO_OK);
	assert_int_equal(keyring_psk(&two, &two.keys[0], 1, 2, psk[1]), CRYPTO_OK);
	assert_memory_not_equal(psk[0], psk[1], 32);
}

static void test_psks_are_of_an_ordered_pair(void **state)
{
	uint8_t secret[CRYPTO_KEY_BYTES] = {1}, there[32], back[32], other[32];
	struct keyring ring;

	(void)state;
	keyring_init(&ring, "edge");
	assert_int_equal(keyring_add(&ring, secret), CRYPTO_OK);
	assert_int_equal(keyring_psk(&ring, &ring.keys[0], 1, 2, there), CRYPTO_OK);
	assert_int_equal(keyring_psk(&ring, &ring.keys[0], 2, 1, back), CRYPTO_OK);
	assert_int_equal(keyring_psk(&ring, &ring.keys[0], 1, 3, other), CRYPTO_OK);
	assert_memory_not_equal(there, back, 32);
	assert_memory_not_equal(there, other, 32);
}

static void test_rotation_list(void **state)
{
	uint8_t secret[CRYPTO_KEY_BYTES] = {0};
	struct keyring ring;

	(void)state;
	keyring_init(&ring, "edge");
	for (uint8_t i = 0; i < KEYRING_KEYS_MAX; i++) {
		secret[0] = i;
		assert_int_equal(keyring_add(&ring, secret), CRYPTO_OK);
	}
	assert_int_equal(ring.key_count, KEYRING_KEYS_MAX);
	assert_memory_equal(ring.keys[3].secret, "\3", 1);
	for (size_t i = 0; i < KEYRING_KEYS_MAX; i++)
		assert_ptr_equal(keyring_lookup(&ring, ring.keys[i].id), &ring.keys[i]);
	assert_null(keyring_lookup(&ring, ring.keys[0].id + 1));
	secret[0] = 99;
	assert_int_equal(keyring_add(&ring, secret), CRYPTO_FAILED);
	assert_int_equal(ring.key_count, KEYRING_KEYS_MAX);
	keyring_fini(&ring);
	assert_int_equal(ring.key_count, 0);
	keyring_fini(NULL);
}

static void test_a_repeated_key_is_refused(void **state)
{
	uint8_t secret[CRYPTO_KEY_BYTES] = {5};
	struct keyring ring;

	(void)state;
	keyring_init(&ring, "edge");
	assert_int_equal(keyring_add(&ring, secret), CRYPTO_OK);
	assert_int_equal(keyring_add(&ring, secret), CRYPTO_FAILED);
	assert_int_equal(ring.key_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uses_of_one_secret_differ),
		cmocka_unit_test(test_clusters_that_share_a_file_do_not_hear_each_other),
		cmocka_unit_test(test_psks_are_of_an_ordered_pair),
		cmocka_unit_test(test_rotation_list),
		cmocka_unit_test(test_a_repeated_key_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
