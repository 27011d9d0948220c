/* story: the election told as fact -> decision, one golden text a story.
 *
 * Each story is a small script over the simulator's world (tests/sim/world.h) without chance in its
 * network: 0.1 ms of delay, no loss. What the cores trace is compared with stories/NAME.txt; those
 * files are meant to be read, first by whoever wants to know how carpool decides. The simulator's
 * checkers look on as well.
 *
 *   story NAME FILE            compares; shows the first difference
 *   story NAME FILE --write    writes the file: read the difference before you commit it */
#include "checks.h"
#include "common/check.h"
#include "faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORY_BYTES_MAX 65536u

struct story {
	struct world *w;
	char *text;
	size_t used;
	int64_t zero; /* true time of the story's 0 ms */
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

static void story_trace(
	void *context, const struct world *w, uint8_t node, const struct election_trace *line)
{
	struct story *s = context;

	static const char *const names[] = {"edge ", "guests "};

	story_put(s, "[%8.1f] fw%u %s> %s -> %s\n", (double)(w->now - s->zero) / 1e3, node + 1,
		line->group == ELECTION_ALL ? "" : names[line->group], line->fact, line->decision);
}

/* note: what the world does, between the lines of what the nodes make of it. */
static void note(struct story *s, const char *what)
{
	story_put(s, "\n== %s\n", what);
}

static void run(struct story *s, int64_t ms)
{
	world_run(s->w, s->w->now + ms * 1000);
}

static struct world_options story_options(uint8_t nodes)
{
	struct world_options o = {.seed = 7,
		.nodes = nodes,
		.groups = 1,
		.interfaces = 1,
		.sync_links = 1,
		.advbase_us = 10000,
		.dead_factor = 3,
		.delay_us = 100,
		.stage_us = 1000,
		.withdraw_us = 1000};

	for (uint8_t i = 0; i < nodes; i++)
		o.advskew[i] = (uint8_t)(100 * i);
	return o;
}

static void open_world(struct story *s, const struct world_options *o)
{
	s->w = world_new(o);
	s->w->trace = story_trace;
	s->w->trace_context = s;
	/* Packets need links that were there from the beginning. */
	for (uint8_t path = 0; path < s->w->path_count; path++)
		for (uint8_t a = 0; a < o->nodes; a++)
			for (uint8_t b = 0; b < o->nodes; b++)
				world_link_changed(s->w, path, a, b);
}

/* open_running: a pair (or more) that has been up for some seconds, fw1 master; not told. */
static void open_running(struct story *s, const struct world_options *o)
{
	open_world(s, o);
	for (uint8_t node = 0; node < o->nodes; node++)
		world_boot(s->w, node, false);
	run(s, 3000);
	CHECK(world_master(s->w, 0, 0));
	s->used = 0;
	s->text[0] = '\0';
	s->zero = s->w->now;
}

static void cut_path(struct story *s, uint8_t path, int by)
{
	for (uint8_t a = 0; a < s->w->options.nodes; a++)
		for (uint8_t b = 0; b < s->w->options.nodes; b++)
			if (a != b)
				world_cut(s->w, path, a, b, by);
}

static void cut_all(struct story *s, int by)
{
	for (uint8_t path = 0; path < s->w->path_count; path++)
		cut_path(s, path, by);
}

static void dead_port(struct story *s, uint8_t node, int by)
{
	s->w->nodes[node].port_dead[0] += by;
	s->w->nodes[node].port_changed_at = s->w->now;
	cut_path(s, 0, by);
}

static void drops(struct story *s, uint8_t node)
{
	story_put(s, "-- fw%u has dropped:", node + 1);
	for (enum advert_drop drop = 1; drop < ADVERT_DROP_COUNT; drop++)
		if (s->w->nodes[node].election.drops[drop] > 0)
			story_put(s, " %s %llu", advert_drop_name(drop),
				(unsigned long long)s->w->nodes[node].election.drops[drop]);
	story_put(s, "\n");
}

static void reply(struct story *s)
{
	story_put(s, "-- the operator reads: %s\n", election_reply_name(s->w->last_reply.reply));
}

/* --- The stories. --- */

static void story_start(struct story *s)
{
	struct world_options o = story_options(2);

	open_world(s, &o);
	note(s, "fw2, the lesser one, boots first");
	world_boot(s->w, 1, false);
	run(s, 300);
	note(s, "fw1 boots");
	world_boot(s->w, 0, false);
	run(s, 1500);
}

static void story_start_alone(struct story *s)
{
	struct world_options o = story_options(2);

	open_world(s, &o);
	note(s, "fw1 boots; fw2 is switched off");
	world_boot(s->w, 0, false);
	run(s, 1500);
	note(s, "fw2 boots an hour later, or so");
	world_boot(s->w, 1, false);
	run(s, 1500);
}

static void story_power_loss(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "fw1 loses its power");
	world_power_off(s->w, 0, false);
	run(s, 100);
	note(s, "fw1 boots again, without preempt");
	world_boot(s->w, 0, false);
	run(s, 1500);
}

