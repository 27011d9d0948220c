/* unixsock.h: Unix stream sockets, with the caller's identity from the kernel, never from a
 * message.
 */
#ifndef COMMON_IO_UNIXSOCK_H
#define COMMON_IO_UNIXSOCK_H

#include <stdbool.h>
#include <sys/types.h>

struct unixsock_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	bool in_group; /* a member of the group asked about, primary or supplementary */
};

/* unixsock_listen: a listening, non-blocking, close-on-exec socket at `path` with that mode. A file
 * that is there is replaced, atomically, only when nobody listens on it. The folder must exist.
 * The descriptor, or a negative errno: -EADDRINUSE somebody listens there, -ENOTSOCK the path is
 * something else than a socket. */
int unixsock_listen(const char *path, mode_t mode) __attribute__((warn_unused_result));

/* unixsock_unlink: removes the file if it is still the socket that `fd` listens on. */
void unixsock_unlink(int fd, const char *path);

/* unixsock_connect: a connected, non-blocking, close-on-exec descriptor or a negative errno:
 * -ENOENT no file, -ECONNREFUSED nobody listens, -EAGAIN the listener's queue is full. */
int unixsock_connect(const char *path) __attribute__((warn_unused_result));

/* unixsock_peer: who was at the other end when it connected (SO_PEERCRED, SO_PEERGROUPS), and
 * whether that was a member of `group` ((gid_t)-1: nobody is). 0 or a negative errno. */
int unixsock_peer(int fd, gid_t group, struct unixsock_peer *ret_peer)
	__attribute__((warn_unused_result));

#endif
