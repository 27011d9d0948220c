#include "rules/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io/clock.h"

static int milliseconds_left(mono_t deadline)
{
	dur_t left = mono_diff(deadline, clock_now());

	if (left.us <= 0)
		return 0;
	return left.us / 1000 >= INT32_MAX ? INT32_MAX : (int)(left.us / 1000 + 1);
}

int child_wait(pid_t pid, mono_t deadline, int *ret_status)
{
	struct pollfd poller = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	int ready, r = 0;

	do {
		ready = poll(&poller, 1, milliseconds_left(deadline));
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL); /* it may not have come to make its group */
		r = -ETIMEDOUT;
	}
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
	if (poller.fd >= 0)
		close(poller.fd);
	return r;
}
