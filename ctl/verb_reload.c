/* verb_reload.c: `carpool reload`: the changed config, applied or (--diff) only shown. */
#include "ctl/args.h"
#include "ctl/ask.h"
#include "ctl/reload_text.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/check.h"

#include <stdio.h>

/* 100,000 rules take a minute on a slow machine, many groups many minutes. carpd bounds each step
 * by itself, and when it dies the connection ends: this is the net below. */
#define VERB_RELOAD_TIMEOUT_MS (30 * 60000)

int verb_reload(int argc, char **argv)
{
	bool diff = false, force = false;
	const struct args_option options[] = {
		{"--diff", NULL, "show what would change, change nothing", &diff, NULL},
		{"--force", NULL, "also if the change would split the pair", &force, NULL},
	};
	const struct args_spec spec = {
		.synopsis = "carpool reload [--diff] [--force] [--json]",
		.text = "Reads the config again and applies what changed; what did not change is "
			"not\n"
			"touched. A config with errors changes nothing.",
		.options = options,
		.option_count = ARRAY_LEN(options),
	};
	struct args args;
	json_t *result;
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	exit_status = ask_call(&args, ASK_CARPD,
		json_pack("{s:s,s:b,s:b}", "op", "reload", "diff", diff, "force", force),
		dur_ms(VERB_RELOAD_TIMEOUT_MS), &result);
	if (exit_status != VERB_EXIT_DONE)
		return exit_status;
	if (args.json)
		exit_status = report_json(result) ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
	else
		reload_text_render(stdout, result, diff);
	json_decref(result);
	return exit_status;
}
