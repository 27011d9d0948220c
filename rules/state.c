#include "rules/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "rules/listing.h"

#define ELEMENTS_MAX (1u << 22) /* of one set */

static const char *const kind_words[] = {
	[STATE_KIND_SET] = "set",
	[STATE_KIND_MAP] = "map",
	[STATE_KIND_COUNTER] = "counter",
	[STATE_KIND_QUOTA] = "quota",
};

/* ---- reading ----------------------------------------------------------------------------------
 */

struct reader {
	const char *pos;
	const char *end;
	const char *line;
	size_t length; /* without the newline */
	uint8_t family;
	char table[RULES_TABLE_NAME_MAX + sizeof(RULES_SWAP_PREFIX)];
};

static bool next_line(struct reader *r)
{
	const char *newline;

	if (r->pos >= r->end)
		return false;
	newline = memchr(r->pos, '\n', (size_t)(r->end - r->pos));
	r->line = r->pos;
	r->length = (size_t)((newline ? newline : r->end) - r->pos);
	r->pos = newline ? newline + 1 : r->end;
	return true;
}

static bool begins(const struct reader *r, const char *text)
{
	size_t length = strlen(text);

	return r->length >= length && !memcmp(r->line, text, length);
}

static char *copy(struct state *state, const char *text, size_t length)
{
	char *made = malloc(length + 1);

	state->failed |= made == NULL;
	if (!made)
		return NULL;
	memcpy(made, text, length); /* which has no end of its own */
	made[length] = '\0';
	return made;
}

/* read_table: "table inet fw {": from here on blocks are of it. */
static void read_table(struct reader *r)
{
	const char *family = r->line + strlen("table "), *end = r->line + r->length - 2;
	const char *space;

	r->family = 0;
	if (r->length < strlen("table x y {") || memcmp(end, " {", 2) != 0)
		return;
	space = memchr(family, ' ', (size_t)(end - family));
	if (!space || (size_t)(end - space - 1) >= sizeof(r->table))
		return;
	r->family = listing_family(family, (size_t)(space - family));
	memcpy(r->table, space + 1, (size_t)(end - space - 1));
	r->table[end - space - 1] = '\0';
}

/* block_head: "\tset NAME {"; the kind, or STATE_KIND_COUNT. */
static enum state_kind block_head(
	const char *line, size_t length, const char **ret_name, size_t *ret_length)
{
	for (size_t i = 0; i < STATE_KIND_COUNT; i++) {
		size_t word = strlen(kind_words[i]);

		if (length < word + 5 || line[0] != '\t' ||
			memcmp(line + 1, kind_words[i], word) != 0 || line[1 + word] != ' ' ||
			memcmp(line + length - 2, " {", 2) != 0)
			continue;
		*ret_name = line + word + 2;
		*ret_length = length - word - 4;
		return (enum state_kind)i;
	}
	return STATE_KIND_COUNT;
}

static void add_element(
	struct state *state, struct state_block *block, const char *start, const char *end)
{
	char *element;

	while (start < end && strchr(" \t\n", *start))
		start++;
	while (end > start && strchr(" \t\n", end[-1]))
		end--;
	if (start == end)
		return;
	if (block->element_count == block->element_capacity) {
		size_t more = block->element_capacity ? block->element_capacity * 2 : 16;
		char **grown = more > ELEMENTS_MAX
				       ? NULL
				       : realloc(block->elements, more * sizeof(*grown));

		if (!grown) {
			state->failed = true;
			return;
		}
		block->elements = grown;
		block->element_capacity = more;
	}
	element = copy(state, start, (size_t)(end - start));
	if (element)
		block->elements[block->element_count++] = element;
}

/* read_elements: from behind "elements = {" to the brace that closes it, over lines. */
static void read_elements(struct state *state, struct state_block *block, struct reader *r)
{
	const char *pos = r->line + strlen("\t\telements = {"), *start = pos;
	bool quoted = false;

	for (; pos < r->end; pos++) {
		if (*pos == '"')
			quoted = !quoted;
		if (quoted || (*pos != ',' && *pos != '}'))
			continue;
		add_element(state, block, start, pos);
		start = pos + 1;
		if (*pos == '}')
			break;
	}
	r->pos = pos < r->end ? pos + 1 : r->end;
}

