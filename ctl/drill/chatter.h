/* chatter.h: the TCP part of the prober: connections that ask a small question every tenth of a
 * second, and new connections, as often. Not blocking; the caller polls. */
#ifndef CTL_DRILL_CHATTER_H
#define CTL_DRILL_CHATTER_H

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define CHATTER_MAX	    32u /* that last */
#define CHATTER_NEW_MAX	    64u /* new ones under way at once */
#define CHATTER_POLLS_MAX   (CHATTER_MAX + CHATTER_NEW_MAX)
#define CHATTER_PERIOD_MS   100
#define CHATTER_WHY_MAX	    96u
#define CHATTER_HUNG_MS	    5000 /* a question that old is not going to be answered */
#define CHATTER_RETRIED_MS  900	 /* established later than this: by a later SYN */
#define CHATTER_GIVEN_UP_MS 10000

struct chatter_connection {
	int fd; /* -1: dead */
	bool established;
	uint32_t asked;	  /* bytes of questions sent */
	uint32_t heard;	  /* bytes of echoes */
	int64_t asked_at; /* the question that is not answered; 0: none is */
	int64_t longest_pause_ns;
	char why[CHATTER_WHY_MAX]; /* it died */
};

struct chatter_new {
	int fd; /* -1: free */
	int64_t since;
};

struct chatter {
	struct sockaddr_storage to;
	socklen_t to_size;
	unsigned int count;
	struct chatter_connection connections[CHATTER_MAX];
	struct chatter_new news[CHATTER_NEW_MAX];
	uint64_t new_sent, new_lost, new_retried; /* of this part */
	int64_t next_at;
	const void *polled[CHATTER_POLLS_MAX]; /* whose descriptor each is */
};

void chatter_open(struct chatter *chatter, const struct sockaddr_storage *to, socklen_t to_size,
	unsigned int count);
void chatter_close(struct chatter *chatter);

/* chatter_polls: fills in what to wait for; returns how many (at most CHATTER_POLLS_MAX). */
unsigned int chatter_polls(struct chatter *chatter, struct pollfd *polls);

/* chatter_turn: after poll(2) on these. */
void chatter_turn(struct chatter *chatter, const struct pollfd *polls, unsigned int count);

unsigned int chatter_alive(const struct chatter *chatter, int64_t now);

/* chatter_result: puts "tcp" and "connects" into the result, and begins the next part. */
void chatter_result(struct chatter *chatter, json_t *result);

#endif
