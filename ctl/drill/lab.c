#include "ctl/drill/lab.h"

#include "ctl/drill/sandbox.h"
#include "ctl/drill/spawn.h"

#include "common/io/clock.h"
#include "common/io/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAB_NETLINK_BYTES 32768u
#define LAB_NETLINK_MS	  5000

static int lab_fail(struct lab *lab, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int lab_fail(struct lab *lab, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(lab->error, sizeof(lab->error), format, args);
	va_end(args);
	return r;
}

/* `ip -batch` or `tc -batch` in one namespace: tools that every operator knows, one process for
 * all.
 */
static int lab_batch(
	struct lab *lab, const char *tool, int netns_fd, const char *where, const char *commands)
{
	const char *const argv[] = {tool, "-batch", "-", NULL};
	struct spawn_options options = {.argv = argv,
		.netns_fd = netns_fd,
		.mntns_fd = -1,
		.pidns_fd = -1,
		.root_fd = -1,
		.input_fd = -1,
		.output_fd = -1};
	char output[SPAWN_OUTPUT_MAX];
	int r = spawn_run(&options, commands, output);

	if (r == 0)
		return 0;
	return lab_fail(lab, r < 0 ? r : -EIO, "%s in %s: %.400s", tool, where,
		r < 0 ? strerror(-r) : output);
}

/* The switches and all cables; the far ends are born where they belong. */
static void lab_write_switch(const struct lab *lab, FILE *out)
{
	const struct plan *plan = lab->plan;

	for (unsigned int s = 0; s < plan->segment_count; s++) {
		const struct plan_segment *segment = &plan->segments[s];

		(void)fprintf(out,
			"link add br%u type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n"
			"link set br%u up\n",
			s, s);
		for (unsigned int n = 0; n < plan->cfg->node_count; n++) {
			if (segment->ifnames[n][0] == '\0')
				continue;
			(void)fprintf(out,
				"link add p%un%u type veth peer name %s netns %s\n"
				"link set p%un%u master br%u up\n",
				s, n, segment->ifnames[n], plan->cfg->nodes[n].name, s, n, s);
		}
		if (segment->interface)
			(void)fprintf(out,
				"link add p%uh type veth peer name eth0 netns @%s\n"
				"link set p%uh master br%u up\n",
				s, segment->name, s, s);
	}
}

static void lab_write_host(const struct plan_segment *segment, FILE *out)
{
	static const uint8_t families[] = {IPADDR_V4, IPADDR_V6};
	char text[IPADDR_TEXT_MAX];

	(void)fprintf(out, "link set eth0 up\n");
	for (unsigned int i = 0; i < segment->host_address_count; i++)
		(void)fprintf(out, "addr add %s dev eth0%s\n",
			ipaddr_render(&segment->host_addresses[i], true, text),
			segment->host_addresses[i].family == IPADDR_V6 ? " nodad" : "");
	for (unsigned int i = 0; i < 2; i++) {
		const struct ipaddr *gateway = plan_gateway(segment, families[i]);

		/* A virtual address with a host's prefix is on no link of ours: say that it is. */
		if (gateway && segment->host_address_count > 0)
			(void)fprintf(out, "route add default via %s dev eth0 onlink\n",
				ipaddr_render(gateway, false, text));
	}
}

/* Which of the node's segments its k-th sync address belongs on, when it rides on a group's. */
static const struct plan_segment *lab_sync_carrier(
	const struct plan *plan, const struct ipaddr *addr, uint8_t link, uint8_t *ret_prefix)
{
	for (unsigned int s = 0; s < plan->segment_count; s++) {
		const struct plan_segment *segment = &plan->segments[s];

		if (!segment->interface && segment->sync_link == link) {
			*ret_prefix = plan_sync_prefix(plan->cfg, link);
			return segment;
		}
		for (uint32_t k = 0; segment->interface && k < segment->interface->address_count;
			k++) {
			if (!ipaddr_contains(&segment->interface->addresses[k], addr))
				continue;
			*ret_prefix = segment->interface->addresses[k].prefix_len;
			return segment;
		}
	}
	return NULL;
}

static void lab_write_node(const struct lab *lab, unsigned int n, FILE *out)
{
	const struct config_node *node = &lab->plan->cfg->nodes[n];
	char text[IPADDR_TEXT_MAX];

	for (unsigned int s = 0; s < lab->plan->segment_count; s++)
		if (lab->plan->segments[s].ifnames[n][0] != '\0')
			(void)fprintf(out, "link set %s up\n", lab->plan->segments[s].ifnames[n]);
	for (uint8_t k = 0; k < node->address_count; k++) {
		struct ipaddr addr = node->addresses[k];
		const struct plan_segment *segment =
			lab_sync_carrier(lab->plan, &addr, k, &addr.prefix_len);

		if (segment)
			(void)fprintf(out, "addr add %s dev %s%s\n",
				ipaddr_render(&addr, true, text), segment->ifnames[n],
				addr.family == IPADDR_V6 ? " nodad" : "");
	}
}

static int lab_configure(struct lab *lab, int netns_fd, const char *where,
	void (*write)(const struct lab *lab, unsigned int index, FILE *out), unsigned int index)
{
	char *text = NULL;
	size_t size_bytes = 0;
	FILE *out = open_memstream(&text, &size_bytes);
	int r;

	if (!out)
		return -ENOMEM;
	write(lab, index, out);
	if (fclose(out) != 0)
		return -ENOMEM;
	r = lab_batch(lab, "ip", netns_fd, where, text);
	free(text);
	return r;
}

static void lab_write_forget(const struct lab *lab, unsigned int n, FILE *out)
{
	for (unsigned int s = 0; s < lab->plan->segment_count; s++) {
		const char *name = lab->plan->segments[s].ifnames[n];

		/* Down and up again: IPv6 makes its own link-local address anew. */
		if (name[0] != '\0')
			(void)fprintf(out, "link set %s down\naddr flush dev %s\n", name, name);
	}
	lab_write_node(lab, n, out);
}

static void lab_write_switch_indexed(const struct lab *lab, unsigned int index, FILE *out)
{
	(void)index;
	lab_write_switch(lab, out);
}

static void lab_write_host_indexed(const struct lab *lab, unsigned int index, FILE *out)
{
	lab_write_host(&lab->plan->segments[index], out);
}

/* What every firewall sets at boot, and the strictness that the drill is to be judged under. */
static int lab_node_sysctls(struct lab *lab, const struct lab_node *node)
{
	static const struct {
		const char *name;
		int64_t value;
	} values[] = {
		{"net/ipv4/ip_forward", 1},
		{"net/ipv6/conf/all/forwarding", 1},
		{"net/ipv6/conf/all/accept_dad", 0},
		{"net/ipv6/conf/default/accept_dad", 0},
		{"net/netfilter/nf_conntrack_tcp_loose", 0},
		{"net/netfilter/nf_conntrack_tcp_be_liberal", 0},
	};
	int r = sandbox_netns_enter(node->netns_fd);

	for (unsigned int i = 0; r == 0 && i < sizeof(values) / sizeof(values[0]); i++) {
		r = sysctl_write(values[i].name, values[i].value);
		if (r < 0)
			(void)lab_fail(lab, r, "%s: sysctl %s: %s", node->config->name,
				values[i].name, strerror(-r));
	}
	sandbox_netns_home();
	return r;
}

static int lab_find_ports(struct lab *lab)
{
	int r = sandbox_netns_enter(lab->switch_netns_fd);
	char name[32];

	for (unsigned int s = 0; r == 0 && s < lab->plan->segment_count; s++) {
		(void)snprintf(name, sizeof(name), "br%u", s);
		lab->bridge_index[s] = (int)if_nametoindex(name);
		for (unsigned int n = 0; n < lab->node_count; n++) {
			(void)snprintf(name, sizeof(name), "p%un%u", s, n);
			lab->port_index[s][n] = (int)if_nametoindex(name);
		}
	}
	if (r == 0)
		r = nl_open(&lab->switch_nl, &(struct nl_options){.bus = NETLINK_ROUTE});
	sandbox_netns_home();
	return r < 0 ? lab_fail(lab, r, "netlink: %s", strerror(-r)) : 0;
}

static int lab_open_namespaces(struct lab *lab)
{
	char name[LIMIT_NAME + 1];

	lab->switch_netns_fd = sandbox_netns_new(LAB_SWITCH);
	if (lab->switch_netns_fd < 0)
		return lab_fail(lab, lab->switch_netns_fd, "network namespace: %s",
			strerror(-lab->switch_netns_fd));
	for (unsigned int s = 0; s < lab->plan->segment_count; s++) {
		if (!lab->plan->segments[s].interface)
			continue;
		(void)snprintf(name, sizeof(name), "@%.62s", lab->plan->segments[s].name);
		lab->host_netns_fds[s] = sandbox_netns_new(name);
		if (lab->host_netns_fds[s] < 0)
			return lab_fail(lab, lab->host_netns_fds[s], "network namespace %s: %s",
				name, strerror(-lab->host_netns_fds[s]));
	}
	for (unsigned int n = 0; n < lab->node_count; n++) {
		struct lab_node *node = &lab->nodes[n];

		node->netns_fd = sandbox_netns_new(node->config->name);
		if (node->netns_fd < 0)
			return lab_fail(lab, node->netns_fd, "network namespace %s: %s",
				node->config->name, strerror(-node->netns_fd));
	}
	return 0;
}

static int lab_make_dirs(struct lab *lab, struct lab_node *node)
{
	char dir[PATH_MAX];

	(void)mkdir(SANDBOX_DIR "/nodes", 0755);
	(void)snprintf(dir, sizeof(dir), SANDBOX_DIR "/nodes/%s", node->config->name);
	(void)snprintf(node->runtime_dir, sizeof(node->runtime_dir), SANDBOX_DIR "/nodes/%s/run",
		node->config->name);
	(void)snprintf(node->state_dir, sizeof(node->state_dir), SANDBOX_DIR "/nodes/%s/state",
		node->config->name);
	if (mkdir(dir, 0755) < 0 || mkdir(node->runtime_dir, 0755) < 0 ||
		mkdir(node->state_dir, 0755) < 0)
		return lab_fail(lab, -errno, "%s: %s", dir, strerror(errno));
	return 0;
}

static void lab_init(struct lab *lab, const struct plan *plan)
{
	(void)memset(lab, 0, sizeof(*lab));
	lab->plan = plan;
	lab->node_count = plan->cfg->node_count;
	lab->switch_netns_fd = -1;
	for (unsigned int s = 0; s < PLAN_SEGMENTS_MAX; s++)
		lab->host_netns_fds[s] = -1;
	for (unsigned int n = 0; n < LIMIT_NODES; n++)
		lab->nodes[n] = (struct lab_node){.config = &plan->cfg->nodes[n],
			.netns_fd = -1,
			.mntns_fd = -1,
			.pidns_fd = -1,
			.root_fd = -1};
}

/* A line of that rate with a queue before it: a token bucket, and under it three bands by priority
 * (pfifo_fast is part of every kernel). */
static int lab_shape(struct lab *lab, unsigned int segment)
{
	char commands[256];

	if (lab->link_mbit == 0)
		return 0;
	(void)snprintf(commands, sizeof(commands),
		"qdisc add dev eth0 root handle 1: tbf rate %umbit burst 256kb latency 20ms\n"
		"qdisc add dev eth0 parent 1:1 handle 2: pfifo_fast\n",
		lab->link_mbit);
	return lab_batch(lab, "tc", lab->host_netns_fds[segment], lab->plan->segments[segment].name,
		commands);
}

static int lab_open_host(struct lab *lab, unsigned int segment)
{
	int r = lab_configure(lab, lab->host_netns_fds[segment], lab->plan->segments[segment].name,
		lab_write_host_indexed, segment);

	return r == 0 ? lab_shape(lab, segment) : r;
}

int lab_open(struct lab *lab, const struct plan *plan, uint32_t link_mbit)
{
	int r;

	lab_init(lab, plan);
	lab->link_mbit = link_mbit;
	r = lab_open_namespaces(lab);
	if (r == 0)
		r = lab_configure(
			lab, lab->switch_netns_fd, LAB_SWITCH, lab_write_switch_indexed, 0);
	for (unsigned int s = 0; r == 0 && s < plan->segment_count; s++)
		if (plan->segments[s].interface)
			r = lab_open_host(lab, s);
	for (unsigned int n = 0; r == 0 && n < lab->node_count; n++) {
		struct lab_node *node = &lab->nodes[n];

		r = lab_node_sysctls(lab, node);
		if (r == 0)
			r = lab_configure(
				lab, node->netns_fd, node->config->name, lab_write_node, n);
		if (r == 0)
			r = lab_make_dirs(lab, node);
		if (r == 0)
			r = lab_node_on(lab, node);
	}
	return r == 0 ? lab_find_ports(lab) : r;
}

static void lab_close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

void lab_close(struct lab *lab)
{
	for (unsigned int n = 0; n < lab->node_count; n++) {
		lab_node_off(&lab->nodes[n]);
		lab_close_fd(&lab->nodes[n].netns_fd);
	}
	for (unsigned int s = 0; s < PLAN_SEGMENTS_MAX; s++)
		lab_close_fd(&lab->host_netns_fds[s]);
	lab_close_fd(&lab->switch_netns_fd);
	nl_close(&lab->switch_nl);
}

/* The first process of a machine: mounts what belongs to its namespaces, says so, and waits
 * for ever. It runs in a copy of a process with threads, so it makes system calls only. */
static _Noreturn void lab_first_process(int netns_fd, int ready_fd)
{
	char ok = 1;

	if (setns(netns_fd, CLONE_NEWNET) < 0 ||
		mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ||
		mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		ok = 0;
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	/* Ignored, so that the kernel buries orphans by itself (wait(2), NOTES). */
	(void)signal(SIGCHLD, SIG_IGN);
	(void)!write(ready_fd, &ok, 1);
	/* The pipes and sockets of the drill must not be held open from here. */
	(void)close_range(3, ~0U, 0);
	for (;;)
		(void)pause();
}

static int lab_open_namespace_of(pid_t pid, const char *kind)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kind);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int lab_open_root_of(pid_t pid)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int lab_node_on(struct lab *lab, struct lab_node *node)
{
	int ready[2];
	char ok = 0;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return lab_fail(lab, -errno, "pipe: %s", strerror(errno));
	(void)fflush(NULL);
	pid = (pid_t)syscall(
		SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		lab_first_process(node->netns_fd, ready[1]);
	(void)close(ready[1]);
	if (pid > 0 && read(ready[0], &ok, 1) != 1)
		ok = 0;
	(void)close(ready[0]);
	if (pid < 0 || !ok)
		return lab_fail(lab, -EPERM, "%s: cannot make its namespaces", node->config->name);
	node->first_process = pid;
	node->mntns_fd = lab_open_namespace_of(pid, "mnt");
	node->pidns_fd = lab_open_namespace_of(pid, "pid");
	node->root_fd = lab_open_root_of(pid);
	if (node->mntns_fd < 0 || node->pidns_fd < 0 || node->root_fd < 0)
		return lab_fail(
			lab, -EIO, "%s: namespaces of its first process", node->config->name);
	return 0;
}

int lab_node_forget(struct lab *lab, unsigned int n)
{
	static const char *const argv[] = {"nft", "flush", "ruleset", NULL};
	struct lab_node *node = &lab->nodes[n];
	struct spawn_options options = {.argv = argv,
		.netns_fd = node->netns_fd,
		.mntns_fd = -1,
		.pidns_fd = -1,
		.root_fd = -1,
		.input_fd = -1,
		.output_fd = -1};
	char output[SPAWN_OUTPUT_MAX];
	int r = spawn_run(&options, NULL, output);

	if (r != 0)
		return lab_fail(lab, r < 0 ? r : -EIO, "nft on %s: %.300s", node->config->name,
			r < 0 ? strerror(-r) : output);
	return lab_configure(lab, node->netns_fd, node->config->name, lab_write_forget, n);
}

void lab_node_off(struct lab_node *node)
{
	pid_t pid;

	if (node->first_process <= 0)
		return;
	(void)kill(node->first_process, SIGKILL);
	/* It is gone when all of its namespace are: those that are our children wait for us to bury
	 * them first (kernel/pid_namespace.c, zap_pid_ns_processes). */
	do
		pid = waitpid(-1, NULL, 0);
	while (pid != node->first_process && (pid > 0 || errno == EINTR));
	node->first_process = 0;
	lab_close_fd(&node->mntns_fd);
	lab_close_fd(&node->pidns_fd);
	lab_close_fd(&node->root_fd);
}

pid_t lab_node_spawn(const struct lab_node *node, const char *const *argv, int output_fd)
{
	return spawn_start(&(struct spawn_options){.argv = argv,
		.netns_fd = node->netns_fd,
		.mntns_fd = node->mntns_fd,
		.pidns_fd = node->pidns_fd,
		.root_fd = node->root_fd,
		.input_fd = -1,
		.output_fd = output_fd});
}

struct lab_node *lab_node_lookup(struct lab *lab, const char *name)
{
	for (unsigned int n = 0; n < lab->node_count; n++)
		if (strcmp(lab->nodes[n].config->name, name) == 0)
			return &lab->nodes[n];
	return NULL;
}

int lab_host(const struct lab *lab, unsigned int segment)
{
	return lab->host_netns_fds[segment];
}

/* IFLA_PROTINFO of family AF_BRIDGE: the port's state (kernel: net/bridge/br_netlink.c,
 * br_setlink). DISABLED stops it in both directions at once and leaves the carrier alone. */
static void lab_put_port_state(struct nlmsghdr *message, int index, bool open)
{
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	struct nlattr *nest;

	info->ifi_family = AF_BRIDGE;
	info->ifi_index = index;
	nest = mnl_attr_nest_start(message, IFLA_PROTINFO);
	mnl_attr_put_u8(message, IFLA_BRPORT_STATE, open ? BR_STATE_FORWARDING : BR_STATE_DISABLED);
	mnl_attr_nest_end(message, nest);
}

static void lab_put_link_state(struct nlmsghdr *message, int index, bool up)
{
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifi_family = AF_UNSPEC;
	info->ifi_index = index;
	info->ifi_change = IFF_UP;
	info->ifi_flags = up ? IFF_UP : 0;
}

static void lab_put_port_isolated(struct nlmsghdr *message, int index, bool isolated)
{
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	struct nlattr *nest;

	info->ifi_family = AF_BRIDGE;
	info->ifi_index = index;
	nest = mnl_attr_nest_start(message, IFLA_PROTINFO);
	mnl_attr_put_u8(message, IFLA_BRPORT_ISOLATED, isolated);
	mnl_attr_nest_end(message, nest);
}

static int lab_ports(struct lab *lab, unsigned int node, int segment, bool on,
	void (*put)(struct nlmsghdr *message, int index, bool on))
{
	static uint8_t memory[LAB_NETLINK_BYTES + NL_MESSAGE_BYTES_MAX];
	struct nl_result result;
	struct nl_batch batch;
	int r;

	nl_batch_init(&batch, &lab->switch_nl, memory, sizeof(memory));
	for (unsigned int s = 0; s < lab->plan->segment_count; s++) {
		struct nlmsghdr *message;

		if (lab->port_index[s][node] == 0 ||
			(segment != LAB_SEGMENT_ALL && segment != (int)s))
			continue;
		message = nl_batch_begin(&batch, &lab->switch_nl, RTM_SETLINK, 0);
		if (!message)
			return lab_fail(lab, -ENOSPC, "too many ports");
		put(message, lab->port_index[s][node], on);
		nl_batch_end(&batch, message);
	}
	r = nl_batch_commit(&batch, &lab->switch_nl, mono_add(clock_now(), dur_ms(LAB_NETLINK_MS)),
		NULL, &result);
	if (r == 0)
		r = result.first_error;
	return r < 0 ? lab_fail(lab, r, "switch port of %s: %s", lab->plan->cfg->nodes[node].name,
			       strerror(-r))
		     : 0;
}

int lab_port_block(struct lab *lab, unsigned int node, int segment, bool open)
{
	return lab_ports(lab, node, segment, open, lab_put_port_state);
}

int lab_port_isolate(struct lab *lab, unsigned int node, bool isolated)
{
	return lab_ports(lab, node, LAB_SEGMENT_ALL, isolated, lab_put_port_isolated);
}

int lab_port_down(struct lab *lab, unsigned int node, int segment, bool up)
{
	return lab_ports(lab, node, segment, up, lab_put_link_state);
}
