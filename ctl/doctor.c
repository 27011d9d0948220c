#include "ctl/doctor.h"

#include "common/check.h"

#include <stdio.h>
#include <string.h>

#define DOCTOR_TEXT_MAX	    256u
#define DOCTOR_FILL_WARNING 80 /* percent of nf_conntrack_max */
#define DOCTOR_FILL_ERROR   95 /* above that a standby is not ready */
#define DOCTOR_CHAIN_MAX    8  /* flows a hash bucket, when the table is full */

static const char *const doctor_levels[] = {"ok", "warning", "error"};

enum doctor_want {
	DOCTOR_EQUALS,
	DOCTOR_AT_LEAST,
	DOCTOR_IS_NOT,
};

struct doctor_sysctl {
	const char *name;
	enum doctor_want want;
	int64_t value;
	int64_t advised; /* what to set it to */
	enum doctor_level level;
	const char *why;
};

static const struct doctor_sysctl doctor_sysctls[] = {
	{"net/ipv4/ip_forward", DOCTOR_EQUALS, 1, 1, DOCTOR_ERROR,
		"a firewall that does not forward IPv4 drops everything that it takes over"},
	{"net/ipv6/conf/all/forwarding", DOCTOR_EQUALS, 1, 1, DOCTOR_WARNING,
		"IPv6 is not forwarded (right only where the cluster has no IPv6)"},
	{"net/netfilter/nf_conntrack_events", DOCTOR_EQUALS, 1, 1, DOCTOR_WARNING,
		"flows that are older than syncd report no changes: they are only found by the "
		"periodic dump"},
	{"net/netfilter/nf_conntrack_tcp_loose", DOCTOR_EQUALS, 1, 1, DOCTOR_WARNING,
		"a TCP connection whose state did not arrive is dropped instead of picked up"},
	{"net/ipv4/conf/all/rp_filter", DOCTOR_IS_NOT, 1, 2, DOCTOR_WARNING,
		"strict reverse path filtering drops packets that come by another interface than "
		"the "
		"route back; the two nodes' routes may differ during a hand-over"},
	{"net/core/rmem_max", DOCTOR_AT_LEAST, 212992, 8388608, DOCTOR_WARNING,
		"without CAP_NET_ADMIN (a drill in a user namespace) event sockets get no more "
		"than "
		"this"},
	{"kernel/sched_rt_runtime_us", DOCTOR_IS_NOT, 0, 950000, DOCTOR_ERROR,
		"no process may run in real time: a busy machine then delays adverts"},
};

struct doctor {
	const struct doctor_host *host;
	json_t *list;
	enum doctor_level worst;
};

static void doctor_add(struct doctor *doctor, enum doctor_level level, const char *what,
	const char *is, const char *wanted, const char *why, const char *act)
{
	if (level > doctor->worst)
		doctor->worst = level;
	(void)json_array_append_new(
		doctor->list, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s?}", "level",
				      doctor_level_name(level), "what", what, "is", is, "wanted",
				      wanted, "why", why, "do", level == DOCTOR_OK ? NULL : act));
}

static bool doctor_suits(const struct doctor_sysctl *rule, int64_t value)
{
	switch (rule->want) {
	case DOCTOR_EQUALS:
		return value == rule->value;
	case DOCTOR_AT_LEAST:
		return value >= rule->value;
	case DOCTOR_IS_NOT:
		return value != rule->value;
	}
	return true;
}

static void doctor_check_sysctl(struct doctor *doctor, const struct doctor_sysctl *rule)
{
	static const char *const wants[] = {"", "at least ", "not "};
	char is[32], wanted[48], act[DOCTOR_TEXT_MAX], name[96];
	int64_t value;
	int r = doctor->host->read(doctor->host->context, rule->name, &value);

	snprintf(name, sizeof(name), "%s", rule->name);
	for (char *c = name; *c; c++)
		*c = *c == '/' ? '.' : *c;
	snprintf(wanted, sizeof(wanted), "%s%lld", wants[rule->want], (long long)rule->value);
	if (r < 0) {
		/* IPv6 may be compiled out, the module not loaded: told by the check of its own. */
		doctor_add(doctor, DOCTOR_OK, name, "not there", wanted, rule->why, NULL);
		return;
	}
	snprintf(is, sizeof(is), "%lld", (long long)value);
	snprintf(act, sizeof(act), "sysctl -w %s=%lld, and the same in /etc/sysctl.d", name,
		(long long)rule->advised);
	doctor_add(doctor, doctor_suits(rule, value) ? DOCTOR_OK : rule->level, name, is, wanted,
		rule->why, act);
}

