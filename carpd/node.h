/* node.h: one carpd: everything that it owns, and which file does what with it.
 *
 *   node.c         opening and closing in order; the core's loop: drain, then judge, then act
 *   node_core.c    the first and every later life of the core: its config, readiness, fingerprints
 *   node_act.c     what each action of the core makes the shell do; records of transitions
 *   node_paths.c   ports, packets in and out, what the network and the interfaces tell
 *   node_stages.c  the stages of promotions and demotions, for transaction.c
 *   node_vmac.c    devices with virtual Ethernet addresses
 *   node_addresses.c  what a group has on its interfaces: there, renewed, put back, gone
 *   node_guard.c   what the guard must know; a new life after it has fired
 *   node_start.c   the first seconds: locks, sweep, rules
 *   node_carp2.c   CARPv2 on the groups' interfaces: keys, packets in and out, the guard's bow-out
 *   health.c       an interface's own test          liberal.c  TCP liberality of an overlap
 *   track.c        tracked interfaces and scripts    clash.c    others with our vhid; peers that
 * differ ops.c, status.c, reload.c, stop.c, drill.c      what operators ask
 *
 * Only the loop's thread touches a struct node. Executor threads see the job structs that were
 * posted to them, the constant config, and the tools that are theirs alone (named so below). */
#ifndef CARPD_NODE_H
#define CARPD_NODE_H

#include "carpd/addresses.h"
#include "carpd/alarms.h"
#include "carpd/core/election.h"
#include "carpd/executor.h"
#include "carpd/frame.h"
#include "carpd/gateways.h"
#include "carpd/guard.h"
#include "carpd/handlers.h"
#include "carpd/helper.h"
#include "carpd/history.h"
#include "carpd/bounds.h"
#include "carpd/links.h"
#include "carpd/mover.h"
#include "carpd/neighbours.h"
#include "carpd/options.h"
#include "carpd/port.h"
#include "carpd/routes.h"
#include "carpd/score.h"
#include "carpd/transaction.h"
#include "common/advert.h"
#include "common/carp2.h"
#include "common/io/control_server.h"
#include "common/io/evloop.h"
#include "config/config.h"
#include "rules/rules.h"

#define NODE_RANDOM_BYTES    512u /* drawn at once: each draw costs OpenSSL as much as an advert */
#define NODE_PRIORITY	     50	  /* SCHED_FIFO; kernel threads for interrupts stand at 50, too */
#define NODE_EVENTS_MAX	     64u  /* for the core, while it is stepping */
#define NODE_RULES_BLAME_MAX 128u /* of rules_switch_blame() */
#define NODE_PROBE_TARGETS   (CONFIG_PROBES_MAX + CARPD_GATEWAYS_MAX + CARPD_NEIGHBOURS_MAX)
#define NODE_PEER_MAC_MAX_MS                                                                       \
	3000 /* a peer that was silent for longer may have another card now                        \
	      */

struct node;
struct reload;

/* A neighbour that was seen on a group's interface. */
struct node_neighbour {
	struct frame_neighbour neighbour;
	mono_t seen_at;
};

/* Reading the gateways of an interface's routes: the walk over a large table is not the loop's. */
struct node_gateways_job {
	struct executor_job job;
	struct node_path *path;
	uint32_t ifindex;
	struct gateways found;
};

/* The interface's own test, while it runs. */
struct node_probe {
	bool is_running;
	unsigned int round;
	uint64_t received_before;
	bool has_received;
	bool answered;
	unsigned int target_count;
	struct ipaddr targets[NODE_PROBE_TARGETS];
	struct evloop_timer timer;
};

/* Opening and closing a packet socket waits for RTNL: a job for the executor. */
struct node_port_job {
	struct executor_job job;
	struct node *node;
	uint8_t path;
	uint32_t ifindex;
	bool is_sync;
	struct ipaddr own;
	struct port opened;
	struct port closing;
};

/* A device that carries virtual addresses under a virtual Ethernet address. */
struct node_vmac {
	bool is_used;
	uint32_t link; /* index in links */
	char name[CONFIG_IFNAME_MAX];
	uint8_t mac[FRAME_MAC_BYTES];
};

