/* tls.h: TLS 1.3 with an external pre-shared key, and nothing else of TLS.
 *
 * One cipher suite (AES-128-GCM-SHA256), key exchange psk_dhe_ke alone (forward secrecy), no 0-RTT,
 * no tickets, no resumption, no certificates: who does not prove the key gets no handshake. The PSK
 * belongs to the ordered pair (dialling node, answering node) and a key id, so a connection cannot
 * be turned round or passed on to a third node. The identity on the wire is
 * "carpool/1 CLUSTER DIALLER ANSWERER KEYID"; the answering side compares it with those that it
 * expects rather than parsing it. (RFC 8446 section 4.2.11; RFC 9257 on external PSKs.) */
#ifndef SYNCD_TLS_H
#define SYNCD_TLS_H

#include "common/keyring.h"
#include "config/config.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TLS_IDENTITY_MAX 96u
#define TLS_ERROR_MAX	 128u

struct tls_context {
	SSL_CTX *answer;
	SSL_CTX *dial;
	const struct config *cfg;   /* borrowed until tls_context_close */
	const struct keyring *ring; /* borrowed likewise */
};

/* One connection; lives inside its owner's connection. */
struct tls {
	SSL *ssl;
	const struct tls_context *context;
	uint8_t dialled_node; /* dialling: whom; answering: 0 */
	uint8_t key_index;    /* dialling: which key is offered */
	uint8_t peer_node;    /* proven after the handshake; 0 before */
	uint8_t claimed_node; /* named by an identity, not proven yet */
};

enum tls_result {
	TLS_FAILED = 0, /* closed by the peer or broken: see tls_error */
	TLS_DONE,
	TLS_WANT_READ,
	TLS_WANT_WRITE,
};

/* tls_context_open: 0, or -ENOMEM when OpenSSL refuses. */
int tls_context_open(struct tls_context *context, const struct config *cfg,
	const struct keyring *ring) __attribute__((warn_unused_result));
void tls_context_close(struct tls_context *context);

/* tls_dial, tls_answer: a connection on a connected, non-blocking socket; `tls` stays at its place
 * until tls_close. False: OpenSSL refuses. */
bool tls_dial(struct tls *tls, const struct tls_context *context, int fd, uint8_t node_id,
	uint8_t key_index) __attribute__((warn_unused_result));
bool tls_answer(struct tls *tls, const struct tls_context *context, int fd)
	__attribute__((warn_unused_result));

/* tls_handshake: TLS_DONE: tls->peer_node is proven. */
enum tls_result tls_handshake(struct tls *tls) __attribute__((warn_unused_result));

/* tls_read, tls_write: TLS_DONE: *ret_size bytes (at least 1). */
enum tls_result tls_read(struct tls *tls, void *data, size_t size_bytes, size_t *ret_size)
	__attribute__((warn_unused_result));
enum tls_result tls_write(struct tls *tls, const void *data, size_t size_bytes, size_t *ret_size)
	__attribute__((warn_unused_result));

/* tls_error: why the last call failed, in OpenSSL's or errno's words; returns `text`. */
char *tls_error(char text[static TLS_ERROR_MAX]);

/* tls_close: says goodbye as far as that does not block. A zeroed one is allowed. */
void tls_close(struct tls *tls);

#endif
