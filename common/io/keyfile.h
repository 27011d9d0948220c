/* keyfile.h: cluster key files: one line of 64 hexadecimal digits, mode 0600 or refused; and the
 * passphrase file of CARPv2. */
#ifndef COMMON_IO_KEYFILE_H
#define COMMON_IO_KEYFILE_H

#include "common/carp2.h"
#include "common/keyring.h"

#include <stddef.h>

#define KEYFILE_ERROR_MAX 256u
#define KEYFILE_PATH_MAX  4096u

/* keyfile_load: reads one file (or its credential) and adds its key to the ring.
 *   error  on failure, one sentence for people: what is wrong and what to do.
 * 0, or a negative errno: -EPERM group or others may read or write it, -EBADMSG not 64 hex digits,
 * -EEXIST the same key is in the ring, -ENOSPC the ring is full, or what open(2) and read(2) say.
 */
int keyfile_load(struct keyring *ring, const char *path, char error[static KEYFILE_ERROR_MAX]);

/* keyfile_credential: where systemd has put a key (LoadCredential=keys:/etc/carpool/keys makes
 * "keys_edge.key" of edge.key; LoadCredential=edge.key:/path "edge.key"), or `path` itself where
 * nobody set CREDENTIALS_DIRECTORY or it has no such file. keyfile_load() asks it. */
const char *keyfile_credential(const char *path, char text[static KEYFILE_PATH_MAX]);

/* keyfile_create: a new random key, mode 0600, never over an existing file (-EEXIST), synced to
 * disk before it returns. 0 or a negative errno. */
int keyfile_create(const char *path);

/* keyfile_load_passphrase: a CARPv2 passphrase: one line of 1..20 bytes, mode 0600 or refused.
 *   ret_key  NUL-padded, as ifconfig and ucarp make it; the caller wipes it
 * 0, or a negative errno with `error` filled, as above. */
int keyfile_load_passphrase(const char *path, uint8_t ret_key[static CARP2_KEY_BYTES],
	char error[static KEYFILE_ERROR_MAX]) __attribute__((warn_unused_result));

#endif