#define NODE_VMACS 2u /* IPv4's and IPv6's, in this order */

/* Making the devices of an interface again: it had gone away with its devices. */
struct node_vmac_job {
	struct executor_job job;
	struct node_path *path;
	uint32_t ifindex; /* the parent's */
};

struct node_path {
	struct node *node;
	const struct config_path *config;
	uint8_t index;
	bool is_used;  /* this node has it */
	uint32_t link; /* index in links */
	struct port port;
	sd_event_source *source;
	sd_event_source *neighbour_source;
	struct node_port_job open_job;
	bool is_open_wanted; /* again, when the job is back */
	/* Ethernet addresses of peers on a sync path, learned from what they signed; by node index.
	 */
	struct {
		uint8_t mac[FRAME_MAC_BYTES];
		bool known;
		mono_t heard_at;
	} macs[LIMIT_NODES];
	unsigned int neighbour_count;
	struct node_neighbour neighbours[CARPD_NEIGHBOURS_MAX];
	struct node_probe probe;
	struct node_gateways_job gateways_job;
	struct gateways gateways; /* as of the last test or the start */
	struct node_vmac vmacs[NODE_VMACS];
	struct node_vmac_job vmac_job;
	uint64_t sent, received, send_errors;
	uint64_t floods; /* turns in which more came than is read in one */
	bool is_paused;	 /* not read until the core has judged */
};

/* What a group brings up on its interfaces; memory of the group's. */
struct node_holdings {
	uint32_t device_count;
	uint32_t *devices;
	uint32_t address_count;
	struct addresses_entry *addresses;
	uint32_t route_count;
	struct routes_entry *routes;
};

#define NODE_REPAIRS_MAX 8u

/* Jobs of one group on the executors. */
struct node_address_job {
	struct executor_job job;
	struct node *node;
	uint8_t group;
	bool is_removal;
	bool is_demotion; /* which direction's stage waits for it */
	bool is_renewal;
	struct node_holdings holdings;
	uint32_t repair_count; /* renewals: these must go first (a failed duplicate test) */
	struct addresses_entry repairs[NODE_REPAIRS_MAX];
	struct addresses_result outcome;
	uint32_t routes_missing;  /* renewals: routes that were not there any more */
	const char *failed_what;  /* "interface", "address", "route" */
	uint32_t neighbour_count; /* additions: next hops that are told to the kernel first */
	struct neighbours_entry neighbours[NEIGHBOURS_MAX];
};

struct node_rules_job {
	struct executor_job job;
	struct node *node;
	uint8_t group;
	bool accept_changed;
	bool to_master;
	enum rules_result outcome;
	int error_number;
};

struct node_rules_watch {
	struct executor_job job;
	struct node *node;
	uint8_t group;
	enum rules_result gap; /* rules_switch_close_gap() */
	bool was_shut;	       /* the latch, by a flush */
	enum rules_result outcome;
	char blame[NODE_RULES_BLAME_MAX];
	char moved[RULES_IFNAME_MAX]; /* an interface that is back with another index; "" = none */
};

#define NODE_TRACKS_MAX	   (2u * LIMIT_TRACKS) /* those of a reload, and of the config before */
#define NODE_TRACK_WHY_MAX 160u

/* A tracked interface or script. */
struct node_track {
	struct node *node;
	const struct config_track *config; /* NULL: free, once is_running is false, too */
	char name[LIMIT_NAME];		   /* "track:..." */
	struct score score;
	uint32_t link;	 /* interfaces */
	bool is_running; /* scripts: the helper will answer */
	bool is_stale;	 /* ... for what a reload has replaced */
	bool is_unknown; /* could not be run at all */
	mono_t due_at;	 /* the next run */
	struct evloop_timer timer;
	char why[NODE_TRACK_WHY_MAX]; /* of the last result */
};

/* Which index an interface had when the rules were loaded: `iif` holds the index. Touched by the
 * rules executor alone. */
struct node_rules_indexes {
	bool matter; /* the rules have iif, oif or hooks on devices */
	mono_t looked_at;
	unsigned int count;
	struct {
		char name[RULES_IFNAME_MAX];
		unsigned int index;
	} entries[RULES_INTERFACES_MAX];
};

