#include "rules/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

#include <linux/netfilter.h>

#include "common/check.h"
#include "common/crypto.h"

#define NESTING_MAX  4u		/* lists in lists: nft prints none deeper than 2 */
#define ELEMENTS_MAX (1u << 22) /* of one list */

static const struct {
	const char *word;
	uint8_t family;
} families[] = {
	{"ip", NFPROTO_IPV4},
	{"ip6", NFPROTO_IPV6},
	{"inet", NFPROTO_INET},
	{"arp", NFPROTO_ARP},
	{"bridge", NFPROTO_BRIDGE},
	{"netdev", NFPROTO_NETDEV},
};

uint8_t listing_family(const char *word, size_t length)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if (strlen(families[i].word) == length && !memcmp(word, families[i].word, length))
			return families[i].family;
	}
	return 0;
}

const char *listing_family_name(uint8_t family)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if (families[i].family == family)
			return families[i].word;
	}
	return "?";
}

/* A walk over the lines of a text. */
struct lines {
	const char *next;
	const char *end;
	const char *line;
	size_t length; /* without the newline */
};

static bool lines_next(struct lines *l)
{
	const char *newline;

	if (l->next >= l->end)
		return false;
	newline = memchr(l->next, '\n', (size_t)(l->end - l->next));
	l->line = l->next;
	l->length = (size_t)((newline ? newline : l->end) - l->next);
	l->next = newline ? newline + 1 : l->end;
	return true;
}

static bool line_is(const struct lines *l, const char *text)
{
	return l->length == strlen(text) && !memcmp(l->line, text, l->length);
}

static bool line_begins(const struct lines *l, const char *text)
{
	size_t length = strlen(text);

	return l->length >= length && !memcmp(l->line, text, length);
}

/* line_has: the text outside quotes; the listing has no comments. */
static bool line_has(const struct lines *l, const char *text)
{
	size_t length = strlen(text);
	bool quoted = false;

	for (size_t i = 0; i < l->length; i++) {
		if (l->line[i] == '"')
			quoted = !quoted;
		else if (!quoted && l->length - i >= length && !memcmp(l->line + i, text, length))
			return true;
	}
	return false;
}

/* table_line: reads "table inet fw {". */
static bool table_line(const struct lines *l, struct rules_table *ret)
{
	const char *family = l->line + 6, *name, *end = l->line + l->length - 2;
	const char *space;
	size_t name_length;

	if (!line_begins(l, "table ") || l->length < 12 || memcmp(end, " {", 2) != 0)
		return false;
	space = memchr(family, ' ', (size_t)(end - family));
	if (!space)
		return false;
	name = space + 1;
	name_length = (size_t)(end - name);
	ret->family = listing_family(family, (size_t)(space - family));
	if (!ret->family || name_length == 0 || name_length >= sizeof(ret->name) ||
		memchr(name, ' ', name_length) || memchr(name, '"', name_length))
		return false;
	memcpy(ret->name, name, name_length);
	ret->name[name_length] = '\0';
	return true;
}

int listing_tables(const char *text, size_t length, enum rules_role role,
	struct rules_table *ret_tables, size_t max, size_t *ret_count)
{
	struct lines l = {.next = text, .end = text + length};
	struct rules_table *table = NULL;
	size_t count = 0;

	if (memchr(text, '\0', length))
		return -EBADMSG;
	while (lines_next(&l)) {
		struct rules_table found = {.role = (uint8_t)role};

		if (!table) {
			if (l.length == 0)
				continue;
			if (!table_line(&l, &found))
				return -EBADMSG;
			if (count == max)
				return -E2BIG;
			table = &ret_tables[count++];
			*table = found;
		} else if (line_is(&l, "}")) {
			table = NULL;
		} else if (line_is(&l, "\tflags dormant")) {
			table->sleeps_always = true;
		} else if (line_begins(&l, "\tflags ")) {
			return -EBADMSG;
		} else if (line_has(&l, "iif ") || line_has(&l, "oif ") ||
			   line_has(&l, " device")) {
			table->by_index = true;
		}
	}
	if (table)
		return -EBADMSG;
	*ret_count = count;
	return 0;
}

static void add_canary(struct text *t, const char *owner)
{
	text_add_string(t, "\tset " RULES_CANARY_SET " {\n\t\ttype mark\n\t\tcomment \"");
	text_add_string(t, owner);
	text_add_string(t, "\"\n\t\telements = { 0x00000001 }\n\t}\n\n");
}

