/* nl.h with the real kernel, in a network namespace of this test's own (skipped where it may not
 * have one): batches answered one by one, errors with the kernel's words, dumps, events, deadlines.
 */
#include "tests/unit/common/test.h"

#include "common/io/clock.h"
#include "common/io/nl.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

static struct nl nl;
static uint8_t memory[NL_BATCH_MESSAGES_MAX * 256u + NL_MESSAGE_BYTES_MAX];

static mono_t soon(void)
{
	return mono_add(clock_now(), dur_s(10));
}

static int set_up(void **state)
{
	(void)state;
	return nl_open(&nl, &(struct nl_options){.bus = NETLINK_ROUTE});
}

static int tear_down(void **state)
{
	(void)state;
	nl_close(&nl);
	nl_close(&nl); /* harmless */
	return 0;
}

/* put_address: 10.1.H.L/32 on lo: none is another one's secondary, each comes and goes alone. */
static void put_address(struct nl_batch *batch, uint16_t type, uint16_t flags, uint32_t n)
{
	uint8_t address[4] = {10, 1, (uint8_t)(n >> 8), (uint8_t)n};
	struct nlmsghdr *message = nl_batch_begin(batch, &nl, type, flags);
	struct ifaddrmsg *header;

	assert_non_null(message);
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ifa_family = AF_INET;
	header->ifa_prefixlen = 32;
	header->ifa_index = if_nametoindex("lo");
	mnl_attr_put(message, IFA_LOCAL, 4, address);
	nl_batch_end(batch, message);
}

static int count_message(const struct nlmsghdr *message, void *context)
{
	(void)message;
	(*(int *)context)++;
	return 0;
}

static int count_addresses(void)
{
	uint8_t buffer[256] __attribute__((aligned(4)));
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	int count = 0;

	message->nlmsg_type = RTM_GETADDR;
	message->nlmsg_flags = NLM_F_DUMP;
	header->ifa_family = AF_INET;
	assert_int_equal(nl_dump(&nl, message, soon(), count_message, &count), 0);
	return count;
}

static void test_a_full_batch_is_answered_one_by_one(void **state)
{
	static int errors[NL_BATCH_MESSAGES_MAX];
	struct nl_batch batch;
	struct nl_result result;
	int before = count_addresses();

	(void)state;
	nl_batch_init(&batch, &nl, memory, sizeof(memory));
	for (uint32_t i = 0; i < NL_BATCH_MESSAGES_MAX; i++) /* the 8th and 9th are the same */
		put_address(&batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, i == 8 ? 7 : i);
	assert_null(nl_batch_begin(&batch, &nl, RTM_NEWADDR, 0));
	errors[7] = errors[8] = 99;
	assert_int_equal(nl_batch_commit(&batch, &nl, soon(), errors, &result), 0);
	assert_int_equal(result.error_count, 1);
	assert_int_equal(result.first_error_index, 8);
	assert_int_equal(result.first_error, -EEXIST);
	assert_int_equal(errors[7], 0);
	assert_int_equal(errors[8], -EEXIST);
	assert_int_equal(count_addresses(), before + (int)NL_BATCH_MESSAGES_MAX - 1);
	/* Again: all are there now, and 512 errors with their texts fit the receive buffer. */
	for (uint32_t i = 0; i < NL_BATCH_MESSAGES_MAX; i++)
		put_address(&batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, i == 8 ? 7 : i);
	assert_int_equal(nl_batch_commit(&batch, &nl, soon(), NULL, &result), 0);
	assert_int_equal(result.error_count, NL_BATCH_MESSAGES_MAX);
	for (uint32_t i = 0; i < NL_BATCH_MESSAGES_MAX; i++)
		put_address(&batch, RTM_DELADDR, 0, i == 8 ? 7 : i);
	assert_int_equal(nl_batch_commit(&batch, &nl, soon(), NULL, &result), 0);
	assert_int_equal(result.error_count, 1);
	assert_int_equal(result.first_error, -EADDRNOTAVAIL);
	assert_int_equal(count_addresses(), before);
}

static void test_an_empty_batch_is_nothing(void **state)
{
	struct nl_result result = {.error_count = 9};
	struct nl_batch batch;

	(void)state;
	nl_batch_init(&batch, &nl, memory, sizeof(memory));
	assert_int_equal(nl_batch_commit(&batch, &nl, MONO_ZERO, NULL, &result), 0);
	assert_int_equal(result.error_count, 0);
}

static void test_errors_come_with_the_kernels_words(void **state)
{
	uint8_t buffer[256] __attribute__((aligned(4)));
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	struct nlattr *nest;
	char text[NL_TEXT_MAX];

	(void)state;
	message->nlmsg_type = RTM_NEWLINK;
	message->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	header->ifi_family = AF_UNSPEC;
	nest = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "no-such-kind");
	mnl_attr_nest_end(message, nest);
	assert_int_equal(nl_call(&nl, message, soon(), text), -EOPNOTSUPP);
	assert_string_equal(text, "Unknown device type");
	/* A call that succeeds says nothing, and answers of the failed one do not disturb it. */
	message = mnl_nlmsg_put_header(buffer);
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	message->nlmsg_type = RTM_NEWLINK;
	header->ifi_index = (int)if_nametoindex("lo");
	header->ifi_flags = header->ifi_change = IFF_UP;
	assert_int_equal(nl_call(&nl, message, soon(), text), 0);
	assert_string_equal(text, "");
}

