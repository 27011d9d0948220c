#include "syncd/kernel_dump.h"

#include "common/io/log.h"
#include "common/io/sysctl.h"
#include "syncd/ctattr.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static size_t kernel_dump_shown_bytes(const struct kernel_dump *dump)
{
	return ((size_t)dump->engine->config.capacity + 63) / 64 * sizeof(uint64_t);
}

int kernel_dump_open(struct kernel_dump *dump, struct engine *engine, struct kernel_batch *batch,
	uint32_t (*on_entry)(void *context, const struct flow *flow), void (*on_end)(void *context),
	void *context)
{
	struct nl_options options = {.bus = NETLINK_NETFILTER, .receive_bytes = 1024u * 1024u};
	int r;

	memset(dump, 0, sizeof(*dump));
	dump->engine = engine;
	dump->batch = batch;
	dump->on_entry = on_entry;
	dump->on_end = on_end;
	dump->context = context;
	r = nl_open(&dump->nl, &options);
	if (r < 0)
		return r;
	dump->buffer = malloc(KERNEL_DUMP_READ_BYTES);
	dump->shown = calloc(1, kernel_dump_shown_bytes(dump));
	if (dump->buffer && dump->shown)
		return 0;
	kernel_dump_close(dump);
	return -ENOMEM;
}

void kernel_dump_close(struct kernel_dump *dump)
{
	nl_close(&dump->nl);
	free(dump->buffer);
	free(dump->shown);
	dump->buffer = NULL;
	dump->shown = NULL;
	dump->state = KERNEL_DUMP_IDLE;
}

bool kernel_dump_is_empty(void)
{
	int64_t count;

	return sysctl_read("net/netfilter/nf_conntrack_count", &count) == 0 && count == 0;
}

/* kernel_dump_is_sparse: the hash is so much larger than the table that one read of a dump walks
 * for longer than asking takes. */
static bool kernel_dump_is_sparse(const struct kernel_dump *dump)
{
	int64_t buckets;

	return sysctl_read("net/netfilter/nf_conntrack_buckets", &buckets) == 0 &&
	       buckets / KERNEL_DUMP_SPARSE > engine_flow_count(dump->engine);
}

int kernel_dump_start(struct kernel_dump *dump, mono_t now, enum kernel_dump_scope scope)
{
	uint8_t request[CTATTR_MESSAGE_MAX] __attribute__((aligned(4)));
	size_t size;

	if (dump->state != KERNEL_DUMP_IDLE) {
		if (scope > dump->again)
			dump->again = scope;
		return 0;
	}
	dump->again = 0;
	dump->failed = false;
	dump->expectations = false;
	dump->started_at = now;
	dump->started_sequence = dump->engine->sequence;
	if (scope == KERNEL_DUMP_KNOWN && kernel_dump_is_sparse(dump)) {
		dump->state = KERNEL_DUMP_ASKING;
		dump->ask_cursor = 0;
		return 0;
	}
	size = ctattr_put_dump(request, ++dump->nl.seq);
	if (mnl_socket_sendto(dump->nl.socket, request, size) < 0)
		return -errno;
	dump->walks++;
	dump->state = KERNEL_DUMP_READING;
	memset(dump->shown, 0, kernel_dump_shown_bytes(dump));
	return 0;
}

static void kernel_dump_end(struct kernel_dump *dump)
{
	enum kernel_dump_scope again = dump->again;

	dump->state = KERNEL_DUMP_IDLE;
	dump->dumps++;
	dump->on_end(dump->context);
	if (again && kernel_dump_start(dump, dump->now, again) < 0)
		log_warnx("conntrack dump: cannot start the next one");
}

static void kernel_dump_entry(struct kernel_dump *dump, const struct nlmsghdr *message)
{
	struct flow flow;
	uint32_t slot;

	dump->entries++;
	if (ctattr_parse(message, message->nlmsg_len, &flow) != CTATTR_OK) {
		dump->bad++;
		return;
	}
	slot = dump->on_entry(dump->context, &flow);
	if (slot != TABLE_NONE)
		dump->shown[slot / 64] |= UINT64_C(1) << slot % 64;
}

