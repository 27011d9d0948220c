#include "ctl/drill/chatter.h"

#include "ctl/drill/tick.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHATTER_QUESTION_BYTES 32u

static int chatter_connect(const struct chatter *chatter)
{
	int fd = socket(chatter->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)&chatter->to, chatter->to_size) < 0 &&
		errno != EINPROGRESS) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}

static void chatter_die(struct chatter_connection *connection, const char *why)
{
	(void)close(connection->fd);
	connection->fd = -1;
	(void)snprintf(connection->why, sizeof(connection->why), "%s", why);
}

void chatter_open(struct chatter *chatter, const struct sockaddr_storage *to, socklen_t to_size,
	unsigned int count)
{
	*chatter = (struct chatter){.to = *to, .to_size = to_size, .count = count};
	for (unsigned int i = 0; i < CHATTER_NEW_MAX; i++)
		chatter->news[i].fd = -1;
	for (unsigned int i = 0; i < count; i++) {
		struct chatter_connection *connection = &chatter->connections[i];

		connection->fd = chatter_connect(chatter);
		if (connection->fd < 0)
			(void)snprintf(connection->why, sizeof(connection->why),
				"no connection: %s", strerror(-connection->fd));
	}
	chatter->next_at = tick_now() + CHATTER_PERIOD_MS * TICK_NS_PER_MS;
}

void chatter_close(struct chatter *chatter)
{
	for (unsigned int i = 0; i < chatter->count; i++)
		if (chatter->connections[i].fd >= 0)
			(void)close(chatter->connections[i].fd);
	for (unsigned int i = 0; i < CHATTER_NEW_MAX; i++)
		if (chatter->news[i].fd >= 0)
			(void)close(chatter->news[i].fd);
}

unsigned int chatter_polls(struct chatter *chatter, struct pollfd *polls)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < chatter->count; i++) {
		struct chatter_connection *connection = &chatter->connections[i];

		if (connection->fd < 0)
			continue;
		chatter->polled[count] = connection;
		polls[count++] = (struct pollfd){
			.fd = connection->fd, .events = connection->established ? POLLIN : POLLOUT};
	}
	for (unsigned int i = 0; i < CHATTER_NEW_MAX; i++) {
		if (chatter->news[i].fd < 0)
			continue;
		chatter->polled[count] = &chatter->news[i];
		polls[count++] = (struct pollfd){.fd = chatter->news[i].fd, .events = POLLOUT};
	}
	return count;
}

static void chatter_ask(struct chatter_connection *connection, int64_t now)
{
	static const uint8_t question[CHATTER_QUESTION_BYTES];
	ssize_t n;

	if (connection->fd < 0 || !connection->established || connection->asked_at != 0)
		return;
	n = send(connection->fd, question, sizeof(question), MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		chatter_die(connection, strerror(errno));
		return;
	}
	if (n <= 0)
		return;
	connection->asked += (uint32_t)n;
	connection->asked_at = now;
}

static void chatter_hear(struct chatter_connection *connection, int64_t now)
{
	uint8_t bytes[CHATTER_QUESTION_BYTES * 4];
	int error = 0;
	socklen_t size = sizeof(error);
	ssize_t n;

	if (!connection->established) {
		(void)getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error != 0)
			chatter_die(connection, strerror(error));
		connection->established = error == 0;
		return;
	}
	n = recv(connection->fd, bytes, sizeof(bytes), 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		chatter_die(connection, n == 0 ? "closed by the other side" : strerror(errno));
		return;
	}
	if (n <= 0)
		return;
	connection->heard += (uint32_t)n;
	if (connection->heard != connection->asked)
		return;
	if (now - connection->asked_at > connection->longest_pause_ns)
		connection->longest_pause_ns = now - connection->asked_at;
	connection->asked_at = 0;
}

