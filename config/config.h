/* config.h: the cluster's file as plain data (design section 4).
 *
 * One YAML file, the same on every node, becomes one `struct config`: every default is filled in,
 * every duration is a dur_t, every address a struct ipaddr, every choice an enum; what refers to a
 * node or an interface has been checked. Nothing in it changes after config_load(), so any thread
 * may read it. Everything is in the order of the file.
 *
 * All of it lies in one block: pointers inside point into the block itself, so a config is never
 * copied by value, and config_free() is one free. File names are
 * absolute after config_load(), ready to open; the `text` beside is what the file says.
 *
 * What a node makes of the file (its own interface names, its skew) is asked through the functions
 * at the end, never worked out again elsewhere. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "common/crypto.h"
#include "common/ipaddr.h"
#include "common/keyring.h"
#include "common/limits.h"
#include "common/mono.h"
#include "config/config_errors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_FILE_DEFAULT	    "/etc/carpool/cluster.yaml"
#define CONFIG_FILE_BYTES_MAX	    (1024u * 1024u)
#define CONFIG_CLUSTER_MAX	    33u /* 1..32 of a-z 0-9 -, and the NUL */
#define CONFIG_IFNAME_MAX	    16u /* IFNAMSIZ: 1..15 characters and the NUL */
#define CONFIG_USER_MAX		    33u
#define CONFIG_PROBES_MAX	    8u	/* probe addresses of one interface */
#define CONFIG_ARGUMENTS_MAX	    32u /* words of one handler's or script's command */
#define CONFIG_TRACKS_MAX	    12u /* of one group: the core has room for 16 demotions */
#define CONFIG_TRACK_NAME_MAX	    (LIMIT_NAME - 1u - 6u) /* "track:" goes before it */
#define CONFIG_DEMOTE_MAX	    255u
#define CONFIG_IGNORE_ADDRESSES_MAX 64u
#define CONFIG_IGNORE_PROTOCOLS_MAX 16u
#define CONFIG_TEXT_BYTES_MAX	    65536u /* all paths and arguments together */
#define CONFIG_ADVSKEW_MAX	    254u
#define CONFIG_WEIGHT_MAX	    255u
#define CONFIG_MAX_FLOWS_MAX	    67108864u /* 2^26 */
#define CONFIG_PORT_DEFAULT	    3780u

/* What happens when somebody else changes a group's rules in the kernel. */
enum config_drift {
	CONFIG_DRIFT_REPORT, /* an alarm; what is gone is closed by the shield */
	CONFIG_DRIFT_REPAIR, /* and what was loaded is loaded again */
};

enum config_wire {
	CONFIG_WIRE_NATIVE,
	CONFIG_WIRE_CARP2, /* CARPv2 on the groups' interfaces, native adverts on the sync links */
};

enum config_phase {
	CONFIG_PHASE_BEFORE,
	CONFIG_PHASE_STATE,
	CONFIG_PHASE_AFTER,
	CONFIG_PHASE_COUNT,
};

enum config_sync_mode {
	CONFIG_SYNC_MODE_WARM,
	CONFIG_SYNC_MODE_ON_PROMOTION,
	CONFIG_SYNC_MODE_COUNT,
};

enum config_path_kind {
	CONFIG_PATH_INTERFACE, /* a group's interface: multicast */
	CONFIG_PATH_SYNC,      /* the k-th sync addresses of the nodes: unicast */
};

/* A file that the config names. */
struct config_file {
	const char *path; /* absolute, ready to open; NULL when the key is absent */
	const char *text; /* as written */
	struct config_pos pos;
};

/* A node's own name for a logical interface. */
struct config_alias {
	char logical[CONFIG_IFNAME_MAX];
	char name[CONFIG_IFNAME_MAX];
	struct config_pos pos;
};

struct config_node {
	char name[LIMIT_NAME];
	uint8_t id;    /* 1..255, unique */
	uint8_t index; /* in config.nodes */
	uint8_t advskew;
	uint8_t address_count;			   /* 1..LIMIT_SYNC_LINKS */
	struct ipaddr addresses[LIMIT_SYNC_LINKS]; /* on the sync links; [k] is path sync<k> */
	uint8_t alias_count;
	struct config_alias aliases[LIMIT_INTERFACES];
	struct config_pos pos;
};

#define CONFIG_CONFIRM_ADVBASE_MIN_US 5000

struct config_confirm {
	bool enabled;
	uint8_t questions;
	dur_t spacing;
};

#define CONFIG_DAMPING_MOVES_MAX 8u

