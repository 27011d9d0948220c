/* verb_maintenance.c: `carpool maintenance on|off`: this node never becomes master while on.
 *
 * Turning it on hands over first; carpd refuses (and says so) when it cannot, or when this is the
 * last node that could be master. */
#include "ctl/args.h"
#include "ctl/ask.h"
#include "ctl/field.h"
#include "ctl/moves_text.h"
#include "ctl/report.h"
#include "ctl/verb.h"
#include "ctl/when.h"

#include "common/check.h"

#include <stdio.h>
#include <string.h>

#define VERB_MAINTENANCE_TIMEOUT_MS 30000

static void verb_maintenance_print(bool on, const json_t *result)
{
	char moment[WHEN_TEXT_MAX];

	if (!on) {
		puts("maintenance is off: this node takes part in the election again");
		return;
	}
	if (json_array_size(field_list(result, "groups")) > 0)
		moves_text_render(stdout, result);
	if (*field_text(result, "until"))
		printf("maintenance is on until %s\n",
			when_render_moment(field_text(result, "until"), moment));
	else
		puts("maintenance is on until 'carpool maintenance off', reboots included");
}

int verb_maintenance(int argc, char **argv)
{
	const char *duration = NULL;
	bool force = false, on;
	const struct args_option options[] = {
		{"--for", "TIME", "ends by itself after 30m, 2h, ... (with on)", NULL, &duration},
		{"--force", NULL, "also if no other node can be master", &force, NULL},
	};
	const struct args_spec spec = {
		.synopsis = "carpool maintenance on [--for 30m] [--force] | off [--force]",
		.text = "on: hands over what this node is master of, then keeps it from becoming\n"
			"master, through restarts and reboots. off: ends that.",
		.options = options,
		.option_count = ARRAY_LEN(options),
		.word_count_max = 1,
	};
	json_t *request, *result;
	struct args args;
	int64_t for_ms = 0;
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	if (args.word_count == 0 ||
		(strcmp(args.words[0], "on") != 0 && strcmp(args.words[0], "off") != 0))
		return args_fail(&spec, &args, "say 'maintenance on' or 'maintenance off'");
	on = strcmp(args.words[0], "on") == 0;
	if (duration && !on)
		return args_fail(&spec, &args, "--for belongs to 'maintenance on'");
	if (duration && !args_duration_ms(duration, &for_ms))
		return args_fail(&spec, &args,
			"--for %s: a number and a unit (s, m, h, d), at most a year", duration);
	request = json_pack("{s:s,s:b,s:b}", "op", "maintenance", "on", on, "force", force);
	if (duration)
		json_object_set_new(request, "for_ms", json_integer(for_ms));
	exit_status =
		ask_call(&args, ASK_CARPD, request, dur_ms(VERB_MAINTENANCE_TIMEOUT_MS), &result);
	if (exit_status != VERB_EXIT_DONE)
		return exit_status;
	if (args.json)
		exit_status = report_json(result) ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
	else
		verb_maintenance_print(on, result);
	json_decref(result);
	return exit_status;
}
