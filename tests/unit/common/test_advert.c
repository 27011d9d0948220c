/* The native advert: round trip, exact lengths, and a name for every way to be refused. */
#include "test.h"

#include "common/advert.h"
#include "common/reason.h"

static struct keyring ring;
static struct advert_keys keys;

static int setup(void **state)
{
	static const uint8_t first[CRYPTO_KEY_BYTES] = {1}, second[CRYPTO_KEY_BYTES] = {2};

	(void)state;
	keyring_init(&ring, "edge");
	if (keyring_add(&ring, first) != CRYPTO_OK || keyring_add(&ring, second) != CRYPTO_OK)
		return -1;
	return advert_keys_init(&keys, &ring) == CRYPTO_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	advert_keys_fini(&keys);
	keyring_fini(&ring);
	return 0;
}

static struct advert sample(uint8_t peers, uint8_t paths, uint8_t key_count)
{
	struct advert a = {.vhid = 51,
		.sender = 2,
		.path_tag = 0x11223344,
		.group_tag = 0x55667788,
		.state = GROUP_STATE_MASTER,
		.reason = REASON_MASTER_DEAD,
		.wire_max = ADVERT_WIRE_VERSION,
		.not_ready = 5,
		.epoch = 0x0102030405060708,
		.counter = 77,
		.interval_us = 10390,
		.demotion = 100,
		.flags = ADVERT_READY | ADVERT_ANNOUNCED,
		.term = {8, 2},
		.handover_to = 3,
		.handover_from = 4,
		.successor = 5,
		.handover_id = 0xabcdef01,
		.age_ms = 123456,
		.request = ADVERT_REQUEST_HANDOVER,
		.request_node = 6,
		.request_force = true,
		.request_nonce = 99,
		.answer_node = 7,
		.answer = ADVERT_ANSWER_BUSY,
		.answer_nonce = 98,
		.challenge_to = 8,
		.echo_to = 9,
		.rules_fingerprint = 1,
		.config_fingerprint = 2,
		.address_fingerprint = 3};

	memset(a.challenge, 0xc1, sizeof(a.challenge));
	memset(a.echo, 0xe1, sizeof(a.echo));
	a.peer_count = peers;
	a.path_count = paths;
	a.key_count = key_count;
	for (uint8_t i = 0; i < peers; i++)
		a.peers[i] = (uint8_t)(100 + i);
	for (uint8_t i = 0; i < paths; i++)
		a.paths[i] = (struct advert_path){
			0x1000u + i, i % ADVERT_PORT_COUNT, (uint8_t)((1u << peers) - 1)};
	for (uint8_t i = 0; i < key_count; i++)
		a.keys[i] = 0x9000u + i;
	return a;
}

static void test_round_trip(void **state)
{
	static const uint8_t shapes[][3] = {
		{0, 0, 0}, {1, 3, 1}, {7, ADVERT_PATHS_MAX, KEYRING_KEYS_MAX}, {4, 1, 2}};

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct advert a = sample(shapes[i][0], shapes[i][1], shapes[i][2]), b;
		uint8_t bytes[ADVERT_BYTES_MAX], again[ADVERT_BYTES_MAX];
		size_t size = advert_encode(&a, bytes, sizeof(bytes));

		assert_int_equal(size,
			ADVERT_BYTES_MIN + shapes[i][0] + 6u * shapes[i][1] + 4u * shapes[i][2]);
		assert_int_equal(advert_decode(bytes, size, &b), ADVERT_DROP_NONE);
		assert_memory_equal(&a, &b, sizeof(a));
		assert_int_equal(advert_encode(&b, again, sizeof(again)), size);
		assert_memory_equal(bytes, again, size);
		/* No byte of room too few, and the first byte names version and type. */
		assert_int_equal(advert_encode(&a, bytes, size - 1), 0);
		assert_int_equal(bytes[0], 0x41);
	}
}

