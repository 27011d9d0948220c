/* bounds.h: every bound of carpd's shell (design section 12). What happens at a bound stands beside
 * it; common/limits.h has those that others share. */
#ifndef CARPD_BOUNDS_H
#define CARPD_BOUNDS_H

/* Executor: jobs are embedded in their owners and queued at most once each, so a queue cannot grow
 * beyond the number of owners; this bound is CHECKed. */
#define CARPD_EXECUTOR_JOBS_MAX 512u

/* Packets read from one port in one turn; what is left is read in the next one, before timers. */
#define CARPD_DRAIN_PACKETS_MAX 512u

/* Between two judgements of the core, at least. */
#define CARPD_JUDGE_PAUSE_US 250

/* A stage's deadline that is judged so late that the whole process has slept: what control sockets
 * hold, which come after timers, is read first. */
#define CARPD_LATE_US	    2000
#define CARPD_LATE_GRACE_MS 5

/* Helper: programs that run at the same time; more are refused (the caller's stage fails). */
#define CARPD_HELPER_RUNS_MAX	   64u
#define CARPD_HELPER_MESSAGE_BYTES 65536u /* one request or answer; longer ones are refused */
#define CARPD_HELPER_OUTPUT_BYTES  2048u  /* of a program's output that is kept, for the log */

/* History: records that wait for the disk; more are dropped and counted. */
#define CARPD_HISTORY_QUEUE_MAX	 256u
#define CARPD_HISTORY_FILE_BYTES (2u * 1024u * 1024u) /* two files of this size are kept */

/* Transitions of handlers that may be open at the same time, and what a handler may say. */
#define CARPD_HANDLER_EVENTS_MAX 128u
#define CARPD_HANDLER_TEXT_MAX	 160u
#define CARPD_HANDLER_TIMEOUT_MS 60000u /* the longest deadline that may be asked for */
#define CARPD_HEALTH_REASONS_MAX 8u
#define CARPD_HEALTH_ALARMS_MAX	 8u

/* Alarms that status shows. */
#define CARPD_ALARMS_MAX 64u

/* Addresses expire this long after the last renewal (design section 7: the last net). */
#define CARPD_ADDRESS_LIFETIME_S 5u
#define CARPD_ADDRESS_RENEW_MS	 1000

/* Neighbours of an interface that are remembered for its own test and for a promotion. */
#define CARPD_NEIGHBOURS_MAX 8u
#define CARPD_GATEWAYS_MAX   8u /* of one interface's routes, likewise */

/* Hand-over at SIGTERM, then the process withdraws by itself. */
#define CARPD_STOP_HANDOVER_MS 5000
#define CARPD_STOP_WITHDRAW_MS 2000

/* A new carpd waits so long for the guard of its predecessor, then kills it. */
#define CARPD_GUARD_WAIT_MS 2000

#endif
