#include "config/config_shape.h"

#include "common/check.h"
#include "config/config_value.h"

#include <stdarg.h>
#include <string.h>

#define ALLOWED_MAX 320u

static const char *const kind_names[] = {
	[CONFIG_TREE_BAD] = "nothing",
	[CONFIG_TREE_SCALAR] = "a word",
	[CONFIG_TREE_LIST] = "a list",
	[CONFIG_TREE_MAPPING] = "a mapping",
};

void config_shape_error(
	struct config_parser *parser, const struct config_tree_node *value, const char *format, ...)
{
	char text[CONFIG_ERROR_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (value->label)
		config_errors_add(parser->errors, value->pos, "%s: %s", value->label, text);
	else
		config_errors_add(parser->errors, value->pos, "%s", text);
}

/* Plain fields are written by their width; the widths are those of the structures in config.h. */
static void store(void *object, const struct config_shape_key *key, int64_t number)
{
	char *at = (char *)object + key->offset;

	switch (key->width_bytes) {
	case 1:
		*(uint8_t *)at = (uint8_t)number;
		break;
	case 2: {
		uint16_t narrow = (uint16_t)number;

		memcpy(at, &narrow, sizeof(narrow));
		break;
	}
	case 4: {
		uint32_t narrow = (uint32_t)number;

		memcpy(at, &narrow, sizeof(narrow));
		break;
	}
	default:
		CHECK(key->width_bytes == sizeof(number));
		memcpy(at, &number, sizeof(number));
	}
}

void config_shape_defaults(const struct config_shape *shape, void *object)
{
	for (size_t i = 0; i < shape->key_count; i++)
		if (shape->keys[i].width_bytes && !shape->keys[i].required)
			store(object, &shape->keys[i], shape->keys[i].fallback);
}

static const struct config_shape_key *find_key(const struct config_shape *shape, const char *name)
{
	for (size_t i = 0; i < shape->key_count; i++)
		if (strcmp(shape->keys[i].name, name) == 0)
			return &shape->keys[i];
	return NULL;
}

static void report_unknown(struct config_parser *parser, const struct config_shape *shape,
	const struct config_tree_node *child)
{
	const char *names[CONFIG_SHAPE_KEYS_MAX];
	char allowed[ALLOWED_MAX] = "";
	size_t used = 0;
	const char *nearest;

	CHECK(shape->key_count <= CONFIG_SHAPE_KEYS_MAX);
	for (size_t i = 0; i < shape->key_count; i++) {
		names[i] = shape->keys[i].name;
		used += (size_t)snprintf(
			allowed + used, sizeof(allowed) - used, "%s%s", i ? ", " : "", names[i]);
		CHECK(used < sizeof(allowed));
	}
	nearest = config_value_nearest(child->key, names, shape->key_count);
	config_errors_add(parser->errors, child->key_pos,
		"unknown key '%.64s'%s%s%s%s%s; allowed: %s", child->key,
		shape->path[0] ? " in " : "", shape->path, nearest ? ": did you mean '" : "",
		nearest ? nearest : "", nearest ? "'?" : "", allowed);
}

static void read_key(struct config_parser *parser, const struct config_shape_key *key, void *object,
	const struct config_tree_node *value)
{
	int64_t number = 0;
	bool flag = false;
	dur_t duration = DUR_ZERO;

	switch (key->type) {
	case CONFIG_SHAPE_NUMBER:
		if (config_shape_number(parser, value, key->min, key->max, &number))
			store(object, key, number);
		break;
	case CONFIG_SHAPE_BOOL:
		if (config_shape_bool(parser, value, &flag))
			store(object, key, flag);
		break;
	case CONFIG_SHAPE_DURATION:
		if (config_shape_duration(
			    parser, value, dur_us(key->min), dur_us(key->max), &duration))
			store(object, key, duration.us);
		break;
	case CONFIG_SHAPE_OTHER:
		key->take(parser, object, value);
		break;
	case CONFIG_SHAPE_LATER:
		config_errors_add(parser->errors, value->key_pos, "%s: not yet built; leave it out",
			key->name);
		break;
	}
}

bool config_shape_read(struct config_parser *parser, const struct config_shape *shape, void *object,
	const struct config_tree_node *mapping)
{
	if (!config_shape_kind(parser, mapping, CONFIG_TREE_MAPPING, "keys with values"))
		return false;
	for (const struct config_tree_node *child = mapping->first; child; child = child->next)
		if (!find_key(shape, child->key))
			report_unknown(parser, shape, child);
	for (size_t i = 0; i < shape->key_count; i++) {
		const struct config_shape_key *key = &shape->keys[i];
		const struct config_tree_node *value = config_tree_child(mapping, key->name);

		if (value)
			read_key(parser, key, object, value);
		else if (key->required)
			config_errors_add(parser->errors, mapping->key_pos,
				"%s%skey '%s' is missing: it is required",
				mapping->label ? mapping->label : "", mapping->label ? ": " : "",
				key->name);
	}
	return true;
}

bool config_shape_kind(struct config_parser *parser, const struct config_tree_node *value,
	enum config_tree_kind kind, const char *what)
{
	if (value->kind == kind)
		return true;
	if (value->kind == CONFIG_TREE_BAD)
		return false;
	if (value->kind == CONFIG_TREE_SCALAR && !value->text[0] && !value->quoted)
		config_shape_error(parser, value, "has no value; allowed: %s%s", what,
			kind == CONFIG_TREE_MAPPING ? ", or {}" : "");
	else if (value->kind == CONFIG_TREE_SCALAR)
		config_shape_error(parser, value, "'%.64s'; allowed: %s", value->text, what);
	else
		config_shape_error(
			parser, value, "is %s; allowed: %s", kind_names[value->kind], what);
	return false;
}

const char *config_shape_word(
	struct config_parser *parser, const struct config_tree_node *value, const char *what)
{
	if (!config_shape_kind(parser, value, CONFIG_TREE_SCALAR, what))
		return NULL;
	if (value->text[0])
		return value->text;
	config_shape_error(parser, value, "has no value; allowed: %s", what);
	return NULL;
}

bool config_shape_number(struct config_parser *parser, const struct config_tree_node *value,
	int64_t min, int64_t max, int64_t *ret_number)
{
	char what[64];
	const char *text;
	int64_t number = 0;
	enum config_value_result result;

	snprintf(what, sizeof(what), "a whole number %lld..%lld", (long long)min, (long long)max);
	text = config_shape_word(parser, value, what);
	if (!text)
		return false;
	result = config_value_number(text, &number);
	if (value->quoted || (result != CONFIG_VALUE_OK && result != CONFIG_VALUE_TOO_BIG)) {
		config_shape_error(
			parser, value, "'%.64s' is not a number; allowed: %s", text, what);
		return false;
	}
	if (result == CONFIG_VALUE_TOO_BIG || number < min || number > max) {
		config_shape_error(parser, value, "%.64s is out of range; allowed: %lld..%lld",
			text, (long long)min, (long long)max);
		return false;
	}
	*ret_number = number;
	return true;
}

bool config_shape_bool(
	struct config_parser *parser, const struct config_tree_node *value, bool *ret_bool)
{
	const char *text = config_shape_word(parser, value, "true or false");
	bool is_true;

