/* verb_keygen.c: `carpool keygen`: a new cluster key. */
#include "ctl/args.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/io/keyfile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int verb_keygen(int argc, char **argv)
{
	const struct args_spec spec = {
		.synopsis = "carpool keygen FILE",
		.text = "Writes a new random key, mode 0600; never over a file that is there. Copy "
			"it to\n"
			"every node, over a channel that you trust: whoever has it speaks for "
			"every node.",
		.word_count_max = 1,
	};
	struct args args;
	char text[512];
	int exit_status, r;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	if (args.word_count != 1)
		return args_fail(&spec, &args, "which file?");
	r = keyfile_create(args.words[0]);
	if (r < 0) {
		if (r == -EEXIST)
			snprintf(text, sizeof(text), "%.300s is there already and stays as it is",
				args.words[0]);
		else
			snprintf(text, sizeof(text), "%.300s: %s", args.words[0], strerror(-r));
		report_error(args.json, r == -EEXIST ? "EXISTS" : "FAILED", text);
		return VERB_EXIT_FAILED;
	}
	if (args.json) {
		json_t *document = json_pack("{s:s}", "file", args.words[0]);
		bool printed = document && report_json(document);

		json_decref(document);
		return printed ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
	}
	printf("%s: a new key, mode 0600\n", args.words[0]);
	return VERB_EXIT_DONE;
}
