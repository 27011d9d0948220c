/* args.h: one way to read options, for every verb.
 *
 * A verb describes its options in a table; args_parse() fills the verb's variables, prints --help,
 * and complains in one line about anything else. --help, --json and --runtime-dir need no entry:
 * all verbs have them. Options may stand before or after words, as --name VALUE or --name=VALUE;
 * "--" ends them. Nothing is abbreviated, so that a script written today means the same next year.
 */
#ifndef CTL_ARGS_H
#define CTL_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#define ARGS_RUNTIME_DIR "/run/carpool"
#define ARGS_WORDS_MAX	 8u

struct args_option {
	const char *name;	/* "--to" */
	const char *value_name; /* "NODE"; NULL: a flag */
	const char *help;	/* one line */
	bool *flag;		/* set to true when the flag is there */
	const char **value;	/* borrowed from argv */
};

struct args_spec {
	const char *synopsis; /* "carpool handover [--to NODE] [--group GROUP] [--force]" */
	const char *text;     /* what it does, with newlines as they shall be printed */
	const struct args_option *options;
	unsigned int option_count;
	unsigned int word_count_max; /* words that are not options; at most ARGS_WORDS_MAX */
};

struct args {
	bool json;
	const char *runtime_dir; /* ARGS_RUNTIME_DIR when not given */
	const char *words[ARGS_WORDS_MAX];
	unsigned int word_count;
};

/* args_parse: true: go on. False: return *ret_exit; --help has been printed (DONE), or the
 * complaint (USAGE; as a JSON document too when --json stands anywhere in argv). argv[0] is the
 * verb's name. */
bool args_parse(
	const struct args_spec *spec, int argc, char **argv, struct args *ret_args, int *ret_exit);

/* args_fail: the complaint of a verb that does not like a value: prints it as args_parse() does,
 * returns VERB_EXIT_USAGE. */
int args_fail(const struct args_spec *spec, const struct args *args, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* args_number: a whole number within bounds; without a text *value stays as it is. */
bool args_number(const char *text, long min, long max, long *value);

/* args_duration_ms: "500ms", "10s", "30m", "2h"; false for anything else, zero and more than a year
 * included. */
bool args_duration_ms(const char *text, int64_t *ret_ms);

#endif
