#include "common/io/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SYSCTL_PATH_MAX 256

static int sysctl_open(const char *name, int flags)
{
	char path[SYSCTL_PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "/proc/sys/%s", name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int sysctl_read(const char *name, int64_t *ret_value)
{
	int fd = sysctl_open(name, O_RDONLY), r = 0;
	char text[64], *end;
	ssize_t size;
	int64_t value;

	if (fd < 0)
		return fd;
	size = read(fd, text, sizeof(text) - 1);
	if (size < 0)
		r = -errno;
	close(fd);
	if (r < 0)
		return r;
	text[size] = 0;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || end == text || (*end != '\n' && *end != 0))
		return -EBADMSG;
	*ret_value = value;
	return 0;
}

int sysctl_write(const char *name, int64_t value)
{
	int fd = sysctl_open(name, O_WRONLY), r = 0;
	char text[32];
	int size = snprintf(text, sizeof(text), "%" PRId64 "\n", value);

	if (fd < 0)
		return fd;
	if (write(fd, text, (size_t)size) != size)
		r = errno ? -errno : -EIO;
	close(fd);
	return r;
}

int sysctl_ensure(const char *name, int64_t value)
{
	int64_t now;
	int r = sysctl_read(name, &now);

	if (r < 0)
		return r;
	if (now == value)
		return 0;
	r = sysctl_write(name, value);
	return r < 0 ? r : 1;
}
