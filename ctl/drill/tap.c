#include "ctl/drill/tap.h"

#include "ctl/drill/netsock.h"
#include "ctl/drill/sandbox.h"
#include "ctl/drill/thread.h"
#include "ctl/drill/tick.h"
#include "ctl/drill/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TAP_BATCH	  64
#define TAP_SNAP_BYTES	  96u
#define TAP_POLL_MS	  100
#define TAP_RECEIVE_BYTES (32 * 1024 * 1024)

struct tap_asked {
	bool asked; /* has an IPv4 virtual address */
	struct ipaddr target;
	uint8_t mac[ETH_ALEN]; /* the observer's */
};

struct tap_announcement {
	int64_t at;
	uint8_t segment;
	uint8_t node;
};

#define TAP_ANNOUNCEMENTS_MAX 65536u

struct tap {
	struct tap_options options;
	struct tap_asked asked[PLAN_SEGMENTS_MAX];
	int tap_fd;
	int ask_fd;
	struct claim *claims;
	size_t claim_count;
	struct tap_forward *forwards;
	size_t forward_count;
	struct tap_announcement *announcements;
	size_t announcement_count;
	uint64_t lost_count;
	_Atomic bool stop;
	pthread_t listener;
	pthread_t asker;
	unsigned int thread_count;
};

/* Only what tap_frame() understands wakes the listener: gigabits of TCP pass by unseen. */
static int tap_set_filter(int fd)
{
	static const struct sock_filter code[] = {
		/* 0*/ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE),
		/* 1*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 17, 0),
		/* 2*/ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		/* 3*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_ARP, 16, 0),
		/* 4*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IPV6, 8, 0),
		/* 5*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IP, 0, 13),
		/* 6*/ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
		/* 7*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 11),
		/* 8*/ BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14),
		/* 9*/ BPF_STMT(BPF_LD | BPF_H | BPF_IND, 14),
		/*10*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UDP_PORT, 9, 0),
		/*11*/ BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16),
		/*12*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UDP_PORT, 7, 6),
		/*13*/ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),
		/*14*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 4),
		/*15*/ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 54),
		/*16*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UDP_PORT, 3, 0),
		/*17*/ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 56),
		/*18*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UDP_PORT, 1, 0),
		/*19*/ BPF_STMT(BPF_RET | BPF_K, 0),
		/*20*/ BPF_STMT(BPF_RET | BPF_K, TAP_SNAP_BYTES),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]),
		/* The kernel only reads it. */
		.filter = (struct sock_filter *)(uintptr_t)code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											   : 0;
}

static bool tap_port_lookup(
	const struct tap *tap, int index, uint8_t *ret_segment, uint8_t *ret_node)
{
	const struct lab *lab = tap->options.lab;

	for (unsigned int s = 0; s < lab->plan->segment_count; s++) {
		for (unsigned int n = 0; n < lab->node_count; n++) {
			if (lab->port_index[s][n] != index)
				continue;
			*ret_segment = (uint8_t)s;
			*ret_node = (uint8_t)n;
			return true;
		}
	}
	return false;
}

/* An ARP frame of a node: an answer for the asked address is a claim; so is an announcement (sender
 * and target address are the same, RFC 5227), which is noted as such too. */
static void tap_arp(struct tap *tap, const uint8_t *frame, size_t size_bytes, uint8_t segment,
	uint8_t node, int64_t at)
{
	const struct ether_arp *arp = (const void *)(frame + ETH_HLEN);
	bool announcement;
	bool own;

	if (size_bytes < ETH_HLEN + sizeof(*arp) || !tap->asked[segment].asked)
		return;
	own = memcmp(arp->arp_spa, tap->asked[segment].target.bytes, 4) == 0;
	announcement = memcmp(arp->arp_spa, arp->arp_tpa, 4) == 0;
	if (announcement && tap->announcement_count < TAP_ANNOUNCEMENTS_MAX)
		tap->announcements[tap->announcement_count++] =
			(struct tap_announcement){.at = at, .segment = segment, .node = node};
	if (!own || (!announcement && arp->ea_hdr.ar_op != htons(ARPOP_REPLY)))
		return;
	if (tap->claim_count < TAP_CLAIMS_MAX)
		tap->claims[tap->claim_count++] =
			(struct claim){.at = at, .target = segment, .node = node};
}

