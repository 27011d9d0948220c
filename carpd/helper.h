/* helper.h: a process of its own for everything that forks: scripts, handlers, nft.
 *
 * carpd's loop runs with real-time priority, locked memory and few capabilities; a fork from it
 * would copy all that and stop the loop meanwhile. So one helper is forked at the very start,
 * before threads and priorities, and does the slow work on request: it runs programs (no shell,
 * clean environment, no inherited descriptors, a process group of its own that is killed at the
 * deadline, another user where asked), and compiles and loads rules in a child. Messages over a
 * socket pair are plain structs of bounded size; both ends are the same build.
 *
 * When the helper dies, every open request fails, and so does every later one: an alarm, and the
 * rule for failed stages. When carpd dies, the helper kills what it runs and goes. */
#ifndef CARPD_HELPER_H
#define CARPD_HELPER_H

#include "carpd/bounds.h"
#include "common/mono.h"
#include "config/config.h"
#include "rules/rules.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#define HELPER_ARGUMENT_BYTES_MAX 8192u
#define HELPER_ENVIRONMENT_MAX	  16u

/* One program to run. Strings are borrowed for the call. */
struct helper_command {
	const char *const *arguments;	/* NULL-ended; [0] is the program's path */
	const char *const *environment; /* NULL-ended "NAME=value"; PATH and LANG are added */
	const char *user;		/* "" = as the helper: root */
	dur_t timeout;
};

struct helper_result {
	int error;     /* a negative errno: it could not be started, or the helper is gone */
	int exit_code; /* of the program; 128 + signal when it was killed */
	bool timed_out;
	char output[CARPD_HELPER_OUTPUT_BYTES]; /* the beginning of what it wrote */
};

struct helper_rules_result {
	int error; /* 0, or rules_prepare's */
	struct rules_manifest manifest;
	struct rules_report report;
};

struct helper;

/* helper_fork: starts the process. `cfg` and `node` are what it compiles rules for (its own copy).
 * Call before threads, real time and capability limits. 0 or a negative errno. */
int helper_fork(struct helper **ret_helper, const struct config *cfg, const char *node)
	__attribute__((warn_unused_result));

/* helper_attach: answers are taken from the loop from now on. */
int helper_attach(struct helper *helper, sd_event *event) __attribute__((warn_unused_result));
void helper_close(struct helper *helper);

bool helper_is_alive(const struct helper *helper);

typedef void helper_run_fn(void *context, const struct helper_result *result);
typedef void helper_rules_fn(void *context, const struct helper_rules_result *result);
typedef void helper_config_fn(void *context, int error);

/* Requests: 0, and then the callback exactly once, or a negative errno and never:
 * -EPIPE the helper is gone, -EBUSY too many open, -E2BIG too long. */
int helper_run(struct helper *helper, const struct helper_command *command,
	helper_run_fn *on_result, void *context) __attribute__((warn_unused_result));

/* What is asked of the rules of a group. The helper remembers what it loaded last, in memory: a
 * repair needs no file, and a changed file is not taken up by one. */
enum helper_rules_task {
	HELPER_RULES_COMPILE, /* does it compile, and the fingerprint; the manifest's rest is empty.
			       * The next LOAD or BESIDE takes the result instead of the files */
	HELPER_RULES_LOAD,    /* the files, in the backup's state: rules_load() */
	HELPER_RULES_RELOAD,  /* what is loaded, once more, the same way */
	HELPER_RULES_BESIDE,  /* the files, beside what is loaded: rules_beside() */
	HELPER_RULES_REPAIR,  /* what is loaded, beside itself */
	HELPER_RULES_SETTLE,  /* rules_settle() of the last of those two */
	HELPER_RULES_DROP,    /* rules_drop() of it */
	HELPER_RULES_DIFF,    /* rules_diff(): the report has the differences */
	HELPER_RULES_TASK_COUNT,
};

/* helper_rules: one task for one group of the helper's config. */
int helper_rules(struct helper *helper, const char *group, enum helper_rules_task task,
	helper_rules_fn *on_result, void *context) __attribute__((warn_unused_result));

/* helper_config: the helper loads this file and keeps it for later requests (reload). */
int helper_config(struct helper *helper, const char *path, const char *node,
	helper_config_fn *on_result, void *context) __attribute__((warn_unused_result));

/* helper_wait: takes answers until none is open or the deadline: for start-up. True: none open. */
bool helper_wait(struct helper *helper, mono_t deadline);

#endif
