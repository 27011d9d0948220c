#include "common/carp2.h"

#include "common/check.h"
#include "common/rbuf.h"
#include "common/wbuf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CARP2_HEAD_BYTES 3u /* version, type and vhid: the first of what is signed */
#define CARP2_HMAC_AT	 16u
#define CARP2_LABEL	 "carpool carp2 counter"

static const char *const carp2_drop_names[] = {
	[CARP2_DROP_NONE] = "NONE",
	[CARP2_DROP_LENGTH] = "CARP2_LENGTH",
	[CARP2_DROP_VERSION] = "CARP2_VERSION",
	[CARP2_DROP_TYPE] = "CARP2_TYPE",
	[CARP2_DROP_VHID] = "CARP2_VHID",
	[CARP2_DROP_CHECKSUM] = "CARP2_CHECKSUM",
	[CARP2_DROP_AUTH] = "CARP2_AUTH",
	[CARP2_DROP_SELF] = "CARP2_SELF",
	[CARP2_DROP_FOREIGN] = "CARP2_FOREIGN",
	[CARP2_DROP_UNPROVEN] = "CARP2_UNPROVEN",
	[CARP2_DROP_REPLAY] = "CARP2_REPLAY",
};
static_assert(ARRAY_LEN(carp2_drop_names) == CARP2_DROP_COUNT, "a drop has no name");

const char *carp2_drop_name(enum carp2_drop drop)
{
	CHECK((unsigned int)drop < CARP2_DROP_COUNT);
	return carp2_drop_names[drop];
}

bool carp2_key(const char *passphrase, size_t size_bytes, uint8_t ret_key[static CARP2_KEY_BYTES])
{
	memset(ret_key, 0, CARP2_KEY_BYTES);
	if (size_bytes == 0 || size_bytes > CARP2_KEY_BYTES)
		return false;
	memcpy(ret_key, passphrase, size_bytes);
	return true;
}

/* --- what is signed --------------------------------------------------------------------------- */

/* carp2_compare: IPv4 before IPv6, each ascending; the prefix length is no part of it. */
static int carp2_compare(const void *a, const void *b)
{
	const struct ipaddr *left = a, *right = b;

	if (left->family != right->family)
		return left->family == IPADDR_V4 ? -1 : 1;
	return memcmp(left->bytes, right->bytes, ipaddr_size_bytes(left));
}

static uint8_t *carp2_message(uint8_t vhid, const struct ipaddr *sorted, size_t count,
	bool with_link_local, size_t *ret_bytes)
{
	size_t size = CARP2_HEAD_BYTES + 16 * count;
	uint8_t *message = malloc(size);
	struct wbuf w;

	if (!message)
		return NULL;
	w = wbuf_init(message, size);
	wbuf_u8(&w, CARP2_VERSION);
	wbuf_u8(&w, CARP2_TYPE);
	wbuf_u8(&w, vhid);
	for (size_t i = 0; i < count; i++) {
		bool is_v6 = sorted[i].family == IPADDR_V6;

		if (i > 0 && carp2_compare(&sorted[i - 1], &sorted[i]) == 0)
			continue;
		if (!is_v6 || with_link_local || !ipaddr_is_link_local(&sorted[i]))
			wbuf_bytes(&w, sorted[i].bytes, ipaddr_size_bytes(&sorted[i]));
	}
	CHECK(!w.failed);
	*ret_bytes = wbuf_used(&w);
	return message;
}

bool carp2_signer_new(struct carp2_signer *ret_signer, struct crypto_mac *mac, uint8_t vhid,
	const struct ipaddr *addresses, size_t address_count)
{
	struct ipaddr *sorted = calloc(address_count ? address_count : 1, sizeof(*sorted));
	struct carp2_signer signer = {.vhid = vhid, .mac = mac};
	bool ok;

	if (!sorted)
		return false;
	if (address_count)
		memcpy(sorted, addresses, address_count * sizeof(*sorted));
	qsort(sorted, address_count, sizeof(*sorted), carp2_compare);
	signer.message = carp2_message(vhid, sorted, address_count, true, &signer.message_bytes);
	signer.short_message =
		carp2_message(vhid, sorted, address_count, false, &signer.short_bytes);
	free(sorted);
	ok = signer.message && signer.short_message;
	if (!ok || signer.message_bytes == signer.short_bytes) {
		free(signer.short_message);
		signer.short_message = NULL;
	}
	if (!ok) {
		carp2_signer_free(&signer);
		return false;
	}
	*ret_signer = signer;
	return true;
}