static void read_block_line(struct state *state, struct state_block *block, struct reader *r)
{
	const char *text = r->line + 2;
	size_t length = r->length - 2;

	if (begins(r, "\t\telements = {"))
		read_elements(state, block, r);
	else if ((begins(r, "\t\ttype ") || begins(r, "\t\ttypeof ")) && !block->type)
		block->type = copy(state, text, length);
	else if (block->kind == STATE_KIND_COUNTER && begins(r, "\t\tpackets ") && !block->value)
		block->value = copy(state, text, length);
	else if (block->kind == STATE_KIND_QUOTA && !begins(r, "\t\tcomment ") && !block->value)
		block->value = copy(state, text, length);
}

static struct state_block *new_block(struct state *state)
{
	if (state->count == state->capacity) {
		size_t capacity = state->capacity ? state->capacity * 2 : 16;
		struct state_block *grown =
			capacity > STATE_BLOCKS_MAX
				? NULL
				: realloc(state->blocks, capacity * sizeof(*grown));

		if (!grown) {
			state->failed = true;
			return NULL;
		}
		state->blocks = grown;
		state->capacity = capacity;
	}
	state->blocks[state->count] = (struct state_block){0};
	return &state->blocks[state->count++];
}

void state_add_object(struct state *state, enum state_kind kind, uint8_t family, const char *table,
	const char *name, const char *value)
{
	struct state_block *block = new_block(state);

	if (!block)
		return;
	block->kind = kind;
	block->family = family;
	block->table = copy(state, table, strlen(table));
	block->name = copy(state, name, strlen(name));
	block->value = copy(state, value, strlen(value));
}

static void read_block(struct state *state, struct reader *r)
{
	const char *name;
	size_t length;
	enum state_kind kind = block_head(r->line, r->length, &name, &length);
	struct state_block *block = NULL;

	if (kind == STATE_KIND_COUNT || r->family == 0)
		return;
	block = new_block(state);
	if (!block)
		return;
	block->kind = kind;
	block->family = r->family;
	block->table = copy(state, r->table, strlen(r->table));
	block->name = copy(state, name, length);
	while (!state->failed && next_line(r) && !(r->length == 2 && begins(r, "\t}"))) {
		if (r->length > 2)
			read_block_line(state, block, r);
	}
}

void state_read(struct state *state, const char *text, size_t length)
{
	struct reader r = {.pos = text, .end = text + length};

	while (!state->failed && next_line(&r)) {
		if (begins(&r, "table "))
			read_table(&r);
		else
			read_block(state, &r);
	}
}

void state_free(struct state *state)
{
	for (size_t i = 0; i < state->count; i++) {
		struct state_block *block = &state->blocks[i];

		for (size_t k = 0; k < block->element_count; k++)
			free(block->elements[k]);
		free(block->elements);
		free(block->table);
		free(block->name);
		free(block->type);
		free(block->value);
	}
	free(state->blocks);
	*state = (struct state){0};
}

const struct state_block *state_lookup(const struct state *state, uint8_t family, const char *table,
	enum state_kind kind, const char *name)
{
	for (size_t i = 0; i < state->count; i++) {
		const struct state_block *block = &state->blocks[i];

		if (block->family == family && block->kind == kind && !strcmp(block->name, name) &&
			!strcmp(block->table, table))
			return block;
	}
	return NULL;
}

/* ---- elements ---------------------------------------------------------------------------------
 */

size_t state_key_length(const char *element)
{
	static const char *const words[] = {
		"counter", "timeout", "expires", "comment", "limit", "quota", "last", "ct", ":"};
	bool quoted = false;

	for (const char *pos = element; *pos; pos++) {
		if (*pos == '"')
			quoted = !quoted;
		if (quoted || *pos != ' ')
			continue;
		for (size_t i = 0; i < ARRAY_LEN(words); i++) {
			size_t length = strlen(words[i]);

			if (!strncmp(pos + 1, words[i], length) &&
				(pos[1 + length] == ' ' || pos[1 + length] == '\0'))
				return (size_t)(pos - element);
		}
	}
	return strlen(element);
}

static int compare_keys(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	size_t x_length = state_key_length(x), y_length = state_key_length(y);
	int order = memcmp(x, y, x_length < y_length ? x_length : y_length);

	if (order != 0)
		return order;
	return x_length < y_length ? -1 : x_length > y_length;
}

/* listed: whether a file's set names the element; the set's elements are sorted once. */
static bool listed(const struct state_block *sorted, const char *element)
{
	return sorted && sorted->element_count > 0 &&
	       bsearch(&element, sorted->elements, sorted->element_count, sizeof(*sorted->elements),
		       compare_keys) != NULL;
}

