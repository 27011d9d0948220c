/* Modes of the config and of the programs that it names, in a folder made for the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/permissions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct config_errors errors;
static char folder[64];

static const char *in(const char *name)
{
	static char paths[4][128];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(in(name), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(in(name), mode), 0);
}

static const char *const config_text = "cluster: edge\n"
				       "keys: [edge.key]\n"
				       "nodes:\n"
				       "  fw1: { id: 1, address: 10.9.9.1 }\n"
				       "  fw2: { id: 2, address: 10.9.9.2 }\n"
				       "groups:\n"
				       "  edge:\n"
				       "    vhid: 51\n"
				       "    interfaces:\n"
				       "      lan0: [10.1.0.254/24]\n"
				       "    rules: { master: a.nft, backup: b.nft }\n"
				       "    handlers:\n"
				       "      - { name: tell, run: [bin/tell] }\n";

static int set_up(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/config-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(mkdir(in("bin"), 0755), 0);
	write_file("bin/tell", "#!/bin/sh\n", 0755);
	write_file("c.yaml", config_text, 0644);
	write_file("a.nft", "", 0644);
	write_file("b.nft", "", 0644);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"bin/tell", "c.yaml", "a.nft", "b.nft", "real/tell"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(in(names[i])); /* some tests have removed theirs */
	(void)rmdir(in("bin"));
	(void)rmdir(in("real"));
	return rmdir(folder);
}

static void check(const char *node, const char *error, uint32_t line)
{
	struct config *cfg = config_load(in("c.yaml"), node, &errors);

	if (!error) {
		config_errors_print(&errors, stderr);
		assert_non_null(cfg);
		config_free(cfg);
		return;
	}
	assert_null(cfg);
	assert_int_equal(errors.count, 1);
	assert_non_null(strstr(errors.items[0].text, error));
	assert_int_equal(errors.items[0].pos.line, line);
}

static void test_good(void **state)
{
	struct config *cfg;
	char here[512];

	(void)state;
	check(NULL, NULL, 0);
	check("fw1", NULL, 0);
	/* A relative name: what the config names is absolute all the same. */
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(folder), 0);
	cfg = config_load("c.yaml", "fw1", &errors);
	assert_int_equal(chdir(here), 0);
	assert_non_null(cfg);
	assert_string_equal(cfg->keys[0].path, in("edge.key"));
	assert_string_equal(cfg->file, "c.yaml");
	config_free(cfg);
}

static void test_config_file(void **state)
{
	(void)state;
	assert_int_equal(chmod(in("c.yaml"), 0664), 0);
	check(NULL, "can be written by others (mode 0664)", 0);
	assert_int_equal(chmod(in("c.yaml"), 0646), 0);
	check(NULL, "can be written by others (mode 0646)", 0);
	assert_int_equal(unlink(in("c.yaml")), 0);
	check(NULL, "No such file", 0);
	assert_int_equal(mkfifo(in("c.yaml"), 0600), 0);
	check(NULL, "not a regular file", 0); /* and does not wait for a writer */
}

static void test_program(void **state)
{
	(void)state;
	assert_int_equal(chmod(in("bin/tell"), 0775), 0);
	check("fw1", "can be written by others (mode 0775)", 13);
	check(NULL, NULL, 0); /* no node's view: its programs are not looked at */
	assert_int_equal(chmod(in("bin/tell"), 0644), 0);
	check("fw1", "not an executable file", 13);
	assert_int_equal(chmod(in("bin/tell"), 0755), 0);
	assert_int_equal(chmod(in("bin"), 0777), 0);
	check("fw1", "can be written by others (mode 0777)", 13);
	assert_int_equal(chmod(in("bin"), 01777), 0);
	check("fw1", NULL, 0); /* sticky, as /tmp itself above it */
	assert_int_equal(unlink(in("bin/tell")), 0);
	check("fw1", "No such file", 13);
}

static void test_owner(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(in("bin/tell"), 12345, 0), 0);
	check("fw1", "tell' belongs to user 12345", 13);
	assert_int_equal(chown(in("bin/tell"), 0, 12345), 0);
	check("fw1", NULL, 0);
	assert_int_equal(chown(in("bin"), 12345, 0), 0);
	check("fw1", "bin' belongs to user 12345", 13);
	assert_int_equal(chown(in("bin"), 0, 0), 0);
	assert_int_equal(chown(in("c.yaml"), 12345, 0), 0);
	check("fw1", NULL, 0); /* a clone of one's own, run as root */
}

static void test_user(void **state)
{
	char text[1024];

	(void)state;
	snprintf(text, sizeof(text), "%s      - { name: b, run: [bin/tell], user: no-such-one }\n",
		config_text);
	write_file("c.yaml", text, 0644);
	check("fw1", "user 'no-such-one' is not known", 14);
	check(NULL, NULL, 0);
}

/* The link lies in a safe folder, what it points to does not. */
static void test_program_through_link(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in("real"), 0755), 0);
	assert_int_equal(rename(in("bin/tell"), in("real/tell")), 0);
	assert_int_equal(symlink("../real/tell", in("bin/tell")), 0);
	check("fw1", NULL, 0);
	assert_int_equal(chmod(in("real"), 0777), 0);
	check("fw1", "real' can be written by others (mode 0777)", 13);
}

static void test_same_rules(void **state)
{
	(void)state;
	assert_int_equal(unlink(in("b.nft")), 0);
	assert_int_equal(link(in("a.nft"), in("b.nft")), 0);
	check("fw1", "'a.nft' and 'b.nft' are the same file", 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_config_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_program, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_owner, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_user, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_program_through_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_same_rules, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
