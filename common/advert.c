#include "common/advert.h"

#include "common/check.h"
#include "common/rbuf.h"
#include "common/reason.h"
#include "common/wbuf.h"

#include <assert.h>
#include <string.h>

static const char *const advert_drop_names[] = {
	[ADVERT_DROP_NONE] = "NONE",
	[ADVERT_DROP_TTL] = "TTL",
	[ADVERT_DROP_SHORT] = "SHORT",
	[ADVERT_DROP_VERSION] = "VERSION",
	[ADVERT_DROP_TYPE] = "TYPE",
	[ADVERT_DROP_LENGTH] = "LENGTH",
	[ADVERT_DROP_KEY_UNKNOWN] = "KEY_UNKNOWN",
	[ADVERT_DROP_AUTH] = "AUTH",
	[ADVERT_DROP_VALUE] = "VALUE",
	[ADVERT_DROP_SELF] = "SELF",
	[ADVERT_DROP_SENDER_UNKNOWN] = "SENDER_UNKNOWN",
	[ADVERT_DROP_GROUP_UNKNOWN] = "GROUP_UNKNOWN",
	[ADVERT_DROP_VHID] = "VHID",
	[ADVERT_DROP_PATH] = "PATH",
	[ADVERT_DROP_EPOCH_CLOSED] = "EPOCH_CLOSED",
	[ADVERT_DROP_EPOCH_UNPROVEN] = "EPOCH_UNPROVEN",
	[ADVERT_DROP_REPLAY] = "REPLAY",
};
static_assert(ARRAY_LEN(advert_drop_names) == ADVERT_DROP_COUNT, "a drop has no name");
static_assert(LIMIT_PEERS <= 8, "`heard` has one bit a peer");
static_assert(ADVERT_BYTES_MAX <= 1400, "an advert fits into one packet on any link");

const char *advert_drop_name(enum advert_drop drop)
{
	CHECK(drop < ADVERT_DROP_COUNT);
	return advert_drop_names[drop];
}

int advert_term_compare(struct advert_term a, struct advert_term b)
{
	if (a.number != b.number)
		return a.number < b.number ? -1 : 1;
	return (a.owner > b.owner) - (a.owner < b.owner);
}

static size_t advert_length(size_t key_count, size_t peer_count, size_t path_count)
{
	return ADVERT_BYTES_MIN + 4 * key_count + peer_count + 6 * path_count;
}

size_t advert_size(const struct advert *advert)
{
	return advert_length(advert->key_count, advert->peer_count, advert->path_count);
}

/* advert_values_check: the ranges that both sides insist on. */
static bool advert_values_check(const struct advert *advert)
{
	if (advert->sender == 0 || advert->vhid == 0 || advert->epoch == 0 || advert->counter == 0)
		return false;
	if (advert->interval_us == 0 || advert->wire_max < ADVERT_WIRE_VERSION)
		return false;
	if (advert->state >= GROUP_STATE_COUNT || advert->reason >= REASON_COUNT)
		return false;
	if (advert->flags & ~ADVERT_FLAGS_ALL || advert->request >= ADVERT_REQUEST_COUNT ||
		advert->answer >= ADVERT_ANSWER_COUNT)
		return false;
	/* The last counter belongs to the resignation alone. */
	if (advert->counter == UINT64_MAX && !(advert->flags & ADVERT_RESIGN))
		return false;
	for (uint8_t i = 0; i < advert->path_count; i++)
		if (advert->paths[i].port >= ADVERT_PORT_COUNT ||
			advert->paths[i].heard >> advert->peer_count)
			return false;
	return true;
}

static void advert_encode_fixed(struct wbuf *w, const struct advert *a, size_t length)
{
	wbuf_u8(w, ADVERT_WIRE_VERSION << 4 | ADVERT_TYPE);
	wbuf_u8(w, a->vhid);
	wbuf_u8(w, a->peer_count);
	wbuf_u8(w, a->path_count);
	wbuf_u8(w, a->key_count);
	wbuf_u8(w, a->sender);
	wbuf_be16(w, length);
	wbuf_be32(w, a->key_id);
	wbuf_be32(w, a->path_tag);
	wbuf_be32(w, a->group_tag);
	wbuf_u8(w, a->state);
	wbuf_u8(w, a->reason);
	wbuf_u8(w, a->wire_max);
	wbuf_u8(w, a->not_ready);
	wbuf_be64(w, a->epoch);
	wbuf_be64(w, a->counter);
	wbuf_be32(w, a->interval_us);
	wbuf_be16(w, a->demotion);
	wbuf_be16(w, a->flags);
	wbuf_be64(w, a->term.number);
	wbuf_u8(w, a->term.owner);
	wbuf_u8(w, a->handover_to);
	wbuf_u8(w, a->handover_from);
	wbuf_u8(w, a->successor);
	wbuf_be32(w, a->handover_id);
	wbuf_be32(w, a->age_ms);
	wbuf_u8(w, a->request);
	wbuf_u8(w, a->request_node);
	wbuf_u8(w, a->request_force);
	wbuf_u8(w, a->answer_node);
	wbuf_be32(w, a->request_nonce);
	wbuf_u8(w, a->answer);
	wbuf_u8(w, a->challenge_to);
	wbuf_u8(w, a->echo_to);
	wbuf_u8(w, 0);
	wbuf_be32(w, a->answer_nonce);
	wbuf_bytes(w, a->challenge, sizeof(a->challenge));
	wbuf_bytes(w, a->echo, sizeof(a->echo));
	wbuf_be64(w, a->rules_fingerprint);
	wbuf_be64(w, a->config_fingerprint);
	wbuf_be64(w, a->address_fingerprint);
}

