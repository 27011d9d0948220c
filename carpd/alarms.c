#include "carpd/alarms.h"

#include "carpd/journal.h"
#include "carpd/node.h"
#include "common/io/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct alarm *alarms_find(struct node *node, const char *code, uint8_t group)
{
	for (unsigned int i = 0; i < CARPD_ALARMS_MAX; i++) {
		struct alarm *alarm = &node->alarms[i];

		if (alarm->code && alarm->group == group && strcmp(alarm->code, code) == 0)
			return alarm;
	}
	return NULL;
}

static struct alarm *alarms_place(struct node *node)
{
	for (unsigned int i = 0; i < CARPD_ALARMS_MAX; i++)
		if (!node->alarms[i].code)
			return &node->alarms[i];
	return NULL;
}

static void alarms_tell(
	struct node *node, const char *code, uint8_t group, bool on, const char *text)
{
	const char *name = node->cfg->groups[group].name;
	char time[CLOCK_TEXT_MAX];

	journal_alarm(name, code, on, text);
	if (node->server)
		(void)control_server_publish(node->server, NODE_TOPIC_EVENTS,
			json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "event", "alarm", "time",
				clock_render(clock_wall_us(), time), "code", code, "group", name,
				"on", on, "text", text));
}

void alarms_raise(
	struct node *node, const char *code, uint8_t group, dur_t lifetime, const char *format, ...)
{
	struct alarm *alarm = alarms_find(node, code, group);
	bool is_new = alarm == NULL;
	char text[ALARMS_TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (is_new) {
		alarm = alarms_place(node);
		alarms_tell(node, code, group, true, text);
	}
	if (!alarm)
		return;
	if (is_new)
		*alarm = (struct alarm){
			.code = code, .group = group, .since_wall_us = clock_wall_us()};
	alarm->until = mono_add(clock_now(), lifetime);
	memcpy(alarm->text, text, sizeof(alarm->text));
}

static void alarms_end(struct node *node, struct alarm *alarm)
{
	alarms_tell(node, alarm->code, alarm->group, false, alarm->text);
	*alarm = (struct alarm){0};
}

void alarms_clear(struct node *node, const char *code, uint8_t group)
{
	struct alarm *alarm = alarms_find(node, code, group);

	if (alarm)
		alarms_end(node, alarm);
}

void alarms_expire(struct node *node)
{
	mono_t now = clock_now();

	for (unsigned int i = 0; i < CARPD_ALARMS_MAX; i++)
		if (node->alarms[i].code && mono_reached(now, node->alarms[i].until))
			alarms_end(node, &node->alarms[i]);
}

void alarms_status(const struct node *node, json_t *list)
{
	char time[CLOCK_TEXT_MAX];

	for (unsigned int i = 0; i < CARPD_ALARMS_MAX; i++) {
		const struct alarm *alarm = &node->alarms[i];

		if (alarm->code)
			(void)json_array_append_new(
				list, json_pack("{s:s, s:s, s:s, s:s}", "code", alarm->code,
					      "group", node->cfg->groups[alarm->group].name,
					      "since", clock_render(alarm->since_wall_us, time),
					      "text", alarm->text));
	}
}
