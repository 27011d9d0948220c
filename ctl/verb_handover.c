/* verb_handover.c: `carpool handover`: the planned switch, asked on any node.
 *
 * carpd answers when the hand-over is complete or has failed; its own deadline is 5 s a group. We
 * wait longer than that, so that the daemon's reason is what the operator reads. */
#include "ctl/args.h"
#include "ctl/ask.h"
#include "ctl/moves_text.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/check.h"

#include <stdio.h>

#define VERB_HANDOVER_TIMEOUT_MS 30000

int verb_handover(int argc, char **argv)
{
	const char *to = NULL, *group = NULL;
	bool force = false;
	const struct args_option options[] = {
		{"--to", "NODE", "the new master (default: the best ready peer)", NULL, &to},
		{"--group", "GROUP", "only this group (default: all it does not hold)", NULL,
			&group},
		{"--force", NULL, "also to a node that is not ready: connections may die", &force,
			NULL},
	};
	const struct args_spec spec = {
		.synopsis = "carpool handover [--to NODE] [--group GROUP] [--force] [--json]",
		.text = "Makes another node the master, without losing a packet of an established\n"
			"connection. Returns when it is complete; exit 1 and the reason if it did "
			"not\n"
			"happen. Can be asked on any node.",
		.options = options,
		.option_count = ARRAY_LEN(options),
	};
	struct args args;
	json_t *request, *result;
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	request = json_pack(
		"{s:s,s:s*,s:s*,s:b}", "op", "handover", "to", to, "group", group, "force", force);
	if (!request)
		return args_fail(&spec, &args, "a name is not UTF-8");
	exit_status =
		ask_call(&args, ASK_CARPD, request, dur_ms(VERB_HANDOVER_TIMEOUT_MS), &result);
	if (exit_status != VERB_EXIT_DONE)
		return exit_status;
	if (args.json)
		exit_status = report_json(result) ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
	else
		moves_text_render(stdout, result);
	json_decref(result);
	return exit_status;
}
