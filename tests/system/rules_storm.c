/* rules_storm: packets as fast as they go, for what slips through between two rulesets.
 *
 *   rules_storm ADDRESS PORT[,PORT...]     UDP to each port in turn until killed; prints READY
 * first.
 *
 * A few hundred source ports, so that new connections (NAT!) come as well as known ones. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BURST	  32u
#define PORTS_MAX 8u
#define SOCKETS	  64u

int main(int argc, char **argv)
{
	struct sockaddr_in to[PORTS_MAX] = {0};
	struct mmsghdr messages[BURST] = {0};
	char payload[] = "storm";
	struct iovec data = {.iov_base = payload, .iov_len = sizeof(payload)};
	unsigned int ports = 0, turn = 0;
	int sockets[SOCKETS];

	if (argc != 3)
		return 2;
	for (char *port = strtok(argv[2], ","); port && ports < PORTS_MAX;
		port = strtok(NULL, ",")) {
		to[ports].sin_family = AF_INET;
		to[ports].sin_port = htons((uint16_t)strtoul(port, NULL, 10));
		if (inet_pton(AF_INET, argv[1], &to[ports++].sin_addr) != 1)
			return 2;
	}
	for (unsigned int i = 0; i < SOCKETS; i++) {
		sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (sockets[i] < 0)
			return 1;
	}
	for (unsigned int i = 0; i < BURST; i++) {
		messages[i].msg_hdr.msg_name = &to[i % ports];
		messages[i].msg_hdr.msg_namelen = sizeof(to[0]);
		messages[i].msg_hdr.msg_iov = &data;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	printf("READY\n");
	fflush(stdout);
	for (;; turn++) {
		unsigned int at = turn % SOCKETS;

		if (turn % 4096 == 0) { /* a new source port: a new connection */
			close(sockets[turn / 4096 % SOCKETS]);
			sockets[turn / 4096 % SOCKETS] =
				socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		}
		if (sendmmsg(sockets[at], messages, BURST, 0) < 0 && errno != ENOBUFS &&
			errno != EPERM && errno != EAGAIN)
			return 1;
	}
}
