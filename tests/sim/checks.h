/* checks.h: what must never be seen, judged from the world's truth and apart from the core's code.
 *
 *  (a) two masters of a group that hear each other both ways (a path between them is uncut and
 *      without loss, both awake): never longer than CHECK_DUAL. Derivation: the second advert of
 *      each side reaches the other within 2 intervals and a delay; a side that booted meanwhile
 *      needs a proof besides: challenge (spaced 10 ms), echo, advert = 3 delays and 10 ms; the rule
 *      of the deaf waits 2 intervals more; the winner's higher term takes 1 interval and 1 delay.
 *      So 6 intervals + 8 delays + 30 ms; a hand-over's overlap has its own deadline of 5 s.
 *  (b) an eligible node that hears no master: somebody it hears, or itself, is master within
 *      3 * master-down + the stages, counted from the last change of the world; and no start-up
 *      hold lasts longer than 6 holds.
 *  (c) no advert is accepted twice by a node, in all of its lives together, and none that is older
 *      than the receiver's life.
 *  (d) a promotion's term is above every term that the node has seen in this life.
 *  (e) no MASTER_DEAD takeover within master-down of an accepted advert of a living master; with
 *      rapid confirmation, within one interval and all questions of it. And none while a path from
 *      a living master, and one back, have been clean for as long as an advert and a proof need.
 *  (f) when a hand-over's old master withdraws, its target holds the addresses (or a third master
 *      does, to which the target lost).
 *  (g) a master that slept longer than dead_factor of its intervals while a peer lived says nothing
 *      as master of that term when it wakes.
 *  (h) a node that was frozen for longer than two master-downs calls nobody dead within one of its
 *      own advbase after waking; or, with rapid confirmation, before all questions were asked. */
#ifndef TESTS_SIM_CHECKS_H
#define TESTS_SIM_CHECKS_H

#include "world.h"

struct checks;

struct checks *checks_new(const struct world *w);
void checks_free(struct checks *c);

/* The first thing that went wrong, or NULL. */
const char *checks_failure(const struct world *w);

void checks_tick(struct world *w); /* after every event of the world */
void checks_accepted(struct world *w, uint8_t node, const struct advert *packet, int64_t sent_at);
void checks_transition(struct world *w, uint8_t node, const struct election_action *action);
void checks_sent(struct world *w, uint8_t node, const struct advert *advert);
void checks_withdrawn(struct world *w, uint8_t node, uint8_t group, uint8_t to, enum reason why);

/* checks_converged: the liveness phase: one master per group, everybody else backup. */
void checks_converged(struct world *w);

#endif
