/* tcp.h: TCP connections through the firewalls, of the kinds that break in different ways.
 *
 *   chatter   a small question every few milliseconds, answered at once: one segment in flight
 *   idle      silent from before the fault to the end, then used once: only the table remembers it
 *   download  server to client as fast as it goes: data in flight at the fault
 *   upload    client to server, likewise
 *   both      both directions at once
 *
 * A connection has survived when, at the end of the observation, neither side has seen an error or
 * an end of file, and data has moved in every direction of its kind in the last seconds. A pause
 * of one retransmission timeout (200 ms and more) is TCP's own and no failure. */
#ifndef CTL_DRILL_TCP_H
#define CTL_DRILL_TCP_H

#include "common/ipaddr.h"

#include <stdbool.h>
#include <stdint.h>

#define TCP_PORT	  4243u
#define TCP_CONNS_MAX	  64u
#define TCP_CHATTER_MS	  5
#define TCP_CHATTER_BYTES 64u
#define TCP_CHUNK_BYTES	  65536u
#define TCP_VERDICT_MAX	  96u

enum tcp_kind {
	TCP_KIND_CHATTER,
	TCP_KIND_IDLE,
	TCP_KIND_DOWNLOAD,
	TCP_KIND_UPLOAD,
	TCP_KIND_BOTH,
	TCP_KIND_COUNT,
};

const char *tcp_kind_name(enum tcp_kind kind);

struct tcp_options {
	int client_netns_fd;
	int server_netns_fd;
	struct ipaddr client;
	struct ipaddr server;
	unsigned int counts[TCP_KIND_COUNT]; /* connections of each kind */
};

/* What became of one connection. */
struct tcp_result {
	enum tcp_kind kind;
	bool survived;
	char why[TCP_VERDICT_MAX]; /* when not: "reset by the server's side", ... */
	uint64_t up_bytes;
	uint64_t down_bytes;
	int64_t longest_pause_ns; /* between two arrivals; 0 for idle ones */
};

struct tcp;

/* tcp_start: connects everything (deadline 5 s) and starts the traffic. 0 or a negative errno. */
int tcp_start(struct tcp **ret_tcp, const struct tcp_options *options);

/* tcp_flowing: every connection that is not idle has moved data in each of its directions. */
bool tcp_flowing(const struct tcp *tcp);

/* tcp_judge: uses the idle ones once, watches for `watch_ms`, and judges. At most TCP_CONNS_MAX
 * results; returns how many. */
unsigned int tcp_judge(struct tcp *tcp, int watch_ms, struct tcp_result *ret_results);

/* tcp_free: ends everything with resets, so that no state lingers. NULL is allowed. */
void tcp_free(struct tcp *tcp);

#endif
