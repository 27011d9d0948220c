#include "ctl/drill/live_probe.h"

#include "ctl/drill/spawn.h"
#include "ctl/drill/tick.h"

#include "ctl/field.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIVE_PROBE_PART_MS 5000
#define LIVE_PROBE_STOP_MS 3000
#define LIVE_PROBE_POLL_MS 50

static int live_probe_spawn(struct live_probe *probe, const char *const *argv)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(out, O_CLOEXEC) < 0) {
		int r = -errno;

		(void)close(in[0]);
		(void)close(in[1]);
		return r;
	}
	probe->pid = spawn_start(&(struct spawn_options){.argv = argv,
		.netns_fd = -1,
		.mntns_fd = -1,
		.pidns_fd = -1,
		.root_fd = -1,
		.input_fd = in[0],
		.output_fd = out[1]});
	(void)close(in[0]);
	(void)close(out[1]);
	probe->in_fd = in[1];
	probe->out_fd = out[0];
	if (probe->pid >= 0)
		return 0;
	(void)close(in[1]);
	(void)close(out[0]);
	return (int)probe->pid;
}

int live_probe_start(struct live_probe *probe, const char *command)
{
	const char *argv[LIVE_PROBE_WORDS_MAX + 3];
	char *copy = strdup(command), *rest = NULL;
	unsigned int count = 0;
	int r = 0;

	*probe = (struct live_probe){.heard_at = tick_now()};
	if (!copy)
		return -ENOMEM;
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (count == LIVE_PROBE_WORDS_MAX)
			r = -E2BIG;
		else
			argv[count++] = word;
	}
	argv[count] = "--orders";
	argv[count + 1] = "--json";
	argv[count + 2] = NULL;
	if (count == 0)
		r = -EINVAL;
	if (r == 0)
		r = live_probe_spawn(probe, argv);
	if (r < 0)
		probe->pid = 0;
	free(copy);
	return r;
}

static void live_probe_line(struct live_probe *probe, const char *text)
{
	json_t *line = json_loads(text, 0, NULL);

	if (field_is(line, "event", "progress")) {
		probe->heard_at = tick_now();
		probe->silent_ms = field_number(line, "silent_ms", 0);
		probe->sent = (int64_t)field_number(line, "sent", 0);
		probe->answered = (int64_t)field_number(line, "answered", 0);
	} else if (field_is(line, "event", "result")) {
		json_decref(probe->result);
		probe->result = json_incref(line);
	} else if (text[0] != '\0') {
		(void)snprintf(probe->said, sizeof(probe->said), "%.250s", text);
	}
	json_decref(line);
}

void live_probe_read(struct live_probe *probe, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = probe->out_fd, .events = POLLIN};
	char *end;
	ssize_t n;

	if (probe->pid == 0 || probe->ended) {
		tick_sleep_until(tick_now() + timeout_ms * TICK_NS_PER_MS);
		return;
	}
	if (poll(&poll_fd, 1, timeout_ms) <= 0)
		return;
	n = read(probe->out_fd, probe->line + probe->used, sizeof(probe->line) - 1 - probe->used);
	if (n <= 0) {
		probe->ended = n == 0 || errno != EINTR;
		return;
	}
	probe->used += (size_t)n;
	while ((end = memchr(probe->line, '\n', probe->used))) {
		*end = '\0';
		live_probe_line(probe, probe->line);
		probe->used -= (size_t)(end + 1 - probe->line);
		(void)memmove(probe->line, end + 1, probe->used);
	}
	if (probe->used == sizeof(probe->line) - 1)
		probe->used = 0; /* no line of ours is so long */
}

static json_t *live_probe_wait(struct live_probe *probe, int64_t deadline)
{
	json_t *result;

	while (!probe->result && !probe->ended && tick_now() < deadline)
		live_probe_read(probe, LIVE_PROBE_POLL_MS);
	result = probe->result;
	probe->result = NULL;
	return result;
}

json_t *live_probe_part(struct live_probe *probe)
{
	json_decref(probe->result);
	probe->result = NULL;
	if (probe->pid == 0 || write(probe->in_fd, "mark\n", 5) != 5)
		return NULL;
	return live_probe_wait(probe, tick_now() + LIVE_PROBE_PART_MS * TICK_NS_PER_MS);
}

void live_probe_stop(struct live_probe *probe)
{
	int64_t deadline = tick_now() + LIVE_PROBE_STOP_MS * TICK_NS_PER_MS;

	if (probe->pid == 0)
		return;
	(void)close(probe->in_fd);
	while (!probe->ended && tick_now() < deadline)
		live_probe_read(probe, LIVE_PROBE_POLL_MS);
	if (!probe->ended)
		(void)kill(probe->pid, SIGKILL);
	(void)waitpid(probe->pid, NULL, 0);
	(void)close(probe->out_fd);
	json_decref(probe->result);
	*probe = (struct live_probe){0};
}
