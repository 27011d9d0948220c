/* Every attribute of a connection, into this kernel and out of it again: by the injector's own
 * messages and parser.
 *
 * A row is a flow that has the attribute, what may change of it, and what the kernel answers.
 * Created, asked for, heard of by event; changed, asked for again. Everything happens in a network
 * namespace of this process's own; without the right to make one: 77. doc/state-attributes.md lists
 * the rows by name. */
#include "common/check.h"
#include "common/ipaddr.h"
#include "syncd/ctattr.h"
#include "syncd/kernel_batch.h"
#include "syncd/kernel_events.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SKIP 77

struct row {
	const char *name;
	void (*make)(struct flow *flow);
	void (*change)(struct flow *flow); /* NULL: the same once more */
	int create_error, update_error;
	uint32_t lost_create,
		lost_update; /* enum flow_has: taken without an error, and not there */
};

static struct kernel_batch batch;
static struct nl asks;
static struct kernel_events events;
static struct flow heard;
static unsigned int heard_count, failures;
static int last_error;

/* ---- flows ---- */

static void base(struct flow *flow, uint8_t family, uint8_t proto)
{
	memset(flow, 0, sizeof(*flow));
	flow->orig.family = family;
	flow->orig.proto = proto;
	if (family == IPADDR_V4) {
		memcpy(flow->orig.src, (const uint8_t[]){10, 1, 0, 10}, 4);
		memcpy(flow->orig.dst, (const uint8_t[]){10, 2, 0, 100}, 4);
	} else {
		memcpy(flow->orig.src, (const uint8_t[16]){0xfd, 1, [15] = 10}, 16);
		memcpy(flow->orig.dst, (const uint8_t[16]){0xfd, 2, [15] = 100}, 16);
	}
	if (flow_proto_has_ports(proto)) {
		flow->orig.src_port = 40000;
		flow->orig.dst_port = 8080;
	}
	flow_tuple_invert(&flow->orig, &flow->reply);
	flow->has = FLOW_HAS_REPLY | FLOW_HAS_STATUS | FLOW_HAS_TIMEOUT;
	flow->status = FLOW_STATUS_CONFIRMED | FLOW_STATUS_SEEN_REPLY;
	flow->timeout_s = 1000;
	if (proto == IPPROTO_TCP) {
		flow->has |= FLOW_HAS_TCP | FLOW_HAS_TCP_WINDOW;
		flow->tcp_state = FLOW_TCP_ESTABLISHED;
	}
}

static void tcp4(struct flow *flow)
{
	base(flow, IPADDR_V4, IPPROTO_TCP);
}

static void tcp6(struct flow *flow)
{
	base(flow, IPADDR_V6, IPPROTO_TCP);
}

static void tcp6_scaled(struct flow *flow)
{
	tcp6(flow);
	flow->tcp_flags[0] = flow->tcp_flags[1] = FLOW_TCP_WINDOW_SCALE;
}

static void udp4(struct flow *flow)
{
	base(flow, IPADDR_V4, IPPROTO_UDP);
}

static void udplite4(struct flow *flow)
{
	base(flow, IPADDR_V4, IPPROTO_UDPLITE);
}

static void esp4(struct flow *flow)
{
	base(flow, IPADDR_V4, IPPROTO_ESP);
}

static void gre4(struct flow *flow)
{
	base(flow, IPADDR_V4, IPPROTO_GRE);
}

static void icmp_of(struct flow *flow, uint8_t family, uint8_t proto, uint8_t type)
{
	base(flow, family, proto);
	flow->orig.src_port = 77;
	flow->orig.dst_port = (uint16_t)(type << 8);
	flow_tuple_invert(&flow->orig, &flow->reply);
}

static void icmp4(struct flow *flow)
{
	icmp_of(flow, IPADDR_V4, IPPROTO_ICMP, 8);
}

static void icmp6(struct flow *flow)
{
	icmp_of(flow, IPADDR_V6, IPPROTO_ICMPV6, 128);
}

static void sctp4(struct flow *flow)
{
	base(flow, IPADDR_V4, IPPROTO_SCTP);
	flow->has |= FLOW_HAS_SCTP;
	flow->sctp_state = 3; /* COOKIE_ECHOED */
	flow->sctp_vtag[0] = 0x01020304;
	flow->sctp_vtag[1] = 0x0a0b0c0d;
}

