/* CARPv2 against the vectors of the ancestors' format, and the counter of a carpool node. */
#include "test.h"

#include "common/carp2.h"

#include <stdlib.h>

static struct crypto_mac *love;
static struct advert_keys keys;

static int setup(void **state)
{
	static const uint8_t secret[2][CRYPTO_KEY_BYTES] = {{1}, {2}};
	uint8_t key[CARP2_KEY_BYTES];
	struct keyring ring;

	(void)state;
	if (!carp2_key("love", 4, key))
		return -1;
	love = crypto_sha1_new(key);
	keyring_init(&ring, "edge");
	for (size_t i = 0; i < 2; i++)
		if (keyring_add(&ring, secret[i]) != CRYPTO_OK)
			return -1;
	return love && advert_keys_init(&keys, &ring) == CRYPTO_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	crypto_mac_free(love);
	advert_keys_fini(&keys);
	return 0;
}

static void make_signer(struct carp2_signer *signer, const char *const *texts, size_t count)
{
	struct ipaddr addresses[8];

	for (size_t i = 0; i < count; i++)
		assert_true(ipaddr_parse(texts[i], &addresses[i]));
	assert_true(carp2_signer_new(signer, love, 42, addresses, count));
}

/* The whole advert of facts section 3.2: passphrase "love", vhid 42, 10.1.1.252, counter 1. */
static void test_whole_advert(void **state)
{
	static const char want_text[] = "212a0007000163a20000000000000001"
					"bed06b842dc2fcede38f5139bf18d984f1276796";
	static const char *const texts[] = {"10.1.1.252/24"};
	const struct carp2_advert sent = {.vhid = 42, .advbase = 1, .counter = 1};
	uint8_t bytes[CARP2_BYTES], want[CARP2_BYTES];
	struct carp2_signer signer;
	struct carp2_advert got;

	(void)state;
	make_signer(&signer, texts, 1);
	assert_int_equal(carp2_sign(&signer, &sent, bytes), CRYPTO_OK);
	assert_int_equal(test_bytes(want_text, want), CARP2_BYTES);
	assert_memory_equal(bytes, want, CARP2_BYTES);
	assert_int_equal(carp2_open(&signer, bytes, CARP2_BYTES, &got), CARP2_DROP_NONE);
	assert_int_equal(got.vhid, 42);
	assert_int_equal(got.advbase, 1);
	assert_int_equal(got.advskew, 0);
	assert_true(got.counter == 1);
	carp2_signer_free(&signer);
}

/* Any order, doubles once, other prefix lengths: the same HMAC. */
static void test_addresses(void **state)
{
	static const char *const texts[] = {
		"2001:db8::1/64", "10.1.1.252/24", "10.1.1.9", "10.1.1.252/32"};
	const struct carp2_advert sent = {
		.vhid = 42, .advbase = 1, .counter = UINT64_C(0x0123456789abcdef)};
	uint8_t bytes[CARP2_BYTES], want[20];
	struct carp2_signer signer;

	(void)state;
	make_signer(&signer, texts, 4);
	assert_int_equal(carp2_sign(&signer, &sent, bytes), CRYPTO_OK);
	assert_int_equal(test_bytes("af173b5391f74a83846519808cf20939f18deee9", want), 20);
	assert_memory_equal(bytes + 16, want, 20);
	carp2_signer_free(&signer);
}

/* FreeBSD signs link-local addresses, OpenBSD does not: we sign as FreeBSD and take both. */
static void test_link_local(void **state)
{
	static const char *const all[] = {"10.1.1.9", "fe80::1/64", "2001:db8::1"};
	static const char *const fewer[] = {"10.1.1.9", "2001:db8::1"};
	const struct carp2_advert sent = {.vhid = 42, .advbase = 1, .counter = 7};
	uint8_t bytes[CARP2_BYTES], want[20];
	struct carp2_signer freebsd, openbsd;
	struct carp2_advert got;

	(void)state;
	make_signer(&freebsd, all, 3);
	make_signer(&openbsd, fewer, 2);
	assert_int_equal(carp2_sign(&freebsd, &sent, bytes), CRYPTO_OK);
	assert_int_equal(test_bytes("6e7d126084a36143dc5ae7c93e75b42a8f401564", want), 20);
	assert_memory_equal(bytes + 16, want, 20);
	assert_int_equal(carp2_open(&openbsd, bytes, CARP2_BYTES, &got), CARP2_DROP_AUTH);
	assert_int_equal(carp2_sign(&openbsd, &sent, bytes), CRYPTO_OK);
	assert_int_equal(test_bytes("6e034f67dd2c9c2ed34f07857568af6c3754722a", want), 20);
	assert_memory_equal(bytes + 16, want, 20);
	assert_int_equal(carp2_open(&freebsd, bytes, CARP2_BYTES, &got), CARP2_DROP_NONE);
	carp2_signer_free(&freebsd);
	carp2_signer_free(&openbsd);
}

