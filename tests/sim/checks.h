/* checks.h: what must never be seen, judged from the world's truth and apart from the core's code.
 * Each has a name, which a failure begins with:
 *
 *  one-master    two masters of a group that hear each other both ways (a path between them is
 * uncut and without loss, both awake): never longer than a bound. The second advert of each side
 * reaches the other within 2 intervals and a delay; a side that booted meanwhile needs a proof
 * besides: challenge (spaced 10 ms), echo, advert = 3 delays and 10 ms; the rule of the deaf waits
 * 2 intervals more; the winner's higher term takes 1 interval and 1 delay. So 6 intervals + 8
 * delays + 30 ms; a hand-over's overlap has its own deadline of 5 s. dual-alarm    two masters that
 * do not hear each other both ways: whoever hears both raises DUAL_MASTER within the same bound and
 * a master-down. served        an eligible node that hears no master: somebody it hears, or itself,
 * is master within 3 * master-down + the stages, counted from the last change of the world. start
 * no start-up hold lasts longer than 6 holds. twice         no advert is accepted twice by a node,
 * in all of its lives together, and none that is older than the receiver's life. terms         a
 * promotion's term is above every term that the node has seen in this life; no advert carries a
 * lower term than an earlier one of the same life. dead-soon     no MASTER_DEAD takeover within
 * master-down of an accepted advert of a living master; with rapid confirmation, within one
 * interval and all questions of it. dead-heard    none while a path from a living master, and one
 * back, have been clean for as long as an advert and a proof need. hand-over     when a hand-over's
 * old master withdraws, its target holds the addresses (or a third master does, to which the target
 * lost). late-clock    a master that slept longer than dead_factor of its intervals while a peer
 * lived says nothing as master of that term when it wakes. woken         a node that was frozen for
 * longer than two master-downs calls nobody dead within one interval after waking; or, with rapid
 * confirmation, before all questions were asked. displaced     a master whose ports are well does
 * not give way to one that hears nobody, nor to one that took over hearing nobody behind dead
 * ports. converged     the liveness phase: one master per group, everybody else backup, no alarm
 * left. awake         the core never asks to be woken for what is overdue. */
#ifndef TESTS_SIM_CHECKS_H
#define TESTS_SIM_CHECKS_H

#include "world.h"

struct checks;

struct checks *checks_new(const struct world *w);
void checks_free(struct checks *c);

/* The first thing that went wrong, or NULL. */
const char *checks_failure(const struct world *w);

void checks_tick(struct world *w); /* after every event of the world */
void checks_accepted(struct world *w, uint8_t node, const struct world_packet *packet);
void checks_transition(struct world *w, uint8_t node, const struct election_action *action);
void checks_sent(struct world *w, uint8_t node, uint8_t group, const struct advert *advert);
void checks_gave_up(struct world *w, uint8_t node, const struct election_action *action);
void checks_withdrawn(struct world *w, uint8_t node, uint8_t group, uint8_t to, enum reason why);

/* checks_converged: the liveness phase: one master per group, everybody else backup. */
void checks_converged(struct world *w);

#endif
