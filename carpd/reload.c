/* reload: a changed config, or changed rule files, on a running node (SIGHUP, `carpool reload`).
 *
 * In this order, and every step can refuse without having touched anything:
 *   1. the disk's thread parses the file and loads its keys; errors: the old config stays;
 *   2. the differences are judged: what cannot be applied to a running node is refused by name;
 *   3. the helper compiles every group's rules: those whose fingerprint did not change are left
 *      alone, unless somebody deleted or changed what is loaded;
 *   4. it is applied: timings of stages, preemption, handlers, rules (node_swap.c: without a gap,
 * on a master as on a backup). Nothing that did not change is touched. See node.h. */
#include "carpd/node.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/keyfile.h"
#include "common/io/log.h"
#include "common/io/notify.h"
#include "common/keyring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RELOAD_TEXT_MAX 4096u

struct reload {
	struct executor_job job; /* first member: the executor's handle */
	struct node *node;
	bool has_ticket;
	struct control_ticket ticket;
	bool diff;
	bool force;
	/* Step 1; on the disk's thread. */
	struct config *cfg;
	struct config_errors errors;
	uint32_t key_count;
	uint32_t key_ids[KEYRING_KEYS_MAX];
	char key_error[KEYFILE_ERROR_MAX];
	/* Step 2. */
	json_t *changes;
	char refused[RELOAD_TEXT_MAX];
	/* Steps 3 and 4. */
	uint32_t group;
	bool rules_changed[LIMIT_GROUPS];
	json_t *warnings; /* what could not be kept */
};

/* --- the end, one way or the other ------------------------------------------------------------ */

static void reload_free(struct reload *reload)
{
	config_free(reload->cfg);
	json_decref(reload->changes);
	json_decref(reload->warnings);
	reload->node->reload = NULL;
	free(reload);
	notify_ready();
}

static void reload_refuse(struct reload *reload, const char *code, const char *text)
{
	log_warnx("reload: %s: %s", code, text);
	if (reload->has_ticket)
		(void)control_server_error(reload->node->server, &reload->ticket, code, "%s", text);
	reload_free(reload);
}

static void reload_succeed(struct reload *reload)
{
	log_notice("reload: %zu changes%s", json_array_size(reload->changes),
		reload->diff ? " shown" : " applied");
	if (reload->has_ticket)
		(void)control_server_ok(reload->node->server, &reload->ticket,
			json_pack("{s:O, s:O}", "changes", reload->changes, "warnings",
				reload->warnings));
	reload_free(reload);
}

/* --- 1: read -----------------------------------------------------------------------------------
 */

static int reload_read_keys(struct reload *reload)
{
	struct keyring ring;
	int r = 0;

	keyring_init(&ring, reload->cfg->cluster);
	for (uint32_t i = 0; i < reload->cfg->key_count && r == 0; i++)
		r = keyfile_load(&ring, reload->cfg->keys[i].path, reload->key_error);
	reload->key_count = ring.key_count;
	for (uint32_t i = 0; i < ring.key_count; i++)
		reload->key_ids[i] = ring.keys[i].id;
	keyring_fini(&ring);
	return r;
}

static void reload_read(struct executor_job *job)
{
	struct reload *reload = (struct reload *)(void *)job;
	const struct options *options = reload->node->options;

	reload->cfg = config_load(options->config, options->node, &reload->errors);
	job->result = reload->cfg ? reload_read_keys(reload) : -EINVAL;
}

/* reload_errors: every error of the file, one a line. */
static void reload_errors(struct reload *reload, char text[static RELOAD_TEXT_MAX])
{
	char line[CONFIG_ERROR_LINE_MAX];
	size_t used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < reload->errors.count && used < RELOAD_TEXT_MAX - 1; i++)
		used += (size_t)snprintf(text + used, RELOAD_TEXT_MAX - used, "%s%s", i ? "\n" : "",
			config_errors_render(&reload->errors, i, line));
	if (!reload->cfg && reload->errors.count == 0)
		snprintf(text, RELOAD_TEXT_MAX, "the file cannot be read");
	else if (reload->cfg)
		snprintf(text, RELOAD_TEXT_MAX, "%s", reload->key_error);
}

/* --- 2: judge ----------------------------------------------------------------------------------
 */

