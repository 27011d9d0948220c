/* election.h: the single door of carpd's core.
 *
 * One `struct election` holds everything that a node knows about its peers, its paths and its
 * groups (model.h). It has no clock, no socket, no memory of its own: the shell feeds it events
 * that carry `now`, carries out the actions in their order, and asks for the next deadline.
 *
 * The rhythm, and the only one that is right (design section 6, stalls):
 *   1. drain everything that is there - packets, results of stages, operators - into one
 *      election_step() each; such events only record facts and append no SEND;
 *   2. then step once with ELECTION_EVENT_TIMER: only it judges deadlines, decides, and sends.
 * A TIMER too many or too early is harmless; election_next_deadline() is `now` while anything
 * waits to be judged. After each step the batch is carried out in order before the next step.
 *
 * Files: peers.c (epochs, challenges, liveness), order.c (who is better), timers.c (formulas),
 * group.c (the state machine; the one writer of `state`), handover.c, dual.c (two masters),
 * stalls.c (late clocks), confirm.c (questions after a missed advert), demotion.c, paths.c (a
 * silent path, PATH_SPLIT), operator.c (commands), send.c (adverts), carp2_core.c
 * (CARPv2 on the groups' interfaces), trace.c (fact -> decision),
 * election.c (the door). */
#ifndef CARPD_CORE_ELECTION_H
#define CARPD_CORE_ELECTION_H

#include "carpd/core/model.h"
#include "common/advert.h"
#include "common/mono.h"
#include "common/reason.h"
#include "common/state.h"

enum election_event_type {
	ELECTION_EVENT_TIMER,		 /* judge and send; `random` must be fresh */
	ELECTION_EVENT_PACKET,		 /* packet: came through advert_open() on that path */
	ELECTION_EVENT_CARP2,		 /* carp2: came through carp2_open() on path */
	ELECTION_EVENT_PROMOTED,	 /* group: all stages up to announce are done */
	ELECTION_EVENT_PROMOTION_FAILED, /* group: aborted and completely rolled back */
	ELECTION_EVENT_DEMOTED,		 /* group: withdrawn, standby rules, handlers told */
	ELECTION_EVENT_READINESS,	 /* readiness; group or ELECTION_ALL */
	ELECTION_EVENT_DEMOTION,	 /* demotion; group or ELECTION_ALL */
	ELECTION_EVENT_CARRIER,		 /* path, up */
	ELECTION_EVENT_TESTED,		 /* path, passed: answer to ELECTION_ACTION_PROBE */
	ELECTION_EVENT_HANDOVER,	 /* group, handover: answered by ELECTION_ACTION_REPLY */
	ELECTION_EVENT_MAINTENANCE,	 /* maintenance: the whole node; answered by REPLY */
	ELECTION_EVENT_STOP,		 /* SIGTERM: ends with ELECTION_ACTION_STOPPED */
	ELECTION_EVENT_FINGERPRINTS,	 /* group, fingerprints */
	ELECTION_EVENT_RELOAD,		 /* reload: what may change without a restart */
	ELECTION_EVENT_COUNT,
};

#define ELECTION_ALL 0xffu /* as a group index: every group */

struct election_event {
	enum election_event_type type;
	mono_t now;    /* never earlier than in the step before (CHECKed) */
	uint8_t group; /* index into the config's groups */
	uint8_t path;  /* index into the config's paths */
	uint8_t random[ADVERT_CHALLENGE_BYTES]; /* TIMER: unpredictable, used once */
	bool up;				/* CARRIER */
	bool passed;				/* TESTED */
	const struct advert *packet;		/* PACKET: borrowed for the call */
	struct {
		uint8_t peer;	 /* index; ELECTION_ALL: none of ours */
		bool unproven;	 /* peer, but not in the life that is proven: strict alone */
		uint64_t number; /* of that peer's one sequence */
		uint8_t advbase, advskew, demote;
		bool lower_source; /* see model_carp2 */
	} carp2;
	struct {
		bool ready;
		uint8_t not_ready; /* the shell's bits, carried to the peers' status */
	} readiness;
	struct {
		const char *name; /* "track:dmz0"; copied */
		uint16_t weight;  /* 0 clears it */
		bool when_master; /* raised by a `when: master` check (flapping rule) */
	} demotion;
	struct {
		uint32_t request_id; /* the shell's, repeated in the REPLY; not 0 */
		uint8_t target;	     /* node id; 0 = the best ready peer of the master */
		bool force;
	} handover;
	struct {
		uint32_t request_id;
		bool on;
		bool force;
		mono_t until; /* MONO_NEVER without a limit */
	} maintenance;
	struct {
		uint64_t rules, config, addresses;
	} fingerprints;
	struct {
		bool preempt;
		dur_t settle;
		uint8_t damping_moves;
		dur_t damping_within, damping_hold;
		uint8_t confirm_questions;
		dur_t confirm_spacing;
	} reload;
};