/* doctor_check_table: its size, how full it is, and how long its chains can get. */
static void doctor_check_table(struct doctor *doctor)
{
	static const char *const why_full =
		"a full table drops new connections; above 95 % a standby is not ready";
	static const char *const why_chains =
		"long hash chains make every packet slower when it fills";
	const struct doctor_host *host = doctor->host;
	int64_t count, max, buckets;
	char is[64], act[DOCTOR_TEXT_MAX];

	if (host->read(host->context, "net/netfilter/nf_conntrack_max", &max) < 0 || max <= 0) {
		doctor_add(doctor, DOCTOR_ERROR, "connection tracking", "not loaded", "loaded",
			"there is nothing that syncd could replicate",
			"modprobe nf_conntrack, and a line in /etc/modules-load.d");
		return;
	}
	snprintf(act, sizeof(act), "sysctl -w net.netfilter.nf_conntrack_max=%lld, on every node",
		(long long)max * 2);
	if (host->read(host->context, "net/netfilter/nf_conntrack_count", &count) == 0) {
		int64_t percent = count * 100 / max;

		snprintf(is, sizeof(is), "%lld of %lld (%lld %%)", (long long)count, (long long)max,
			(long long)percent);
		doctor_add(doctor,
			percent > DOCTOR_FILL_ERROR	? DOCTOR_ERROR
			: percent > DOCTOR_FILL_WARNING ? DOCTOR_WARNING
							: DOCTOR_OK,
			"connection table", is, "at most 80 %", why_full, act);
	}
	if (host->read(host->context, "net/netfilter/nf_conntrack_buckets", &buckets) == 0 &&
		buckets > 0) {
		snprintf(is, sizeof(is), "%lld for %lld flows", (long long)buckets, (long long)max);
		snprintf(act, sizeof(act), "sysctl -w net.netfilter.nf_conntrack_buckets=%lld",
			(long long)max);
		doctor_add(doctor, max > buckets * DOCTOR_CHAIN_MAX ? DOCTOR_WARNING : DOCTOR_OK,
			"net.netfilter.nf_conntrack_buckets", is, "an eighth of the flows",
			why_chains, act);
	}
}

static void doctor_check_programs(struct doctor *doctor)
{
	const struct doctor_host *host = doctor->host;

	doctor_add(doctor, host->has_nft ? DOCTOR_OK : DOCTOR_ERROR, "nft",
		host->has_nft ? "there" : "not found", "there",
		"rules are compiled by it when carpd starts", "apt-get install nftables");
	doctor_add(doctor, host->has_namespaces ? DOCTOR_OK : DOCTOR_WARNING, "namespaces",
		host->has_namespaces ? "allowed" : "refused", "allowed",
		"rules are tried, and drills run, in network namespaces of their own",
		"run as root, or sysctl -w kernel.unprivileged_userns_clone=1");
	doctor_add(doctor, host->is_clock_synchronised ? DOCTOR_OK : DOCTOR_WARNING, "clock",
		host->is_clock_synchronised ? "synchronised" : "not synchronised", "synchronised",
		"no decision depends on it, but the nodes' logs and histories cannot be compared",
		"systemctl enable --now systemd-timesyncd, or chrony");
	doctor_add(doctor, host->runs_keepalived ? DOCTOR_WARNING : DOCTOR_OK, "keepalived",
		host->runs_keepalived ? "runs" : "does not run", "does not run",
		"two programs that move addresses: the same address must not be in both configs",
		"systemctl disable --now keepalived when carpool has its addresses");
	doctor_add(doctor, host->runs_conntrackd ? DOCTOR_ERROR : DOCTOR_OK, "conntrackd",
		host->runs_conntrackd ? "runs" : "does not run", "does not run",
		"two programs that write into one connection table overwrite each other",
		"systemctl disable --now conntrackd");
}

static void doctor_check_interfaces(struct doctor *doctor)
{
	const struct doctor_host *host = doctor->host;

	for (unsigned int i = 0; i < host->interface_count; i++) {
		char name[DOCTOR_TEXT_MAX];
		int64_t strict;

		snprintf(name, sizeof(name), "interface %.32s", host->interfaces[i]);
		doctor_add(doctor, host->interface_exists[i] ? DOCTOR_OK : DOCTOR_ERROR, name,
			host->interface_exists[i] ? "there" : "not there", "there",
			"a group of the config lives on it",
			"create it, or name it for this node: nodes: NODE: { interfaces: {...} }");
		if (!host->interface_exists[i])
			continue;
		snprintf(name, sizeof(name), "net/ipv4/conf/%.32s/rp_filter", host->interfaces[i]);
		if (host->read(host->context, name, &strict) == 0)
			doctor_check_sysctl(doctor,
				&(struct doctor_sysctl){name, DOCTOR_IS_NOT, 1, 2, DOCTOR_WARNING,
					"strict reverse path filtering on a group's interface"});
	}
}

json_t *doctor_judge(const struct doctor_host *host, enum doctor_level *ret_level)
{
	struct doctor doctor = {.host = host, .list = json_array(), .worst = DOCTOR_OK};

	doctor_check_table(&doctor);
	for (size_t i = 0; i < ARRAY_LEN(doctor_sysctls); i++)
		doctor_check_sysctl(&doctor, &doctor_sysctls[i]);
	doctor_check_programs(&doctor);
	doctor_check_interfaces(&doctor);
	*ret_level = doctor.worst;
	return doctor.list;
}

const char *doctor_level_name(enum doctor_level level)
{
	CHECK((size_t)level < ARRAY_LEN(doctor_levels));
	return doctor_levels[level];
}
