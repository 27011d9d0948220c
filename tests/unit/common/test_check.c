/* check.h: a broken invariant runs the hook once, tells where, and ends the process. */
#include "tests/unit/common/test.h"

#include "common/check.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int hook_fd;

static void hook(void)
{
	if (write(hook_fd, "hook;", 5) != 5)
		_exit(1);
	CHECK(hook_fd < 0); /* a hook that fails itself must not run again */
}

static void test_a_failed_check(void **state)
{
	static const struct rlimit no_core = {0, 0};
	char text[512];
	size_t used = 0;
	ssize_t size;
	int fds[2], status;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGABRT, SIG_DFL); /* cmocka has a handler of its own there */
		(void)dup2(fds[1], STDERR_FILENO);
		hook_fd = fds[1];
		check_set_hook(hook);
		CHECK(1 + 1 == 2);
		CHECK(1 + 1 == 3);
		_exit(0);
	}
	close(fds[1]);
	while ((size = read(fds[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)size;
	text[used] = 0;
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(text, "1 + 1 == 3"));
	assert_non_null(strstr(text, "test_check.c"));
	assert_non_null(strstr(text, "hook;"));
	assert_null(strstr(strstr(text, "hook;") + 1, "hook;"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_failed_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
