#include "rules/nfnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rules/rules.h"

static int open_socket(struct nfnl *n)
{
	struct sockaddr_nl local = {.nl_family = AF_NETLINK};
	socklen_t length = sizeof(local);

	n->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (n->fd < 0)
		return -errno;
	if (bind(n->fd, (struct sockaddr *)&local, sizeof(local)) < 0 ||
		getsockname(n->fd, (struct sockaddr *)&local, &length) < 0)
		return -errno;
	n->portid = local.nl_pid;
	n->seq = 1;
	return 0;
}

int nfnl_open_group(struct nfnl *n, int group)
{
	int size = NFNL_EVENT_QUEUE_BYTES, r;

	nfnl_reset(n);
	r = open_socket(n);
	if (r == 0 && group) {
		/* Past rmem_max where we may; a small queue only means more full checks. */
		if (setsockopt(n->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
			(void)setsockopt(n->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		if (setsockopt(n->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) <
			0)
			r = -errno;
	}
	if (r < 0)
		nfnl_close(n);
	return r;
}

int nfnl_open(struct nfnl *n, bool events)
{
	return nfnl_open_group(n, events ? NFNLGRP_NFTABLES : 0);
}

void nfnl_reset(struct nfnl *n)
{
	n->fd = -1;
	n->portid = 0;
	n->seq = 0;
}

void nfnl_close(struct nfnl *n)
{
	if (n && n->fd >= 0)
		close(n->fd);
	if (n)
		n->fd = -1;
}

static int send_bytes(struct nfnl *n, const void *bytes, size_t size_bytes)
{
	static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t sent;

	do {
		sent = sendto(n->fd, bytes, size_bytes, 0, (const struct sockaddr *)&kernel,
			sizeof(kernel));
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	return (size_t)sent == size_bytes ? 0 : -EMSGSIZE;
}

/* receive: one datagram that came from the kernel; its size, 0 when there is none, or -errno. */
static ssize_t receive(struct nfnl *n, int flags)
{
	struct sockaddr_nl from = {0};
	socklen_t length = sizeof(from);
	ssize_t got;

	for (;;) {
		got = recvfrom(n->fd, n->buffer, sizeof(n->buffer), flags | MSG_TRUNC,
			(struct sockaddr *)&from, &length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? 0 : -errno;
		if ((size_t)got > sizeof(n->buffer))
			return -EMSGSIZE;
		if (from.nl_pid == 0) /* other processes may write to us; the kernel is 0 */
			return got;
	}
}

static int message_error(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(error->error))
		return -EBADMSG;
	return error->error;
}

struct walk {
	void (*visit)(const struct nlmsghdr *nlh, void *context);
	void *context;
	uint32_t seq; /* 0 = any */
	bool done;
	bool interrupted;
	bool acked;
	int error; /* the first */
};

/* walk_datagram: hands the answers to the visitor, and keeps what the protocol itself says. */
static void walk_datagram(struct walk *w, const char *bytes, size_t size_bytes)
{
	const struct nlmsghdr *nlh = (const void *)bytes;
	int left = (int)size_bytes;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		int error = 0;

		if (w->seq && nlh->nlmsg_seq != w->seq)
			continue; /* the rest of an older, interrupted exchange */
		if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
			w->interrupted = true;
		if (nlh->nlmsg_type == NLMSG_DONE) {
			w->done = true;
		} else if (nlh->nlmsg_type == NLMSG_ERROR) {
			error = message_error(nlh);
			w->acked = true;
			w->done = true;
		} else if (nlh->nlmsg_type >= NLMSG_MIN_TYPE && w->visit &&
			   mnl_nlmsg_get_payload_len(nlh) >= sizeof(struct nfgenmsg)) {
			w->visit(nlh, w->context);
		}
		if (error && !w->error)
			w->error = error;
	}
}

static struct nlmsghdr *put_header(
	void *memory, uint16_t type, uint16_t flags, uint8_t family, uint32_t seq)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(memory);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = 0;
	return nlh;
}

static void generation_visit(const struct nlmsghdr *nlh, void *context)
{
	uint32_t *generation = context;

	if (nfnl_type(nlh) == NFT_MSG_NEWGEN)
		*generation = nfnl_u32(nlh, NFTA_GEN_ID);
}

int nfnl_generation(struct nfnl *n, uint32_t *ret_generation)
{
	_Alignas(8) char message[64];
	struct nlmsghdr *nlh = put_header(
		message, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN, 0, NFPROTO_UNSPEC, ++n->seq);
	uint32_t generation = 0;
	int r = nfnl_request(n, nlh, nlh->nlmsg_len, generation_visit, &generation);

	if (r == 0 && generation == 0)
		r = -EBADMSG;
	if (r == 0)
		*ret_generation = generation;
	return r;
}

static int dump(struct nfnl *n, uint16_t type, uint8_t family, const char *table, const char *chain,
	void (*visit)(const struct nlmsghdr *nlh, void *context), void *context)
{
	_Alignas(8) char message[512];
	struct walk w = {.visit = visit, .context = context, .seq = ++n->seq};
	struct nlmsghdr *nlh = put_header(
		message, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), NLM_F_DUMP, family, w.seq);
	int r;

	if (table) /* the table is attribute 1 of every kind of object */
		mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, table);
	if (chain)
		mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
	r = send_bytes(n, nlh, nlh->nlmsg_len);
	while (r == 0 && !w.done) {
		ssize_t got = receive(n, 0);

		if (got < 0)
			return (int)got;
		walk_datagram(&w, n->buffer, (size_t)got);
	}
	if (r == 0)
		r = w.error;
	return r ? r : w.interrupted ? -EINTR : 0;
}