static void test_refusals(void **state)
{
	static const char *const texts[] = {"10.1.1.252"};
	const struct carp2_advert sent = {
		.vhid = 42, .advbase = 1, .advskew = 100, .demote = 5, .counter = 99};
	uint8_t good[CARP2_BYTES], bytes[CARP2_BYTES + 1] = {0};
	struct carp2_signer signer;
	struct carp2_advert got;

	(void)state;
	make_signer(&signer, texts, 1);
	assert_int_equal(carp2_sign(&signer, &sent, good), CRYPTO_OK);
	for (size_t size = 1; size <= CARP2_BYTES + 1; size++) {
		memcpy(bytes, good, CARP2_BYTES);
		assert_int_equal(carp2_open(&signer, bytes, size, &got),
			size == CARP2_BYTES ? CARP2_DROP_NONE : CARP2_DROP_LENGTH);
	}
	assert_int_equal(carp2_open(&signer, bytes, 0, &got), CARP2_DROP_LENGTH);
	/* Every bit: each is named by something. Without its checksum made right ... */
	for (size_t bit = 0; bit < 8 * CARP2_BYTES; bit++) {
		enum carp2_drop want = bit < 4	  ? CARP2_DROP_TYPE
				       : bit < 8  ? CARP2_DROP_VERSION
				       : bit < 16 ? CARP2_DROP_VHID
						  : CARP2_DROP_CHECKSUM;

		memcpy(bytes, good, CARP2_BYTES);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(carp2_open(&signer, bytes, CARP2_BYTES, &got), want);
		if (bit < 16)
			continue;
		/* ... and with it: what CARPv2 does not sign is believed, alas. */
		carp2_seal(bytes);
		want = bit >= 64 ? CARP2_DROP_AUTH : CARP2_DROP_NONE;
		assert_int_equal(carp2_open(&signer, bytes, CARP2_BYTES, &got), want);
	}
	carp2_signer_free(&signer);
}

static void test_passphrases(void **state)
{
	uint8_t key[CARP2_KEY_BYTES];

	(void)state;
	assert_true(carp2_key("12345678901234567890", 20, key));
	assert_memory_equal(key, "12345678901234567890", 20);
	assert_true(carp2_key("love", 4, key));
	assert_memory_equal(key, "love\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	assert_false(carp2_key("123456789012345678901", 21, key));
	assert_false(carp2_key("", 0, key));
}

static void test_extend(void **state)
{
	static const struct {
		uint64_t counter, reference, want;
	} table[] = {
		{5, 5, 5},
		{6, 5, 6},
		{4, 5, 4},
		{UINT64_C(0xabcd000000000007), 5, 7}, /* the high half is another's business */
		{1, UINT64_C(0x1ffffffff), UINT64_C(0x200000001)},
		{UINT32_MAX, UINT64_C(0x300000001), UINT64_C(0x2ffffffff)},
		{UINT32_C(0x7fffffff), 0, UINT32_C(0x7fffffff)},
		{UINT32_C(0x80000001), UINT64_C(0x100000000), UINT64_C(0x80000001)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_true(carp2_counter_extend(table[i].counter, table[i].reference) ==
			    table[i].want);
}

/* ucarp and FreeBSD send "the last counter heard, plus one": it must not be taken for ours. */
static void test_lenient_counter(void **state)
{
	const struct carp2_origin origin = {.node = 2, .epoch = 77, .path_tag = 1, .group_tag = 2};
	struct carp2_origin other = origin;
	uint64_t counter = 0, number = 0;

	(void)state;
	assert_true(carp2_counter_lenient(&keys, 1, &origin, 1000, &counter));
	assert_true(carp2_counter_matches(&keys, false, &origin, 990, counter, &number));
	assert_true(number == 1000);
	assert_false(carp2_counter_matches(&keys, false, &origin, 990, counter + 1, &number));
	assert_false(carp2_counter_matches(&keys, false, &origin, 990, counter ^ 1, &number));
	other.node = 3;
	assert_false(carp2_counter_matches(&keys, false, &other, 990, counter, &number));
	other = origin;
	other.epoch = 78;
	assert_false(carp2_counter_matches(&keys, false, &other, 990, counter, &number));
	other = origin;
	other.path_tag = 9;
	assert_false(carp2_counter_matches(&keys, false, &other, 990, counter, &number));
	other = origin;
	other.group_tag = 9;
	assert_false(carp2_counter_matches(&keys, false, &other, 990, counter, &number));
}

static void test_strict_counter(void **state)
{
	const struct carp2_origin origin = {.node = 2, .epoch = UINT64_C(0xaabbccddeeff0011)};
	struct carp2_origin other = origin;
	uint64_t number = 0, counter = carp2_counter_strict(&origin, UINT64_C(0x100000003));

	(void)state;
	assert_true(counter == UINT64_C(0x02aabbcc00000003));
	assert_true(carp2_counter_strict(&origin, UINT64_C(0x100000004)) == counter + 1);
	assert_int_equal(carp2_counter_node(counter), 2);
	assert_true(carp2_counter_matches(
		&keys, true, &origin, UINT64_C(0xfffffff0), counter, &number));
	assert_true(number == UINT64_C(0x100000003));
	other.epoch ^= UINT64_C(1) << 40;
	assert_false(carp2_counter_matches(&keys, true, &other, 1, counter, &number));
	other = origin;
	other.node = 1;
	assert_false(carp2_counter_matches(&keys, true, &other, 1, counter, &number));
}

static void test_names(void **state)
{
	(void)state;
	for (enum carp2_drop drop = 0; drop < CARP2_DROP_COUNT; drop++)
		assert_true(carp2_drop_name(drop)[0] != '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_advert),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_link_local),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_passphrases),
		cmocka_unit_test(test_extend),
		cmocka_unit_test(test_lenient_counter),
		cmocka_unit_test(test_strict_counter),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
