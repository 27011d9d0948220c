#include "ctl/drill/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static void spawn_child_namespaces(const struct spawn_options *options)
{
	if (options->netns_fd >= 0 && setns(options->netns_fd, CLONE_NEWNET) < 0)
		_exit(126);
	if (options->mntns_fd >= 0 && setns(options->mntns_fd, CLONE_NEWNS) < 0)
		_exit(126);
	/* setns(2) moves the root to that of the whole namespace: who was started inside a chroot
	 * (a build container, schroot) would see another file system from here on. */
	if (options->root_fd >= 0 &&
		(fchdir(options->root_fd) < 0 || chroot(".") < 0 || chdir("/") < 0))
		_exit(126);
}

static _Noreturn void spawn_child(const struct spawn_options *options)
{
	struct sched_param normal = {0};
	sigset_t none;
	int input = options->input_fd;

	spawn_child_namespaces(options);
	if (input < 0)
		input = open("/dev/null", O_RDONLY);
	if (input < 0 || dup2(input, STDIN_FILENO) < 0)
		_exit(126);
	if (options->output_fd >= 0 && (dup2(options->output_fd, STDOUT_FILENO) < 0 ||
					       dup2(options->output_fd, STDERR_FILENO) < 0))
		_exit(126);
	(void)sched_setscheduler(0, SCHED_OTHER, &normal);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("JOURNAL_STREAM");
	/* A string of argv is never written to: execvp's prototype is older than const. */
	(void)execvp(options->argv[0], (char *const *)(uintptr_t)options->argv);
	(void)fprintf(stderr, "cannot run %s: %s\n", options->argv[0], strerror(errno));
	_exit(127);
}

pid_t spawn_start(const struct spawn_options *options)
{
	int own_fd = -1;
	pid_t pid;
	int error;

	/* Entering a PID namespace changes where the *children* are born; we come back after. */
	if (options->pidns_fd >= 0) {
		own_fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
		if (own_fd < 0)
			return -errno;
		if (setns(options->pidns_fd, CLONE_NEWPID) < 0) {
			error = errno;
			(void)close(own_fd);
			return -error;
		}
	}
	pid = fork();
	error = errno;
	if (pid == 0)
		spawn_child(options);
	if (own_fd >= 0) {
		(void)setns(own_fd, CLONE_NEWPID);
		(void)close(own_fd);
	}
	return pid < 0 ? -error : pid;
}

/* The input goes through a file of memory: no pipe can fill up and no writer can hang. */
static int spawn_input_file(const char *input)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	size_t size_bytes = strlen(input);

	if (fd < 0)
		return -errno;
	if (write(fd, input, size_bytes) != (ssize_t)size_bytes || lseek(fd, 0, SEEK_SET) < 0) {
		(void)close(fd);
		return -EIO;
	}
	return fd;
}

static void spawn_read_output(int fd, char output[static SPAWN_OUTPUT_MAX])
{
	ssize_t n = pread(fd, output, SPAWN_OUTPUT_MAX - 1, 0);

	output[n > 0 ? n : 0] = '\0';
}

int spawn_wait(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

int spawn_run(const struct spawn_options *options, const char *input,
	char output[static SPAWN_OUTPUT_MAX])
{
	struct spawn_options inner = *options;
	pid_t pid;
	int r;

	output[0] = '\0';
	inner.input_fd = spawn_input_file(input ? input : "");
	if (inner.input_fd < 0)
		return inner.input_fd;
	inner.output_fd = memfd_create("output", MFD_CLOEXEC);
	if (inner.output_fd < 0) {
		(void)close(inner.input_fd);
		return -ENOMEM;
	}
	pid = spawn_start(&inner);
	r = pid < 0 ? pid : spawn_wait(pid);
	if (r >= 0)
		spawn_read_output(inner.output_fd, output);
	(void)close(inner.input_fd);
	(void)close(inner.output_fd);
	return r;
}