int nfnl_dump(struct nfnl *n, uint16_t type, uint8_t family, const char *table,
	void (*visit)(const struct nlmsghdr *nlh, void *context), void *context)
{
	return dump(n, type, family, table, NULL, visit, context);
}

int nfnl_dump_chain(struct nfnl *n, uint8_t family, const char *table, const char *chain,
	void (*visit)(const struct nlmsghdr *nlh, void *context), void *context)
{
	return dump(n, NFT_MSG_GETRULE, family, table, chain, visit, context);
}

int nfnl_request(struct nfnl *n, const void *messages, size_t size_bytes,
	void (*visit)(const struct nlmsghdr *nlh, void *context), void *context)
{
	struct walk w = {.visit = visit, .context = context};
	int r = send_bytes(n, messages, size_bytes);
	ssize_t got;

	if (r < 0)
		return r;
	while ((got = receive(n, MSG_DONTWAIT)) > 0)
		walk_datagram(&w, n->buffer, (size_t)got);
	return got < 0 ? (int)got : w.error;
}

int nfnl_send_batch(struct nfnl *n, const void *batch, size_t size_bytes)
{
	struct walk w = {0};
	int r = send_bytes(n, batch, size_bytes);
	ssize_t got;

	if (r < 0)
		return r;
	while ((got = receive(n, MSG_DONTWAIT)) > 0)
		walk_datagram(&w, n->buffer, (size_t)got);
	if (got < 0)
		return (int)got;
	if (w.error)
		return w.error;
	return w.acked ? 0 : -EBADMSG;
}

int nfnl_next_event(
	struct nfnl *n, void (*visit)(const struct nlmsghdr *nlh, void *context), void *context)
{
	struct walk w = {.visit = visit, .context = context};
	ssize_t got = receive(n, MSG_DONTWAIT);

	if (got <= 0)
		return (int)got;
	walk_datagram(&w, n->buffer, (size_t)got);
	return 1;
}

int nfnl_type(const struct nlmsghdr *nlh)
{
	if (nlh->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES)
		return -1;
	return nlh->nlmsg_type & 0xff;
}

uint8_t nfnl_family(const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);

	return nfg->nfgen_family;
}

const struct nlattr *nfnl_attr(const struct nlmsghdr *nlh, uint16_t type, size_t size_bytes)
{
	const struct nlattr *attr;

	mnl_attr_for_each (attr, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == type)
			return mnl_attr_get_payload_len(attr) >= size_bytes ? attr : NULL;
	}
	return NULL;
}

uint32_t nfnl_u32(const struct nlmsghdr *nlh, uint16_t type)
{
	const struct nlattr *attr = nfnl_attr(nlh, type, sizeof(uint32_t));

	return attr ? ntohl(mnl_attr_get_u32(attr)) : 0;
}

uint64_t nfnl_u64(const struct nlmsghdr *nlh, uint16_t type)
{
	const struct nlattr *attr = nfnl_attr(nlh, type, sizeof(uint64_t));

	return attr ? be64toh(mnl_attr_get_u64(attr)) : 0;
}

