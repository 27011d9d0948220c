#include "ctl/drill/flows.h"

#include "ctl/drill/sandbox.h"
#include "ctl/drill/udp.h"

#include "common/io/clock.h"
#include "common/io/nl.h"
#include "common/io/sysctl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define FLOWS_BATCH_BYTES  (FLOWS_BATCH * 512u + NL_MESSAGE_BYTES_MAX)
#define FLOWS_SOCKET_BYTES (8u * 1024u * 1024u)
#define FLOWS_DEADLINE_MS  60000
#define FLOWS_TIMEOUT_S	   432000u /* nf_conntrack_tcp_timeout_established */
#define FLOWS_WINDOW_SCALE 7u
#define FLOWS_TCP_FLAGS	   (IP_CT_TCP_FLAG_WINDOW_SCALE | IP_CT_TCP_FLAG_SACK_PERM)

/* One flow of the set, by its index. */
struct flows_flow {
	struct ipaddr source;
	uint16_t source_port; /* and the translated one: what masquerading would try first */
	uint16_t destination_port;
};

static struct flows_flow flows_nth(const struct flows_set *set, uint32_t index)
{
	uint32_t block = index / FLOWS_PORTS;
	struct flows_flow flow = {.source = set->client,
		.source_port = (uint16_t)(FLOWS_PORT_FIRST + index % FLOWS_PORTS),
		.destination_port = (uint16_t)(FLOWS_DPORT_FIRST + block)};

	return flow;
}

/* The index of a flow of the set; false when the ports are none of ours. */
static bool flows_index(const struct flows_set *set, uint16_t source_port,
	uint16_t destination_port, uint32_t *ret_index)
{
	uint32_t index;

	if (source_port < FLOWS_PORT_FIRST || source_port >= FLOWS_PORT_FIRST + FLOWS_PORTS ||
		destination_port < FLOWS_DPORT_FIRST)
		return false;
	index = (destination_port - FLOWS_DPORT_FIRST) * FLOWS_PORTS +
		(source_port - FLOWS_PORT_FIRST);
	*ret_index = index;
	return index < set->count;
}

static int flows_open(struct nl *nl, int netns_fd)
{
	int r = sandbox_netns_enter(netns_fd);

	if (r < 0)
		return r;
	r = nl_open(nl, &(struct nl_options){.bus = NETLINK_NETFILTER,
				.receive_bytes = FLOWS_SOCKET_BYTES,
				.send_bytes = FLOWS_SOCKET_BYTES});
	sandbox_netns_home();
	return r;
}

static void flows_put_header(struct nlmsghdr *message, uint8_t family)
{
	struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

	header->nfgen_family = family == IPADDR_V4 ? AF_INET : AF_INET6;
	header->version = NFNETLINK_V0;
}

static void flows_put_address(
	struct nlmsghdr *message, uint16_t v4_type, uint16_t v6_type, const struct ipaddr *addr)
{
	mnl_attr_put(message, addr->family == IPADDR_V4 ? v4_type : v6_type,
		ipaddr_size_bytes(addr), addr->bytes);
}

static void flows_put_tuple(struct nlmsghdr *message, uint16_t type, const struct ipaddr *source,
	uint16_t source_port, const struct ipaddr *destination, uint16_t destination_port)
{
	struct nlattr *tuple = mnl_attr_nest_start(message, type);
	struct nlattr *ip = mnl_attr_nest_start(message, CTA_TUPLE_IP);
	struct nlattr *proto;

	flows_put_address(message, CTA_IP_V4_SRC, CTA_IP_V6_SRC, source);
	flows_put_address(message, CTA_IP_V4_DST, CTA_IP_V6_DST, destination);
	mnl_attr_nest_end(message, ip);
	proto = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(message, CTA_PROTO_NUM, IPPROTO_TCP);
	mnl_attr_put_u16(message, CTA_PROTO_SRC_PORT, htons(source_port));
	mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, htons(destination_port));
	mnl_attr_nest_end(message, proto);
	mnl_attr_nest_end(message, tuple);
}

