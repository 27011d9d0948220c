/* log.h: one line a message, errno kept and appended, and a reader that has stopped stops nobody.
 */
#include "tests/unit/common/test.h"

#include "common/io/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int saved, pipe_fds[2];

static int redirect(void **state)
{
	(void)state;
	saved = dup(STDERR_FILENO);
	if (pipe(pipe_fds) < 0 || dup2(pipe_fds[1], STDERR_FILENO) < 0)
		return -1;
	fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
	log_open("testd", LOG_LEVEL_INFO);
	return 0;
}

static int restore(void **state)
{
	(void)state;
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return 0;
}

static const char *seen(void)
{
	static char text[4096];
	ssize_t size = read(pipe_fds[0], text, sizeof(text) - 1);

	text[size > 0 ? size : 0] = 0;
	return text;
}

static void test_lines(void **state)
{
	static const char *const fields[] = {"CARPOOL_GROUP=edge", NULL};

	(void)state;
	log_info("group %s: %d", "edge", 7);
	assert_string_equal(seen(), "testd: group edge: 7\n");
	errno = ENOENT;
	log_warn("cannot open %s", "x");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(seen(), "testd: cannot open x: No such file or directory\n");
	errno = EPERM;
	log_warnx("plain");
	assert_int_equal(errno, EPERM);
	assert_string_equal(seen(), "testd: plain\n");
	log_debug("too detailed");
	assert_string_equal(seen(), "");
	log_fields(LOG_LEVEL_NOTICE, fields, "with fields");
	assert_string_equal(seen(), "testd: with fields\n");
}

static void test_a_long_message_is_cut_and_still_one_line(void **state)
{
	char long_text[5000];
	const char *text;

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = 0;
	log_notice("%s", long_text);
	text = seen();
	assert_true(strlen(text) < 2200);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void test_a_reader_that_stopped_costs_lines_not_time(void **state)
{
	uint64_t before = log_lost_count();

	(void)state;
	/* A pipe holds 64 KiB. Were one of these to block, meson's time limit would tell. */
	for (int i = 0; i < 2000; i++)
		log_notice("%0100d", i);
	assert_true(log_lost_count() > before);
	while (seen()[0])
		;
	log_notice("back");
	assert_string_equal(seen(), "testd: back\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, redirect, restore),
		cmocka_unit_test_setup_teardown(
			test_a_long_message_is_cut_and_still_one_line, redirect, restore),
		cmocka_unit_test_setup_teardown(
			test_a_reader_that_stopped_costs_lines_not_time, redirect, restore),
	};

	(void)unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