/* A new connection that is over, in whatever way. */
static void chatter_settle(struct chatter *chatter, struct chatter_new *one, int64_t now)
{
	int error = 0;
	socklen_t size = sizeof(error);
	int64_t took = now - one->since;

	(void)getsockopt(one->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	(void)close(one->fd);
	one->fd = -1;
	if (error != 0 || took > CHATTER_GIVEN_UP_MS * TICK_NS_PER_MS)
		chatter->new_lost++;
	else if (took > CHATTER_RETRIED_MS * TICK_NS_PER_MS)
		chatter->new_retried++;
}

static void chatter_begin_new(struct chatter *chatter, int64_t now)
{
	for (unsigned int i = 0; i < CHATTER_NEW_MAX; i++) {
		struct chatter_new *one = &chatter->news[i];

		if (one->fd >= 0 && now - one->since > CHATTER_GIVEN_UP_MS * TICK_NS_PER_MS)
			chatter_settle(chatter, one, now);
	}
	for (unsigned int i = 0; i < CHATTER_NEW_MAX; i++) {
		struct chatter_new *one = &chatter->news[i];

		if (one->fd >= 0)
			continue;
		chatter->new_sent++;
		one->since = now;
		one->fd = chatter_connect(chatter);
		if (one->fd < 0)
			chatter->new_lost++;
		return;
	}
}

void chatter_turn(struct chatter *chatter, const struct pollfd *polls, unsigned int count)
{
	int64_t now = tick_now();

	for (unsigned int i = 0; i < count; i++) {
		if (!polls[i].revents)
			continue;
		for (unsigned int c = 0; c < chatter->count; c++)
			if (chatter->polled[i] == &chatter->connections[c])
				chatter_hear(&chatter->connections[c], now);
		for (unsigned int n = 0; n < CHATTER_NEW_MAX; n++)
			if (chatter->polled[i] == &chatter->news[n])
				chatter_settle(chatter, &chatter->news[n], now);
	}
	if (now < chatter->next_at)
		return;
	chatter->next_at = now + CHATTER_PERIOD_MS * TICK_NS_PER_MS;
	for (unsigned int i = 0; i < chatter->count; i++)
		chatter_ask(&chatter->connections[i], now);
	chatter_begin_new(chatter, now);
}

static bool chatter_is_alive(const struct chatter_connection *connection, int64_t now)
{
	return connection->fd >= 0 && connection->established &&
	       (connection->asked_at == 0 ||
		       now - connection->asked_at < CHATTER_HUNG_MS * TICK_NS_PER_MS);
}

unsigned int chatter_alive(const struct chatter *chatter, int64_t now)
{
	unsigned int alive = 0;

	for (unsigned int i = 0; i < chatter->count; i++)
		alive += chatter_is_alive(&chatter->connections[i], now);
	return alive;
}

void chatter_result(struct chatter *chatter, json_t *result)
{
	json_t *connections = json_array();
	int64_t now = tick_now(), longest = 0;

	for (unsigned int i = 0; i < chatter->count; i++) {
		struct chatter_connection *connection = &chatter->connections[i];
		bool alive = chatter_is_alive(connection, now);
		int64_t pause = connection->longest_pause_ns;

		if (connection->asked_at != 0 && now - connection->asked_at > pause)
			pause = now - connection->asked_at;
		longest = pause > longest ? pause : longest;
		(void)json_array_append_new(connections,
			json_pack("{s:s, s:b, s:s*, s:f}", "kind", "chatter", "survived", alive,
				"why",
				alive		     ? NULL
				: connection->why[0] ? connection->why
						     : "hangs: a question was not answered",
				"longest_pause_ms", tick_ms(pause)));
		connection->longest_pause_ns = 0;
	}
	(void)json_object_set_new(result, "tcp",
		json_pack("{s:i, s:i, s:f, s:o}", "total", (int)chatter->count, "survived",
			(int)chatter_alive(chatter, now), "longest_pause_ms", tick_ms(longest),
			"connections", connections));
	(void)json_object_set_new(result, "connects",
		json_pack("{s:I, s:I, s:I}", "sent", (json_int_t)chatter->new_sent, "lost",
			(json_int_t)chatter->new_lost, "retried",
			(json_int_t)chatter->new_retried));
	chatter->new_sent = 0;
	chatter->new_lost = 0;
	chatter->new_retried = 0;
}