static void story_handover(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "an operator on fw2 asks for a hand-over to fw2");
	world_handover(s->w, 1, 0, 2, false);
	run(s, 200);
	reply(s);
	note(s, "an operator on fw2, now master, asks for one to the best");
	world_handover(s->w, 1, 0, 0, false);
	run(s, 200);
	reply(s);
}

static void story_handover_silent_target(struct story *s)
{
	struct world_options o = story_options(2);

	o.stage_us = 200000;
	open_running(s, &o);
	note(s, "a hand-over to fw2, which freezes in the middle of it");
	world_handover(s->w, 0, 0, 2, false);
	run(s, 1);
	world_pause(s->w, 1, true);
	run(s, 400);
	reply(s);
	note(s, "fw2 wakes up");
	world_resume(s->w, 1);
	run(s, 200);
}

static void story_handover_dead_master(struct story *s)
{
	struct world_options o = story_options(2);

	o.stage_us = 200000;
	open_running(s, &o);
	note(s, "a hand-over to fw2, and fw1 loses its power before it is complete");
	world_handover(s->w, 0, 0, 2, false);
	run(s, 5);
	world_power_off(s->w, 0, false);
	run(s, 300);
}

static void story_handover_stalls(struct story *s)
{
	struct world_options o = story_options(2);

	o.stage_us = 200000;
	open_running(s, &o);
	note(s, "a hand-over to fw2, which stalls for 80 ms in the middle of it");
	world_handover(s->w, 0, 0, 2, false);
	run(s, 5);
	world_pause(s->w, 1, false);
	run(s, 80);
	world_resume(s->w, 1);
	run(s, 300);
	reply(s);
	note(s, "and back, while all paths lose everything for 60 ms");
	world_handover(s->w, 0, 0, 1, false);
	run(s, 5);
	cut_all(s, 1);
	run(s, 60);
	cut_all(s, -1);
	run(s, 300);
	reply(s);
}

static void story_handover_sleeper(struct story *s)
{
	struct world_options o = story_options(2);

	o.stage_us = 20000;
	open_running(s, &o);
	note(s, "a hand-over to fw2; the old master stalls for 60 ms in the middle of it");
	world_handover(s->w, 0, 0, 2, false);
	run(s, 5);
	world_pause(s->w, 0, false);
	run(s, 60);
	world_resume(s->w, 0);
	run(s, 300);
	reply(s);
}

static void story_sigterm(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "SIGTERM to carpd on fw1");
	world_stop(s->w, 0);
	run(s, 45);
	note(s, "SIGTERM to carpd on fw2, with nobody left");
	world_stop(s->w, 1);
	run(s, 30);
}

static void story_guard(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "kill -9 on fw1: its guard withdraws and resigns for it");
	world_power_off(s->w, 0, true);
	run(s, 60);
	drops(s, 1);
}

