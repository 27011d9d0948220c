/* verb_config.c: `carpool config show`: what the file comes to, defaults included.
 *
 * The text is YAML that carpool reads again. The JSON is the same tree: what looks like a number or
 * a truth value in it is one, the rest (durations and addresses, too) is text. */
#include "ctl/args.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/check.h"
#include "config/config.h"
#include "config/config_tree.h"
#include "config/config_value.h"

#include <stdlib.h>
#include <string.h>

static json_t *verb_config_word(const struct config_tree_node *node)
{
	int64_t number;

	if (!node->quoted && config_value_number(node->text, &number) == CONFIG_VALUE_OK)
		return json_integer(number);
	if (!node->quoted && strcmp(node->text, "true") == 0)
		return json_true();
	if (!node->quoted && strcmp(node->text, "false") == 0)
		return json_false();
	return json_string(node->text);
}

/* A list or mapping without its children. */
static json_t *verb_config_node(const struct config_tree_node *node)
{
	switch (node->kind) {
	case CONFIG_TREE_LIST:
		return json_array();
	case CONFIG_TREE_MAPPING:
		return json_object();
	case CONFIG_TREE_SCALAR:
		return verb_config_word(node);
	case CONFIG_TREE_BAD:
		break;
	}
	return NULL;
}

/* Depth is bounded by CONFIG_TREE_DEPTH_MAX: config_render() goes nowhere near it. */
static json_t *verb_config_json(const struct config_tree_node *node)
{
	json_t *value = verb_config_node(node);

	for (const struct config_tree_node *child = node->first; child; child = child->next) {
		json_t *inner = verb_config_json(child);

		/* Both take over `inner`, also when they fail. */
		if (child->key)
			(void)json_object_set_new(value, child->key, inner);
		else
			(void)json_array_append_new(value, inner);
	}
	return value;
}

static bool verb_config_report(const struct config *cfg, const char *text)
{
	static struct config_errors errors;
	struct config_tree *tree = config_tree_new(text, strlen(text), &errors);
	char hex[2 * CRYPTO_HASH_BYTES + 1];
	json_t *document;
	bool printed;

	if (!tree)
		return false;
	for (size_t i = 0; i < CRYPTO_HASH_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", cfg->fingerprint[i]);
	document = json_pack("{s:s,s:s,s:o}", "file", cfg->file, "fingerprint", hex, "config",
		verb_config_json(config_tree_root(tree)));
	printed = document && report_json(document);
	json_decref(document);
	config_tree_free(tree);
	return printed;
}

static int verb_config_show(const struct args *args, const char *path)
{
	static struct config_errors errors;
	struct config *cfg = config_load(path, NULL, &errors);
	bool printed = false;
	char *text;

	if (!cfg) {
		config_errors_print(&errors, stderr);
		if (args->json)
			report_error(true, "BAD_CONFIG", "the config has errors: carpool check");
		return VERB_EXIT_USAGE;
	}
	text = config_render(cfg);
	if (text && args->json)
		printed = verb_config_report(cfg, text);
	else if (text)
		printed = fputs(text, stdout) >= 0;
	free(text);
	config_free(cfg);
	return printed ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
}

int verb_config(int argc, char **argv)
{
	const char *path = CONFIG_FILE_DEFAULT;
	const struct args_option options[] = {
		{"--config", "FILE", "default: " CONFIG_FILE_DEFAULT, NULL, &path},
	};
	const struct args_spec spec = {
		.synopsis = "carpool config show [--config FILE] [--json]",
		.text = "Prints the effective config, defaults included, as YAML that carpool "
			"reads\n"
			"again.",
		.options = options,
		.option_count = ARRAY_LEN(options),
		.word_count_max = 1,
	};
	struct args args;
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	if (args.word_count != 1 || strcmp(args.words[0], "show") != 0)
		return args_fail(&spec, &args, "what about it? 'carpool config show'");
	return verb_config_show(&args, path);
}
