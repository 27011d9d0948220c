/* What becomes of an operation that our kernel has refused: the errnos of
 * ctnetlink_new_conntrack(), ctnetlink_change_conntrack(), ctnetlink_new_expect()
 * (nf_conntrack_netlink.c). */
#include "syncd/core/bits.h"
#include "syncd/core/engine_internal.h"

#include <errno.h>

/* engine_op_retry: once more, at the end of the set; at most SYNC_MASTER_RETRIES times in a row.
 * The count lives in two flag bits. */
static bool engine_op_retry(struct engine *e, uint32_t slot)
{
	struct table_record *record = table_at(&e->table, slot);
	unsigned int count = (record->flags & TABLE_FLAG_RETRY_1 ? 1u : 0u) +
			     (record->flags & TABLE_FLAG_RETRY_2 ? 2u : 0u);

	if (count >= SYNC_MASTER_RETRIES)
		return false;
	count++;
	record->flags &= (uint8_t) ~(TABLE_FLAG_RETRY_1 | TABLE_FLAG_RETRY_2);
	record->flags |= (uint8_t)((count & 1 ? TABLE_FLAG_RETRY_1 : 0) |
				   (count & 2 ? TABLE_FLAG_RETRY_2 : 0));
	(void)dirty_add(&engine_kernel(e)->dirty, slot); /* it was just taken out */
	return true;
}

/* engine_op_strip: a part that this kernel does not take is left out rather than losing the flow.
 */
static bool engine_op_strip(
	struct engine *e, uint32_t slot, enum flow_has part, enum table_refused refused)
{
	struct table_record *record = table_at(&e->table, slot);

	if (!(record->has & part) || record->has & refused)
		return false;
	record->has |= (uint16_t)refused;
	(void)dirty_add(&engine_kernel(e)->dirty, slot); /* it was just taken out */
	return true;
}

static enum engine_drop engine_op_failed_create(struct engine *e, uint32_t slot, int error)
{
	const struct table_record *record = table_at(&e->table, slot);
	struct engine_consumer *kernel = engine_kernel(e);

	switch (error) {
	case EOPNOTSUPP:
		/* A flow with NAT that exists already, or a helper that this kernel does not have
		 * (then the second time finds nothing, and we are here again). On a standby what
		 * exists is the rest of another flow with that tuple, whose translation an update
		 * would leave: it goes. While active it is the flow itself. */
		if (record->flags & TABLE_FLAG_RETRY_1 &&
			engine_op_strip(e, slot, FLOW_HAS_HELPER, TABLE_REFUSED_HELPER))
			return ENGINE_DROP_NONE;
		if (engine_op_retry(e, slot)) {
			bit_set(kernel->known, slot);
			if (e->groups[record->group].role != SYNCMSG_ROLE_ACTIVE)
				bit_set(kernel->recreate, slot);
			return ENGINE_DROP_NONE;
		}
		return ENGINE_DROP_KERNEL_OTHER;
	case ENOENT: /* its master is not there (yet) */
		if (engine_op_retry(e, slot) ||
			engine_op_strip(e, slot, FLOW_HAS_MASTER, TABLE_REFUSED_MASTER))
			return ENGINE_DROP_NONE;
		return ENGINE_DROP_KERNEL_OTHER;
	case EEXIST:
		return ENGINE_DROP_KERNEL_CLASH;
	case ENOSPC: /* more than 50 to 80 entries in its bucket (nf_conntrack_core.c) */
		return ENGINE_DROP_KERNEL_CHAIN;
	default:
		return ENGINE_DROP_KERNEL_OTHER;
	}
}

/* engine_op_failed_expect: EBUSY: one like it, of another master (nf_ct_expect_related_check()).
 * EMFILE: its master has as many as its helper allows. What was dropped is tried again at the next
 * comparison. */
static enum engine_drop engine_op_failed_expect(struct engine *e, uint32_t slot, int error)
{
	switch (error) {
	case ENOENT: /* its master is not there (yet), or it has just expired */
		return engine_op_retry(e, slot) ? ENGINE_DROP_NONE : ENGINE_DROP_KERNEL_OTHER;
	case EBUSY:
		return ENGINE_DROP_KERNEL_CLASH;
	default:
		return ENGINE_DROP_KERNEL_OTHER;
	}
}