static int refuse_message(const struct nlmsghdr *message, void *context)
{
	(void)message;
	(*(int *)context)++;
	return -ECANCELED;
}

static void test_a_dump_that_is_refused_is_read_to_its_end(void **state)
{
	uint8_t buffer[256] __attribute__((aligned(4)));
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	int count = 0;

	(void)state;
	(void)mnl_nlmsg_put_extra_header(message, sizeof(struct ifaddrmsg));
	message->nlmsg_type = RTM_GETADDR;
	message->nlmsg_flags = NLM_F_DUMP;
	assert_int_equal(nl_dump(&nl, message, soon(), refuse_message, &count), -ECANCELED);
	assert_int_equal(count, 1);
	assert_true(count_addresses() >= 0); /* the socket is in order */
}

static void test_a_deadline_ends_the_wait(void **state)
{
	uint8_t data[NL_RECEIVE_BYTES];
	struct nl_batch batch;
	mono_t before = clock_now();

	(void)state;
	nl_batch_init(&batch, &nl, memory, sizeof(memory));
	put_address(&batch, RTM_NEWADDR, NLM_F_REPLACE, 1);
	assert_true(mnl_socket_sendto(nl.socket, batch.data, batch.used_bytes) > 0);
	assert_true(recv(nl_fd(&nl), data, sizeof(data), 0) > 0);
	/* The same again, without asking for an answer. */
	((struct nlmsghdr *)(void *)batch.data)->nlmsg_flags = NLM_F_REQUEST | NLM_F_REPLACE;
	assert_int_equal(
		nl_batch_commit(&batch, &nl, mono_add(before, dur_ms(50)), NULL, NULL), -ETIMEDOUT);
	assert_true(mono_diff(clock_now(), before).us >= 50000);
	assert_true(mono_diff(clock_now(), before).us < 5000000);
}

static void on_event(const struct nlmsghdr *message, void *context)
{
	if (message->nlmsg_type == RTM_NEWADDR)
		(*(int *)context)++;
}

static void test_events(void **state)
{
	struct nl events = {0};
	struct nl_batch batch;
	struct nl_result result;
	int count = 0;

	(void)state;
	assert_int_equal(nl_open(&events, &(struct nl_options){.bus = NETLINK_ROUTE,
						  .groups = RTMGRP_IPV4_IFADDR,
						  .receive_bytes = 4u << 20}),
		0);
	assert_true(events.receive_buffer_bytes >= 4u << 20);
	assert_int_equal(nl_receive(&events, on_event, &count), 0);
	nl_batch_init(&batch, &nl, memory, sizeof(memory));
	put_address(&batch, RTM_NEWADDR, NLM_F_CREATE, 200);
	put_address(&batch, RTM_NEWADDR, NLM_F_CREATE, 201);
	assert_int_equal(nl_batch_commit(&batch, &nl, soon(), NULL, &result), 0);
	assert_int_equal(result.error_count, 0);
	while (nl_receive(&events, on_event, &count) > 0)
		;
	assert_int_equal(count, 2);
	nl_close(&events);
}

static void test_lost_events_are_reported(void **state)
{
	struct nl events = {0};
	struct nl_batch batch;
	struct nl_result result;
	ssize_t r = 1;
	int count = 0;

	(void)state;
	assert_int_equal(nl_open(&events, &(struct nl_options){.bus = NETLINK_ROUTE,
						  .groups = RTMGRP_IPV4_IFADDR,
						  .receive_bytes = 4096}),
		0);
	nl_batch_init(&batch, &nl, memory, sizeof(memory));
	for (uint32_t i = 0; i < 100; i++)
		put_address(&batch, RTM_NEWADDR, NLM_F_CREATE, 300 + i);
	assert_int_equal(nl_batch_commit(&batch, &nl, soon(), NULL, &result), 0);
	assert_int_equal(result.error_count, 0);
	while (r > 0)
		r = nl_receive(&events, on_event, &count);
	assert_int_equal(r, -ENOBUFS);
	assert_true(count < 100);
	nl_close(&events);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_full_batch_is_answered_one_by_one),
		TEST(test_an_empty_batch_is_nothing),
		TEST(test_errors_come_with_the_kernels_words),
		TEST(test_a_dump_that_is_refused_is_read_to_its_end),
		TEST(test_a_deadline_ends_the_wait),
		TEST(test_events),
		TEST(test_lost_events_are_reported),
	};

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		fprintf(stderr, "skipped: no network namespace for this user\n");
		return TEST_SKIP;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
