#include "common/io/keyfile.h"

#include "common/check.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYFILE_TEXT_MAX 128u

static int keyfile_load_parse(const char *text, size_t size, uint8_t *secret)
{
	while (size > 0 && isspace((unsigned char)text[size - 1]))
		size--;
	if (size != 2 * CRYPTO_KEY_BYTES)
		return -EBADMSG;
	for (size_t i = 0; i < size; i++) {
		int c = tolower((unsigned char)text[i]);
		int digit = isdigit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (digit < 0)
			return -EBADMSG;
		secret[i / 2] = (uint8_t)(i % 2 ? secret[i / 2] | digit : digit << 4);
	}
	return 0;
}

const char *keyfile_credential(const char *path, char text[static KEYFILE_PATH_MAX])
{
	static const char *const prefixes[] = {"", "keys_"};
	const char *folder = getenv("CREDENTIALS_DIRECTORY"), *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (!folder || folder[0] != '/')
		return path;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		int length = snprintf(text, KEYFILE_PATH_MAX, "%s/%s%s", folder, prefixes[i], name);

		if (length > 0 && (size_t)length < KEYFILE_PATH_MAX && access(text, F_OK) == 0)
			return text;
	}
	return path;
}

/* keyfile_load_read: `others` are the mode's bits that nobody but the owner may have. */
static int keyfile_load_read(const char *path, mode_t others, char *text, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	ssize_t size;
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else if (st.st_mode & others)
		r = -EPERM;
	else if ((size = read(fd, text, KEYFILE_TEXT_MAX)) < 0)
		r = -errno;
	else
		*ret_size = (size_t)size;
	close(fd);
	return r;
}

static void keyfile_load_explain(
	const char *what, const char *path, int r, char error[static KEYFILE_ERROR_MAX])
{
	if (r == -EPERM)
		snprintf(error, KEYFILE_ERROR_MAX,
			"%s %s can be read or written by others: chmod 600 it", what, path);
	else if (r == -EINVAL)
		snprintf(error, KEYFILE_ERROR_MAX, "%s %s is not a regular file", what, path);
	else
		snprintf(error, KEYFILE_ERROR_MAX, "%s %s: %s", what, path, strerror(-r));
}

int keyfile_load(struct keyring *ring, const char *path, char error[static KEYFILE_ERROR_MAX])
{
	char text[KEYFILE_TEXT_MAX];
	uint8_t secret[CRYPTO_KEY_BYTES] = {0};
	char credential[KEYFILE_PATH_MAX];
	const char *found = keyfile_credential(path, credential);
	size_t size = 0;
	int r;

	/* systemd lets the service's user in by an access list, which the group's bit stands for.
	 */
	r = keyfile_load_read(found, found == path ? 077 : 037, text, &size);
	path = found;
	if (r < 0) {
		keyfile_load_explain("key file", path, r, error);
		goto out;
	}
	r = keyfile_load_parse(text, size, secret);
	if (r < 0) {
		snprintf(error, KEYFILE_ERROR_MAX,
			"key file %s must hold one line of 64 hexadecimal digits ('carpool keygen' "
			"makes one)",
			path);
		goto out;
	}
	if (keyring_add(ring, secret) == CRYPTO_OK)
		goto out;
	r = ring->key_count == KEYRING_KEYS_MAX ? -ENOSPC : -EEXIST;
	snprintf(error, KEYFILE_ERROR_MAX,
		r == -ENOSPC ? "key file %s: at most 8 keys" : "key file %s repeats a key", path);
out:
	crypto_wipe(text, sizeof(text));
	crypto_wipe(secret, sizeof(secret));
	return r;
}

int keyfile_load_passphrase(const char *path, uint8_t ret_key[static CARP2_KEY_BYTES],
	char error[static KEYFILE_ERROR_MAX])
{
	char text[KEYFILE_TEXT_MAX];
	size_t size = 0;
	int r = keyfile_load_read(path, 077, text, &size);

	memset(ret_key, 0, CARP2_KEY_BYTES);
	if (r < 0) {
		keyfile_load_explain("passphrase file", path, r, error);
		return r;
	}
	/* Blanks belong to a passphrase; the end of its line does not. */
	if (size > 0 && text[size - 1] == '\n')
		size--;
	if (memchr(text, '\n', size) || memchr(text, '\0', size) ||
		!carp2_key(text, size, ret_key)) {
		snprintf(error, KEYFILE_ERROR_MAX,
			"passphrase file %s must hold one line of 1..20 bytes", path);
		r = -EBADMSG;
	}
	crypto_wipe(text, sizeof(text));
	return r;
}

int keyfile_create(const char *path)
{
	uint8_t secret[CRYPTO_KEY_BYTES];
	char text[2 * CRYPTO_KEY_BYTES + 2];
	int fd, r = 0;

	if (crypto_random(secret, sizeof(secret)) != CRYPTO_OK)
		return -EIO;
	for (size_t i = 0; i < sizeof(secret); i++)
		snprintf(text + 2 * i, 3, "%02x", secret[i]);
	text[2 * CRYPTO_KEY_BYTES] = '\n';
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		r = -errno;
	} else {
		ssize_t wanted = 2 * (ssize_t)CRYPTO_KEY_BYTES + 1;

		if (write(fd, text, (size_t)wanted) != wanted || fsync(fd) < 0)
			r = errno ? -errno : -EIO;
		close(fd);
		if (r < 0)
			unlink(path);
	}
	crypto_wipe(secret, sizeof(secret));
	crypto_wipe(text, sizeof(text));
	return r;
}