enum election_action_type {
	ELECTION_ACTION_SEND,	 /* election_advert() fills it; sign; send on path (to node) */
	ELECTION_ACTION_PROMOTE, /* start the stages of a promotion */
	ELECTION_ACTION_DEMOTE,	 /* withdraw ...; aborts a running promotion first; then DEMOTED */
	ELECTION_ACTION_REANNOUNCE,  /* addresses stay; say so again to the network */
	ELECTION_ACTION_LIBERAL,     /* nf_conntrack_tcp_be_liberal for an overlap: on/off */
	ELECTION_ACTION_PROBE,	     /* test the own interface of the path, answer with TESTED */
	ELECTION_ACTION_TRANSITION,  /* state written: log notice, history, role event */
	ELECTION_ACTION_MASTER,	     /* the known master of the group changed: role event */
	ELECTION_ACTION_ALARM,	     /* on/off; the list is in election_alarm_view() too */
	ELECTION_ACTION_REPLY,	     /* to the operator's request_id */
	ELECTION_ACTION_MAINTENANCE, /* persist: on/off, until */
	ELECTION_ACTION_DUAL,	     /* two masters are over: `dual_ms` for log, history, metrics */
	ELECTION_ACTION_STOPPED,     /* resigned on every path: exit 0 */
	ELECTION_ACTION_COUNT,
};

/* What the operator hears. */
enum election_reply {
	ELECTION_REPLY_OK = 0,
	ELECTION_REPLY_NOT_READY,     /* the target, or every peer, is not ready */
	ELECTION_REPLY_UNKNOWN_NODE,  /* not a node of the cluster, or not alive */
	ELECTION_REPLY_BUSY,	      /* another hand-over of the group is under way */
	ELECTION_REPLY_FAILED,	      /* it started and did not happen; the old master goes on */
	ELECTION_REPLY_NO_MASTER,     /* nobody holds the group */
	ELECTION_REPLY_TIMEOUT,	      /* the master did not answer */
	ELECTION_REPLY_LAST_ELIGIBLE, /* maintenance would leave the group without a node */
	ELECTION_REPLY_STOPPING,
	ELECTION_REPLY_COUNT,
};

#define ELECTION_FACTS_MAX 4u

struct election_fact {
	const char *name; /* static text: "silent_us", "master_down_us", ... */
	int64_t value;
};

struct election_action {
	enum election_action_type type;
	uint8_t group;
	uint8_t path; /* SEND, PROBE */
	/* SEND: node id on a sync path, 0 = multicast. PROMOTE: the old master that is still alive
	 * (hand-over), else 0. DEMOTE: the successor, else 0. */
	uint8_t node;
	enum reason reason;
	struct advert_term term;
	bool on;	   /* LIBERAL, ALARM, MAINTENANCE */
	bool force;	   /* PROMOTE: a hand-over that was forced */
	uint8_t old_state; /* TRANSITION: enum group_state */
	uint8_t new_state;
	uint8_t fact_count;
	struct election_fact facts[ELECTION_FACTS_MAX];
	enum election_alarm_code alarm;
	enum election_reply reply;
	uint32_t request_id;
	mono_t until;
	int64_t dual_ms;
	uint64_t counter; /* SEND, all below too */
	uint8_t challenge_to;
	uint8_t echo_to;
	uint16_t size_bytes; /* with echo_to: of the question */
	uint8_t echo[ADVERT_CHALLENGE_BYTES];
	bool carp2; /* election_carp2_advert() instead, with `counter` over IPv4 and the next over
		     * IPv6 */
	bool bow_out;
};

/* The largest batch: one advert on every lane to every peer (960 in the largest cluster), some
 * twenty actions a group, echoes; challenges take what is left, the rest of them the next batch. */
#define ELECTION_ACTIONS_MAX 2048u

struct election_actions {
	uint32_t count;
	struct election_action list[ELECTION_ACTIONS_MAX];
};

/* One line for the operator and for tests: what was seen, and what follows. */
struct election_trace {
	mono_t at;
	uint8_t group; /* ELECTION_ALL when it is the node's */
	char fact[128];
	char decision[96];
};

/* election_init: everything starts in `init`, unproven.
 *   config  copied
 *   epoch   of this life: 64 random bits, not 0
 *   now     instant of the first step at the earliest */
void election_init(
	struct election *e, const struct election_config *config, uint64_t epoch, mono_t now);

/* election_set_trace: the one hook; called during steps; must not call back. NULL for none. */
void election_set_trace(struct election *e,
	void (*trace)(void *context, const struct election_trace *line), void *context);

/* election_step: one event in, actions appended to `out` (whose count the caller resets). */
void election_step(
	struct election *e, const struct election_event *event, struct election_actions *out);

/* election_next_deadline: when to step with TIMER at the latest; `now` of the last step when
 * something waits. */
mono_t election_next_deadline(const struct election *e);

/* election_asked: a question waits for its answer: step with TIMER at once, outside every rhythm.
 */
bool election_asked(const struct election *e);

/* election_advert: the advert of a SEND action; call it before the next step. */
void election_advert(
	const struct election *e, const struct election_action *send, struct advert *ret_advert);