static void tap_frame(
	struct tap *tap, const uint8_t *frame, size_t size_bytes, int index, int64_t at)
{
	uint8_t segment;
	uint8_t node;
	uint16_t type;

	if (size_bytes < ETH_HLEN || !tap_port_lookup(tap, index, &segment, &node))
		return;
	(void)memcpy(&type, frame + 12, sizeof(type));
	if (type == htons(ETHERTYPE_ARP))
		tap_arp(tap, frame, size_bytes, segment, node, at);
	else if (tap->forward_count < TAP_FORWARDS_MAX)
		tap->forwards[tap->forward_count++] =
			(struct tap_forward){.at = at, .segment = segment, .node = node};
}

/* One slot of the receive batch. */
struct tap_slot {
	uint8_t frame[TAP_SNAP_BYTES];
	struct sockaddr_ll from;
	union {
		char bytes[128];
		struct cmsghdr align;
	} control;
	struct iovec iov;
};

static int64_t tap_stamp(const struct tap *tap, struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct timespec stamp;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		(void)memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
		return tick_from_wall(&stamp, tap->options.wall_offset);
	}
	return tick_now();
}

static void *tap_listener(void *context)
{
	struct tap *tap = context;
	struct tap_slot *slots = calloc(TAP_BATCH, sizeof(*slots));
	struct mmsghdr messages[TAP_BATCH];

	while (slots && !tap->stop) {
		int n;

		for (int i = 0; i < TAP_BATCH; i++) {
			slots[i].iov = (struct iovec){
				.iov_base = slots[i].frame, .iov_len = TAP_SNAP_BYTES};
			messages[i] = (struct mmsghdr){
				.msg_hdr = {.msg_name = &slots[i].from,
					.msg_namelen = sizeof(slots[i].from),
					.msg_iov = &slots[i].iov,
					.msg_iovlen = 1,
					.msg_control = &slots[i].control,
					.msg_controllen = sizeof(slots[i].control)}};
		}
		n = recvmmsg(tap->tap_fd, messages, TAP_BATCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < n; i++)
			tap_frame(tap, slots[i].frame, messages[i].msg_len,
				slots[i].from.sll_ifindex, tap_stamp(tap, &messages[i].msg_hdr));
	}
	free(slots);
	return NULL;
}

/* Who has the virtual address? (RFC 5227 probe) */
static void tap_ask(const struct tap *tap, unsigned int segment)
{
	const struct tap_asked *asked = &tap->asked[segment];
	struct {
		struct ether_header ethernet;
		struct ether_arp arp;
	} __attribute__((packed)) frame = {0};
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_ifindex = tap->options.lab->bridge_index[segment]};

	(void)memset(frame.ethernet.ether_dhost, 0xff, ETH_ALEN);
	(void)memcpy(frame.ethernet.ether_shost, asked->mac, ETH_ALEN);
	frame.ethernet.ether_type = htons(ETHERTYPE_ARP);
	frame.arp.ea_hdr.ar_hrd = htons(ARPHRD_ETHER);
	frame.arp.ea_hdr.ar_pro = htons(ETHERTYPE_IP);
	frame.arp.ea_hdr.ar_hln = ETH_ALEN;
	frame.arp.ea_hdr.ar_pln = 4;
	frame.arp.ea_hdr.ar_op = htons(ARPOP_REQUEST);
	(void)memcpy(frame.arp.arp_sha, asked->mac, ETH_ALEN);
	(void)memcpy(frame.arp.arp_tpa, asked->target.bytes, 4);
	(void)!sendto(
		tap->ask_fd, &frame, sizeof(frame), MSG_DONTWAIT, (const void *)&to, sizeof(to));
}

static void *tap_asker(void *context)
{
	struct tap *tap = context;
	int64_t next = tick_now();

	while (!tap->stop) {
		tick_sleep_until(next);
		for (unsigned int s = 0; s < tap->options.lab->plan->segment_count; s++)
			if (tap->asked[s].asked)
				tap_ask(tap, s);
		next += TAP_ASK_PERIOD_NS;
		if (next < tick_now())
			next = tick_now() + TAP_ASK_PERIOD_NS;
	}
	return NULL;
}

