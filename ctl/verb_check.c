/* verb_check.c: `carpool check`: says everything that is wrong, before a daemon does. */
#include "ctl/args.h"
#include "ctl/check.h"
#include "ctl/check_peer.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/check.h"

int verb_check(int argc, char **argv)
{
	const char *path = CONFIG_FILE_DEFAULT, *node = NULL;
	bool peer = false;
	const struct args_option options[] = {
		{"--config", "FILE", "default: " CONFIG_FILE_DEFAULT, NULL, &path},
		{"--node", "NODE", "whose view (default: this host, if it is a node)", NULL, &node},
		{"--peer", NULL, "and compare the rules with those of the running nodes", &peer,
			NULL},
	};
	const struct args_spec spec = {
		.synopsis = "carpool check [--config FILE] [--node NODE] [--peer] [--json]",
		.text = "Validates the config, the keys it names, the programs of its handlers and "
			"its\n"
			"rulesets. Every error is printed, as FILE:LINE:COL: what is wrong, what "
			"is\n"
			"allowed. With --peer also whether this node and the peers that it hears "
			"run\n"
			"these very rules (carpd must be running here); in a rolling change they "
			"do "
			"not.\n"
			"Exit 0: all good; 1: rules differ (--peer); 2: something is wrong.",
		.options = options,
		.option_count = ARRAY_LEN(options),
	};
	struct args args;
	struct check *check;
	json_t *document;
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	check = check_run(path, node);
	if (!check) {
		report_error(args.json, "FAILED", "out of memory");
		return VERB_EXIT_FAILED;
	}
	exit_status = check_ok(check) ? VERB_EXIT_DONE : VERB_EXIT_USAGE;
	document = args.json ? check_json(check) : NULL;
	if (!args.json)
		check_print(check, stdout, stderr);
	if (peer && check_ok(check))
		exit_status = check_peer(&args, check, document);
	if (args.json && (!document || !report_json(document)))
		exit_status = VERB_EXIT_FAILED;
	json_decref(document);
	check_free(check);
	return exit_status;
}
