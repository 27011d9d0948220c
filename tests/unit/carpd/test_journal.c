/* The fields that carpd gives the journal, as the journal's own socket receives them, and that the
 * catalog explains each message. Needs a mount namespace for a /run of its own; skips without. */
#include "carpd/journal.h"

#include "common/io/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define TEST_SOCKET "/run/systemd/journal/socket"

static int test_fd = -1;

/* test_open: a private /run with a socket where sd_journal_sendv(3) looks, and standard error as
 * systemd would give it. False when the kernel does not allow it. */
static bool test_open(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = TEST_SOCKET};
	char stream[64];
	struct stat st;

	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("none", "/run", "tmpfs", 0, NULL) != 0)
		return false;
	assert_int_equal(mkdir("/run/systemd", 0755), 0);
	assert_int_equal(mkdir("/run/systemd/journal", 0755), 0);
	test_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(test_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open("carpd", LOG_LEVEL_INFO);
	return true;
}

static const char *test_receive(void)
{
	static char entry[4096];
	ssize_t length = recv(test_fd, entry, sizeof(entry) - 1, MSG_DONTWAIT);

	assert_true(length > 0);
	entry[length] = '\0';
	return entry;
}

static void test_has(const char *entry, const char *field)
{
	char line[256];

	snprintf(line, sizeof(line), "%s\n", field);
	if (!strstr(entry, line))
		fail_msg("no %s in:\n%s", field, entry);
}

static void test_fields(void **state)
{
	const struct journal_transition transition = {
		"edge", "backup", "master", "MASTER_DEAD", 7, " (silent_us 31020)"};
	const char *entry;

	(void)state;
	if (!test_open())
		skip();
	journal_transition(&transition);
	entry = test_receive();
	test_has(entry, "MESSAGE=edge: backup -> master, MASTER_DEAD, term 7 (silent_us 31020)");
	test_has(entry, "PRIORITY=5");
	test_has(entry, "SYSLOG_IDENTIFIER=carpd");
	test_has(entry, "MESSAGE_ID=" JOURNAL_ID_TRANSITION);
	test_has(entry, "CARPOOL_GROUP=edge");
	test_has(entry, "CARPOOL_STATE_BEFORE=backup");
	test_has(entry, "CARPOOL_STATE=master");
	test_has(entry, "CARPOOL_REASON=MASTER_DEAD");
	test_has(entry, "CARPOOL_TERM=7");

	journal_alarm("edge", "PATH_SPLIT", true, "");
	entry = test_receive();
	test_has(entry, "MESSAGE=edge: alarm PATH_SPLIT");
	test_has(entry, "PRIORITY=4");
	test_has(entry, "MESSAGE_ID=" JOURNAL_ID_ALARM);
	test_has(entry, "CARPOOL_ALARM=PATH_SPLIT");

	journal_alarm("edge", "PATH_SPLIT", false, "");
	entry = test_receive();
	test_has(entry, "MESSAGE=edge: alarm PATH_SPLIT is over");
	test_has(entry, "PRIORITY=5");
	test_has(entry, "MESSAGE_ID=" JOURNAL_ID_ALARM_ENDED);
}

static void test_catalog(void **state)
{
	static const char *const ids[] = {
		JOURNAL_ID_TRANSITION, JOURNAL_ID_ALARM, JOURNAL_ID_ALARM_ENDED};
	static char text[16384];
	FILE *file = fopen(TEST_CATALOG, "re");
	size_t length;

	(void)state;
	assert_non_null(file);
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = '\0';
	assert_int_equal(fclose(file), 0);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		char head[64];

		snprintf(head, sizeof(head), "\n-- %s\nSubject: ", ids[i]);
		assert_non_null(strstr(text, head));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_catalog),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
