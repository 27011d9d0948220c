/* The helper's own side: see helper.h. One thread, poll(2), no allocation but nft's. */
#include "carpd/helper_rules.h"
#include "carpd/helper_wire.h"

#include "common/check.h"
#include "common/io/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long what a killed program wrote is still waited for. */
#define HELPER_EXIT_COULD_NOT 127

struct helper_child {
	pid_t pid; /* 0: free */
	uint32_t id;
	uint32_t kind;
	mono_t deadline;
	int output_fd; /* -1: closed */
	uint32_t output_used;
	bool timed_out;
	char output[CARPD_HELPER_OUTPUT_BYTES];
};

struct helper_process {
	int fd;
	const struct config *cfg;
	struct config *loaded; /* a later config, owned */
	char node[LIMIT_NAME];
	struct helper_child children[CARPD_HELPER_RUNS_MAX];
	struct helper_memory memories[LIMIT_GROUPS]; /* of rules */
	struct helper_request request;
	struct helper_answer answer;
};

static void helper_answer_send(struct helper_process *h)
{
	/* carpd reads all the time; if it is gone, so are we soon. */
	(void)!send(h->fd, &h->answer, sizeof(h->answer), MSG_NOSIGNAL);
}

static struct helper_answer *helper_answer_init(
	struct helper_process *h, uint32_t id, uint32_t kind)
{
	memset(&h->answer, 0, sizeof(h->answer));
	h->answer.id = id;
	h->answer.kind = kind;
	return &h->answer;
}

/* helper_child_become: the user, with the user's groups. */
static bool helper_child_become(const char *user)
{
	const struct passwd *entry;

	if (user[0] == '\0')
		return true;
	entry = getpwnam(user);
	if (!entry)
		return false;
	return initgroups(user, entry->pw_gid) == 0 && setgid(entry->pw_gid) == 0 &&
	       setuid(entry->pw_uid) == 0;
}

/* helper_child_exec: never returns. Only what is set here reaches the program. */
static _Noreturn void helper_child_exec(const struct helper_request *request, int output_fd)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	static char language[] = "LANG=C.UTF-8";
	/* An ignored signal stays ignored over exec. */
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
	char text[HELPER_ARGUMENT_BYTES_MAX];
	char *arguments[CONFIG_ARGUMENTS_MAX + 1] = {0};
	char *environment[HELPER_ENVIRONMENT_MAX + 3] = {path, language};
	char *at = text;
	sigset_t none;
	int null_fd;

	memcpy(text, request->run.text, request->run.text_bytes);
	for (uint32_t i = 0; i < request->run.argument_count; i++, at += strlen(at) + 1)
		arguments[i] = at;
	for (uint32_t i = 0; i < request->run.environment_count; i++, at += strlen(at) + 1)
		environment[i + 2] = at;
	(void)setpgid(0, 0);
	null_fd = open("/dev/null", O_RDONLY);
	if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(output_fd, STDOUT_FILENO) < 0 ||
		dup2(output_fd, STDERR_FILENO) < 0)
		_exit(HELPER_EXIT_COULD_NOT);
	(void)syscall(SYS_close_range, 3u, ~0u, 0u);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (unsigned int i = 0; i < ARRAY_LEN(ignored); i++)
		(void)signal(ignored[i], SIG_DFL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir("/") < 0 || !helper_child_become(request->run.user)) {
		(void)!write(STDERR_FILENO, "cannot become the user\n", 23);
		_exit(HELPER_EXIT_COULD_NOT);
	}
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	execve(arguments[0], arguments, environment);
	(void)!write(STDERR_FILENO, "cannot be executed\n", 19);
	_exit(HELPER_EXIT_COULD_NOT);
}

static void helper_refuse(struct helper_process *h, uint32_t kind, int error)
{
	struct helper_answer *answer = helper_answer_init(h, h->request.id, kind);

	if (kind == HELPER_KIND_RUN)
		answer->run.error = error;
	else if (kind == HELPER_KIND_RULES)
		answer->rules.error = error;
	else
		answer->config_error = error;
	helper_answer_send(h);
}

static struct helper_child *helper_child_free(struct helper_process *h)
{
	for (unsigned int i = 0; i < CARPD_HELPER_RUNS_MAX; i++)
		if (h->children[i].pid == 0)
			return &h->children[i];
	return NULL;
}

/* helper_text_is_sound: every string that the counts promise ends inside the text. */
static bool helper_text_is_sound(const struct helper_request *request)
{
	uint32_t ends = 0;

	if (request->run.text_bytes > sizeof(request->run.text))
		return false;
	for (uint32_t i = 0; i < request->run.text_bytes; i++)
		ends += request->run.text[i] == '\0';
	return ends == request->run.argument_count + request->run.environment_count &&
	       request->run.argument_count >= 1 &&
	       request->run.argument_count <= CONFIG_ARGUMENTS_MAX &&
	       request->run.environment_count <= HELPER_ENVIRONMENT_MAX;
}

