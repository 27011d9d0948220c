#include "common/io/nl.h"

#include "common/check.h"
#include "common/io/clock.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static size_t nl_open_buffer(int fd, int forced, int plain, size_t wanted_bytes)
{
	int value = wanted_bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)wanted_bytes;
	socklen_t size = sizeof(value);

	if (setsockopt(fd, SOL_SOCKET, forced, &value, sizeof(value)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, plain, &value, sizeof(value)); /* read back */
	if (getsockopt(fd, SOL_SOCKET, plain, &value, &size) < 0)
		return 0;
	return (size_t)value;
}

static int nl_open_setup(struct nl *nl, const struct nl_options *options)
{
	size_t receive = options->receive_bytes ? options->receive_bytes : NL_BUFFER_BYTES;
	size_t send = options->send_bytes ? options->send_bytes : NL_BUFFER_BYTES;
	int fd = mnl_socket_get_fd(nl->socket), on = 1;

	nl->receive_buffer_bytes = nl_open_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, receive);
	nl->send_buffer_bytes = nl_open_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, send);
	if (mnl_socket_setsockopt(nl->socket, NETLINK_EXT_ACK, &on, sizeof(on)) < 0 ||
		mnl_socket_setsockopt(nl->socket, NETLINK_CAP_ACK, &on, sizeof(on)) < 0)
		return -errno;
	if (options->no_enobufs &&
		mnl_socket_setsockopt(nl->socket, NETLINK_NO_ENOBUFS, &on, sizeof(on)) < 0)
		return -errno;
	if (mnl_socket_bind(nl->socket, options->groups, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	nl->port_id = mnl_socket_get_portid(nl->socket);
	return 0;
}

int nl_open(struct nl *nl, const struct nl_options *options)
{
	struct nl opened = {.seq = (uint32_t)clock_now().us};
	int r;

	opened.socket = mnl_socket_open2(options->bus, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!opened.socket)
		return -errno;
	r = nl_open_setup(&opened, options);
	if (r < 0) {
		mnl_socket_close(opened.socket);
		return r;
	}
	*nl = opened;
	return 0;
}

void nl_close(struct nl *nl)
{
	if (nl->socket)
		mnl_socket_close(nl->socket);
	*nl = (struct nl){0};
}

int nl_fd(const struct nl *nl)
{
	return mnl_socket_get_fd(nl->socket);
}

/* nl_wait: until the socket is ready. 0, -ETIMEDOUT, or what poll says. */
static int nl_wait(const struct nl *nl, short events, mono_t deadline)
{
	struct pollfd poll_fd = {.fd = nl_fd(nl), .events = events};

	for (;;) {
		int64_t left_us =
			mono_is_never(deadline) ? 3600000000 : mono_diff(deadline, clock_now()).us;
		struct timespec left = {0};
		int r;

		if (left_us > 0)
			left = (struct timespec){left_us / 1000000, left_us % 1000000 * 1000};
		r = ppoll(&poll_fd, 1, &left, NULL);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (mono_reached(clock_now(), deadline))
			return -ETIMEDOUT;
	}
}

static int nl_send(struct nl *nl, const void *data, size_t size_bytes, mono_t deadline)
{
	for (;;) {
		ssize_t sent = mnl_socket_sendto(nl->socket, data, size_bytes);
		int r;

		if (sent >= 0)
			return (size_t)sent == size_bytes ? 0 : -EMSGSIZE;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		r = nl_wait(nl, POLLOUT, deadline);
		if (r < 0)
			return r;
	}
}

/* nl_read: one datagram into `data`, waiting until the deadline. Its bytes, or a negative errno. */
static ssize_t nl_read(struct nl *nl, uint8_t data[static NL_RECEIVE_BYTES], mono_t deadline)
{
	for (;;) {
		ssize_t size = mnl_socket_recvfrom(nl->socket, data, NL_RECEIVE_BYTES);
		int r;

		if (size >= 0)
			return size;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		r = nl_wait(nl, POLLIN, deadline);
		if (r < 0)
			return r;
	}
}

static int nl_ack_text_attribute(const struct nlattr *attribute, void *data)
{
	const char **text = data;

	if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG &&
		mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
		*text = mnl_attr_get_str(attribute);
	return MNL_CB_OK;
}

/* nl_ack_text: the kernel's words, which follow the (perhaps capped) copy of the request. */
static void nl_ack_text(const struct nlmsghdr *message, char text[static NL_TEXT_MAX])
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);
	size_t offset = sizeof(*error);
	const char *words = NULL;

	text[0] = 0;
	if (!(message->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(message->nlmsg_flags & NLM_F_CAPPED) && error->msg.nlmsg_len > NLMSG_HDRLEN)
		offset += error->msg.nlmsg_len - NLMSG_HDRLEN;
	if (offset > mnl_nlmsg_get_payload_len(message))
		return;
	(void)mnl_attr_parse(message, (unsigned int)offset, nl_ack_text_attribute, &words);
	if (words)
		snprintf(text, NL_TEXT_MAX, "%s", words);
}

