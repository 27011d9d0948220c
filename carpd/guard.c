#include "carpd/guard.h"
#include "carpd/guard_wire.h"

#include "carpd/bounds.h"
#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/evloop.h"
#include "common/io/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GUARD_READY_MS	   3000	   /* a full read of 100,000 rules takes 0.1 s */
#define GUARD_RESTART_US   1000000 /* a guard that dies more often than this is not started again */
#define GUARD_EMERGENCY_MS 100
#define GUARD_PATH_MAX	   4096u

struct guard {
	struct guard_options options;
	struct guard_shared *shared;
	char lock_path[GUARD_PATH_MAX];
	int carpd_pidfd;
	pid_t pid;
	int pidfd;
	mono_t started_at;
	unsigned int quick_deaths;
	sd_event_source *source;
};

/* For guard_emergency alone: the way from a failed CHECK to the guard. */
static struct guard_shared *guard_emergency_shared;

static void guard_pause_ms(long ms)
{
	struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&pause, NULL);
}

static int guard_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0u);
}

/* guard_lock_holder: who holds the lock: a process id, 0 nobody, -1 somebody of another pid
 * namespace. POSIX record locks tell the holder, and belong to the process, not the descriptor. */
static pid_t guard_lock_holder(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		return 0;
	return lock.l_pid > 0 ? lock.l_pid : -1;
}

static int guard_lock_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : fd;
}

static void guard_lock_path(char path[static GUARD_PATH_MAX], const char *runtime_dir)
{
	snprintf(path, GUARD_PATH_MAX, "%s/guard.lock", runtime_dir);
}

/* guard_kill_former: by pidfd, and only if it still holds the lock once the pidfd is ours. */
static void guard_kill_former(int fd)
{
	pid_t pid = guard_lock_holder(fd);
	int pidfd = pid > 0 ? guard_pidfd_open(pid) : -1;

	if (pidfd < 0)
		return;
	if (guard_lock_holder(fd) == pid) {
		log_warnx("guard of an earlier carpd (pid %d) does not end: killed", (int)pid);
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0u);
	}
	close(pidfd);
}

int guard_wait_former(const char *runtime_dir)
{
	mono_t deadline = mono_add(clock_now(), dur_ms(CARPD_GUARD_WAIT_MS));
	mono_t last = mono_add(deadline, dur_ms(500));
	char path[GUARD_PATH_MAX];
	bool was_killed = false;
	int fd;

	guard_lock_path(path, runtime_dir);
	fd = guard_lock_open(path);
	if (fd < 0)
		return fd;
	while (guard_lock_holder(fd) != 0) {
		mono_t now = clock_now();

		if (mono_reached(now, last)) {
			close(fd);
			return -EBUSY;
		}
		if (mono_reached(now, deadline) && !was_killed) {
			guard_kill_former(fd);
			was_killed = true;
		}
		guard_pause_ms(2);
	}
	close(fd);
	return 0;
}

/* guard_child_start: in the child; takes the lock itself, because it belongs to the process. */
static _Noreturn void guard_child_start(struct guard *guard)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct guard_child child = {
		.shared = guard->shared,
		.carpd_pidfd = guard->carpd_pidfd,
		.lock_fd = guard_lock_open(guard->lock_path),
		.manifests = guard->options.manifests,
		.manifest_count = guard->options.manifest_count,
		.priority = guard->options.priority,
	};

	if (child.lock_fd < 0 || fcntl(child.lock_fd, F_SETLK, &lock) < 0) {
		log_error("guard: %s", guard->lock_path);
		_exit(1);
	}
	_exit(guard_process_main(&child));
}

static int on_child_end(sd_event_source *source, int fd, uint32_t revents, void *context);

static int guard_spawn(struct guard *guard)
{
	int r;

	atomic_store(&guard->shared->is_disarmed, false);
	atomic_store(&guard->shared->is_ready, false);
	atomic_store(&guard->shared->has_fired, false);
	atomic_store(&guard->shared->is_done, false);
	guard->started_at = clock_now();
	guard->pid = fork();
	if (guard->pid < 0)
		return -errno;
	if (guard->pid == 0)
		guard_child_start(guard);
	guard->pidfd = guard_pidfd_open(guard->pid);
	if (guard->pidfd < 0)
		return -errno;
	r = sd_event_add_io(
		guard->options.event, &guard->source, guard->pidfd, EPOLLIN, on_child_end, guard);
	if (r < 0)
		return r;
	return sd_event_source_set_priority(guard->source, EVLOOP_PRIORITY_INPUT);
}

static void guard_reap(struct guard *guard)
{
	guard->source = sd_event_source_disable_unref(guard->source);
	if (guard->pidfd >= 0)
		close(guard->pidfd);
	guard->pidfd = -1;
	if (guard->pid > 0)
		(void)waitpid(guard->pid, NULL, 0);
	guard->pid = 0;
}

