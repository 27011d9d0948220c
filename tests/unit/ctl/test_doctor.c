/* What the doctor says about hosts that are well, and about hosts with one thing wrong. */
#include "ctl/doctor.h"

#include "common/check.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct test_value {
	const char *name;
	int64_t value;
};

/* A host that is well; the first value of a name counts, so that a case can stand before. */
static const struct test_value test_well[] = {
	{"net/netfilter/nf_conntrack_max", 262144},
	{"net/netfilter/nf_conntrack_count", 1000},
	{"net/netfilter/nf_conntrack_buckets", 262144},
	{"net/netfilter/nf_conntrack_events", 1},
	{"net/netfilter/nf_conntrack_tcp_loose", 1},
	{"net/ipv4/ip_forward", 1},
	{"net/ipv6/conf/all/forwarding", 1},
	{"net/ipv4/conf/all/rp_filter", 0},
	{"net/ipv4/conf/lan0/rp_filter", 2},
	{"net/core/rmem_max", 212992},
	{"kernel/sched_rt_runtime_us", 950000},
};

static int test_read(void *context, const char *name, int64_t *ret_value)
{
	const struct test_value *other = context;

	if (other && strcmp(other->name, name) == 0) {
		*ret_value = other->value;
		return other->value == INT64_MIN ? -ENOENT : 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(test_well); i++) {
		if (strcmp(test_well[i].name, name) == 0) {
			*ret_value = test_well[i].value;
			return 0;
		}
	}
	return -ENOENT;
}

static const char *const test_interfaces[] = {"lan0"};
static const bool test_exists[] = {true}, test_gone[] = {false};

static struct doctor_host test_host(const struct test_value *other)
{
	return (struct doctor_host){
		.read = test_read,
		.context = (void *)(uintptr_t)other,
		.has_nft = true,
		.has_namespaces = true,
		.is_clock_synchronised = true,
		.interfaces = test_interfaces,
		.interface_exists = test_exists,
		.interface_count = 1,
	};
}

/* test_only: exactly one finding, this one, and it says what to do. */
static void test_only(const struct doctor_host *host, const char *what, enum doctor_level level)
{
	enum doctor_level worst;
	json_t *list = doctor_judge(host, &worst), *finding;
	unsigned int count = 0;
	size_t index;

	json_array_foreach (list, index, finding) {
		const char *is = json_string_value(json_object_get(finding, "level"));

		if (strcmp(is, "ok") == 0)
			continue;
		count++;
		assert_string_equal(json_string_value(json_object_get(finding, "what")), what);
		assert_string_equal(is, doctor_level_name(level));
		assert_true(strlen(json_string_value(json_object_get(finding, "do"))) > 0);
		assert_true(strlen(json_string_value(json_object_get(finding, "why"))) > 0);
	}
	assert_int_equal(count, level == DOCTOR_OK ? 0 : 1);
	assert_int_equal(worst, level);
	json_decref(list);
}

static void test_sysctls(void **state)
{
	static const struct {
		struct test_value value;
		const char *what;
		enum doctor_level level;
	} cases[] = {
		{{"nothing", 0}, "", DOCTOR_OK},
		{{"net/netfilter/nf_conntrack_max", INT64_MIN}, "connection tracking",
			DOCTOR_ERROR},
		{{"net/netfilter/nf_conntrack_count", 209715}, "", DOCTOR_OK},
		{{"net/netfilter/nf_conntrack_count", 220000}, "connection table", DOCTOR_WARNING},
		{{"net/netfilter/nf_conntrack_count", 260000}, "connection table", DOCTOR_ERROR},
		{{"net/netfilter/nf_conntrack_buckets", 32768}, "", DOCTOR_OK},
		{{"net/netfilter/nf_conntrack_buckets", 32767},
			"net.netfilter.nf_conntrack_buckets", DOCTOR_WARNING},
		{{"net/netfilter/nf_conntrack_events", 0}, "net.netfilter.nf_conntrack_events",
			DOCTOR_WARNING},
		{{"net/netfilter/nf_conntrack_tcp_loose", 0},
			"net.netfilter.nf_conntrack_tcp_loose", DOCTOR_WARNING},
		{{"net/ipv4/ip_forward", 0}, "net.ipv4.ip_forward", DOCTOR_ERROR},
		{{"net/ipv6/conf/all/forwarding", 0}, "net.ipv6.conf.all.forwarding",
			DOCTOR_WARNING},
		{{"net/ipv6/conf/all/forwarding", INT64_MIN}, "", DOCTOR_OK},
		{{"net/ipv4/conf/all/rp_filter", 1}, "net.ipv4.conf.all.rp_filter", DOCTOR_WARNING},
		{{"net/ipv4/conf/all/rp_filter", 2}, "", DOCTOR_OK},
		{{"net/ipv4/conf/lan0/rp_filter", 1}, "net.ipv4.conf.lan0.rp_filter",
			DOCTOR_WARNING},
		{{"net/core/rmem_max", 100000}, "net.core.rmem_max", DOCTOR_WARNING},
		{{"kernel/sched_rt_runtime_us", 0}, "kernel.sched_rt_runtime_us", DOCTOR_ERROR},
		{{"kernel/sched_rt_runtime_us", -1}, "", DOCTOR_OK},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct doctor_host host = test_host(&cases[i].value);

		test_only(&host, cases[i].what, cases[i].level);
	}
}

static void test_the_rest(void **state)
{
	struct doctor_host host = test_host(NULL);

	(void)state;
	host.has_nft = false;
	test_only(&host, "nft", DOCTOR_ERROR);
	host = test_host(NULL);
	host.has_namespaces = false;
	test_only(&host, "namespaces", DOCTOR_WARNING);
	host = test_host(NULL);
	host.is_clock_synchronised = false;
	test_only(&host, "clock", DOCTOR_WARNING);
	host = test_host(NULL);
	host.runs_keepalived = true;
	test_only(&host, "keepalived", DOCTOR_WARNING);
	host = test_host(NULL);
	host.runs_conntrackd = true;
	test_only(&host, "conntrackd", DOCTOR_ERROR);
	host = test_host(NULL);
	host.interface_exists = test_gone;
	test_only(&host, "interface lan0", DOCTOR_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sysctls),
		cmocka_unit_test(test_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