static void sctp_moves(struct flow *flow)
{
	flow->sctp_state = 4; /* ESTABLISHED */
	flow->sctp_vtag[1]++;
}

static void assured(struct flow *flow)
{
	flow->status |= FLOW_STATUS_ASSURED;
}

static void tcp_assured(struct flow *flow)
{
	tcp4(flow);
	assured(flow);
}

static void unassured(struct flow *flow)
{
	flow->status &= ~FLOW_STATUS_ASSURED;
}

static void fixed(struct flow *flow)
{
	tcp4(flow);
	flow->status |= FLOW_STATUS_FIXED;
}

static void shorter(struct flow *flow)
{
	flow->timeout_s = 300;
}

static void tcp_opening(struct flow *flow)
{
	tcp4(flow);
	flow->tcp_state = 2; /* SYN_RECV */
	flow->tcp_flags[0] = flow->tcp_flags[1] = FLOW_TCP_WINDOW_SCALE;
	flow->tcp_wscale[0] = 2;
}

static void tcp_opened(struct flow *flow)
{
	flow->tcp_state = FLOW_TCP_ESTABLISHED;
	flow->tcp_flags[0] |= FLOW_TCP_SACK_PERM;
	flow->tcp_flags[1] |= FLOW_TCP_SACK_PERM | FLOW_TCP_CLOSE_INIT;
	flow->tcp_wscale[0] = 7;
	flow->tcp_wscale[1] = 14;
}

static void to4(uint8_t *address, uint8_t last)
{
	memcpy(address, (const uint8_t[]){10, 9, 9, last}, 4);
}

static void snat4(struct flow *flow)
{
	udp4(flow);
	to4(flow->reply.dst, 1);
	flow->status |= FLOW_STATUS_SRC_NAT;
}

static void snat4_port(struct flow *flow)
{
	snat4(flow);
	flow->reply.dst_port = 1025;
}

static void snat4_port_alone(struct flow *flow)
{
	udp4(flow);
	flow->reply.dst_port = 1025;
	flow->status |= FLOW_STATUS_SRC_NAT;
}

static void dnat4(struct flow *flow)
{
	udp4(flow);
	to4(flow->reply.src, 2);
	flow->reply.src_port = 80;
	flow->status |= FLOW_STATUS_DST_NAT;
}

static void both_nat4(struct flow *flow)
{
	dnat4(flow);
	to4(flow->reply.dst, 1);
	flow->reply.dst_port = 1025;
	flow->status |= FLOW_STATUS_SRC_NAT;
}

static void nat66(struct flow *flow)
{
	tcp6(flow);
	memcpy(flow->reply.dst, (const uint8_t[16]){0xfd, 9, [15] = 1}, 16);
	memcpy(flow->reply.src, (const uint8_t[16]){0xfd, 9, [15] = 2}, 16);
	flow->reply.src_port = 80;
	flow->status |= FLOW_STATUS_SRC_NAT | FLOW_STATUS_DST_NAT;
}

static void icmp_snat(struct flow *flow)
{
	icmp4(flow);
	to4(flow->reply.dst, 1);
	flow->reply.src_port = 4321; /* the id, too */
	flow->status |= FLOW_STATUS_SRC_NAT;
}

static void gre_snat(struct flow *flow)
{
	gre4(flow);
	to4(flow->reply.dst, 1);
	flow->status |= FLOW_STATUS_SRC_NAT;
}

static void seqadj(struct flow *flow)
{
	tcp4(flow);
	flow->has |= FLOW_HAS_SEQADJ;
	flow->seqadj[0] = (struct flow_seqadj){0xfffffff0u, -3, -5};
	flow->seqadj[1] = (struct flow_seqadj){12, 3, 5};
}

static void seqadj_moves(struct flow *flow)
{
	flow->seqadj[0].offset_after = 70000;
}

static void synproxy(struct flow *flow)
{
	tcp4(flow);
	flow->has |= FLOW_HAS_SYNPROXY;
	flow->synproxy[0] = 1;
	flow->synproxy[1] = 0xffffffffu;
	flow->synproxy[2] = 3;
}

static void synproxy_moves(struct flow *flow)
{
	flow->synproxy[2] = 4;
}

static void mark(struct flow *flow)
{
	udp4(flow);
	flow->has |= FLOW_HAS_MARK;
	flow->mark = 0x80000001u;
}

static void mark_moves(struct flow *flow)
{
	flow->mark = 7;
}

