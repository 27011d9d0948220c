#include "ctl/drill/timeline.h"

#include "ctl/drill/tick.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMELINE_SLACK_NS (2 * TICK_NS_PER_MS)

void timeline_add(struct measure *measure, int64_t at, const char *node, const char *format, ...)
{
	char text[TIMELINE_TEXT_MAX];
	double ms = (double)((at - measure->fault_at) / TICK_NS_PER_US) / 1000.0;
	va_list args;

	if (at == 0 || json_array_size(measure->timeline) >= TIMELINE_ITEMS_MAX)
		return;
	if (!measure->timeline)
		measure->timeline = json_array();
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)json_array_append_new(measure->timeline,
		json_pack("{s:f,s:s,s:s}", "at_ms", ms, "node", node, "what", text));
}

static const char *timeline_text(const json_t *item, const char *name)
{
	const char *text = json_string_value(json_object_get(item, name));

	return text ? text : "?";
}

/* A handler's time lies within its phase; what comes after the announcement is not in the record's
 * time. */
static bool timeline_counts(const json_t *stage)
{
	const char *name = timeline_text(stage, "stage");

	return !strchr(name, ':') && strncmp(name, "after", strlen("after")) != 0;
}

/* The record is made when all is done: its stages end there, one behind the other. */
static void timeline_stages(
	struct measure *measure, const json_t *item, const char *node, int64_t done_at)
{
	const json_t *stages = json_object_get(item, "stages");
	int64_t at = done_at;
	json_t *stage;
	size_t i;

	json_array_foreach (stages, i, stage)
		if (timeline_counts(stage))
			at -= json_integer_value(json_object_get(stage, "us")) * TICK_NS_PER_US;
	json_array_foreach (stages, i, stage) {
		int64_t us = json_integer_value(json_object_get(stage, "us"));

		if (!timeline_counts(stage))
			continue;
		at += us * TICK_NS_PER_US;
		timeline_add(measure, at, node, "stage %s done (%.2f ms)",
			timeline_text(stage, "stage"), (double)us / 1000.0);
	}
}

void timeline_history(
	struct measure *measure, const json_t *history, const char *node, int64_t wall_offset)
{
	json_t *item;
	size_t i;

	json_array_foreach (history, i, item) {
		int64_t at = measure_parse_time(json_string_value(json_object_get(item, "time")));
		const char *to = timeline_text(item, "to");

		if (at == 0 || at - wall_offset + TIMELINE_SLACK_NS < measure->fault_at)
			continue;
		at -= wall_offset;
		if (strcmp(to, "master") == 0 &&
			strcmp(timeline_text(item, "group"), measure->group) == 0)
			measure->promotion_count++;
		timeline_stages(measure, item, node, at);
		timeline_add(measure, at, node, "group %s: %s -> %s (%s)",
			timeline_text(item, "group"), timeline_text(item, "from"), to,
			timeline_text(item, "reason"));
	}
}

struct timeline_entry {
	json_t *item;
	size_t index; /* at the same instant the order of adding stays */
};

static int timeline_compare(const void *a, const void *b)
{
	const struct timeline_entry *first = a, *second = b;
	double x = json_real_value(json_object_get(first->item, "at_ms"));
	double y = json_real_value(json_object_get(second->item, "at_ms"));

	if (x > y || x < y)
		return x > y ? 1 : -1;
	return first->index > second->index ? 1 : -1;
}

static void timeline_sort(json_t *timeline)
{
	size_t count = json_array_size(timeline);
	struct timeline_entry *items = calloc(count + 1, sizeof(*items));

	if (!items)
		return;
	for (size_t i = 0; i < count; i++)
		items[i] = (struct timeline_entry){json_incref(json_array_get(timeline, i)), i};
	qsort(items, count, sizeof(*items), timeline_compare);
	for (size_t i = 0; i < count; i++)
		(void)json_array_set_new(timeline, i, items[i].item);
	free(items);
}

void timeline_finish(struct measure *measure, const struct config *cfg)
{
	const char *new_master =
		measure->new_master >= 0 ? cfg->nodes[measure->new_master].name : "";
	const char *old_master =
		measure->old_master >= 0 ? cfg->nodes[measure->old_master].name : "";

	if (measure->udp.lost_count > 0) {
		timeline_add(measure, measure->udp.last_good_at, "", "last good probe sent");
		timeline_add(measure, measure->udp.first_good_at, "",
			"first good probe after the outage sent");
	}
	if (measure->new_master != measure->old_master) {
		timeline_add(measure, measure->old_silent_at, old_master,
			"last answer for a virtual address");
		timeline_add(measure, measure->announced_at, new_master,
			"first announcement of a virtual address");
		timeline_add(measure, measure->new_answers_at, new_master,
			"answers for the virtual addresses");
		timeline_add(
			measure, measure->first_forward_at, new_master, "first probe forwarded");
	}
	timeline_add(measure, measure->ready_again_at, "", "every node is ready (first seen)");
	timeline_sort(measure->timeline);
}
