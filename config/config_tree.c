#include "config/config_tree.h"

#include "common/check.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define CHUNK_BYTES 32768u
#define ALIGN_BYTES 16u

struct chunk {
	struct chunk *next;
	size_t used_bytes;
	_Alignas(ALIGN_BYTES) char bytes[CHUNK_BYTES];
};

struct config_tree {
	struct chunk *chunks;
	uint32_t node_count;
	struct config_tree_node *root;
};

/* One list or mapping that has begun and not ended. */
struct level {
	struct config_tree_node *node;
	const char *key; /* a mapping's key that waits for its value */
	struct config_pos key_pos;
	bool key_duplicate;
};

struct reader {
	yaml_parser_t parser;
	struct config_tree *tree;
	struct config_errors *errors;
	uint32_t depth;
	struct level levels[CONFIG_TREE_DEPTH_MAX];
	uint32_t document_count;
	bool stopped; /* nothing after this place can be trusted */
};

static void *tree_alloc(struct config_tree *tree, size_t size_bytes)
{
	struct chunk *chunk = tree->chunks;
	void *at;

	size_bytes = (size_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
	CHECK(size_bytes <= CHUNK_BYTES);
	if (!chunk || CHUNK_BYTES - chunk->used_bytes < size_bytes) {
		chunk = calloc(1, sizeof(*chunk));
		if (!chunk)
			return NULL;
		chunk->next = tree->chunks;
		tree->chunks = chunk;
	}
	at = chunk->bytes + chunk->used_bytes;
	chunk->used_bytes += size_bytes;
	return at;
}

static struct config_pos pos_of(yaml_mark_t mark)
{
	return (struct config_pos){(uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

static void stop(struct reader *reader, struct config_pos pos, const char *text)
{
	config_errors_add(reader->errors, pos, "%s", text);
	reader->stopped = true;
}

/* A word's text in the tree, or NULL with the error told (the word is then CONFIG_TREE_BAD). */
static const char *copy_text(struct reader *reader, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t size = event->data.scalar.length;
	struct config_pos pos = pos_of(event->start_mark);
	char *text;

	if (size > CONFIG_TREE_TEXT_MAX) {
		config_errors_add(reader->errors, pos, "a text of %zu bytes: at most %u", size,
			CONFIG_TREE_TEXT_MAX);
		return NULL;
	}
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)value[i] >= 0x20 && value[i] != 0x7f)
			continue;
		config_errors_add(reader->errors, pos,
			"a control character (0x%02x) inside a text: none is allowed",
			(unsigned int)(unsigned char)value[i]);
		return NULL;
	}
	text = tree_alloc(reader->tree, size + 1);
	if (!text) {
		stop(reader, pos, "out of memory");
		return NULL;
	}
	memcpy(text, value, size);
	text[size] = '\0';
	return text;
}

/* Hangs a node below the innermost open list or mapping. The value of a key that is there twice
 * hangs nowhere: it has been reported, and its content is read but not looked at. */
static void attach(struct reader *reader, struct config_tree_node *node)
{
	struct level *level;

	if (reader->depth == 0) {
		reader->tree->root = node;
		return;
	}
	level = &reader->levels[reader->depth - 1];
	if (level->node->kind == CONFIG_TREE_MAPPING) {
		bool duplicate = level->key_duplicate;

		node->key = node->label = level->key;
		node->key_pos = level->key_pos;
		level->key = NULL;
		level->key_duplicate = false;
		if (duplicate)
			return;
	} else {
		node->label = level->node->label;
	}
	if (level->node->last)
		level->node->last->next = node;
	else
		level->node->first = node;
	level->node->last = node;
	if (++level->node->count > CONFIG_TREE_CHILDREN_MAX)
		stop(reader, node->pos, "more than 2048 entries in one list or mapping");
}

static struct config_tree_node *add_node(
	struct reader *reader, enum config_tree_kind kind, yaml_mark_t mark)
{
	struct config_tree_node *node = NULL;
	struct config_pos pos = pos_of(mark);

	if (reader->tree->node_count == CONFIG_TREE_NODES_MAX) {
		stop(reader, pos, "more than 32768 values in one file");
		return NULL;
	}
	node = tree_alloc(reader->tree, sizeof(*node));
	if (!node) {
		stop(reader, pos, "out of memory");
		return NULL;
	}
	reader->tree->node_count++;
	*node = (struct config_tree_node){.kind = kind, .pos = pos, .key_pos = pos, .text = ""};
	attach(reader, node);
	return node;
}

static void refuse_properties(struct reader *reader, const yaml_event_t *event,
	const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		config_errors_add(reader->errors, pos_of(event->start_mark),
			"anchor '&%.64s': anchors are not allowed", (const char *)anchor);
	if (tag)
		config_errors_add(reader->errors, pos_of(event->start_mark),
			"tag '%.64s': tags are not allowed", (const char *)tag);
}

/* Whether the next node is a key of the innermost mapping. */
static bool key_expected(const struct reader *reader)
{
	const struct level *level;

	if (reader->depth == 0)
		return false;
	level = &reader->levels[reader->depth - 1];
	return level->node->kind == CONFIG_TREE_MAPPING && !level->key;
}

static void on_key(struct reader *reader, const yaml_event_t *event)
{
	struct level *level = &reader->levels[reader->depth - 1];
	const char *text = copy_text(reader, event);

	level->key = text ? text : "";
	level->key_pos = pos_of(event->start_mark);
	level->key_duplicate = !text;
	for (struct config_tree_node *child = level->node->first; child && text;
		child = child->next) {
		if (strcmp(child->key, text) != 0)
			continue;
		config_errors_add(reader->errors, level->key_pos,
			"key '%s' is there twice (first in line %u)", text, child->key_pos.line);
		level->key_duplicate = true;
		return;
	}
}

static void on_scalar(struct reader *reader, const yaml_event_t *event)
{
	struct config_tree_node *node;
	const char *text;

	refuse_properties(reader, event, event->data.scalar.anchor, event->data.scalar.tag);
	if (key_expected(reader)) {
		on_key(reader, event);
		return;
	}
	text = copy_text(reader, event);
	node = add_node(reader, text ? CONFIG_TREE_SCALAR : CONFIG_TREE_BAD, event->start_mark);
	if (!node || !text)
		return;
	node->text = text;
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

static void on_open(struct reader *reader, const yaml_event_t *event, enum config_tree_kind kind)
{
	struct config_tree_node *node;

	if (key_expected(reader)) {
		stop(reader, pos_of(event->start_mark), "a key must be one word");
		return;
	}
	if (reader->depth == CONFIG_TREE_DEPTH_MAX) {
		stop(reader, pos_of(event->start_mark), "nested more than 16 deep");
		return;
	}
	node = add_node(reader, kind, event->start_mark);
	if (!node)
		return;
	reader->levels[reader->depth++] = (struct level){.node = node};
}

static void on_alias(struct reader *reader, const yaml_event_t *event)
{
	if (key_expected(reader)) {
		stop(reader, pos_of(event->start_mark), "a key must be one word, not an alias");
		return;
	}
	config_errors_add(reader->errors, pos_of(event->start_mark),
		"alias '*%.64s': aliases are not allowed, write the value out",
		(const char *)event->data.alias.anchor);
	(void)add_node(reader, CONFIG_TREE_BAD, event->start_mark); /* told either way */
}

static void on_event(struct reader *reader, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++reader->document_count > 1)
			stop(reader, pos_of(event->start_mark),
				"a second document: one is allowed");
		break;
	case YAML_ALIAS_EVENT:
		on_alias(reader, event);
		break;
	case YAML_SCALAR_EVENT:
		on_scalar(reader, event);
		break;
	case YAML_SEQUENCE_START_EVENT:
		refuse_properties(reader, event, event->data.sequence_start.anchor,
			event->data.sequence_start.tag);
		on_open(reader, event, CONFIG_TREE_LIST);
		break;
	case YAML_MAPPING_START_EVENT:
		refuse_properties(reader, event, event->data.mapping_start.anchor,
			event->data.mapping_start.tag);
		on_open(reader, event, CONFIG_TREE_MAPPING);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		reader->depth--;
		break;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		break;
	}
}