static void flows_put_tcp(struct nlmsghdr *message)
{
	struct nf_ct_tcp_flags flags = {.flags = FLOWS_TCP_FLAGS, .mask = FLOWS_TCP_FLAGS};
	struct nlattr *info = mnl_attr_nest_start(message, CTA_PROTOINFO);
	struct nlattr *tcp = mnl_attr_nest_start(message, CTA_PROTOINFO_TCP);

	mnl_attr_put_u8(message, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
	mnl_attr_put_u8(message, CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, FLOWS_WINDOW_SCALE);
	mnl_attr_put_u8(message, CTA_PROTOINFO_TCP_WSCALE_REPLY, FLOWS_WINDOW_SCALE);
	mnl_attr_put(message, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, sizeof(flags), &flags);
	mnl_attr_put(message, CTA_PROTOINFO_TCP_FLAGS_REPLY, sizeof(flags), &flags);
	mnl_attr_nest_end(message, tcp);
	mnl_attr_nest_end(message, info);
}

/* The kernel makes the translated reply itself: it is given the plain one and CTA_NAT_SRC. */
static void flows_put_nat(struct nlmsghdr *message, const struct ipaddr *nat, uint16_t port)
{
	struct nlattr *nest = mnl_attr_nest_start(message, CTA_NAT_SRC);
	struct nlattr *proto;

	flows_put_address(message, CTA_NAT_V4_MINIP, CTA_NAT_V6_MINIP, nat);
	proto = mnl_attr_nest_start(message, CTA_NAT_PROTO);
	mnl_attr_put_u16(message, CTA_PROTONAT_PORT_MIN, htons(port));
	mnl_attr_put_u16(message, CTA_PROTONAT_PORT_MAX, htons(port));
	mnl_attr_nest_end(message, proto);
	mnl_attr_nest_end(message, nest);
}

static void flows_put(struct nlmsghdr *message, const struct flows_set *set, uint32_t index)
{
	struct flows_flow flow = flows_nth(set, index);

	flows_put_header(message, set->client.family);
	flows_put_tuple(message, CTA_TUPLE_ORIG, &flow.source, flow.source_port, &set->server,
		flow.destination_port);
	flows_put_tuple(message, CTA_TUPLE_REPLY, &set->server, flow.destination_port, &flow.source,
		flow.source_port);
	mnl_attr_put_u32(message, CTA_STATUS, htonl(IPS_CONFIRMED | IPS_ASSURED | IPS_SEEN_REPLY));
	mnl_attr_put_u32(message, CTA_TIMEOUT, htonl(FLOWS_TIMEOUT_S));
	flows_put_tcp(message);
	if (set->translated)
		flows_put_nat(message, &set->nat, flow.source_port);
}

static int flows_fill_batch(struct nl *nl, const struct flows_set *set, void *memory,
	uint32_t *index, uint32_t *ret_created)
{
	struct nl_batch batch;
	struct nl_result result;
	uint32_t count = 0;
	int r;

	nl_batch_init(&batch, nl, memory, FLOWS_BATCH_BYTES);
	while (*index < set->count && count < FLOWS_BATCH) {
		struct nlmsghdr *message =
			nl_batch_begin(&batch, nl, (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_NEW,
				NLM_F_CREATE | NLM_F_EXCL);

		if (!message)
			break;
		flows_put(message, set, *index);
		nl_batch_end(&batch, message);
		(*index)++;
		count++;
	}
	r = nl_batch_commit(
		&batch, nl, mono_add(clock_now(), dur_ms(FLOWS_DEADLINE_MS)), NULL, &result);
	if (r < 0)
		return r;
	*ret_created += count - result.error_count;
	return result.first_error;
}

int flows_fill(int netns_fd, const struct flows_set *set, uint32_t *ret_created)
{
	void *memory = malloc(FLOWS_BATCH_BYTES);
	struct nl nl = {0};
	uint32_t index = 0;
	int r;

	*ret_created = 0;
	if (!memory)
		return -ENOMEM;
	r = flows_open(&nl, netns_fd);
	while (r == 0 && index < set->count && !sandbox_stopped())
		r = flows_fill_batch(&nl, set, memory, &index, ret_created);
	nl_close(&nl);
	free(memory);
	return r;
}

/* The parts of a dumped entry that the drill compares. */
struct flows_entry {
	uint8_t protocol;
	uint8_t tcp_state;
	uint32_t status;
	struct ipaddr source;	   /* original */
	struct ipaddr destination; /* original */
	uint16_t source_port;
	uint16_t destination_port;
	struct ipaddr reply_destination;
	uint16_t reply_destination_port;
};

static void flows_get_address(const struct nlattr *attr, struct ipaddr *ret)
{
	uint16_t size_bytes = mnl_attr_get_payload_len(attr);

	if (size_bytes != 4 && size_bytes != 16)
		return;
	ret->family = size_bytes == 4 ? IPADDR_V4 : IPADDR_V6;
	ret->prefix_len = (uint8_t)(size_bytes * 8);
	(void)memcpy(ret->bytes, mnl_attr_get_payload(attr), size_bytes);
}

static void flows_get_tuple(const struct nlattr *tuple, struct ipaddr *ret_source,
	struct ipaddr *ret_destination, uint8_t *ret_protocol, uint16_t *ret_source_port,
	uint16_t *ret_destination_port)
{
	struct nlattr *part;
	struct nlattr *attr;

	mnl_attr_for_each_nested (part, tuple) {
		mnl_attr_for_each_nested (attr, part) {
			uint16_t type = mnl_attr_get_type(attr);

			if (mnl_attr_get_type(part) == CTA_TUPLE_IP) {
				if (type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC)
					flows_get_address(attr, ret_source);
				if (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST)
					flows_get_address(attr, ret_destination);
			} else if (mnl_attr_get_type(part) == CTA_TUPLE_PROTO) {
				if (type == CTA_PROTO_NUM)
					*ret_protocol = mnl_attr_get_u8(attr);
				if (type == CTA_PROTO_SRC_PORT)
					*ret_source_port = ntohs(mnl_attr_get_u16(attr));
				if (type == CTA_PROTO_DST_PORT)
					*ret_destination_port = ntohs(mnl_attr_get_u16(attr));
			}
		}
	}
}

static void flows_get_tcp(const struct nlattr *info, struct flows_entry *entry)
{
	struct nlattr *tcp;
	struct nlattr *attr;

	mnl_attr_for_each_nested (tcp, info) {
		if (mnl_attr_get_type(tcp) != CTA_PROTOINFO_TCP)
			continue;
		mnl_attr_for_each_nested (attr, tcp) {
			if (mnl_attr_get_type(attr) == CTA_PROTOINFO_TCP_STATE)
				entry->tcp_state = mnl_attr_get_u8(attr);
		}
	}
}

static void flows_decode(const struct nlmsghdr *message, struct flows_entry *entry)
{
	struct ipaddr reply_source = {0};
	uint16_t reply_source_port = 0;
	uint8_t reply_protocol = 0;
	struct nlattr *attr;

	(void)memset(entry, 0, sizeof(*entry));
	mnl_attr_for_each (attr, message, sizeof(struct nfgenmsg)) {
		switch (mnl_attr_get_type(attr)) {
		case CTA_TUPLE_ORIG:
			flows_get_tuple(attr, &entry->source, &entry->destination, &entry->protocol,
				&entry->source_port, &entry->destination_port);
			break;
		case CTA_TUPLE_REPLY:
			flows_get_tuple(attr, &reply_source, &entry->reply_destination,
				&reply_protocol, &reply_source_port,
				&entry->reply_destination_port);
			break;
		case CTA_STATUS:
			entry->status = ntohl(mnl_attr_get_u32(attr));
			break;
		case CTA_PROTOINFO:
			flows_get_tcp(attr, entry);
			break;
		default:
			break;
		}
	}
}

static int flows_dump(int netns_fd,
	int (*on_message)(const struct nlmsghdr *message, void *context), void *context)
{
	uint8_t buffer[256];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nl nl = {0};
	int r = flows_open(&nl, netns_fd);

	if (r < 0)
		return r;
	message->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET;
	message->nlmsg_flags = NLM_F_DUMP;
	flows_put_header(message, IPADDR_V4);
	/* AF_UNSPEC: both families. */
	((struct nfgenmsg *)mnl_nlmsg_get_payload(message))->nfgen_family = AF_UNSPEC;
	r = nl_dump(&nl, message, mono_add(clock_now(), dur_ms(FLOWS_DEADLINE_MS)), on_message,
		context);
	nl_close(&nl);
	return r;
}

struct flows_counting {
	const struct flows_set *set;
	uint8_t *seen; /* one bit a flow: a dump may show an entry twice */
	int64_t count;
};

/* ASSURED and ESTABLISHED, the same addresses, and translated as it was: else it has not survived.
 */
static bool flows_whole(const struct flows_set *set, const struct flows_entry *entry)
{
	const struct ipaddr *reply = set->translated ? &set->nat : &set->client;

	return entry->protocol == IPPROTO_TCP && entry->tcp_state == TCP_CONNTRACK_ESTABLISHED &&
	       (entry->status & IPS_ASSURED) && ipaddr_equal(&entry->source, &set->client) &&
	       ipaddr_equal(&entry->destination, &set->server) &&
	       ipaddr_equal(&entry->reply_destination, reply) &&
	       entry->reply_destination_port == entry->source_port;
}

static int flows_on_entry(const struct nlmsghdr *message, void *context)
{
	struct flows_counting *counting = context;
	struct flows_entry entry;
	uint32_t index;

	flows_decode(message, &entry);
	if (!flows_whole(counting->set, &entry) ||
		!flows_index(counting->set, entry.source_port, entry.destination_port, &index))
		return 0;
	if (counting->seen[index / 8] & (1u << (index % 8)))
		return 0;
	counting->seen[index / 8] |= (uint8_t)(1u << (index % 8));
	counting->count++;
	return 0;
}

int64_t flows_count(int netns_fd, const struct flows_set *set)
{
	struct flows_counting counting = {.set = set};
	int r = -EINTR;

	counting.seen = calloc(set->count / 8 + 1, 1);
	if (!counting.seen)
		return -ENOMEM;
	/* What a torn dump has shown is there; what is missing is asked for again. */
	for (int tries = 0; tries < 5 && (r == -EINTR || counting.count < set->count); tries++)
		r = flows_dump(netns_fd, flows_on_entry, &counting);
	free(counting.seen);
	return r < 0 && r != -EINTR ? r : counting.count;
}

struct flows_search {
	const struct plan_pair *pair;
	bool found;
	struct flows_entry entry;
};

static int flows_on_search(const struct nlmsghdr *message, void *context)
{
	struct flows_search *search = context;
	struct flows_entry entry;

	if (search->found)
		return 0;
	flows_decode(message, &entry);
	if (entry.protocol != IPPROTO_UDP || entry.destination_port != UDP_PORT ||
		!ipaddr_equal(&entry.source, &search->pair->client_address) ||
		!ipaddr_equal(&entry.destination, &search->pair->server_address))
		return 0;
	search->found = true;
	search->entry = entry;
	return 0;
}

bool flows_find_nat(
	int netns_fd, const struct plan_pair *pair, bool *ret_translated, struct ipaddr *ret_nat)
{
	struct flows_search search = {.pair = pair};

	(void)flows_dump(netns_fd, flows_on_search, &search);
	if (!search.found)
		return false;
	*ret_translated = !ipaddr_equal(&search.entry.reply_destination, &pair->client_address);
	*ret_nat = search.entry.reply_destination;
	return true;
}

int64_t flows_table_count(int netns_fd)
{
	int64_t count = 0;
	int r = sandbox_netns_enter(netns_fd);

	if (r < 0)
		return r;
	r = sysctl_read("net/netfilter/nf_conntrack_count", &count);
	sandbox_netns_home();
	return r < 0 ? r : count;
}

int64_t flows_table_max(void)
{
	int64_t max = 0;
	int r = sysctl_read("net/netfilter/nf_conntrack_max", &max);

	return r < 0 ? r : max;
}

void flows_flush(int netns_fd)
{
	uint8_t buffer[256];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nl nl = {0};

	if (flows_open(&nl, netns_fd) < 0)
		return;
	message->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE;
	flows_put_header(message, IPADDR_V4);
	((struct nfgenmsg *)mnl_nlmsg_get_payload(message))->nfgen_family = AF_UNSPEC;
	(void)!nl_call(&nl, message, mono_add(clock_now(), dur_ms(FLOWS_DEADLINE_MS)), NULL);
	nl_close(&nl);
}