/* election_carp2_advert: the same of a SEND action with `carp2`; its counter is still the number
 * (common/carp2.h makes the wire's of it). */
struct carp2_advert;
void election_carp2_advert(const struct election *e, const struct election_action *send,
	struct carp2_advert *ret_advert);

/* election_carp2_origin: what the counters of a peer in its proven life are checked against; false
 * while none is proven. peer: ELECTION_ALL for this node itself. */
struct carp2_origin;
bool election_carp2_origin(const struct election *e, uint8_t group, uint8_t path, uint8_t peer,
	struct carp2_origin *ret_origin, uint64_t *ret_reference);

/* election_carp2_bow_out: what the guard says on a CARPv2 interface, instead of a resignation, when
 * carpd is dead; false when a peer is there to take over, and foreign nodes shall stay calm. */
bool election_carp2_bow_out(
	const struct election *e, uint8_t group, struct carp2_advert *ret_advert);

/* election_resignation: what the guard sends when carpd is dead: this epoch's last counter, the
 * present term. lane: 0 .. election_lane_count() - 1; *ret_path says where it goes. Sign and renew
 * it whenever a TRANSITION or MASTER action of its group was carried out. */
void election_resignation(
	const struct election *e, uint16_t lane, struct advert *ret_advert, uint8_t *ret_path);
uint16_t election_lane_count(const struct election *e);

/* election_yields: asked by the shell when a required stage fails: true = roll back and report
 * PROMOTION_FAILED (a ready, sounder peer exists), false = go on and raise the alarm. */
bool election_yields(const struct election *e, uint8_t group);

/* election_guard_timeout: how long the guard may stay unfed: master-down while a peer is alive, ten
 * times that when none is; the shortest over the groups that this node masters. */
dur_t election_guard_timeout(const struct election *e);

/* --- For status: everything below is const and cheap. Peers and groups by config index; the own
 * node is not among the peers. ------------------------------------------------------------- */

struct election_group_view {
	enum group_state state;
	struct advert_term term; /* of the master known, else the highest seen */
	uint8_t master;		 /* node id, own included; 0 = none known */
	enum reason reason;	 /* of the last transition */
	mono_t since;
	uint32_t demotion; /* with the 30 for not ready */
	bool ready;
	bool held;	     /* flapping rule */
	uint8_t handover_to; /* node id while one is under way */
	bool confirm_armed;  /* rapid confirmation: the master's silence would be believed */
	dur_t answer_time;   /* the slowest answer of late; 0 = none */
	dur_t interval;
	dur_t master_down;
};
void election_group_view(const struct election *e, uint8_t group, struct election_group_view *ret);

/* election_carp2_view: the master that is heard by CARPv2 alone. */
struct election_carp2_view {
	bool known;
	bool alive;
	uint8_t node; /* 0: foreign */
	uint8_t advbase, advskew, demote;
	int64_t last_ms;
};
void election_carp2_view(const struct election *e, uint8_t group, struct election_carp2_view *ret);

struct election_demotion_view {
	const char *name; /* kept until the next step */
	uint16_t weight;
	mono_t since;
	mono_t expires; /* MONO_NEVER without */
};
/* election_demotion_view: the index-th demotion in force; false past the last. */
bool election_demotion_view(
	const struct election *e, uint8_t group, uint8_t index, struct election_demotion_view *ret);

struct election_peer_view {
	uint8_t node;
	bool proven;
	bool alive;
	enum group_state state;
	bool ready;
	uint8_t not_ready;
	uint32_t demotion; /* with the 30 for not ready */
	struct advert_term term;
	uint64_t rules_fingerprint, config_fingerprint, address_fingerprint;
	uint8_t wire_max;
	uint8_t path_count;
	bool drills, knows_drill; /* ADVERT_DRILL, ADVERT_DRILL_KNOWN of its last advert */
};
void election_peer_view(
	const struct election *e, uint8_t group, uint8_t peer, struct election_peer_view *ret);

/* election_peer_accepts_key: whether the peer's last advert lists the key; a peer that was never
 * heard accepts everything. */
bool election_peer_accepts_key(const struct election *e, uint8_t peer, uint32_t key_id);

struct election_path_view {
	uint8_t path; /* config index */
	bool alive;
	bool heard_by_peer;
	int64_t last_ms; /* -1 = never */
	uint8_t port;	 /* enum advert_port: this node's own */
	uint8_t peer_port;
};
void election_path_view(const struct election *e, uint8_t group, uint8_t peer, uint8_t index,
	struct election_path_view *ret);

struct election_alarm_view {
	enum election_alarm_code code;
	uint8_t group;
	uint8_t node; /* 0 = none in particular */
	mono_t since;
};
/* election_alarm_view: the index-th alarm in force; false past the last. */
bool election_alarm_view(const struct election *e, uint16_t index, struct election_alarm_view *ret);

const char *election_alarm_name(enum election_alarm_code code);
const char *election_reply_name(enum election_reply reply);

#endif
