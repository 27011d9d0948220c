#include "rules/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "common/check.h"
#include "rules/child.h"

void *scratch_memory(size_t size_bytes)
{
	void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void scratch_memory_free(void *memory, size_t size_bytes)
{
	if (memory)
		munmap(memory, size_bytes);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* enter: root alone may unshare the network; anybody else gets a user namespace around it, where
 * that is allowed, and is root in there. */
static int enter(void)
{
	unsigned int uid = geteuid(), gid = getegid();
	char map[64];

	if (unshare(CLONE_NEWNET) == 0)
		return 0;
	if (errno != EPERM || unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	snprintf(map, sizeof(map), "0 %u 1", uid);
	if (!write_file("/proc/self/setgroups", "deny") || !write_file("/proc/self/uid_map", map))
		return -EPERM;
	snprintf(map, sizeof(map), "0 %u 1", gid);
	return write_file("/proc/self/gid_map", map) ? 0 : -EPERM;
}

int scratch_run(int (*work)(const void *context, void *shared, mono_t deadline),
	const void *context, void *shared, mono_t deadline)
{
	int *result = scratch_memory(sizeof(*result)), status = 0, r;
	pid_t pid;

	if (!result)
		return -ENOMEM;
	*result = -ECHILD;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		*result = enter();
		if (*result == 0) {
			*result = -ECHILD; /* unless it comes back */
			*result = work(context, shared, deadline);
		}
		_exit(0);
	}
	r = pid < 0 ? -errno : child_wait(pid, deadline, &status);
	if (r == 0)
		r = *result;
	scratch_memory_free(result, sizeof(*result));
	return r;
}

int scratch_exchange(struct nlmsghdr *nlh)
{
	_Alignas(8) char answer[4096];
	const struct nlmsghdr *reply = (const void *)answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), r = -EBADMSG;
	const struct nlmsgerr *error;
	ssize_t got = -1;

	if (fd < 0)
		return -errno;
	nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = 1;
	if (send(fd, nlh, nlh->nlmsg_len, 0) < 0 || (got = recv(fd, answer, sizeof(answer), 0)) < 0)
		r = -errno;
	close(fd);
	if (got < 0 || !mnl_nlmsg_ok(reply, (int)got) || reply->nlmsg_type != NLMSG_ERROR)
		return r;
	error = mnl_nlmsg_get_payload(reply);
	return error->error;
}

static int add_link(const char *name, const char *kind)
{
	_Alignas(8) char message[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(message);
	struct ifinfomsg *info;
	struct nlattr *nest;

	nlh->nlmsg_type = RTM_NEWLINK;
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	nest = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(nlh, nest);
	return scratch_exchange(nlh);
}

static int raise_loopback(void)
{
	_Alignas(8) char message[128];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(message);
	struct ifinfomsg *info;

	nlh->nlmsg_type = RTM_NEWLINK;
	info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	info->ifi_index = 1; /* lo is the first of every namespace */
	info->ifi_flags = IFF_UP;
	info->ifi_change = IFF_UP;
	return scratch_exchange(nlh);
}

int scratch_interfaces(const char names[][16], size_t count)
{
	/* dummy may be a module that a user namespace must not load; the others do as well. */
	static const char *const kinds[] = {"dummy", "bridge", "ifb"};
	int r = raise_loopback();

	for (size_t i = 0; i < count && r == 0; i++) {
		r = -EOPNOTSUPP;
		for (size_t k = 0; k < ARRAY_LEN(kinds) && r == -EOPNOTSUPP; k++)
			r = add_link(names[i], kinds[k]);
		if (r == -EEXIST)
			r = 0;
	}
	return r;
}
