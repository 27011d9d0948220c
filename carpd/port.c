#include "carpd/port.h"

#include "common/check.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_RECEIVE_BYTES   (1 << 20)
#define SOCKET_NEIGHBOUR_BYTES (64 << 10)
#define SOCKET_PRIORITY	       7 /* TC_PRIO_CONTROL: before bulk in every default queue */
#define SOCKET_FILTER_MAX      48u

const uint8_t port_broadcast[FRAME_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* A BPF program under construction. Jumps to "drop" are written as SOCKET_TO_DROP and resolved at
 * the end: the last instruction. */
struct socket_filter {
	struct sock_filter code[SOCKET_FILTER_MAX];
	unsigned int length;
};

#define SOCKET_TO_DROP 0xffu
#define SOCKET_LOAD_W  (BPF_LD | BPF_W | BPF_ABS)
#define SOCKET_LOAD_B  (BPF_LD | BPF_B | BPF_ABS)

static void socket_filter_put(struct socket_filter *filter, unsigned int code, unsigned int value,
	uint8_t yes, uint8_t no)
{
	CHECK(filter->length < SOCKET_FILTER_MAX);
	filter->code[filter->length++] =
		(struct sock_filter){.code = (uint16_t)code, .jt = yes, .jf = no, .k = value};
}

/* socket_filter_need: the loaded word must be `value`, else drop. */
static void socket_filter_need(
	struct socket_filter *filter, unsigned int load, unsigned int offset, uint32_t value)
{
	socket_filter_put(filter, load, offset, 0, 0);
	socket_filter_put(filter, BPF_JMP | BPF_JEQ | BPF_K, value, 0, SOCKET_TO_DROP);
}

static void socket_filter_accept(struct socket_filter *filter)
{
	socket_filter_put(filter, BPF_RET | BPF_K, 0xffffffff, 0, 0);
}

/* socket_filter_start: not ours are outgoing frames, frames for others, and tagged ones, which
 * belong to a VLAN interface above this one. */
static void socket_filter_start(struct socket_filter *filter)
{
	unsigned int type = (unsigned int)(SKF_AD_OFF + SKF_AD_PKTTYPE);

	*filter = (struct socket_filter){0};
	socket_filter_need(
		filter, SOCKET_LOAD_W, (unsigned int)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT), 0);
	socket_filter_put(filter, SOCKET_LOAD_W, type, 0, 0);
	socket_filter_put(filter, BPF_JMP | BPF_JGE | BPF_K, PACKET_OTHERHOST, SOCKET_TO_DROP, 0);
	socket_filter_put(
		filter, SOCKET_LOAD_W, (unsigned int)(SKF_AD_OFF + SKF_AD_PROTOCOL), 0, 0);
}

/* socket_filter_type: the next `length` instructions are for this ethertype; others skip them. */
static void socket_filter_type(struct socket_filter *filter, unsigned int ethertype, uint8_t length)
{
	socket_filter_put(filter, BPF_JMP | BPF_JEQ | BPF_K, ethertype, 0, length);
}

static uint32_t socket_word(const struct ipaddr *address, unsigned int index)
{
	const uint8_t *bytes = address->bytes + 4 * index;

	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

/* Each block is entered with the ethertype in the accumulator and ends in accept or drop. */
static void socket_filter_v4(struct socket_filter *filter, const struct ipaddr *destination)
{
	socket_filter_type(filter, ETH_P_IP, 5);
	socket_filter_need(filter, SOCKET_LOAD_B, 9, FRAME_PROTOCOL_CARP);
	socket_filter_need(filter, SOCKET_LOAD_W, 16, socket_word(destination, 0));
	socket_filter_accept(filter);
}

static void socket_filter_v6(struct socket_filter *filter, const struct ipaddr *destination)
{
	socket_filter_type(filter, ETH_P_IPV6, 11);
	socket_filter_need(filter, SOCKET_LOAD_B, 6, FRAME_PROTOCOL_CARP);
	for (unsigned int i = 0; i < 4; i++)
		socket_filter_need(filter, SOCKET_LOAD_W, 24 + 4 * i, socket_word(destination, i));
	socket_filter_accept(filter);
}

static void socket_filter_neighbours(struct socket_filter *filter)
{
	socket_filter_type(filter, ETH_P_ARP, 1);
	socket_filter_accept(filter);
	/* ICMPv6 neighbour advertisements without extension headers. */
	socket_filter_type(filter, ETH_P_IPV6, 5);
	socket_filter_need(filter, SOCKET_LOAD_B, 6, IPPROTO_ICMPV6);
	socket_filter_need(filter, SOCKET_LOAD_B, FRAME_IPV6_BYTES, 136);
	socket_filter_accept(filter);
}

static int socket_filter_attach(struct socket_filter *filter, int fd)
{
	struct sock_fprog program = {.filter = filter->code};
	unsigned int last;

	socket_filter_put(filter, BPF_RET | BPF_K, 0, 0, 0);
	last = filter->length - 1;
	for (unsigned int i = 0; i < last; i++) {
		struct sock_filter *code = &filter->code[i];

		if (BPF_CLASS(code->code) != BPF_JMP)
			continue;
		if (code->jt == SOCKET_TO_DROP)
			code->jt = (uint8_t)(last - i - 1);
		if (code->jf == SOCKET_TO_DROP)
			code->jf = (uint8_t)(last - i - 1);
	}
	program.len = (unsigned short)filter->length;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											   : 0;
}

static int socket_join(int fd, uint32_t ifindex, const struct ipaddr *group)
{
	struct packet_mreq request = {
		.mr_ifindex = (int)ifindex,
		.mr_type = PACKET_MR_MULTICAST,
		.mr_alen = FRAME_MAC_BYTES,
	};

	frame_multicast_mac(group, request.mr_address);
	return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)) < 0
		       ? -errno
		       : 0;
}