/* kernel_dump_failed: an error in mid-dump: what was not shown is not gone. */
static void kernel_dump_failed(struct kernel_dump *dump, int error)
{
	errno = error;
	log_warn("conntrack dump failed");
	dump->failed = true;
	dump->again = 0;
	kernel_dump_end(dump);
}

/* kernel_dump_read_on: after the flows their expectations, whose masters are then known. */
static void kernel_dump_read_on(struct kernel_dump *dump)
{
	uint8_t request[CTATTR_MESSAGE_MAX] __attribute__((aligned(4)));
	size_t size;

	if (!dump->expectations) {
		dump->expectations = true;
		size = ctattr_put_dump_expectations(request, ++dump->nl.seq);
		if (mnl_socket_sendto(dump->nl.socket, request, size) < 0)
			kernel_dump_failed(dump, errno);
		return;
	}
	dump->state = KERNEL_DUMP_PROBING;
	dump->probe_cursor = 0;
}

static void kernel_dump_read(struct kernel_dump *dump)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)dump->buffer;
	ssize_t size = recv(nl_fd(&dump->nl), dump->buffer, KERNEL_DUMP_READ_BYTES, MSG_DONTWAIT);
	int left = (int)size;

	if (size < 0) {
		if (errno != EAGAIN && errno != EINTR)
			kernel_dump_failed(dump, errno);
		return;
	}
	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
		if (message->nlmsg_seq != dump->nl.seq)
			continue; /* the rest of a dump that failed */
		if (message->nlmsg_type == NLMSG_DONE) {
			kernel_dump_read_on(dump);
			return;
		}
		if (message->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *answer = mnl_nlmsg_get_payload(message);

			kernel_dump_failed(dump, -answer->error);
			return;
		}
		if (ctattr_is_known(message))
			kernel_dump_entry(dump, message);
	}
}

/* kernel_dump_suspect: ought to be in the kernel, was not shown, and has not changed since the
 * dump began. */
static bool kernel_dump_suspect(const struct kernel_dump *dump, uint32_t slot)
{
	struct engine *e = dump->engine;
	const struct table_record *record = table_at(&e->table, slot);
	bool ours = record->owner == e->config.self && record->life == e->config.life;

	if (record->flags & TABLE_FLAG_DEAD || !engine_kernel_has(e, slot) ||
		dirty_has(&e->consumers[SYNC_CONSUMER_KERNEL].dirty, slot))
		return false;
	return !ours || record->sequence <= dump->started_sequence;
}

static void kernel_dump_gone(struct kernel_dump *dump, uint32_t slot)
{
	dump->gone++;
	if (dump->on_gone)
		dump->on_gone(dump->context, slot);
	else
		engine_kernel_lost(dump->engine, dump->now, slot);
}

static void kernel_dump_on_error(void *context, uint64_t tag, int error)
{
	struct kernel_dump *dump = context;

	if (error != ENOENT)
		return;
	kernel_dump_gone(dump, (uint32_t)tag);
}

static void kernel_dump_flush(struct kernel_dump *dump)
{
	/* A batch that could not be sent is suspect again in the next dump. */
	(void)kernel_batch_flush(dump->batch, kernel_dump_on_error, dump);
}

