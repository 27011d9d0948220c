/* keyfile.h: key files are private, exact, and never overwritten. */
#include "tests/unit/common/test.h"

#include "common/io/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX_A "0000000000000000000000000000000000000000000000000000000000000001"
#define HEX_B "00000000000000000000000000000000000000000000000000000000000000Ff"

static char path[128];
static char error[KEYFILE_ERROR_MAX];

static int load(void **state, const char *content, mode_t mode)
{
	struct keyring ring;
	int fd, r;

	snprintf(path, sizeof(path), "%s/k", (char *)*state);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	keyring_init(&ring, "edge");
	error[0] = 0;
	r = keyfile_load(&ring, path, error);
	assert_int_equal(ring.key_count, r == 0 ? 1 : 0);
	if (r < 0)
		assert_non_null(strstr(error, path)); /* people are told which file */
	return r;
}

static void test_content(void **state)
{
	assert_int_equal(load(state, HEX_A "\n", 0600), 0);
	assert_int_equal(load(state, HEX_B, 0400), 0);
	assert_int_equal(load(state, HEX_B " \r\n\n", 0600), 0);
	assert_int_equal(load(state, "", 0600), -EBADMSG);
	assert_int_equal(load(state, "00" HEX_A "\n", 0600), -EBADMSG);
	assert_int_equal(load(state, "0" HEX_A, 0600), -EBADMSG);
	assert_int_equal(load(state, HEX_A "\n" HEX_B "\n", 0600), -EBADMSG);
	assert_int_equal(load(state, "g" HEX_A, 0600), -EBADMSG);
	assert_int_equal(load(state, &HEX_A[1], 0600), -EBADMSG);
}

static void test_others_may_not_read_or_write_it(void **state)
{
	static const mode_t modes[] = {0640, 0604, 0620, 0602, 0601, 0644, 0666};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(load(state, HEX_A "\n", modes[i]), -EPERM);
		assert_non_null(strstr(error, "chmod 600"));
	}
}

static void test_what_is_no_file(void **state)
{
	struct keyring ring;

	keyring_init(&ring, "edge");
	assert_int_equal(keyfile_load(&ring, (char *)*state, error), -EINVAL);
	assert_int_equal(keyfile_load(&ring, "/nonexistent/key", error), -ENOENT);
	snprintf(path, sizeof(path), "%s/fifo", (char *)*state);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(keyfile_load(&ring, path, error), -EINVAL); /* and does not hang */
}

/* What systemd hands over comes first; its access lists show as the group's right to read. */
static void test_credentials(void **state)
{
	char folder[128], name[192], found[KEYFILE_PATH_MAX];
	struct keyring ring;
	int fd;

	snprintf(folder, sizeof(folder), "%s/credentials", (char *)*state);
	assert_int_equal(mkdir(folder, 0700), 0);
	snprintf(name, sizeof(name), "%s/keys_edge.key", folder);
	fd = open(name, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, HEX_A, strlen(HEX_A)), strlen(HEX_A));
	assert_int_equal(fchmod(fd, 0440), 0);
	close(fd);
	keyring_init(&ring, "edge");
	assert_int_equal(keyfile_load(&ring, "/nonexistent/edge.key", error), -ENOENT);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
	assert_string_equal(keyfile_credential("/nonexistent/edge.key", found), name);
	assert_int_equal(keyfile_load(&ring, "/nonexistent/edge.key", error), 0);
	assert_string_equal(keyfile_credential("/etc/other.key", found), "/etc/other.key");
	assert_int_equal(chmod(name, 0444), 0);
	keyring_init(&ring, "edge");
	assert_int_equal(keyfile_load(&ring, "edge.key", error), -EPERM);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void test_create_and_rotate(void **state)
{
	struct keyring ring;
	struct stat st;

	keyring_init(&ring, "edge");
	for (unsigned int i = 0; i <= KEYRING_KEYS_MAX; i++) {
		snprintf(path, sizeof(path), "%s/new%u", (char *)*state, i);
		assert_int_equal(keyfile_create(path), 0);
		assert_int_equal(keyfile_create(path), -EEXIST);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		assert_int_equal(st.st_size, 65);
		assert_int_equal(
			keyfile_load(&ring, path, error), i == KEYRING_KEYS_MAX ? -ENOSPC : 0);
		if (i == 0) {
			assert_int_equal(keyfile_load(&ring, path, error), -EEXIST);
			assert_int_equal(ring.key_count, 1);
		}
	}
	assert_int_equal(keyfile_create("/nonexistent/key"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_content, test_folder, test_folder_remove),
		cmocka_unit_test_setup_teardown(
			test_others_may_not_read_or_write_it, test_folder, test_folder_remove),
		cmocka_unit_test_setup_teardown(
			test_what_is_no_file, test_folder, test_folder_remove),
		cmocka_unit_test_setup_teardown(test_credentials, test_folder, test_folder_remove),
		cmocka_unit_test_setup_teardown(
			test_create_and_rotate, test_folder, test_folder_remove),
	};

	umask(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
