/* model.h: what one node knows: its config, its peers, its lanes, its groups.
 *
 * Only files of carpd/core write here; everybody else reads through election.h. Words:
 *   path   where adverts travel: a group interface, or the k-th pair of sync addresses
 *   lane   a group on a path; sequence windows and "who hears whom" belong to lanes
 *   proven the one boot epoch of a peer that has echoed a challenge of ours
 * Everything has a fixed place; a step allocates nothing. */
#ifndef CARPD_CORE_MODEL_H
#define CARPD_CORE_MODEL_H

#include "common/advert.h"
#include "common/carp2.h"
#include "common/limits.h"
#include "common/mono.h"
#include "common/reason.h"
#include "common/replay.h"
#include "common/state.h"

#define MODEL_LANES_MAX	     (LIMIT_INTERFACES + LIMIT_SYNC_LINKS * LIMIT_GROUPS)
#define MODEL_GROUP_PATHS    LIMIT_PATHS
#define MODEL_DEMOTIONS_MAX  16u
#define MODEL_ECHOES_MAX     64u
#define MODEL_REQUESTS_MAX   4u
#define MODEL_FLAPS_MAX	     8u
#define MODEL_NOT_READY	     30u  /* what "not ready" adds to the demotion */
#define MODEL_DEMOTION_LARGE 100u /* from here on a master that does not move is overruled */
#define MODEL_NO_PEER	     0xffu

enum election_alarm_code {
	ELECTION_ALARM_PATH_SPLIT,	 /* a path is silent, both ports test alike */
	ELECTION_ALARM_UNPROVEN_PEER,	 /* promoted while unproven adverts of a master came */
	ELECTION_ALARM_DUAL_MASTER,	 /* another node claims the group too */
	ELECTION_ALARM_NO_READY_PEER,	 /* master, and nobody could take over without loss */
	ELECTION_ALARM_NO_MASTER,	 /* nobody holds the group and nobody here may */
	ELECTION_ALARM_FLAPPING,	 /* held where it is */
	ELECTION_ALARM_PROMOTION_FAILED, /* this node could not take over */
	ELECTION_ALARM_FAULT,		 /* every group interface has failed */
	ELECTION_ALARM_HANDOVER_FAILED,	 /* the last one did not happen */
	ELECTION_ALARM_COUNT,
};

struct election_config_path {
	char name[LIMIT_NAME];
	uint32_t tag;
	bool sync;
};

struct election_config_interface {
	uint8_t path;
	uint16_t weight;
};

struct election_config_node {
	char name[LIMIT_NAME];
	uint8_t id;
	uint8_t sync_count; /* how many sync addresses it has */
};

struct election_config_group {
	char name[LIMIT_NAME];
	uint32_t tag;
	uint8_t vhid;
	uint8_t advskew;	 /* this node's own, in this group */
	uint8_t interface_count; /* those that carry adverts; may be 0 */
	struct election_config_interface interfaces[LIMIT_INTERFACES];
	uint64_t term_floor; /* a term number known from before the start; 0 = none */
	bool ready;	     /* at the start */
};

/* Plain and config-derived; the shell fills it from struct config. */
struct election_config {
	struct election_config_node own;
	uint8_t peer_count;
	struct election_config_node peers[LIMIT_PEERS];
	uint8_t path_count; /* sync paths included: sync0, sync1, ... in this order */
	struct election_config_path paths[LIMIT_PATHS];
	uint8_t group_count;
	struct election_config_group groups[LIMIT_GROUPS];
	dur_t advbase;
	uint8_t dead_factor;
	bool preempt;
	dur_t startup_hold; /* 0 = auto */
	dur_t settle;
	/* So many moves (at most MODEL_FLAPS_MAX) within that time: held. 0 moves: never. */
	uint8_t damping_moves;
	dur_t damping_within, damping_hold;
	uint8_t confirm_questions; /* 0 = off */
	dur_t confirm_spacing;
	uint8_t key_count; /* [0] signs */
	uint32_t keys[KEYRING_KEYS_MAX];
	bool carp2;	   /* CARPv2 on the groups' interfaces; native adverts on sync paths */
	bool carp2_strict; /* nobody but the peers is believed there */
	bool maintenance;  /* persisted from an earlier life */
	mono_t maintenance_until;
};

/* A peer's packets on one lane. */
struct model_lane {
	struct replay window;
	mono_t heard_at; /* last NEW counter; MONO_ZERO-like "never" is heard == false */
	bool heard;
	bool heard_by_peer; /* its advert says that it hears us here */
	bool was_heard_by_peer;
	uint8_t peer_port; /* enum advert_port: its own interface on this path */
	mono_t challenged_at;
	bool challenged;
	bool challenge_due; /* the next TIMER sends one here */
};