static void labels(struct flow *flow)
{
	udp4(flow);
	flow->has |= FLOW_HAS_LABELS;
	flow->labels[0] = 0x02;
	flow->labels[15] = 0x80;
}

static void labels_move(struct flow *flow)
{
	flow->labels[7] = 0x10;
}

static void zone(struct flow *flow)
{
	tcp4(flow);
	flow->zone = 9;
}

static void zone_orig(struct flow *flow)
{
	zone(flow);
	flow->zone_dir = FLOW_ZONE_ORIG;
}

static void zone_reply(struct flow *flow)
{
	zone(flow);
	flow->zone_dir = FLOW_ZONE_REPLY;
}

static void ftp(struct flow *flow)
{
	tcp4(flow);
	flow->orig.dst_port = flow->reply.src_port = 21;
	flow->has |= FLOW_HAS_HELPER;
	strcpy(flow->helper, "ftp");
	flow->status |= FLOW_STATUS_HELPER;
}

static void other_helper(struct flow *flow)
{
	strcpy(flow->helper, "sane");
}

static void unknown_helper(struct flow *flow)
{
	ftp(flow);
	strcpy(flow->helper, "no-such-helper");
}

static void related(struct flow *flow)
{
	struct flow master;

	ftp(&master);
	tcp4(flow);
	flow->orig.src_port = flow->reply.dst_port = 20;
	flow->has |= FLOW_HAS_MASTER;
	flow->master = master.orig;
	flow->status |= FLOW_STATUS_EXPECTED;
}

static void orphan(struct flow *flow)
{
	related(flow);
	flow->master.src_port++;
}

static void expectation(struct flow *flow)
{
	struct flow master;

	ftp(&master);
	memset(flow, 0, sizeof(*flow));
	flow->orig = master.reply;
	flow->orig.src_port = 0;
	flow->orig.dst_port = 50000;
	flow->reply = flow->orig; /* the mask: source and destination, and the destination's port */
	memset(flow->reply.src, 0xff, 4);
	memset(flow->reply.dst, 0xff, 4);
	flow->reply.dst_port = 0xffff;
	flow->zone_dir = FLOW_ZONE_EXPECTATION;
	flow->has = FLOW_HAS_REPLY | FLOW_HAS_MASTER | FLOW_HAS_HELPER | FLOW_HAS_TIMEOUT;
	flow->timeout_s = 300; /* FTP's own */
	flow->master = master.orig;
	strcpy(flow->helper, "ftp");
	memcpy(flow->expect.nat_source, master.orig.src, 4);
	flow->expect.nat_port = 1234;
	flow->expect.nat_dir = 1;
	flow->expect.flags = 1;
	strcpy(flow->expect.fn, "nat-follow-master");
}

static void expectation_moves(struct flow *flow)
{
	flow->timeout_s = 20;
}

static void expectation_orphan(struct flow *flow)
{
	expectation(flow);
	flow->orig.dst_port++;
	flow->master.src_port++;
}

static void expectation_unknown(struct flow *flow)
{
	expectation(flow);
	flow->orig.dst_port++;
	strcpy(flow->expect.fn, "no-such-function");
}

static void clash(struct flow *flow)
{
	snat4_port(flow);
	flow->orig.src_port++; /* and the reply is the same */
}

/* ---- the kernel ---- */

static void on_error(void *context, uint64_t tag, int error)
{
	(void)context;
	(void)tag;
	last_error = error;
}

static int tell(size_t size_bytes)
{
	last_error = 0;
	kernel_batch_add(&batch, size_bytes, 0);
	CHECK(kernel_batch_flush(&batch, on_error, NULL) == 0);
	return last_error;
}

static int tell_create(const struct flow *flow)
{
	return tell(ctattr_put_create(
		kernel_batch_room(&batch), kernel_batch_seq(&batch), flow, false));
}

static int tell_update(const struct flow *flow)
{
	return tell(ctattr_put_update(
		kernel_batch_room(&batch), kernel_batch_seq(&batch), flow, false));
}

static bool get(const struct flow *flow, struct flow *ret_flow)
{
	static uint32_t data[2048];
	ssize_t size = (ssize_t)ctattr_put_get(data, ++asks.seq, flow);

	CHECK(mnl_socket_sendto(asks.socket, data, (size_t)size) == size);
	size = recv(nl_fd(&asks), data, sizeof(data), 0);
	return size > 0 && ctattr_is_known((struct nlmsghdr *)data) &&
	       ctattr_parse((struct nlmsghdr *)data, (size_t)size, ret_flow) == CTATTR_OK;
}