/* reload_is_applicable: what a running node takes up. */
static bool reload_is_applicable(enum config_change change, const char *text)
{
	switch (change) {
	case CONFIG_CHANGE_ELECTION:
	case CONFIG_CHANGE_HANDLERS:
	case CONFIG_CHANGE_TRACK:
		return true;
	case CONFIG_CHANGE_TIMERS:
		return strncmp(text, "settle", 6) == 0;
	case CONFIG_CHANGE_RULES: /* a group's first or last rules are judged with the fingerprints
				   */
		return true;
	case CONFIG_CHANGE_SYNC: /* syncd's, but for whether there is one at all */
		return true;
	case CONFIG_CHANGE_CLUSTER:
	case CONFIG_CHANGE_KEYS:
	case CONFIG_CHANGE_NODE:
	case CONFIG_CHANGE_GROUP:
	case CONFIG_CHANGE_INTERFACE:
	case CONFIG_CHANGE_ADDRESS:
	case CONFIG_CHANGE_COUNT:
		break;
	}
	return false;
}

static void on_change(
	void *context, enum config_change change, const char *group_or_null, const char *text)
{
	struct reload *reload = context;
	size_t used = strlen(reload->refused);

	(void)group_or_null;
	(void)json_array_append_new(reload->changes, json_string(text));
	if (!reload_is_applicable(change, text) && used < RELOAD_TEXT_MAX - 1)
		snprintf(reload->refused + used, RELOAD_TEXT_MAX - used, "%s%s",
			used ? "; " : "needs a restart of carpd: ", text);
}

/* reload_judge_keys: other contents behind the same names. Signing with another key is a restart's
 * business; one that a living peer does not accept would split the pair. */
static void reload_judge_keys(struct reload *reload)
{
	const struct node *node = reload->node;
	bool same = reload->key_count == node->keys.count;

	for (uint32_t i = 0; same && i < reload->key_count; i++)
		same = reload->key_ids[i] == node->keys.ids[i];
	if (!same)
		on_change(reload, CONFIG_CHANGE_KEYS, NULL, "keys: other contents");
}

static bool reload_splits(const struct reload *reload)
{
	const struct node *node = reload->node;

	for (uint8_t i = 0; i + 1u < node->cfg->node_count; i++)
		if (!election_peer_accepts_key(node->core, i, reload->key_ids[0]))
			return true;
	return false;
}

static void reload_compile_next(struct reload *reload);

static void on_helper_config(void *context, int error)
{
	struct reload *reload = context;

	if (error < 0)
		reload_refuse(reload, "FAILED", "the helper process could not load the file");
	else
		reload_compile_next(reload);
}

static void reload_judge(struct executor_job *job)
{
	struct reload *reload = (struct reload *)(void *)job;
	struct node *node = reload->node;
	char text[RELOAD_TEXT_MAX];
	int r;

	if (job->result < 0) {
		reload_errors(reload, text);
		reload_refuse(reload, "CONFIG", text);
		return;
	}
	(void)config_diff(node->cfg, reload->cfg, reload, on_change);
	reload_judge_keys(reload);
	if (node->cfg->sync.configured != reload->cfg->sync.configured)
		on_change(reload, CONFIG_CHANGE_CLUSTER, NULL, "sync: added or removed");
	if (!reload->force && reload_splits(reload)) {
		reload_refuse(reload, "WOULD_SPLIT",
			"a living peer does not accept the key that would sign");
		return;
	}
	if (reload->refused[0] != '\0' && !reload->diff) {
		reload_refuse(reload, "NOT_YET", reload->refused);
		return;
	}
	r = helper_config(
		node->helper, node->options->config, node->options->node, on_helper_config, reload);
	if (r < 0)
		reload_refuse(reload, "FAILED", "the helper process is gone: restart carpd");
}

/* --- 3: compile --------------------------------------------------------------------------------
 */

static void reload_apply(struct reload *reload);

static void reload_report(struct reload *reload, const struct rules_report *report)
{
	char text[RELOAD_TEXT_MAX] = "";
	size_t used = 0;

	for (size_t i = 0; i < report->count && i < RULES_REPORT_LINES; i++)
		if (used < sizeof(text) - 1)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
				i ? "\n" : "", report->lines[i]);
	reload_refuse(reload, "CONFIG", used ? text : "the rules do not compile");
}

static void on_compiled(void *context, const struct helper_rules_result *result)
{
	struct reload *reload = context;
	const struct node_group *group = &reload->node->groups[reload->group];
	char text[RELOAD_TEXT_MAX];
	bool other;

	if (result->error < 0) {
		reload_report(reload, &result->report);
		return;
	}
	other = memcmp(result->manifest.fingerprint, group->manifest->fingerprint,
			RULES_FINGERPRINT_BYTES) != 0;
	if (other || group->rules_missing || group->rules_changed) {
		reload->rules_changed[reload->group] = true;
		snprintf(text, sizeof(text), "group %s: %s", group->config->name,
			other ? "other rules" : "rules that somebody changed are loaded again");
		(void)json_array_append_new(reload->changes, json_string(text));
	}
	reload->group++;
	reload_compile_next(reload);
}

