#include "ctl/args.h"

#include "ctl/nearest.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGS_MESSAGE_MAX   512u
#define ARGS_OPTIONS_MAX   32u
#define ARGS_DURATION_DAYS 366

static const char *const args_common_names[] = {"--help", "--json", "--runtime-dir"};

static void args_print_help(const struct args_spec *spec)
{
	printf("usage: %s\n\n%s\n\noptions:\n", spec->synopsis, spec->text);
	for (unsigned int i = 0; i < spec->option_count; i++) {
		const struct args_option *option = &spec->options[i];
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s", option->name, option->value_name ? " " : "",
			option->value_name ? option->value_name : "");
		printf("  %-20s %s\n", left, option->help);
	}
	printf("  %-20s one JSON document on standard output\n", "--json");
	printf("  %-20s where the daemons' sockets are (default %s)\n", "--runtime-dir DIR",
		ARGS_RUNTIME_DIR);
	printf("  %-20s this text\n", "--help");
}

static int args_vfail(
	const struct args_spec *spec, bool json, const char *format, va_list format_args)
{
	char message[ARGS_MESSAGE_MAX];

	vsnprintf(message, sizeof(message), format, format_args);
	report_error(json, "USAGE", message);
	fprintf(stderr, "usage: %s\n", spec->synopsis);
	return VERB_EXIT_USAGE;
}

int args_fail(const struct args_spec *spec, const struct args *args, const char *format, ...)
{
	va_list format_args;
	int exit_status;

	va_start(format_args, format);
	exit_status = args_vfail(spec, args->json, format, format_args);
	va_end(format_args);
	return exit_status;
}

static const struct args_option *args_lookup(
	const struct args_spec *spec, const char *name, size_t name_length)
{
	for (unsigned int i = 0; i < spec->option_count; i++)
		if (strlen(spec->options[i].name) == name_length &&
			memcmp(spec->options[i].name, name, name_length) == 0)
			return &spec->options[i];
	return NULL;
}

/* args_fail_unknown: with the option that was probably meant. */
static int args_fail_unknown(
	const struct args_spec *spec, const struct args *args, const char *name)
{
	const char *names[ARGS_OPTIONS_MAX];
	unsigned int count = 0;
	const char *near;

	CHECK(spec->option_count + ARRAY_LEN(args_common_names) <= ARGS_OPTIONS_MAX);
	for (unsigned int i = 0; i < spec->option_count; i++)
		names[count++] = spec->options[i].name;
	for (unsigned int i = 0; i < ARRAY_LEN(args_common_names); i++)
		names[count++] = args_common_names[i];
	near = nearest_word(name, names, count);
	if (near)
		return args_fail(spec, args, "unknown option %s; did you mean %s?", name, near);
	return args_fail(spec, args, "unknown option %s; --help lists them", name);
}

/* args_take: one option at argv[*index]; moves *index over its value. */
static int args_take(
	const struct args_spec *spec, int argc, char **argv, int *index, struct args *args)
{
	const struct args_option runtime_dir = {
		"--runtime-dir", "DIR", NULL, NULL, &args->runtime_dir};
	const struct args_option json = {"--json", NULL, NULL, &args->json, NULL};
	char *word = argv[*index];
	char *equals = strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : strlen(word);
	const struct args_option *option = args_lookup(spec, word, length);

	if (!option && length == strlen("--runtime-dir") &&
		memcmp(word, "--runtime-dir", length) == 0)
		option = &runtime_dir;
	if (!option && length == strlen("--json") && memcmp(word, "--json", length) == 0)
		option = &json;
	if (!option)
		return args_fail_unknown(spec, args, word);
	if (!option->value_name) {
		if (equals)
			return args_fail(spec, args, "%s takes no value", option->name);
		*option->flag = true;
		return VERB_EXIT_DONE;
	}
	/* "--to --json" is a forgotten name, not a node called --json. */
	if (!equals && (*index + 1 >= argc || strncmp(argv[*index + 1], "--", 2) == 0))
		return args_fail(
			spec, args, "%s needs a value: %s", option->name, option->value_name);
	*option->value = equals ? equals + 1 : argv[++*index];
	if (**option->value == '\0')
		return args_fail(spec, args, "%s: the value is empty", option->name);
	return VERB_EXIT_DONE;
}

/* args_scan: what decides how we complain (--json) must be known before the first complaint. */
static void args_scan(int argc, char **argv, bool *ret_help, bool *ret_json)
{
	*ret_help = *ret_json = false;
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		*ret_help |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
		*ret_json |= strcmp(argv[i], "--json") == 0;
	}
}

bool args_parse(
	const struct args_spec *spec, int argc, char **argv, struct args *ret_args, int *ret_exit)
{
	struct args args = {.runtime_dir = ARGS_RUNTIME_DIR};
	bool options_ended = false, help;

	CHECK(spec->word_count_max <= ARGS_WORDS_MAX);
	*ret_exit = VERB_EXIT_DONE;
	args_scan(argc, argv, &help, &args.json);
	if (help) {
		args_print_help(spec);
		return false;
	}
	for (int i = 1; i < argc; i++) {
		if (!options_ended && strcmp(argv[i], "--") == 0) {
			options_ended = true;
		} else if (!options_ended && argv[i][0] == '-' && argv[i][1] != '\0') {
			*ret_exit = args_take(spec, argc, argv, &i, &args);
			if (*ret_exit != VERB_EXIT_DONE)
				return false;
		} else if (args.word_count == spec->word_count_max) {
			*ret_exit = args_fail(spec, &args, "unexpected word '%s'", argv[i]);
			return false;
		} else {
			args.words[args.word_count++] = argv[i];
		}
	}
	*ret_args = args;
	return true;
}

bool args_number(const char *text, long min, long max, long *value)
{
	char *end;
	long number;

	if (!text)
		return true;
	errno = 0;
	number = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || number < min || number > max)
		return false;
	*value = number;
	return true;
}

bool args_duration_ms(const char *text, int64_t *ret_ms)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	const int64_t ms_max = ARGS_DURATION_DAYS * INT64_C(86400000);
	char *end;
	long long number;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno || number <= 0)
		return false;
	for (unsigned int i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		if (number > ms_max / units[i].ms)
			return false;
		*ret_ms = number * units[i].ms;
		return true;
	}
	return false;
}
