/* Gateways of an interface's routes: what the real kernel tells in a namespace of this test's own,
 * and what messages by hand may hold. */
#include "tests/unit/common/test.h"

#include "carpd/gateways.h"
#include "common/io/clock.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

static struct gateways read_routes(const char *ifname)
{
	struct gateways found;
	struct nl nl;

	assert_int_equal(gateways_open(&nl), 0);
	assert_int_equal(gateways_read(&nl, if_nametoindex(ifname),
				 mono_add(clock_now(), dur_s(20)), &found),
		0);
	nl_close(&nl);
	return found;
}

static void run(const char *command)
{
	if (system(command) != 0) /* NOLINT: a fixed line of this test's */
		fail_msg("failed: %s", command);
}

static bool has(const struct gateways *found, const char *text)
{
	struct ipaddr wanted;

	assert_true(ipaddr_parse(text, &wanted));
	for (uint32_t i = 0; i < found->count; i++)
		if (ipaddr_equal(&found->list[i], &wanted))
			return true;
	return false;
}

static int set_up(void **state)
{
	(void)state;
	run("ip link add left type veth peer name right && ip addr add 10.1.0.2/24 dev left &&"
	    "ip addr add 10.2.0.2/24 dev right && ip -6 addr add fd01::2/64 dev left nodad &&"
	    "ip link set left up && ip link set right up");
	return 0;
}

static void test_the_kernels_routes(void **state)
{
	struct gateways found = read_routes("left");

	(void)state;
	assert_int_equal(found.count, 0); /* its own networks have none */
	run("ip route add default via 10.1.0.1 dev left && ip route add 10.9.0.0/16 via 10.2.0.9 &&"
	    "ip route add 10.8.0.0/16 via 10.1.0.1 && ip route add blackhole 10.7.0.0/16 &&"
	    "ip -6 route add default via fd01::1 dev left && ip route add 10.6.0.0/16 nexthop via "
	    "10.1.0.6 dev left nexthop via 10.2.0.6 dev right");
	found = read_routes("left");
	assert_int_equal(found.count, 3);
	assert_true(has(&found, "10.1.0.1") && has(&found, "10.1.0.6") && has(&found, "fd01::1"));
	found = read_routes("right");
	assert_int_equal(found.count, 2);
	assert_true(has(&found, "10.2.0.9") && has(&found, "10.2.0.6"));
}

static void test_more_than_fit(void **state)
{
	struct gateways found;

	(void)state;
	run("for i in $(seq 20 40); do ip route add 10.200.$i.0/24 via 10.1.0.$i dev left; done");
	found = read_routes("left");
	assert_int_equal(found.count, CARPD_GATEWAYS_MAX);
}

static struct nlmsghdr *message_begin(uint8_t *buffer, uint8_t family, uint8_t type)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct rtmsg *body;

	message->nlmsg_type = RTM_NEWROUTE;
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->rtm_family = family;
	body->rtm_type = type;
	return message;
}

static void test_messages(void **state)
{
	static const uint8_t v4[4] = {10, 0, 0, 1}, via[18] = {AF_INET6, 0, 0xfe, 0x80};
	uint8_t buffer[512] __attribute__((aligned(4)));
	struct gateways found = {0};
	struct nlmsghdr *message;

	(void)state;
	message = message_begin(buffer, AF_INET, RTN_UNICAST);
	mnl_attr_put_u32(message, RTA_OIF, 7);
	mnl_attr_put(message, RTA_VIA, sizeof(via), via);
	gateways_take(&found, message, 7);
	assert_true(found.count == 1 && has(&found, "fe80::"));
	/* Another interface, a blackhole, an address of a wrong length, a truncated multipath. */
	message = message_begin(buffer, AF_INET, RTN_UNICAST);
	mnl_attr_put_u32(message, RTA_OIF, 8);
	mnl_attr_put(message, RTA_GATEWAY, 4, v4);
	gateways_take(&found, message, 7);
	message = message_begin(buffer, AF_INET, RTN_BLACKHOLE);
	mnl_attr_put_u32(message, RTA_OIF, 7);
	mnl_attr_put(message, RTA_GATEWAY, 4, v4);
	gateways_take(&found, message, 7);
	message = message_begin(buffer, AF_INET6, RTN_UNICAST);
	mnl_attr_put_u32(message, RTA_OIF, 7);
	mnl_attr_put(message, RTA_GATEWAY, 4, v4);
	gateways_take(&found, message, 7);
	message = message_begin(buffer, AF_INET, RTN_UNICAST);
	mnl_attr_put(message, RTA_MULTIPATH, 10, "\x40\x00\x00\x00\x07\x00\x00\x00\x08\x00");
	gateways_take(&found, message, 7);
	assert_int_equal(found.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_kernels_routes),
		cmocka_unit_test(test_more_than_fit),
		cmocka_unit_test(test_messages),
	};

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		fprintf(stderr, "skipped: no network namespace for this user\n");
		return TEST_SKIP;
	}
	return cmocka_run_group_tests(tests, set_up, NULL);
}