struct node_rules_swap;

/* What a stage took, for the metrics. */
struct node_stage_sum {
	uint64_t count;
	int64_t us;
};

struct node_group {
	struct node *node;
	const struct config_group *config;
	uint8_t index;
	struct transaction transaction;
	bool stage_is_late; /* its deadline passed while carpd slept: answers are read first */
	struct evloop_timer stage_timer;
	/* Addresses. */
	bool holds; /* carpd wants the addresses to be there: they are renewed */
	struct node_address_job add_job, remove_job, renew_job;
	bool is_renewal_wanted; /* something was taken away while one was running */
	mono_t put_back_at, repaired_at, link_changed_at;
	char renew_error[TRANSACTION_ERROR_MAX]; /* of the last renewal */
	uint64_t put_back_count;
	/* Rules; the switch itself is the rules executor's alone. */
	bool has_rules;
	bool rules_missing;
	bool rules_changed;			/* somebody changed rules inside our tables */
	char rules_blame[NODE_RULES_BLAME_MAX]; /* who, and what */
	struct node_rules_watch rules_watch;
	bool rules_watch_again; /* something came while a look was under way */
	bool rules_closed;	/* missing, and the shield is up although it is master */
	struct node_rules_indexes rules_indexes;
	int64_t rules_since_wall_us;	    /* missing or changed: since when */
	struct node_rules_swap *rules_swap; /* other rules are on their way in; NULL = none */
	mono_t rules_repaired_at;
	uint64_t rules_repairs;
	struct rules_switch *rules;
	struct rules_manifest *manifest; /* in node->manifests */
	struct node_rules_job master_job, backup_job;
	bool rules_are_master; /* as of the last switch */
	bool is_unready;       /* since unready_at */
	mono_t unready_at;
	/* Announcements. */
	struct evloop_timer announce_timer;
	mono_t announced_at;
	unsigned int announce_index;
	/* The record of a transition that is under way. */
	bool record_open;
	enum group_state record_from;
	uint8_t fact_count;
	struct election_fact facts[ELECTION_FACTS_MAX];
	int64_t since_wall_us;
	uint64_t transitions[REASON_COUNT];
	uint64_t became_master, released_master;
	struct node_stage_sum stage_sums[2 * TRANSACTION_STAGE_COUNT]; /* odd: demotions */
	int64_t dual_ms;
	char stage_alarm[TRANSACTION_ERROR_MAX]; /* "" none: the last promotion's failed stage */
	enum transaction_stage stage_alarm_stage;
	int64_t stage_alarm_wall_us;
	unsigned int liberal_count;
	mono_t liberal_until;
};

/* An operator's request that the core answers later. */
struct node_request {
	uint32_t id;	/* 0: free */
	uint32_t batch; /* requests of one op: all groups of a hand-over */
	uint8_t group;
	struct control_ticket ticket;
	bool is_maintenance;
	bool maintenance_on;
	mono_t asked_at;
	mono_t deadline;
	bool is_done;
	enum election_reply reply;
	int64_t us;
	uint8_t from;
	uint8_t to;
};

/* A drill of the running cluster: who steers it, and who did last (drill.c). */
enum node_drill_state {
	NODE_DRILL_NONE,
	NODE_DRILL_WAITING, /* peers still speak of the drill before */
	NODE_DRILL_ASKED,   /* adverts say so; not every peer has confirmed it */
	NODE_DRILL_HELD,
};

#define NODE_DRILL_TEXT_MAX 200u

struct node_drill {
	enum node_drill_state state;
	struct control_ticket ticket; /* its connection has the lock */
	char by[NODE_DRILL_TEXT_MAX];
	char reason[NODE_DRILL_TEXT_MAX];
	mono_t answer_by; /* WAITING, ASKED */
	mono_t until;
	int64_t since_wall_us;
	uint8_t heard; /* the peer that drills; 0: nobody */
	int64_t heard_wall_us;
	json_t *last; /* STATE_DIR/drill.json: {"node", "time_us"} */
	struct evloop_timer timer;
};

