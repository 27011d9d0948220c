#include "carpd/core/operator.h"

#include "carpd/core/election_internal.h"
#include "carpd/core/handover.h"
#include "carpd/core/order.h"
#include "carpd/core/peers.h"
#include "carpd/core/send.h"
#include "carpd/core/trace.h"
#include "common/check.h"

/* operator_handover_keep: for later, or for another node; BUSY when too many wait already. */
static enum election_reply operator_handover_keep(
	struct election *e, uint8_t group, const struct election_event *event, bool here)
{
	struct model_group *g = &e->groups[group];

	for (size_t i = 0; i < MODEL_REQUESTS_MAX; i++) {
		struct model_request *r = &g->requests[i];

		if (r->request_id != 0)
			continue;
		*r = (struct model_request){
			.request_id = event->handover.request_id,
			.here = here,
			.target = event->handover.target,
			.force = event->handover.force,
			.nonce = ++g->nonce_last,
			.deadline = mono_add(e->now, dur_ms(OPERATOR_DEADLINE_MS)),
		};
		g->send_now = true;
		trace_line(e, group, "operator asks for a hand-over",
			here ? "wait until the overlap is over" : "ask the master");
		return ELECTION_REPLY_OK;
	}
	return ELECTION_REPLY_BUSY;
}

/* operator_handover_master: true when the reply is to be given at once. */
static bool operator_handover_master(
	struct election *e, const struct election_event *event, enum election_reply *ret_reply)
{
	uint8_t group = event->group;
	struct model_group *g = &e->groups[group];

	*ret_reply = ELECTION_REPLY_OK;
	if (event->handover.target == e->config.own.id)
		return true;
	if (g->from != 0 && !g->offer.active)
		*ret_reply = operator_handover_keep(e, group, event, true);
	else
		*ret_reply = handover_begin(e, group, event->handover.target, REASON_HANDOVER,
			event->handover.force, 0, 0, event->handover.request_id);
	return *ret_reply != ELECTION_REPLY_OK;
}

/* operator_handover_backup: the same on a node that does not hold the group. */
static bool operator_handover_backup(
	struct election *e, const struct election_event *event, enum election_reply *ret_reply)
{
	uint8_t group = event->group, target = event->handover.target;
	uint8_t master = peers_master(e, group);
	enum group_state state = e->groups[group].state;

	*ret_reply = ELECTION_REPLY_OK;
	if (master == MODEL_NO_PEER)
		*ret_reply = state == GROUP_STATE_PROMOTING || state == GROUP_STATE_DEMOTING
				     ? ELECTION_REPLY_BUSY
				     : ELECTION_REPLY_NO_MASTER;
	else if (target == e->config.peers[master].id)
		return true;
	else if (target && target != e->config.own.id &&
		 election_peer_index(e, target) == MODEL_NO_PEER)
		*ret_reply = ELECTION_REPLY_UNKNOWN_NODE;
	else
		*ret_reply = operator_handover_keep(e, group, event, false);
	return *ret_reply != ELECTION_REPLY_OK;
}

void operator_handover(struct election *e, const struct election_event *event)
{
	enum election_reply reply;
	bool now;

	CHECK(event->group < e->config.group_count);
	CHECK(event->handover.request_id != 0);
	if (e->groups[event->group].state == GROUP_STATE_MASTER)
		now = operator_handover_master(e, event, &reply);
	else
		now = operator_handover_backup(e, event, &reply);
	if (now)
		election_reply(e, event->group, event->handover.request_id, reply);
}

static enum advert_answer operator_answer_of(enum election_reply reply)
{
	switch (reply) {
	case ELECTION_REPLY_OK:
		return ADVERT_ANSWER_STARTED;
	case ELECTION_REPLY_BUSY:
		return ADVERT_ANSWER_BUSY;
	case ELECTION_REPLY_UNKNOWN_NODE:
		return ADVERT_ANSWER_UNKNOWN;
	case ELECTION_REPLY_NOT_READY:
	case ELECTION_REPLY_FAILED:
	case ELECTION_REPLY_NO_MASTER:
	case ELECTION_REPLY_TIMEOUT:
	case ELECTION_REPLY_LAST_ELIGIBLE:
	case ELECTION_REPLY_STOPPING:
	case ELECTION_REPLY_COUNT:
		break;
	}
	return ADVERT_ANSWER_NOT_READY;
}

void operator_answer(
	struct election *e, uint8_t group, uint8_t asker, uint32_t nonce, enum advert_answer answer)
{
	uint8_t peer = election_peer_index(e, asker);

	if (peer == MODEL_NO_PEER)
		return;
	e->groups[group].done_nonce[peer] = nonce;
	e->groups[group].done_answer[peer] = answer;
	e->groups[group].send_now = true;
}

void operator_forget_requests(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_view *view = &e->peers[p].views[group];

		if (view->request == ADVERT_REQUEST_NONE ||
			view->request_node == e->config.own.id ||
			view->request_nonce == g->done_nonce[p])
			continue;
		g->done_nonce[p] = view->request_nonce;
		g->done_answer[p] = ADVERT_ANSWER_NONE;
	}
}

