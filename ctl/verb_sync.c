/* verb_sync.c: `carpool sync`: how far the copy of the flows is behind.
 *
 * `sync resync` asks for a full transfer; `sync verify` proves that all tables and kernels agree
 * (verify.h). */
#include "ctl/args.h"
#include "ctl/ask.h"
#include "ctl/report.h"
#include "ctl/sync_text.h"
#include "ctl/verb.h"
#include "ctl/verify.h"

#include <stdio.h>
#include <string.h>

#define VERB_SYNC_RESYNC_TIMEOUT_MS 60000

static int verb_sync_ask(const struct args *args, const char *op, dur_t timeout)
{
	json_t *result;
	int exit_status = ask_call(args, ASK_SYNCD, json_pack("{s:s}", "op", op), timeout, &result);

	if (exit_status != VERB_EXIT_DONE)
		return exit_status;
	if (args->json)
		exit_status = report_json(result) ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
	else if (strcmp(op, "status") == 0)
		sync_text_render(stdout, result);
	else
		puts("a full transfer is under way; 'carpool sync' shows it");
	json_decref(result);
	return exit_status;
}

int verb_sync(int argc, char **argv)
{
	const struct args_spec spec = {
		.synopsis = "carpool sync [verify | resync] [--json]",
		.text = "Without a word: role, flows, and for each peer connection, lag and what "
			"is\n"
			"unacknowledged. resync: a full transfer from the source.\n"
			"verify: whether the table, this kernel, the peers' tables and their "
			"kernels agree:\n"
			"what differs in 3 passes, flow by flow, and 1 as exit status; 0 when "
			"nothing does.",
		.word_count_max = 1,
	};
	struct args args;
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	if (args.word_count == 0)
		return verb_sync_ask(&args, "status", dur_ms(ASK_TIMEOUT_MS));
	if (strcmp(args.words[0], "resync") == 0)
		return verb_sync_ask(&args, "resync", dur_ms(VERB_SYNC_RESYNC_TIMEOUT_MS));
	if (strcmp(args.words[0], "verify") == 0)
		return verify_run(&args);
	return args_fail(&spec, &args, "unknown word '%s': verify or resync", args.words[0]);
}