const char *nfnl_text(const struct nlmsghdr *nlh, uint16_t type)
{
	const struct nlattr *attr = nfnl_attr(nlh, type, 1);

	if (!attr || mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) < 0)
		return "";
	return mnl_attr_get_str(attr);
}

/* put_fence: NFNL_MSG_BATCH_BEGIN or _END; the kernel wants the subsystem in res_id. */
static struct nlmsghdr *put_fence(struct nfnl_batch *b, uint16_t type)
{
	struct nlmsghdr *nlh;
	struct nfgenmsg *nfg;

	if (b->failed || b->size_bytes - b->used_bytes < 64) {
		b->failed = true;
		return NULL;
	}
	nlh = put_header(b->start + b->used_bytes, type, 0, AF_UNSPEC, 0);
	nfg = mnl_nlmsg_get_payload(nlh);
	nfg->res_id = htons(NFNL_SUBSYS_NFTABLES);
	return nlh;
}

void nfnl_batch_begin(struct nfnl_batch *b, void *memory, size_t size_bytes, bool compares)
{
	struct nlmsghdr *nlh;

	*b = (struct nfnl_batch){.start = memory, .size_bytes = size_bytes};
	nlh = put_fence(b, NFNL_MSG_BATCH_BEGIN);
	if (!nlh)
		return;
	if (compares) {
		b->generation_offset = nlh->nlmsg_len + MNL_ATTR_HDRLEN;
		mnl_attr_put_u32(nlh, NFNL_BATCH_GENID, 0);
	}
	b->used_bytes += MNL_ALIGN(nlh->nlmsg_len);
}

struct nlmsghdr *nfnl_batch_add(struct nfnl_batch *b, uint16_t type, uint16_t flags, uint8_t family)
{
	if (b->failed || b->size_bytes - b->used_bytes < NFNL_MESSAGE_ROOM) {
		b->failed = true;
		return NULL;
	}
	return put_header(b->start + b->used_bytes, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
		flags, family, 0);
}

void nfnl_batch_added(struct nfnl_batch *b, const struct nlmsghdr *nlh)
{
	b->last_offset = b->used_bytes;
	b->used_bytes += MNL_ALIGN(nlh->nlmsg_len);
}

bool nfnl_batch_end(struct nfnl_batch *b)
{
	struct nlmsghdr *nlh = put_fence(b, NFNL_MSG_BATCH_END);
	struct nlmsghdr *last;

	if (!nlh || b->last_offset == 0)
		return false;
	last = (void *)(b->start + b->last_offset);
	last->nlmsg_flags |= NLM_F_ACK;
	b->used_bytes += MNL_ALIGN(nlh->nlmsg_len);
	return true;
}

void nfnl_batch_set_generation(struct nfnl_batch *b, uint32_t generation)
{
	uint32_t value = htonl(generation);

	if (b->generation_offset)
		memcpy(b->start + b->generation_offset, &value, sizeof(value));
}

void nfnl_batch_canary(struct nfnl_batch *b, uint8_t family, const char *table)
{
	struct nlmsghdr *nlh = nfnl_batch_add(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE, family);
	struct nlattr *list, *element, *key;

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, RULES_CANARY_SET);
	list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	element = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	key = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_KEY);
	mnl_attr_put_u32(nlh, NFTA_DATA_VALUE, 1); /* a mark: host order */
	mnl_attr_nest_end(nlh, key);
	mnl_attr_nest_end(nlh, element);
	mnl_attr_nest_end(nlh, list);
	nfnl_batch_added(b, nlh);
}

void nfnl_batch_flip(struct nfnl_batch *b, uint8_t family, const char *table, bool asleep)
{
	struct nlmsghdr *nlh = nfnl_batch_add(b, NFT_MSG_NEWTABLE, 0, family);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, table);
	mnl_attr_put_u32(nlh, NFTA_TABLE_FLAGS, htonl(asleep ? NFT_TABLE_F_DORMANT : 0));
	nfnl_batch_added(b, nlh);
}

int rules_events_open(void)
{
	struct nfnl *n = malloc(sizeof(*n));
	int r = n ? nfnl_open(n, true) : -ENOMEM;

	if (r == 0)
		r = n->fd;
	free(n);
	return r;
}

void rules_events_drain(int fd)
{
	char bytes[4096];

	/* Cut off or lost (ENOBUFS): that something came is all that counts. */
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) >= 0 || errno == EINTR ||
		errno == ENOBUFS)
		;
}
