#include "synckernel.h"

#include <errno.h>
#include <string.h>

#define PROTO_TCP 6

struct synckernel_entry *synckernel_find(struct synckernel *k, const struct flow *key)
{
	for (uint32_t i = 0; i < SYNCKERNEL_MAX; i++)
		if (k->entries[i].used && flow_key_equal(&k->entries[i].flow, key))
			return &k->entries[i];
	return NULL;
}

struct synckernel_entry *synckernel_clash(struct synckernel *k, const struct flow *flow)
{
	for (uint32_t i = 0; i < SYNCKERNEL_MAX; i++) {
		struct synckernel_entry *entry = &k->entries[i];

		if (entry->used && !flow_key_equal(&entry->flow, flow) &&
			flow_tuple_equal(&entry->flow.reply, &flow->reply))
			return entry;
	}
	return NULL;
}

static struct synckernel_entry *synckernel_free(struct synckernel *k)
{
	for (uint32_t i = 0; i < SYNCKERNEL_MAX; i++)
		if (!k->entries[i].used)
			return &k->entries[i];
	return NULL;
}

static void synckernel_event(struct synckernel *k, bool destroy, const struct flow *flow)
{
	if (!k->joined)
		return;
	if (k->lose_next || k->event_count == SYNCKERNEL_EVENTS) {
		k->lose_next -= k->lose_next != 0;
		k->lost++;
		return;
	}
	k->events[(k->event_first + k->event_count++) % SYNCKERNEL_EVENTS] =
		(struct synckernel_event){.destroy = destroy, .flow = *flow};
}

uint32_t synckernel_seconds(const struct synckernel_entry *entry, int64_t now_us)
{
	return entry->expires_us > now_us ? (uint32_t)((entry->expires_us - now_us) / 1000000) : 0;
}

uint32_t synckernel_full_s(const struct flow *flow)
{
	if (flow->orig.proto != PROTO_TCP)
		return SYNCKERNEL_UDP_S;
	return flow->tcp_state == FLOW_TCP_ESTABLISHED ? SYNCKERNEL_ESTABLISHED_S
						       : SYNCKERNEL_OPENING_S;
}

static void synckernel_set(
	struct synckernel_entry *entry, int64_t now_us, const struct engine_op *op, bool standby)
{
	flow_merge(&entry->flow, &op->flow);
	if (op->liberal) {
		entry->flow.tcp_flags[0] |= FLOW_TCP_BE_LIBERAL;
		entry->flow.tcp_flags[1] |= FLOW_TCP_BE_LIBERAL;
	}
	if (op->flow.has & FLOW_HAS_TIMEOUT) {
		entry->expires_us = now_us + (int64_t)op->flow.timeout_s * 1000000;
		entry->held = standby;
	}
}

static int synckernel_create(
	struct synckernel *k, int64_t now_us, const struct engine_op *op, bool standby)
{
	struct synckernel_entry *entry = synckernel_find(k, &op->flow);
	struct flow flow = op->flow;

	if (entry) {
		if (flow.status & (FLOW_STATUS_SRC_NAT | FLOW_STATUS_DST_NAT))
			return EOPNOTSUPP; /* ctnetlink_change_conntrack: NAT is for life */
		synckernel_set(entry, now_us, op, standby);
		return 0;
	}
	if (k->full)
		return ENOMEM;
	if (synckernel_clash(k, &flow))
		return EEXIST;
	if (flow.has & FLOW_HAS_MASTER) {
		struct flow master = {.orig = flow.master};

		if (!synckernel_find(k, &master))
			return ENOENT;
	}
	entry = synckernel_free(k);
	if (!entry)
		return ENOMEM;
	memset(entry, 0, sizeof(*entry));
	entry->used = true;
	entry->flow = flow;
	entry->flow.has |= FLOW_HAS_ID;
	entry->flow.id = ++k->id;
	flow.has &= ~(uint32_t)FLOW_HAS_ID;
	entry->flow.has |= FLOW_HAS_TIMEOUT;
	entry->expires_us = now_us;
	uint32_t id = entry->flow.id;
	synckernel_set(entry, now_us, op, standby);
	entry->flow.id = id;
	return 0;
}

int synckernel_apply(struct synckernel *k, int64_t now_us, const struct engine_op *op, bool standby)
{
	struct synckernel_entry *entry;
	uint32_t id;

	if (op->type == ENGINE_OP_CREATE)
		return synckernel_create(k, now_us, op, standby);
	entry = synckernel_find(k, &op->flow);
	if (!entry)
		return ENOENT;
	if (op->type == ENGINE_OP_DELETE) {
		entry->used = false;
		return 0;
	}
	id = entry->flow.id;
	synckernel_set(entry, now_us, op, standby);
	entry->flow.id = id;
	return 0;
}

struct synckernel_entry *synckernel_new(
	struct synckernel *k, int64_t now_us, const struct flow *flow)
{
	struct synckernel_entry *entry = synckernel_free(k);

	if (!entry)
		return NULL;
	memset(entry, 0, sizeof(*entry));
	entry->used = true;
	entry->flow = *flow;
	entry->flow.has |= FLOW_HAS_ID;
	entry->flow.id = ++k->id;
	synckernel_packet(entry, now_us);
	entry->flow.timeout_s = synckernel_seconds(entry, now_us);
	synckernel_event(k, false, &entry->flow);
	return entry;
}

void synckernel_packet(struct synckernel_entry *entry, int64_t now_us)
{
	entry->held = false;
	entry->expires_us = now_us + (int64_t)synckernel_full_s(&entry->flow) * 1000000;
}

void synckernel_changed(struct synckernel *k, const struct synckernel_entry *entry, int64_t now_us)
{
	struct flow flow = entry->flow;

	flow.has &= FLOW_HAS_REPLY | FLOW_HAS_STATUS | FLOW_HAS_TIMEOUT | FLOW_HAS_TCP |
		    FLOW_HAS_TCP_WINDOW | FLOW_HAS_MARK | FLOW_HAS_ID;
	flow.timeout_s = synckernel_seconds(entry, now_us);
	synckernel_event(k, false, &flow);
}

void synckernel_destroy(struct synckernel *k, struct synckernel_entry *entry)
{
	struct flow flow = entry->flow;

	flow.has &= FLOW_HAS_REPLY | FLOW_HAS_STATUS | FLOW_HAS_ID;
	entry->used = false;
	synckernel_event(k, true, &flow);
}

void synckernel_expire(struct synckernel *k, int64_t now_us)
{
	for (uint32_t i = 0; i < SYNCKERNEL_MAX; i++)
		if (k->entries[i].used && k->entries[i].expires_us <= now_us)
			synckernel_destroy(k, &k->entries[i]);
}
