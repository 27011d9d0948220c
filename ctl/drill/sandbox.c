#include "ctl/drill/sandbox.h"

#include "common/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Set by signal handlers, read everywhere: the one thing of a process that is global by nature. */
static volatile sig_atomic_t sandbox_stop_signal;
static pid_t sandbox_child;
static pid_t sandbox_own_pid; /* inside: as seen from outside */
static int sandbox_home_fd = -1;

static void sandbox_on_signal(int number)
{
	sandbox_stop_signal = number;
	if (sandbox_child > 0)
		(void)kill(sandbox_child, number);
}

int sandbox_stopped(void)
{
	return sandbox_stop_signal;
}

pid_t sandbox_outside_pid(void)
{
	return sandbox_own_pid;
}

static void sandbox_handle_signals(void)
{
	struct sigaction action = {.sa_handler = sandbox_on_signal};

	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
}

static int sandbox_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	(void)close(fd);
	return n < 0 ? -EIO : 0;
}

/* An ordinary user is root of a user namespace: the maps have one line each. */
static int sandbox_map_user(uid_t uid, gid_t gid)
{
	char line[64];
	int r = sandbox_write_file("/proc/self/setgroups", "deny");

	if (r < 0)
		return r;
	(void)snprintf(line, sizeof(line), "0 %u 1", uid);
	r = sandbox_write_file("/proc/self/uid_map", line);
	if (r < 0)
		return r;
	(void)snprintf(line, sizeof(line), "0 %u 1", gid);
	return sandbox_write_file("/proc/self/gid_map", line);
}

static int sandbox_mounts(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return -errno;
	if (mount("carpool-drill", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
		return -errno;
	if (mkdir(SANDBOX_NETNS_DIR, 0755) < 0 || mkdir(SANDBOX_DIR, 0755) < 0)
		return -errno;
	return 0;
}

struct sandbox_entry {
	int (*inside)(void *context);
	void *context;
	uid_t uid;
	gid_t gid;
	int alive_fd; /* its other end closes when the process outside is gone */
};

static int sandbox_prepare(const struct sandbox_entry *entry)
{
	int r;

	/* The kernel kills us with the process outside. It may have died before this line: then
	 * the pipe that it holds is at its end already. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(entry->alive_fd, &sandbox_own_pid, sizeof(sandbox_own_pid)) !=
		(ssize_t)sizeof(sandbox_own_pid))
		return -ESRCH;
	if (entry->uid != 0) {
		r = sandbox_map_user(entry->uid, entry->gid);
		if (r < 0)
			return r;
	}
	r = sandbox_mounts();
	if (r < 0)
		return r;
	sandbox_home_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return sandbox_home_fd < 0 ? -errno : 0;
}

static _Noreturn void sandbox_first_process(const struct sandbox_entry *entry)
{
	int r;

	sandbox_child = 0;
	r = sandbox_prepare(entry);
	if (r < 0) {
		(void)fprintf(stderr, "carpool drill: cannot make the sandbox: %s\n", strerror(-r));
		_exit(2);
	}
	r = entry->inside(entry->context);
	(void)fflush(NULL);
	_exit(r);
}

static int sandbox_wait(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int sandbox_run(int (*inside)(void *context), void *context)
{
	struct sandbox_entry entry = {
		.inside = inside, .context = context, .uid = geteuid(), .gid = getegid()};
	unsigned long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | SIGCHLD;
	int alive[2];
	pid_t child;
	int r;

	if (pipe2(alive, O_CLOEXEC) < 0)
		return -errno;
	entry.alive_fd = alive[0];
	if (entry.uid != 0)
		flags |= CLONE_NEWUSER;
	(void)fflush(NULL);
	/* fork(2) with namespaces: this process has one thread here, so nothing is half-locked. */
	child = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
	if (child < 0) {
		r = -errno;
	} else if (child == 0) {
		(void)close(alive[1]);
		sandbox_handle_signals();
		sandbox_first_process(&entry);
	} else {
		sandbox_child = child;
		sandbox_handle_signals();
		(void)!write(alive[1], &child, sizeof(child));
		r = sandbox_wait(child);
		sandbox_child = 0;
	}
	(void)close(alive[0]);
	(void)close(alive[1]);
	return r;
}

static int sandbox_loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

int sandbox_netns_new(const char *name)
{
	char path[PATH_MAX];
	int fd = -1;
	int r = 0;

	(void)snprintf(path, sizeof(path), SANDBOX_NETNS_DIR "/%s", name);
	fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return -errno;
	(void)close(fd);
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	r = sandbox_loopback_up();
	if (r == 0 && mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL) < 0)
		r = -errno;
	sandbox_netns_home();
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int sandbox_netns_enter(int netns_fd)
{
	return setns(netns_fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

void sandbox_netns_home(void)
{
	/* Going on in somebody else's namespace would be a bug that no caller could mend. */
	CHECK(setns(sandbox_home_fd, CLONE_NEWNET) == 0);
}
