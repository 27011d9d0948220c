#include "syncd/inject.h"

#include "common/check.h"
#include "common/io/log.h"
#include "syncd/ctattr.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <string.h>
#include <sys/socket.h>

int inject_open(struct inject *inject, struct engine *engine)
{
	struct nl_options options = {.bus = NETLINK_NETFILTER};
	int r;

	memset(inject, 0, sizeof(*inject));
	inject->engine = engine;
	r = kernel_batch_open(&inject->batch);
	return r < 0 ? r : nl_open(&inject->asks, &options);
}

void inject_close(struct inject *inject)
{
	kernel_batch_close(&inject->batch);
	nl_close(&inject->asks);
}

uint32_t inject_port(const struct inject *inject)
{
	return inject->batch.nl.port_id;
}

static uint64_t inject_tag(const struct engine_op *op)
{
	return (uint64_t)op->slot << 8 | op->type;
}

static void inject_on_error(void *context, uint64_t tag, int error)
{
	struct inject *inject = context;
	size_t last = ARRAY_LEN(inject->by_errno) - 1;
	uint32_t slot = (uint32_t)(tag >> 8);
	enum engine_op_type type = (enum engine_op_type)(tag & 0xff);

	inject->by_errno[(size_t)error < last ? (size_t)error : last]++;
	if (error == ENOMEM)
		inject->full = true;
	if (error == EEXIST && type == ENGINE_OP_CREATE && inject->clash_count < INJECT_CLASHES_MAX)
		inject->clashes[inject->clash_count++] = slot;
	engine_op_failed(inject->engine, inject->now, type, slot, error);
}

static size_t inject_put(void *at, uint32_t seq, const struct engine_op *op)
{
	switch (op->type) {
	case ENGINE_OP_CREATE:
		return ctattr_put_create(at, seq, &op->flow, op->liberal);
	case ENGINE_OP_UPDATE:
		return ctattr_put_update(at, seq, &op->flow, op->liberal);
	case ENGINE_OP_DELETE:
		return ctattr_put_delete(at, seq, &op->flow);
	}
	CHECK(!"an operation has a type");
	return 0;
}

/* inject_ask_holder: who has the flow's reply tuple; false: nobody any more. */
static bool inject_ask_holder(struct inject *inject, const struct flow *flow, struct flow *ret_flow)
{
	static uint32_t data[2048];
	size_t size = ctattr_put_get_reply(data, ++inject->asks.seq, flow);
	ssize_t got;

	if (mnl_socket_sendto(inject->asks.socket, data, size) < 0)
		return false;
	/* The answer is there when the question has been sent. */
	got = recv(nl_fd(&inject->asks), data, sizeof(data), MSG_DONTWAIT);
	return got > 0 && ((struct nlmsghdr *)data)->nlmsg_seq == inject->asks.seq &&
	       ctattr_is_known((struct nlmsghdr *)data) &&
	       ctattr_parse((struct nlmsghdr *)data, (size_t)got, ret_flow) == CTATTR_OK;
}

static void inject_on_settled(void *context, uint64_t tag, int error)
{
	(void)context;
	(void)tag;
	(void)error; /* gone by itself */
}

/* inject_settle: the entries in the way of this batch. */
static void inject_settle(struct inject *inject)
{
	struct flow flow, holder;

	for (uint32_t i = 0; i < inject->clash_count; i++) {
		uint32_t slot = inject->clashes[i];

		if (!table_is_used(&inject->engine->table, slot))
			continue;
		table_load(&inject->engine->table, slot, engine_seconds(inject->now), &flow);
		if (!inject_ask_holder(inject, &flow, &holder) || !inject->may_delete ||
			!inject->may_delete(inject->context, &holder) ||
			!engine_clash_settle(inject->engine, slot, &holder))
			continue;
		kernel_batch_add(&inject->batch,
			ctattr_put_delete(kernel_batch_room(&inject->batch),
				kernel_batch_seq(&inject->batch), &holder),
			0);
		inject->settled++;
	}
	inject->clash_count = 0;
	if (inject->batch.count)
		(void)kernel_batch_flush(&inject->batch, inject_on_settled, NULL);
}

static void inject_flush(struct inject *inject)
{
	int r;

	if (inject->batch.count == 0)
		return;
	inject->full = false;
	r = kernel_batch_flush(&inject->batch, inject_on_error, inject);
	if (r < 0) {
		errno = -r;
		log_warn("injection: the kernel did not take a batch");
	}
	if (!inject->full && r == 0)
		engine_kernel_room(inject->engine);
	if (inject->clash_count)
		inject_settle(inject);
}

uint32_t inject_run(struct inject *inject, mono_t now, uint32_t operations_max)
{
	struct engine_op op;
	uint32_t count = 0;

	inject->now = now;
	while (count < operations_max) {
		void *at = kernel_batch_room(&inject->batch);

		if (!at) {
			inject_flush(inject);
			continue;
		}
		if (!engine_op_next(inject->engine, now, &op))
			break;
		kernel_batch_add(&inject->batch,
			inject_put(at, kernel_batch_seq(&inject->batch), &op), inject_tag(&op));
		count++;
	}
	inject_flush(inject);
	return count;
}
