/* statefile.h: whatever moment a writer dies at, a reader finds the old content or the new. */
#include "tests/unit/common/test.h"

#include "common/io/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[128];

static int set_up(void **state)
{
	if (test_folder(state) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/state", (char *)*state);
	return 0;
}

static void test_replaces_and_reads(void **state)
{
	char *data;
	size_t size;
	struct stat st;

	(void)state;
	assert_int_equal(statefile_read(path, &data, &size), -ENOENT);
	assert_int_equal(statefile_write(path, "one", 3), 0);
	assert_int_equal(statefile_write(path, "a\0b", 3), 0);
	assert_int_equal(statefile_read(path, &data, &size), 0);
	assert_int_equal(size, 3);
	assert_memory_equal(data, "a\0b\0", 4);
	free(data);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(statefile_write("/nonexistent/x", "one", 3), -ENOENT);
	assert_int_equal(statefile_read("/", &data, &size), -EINVAL);
	assert_int_equal(statefile_write(path, path, STATEFILE_SIZE_MAX + 1), -EFBIG);
}

static void test_json(void **state)
{
	json_t *value = json_pack("{s:i}", "term", 7), *read;

	(void)state;
	assert_int_equal(statefile_write_json(path, value), 0);
	assert_int_equal(statefile_read_json(path, &read), 0);
	assert_true(json_equal(value, read));
	json_decref(value);
	json_decref(read);
	assert_int_equal(statefile_write(path, "{\"term\":", 8), 0);
	assert_int_equal(statefile_read_json(path, &read), -EBADMSG);
	assert_int_equal(statefile_write(path, "[1]", 3), 0);
	assert_int_equal(statefile_read_json(path, &read), -EBADMSG);
}

/* The writer is traced, and killed at its n-th system call, for every n until it finishes. */
static bool kill_at_syscall(int n, void (*write_something)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(TEST_SKIP);
		raise(SIGSTOP);
		write_something();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIP)
		skip();
	assert_true(WIFSTOPPED(status));
	for (int i = 0; i < n; i++) { /* stops at each entry to and return from the kernel */
		assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
	}
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	return true;
}

static void write_new(void)
{
	if (statefile_write(path, "the new content", 15) < 0)
		_exit(1);
}

static void test_a_writer_killed_anywhere_leaves_old_or_new(void **state)
{
	int old_count = 0, new_count = 0;
	bool killed = true;

	(void)state;
	for (int n = 0; killed; n++) {
		char *data;
		size_t size;

		assert_int_equal(statefile_write(path, "old", 3), 0);
		killed = kill_at_syscall(n, write_new);
		assert_int_equal(statefile_read(path, &data, &size), 0);
		if (strcmp(data, "old") == 0)
			old_count++;
		else if (strcmp(data, "the new content") == 0)
			new_count++;
		else
			fail_msg("killed at %d: found \"%s\"", n, data);
		free(data);
		assert_true(n < 1000);
	}
	/* open, write, fsync, close, rename, open, fsync, close: at entry and return. */
	assert_true(old_count >= 8);
	assert_true(new_count >= 2);
}

static char collected[4096];

static int collect(const char *line, void *context)
{
	(void)context;
	strcat(collected, line);
	strcat(collected, ";");
	return 0;
}

static const char *lines(void)
{
	collected[0] = 0;
	assert_int_equal(statefile_log_each(path, collect, NULL), 0);
	return collected;
}

static void test_a_log_grows_and_is_bounded(void **state)
{
	struct statefile_log log;
	struct stat st;

	(void)state;
	assert_string_equal(lines(), "");
	assert_int_equal(statefile_log_open(&log, path, 12), 0);
	assert_int_equal(statefile_log_append(&log, "one"), 0);
	assert_int_equal(statefile_log_append(&log, "two"), 0);
	assert_int_equal(statefile_log_append(&log, "x\ny"), -EINVAL);
	assert_string_equal(lines(), "one;two;");
	assert_int_equal(statefile_log_append(&log, "3"), 0);
	assert_int_equal(statefile_log_append(&log, "four"), 0); /* 12 bytes are full */
	assert_string_equal(lines(), "one;two;3;four;");
	assert_int_equal(statefile_log_append(&log, "longer than all 12"), 0);
	assert_string_equal(lines(), "four;longer than all 12;");
	assert_int_equal(statefile_log_append(&log, "5"), 0);
	assert_string_equal(lines(), "longer than all 12;5;");
	statefile_log_close(&log);
	statefile_log_close(&log);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 2);
	assert_int_equal(statefile_log_open(&log, "/nonexistent/x", 12), -ENOENT);
}

static void test_a_torn_line_is_not_shown_and_cut_off(void **state)
{
	struct statefile_log log;
	int fd;

	(void)state;
	for (int round = 0; round < 2; round++) { /* with a whole line before it, and alone */
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		assert_int_equal(
			round ? write(fd, "to", 2) : write(fd, "whole\nto", 8), round ? 2 : 8);
		close(fd);
		assert_string_equal(lines(), round ? "" : "whole;");
		assert_int_equal(statefile_log_open(&log, path, 100), 0);
		assert_int_equal(statefile_log_append(&log, "next"), 0);
		statefile_log_close(&log);
		assert_string_equal(lines(), round ? "next;" : "whole;next;");
	}
}

static void append_second(void)
{
	struct statefile_log log;

	if (statefile_log_open(&log, path, 12) < 0 || statefile_log_append(&log, "second") < 0)
		_exit(1);
}

static void test_an_appender_killed_anywhere_loses_nothing_older(void **state)
{
	char previous[160];
	bool killed = true;

	(void)state;
	snprintf(previous, sizeof(previous), "%s.1", path);
	for (int n = 0; killed; n++) { /* the 12 bytes make it rotate, too */
		struct statefile_log log;

		(void)unlink(path);
		(void)unlink(previous);
		assert_int_equal(statefile_log_open(&log, path, 12), 0);
		assert_int_equal(statefile_log_append(&log, "1st"), 0);
		assert_int_equal(statefile_log_append(&log, "more"), 0);
		statefile_log_close(&log);
		killed = kill_at_syscall(n, append_second);
		assert_int_equal(statefile_log_open(&log, path, 12), 0);
		statefile_log_close(&log);
		if (strcmp(lines(), "1st;more;") != 0 && strcmp(collected, "1st;more;second;") != 0)
			fail_msg("killed at %d: found \"%s\"", n, collected);
		assert_true(n < 1000);
	}
	assert_string_equal(collected, "1st;more;second;");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, test_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_replaces_and_reads),
		TEST(test_json),
		TEST(test_a_writer_killed_anywhere_leaves_old_or_new),
		TEST(test_a_log_grows_and_is_bounded),
		TEST(test_a_torn_line_is_not_shown_and_cut_off),
		TEST(test_an_appender_killed_anywhere_loses_nothing_older),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
