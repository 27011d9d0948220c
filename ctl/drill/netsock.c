#include "ctl/drill/netsock.h"

#include "ctl/drill/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

socklen_t netsock_address(
	const struct ipaddr *addr, uint16_t port, struct sockaddr_storage *ret_address)
{
	(void)memset(ret_address, 0, sizeof(*ret_address));
	if (addr->family == IPADDR_V4) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;

		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		(void)memcpy(&v4->sin_addr, addr->bytes, 4);
		return sizeof(*v4);
	} else {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;

		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		(void)memcpy(&v6->sin6_addr, addr->bytes, 16);
		return sizeof(*v6);
	}
}

int netsock_open(int netns_fd, int family, int type, int protocol)
{
	int r = sandbox_netns_enter(netns_fd);
	int fd;

	if (r < 0)
		return r;
	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	r = -errno;
	sandbox_netns_home();
	return fd < 0 ? r : fd;
}

int netsock_bound(int netns_fd, int type, const struct ipaddr *addr, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t size = netsock_address(addr, port, &address);
	int one = 1;
	int fd = netsock_open(netns_fd, address.ss_family, type, 0);
	int error;

	if (fd < 0)
		return fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&address, size) == 0)
		return fd;
	error = errno;
	(void)close(fd);
	return -error;
}