#define NODE_REQUESTS_MAX (LIMIT_GROUPS * 4u)
#define NODE_TOPIC_EVENTS 1u

struct node {
	const struct options *options;
	struct config *cfg;
	const struct config_node *self;
	sd_event *event;
	struct executor *links_executor; /* rtnetlink and packet sockets */
	struct executor *rules_executor; /* nftables */
	int rules_events_fd;		 /* readable when somebody committed to nftables */
	sd_event_source *rules_events;
	struct executor *disk_executor;
	struct helper *helper;
	struct history *history;
	json_t *terms;	     /* what STATE_DIR/terms.json says: group -> highest own term */
	json_t *maintenance; /* STATE_DIR/maintenance.json */
	struct handlers *handlers;
	struct control_server *server;
	struct guard *guard;
	struct links *links;
	struct addresses_nl addresses; /* the links executor's alone */
	struct nl routes;	       /* the disk executor's alone: gateways are read there */
	struct advert_keys keys;
	struct crypto_mac *carp2_mac; /* NULL: the wire is native */
	struct carp2_signer carp2_signers[LIMIT_PATHS];

	struct election *core;
	struct election_actions *actions;
	bool is_stepping;
	mono_t judged_at;		   /* the last TIMER */
	uint8_t random[NODE_RANDOM_BYTES]; /* drawn in advance, used from its end */
	size_t random_left;
	bool is_flooded; /* a port is paused: judge soon */
	unsigned int event_first, event_count;
	struct election_event events[NODE_EVENTS_MAX];
	struct evloop_timer core_timer, feed_timer, renew_timer;
	struct mover *mover; /* NULL without real time, or on one processor */

	struct node_path paths[LIMIT_PATHS];
	uint32_t path_count;
	struct node_group groups[LIMIT_GROUPS];
	uint32_t group_count;
	struct node_track tracks[NODE_TRACKS_MAX];
	struct alarm alarms[CARPD_ALARMS_MAX];
	uint32_t manifest_count;
	struct rules_manifest *manifests; /* group_count of them; the guard reads them, too */
	struct rules_latch *latch;	  /* the rules executor's while that runs; NULL: none */

	uint32_t request_last;
	uint32_t batch_last;
	struct node_request requests[NODE_REQUESTS_MAX];
	struct evloop_timer request_timer;
	struct node_drill drill;

	bool is_started;	   /* the core runs */
	bool is_stopping;	   /* SIGTERM was received */
	struct reload *reload;	   /* one at a time; NULL: none */
	struct config *cfg_before; /* jobs of an executor may still read it */
	int exit_code;
	int realtime_priority;
	int64_t liberal_before; /* the operator's value while we have changed it; -1 unchanged */
	unsigned int liberal_count;
	uint64_t frame_drops[FRAME_DROP_COUNT];
	uint64_t advert_drops[ADVERT_DROP_COUNT];
	uint64_t carp2_drops[CARP2_DROP_COUNT];
	uint64_t sent, send_errors, received;
	struct port_batch batch;
	struct {
		mono_t at;
		unsigned int suppressed;
	} drop_log;
};

/* --- node.c */
int node_open(struct node *node, const struct options *options, struct config *cfg,
	struct helper *helper) __attribute__((warn_unused_result));
int node_run(struct node *node);
void node_close(struct node *node);

/* node_event: one event for the core; while it is stepping, after that. `now` is filled in. */
void node_event(struct node *node, struct election_event *event);
/* node_answer: a question has come in: judged at once, before anything else in the loop. */
void node_answer(struct node *node);
void node_rearm(struct node *node);

/* --- node_core.c */
/* node_core_start: a first or a new life of the core. */
int node_core_start(struct node *node) __attribute__((warn_unused_result));
void node_readiness(struct node *node);
void node_fingerprints(struct node *node, uint8_t group);
/* node_not_ready: the words of this node's own readiness; returns the bits. */
uint8_t node_not_ready(const struct node *node, uint8_t group, json_t *words);

/* --- node_act.c */
void node_act(struct node *node, const struct election_action *action);
void node_tell_roles(struct node *node, struct control_conn conn);
void node_tell_role(struct node *node, uint8_t group, struct control_conn conn);
void node_record(struct node *node, uint8_t group, enum group_state from, enum group_state to,
	enum reason reason, uint64_t term);