/* nl_ack: the verdict of an NLMSG_ERROR: 0, a negative errno, or -EBADMSG when it is too short. */
static int nl_ack(const struct nlmsghdr *message)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*error))
		return -EBADMSG;
	return error->error;
}

void nl_batch_init(struct nl_batch *batch, struct nl *nl, void *memory, size_t size_bytes)
{
	CHECK(size_bytes >= NL_MESSAGE_BYTES_MAX);
	*batch = (struct nl_batch){
		.data = memory,
		.size_bytes = size_bytes,
		.first_seq = nl->seq + 1,
	};
}

struct nlmsghdr *nl_batch_begin(
	struct nl_batch *batch, struct nl *nl, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *message;

	if (batch->size_bytes - batch->used_bytes < NL_MESSAGE_BYTES_MAX ||
		batch->message_count == NL_BATCH_MESSAGES_MAX)
		return NULL;
	if (batch->message_count == 0)
		batch->first_seq = nl->seq + 1;
	message = mnl_nlmsg_put_header(batch->data + batch->used_bytes);
	message->nlmsg_type = type;
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	message->nlmsg_seq = ++nl->seq;
	CHECK(message->nlmsg_seq == batch->first_seq + batch->message_count);
	return message;
}

void nl_batch_end(struct nl_batch *batch, const struct nlmsghdr *message)
{
	CHECK((const uint8_t *)message == batch->data + batch->used_bytes);
	CHECK(message->nlmsg_len <= NL_MESSAGE_BYTES_MAX);
	batch->used_bytes += NLMSG_ALIGN(message->nlmsg_len);
	batch->message_count++;
}

struct nl_collect {
	uint32_t first_seq;
	uint32_t wanted;
	uint32_t answered;
	int *errors;
	struct nl_result result;
	uint64_t seen[NL_BATCH_MESSAGES_MAX / 64];
};

static void nl_collect_answer(struct nl_collect *collect, const struct nlmsghdr *message)
{
	uint32_t index = message->nlmsg_seq - collect->first_seq;
	int error;

	if (message->nlmsg_type != NLMSG_ERROR || index >= collect->wanted)
		return; /* an answer that an earlier call gave up waiting for */
	if (collect->seen[index / 64] & UINT64_C(1) << index % 64)
		return;
	collect->seen[index / 64] |= UINT64_C(1) << index % 64;
	collect->answered++;
	error = nl_ack(message);
	if (collect->errors)
		collect->errors[index] = error;
	if (error == 0)
		return;
	if (collect->result.error_count++ == 0 || index < collect->result.first_error_index) {
		collect->result.first_error_index = index;
		collect->result.first_error = error;
		nl_ack_text(message, collect->result.text);
	}
}

static int nl_collect_all(struct nl_collect *collect, struct nl *nl, mono_t deadline)
{
	uint8_t data[NL_RECEIVE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));

	while (collect->answered < collect->wanted) {
		ssize_t size = nl_read(nl, data, deadline);
		const struct nlmsghdr *message = (const struct nlmsghdr *)data;
		int left = (int)size;

		if (size < 0)
			return (int)size;
		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
			nl_collect_answer(collect, message);
	}
	return 0;
}

