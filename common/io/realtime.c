#include "common/io/realtime.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REALTIME_OOM_TEXT_MAX 16u

static void realtime_enable_note(char *missing, const char *what, int error)
{
	size_t used = strlen(missing);

	snprintf(missing + used, REALTIME_TEXT_MAX - used, "%s%s (%s)", used ? ", " : "", what,
		strerror(error));
}

int realtime_enable(int priority, char missing[static REALTIME_TEXT_MAX])
{
	struct sched_param param = {.sched_priority = priority};
	int refused = 0;

	missing[0] = 0;
	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) < 0) {
		realtime_enable_note(missing, "real-time scheduling", errno);
		refused++;
	}
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
		realtime_enable_note(missing, "locked memory", errno);
		refused++;
	}
	return refused;
}

int realtime_spare(void)
{
	char text[REALTIME_OOM_TEXT_MAX] = "";
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	int length, r = 0;

	if (fd < 0)
		return -errno;
	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		r = -errno;
	if (r == 0 && strtol(text, NULL, 10) > REALTIME_OOM_ADJUST) {
		length = snprintf(text, sizeof(text), "%d", REALTIME_OOM_ADJUST);
		if (pwrite(fd, text, (size_t)length, 0) != length)
			r = -errno;
	}
	close(fd);
	return r;
}
