#include "ctl/args.h"
#include "ctl/field.h"
#include "ctl/history_text.h"
#include "ctl/listing.h"
#include "ctl/verb.h"

#include "common/check.h"

static bool verb_history_keep(const json_t *item, const void *context)
{
	const char *group = context;

	return field_is(item, "group", group);
}

int verb_history(int argc, char **argv)
{
	const char *group = NULL;
	const struct args_option options[] = {
		{"--group", "GROUP", "only this group", NULL, &group},
	};
	const struct args_spec spec = {
		.synopsis = "carpool history [--group GROUP] [--json]",
		.text = "Every change of state on this node, oldest first: from, to, the reason, "
			"the\n"
			"numbers that decided, and how long each stage took. Survives restarts.",
		.options = options,
		.option_count = ARRAY_LEN(options),
	};
	struct args args;
	struct listing listing = {
		.args = &args,
		.daemon = ASK_CARPD,
		.name = "transitions",
		.empty = "no transition is recorded yet",
		.render = history_text_render,
	};
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	listing.keep = group ? verb_history_keep : NULL;
	listing.context = group;
	return listing_run(&listing, json_pack("{s:s}", "op", "history"));
}
