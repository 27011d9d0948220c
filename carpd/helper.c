#include "carpd/helper.h"
#include "carpd/helper_wire.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/evloop.h"
#include "common/io/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct helper_open {
	uint32_t id; /* 0: free */
	uint32_t kind;
	union {
		helper_run_fn *on_run;
		helper_rules_fn *on_rules;
		helper_config_fn *on_config;
	};
	void *context;
};

struct helper {
	pid_t pid;
	int fd; /* -1: the helper is gone */
	uint32_t last_id;
	unsigned int open_count;
	struct helper_open open[CARPD_HELPER_RUNS_MAX];
	sd_event_source *source;
	struct helper_answer answer;
	struct helper_request request;
};

/* helper_finish: closes one request and calls back; the slot is free before the callback. */
static void helper_finish(
	struct helper *helper, struct helper_open *slot, const struct helper_answer *answer)
{
	struct helper_open open = *slot;

	*slot = (struct helper_open){0};
	helper->open_count--;
	switch (open.kind) {
	case HELPER_KIND_RUN:
		open.on_run(open.context, &answer->run);
		return;
	case HELPER_KIND_RULES:
		open.on_rules(open.context, &answer->rules);
		return;
	case HELPER_KIND_CONFIG:
		open.on_config(open.context, answer->config_error);
		return;
	default:
		CHECK(false);
	}
}

/* helper_lost: every open request fails. */
static void helper_lost(struct helper *helper)
{
	struct helper_answer *answer = &helper->answer;

	if (helper->fd < 0)
		return;
	helper->source = sd_event_source_disable_unref(helper->source);
	close(helper->fd);
	helper->fd = -1;
	log_errorx("helper: the process is gone: scripts and rules cannot be run any more");
	for (unsigned int i = 0; i < CARPD_HELPER_RUNS_MAX; i++) {
		if (helper->open[i].id == 0)
			continue;
		memset(answer, 0, sizeof(*answer));
		switch (helper->open[i].kind) {
		case HELPER_KIND_RUN:
			answer->run.error = -EPIPE;
			break;
		case HELPER_KIND_RULES:
			answer->rules.error = -EPIPE;
			break;
		default:
			answer->config_error = -EPIPE;
			break;
		}
		helper_finish(helper, &helper->open[i], answer);
	}
}

