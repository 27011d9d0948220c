/* logpipe.h: the log leaves through a process of its own.
 *
 * Standard error is often a file on a disk, and a write to a disk can wait for the journal of its
 * file system, for hundreds of milliseconds on a busy one: carpd's loop must not (design section 6:
 * no disk). So standard error becomes a pipe, and a small forked process carries what comes out of
 * it to where standard error was. A full pipe drops lines and counts them (common/io/log.h). The
 * process ends when the last writer has: the guard's last words arrive, too. */
#ifndef CARPD_LOGPIPE_H
#define CARPD_LOGPIPE_H

/* logpipe_open: before everything else that forks. Without a pipe or a process the log stays as it
 * was. */
void logpipe_open(void);

/* logpipe_close: gives standard error back; waits, at most a second, until all is written. */
void logpipe_close(void);

#endif