/* Bad UTF-8 has an offset in the text and no mark. */
static struct config_pos pos_of_offset(const char *text, size_t size_bytes, size_t offset)
{
	struct config_pos pos = {1, 1};

	for (size_t i = 0; i < offset && i < size_bytes; i++) {
		pos.column += (text[i] & 0xc0) != 0x80; /* letters, not bytes */
		if (text[i] == '\n')
			pos = (struct config_pos){pos.line + 1, 1};
	}
	return pos;
}

static void report_syntax(struct reader *reader, const char *text, size_t size_bytes)
{
	const yaml_parser_t *parser = &reader->parser;
	const char *problem = parser->problem ? parser->problem : "cannot be read";
	struct config_pos pos = pos_of(parser->problem_mark);

	reader->stopped = true;
	if (parser->error == YAML_READER_ERROR) {
		pos = pos_of_offset(text, size_bytes, parser->problem_offset);
		config_errors_add(reader->errors, pos, "not UTF-8 text: %s", problem);
	} else if (parser->error == YAML_MEMORY_ERROR) {
		config_errors_add(reader->errors, pos, "out of memory");
	} else if (parser->context) {
		config_errors_add(reader->errors, pos, "not YAML: %s (%s from line %zu)", problem,
			parser->context, parser->context_mark.line + 1);
	} else {
		config_errors_add(reader->errors, pos, "not YAML: %s", problem);
	}
}

static void read_events(struct reader *reader, const char *text, size_t size_bytes)
{
	bool done = false;

	while (!done && !reader->stopped) {
		yaml_event_t event;

		if (!yaml_parser_parse(&reader->parser, &event)) {
			report_syntax(reader, text, size_bytes);
			return;
		}
		done = event.type == YAML_STREAM_END_EVENT;
		on_event(reader, &event);
		yaml_event_delete(&event);
	}
}

struct config_tree *config_tree_new(
	const char *text, size_t size_bytes, struct config_errors *errors)
{
	struct config_tree *tree = calloc(1, sizeof(*tree));
	struct reader reader = {.tree = tree, .errors = errors};

	if (!tree || !yaml_parser_initialize(&reader.parser)) {
		config_errors_add(errors, (struct config_pos){0, 0}, "out of memory");
		free(tree);
		return NULL;
	}
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, size_bytes);
	read_events(&reader, text, size_bytes);
	yaml_parser_delete(&reader.parser);
	if (!reader.stopped && tree->root)
		return tree;
	if (!reader.stopped)
		config_errors_add(errors, (struct config_pos){1, 1}, "the file is empty");
	config_tree_free(tree);
	return NULL;
}

void config_tree_free(struct config_tree *tree)
{
	if (!tree)
		return;
	while (tree->chunks) {
		struct chunk *next = tree->chunks->next;

		free(tree->chunks);
		tree->chunks = next;
	}
	free(tree);
}

const struct config_tree_node *config_tree_root(const struct config_tree *tree)
{
	return tree->root;
}

const struct config_tree_node *config_tree_child(
	const struct config_tree_node *mapping, const char *key)
{
	if (mapping->kind != CONFIG_TREE_MAPPING)
		return NULL;
	for (const struct config_tree_node *child = mapping->first; child; child = child->next)
		if (strcmp(child->key, key) == 0)
			return child;
	return NULL;
}
