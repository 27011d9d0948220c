/* verb_events.c: `carpool events`: what happens, as it happens, until interrupted.
 *
 * With --json each event is one document on its own line, written out at once, so that a program at
 * the other end of a pipe sees it in time. */
#include "ctl/args.h"
#include "ctl/ask.h"
#include "ctl/event_text.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/io/clock.h"

#include <errno.h>
#include <stdio.h>

static int verb_events_on_event(const json_t *event, void *context)
{
	const struct args *args = context;

	if (args->json)
		return report_json(event) ? 0 : -EPIPE;
	event_text_render(stdout, event, clock_wall_us());
	return fflush(stdout) == 0 ? 0 : -EPIPE;
}

int verb_events(int argc, char **argv)
{
	const struct args_spec spec = {
		.synopsis = "carpool events [--json]",
		.text = "The live stream of this node: transitions, peers, paths, alarms. Runs "
			"until it\n"
			"is interrupted or carpd stops; with --json one document a line.",
	};
	struct ask_error error;
	struct args args;
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	if (ask_stream(&args, ASK_CARPD, json_pack("{s:s}", "op", "events"), (dur_t){INT64_MAX},
		    verb_events_on_event, &args, &error))
		return VERB_EXIT_DONE;
	report_error(args.json, error.code, error.text);
	return VERB_EXIT_FAILED;
}
