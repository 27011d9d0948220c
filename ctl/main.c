/* main.c: the carpool command. It only finds the verb; everything else is in verb_NAME.c. */
#include "ctl/nearest.h"
#include "ctl/verb.h"

#include "common/check.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* The order of --help: what one needs at night first, what one needs once last. */
static const struct verb main_verbs[] = {
	{"status", "who is master, who could take over, what is wrong", verb_status},
	{"handover", "make another node the master, without loss", verb_handover},
	{"maintenance", "keep this node from becoming master", verb_maintenance},
	{"history", "every transition, with reason and stage times", verb_history},
	{"events", "the live stream of what happens", verb_events},
	{"explain", "what a code means, and what to do about it", verb_explain},
	{"sync", "how far the copy of the flows is behind", verb_sync},
	{"flows", "the replicated flows", verb_flows},
	{"reload", "apply (or show) a changed config", verb_reload},
	{"rules", "whether somebody else changed the rules, and what", verb_rules},
	{"drill", "rehearse a failure of this cluster in a sandbox, and measure it", verb_drill},
	{"metrics", "what the daemons count, as text for Prometheus", verb_metrics},
	{"exporter", "the same over HTTP, for Prometheus to scrape", verb_exporter},
	{"doctor", "what to change on this host, and why", verb_doctor},
	{"check", "what is wrong with the config, the keys, the rules", verb_check},
	{"config", "the effective config, defaults included", verb_config},
	{"keygen", "a new cluster key", verb_keygen},
	{"version", "what is installed", verb_version},
};

static const char *const main_head =
	"usage: carpool VERB [options]\n"
	"\n"
	"Watches and steers a cluster of firewalls that act as one. Every verb knows --help,\n"
	"--json and --runtime-dir DIR.\n"
	"\n"
	"verbs:\n";

static const char *const main_tail =
	"\n"
	"exit status: 0 done, 1 failed, 2 usage or config error (status --check: 0 ok, 1 warning,\n"
	"2 critical, 3 unknown)\n";

static void main_print_help(FILE *out)
{
	fputs(main_head, out);
	for (unsigned int i = 0; i < ARRAY_LEN(main_verbs); i++)
		fprintf(out, "  %-12s %s\n", main_verbs[i].name, main_verbs[i].summary);
	fputs(main_tail, out);
}

static const struct verb *main_lookup(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_LEN(main_verbs); i++)
		if (strcmp(main_verbs[i].name, name) == 0)
			return &main_verbs[i];
	return NULL;
}

static int main_fail_unknown(const char *name)
{
	const char *names[ARRAY_LEN(main_verbs)];
	const char *near;

	for (unsigned int i = 0; i < ARRAY_LEN(main_verbs); i++)
		names[i] = main_verbs[i].name;
	near = nearest_word(name, names, ARRAY_LEN(names));
	if (near)
		fprintf(stderr, "carpool: unknown verb '%s'; did you mean '%s'?\n", name, near);
	else
		fprintf(stderr, "carpool: unknown verb '%s'; 'carpool --help' lists them\n", name);
	return VERB_EXIT_USAGE;
}

static int main_dispatch(int argc, char **argv)
{
	const struct verb *verb;

	if (argc < 2) {
		main_print_help(stderr);
		return VERB_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0)
		return verb_version(argc - 1, argv + 1);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
		(strcmp(argv[1], "help") == 0 && argc == 2)) {
		main_print_help(stdout);
		return VERB_EXIT_DONE;
	}
	if (strcmp(argv[1], "help") == 0) {
		char help[] = "--help";
		char *help_argv[] = {argv[2], help, NULL};

		verb = main_lookup(argv[2]);
		return verb ? verb->run(2, help_argv) : main_fail_unknown(argv[2]);
	}
	verb = main_lookup(argv[1]);
	return verb ? verb->run(argc - 1, argv + 1) : main_fail_unknown(argv[1]);
}

int main(int argc, char **argv)
{
	int exit_status;

	/* A closed pipe or socket is an error that we see and report, not a silent death. */
	(void)signal(SIGPIPE, SIG_IGN);
	exit_status = main_dispatch(argc, argv);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return exit_status;
	fputs("carpool: standard output does not take the answer\n", stderr);
	return exit_status == VERB_EXIT_DONE ? VERB_EXIT_FAILED : exit_status;
}