static void story_replay(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "500 recorded adverts, all senders and paths, to both nodes");
	for (uint32_t i = 0; i < 500; i++)
		world_inject(s->w, &s->w->recorded[i], s->w->recorded[i].path,
			1 - s->w->recorded[i].sender);
	run(s, 500);
	drops(s, 0);
	drops(s, 1);
	note(s, "the same on another path than they were signed for");
	for (uint32_t i = 0; i < 500; i++)
		world_inject(s->w, &s->w->recorded[i], 1 - s->w->recorded[i].path,
			1 - s->w->recorded[i].sender);
	run(s, 500);
	drops(s, 0);
	drops(s, 1);
	note(s, "fw1, the sender, reboots; then its old adverts come to fw2, which never slept");
	world_power_off(s->w, 0, false);
	run(s, 100);
	world_boot(s->w, 0, false);
	run(s, 1500);
	for (uint32_t i = 0; i < 500; i++)
		if (s->w->recorded[i].sender == 0)
			world_inject(s->w, &s->w->recorded[i], s->w->recorded[i].path, 1);
	run(s, 500);
	drops(s, 1);
	note(s, "fw2 reboots with an empty state directory, and hears them again");
	world_power_off(s->w, 1, false);
	run(s, 100);
	world_boot(s->w, 1, false);
	for (uint32_t i = 0; i < 500; i++)
		if (s->w->recorded[i].sender == 0)
			world_inject(s->w, &s->w->recorded[i], s->w->recorded[i].path, 1);
	run(s, 1500);
	drops(s, 1);
}

static void story_unproven(struct story *s)
{
	struct world_options o = story_options(2);
	uint32_t count;

	open_running(s, &o);
	note(s, "both lose their power; fw2 boots alone, and somebody replays fw1 as master");
	world_power_off(s->w, 0, false);
	world_power_off(s->w, 1, false);
	count = s->w->recorded_count;
	run(s, 100);
	world_boot(s->w, 1, false);
	for (int tick = 0; tick < 160; tick++) {
		for (uint32_t i = count - 20; i < count; i++)
			if (s->w->recorded[i].sender == 0)
				world_inject(s->w, &s->w->recorded[i], s->w->recorded[i].path, 1);
		run(s, 50);
	}
}

static void story_carrier(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "fw1's LAN cable is pulled");
	world_carrier(s->w, 0, 0, 1);
	run(s, 600);
	note(s, "and plugged in again");
	world_carrier(s->w, 0, 0, -1);
	run(s, 600);
}

static void story_dead_port(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "fw1's LAN port dies behind a living carrier");
	dead_port(s, 0, 1);
	run(s, 600);
	note(s, "it lives again");
	dead_port(s, 0, -1);
	run(s, 1500);
}

static void story_switch_dies(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "the LAN switch loses power: both carriers, fw2's 5 ms after fw1's");
	world_carrier(s->w, 0, 0, 1);
	run(s, 5);
	world_carrier(s->w, 1, 0, 1);
	run(s, 600);
	note(s, "and is back");
	world_carrier(s->w, 1, 0, -1);
	world_carrier(s->w, 0, 0, -1);
	run(s, 1500);
	note(s, "it forwards no more, with its carriers up");
	dead_port(s, 0, 1);
	dead_port(s, 1, 1);
	run(s, 1500);
}

static void story_path_split(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "the switch between the two LAN ports is split: both ports are well");
	cut_path(s, 0, 1);
	run(s, 1000);
	note(s, "the switch is whole again");
	cut_path(s, 0, -1);
	run(s, 500);
}

static void story_heal(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "all paths between the two are lost");
	cut_all(s, 1);
	run(s, 2000);
	note(s, "and come back");
	cut_all(s, -1);
	run(s, 300);
}

static void story_heal_demoted(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "all paths are lost; meanwhile fw2, the higher term, is demoted by 20");
	cut_all(s, 1);
	run(s, 1000);
	world_demote(s->w, 1, 0, "track:isp", 20);
	run(s, 1000);
	note(s, "the paths come back");
	cut_all(s, -1);
	run(s, 300);
}

static void story_late_clock(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "fw1 is stopped for 300 ms (no guard in this story)");
	world_pause(s->w, 0, false);
	run(s, 300);
	note(s, "it goes on");
	world_resume(s->w, 0);
	run(s, 300);
}

static void story_late_clock_alone(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "fw2 is gone; later fw1, alone, is stopped for 300 ms");
	world_power_off(s->w, 1, false);
	run(s, 2000);
	world_pause(s->w, 0, false);
	run(s, 300);
	note(s, "it goes on");
	world_resume(s->w, 0);
	run(s, 300);
}

static void story_late_clock_again(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "fw2 is gone; later fw1, alone, is stopped for 300 ms");
	world_power_off(s->w, 1, false);
	run(s, 2000);
	world_pause(s->w, 0, false);
	run(s, 300);
	note(s, "it goes on; fw2 boots; while fw1 still listens it is frozen");
	world_resume(s->w, 0);
	world_boot(s->w, 1, false);
	run(s, 1);
	world_pause(s->w, 0, true);
	run(s, 300);
	note(s, "and goes on: now somebody was there");
	world_resume(s->w, 0);
	run(s, 300);
}