/* What a peer says about one group: the content of its advert with the highest counter. */
struct model_view {
	bool known; /* an advert of the proven epoch was taken */
	uint64_t counter;
	mono_t heard_at;   /* newest over the group's lanes */
	mono_t alive_from; /* since when it has been heard without a break */
	uint8_t state;
	uint8_t reason;
	bool ready, maintenance, fault, announced, resign, force, refused, yielded, wants, stopping;
	bool asks;
	bool drills, knows_drill; /* for the shell alone: nothing is decided by them */
	uint8_t not_ready;
	uint8_t wire_max;
	uint8_t handover_to, handover_from, successor;
	uint32_t handover_id;
	uint32_t interval_us;
	uint16_t demotion;
	uint32_t age_ms;
	struct advert_term term;
	uint8_t request, request_node;
	bool request_force;
	uint32_t request_nonce;
	uint8_t answer_node, answer;
	uint32_t answer_nonce;
	uint64_t rules_fingerprint, config_fingerprint, address_fingerprint;
	uint8_t hears;	/* bit per own peer index, on any path; bit 7: hears this node */
	bool closed;	/* resigned with the last counter: this epoch says no more */
	bool confirmed; /* dead since confirmed_at: it left every question unanswered */
	mono_t confirmed_at;
};

struct model_peer {
	bool proven;
	uint64_t epoch; /* the proven one */
	bool challenge_open;
	uint8_t challenge[ADVERT_CHALLENGE_BYTES];
	uint8_t key_count;
	uint32_t keys[KEYRING_KEYS_MAX];
	struct model_lane lanes[MODEL_LANES_MAX];
	struct model_view views[LIMIT_GROUPS];
	mono_t unproven_master_at[LIMIT_GROUPS]; /* last unproven advert that claimed a group */
	bool unproven_master[LIMIT_GROUPS];
};

struct model_demotion {
	char name[LIMIT_NAME];
	uint16_t weight; /* 0 = free slot */
	bool when_master;
	mono_t since;
	mono_t expires;
};

/* The own interface of a path. */
struct model_port {
	bool carrier;
	uint8_t test; /* enum advert_port, without the carrier */
	bool silent;  /* an episode of silence is going on */
	bool probed;  /* in this episode; probed_at says when last */
	mono_t probed_at;
	bool waiting; /* for that test's answer */
	mono_t failed_at;
};

/* Questions to a master that missed an advert (confirm.h). */
struct model_confirm {
	bool active;
	uint8_t peer;  /* the master that is asked, or tested */
	uint8_t asked; /* questions sent since the miss */
	bool send;     /* one is to be sent in this TIMER */
	mono_t asked_at;
	/* How soon it answers when nothing is wrong. */
	bool testing;
	mono_t tested_at;
	bool answered;
	mono_t answered_at;
	dur_t answer_time; /* the longest, fading */
};

/* A hand-over that this node, as master, has started. */
struct model_offer {
	bool active;
	bool done;	/* announced; complete when this node has withdrawn */
	bool slept;	/* this node slept in the middle of it; who has the group decides */
	uint8_t target; /* node id */
	bool force;
	bool seen;	   /* the target was seen promoting */
	bool announced;	   /* its signed `announced` is here */
	uint8_t asker;	   /* node whose request this answers; 0 = own */
	uint32_t nonce;	   /* of that request */
	uint32_t id;	   /* of this attempt */
	uint32_t op;	   /* the own operator's request; 0 = none */
	enum reason cause; /* why */
	mono_t started_at;
	mono_t announced_at;
};

/* A request of the own operator that another node must carry out, or that waits here until an
 * overlap is over. */
struct model_request {
	uint32_t request_id; /* 0 = free slot */
	bool here;	     /* this node is the master that shall do it */
	uint8_t target;
	bool force;
	uint32_t nonce;
	mono_t deadline;
};

/* carp2: the master that was heard last on the group's interface and that native adverts do not
 * speak for: a foreign node, or a peer whose sync links are all silent. */
struct model_carp2 {
	bool known;	  /* one was heard in this life */
	uint8_t node;	  /* the peer's id; 0 = foreign */
	bool bowed_out;	  /* its last word */
	bool bow_out_due; /* ours */
	mono_t heard_at;
	uint8_t advbase, advskew, demote;
	bool lower_source;   /* its address is the lower one, as ucarp compares them */
	mono_t better_since; /* since when this node ought to replace it; MONO_NEVER */
	uint32_t claims;     /* adverts of a lesser master since this node is master */
	mono_t claimed_at;   /* the first of them */
	bool dual;	     /* two masters: told */
	bool yielded;	     /* this node gave way to it: it goes first next time, too */
};

struct model_group {
	enum group_state state;
	enum reason reason;
	mono_t since;
	struct advert_term term; /* own, while promoting or master */
	uint64_t term_seen;	 /* highest number seen anywhere */
	uint8_t lane_first, lane_count;
	bool ready;
	uint8_t not_ready;
	struct model_demotion demotions[MODEL_DEMOTIONS_MAX];
	uint64_t rules_fingerprint, config_fingerprint, address_fingerprint;