static void on_event(void *context, enum kernel_event type, const struct flow *flow)
{
	(void)context;
	(void)type;
	heard = *flow;
	heard_count++;
}

static bool hear(void)
{
	heard_count = 0;
	return kernel_events_read(&events, 1000) > 0 && heard_count > 0;
}

static void fail(const struct row *row, const char *when, const char *what)
{
	printf("%s: %s: %s\n", row->name, when, what);
	failures++;
}

#define STATUS_SEEN                                                                                \
	(FLOW_STATUS_SEEN_REPLY | FLOW_STATUS_ASSURED | FLOW_STATUS_SRC_NAT |                      \
		FLOW_STATUS_DST_NAT | FLOW_STATUS_HELPER | FLOW_STATUS_EXPECTED)

/* compare: all that `want` has, the kernel has. */
static void compare(const struct row *row, const char *when, const struct flow *want,
	const struct flow *got, uint32_t lost)
{
	uint32_t has = want->has & ~lost;
	struct flow merged = *got;

	merged.has = has;
	if (has & FLOW_HAS_REPLY && !flow_tuple_equal(&want->reply, &got->reply))
		fail(row, when, "another reply tuple");
	if (!flow_key_equal(want, got))
		fail(row, when, "another zone or tuple");
	if ((want->status ^ got->status) & STATUS_SEEN)
		fail(row, when, "another status");
	if (got->status & FLOW_STATUS_FIXED)
		fail(row, when, "a fixed timeout: it could never be re-timed");
	if (want->timeout_s - got->timeout_s > 3)
		fail(row, when, "another timeout");
	/* Those two have been judged. */
	merged.status = want->status;
	merged.timeout_s = want->timeout_s;
	if (lost ? (got->has & lost) != 0 : !flow_same(want, &merged))
		fail(row, when, lost ? "there after all" : "another part differs");
}

static void change(const struct row *row, struct flow *flow)
{
	struct flow got;
	int error;

	if (row->change)
		row->change(flow);
	error = tell_update(flow);
	if (error != row->update_error) {
		fail(row, "update", error ? strerror(error) : "no error");
		return;
	}
	if (error)
		return;
	if (!get(flow, &got))
		fail(row, "update", "not there");
	else
		compare(row, "update", flow, &got, row->lost_update);
}

static void try(const struct row *row)
{
	unsigned int before = failures;
	struct flow flow, got;
	int error;

	row->make(&flow);
	(void)hear();
	error = tell_create(&flow);
	if (error != row->create_error) {
		fail(row, "create", error ? strerror(error) : "no error");
		return;
	}
	if (!error) {
		if (!get(&flow, &got))
			fail(row, "create", "not there");
		else
			compare(row, "create", &flow, &got, row->lost_create);
		if (!hear())
			fail(row, "create", "no event");
		else
			compare(row, "event", &flow, &heard, row->lost_create);
		change(row, &flow);
		(void)tell(ctattr_put_delete(
			kernel_batch_room(&batch), kernel_batch_seq(&batch), &flow));
		if (last_error || get(&flow, &got))
			fail(row, "delete", "still there");
	}
	if (failures == before)
		printf("%-24s create %s%s\n", row->name, error ? strerror(error) : "ok, update ",
			error		    ? ""
			: row->update_error ? strerror(row->update_error)
					    : "ok");
}

