/* track: what else must be well for a node to be as good as another: interfaces and scripts. One
 * entry is either; its group owns a stretch of struct config's array. */
#include "config/config_parse.h"

#include "common/check.h"
#include "config/config_value.h"

#include <string.h>

#define MS INT64_C(1000)
#define S  (1000 * MS)

static void take_interface(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_track *track = object;
	const char *text = config_shape_word(parser, value, "an interface's name");

	if (!text)
		return;
	track->pos = value->pos;
	if (config_value_is_name(text, CONFIG_IFNAME_MAX - 1))
		strcpy(track->interface, text);
	else
		config_shape_error(parser, value,
			"'%.64s'; allowed: 1..15 characters of A-Z a-z 0-9 . _ -", text);
}

static void take_script(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_track *track = object;

	track->kind = CONFIG_TRACK_SCRIPT;
	track->argument_count = config_parse_words(
		parser, value, &track->arguments, &track->program_text, &track->pos);
}

static void take_name(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_track *track = object;
	const char *text = config_shape_word(parser, value, "a name");

	if (!text)
		return;
	if (config_value_is_name(text, CONFIG_TRACK_NAME_MAX))
		strcpy(track->name, text);
	else
		config_shape_error(parser, value,
			"'%.64s'; allowed: 1..%u characters of A-Z a-z 0-9 . _ -", text,
			CONFIG_TRACK_NAME_MAX);
}

/* Read after `every`: a run is over before the next one begins. */
static void take_timeout(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_track *track = object;

	config_shape_duration(parser, value, dur_ms(1), track->every, &track->timeout);
}

static void take_when(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	static const char *const names[] = {"always", "master"};
	struct config_track *track = object;

	track->when_master = config_shape_choice(parser, value, names, ARRAY_LEN(names)) == 1;
}

static void take_user(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_track *track = object;

	config_parse_user(parser, value, track->user, &track->user_pos);
}

#define TRACK(field) CONFIG_SHAPE_FIELD(struct config_track, field)

static const struct config_shape_key track_keys[] = {
	{"interface", CONFIG_SHAPE_OTHER, false, .take = take_interface, .type_text = "name",
		.fallback_text = "this or script", .range_text = "an interface of the node",
		.meaning = "Fails while the interface is down, without carrier, or not there."},
	{"script", CONFIG_SHAPE_OTHER, false, .take = take_script, .type_text = "list of words",
		.fallback_text = "this or interface", .range_text = "1..32 words",
		.meaning = "A program and its arguments, no shell; `{group}` is filled in. It "
			   "fails by an exit status other than 0, or by its timeout."},
	{"demote", CONFIG_SHAPE_NUMBER, true, TRACK(demote), .min = 1, .max = CONFIG_DEMOTE_MAX,
		.meaning = "By how much the node demotes itself while it fails. From 100 on a "
			   "master is given up at once, below that after `settle`."},
	{"name", CONFIG_SHAPE_OTHER, false, .take = take_name, .type_text = "name",
		.fallback_text = "the interface's or the program's own",
		.range_text = "unique in the group",
		.meaning = "What status calls it: `track:NAME`."},
	{"every", CONFIG_SHAPE_DURATION, false, TRACK(every), .min = 10 * MS, .max = 3600 * S,
		.fallback = 1 * S, .meaning = "Scripts: how often it runs, begin to begin."},
	{"timeout", CONFIG_SHAPE_OTHER, false, .take = take_timeout, .type_text = "duration",
		.fallback_text = "half of `every`", .range_text = "1ms..every",
		.meaning = "Scripts: then its whole process group is killed and it has failed."},
	{"rise", CONFIG_SHAPE_NUMBER, false, TRACK(rise), .min = 1, .max = 100, .fallback = 2,
		.meaning = "Scripts: how many successes in a row make it well again."},
	{"fall", CONFIG_SHAPE_NUMBER, false, TRACK(fall), .min = 1, .max = 100, .fallback = 2,
		.meaning = "Scripts: how many failures in a row make it failed. At the start it "
			   "is well."},
	{"when", CONFIG_SHAPE_OTHER, false, .take = take_when, .type_text = "word",
		.fallback_text = "always", .range_text = "always, master",
		.meaning = "Scripts: master: runs on the master alone. Its failure stays with the "
			   "node when it is master no more, at most 10 minutes."},
	{"user", CONFIG_SHAPE_OTHER, false, .take = take_user, .type_text = "name",
		.fallback_text = "nobody", .range_text = "a user of the node",
		.meaning = "Scripts: whom it runs as."},
};

