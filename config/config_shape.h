/* config_shape.h: tables that say what a mapping of the file may hold, and the walk over them.
 *
 * A *shape* is one mapping: its keys, each with type, range, default and meaning. The walk reports
 * unknown and missing keys, reads the plain types straight into the structure that the shape
 * describes, and calls a function for the rest. doc/config.md is made of the same tables, so what
 * an operator reads is what the parser does. Keys are read in the order of the table, not of the
 * file: later ones may rely on earlier ones. */
#ifndef CONFIG_CONFIG_SHAPE_H
#define CONFIG_CONFIG_SHAPE_H

#include "config/config.h"
#include "config/config_tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_SHAPE_KEYS_MAX 24u

struct config_parser {
	struct config *cfg;
	struct config_errors *errors;
	char folder[CONFIG_FILE_NAME_MAX]; /* of the file, with the slash; "" for the current one */
	bool text_full;			   /* told once */
};

/* Reads one value into `object`, the structure that the key's shape describes. */
typedef void config_shape_fn(
	struct config_parser *parser, void *object, const struct config_tree_node *value);

enum config_shape_type {
	CONFIG_SHAPE_NUMBER,
	CONFIG_SHAPE_BOOL,
	CONFIG_SHAPE_DURATION, /* min, max, fallback in microseconds */
	CONFIG_SHAPE_OTHER,    /* take() reads it */
	CONFIG_SHAPE_LATER,    /* refused: not yet */
};

struct config_shape_key {
	const char *name;
	enum config_shape_type type;
	bool required;
	size_t offset; /* of the field, and its width: plain types */
	size_t width_bytes;
	int64_t min;
	int64_t max;
	int64_t fallback;
	config_shape_fn *take;
	const char *type_text; /* for the page: OTHER and LATER */
	const char *range_text;
	const char *fallback_text;
	const char *meaning;
};

struct config_shape {
	const char *path; /* "" | "election" | "groups.GROUP.interfaces.INTERFACE" | ... */
	size_t key_count;
	const struct config_shape_key *keys;
};

#define CONFIG_SHAPE_WIDTH(structure, field) sizeof(((structure *)NULL)->field)
#define CONFIG_SHAPE_FIELD(structure, field)                                                       \
	.offset = offsetof(structure, field), .width_bytes = CONFIG_SHAPE_WIDTH(structure, field)

/* config_shape_defaults: fills in the plain fields' defaults. */
void config_shape_defaults(const struct config_shape *shape, void *object);

/* config_shape_read: walks a mapping; a value of another kind is an error. False: not a mapping. */
bool config_shape_read(struct config_parser *parser, const struct config_shape *shape, void *object,
	const struct config_tree_node *mapping);

/* The rest is for take() functions. */

/* config_shape_error: "KEY: text", at the value. */
void config_shape_error(struct config_parser *parser, const struct config_tree_node *value,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

/* config_shape_kind: whether the value is of that kind; else tells what it should be (nothing for
 * a value that is in error already). `what`: "a list of file names". */
bool config_shape_kind(struct config_parser *parser, const struct config_tree_node *value,
	enum config_tree_kind kind, const char *what);

/* config_shape_word: the scalar's text, not empty; else NULL, told. */
const char *config_shape_word(
	struct config_parser *parser, const struct config_tree_node *value, const char *what);

bool config_shape_number(struct config_parser *parser, const struct config_tree_node *value,
	int64_t min, int64_t max, int64_t *ret_number);
bool config_shape_bool(
	struct config_parser *parser, const struct config_tree_node *value, bool *ret_bool);
bool config_shape_duration(struct config_parser *parser, const struct config_tree_node *value,
	dur_t min, dur_t max, dur_t *ret_duration);

/* config_shape_choice: the index of the word in `names`; -1, told, when it is none of them. */
int config_shape_choice(struct config_parser *parser, const struct config_tree_node *value,
	const char *const *names, size_t name_count);

/* config_shape_later: "... is not yet built". */
void config_shape_later(struct config_parser *parser, const struct config_tree_node *value,
	const char *what, const char *allowed);

/* config_shape_text: a copy that lives as long as the config; NULL, told, when there is no room. */
const char *config_shape_text(
	struct config_parser *parser, const struct config_tree_node *value, const char *text);

/* config_shape_file: a file name, made relative to the config's folder. */
bool config_shape_file(struct config_parser *parser, const struct config_tree_node *value,
	struct config_file *ret_file);

/* config_shape_range: "1..255", "1ms..10s", ... as the page and the messages say it. */
#define CONFIG_SHAPE_RANGE_MAX 80u
char *config_shape_range(
	const struct config_shape_key *key, char text[static CONFIG_SHAPE_RANGE_MAX]);

/* config_shape_fallback: the default, "required" or "none", as the page says it. */
char *config_shape_fallback(
	const struct config_shape_key *key, char text[static CONFIG_SHAPE_RANGE_MAX]);

/* config_shape_page: the tables of every key of the shapes (NULL-ended), as Markdown, for
 * doc/config.md. */
void config_shape_page(const struct config_shape *const *shapes, FILE *out);

#endif