int nl_batch_commit(struct nl_batch *batch, struct nl *nl, mono_t deadline, int *errors,
	struct nl_result *ret_result)
{
	struct nl_collect collect = {
		.first_seq = batch->first_seq,
		.wanted = batch->message_count,
		.errors = errors,
	};
	int r = 0;

	if (batch->message_count > 0)
		r = nl_send(nl, batch->data, batch->used_bytes, deadline);
	if (r == 0)
		r = nl_collect_all(&collect, nl, deadline);
	batch->used_bytes = 0;
	batch->message_count = 0;
	if (r == 0 && ret_result)
		*ret_result = collect.result;
	return r;
}

int nl_call(struct nl *nl, struct nlmsghdr *message, mono_t deadline, char text[NL_TEXT_MAX])
{
	struct nl_collect collect = {.first_seq = ++nl->seq, .wanted = 1};
	int r;

	message->nlmsg_seq = nl->seq;
	message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	r = nl_send(nl, message, message->nlmsg_len, deadline);
	if (r == 0)
		r = nl_collect_all(&collect, nl, deadline);
	if (text)
		memcpy(text, collect.result.text, NL_TEXT_MAX);
	return r < 0 ? r : collect.result.first_error;
}

struct nl_dump_state {
	uint32_t seq;
	bool ended;
	bool torn;
	int error;
	int (*on_message)(const struct nlmsghdr *message, void *context);
	void *context;
};

static void nl_dump_message(struct nl_dump_state *dump, const struct nlmsghdr *message)
{
	int error = 0;

	if (message->nlmsg_seq != dump->seq || dump->ended)
		return;
	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		dump->torn = true;
	switch (message->nlmsg_type) {
	case NLMSG_NOOP:
	case NLMSG_OVERRUN:
		return;
	case NLMSG_ERROR:
		dump->ended = true;
		error = nl_ack(message);
		break;
	case NLMSG_DONE:
		dump->ended = true;
		if (mnl_nlmsg_get_payload_len(message) >= sizeof(error))
			memcpy(&error, mnl_nlmsg_get_payload(message), sizeof(error));
		break;
	default:
		if (dump->error == 0)
			error = dump->on_message(message, dump->context);
		break;
	}
	if (dump->error == 0 && error < 0)
		dump->error = error;
}

int nl_dump(struct nl *nl, struct nlmsghdr *message, mono_t deadline,
	int (*on_message)(const struct nlmsghdr *message, void *context), void *context)
{
	uint8_t data[NL_RECEIVE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nl_dump_state dump = {.on_message = on_message, .context = context};
	int r;

	dump.seq = ++nl->seq;
	message->nlmsg_seq = dump.seq;
	message->nlmsg_flags |= NLM_F_REQUEST;
	if ((message->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		message->nlmsg_flags |= NLM_F_ACK;
	r = nl_send(nl, message, message->nlmsg_len, deadline);
	if (r < 0)
		return r;
	while (!dump.ended) {
		ssize_t size = nl_read(nl, data, deadline);
		const struct nlmsghdr *answer = (const struct nlmsghdr *)data;
		int left = (int)size;

		if (size < 0)
			return (int)size;
		for (; mnl_nlmsg_ok(answer, left); answer = mnl_nlmsg_next(answer, &left))
			nl_dump_message(&dump, answer);
	}
	if (dump.error < 0)
		return dump.error;
	return dump.torn ? -EINTR : 0;
}

ssize_t nl_receive(struct nl *nl, void (*on_message)(const struct nlmsghdr *message, void *context),
	void *context)
{
	uint8_t data[NL_RECEIVE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *message = (const struct nlmsghdr *)data;
	ssize_t size = mnl_socket_recvfrom(nl->socket, data, sizeof(data));
	int left = (int)size;

	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
		on_message(message, context);
	return size;
}
