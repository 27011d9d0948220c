#include "carpd/logpipe.h"

#include "common/io/caps.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOGPIPE_BYTES	 (1 << 20)
#define LOGPIPE_CLOSE_MS 1000
#define LOGPIPE_RIGHTS	 "carpd: the log's process could not give up its rights\n"

static pid_t logpipe_pid;
static int logpipe_stderr = -1; /* the real one */

static void logpipe_write(const char *data, size_t size)
{
	while (size > 0) {
		ssize_t written = write(STDERR_FILENO, data, size);

		if (written < 0 && errno == EAGAIN) {
			struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};

			(void)poll(&room, 1, LOGPIPE_CLOSE_MS);
		} else if (written < 0 && errno != EINTR) {
			return; /* Nobody reads it: dropped, as without us. */
		} else if (written > 0) {
			data += written;
			size -= (size_t)written;
		}
	}
}

static _Noreturn void logpipe_main(int fd)
{
	static char buffer[65536];
	char missing[CAPS_TEXT_MAX];
	sigset_t all;
	ssize_t size;

	/* Told to end together with carpd it still carries carpd's last words. */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)prctl(PR_SET_NAME, "carpd-log");
	(void)dup2(fd, STDIN_FILENO);
	(void)syscall(SYS_close_range, 3u, ~0u, 0u);
	/* It copies bytes: that needs no right. One that could not be given up stops no log. */
	if (caps_limit(NULL, 0, missing) < 0)
		logpipe_write(LOGPIPE_RIGHTS, sizeof(LOGPIPE_RIGHTS) - 1);
	while ((size = read(STDIN_FILENO, buffer, sizeof(buffer))) != 0)
		if (size > 0)
			logpipe_write(buffer, (size_t)size);
		else if (errno != EINTR)
			break;
	_exit(0);
}

void logpipe_open(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	logpipe_pid = fork();
	if (logpipe_pid == 0)
		logpipe_main(ends[0]);
	close(ends[0]);
	logpipe_stderr = logpipe_pid > 0 ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : -1;
	if (logpipe_stderr >= 0) {
		(void)fcntl(ends[1], F_SETPIPE_SZ, LOGPIPE_BYTES);
		(void)fcntl(ends[1], F_SETFL, O_NONBLOCK);
		(void)dup2(ends[1], STDERR_FILENO);
	}
	close(ends[1]);
}

void logpipe_close(void)
{
	int pidfd;

	if (logpipe_stderr < 0)
		return;
	(void)dup2(logpipe_stderr, STDERR_FILENO);
	close(logpipe_stderr);
	logpipe_stderr = -1;
	pidfd = (int)syscall(SYS_pidfd_open, logpipe_pid, 0u);
	if (pidfd >= 0) {
		struct pollfd ended = {.fd = pidfd, .events = POLLIN};

		(void)poll(&ended, 1, LOGPIPE_CLOSE_MS);
		close(pidfd);
	}
	(void)waitpid(logpipe_pid, NULL, WNOHANG);
}
