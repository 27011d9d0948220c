/* verb_explain.c: `carpool explain`: what a name that carpool showed means, and what to do. Asks no
 * daemon: it is needed most when none answers. */
#include "ctl/args.h"
#include "ctl/explain_text.h"
#include "ctl/nearest.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/check.h"

#include <ctype.h>
#include <stdio.h>

#define VERB_EXPLAIN_CODES_MAX 512u

static int verb_explain_fail(const struct args *args, const char *typed)
{
	const char *names[VERB_EXPLAIN_CODES_MAX], *near;
	unsigned int count;
	const struct code *codes = codes_table(&count);
	char text[256], upper[64];
	size_t length = 0;

	for (; typed[length] && length < sizeof(upper) - 1; length++)
		upper[length] = (char)toupper((unsigned char)typed[length]);
	upper[length] = '\0';
	CHECK(count <= VERB_EXPLAIN_CODES_MAX);
	for (unsigned int i = 0; i < count; i++)
		names[i] = codes[i].name;
	near = nearest_word(upper, names, count);
	if (near)
		snprintf(text, sizeof(text), "no code '%.64s'; did you mean %s?", typed, near);
	else
		snprintf(text, sizeof(text), "no code '%.64s'; 'carpool explain' lists them all",
			typed);
	report_error(args->json, "UNKNOWN_CODE", text);
	return VERB_EXIT_FAILED;
}

static bool verb_explain_wanted(const struct args *args, const struct code *code)
{
	for (unsigned int i = 0; i < args->word_count; i++)
		if (explain_text_matches(code, args->words[i]))
			return true;
	return args->word_count == 0;
}

static int verb_explain_json(const struct args *args)
{
	json_t *list = json_array(), *document;
	unsigned int count;
	const struct code *codes = codes_table(&count);
	bool done;

	for (unsigned int i = 0; i < count; i++)
		if (verb_explain_wanted(args, &codes[i]))
			(void)json_array_append_new(list, explain_text_json(&codes[i]));
	document = json_pack("{s:o}", "codes", list);
	done = report_json(document);
	json_decref(document);
	return done ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
}

/* verb_explain_unknown: the first word that is no code, or NULL. */
static const char *verb_explain_unknown(const struct args *args)
{
	unsigned int count;
	const struct code *codes = codes_table(&count);

	for (unsigned int i = 0; i < args->word_count; i++) {
		bool known = false;

		for (unsigned int k = 0; k < count && !known; k++)
			known = explain_text_matches(&codes[k], args->words[i]);
		if (!known)
			return args->words[i];
	}
	return NULL;
}

int verb_explain(int argc, char **argv)
{
	const struct args_spec spec = {
		.synopsis = "carpool explain [CODE...] [--json]",
		.text = "What a name in capitals means, and what to do about it: reasons, alarms, "
			"not-ready\n"
			"words, drops, errors. Without a name: all of them.",
		.word_count_max = ARGS_WORDS_MAX,
	};
	unsigned int count;
	const struct code *codes = codes_table(&count);
	struct args args;
	const char *unknown;
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	unknown = verb_explain_unknown(&args);
	if (unknown)
		return verb_explain_fail(&args, unknown);
	if (args.json)
		return verb_explain_json(&args);
	if (args.word_count == 0) {
		explain_text_list(stdout);
		return VERB_EXIT_DONE;
	}
	for (unsigned int i = 0; i < count; i++)
		if (verb_explain_wanted(&args, &codes[i]))
			explain_text_render(stdout, &codes[i]);
	return VERB_EXIT_DONE;
}