static void sort(const struct state_block *block)
{
	if (block && block->element_count > 1)
		qsort(block->elements, block->element_count, sizeof(*block->elements),
			compare_keys);
}

/* own_name: the file's name of a table; NULL: not one of ours. */
static const char *own_name(const char *table, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(table, prefix, length) == 0 ? table + length : NULL;
}

static void command_begin(
	struct text *ret, const struct state_move *move, const struct state_block *block)
{
	text_add_string(ret, "add element ");
	text_add_string(ret, listing_family_name(block->family));
	text_add_string(ret, " ");
	text_add_string(ret, move->new_prefix);
	text_add_string(ret, own_name(block->table, move->live_prefix));
	text_add_string(ret, " ");
	text_add_string(ret, block->name);
	text_add_string(ret, " { ");
}

size_t state_elements(const struct state_move *move, const struct state_block *block,
	struct text *ret, size_t *ret_lost, const char **ret_why)
{
	const char *table = own_name(block->table, move->live_prefix);
	const struct state_block *old_set = NULL, *new_set;
	size_t count = 0;
	bool fits;

	*ret_lost = 0;
	*ret_why = "the new rules have no such set";
	if (!table || !strcmp(block->name, RULES_CANARY_SET) ||
		(block->kind != STATE_KIND_SET && block->kind != STATE_KIND_MAP))
		return 0;
	if (move->old_file)
		old_set = state_lookup(
			move->old_file, block->family, table, block->kind, block->name);
	new_set = state_lookup(move->new_file, block->family, table, block->kind, block->name);
	fits = new_set && block->type && new_set->type && !strcmp(block->type, new_set->type);
	if (new_set && !fits)
		*ret_why = "its type is another one now";
	sort(old_set);
	sort(new_set);
	for (size_t i = 0; i < block->element_count; i++) {
		const char *element = block->elements[i];

		if (listed(old_set, element) || (fits && listed(new_set, element)))
			continue;
		*ret_lost += !fits;
		if (!fits)
			continue;
		if (count++ == 0)
			command_begin(ret, move, block);
		else
			text_add_string(ret, ", ");
		text_add_string(ret, element);
	}
	if (count > 0)
		text_add_string(ret, " }\n");
	return count;
}

/* ---- counters and quotas ----------------------------------------------------------------------
 */

/* live_value: of the object whose block begins at this line of the new text. */
static const char *live_value(
	const struct state_move *move, const struct reader *r, enum state_kind *ret_kind)
{
	char table[2 * RULES_TABLE_NAME_MAX], object[2 * RULES_TABLE_NAME_MAX];
	const struct state_block *block;
	const char *name, *own = own_name(r->table, move->new_prefix);
	size_t length;
	enum state_kind kind = block_head(r->line, r->length, &name, &length);

	*ret_kind = kind;
	if ((kind != STATE_KIND_COUNTER && kind != STATE_KIND_QUOTA) || !own || !r->family ||
		length >= sizeof(object) ||
		strlen(own) + strlen(move->live_prefix) >= sizeof(table))
		return NULL;
	memcpy(object, name, length);
	object[length] = '\0';
	snprintf(table, sizeof(table), "%s%s", move->live_prefix, own);
	block = state_lookup(move->live, r->family, table, kind, object);
	return block ? block->value : NULL;
}

void state_objects(const struct state_move *move, const char *text, size_t length, struct text *ret)
{
	struct reader r = {.pos = text, .end = text + length};
	const char *used = NULL; /* of the quota whose block this is */

	while (next_line(&r)) {
		enum state_kind kind;
		const char *value;

		if (begins(&r, "table "))
			read_table(&r);
		value = live_value(move, &r, &kind);
		text_add(ret, r.line, r.length);
		if (used && r.length > 2 && !begins(&r, "\t\tcomment ")) {
			text_add_string(ret, used);
			used = NULL;
		}
		text_add(ret, "\n", 1);
		if (begins(&r, "\t}"))
			used = NULL;
		if (value && kind == STATE_KIND_QUOTA)
			used = strstr(value, " used ");
		if (!value || kind != STATE_KIND_COUNTER)
			continue;
		text_add_string(ret, "\t\t");
		text_add_string(ret, value);
		text_add_string(ret, "\n");
	}
}