static void helper_start_run(struct helper_process *h)
{
	struct helper_child *child = helper_child_free(h);
	int pipe_fds[2];
	pid_t pid;

	if (!child || !helper_text_is_sound(&h->request)) {
		helper_refuse(h, HELPER_KIND_RUN, child ? -EINVAL : -EBUSY);
		return;
	}
	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		helper_refuse(h, HELPER_KIND_RUN, -errno);
		return;
	}
	pid = fork();
	if (pid == 0)
		helper_child_exec(&h->request, pipe_fds[1]);
	close(pipe_fds[1]);
	if (pid < 0) {
		close(pipe_fds[0]);
		helper_refuse(h, HELPER_KIND_RUN, -errno);
		return;
	}
	(void)setpgid(pid, pid); /* On both sides: whoever comes first. */
	*child = (struct helper_child){
		.pid = pid,
		.id = h->request.id,
		.kind = HELPER_KIND_RUN,
		.deadline = mono_add(clock_now(), dur_us(h->request.run.timeout_us)),
		.output_fd = pipe_fds[0],
	};
}

/* helper_rules_child: does the task, answers by itself, exits. */
static _Noreturn void helper_rules_child(
	struct helper_process *h, const struct helper_memory *memory)
{
	struct helper_answer *answer = helper_answer_init(h, h->request.id, HELPER_KIND_RULES);

	(void)setpgid(0, 0);
	helper_rules_work(h->cfg, h->node, memory, (enum helper_rules_task)h->request.rules.task,
		&answer->rules);
	helper_answer_send(h);
	_exit(0);
}

static void helper_start_rules(struct helper_process *h)
{
	struct helper_child *child = helper_child_free(h);
	struct helper_memory *memory = helper_rules_remember(
		h->memories, h->request.rules.group, (enum helper_rules_task)h->request.rules.task);
	pid_t pid = child && memory ? fork() : -1;

	if (pid == 0)
		helper_rules_child(h, memory);
	if (pid < 0) {
		helper_refuse(h, HELPER_KIND_RULES, child && memory ? -errno : -EBUSY);
		return;
	}
	*child = (struct helper_child){
		.pid = pid,
		.id = h->request.id,
		.kind = HELPER_KIND_RULES,
		.deadline = mono_add(clock_now(), dur_ms(3 * (int64_t)RULES_COMPILE_TIMEOUT_MS)),
		.output_fd = -1,
	};
}

static void helper_load_config(struct helper_process *h)
{
	struct config_errors *errors = calloc(1, sizeof(*errors));
	struct config *cfg = NULL;

	if (errors)
		cfg = config_load(h->request.config.path, h->request.config.node, errors);
	free(errors);
	if (cfg) {
		config_free(h->loaded);
		h->loaded = cfg;
		h->cfg = cfg;
	}
	helper_refuse(h, HELPER_KIND_CONFIG, cfg ? 0 : -EINVAL);
}

/* helper_read_output: keeps the beginning, reads the rest away. */
static void helper_read_output(struct helper_child *child)
{
	char buffer[4096];
	ssize_t size;

	while ((size = read(child->output_fd, buffer, sizeof(buffer))) > 0) {
		size_t room = sizeof(child->output) - 1 - child->output_used;
		size_t kept = (size_t)size < room ? (size_t)size : room;

		memcpy(child->output + child->output_used, buffer, kept);
		child->output_used += (uint32_t)kept;
	}
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close(child->output_fd);
	child->output_fd = -1;
}

static void helper_child_ended(struct helper_process *h, struct helper_child *child, int status)
{
	struct helper_answer *answer;

	(void)kill(-child->pid, SIGKILL); /* What it left behind in its group. */
	if (child->kind == HELPER_KIND_RULES) {
		/* It has answered itself, unless it crashed or was killed. */
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			answer = helper_answer_init(h, child->id, HELPER_KIND_RULES);
			answer->rules.error = child->timed_out ? -ETIMEDOUT : -EIO;
			helper_answer_send(h);
		}
		child->pid = 0;
		return;
	}
	if (child->output_fd >= 0)
		helper_read_output(child);
	if (child->output_fd >= 0)
		close(child->output_fd);
	answer = helper_answer_init(h, child->id, HELPER_KIND_RUN);
	answer->run.timed_out = child->timed_out;
	answer->run.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	memcpy(answer->run.output, child->output, sizeof(answer->run.output));
	helper_answer_send(h);
	child->pid = 0;
}

