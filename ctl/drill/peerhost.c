#include "ctl/drill/peerhost.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t peerhost_stop;

static void on_peerhost_signal(int number)
{
	(void)number;
	peerhost_stop = 1;
}

void peerhost_catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_peerhost_signal};

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

bool peerhost_stopped(void)
{
	return peerhost_stop;
}
