#include "ctl/args.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include <stdio.h>

#ifndef CARPOOL_VERSION
#error "ctl/meson.build defines CARPOOL_VERSION"
#endif

static const struct args_spec verb_version_spec = {
	.synopsis = "carpool version",
	.text = "Prints the version of this command; the daemons print theirs when they start.",
};

int verb_version(int argc, char **argv)
{
	struct args args;
	int exit_status;

	if (!args_parse(&verb_version_spec, argc, argv, &args, &exit_status))
		return exit_status;
	if (args.json) {
		json_t *document = json_pack("{s:s}", "version", CARPOOL_VERSION);
		bool printed = report_json(document);

		json_decref(document);
		return printed ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
	}
	printf("carpool %s\n", CARPOOL_VERSION);
	return VERB_EXIT_DONE;
}
