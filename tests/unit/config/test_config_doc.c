/* doc/config.md against the parser: its tables are the parser's, and its example is good.
 *
 * After a change of the tables: UPDATE_DOC=1 build/tests/unit/config/test_config_doc rewrites them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/config_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX 65536u
#define BEGIN	 "<!-- keys begin -->\n"
#define END	 "\n<!-- keys end -->\n"

static char page[PAGE_MAX];

static int read_page(void **state)
{
	FILE *file = fopen(TEST_DOC, "r");
	size_t size;

	(void)state;
	if (!file)
		return -1;
	size = fread(page, 1, sizeof(page) - 1, file);
	page[size] = '\0';
	return fclose(file);
}

static void update(const char *tables)
{
	const char *begin = strstr(page, BEGIN), *end = strstr(page, END);
	FILE *file = fopen(TEST_DOC, "w");

	assert_non_null(file);
	assert_true(fprintf(file, "%.*s%s%s", (int)(begin - page) + (int)strlen(BEGIN), page,
			    tables, end) > 0);
	assert_int_equal(fclose(file), 0);
}

static void test_tables(void **state)
{
	const char *begin = strstr(page, BEGIN), *end = strstr(page, END);
	char *tables = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&tables, &size);

	(void)state;
	assert_non_null(begin);
	assert_non_null(end);
	assert_non_null(out);
	config_shape_page(config_parse_shapes, out);
	assert_int_equal(fclose(out), 0);
	begin += strlen(BEGIN);
	if (getenv("UPDATE_DOC"))
		update(tables);
	else if (size != (size_t)(end - begin) || memcmp(begin, tables, size) != 0)
		fail_msg("doc/config.md is not what the parser does: UPDATE_DOC=1 %s",
			"build/tests/unit/config/test_config_doc");
	free(tables);
}

static void test_example(void **state)
{
	static struct config_errors errors;
	const char *begin = strstr(page, "```yaml\n"), *end;
	struct config *cfg;

	(void)state;
	assert_non_null(begin);
	begin += strlen("```yaml\n");
	end = strstr(begin, "```");
	assert_non_null(end);
	cfg = config_parse(begin, (size_t)(end - begin), "doc", "fw2", &errors);
	config_errors_print(&errors, stderr);
	assert_non_null(cfg);
	config_free(cfg);
}

/* The default that the tables say is the one that an empty file gets. */
static void check_default(const struct config_shape_key *key, const char *rendered)
{
	char wanted[128];
	char fallback[CONFIG_SHAPE_RANGE_MAX];
	const char *at;

	config_shape_fallback(key, fallback);
	/* "see below", "none", "5s; in before ...": words, not values */
	if (key->required || key->type == CONFIG_SHAPE_LATER || strcmp(fallback, "none") == 0 ||
		strpbrk(fallback, " ["))
		return;
	snprintf(wanted, sizeof(wanted), " %s: %s\n", key->name, fallback);
	at = strstr(rendered, wanted);
	if (!at)
		fail_msg("not the default:%s", wanted);
}

static void test_defaults(void **state)
{
	static const char text[] = "cluster: c\nkeys: [k]\n"
				   "nodes: { a: { id: 1, address: 10.0.0.1 }, b: { id: 2, "
				   "address: 10.0.0.2 } }\n"
				   "groups: { g: { vhid: 1, interfaces: { lan0: [10.1.0.1/24] },\n"
				   "  rules: { master: fw.nft },\n"
				   "  handlers: [{ name: h, run: [/bin/true] }],\n"
				   "  track: [{ script: [/bin/true], demote: 1 }] } }\nsync: {}\n";
	static struct config_errors errors;
	struct config *cfg = config_parse(text, strlen(text), "c", NULL, &errors);
	char *rendered;

	(void)state;
	assert_non_null(cfg);
	rendered = config_render(cfg);
	assert_non_null(rendered);
	for (const struct config_shape *const *shape = config_parse_shapes; *shape; shape++)
		for (size_t i = 0; i < (*shape)->key_count; i++)
			check_default(&(*shape)->keys[i], rendered);
	free(rendered);
	config_free(cfg);
}

/* The limits that the page states in words. */
static void test_limits(void **state)
{
	char text[256];

	(void)state;
	snprintf(text, sizeof(text),
		"%u nodes, %u groups, %u group interfaces, %u virtual addresses, %u handlers, a "
		"file of %u MiB",
		LIMIT_NODES, LIMIT_GROUPS, LIMIT_INTERFACES, LIMIT_ADDRESSES, LIMIT_HANDLERS,
		CONFIG_FILE_BYTES_MAX >> 20);
	assert_non_null(strstr(page, text));
	snprintf(text, sizeof(text), "up to %u", CONFIG_ERRORS_MAX);
	assert_non_null(strstr(page, text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, read_page, NULL);
}
