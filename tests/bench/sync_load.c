/* sync_load: the load of `./dev bench sync`, and the least that its work costs.
 *
 *   sync_load create COUNT RATE     TCP flows behind source NAT, established
 *   sync_load touch COUNT RATE      the mark of each changes: an UPDATE event
 *   sync_load delete COUNT RATE
 *   sync_load lives COUNT RATE GAP_MS   whole connections: SYN_SENT, SYN_RECV, ESTABLISHED,
 * FIN_WAIT, LAST_ACK, TIME_WAIT, gone, GAP_MS apart: seven events a life sync_load listen counts
 * conntrack events, 64 a recvmmsg, until its input ends, and looks at nothing in them: the floor of
 * any source RATE: flows a second, 0 as fast as the kernel takes them (the floor of any injector).
 * One line: seconds, failures, operations, CPU microseconds. */
#include "common/io/clock.h"
#include "common/io/nl.h"
#include "common/ipaddr.h"
#include "syncd/ctattr.h"
#include "syncd/kernel_batch.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIFE_STEPS	7u
#define PACED_BATCH	64u
#define LISTEN_BYTES	2048u
#define LISTEN_MESSAGES 64u
#define LISTEN_BUFFER	(64u * 1024u * 1024u)

static struct kernel_batch batch;
static uint64_t failed, operations;

static void on_error(void *context, uint64_t tag, int error)
{
	(void)context;
	(void)tag;
	(void)error;
	failed++;
}

static void make(struct flow *flow, uint32_t number, uint8_t state)
{
	uint32_t host = number / 50000;

	memset(flow, 0, sizeof(*flow));
	flow->orig.family = IPADDR_V4;
	flow->orig.proto = 6;
	memcpy(flow->orig.src,
		(uint8_t[]){10, 1, (uint8_t)(1 + host / 200), (uint8_t)(20 + host % 200)}, 4);
	memcpy(flow->orig.dst, (uint8_t[]){10, 2, 0, 100}, 4);
	flow->orig.src_port = (uint16_t)(number % 50000 + 10000);
	flow->orig.dst_port = (uint16_t)(7777 + host);
	flow_tuple_invert(&flow->orig, &flow->reply);
	memcpy(flow->reply.dst, (uint8_t[]){10, 2, 0, 254}, 4);
	flow->has = FLOW_HAS_REPLY | FLOW_HAS_STATUS | FLOW_HAS_TIMEOUT | FLOW_HAS_TCP |
		    FLOW_HAS_TCP_WINDOW;
	flow->status = FLOW_STATUS_CONFIRMED;
	if (state >= 2)
		flow->status |= FLOW_STATUS_SEEN_REPLY;
	if (state >= FLOW_TCP_ESTABLISHED)
		flow->status |= FLOW_STATUS_ASSURED;
	flow->timeout_s = state == FLOW_TCP_ESTABLISHED ? 432000 : 120;
	flow->tcp_state = state;
	flow->tcp_flags[0] = flow->tcp_flags[1] = FLOW_TCP_WINDOW_SCALE | FLOW_TCP_SACK_PERM;
	flow->tcp_wscale[0] = flow->tcp_wscale[1] = 7;
}

enum load_op { LOAD_CREATE, LOAD_TOUCH, LOAD_DELETE };

static const uint8_t life_states[LIFE_STEPS] = {1, 2, 3, 4, 6, 7, 7}; /* enum tcp_conntrack */
static const enum load_op life_ops[LIFE_STEPS] = {
	LOAD_CREATE, LOAD_TOUCH, LOAD_TOUCH, LOAD_TOUCH, LOAD_TOUCH, LOAD_TOUCH, LOAD_DELETE};

/* put: limit: a batch goes out at so many. */
static void put(enum load_op op, uint32_t number, uint8_t state, uint32_t mark, uint32_t limit)
{
	void *at = batch.count < limit ? kernel_batch_room(&batch) : NULL;
	struct flow flow;
	uint32_t seq;
	size_t size;

	if (!at) {
		kernel_batch_flush(&batch, on_error, NULL);
		at = kernel_batch_room(&batch);
	}
	seq = kernel_batch_seq(&batch);
	make(&flow, number, state);
	flow.mark = mark;
	flow.has |= mark ? FLOW_HAS_MARK : 0;
	if (op == LOAD_CREATE)
		size = ctattr_put_create(at, seq, &flow, false);
	else if (op == LOAD_DELETE)
		size = ctattr_put_delete(at, seq, &flow);
	else
		size = ctattr_put_update(at, seq, &flow, false);
	kernel_batch_add(&batch, size, number);
	operations++;
}