static void kernel_dump_probe(struct kernel_dump *dump)
{
	struct table *table = &dump->engine->table;
	uint32_t words = (table->high + 63) / 64, probes = 0;
	struct flow flow;

	for (; dump->probe_cursor < words && probes < KERNEL_DUMP_PROBES_TURN;
		dump->probe_cursor++) {
		uint64_t left = table->used[dump->probe_cursor] & ~dump->shown[dump->probe_cursor];

		for (; left; left &= left - 1) {
			uint32_t slot = dump->probe_cursor * 64 + (uint32_t)__builtin_ctzll(left);

			if (!kernel_dump_suspect(dump, slot))
				continue;
			if (!kernel_batch_room(dump->batch))
				kernel_dump_flush(dump);
			table_load(table, slot, engine_seconds(dump->now), &flow);
			kernel_batch_add(dump->batch,
				ctattr_put_probe(kernel_batch_room(dump->batch),
					kernel_batch_seq(dump->batch), &flow),
				slot);
			probes++;
		}
	}
	kernel_dump_flush(dump);
	if (dump->probe_cursor >= words)
		kernel_dump_end(dump);
}

/* kernel_dump_ask_answers: they are all there when the questions have been sent. */
static void kernel_dump_ask_answers(struct kernel_dump *dump)
{
	ssize_t size;

	while ((size = recv(nl_fd(&dump->nl), dump->buffer, KERNEL_DUMP_READ_BYTES, MSG_DONTWAIT)) >
		0) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)dump->buffer;
		int left = (int)size;

		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
			uint32_t index = message->nlmsg_seq - dump->ask_seq;

			if (index >= dump->asked)
				continue; /* the rest of a dump that failed */
			if (message->nlmsg_type != NLMSG_ERROR) {
				kernel_dump_entry(dump, message);
				continue;
			}
			const struct nlmsgerr *answer = mnl_nlmsg_get_payload(message);

			if (answer->error == -ENOENT &&
				kernel_dump_suspect(dump, dump->ask_slots[index]))
				kernel_dump_gone(dump, dump->ask_slots[index]);
		}
	}
}

/* kernel_dump_ask_next: a slot that ought to be in the kernel, or TABLE_NONE at the end. */
static uint32_t kernel_dump_ask_next(struct kernel_dump *dump)
{
	struct table *table = &dump->engine->table;

	for (; dump->ask_cursor < table->high; dump->ask_cursor++) {
		uint32_t slot = dump->ask_cursor;

		if (!(table->used[slot / 64] >> slot % 64 & 1) ||
			table_at(table, slot)->flags & TABLE_FLAG_DEAD ||
			!engine_kernel_has(dump->engine, slot))
			continue;
		dump->ask_cursor++;
		return slot;
	}
	return TABLE_NONE;
}

static void kernel_dump_ask(struct kernel_dump *dump)
{
	uint8_t *at = dump->buffer;
	size_t used = 0;
	uint32_t slot = TABLE_NONE;
	struct flow flow;

	dump->asked = 0;
	dump->ask_seq = dump->nl.seq + 1;
	while (dump->asked < KERNEL_DUMP_ASKS_TURN &&
		used + CTATTR_MESSAGE_MAX <= KERNEL_DUMP_READ_BYTES &&
		(slot = kernel_dump_ask_next(dump)) != TABLE_NONE) {
		table_load(&dump->engine->table, slot, engine_seconds(dump->now), &flow);
		used += NLMSG_ALIGN(ctattr_put_get(at + used, ++dump->nl.seq, &flow));
		dump->ask_slots[dump->asked++] = slot;
	}
	if (used > 0 && mnl_socket_sendto(dump->nl.socket, at, used) < 0) {
		kernel_dump_failed(dump, errno);
		return;
	}
	kernel_dump_ask_answers(dump);
	if (slot == TABLE_NONE)
		kernel_dump_end(dump);
}

void kernel_dump_turn(struct kernel_dump *dump, mono_t now)
{
	dump->now = now;
	switch (dump->state) {
	case KERNEL_DUMP_ASKING:
		kernel_dump_ask(dump);
		break;
	case KERNEL_DUMP_READING:
		kernel_dump_read(dump);
		break;
	case KERNEL_DUMP_PROBING:
		kernel_dump_probe(dump);
		break;
	case KERNEL_DUMP_IDLE:
		break;
	}
}