const struct config_shape config_parse_track_shape = {
	"groups.GROUP.track[]", ARRAY_LEN(track_keys), track_keys};

/* The keys of scripts mean nothing for an interface: said, not ignored. */
static void check_kind(struct config_parser *parser, const struct config_track *track,
	const struct config_tree_node *item)
{
	static const char *const of_scripts[] = {
		"every", "timeout", "rise", "fall", "when", "user"};

	if ((track->interface[0] != '\0') == (track->kind == CONFIG_TRACK_SCRIPT)) {
		config_errors_add(parser->errors, item->pos,
			"track: %s; allowed: either interface or script",
			track->interface[0] ? "interface and script"
					    : "neither interface nor script");
		return;
	}
	for (const struct config_tree_node *child = item->first;
		track->kind == CONFIG_TRACK_INTERFACE && child; child = child->next)
		for (size_t i = 0; i < ARRAY_LEN(of_scripts); i++)
			if (strcmp(child->key, of_scripts[i]) == 0)
				config_errors_add(parser->errors, child->key_pos,
					"%s: only for a script", child->key);
}

/* fill_name: without a `name`, the interface's or the program's last part. */
static void fill_name(struct config_parser *parser, struct config_track *track)
{
	const char *text = track->interface, *slash;

	if (track->name[0] != '\0')
		return;
	if (track->kind == CONFIG_TRACK_SCRIPT && track->program_text) {
		slash = strrchr(track->program_text, '/');
		text = slash ? slash + 1 : track->program_text;
		if (!config_value_is_name(text, CONFIG_TRACK_NAME_MAX)) {
			config_errors_add(parser->errors, track->pos,
				"track: '%.64s' is no name for status; give it one with name:",
				text);
			return;
		}
	}
	strcpy(track->name, text);
}

static void read_track(struct config_parser *parser, struct config_group *group,
	const struct config_tree_node *item)
{
	struct config_track *track = &parser->cfg->tracks[parser->cfg->track_count];

	*track = (struct config_track){.group = group->index};
	config_shape_defaults(&config_parse_track_shape, track);
	track->pos = track->user_pos = item->pos;
	strcpy(track->user, "nobody");
	if (!config_shape_read(parser, &config_parse_track_shape, track, item))
		return;
	if (track->timeout.us == 0)
		track->timeout = dur_us(track->every.us / 2);
	check_kind(parser, track, item);
	fill_name(parser, track);
	for (uint32_t i = 0; i < group->track_count; i++)
		if (track->name[0] && strcmp(group->tracks[i].name, track->name) == 0)
			config_errors_add(parser->errors, track->pos,
				"track: name '%s' is there twice; give one of them a name:",
				track->name);
	parser->cfg->track_count++;
	group->track_count++;
}

void config_parse_track(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_group *group = object;

	if (!config_shape_kind(parser, value, CONFIG_TREE_LIST, "a list of interfaces and scripts"))
		return;
	for (const struct config_tree_node *item = value->first; item; item = item->next) {
		if (parser->cfg->track_count == LIMIT_TRACKS ||
			group->track_count == CONFIG_TRACKS_MAX) {
			config_shape_error(parser, item,
				"more than %u in one group or %u in one file", CONFIG_TRACKS_MAX,
				LIMIT_TRACKS);
			return;
		}
		read_track(parser, group, item);
	}
}
