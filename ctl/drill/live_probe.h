/* live_probe.h: the prober of a live drill: a program, usually ssh, that runs `carpool drill probe
 * --orders --json` on a client host (prober.h says what it hears and says). */
#ifndef CTL_DRILL_LIVE_PROBE_H
#define CTL_DRILL_LIVE_PROBE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LIVE_PROBE_WORDS_MAX 64u
#define LIVE_PROBE_LINE_MAX  8192u

struct live_probe {
	pid_t pid; /* 0: none */
	int in_fd, out_fd;
	char line[LIVE_PROBE_LINE_MAX];
	size_t used;
	bool ended;
	int64_t heard_at; /* its last word */
	double silent_ms; /* the newest answer's age, as of heard_at */
	int64_t sent, answered;
	json_t *result; /* of the part that ended last, until it is taken; owned */
	char said[256]; /* the last line that was no JSON: what is wrong there */
};

/* live_probe_start: `command` is split at spaces, no shell; two options are added. 0 or a negative
 * errno. */
int live_probe_start(struct live_probe *probe, const char *command);

/* live_probe_read: waits for at most that long and takes what there is. */
void live_probe_read(struct live_probe *probe, int timeout_ms);

/* live_probe_part: ends the part: its result, the caller's, or NULL when none comes in 5 s. */
json_t *live_probe_part(struct live_probe *probe);

/* live_probe_stop: ends the prober (gently, then not). */
void live_probe_stop(struct live_probe *probe);

#endif