const char *node_name_of(const struct node *node, uint8_t id); /* NULL: nobody */

/* --- node_paths.c */
int node_paths_open(struct node *node) __attribute__((warn_unused_result));
void node_paths_close(struct node *node);
/* node_paths_resume: ports that were paused in a flood are read again; after each judgement. */
void node_paths_resume(struct node *node);
void node_drain(struct node *node);
void node_send(struct node *node, const struct election_action *action);
void node_link_changed(void *context, uint32_t index, const struct links_entry *old);
bool node_is_managed(void *context, const struct ipaddr *address);
const struct links_entry *node_path_link(const struct node_path *path);
/* node_path_source: what adverts on this path come from; false when nothing can be sent. */
bool node_path_source(const struct node_path *path, struct ipaddr *ret_source);
void node_path_carrier(struct node_path *path);
void node_path_reopen(struct node_path *path);
/* node_path_destinations: where adverts go on this path: the group, or every peer there. */
unsigned int node_path_destinations(
	const struct node_path *path, struct guard_destination destinations[static LIMIT_PEERS]);

/* node_drop: tells of a packet that was dropped, at most once a second; the caller has counted. */
void node_drop(struct node *node, const struct node_path *path, const char *name);
/* node_send_on: a packet with that payload, by the path's socket, on that device. */
void node_send_on(struct node_path *path, uint32_t ifindex, const struct ipaddr *source,
	const struct guard_destination *to, const uint8_t *bytes, size_t size_bytes);

/* --- node_carp2.c */
int node_carp2_open(struct node *node) __attribute__((warn_unused_result));
void node_carp2_close(struct node *node);
/* node_carp2_speaks: whether CARPv2 and nothing else is spoken on this path. */
bool node_carp2_speaks(const struct node_path *path);
void node_carp2_packet(
	struct node_path *path, const struct frame_ip *ip, const struct port_packet *packet);
void node_carp2_send(struct node_path *path, const struct election_action *action);
/* node_carp2_guard_lane: what the guard says on that path when carpd is dead; false: nothing. */
bool node_carp2_guard_lane(struct node_path *path, struct guard_lane *lane);

/* --- node_stages.c */
int node_groups_open(struct node *node) __attribute__((warn_unused_result));
void node_groups_close(struct node *node);
void node_promote(struct node *node, const struct election_action *action);
void node_demote(struct node *node, const struct election_action *action);
void node_announce(struct node_group *group);
void node_group_forget(struct node_group *group);
void node_group_arm(struct node_group *group);

/* --- node_addresses.c */
int node_addresses_open(struct node_group *group) __attribute__((warn_unused_result));
void node_addresses_close(struct node_group *group);
enum transaction_start node_addresses_stage(
	struct node_group *group, bool is_demotion, char error[static TRANSACTION_ERROR_MAX]);
/* node_fill_holdings: what the group brings up, where its interfaces are now. */
void node_fill_holdings(struct node_group *group, struct node_holdings *holdings);
/* node_renew: everything that the group holds, once more: on the executor. */
void node_renew(struct node_group *group);
/* node_readdress: an interface has come back: everything anew, and announced. */
void node_readdress(struct node_group *group);
/* node_reannounce: the wire was away, the addresses were not: renewed and announced. */
void node_reannounce(struct node_group *group);
/* node_managed_changed: the kernel says that a virtual address is gone, or failed its duplicate
 * test. */
void node_managed_changed(
	void *context, const struct addresses_entry *entry, enum links_managed change);

/* --- node_vmac.c */
/* node_vmac_sweep: devices of an earlier life; also at the end. */
void node_vmac_sweep(struct node *node);
int node_vmac_create_all(struct node *node) __attribute__((warn_unused_result));
void node_vmac_open(struct node_path *path);
void node_vmac_again(struct node_path *path);
/* node_address_link: where an address of that family lives on the path: the interface itself, or
 * its virtual device. */
const struct links_entry *node_address_link(const struct node_path *path, uint8_t family);