/* reload_compile_next: group after group; then the changes are applied. */
static void reload_compile_next(struct reload *reload)
{
	struct node *node = reload->node;

	/* After a refused difference (shown only) groups need not be the same ones. */
	if (reload->refused[0] != '\0')
		reload->group = node->group_count;
	for (; reload->group < node->group_count; reload->group++) {
		const struct config_group *config = &reload->cfg->groups[reload->group];

		if ((config->rules_master.path != NULL) != node->groups[reload->group].has_rules) {
			reload_refuse(reload, "NOT_YET",
				"needs a restart of carpd: a group's first or last rules");
			return;
		}
		if (!node->groups[reload->group].has_rules)
			continue;
		if (helper_rules(node->helper, config->name, HELPER_RULES_COMPILE, on_compiled,
			    reload) < 0)
			reload_refuse(reload, "FAILED", "the helper process is gone");
		return;
	}
	if (reload->diff)
		reload_succeed(reload);
	else
		reload_apply(reload);
}

/* --- 4: apply ----------------------------------------------------------------------------------
 */

static void reload_load_next(struct reload *reload);

/* reload_adopt: from here on the new file is the config; groups, paths and nodes are the same. */
static void reload_adopt(struct reload *reload)
{
	struct election_event event = {.type = ELECTION_EVENT_RELOAD, .group = ELECTION_ALL};
	struct node *node = reload->node;

	config_free(node->cfg_before);
	node->cfg_before = node->cfg;
	node->cfg = reload->cfg;
	node->self = reload->cfg->self;
	reload->cfg = NULL;
	for (uint32_t i = 0; i < node->group_count; i++)
		node->groups[i].config = &node->cfg->groups[i];
	for (uint32_t i = 0; i < node->path_count; i++)
		node->paths[i].config = &node->cfg->paths[i];
	handlers_reconfigure(node->handlers, node->cfg);
	event.reload.preempt = node->cfg->election.preempt;
	event.reload.settle = node->cfg->election.settle;
	event.reload.damping_moves = node->cfg->election.damping.moves;
	event.reload.damping_within = node->cfg->election.damping.within;
	event.reload.damping_hold = node->cfg->election.damping.hold;
	event.reload.confirm_questions = config_confirm_questions(node->cfg);
	event.reload.confirm_spacing = node->cfg->election.confirm.spacing;
	node_event(node, &event);
	track_reconfigure(node);
	for (uint32_t i = 0; i < node->group_count; i++)
		node_fingerprints(node, (uint8_t)i);
}

static void reload_apply(struct reload *reload)
{
	reload_adopt(reload);
	reload->group = 0;
	reload_load_next(reload);
}

static void on_swapped(void *context, uint8_t group, int error, const struct rules_report *report)
{
	struct reload *reload = context;

	(void)group;
	if (error < 0) {
		reload_report(reload, report);
		return;
	}
	for (size_t i = 0; i < report->count && i < RULES_REPORT_LINES; i++) {
		json_t *line = json_string(report->lines[i]);

		if (line)
			(void)json_array_append_new(reload->warnings, line);
	}
	reload->group++;
	reload_load_next(reload);
}

static void reload_load_next(struct reload *reload)
{
	struct node *node = reload->node;

	for (; reload->group < node->group_count; reload->group++) {
		/* Where they are gone there is nothing to keep. */
		enum helper_rules_task task = node->groups[reload->group].rules_missing
						      ? HELPER_RULES_LOAD
						      : HELPER_RULES_BESIDE;
		int r;

		if (!reload->rules_changed[reload->group])
			continue;
		r = node_rules_swap(node, (uint8_t)reload->group, task, on_swapped, reload);
		if (r < 0)
			reload_refuse(reload, r == -EBUSY ? "BUSY" : "FAILED",
				r == -EBUSY ? "a repair of the rules is under way: try again"
					    : "the helper process is gone");
		return;
	}
	reload_succeed(reload);
}

void reload_start(struct node *node, const struct control_ticket *ticket, bool diff, bool force)
{
	struct reload *reload = node->reload ? NULL : calloc(1, sizeof(*reload));

	if (!reload || node->is_stopping) {
		if (ticket)
			(void)control_server_error(node->server, ticket,
				node->is_stopping ? "SHUTTING_DOWN" : "BUSY",
				"a reload is under way");
		free(reload);
		return;
	}
	*reload = (struct reload){
		.job = {.run = reload_read, .done = reload_judge},
		.node = node,
		.has_ticket = ticket != NULL,
		.diff = diff,
		.force = force,
		.changes = json_array(),
		.warnings = json_array(),
	};
	if (ticket)
		reload->ticket = *ticket;
	node->reload = reload;
	notify_reloading();
	if (!executor_post(node->disk_executor, &reload->job))
		CHECK(false);
}