	/* Sending. */
	bool send_now;
	mono_t sent_at;
	mono_t send_next;
	uint64_t heard_hash; /* a change of whom we hear where is sent at once */

	/* Startup. */
	mono_t hold_until;
	uint8_t hold_prolonged;

	/* As backup: when a takeover is due, were nobody heard any more. */
	struct model_confirm confirm;
	mono_t vacant_at; /* base of the wait when no live holder is known */
	enum reason vacant_reason;
	mono_t wants_since;
	uint8_t overruled; /* the demoted master that this node replaced unasked; 0 = none */
	bool wants;

	/* As target of a hand-over. */
	uint8_t from;	  /* the old master, while it overlaps; 0 = none */
	uint32_t from_id; /* of the last offer that was taken; never taken twice */
	uint8_t from_last;
	uint8_t lost; /* the old master that fell silent in the hand-over; 0 = none */

	/* Taken over hearing nobody, and none of the group's own ports has been seen to work since:
	 * perhaps it is this node that is cut off. */
	bool doubt;
	mono_t doubt_since;
	mono_t doubt_until; /* somebody is heard again; MONO_NEVER: not yet */
	bool liberal;	    /* asked of the shell, not yet taken back */
	uint8_t refused;    /* whose offer was refused */
	uint32_t refused_id;
	mono_t overlap_until;

	/* As master. */
	struct model_offer offer;
	uint32_t offer_id_last;
	mono_t offer_retry_at; /* after a failure: not before, unless an operator asks */
	mono_t better_since;
	bool yielded; /* gave up by command: asks not to be preferred */
	uint8_t yielded_to;
	bool leave_tried;    /* one hand-over before SIGTERM or maintenance, not more */
	mono_t listen_until; /* late clock, alone: silent until then */
	bool listening;
	bool listen_asked;
	bool mute;     /* late clock: not a word until DEMOTED */
	bool was_late; /* silent so long that its questions may have gone unanswered */

	/* After giving up. */
	bool resigned; /* without a successor that has it: resign as soon as withdrawn */
	uint8_t successor;
	mono_t resigned_at;
	enum reason demote_reason;

	/* Two masters. */
	bool dual;
	bool dual_told; /* our higher term is out */
	uint8_t dual_with;
	uint8_t dual_loser; /* still withdrawing, and may answer for the addresses; 0 nobody */
	mono_t dual_since;
	mono_t dual_raised_at;
	mono_t dual_seen_since; /* as a third: two others are; MONO_NEVER */
	uint32_t dual_age_ms;	/* how long it had lasted before the two heard each other */

	/* Flapping. */
	mono_t flaps[MODEL_FLAPS_MAX];
	uint8_t flap_count;
	mono_t held_until;
	bool held;
	mono_t empty_since;		/* nobody holds the group, as far as is known */
	struct advert_term master_term; /* last master announced by ELECTION_ACTION_MASTER */
	uint8_t master;			/* node id */

	struct model_request requests[MODEL_REQUESTS_MAX];
	uint32_t nonce_last;
	uint32_t done_nonce[LIMIT_PEERS]; /* last request of each peer that was answered */
	uint8_t done_answer[LIMIT_PEERS];

	struct model_carp2 carp2;

	struct {
		bool on;
		uint8_t node;
		mono_t since;
	} alarms[ELECTION_ALARM_COUNT];
};

struct model_echo {
	uint8_t peer;
	uint16_t lane;
	uint16_t size_bytes; /* of the question: the answer is not larger */
	uint8_t bytes[ADVERT_CHALLENGE_BYTES];
};

struct election_actions;
struct election_trace;

struct election {
	struct election_config config;
	uint64_t epoch;
	uint64_t counter; /* last one used, over all lanes */
	mono_t now;
	mono_t stepped_at;	/* instant of the step before */
	mono_t wake_at;		/* the deadline that was told after it */
	bool pending;		/* facts wait for a TIMER */
	uint64_t wakes_overdue; /* a fault of the core: see election_wake() */
	bool closed;		/* the last counter is spent */
	struct {
		uint8_t group;
		uint8_t path;
	} lanes[MODEL_LANES_MAX];
	uint16_t lane_count;
	struct model_peer peers[LIMIT_PEERS];
	struct model_group groups[LIMIT_GROUPS];
	struct model_port ports[LIMIT_PATHS];
	struct model_echo echoes[MODEL_ECHOES_MAX];
	uint8_t echo_count;
	bool maintenance;
	bool maintenance_forced;
	mono_t maintenance_until;
	struct {
		uint32_t request_id; /* 0 = none */
		bool force;
		mono_t until;
	} maintenance_wish;
	bool stopping;
	mono_t stop_deadline;
	uint64_t drops[ADVERT_DROP_COUNT]; /* packets that the core refused, by reason */
	uint64_t accepted;
	uint64_t carp2_drops[CARP2_DROP_COUNT];
	struct election_actions *out; /* only during a step */
	void (*trace)(void *context, const struct election_trace *line);
	void *trace_context;
};

#endif
