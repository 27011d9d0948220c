#include "carpd/core/demotion.h"

#include "carpd/core/election_internal.h"
#include "carpd/core/paths.h"
#include "carpd/core/trace.h"

#include <string.h>

static void demotion_copy_name(char to[static LIMIT_NAME], const char *from)
{
	size_t length = strlen(from);

	if (length > LIMIT_NAME - 1)
		length = LIMIT_NAME - 1;
	memcpy(to, from, length);
	to[length] = '\0';
}

static struct model_demotion *demotion_find(struct model_group *g, const char *name)
{
	for (size_t i = 0; i < MODEL_DEMOTIONS_MAX; i++)
		if (g->demotions[i].weight > 0 &&
			strncmp(g->demotions[i].name, name, LIMIT_NAME - 1) == 0)
			return &g->demotions[i];
	return NULL;
}

static struct model_demotion *demotion_add(struct model_group *g)
{
	for (size_t i = 0; i < MODEL_DEMOTIONS_MAX; i++)
		if (g->demotions[i].weight == 0)
			return &g->demotions[i];
	return NULL;
}

void demotion_set(struct election *e, uint8_t group, const char *name, uint16_t weight,
	bool when_master, mono_t expires)
{
	struct model_group *g = &e->groups[group];
	struct model_demotion *d = demotion_find(g, name);

	if (!d && weight == 0)
		return;
	if (!d) {
		d = demotion_add(g);
		if (!d) {
			trace_line(
				e, group, TRACE_TEXT("demotion %s: table full", name), "ignored");
			return;
		}
		demotion_copy_name(d->name, name);
		d->since = e->now;
	}
	if (d->weight != weight) {
		trace_line(e, group, TRACE_TEXT("demotion %s is %u", name, weight),
			weight > 0 ? "counts" : "forgotten");
		g->send_now = true;
	}
	d->weight = weight;
	d->when_master = when_master;
	d->expires = expires;
}

uint32_t demotion_total(const struct election *e, uint8_t group)
{
	const struct model_group *g = &e->groups[group];
	uint32_t total = paths_demotion(e, group);

	for (size_t i = 0; i < MODEL_DEMOTIONS_MAX; i++)
		total += g->demotions[i].weight;
	return total < UINT16_MAX ? total : UINT16_MAX;
}

void demotion_judge(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	for (size_t i = 0; i < MODEL_DEMOTIONS_MAX; i++) {
		struct model_demotion *d = &g->demotions[i];

		if (d->weight == 0)
			continue;
		if (mono_reached(e->now, d->expires))
			demotion_set(e, group, d->name, 0, false, MONO_NEVER);
		else
			election_wake(e, d->expires);
	}
}

void demotion_lost_mastership(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	for (size_t i = 0; i < MODEL_DEMOTIONS_MAX; i++)
		if (g->demotions[i].weight > 0 && g->demotions[i].when_master)
			g->demotions[i].expires = mono_add(e->now, dur_s(DEMOTION_STICKY_SECONDS));
}

void demotion_regained_mastership(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	for (size_t i = 0; i < MODEL_DEMOTIONS_MAX; i++)
		if (g->demotions[i].weight > 0 && g->demotions[i].when_master)
			g->demotions[i].expires = MONO_NEVER;
}

void demotion_forget_sticky(struct election *e, uint8_t group)
{
	struct model_group *g = &e->groups[group];

	for (size_t i = 0; i < MODEL_DEMOTIONS_MAX; i++)
		if (g->demotions[i].weight > 0 && g->demotions[i].when_master)
			demotion_set(e, group, g->demotions[i].name, 0, false, MONO_NEVER);
}
