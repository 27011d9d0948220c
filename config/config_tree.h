/* config_tree.h: YAML text as a tree of nodes that know their places, and nothing more.
 *
 * libyaml reads; this file bounds and narrows what it lets through. One document; keys are plain
 * words; no anchor, alias or tag (a config says what it means where it stands); no control
 * characters; each key once a mapping; depth, nodes, children and text have limits. What may be
 * wrong and still leave a tree is reported and marked CONFIG_TREE_BAD, so that the reader above
 * goes on and finds the other errors without tripping over this one. */
#ifndef CONFIG_CONFIG_TREE_H
#define CONFIG_CONFIG_TREE_H

#include "config/config_errors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_TREE_DEPTH_MAX	 16u
#define CONFIG_TREE_NODES_MAX	 32768u
#define CONFIG_TREE_CHILDREN_MAX 2048u /* of one list or mapping */
#define CONFIG_TREE_TEXT_MAX	 4096u /* bytes of one word */

enum config_tree_kind {
	CONFIG_TREE_BAD, /* reported already */
	CONFIG_TREE_SCALAR,
	CONFIG_TREE_LIST,
	CONFIG_TREE_MAPPING,
};

struct config_tree_node {
	enum config_tree_kind kind;
	bool quoted;
	struct config_pos pos;
	const char *text;  /* scalars: no NUL inside; others: "" */
	const char *key;   /* children of a mapping; others: NULL */
	const char *label; /* the key, or that of the list it is in: for messages; or NULL */
	struct config_pos key_pos;	/* of the key, or pos where there is none */
	uint32_t count;			/* children */
	struct config_tree_node *first; /* children, in the order of the file */
	struct config_tree_node *last;
	struct config_tree_node *next;
};

struct config_tree; /* owns its nodes and their text */

/* config_tree_new: NULL when nothing usable could be read; the reason is in `errors`. A tree may
 * come with errors, too. Freed by config_tree_free(); `text` is borrowed for the call. */
struct config_tree *config_tree_new(
	const char *text, size_t size_bytes, struct config_errors *errors);
void config_tree_free(struct config_tree *tree);

const struct config_tree_node *config_tree_root(const struct config_tree *tree);

/* config_tree_child: the value of that key of a mapping, or NULL. */
const struct config_tree_node *config_tree_child(
	const struct config_tree_node *mapping, const char *key);

#endif