	if (!text)
		return false;
	is_true = strcmp(text, "true") == 0;
	if (value->quoted || (!is_true && strcmp(text, "false") != 0)) {
		config_shape_error(
			parser, value, "'%.64s' is neither; allowed: true or false", text);
		return false;
	}
	*ret_bool = is_true;
	return true;
}

bool config_shape_duration(struct config_parser *parser, const struct config_tree_node *value,
	dur_t min, dur_t max, dur_t *ret_duration)
{
	char least[CONFIG_VALUE_DURATION_TEXT_MAX], most[CONFIG_VALUE_DURATION_TEXT_MAX];
	const char *text = config_shape_word(parser, value, "a duration with its unit, as 10ms");
	dur_t duration = DUR_ZERO;

	if (!text)
		return false;
	config_value_render_duration(min, least);
	config_value_render_duration(max, most);
	switch (config_value_duration(text, &duration)) {
	case CONFIG_VALUE_OK:
		break;
	case CONFIG_VALUE_NO_UNIT:
		config_shape_error(parser, value,
			"duration '%.64s' has no unit; allowed: %s..%s, with us, ms, s, m, h or d",
			text, least, most);
		return false;
	case CONFIG_VALUE_NOT_A_NUMBER:
		config_shape_error(parser, value,
			"'%.64s' is not a duration; allowed: a whole number and us, ms, s, m, h or "
			"d, as 10ms",
			text);
		return false;
	case CONFIG_VALUE_TOO_BIG:
		duration = dur_us(INT64_MAX);
		break;
	}
	if (duration.us < min.us || duration.us > max.us) {
		config_shape_error(
			parser, value, "%.64s is out of range; allowed: %s..%s", text, least, most);
		return false;
	}
	*ret_duration = duration;
	return true;
}

int config_shape_choice(struct config_parser *parser, const struct config_tree_node *value,
	const char *const *names, size_t name_count)
{
	char allowed[ALLOWED_MAX] = "";
	size_t used = 0;
	const char *text;

	for (size_t i = 0; i < name_count; i++) {
		used += (size_t)snprintf(
			allowed + used, sizeof(allowed) - used, "%s%s", i ? " | " : "", names[i]);
		CHECK(used < sizeof(allowed));
	}
	text = config_shape_word(parser, value, allowed);
	if (!text)
		return -1;
	for (size_t i = 0; i < name_count; i++)
		if (strcmp(text, names[i]) == 0)
			return (int)i;
	config_shape_error(parser, value, "'%.64s' is unknown; allowed: %s", text, allowed);
	return -1;
}

void config_shape_later(struct config_parser *parser, const struct config_tree_node *value,
	const char *what, const char *allowed)
{
	config_shape_error(parser, value, "%s is not yet built; allowed: %s", what, allowed);
}

const char *config_shape_text(
	struct config_parser *parser, const struct config_tree_node *value, const char *text)
{
	struct config *cfg = parser->cfg;
	size_t size = strlen(text) + 1;
	char *at = cfg->text + cfg->text_bytes;

