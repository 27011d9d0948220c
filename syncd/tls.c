#include "syncd/tls.h"

#include "common/check.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#define TLS_CIPHER "TLS_AES_128_GCM_SHA256"
static const unsigned char tls_cipher_id[2] = {0x13, 0x01};

/* tls_identity: "carpool/1 edge 1 2 0badcafe". */
static size_t tls_identity(const struct tls_context *context, const struct keyring_key *key,
	uint8_t dialling, uint8_t answering, char text[static TLS_IDENTITY_MAX])
{
	int length = snprintf(text, TLS_IDENTITY_MAX, "carpool/1 %s %u %u %08x",
		context->cfg->cluster, dialling, answering, key->id);

	CHECK(length > 0 && (unsigned int)length < TLS_IDENTITY_MAX);
	return (size_t)length;
}

/* tls_session: an SSL_SESSION that carries nothing but the external PSK. NULL on any failure. */
static SSL_SESSION *tls_session(const struct tls_context *context, SSL *ssl,
	const struct keyring_key *key, uint8_t dialling, uint8_t answering)
{
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, tls_cipher_id);
	SSL_SESSION *session = SSL_SESSION_new();
	uint8_t psk[CRYPTO_KEY_BYTES];
	bool ok;

	ok = session && cipher &&
	     keyring_psk(context->ring, key, dialling, answering, psk) == CRYPTO_OK &&
	     SSL_SESSION_set1_master_key(session, psk, sizeof(psk)) == 1 &&
	     SSL_SESSION_set_cipher(session, cipher) == 1 &&
	     SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1;
	crypto_wipe(psk, sizeof(psk));
	if (!ok) {
		SSL_SESSION_free(session);
		return NULL;
	}
	return session;
}

/* tls_on_use: the dialling side offers its one identity. The text must live until the handshake has
 * used it: OpenSSL copies it when this returns. */
static int tls_on_use(SSL *ssl, const EVP_MD *digest, const unsigned char **ret_id,
	size_t *ret_id_bytes, SSL_SESSION **ret_session)
{
	struct tls *tls = SSL_get_app_data(ssl);
	const struct keyring_key *key = &tls->context->ring->keys[tls->key_index];
	static _Thread_local char identity[TLS_IDENTITY_MAX];
	uint8_t self = tls->context->cfg->self->id;

	*ret_session = NULL;
	*ret_id = NULL;
	*ret_id_bytes = 0;
	if (digest && !EVP_MD_is_a(digest, "SHA256"))
		return 1; /* no PSK for this digest; there is no other suite, so it fails */
	*ret_session = tls_session(tls->context, ssl, key, self, tls->dialled_node);
	if (!*ret_session)
		return 0;
	*ret_id_bytes = tls_identity(tls->context, key, self, tls->dialled_node, identity);
	*ret_id = (const unsigned char *)identity;
	return 1;
}

/* tls_on_find: the answering side looks an identity up. Only configured peers can be named, since
 * only theirs are compared; our own id is not among them. */
static int tls_on_find(
	SSL *ssl, const unsigned char *identity, size_t identity_bytes, SSL_SESSION **ret_session)
{
	struct tls *tls = SSL_get_app_data(ssl);
	const struct tls_context *context = tls->context;
	const struct config *cfg = context->cfg;

	*ret_session = NULL;
	for (uint32_t node = 0; node < cfg->node_count; node++)
		for (uint8_t k = 0; k < context->ring->key_count; k++) {
			char expected[TLS_IDENTITY_MAX];
			uint8_t id = cfg->nodes[node].id;
			size_t length;

			if (id == cfg->self->id)
				continue;
			length = tls_identity(
				context, &context->ring->keys[k], id, cfg->self->id, expected);
			if (length != identity_bytes || memcmp(expected, identity, length) != 0)
				continue;
			*ret_session = tls_session(
				context, ssl, &context->ring->keys[k], id, cfg->self->id);
			tls->claimed_node = id;
			return *ret_session ? 1 : 0;
		}
	return 1; /* unknown: no PSK, and without one there is no handshake */
}