/* load_table: the head of a table, when the form has it; l is at its first line. */
static bool load_table(struct lines *l, const struct rules_table *table,
	const struct listing_form *form, struct text *ret)
{
	struct lines ahead = *l;
	bool sleeps = lines_next(&ahead) && line_is(&ahead, "\tflags dormant");

	if (!(sleeps ? form->with_sleepers : form->with_switched))
		return false;
	text_add_string(ret, "table ");
	text_add_string(ret, listing_family_name(table->family));
	text_add_string(ret, " ");
	text_add_string(ret, form->prefix);
	text_add_string(ret, table->name);
	text_add_string(ret, " {\n");
	if (form->asleep || sleeps)
		text_add_string(ret, "\tflags dormant\n");
	if (sleeps) /* it stays the first line */
		*l = ahead;
	add_canary(ret, form->owner);
	return true;
}

void listing_to_load_as(
	const char *text, size_t length, const struct listing_form *form, struct text *ret)
{
	struct lines l = {.next = text, .end = text + length};
	bool wanted = true;

	while (lines_next(&l)) {
		struct rules_table table;

		if (line_begins(&l, "table ") && table_line(&l, &table)) {
			wanted = load_table(&l, &table, form, ret);
			continue;
		}
		if (wanted) {
			text_add(ret, l.line, l.length);
			text_add(ret, "\n", 1);
		}
	}
}

void listing_to_load(
	const char *text, size_t length, const char *owner, bool asleep, struct text *ret)
{
	const struct listing_form form = {owner, "", asleep, true, true};

	listing_to_load_as(text, length, &form, ret);
}

/* skip_set: past the closing brace of a set, and the empty line that nft puts after it, or before
 * it where it is the last of its table. */
static void skip_set(struct lines *l, struct text *before)
{
	struct lines ahead;

	while (lines_next(l) && !line_is(l, "\t}"))
		;
	ahead = *l;
	if (!lines_next(&ahead))
		return;
	if (ahead.length == 0)
		*l = ahead;
	else if (before->length > 1 && !memcmp(before->bytes + before->length - 2, "\n\n", 2))
		before->bytes[--before->length] = '\0';
}

void listing_strip(const char *text, size_t length, struct text *ret)
{
	struct lines l = {.next = text, .end = text + length};

	while (lines_next(&l)) {
		if (line_is(&l, "\tset " RULES_CANARY_SET " {")) {
			skip_set(&l, ret);
			continue;
		}
		text_add(ret, l.line, l.length);
		text_add(ret, "\n", 1);
	}
}

/* ---- the canonical form -----------------------------------------------------------------------
 */

struct canonical {
	const char *pos;
	const char *end;
	const struct rules_interface *interfaces;
	size_t interface_count;
};

static const char *logical_name(const struct canonical *c, const char *name, size_t length)
{
	for (size_t i = 0; i < c->interface_count; i++) {
		const struct rules_interface *known = &c->interfaces[i];

		if (known->logical[0] && strlen(known->name) == length &&
			!memcmp(known->name, name, length))
			return known->logical;
	}
	return NULL;
}

/* add_quoted: one "string"; an interface's name becomes the cluster's. */
static void add_quoted(struct canonical *c, struct text *t)
{
	const char *start = c->pos + 1;
	const char *quote = memchr(start, '"', (size_t)(c->end - start));
	const char *stop = quote ? quote : c->end;
	const char *logical = logical_name(c, start, (size_t)(stop - start));

	text_add(t, "\"", 1);
	if (logical)
		text_add_string(t, logical);
	else
		text_add(t, start, (size_t)(stop - start));
	text_add(t, "\"", 1);
	c->pos = quote ? quote + 1 : c->end;
}