/* helper_take: one answer. False when nothing is there. */
static bool helper_take(struct helper *helper)
{
	ssize_t size = recv(helper->fd, &helper->answer, sizeof(helper->answer), MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (size != (ssize_t)sizeof(helper->answer)) {
		helper_lost(helper);
		return false;
	}
	for (unsigned int i = 0; i < CARPD_HELPER_RUNS_MAX; i++) {
		struct helper_open *slot = &helper->open[i];

		if (slot->id == helper->answer.id && slot->kind == helper->answer.kind) {
			helper_finish(helper, slot, &helper->answer);
			break;
		}
	}
	return true;
}

static int on_answer(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	(void)source;
	(void)fd;
	(void)revents;
	while (((struct helper *)context)->fd >= 0 && helper_take(context))
		;
	return 0;
}

/* helper_open_slot: a free slot with the next id, or NULL. */
static struct helper_open *helper_open_slot(struct helper *helper, uint32_t kind, void *context)
{
	for (unsigned int i = 0; i < CARPD_HELPER_RUNS_MAX; i++) {
		if (helper->open[i].id != 0)
			continue;
		if (++helper->last_id == 0)
			helper->last_id = 1;
		helper->open[i] = (struct helper_open){
			.id = helper->last_id, .kind = kind, .context = context};
		return &helper->open[i];
	}
	return NULL;
}

/* helper_send: the request that lies in helper->request. */
static int helper_send(struct helper *helper, struct helper_open *slot)
{
	helper->request.id = slot->id;
	helper->request.kind = slot->kind;
	if (send(helper->fd, &helper->request, sizeof(helper->request),
		    MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		int r = -errno;

		*slot = (struct helper_open){0};
		return r == -EAGAIN ? -EBUSY : r;
	}
	helper->open_count++;
	return 0;
}

static int helper_put_strings(
	struct helper_request *request, const char *const *strings, uint32_t *count)
{
	for (uint32_t i = 0; strings && strings[i]; i++) {
		size_t length = strlen(strings[i]) + 1;

		if (request->run.text_bytes + length > sizeof(request->run.text))
			return -E2BIG;
		memcpy(request->run.text + request->run.text_bytes, strings[i], length);
		request->run.text_bytes += (uint32_t)length;
		(*count)++;
	}
	return 0;
}

int helper_run(struct helper *helper, const struct helper_command *command,
	helper_run_fn *on_result, void *context)
{
	struct helper_request *request = &helper->request;
	struct helper_open *slot;
	int r;

	if (helper->fd < 0)
		return -EPIPE;
	memset(request, 0, sizeof(*request));
	request->run.timeout_us = command->timeout.us;
	snprintf(request->run.user, sizeof(request->run.user), "%s", command->user);
	r = helper_put_strings(request, command->arguments, &request->run.argument_count);
	if (r == 0)
		r = helper_put_strings(
			request, command->environment, &request->run.environment_count);
	if (r < 0)
		return r;
	if (request->run.argument_count == 0 ||
		request->run.argument_count > CONFIG_ARGUMENTS_MAX ||
		request->run.environment_count > HELPER_ENVIRONMENT_MAX)
		return -E2BIG;
	slot = helper_open_slot(helper, HELPER_KIND_RUN, context);
	if (!slot)
		return -EBUSY;
	slot->on_run = on_result;
	return helper_send(helper, slot);
}

int helper_rules(struct helper *helper, const char *group, enum helper_rules_task task,
	helper_rules_fn *on_result, void *context)
{
	struct helper_open *slot;

	if (helper->fd < 0)
		return -EPIPE;
	memset(&helper->request, 0, sizeof(helper->request));
	snprintf(helper->request.rules.group, LIMIT_NAME, "%s", group);
	helper->request.rules.task = task;
	slot = helper_open_slot(helper, HELPER_KIND_RULES, context);
	if (!slot)
		return -EBUSY;
	slot->on_rules = on_result;
	return helper_send(helper, slot);
}

int helper_config(struct helper *helper, const char *path, const char *node,
	helper_config_fn *on_result, void *context)
{
	struct helper_open *slot;

	if (helper->fd < 0)
		return -EPIPE;
	if (strlen(path) >= sizeof(helper->request.config.path))
		return -E2BIG;
	memset(&helper->request, 0, sizeof(helper->request));
	snprintf(helper->request.config.path, sizeof(helper->request.config.path), "%s", path);
	snprintf(helper->request.config.node, LIMIT_NAME, "%s", node);
	slot = helper_open_slot(helper, HELPER_KIND_CONFIG, context);
	if (!slot)
		return -EBUSY;
	slot->on_config = on_result;
	return helper_send(helper, slot);
}

bool helper_wait(struct helper *helper, mono_t deadline)
{
	while (helper->open_count > 0 && helper->fd >= 0) {
		struct pollfd poll_fd = {.fd = helper->fd, .events = POLLIN};
		int64_t left_us = mono_diff(deadline, clock_now()).us;

		if (left_us <= 0)
			return false;
		(void)poll(&poll_fd, 1, (int)(left_us / 1000 + 1));
		while (helper->fd >= 0 && helper_take(helper))
			;
	}
	return helper->open_count == 0;
}

int helper_fork(struct helper **ret_helper, const struct config *cfg, const char *node)
{
	struct helper *helper = calloc(1, sizeof(*helper));
	int buffer_bytes = (int)CARPD_HELPER_MESSAGE_BYTES * 8;
	int pair[2], r;

	if (!helper)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		r = -errno;
		free(helper);
		return r;
	}
	for (unsigned int i = 0; i < 2; i++)
		(void)setsockopt(
			pair[i], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
	helper->fd = pair[0];
	helper->pid = fork();
	if (helper->pid < 0) {
		r = -errno;
		close(pair[0]);
		close(pair[1]);
		free(helper);
		return r;
	}
	if (helper->pid == 0) {
		close(pair[0]);
		_exit(helper_process_main(pair[1], cfg, node));
	}
	close(pair[1]);
	*ret_helper = helper;
	return 0;
}

int helper_attach(struct helper *helper, sd_event *event)
{
	int r = sd_event_add_io(event, &helper->source, helper->fd, EPOLLIN, on_answer, helper);

	if (r < 0)
		return r;
	return sd_event_source_set_priority(helper->source, EVLOOP_PRIORITY_NORMAL);
}

bool helper_is_alive(const struct helper *helper)
{
	return helper->fd >= 0;
}

void helper_close(struct helper *helper)
{
	if (!helper)
		return;
	sd_event_source_disable_unref(helper->source);
	if (helper->fd >= 0)
		close(helper->fd); /* It ends by itself when its socket closes. */
	(void)waitpid(helper->pid, NULL, 0);
	free(helper);
}