static enum engine_drop engine_op_failed_update(struct engine *e, uint32_t slot, int error)
{
	switch (error) {
	case ENOENT: /* expired, or evicted: create it */
		return engine_op_retry(e, slot) ? ENGINE_DROP_NONE : ENGINE_DROP_KERNEL_OTHER;
	case ENOSPC: /* labels without a label rule (facts 2.4) */
		bit_set(engine_kernel(e)->known, slot);
		if (engine_op_strip(e, slot, FLOW_HAS_LABELS, TABLE_REFUSED_LABELS))
			return ENGINE_DROP_NONE;
		return ENGINE_DROP_KERNEL_OTHER;
	case EBUSY:	 /* another helper */
	case EOPNOTSUPP: /* or none: an entry cannot get one later */
		bit_set(engine_kernel(e)->known, slot);
		if (engine_op_strip(e, slot, FLOW_HAS_HELPER, TABLE_REFUSED_HELPER))
			return ENGINE_DROP_NONE;
		return ENGINE_DROP_KERNEL_OTHER;
	default:
		bit_set(engine_kernel(e)->known, slot);
		return ENGINE_DROP_KERNEL_OTHER;
	}
}

bool engine_clash_settle(struct engine *e, uint32_t slot, const struct flow *holder)
{
	struct engine_consumer *kernel = engine_kernel(e);
	uint32_t other = table_find(&e->table, holder);
	struct table_record *record = table_at(&e->table, slot);
	struct flow ours, theirs;

	/* While active our kernel is right by definition. */
	if (!table_is_used(&e->table, slot) || record->flags & TABLE_FLAG_DEAD || other == slot ||
		e->groups[record->group].role == SYNCMSG_ROLE_ACTIVE)
		return false;
	if (other != TABLE_NONE && !(table_at(&e->table, other)->flags & TABLE_FLAG_DEAD)) {
		table_load(&e->table, slot, 0, &ours);
		table_load(&e->table, other, 0, &theirs);
		if (e->groups[table_at(&e->table, other)->group].role == SYNCMSG_ROLE_ACTIVE ||
			flow_stamp_compare(&ours.stamp, &theirs.stamp) <= 0)
			return false;
	}
	if (!engine_op_retry(e, slot))
		return false;
	if (other != TABLE_NONE) {
		bit_clear(kernel->known, other);
		bit_clear(kernel->recreate, other);
	}
	return true;
}

void engine_op_failed(
	struct engine *e, mono_t now, enum engine_op_type type, uint32_t slot, int error)
{
	struct engine_consumer *kernel = engine_kernel(e);
	enum engine_drop drop;

	/* A delete that found nothing is done; its slot may be somebody else's by now. */
	if (type == ENGINE_OP_DELETE) {
		if (error != ENOENT)
			e->drops[ENGINE_DROP_KERNEL_OTHER]++;
		return;
	}
	if (!table_is_used(&e->table, slot) || dirty_has(&kernel->dirty, slot))
		return; /* changed since: told anew anyway */
	bit_clear(kernel->known, slot);
	table_at(&e->table, slot)->flags &= (uint8_t) ~(TABLE_FLAG_HELD | TABLE_FLAG_LIBERAL);
	if (error == ENOMEM) {
		e->kernel_full = true;
		e->kernel_full_until = mono_add(now, dur_s(1));
		(void)dirty_add(&kernel->dirty, slot); /* it was just taken out */
		e->drops[ENGINE_DROP_KERNEL_FULL]++;
		return;
	}
	if (table_at(&e->table, slot)->zone_dir == FLOW_ZONE_EXPECTATION)
		drop = engine_op_failed_expect(e, slot, error);
	else if (type == ENGINE_OP_CREATE)
		drop = engine_op_failed_create(e, slot, error);
	else
		drop = engine_op_failed_update(e, slot, error);
	if (drop != ENGINE_DROP_NONE)
		e->drops[drop]++;
}
