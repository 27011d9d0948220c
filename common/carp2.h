/* carp2.h: the CARPv2 advert of OpenBSD, FreeBSD and ucarp, byte for byte.
 *
 *     0               1               2               3
 *     +---------------+---------------+---------------+---------------+
 *   0 | 2 |  type = 1 |     vhid      |    advskew    |  authlen = 7  |
 *   4 |    demote     |    advbase    |           checksum            |
 *   8 |                      counter (8 bytes)                        |
 *  16 |                      HMAC-SHA-1 (20 bytes)                    |
 *     +---------------------------------------------------------------+
 *
 * The checksum is RFC 1071 over these 36 bytes, on IPv6, too (no pseudo-header). Byte 4 is
 * OpenBSD's demotion; FreeBSD and ucarp write 0 there and FreeBSD adds its demotion to advskew.
 *
 * The HMAC covers the version, the type, the vhid, the virtual addresses of the interface (IPv4
 * ascending as numbers, then IPv6 ascending as bytes, scope bytes zeroed, each once) and the
 * counter. It does *not* cover advbase, advskew and demote: whoever hears one advert can send it
 * again with another priority. Its key is the passphrase, padded with NULs to 20 bytes. OpenBSD
 * leaves link-local addresses out of what it signs and accepts both; FreeBSD signs all. So do we
 * as FreeBSD when sending, and accept both.
 *
 * The counter of a carpool node is not only a number; see carp2_counter_*. Everything but
 * carp2_signer_new() is without allocation. Facts: the three ancestors' sources (ip_carp.c of both
 * BSDs, carp.c of ucarp). */
#ifndef COMMON_CARP2_H
#define COMMON_CARP2_H

#include "common/advert.h"
#include "common/crypto.h"
#include "common/ipaddr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CARP2_BYTES	   36u
#define CARP2_VERSION	   2u
#define CARP2_TYPE	   1u
#define CARP2_AUTHLEN	   7u /* 32-bit words of counter and HMAC; no ancestor checks it */
#define CARP2_KEY_BYTES	   CRYPTO_SHA1_BYTES
#define CARP2_BOW_OUT	   255u /* as advbase and as advskew: take over at once */
#define CARP2_SKEW_DEMOTED 240u /* FreeBSD's CARP_MAXSKEW: as far as a demotion moves advskew */
#define CARP2_DEMOTE_MAX   255u

/* Why a packet was not used. From SELF on the shell and the core decide; status and metrics show
 * these names. */
enum carp2_drop {
	CARP2_DROP_NONE = 0,
	CARP2_DROP_LENGTH,
	CARP2_DROP_VERSION, /* a native advert, or VRRPv3, on a CARPv2 interface */
	CARP2_DROP_TYPE,
	CARP2_DROP_VHID, /* another group's or another cluster's: no error on a shared wire */
	CARP2_DROP_CHECKSUM,
	CARP2_DROP_AUTH,     /* another passphrase, or another set of addresses */
	CARP2_DROP_SELF,     /* our own advert came back */
	CARP2_DROP_FOREIGN,  /* strict: nobody of this cluster has said this */
	CARP2_DROP_UNPROVEN, /* strict: a life of a peer that is not proven (yet, or any more) */
	CARP2_DROP_REPLAY,   /* a counter of a peer that was seen before, or is too old */
	CARP2_DROP_COUNT,
};

/* carp2_drop_name: "CARP2_LENGTH", ... Never NULL. */
const char *carp2_drop_name(enum carp2_drop drop);

struct carp2_advert {
	uint8_t vhid;
	uint8_t advskew;
	uint8_t advbase; /* seconds */
	uint8_t demote;
	uint64_t counter;
};

/* What signs and checks the adverts of one group on one interface. */
struct carp2_signer {
	uint8_t vhid;
	struct crypto_mac *mac; /* borrowed: one passphrase a cluster */
	uint8_t *message;	/* all that is signed before the counter; owned */
	size_t message_bytes;
	uint8_t *short_message; /* the same without link-local addresses; NULL: there are none */
	size_t short_bytes;
};