static void story_late_backup(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "fw2's virtual machine is frozen for 300 ms: what fw1 said meanwhile is lost");
	world_pause(s->w, 1, true);
	run(s, 300);
	note(s, "it goes on");
	world_resume(s->w, 1);
	run(s, 300);
}

static void story_preempt(struct story *s)
{
	struct world_options o = story_options(2);

	o.preempt = true;
	open_running(s, &o);
	note(s, "fw1 loses its power");
	world_power_off(s->w, 0, false);
	run(s, 100);
	note(s, "fw1 is back");
	world_boot(s->w, 0, false);
	run(s, 4000);
	note(s, "an operator hands the group to fw2: no preempt against his will");
	world_handover(s->w, 0, 0, 2, false);
	run(s, 3000);
	reply(s);
}

static void story_not_ready(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "fw2's table is not complete; an operator asks for a hand-over all the same");
	world_ready(s->w, 1, 0, false);
	run(s, 50);
	world_handover(s->w, 0, 0, 2, false);
	run(s, 50);
	reply(s);
	note(s, "with force");
	world_handover(s->w, 0, 0, 2, true);
	run(s, 500);
	reply(s);
	note(s, "fw2 stays not ready: a difference in health, after `settle`, moves the group");
	run(s, 2000);
}

static void story_handover_to(struct story *s)
{
	struct world_options o = story_options(3);

	open_running(s, &o);
	note(s, "an operator on fw3 wants fw2 to have the group");
	world_handover(s->w, 2, 0, 2, false);
	run(s, 100);
	reply(s);
	note(s, "one on fw1 wants fw3 to have it");
	world_handover(s->w, 0, 0, 3, false);
	run(s, 100);
	reply(s);
	note(s, "one on fw3, where it is already");
	world_handover(s->w, 2, 0, 3, false);
	run(s, 100);
	reply(s);
	note(s, "one on fw3 wants a node that is not there, and then one that is in maintenance");
	world_handover(s->w, 2, 0, 9, false);
	run(s, 100);
	reply(s);
	world_maintenance(s->w, 1, true, false, 0);
	run(s, 100);
	world_handover(s->w, 2, 0, 2, true);
	run(s, 100);
	reply(s);
	note(s, "two want different nodes at the same time: one is first, the other is told");
	world_maintenance(s->w, 1, false, false, 0);
	run(s, 100);
	world_handover(s->w, 0, 0, 1, false);
	world_handover(s->w, 1, 0, 2, false);
	run(s, 7000);
	reply(s);
}

static void story_overlap(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "a hand-over to fw2; SIGTERM to its carpd while fw1 still forwards");
	world_handover(s->w, 0, 0, 2, false);
	run(s, 5);
	world_stop(s->w, 1);
	run(s, 45);
}

static void story_two_groups(struct story *s)
{
	struct world_options o = story_options(2);

	o.groups = 2;
	open_running(s, &o);
	note(s, "edge prefers fw1, guests prefers fw2: each has one; fw1 loses its power");
	world_power_off(s->w, 0, false);
	run(s, 100);
	note(s, "fw1 is back; an operator hands edge alone to it");
	world_boot(s->w, 0, false);
	run(s, 2000);
	world_handover(s->w, 1, 0, 1, false);
	run(s, 100);
	reply(s);
	note(s, "fw2's port of guests dies behind a living carrier: edge does not care");
	s->w->nodes[1].port_dead[1] += 1;
	cut_path(s, 1, 1);
	run(s, 600);
	note(s, "maintenance on fw1 is refused: nobody else could have guests");
	world_maintenance(s->w, 0, true, false, 0);
	run(s, 300);
	reply(s);
}

static void story_maintenance(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "maintenance on fw1 for 2 s");
	world_maintenance(s->w, 0, true, false, 2000000);
	run(s, 500);
	reply(s);
	note(s, "maintenance on fw2, the last eligible node");
	world_maintenance(s->w, 1, true, false, 0);
	run(s, 100);
	reply(s);
	note(s, "the 2 s pass");
	run(s, 2000);
	note(s, "fw1 and then, with force, fw2");
	world_maintenance(s->w, 0, true, false, 0);
	run(s, 100);
	reply(s);
	world_maintenance(s->w, 1, true, true, 0);
	run(s, 1500);
	reply(s);
	note(s, "fw1 is back");
	world_maintenance(s->w, 0, false, false, 0);
	run(s, 500);
	reply(s);
}

