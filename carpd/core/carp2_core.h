/* carp2_core.h: CARPv2 on the groups' interfaces, beside the native election (decision 0015).
 *
 * Between the nodes of the cluster native adverts on the sync paths decide, as ever. On a group's
 * interface only a master speaks, in CARPv2. What is heard there is one of three:
 *   a peer that native adverts speak for   liveness of that path, and nothing else
 *   a peer whose sync paths are all silent the rule of CARP, as among strangers
 *   a foreign node (lenient alone)         the rule of CARP
 * The rule of CARP: lower (demotion, advbase, advskew) is better; a master that hears a better one
 * leaves; equal ones: the lower address stays (ucarp's rule; both BSDs leave, which is no harm). A
 * backup waits until the master it heard is silent for dead_factor * advbase + advskew/256 s, takes
 * over at once after a bow-out, and from a living worse one only with `preempt` or when that one
 * is the more demoted. Foreign backups are never heard: nothing here waits for one. */
#ifndef CARPD_CORE_CARP2_CORE_H
#define CARPD_CORE_CARP2_CORE_H

#include "carpd/core/election.h"
#include "common/carp2.h"

/* carp2_core_interval: advbase + advskew/256 s. */
dur_t carp2_core_interval(dur_t advbase, uint8_t advskew);

/* carp2_core_down: dead_factor * the greater of advbase and the master's interval (0: not known) +
 * advskew/256 s; with advbase 0, as OpenBSD has it, dead_factor * the interval. */
dur_t carp2_core_down(dur_t advbase, uint8_t dead_factor, dur_t master_interval, uint8_t advskew);

/* carp2_core_foreign: whether foreign nodes may be there. */
bool carp2_core_foreign(const struct election *e);

/* carp2_core_stranger: only foreign nodes are there, as far as this life has heard: that they are
 * not ready for anything of ours is no fault. */
bool carp2_core_stranger(const struct election *e);

/* carp2_core_receive: an ELECTION_EVENT_CARP2. */
enum carp2_drop carp2_core_receive(struct election *e, const struct election_event *event);

/* carp2_core_alive: a master is heard by CARPv2 that native adverts do not contradict. */
bool carp2_core_alive(const struct election *e, uint8_t group);

/* carp2_core_wait: until when such a master stands in the way of a takeover, and why it ends. */
mono_t carp2_core_wait(const struct election *e, uint8_t group, mono_t at, enum reason *ret_reason);

/* carp2_core_tell_dead: the facts of a takeover from a master that only CARPv2 told of; returns how
 * many there are. */
uint8_t carp2_core_tell_dead(
	const struct election *e, uint8_t group, struct election_fact facts[static 2]);

/* carp2_core_place: one stagger more for the loser of a tie: the other goes first again. */
uint8_t carp2_core_place(const struct election *e, uint8_t group);

/* Each in the state of its name; true when the state was left. */
bool carp2_core_judge_backup(struct election *e, uint8_t group);
bool carp2_core_judge_promoting(struct election *e, uint8_t group);
bool carp2_core_judge_master(struct election *e, uint8_t group);
bool carp2_core_judge_listening(struct election *e, uint8_t group);

/* carp2_core_listen: how long a late clock, alone, is silent. Not at all with foreign nodes: they
 * take silence for death, and who has claimed the group has said so; all input was drained. */
dur_t carp2_core_listen(const struct election *e, uint8_t group);

/* carp2_core_forget_silence: a late backup: what it slept through is no silence of a master. */
void carp2_core_forget_silence(struct election *e, uint8_t group, dur_t late);

/* carp2_core_judge_lane: whether an interface is silent that should not be: only a living master
 * speaks there, and only it can be told that it is not heard. */
bool carp2_core_judge_lane(struct election *e, uint8_t group, uint16_t lane, uint8_t peer);

/* carp2_core_carrier: who was cut off first listens: a foreign master may have taken over. */
void carp2_core_carrier(struct election *e, uint8_t path, bool up);

/* carp2_core_left: this node no longer holds the group. */
void carp2_core_left(struct election *e, uint8_t group);

/* carp2_core_bow_out: withdrawn, and no peer is there to take over: the next word on the wire tells
 * foreign backups to. */
void carp2_core_bow_out(struct election *e, uint8_t group);

/* carp2_core_send: this node's advert on an interface, if it has anything to say. last: the process
 * ends. */
void carp2_core_send(struct election *e, uint16_t lane, bool last);

#endif
