/* sandbox.h: the closed room of a drill.
 *
 * A run happens in mount, PID and network namespaces of its own: its first process is PID 1 there,
 * so whatever way it ends - also by SIGKILL from outside - the kernel takes every daemon, network
 * namespace, link and file of the run along with it. Nothing has to be found and cleaned up later,
 * and two runs never see each other. /run is a fresh tmpfs (keys, sockets, state and the named
 * network namespaces live there); the rest of the file system is the host's, so configs, rules and
 * reports have their ordinary names. The host's network is out of reach by construction. */
#ifndef CTL_DRILL_SANDBOX_H
#define CTL_DRILL_SANDBOX_H

#include <sys/types.h>

#define SANDBOX_NETNS_DIR "/run/netns"
#define SANDBOX_DIR	  "/run/carpool-drill"

/* sandbox_run: runs `inside` in a new room and waits for its end. SIGINT and SIGTERM to the caller
 * are passed on; see sandbox_stopped.
 * What `inside` returned (0..255), 128 + signal when it was killed, or a negative errno when the
 * room could not be made (-EPERM: neither root nor user namespaces). */
int sandbox_run(int (*inside)(void *context), void *context);

/* sandbox_stopped: inside: somebody asked for an early end (SIGINT, SIGTERM). */
int sandbox_stopped(void);

/* sandbox_outside_pid: inside: this process as those outside see it (nsenter -t). */
pid_t sandbox_outside_pid(void);

/* sandbox_netns_new: a new network namespace with loopback up, bound to SANDBOX_NETNS_DIR/name.
 * Its descriptor (close-on-exec) or a negative errno. */
int sandbox_netns_new(const char *name);

/* sandbox_netns_enter: the calling thread moves into it. 0 or a negative errno. */
int sandbox_netns_enter(int netns_fd);

/* sandbox_netns_home: back to the room's own namespace, where nothing is. */
void sandbox_netns_home(void);

#endif
