/* options.h: carpd's command line. */
#ifndef CARPD_OPTIONS_H
#define CARPD_OPTIONS_H

#include <stdbool.h>

#define OPTIONS_PATH_MAX 1024u
#define OPTIONS_NODE_MAX 64u

struct options {
	char config[OPTIONS_PATH_MAX];
	char node[OPTIONS_NODE_MAX];
	char runtime_dir[OPTIONS_PATH_MAX];
	char state_dir[OPTIONS_PATH_MAX];
	bool sweep;   /* withdraw what an earlier carpd left, and end */
	bool standby; /* the same, with the shields first, before anything that can fail */
	bool clear;   /* the same, and then no table of ours is left */
	bool verbose; /* debug messages, among them every decision of the core */
};

enum options_result {
	OPTIONS_BAD = 0, /* told on standard error: exit 2 */
	OPTIONS_OK,
	OPTIONS_DONE, /* --help or --version: exit 0 */
};

/* options_parse: with the defaults of design section 5; directories become absolute. */
enum options_result options_parse(int argc, char **argv, struct options *ret_options);

#endif
