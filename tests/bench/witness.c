/* witness: when did this machine not run what should have run at once?
 *
 *   witness THRESHOLD_US [SECONDS]
 *
 * One thread a processor, pinned to it, SCHED_FIFO above every daemon here, memory locked, wakes
 * every WITNESS_PERIOD_US. Nothing that the system schedules can hold it up; when it is late all
 * the same, the processor was away: taken by the hypervisor, in an interrupt, with preemption off.
 * A failover at such an instant is no word against the election.
 *
 * Each stall longer than the threshold is one line at once: {"cpu":0,"at":1700000000.123456,
 * "ms":12.3} ("at": when it ought to have run, wall clock). SIGTERM or SECONDS end it, with the
 * worst of every processor: {"worst_ms":[0.2,0.3],"realtime":true}. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WITNESS_PERIOD_US 500
#define WITNESS_PRIORITY  90
#define WITNESS_CPUS_MAX  256
#define NS_PER_S	  INT64_C(1000000000)

struct watch {
	pthread_t thread;
	int cpu;
	int64_t worst_ns;
	bool is_realtime;
};

static int64_t threshold_ns;
static _Atomic bool stop;
static struct watch watches[WITNESS_CPUS_MAX];

static int64_t now(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void *run(void *context)
{
	struct watch *watch = context;
	struct sched_param param = {.sched_priority = WITNESS_PRIORITY};
	cpu_set_t set;
	int64_t due;

	CPU_ZERO(&set);
	CPU_SET(watch->cpu, &set);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	watch->is_realtime = pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == 0;
	due = now(CLOCK_MONOTONIC);
	while (!stop) {
		struct timespec t;
		int64_t late;

		due += WITNESS_PERIOD_US * INT64_C(1000);
		t = (struct timespec){.tv_sec = due / NS_PER_S, .tv_nsec = due % NS_PER_S};
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
			;
		late = now(CLOCK_MONOTONIC) - due;
		watch->worst_ns = late > watch->worst_ns ? late : watch->worst_ns;
		if (late > threshold_ns) {
			printf("{\"cpu\":%d,\"at\":%.6f,\"ms\":%.3f}\n", watch->cpu,
				(double)(now(CLOCK_REALTIME) - late) / 1e9, (double)late / 1e6);
			(void)fflush(stdout);
		}
		if (late > 0)
			due += late;
	}
	return NULL;
}

static void on_signal(int number)
{
	(void)number;
	stop = true;
}

int main(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	bool is_realtime = true;

	if (argc < 2 || cpus > WITNESS_CPUS_MAX)
		return 2;
	threshold_ns = strtol(argv[1], NULL, 10) * 1000;
	(void)signal(SIGTERM, on_signal);
	(void)signal(SIGINT, on_signal);
	(void)signal(SIGALRM, on_signal);
	(void)mlockall(MCL_CURRENT | MCL_FUTURE);
	for (int i = 0; i < cpus; i++) {
		watches[i].cpu = i;
		if (pthread_create(&watches[i].thread, NULL, run, &watches[i]) != 0)
			return 1;
	}
	if (argc > 2)
		(void)alarm((unsigned int)strtol(argv[2], NULL, 10));
	for (int i = 0; i < cpus; i++)
		(void)pthread_join(watches[i].thread, NULL);
	printf("{\"worst_ms\":[");
	for (int i = 0; i < cpus; i++) {
		printf("%s%.3f", i ? "," : "", (double)watches[i].worst_ns / 1e6);
		is_realtime = is_realtime && watches[i].is_realtime;
	}
	printf("],\"realtime\":%s}\n", is_realtime ? "true" : "false");
	return 0;
}
