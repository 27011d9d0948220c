/* spawn.h: starting other programs, inside any namespaces. */
#ifndef CTL_DRILL_SPAWN_H
#define CTL_DRILL_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#define SPAWN_OUTPUT_MAX 2048u

struct spawn_options {
	const char *const *argv; /* NULL-ended; argv[0] is searched in PATH */
	int netns_fd;		 /* these three: -1 for the caller's own */
	int mntns_fd;
	int pidns_fd;
	int root_fd;   /* its root directory in mntns_fd, O_PATH; -1: that namespace's own */
	int input_fd;  /* standard input; -1: /dev/null */
	int output_fd; /* standard output and error; -1: the caller's */
	bool scheduling_normal; /* reset real-time priority */
};

/* spawn_start: the PID as the caller sees it, or a negative errno. The child's environment has no
 * NOTIFY_SOCKET and no JOURNAL_STREAM: a drilled daemon never talks to the host's systemd. */
pid_t spawn_start(const struct spawn_options *options);

/* spawn_wait: until it has ended. 0 exit status 0; 1 another; negative errno. */
int spawn_wait(pid_t pid);

/* spawn_run: runs to the end with `input` (may be NULL) on standard input. What it wrote on both
 * outputs, cut at SPAWN_OUTPUT_MAX, is in `output`. 0 exit status 0; 1 another; negative errno. */
int spawn_run(const struct spawn_options *options, const char *input,
	char output[static SPAWN_OUTPUT_MAX]);

#endif
