#include "syncd/inject.h"

#include "common/check.h"
#include "common/io/log.h"
#include "syncd/ctattr.h"

#include <errno.h>
#include <string.h>

int inject_open(struct inject *inject, struct engine *engine)
{
	memset(inject, 0, sizeof(*inject));
	inject->engine = engine;
	return kernel_batch_open(&inject->batch);
}

void inject_close(struct inject *inject)
{
	kernel_batch_close(&inject->batch);
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