/* helper_reap: children that have ended. Others' (a program's orphans are not ours) are ignored. */
static void helper_reap(struct helper_process *h)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned int i = 0; i < CARPD_HELPER_RUNS_MAX; i++)
			if (h->children[i].pid == pid) {
				helper_child_ended(h, &h->children[i], status);
				break;
			}
}

/* helper_expire: kills what is over its time; returns the next deadline. */
static mono_t helper_expire(struct helper_process *h)
{
	mono_t now = clock_now(), next = MONO_NEVER;

	for (unsigned int i = 0; i < CARPD_HELPER_RUNS_MAX; i++) {
		struct helper_child *child = &h->children[i];

		if (child->pid == 0 || child->timed_out)
			continue;
		if (mono_reached(now, child->deadline)) {
			child->timed_out = true;
			(void)kill(-child->pid, SIGKILL);
			(void)kill(child->pid, SIGKILL);
			continue;
		}
		next = mono_min(next, child->deadline);
	}
	return next;
}

static int helper_timeout_ms(mono_t next)
{
	int64_t left_us;

	if (mono_is_never(next))
		return -1;
	left_us = mono_diff(next, clock_now()).us;
	if (left_us <= 0)
		return 0;
	return left_us > 60000000 ? 60000 : (int)(left_us / 1000 + 1);
}

static volatile sig_atomic_t helper_child_signalled;

static void on_sigchld(int signal_number)
{
	(void)signal_number;
	helper_child_signalled = 1;
}

/* helper_wait_input: until a message, output or a dead child. SIGCHLD is let in by ppoll alone, so
 * none is missed between the look and the wait. */
static bool helper_wait_input(struct helper_process *h, mono_t next)
{
	struct pollfd fds[1 + CARPD_HELPER_RUNS_MAX];
	struct helper_child *owners[1 + CARPD_HELPER_RUNS_MAX];
	int timeout_ms = helper_timeout_ms(next);
	struct timespec timeout = {
		.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
	nfds_t count = 1;
	sigset_t none;

	fds[0] = (struct pollfd){.fd = h->fd, .events = POLLIN};
	for (unsigned int i = 0; i < CARPD_HELPER_RUNS_MAX; i++) {
		if (h->children[i].pid == 0 || h->children[i].output_fd < 0)
			continue;
		owners[count] = &h->children[i];
		fds[count++] = (struct pollfd){.fd = h->children[i].output_fd, .events = POLLIN};
	}
	sigemptyset(&none);
	if (ppoll(fds, count, timeout_ms < 0 ? NULL : &timeout, &none) <= 0)
		return false;
	for (nfds_t i = 1; i < count; i++)
		if (fds[i].revents)
			helper_read_output(owners[i]);
	return fds[0].revents != 0;
}

/* helper_take_request: false when carpd is gone. */
static bool helper_take_request(struct helper_process *h)
{
	ssize_t size = recv(h->fd, &h->request, sizeof(h->request), MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (size != (ssize_t)sizeof(h->request))
		return false;
	switch (h->request.kind) {
	case HELPER_KIND_RUN:
		helper_start_run(h);
		return true;
	case HELPER_KIND_RULES:
		helper_start_rules(h);
		return true;
	case HELPER_KIND_CONFIG:
		helper_load_config(h);
		return true;
	default:
		return false;
	}
}

static void helper_kill_all(struct helper_process *h)
{
	for (unsigned int i = 0; i < CARPD_HELPER_RUNS_MAX; i++)
		if (h->children[i].pid > 0) {
			(void)kill(-h->children[i].pid, SIGKILL);
			(void)kill(h->children[i].pid, SIGKILL);
		}
}

int helper_process_main(int fd, const struct config *cfg, const char *node)
{
	struct sigaction action = {.sa_handler = on_sigchld};
	struct helper_process *h = calloc(1, sizeof(*h));
	sigset_t blocked;

	if (!h)
		return 1;
	(void)prctl(PR_SET_NAME, "carpd-helper");
	h->fd = fd;
	h->cfg = cfg;
	snprintf(h->node, sizeof(h->node), "%s", node);
	/* The terminal's and the manager's signals are carpd's business: its end is ours. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	(void)sigprocmask(SIG_SETMASK, &blocked, NULL);
	(void)sigaction(SIGCHLD, &action, NULL);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	for (;;) {
		mono_t next = helper_expire(h);
		bool has_input = helper_wait_input(h, next);

		if (has_input && !helper_take_request(h))
			break;
		helper_child_signalled = 0;
		helper_reap(h);
	}
	helper_kill_all(h);
	return 0;
}
