/* syncworld.h: clusters of syncd's core in one process: the second shell beside syncd/node.c.
 *
 * Nodes with the real engine and sessions, a kernel (synckernel.h), and a carpd that tells them
 * roles; between each pair a connection of two bounded byte streams, which arrive in pieces of any
 * size, stop, and break at any byte. Connections of clients come, change and end at the nodes that
 * forward. A millisecond is a step, in which each node does as much as its dice say.
 *
 * Who looks at what (synccheck.h) gets to see each node before and after each event of a peer. */
#ifndef TESTS_SIM_SYNCWORLD_H
#define TESTS_SIM_SYNCWORLD_H

#include "syncd/core/engine.h"
#include "syncd/core/session.h"
#include "synckernel.h"

#include <stdbool.h>
#include <stdint.h>

#define SYNCWORLD_NODES	   3u
#define SYNCWORLD_PEERS	   (SYNCWORLD_NODES - 1u)
#define SYNCWORLD_GROUPS   2u
#define SYNCWORLD_CONNS	   96u
#define SYNCWORLD_CAPACITY 640u
#define SYNCWORLD_PIPE	   65536u
#define SYNCWORLD_FAILURE  320u

struct syncworld_rng {
	uint64_t state;
};
uint64_t syncworld_random(struct syncworld_rng *r);
uint32_t syncworld_below(struct syncworld_rng *r, uint32_t n); /* 0 .. n-1 */
bool syncworld_chance(struct syncworld_rng *r, uint32_t per_mille);

/* Bytes on their way, one direction. */
struct syncworld_pipe {
	uint8_t data[SYNCWORLD_PIPE];
	uint32_t size;	  /* sent */
	uint32_t arrived; /* of these: the receiver may take them */
	uint32_t room;	  /* buffers of this connection, at most SYNCWORLD_PIPE */
	int64_t stopped_until;
	int64_t trickles_until;
};

/* The connection of nodes a < b; ends[0] is a's. */
struct syncworld_link {
	uint8_t nodes[2];
	bool open[2];
	struct syncworld_pipe pipes[2]; /* [i]: from nodes[i] */
	int64_t cut_until;		/* nothing moves, nobody dials */
	int64_t redial_at;
};

enum syncworld_state {
	SYNCWORLD_ALONE = 0, /* no carpd: frozen */
	SYNCWORLD_BACKUP,
	SYNCWORLD_MASTER,
};

/* What carpd holds of a group on a node. */
struct syncworld_role {
	enum syncworld_state state;
	uint32_t term;
	uint8_t owner;
	int64_t demote_at; /* it will hear of a higher term then; 0 there is none */
};

struct syncworld_dump {
	bool running, probing, known;
	uint8_t again; /* 0, or 1 + known of the one that follows */
	uint32_t cursor;
	uint64_t started_sequence;
	int64_t started_at;
	uint64_t shown[SYNCWORLD_CAPACITY / 64];
};

struct syncworld_node {
	bool powered, up;     /* up: syncd runs */
	int64_t power_at;     /* boots again; -1 it does not */
	int64_t start_at;     /* syncd starts again */
	int64_t carpd_at;     /* carpd comes back */
	int64_t asleep_until; /* syncd is stopped */
	int64_t full_until;   /* the kernel refuses */
	uint32_t life;
	struct syncworld_role roles[SYNCWORLD_GROUPS];
	struct synckernel kernel;
	void *memory;
	struct engine engine;
	struct session sessions[SYNCWORLD_PEERS];
	struct syncworld_dump dump;
	bool held_dumped, born_empty;
	bool tail_open[SYNCWORLD_GROUPS];
	int64_t repair_at, tick_at, gather_at, strict_at;
	uint32_t strict_cursor, loose_groups, loose_cursor;
};

/* A client's connection. */
struct syncworld_conn {
	struct flow flow; /* of its first packet, NAT of whoever saw that */
	uint8_t group;
	bool alive;
	int64_t packet_at;     /* the last that went through */
	int64_t missing_since; /* no forwarder has its entry; 0 all is well */
	uint32_t told_term;    /* of the master whose kernel last made an event of it */
};

/* A planned hand-over under watch. */
struct syncworld_handover {
	bool watched; /* nothing that excuses a loss has happened */
	bool leaving; /* the target is master; the old one leaves at leave_at */
	uint8_t group, from, to;
	uint32_t old_term, new_term;
	int64_t leave_at, check_at;
};

