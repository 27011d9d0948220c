#include "carpd/options.h"

#include "common/check.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char options_help[] =
	"usage: carpd [--config FILE] [--node NAME] [--runtime-dir DIR] [--state-dir DIR]\n"
	"             [--verbose] [--sweep | --standby | --clear]\n"
	"\n"
	"  --config FILE       the cluster's file (/etc/carpool/cluster.yaml)\n"
	"  --node NAME         which of its nodes this is (the host name)\n"
	"  --runtime-dir DIR   sockets and locks (/run/carpool)\n"
	"  --state-dir DIR     what outlives a restart (/var/lib/carpool)\n"
	"  --verbose           also what the election sees and decides\n"
	"  --sweep             withdraw what a dead carpd left: addresses, then rules; and end\n"
	"  --standby           at boot: the shields at once, then the standby rules; and end\n"
	"  --clear             withdraw the addresses, delete every table of carpool's; and end\n"
	"  --help, --version\n"
	"\n"
	"Runs in the foreground. SIGTERM: hands over or withdraws, then ends. SIGHUP: reload.\n"
	"Exit: 0 done, 1 failed, 2 usage or config error.\n";

static bool options_copy(char *to, size_t size_bytes, const char *from, const char *name)
{
	int length = snprintf(to, size_bytes, "%s", from);

	if (length > 0 && (size_t)length < size_bytes)
		return true;
	fprintf(stderr, "carpd: --%s: empty or too long\n", name);
	return false;
}

/* options_absolute: the daemon changes its directory never, but its helper's programs do. */
static bool options_absolute(char *path, size_t size_bytes)
{
	char folder[PATH_MAX], whole[PATH_MAX + OPTIONS_PATH_MAX];

	if (path[0] == '/')
		return true;
	if (!getcwd(folder, sizeof(folder)))
		return false;
	snprintf(whole, sizeof(whole), "%s/%s", folder, path);
	return options_copy(path, size_bytes, whole, "path");
}

static void options_defaults(struct options *options)
{
	*options = (struct options){
		.config = "/etc/carpool/cluster.yaml",
		.runtime_dir = "/run/carpool",
		.state_dir = "/var/lib/carpool",
	};
	if (gethostname(options->node, sizeof(options->node) - 1) < 0)
		options->node[0] = '\0';
	options->node[strcspn(options->node, ".")] = '\0';
}

static enum options_result options_take(struct options *options, int option)
{
	switch (option) {
	case 'c':
		return options_copy(options->config, sizeof(options->config), optarg, "config");
	case 'n':
		return options_copy(options->node, sizeof(options->node), optarg, "node");
	case 'r':
		return options_copy(
			options->runtime_dir, sizeof(options->runtime_dir), optarg, "runtime-dir");
	case 's':
		return options_copy(
			options->state_dir, sizeof(options->state_dir), optarg, "state-dir");
	case 'w':
		options->sweep = true;
		return OPTIONS_OK;
	case 'b':
		options->standby = true;
		return OPTIONS_OK;
	case 'l':
		options->clear = true;
		return OPTIONS_OK;
	case 'v':
		options->verbose = true;
		return OPTIONS_OK;
	case 'h':
		fputs(options_help, stdout);
		return OPTIONS_DONE;
	case 'V':
		puts("carpd (carpool) " CARPOOL_VERSION);
		return OPTIONS_DONE;
	default:
		fputs("carpd: try --help\n", stderr);
		return OPTIONS_BAD;
	}
}

enum options_result options_parse(int argc, char **argv, struct options *ret_options)
{
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'},
		{"node", required_argument, NULL, 'n'},
		{"runtime-dir", required_argument, NULL, 'r'},
		{"state-dir", required_argument, NULL, 's'},
		{"sweep", no_argument, NULL, 'w'},
		{"standby", no_argument, NULL, 'b'},
		{"clear", no_argument, NULL, 'l'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	enum options_result result;
	int option;

	options_defaults(ret_options);
	optind = 1;
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		result = options_take(ret_options, option);
		if (result != OPTIONS_OK)
			return result;
	}
	if (optind < argc) {
		fprintf(stderr, "carpd: what is `%s`? try --help\n", argv[optind]);
		return OPTIONS_BAD;
	}
	if (ret_options->sweep + ret_options->standby + ret_options->clear > 1) {
		fputs("carpd: --sweep, --standby and --clear: one of them\n", stderr);
		return OPTIONS_BAD;
	}
	if (!options_absolute(ret_options->config, sizeof(ret_options->config)) ||
		!options_absolute(ret_options->runtime_dir, sizeof(ret_options->runtime_dir)) ||
		!options_absolute(ret_options->state_dir, sizeof(ret_options->state_dir)))
		return OPTIONS_BAD;
	return OPTIONS_OK;
}
