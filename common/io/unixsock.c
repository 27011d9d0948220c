#include "common/io/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIXSOCK_BACKLOG    64
#define UNIXSOCK_GROUPS_MAX 1024

/* unixsock_address: sun_path holds 107 bytes, a path may be longer: then the folder is named by a
 * descriptor of it (*ret_folder, to be closed after use; -1 when not needed). */
static int unixsock_address(const char *path, struct sockaddr_un *ret_address, int *ret_folder)
{
	char folder[PATH_MAX];
	const char *name = strrchr(path, '/');
	int used;

	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	*ret_folder = -1;
	if (strlen(path) < sizeof(ret_address->sun_path)) {
		strcpy(ret_address->sun_path, path);
		return 0;
	}
	if (!name || strlen(path) >= sizeof(folder))
		return -ENAMETOOLONG;
	snprintf(folder, sizeof(folder), "%.*s", (int)(name - path), path);
	*ret_folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*ret_folder < 0)
		return -errno;
	used = snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d%s",
		*ret_folder, name);
	if (used < (int)sizeof(ret_address->sun_path))
		return 0;
	close(*ret_folder);
	*ret_folder = -1;
	return -ENAMETOOLONG;
}

static int unixsock_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

int unixsock_connect(const char *path)
{
	struct sockaddr_un address;
	int folder, r, fd = unixsock_socket();

	if (fd < 0)
		return fd;
	r = unixsock_address(path, &address, &folder);
	if (r == 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		r = -errno;
	if (folder >= 0)
		close(folder);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

/* unixsock_listen_free: 0 when `path` may be taken: nothing there, or a socket nobody answers at.
 */
static int unixsock_listen_free(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	fd = unixsock_connect(path);
	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED || fd == -ENOENT ? 0 : -EADDRINUSE;
}

static int unixsock_listen_bind(int fd, const char *path, mode_t mode)
{
	struct sockaddr_un address;
	int folder, r = unixsock_address(path, &address, &folder);

	if (r < 0)
		return r;
	if (unlink(path) < 0 && errno != ENOENT)
		r = -errno;
	/* Nobody can connect before listen(), so the mode may be set after bind(). */
	else if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		 chmod(path, mode) < 0 || listen(fd, UNIXSOCK_BACKLOG) < 0)
		r = -errno;
	if (folder >= 0)
		close(folder);
	return r;
}

int unixsock_listen(const char *path, mode_t mode)
{
	char fresh[PATH_MAX];
	int fd, r = unixsock_listen_free(path);

	if (r < 0)
		return r;
	if (snprintf(fresh, sizeof(fresh), "%s.%d", path, (int)getpid()) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	fd = unixsock_socket();
	if (fd < 0)
		return fd;
	/* Listening first and renamed then: a client sees the old socket or the ready new one. */
	r = unixsock_listen_bind(fd, fresh, mode);
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r == 0)
		return fd;
	(void)unlink(fresh); /* it may not have come to be */
	close(fd);
	return r;
}

void unixsock_unlink(int fd, const char *path)
{
	int mine = unixsock_connect(path);
	struct unixsock_peer peer = {0};

	/* The file is ours when what answers there is this process. */
	if (mine < 0)
		return;
	if (fd >= 0 && unixsock_peer(mine, (gid_t)-1, &peer) == 0 && peer.pid == getpid())
		(void)unlink(path); /* what is left behind is replaced at the next start */
	close(mine);
}

static bool unixsock_peer_in_group(int fd, gid_t group)
{
	gid_t groups[UNIXSOCK_GROUPS_MAX];
	socklen_t size = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false; /* more groups than fit: only the primary one counts */
	for (size_t i = 0; i < size / sizeof(groups[0]); i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

int unixsock_peer(int fd, gid_t group, struct unixsock_peer *ret_peer)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return -errno;
	*ret_peer = (struct unixsock_peer){
		.pid = credentials.pid,
		.uid = credentials.uid,
		.gid = credentials.gid,
		.in_group = group != (gid_t)-1 &&
			    (credentials.gid == group || unixsock_peer_in_group(fd, group)),
	};
	return 0;
}