/* So many moves that no death and no operator brought about, within a time: the group is held. */
struct config_damping {
	uint8_t moves; /* 0: off */
	dur_t within;
	dur_t hold;
};

struct config_election {
	enum config_wire wire;
	struct config_pos wire_pos;
	bool counter_strict; /* carp2: only this cluster's nodes are believed */
	struct config_pos counter_pos;
	struct config_file passphrase; /* carp2; path NULL: the key is absent */
	dur_t advbase;		       /* carp2: whole seconds, or 0 */
	struct config_pos advbase_pos;
	uint8_t dead_factor;
	bool preempt;
	bool startup_hold_auto;
	dur_t startup_hold; /* as written when not auto; ask config_startup_hold() */
	dur_t settle;
	struct config_confirm confirm;
	struct config_damping damping;
	struct config_pos pos;
};

struct config_deadlines {
	dur_t before;
	dur_t state;
	dur_t rules;
	dur_t addresses;
};

#define CONFIG_ANNOUNCE_REPEATS_MAX 8u

/* Gratuitous ARP and unsolicited neighbour advertisements of a master. */
struct config_announce {
	uint8_t burst; /* rounds at once */
	uint8_t repeat_count;
	dur_t repeats[CONFIG_ANNOUNCE_REPEATS_MAX]; /* when, after the burst; ascending */
	dur_t refresh;				    /* and then again; 0: never */
};

/* A route that is there while its group is held. */
struct config_route {
	struct ipaddr to;  /* a network; "default" is prefix length 0 */
	struct ipaddr via; /* family IPADDR_NONE: the network is on the link itself */
	uint32_t metric;   /* 0: the kernel's own default */
	struct config_pos pos;
};

struct config_interface {
	char name[CONFIG_IFNAME_MAX]; /* logical; a node's own name: config_ifname() */
	uint8_t group;		      /* index of its group */
	uint8_t path;		      /* index in config.paths */
	uint32_t address_count;	      /* at least 1 */
	const struct ipaddr *addresses;
	uint8_t weight; /* demotion while it fails its own test */
	uint8_t probe_count;
	struct ipaddr probes[CONFIG_PROBES_MAX];
	bool virtual_mac; /* the addresses live on devices of their own: config_vmac() */
	bool bring_up;	  /* down on a backup; carries no adverts */
	uint32_t route_count;
	const struct config_route *routes;
	struct config_pos pos;
};

struct config_handler {
	char name[LIMIT_NAME];
	uint32_t argument_count;      /* at least 1 */
	const char *const *arguments; /* NULL-ended; [0] is ready to run, others as written */
	const char *program_text;     /* [0] as written */
	bool on_master;
	bool on_backup;
	enum config_phase phase;
	dur_t timeout;
	bool required;
	char user[CONFIG_USER_MAX];
	struct config_pos pos;	    /* of the program's name */
	struct config_pos user_pos; /* of the user's, or of the handler */
};

enum config_track_kind {
	CONFIG_TRACK_INTERFACE, /* fails without carrier */
	CONFIG_TRACK_SCRIPT,	/* fails by its exit status */
};

/* Something whose failure demotes a node. */
struct config_track {
	char name[LIMIT_NAME]; /* "dmz0", "check-isp"; status says "track:dmz0" */
	uint8_t group;	       /* index of its group */
	enum config_track_kind kind;
	uint8_t demote;			   /* 1..255 */
	char interface[CONFIG_IFNAME_MAX]; /* logical; a node's own name: config_ifname() */
	/* Scripts only. */
	uint32_t argument_count;
	const char *const *arguments; /* as a handler's */
	const char *program_text;
	dur_t every;
	dur_t timeout;
	uint8_t rise; /* successes in a row until it is well again */
	uint8_t fall; /* failures in a row until it has failed */
	bool when_master;
	char user[CONFIG_USER_MAX];
	struct config_pos pos;	    /* of the interface's or program's name */
	struct config_pos user_pos; /* of the user's, or of the entry */
};

struct config_group {
	char name[LIMIT_NAME];
	uint8_t index; /* in config.groups */
	uint8_t vhid;
	uint32_t group_tag;	       /* names the group on the wire */
	uint8_t advskew[LIMIT_NODES];  /* by node index: the group's, else the node's own */
	bool advskew_own[LIMIT_NODES]; /* whether the group itself says so */
	uint32_t interface_count;      /* at least 1 */
	const struct config_interface *interfaces;
	struct config_file rules_master; /* path NULL: carpool leaves nftables alone */
	struct config_file rules_backup;
	enum config_drift rules_drift;
	uint32_t handler_count;
	const struct config_handler *handlers;
	uint32_t track_count;
	const struct config_track *tracks;
	/* SHA-256 over the vhid and the sorted set of (interface, address/prefix). */
	uint8_t address_fingerprint[CRYPTO_HASH_BYTES];
	struct config_pos pos;
};