static SSL_CTX *tls_context_make(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (!ctx)
		return NULL;
	/* psk_ke without Diffie-Hellman is off unless asked for (SSL_OP_ALLOW_NO_DHE_KEX). */
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_max_early_data(ctx, 0);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_ciphersuites(ctx, TLS_CIPHER) != 1 ||
		SSL_CTX_set_num_tickets(ctx, 0) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

int tls_context_open(
	struct tls_context *context, const struct config *cfg, const struct keyring *ring)
{
	*context = (struct tls_context){.cfg = cfg, .ring = ring};
	context->answer = tls_context_make(TLS_server_method());
	context->dial = tls_context_make(TLS_client_method());
	if (!context->answer || !context->dial) {
		tls_context_close(context);
		return -ENOMEM;
	}
	/* No certificate is trusted: an answerer that ignores the PSK and shows one is refused. The
	 * answering side has none itself, so without a PSK it cannot complete a handshake. */
	SSL_CTX_set_verify(context->dial, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_psk_find_session_callback(context->answer, tls_on_find);
	SSL_CTX_set_psk_use_session_callback(context->dial, tls_on_use);
	return 0;
}

void tls_context_close(struct tls_context *context)
{
	SSL_CTX_free(context->answer);
	SSL_CTX_free(context->dial);
	*context = (struct tls_context){0};
}

static bool tls_start(struct tls *tls, const struct tls_context *context, SSL_CTX *ctx, int fd)
{
	tls->context = context;
	tls->ssl = SSL_new(ctx);
	if (!tls->ssl)
		return false;
	SSL_set_app_data(tls->ssl, tls);
	if (SSL_set_fd(tls->ssl, fd) != 1) {
		SSL_free(tls->ssl);
		tls->ssl = NULL;
		return false;
	}
	return true;
}

bool tls_dial(struct tls *tls, const struct tls_context *context, int fd, uint8_t node_id,
	uint8_t key_index)
{
	*tls = (struct tls){.dialled_node = node_id, .key_index = key_index};
	CHECK(key_index < context->ring->key_count);
	if (!tls_start(tls, context, context->dial, fd))
		return false;
	SSL_set_connect_state(tls->ssl);
	return true;
}

bool tls_answer(struct tls *tls, const struct tls_context *context, int fd)
{
	*tls = (struct tls){0};
	if (!tls_start(tls, context, context->answer, fd))
		return false;
	SSL_set_accept_state(tls->ssl);
	return true;
}

static enum tls_result tls_judge(struct tls *tls, int returned)
{
	switch (SSL_get_error(tls->ssl, returned)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	default:
		return TLS_FAILED;
	}
}

enum tls_result tls_handshake(struct tls *tls)
{
	int returned;

	ERR_clear_error();
	errno = 0;
	returned = SSL_do_handshake(tls->ssl);
	if (returned != 1)
		return tls_judge(tls, returned);
	/* "Reused" is OpenSSL's word for "a PSK was agreed on". */
	if (SSL_session_reused(tls->ssl) != 1)
		return TLS_FAILED;
	tls->peer_node = tls->dialled_node ? tls->dialled_node : tls->claimed_node;
	return tls->peer_node ? TLS_DONE : TLS_FAILED;
}

enum tls_result tls_read(struct tls *tls, void *data, size_t size_bytes, size_t *ret_size)
{
	int returned;

	ERR_clear_error();
	errno = 0;
	returned = SSL_read_ex(tls->ssl, data, size_bytes, ret_size);
	return returned == 1 ? TLS_DONE : tls_judge(tls, returned);
}

enum tls_result tls_write(struct tls *tls, const void *data, size_t size_bytes, size_t *ret_size)
{
	int returned;

	ERR_clear_error();
	errno = 0;
	returned = SSL_write_ex(tls->ssl, data, size_bytes, ret_size);
	return returned == 1 ? TLS_DONE : tls_judge(tls, returned);
}

char *tls_error(char text[static TLS_ERROR_MAX])
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	snprintf(text, TLS_ERROR_MAX, "%s",
		reason	? reason
		: errno ? strerror(errno)
			: "closed by the peer");
	return text;
}

void tls_close(struct tls *tls)
{
	if (tls->ssl) {
		ERR_clear_error();
		if (tls->peer_node)
			(void)SSL_shutdown(tls->ssl); /* one try; the socket closes anyway */
		SSL_free(tls->ssl);
	}
	*tls = (struct tls){0};
}