/* socket_open: filter before bind, so that not one foreign packet is ever queued. */
static int socket_open(
	int *ret_fd, uint32_t ifindex, struct socket_filter *filter, int receive_bytes)
{
	struct sockaddr_ll local = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)ifindex,
	};
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, priority = SOCKET_PRIORITY, r;

	if (fd < 0)
		return -errno;
	r = socket_filter_attach(filter, fd);
	if (r < 0)
		goto err;
	(void)setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof(receive_bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
	if (bind(fd, (const struct sockaddr *)&local, sizeof(local)) < 0) {
		r = -errno;
		goto err;
	}
	*ret_fd = fd;
	return 0;

err:
	close(fd);
	return r;
}

/* socket_member: a member of ff02::12 as MLD knows it. -1 where IPv6 is switched off. */
static int socket_member(uint32_t ifindex, const struct ipaddr *group)
{
	struct ipv6_mreq request = {.ipv6mr_interface = ifindex};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	memcpy(&request.ipv6mr_multiaddr, group->bytes, sizeof(request.ipv6mr_multiaddr));
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof(request)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int port_open(struct port *ret_port, uint32_t ifindex, const struct ipaddr *own)
{
	struct ipaddr group_v4 = frame_group_v4(), group_v6 = frame_group_v6();
	struct port port = {.ifindex = ifindex, .fd = -1, .neighbour_fd = -1, .member_fd = -1};
	struct socket_filter filter;
	int r;

	socket_filter_start(&filter);
	if (!own || own->family == IPADDR_V4)
		socket_filter_v4(&filter, own ? own : &group_v4);
	if (!own || own->family == IPADDR_V6)
		socket_filter_v6(&filter, own ? own : &group_v6);
	r = socket_open(&port.fd, ifindex, &filter, SOCKET_RECEIVE_BYTES);
	if (r == 0 && !own)
		r = socket_join(port.fd, ifindex, &group_v4);
	if (r == 0 && !own)
		r = socket_join(port.fd, ifindex, &group_v6);
	if (r == 0 && !own) {
		socket_filter_start(&filter);
		socket_filter_neighbours(&filter);
		r = socket_open(&port.neighbour_fd, ifindex, &filter, SOCKET_NEIGHBOUR_BYTES);
	}
	if (r < 0) {
		port_close(&port);
		return r;
	}
	if (!own)
		port.member_fd = socket_member(ifindex, &group_v6);
	*ret_port = port;
	return 0;
}

void port_close(struct port *port)
{
	if (port->fd >= 0)
		close(port->fd);
	if (port->neighbour_fd >= 0)
		close(port->neighbour_fd);
	if (port->member_fd > 0)
		close(port->member_fd);
	*port = (struct port){.fd = -1, .neighbour_fd = -1, .member_fd = -1};
}

int port_receive(int fd, struct port_batch *batch)
{
	struct sockaddr_ll from[PORT_BATCH];
	struct mmsghdr messages[PORT_BATCH] = {0};
	struct iovec parts[PORT_BATCH];
	int count;

	for (unsigned int i = 0; i < PORT_BATCH; i++) {
		parts[i] = (struct iovec){batch->bytes[i], PORT_PACKET_BYTES};
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &from[i],
			.msg_namelen = sizeof(from[i]),
			.msg_iov = &parts[i],
			.msg_iovlen = 1,
		};
	}
	do
		count = recvmmsg(fd, messages, PORT_BATCH, MSG_DONTWAIT, NULL);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		return errno == EAGAIN ? 0 : -errno;
	/* One that is larger than the buffer comes cut: its own length then says that it is none of
	 * ours, and it is counted like every other drop. */
	for (int i = 0; i < count; i++) {
		batch->packets[i] = (struct port_packet){
			.data = batch->bytes[i],
			.size_bytes = messages[i].msg_len,
			.ethertype = ntohs(from[i].sll_protocol),
			.ifindex = (uint32_t)from[i].sll_ifindex,
		};
		if (from[i].sll_halen == FRAME_MAC_BYTES)
			memcpy(batch->packets[i].mac, from[i].sll_addr, FRAME_MAC_BYTES);
	}
	return count;
}

int port_send(int fd, uint32_t ifindex, uint16_t ethertype, const uint8_t mac[FRAME_MAC_BYTES],
	const uint8_t *data, size_t size_bytes)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ethertype),
		.sll_ifindex = (int)ifindex,
		.sll_halen = FRAME_MAC_BYTES,
	};

	memcpy(to.sll_addr, mac, FRAME_MAC_BYTES);
	if (sendto(fd, data, size_bytes, 0, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}

int port_open_sender(void)
{
	int priority = SOCKET_PRIORITY;
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority));
	return fd;
}

void port_open_quiet(void)
{
	struct sock_filter nothing[] = {{.code = BPF_RET | BPF_K, .k = 0}};
	struct sock_fprog program = {.len = 1, .filter = nothing};
	const int families[] = {AF_INET, AF_INET6};

	for (unsigned int i = 0; i < ARRAY_LEN(families); i++) {
		int fd = socket(families[i], SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			(int)FRAME_PROTOCOL_CARP);

		if (fd >= 0)
			(void)setsockopt(
				fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	}
}
