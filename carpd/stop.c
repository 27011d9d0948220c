/* stop: SIGTERM. The core hands over to a ready peer within CARPD_STOP_HANDOVER_MS, else it
 * withdraws and resigns; STOPPED ends the loop. If that takes too long for any reason, the shell
 * withdraws by itself: a carpd that was told to end ends without addresses. See node.h. */
#include "carpd/node.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/notify.h"

static int on_stop_overdue(sd_event_source *source, uint64_t usec, void *context)
{
	struct node *node = context;

	(void)source;
	(void)usec;
	log_errorx("the end takes too long: withdrawing without a word to the peers");
	for (uint32_t i = 0; i < node->group_count; i++)
		node_group_forget(&node->groups[i]);
	(void)executor_drain(node->rules_executor, mono_add(clock_now(), dur_ms(500)));
	return sd_event_exit(node->event, 1);
}

void stop_start(struct node *node)
{
	struct election_event event = {.type = ELECTION_EVENT_STOP, .group = ELECTION_ALL};
	uint64_t overdue_us = (uint64_t)(CARPD_STOP_HANDOVER_MS + CARPD_STOP_WITHDRAW_MS) * 1000;

	if (node->is_stopping)
		return;
	node->is_stopping = true;
	notify_stopping();
	log_notice("told to end");
	if (sd_event_add_time_relative(
		    node->event, NULL, CLOCK_BOOTTIME, overdue_us, 0, on_stop_overdue, node) < 0)
		CHECK(false);
	node_event(node, &event);
}