static int tap_find_targets(struct tap *tap)
{
	const struct lab *lab = tap->options.lab;

	for (unsigned int s = 0; s < lab->plan->segment_count; s++) {
		const struct ipaddr *target = plan_gateway(&lab->plan->segments[s], IPADDR_V4);
		struct ifreq request = {0};

		if (!target)
			continue;
		(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "br%u", s);
		if (ioctl(tap->ask_fd, SIOCGIFHWADDR, &request) < 0)
			return -errno;
		tap->asked[s].asked = true;
		tap->asked[s].target = *target;
		(void)memcpy(tap->asked[s].mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
	}
	return 0;
}

static int tap_open_sockets(struct tap *tap)
{
	int netns_fd = tap->options.lab->switch_netns_fd;
	struct timeval wait = {.tv_usec = TAP_POLL_MS * 1000};
	int bytes = TAP_RECEIVE_BYTES;
	struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int one = 1;
	int r;

	tap->ask_fd = netsock_open(netns_fd, AF_PACKET, SOCK_RAW, 0);
	if (tap->ask_fd < 0)
		return tap->ask_fd;
	/* Protocol 0 until the filter is in place: nothing unfiltered gets in. */
	tap->tap_fd = netsock_open(netns_fd, AF_PACKET, SOCK_RAW, 0);
	if (tap->tap_fd < 0)
		return tap->tap_fd;
	r = tap_set_filter(tap->tap_fd);
	if (r < 0)
		return r;
	(void)setsockopt(tap->tap_fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (setsockopt(tap->tap_fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) < 0 ||
		setsockopt(tap->tap_fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
		bind(tap->tap_fd, (const struct sockaddr *)&all, sizeof(all)) < 0)
		return -errno;
	return tap_find_targets(tap);
}

int tap_start(struct tap **ret_tap, const struct tap_options *options)
{
	struct tap *tap = calloc(1, sizeof(*tap));
	int r;

	if (!tap)
		return -ENOMEM;
	tap->options = *options;
	tap->tap_fd = -1;
	tap->ask_fd = -1;
	tap->claims = calloc(TAP_CLAIMS_MAX, sizeof(*tap->claims));
	tap->forwards = calloc(TAP_FORWARDS_MAX, sizeof(*tap->forwards));
	tap->announcements = calloc(TAP_ANNOUNCEMENTS_MAX, sizeof(*tap->announcements));
	r = tap->claims && tap->forwards && tap->announcements ? tap_open_sockets(tap) : -ENOMEM;
	if (r == 0)
		r = thread_start(&tap->listener, options->realtime_priority, tap_listener, tap);
	if (r == 0) {
		tap->thread_count = 1;
		r = thread_start(&tap->asker, options->realtime_priority, tap_asker, tap);
	}
	if (r < 0) {
		tap_free(tap);
		return r;
	}
	tap->thread_count = 2;
	*ret_tap = tap;
	return 0;
}

void tap_stop(struct tap *tap)
{
	struct tpacket_stats stats;
	socklen_t size = sizeof(stats);

	tap->stop = true;
	if (tap->thread_count > 1)
		(void)pthread_join(tap->asker, NULL);
	if (tap->thread_count > 0)
		(void)pthread_join(tap->listener, NULL);
	tap->thread_count = 0;
	if (tap->tap_fd >= 0 &&
		getsockopt(tap->tap_fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0)
		tap->lost_count += stats.tp_drops;
}

struct claim *tap_claims(struct tap *tap, size_t *ret_count)
{
	*ret_count = tap->claim_count;
	return tap->claims;
}

const struct tap_forward *tap_forwards(const struct tap *tap, size_t *ret_count)
{
	*ret_count = tap->forward_count;
	return tap->forwards;
}

int64_t tap_announced(const struct tap *tap, unsigned int segment, unsigned int node, int64_t from)
{
	for (size_t i = 0; i < tap->announcement_count; i++) {
		const struct tap_announcement *a = &tap->announcements[i];

		if (a->at >= from && a->segment == segment && a->node == node)
			return a->at;
	}
	return 0;
}

uint64_t tap_lost_count(const struct tap *tap)
{
	return tap->lost_count;
}

void tap_free(struct tap *tap)
{
	if (!tap)
		return;
	tap_stop(tap);
	if (tap->tap_fd >= 0)
		(void)close(tap->tap_fd);
	if (tap->ask_fd >= 0)
		(void)close(tap->ask_fd);
	free(tap->claims);
	free(tap->forwards);
	free(tap->announcements);
	free(tap);
}
