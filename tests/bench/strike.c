/* strike: cuts a machine's power under a UDP stream, and says for how long nothing came through.
 *
 *   strike --client NS --server NS --switch NS --target ADDRESS [--rate HZ] [--quiet MS]
 *          [--phase US] [--limit MS] PORT...
 *
 * A probe leaves the client's namespace every period; an echo in the server's sends it back. When
 * nothing was lost for --quiet, and --phase later (the caller's random number: the cut must not be
 * in step with the adverts), the named ports of the switch stop forwarding, all in one message
 * train, carriers up: to everybody else the machine is dead. When answers have come again for
 * STRIKE_AFTER_MS the stream ends, and one line of JSON tells:
 *
 *   outage_ms   from the cut to the sending of the first probe after the last lost one. Never too
 *               small, and at most period_ms too large;
 *   lost        probes without an answer;
 *   cut_ms      what the cut itself took; late_ms: by how much our own sender was late at worst
 *               between cut and recovery: a machine that stalled, which is not the election's
 * doing; cut_at      the cut by the wall clock, in seconds.
 *
 * Exit 0; 1 with {"error":...} when traffic did not flow before, or not again within --limit.
 * The threads are real-time, above what is measured, where that is permitted. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_bridge.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STRIKE_PORT	    4243
#define STRIKE_SECONDS_MAX  60
#define STRIKE_RATE_MAX	    20000
#define STRIKE_SAMPLES_MAX  (STRIKE_SECONDS_MAX * STRIKE_RATE_MAX)
#define STRIKE_PORTS_MAX    16
#define STRIKE_AFTER_MS	    120
#define STRIKE_STRAGGLER_MS 40
#define STRIKE_PRIORITY	    60 /* above what is measured: its work must not look like an outage */
#define NS_PER_MS	    INT64_C(1000000)
#define NS_PER_S	    INT64_C(1000000000)

struct sample {
	_Atomic int64_t sent_at; /* ns; 0 not yet */
	_Atomic bool is_answered;
};

struct strike {
	const char *client, *server, *switches, *target;
	int64_t period_ns, quiet_ns, phase_ns, limit_ns;
	int client_fd, server_fd, netlink_fd;
	unsigned int port_count;
	int ports[STRIKE_PORTS_MAX];
	_Atomic bool stop;
	_Atomic size_t sent_count;
	struct sample *samples;
};

static _Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void fail(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("{\"error\":\"%s\"}\n", text);
	exit(1);
}

static int64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void sleep_until(int64_t at)
{
	struct timespec t = {.tv_sec = at / NS_PER_S, .tv_nsec = at % NS_PER_S};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static void enter(const char *name)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		fail("namespace %s: %s", name, strerror(errno));
	(void)close(fd);
}