void operator_judge_requests(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	/* Who asks while an offer is out hears BUSY: he would ask in vain until his deadline. */
	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_view *view = &e->peers[p].views[group];
		enum election_reply reply = ELECTION_REPLY_OK;
		enum advert_answer answer = ADVERT_ANSWER_DONE;

		if (view->request != ADVERT_REQUEST_HANDOVER || !peers_alive(e, group, p) ||
			view->request_nonce == g->done_nonce[p])
			continue;
		trace_line(e, group,
			TRACE_TEXT("%s asks for a hand-over to %s", e->config.peers[p].name,
				view->request_node ? trace_node(e, view->request_node)
						   : "the best"),
			"try it");
		if (view->request_node != e->config.own.id) {
			reply = handover_begin(e, group, view->request_node, REASON_HANDOVER,
				view->request_force, e->config.peers[p].id, view->request_nonce, 0);
			answer = operator_answer_of(reply);
		}
		operator_answer(e, group, e->config.peers[p].id, view->request_nonce, answer);
	}
}

/* operator_judge_reply: whether the answer to an own request is there. */
static bool operator_judge_reply(const struct election *e, uint8_t group,
	const struct model_request *r, enum election_reply *ret_reply)
{
	if (r->here) {
		*ret_reply = ELECTION_REPLY_TIMEOUT;
		return mono_reached(e->now, r->deadline);
	}
	for (uint8_t p = 0; p < e->config.peer_count; p++) {
		const struct model_view *view = &e->peers[p].views[group];

		if (view->answer_node != e->config.own.id || view->answer_nonce != r->nonce)
			continue;
		switch ((enum advert_answer)view->answer) {
		case ADVERT_ANSWER_DONE:
			*ret_reply = ELECTION_REPLY_OK;
			return true;
		case ADVERT_ANSWER_NOT_READY:
			*ret_reply = ELECTION_REPLY_NOT_READY;
			return true;
		case ADVERT_ANSWER_BUSY:
			*ret_reply = ELECTION_REPLY_BUSY;
			return true;
		case ADVERT_ANSWER_FAILED:
			*ret_reply = ELECTION_REPLY_FAILED;
			return true;
		case ADVERT_ANSWER_UNKNOWN:
			*ret_reply = ELECTION_REPLY_UNKNOWN_NODE;
			return true;
		case ADVERT_ANSWER_NONE:
		case ADVERT_ANSWER_STARTED:
		case ADVERT_ANSWER_COUNT:
			break;
		}
	}
	*ret_reply = ELECTION_REPLY_TIMEOUT;
	return mono_reached(e->now, r->deadline);
}

/* operator_judge_here: a request that waited for the end of an overlap; true when it is settled. */
static bool operator_judge_here(struct election *e, uint8_t group, struct model_request *r)
{
	struct model_group *g = &e->groups[group];
	uint32_t id = r->request_id;
	enum election_reply reply = ELECTION_REPLY_FAILED;

	if (!r->here || (g->state == GROUP_STATE_MASTER && (g->from != 0 || g->offer.active)))
		return false;
	r->request_id = 0;
	if (g->state == GROUP_STATE_MASTER)
		reply = handover_begin(e, group, r->target, REASON_HANDOVER, r->force, 0, 0, id);
	if (reply != ELECTION_REPLY_OK)
		election_reply(e, group, id, reply);
	return true;
}

static void operator_judge_yielded(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];
	uint8_t successor = election_peer_index(e, g->yielded_to);
	uint8_t master = peers_master(e, group);

	if (!g->yielded)
		return;
	/* The successor failed: dead, or another node has the group by something else than a
	 * command. While the hand-over's last adverts are on their way nothing is concluded. */
	if (successor != MODEL_NO_PEER && peers_alive(e, group, successor) &&
		(master == MODEL_NO_PEER || e->config.peers[master].id == g->yielded_to ||
			e->peers[master].views[group].reason == REASON_HANDOVER))
		return;
	g->yielded = false;
	g->send_now = true;
	trace_line(e, group, TRACE_TEXT("%s, our successor, failed", trace_node(e, g->yielded_to)),
		"may be preferred again");
}

void operator_judge(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	for (size_t i = 0; i < MODEL_REQUESTS_MAX; i++) {
		struct model_request *r = &g->requests[i];
		enum election_reply reply;

		if (r->request_id == 0 || operator_judge_here(e, group, r))
			continue;
		if (!operator_judge_reply(e, group, r, &reply)) {
			election_wake(e, r->deadline);
			continue;
		}
		/* The old master's last word may be lost; that the target has the group is not. */
		if (reply == ELECTION_REPLY_TIMEOUT && r->target == e->config.own.id &&
			g->state == GROUP_STATE_MASTER)
			reply = ELECTION_REPLY_OK;
		election_reply(e, group, r->request_id, reply);
		r->request_id = 0;
		g->send_now = true;
	}
	operator_judge_yielded(e, group);
}