size_t advert_encode(const struct advert *advert, uint8_t *ret_bytes, size_t size_bytes)
{
	struct wbuf w = wbuf_init(ret_bytes, size_bytes);
	uint8_t *tag;

	if (advert->key_count > KEYRING_KEYS_MAX || advert->peer_count > LIMIT_PEERS ||
		advert->path_count > ADVERT_PATHS_MAX || !advert_values_check(advert))
		return 0;
	advert_encode_fixed(&w, advert,
		advert_length(advert->key_count, advert->peer_count, advert->path_count));
	for (uint8_t i = 0; i < advert->key_count; i++)
		wbuf_be32(&w, advert->keys[i]);
	wbuf_bytes(&w, advert->peers, advert->peer_count);
	for (uint8_t i = 0; i < advert->path_count; i++) {
		wbuf_be32(&w, advert->paths[i].tag);
		wbuf_u8(&w, advert->paths[i].port);
		wbuf_u8(&w, advert->paths[i].heard);
	}
	tag = wbuf_take(&w, ADVERT_TAG_BYTES);
	if (!tag)
		return 0;
	memset(tag, 0, ADVERT_TAG_BYTES);
	return wbuf_used(&w);
}

/* advert_check: version, type and the exact length: before anything else is looked at. */
static enum advert_drop advert_check(const uint8_t *bytes, size_t size_bytes)
{
	size_t length;

	if (size_bytes < 1)
		return ADVERT_DROP_SHORT;
	if (bytes[0] >> 4 != ADVERT_WIRE_VERSION)
		return ADVERT_DROP_VERSION;
	if ((bytes[0] & 15) != ADVERT_TYPE)
		return ADVERT_DROP_TYPE;
	if (size_bytes < ADVERT_BYTES_MIN)
		return ADVERT_DROP_SHORT;
	if (bytes[2] > LIMIT_PEERS || bytes[3] > ADVERT_PATHS_MAX || bytes[4] > KEYRING_KEYS_MAX)
		return ADVERT_DROP_LENGTH;
	length = advert_length(bytes[4], bytes[2], bytes[3]);
	if (size_bytes != length || length != ((size_t)bytes[6] << 8 | bytes[7]))
		return ADVERT_DROP_LENGTH;
	return ADVERT_DROP_NONE;
}

/* advert_decode_fixed: returns false when a byte that must be zero or one is not. */
static bool advert_decode_fixed(struct rbuf *r, struct advert *a)
{
	uint8_t force, zero;

	(void)rbuf_u8(r); /* version and type: advert_check() */
	a->vhid = rbuf_u8(r);
	a->peer_count = rbuf_u8(r);
	a->path_count = rbuf_u8(r);
	a->key_count = rbuf_u8(r);
	a->sender = rbuf_u8(r);
	(void)rbuf_be16(r); /* length: advert_check() */
	a->key_id = rbuf_be32(r);
	a->path_tag = rbuf_be32(r);
	a->group_tag = rbuf_be32(r);
	a->state = rbuf_u8(r);
	a->reason = rbuf_u8(r);
	a->wire_max = rbuf_u8(r);
	a->not_ready = rbuf_u8(r);
	a->epoch = rbuf_be64(r);
	a->counter = rbuf_be64(r);
	a->interval_us = rbuf_be32(r);
	a->demotion = rbuf_be16(r);
	a->flags = rbuf_be16(r);
	a->term.number = rbuf_be64(r);
	a->term.owner = rbuf_u8(r);
	a->handover_to = rbuf_u8(r);
	a->handover_from = rbuf_u8(r);
	a->successor = rbuf_u8(r);
	a->handover_id = rbuf_be32(r);
	a->age_ms = rbuf_be32(r);
	a->request = rbuf_u8(r);
	a->request_node = rbuf_u8(r);
	force = rbuf_u8(r);
	a->request_force = force;
	a->answer_node = rbuf_u8(r);
	a->request_nonce = rbuf_be32(r);
	a->answer = rbuf_u8(r);
	a->challenge_to = rbuf_u8(r);
	a->echo_to = rbuf_u8(r);
	zero = rbuf_u8(r);
	a->answer_nonce = rbuf_be32(r);
	rbuf_bytes(r, a->challenge, sizeof(a->challenge));
	rbuf_bytes(r, a->echo, sizeof(a->echo));
	a->rules_fingerprint = rbuf_be64(r);
	a->config_fingerprint = rbuf_be64(r);
	a->address_fingerprint = rbuf_be64(r);
	return force <= 1 && zero == 0;
}

