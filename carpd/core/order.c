#include "carpd/core/order.h"

#include "carpd/core/demotion.h"
#include "carpd/core/group.h"
#include "carpd/core/paths.h"
#include "carpd/core/peers.h"
#include "carpd/core/timers.h"

int order_compare(struct order_rank a, struct order_rank b)
{
	if (a.demotion != b.demotion)
		return a.demotion < b.demotion ? -1 : 1;
	if (a.interval_us != b.interval_us)
		return a.interval_us < b.interval_us ? -1 : 1;
	return (a.id > b.id) - (a.id < b.id);
}

struct order_rank order_self(const struct election *e, uint8_t group)
{
	dur_t interval = group_interval(e, group);

	return (struct order_rank){
		.demotion =
			demotion_total(e, group) + (e->groups[group].ready ? 0 : MODEL_NOT_READY),
		.interval_us = (uint32_t)interval.us,
		.id = e->config.own.id,
	};
}

struct order_rank order_peer(const struct election *e, uint8_t group, uint8_t peer)
{
	const struct model_view *view = &e->peers[peer].views[group];

	return (struct order_rank){
		.demotion = view->demotion + (view->ready ? 0 : MODEL_NOT_READY),
		.interval_us = view->interval_us,
		.id = e->config.peers[peer].id,
	};
}

bool order_self_eligible(const struct election *e, uint8_t group)
{
	return !e->maintenance && e->maintenance_wish.request_id == 0 && !e->stopping &&
	       !paths_fault(e, group);
}

bool order_peer_eligible(const struct election *e, uint8_t group, uint8_t peer)
{
	const struct model_view *view = &e->peers[peer].views[group];

	return peers_alive(e, group, peer) && !view->maintenance && !view->fault &&
	       !view->stopping && view->state != GROUP_STATE_INIT;
}

/* order_place_counts: who stands in line. A node that is still starting may not be given the group,
 * but in the next milliseconds it takes part: after a common start the better one goes first, and
 * not the one that happened to prove the other first. */
static bool order_place_counts(const struct election *e, uint8_t group, uint8_t peer)
{
	const struct model_view *view = &e->peers[peer].views[group];

	return peers_alive(e, group, peer) && !view->maintenance && !view->fault && !view->stopping;
}

uint8_t order_place(const struct election *e, uint8_t group)
{
	struct order_rank self = order_self(e, group);
	uint8_t place = 0;

	for (uint8_t p = 0; p < e->config.peer_count; p++)
		if (order_place_counts(e, group, p) &&
			order_compare(order_peer(e, group, p), self) < 0)
			place++;
	return place;
}

uint8_t order_best_peer(const struct election *e, uint8_t group, bool ready)
{
	uint8_t best = MODEL_NO_PEER;

	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_view *view = &e->peers[p].views[group];

		if (!order_peer_eligible(e, group, p) || (ready && !view->ready) ||
			!peers_hears_us(e, group, p))
			continue;
		if (best == MODEL_NO_PEER ||
			order_compare(order_peer(e, group, p), order_peer(e, group, best)) < 0)
			best = p;
	}
	return best;
}
