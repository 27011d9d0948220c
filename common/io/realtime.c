#include "common/io/realtime.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

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