struct config_sync {
	bool configured; /* there is a sync: section, so a promotion needs syncd */
	enum config_sync_mode mode;
	uint32_t max_flows; /* 0: auto, nf_conntrack_max */
	dur_t liberal_grace;
	uint16_t port;
	uint32_t ignore_address_count;
	struct ipaddr ignore_addresses[CONFIG_IGNORE_ADDRESSES_MAX]; /* networks */
	uint32_t ignore_protocol_count;
	uint8_t ignore_protocols[CONFIG_IGNORE_PROTOCOLS_MAX]; /* IP protocol numbers */
	struct config_pos pos;
};

/* A way that adverts take. Interface paths carry their own group, sync paths all groups. */
struct config_path {
	char name[LIMIT_NAME]; /* the logical interface, or "sync0", "sync1", ... */
	uint32_t path_tag;     /* names the path on the wire */
	enum config_path_kind kind;
	uint8_t index;				  /* in config.paths */
	uint8_t group;				  /* interface paths */
	uint8_t sync_link;			  /* sync paths: k */
	const struct config_interface *interface; /* interface paths, else NULL */
};

struct config {
	char cluster[CONFIG_CLUSTER_MAX];
	const char *file; /* as given to config_load() */
	/* What every node must agree on, without comments, order, layout, and without what may
	 * differ between nodes: names of key files and rule files, the nodes' interface names. */
	uint8_t fingerprint[CRYPTO_HASH_BYTES];
	const struct config_node *self; /* the node asked for at load, or NULL */

	uint32_t key_count; /* at least 1; [0] signs */
	struct config_file keys[KEYRING_KEYS_MAX];
	uint32_t node_count;
	struct config_node nodes[LIMIT_NODES];
	struct config_election election;
	struct config_deadlines deadlines;
	struct config_announce announce;
	uint32_t group_count;
	struct config_group groups[LIMIT_GROUPS];
	struct config_sync sync;

	/* Of all groups together; a group's own are a stretch of these. */
	uint32_t interface_count;
	struct config_interface interfaces[LIMIT_INTERFACES];
	uint32_t address_count;
	struct ipaddr addresses[LIMIT_ADDRESSES];
	struct config_pos address_pos[LIMIT_ADDRESSES]; /* of the same index */
	uint32_t route_count;
	struct config_route routes[LIMIT_ROUTES];
	uint32_t handler_count;
	struct config_handler handlers[LIMIT_HANDLERS];
	uint32_t track_count;
	struct config_track tracks[LIMIT_TRACKS];

	/* Interface paths in file order, then the sync paths. */
	uint32_t path_count;
	struct config_path paths[LIMIT_PATHS];

	/* Where the strings and argument lists above live. */
	uint32_t argument_count;
	const char *arguments[(LIMIT_HANDLERS + LIMIT_TRACKS) * (CONFIG_ARGUMENTS_MAX + 1u)];
	uint32_t text_bytes;
	char text[CONFIG_TEXT_BYTES_MAX];
};

/* config_load: reads, parses and checks a file, its own mode and the modes of the handlers'
 * programs. Key files are the caller's to load (common/io/keyfile.h, with config.keys[].pos for
 * its messages).
 *   node    whose view it is: an error when the file has no such node; NULL for no node's.
 *   errors  initialised here; count 0 exactly when the result is not NULL.
 * Owned by the caller: config_free(). */
struct config *config_load(const char *path, const char *node, struct config_errors *errors);

/* config_parse: the same for text in memory, without any look at the file system. */
struct config *config_parse(const char *text, size_t size_bytes, const char *path, const char *node,
	struct config_errors *errors);

/* config_free: NULL is allowed. */
void config_free(struct config *cfg);

const struct config_node *config_node_lookup(const struct config *cfg, const char *name);
const struct config_node *config_node_lookup_id(const struct config *cfg, uint8_t id);
const struct config_group *config_group_lookup(const struct config *cfg, const char *name);
const struct config_group *config_group_lookup_tag(const struct config *cfg, uint32_t group_tag);
const struct config_interface *config_interface_lookup(const struct config *cfg, const char *name);
const struct config_path *config_path_lookup(const struct config *cfg, const char *name);
const struct config_path *config_path_lookup_tag(const struct config *cfg, uint32_t path_tag);

const struct config_track *config_track_lookup(const struct config_group *group, const char *name);