/* due: how many flows have begun by now. */
static uint32_t due(int64_t us, uint32_t rate, uint32_t count)
{
	int64_t n = us < 0 ? 0 : rate ? us * rate / 1000000 : count;

	return n < count ? (uint32_t)n : count;
}

static void run_single(enum load_op op, uint32_t count, uint32_t rate)
{
	mono_t began_at = clock_now();
	uint32_t mark = op == LOAD_TOUCH ? (uint32_t)began_at.us | 1 : 0;
	uint32_t i = 0;

	while (i < count) {
		uint32_t until = due(mono_diff(clock_now(), began_at).us, rate, count);

		if (until == i)
			usleep(500);
		for (; i < until; i++)
			put(op, i, FLOW_TCP_ESTABLISHED, mark, rate ? PACED_BATCH : UINT32_MAX);
		kernel_batch_flush(&batch, on_error, NULL);
	}
}

static void run_lives(uint32_t count, uint32_t rate, uint32_t gap_ms)
{
	mono_t began_at = clock_now();
	uint32_t done[LIFE_STEPS] = {0};

	while (done[LIFE_STEPS - 1] < count) {
		int64_t us = mono_diff(clock_now(), began_at).us;
		uint64_t before = operations;

		for (uint32_t step = 0; step < LIFE_STEPS; step++) {
			uint32_t until = due(us - (int64_t)step * gap_ms * 1000, rate, count);

			for (; done[step] < until; done[step]++)
				put(life_ops[step], done[step], life_states[step], 0, PACED_BATCH);
		}
		kernel_batch_flush(&batch, on_error, NULL);
		if (operations == before)
			usleep(500);
	}
}

static void run_listen(void)
{
	static const int groups[] = {
		NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY};
	static uint8_t data[LISTEN_MESSAGES][LISTEN_BYTES];
	struct nl_options options = {
		.bus = NETLINK_NETFILTER, .receive_bytes = LISTEN_BUFFER, .no_enobufs = true};
	struct mmsghdr headers[LISTEN_MESSAGES] = {0};
	struct iovec vectors[LISTEN_MESSAGES];
	struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.events = POLLIN}};
	struct nl nl;

	if (nl_open(&nl, &options) < 0)
		exit(1);
	for (size_t i = 0; i < 3; i++)
		if (setsockopt(nl_fd(&nl), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			    sizeof(int)))
			exit(1);
	for (size_t i = 0; i < LISTEN_MESSAGES; i++) {
		vectors[i] = (struct iovec){data[i], LISTEN_BYTES};
		headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
	}
	fds[1].fd = nl_fd(&nl);
	while (poll(fds, 2, -1) >= 0 && !fds[0].revents) {
		int got = recvmmsg(fds[1].fd, headers, LISTEN_MESSAGES, MSG_DONTWAIT, NULL);

		operations += got > 0 ? (uint64_t)got : 0;
	}
	nl_close(&nl);
}

int main(int argc, char **argv)
{
	uint32_t numbers[3] = {0};
	struct timespec cpu;
	mono_t began_at;

	for (int i = 2; i < argc && i < 5; i++)
		numbers[i - 2] = (uint32_t)strtoul(argv[i], NULL, 10);
	if (argc < 2 || kernel_batch_open(&batch) < 0)
		return 2;
	began_at = clock_now();
	if (strcmp(argv[1], "lives") == 0)
		run_lives(numbers[0], numbers[1], numbers[2]);
	else if (strcmp(argv[1], "listen") == 0)
		run_listen();
	else
		run_single(argv[1][0] == 'c'   ? LOAD_CREATE
			   : argv[1][0] == 't' ? LOAD_TOUCH
					       : LOAD_DELETE,
			numbers[0], numbers[1]);
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	printf("%.6f %llu %llu %.0f\n", (double)mono_diff(clock_now(), began_at).us / 1e6,
		(unsigned long long)failed, (unsigned long long)operations,
		(double)cpu.tv_sec * 1e6 + (double)cpu.tv_nsec / 1e3);
	kernel_batch_close(&batch);
	return failed ? 1 : 0;
}
