/* Bad files: one good file, one change each, and every error that the parser must then tell, in the
 * order of the file, with line and column. A case names the line that it replaces (0: the whole
 * file; past the end: appended). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 8192u

static const char *const good[] = {
	"cluster: edge",		       /* 1 */
	"keys: [edge.key]",		       /* 2 */
	"nodes:",			       /* 3 */
	"  fw1: { id: 1, address: 10.9.9.1 }", /* 4 */
	"  fw2: { id: 2, address: 10.9.9.2 }", /* 5 */
	"groups:",			       /* 6 */
	"  edge:",			       /* 7 */
	"    vhid: 51",			       /* 8 */
	"    interfaces:",		       /* 9 */
	"      lan0: [10.1.0.254/24]",	       /* 10 */
	"      wan0: [10.2.0.254/24]",	       /* 11 */
};
#define GOOD_LINES (sizeof(good) / sizeof(good[0]))
#define END	   (GOOD_LINES + 1)

struct bad {
	unsigned int line;
	const char *text;
	const char *errors; /* "LINE:COL: text\n..." */
};

static const struct bad cases[] = {
#include "bad_cases.inc"
};

static void build(const struct bad *bad, char *text)
{
	size_t used = 0;

	if (bad->line == 0) {
		snprintf(text, TEXT_MAX, "%s", bad->text);
		return;
	}
	for (unsigned int i = 1; i <= END; i++) {
		const char *line = i == bad->line    ? bad->text
				   : i <= GOOD_LINES ? good[i - 1]
						     : NULL;

		if (line)
			used += (size_t)snprintf(text + used, TEXT_MAX - used, "%s\n", line);
		assert_true(used < TEXT_MAX);
	}
}

static void render(const struct config_errors *errors, char *text)
{
	size_t used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < errors->count; i++) {
		char line[CONFIG_ERROR_LINE_MAX];

		config_errors_render(errors, i, line);
		assert_int_equal(strncmp(line, "f.yaml:", 7), 0);
		used += (size_t)snprintf(
			text + used, TEXT_MAX - used, "%s%s", i ? "\n" : "", line + 7);
		assert_true(used < TEXT_MAX);
	}
}

static void test_good_file(void **state)
{
	const struct bad nothing = {END + 1, NULL, NULL};
	static struct config_errors errors;
	char text[TEXT_MAX];
	struct config *cfg;

	(void)state;
	build(&nothing, text);
	cfg = config_parse(text, strlen(text), "f.yaml", "fw2", &errors);
	config_errors_print(&errors, stderr);
	assert_non_null(cfg);
	assert_int_equal(errors.count, 0);
	assert_string_equal(cfg->self->name, "fw2");
	config_free(cfg);
}

/* With PRINT_BAD=1 in the environment the table's third column is printed for whoever changes a
 * text; it must be read before it is believed. */
static void test_bad_files(void **state)
{
	static struct config_errors errors;
	char text[TEXT_MAX], got[TEXT_MAX];
	unsigned int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *cfg;

		build(&cases[i], text);
		cfg = config_parse(text, strlen(text), "f.yaml", NULL, &errors);
		render(&errors, got);
		if (getenv("PRINT_BAD"))
			fprintf(stderr, "--- %zu: %u: %s\n%s\n", i, cases[i].line, cases[i].text,
				got);
		if (cfg || strcmp(got, cases[i].errors) != 0) {
			fprintf(stderr, "case %zu (line %u: %s)\nwanted:\n%s\ngot:\n%s\n\n", i,
				cases[i].line, cases[i].text, cases[i].errors, got);
			wrong++;
		}
		config_free(cfg);
	}
	assert_int_equal(wrong, 0);
}

/* A node that is not in the file. */
static void test_unknown_self(void **state)
{
	const struct bad nothing = {END + 1, NULL, NULL};
	static struct config_errors errors;
	char text[TEXT_MAX], got[TEXT_MAX];

	(void)state;
	build(&nothing, text);
	assert_null(config_parse(text, strlen(text), "f.yaml", "fw3", &errors));
	render(&errors, got);
	assert_string_equal(got, "1:1: no node 'fw3' in this file; allowed: fw1, fw2");
}

/* More errors than the list holds: the first ones are kept, the others counted. */
static void test_too_many_errors(void **state)
{
	static struct config_errors errors;
	static char text[4096];
	size_t used = 0;

	(void)state;
	for (unsigned int i = 0; i < CONFIG_ERRORS_MAX + 10; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "nonsense%u: 1\n", i);
	assert_null(config_parse(text, strlen(text), "f.yaml", NULL, &errors));
	assert_int_equal(errors.count, CONFIG_ERRORS_MAX);
	assert_int_equal(errors.lost_count, 10 + 4); /* and four required keys are missing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_file),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_unknown_self),
		cmocka_unit_test(test_too_many_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