enum syncworld_fault_type {
	SYNCWORLD_FAULT_CUT,	  /* a link freezes */
	SYNCWORLD_FAULT_BREAK,	  /* a connection ends at some byte of either direction */
	SYNCWORLD_FAULT_SLOW,	  /* one direction stops moving: a slow consumer */
	SYNCWORLD_FAULT_KILL,	  /* syncd dies; its kernel stays */
	SYNCWORLD_FAULT_POWER,	  /* the node dies, kernel and all */
	SYNCWORLD_FAULT_SLEEP,	  /* syncd is stopped */
	SYNCWORLD_FAULT_CARPD,	  /* carpd dies */
	SYNCWORLD_FAULT_HANDOVER, /* planned */
	SYNCWORLD_FAULT_TAKE,	  /* another takes over; the old master learns it later */
	SYNCWORLD_FAULT_LOSE,	  /* events get lost */
	SYNCWORLD_FAULT_FULL,	  /* the kernel refuses every create */
	SYNCWORLD_FAULT_RESYNC,	  /* the operator's wish */
	SYNCWORLD_FAULT_COUNT,
};

struct syncworld_fault {
	int64_t at;
	enum syncworld_fault_type type;
	uint8_t node, group;
	uint32_t dice;
	int64_t lasts;
	bool skipped;
};
#define SYNCWORLD_FAULTS_MAX 128u

struct syncworld_options {
	uint64_t seed;
	uint8_t nodes, groups;
	bool warm, quiet; /* quiet: no fault */
	uint32_t capacity, pipe_room, fault_every_ms, traffic_per_mille;
	int64_t active_ms; /* then everything is healed */
};

struct syncworld_watch; /* synccheck.c */

struct syncworld {
	struct syncworld_options options;
	struct syncworld_rng rng;
	int64_t now;
	bool resting; /* no client sends anything any more */
	bool trace;
	bool killed; /* some syncd died and left its kernel's entries */
	struct syncworld_node nodes[SYNCWORLD_NODES];
	struct syncworld_link links[SYNCWORLD_NODES];
	struct syncworld_conn conns[SYNCWORLD_CONNS];
	uint32_t term;
	struct syncworld_handover handover;
	int64_t vacant_until[SYNCWORLD_GROUPS]; /* then somebody takes over; 0: there is a master */
	struct syncworld_fault faults[SYNCWORLD_FAULTS_MAX];
	uint32_t fault_count, fault_next;
	struct syncworld_watch *watch;
	uint64_t drops[ENGINE_DROP_COUNT];     /* of engines that are gone */
	uint64_t delivered, handovers, broken; /* broken: connections of clients */
	char failure[SYNCWORLD_FAILURE];
};

/* syncworld_make: allocates; nodes are down. syncworld_free releases all. */
struct syncworld *syncworld_make(const struct syncworld_options *options);
void syncworld_free(struct syncworld *w);

/* syncworld_step: a millisecond, or more when nothing but deadlines is left (pace_ms). */
void syncworld_step(struct syncworld *w, int64_t pace_ms);

void syncworld_boot(struct syncworld *w, uint8_t node, bool kernel_stays);
void syncworld_kill(struct syncworld *w, uint8_t node);
void syncworld_power_off(struct syncworld *w, uint8_t node);
void syncworld_start(struct syncworld *w, uint8_t node);
void syncworld_promote(struct syncworld *w, uint8_t node, uint8_t group, uint32_t term, int from);
void syncworld_demote(
	struct syncworld *w, uint8_t node, uint8_t group, uint32_t term, uint8_t owner);
/* syncworld_term: a master has another term. */
void syncworld_term(struct syncworld *w, uint8_t node, uint8_t group, uint32_t term);
void syncworld_carpd_lost(struct syncworld *w, uint8_t node);
void syncworld_resync(struct syncworld *w, uint8_t node);
void syncworld_dump_start(struct syncworld *w, uint8_t node, bool known);

/* syncworld_deliver: what has arrived at the end opposite to `from`. */
void syncworld_deliver(struct syncworld *w, struct syncworld_link *link, int from);

/* syncworld_break: the connection ends; of what is on its way random parts arrive. */
void syncworld_break(struct syncworld *w, struct syncworld_link *link);
struct syncworld_link *syncworld_link_of(struct syncworld *w, uint8_t a, uint8_t b);

/* syncworld_peer_index, syncworld_peer_node: syncd's index of a peer, and back. */
uint8_t syncworld_peer_index(uint8_t self, uint8_t other);
uint8_t syncworld_peer_node(uint8_t self, uint8_t peer);

/* syncworld_master: the node that carpd says is master with the highest term, or -1. */
int syncworld_master(const struct syncworld *w, uint8_t group);

mono_t syncworld_mono(const struct syncworld *w);
void syncworld_fail(struct syncworld *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void syncworld_say(const struct syncworld *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
