#include "ctl/drill/scenario_file.h"

#include "ctl/drill/cluster.h"

#include "common/check.h"
#include "config/config_tree.h"
#include "config/config_value.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCENARIO_FILE_OUTAGE_MS	 20 /* on top of master-down, when nothing else is demanded */
#define SCENARIO_FILE_OBSERVE_MS 3000
#define SCENARIO_FILE_READY_MAX	 300000
#define SCENARIO_FILE_ANY_DAEMON ((1u << CLUSTER_DAEMON_CARPD) | (1u << CLUSTER_DAEMON_SYNCD))

struct scenario_reader {
	struct scenario_file *file;
	struct config_errors *errors;
	struct scenario_step *step; /* being read */
	unsigned int step_index;
	bool has_at;
	bool has_do;
};

typedef void scenario_key_fn(struct scenario_reader *reader, const struct config_tree_node *value);

struct scenario_key {
	const char *name;
	scenario_key_fn *read;
};

static void scenario_wrong(
	struct scenario_reader *reader, const struct config_tree_node *value, const char *what)
{
	if (value->kind != CONFIG_TREE_BAD)
		config_errors_add(reader->errors, value->pos, "%s: %s",
			value->label ? value->label : "the file", what);
}

/* A mapping whose keys are all in the table. */
static void scenario_read_keys(struct scenario_reader *reader,
	const struct config_tree_node *mapping, const struct scenario_key *keys, size_t key_count)
{
	const struct config_tree_node *child = mapping->first;

	if (mapping->kind != CONFIG_TREE_MAPPING) {
		scenario_wrong(reader, mapping, "a mapping is wanted (key: value)");
		return;
	}
	for (; child; child = child->next) {
		size_t i = 0;

		while (i < key_count && strcmp(keys[i].name, child->key) != 0)
			i++;
		if (i < key_count)
			keys[i].read(reader, child);
		else
			config_errors_add(reader->errors, child->key_pos,
				"%s: no such key here; the first is %s", child->key, keys[0].name);
	}
}

static const char *scenario_word(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	if (value->kind == CONFIG_TREE_SCALAR && value->text[0] != '\0')
		return value->text;
	scenario_wrong(reader, value, "a word is wanted");
	return NULL;
}

/* False, told, when it is no duration of at most `max_us`. */
static bool scenario_duration(struct scenario_reader *reader, const struct config_tree_node *value,
	int64_t max_us, int64_t *ret_us)
{
	const char *text = scenario_word(reader, value);
	dur_t duration;

	if (!text)
		return false;
	if (config_value_duration(text, &duration) != CONFIG_VALUE_OK || duration.us > max_us) {
		scenario_wrong(reader, value, "a duration such as 2s or 50ms is wanted");
		return false;
	}
	*ret_us = duration.us;
	return true;
}

static bool scenario_number(struct scenario_reader *reader, const struct config_tree_node *value,
	int64_t max, int64_t *ret_number)
{
	const char *text = scenario_word(reader, value);

	if (!text)
		return false;
	if (config_value_number(text, ret_number) == CONFIG_VALUE_OK && *ret_number <= max)
		return true;
	scenario_wrong(reader, value, "a whole number is wanted");
	return false;
}

static void scenario_copy(struct scenario_reader *reader, const struct config_tree_node *value,
	char *target, size_t size_bytes)
{
	const char *text = scenario_word(reader, value);

	if (text && snprintf(target, size_bytes, "%s", text) >= (int)size_bytes)
		scenario_wrong(reader, value, "is too long");
}

/* --- a step --------------------------------------------------------------------------------- */

/* Words that stand for a signal to the daemons. */
static const struct {
	const char *name;
	int signal_number;
} scenario_signals[] = {{"kill", SIGKILL}, {"freeze", SIGSTOP}, {"thaw", SIGCONT}};