void carp2_signer_free(struct carp2_signer *signer)
{
	free(signer->message);
	free(signer->short_message);
	memset(signer, 0, sizeof(*signer));
}

/* --- the bytes -------------------------------------------------------------------------------- */

/* carp2_sum: RFC 1071 of the whole header; 0 when the checksum in it is right. */
static uint16_t carp2_sum(const uint8_t bytes[static CARP2_BYTES])
{
	uint32_t sum = 0;

	for (size_t i = 0; i < CARP2_BYTES; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

void carp2_encode(const struct carp2_advert *advert, uint8_t ret_bytes[static CARP2_BYTES])
{
	struct wbuf w = wbuf_init(ret_bytes, CARP2_BYTES);

	memset(ret_bytes, 0, CARP2_BYTES);
	wbuf_u8(&w, CARP2_VERSION << 4 | CARP2_TYPE);
	wbuf_u8(&w, advert->vhid);
	wbuf_u8(&w, advert->advskew);
	wbuf_u8(&w, CARP2_AUTHLEN);
	wbuf_u8(&w, advert->demote);
	wbuf_u8(&w, advert->advbase);
	wbuf_be16(&w, 0);
	wbuf_be64(&w, advert->counter);
	CHECK(!w.failed && wbuf_used(&w) == CARP2_HMAC_AT);
}

enum carp2_drop carp2_decode(
	const uint8_t *bytes, size_t size_bytes, struct carp2_advert *ret_advert)
{
	struct rbuf r = rbuf_init(bytes, size_bytes);
	uint8_t first;

	if (size_bytes < 1)
		return CARP2_DROP_LENGTH;
	first = rbuf_u8(&r);
	if (first >> 4 != CARP2_VERSION)
		return CARP2_DROP_VERSION;
	if ((first & 15) != CARP2_TYPE)
		return CARP2_DROP_TYPE;
	if (size_bytes != CARP2_BYTES)
		return CARP2_DROP_LENGTH;
	ret_advert->vhid = rbuf_u8(&r);
	ret_advert->advskew = rbuf_u8(&r);
	(void)rbuf_u8(&r); /* authlen: an ancestor's mistake there is none of ours */
	ret_advert->demote = rbuf_u8(&r);
	ret_advert->advbase = rbuf_u8(&r);
	(void)rbuf_be16(&r); /* the checksum: carp2_open() */
	ret_advert->counter = rbuf_be64(&r);
	return CARP2_DROP_NONE;
}

void carp2_seal(uint8_t bytes[static CARP2_BYTES])
{
	uint16_t sum;

	bytes[6] = 0;
	bytes[7] = 0;
	sum = carp2_sum(bytes);
	bytes[6] = (uint8_t)(sum >> 8);
	bytes[7] = (uint8_t)sum;
}

enum crypto_result carp2_sign(const struct carp2_signer *signer, const struct carp2_advert *advert,
	uint8_t ret_bytes[static CARP2_BYTES])
{
	const struct crypto_part parts[] = {
		{signer->message, signer->message_bytes},
		{ret_bytes + 8, sizeof(advert->counter)},
	};
	uint8_t tag[CRYPTO_SHA1_BYTES];

	carp2_encode(advert, ret_bytes);
	ret_bytes[1] = signer->vhid;
	if (crypto_sha1_sign(signer->mac, parts, ARRAY_LEN(parts), tag) != CRYPTO_OK)
		return CRYPTO_FAILED;
	memcpy(ret_bytes + CARP2_HMAC_AT, tag, sizeof(tag));
	carp2_seal(ret_bytes);
	return CRYPTO_OK;
}

static bool carp2_open_verify(
	struct crypto_mac *mac, const uint8_t *message, size_t message_bytes, const uint8_t *bytes)
{
	const struct crypto_part parts[] = {
		{message, message_bytes},
		{bytes + 8, sizeof(uint64_t)},
	};

	return message &&
	       crypto_sha1_verify(mac, parts, ARRAY_LEN(parts), bytes + CARP2_HMAC_AT) == CRYPTO_OK;
}

enum carp2_drop carp2_open(const struct carp2_signer *signer, const uint8_t *bytes,
	size_t size_bytes, struct carp2_advert *ret_advert)
{
	enum carp2_drop drop = carp2_decode(bytes, size_bytes, ret_advert);

	if (drop != CARP2_DROP_NONE)
		return drop;
	if (ret_advert->vhid != signer->vhid)
		return CARP2_DROP_VHID;
	if (carp2_sum(bytes) != 0)
		return CARP2_DROP_CHECKSUM;
	if (carp2_open_verify(signer->mac, signer->message, signer->message_bytes, bytes) ||
		carp2_open_verify(signer->mac, signer->short_message, signer->short_bytes, bytes))
		return CARP2_DROP_NONE;
	return CARP2_DROP_AUTH;
}

/* --- the counter ------------------------------------------------------------------------------ */

bool carp2_counter_lenient(const struct advert_keys *keys, uint8_t key_index,
	const struct carp2_origin *origin, uint64_t number, uint64_t *ret_counter)
{
	uint8_t bytes[1 + 8 + 4 + 4 + 8], tag[CRYPTO_HASH_BYTES];
	struct wbuf w = wbuf_init(bytes, sizeof(bytes));
	const struct crypto_part parts[] = {
		/* An advert's own HMAC begins with the cluster's name, which has no blanks. */
		{CARP2_LABEL, sizeof(CARP2_LABEL)},
		{keys->cluster, sizeof(keys->cluster)},
		{bytes, sizeof(bytes)},
	};

	wbuf_u8(&w, origin->node);
	wbuf_be64(&w, origin->epoch);
	wbuf_be32(&w, origin->path_tag);
	wbuf_be32(&w, origin->group_tag);
	wbuf_be64(&w, number);
	CHECK(!w.failed && key_index < keys->count);
	if (crypto_mac_sign(keys->macs[key_index], parts, ARRAY_LEN(parts), tag) != CRYPTO_OK)
		return false;
	*ret_counter = (uint64_t)tag[0] << 56 | (uint64_t)tag[1] << 48 | (uint64_t)tag[2] << 40 |
		       (uint64_t)tag[3] << 32 | (number & UINT32_MAX);
	return true;
}

uint64_t carp2_counter_strict(const struct carp2_origin *origin, uint64_t number)
{
	return (uint64_t)origin->node << 56 | origin->epoch >> 40 << 32 | (number & UINT32_MAX);
}

uint8_t carp2_counter_node(uint64_t counter)
{
	return (uint8_t)(counter >> 56);
}

uint64_t carp2_counter_extend(uint64_t counter, uint64_t reference)
{
	uint32_t ahead = (uint32_t)counter - (uint32_t)reference;

	/* The half of the circle before the reference is the past. */
	if (ahead < UINT32_C(1) << 31)
		return reference + ahead;
	return reference - (UINT32_MAX - ahead) - 1;
}

bool carp2_counter_matches(const struct advert_keys *keys, bool strict,
	const struct carp2_origin *origin, uint64_t reference, uint64_t counter,
	uint64_t *ret_number)
{
	uint64_t number = carp2_counter_extend(counter, reference), expected = 0;

	*ret_number = number;
	if (strict)
		return carp2_counter_strict(origin, number) == counter;
	for (uint8_t i = 0; i < keys->count; i++)
		if (carp2_counter_lenient(keys, i, origin, number, &expected) &&
			expected == counter)
			return true;
	return false;
}
