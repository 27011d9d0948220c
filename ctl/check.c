#include "ctl/check.h"

#include "common/io/keyfile.h"
#include "config/permissions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check_run_keys(struct check *check)
{
	const struct config *cfg = check->cfg;
	char error[KEYFILE_ERROR_MAX];
	struct keyring ring;

	keyring_init(&ring, cfg->cluster);
	for (uint32_t i = 0; i < cfg->key_count; i++)
		if (keyfile_load(&ring, cfg->keys[i].path, error) < 0)
			config_errors_add(&check->errors, cfg->keys[i].pos, "%s", error);
	keyring_fini(&ring);
}

static void check_run_passphrase(struct check *check)
{
	const struct config_file *file = &check->cfg->election.passphrase;
	uint8_t key[CARP2_KEY_BYTES];
	char error[KEYFILE_ERROR_MAX];

	if (file->path && keyfile_load_passphrase(file->path, key, error) < 0)
		config_errors_add(&check->errors, file->pos, "%s", error);
	crypto_wipe(key, sizeof(key));
}

/* Whose view: the one asked for, else this host's when it is a node of the file. */
static void check_run_node(struct check *check, const char *node)
{
	char host[LIMIT_NAME] = "";

	if (node && !config_node_lookup(check->cfg, node)) {
		config_errors_add(&check->errors, (struct config_pos){0, 0},
			"no node '%.64s' in this file", node);
		return;
	}
	if (!node) {
		if (gethostname(host, sizeof(host) - 1) < 0 ||
			!config_node_lookup(check->cfg, host))
			return;
		node = host;
		check->node_guessed = true;
	}
	snprintf(check->node, sizeof(check->node), "%s", node);
}

/* A file that cannot be read is told at its place in the config; nft would name no place. */
static bool check_run_rule_file(struct check *check, const struct config_file *file)
{
	if (!file->path || access(file->path, R_OK) == 0)
		return true;
	config_errors_add(
		&check->errors, file->pos, "rules: '%.300s': %s", file->path, strerror(errno));
	return false;
}

static bool check_run_rule_files(struct check *check)
{
	bool readable = true;

	for (uint32_t i = 0; i < check->cfg->group_count; i++) {
		const struct config_group *group = &check->cfg->groups[i];

		readable &= check_run_rule_file(check, &group->rules_master);
		readable &= check_run_rule_file(check, &group->rules_backup);
	}
	return readable;
}

/* The rulesets of one node; of the file's first when this host is none: they are the same files. */
static void check_run_rules(struct check *check)
{
	const char *node = check->node[0] ? check->node : check->cfg->nodes[0].name;
	int r;

	if (!check_run_rule_files(check))
		return;
	r = rules_check(check->cfg, node, &check->rules);
	check->rules_checked = true;
	if (r == 0 || check->rules.count > 0)
		return;
	snprintf(check->rules.lines[check->rules.count++], RULES_REPORT_LINE_MAX,
		"%.200s: the rulesets could not be checked: %s", check->errors.file, strerror(-r));
	check->rules_checked = false;
}

struct check *check_run(const char *path, const char *node)
{
	struct check *check = calloc(1, sizeof(*check));

	if (!check)
		return NULL;
	check->cfg = config_load(path, NULL, &check->errors);
	if (!check->cfg)
		return check;
	check_run_node(check, node);
	if (check->node[0])
		permissions_check(check->cfg, &check->errors);
	check_run_keys(check);
	check_run_passphrase(check);
	check_run_rules(check);
	config_errors_sort(&check->errors);
	return check;
}

void check_free(struct check *check)
{
	if (!check)
		return;
	config_free(check->cfg);
	free(check);
}

bool check_ok(const struct check *check)
{
	return check->cfg && check->errors.count == 0 && check->rules.count == 0;
}

void check_print(const struct check *check, FILE *out, FILE *errors)
{
	config_errors_print(&check->errors, errors);
	for (size_t i = 0; i < check->rules.count; i++)
		fprintf(errors, "%s\n", check->rules.lines[i]);
	if (!check_ok(check))
		return;
	fprintf(out, "%s: good: cluster %s, %u nodes, %u group%s", check->errors.file,
		check->cfg->cluster, check->cfg->node_count, check->cfg->group_count,
		check->cfg->group_count == 1 ? "" : "s");
	if (check->node[0])
		fprintf(out, ", as node %s\n", check->node);
	else
		fprintf(out, "; this host is none of its nodes, so handlers' programs were not "
			     "looked at (--node NODE)\n");
	for (uint32_t i = 0; config_carp2_note(check->cfg, i); i++)
		fprintf(out, "note: %s\n", config_carp2_note(check->cfg, i));
}

/* Text that may hold anything (a file's name, a word that was cut in the middle of a letter): what
 * is not UTF-8 shows its foreign bytes as '?'. */
static json_t *check_json_text(const char *text)
{
	json_t *string = json_string(text);
	char *plain;

	if (string)
		return string;
	plain = strdup(text);
	for (char *c = plain; c && *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	string = plain ? json_string(plain) : NULL;
	free(plain);
	return string;
}

static json_t *check_json_errors(const struct config_errors *errors)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < errors->count; i++) {
		const struct config_error *error = &errors->items[i];

		/* Both take over the new object, also when they fail. */
		(void)json_array_append_new(
			list, json_pack("{s:o,s:i,s:i,s:o}", "file", check_json_text(errors->file),
				      "line", error->pos.line ? (int)error->pos.line : 1, "column",
				      error->pos.column ? (int)error->pos.column : 1, "text",
				      check_json_text(error->text)));
	}
	return list;
}

static json_t *check_json_notes(const struct check *check)
{
	json_t *list = json_array();

	for (uint32_t i = 0; check->cfg && config_carp2_note(check->cfg, i); i++)
		(void)json_array_append_new(list, json_string(config_carp2_note(check->cfg, i)));
	return list;
}

json_t *check_json(const struct check *check)
{
	char hex[2 * CRYPTO_HASH_BYTES + 1] = "";
	json_t *rules = json_array();

	for (size_t i = 0; rules && i < check->rules.count; i++)
		(void)json_array_append_new(rules, check_json_text(check->rules.lines[i]));
	for (size_t i = 0; check->cfg && i < CRYPTO_HASH_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", check->cfg->fingerprint[i]);
	return json_pack("{s:b,s:o,s:s?,s:s?,s:o,s:i,s:{s:b,s:o},s:o}", "ok", check_ok(check),
		"file", check_json_text(check->errors.file), "node",
		check->node[0] ? check->node : NULL, "fingerprint", check->cfg ? hex : NULL,
		"errors", check_json_errors(&check->errors), "errors_lost",
		(int)check->errors.lost_count, "rules", "checked", check->rules_checked, "errors",
		rules, "notes", check_json_notes(check));
}