static void open_sockets(struct strike *s)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(STRIKE_PORT)};
	struct timeval patience = {.tv_usec = 20000};

	if (inet_pton(AF_INET, s->target, &address.sin_addr) != 1)
		fail("not an address: %s", s->target);
	enter(s->server);
	s->server_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(s->server_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("bind: %s", strerror(errno));
	enter(s->client);
	s->client_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (connect(s->client_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("connect: %s", strerror(errno));
	(void)setsockopt(s->server_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(s->client_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

/* From here on this process is where the switches are. */
static void open_switch(struct strike *s, char **names, int count)
{
	enter(s->switches);
	s->netlink_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (s->netlink_fd < 0)
		fail("netlink: %s", strerror(errno));
	for (int i = 0; i < count && i < STRIKE_PORTS_MAX; i++) {
		s->ports[i] = (int)if_nametoindex(names[i]);
		if (s->ports[i] == 0)
			fail("no such port: %s", names[i]);
		s->port_count++;
	}
}

/* One RTM_SETLINK a port: IFLA_PROTINFO with the state of a bridge port (net/bridge/br_netlink.c,
 * br_setlink). Attribute lengths are without padding, positions with. */
struct port_message {
	struct nlmsghdr header;
	struct ifinfomsg info;
	struct nlattr nest;
	struct nlattr state;
	uint8_t value;
	uint8_t padding[3];
};

static void cut(struct strike *s)
{
	struct port_message messages[STRIKE_PORTS_MAX];
	char answers[4096];

	for (unsigned int i = 0; i < s->port_count; i++)
		messages[i] =
			(struct port_message){.header = {.nlmsg_len = sizeof(messages[i]),
						      .nlmsg_type = RTM_SETLINK,
						      .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
						      .nlmsg_seq = i + 1},
				.info = {.ifi_family = AF_BRIDGE, .ifi_index = s->ports[i]},
				.nest = {.nla_len = 2 * sizeof(struct nlattr) + 4,
					.nla_type = IFLA_PROTINFO | NLA_F_NESTED},
				.state = {.nla_len = sizeof(struct nlattr) + 1,
					.nla_type = IFLA_BRPORT_STATE},
				.value = BR_STATE_DISABLED};
	if (send(s->netlink_fd, messages, s->port_count * sizeof(messages[0]), 0) < 0)
		fail("cut: %s", strerror(errno));
	for (unsigned int acked = 0; acked < s->port_count;) {
		ssize_t size = recv(s->netlink_fd, answers, sizeof(answers), 0);
		struct nlmsghdr *header = (struct nlmsghdr *)answers;

		if (size < 0)
			fail("cut: %s", strerror(errno));
		for (; NLMSG_OK(header, (size_t)size); header = NLMSG_NEXT(header, size)) {
			const struct nlmsgerr *error = NLMSG_DATA(header);

			if (header->nlmsg_type != NLMSG_ERROR || error->error != 0)
				fail("cut: refused: %s", strerror(-error->error));
			acked++;
		}
	}
}

static void *run_sender(void *context)
{
	struct strike *s = context;
	int64_t due = now();

	for (uint64_t i = 0; !s->stop && i < STRIKE_SAMPLES_MAX; i++) {
		int64_t at;

		sleep_until(due);
		at = now();
		s->samples[i].sent_at = at;
		s->sent_count = i + 1;
		(void)!send(s->client_fd, &i, sizeof(i), MSG_DONTWAIT);
		/* Who was late does not catch up with a burst. */
		due = due + s->period_ns > at ? due + s->period_ns : at + s->period_ns;
	}
	return NULL;
}

static void *run_echo(void *context)
{
	struct strike *s = context;
	struct sockaddr_in from;
	uint64_t number;

	while (!s->stop) {
		socklen_t size = sizeof(from);

		if (recvfrom(s->server_fd, &number, sizeof(number), 0, (struct sockaddr *)&from,
			    &size) == (ssize_t)sizeof(number))
			(void)!sendto(s->server_fd, &number, sizeof(number), MSG_DONTWAIT,
				(struct sockaddr *)&from, size);
	}
	return NULL;
}

static void *run_receiver(void *context)
{
	struct strike *s = context;
	uint64_t number;

	while (!s->stop)
		if (recv(s->client_fd, &number, sizeof(number), 0) == (ssize_t)sizeof(number) &&
			number < STRIKE_SAMPLES_MAX)
			s->samples[number].is_answered = true;
	return NULL;
}

static pthread_t start(void *(*run)(void *), struct strike *s)
{
	struct sched_param priority = {.sched_priority = STRIKE_PRIORITY};
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, s) != 0)
		fail("thread");
	(void)pthread_setschedparam(thread, SCHED_FIFO, &priority);
	return thread;
}

/* The first sample that was sent at or after this instant; sent_count when there is none. */
static size_t sample_at(const struct strike *s, int64_t at)
{
	size_t low = 0, high = s->sent_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->samples[middle].sent_at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t lost_between(const struct strike *s, int64_t from, int64_t to)
{
	size_t lost = 0, end = sample_at(s, to);

	for (size_t i = sample_at(s, from); i < end; i++)
		lost += !s->samples[i].is_answered;
	return lost;
}

static void wait_quiet(const struct strike *s)
{
	int64_t begun = now();

	for (;;) {
		int64_t to = now() - STRIKE_STRAGGLER_MS * NS_PER_MS;
		int64_t from = to - s->quiet_ns;

		if (from >= begun && lost_between(s, from, to) == 0)
			return;
		if (now() > begun + s->limit_ns)
			fail("no steady traffic before the cut");
		sleep_until(now() + NS_PER_MS);
	}
}

static void wait_recovery(const struct strike *s, int64_t cut_at)
{
	for (;;) {
		size_t end = s->sent_count;

		for (size_t i = sample_at(s, cut_at); i < end; i++)
			if (s->samples[i].is_answered)
				return;
		if (now() > cut_at + s->limit_ns)
			fail("nothing came through again");
		sleep_until(now() + NS_PER_MS);
	}
}

static void report(const struct strike *s, int64_t begun, int64_t done)
{
	size_t first = sample_at(s, begun);
	size_t end = sample_at(s, now() - STRIKE_STRAGGLER_MS * NS_PER_MS);
	size_t good = first;
	int64_t late = 0;
	struct timespec wall;

	for (size_t i = first; i < end; i++)
		if (!s->samples[i].is_answered)
			good = i + 1;
	for (size_t i = first; i > 0 && i < s->sent_count && i <= good; i++) {
		int64_t gap = s->samples[i].sent_at - s->samples[i - 1].sent_at - s->period_ns;

		late = gap > late ? gap : late;
	}
	if (good >= end)
		fail("it did not last");
	(void)clock_gettime(CLOCK_REALTIME, &wall);
	printf("{\"outage_ms\":%.3f,\"period_ms\":%.3f,\"lost\":%zu,\"cut_ms\":%.3f,"
	       "\"late_ms\":%.3f,\"cut_at\":%.6f}\n",
		(double)(s->samples[good].sent_at - begun) / 1e6, (double)s->period_ns / 1e6,
		lost_between(s, begun, s->samples[good].sent_at), (double)(done - begun) / 1e6,
		(double)late / 1e6,
		(double)wall.tv_sec + (double)wall.tv_nsec / 1e9 - (double)(now() - begun) / 1e9);
}

static void parse(struct strike *s, int argc, char **argv)
{
	static const struct option options[] = {{"client", required_argument, NULL, 'c'},
		{"server", required_argument, NULL, 's'}, {"switch", required_argument, NULL, 'w'},
		{"target", required_argument, NULL, 't'}, {"rate", required_argument, NULL, 'r'},
		{"quiet", required_argument, NULL, 'q'}, {"phase", required_argument, NULL, 'p'},
		{"limit", required_argument, NULL, 'l'}, {NULL, 0, NULL, 0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			s->client = optarg;
			break;
		case 's':
			s->server = optarg;
			break;
		case 'w':
			s->switches = optarg;
			break;
		case 't':
			s->target = optarg;
			break;
		case 'r':
			s->period_ns = NS_PER_S / strtol(optarg, NULL, 10);
			break;
		case 'q':
			s->quiet_ns = strtol(optarg, NULL, 10) * NS_PER_MS;
			break;
		case 'p':
			s->phase_ns = strtol(optarg, NULL, 10) * 1000;
			break;
		case 'l':
			s->limit_ns = strtol(optarg, NULL, 10) * NS_PER_MS;
			break;
		default:
			fail("unknown option");
		}
	}
	if (!s->client || !s->server || !s->switches || !s->target || optind == argc ||
		s->period_ns < NS_PER_S / STRIKE_RATE_MAX)
		fail("see the head of strike.c");
}

int main(int argc, char **argv)
{
	struct strike s = {.period_ns = NS_PER_S / 4000,
		.quiet_ns = 100 * NS_PER_MS,
		.limit_ns = 10 * NS_PER_S};
	pthread_t threads[3];
	int64_t begun, done;

	parse(&s, argc, argv);
	s.samples = calloc(STRIKE_SAMPLES_MAX, sizeof(*s.samples));
	if (!s.samples)
		fail("memory");
	open_sockets(&s);
	open_switch(&s, argv + optind, argc - optind);
	threads[0] = start(run_echo, &s);
	threads[1] = start(run_receiver, &s);
	threads[2] = start(run_sender, &s);
	wait_quiet(&s);
	sleep_until(now() + s.phase_ns);
	begun = now();
	cut(&s);
	done = now();
	wait_recovery(&s, done);
	sleep_until(now() + (STRIKE_AFTER_MS + STRIKE_STRAGGLER_MS) * NS_PER_MS);
	report(&s, begun, done);
	s.stop = true;
	for (int i = 0; i < 3; i++)
		(void)pthread_join(threads[i], NULL);
	free(s.samples);
	return 0;
}