static int on_child_end(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct guard *guard = context;
	bool fired = atomic_load(&guard->shared->has_fired);
	bool is_quick = mono_diff(clock_now(), guard->started_at).us < GUARD_RESTART_US;
	int r;

	(void)source;
	(void)fd;
	(void)revents;
	guard_reap(guard);
	log_warnx("guard: the process ended %s",
		fired ? "after it had withdrawn everything" : "unexpectedly; starting another");
	guard->quick_deaths = is_quick ? guard->quick_deaths + 1 : 0;
	if (guard->quick_deaths > 5) {
		log_errorx("guard: it keeps dying; going on without one");
	} else {
		r = guard_spawn(guard);
		if (r < 0)
			log_errorx("guard: cannot start: %s", strerror(-r));
	}
	guard->options.on_death(guard->options.context, fired);
	return 0;
}

static int guard_wait_ready(struct guard *guard)
{
	mono_t deadline = mono_add(clock_now(), dur_ms(GUARD_READY_MS));

	while (!atomic_load(&guard->shared->is_ready)) {
		int status;

		if (waitpid(guard->pid, &status, WNOHANG) != 0) {
			guard->pid = 0;
			return -ECHILD;
		}
		if (mono_reached(clock_now(), deadline))
			return -ETIMEDOUT;
		guard_pause_ms(1);
	}
	return 0;
}

/* guard_life_begin: the main thread takes the mutex that it will hold until it ends. */
static int guard_life_begin(struct guard_shared *shared)
{
	pthread_mutexattr_t attributes;
	int r;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
	r = pthread_mutex_init(&shared->life, &attributes);
	pthread_mutexattr_destroy(&attributes);
	return r == 0 ? -pthread_mutex_lock(&shared->life) : -r;
}

int guard_open(struct guard **ret_guard, const struct guard_options *options)
{
	struct guard *guard = calloc(1, sizeof(*guard));
	int r = -ENOMEM;

	if (!guard)
		return r;
	guard->options = *options;
	guard->pidfd = -1;
	guard_lock_path(guard->lock_path, options->runtime_dir);
	guard->carpd_pidfd = guard_pidfd_open(getpid());
	guard->shared = mmap(NULL, sizeof(*guard->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (guard->shared == MAP_FAILED)
		guard->shared = NULL;
	else
		atomic_store(&guard->shared->timeout_us, INT64_MAX);
	if (guard->carpd_pidfd >= 0 && guard->shared)
		r = guard_life_begin(guard->shared);
	if (r == 0)
		r = guard_spawn(guard);
	if (r == 0)
		r = guard_wait_ready(guard);
	if (r < 0) {
		guard_close(guard);
		return r;
	}
	guard_emergency_shared = guard->shared;
	*ret_guard = guard;
	return 0;
}

/* guard_dismiss: ends the child without letting it do anything. */
static void guard_dismiss(struct guard *guard)
{
	atomic_store(&guard->shared->is_disarmed, true);
	if (guard->pid > 0 && guard->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, guard->pidfd, SIGKILL, NULL, 0u);
	guard_reap(guard);
}

void guard_close(struct guard *guard)
{
	if (!guard)
		return;
	guard_emergency_shared = NULL;
	if (guard->shared) {
		guard_dismiss(guard);
		munmap(guard->shared, sizeof(*guard->shared));
	}
	if (guard->carpd_pidfd >= 0)
		close(guard->carpd_pidfd);
	free(guard);
}

int guard_restart(struct guard *guard)
{
	guard_dismiss(guard);
	return guard_spawn(guard);
}

struct guard_table *guard_edit(struct guard *guard)
{
	return &guard->shared->tables[(atomic_load(&guard->shared->current) + 1) & 1];
}

void guard_publish(struct guard *guard)
{
	atomic_store(&guard->shared->current, (atomic_load(&guard->shared->current) + 1) & 1);
}

void guard_feed(struct guard *guard, mono_t now, dur_t timeout)
{
	atomic_store(&guard->shared->fed_at_us, now.us);
	atomic_store(&guard->shared->timeout_us, timeout.us);
}

bool guard_fired(const struct guard *guard)
{
	return atomic_load(&guard->shared->has_fired);
}

void guard_emergency(void)
{
	struct guard_shared *shared = guard_emergency_shared;

	/* From another thread than the main one this is refused: its abort says the same. */
	if (!shared || pthread_mutex_unlock(&shared->life) != 0)
		return;
	for (unsigned int i = 0; i < GUARD_EMERGENCY_MS && !atomic_load(&shared->is_done); i++)
		guard_pause_ms(1);
}