static void story_failed_handover(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "a hand-over to fw2, whose rules do not load");
	s->w->nodes[1].fails = 1;
	world_handover(s->w, 0, 0, 2, false);
	run(s, 500);
	reply(s);
}

static void story_failed_takeover(struct story *s)
{
	struct world_options o = story_options(3);

	open_running(s, &o);
	note(s, "fw1 loses its power, and fw2's rules do not load");
	s->w->nodes[1].fails = 1;
	world_power_off(s->w, 0, false);
	run(s, 500);
}

static void story_overrule(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "fw2 is not ready; then fw1's WAN is lost, 100");
	world_ready(s->w, 1, 0, false);
	run(s, 50);
	world_demote(s->w, 0, 0, "track:wan0", 100);
	run(s, 500);
}

static void story_flapping(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	for (int i = 0; i < 3; i++) {
		uint8_t master = world_master(s->w, 0, 0) ? 0 : 1;

		note(s, master ? "fw2's ISP check fails" : "fw1's ISP check fails");
		world_demote(s->w, master, 0, "track:isp", 50);
		world_demote(s->w, 1 - master, 0, "track:isp", 0);
		run(s, 2000);
	}
	note(s, "once more: held");
	world_demote(s->w, 1, 0, "track:isp", 50);
	world_demote(s->w, 0, 0, "track:isp", 0);
	run(s, 2000);
	note(s, "but a dead master is always replaced");
	world_power_off(s->w, 1, false);
	run(s, 200);
	note(s, "fw2 boots, its check is well, fw1's fails; held until the five minutes are over");
	world_boot(s->w, 1, false);
	run(s, 2000);
	world_demote(s->w, 1, 0, "track:isp", 0);
	world_demote(s->w, 0, 0, "track:isp", 50);
	run(s, 300000);
}

static void story_three(struct story *s)
{
	struct world_options o = story_options(3);

	open_running(s, &o);
	note(s, "fw1 loses its power: fw3 waits a stagger longer than fw2");
	world_power_off(s->w, 0, false);
	run(s, 300);
}

static void story_stagger(struct story *s)
{
	struct world_options o = story_options(3);

	for (uint8_t i = 0; i < 3; i++)
		o.advskew[i] = 0;
	open_running(s, &o);
	note(s, "three alike: fw1 loses its power, and only the stagger keeps fw3 from going too");
	world_power_off(s->w, 0, false);
	run(s, 100);
}

static void story_claims(struct story *s)
{
	struct world_options o = story_options(3);

	o.stage_us = 100000;
	open_running(s, &o);
	note(s, "fw2 and fw3 do not hear each other when fw1 dies; 20 ms later they do");
	for (uint8_t path = 0; path < 2; path++) {
		world_cut(s->w, path, 1, 2, 1);
		world_cut(s->w, path, 2, 1, 1);
	}
	run(s, 1000);
	world_power_off(s->w, 0, false);
	run(s, 55);
	for (uint8_t path = 0; path < 2; path++) {
		world_cut(s->w, path, 1, 2, -1);
		world_cut(s->w, path, 2, 1, -1);
	}
	run(s, 300);
}

static void story_deaf(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "fw2 no longer hears anything, but is heard");
	world_cut(s->w, 0, 0, 1, 1);
	world_cut(s->w, 1, 0, 1, 1);
	run(s, 1000);
	note(s, "it hears again");
	world_cut(s->w, 0, 0, 1, -1);
	world_cut(s->w, 1, 0, 1, -1);
	run(s, 300);
}

/* unplug: the switch that all of a node's cables lead to is dead, with the carriers up. */
static void unplug(struct story *s, uint8_t node, int by)
{
	for (uint8_t path = 0; path < s->w->path_count; path++)
		world_port(s->w, node, path, by);
}

