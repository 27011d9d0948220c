#include "ctl/args.h"
#include "ctl/flow_text.h"
#include "ctl/listing.h"
#include "ctl/verb.h"

int verb_flows(int argc, char **argv)
{
	const struct args_spec spec = {
		.synopsis = "carpool flows [--json]",
		.text = "The replicated flows that this node holds, one a line.",
	};
	struct args args;
	struct listing listing = {
		.args = &args,
		.daemon = ASK_SYNCD,
		.name = "flows",
		.empty = "no flow is held",
		.render = flow_text_render,
	};
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	return listing_run(&listing, json_pack("{s:s}", "op", "flows"));
}