static void scenario_read_do(struct scenario_reader *reader, const struct config_tree_node *value)
{
	const char *text = scenario_word(reader, value);
	enum scenario_action action;

	reader->has_do = true;
	for (size_t i = 0; text && i < ARRAY_LEN(scenario_signals); i++) {
		if (strcmp(text, scenario_signals[i].name) != 0)
			continue;
		reader->step->action = SCENARIO_ACTION_SIGNAL;
		reader->step->signal_number = scenario_signals[i].signal_number;
		return;
	}
	if (!text)
		return;
	if (!scenario_action_lookup(text, &action) || action == SCENARIO_ACTION_SIGNAL) {
		scenario_wrong(reader, value,
			"one of power-off power-on handover kill freeze thaw start link-down "
			"link-up path-loss path-mend split join break-rules change-rules "
			"drift-rules reload fill");
		return;
	}
	reader->step->action = action;
}

static void scenario_read_at(struct scenario_reader *reader, const struct config_tree_node *value)
{
	int64_t us;

	reader->has_at = true;
	if (scenario_duration(reader, value, SCENARIO_FILE_AT_MS_MAX * INT64_C(1000), &us))
		reader->step->at_ms = (int)(us / 1000);
}

static void scenario_read_node(struct scenario_reader *reader, const struct config_tree_node *value)
{
	const char *text = scenario_word(reader, value);

	if (!text)
		return;
	reader->step->who = SCENARIO_WHO_NAMED;
	if (strcmp(text, "master") == 0)
		reader->step->who = SCENARIO_WHO_MASTER;
	if (strcmp(text, "standby") == 0)
		reader->step->who = SCENARIO_WHO_STANDBY;
	scenario_copy(reader, value, reader->file->nodes[reader->step_index], LIMIT_NAME);
	reader->step->node_name = reader->file->nodes[reader->step_index];
}

static void scenario_read_interface(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	static const struct {
		const char *name;
		enum scenario_where where;
	} words[] = {{"all", SCENARIO_WHERE_ALL}, {"client", SCENARIO_WHERE_CLIENT},
		{"server", SCENARIO_WHERE_SERVER}, {"sync", SCENARIO_WHERE_SYNC}};
	const char *text = scenario_word(reader, value);

	if (!text)
		return;
	scenario_copy(reader, value, reader->file->interfaces[reader->step_index], LIMIT_NAME);
	reader->step->interface_name = reader->file->interfaces[reader->step_index];
	reader->step->where = SCENARIO_WHERE_NAMED;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(text, words[i].name) == 0)
			reader->step->where = words[i].where;
}

static void scenario_read_daemon(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	const char *text = scenario_word(reader, value);

	reader->step->daemons = SCENARIO_FILE_ANY_DAEMON;
	if (!text || strcmp(text, "all") == 0)
		return;
	reader->step->daemons = 1u << CLUSTER_DAEMON_CARPD;
	if (strcmp(text, "carpd") == 0)
		return;
	reader->step->daemons = 1u << CLUSTER_DAEMON_SYNCD;
	if (strcmp(text, "syncd") == 0)
		return;
	scenario_wrong(reader, value, "one of carpd syncd all");
}

static void scenario_read_count(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	int64_t count;

	if (scenario_number(reader, value, SCENARIO_FLOWS_MAX, &count))
		reader->step->flow_count = (uint32_t)count;
}

static void scenario_read_refused(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	const char *text = scenario_word(reader, value);

	if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		scenario_wrong(reader, value, "true or false");
	reader->step->refused = text && strcmp(text, "true") == 0;
}

static const struct scenario_key scenario_step_keys[] = {
	{"at", scenario_read_at},
	{"do", scenario_read_do},
	{"node", scenario_read_node},
	{"interface", scenario_read_interface},
	{"daemon", scenario_read_daemon},
	{"count", scenario_read_count},
	{"refused", scenario_read_refused},
};

static void scenario_judge_step(
	struct scenario_reader *reader, const struct config_tree_node *value, int last_ms)
{
	struct scenario *scenario = &reader->file->scenario;
	const struct scenario_step *step = reader->step;

	if (!reader->has_do)
		scenario_wrong(reader, value, "a step wants do:");
	if (step->at_ms < last_ms)
		scenario_wrong(reader, value, "steps are in the order of time");
	if (step->action == SCENARIO_ACTION_FILL && step->flow_count == 0)
		scenario_wrong(reader, value, "fill wants count:");
	if (step->action == SCENARIO_ACTION_BREAK_RULES ||
		step->action == SCENARIO_ACTION_CHANGE_RULES ||
		step->action == SCENARIO_ACTION_DRIFT_RULES)
		scenario->needs_rules = true;
	if (step->action == SCENARIO_ACTION_HANDOVER)
		scenario->planned = true;
}