static void story_cut_off(struct story *s)
{
	struct world_options o = story_options(3);

	open_running(s, &o);
	note(s, "fw2's own switch dies, its carriers stay up: it cannot know who is cut off");
	unplug(s, 1, 1);
	run(s, 700);
	note(s, "the switch is back: fw1 has served all the time");
	unplug(s, 1, -1);
	run(s, 500);
	note(s, "it dies for 250 ms: fw2 is back before a test could have told");
	unplug(s, 1, 1);
	run(s, 250);
	unplug(s, 1, -1);
	run(s, 500);
}

static void story_handover_cut_off(struct story *s)
{
	struct world_options o = story_options(2);

	open_running(s, &o);
	note(s, "fw2's switch dies; before fw1 knows, an operator hands the group to fw2");
	unplug(s, 1, 1);
	run(s, 20);
	world_handover(s->w, 0, 0, 2, false);
	run(s, 42);
	note(s, "the switch is back: fw2 has the group, in doubt, and not from the hand-over; its "
		"stages are slow now");
	s->w->nodes[1].late = 1;
	unplug(s, 1, -1);
	run(s, 2000);
	reply(s);
}

static void story_witness(struct story *s)
{
	struct world_options o = story_options(3);

	open_running(s, &o);
	note(s, "fw1 and fw2 no longer hear each other on any path; fw3 hears both");
	for (uint8_t path = 0; path < 2; path++) {
		world_cut(s->w, path, 0, 1, 1);
		world_cut(s->w, path, 1, 0, 1);
	}
	run(s, 500);
	note(s, "they hear each other again");
	for (uint8_t path = 0; path < 2; path++) {
		world_cut(s->w, path, 0, 1, -1);
		world_cut(s->w, path, 1, 0, -1);
	}
	run(s, 300);
}

static struct world_options confirm_options(uint8_t nodes)
{
	struct world_options o = story_options(nodes);

	o.confirm_questions = 5;
	o.confirm_spacing_us = 1000;
	return o;
}

static void story_confirm(struct story *s)
{
	struct world_options o = confirm_options(3);

	open_running(s, &o);
	note(s, "fw1 loses its power: five questions on every path, and fw3 leaves it to fw2");
	world_power_off(s->w, 0, false);
	run(s, 100);
	note(s, "then fw2: an interval of 13.9 ms is missed later");
	world_power_off(s->w, 1, false);
	run(s, 100);
}

static void story_confirm_answered(struct story *s)
{
	struct world_options o = confirm_options(2);

	open_running(s, &o);
	note(s, "for 4 ms everything is lost on all paths: one advert");
	cut_all(s, 1);
	run(s, 4);
	cut_all(s, -1);
	run(s, 36);
	note(s, "the same, and 3 ms more: the first questions too");
	cut_all(s, 1);
	run(s, 7);
	cut_all(s, -1);
	run(s, 33);
	note(s, "fw1 stalls for 8 ms: it answers when it wakes up");
	world_pause(s->w, 0, false);
	run(s, 8);
	world_resume(s->w, 0);
	run(s, 32);
	note(s, "for 20 ms: fw2 has taken over, and fw1 reads that before it says a word");
	world_pause(s->w, 0, false);
	run(s, 20);
	world_resume(s->w, 0);
	run(s, 50);
}

static void story_confirm_carrier(struct story *s)
{
	struct world_options o = confirm_options(2);

	o.interfaces = 2;
	open_running(s, &o);
	note(s, "fw2's LAN cable is pulled; then one advert is lost on the other paths");
	world_carrier(s->w, 1, 0, 1);
	run(s, 500);
	cut_path(s, 1, 1);
	cut_path(s, 2, 1);
	run(s, 4);
	cut_path(s, 1, -1);
	cut_path(s, 2, -1);
	run(s, 100);
	note(s, "fw1 loses its power");
	world_power_off(s->w, 0, false);
	run(s, 100);
}

static void story_confirm_long_line(struct story *s)
{
	struct world_options o = confirm_options(2);

	o.advbase_us = 20000;
	o.delay_us = 3000;
	open_running(s, &o);
	note(s, "answers need 6 ms: silence of 5 ms says nothing, master-down decides");
	world_power_off(s->w, 0, false);
	run(s, 100);
}

static void story_confirm_late(struct story *s)
{
	struct world_options o = confirm_options(2);

	open_running(s, &o);
	note(s, "fw1 loses its power, and fw2 stalls for 5 ms after its last question");
	world_power_off(s->w, 0, false);
	run(s, 9);
	world_pause(s->w, 1, true);
	run(s, 5);
	world_resume(s->w, 1);
	run(s, 50);
}