	if (size > sizeof(cfg->text) - cfg->text_bytes) {
		if (!parser->text_full)
			config_shape_error(parser, value,
				"more than %u bytes of file names and commands in one file",
				CONFIG_TEXT_BYTES_MAX);
		parser->text_full = true;
		return NULL;
	}
	memcpy(at, text, size);
	cfg->text_bytes += (uint32_t)size;
	return at;
}

bool config_shape_file(struct config_parser *parser, const struct config_tree_node *value,
	struct config_file *ret_file)
{
	const char *text = config_shape_word(parser, value, "a file name");
	char path[CONFIG_FILE_NAME_MAX];
	int length;

	if (!text)
		return false;
	length = snprintf(path, sizeof(path), "%s%s", text[0] == '/' ? "" : parser->folder, text);
	if (length < 0 || (size_t)length >= sizeof(path)) {
		config_shape_error(parser, value, "a file name of more than %u bytes",
			CONFIG_FILE_NAME_MAX - 1);
		return false;
	}
	ret_file->pos = value->pos;
	ret_file->path = config_shape_text(parser, value, path);
	ret_file->text = config_shape_text(parser, value, text);
	return ret_file->path && ret_file->text;
}

char *config_shape_range(
	const struct config_shape_key *key, char text[static CONFIG_SHAPE_RANGE_MAX])
{
	char least[CONFIG_VALUE_DURATION_TEXT_MAX], most[CONFIG_VALUE_DURATION_TEXT_MAX];

	text[0] = '\0';
	switch (key->type) {
	case CONFIG_SHAPE_NUMBER:
		snprintf(text, CONFIG_SHAPE_RANGE_MAX, "%lld..%lld", (long long)key->min,
			(long long)key->max);
		break;
	case CONFIG_SHAPE_BOOL:
		snprintf(text, CONFIG_SHAPE_RANGE_MAX, "true, false");
		break;
	case CONFIG_SHAPE_DURATION:
		config_value_render_duration(dur_us(key->min), least);
		config_value_render_duration(dur_us(key->max), most);
		snprintf(text, CONFIG_SHAPE_RANGE_MAX, "%s..%s", least, most);
		break;
	case CONFIG_SHAPE_OTHER:
	case CONFIG_SHAPE_LATER:
		snprintf(
			text, CONFIG_SHAPE_RANGE_MAX, "%s", key->range_text ? key->range_text : "");
		break;
	}
	return text;
}

char *config_shape_fallback(
	const struct config_shape_key *key, char text[static CONFIG_SHAPE_RANGE_MAX])
{
	char duration[CONFIG_VALUE_DURATION_TEXT_MAX];
	const char *word = key->fallback_text ? key->fallback_text : "none";

	if (key->required)
		word = "required";
	else if (key->type == CONFIG_SHAPE_BOOL)
		word = key->fallback ? "true" : "false";
	else if (key->type == CONFIG_SHAPE_DURATION && !key->fallback_text)
		word = config_value_render_duration(dur_us(key->fallback), duration);
	if (key->type == CONFIG_SHAPE_NUMBER && !key->required && !key->fallback_text)
		snprintf(text, CONFIG_SHAPE_RANGE_MAX, "%lld", (long long)key->fallback);
	else
		snprintf(text, CONFIG_SHAPE_RANGE_MAX, "%s", word);
	return text;
}

static void page_key(const struct config_shape_key *key, FILE *out)
{
	static const char *const type_names[] = {
		[CONFIG_SHAPE_NUMBER] = "number",
		[CONFIG_SHAPE_BOOL] = "switch",
		[CONFIG_SHAPE_DURATION] = "duration",
		[CONFIG_SHAPE_OTHER] = NULL,
		[CONFIG_SHAPE_LATER] = NULL,
	};
	const char *type = type_names[key->type] ? type_names[key->type] : key->type_text;
	char range[CONFIG_SHAPE_RANGE_MAX], fallback[CONFIG_SHAPE_RANGE_MAX];

	fprintf(out, "| `%s` | %s | %s | %s | %s%s |\n", key->name, type,
		config_shape_fallback(key, fallback), config_shape_range(key, range),
		key->type == CONFIG_SHAPE_LATER ? "*Not yet built.* " : "", key->meaning);
}

void config_shape_page(const struct config_shape *const *shapes, FILE *out)
{
	for (; *shapes; shapes++) {
		const struct config_shape *shape = *shapes;

		fprintf(out, "\n### %s%s%s\n\n", shape->path[0] ? "`" : "",
			shape->path[0] ? shape->path : "The file", shape->path[0] ? "`" : "");
		fprintf(out,
			"| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n");
		for (size_t i = 0; i < shape->key_count; i++)
			page_key(&shape->keys[i], out);
	}
}