static void scenario_read_steps(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	struct scenario *scenario = &reader->file->scenario;
	const struct config_tree_node *item = value->first;
	int last_ms = 0;

	if (value->kind != CONFIG_TREE_LIST || !item) {
		scenario_wrong(reader, value, "a list of steps is wanted");
		return;
	}
	for (; item; item = item->next) {
		if (scenario->step_count == SCENARIO_STEPS_MAX) {
			scenario_wrong(reader, item, "too many steps");
			return;
		}
		reader->step_index = scenario->step_count++;
		reader->step = &scenario->steps[reader->step_index];
		*reader->step = (struct scenario_step){
			.at_ms = last_ms, .daemons = SCENARIO_FILE_ANY_DAEMON};
		reader->has_do = false;
		scenario_read_keys(reader, item, scenario_step_keys, ARRAY_LEN(scenario_step_keys));
		scenario_judge_step(reader, item, last_ms);
		last_ms = reader->step->at_ms;
	}
}

/* --- what is expected ------------------------------------------------------------------------ */

static void scenario_read_master(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	static const char *const words[] = {
		[SCENARIO_MASTER_MOVES] = "moves",
		[SCENARIO_MASTER_STAYS] = "stays",
		[SCENARIO_MASTER_ANY] = "any",
	};
	const char *text = scenario_word(reader, value);

	for (size_t i = 0; text && i < ARRAY_LEN(words); i++) {
		if (strcmp(text, words[i]) != 0)
			continue;
		reader->file->scenario.master = (enum scenario_master)i;
		return;
	}
	if (text)
		scenario_wrong(reader, value, "one of moves stays any");
}

static void scenario_read_ready(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	int64_t us;

	if (scenario_duration(reader, value, SCENARIO_FILE_READY_MAX * INT64_C(1000), &us))
		reader->file->scenario.ready_ms = (int)(us / 1000);
}

static void scenario_read_alarm(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	scenario_copy(reader, value, reader->file->alarm, sizeof(reader->file->alarm));
	reader->file->scenario.alarm = reader->file->alarm;
}

static void scenario_read_moves(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	int64_t count;

	if (scenario_number(reader, value, 1000, &count))
		reader->file->scenario.moves_max = (int)count;
}

static void scenario_read_expect(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	static const struct scenario_key keys[] = {
		{"master", scenario_read_master},
		{"ready", scenario_read_ready},
		{"alarm", scenario_read_alarm},
		{"moves", scenario_read_moves},
	};

	scenario_read_keys(reader, value, keys, ARRAY_LEN(keys));
}

static void scenario_read_outage(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	(void)scenario_duration(reader, value, SCENARIO_FILE_AT_MS_MAX * INT64_C(1000),
		&reader->file->objectives.outage_us);
}

static void scenario_read_dual(struct scenario_reader *reader, const struct config_tree_node *value)
{
	(void)scenario_duration(reader, value, SCENARIO_FILE_AT_MS_MAX * INT64_C(1000),
		&reader->file->objectives.dual_us);
}

static void scenario_read_loss(struct scenario_reader *reader, const struct config_tree_node *value)
{
	(void)scenario_number(reader, value, INT32_MAX, &reader->file->objectives.handover_loss);
}

static void scenario_read_survival(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	const char *text = scenario_word(reader, value);
	char digits[8] = "";
	size_t length = text ? strlen(text) : 0;
	int64_t percent;

	if (!text)
		return;
	if (length > 1 && length < sizeof(digits) && text[length - 1] == '%') {
		(void)memcpy(digits, text, length - 1);
		if (config_value_number(digits, &percent) == CONFIG_VALUE_OK && percent <= 100) {
			reader->file->objectives.survival_percent = (int)percent;
			return;
		}
	}
	scenario_wrong(reader, value, "a whole percentage such as 100% is wanted");
}

