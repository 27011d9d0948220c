#include "ctl/check_peer.h"

#include "ctl/ask.h"
#include "ctl/field.h"
#include "ctl/verb.h"

#include "common/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRINT_HEX 16u /* what adverts carry: 8 bytes */

struct comparison {
	json_t *list; /* NULL: printed */
	bool differs;
};

/* tell: one node's rules of one group; `print` NULL: not heard. */
static void tell(struct comparison *c, const char *group, const char *node, const char *file_print,
	const char *print)
{
	bool match = print && !strncmp(print, file_print, PRINT_HEX);

	c->differs |= !match;
	if (c->list)
		(void)json_array_append_new(c->list,
			json_pack("{s:s, s:s, s:s, s:s?, s:b}", "group", group, "node", node,
				"file", file_print, "running", print, "match", match));
	else if (match)
		printf("%s: %s runs these rules\n", group, node);
	else if (print)
		printf("%s: warning: %s runs OTHER rules (%.16s, the files: %.16s)\n", group, node,
			print, file_print);
	else
		printf("%s: warning: %s is not heard\n", group, node);
}

static const json_t *find(const json_t *list, const char *key, const char *value)
{
	const json_t *entry;
	size_t index;

	json_array_foreach (list, index, entry)
		if (!strcmp(field_text(entry, key) ? field_text(entry, key) : "", value))
			return entry;
	return NULL;
}

/* file_print: of the group's files as they are on the disk now. */
static bool file_print(const struct check *check, const struct config_node *node,
	const struct config_group *group, char hex[static 2 * RULES_FINGERPRINT_BYTES + 1])
{
	struct rules_spec *spec = calloc(1, sizeof(*spec));
	struct rules_report *report = calloc(1, sizeof(*report));
	struct rules_compiled *compiled = NULL;
	uint8_t print[RULES_FINGERPRINT_BYTES];
	bool ok = spec && report &&
		  rules_spec_from_config(check->cfg, node->name, group->name, spec) &&
		  rules_compile(spec, &compiled, report) == 0;

	if (ok) {
		rules_compiled_fingerprint(compiled, print);
		for (size_t i = 0; i < sizeof(print); i++)
			snprintf(hex + 2 * i, 3, "%02x", print[i]);
	}
	rules_compiled_free(compiled);
	free(report);
	free(spec);
	return ok;
}

static void compare_group(struct comparison *c, const struct check *check, const json_t *status,
	const struct config_node *self, const struct config_group *group)
{
	const json_t *entry = find(field_list(status, "rules"), "group", group->name);
	char hex[2 * RULES_FINGERPRINT_BYTES + 1];

	if (!file_print(check, self, group, hex)) {
		c->differs = true;
		return;
	}
	tell(c, group->name, self->name, hex, entry ? field_text(entry, "fingerprint") : NULL);
	for (uint32_t i = 0; i < check->cfg->node_count; i++) {
		const struct config_node *node = &check->cfg->nodes[i];
		const json_t *peer =
			entry ? find(field_list(entry, "peers"), "node", node->name) : NULL;

		if (node != self)
			tell(c, group->name, node->name, hex,
				peer ? field_text(peer, "fingerprint") : NULL);
	}
}

int check_peer(const struct args *args, const struct check *check, json_t *document)
{
	struct comparison c = {.list = document ? json_array() : NULL};
	const struct config_node *self;
	json_t *status = NULL;
	struct ask_error error;

	if (!ask_try(args, ASK_CARPD, json_pack("{s:s}", "op", "status"), dur_ms(ASK_TIMEOUT_MS),
		    &status, &error)) {
		if (document)
			(void)json_object_set_new(document, "peers_error", json_string(error.text));
		else
			fprintf(stderr, "carpool: %s\n", error.text);
		json_decref(c.list);
		return VERB_EXIT_FAILED;
	}
	/* The view is that of the node that was asked: it is the one that hears its peers. */
	self = config_node_lookup(check->cfg, field_text(status, "node"));
	for (uint32_t i = 0; self && i < check->cfg->group_count; i++)
		if (check->cfg->groups[i].rules_master.path)
			compare_group(&c, check, status, self, &check->cfg->groups[i]);
	if (document)
		(void)json_object_set_new(document, "peers", c.list);
	json_decref(status);
	return self && !c.differs ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
}