/* config_vmac: the device that carries the interface's virtual addresses of that family under the
 * group's virtual Ethernet address: its name ("lan0.v51", IPv6 "lan0.w51"; the same on every node)
 * and that address. False: there is none (not virtual_mac, or no address of that family). */
#define CONFIG_VMAC_IFNAME_MAX 10u /* characters of the logical name, so that both fit */
bool config_vmac(const struct config *cfg, const struct config_interface *interface,
	enum ipaddr_family family, char ret_name[static CONFIG_IFNAME_MAX],
	uint8_t ret_mac[static 6]);

/* config_track_equal: nothing about it differs. */
bool config_track_equal(const struct config_track *a, const struct config_track *b);

/* config_ifname: what `node` calls the logical interface: its alias, else the logical name itself.
 * Never NULL; also for a name that no group uses. */
const char *config_ifname(
	const struct config *cfg, const struct config_node *node, const char *logical);

/* config_sync_address: the node's address on that sync path, or NULL when it has none there. */
const struct ipaddr *config_sync_address(
	const struct config_node *node, const struct config_path *path);

/* config_group_uses_path: whether adverts of the group travel on the path. */
bool config_group_uses_path(const struct config_group *group, const struct config_path *path);

/* config_group_paths: the paths of a group, in the order of config.paths; returns how many. */
uint32_t config_group_paths(const struct config *cfg, const struct config_group *group,
	const struct config_path *ret_paths[static LIMIT_PATHS]);

/* config_advskew: the group's own for that node, else the node's. */
uint8_t config_advskew(
	const struct config *cfg, const struct config_group *group, const struct config_node *node);

/* config_advert_interval: advbase * (1 + advskew / 256), to the microsecond below; with carp2
 * advbase + advskew / 256 s, as the ancestors have it. */
dur_t config_advert_interval(
	const struct config *cfg, const struct config_group *group, const struct config_node *node);

/* config_master_down: the longest that this node may have to wait for a silent master of the
 * group: dead_factor * (the greatest interval of any node) + advbase * advskew / 256. What the
 * election uses follows the interval that the living master signs; this is its upper bound. */
dur_t config_master_down(
	const struct config *cfg, const struct config_group *group, const struct config_node *node);

/* config_startup_hold: as written, or auto: max(1 s, 2 * config_master_down()). */
dur_t config_startup_hold(
	const struct config *cfg, const struct config_group *group, const struct config_node *node);

/* config_confirm_questions: of rapid confirmation; 0 when it is off. */
uint8_t config_confirm_questions(const struct config *cfg);

const char *config_phase_name(enum config_phase phase);
const char *config_sync_mode_name(enum config_sync_mode mode);

/* config_carp2_note: the index-th sentence about what `wire: carp2` cannot give in this config, for
 * the log at start and for `carpool check`; NULL past the last (the first with a native wire). */
const char *config_carp2_note(const struct config *cfg, uint32_t index);

/* config_render: the effective config as YAML, defaults included, that config_parse() reads back to
 * the same content. A string for free(), or NULL without memory. */
char *config_render(const struct config *cfg);

/* config_diff: tells what the second config changes, most general first. The text is one line
 * ("group edge: address 10.1.0.254/24 on lan0 removed"), borrowed for the call. Returns how many
 * differences there are. */
enum config_change {
	CONFIG_CHANGE_CLUSTER,	 /* name: needs a restart */
	CONFIG_CHANGE_KEYS,	 /* list of key files */
	CONFIG_CHANGE_NODE,	 /* added, removed, id, address, interface names */
	CONFIG_CHANGE_TIMERS,	 /* advbase, dead_factor, holds, skews */
	CONFIG_CHANGE_ELECTION,	 /* the rest of election: and promotion: */
	CONFIG_CHANGE_GROUP,	 /* added, removed, vhid */
	CONFIG_CHANGE_INTERFACE, /* added, removed, weight, probe */
	CONFIG_CHANGE_ADDRESS,	 /* added, removed */
	CONFIG_CHANGE_RULES,	 /* another file name; contents are compared by fingerprint */
	CONFIG_CHANGE_HANDLERS,
	CONFIG_CHANGE_TRACK, /* tracked interfaces and scripts */
	CONFIG_CHANGE_SYNC,
	CONFIG_CHANGE_COUNT,
};
typedef void config_diff_fn(
	void *context, enum config_change change, const char *group_or_null, const char *text);
uint32_t config_diff(const struct config *old_cfg, const struct config *new_cfg, void *context,
	config_diff_fn *on_change);

/* config_change_name: "cluster", "keys", "node", ... */
const char *config_change_name(enum config_change change);

#endif
