/* peers.h: what is believed of a peer: its epoch, its counters, its last word, its life.
 *
 * The replay argument, in short (doc/protocol-advert.md has it whole). A peer has at most one
 * proven boot epoch here. Adverts of any other epoch change nothing; each is answered by a
 * challenge, and only an advert that echoes an open challenge makes its epoch the proven one. A
 * challenge is closed by every proof, so an echo proves that its epoch was alive after the last
 * proof: a dead epoch can never come back. The counters of an epoch run over all lanes together, so
 * the echo's counter is the baseline of every lane: nothing that this epoch said before it, on any
 * path, is taken - also not by a receiver that forgot everything. */
#ifndef CARPD_CORE_PEERS_H
#define CARPD_CORE_PEERS_H

#include "carpd/core/election.h"

#define PEERS_CHALLENGE_SPACING_MS 10 /* per peer and lane */

/* peers_receive: the ladder behind advert_open(): sender, group, path, epoch, replay, content. */
enum advert_drop peers_receive(struct election *e, uint8_t path, const struct advert *packet);

/* peers_silence: how long that peer may be silent in that group, by its last state. */
dur_t peers_silence(const struct election *e, uint8_t group, uint8_t peer);

/* peers_dead_at: the instant from which it counts as dead; MONO_ZERO when it never lived. */
mono_t peers_dead_at(const struct election *e, uint8_t group, uint8_t peer);

/* peers_alive: proven, heard on at least one path, not resigned for good. */
bool peers_alive(const struct election *e, uint8_t group, uint8_t peer);

/* peers_alive_at: the same, judged at an earlier instant with what is known now. */
bool peers_alive_at(const struct election *e, uint8_t group, uint8_t peer, mono_t at);
bool peers_any_alive_at(const struct election *e, uint8_t group, mono_t at);

/* peers_lane_alive: heard on that lane within its time. lane: index into e->lanes. */
bool peers_lane_alive(const struct election *e, uint16_t lane, uint8_t peer);

/* peers_hears_us: its adverts list this node on at least one path. */
bool peers_hears_us(const struct election *e, uint8_t group, uint8_t peer);

/* peers_holds: its last word was master, promoting or demoting: the group is in its hands. */
bool peers_holds(const struct election *e, uint8_t group, uint8_t peer);

/* peers_holder: the live peer with the highest term that holds the group; masters before
 * promoting ones. MODEL_NO_PEER when there is none. */
uint8_t peers_holder(const struct election *e, uint8_t group);

/* peers_master: the live peer in state master with the highest term, or MODEL_NO_PEER. */
uint8_t peers_master(const struct election *e, uint8_t group);

/* peers_forget_silence: a clock that is late: who lived when this node fell asleep was not silent
 * while it slept, and lives for `grace` from now at least. */
void peers_forget_silence(struct election *e, uint8_t group, dur_t late, dur_t grace);

#endif
