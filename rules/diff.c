/* diff.c: how the rules in the kernel differ from those that were loaded, line by line.
 *
 * Both sides are what `nft -s list ruleset` prints. Left out is what may change rightfully:
 * elements of sets, whether a table sleeps, the canary. A line that is no longer there is marked
 * `-`, one that came `+`, each with its table and chain. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/io/clock.h"
#include "rules/compile.h"
#include "rules/listing.h"
#include "rules/nft.h"
#include "rules/report.h"
#include "rules/text.h"

#define DIFF_WINDOW 256u /* lines in which two texts must meet again to be told line by line */

struct diff_line {
	const char *text;
	size_t length;
	const char *place; /* the line that begins its chain or set; "" = the table's own */
	size_t place_length;
};

struct diff_lines {
	struct diff_line *lines;
	size_t count;
	size_t capacity;
	bool failed;
	bool found; /* the table is there */
};

static void add_line(struct diff_lines *l, struct diff_line line)
{
	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? l->capacity * 2 : 64;
		struct diff_line *grown = realloc(l->lines, capacity * sizeof(*grown));

		if (!grown) {
			l->failed = true;
			return;
		}
		l->lines = grown;
		l->capacity = capacity;
	}
	l->lines[l->count++] = line;
}

static const char *line_end(const char *pos)
{
	return pos + strcspn(pos, "\n");
}

/* table_body: from the line behind "table FAMILY NAME {"; NULL: no such table. */
static const char *table_body(const char *text, const struct rules_table *table)
{
	const char *family = listing_family_name(table->family);
	size_t family_length = strlen(family), name_length = strlen(table->name);

	for (const char *pos = text; *pos;
		pos = *line_end(pos) ? line_end(pos) + 1 : line_end(pos)) {
		const char *at = pos;

		if (strncmp(at, "table ", 6) != 0 || strncmp(at + 6, family, family_length) != 0)
			continue;
		at += 6 + family_length;
		if (*at == ' ' && !strncmp(at + 1, table->name, name_length) &&
			!strncmp(at + 1 + name_length, " {\n", 3))
			return at + 1 + name_length + 3;
	}
	return NULL;
}

/* take_lines: what counts of one table. */
static void take_lines(const char *text, const struct rules_table *table, struct diff_lines *ret)
{
	const char *pos = table_body(text, table), *place = "";
	size_t place_length = 0;
	bool in_elements = false;

	ret->found = pos != NULL;
	for (; pos && *pos && *pos != '}';
		pos = *line_end(pos) ? line_end(pos) + 1 : line_end(pos)) {
		size_t length = (size_t)(line_end(pos) - pos);

		in_elements |= !strncmp(pos, "\t\telements = {", 14);
		if (in_elements) {
			in_elements = pos[length - 1] != '}';
			continue;
		}
		if (length == 0 || !strncmp(pos, "\tflags dormant\n", 15))
			continue;
		if (length > 3 && pos[0] == '\t' && pos[1] != '\t' && pos[1] != '}') {
			place = pos + 1;
			place_length = length - 1;
			if (!memcmp(pos + length - 2, " {", 2))
				place_length -= 2;
		}
		add_line(ret, (struct diff_line){pos, length, place, place_length});
	}
}

static bool same(const struct diff_line *a, const struct diff_line *b)
{
	return a->length == b->length && !memcmp(a->text, b->text, a->length);
}

static void tell(struct rules_report *report, const struct rules_table *table, char mark,
	const struct diff_line *line)
{
	size_t indent = strspn(line->text, "\t");
	const char *text = line->text + indent;
	size_t length = line->length - indent;

	if (length == 1 && *text == '}')
		return; /* the end of a chain that is told by its first line */
	if (indent < 2)
		report_add(report, "%c table %s %s: %.*s", mark, listing_family_name(table->family),
			table->name, (int)line->place_length, line->place);
	else
		report_add(report, "%c table %s %s, %.*s: %.*s", mark,
			listing_family_name(table->family), table->name, (int)line->place_length,
			line->place, (int)(length > 300 ? 300 : length), text);
}

/* meet: how far both sides must be skipped until they are the same again, the least of both. */
static void meet(const struct diff_lines *a, size_t x, const struct diff_lines *b, size_t y,
	size_t *ret_x, size_t *ret_y)
{
	for (size_t sum = 1; sum < DIFF_WINDOW; sum++) {
		for (size_t i = 0; i <= sum; i++) {
			if (x + i < a->count && y + sum - i < b->count &&
				same(&a->lines[x + i], &b->lines[y + sum - i])) {
				*ret_x = x + i;
				*ret_y = y + sum - i;
				return;
			}
		}
	}
	*ret_x = a->count;
	*ret_y = b->count;
}

static size_t compare_table(const struct rules_table *table, const struct diff_lines *loaded,
	const struct diff_lines *now, struct rules_report *report)
{
	size_t x = 0, y = 0, count = 0;

	while (x < loaded->count || y < now->count) {
		size_t to_x, to_y;

		if (x < loaded->count && y < now->count &&
			same(&loaded->lines[x], &now->lines[y])) {
			x++;
			y++;
			continue;
		}
		meet(loaded, x, now, y, &to_x, &to_y);
		count += to_x - x + to_y - y;
		for (; x < to_x; x++)
			tell(report, table, '-', &loaded->lines[x]);
		for (; y < to_y; y++)
			tell(report, table, '+', &now->lines[y]);
	}
	return count;
}

static int diff_table(const struct rules_table *table, const char *loaded_text,
	const char *now_text, struct rules_report *report)
{
	struct diff_lines loaded = {0}, now = {0};
	int r = 0;

	take_lines(loaded_text, table, &loaded);
	take_lines(now_text, table, &now);
	if (loaded.failed || now.failed)
		r = -ENOMEM;
	else if (!now.found)
		report_add(report, "- table %s %s: all of it", listing_family_name(table->family),
			table->name);
	else
		(void)compare_table(table, &loaded, &now, report);
	free(loaded.lines);
	free(now.lines);
	return r;
}

int rules_diff(const struct rules_compiled *compiled, struct rules_report *report)
{
	static const char *const list[] = {"-s", "list", "ruleset", NULL};
	mono_t deadline = mono_add(clock_now(), dur_ms(RULES_COMPILE_TIMEOUT_MS));
	struct nft_output output = {0};
	struct text now = {0};
	size_t count;
	const struct rules_table *tables = compile_tables(compiled, &count);
	int r = nft_run(list, NULL, NULL, 0, deadline, &output);

	if (r == 0 && output.status != 0)
		r = -EIO;
	text_add_string(&now, "");
	if (r == 0)
		listing_strip(output.out, output.out_length, &now);
	if (r == 0 && now.failed)
		r = -ENOMEM;
	for (size_t i = 0; i < count && r == 0; i++)
		r = diff_table(&tables[i],
			rules_compiled_text(compiled, (enum rules_role)tables[i].role), now.bytes,
			report);
	free(now.bytes);
	nft_output_fini(&output);
	return r;
}