static int compare_elements(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct elements {
	char **items;
	size_t count;
	size_t capacity;
	bool failed;
};

/* elements_add: moves the text into the list. */
static void elements_add(struct elements *list, struct text *item)
{
	while (item->length > 0 && item->bytes[item->length - 1] == ' ')
		item->bytes[--item->length] = '\0';
	if (item->length == 0 || item->failed || list->count == ELEMENTS_MAX) {
		list->failed |= item->failed || list->count == ELEMENTS_MAX;
		free(item->bytes);
	} else {
		if (list->count == list->capacity) {
			size_t capacity = list->capacity ? list->capacity * 2 : 16;
			char **grown = realloc(list->items, capacity * sizeof(*grown));

			if (!grown) {
				list->failed = true;
				free(item->bytes);
				*item = (struct text){0};
				return;
			}
			list->items = grown;
			list->capacity = capacity;
		}
		list->items[list->count++] = item->bytes;
	}
	*item = (struct text){0};
}

static void elements_render(struct elements *list, struct text *t)
{
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), compare_elements);
	text_add_string(t, "{ ");
	for (size_t i = 0; i < list->count; i++) {
		if (i)
			text_add_string(t, ", ");
		text_add_string(t, list->items[i]);
		free(list->items[i]);
	}
	text_add_string(t, " }");
	t->failed |= list->failed;
	free(list->items);
}

static void add_list(struct canonical *c, struct text *t, bool devices, unsigned int depth);

/* list_item: one step inside a list; false at its closing brace or the end of the text. */
static bool list_item(
	struct canonical *c, struct text *item, struct elements *list, unsigned int depth)
{
	switch (*c->pos) {
	case '"':
		add_quoted(c, item);
		return true;
	case '{':
		if (depth < NESTING_MAX) {
			add_list(c, item, false, depth + 1);
			return true;
		}
		break;
	case '}':
		c->pos++;
		return false;
	case ',':
		c->pos++;
		elements_add(list, item);
		return true;
	case ' ':
	case '\t':
	case '\n':
		if (item->length > 0 && item->bytes[item->length - 1] != ' ')
			text_add(item, " ", 1);
		c->pos++;
		return true;
	default:
		break;
	}
	text_add(item, c->pos, 1);
	c->pos++;
	return true;
}

/* add_list: "{ b, a }" as "{ a, b }". In `devices = { ... }` names stand without quotes. */
static void add_list(struct canonical *c, struct text *t, bool devices, unsigned int depth)
{
	struct elements list = {0};
	struct text item = {0};

	c->pos++;
	while (c->pos < c->end && list_item(c, &item, &list, depth))
		;
	elements_add(&list, &item);
	for (size_t i = 0; devices && i < list.count; i++) {
		const char *logical = logical_name(c, list.items[i], strlen(list.items[i]));
		char *copy = logical ? strdup(logical) : NULL;

		if (copy) {
			free(list.items[i]);
			list.items[i] = copy;
		}
	}
	elements_render(&list, t);
}

void listing_canonical(const char *text, size_t length, const struct rules_interface *interfaces,
	size_t interface_count, struct text *ret)
{
	static const char devices[] = "devices = ";
	struct canonical c = {text, text + length, interfaces, interface_count};

	while (c.pos < c.end && !ret->failed) {
		const char *run = c.pos;

		while (c.pos < c.end && *c.pos != '"' && *c.pos != '{' && *c.pos != '\0')
			c.pos++;
		text_add(ret, run, (size_t)(c.pos - run));
		if (c.pos == c.end)
			break;
		if (*c.pos == '"') {
			add_quoted(&c, ret);
		} else if (*c.pos == '\0' || c.pos + 1 == c.end || c.pos[1] == '\n') {
			text_add(ret, *c.pos ? "{" : " ", 1); /* a block's brace ends its line */
			c.pos++;
		} else {
			bool is_devices = (size_t)(c.pos - text) >= sizeof(devices) - 1 &&
					  !memcmp(c.pos - (sizeof(devices) - 1), devices,
						  sizeof(devices) - 1);

			add_list(&c, ret, is_devices, 0);
		}
	}
}

bool listing_fingerprint(const char *const texts[static RULES_ROLE_SHIELD],
	const struct rules_interface *interfaces, size_t interface_count,
	uint8_t ret[static RULES_FINGERPRINT_BYTES])
{
	struct text all = {0};
	struct crypto_part part;
	bool ok;

	text_add_string(&all, "carpool rules 1\n");
	for (size_t i = 0; i < RULES_ROLE_SHIELD; i++) {
		text_add_string(&all, rules_role_name((enum rules_role)i));
		text_add_string(&all, "\n");
		listing_canonical(texts[i], strlen(texts[i]), interfaces, interface_count, &all);
	}
	part = (struct crypto_part){all.bytes, all.length};
	ok = !all.failed && crypto_hash(&part, 1, ret) == CRYPTO_OK;
	free(all.bytes);
	return ok;
}
