/* verb.h: the words that the carpool command understands, and how each of them is run.
 *
 * One file a verb (verb_NAME.c); the table stands in main.c. A verb gets its own name as argv[0],
 * parses its options with args_parse() (args.h: --help, --json and --runtime-dir come with it), and
 * returns the exit status of the whole command.
 *
 * What every verb promises: standard output carries the answer and nothing else; with --json it is
 * exactly one JSON document, an error included; complaints go to standard error. */
#ifndef CTL_VERB_H
#define CTL_VERB_H

enum verb_exit {
	VERB_EXIT_DONE = 0,
	VERB_EXIT_FAILED = 1, /* asked correctly, and it did not happen */
	VERB_EXIT_USAGE = 2,  /* unknown verb or option, or a config that is wrong */
};

struct verb {
	const char *name;
	const char *summary; /* one line for `carpool --help` */
	int (*run)(int argc, char **argv);
};

/* In the order of `carpool --help`. An entry is added when its file lands. */
int verb_status(int argc, char **argv);
int verb_handover(int argc, char **argv);
int verb_maintenance(int argc, char **argv);
int verb_events(int argc, char **argv);
int verb_history(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_explain(int argc, char **argv);
int verb_exporter(int argc, char **argv);
int verb_metrics(int argc, char **argv);
int verb_sync(int argc, char **argv);
int verb_flows(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_keygen(int argc, char **argv);
int verb_config(int argc, char **argv);
int verb_drill(int argc, char **argv);
int verb_reload(int argc, char **argv);
int verb_rules(int argc, char **argv);
int verb_version(int argc, char **argv);

#endif
