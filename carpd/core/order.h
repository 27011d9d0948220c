/* order.h: who is the better node, as a total order, and who may take part at all.
 *
 * Order (design section 6): demotion, where "not ready" counts 30; then the interval; then the node
 * id. Ids are unique, so there is no tie, and every node that has the same facts finds the same
 * order. */
#ifndef CARPD_CORE_ORDER_H
#define CARPD_CORE_ORDER_H

#include "carpd/core/model.h"

struct order_rank {
	uint32_t demotion;
	uint32_t interval_us;
	uint8_t id;
};

/* order_compare: negative when a is the better one. */
int order_compare(struct order_rank a, struct order_rank b);

struct order_rank order_self(const struct election *e, uint8_t group);
struct order_rank order_peer(const struct election *e, uint8_t group, uint8_t peer);

/* order_self_eligible: neither in maintenance (or about to be), nor stopping, nor in fault. */
bool order_self_eligible(const struct election *e, uint8_t group);

/* order_peer_eligible: the same by its own word; it must be alive and past its start-up hold. */
bool order_peer_eligible(const struct election *e, uint8_t group, uint8_t peer);

/* order_place: how many live, eligible peers are better than this node: the k of the stagger. */
uint8_t order_place(const struct election *e, uint8_t group);

/* order_best_peer: the best live, eligible peer that hears this node; only ready ones when `ready`.
 * MODEL_NO_PEER when there is none. */
uint8_t order_best_peer(const struct election *e, uint8_t group, bool ready);

#endif
