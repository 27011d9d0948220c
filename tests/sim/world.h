/* world.h: a second shell for the core: nodes, links and time, all in one thread and all from one
 * seed.
 *
 * Every node has a clock of its own (another origin, another rate). Links are per path and
 * direction: cut, loss, duplication, delay with jitter (which reorders). Promotions and demotions
 * take time and may fail. Adverts go through the real encoder and decoder. The world knows the
 * truth and tells the checkers (checks.h); the core never sees them. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "carpd/core/election.h"
#include "common/carp2.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_NODES_MAX	   8
#define WORLD_GROUPS_MAX   4
#define WORLD_PATHS_MAX	   12
#define WORLD_RECORDED_MAX 2048
#define WORLD_HELD_MAX	   4096
#define WORLD_INBOX_MAX	   64
#define WORLD_LATE_US	   1500000 /* what a late handler costs a promotion at most */

struct rng {
	uint64_t state;
};
uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* 0 .. n-1; n > 0 */
bool rng_chance(struct rng *r, uint32_t per_mille);

struct world_options {
	uint64_t seed;
	int64_t seconds;
	uint8_t nodes;
	uint8_t groups;
	uint8_t interfaces; /* of each group */
	uint8_t sync_links;
	int64_t advbase_us;
	uint8_t dead_factor;
	bool preempt;
	bool carp2, carp2_strict;
	bool counter_2004;	   /* a broken world: adverts pass by the rule of 2004 alone */
	uint8_t confirm_questions; /* 0: off */
	int64_t confirm_spacing_us;
	int64_t delay_us; /* one way */
	int64_t jitter_us;
	int64_t turn_us;  /* from an arrival to the process's turn */
	int64_t stage_us; /* a promotion, at most */
	int64_t withdraw_us;
	bool late;		/* handlers may be slow: FAULT_LATE */
	bool guard;		/* a killed or sleeping node's guard withdraws and resigns */
	int64_t fault_every_us; /* 0: none */
	uint8_t advskew[WORLD_NODES_MAX];
};

/* What travels: decoded once, by the real decoder, from what the real encoder made. */
struct world_packet {
	uint8_t sender, path, group;
	bool is_carp2;
	uint32_t life;			       /* of the sender */
	uint64_t serial;		       /* of all that was ever sent in this world */
	uint64_t lane_number[WORLD_NODES_MAX]; /* counter_2004: of the lane to that node */
	int64_t sent_at;
	union {
		struct advert native;
		struct {
			struct carp2_advert advert;
			uint64_t epoch;
		} carp2;
	} as;
};

enum world_event_type {
	WORLD_WAKE,
	WORLD_ARRIVE,
	WORLD_DRAIN, /* the process gets its turn: all that has arrived, then one TIMER */
	WORLD_RESUME,
	WORLD_BOOT,
	WORLD_ADDRESSES, /* the addresses stage of a promotion is done */
	WORLD_PROMOTED,
	WORLD_WITHDRAWN, /* first stage of a demotion */
	WORLD_DEMOTED,
	WORLD_TESTED,
	WORLD_GUARD,
	WORLD_FAULT_BEGIN,
	WORLD_FAULT_END,
};

struct world_event {
	int64_t at;
	uint64_t order;
	enum world_event_type type;
	uint8_t node, group, path;
	bool flag;
	uint32_t generation; /* of the node's life, or of its stage */
	uint32_t index;	     /* packet slot or fault */
};

struct world_link {
	int cuts; /* how many faults hold it down */
	int silent_cuts;
	uint32_t loss_per_mille;
	uint32_t dup_per_mille;
	int64_t extra_jitter_us;
	int64_t clean_since; /* uncut and without loss since then; INT64_MAX while not */
	int64_t cut_since;   /* INT64_MAX while not */
};

struct world_group {
	bool holds;	   /* the addresses are up */
	uint32_t stage;	   /* generation: an aborted stage's events are stale */
	int64_t lost_at;   /* last time a fault took the group away from here */
	uint8_t fail_next; /* promotions that will fail */
	uint64_t term_promised;
	int64_t master_since;
	bool was_master;     /* before the demotion under way */
	uint64_t slept_term; /* must not be claimed any more; 0 = none */
	uint64_t term_sent;  /* highest in an advert of this life */
	bool cut_off;	     /* it took the group over behind dead ports, hearing nobody */
	int64_t revived_at;  /* since when one of them lives again; INT64_MAX: not yet */
	int64_t claimed_at;  /* last time it began to promote */
	int64_t gave_up_at;  /* last time it began to withdraw */
};

struct world;

