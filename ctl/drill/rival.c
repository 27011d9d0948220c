#include "ctl/drill/rival.h"

#include "ctl/drill/sandbox.h"
#include "ctl/drill/spawn.h"

#include "common/ipaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RIVAL_ADVERT_MIN_US 10000 /* VRRPv3 counts in centiseconds */
#define RIVAL_PRIORITY_MAX  254
#define RIVAL_HOST_FIRST    240u /* of a node's own address in its network */
#define RIVAL_PORT	    3781u
#define RIVAL_HASH_LIMIT    4194304u
#define RIVAL_SCRIPT_DIR    SANDBOX_DIR "/rival"

/* primary-backup.sh of conntrackd's documentation, without what only talks. */
static const char rival_script[] =
	"#!/bin/sh\n"
	"case \"$1\" in\n"
	"primary) for what in -c -f -R -B; do conntrackd -C \"$2\" $what; done ;;\n"
	"backup) for what in -t -n; do conntrackd -C \"$2\" $what; done ;;\n"
	"fault) conntrackd -C \"$2\" -t ;;\n"
	"esac\n";

static int rival_fail(struct lab *lab, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int rival_fail(struct lab *lab, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(lab->error, sizeof(lab->error), format, args);
	va_end(args);
	return r;
}

static struct spawn_options rival_options(const struct lab_node *node, const char *const *argv)
{
	return (struct spawn_options){.argv = argv,
		.netns_fd = node ? node->netns_fd : -1,
		.mntns_fd = -1,
		.pidns_fd = -1,
		.root_fd = -1,
		.input_fd = -1,
		.output_fd = -1};
}

/* The first line of what a program says of its version. */
static bool rival_version(const char *program, char line[static 64])
{
	const char *argv[] = {program, "-v", NULL};
	struct spawn_options options = rival_options(NULL, argv);
	char output[SPAWN_OUTPUT_MAX];
	const char *digits;
	size_t length;

	if (spawn_run(&options, NULL, output) < 0 || strncmp(output, "cannot run", 10) == 0)
		return false;
	digits = strpbrk(output, "0123456789");
	length = digits ? strspn(digits, "0123456789.") : 0;
	while (length > 0 && digits[length - 1] == '.')
		length--;
	(void)snprintf(line, 64, "%s %.*s", program, (int)length, digits ? digits : "");
	return true;
}

bool rival_find(char name[static RIVAL_NAME_MAX], char error[static RIVAL_ERROR_MAX])
{
	char keepalived[64];
	char conntrackd[64];
	bool first = rival_version("keepalived", keepalived);
	bool second = rival_version("conntrackd", conntrackd);

	(void)snprintf(name, RIVAL_NAME_MAX, "%.60s, %.60s", keepalived, conntrackd);
	if (first && second)
		return true;
	(void)snprintf(error, RIVAL_ERROR_MAX,
		"%s%s%s not installed: apt-get install keepalived conntrackd (nothing else needs "
		"them, and carpool installs nothing by itself)",
		first ? "" : "keepalived", first || second ? "" : " and ",
		second ? "" : "conntrackd");
	return false;
}

const char *rival_unfit(const struct config *cfg)
{
	if (cfg->node_count != 2)
		return "conntrackd's FTFW mode is for two nodes";
	if (cfg->nodes[0].address_count == 0 || cfg->nodes[0].addresses[0].family != IPADDR_V4)
		return "the comparison wants IPv4 addresses on the sync link";
	return NULL;
}

/* --- files ------------------------------------------------------------------------------------ */

static void rival_path(
	const struct lab *lab, unsigned int node, const char *file, char path[static PATH_MAX])
{
	(void)snprintf(
		path, PATH_MAX, "%.*s/%s", PATH_MAX - 64, lab->nodes[node].runtime_dir, file);
}

static const char *rival_ifname(const struct lab *lab, unsigned int node, const char *interface)
{
	int segment = plan_segment_lookup(lab->plan, interface);

	return segment < 0 ? "" : lab->plan->segments[segment].ifnames[node];
}

/* Of one interface: its addresses of the first one's family are the instance's, others go along. */
static void rival_write_addresses(
	FILE *out, const struct config_interface *interface, const char *ifname)
{
	char text[IPADDR_TEXT_MAX];

	for (unsigned int pass = 0; pass < 2; pass++) {
		(void)fprintf(out, "\tvirtual_ipaddress%s {\n", pass ? "_excluded" : "");
		for (uint32_t i = 0; i < interface->address_count; i++)
			if ((interface->addresses[i].family != IPADDR_V4) == (pass == 1))
				(void)fprintf(out, "\t\t%s dev %s%s\n",
					ipaddr_render(&interface->addresses[i], true, text), ifname,
					pass ? " -nodad" : "");
		(void)fprintf(out, "\t}\n");
	}
}

static void rival_write_group(
	const struct lab *lab, unsigned int n, const struct config_group *group, FILE *out)
{
	const struct config *cfg = lab->plan->cfg;
	int64_t advert_us = cfg->election.advbase.us;
	int skew = config_advskew(cfg, group, &cfg->nodes[n]);
	char config[PATH_MAX];

	if (advert_us < RIVAL_ADVERT_MIN_US)
		advert_us = RIVAL_ADVERT_MIN_US;
	rival_path(lab, n, "conntrackd.conf", config);
	(void)fprintf(out, "vrrp_sync_group %s {\n\tgroup {\n", group->name);
	for (uint32_t i = 0; i < group->interface_count; i++)
		(void)fprintf(out, "\t\t%s_%s\n", group->name, group->interfaces[i].name);
	(void)fprintf(out, "\t}\n");
	for (unsigned int i = 0; i < 3; i++) {
		static const char *const states[] = {"master", "backup", "fault"};
		static const char *const words[] = {"primary", "backup", "fault"};

		(void)fprintf(out, "\tnotify_%s \"" RIVAL_SCRIPT_DIR "/notify %s %s\"\n", states[i],
			words[i], config);
	}
	(void)fprintf(out, "}\n");
	for (uint32_t i = 0; i < group->interface_count; i++) {
		const struct config_interface *interface = &group->interfaces[i];
		const char *ifname = rival_ifname(lab, n, interface->name);

		(void)fprintf(out,
			"vrrp_instance %s_%s {\n\tstate BACKUP\n\tnopreempt\n\tinterface %s\n"
			"\tvirtual_router_id %d\n\tpriority %d\n\tadvert_int %.2f\n",
			group->name, interface->name, ifname, (int)group->vhid,
			skew < RIVAL_PRIORITY_MAX ? RIVAL_PRIORITY_MAX - skew : 1,
			(double)((advert_us + 9999) / 10000) / 100.0);
		rival_write_addresses(out, interface, ifname);
		(void)fprintf(out, "}\n");
	}
}

static void rival_write_keepalived(const struct lab *lab, unsigned int n, bool realtime, FILE *out)
{
	const struct config *cfg = lab->plan->cfg;

	(void)fprintf(out, "global_defs {\n\trouter_id %s\n\tvrrp_version 3\n\tscript_user root\n",
		cfg->nodes[n].name);
	/* Its own limit of 10 ms of processor time at real-time priority kills it on a busy
	 * machine. */
	if (realtime)
		(void)fprintf(out, "\tvrrp_rt_priority 50\n\tvrrp_rlimit_rttime 2000000\n"
				   "\tvrrp_no_swap\n");
	(void)fprintf(out, "}\n");
	for (uint32_t g = 0; g < cfg->group_count; g++)
		rival_write_group(lab, n, &cfg->groups[g], out);
}

static void rival_write_conntrackd(const struct lab *lab, unsigned int n, FILE *out)
{
	const struct config *cfg = lab->plan->cfg;
	const char *ifname = "";
	char own[IPADDR_TEXT_MAX];
	char other[IPADDR_TEXT_MAX];
	char path[PATH_MAX];

	(void)ipaddr_render(&cfg->nodes[n].addresses[0], false, own);
	(void)ipaddr_render(&cfg->nodes[1 - n].addresses[0], false, other);
	for (unsigned int s = 0; s < lab->plan->segment_count; s++)
		if (!lab->plan->segments[s].interface && lab->plan->segments[s].sync_link == 0)
			ifname = lab->plan->segments[s].ifnames[n];
	(void)fprintf(out,
		"Sync {\n\tMode FTFW {\n\t\tResendQueueSize 131072\n\t\tPurgeTimeout 60\n"
		"\t\tACKWindowSize 300\n\t}\n\tUDP {\n\t\tIPv4_address %s\n"
		"\t\tIPv4_Destination_Address %s\n\t\tPort %u\n\t\tInterface %s\n"
		"\t\tSndSocketBuffer 24985600\n\t\tRcvSocketBuffer 24985600\n\t\tChecksum on\n"
		"\t}\n}\n",
		own, other, RIVAL_PORT, ifname);
	rival_path(lab, n, "conntrackd", path);
	(void)fprintf(out,
		"General {\n\tHashSize 262144\n\tHashLimit %u\n\tLogFile %s.log\n\tSyslog off\n"
		"\tLockFile %s.lock\n\tUNIX {\n\t\tPath %s.ctl\n\t\tBacklog 20\n\t}\n"
		"\tNetlinkBufferSize 33554432\n\tNetlinkBufferSizeMaxGrowth 134217728\n"
		"\tFilter From Userspace {\n\t\tProtocol Accept {\n\t\t\tTCP\n\t\t\tUDP\n\t\t}\n"
		"\t\tAddress Ignore {\n\t\t\tIPv4_address 127.0.0.1\n\t\t\tIPv4_address %s\n"
		"\t\t\tIPv4_address %s\n\t\t}\n\t}\n}\n",
		RIVAL_HASH_LIMIT, path, path, path, own, other);
}

static int rival_save(struct lab *lab, unsigned int n, const char *file, FILE *text, mode_t mode)
{
	char path[PATH_MAX];
	char block[4096];
	size_t count;
	FILE *out;

	rival_path(lab, n, file, path);
	out = fopen(path, "we");
	rewind(text);
	while (out && (count = fread(block, 1, sizeof(block), text)) > 0)
		(void)fwrite(block, 1, count, out);
	if (!out || fchmod(fileno(out), mode) < 0 || fclose(out) != 0)
		return rival_fail(lab, -EIO, "%s: cannot be written", path);
	return 0;
}

static int rival_write_files(struct lab *lab, unsigned int n, bool realtime)
{
	FILE *keepalived = tmpfile();
	FILE *conntrackd = tmpfile();
	int fd;
	int r = -ENOMEM;

	(void)mkdir(RIVAL_SCRIPT_DIR, 0755);
	fd = open(RIVAL_SCRIPT_DIR "/notify", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (fd >= 0 && keepalived && conntrackd) {
		(void)!write(fd, rival_script, sizeof(rival_script) - 1);
		rival_write_keepalived(lab, n, realtime, keepalived);
		rival_write_conntrackd(lab, n, conntrackd);
		r = rival_save(lab, n, "keepalived.conf", keepalived, 0644);
		if (r == 0)
			r = rival_save(lab, n, "conntrackd.conf", conntrackd, 0644);
	}
	if (fd >= 0)
		(void)close(fd);
	if (keepalived)
		(void)fclose(keepalived);
	if (conntrackd)
		(void)fclose(conntrackd);
	return r;
}

/* --- addresses and rules ---------------------------------------------------------------------- */

/* The node's own address in the network of a virtual one. */
static bool rival_own_address(const struct ipaddr *vip, unsigned int n, struct ipaddr *ret)
{
	if (vip->family != IPADDR_V4 || vip->prefix_len > 24)
		return false;
	*ret = *vip;
	ret->bytes[3] = (uint8_t)(RIVAL_HOST_FIRST + n);
	return !ipaddr_equal(ret, vip);
}

static int rival_add_addresses(struct lab *lab, unsigned int n)
{
	for (unsigned int s = 0; s < lab->plan->segment_count; s++) {
		const struct plan_segment *segment = &lab->plan->segments[s];
		const struct ipaddr *vip = plan_gateway(segment, IPADDR_V4);
		char text[IPADDR_TEXT_MAX];
		char output[SPAWN_OUTPUT_MAX];
		struct ipaddr own;

		if (!segment->interface || segment->ifnames[n][0] == '\0')
			continue;
		if (!vip || !rival_own_address(vip, n, &own))
			return rival_fail(lab, -EINVAL,
				"no room for a node's own address on %s: VRRP needs one",
				segment->name);
		{
			const char *argv[] = {"ip", "addr", "replace",
				ipaddr_render(&own, true, text), "dev", segment->ifnames[n], NULL};
			struct spawn_options options = rival_options(&lab->nodes[n], argv);

			if (spawn_run(&options, NULL, output) != 0)
				return rival_fail(lab, -EIO, "ip: %.300s", output);
		}
	}
	return 0;
}

/* `nft COMMAND...` with its output in a file of memory; the caller's descriptor, or negative. */
static int rival_nft_list(const struct lab_node *node)
{
	static const char *const argv[] = {"nft", "list", "chains", NULL};
	char path[] = "/tmp/carpool-drill-XXXXXX";
	struct spawn_options options = rival_options(node, argv);
	int fd = mkostemp(path, O_CLOEXEC);
	pid_t pid;

	if (fd < 0)
		return -errno;
	(void)unlink(path);
	options.output_fd = fd;
	pid = spawn_start(&options);
	if (pid < 0 || spawn_wait(pid) != 0) {
		(void)close(fd);
		return -EIO;
	}
	return fd;
}

/* The operator's rules know nothing of VRRP and of conntrackd's port: each input chain lets them in
 * first. */
static int rival_open_rules(struct lab *lab, unsigned int n)
{
	static const char *const apply[] = {"nft", "-f", "-", NULL};
	struct spawn_options options = rival_options(&lab->nodes[n], apply);
	char output[SPAWN_OUTPUT_MAX];
	char commands[8192] = "";
	char line[512];
	char family[16] = "";
	char table[128] = "";
	char chain[128] = "";
	int fd = rival_nft_list(&lab->nodes[n]);
	FILE *list = fd < 0 ? NULL : fdopen(fd, "r");

	if (!list)
		return rival_fail(lab, -EIO, "nft list on %s", lab->nodes[n].config->name);
	rewind(list);
	while (fgets(line, sizeof(line), list)) {
		size_t used = strlen(commands);

		if (sscanf(line, "table %15s %127s", family, table) == 2 ||
			sscanf(line, " chain %127s", chain) == 1 ||
			!strstr(line, "type filter hook input") || strcmp(family, "ip6") == 0)
			continue;
		(void)snprintf(commands + used, sizeof(commands) - used,
			"insert rule %s %s %s ip protocol 112 accept\n"
			"insert rule %s %s %s udp dport %u accept\n",
			family, table, chain, family, table, chain, RIVAL_PORT);
	}
	(void)fclose(list);
	if (spawn_run(&options, commands, output) != 0)
		return rival_fail(lab, -EIO, "nft: %.300s", output);
	return 0;
}

static int rival_load_rules(struct lab *lab, unsigned int n)
{
	const struct config *cfg = lab->plan->cfg;
	char output[SPAWN_OUTPUT_MAX];

	for (uint32_t g = 0; g < cfg->group_count; g++) {
		const char *argv[] = {"nft", "-f", cfg->groups[g].rules_master.path, NULL};
		struct spawn_options options = rival_options(&lab->nodes[n], argv);

		if (argv[2] && spawn_run(&options, NULL, output) != 0)
			return rival_fail(lab, -EIO, "nft -f %s: %.300s", argv[2], output);
	}
	return rival_open_rules(lab, n);
}

int rival_prepare(struct lab *lab, unsigned int node, bool realtime)
{
	int r = rival_add_addresses(lab, node);

	if (r == 0)
		r = rival_load_rules(lab, node);
	return r == 0 ? rival_write_files(lab, node, realtime) : r;
}

/* --- processes -------------------------------------------------------------------------------- */

pid_t rival_start(const struct lab *lab, unsigned int node, unsigned int daemon, int log_fd)
{
	char config[PATH_MAX];
	char pid_file[PATH_MAX];
	char child_file[PATH_MAX];
	char lock[PATH_MAX];
	char control[PATH_MAX];
	const char *keepalived[] = {"keepalived", "-n", "-l", "-D", "-P", "-f", config, "-p",
		pid_file, "-r", child_file, NULL};
	const char *conntrackd[] = {"conntrackd", "-C", config, NULL};

	rival_path(lab, node, "keepalived.pid", pid_file);
	rival_path(lab, node, "vrrp.pid", child_file);
	rival_path(lab, node, "conntrackd.lock", lock);
	rival_path(lab, node, "conntrackd.ctl", control);
	if (daemon == 0) {
		rival_path(lab, node, "keepalived.conf", config);
		/* Those of a life that was killed keep it from starting. */
		(void)unlink(pid_file);
		(void)unlink(child_file);
		return lab_node_spawn(&lab->nodes[node], keepalived, log_fd);
	}
	rival_path(lab, node, "conntrackd.conf", config);
	(void)unlink(lock);
	(void)unlink(control);
	return lab_node_spawn(&lab->nodes[node], conntrackd, log_fd);
}

void rival_signal_family(pid_t pid, int signal_number)
{
	char path[96];
	int child;
	FILE *children;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	children = fopen(path, "re");
	while (children && fscanf(children, "%d", &child) == 1)
		(void)kill(child, signal_number);
	if (children)
		(void)fclose(children);
	(void)kill(pid, signal_number);
}

/* --- what can be seen of it ------------------------------------------------------------------- */

static bool rival_has_address(const struct ifaddrs *list, const struct ipaddr *addr)
{
	for (; list; list = list->ifa_next) {
		const struct sockaddr *its = list->ifa_addr;

		if (!its)
			continue;
		if (its->sa_family == AF_INET && addr->family == IPADDR_V4 &&
			memcmp(&((const struct sockaddr_in *)(const void *)its)->sin_addr,
				addr->bytes, 4) == 0)
			return true;
		if (its->sa_family == AF_INET6 && addr->family == IPADDR_V6 &&
			memcmp(&((const struct sockaddr_in6 *)(const void *)its)->sin6_addr,
				addr->bytes, 16) == 0)
			return true;
	}
	return false;
}

bool rival_has_group(
	const struct lab *lab, unsigned int node, const struct config_group *group, bool any)
{
	struct ifaddrs *list = NULL;
	bool all = true;
	bool one = false;

	if (sandbox_netns_enter(lab->nodes[node].netns_fd) < 0)
		return false;
	if (getifaddrs(&list) < 0)
		list = NULL;
	sandbox_netns_home();
	for (uint32_t i = 0; i < group->interface_count; i++) {
		for (uint32_t k = 0; k < group->interfaces[i].address_count; k++) {
			bool has = rival_has_address(list, &group->interfaces[i].addresses[k]);

			all &= has;
			one |= has;
		}
	}
	freeifaddrs(list);
	return any ? one : all;
}

long rival_synced(const struct lab *lab, unsigned int node)
{
	char config[PATH_MAX];
	const char *argv[] = {"conntrackd", "-C", config, "-s", NULL};
	struct spawn_options options = rival_options(&lab->nodes[node], argv);
	char output[SPAWN_OUTPUT_MAX];
	const char *external;
	long count = -1;

	rival_path(lab, node, "conntrackd.conf", config);
	if (spawn_run(&options, NULL, output) != 0)
		return -1;
	external = strstr(output, "cache external");
	if (external)
		external = strstr(external, "connections:");
	if (external)
		(void)sscanf(external, "connections: %ld", &count);
	return count;
}
