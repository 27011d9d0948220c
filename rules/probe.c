#include "rules/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "common/io/clock.h"
#include "rules/listing.h"
#include "rules/nfnl.h"
#include "rules/nft.h"
#include "rules/scratch.h"

#define PEER_IFNAME	   "peer0"
#define TRACE_MESSAGES_MAX 256u

/* One end: a namespace, its interface, its address. */
struct side {
	int namespace_fd;
	const char *ifname;
	const struct ipaddr *own;
	const struct ipaddr *other;
	int listener;
};

static int enter_side(const struct side *side)
{
	return setns(side->namespace_fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

static int open_namespace(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* ---- the link ---------------------------------------------------------------------------------
 */

static int add_veth(const char *name, const char *peer, int peer_namespace)
{
	_Alignas(8) char message[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(message);
	struct nlattr *info, *data, *end;

	nlh->nlmsg_type = RTM_NEWLINK;
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	end = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, peer);
	mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, (uint32_t)peer_namespace);
	mnl_attr_nest_end(nlh, end);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	return scratch_exchange(nlh);
}

static int change_link(const char *name, uint16_t type, unsigned int flags)
{
	_Alignas(8) char message[128];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(message);
	struct ifinfomsg *info;
	unsigned int index = if_nametoindex(name);

	if (index == 0)
		return -errno;
	nlh->nlmsg_type = type;
	info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	info->ifi_index = (int)index;
	info->ifi_flags = flags;
	info->ifi_change = flags;
	return scratch_exchange(nlh);
}

static int family_of(const struct ipaddr *address)
{
	return address->family == IPADDR_V4 ? AF_INET : AF_INET6;
}

/* add_address: a host address, usable at once (no duplicate address detection). */
static int add_address(const struct side *side)
{
	_Alignas(8) char message[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(message);
	struct ifaddrmsg *address;

	nlh->nlmsg_type = RTM_NEWADDR;
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	address = mnl_nlmsg_put_extra_header(nlh, sizeof(*address));
	address->ifa_family = (uint8_t)family_of(side->own);
	address->ifa_prefixlen = side->own->family == IPADDR_V4 ? 32 : 128;
	address->ifa_flags = IFA_F_NODAD;
	address->ifa_index = if_nametoindex(side->ifname);
	mnl_attr_put(nlh, IFA_LOCAL, ipaddr_size_bytes(side->own), side->own->bytes);
	mnl_attr_put(nlh, IFA_ADDRESS, ipaddr_size_bytes(side->own), side->own->bytes);
	return scratch_exchange(nlh);
}

static int add_route(const struct side *side)
{
	_Alignas(8) char message[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(message);
	struct rtmsg *route;

	nlh->nlmsg_type = RTM_NEWROUTE;
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	route = mnl_nlmsg_put_extra_header(nlh, sizeof(*route));
	route->rtm_family = (uint8_t)family_of(side->own);
	route->rtm_dst_len = side->own->family == IPADDR_V4 ? 32 : 128;
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_protocol = RTPROT_STATIC;
	route->rtm_scope = RT_SCOPE_LINK;
	route->rtm_type = RTN_UNICAST;
	mnl_attr_put(nlh, RTA_DST, ipaddr_size_bytes(side->other), side->other->bytes);
	mnl_attr_put_u32(nlh, RTA_OIF, if_nametoindex(side->ifname));
	return scratch_exchange(nlh);
}

static int configure(const struct side *side)
{
	int r = enter_side(side);

	if (r == 0)
		r = change_link(side->ifname, RTM_NEWLINK, IFF_UP);
	if (r == 0)
		r = add_address(side);
	if (r == 0)
		r = add_route(side);
	return r;
}

/* wait_running: until the kernel has put a fresh link to work. Up is not enough: before linkwatch
 * has seen the carrier, the link's queue is `noop` and swallows the first packets. */
static int wait_running(const struct side *side, mono_t deadline)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = -ETIMEDOUT;
	struct timespec pause = {.tv_nsec = 1000000};

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", side->ifname);
	while (r == -ETIMEDOUT && !mono_reached(clock_now(), deadline)) {
		if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
			r = -errno;
		else if (request.ifr_flags & IFF_RUNNING)
			r = 0;
		else
			nanosleep(&pause, NULL);
	}
	close(fd);
	return r;
}

/* ---- connections ------------------------------------------------------------------------------
 */

static socklen_t socket_address(const struct ipaddr *address, uint16_t port, const char *ifname,
	struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (address->family == IPADDR_V4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, address->bytes, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, address->bytes, 16);
	if (ipaddr_is_link_local(address))
		in6->sin6_scope_id = if_nametoindex(ifname);
	return sizeof(*in6);
}

static int listen_on(struct side *side, uint16_t port)
{
	struct sockaddr_storage own;
	socklen_t length = socket_address(side->own, port, side->ifname, &own);
	int on = 1;

	side->listener = socket(family_of(side->own), SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (side->listener < 0)
		return -errno;
	(void)setsockopt(side->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(side->listener, (struct sockaddr *)&own, length) < 0 ||
		listen(side->listener, 4) < 0)
		return -errno;
	return 0;
}

/* connects: whether the three packets of a handshake come through. */
static bool connects(const struct side *from, uint16_t port, int wait_ms)
{
	struct sockaddr_storage own, other;
	socklen_t own_length, length;
	struct pollfd poller = {.events = POLLOUT};
	int error = EINPROGRESS;
	socklen_t error_length = sizeof(error);

	if (enter_side(from) < 0)
		return false;
	own_length = socket_address(from->own, 0, from->ifname, &own);
	length = socket_address(from->other, port, from->ifname, &other);
	poller.fd = socket(family_of(from->own), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (poller.fd < 0)
		return false;
	if (bind(poller.fd, (struct sockaddr *)&own, own_length) < 0)
		error = errno;
	else if (connect(poller.fd, (struct sockaddr *)&other, length) == 0)
		error = 0;
	else if (errno == EINPROGRESS && poll(&poller, 1, wait_ms) == 1)
		(void)getsockopt(poller.fd, SOL_SOCKET, SO_ERROR, &error, &error_length);
	close(poller.fd);
	return error == 0;
}

/* ---- who stopped it ---------------------------------------------------------------------------
 */

struct stopper {
	bool seen;
	bool by_policy;
	uint8_t family;
	uint64_t handle;
	char table[RULES_TABLE_NAME_MAX];
	char chain[RULES_TABLE_NAME_MAX];
};

static int verdict_code(const struct nlmsghdr *nlh)
{
	const struct nlattr *verdict = nfnl_attr(nlh, NFTA_TRACE_VERDICT, 0), *attr;

	if (!verdict)
		return INT32_MAX;
	mnl_attr_for_each_nested (attr, verdict) {
		if (mnl_attr_get_type(attr) == NFTA_VERDICT_CODE &&
			mnl_attr_get_payload_len(attr) >= 4)
			return (int)ntohl(mnl_attr_get_u32(attr));
	}
	return INT32_MAX;
}

/* trace_visit: keeps the first drop. */
static void trace_visit(const struct nlmsghdr *nlh, void *context)
{
	struct stopper *stopper = context;
	uint32_t type = nfnl_u32(nlh, NFTA_TRACE_TYPE);
	int code = type == NFT_TRACETYPE_POLICY ? (int)nfnl_u32(nlh, NFTA_TRACE_POLICY)
						: verdict_code(nlh);

	if (nfnl_type(nlh) != NFT_MSG_TRACE || stopper->seen || code != NF_DROP)
		return;
	if (type != NFT_TRACETYPE_POLICY && type != NFT_TRACETYPE_RULE)
		return;
	stopper->seen = true;
	stopper->by_policy = type == NFT_TRACETYPE_POLICY;
	stopper->family = nfnl_family(nlh);
	stopper->handle = nfnl_u64(nlh, NFTA_TRACE_RULE_HANDLE);
	snprintf(stopper->table, sizeof(stopper->table), "%s", nfnl_text(nlh, NFTA_TRACE_TABLE));
	snprintf(stopper->chain, sizeof(stopper->chain), "%s", nfnl_text(nlh, NFTA_TRACE_CHAIN));
}

static int start_trace(uint16_t port, mono_t deadline)
{
	static const char *const load[] = {"-f", "-", NULL};
	struct nft_output output = {0};
	char text[1024];
	int r;

	snprintf(text, sizeof(text),
		"table inet carpool_trace {\n"
		"chain in { type filter hook prerouting priority -500;\n"
		"tcp dport %u meta nftrace set 1\ntcp sport %u meta nftrace set 1\n}\n"
		"chain out { type filter hook output priority -500;\n"
		"tcp dport %u meta nftrace set 1\ntcp sport %u meta nftrace set 1\n}\n}\n",
		port, port, port, port);
	r = nft_run(load, NULL, text, strlen(text), deadline, &output);
	if (r == 0 && output.status != 0)
		r = -EOPNOTSUPP;
	nft_output_fini(&output);
	return r;
}

/* find_rule: the rule of that handle as `nft -a` prints it, without the handle. */
static void find_rule(const struct stopper *s, const char *listing, char *ret, size_t size_bytes)
{
	char mark[48];
	const char *found, *start;
	size_t mark_length = (size_t)snprintf(
		mark, sizeof(mark), " # handle %llu\n", (unsigned long long)s->handle);

	ret[0] = '\0';
	found = memmem(listing, strlen(listing), mark, mark_length);
	if (!found)
		return;
	for (start = found; start > listing && start[-1] != '\n'; start--)
		;
	start += strspn(start, " \t");
	if (start < found)
		snprintf(ret, size_bytes, "%.*s", (int)(found - start), start);
}

static void describe(const struct stopper *s, mono_t deadline, char ret[static PROBE_STOPPER_MAX])
{
	const char *family = listing_family_name(s->family);
	const char *const list[] = {"-a", "list", "chain", family, s->table, s->chain, NULL};
	struct nft_output output = {0};
	char rule[160] = "";

	if (!s->seen) {
		ret[0] = '\0';
		return;
	}
	if (!s->by_policy && nft_run(list, NULL, NULL, 0, deadline, &output) == 0 &&
		output.status == 0)
		find_rule(s, output.out, rule, sizeof(rule));
	nft_output_fini(&output);
	if (s->by_policy)
		snprintf(ret, PROBE_STOPPER_MAX, "the drop policy of chain %.100s, table %s %.100s",
			s->chain, family, s->table);
	else
		snprintf(ret, PROBE_STOPPER_MAX, "rule \"%s\" in chain %.80s, table %s %.80s", rule,
			s->chain, family, s->table);
}

static void read_trace(struct nfnl *trace, struct stopper *stopper)
{
	for (unsigned int i = 0; i < TRACE_MESSAGES_MAX; i++) {
		if (nfnl_next_event(trace, trace_visit, stopper) == 0)
			break;
	}
}

/* try_one: a connection, and if it fails, who stopped it on this node. A failure that no rule made
 * gets a second, longer chance: on a busy machine a packet may be late. */
static bool try_one(const struct probe *probe, const struct side *near, const struct side *from,
	struct nfnl *trace, mono_t deadline, char stopper_text[static PROBE_STOPPER_MAX],
	char chain[static RULES_TABLE_NAME_MAX])
{
	struct stopper stopper = {0};
	bool passes = connects(from, probe->port, PROBE_WAIT_MS);

	read_trace(trace, &stopper);
	if (!passes && !stopper.seen) {
		passes = connects(from, probe->port, PROBE_PATIENCE_MS);
		read_trace(trace, &stopper);
	}
	if (passes || enter_side(near) < 0)
		return passes;
	describe(&stopper, deadline, stopper_text);
	if (chain[0] == '\0')
		snprintf(chain, RULES_TABLE_NAME_MAX, "%s", stopper.chain);
	return false;
}

static int make_sides(struct side *near, struct side *far)
{
	int r;

	near->namespace_fd = open_namespace();
	if (near->namespace_fd < 0)
		return near->namespace_fd;
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	far->namespace_fd = open_namespace();
	if (far->namespace_fd < 0)
		return far->namespace_fd;
	r = enter_side(near);
	if (r == 0 && if_nametoindex(near->ifname)) /* a placeholder, or of an earlier probe */
		r = change_link(near->ifname, RTM_DELLINK, 0);
	if (r == 0)
		r = add_veth(near->ifname, far->ifname, far->namespace_fd);
	if (r == 0)
		r = configure(near);
	if (r == 0)
		r = configure(far);
	return r;
}

static int probe_sides(const struct probe *probe, struct side *near, struct side *far,
	struct nfnl *trace, mono_t deadline, struct probe_result *ret,
	int (*load)(const void *context, mono_t deadline), const void *context)
{
	int r = make_sides(near, far);

	if (r == 0) /* make_sides() ends in the far namespace */
		r = wait_running(far, deadline);
	if (r == 0)
		r = listen_on(far, probe->port);
	if (r == 0)
		r = enter_side(near);
	if (r == 0)
		r = wait_running(near, deadline);
	if (r == 0)
		r = listen_on(near, probe->port);
	if (r == 0)
		r = load(context, deadline);
	if (r == 0)
		r = start_trace(probe->port, deadline);
	if (r == 0)
		r = nfnl_open_group(trace, NFNLGRP_NFTRACE);
	if (r < 0)
		return r;
	ret->out_passes = try_one(probe, near, near, trace, deadline, ret->out_stopper, ret->chain);
	ret->in_passes = try_one(probe, near, far, trace, deadline, ret->in_stopper, ret->chain);
	return enter_side(near);
}

int probe_run(const struct probe *probe, mono_t deadline, struct probe_result *ret,
	int (*load)(const void *context, mono_t deadline), const void *context)
{
	struct side near = {-1, probe->ifname, &probe->own, &probe->peer, -1};
	struct side far = {-1, PEER_IFNAME, &probe->peer, &probe->own, -1};
	struct nfnl *trace = malloc(sizeof(*trace));
	int r = -ENOMEM;

	memset(ret, 0, sizeof(*ret));
	if (trace) {
		nfnl_reset(trace);
		r = probe_sides(probe, &near, &far, trace, deadline, ret, load, context);
		nfnl_close(trace);
		free(trace);
	}
	for (const struct side *side = &near; side; side = side == &near ? &far : NULL) {
		if (side->listener >= 0)
			close(side->listener);
		if (side->namespace_fd >= 0)
			close(side->namespace_fd);
	}
	return r;
}
