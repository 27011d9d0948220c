/* peerhost.h: how the programs of a live drill are told to stop. */
#ifndef CTL_DRILL_PEERHOST_H
#define CTL_DRILL_PEERHOST_H

#include <stdbool.h>

/* peerhost_catch_signals: from now on SIGINT, SIGTERM and SIGHUP only set what peerhost_stopped()
 * tells, and SIGPIPE is ignored. */
void peerhost_catch_signals(void);
bool peerhost_stopped(void);

#endif