/* --- node_rules.c */
/* node_rules_watch: call every second or so; changes are also seen at once, by an event. */
void node_rules_watch(struct node *node);
/* node_rules_take_indexes: when rules were just loaded; at the start, then on the rules executor.
 */
void node_rules_take_indexes(struct node_group *group, const struct rules_manifest *manifest);
int node_rules_events_open(struct node *node) __attribute__((warn_unused_result));
void node_rules_events_close(struct node *node);

/* --- node_swap.c */
typedef void node_rules_swapped_fn(
	void *context, uint8_t group, int error, const struct rules_report *report);
/* node_rules_swap: other rules for a group: HELPER_RULES_LOAD or _RELOAD where there is nothing to
 * lose, _BESIDE or _REPAIR without a gap. 0, and then `done` once; -EBUSY: one is under way; other
 * -errno. The report's lines are what was not kept, or what is wrong. */
int node_rules_swap(struct node *node, uint8_t group, enum helper_rules_task task,
	node_rules_swapped_fn *done, void *context) __attribute__((warn_unused_result));
bool node_rules_holds(const struct node *node, uint8_t group);

/* --- ops_rules.c */
void ops_rules(void *context, const struct control_request *request);

/* --- node_guard.c */
int node_guard_open(struct node *node) __attribute__((warn_unused_result));
void node_guard_publish(struct node *node);
void node_guard_feed(struct node *node);
bool node_guard_is_lost(struct node *node); /* fired: this life is over, say nothing any more */

/* --- drill.c: the lock of `carpool drill run --live` (doc/protocol-control.md) */
int drill_open(struct node *node) __attribute__((warn_unused_result));
void drill_close(struct node *node);
void drill_op(void *context, const struct control_request *request);
void drill_conn_closed(struct node *node, struct control_conn conn);
/* drill_flags: what this node's adverts say about drills; notices what peers say. */
uint16_t drill_flags(struct node *node);
json_t *drill_status(const struct node *node);

/* --- reload.c */
void reload_start(struct node *node, const struct control_ticket *ticket, bool diff, bool force);

/* --- node_start.c */
int node_lock(const char *runtime_dir); /* a descriptor, or a negative errno */
int node_sweep(struct node *node) __attribute__((warn_unused_result));
int node_rules_prepare(struct node *node) __attribute__((warn_unused_result));
int node_rules_open(struct node *node, uint8_t group) __attribute__((warn_unused_result));
void node_rules_spec_log(const struct rules_report *report);

/* --- health.c */
int health_open(struct node_path *path) __attribute__((warn_unused_result));
void health_close(struct node_path *path);
void health_start(struct node_path *path);
/* health_ask_neighbours: where are the next hops of an interface path now? Answers go, like every
 * neighbour's word, to health_heard(). */
void health_ask_neighbours(struct node_path *path);
void health_heard(struct node_path *path, const struct frame_neighbour *neighbour);

/* --- clash.c */
/* clash_packet: a packet of protocol 112 that was dropped: whose was it? */
void clash_packet(
	struct node_path *path, const struct frame_ip *ip, const struct port_packet *packet);
void clash_own_id(struct node_path *path);
/* clash_compare: what the peers say of their configs; once a second or so. */
void clash_compare(struct node *node);

/* --- track.c */
int track_open(struct node *node) __attribute__((warn_unused_result));
void track_close(struct node *node);
/* track_reconfigure: node->cfg is a new one; what did not change goes on. */
void track_reconfigure(struct node *node);
/* track_publish: the core has a new life: everything that fails is told again. */
void track_publish(struct node *node);
void track_link_changed(struct node *node, uint32_t link);
json_t *track_status(const struct node *node, uint8_t group);

/* --- liberal.c */
void liberal_set(struct node *node, uint8_t group, bool on);
void liberal_recover(struct node *node);
void liberal_restore(struct node *node);

/* --- ops.c, status.c, stop.c */
int ops_open(struct node *node) __attribute__((warn_unused_result));
void ops_reply(struct node *node, const struct election_action *action);
json_t *status_document(const struct node *node);
json_t *status_metrics(const struct node *node);
void stop_start(struct node *node);

#endif
