/* bare: the least that anything with deadlines costs on this machine.
 *
 *   bare PERIOD_US
 *
 * A real-time process that wakes every period and does nothing. What the scheduler charges it for
 * (on a virtual machine that may be hundreds of microseconds a wake-up: interrupts, the
 * hypervisor's own time) is charged to every other process as well that wakes as often. It ends
 * with its parent. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#define BARE_PRIORITY 50
#define NS_PER_S      1000000000L

int main(int argc, char **argv)
{
	struct sched_param param = {.sched_priority = BARE_PRIORITY};
	long period_ns = argc > 1 ? strtol(argv[1], NULL, 10) * 1000 : 0;
	struct timespec t;

	if (period_ns <= 0 || period_ns >= NS_PER_S)
		return 2;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sched_setscheduler(0, SCHED_FIFO, &param);
	(void)mlockall(MCL_CURRENT | MCL_FUTURE);
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	for (;;) {
		t.tv_nsec += period_ns;
		if (t.tv_nsec >= NS_PER_S) {
			t.tv_nsec -= NS_PER_S;
			t.tv_sec++;
		}
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
			;
	}
}