static void test_exact_length(void **state)
{
	struct advert a = sample(1, 3, 1), b;
	uint8_t bytes[ADVERT_BYTES_MAX + 1] = {0};
	size_t size = advert_encode(&a, bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(advert_decode(bytes, 0, &b), ADVERT_DROP_SHORT);
	for (size_t n = 1; n < size; n++) {
		enum advert_drop drop = advert_decode(bytes, n, &b);

		assert_int_equal(
			drop, n < ADVERT_BYTES_MIN ? ADVERT_DROP_SHORT : ADVERT_DROP_LENGTH);
	}
	assert_int_equal(advert_decode(bytes, size + 1, &b), ADVERT_DROP_LENGTH);
	for (size_t at = 2; at < 8; at++) {
		if (at == 5)
			continue; /* the sender */
		bytes[at] ^= 1;
		assert_int_equal(advert_decode(bytes, size, &b), ADVERT_DROP_LENGTH);
		bytes[at] ^= 1;
	}
	bytes[0] = 0x21;
	assert_int_equal(advert_decode(bytes, size, &b), ADVERT_DROP_VERSION);
	bytes[0] = 0x42;
	assert_int_equal(advert_decode(bytes, size, &b), ADVERT_DROP_TYPE);
}

static void test_every_bit_is_signed(void **state)
{
	struct advert a = sample(1, 3, 2), b;
	uint8_t bytes[ADVERT_BYTES_MAX];
	size_t size = advert_sign(&keys, &a, bytes, sizeof(bytes));

	(void)state;
	assert_true(size > 0);
	assert_int_equal(advert_open(&keys, 1, 255, bytes, size, &b), ADVERT_DROP_NONE);
	assert_int_equal(b.key_id, keys.ids[0]);
	for (size_t bit = 0; bit < 8 * size; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(advert_open(&keys, 1, 255, bytes, size, &b), ADVERT_DROP_NONE);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(advert_open(&keys, 1, 255, bytes, size, &b), ADVERT_DROP_NONE);
}

static void test_refusals(void **state)
{
	struct advert a = sample(1, 3, 2), b;
	struct advert_keys other;
	struct keyring other_ring;
	uint8_t bytes[ADVERT_BYTES_MAX];
	size_t size = advert_sign(&keys, &a, bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(advert_open(&keys, 1, 254, bytes, size, &b), ADVERT_DROP_TTL);
	assert_int_equal(advert_open(&keys, 2, 255, bytes, size, &b), ADVERT_DROP_SELF);
	bytes[size - 1] ^= 1;
	assert_int_equal(advert_open(&keys, 1, 255, bytes, size, &b), ADVERT_DROP_AUTH);
	/* An own id in a forged packet is a forged packet. */
	assert_int_equal(advert_open(&keys, 2, 255, bytes, size, &b), ADVERT_DROP_AUTH);
	bytes[size - 1] ^= 1;
	/* The same secrets under another cluster's name do not even share key ids. */
	keyring_init(&other_ring, "edge2");
	assert_int_equal(keyring_add(&other_ring, ring.keys[0].secret), CRYPTO_OK);
	assert_int_equal(advert_keys_init(&other, &other_ring), CRYPTO_OK);
	assert_int_equal(advert_open(&other, 1, 255, bytes, size, &b), ADVERT_DROP_KEY_UNKNOWN);
	advert_keys_fini(&other);
	keyring_fini(&other_ring);
}

static void test_rotation(void **state)
{
	struct advert a = sample(0, 0, 0), b;
	struct advert_keys second = keys;
	uint8_t bytes[ADVERT_BYTES_MAX];
	size_t size;

	(void)state;
	second.ids[0] = keys.ids[1];
	second.macs[0] = keys.macs[1];
	size = advert_sign(&second, &a, bytes, sizeof(bytes));
	assert_int_equal(advert_open(&keys, 1, 255, bytes, size, &b), ADVERT_DROP_NONE);
	assert_int_equal(b.key_id, keys.ids[1]);
}

static void test_values(void **state)
{
	struct advert a = sample(1, 1, 1);
	uint8_t bytes[ADVERT_BYTES_MAX];

	(void)state;
#define REFUSED(field, bad)                                                                        \
	do {                                                                                       \
		a = sample(1, 1, 1);                                                               \
		a.field = (bad);                                                                   \
		assert_int_equal(advert_encode(&a, bytes, sizeof(bytes)), 0);                      \
	} while (0)
	REFUSED(sender, 0);
	REFUSED(vhid, 0);
	REFUSED(epoch, 0);
	REFUSED(counter, 0);
	REFUSED(counter, UINT64_MAX); /* without ADVERT_RESIGN */
	REFUSED(interval_us, 0);
	REFUSED(state, GROUP_STATE_COUNT);
	REFUSED(reason, REASON_COUNT);
	REFUSED(flags, ADVERT_FLAGS_ALL + 1);
	REFUSED(request, ADVERT_REQUEST_COUNT);
	REFUSED(answer, ADVERT_ANSWER_COUNT);
	REFUSED(paths[0].port, ADVERT_PORT_COUNT);
	REFUSED(paths[0].heard, 2); /* one peer only */
	REFUSED(peer_count, LIMIT_PEERS + 1);
	REFUSED(path_count, ADVERT_PATHS_MAX + 1);
	REFUSED(key_count, KEYRING_KEYS_MAX + 1);
	a = sample(1, 1, 1);
	a.counter = UINT64_MAX;
	a.flags |= ADVERT_RESIGN;
	assert_true(advert_encode(&a, bytes, sizeof(bytes)) > 0);
}

static void test_names_and_terms(void **state)
{
	(void)state;
	for (enum advert_drop drop = 0; drop < ADVERT_DROP_COUNT; drop++)
		assert_true(strlen(advert_drop_name(drop)) > 2);
	assert_true(
		advert_term_compare((struct advert_term){2, 1}, (struct advert_term){1, 9}) > 0);
	assert_true(
		advert_term_compare((struct advert_term){2, 1}, (struct advert_term){2, 9}) < 0);
	assert_int_equal(
		advert_term_compare((struct advert_term){2, 1}, (struct advert_term){2, 1}), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_exact_length),
		cmocka_unit_test(test_every_bit_is_signed),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_names_and_terms),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
