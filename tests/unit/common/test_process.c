/* notify.h, caps.h, sysctl.h and realtime.h: what a process tells and asks of its system. Each runs
 * in a child where it would change the test itself. */
#include "tests/unit/common/test.h"

#include "common/io/caps.h"
#include "common/io/notify.h"
#include "common/io/realtime.h"
#include "common/io/sysctl.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int in_child(int (*run)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		_exit(run());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_notify_without_systemd_is_harmless(void **state)
{
	(void)state;
	(void)unsetenv("NOTIFY_SOCKET");
	notify_ready();
	notify_reloading();
	notify_stopping();
	notify_watchdog();
	notify_status("%d flows", 7);
}

static void test_notify_tells_systemd(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char text[256];
	ssize_t size;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", (char *)*state);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	notify_status("two\nlines of %s", "text");
	size = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(size > 0);
	text[size] = 0;
	assert_string_equal(text, "STATUS=two lines of text");
	notify_ready();
	size = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(size > 0);
	text[size] = 0;
	assert_string_equal(text, "READY=1");
	unsetenv("NOTIFY_SOCKET");
	close(fd);
}

static int keep_two(void)
{
	static const int keep[] = {CAP_NET_ADMIN, CAP_NET_RAW};
	static const int again[] = {CAP_NET_RAW, CAP_SYS_ADMIN};
	char missing[CAPS_TEXT_MAX];

	if (!caps_has(CAP_NET_ADMIN) || !caps_has(CAP_NET_RAW) || !caps_has(CAP_SYS_ADMIN))
		return TEST_SKIP;
	if (caps_limit(keep, 2, missing) != 0 || missing[0])
		return 1;
	if (!caps_has(CAP_NET_ADMIN) || !caps_has(CAP_NET_RAW) || caps_has(CAP_SYS_ADMIN) ||
		caps_has(CAP_DAC_OVERRIDE))
		return 2;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN))
		return 3;
	/* Asking for what is gone: said by name, and the rest is kept. */
	if (caps_limit(again, 2, missing) != 1 || strcmp(missing, "sys_admin") != 0)
		return 4;
	return caps_has(CAP_NET_RAW) && !caps_has(CAP_NET_ADMIN) ? 0 : 5;
}

static int keep_without_any(void)
{
	static const int keep[] = {CAP_NET_ADMIN};
	char missing[CAPS_TEXT_MAX];

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		return TEST_SKIP;
	return caps_limit(keep, 1, missing) == 1 && strcmp(missing, "net_admin") == 0 ? 0 : 1;
}

static void test_capabilities(void **state)
{
	int r = in_child(keep_two);

	(void)state;
	assert_int_equal(in_child(keep_without_any), 0);
	if (r == TEST_SKIP)
		skip();
	assert_int_equal(r, 0);
}

static void test_sysctl(void **state)
{
	int64_t value = -1;

	(void)state;
	assert_int_equal(sysctl_read("kernel/pid_max", &value), 0);
	assert_true(value > 0);
	assert_int_equal(sysctl_read("kernel/no_such_value", &value), -ENOENT);
	assert_int_equal(sysctl_read("kernel/ostype", &value), -EBADMSG);
	assert_int_equal(sysctl_ensure("kernel/no_such_value", 1), -ENOENT);
}

static int sysctl_in_namespace(void)
{
	static const char name[] = "net/ipv4/conf/lo/promote_secondaries";
	int64_t value = -1;

	if (unshare(CLONE_NEWNET) < 0)
		return TEST_SKIP;
	if (sysctl_write(name, 0) < 0 || sysctl_ensure(name, 1) != 1 || sysctl_ensure(name, 1) != 0)
		return 1;
	return sysctl_read(name, &value) == 0 && value == 1 ? 0 : 2;
}

static void test_sysctl_write(void **state)
{
	int r = in_child(sysctl_in_namespace);

	(void)state;
	if (r == TEST_SKIP)
		skip();
	assert_int_equal(r, 0);
}

static int realtime_here(void)
{
	char missing[REALTIME_TEXT_MAX];
	int refused = realtime_enable(1, missing);

	if (refused == 0)
		return missing[0] == 0 &&
				       sched_getscheduler(0) == (SCHED_FIFO | SCHED_RESET_ON_FORK)
			       ? 0
			       : 1;
	return missing[0] ? 0 : 2; /* whatever was refused has been said */
}

static int realtime_as_nobody(void)
{
	char missing[REALTIME_TEXT_MAX];

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		return TEST_SKIP;
	if (realtime_enable(1, missing) == 0)
		return TEST_SKIP; /* this user is allowed to */
	return strstr(missing, "real-time scheduling (") || strstr(missing, "locked memory (") ? 0
											       : 1;
}

static void test_realtime_says_what_was_refused(void **state)
{
	int r = in_child(realtime_as_nobody);

	(void)state;
	assert_int_equal(in_child(realtime_here), 0);
	if (r == TEST_SKIP)
		skip();
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notify_without_systemd_is_harmless),
		cmocka_unit_test_setup_teardown(
			test_notify_tells_systemd, test_folder, test_folder_remove),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_sysctl),
		cmocka_unit_test(test_sysctl_write),
		cmocka_unit_test(test_realtime_says_what_was_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