static void story_confirm_asleep(struct story *s)
{
	struct world_options o = confirm_options(2);

	open_running(s, &o);
	note(s, "all paths lose everything; in the midst of its questions fw2 freezes for 300 ms");
	cut_all(s, 1);
	run(s, 7);
	world_pause(s->w, 1, true);
	run(s, 300);
	note(s, "it goes on, 4 ms before the paths do: what it asked before proves nothing");
	world_resume(s->w, 1);
	run(s, 4);
	cut_all(s, -1);
	run(s, 50);
}

static const struct {
	const char *name;
	void (*tell)(struct story *s);
} stories[] = {
	{"carrier", story_carrier},
	{"claims", story_claims},
	{"confirm", story_confirm},
	{"confirm-answered", story_confirm_answered},
	{"confirm-asleep", story_confirm_asleep},
	{"confirm-carrier", story_confirm_carrier},
	{"confirm-late", story_confirm_late},
	{"confirm-long-line", story_confirm_long_line},
	{"cut-off", story_cut_off},
	{"dead-port", story_dead_port},
	{"deaf", story_deaf},
	{"failed-handover", story_failed_handover},
	{"failed-takeover", story_failed_takeover},
	{"flapping", story_flapping},
	{"guard", story_guard},
	{"handover", story_handover},
	{"handover-cut-off", story_handover_cut_off},
	{"handover-dead-master", story_handover_dead_master},
	{"handover-to", story_handover_to},
	{"handover-silent-target", story_handover_silent_target},
	{"handover-sleeper", story_handover_sleeper},
	{"handover-stalls", story_handover_stalls},
	{"heal", story_heal},
	{"heal-demoted", story_heal_demoted},
	{"late-backup", story_late_backup},
	{"late-clock", story_late_clock},
	{"late-clock-again", story_late_clock_again},
	{"late-clock-alone", story_late_clock_alone},
	{"maintenance", story_maintenance},
	{"not-ready", story_not_ready},
	{"overlap", story_overlap},
	{"overrule", story_overrule},
	{"path-split", story_path_split},
	{"power-loss", story_power_loss},
	{"preempt", story_preempt},
	{"replay", story_replay},
	{"sigterm", story_sigterm},
	{"stagger", story_stagger},
	{"start", story_start},
	{"start-alone", story_start_alone},
	{"switch-dies", story_switch_dies},
	{"three", story_three},
	{"two-groups", story_two_groups},
	{"unproven", story_unproven},
	{"witness", story_witness},
};

static int story_compare(const struct story *s, const char *path)
{
	char *golden = calloc(1, STORY_BYTES_MAX);
	FILE *file = fopen(path, "r");
	size_t at = 0, line = 1;

	CHECK(golden);
	if (file) {
		(void)!fread(golden, 1, STORY_BYTES_MAX - 1, file);
		fclose(file);
	}
	if (strcmp(golden, s->text) == 0) {
		free(golden);
		return 0;
	}
	while (golden[at] && golden[at] == s->text[at])
		line += golden[at++] == '\n';
	while (at > 0 && s->text[at - 1] != '\n')
		at--;
	printf("line %zu differs; expected:\n  %.*s\ntold:\n  %.*s\n\nthe whole story:\n%s", line,
		(int)strcspn(golden + at, "\n"), golden + at, (int)strcspn(s->text + at, "\n"),
		s->text + at, s->text);
	free(golden);
	return 1;
}

static int story_write(const struct story *s, const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file)
		return 1;
	fputs(s->text, file);
	return fclose(file) ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct story s = {0};
	int r = 2;

	for (size_t i = 0; argc >= 3 && i < ARRAY_LEN(stories); i++) {
		if (strcmp(stories[i].name, argv[1]) != 0)
			continue;
		s.text = calloc(1, STORY_BYTES_MAX);
		CHECK(s.text);
		stories[i].tell(&s);
		r = argc > 3 ? story_write(&s, argv[2]) : story_compare(&s, argv[2]);
		if (checks_failure(s.w)) {
			printf("a checker found: %s\n", checks_failure(s.w));
			r = 1;
		}
		world_free(s.w);
		free(s.text);
	}
	if (r == 2)
		fprintf(stderr, "story NAME FILE [--write]\n");
	return r;
}