/* operator_maintenance_check: every group must keep a node, and every group held here must have
 * one that takes it over without loss. */
static enum election_reply operator_maintenance_check(const struct election *e)
{
	for (uint8_t group = 0; group < e->config.group_count; group++) {
		if (order_best_peer(e, group, false) == MODEL_NO_PEER)
			return ELECTION_REPLY_LAST_ELIGIBLE;
		if (e->groups[group].state == GROUP_STATE_MASTER &&
			order_best_peer(e, group, true) == MODEL_NO_PEER)
			return ELECTION_REPLY_NOT_READY;
	}
	return ELECTION_REPLY_OK;
}

static void operator_maintenance_set(struct election *e, bool on, mono_t until)
{
	struct election_action *action =
		election_append(e, ELECTION_ACTION_MAINTENANCE, ELECTION_ALL);

	e->maintenance = on;
	e->maintenance_until = on ? until : MONO_NEVER;
	action->on = on;
	action->until = e->maintenance_until;
	for (uint8_t group = 0; group < e->config.group_count; group++)
		e->groups[group].send_now = true;
	trace_line(e, ELECTION_ALL, on ? "maintenance on" : "maintenance off",
		on ? "never master" : "take part again");
}

void operator_maintenance(struct election *e, const struct election_event *event)
{
	enum election_reply reply = ELECTION_REPLY_OK;
	uint32_t id = event->maintenance.request_id;

	CHECK(id != 0);
	if (e->stopping)
		reply = ELECTION_REPLY_STOPPING;
	else if (e->maintenance_wish.request_id)
		reply = ELECTION_REPLY_BUSY;
	else if (!event->maintenance.on && e->maintenance)
		operator_maintenance_set(e, false, MONO_NEVER);
	else if (event->maintenance.on && e->maintenance)
		operator_maintenance_set(e, true, event->maintenance.until);
	else if (event->maintenance.on) {
		if (!event->maintenance.force)
			reply = operator_maintenance_check(e);
		if (reply == ELECTION_REPLY_OK) {
			e->maintenance_wish.request_id = id;
			e->maintenance_wish.force = event->maintenance.force;
			e->maintenance_wish.until = event->maintenance.until;
			for (uint8_t group = 0; group < e->config.group_count; group++)
				e->groups[group].leave_tried = false;
			trace_line(
				e, ELECTION_ALL, "operator wants maintenance", "hand over first");
			return;
		}
	}
	election_reply(e, ELECTION_ALL, id, reply);
}

void operator_maintenance_failed(struct election *e, uint8_t group)
{
	trace_line(e, group, "could not be handed over", "no maintenance");
	election_reply(e, ELECTION_ALL, e->maintenance_wish.request_id, ELECTION_REPLY_FAILED);
	e->maintenance_wish.request_id = 0;
}

void operator_stop(struct election *e)
{
	if (e->stopping)
		return;
	e->stopping = true;
	e->stop_deadline = mono_add(e->now, dur_ms(OPERATOR_STOP_MS));
	trace_line(e, ELECTION_ALL, "told to stop", "hand over, then resign");
	if (e->maintenance_wish.request_id)
		election_reply(
			e, ELECTION_ALL, e->maintenance_wish.request_id, ELECTION_REPLY_STOPPING);
	e->maintenance_wish.request_id = 0;
	for (uint8_t group = 0; group < e->config.group_count; group++) {
		e->groups[group].leave_tried = false;
		e->groups[group].send_now = true;
	}
}

static bool operator_judge_free(const struct election *e)
{
	for (uint8_t group = 0; group < e->config.group_count; group++) {
		enum group_state state = e->groups[group].state;

		if (state == GROUP_STATE_MASTER || state == GROUP_STATE_PROMOTING ||
			state == GROUP_STATE_DEMOTING)
			return false;
	}
	return true;
}

static void operator_judge_node_stop(struct election *e)
{
	uint8_t first = ELECTION_ALL;

	if (!operator_judge_free(e) || e->closed)
		return;
	send_resignations(e);
	e->closed = true;
	(void)election_append(e, ELECTION_ACTION_STOPPED, first);
}

void operator_judge_node(struct election *e)
{
	if (e->maintenance_wish.request_id && operator_judge_free(e)) {
		operator_maintenance_set(e, true, e->maintenance_wish.until);
		election_reply(e, ELECTION_ALL, e->maintenance_wish.request_id, ELECTION_REPLY_OK);
		e->maintenance_wish.request_id = 0;
		e->pending = true; /* the groups' states follow in the next TIMER */
	}
	if (e->maintenance && mono_reached(e->now, e->maintenance_until)) {
		operator_maintenance_set(e, false, MONO_NEVER);
		e->pending = true;
	} else if (e->maintenance) {
		election_wake(e, e->maintenance_until);
	}
	if (e->stopping)
		operator_judge_node_stop(e);
}