static void scenario_read_objectives(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	static const struct scenario_key keys[] = {
		{"outage", scenario_read_outage},
		{"handover_loss", scenario_read_loss},
		{"survival", scenario_read_survival},
		{"dual_master", scenario_read_dual},
	};

	scenario_read_keys(reader, value, keys, ARRAY_LEN(keys));
}

static void scenario_read_name(struct scenario_reader *reader, const struct config_tree_node *value)
{
	scenario_copy(reader, value, reader->file->name, sizeof(reader->file->name));
	/* It becomes a folder's name. */
	if (!config_value_is_name(reader->file->name, sizeof(reader->file->name) - 1))
		scenario_wrong(reader, value, "letters, digits, . _ - are wanted");
}

static void scenario_read_description(
	struct scenario_reader *reader, const struct config_tree_node *value)
{
	scenario_copy(reader, value, reader->file->description, sizeof(reader->file->description));
}

static void scenario_read_root(struct scenario_reader *reader, const struct config_tree_node *root)
{
	static const struct scenario_key keys[] = {
		{"steps", scenario_read_steps},
		{"name", scenario_read_name},
		{"description", scenario_read_description},
		{"expect", scenario_read_expect},
		{"objectives", scenario_read_objectives},
	};

	if (root->kind == CONFIG_TREE_LIST)
		scenario_read_steps(reader, root);
	else
		scenario_read_keys(reader, root, keys, ARRAY_LEN(keys));
}

/* What an operator has not said: the master is dead for master-down, and nothing else is lost. */
static void scenario_file_defaults(struct scenario_file *file, const char *name)
{
	(void)memset(file, 0, sizeof(*file));
	(void)snprintf(file->name, sizeof(file->name), "%s", name);
	(void)snprintf(
		file->description, sizeof(file->description), "a scenario of the operator's own");
	file->objectives = (struct scenario_objectives){
		.outage_us = -1, .handover_loss = -1, .survival_percent = -1, .dual_us = -1};
	file->scenario = (struct scenario){.name = file->name,
		.summary = file->description,
		.description = file->description,
		.master = SCENARIO_MASTER_ANY,
		.bound = SCENARIO_BOUND_MASTER_DOWN,
		.outage_ms = SCENARIO_FILE_OUTAGE_MS,
		.observe_ms = SCENARIO_FILE_OBSERVE_MS};
}

bool scenario_file_parse(const char *text, size_t size_bytes, const char *name,
	struct scenario_file *ret_file, struct config_errors *errors)
{
	struct scenario_reader reader = {.file = ret_file, .errors = errors};
	struct config_tree *tree;

	scenario_file_defaults(ret_file, name);
	tree = config_tree_new(text, size_bytes, errors);
	if (tree)
		scenario_read_root(&reader, config_tree_root(tree));
	config_tree_free(tree);
	config_errors_sort(errors);
	return errors->count == 0;
}

static void scenario_file_stem(const char *path, char name[static LIMIT_NAME])
{
	const char *slash = strrchr(path, '/');
	char *dot;

	(void)snprintf(name, LIMIT_NAME, "%s", slash ? slash + 1 : path);
	dot = strrchr(name, '.');
	if (dot && dot != name)
		*dot = '\0';
}

bool scenario_file_load(
	const char *path, struct scenario_file *ret_file, struct config_errors *errors)
{
	char *text = malloc(SCENARIO_FILE_BYTES_MAX);
	FILE *file = text ? fopen(path, "re") : NULL;
	char name[LIMIT_NAME];
	size_t size_bytes = 0;
	bool good = false;

	config_errors_init(errors, path);
	if (file)
		size_bytes = fread(text, 1, SCENARIO_FILE_BYTES_MAX, file);
	if (!file)
		config_errors_add(errors, (struct config_pos){0}, "%s", strerror(errno));
	else if (size_bytes == SCENARIO_FILE_BYTES_MAX)
		config_errors_add(errors, (struct config_pos){0}, "is too large");
	if (errors->count == 0) {
		scenario_file_stem(path, name);
		good = scenario_file_parse(text, size_bytes, name, ret_file, errors);
	}
	if (file)
		(void)fclose(file);
	free(text);
	return good;
}
