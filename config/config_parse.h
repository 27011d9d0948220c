/* config_parse.h: the shapes of the file and the checks across it; for config/ alone. */
#ifndef CONFIG_CONFIG_PARSE_H
#define CONFIG_CONFIG_PARSE_H

#include "config/config_shape.h"

/* All shapes, in the order of doc/config.md; ended by NULL. */
extern const struct config_shape *const config_parse_shapes[];

/* In config_parse_group.c. */
extern const struct config_shape config_parse_group_shape;
extern const struct config_shape config_parse_group_interface_shape;
extern const struct config_shape config_parse_group_rules_shape;
extern const struct config_shape config_parse_group_handler_shape;

/* In config_parse_route.c, config_parse_track.c. */
extern const struct config_shape config_parse_route_shape;
extern const struct config_shape config_parse_track_shape;

/* config_parse_group: one entry of groups:, its name being the key. Nodes have been read. */
void config_parse_group(struct config_parser *parser, const struct config_tree_node *value);

/* config_parse_routes: the interface's routes:, a list. */
config_shape_fn config_parse_routes;

/* config_parse_track: the group's track:, a list. */
config_shape_fn config_parse_track;

/* config_parse_words: a program and its arguments, into the config's own arguments, ended by NULL.
 * How many; 0 when it is in error, told. */
uint32_t config_parse_words(struct config_parser *parser, const struct config_tree_node *value,
	const char *const *ret_arguments[static 1], const char **ret_program_text,
	struct config_pos *ret_pos);

/* config_parse_user: a user's name; told when it cannot be one. */
void config_parse_user(struct config_parser *parser, const struct config_tree_node *value,
	char user[static CONFIG_USER_MAX], struct config_pos *ret_pos);

/* config_parse_address: an address, with or without a prefix length as asked; told when wrong. */
bool config_parse_address(struct config_parser *parser, const struct config_tree_node *value,
	bool with_prefix, struct ipaddr *ret_addr);

/* config_parse_in: config_parse() with a folder of its own (with its slash, or "") for the names in
 * the file. */
struct config *config_parse_in(const char *text, size_t size_bytes, const char *path,
	const char *folder, const char *node, struct config_errors *errors);

/* config_check: what no single key can say: references, duplicates, collisions, timers that do not
 * fit together. Works on what could be read, so that it adds its errors to those of the keys. Fills
 * in tags, paths, skews and fingerprints. */
void config_check(struct config *cfg, struct config_errors *errors);

/* config_carp2_check: the part of it that `wire: carp2` alone brings. */
void config_carp2_check(const struct config *cfg, struct config_errors *errors);

/* config_fingerprint: fills in the fingerprints of the config and of each group's addresses;
 * false without memory or when OpenSSL refuses. */
bool config_fingerprint(struct config *cfg);

#endif
