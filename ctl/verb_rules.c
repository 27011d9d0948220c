/* verb_rules.c: `carpool rules [diff|repair]`: is what is in the kernel what was loaded? */
#include "ctl/args.h"
#include "ctl/ask.h"
#include "ctl/report.h"
#include "ctl/rules_text.h"
#include "ctl/verb.h"

#include "common/check.h"

#include <stdio.h>
#include <string.h>

#define VERB_RULES_TIMEOUT_MS (30 * 60000) /* as a reload's: verb_reload.c */

int verb_rules(int argc, char **argv)
{
	const char *group = NULL;
	const struct args_option options[] = {
		{"--group", "GROUP", "only this group's", NULL, &group},
	};
	const struct args_spec spec = {
		.synopsis = "carpool rules [diff|repair] [--group GROUP] [--json]",
		.text = "Tells which rules are awake and whether somebody else has changed them.\n"
			"  diff    prints each line that came (+) or went (-) since they were "
			"loaded\n"
			"  repair  loads again what was loaded, where somebody changed or deleted "
			"it;\n"
			"          a changed file is 'carpool reload's business\n"
			"Exit 0: they are as they were loaded; 1: they are not.",
		.options = options,
		.option_count = ARRAY_LEN(options),
		.word_count_max = 1,
	};
	struct args args;
	json_t *result;
	bool diff, repair;
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	diff = args.word_count > 0 && strcmp(args.words[0], "diff") == 0;
	repair = args.word_count > 0 && strcmp(args.words[0], "repair") == 0;
	if (args.word_count > 0 && !diff && !repair)
		return args_fail(&spec, &args, "'%s' is none of: diff, repair", args.words[0]);
	exit_status = ask_call(&args, ASK_CARPD,
		json_pack("{s:s,s:b,s:b,s:s*}", "op", "rules", "diff", diff, "repair", repair,
			"group", group),
		dur_ms(VERB_RULES_TIMEOUT_MS), &result);
	if (exit_status != VERB_EXIT_DONE)
		return exit_status;
	exit_status = rules_text_drifts(result) ? VERB_EXIT_FAILED : VERB_EXIT_DONE;
	if (!args.json)
		rules_text_render(stdout, result);
	else if (!report_json(result))
		exit_status = VERB_EXIT_FAILED;
	json_decref(result);
	return exit_status;
}