struct world_node {
	struct election election;
	struct world *world;
	uint8_t index;
	bool up, paused, pause_drops, stopping;
	uint32_t life;
	int64_t boot_at;
	int64_t paused_at, resumed_at, slept_us;
	bool slept_in_company[WORLD_GROUPS_MAX];
	int64_t origin_us; /* of its clock */
	int32_t ppm;
	int64_t ppm_from;  /* true time since when */
	int64_t jumped_at; /* last time it jumped */
	uint32_t wake_generation;
	int64_t woke_at;
	struct world_group groups[WORLD_GROUPS_MAX];
	int port_dead[WORLD_PATHS_MAX];
	int carrier_off[WORLD_PATHS_MAX];
	int64_t port_changed_at;
	int fails;	  /* promotions fail while > 0 */
	int late;	  /* promotions are slow while > 0 */
	bool maintenance; /* persisted */
	int64_t maintenance_until;
	int64_t disturbed_at;
	uint64_t terms[WORLD_GROUPS_MAX]; /* kept over a reboot "with state" */
	uint32_t held_count;
	uint32_t inbox_count;
	struct {
		uint8_t path;
		uint32_t packet;
	} inbox[WORLD_INBOX_MAX];
	struct {
		uint8_t path;
		uint32_t packet;
	} held[WORLD_HELD_MAX];
	int64_t accepted_at[WORLD_NODES_MAX]
			   [WORLD_GROUPS_MAX]; /* last advert as master, by sender */
	int64_t accepted_interval[WORLD_NODES_MAX][WORLD_GROUPS_MAX];
	uint64_t accepted_epoch[WORLD_NODES_MAX];
	uint64_t accepted_counter[WORLD_NODES_MAX][WORLD_PATHS_MAX][WORLD_GROUPS_MAX];
	/* counter_2004: the last number taken, and the sender's life that it was of. */
	uint64_t number_taken[WORLD_NODES_MAX][WORLD_PATHS_MAX][WORLD_GROUPS_MAX];
	uint32_t number_life[WORLD_NODES_MAX][WORLD_PATHS_MAX][WORLD_GROUPS_MAX];
	uint64_t number_sent[WORLD_NODES_MAX][WORLD_PATHS_MAX][WORLD_GROUPS_MAX];
};

struct fault;
struct checks;

struct world {
	struct world_options options;
	struct rng rng;
	int64_t now; /* true time in us */
	struct election_config configs[WORLD_NODES_MAX];
	struct world_node nodes[WORLD_NODES_MAX];
	struct world_link links[WORLD_PATHS_MAX][WORLD_NODES_MAX][WORLD_NODES_MAX];
	uint8_t path_count;
	struct world_event *heap;
	size_t heap_count, heap_size;
	uint64_t order;
	struct world_packet **packets; /* slots, with a free list */
	uint32_t *packet_refs;
	uint32_t *packet_free;
	uint32_t packet_count, packet_size, packet_free_count;
	struct world_packet *recorded;
	uint32_t recorded_count;
	uint64_t recorded_seen;
	struct fault *faults;
	uint32_t fault_count;
	int64_t injected_at; /* last replay */
	int64_t changed_at;  /* last change of links, pauses, lives, promises */
	struct checks *checks;
	struct election_actions actions;
	uint64_t steps, delivered, serial;
	uint32_t next_request;
	struct {
		uint32_t request_id;
		enum election_reply reply;
	} last_reply;
	void (*trace)(void *context, const struct world *w, uint8_t node,
		const struct election_trace *line);
	void *trace_context;
};

struct world *world_new(const struct world_options *options);
void world_free(struct world *w);

/* world_run: until that true time, or until the checkers have found something. */
void world_run(struct world *w, int64_t until);

/* world_step_node: one event into a node, then its TIMER, then all the actions. */
void world_step_node(struct world *w, uint8_t node, struct election_event *event);

void world_push(struct world *w, const struct world_event *event);
void world_boot(struct world *w, uint8_t node, bool with_state);
void world_power_off(struct world *w, uint8_t node, bool guard);
void world_pause(struct world *w, uint8_t node, bool drops);
void world_resume(struct world *w, uint8_t node);
void world_cut(struct world *w, uint8_t path, uint8_t from, uint8_t to, int by);
void world_link_changed(struct world *w, uint8_t path, uint8_t from, uint8_t to);
void world_inject(struct world *w, const struct world_packet *packet, uint8_t path, uint8_t to);
void world_handover(struct world *w, uint8_t node, uint8_t group, uint8_t target, bool force);
void world_maintenance(struct world *w, uint8_t node, bool on, bool force, int64_t for_us);
void world_stop(struct world *w, uint8_t node);
void world_reload(struct world *w, uint8_t node, bool begin);
/* world_clock: the node's clock jumps forward, and runs at another rate from now on. */
void world_clock(struct world *w, uint8_t node, int64_t jump_us, int32_t ppm);
void world_ready(struct world *w, uint8_t node, uint8_t group, bool ready);
void world_demote(struct world *w, uint8_t node, uint8_t group, const char *name, uint16_t weight);
void world_carrier(struct world *w, uint8_t node, uint8_t path, int by);
void world_port(struct world *w, uint8_t node, uint8_t path, int by);
bool world_port_alive(const struct world *w, uint8_t node, uint8_t path);
bool world_master(const struct world *w, uint8_t node, uint8_t group);
int64_t world_master_down(const struct world *w); /* the longest of any node */

/* world_interval: how often that node, as master, speaks. */
int64_t world_interval(const struct world *w, uint8_t node, uint8_t group);

/* world_carries: whether the path carries that group's adverts. */
bool world_carries(const struct world *w, uint8_t path, uint8_t group);

/* --- Between the world's own files. --- */

mono_t world_node_now(const struct world *w, uint8_t node);
void world_packet_put(struct world *w, uint32_t slot);
void world_timer(struct world *w, uint8_t node);
void world_step(struct world *w, uint8_t node, struct election_event *event);
void world_disturb(struct world *w, uint8_t node);

/* world_net.c: packets on their way. */
void world_send(struct world *w, uint8_t node, uint8_t to_id, const struct election_action *action);
void world_send_advert(
	struct world *w, uint8_t node, uint8_t path, uint8_t to_id, const struct advert *advert);
void world_arrive(struct world *w, const struct world_event *event);
void world_drain(struct world *w, uint8_t node);
void world_deliver(struct world *w, uint8_t node, uint8_t path, uint32_t slot);

/* world_config.c. */
void world_config(struct world *w, uint8_t node);

#endif
