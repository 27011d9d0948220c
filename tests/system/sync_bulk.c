/* sync_bulk: fills a kernel's conntrack table for tests of syncd.
 *
 *   sync_bulk create COUNT [RATE]   TCP flows 10.1.x.y:p -> 10.2.0.100:7777 behind source NAT
 *   sync_bulk touch COUNT [RATE]    changes the mark of each: an UPDATE event
 *   sync_bulk delete COUNT [RATE]
 * RATE: operations a second, 0 as fast as it goes. Prints the seconds that it took. */
#include "common/io/clock.h"
#include "common/ipaddr.h"
#include "syncd/ctattr.h"
#include "syncd/kernel_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t failed;
static int last_error;

static void on_error(void *context, uint64_t tag, int error)
{
	(void)context;
	(void)tag;
	failed++;
	last_error = error;
}

static void make(struct flow *flow, uint32_t number, uint32_t mark)
{
	uint32_t host = number / 50000 + 20;

	memset(flow, 0, sizeof(*flow));
	flow->orig.family = IPADDR_V4;
	flow->orig.proto = 6;
	memcpy(flow->orig.src, (uint8_t[]){10, 1, 0, (uint8_t)host}, 4);
	memcpy(flow->orig.dst, (uint8_t[]){10, 2, 0, 100}, 4);
	flow->orig.src_port = (uint16_t)(number % 50000 + 10000);
	flow->orig.dst_port = (uint16_t)(7777 + number / 50000);
	flow_tuple_invert(&flow->orig, &flow->reply);
	memcpy(flow->reply.dst, (uint8_t[]){10, 2, 0, 254}, 4);
	flow->has = FLOW_HAS_REPLY | FLOW_HAS_STATUS | FLOW_HAS_TIMEOUT | FLOW_HAS_TCP |
		    FLOW_HAS_TCP_WINDOW | FLOW_HAS_MARK;
	flow->status = FLOW_STATUS_ASSURED | FLOW_STATUS_SEEN_REPLY | FLOW_STATUS_CONFIRMED;
	flow->timeout_s = 432000;
	flow->tcp_state = FLOW_TCP_ESTABLISHED;
	flow->tcp_flags[0] = flow->tcp_flags[1] = FLOW_TCP_WINDOW_SCALE | FLOW_TCP_SACK_PERM;
	flow->tcp_wscale[0] = flow->tcp_wscale[1] = 7;
	flow->mark = mark;
}

static size_t put(const char *verb, void *at, uint32_t seq, uint32_t number)
{
	struct flow flow;

	make(&flow, number, 0);
	if (strcmp(verb, "create") == 0)
		return ctattr_put_create(at, seq, &flow, false);
	if (strcmp(verb, "delete") == 0)
		return ctattr_put_delete(at, seq, &flow);
	flow.mark = (uint32_t)clock_now().us;
	flow.has |= FLOW_HAS_MARK;
	return ctattr_put_update(at, seq, &flow, false);
}

int main(int argc, char **argv)
{
	struct kernel_batch batch;
	uint32_t count, rate;
	mono_t began_at;

	if (argc < 3)
		return 2;
	count = (uint32_t)strtoul(argv[2], NULL, 10);
	rate = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
	if (kernel_batch_open(&batch) < 0)
		return 1;
	began_at = clock_now();
	for (uint32_t i = 0; i < count; i++) {
		void *at = kernel_batch_room(&batch);

		if (!at || (rate && batch.count >= 64)) {
			kernel_batch_flush(&batch, on_error, NULL);
			while (rate &&
				(uint64_t)mono_diff(clock_now(), began_at).us * rate / 1000000 < i)
				usleep(200);
			at = kernel_batch_room(&batch);
		}
		kernel_batch_add(&batch, put(argv[1], at, kernel_batch_seq(&batch), i), i);
	}
	kernel_batch_flush(&batch, on_error, NULL);
	printf("%.3f %llu %s\n", (double)mono_diff(clock_now(), began_at).us / 1e6,
		(unsigned long long)failed, failed ? strerror(last_error) : "-");
	kernel_batch_close(&batch);
	return failed ? 1 : 0;
}