enum advert_drop advert_decode(const uint8_t *bytes, size_t size_bytes, struct advert *ret_advert)
{
	enum advert_drop drop = advert_check(bytes, size_bytes);
	struct rbuf r = rbuf_init(bytes, size_bytes);
	bool sound;

	if (drop != ADVERT_DROP_NONE)
		return drop;
	memset(ret_advert, 0, sizeof(*ret_advert));
	sound = advert_decode_fixed(&r, ret_advert);
	for (uint8_t i = 0; i < ret_advert->key_count; i++)
		ret_advert->keys[i] = rbuf_be32(&r);
	rbuf_bytes(&r, ret_advert->peers, ret_advert->peer_count);
	for (uint8_t i = 0; i < ret_advert->path_count; i++) {
		ret_advert->paths[i].tag = rbuf_be32(&r);
		ret_advert->paths[i].port = rbuf_u8(&r);
		ret_advert->paths[i].heard = rbuf_u8(&r);
	}
	(void)rbuf_take(&r, ADVERT_TAG_BYTES);
	CHECK(rbuf_done(&r)); /* advert_check() computed this very length */
	return sound && advert_values_check(ret_advert) ? ADVERT_DROP_NONE : ADVERT_DROP_VALUE;
}

enum crypto_result advert_keys_init(struct advert_keys *keys, const struct keyring *ring)
{
	memset(keys, 0, sizeof(*keys));
	memcpy(keys->cluster, ring->cluster, sizeof(keys->cluster));
	for (uint8_t i = 0; i < ring->key_count; i++) {
		keys->macs[i] = crypto_mac_new(ring->keys[i].advert);
		if (!keys->macs[i]) {
			advert_keys_fini(keys);
			return CRYPTO_FAILED;
		}
		keys->ids[i] = ring->keys[i].id;
		keys->count++;
	}
	return keys->count > 0 ? CRYPTO_OK : CRYPTO_FAILED;
}

void advert_keys_fini(struct advert_keys *keys)
{
	if (!keys)
		return;
	for (uint8_t i = 0; i < keys->count; i++)
		crypto_mac_free(keys->macs[i]);
	memset(keys, 0, sizeof(*keys));
}

size_t advert_sign(const struct advert_keys *keys, const struct advert *advert, uint8_t *ret_bytes,
	size_t size_bytes)
{
	size_t length = advert_encode(advert, ret_bytes, size_bytes);
	struct crypto_part parts[2];
	uint32_t id = keys->ids[0];

	if (length == 0 || keys->count == 0)
		return 0;
	for (size_t i = 0; i < 4; i++)
		ret_bytes[8 + i] = (uint8_t)(id >> (24 - 8 * i));
	parts[0] = (struct crypto_part){keys->cluster, sizeof(keys->cluster)};
	parts[1] = (struct crypto_part){ret_bytes, length - ADVERT_TAG_BYTES};
	if (crypto_mac_sign(keys->macs[0], parts, 2, ret_bytes + length - ADVERT_TAG_BYTES) !=
		CRYPTO_OK)
		return 0;
	return length;
}

static enum advert_drop advert_open_verify(
	const struct advert_keys *keys, const uint8_t *bytes, size_t size_bytes)
{
	uint32_t id = (uint32_t)bytes[8] << 24 | (uint32_t)bytes[9] << 16 |
		      (uint32_t)bytes[10] << 8 | bytes[11];
	const struct crypto_part parts[2] = {
		{keys->cluster, sizeof(keys->cluster)},
		{bytes, size_bytes - ADVERT_TAG_BYTES},
	};

	for (uint8_t i = 0; i < keys->count; i++) {
		if (keys->ids[i] != id)
			continue;
		return crypto_mac_verify(keys->macs[i], parts, 2,
			       bytes + size_bytes - ADVERT_TAG_BYTES) == CRYPTO_OK
			       ? ADVERT_DROP_NONE
			       : ADVERT_DROP_AUTH;
	}
	return ADVERT_DROP_KEY_UNKNOWN;
}

enum advert_drop advert_open(const struct advert_keys *keys, uint8_t own_id, uint8_t ttl,
	const uint8_t *bytes, size_t size_bytes, struct advert *ret_advert)
{
	enum advert_drop drop;

	if (ttl != ADVERT_TTL)
		return ADVERT_DROP_TTL;
	drop = advert_check(bytes, size_bytes);
	if (drop == ADVERT_DROP_NONE)
		drop = advert_open_verify(keys, bytes, size_bytes);
	if (drop == ADVERT_DROP_NONE)
		drop = advert_decode(bytes, size_bytes, ret_advert);
	if (drop == ADVERT_DROP_NONE && ret_advert->sender == own_id)
		drop = ADVERT_DROP_SELF;
	return drop;
}