static const struct row rows[] = {
	{"status", tcp4, assured},
	{"status-cleared", tcp_assured, unassured, .update_error = EBUSY},
	{"timeout", udp4, shorter},
	{"timeout-fixed", fixed, shorter},
	{"tcp", tcp_opening, tcp_opened},
	{"tcp-ipv6", tcp6_scaled, tcp_opened},
	{"sctp", sctp4, sctp_moves},
	{"udp", udp4, assured},
	{"udplite", udplite4, assured},
	{"icmp", icmp4, shorter},
	{"icmpv6", icmp6, shorter},
	{"gre", gre4, assured},
	{"other-protocol", esp4, assured},
	{"snat", snat4, assured},
	{"snat-port", snat4_port, assured},
	{"snat-port-alone", snat4_port_alone, assured},
	{"dnat", dnat4, assured},
	{"nat-both", both_nat4, assured},
	{"nat66", nat66, assured},
	{"nat-icmp-id", icmp_snat, shorter},
	{"nat-gre", gre_snat, assured},
	{"seqadj", seqadj, seqadj_moves},
	{"synproxy", synproxy, synproxy_moves},
	{"mark", mark, mark_moves},
	{"zone", zone, assured},
	{"zone-original", zone_orig, assured},
	{"zone-reply", zone_reply, assured},
	{"helper", ftp, assured},
	{"helper-other", ftp, other_helper, .update_error = EBUSY},
	{"helper-unknown", unknown_helper, .create_error = EOPNOTSUPP},
	{"master-missing", orphan, .create_error = ENOENT},
	{"expectation-orphan", expectation_orphan, .create_error = ENOENT},
};

/* With FTP's control connection there. */
static const struct row rows_related[] = {
	{"master", related, assured},
	{"expectation", expectation, expectation_moves},
	{"expectation-unknown", expectation_unknown, .create_error = EINVAL},
};

static const struct row rows_unlabelled[] = {
	{"labels-without-a-rule", labels, labels_move, .lost_create = FLOW_HAS_LABELS,
		.update_error = ENOSPC},
};

static const struct row rows_labelled[] = {
	{"labels", labels, labels_move},
};

static const struct row rows_clash[] = {
	{"clash", clash, .create_error = EEXIST},
};

static void try_all(const struct row *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		try(&list[i]);
}

/* liberality: set at a create, cleared, set again, without touching anything else. */
static void try_liberal(void)
{
	static const struct row row = {.name = "tcp-liberal"};
	struct flow flow, got;

	tcp_opening(&flow);
	for (int step = 0; step < 3; step++) {
		void *at = kernel_batch_room(&batch);
		uint32_t seq = kernel_batch_seq(&batch);
		bool liberal = step != 1;

		if (tell(step == 0	? ctattr_put_create(at, seq, &flow, true)
			    : step == 1 ? ctattr_put_strict(at, seq, &flow)
					: ctattr_put_liberal(at, seq, &flow)) != 0 ||
			!get(&flow, &got))
			fail(&row, "told", strerror(last_error));
		if (got.tcp_state != flow.tcp_state || got.tcp_wscale[0] != flow.tcp_wscale[0] ||
			!(got.tcp_flags[0] & FLOW_TCP_BE_LIBERAL) == liberal ||
			!(got.tcp_flags[1] & FLOW_TCP_BE_LIBERAL) == liberal)
			fail(&row, "flags", "not as told");
	}
	(void)tell(ctattr_put_delete(kernel_batch_room(&batch), kernel_batch_seq(&batch), &flow));
}

static int open_all(void)
{
	struct nl_options options = {.bus = 12 /* NETLINK_NETFILTER */};
	int r = kernel_batch_open(&batch);

	if (r == 0)
		r = nl_open(&asks, &options);
	if (r == 0)
		r = kernel_events_open(&events, 0, on_event, NULL);
	return r == 0 ? kernel_events_join(&events) : r;
}

int main(void)
{
	struct flow first;

	if (unshare(CLONE_NEWNET) != 0) {
		printf("skipped: cannot make a network namespace: %s\n", strerror(errno));
		return SKIP;
	}
	if (system("sysctl -qw net.netfilter.nf_conntrack_events=1") != 0 || open_all() != 0) {
		printf("skipped: no connection tracking here\n");
		return SKIP;
	}
	try_all(rows, ARRAY_LEN(rows));
	try_liberal();
	try_all(rows_unlabelled, ARRAY_LEN(rows_unlabelled));
	snat4_port(&first);
	CHECK(tell_create(&first) == 0);
	try_all(rows_clash, ARRAY_LEN(rows_clash));
	(void)tell(ctattr_put_delete(kernel_batch_room(&batch), kernel_batch_seq(&batch), &first));
	ftp(&first);
	CHECK(tell_create(&first) == 0);
	try_all(rows_related, ARRAY_LEN(rows_related));
	if (system("nft 'table inet t { chain c { ct label set 1; }; }'") == 0)
		try_all(rows_labelled, ARRAY_LEN(rows_labelled));
	else
		printf("labels: left out: no rule can ask for them here\n");
	kernel_events_close(&events);
	nl_close(&asks);
	kernel_batch_close(&batch);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
