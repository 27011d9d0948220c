/* carp2_story: one node and what it hears and says by CARPv2, one golden text a story.
 *
 * The other side is not simulated: a story says what arrives and when, for a foreign node knows no
 * rule of ours. Adverts of this node are told when they are not what they were last. Files as in
 * story.c: `carp2_story NAME FILE [--write]`. */
#include "carpd/core/election.h"
#include "common/carp2.h"
#include "common/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORY_BYTES_MAX 65536u
#define STORY_DEMOTION	30u

struct story {
	struct election e;
	struct election_actions actions;
	struct carp2_advert said;
	mono_t now;
	size_t used;
	char text[STORY_BYTES_MAX];
};

static void story_put(struct story *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void story_put(struct story *s, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(s->text + s->used, STORY_BYTES_MAX - s->used, format, arguments);
	va_end(arguments);
	CHECK(length >= 0 && (size_t)length < STORY_BYTES_MAX - s->used);
	s->used += (size_t)length;
}

static void on_trace(void *context, const struct election_trace *line)
{
	struct story *s = context;

	story_put(s, "[%8.1f] %s -> %s\n", (double)line->at.us / 1e3, line->fact, line->decision);
}

static void step(struct story *s, struct election_event *event);

static void on_send(struct story *s, const struct election_action *action)
{
	struct carp2_advert advert;

	if (!action->carp2)
		return;
	election_carp2_advert(&s->e, action, &advert);
	if (advert.advbase != s->said.advbase || advert.advskew != s->said.advskew ||
		advert.demote != s->said.demote)
		story_put(s, "[%8.1f] says %u+%u/256 s, demotion %u\n", (double)s->now.us / 1e3,
			advert.advbase, advert.advskew, advert.demote);
	s->said = advert;
}

/* act: stages take no time here. */
static void act(struct story *s)
{
	struct election_event after = {.type = ELECTION_EVENT_TIMER};

	for (uint32_t i = 0; i < s->actions.count; i++) {
		const struct election_action *action = &s->actions.list[i];

		if (action->type == ELECTION_ACTION_SEND)
			on_send(s, action);
		else if (action->type == ELECTION_ACTION_PROMOTE)
			after.type = ELECTION_EVENT_PROMOTED;
		else if (action->type == ELECTION_ACTION_DEMOTE)
			after.type = ELECTION_EVENT_DEMOTED;
		else if (action->type == ELECTION_ACTION_REANNOUNCE)
			story_put(s, "[%8.1f] announces its addresses again\n",
				(double)s->now.us / 1e3);
		else if (action->type == ELECTION_ACTION_STOPPED)
			story_put(s, "[%8.1f] ends\n", (double)s->now.us / 1e3);
	}
	if (after.type != ELECTION_EVENT_TIMER)
		step(s, &after);
}

static void step(struct story *s, struct election_event *event)
{
	event->now = s->now;
	s->actions.count = 0;
	election_step(&s->e, event, &s->actions);
	act(s);
}

static void run(struct story *s, int64_t ms)
{
	mono_t until = mono_add(s->now, dur_ms(ms));

	for (;;) {
		struct election_event timer = {.type = ELECTION_EVENT_TIMER};
		mono_t due = election_next_deadline(&s->e);

		if (due.us > until.us)
			break;
		s->now = mono_max(s->now, due);
		step(s, &timer);
	}
	s->now = until;
}

static void hear(struct story *s, uint8_t advbase, uint8_t advskew, uint8_t demote, bool lower)
{
	struct election_event event = {.type = ELECTION_EVENT_CARP2};

	event.carp2.peer = ELECTION_ALL;
	event.carp2.advbase = advbase;
	event.carp2.advskew = advskew;
	event.carp2.demote = demote;
	event.carp2.lower_source = lower;
	step(s, &event);
	run(s, 0);
}

/* hear_for: a foreign master for so many seconds. */
static void hear_for(struct story *s, unsigned int seconds, uint8_t advskew, uint8_t demote)
{
	for (unsigned int i = 0; i < seconds; i++) {
		hear(s, 1, advskew, demote, false);
		run(s, 1000);
	}
}

static void note(struct story *s, const char *what)
{
	story_put(s, "\n== %s\n", what);
}

static void open_story(struct story *s, bool preempt, bool strict)
{
	struct election_config c = {
		.own = {.name = "fw1", .id = 1, .sync_count = 1},
		.peer_count = 1,
		.peers = {{.name = "bsd1", .id = 2, .sync_count = 1}},
		.path_count = 2,
		.paths = {{.name = "lan0", .tag = 1}, {.name = "sync0", .tag = 2, .sync = true}},
		.group_count = 1,
		.groups = {{.name = "office",
			.tag = 3,
			.vhid = 42,
			.advskew = 10,
			.interface_count = 1,
			.interfaces = {{.path = 0, .weight = 100}},
			.ready = true}},
		.advbase = dur_s(1),
		.dead_factor = 3,
		.preempt = preempt,
		.settle = dur_s(1),
		.damping_moves = 3,
		.damping_within = dur_s(60),
		.damping_hold = dur_s(300),
		.carp2 = true,
		.carp2_strict = strict,
	};

	election_init(&s->e, &c, 77, s->now);
	election_set_trace(&s->e, on_trace, s);
}

static void set_demotion(struct story *s, uint16_t weight)
{
	struct election_event event = {.type = ELECTION_EVENT_DEMOTION};

	event.demotion.name = "track:dmz0";
	event.demotion.weight = weight;
	step(s, &event);
	run(s, 0);
}

static void set_carrier(struct story *s, bool up)
{
	struct election_event event = {.type = ELECTION_EVENT_CARRIER, .up = up};

	step(s, &event);
	run(s, 0);
}

/* --- The stories. --- */

static void story_backup(struct story *s)
{
	open_story(s, false, false);
	note(s, "a foreign, lesser master speaks while fw1 starts, without preempt");
	hear_for(s, 10, 100, 0);
	note(s, "it falls silent");
	run(s, 4000);
	note(s, "a better one claims the group");
	hear_for(s, 2, 0, 0);
	note(s, "and bows out");
	hear(s, 255, 255, 0, false);
	run(s, 100);
}

static void story_preempt(struct story *s)
{
	open_story(s, true, false);
	note(s, "a foreign, lesser master, with preempt");
	hear_for(s, 10, 100, 0);
	note(s, "it goes on for two seconds");
	hear_for(s, 2, 100, 0);
	note(s, "and is silent");
	run(s, 4000);
}

static void story_demotion(struct story *s)
{
	open_story(s, false, false);
	note(s, "alone");
	run(s, 8000);
	note(s, "demoted by 30: OpenBSD reads the byte, FreeBSD and ucarp the skew");
	set_demotion(s, STORY_DEMOTION);
	run(s, 100);
	note(s, "demoted by 300");
	set_demotion(s, 300);
	run(s, 100);
	note(s, "an OpenBSD with a worse skew and no demotion takes over");
	hear_for(s, 1, 200, 0);
	note(s, "fw1 is well again, and the other one demoted: no preempt is needed");
	set_demotion(s, 0);
	hear_for(s, 3, 200, 32);
}

static void story_tie(struct story *s)
{
	open_story(s, false, false);
	note(s, "master, and an equal one with a higher address");
	run(s, 8000);
	hear(s, 1, 10, 0, false);
	run(s, 500);
	note(s, "an equal one with a lower address, which leaves, too, as a BSD does");
	hear(s, 1, 10, 0, true);
	run(s, 5000);
}

static void story_leave(struct story *s)
{
	struct election_event stop = {.type = ELECTION_EVENT_STOP};

	open_story(s, false, false);
	note(s, "master; its cable is pulled, nobody of ours is there");
	run(s, 8000);
	set_carrier(s, false);
	run(s, 5000);
	note(s, "plugged in again: a foreign master may have taken over");
	set_carrier(s, true);
	run(s, 5000);
	note(s, "SIGTERM: the foreign backups, which nobody hears, are told");
	step(s, &stop);
	run(s, 100);
}

static void story_late(struct story *s)
{
	struct election_event event = {.type = ELECTION_EVENT_CARP2};

	open_story(s, false, false);
	run(s, 8000);
	s->used = 0;
	note(s, "master; frozen for five seconds, and nobody has claimed the group");
	s->now = mono_add(s->now, dur_s(5));
	run(s, 2000);
	note(s, "frozen again; a lesser foreign node has taken over, and its adverts are waiting");
	s->now = mono_add(s->now, dur_s(5));
	event.carp2.peer = ELECTION_ALL;
	event.carp2.advbase = 1;
	event.carp2.advskew = 100;
	step(s, &event);
	step(s, &event);
	run(s, 0);
	hear_for(s, 1, 100, 0);
	note(s, "a backup now, frozen: what it slept through is no silence");
	s->now = mono_add(s->now, dur_s(10));
	run(s, 500);
	hear_for(s, 2, 100, 0);
}

static void story_strict(struct story *s)
{
	open_story(s, true, true);
	note(s, "counter: strict: a stranger with a better priority");
	hear_for(s, 8, 0, 0);
	story_put(s, "-- dropped: %s %llu\n", carp2_drop_name(CARP2_DROP_FOREIGN),
		(unsigned long long)s->e.carp2_drops[CARP2_DROP_FOREIGN]);
}

static const struct {
	const char *name;
	void (*tell)(struct story *s);
} stories[] = {
	{"backup", story_backup},
	{"demotion", story_demotion},
	{"late", story_late},
	{"leave", story_leave},
	{"preempt", story_preempt},
	{"strict", story_strict},
	{"tie", story_tie},
};

static int compare(const struct story *s, const char *path)
{
	static char wanted[STORY_BYTES_MAX];
	FILE *file = fopen(path, "r");
	size_t size = file ? fread(wanted, 1, sizeof(wanted) - 1, file) : 0, line = 1;

	if (file)
		fclose(file);
	wanted[size] = '\0';
	if (strcmp(wanted, s->text) == 0)
		return 0;
	for (size_t i = 0; i < size && wanted[i] == s->text[i]; i++)
		line += wanted[i] == '\n';
	fprintf(stderr, "%s: another story from line %zu on; this is told now:\n%s", path, line,
		s->text);
	return 1;
}

int main(int argc, char **argv)
{
	static struct story the_story;
	struct story *s = &the_story;
	FILE *file;

	if (argc < 3)
		return 2;
	for (size_t i = 0; i < ARRAY_LEN(stories); i++)
		if (strcmp(argv[1], stories[i].name) == 0)
			stories[i].tell(s);
	CHECK(s->used > 0);
	CHECK(s->e.wakes_overdue == 0);
	if (argc < 4)
		return compare(s, argv[2]);
	file = fopen(argv[2], "w");
	return !file || fputs(s->text, file) < 0 || fclose(file) != 0;
}