/* carp2_key: a passphrase of at most 20 bytes as the key: NUL-padded. False when it is longer or
 * empty. */
bool carp2_key(const char *passphrase, size_t size_bytes, uint8_t ret_key[static CARP2_KEY_BYTES]);

/* carp2_signer_new: addresses in any order, prefix lengths do not matter; doubles count once.
 * False without memory. carp2_signer_free: a zeroed one is allowed. */
bool carp2_signer_new(struct carp2_signer *ret_signer, struct crypto_mac *mac, uint8_t vhid,
	const struct ipaddr *addresses, size_t address_count) __attribute__((warn_unused_result));
void carp2_signer_free(struct carp2_signer *signer);

/* carp2_encode, carp2_decode: the header without looking at the HMAC (encode leaves it zero, and
 * the checksum, too). Decode checks length, version and type. Pure. */
void carp2_encode(const struct carp2_advert *advert, uint8_t ret_bytes[static CARP2_BYTES]);
enum carp2_drop carp2_decode(const uint8_t *bytes, size_t size_bytes,
	struct carp2_advert *ret_advert) __attribute__((warn_unused_result));

/* carp2_seal: writes the checksum into whole bytes. */
void carp2_seal(uint8_t bytes[static CARP2_BYTES]);

/* carp2_sign: a whole advert, ready to send; the signer's vhid. */
enum crypto_result carp2_sign(const struct carp2_signer *signer, const struct carp2_advert *advert,
	uint8_t ret_bytes[static CARP2_BYTES]) __attribute__((warn_unused_result));

/* carp2_open: the ladder: length, version, type, vhid, checksum, HMAC. The TTL was the frame's. */
enum carp2_drop carp2_open(const struct carp2_signer *signer, const uint8_t *bytes,
	size_t size_bytes, struct carp2_advert *ret_advert) __attribute__((warn_unused_result));

/* --- The counter of a carpool node --------------------------------------------------------------
 *
 * The ancestors protect nothing with it: OpenBSD sends a fixed cookie, FreeBSD and ucarp add one to
 * the last counter that they heard from anybody. A carpool node's adverts of both wires take their
 * numbers from one sequence, whose 64 bits are signed in the native adverts on the sync link. Here
 * the low half travels; a receiver extends it near what it knows of that peer. The high half says
 * whose number it is:
 *
 *   lenient  a tag, HMAC-SHA-256 of (sender, epoch, path, group, number) by the cluster's key, cut
 *            to 32 bits: a foreign node that counts on from ours cannot be taken for one of us.
 *   strict   node id (8 bits) and the top 24 bits of the boot epoch: on the wire the counter of a
 *            sender only grows while it lives. No foreign node is believed there, so none counts
 * on.
 */
struct carp2_origin {
	uint8_t node;
	uint64_t epoch;
	uint32_t path_tag;
	uint32_t group_tag;
};

/* carp2_counter_lenient: false when OpenSSL refuses. key_index: 0 signs. */
bool carp2_counter_lenient(const struct advert_keys *keys, uint8_t key_index,
	const struct carp2_origin *origin, uint64_t number, uint64_t *ret_counter)
	__attribute__((warn_unused_result));
uint64_t carp2_counter_strict(const struct carp2_origin *origin, uint64_t number);

/* carp2_counter_node: strict: whose it claims to be. */
uint8_t carp2_counter_node(uint64_t counter);

/* carp2_counter_extend: the number near `reference` whose low half the counter has. */
uint64_t carp2_counter_extend(uint64_t counter, uint64_t reference);

/* carp2_counter_matches: whether the counter is this origin's; *ret_number is the whole number. */
bool carp2_counter_matches(const struct advert_keys *keys, bool strict,
	const struct carp2_origin *origin, uint64_t reference, uint64_t counter,
	uint64_t *ret_number) __attribute__((warn_unused_result));

#endif
