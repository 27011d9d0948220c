/* rules.h: an operator's nft files, compiled, held ready asleep, and switched in microseconds.
 *
 * Two halves that never meet in one thread:
 *
 * SLOW (carpd's helper process, `carpool check`, the drill): rules_compile() and rules_load() fork,
 * run the `nft` program and take up to RULES_COMPILE_TIMEOUT. Their result, struct rules_manifest,
 * is plain data without pointers: send it over a pipe as it is (same build on both ends).
 *
 * FAST (carpd's executor thread, and the guard, each with its own struct rules_switch made after
 * its own fork): nothing forks and nothing allocates after rules_switch_open(); a switch is one or
 * two netlink batches of about 15 us each, however many rules there are. It takes the nftables
 * commit mutex, so it can wait behind somebody else's large commit: never call it on carpd's loop.
 *
 * What is in the kernel, for a group "edge" whose files name the tables `inet fw` and `inet quiet`:
 *
 *     table inet fw            the master file, as written   awake on the master, asleep otherwise
 *     table inet quiet         the backup file, if any       asleep on the master, awake otherwise
 *     table inet carpool_edge  the shield                    asleep on the master, awake otherwise
 *
 * Each holds a small set `carpool_canary`, whose comment says whose the table is. rules_load()
 * leaves everything in the backup's state. A table that sleeps in the operator's own file sleeps
 * for ever. A group without rules: never call anything here; carpool then leaves nftables alone.
 *
 * Order with addresses (measured, facts/experiments.md 1c): promotion = rules, then addresses;
 * demotion, guard, start-up sweep = addresses, then rules. The caller keeps it. */
#ifndef RULES_RULES_H
#define RULES_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ipaddr.h"
#include "common/limits.h"

#define RULES_TABLES_MAX	 32u  /* tables of a group: both files and the shield */
#define RULES_TABLE_NAME_MAX	 128u /* a table's name, with NUL */
#define RULES_IFNAME_MAX	 16u  /* IFNAMSIZ, with NUL */
#define RULES_INTERFACES_MAX	 256u /* of a spec */
#define RULES_FILE_MAX		 1024u
#define RULES_FINGERPRINT_BYTES	 32u /* the first 8 travel in adverts */
#define RULES_REPORT_LINES	 32u
#define RULES_REPORT_LINE_MAX	 512u
#define RULES_COMPILE_TIMEOUT_MS 300000u      /* 100,000 rules take 20 to 60 s, see doc/rules.md */
#define RULES_TEXT_MAX_BYTES	 (256u << 20) /* of a canonical listing */
#define RULES_SWITCH_TRIES	 8u	      /* batches sent before a switch gives up */
#define RULES_DEMOTION_GAP_US	 1000u	      /* between the two batches of a demotion */
#define RULES_CANARY_SET	 "carpool_canary"
#define RULES_SHIELD_PREFIX	 "carpool_"
#define RULES_SWAP_PREFIX	 "carpool_new_" /* tables that stand in for others during a reload */

enum rules_role {
	RULES_ROLE_MASTER,
	RULES_ROLE_BACKUP,
	RULES_ROLE_SHIELD,
	RULES_ROLE_COUNT,
};

/* An interface that the rules may name. Give all of the node's group interfaces (shielded), its
 * track, sync and other interfaces known to the config; those of the caller's own namespace are
 * added by rules_compile() itself. */
struct rules_interface {
	char name[RULES_IFNAME_MAX]; /* the node's own name */
	char logical[LIMIT_NAME];    /* the cluster's name; "" = the same */
	bool shielded;		     /* a group interface: the shield guards it */
};

/* Everything about a group's rules on one node. Plain data. */
struct rules_spec {
	char group[LIMIT_NAME];
	char master_file[RULES_FILE_MAX]; /* absolute */
	char backup_file[RULES_FILE_MAX]; /* "" = none: the shield alone */
	size_t interface_count;
	struct rules_interface interfaces[RULES_INTERFACES_MAX];
	size_t address_count;
	struct ipaddr addresses[LIMIT_ADDRESSES]; /* virtual addresses of the group */
};

/* What went wrong, and where: one line each, ready for a person: "FILE:LINE:COL: nft's message".
 * Plain data; zero it before the first call, calls append; full = the last line says so. */
struct rules_report {
	size_t count;
	char lines[RULES_REPORT_LINES][RULES_REPORT_LINE_MAX];
};

struct rules_table {
	uint8_t family;	    /* NFPROTO_* */
	uint8_t role;	    /* enum rules_role */
	bool sleeps_always; /* `flags dormant` in the operator's own file: never switched */
	bool by_index;	 /* has iif/oif or device hooks: reload when an interface is re-created */
	uint64_t handle; /* the kernel's, never used twice */
	uint64_t digest; /* of its chains, rules, sets and objects, by handle */
	char name[RULES_TABLE_NAME_MAX];
};

/* What rules_load() left in the kernel. Plain data. */
struct rules_manifest {
	char group[LIMIT_NAME];
	uint8_t fingerprint[RULES_FINGERPRINT_BYTES];
	uint32_t generation; /* of nftables, when the digests were taken */
	bool uses_mark;	     /* the rules use the bit of the mark that the latch needs */
	size_t table_count;
	struct rules_table tables[RULES_TABLES_MAX];
	/* What the shield is made of, so that a lost one can be made again without nft. */
	size_t interface_count; /* the shielded ones */
	struct rules_interface interfaces[LIMIT_INTERFACES];
	size_t address_count;
	struct ipaddr addresses[LIMIT_ADDRESSES];
};

struct rules_compiled; /* one group's files, compiled; heap object of the compiling process */
struct rules_switch;   /* one group's prepared batches, sockets and verified generation */

enum rules_result {
	RULES_FAILED = 0, /* the kernel refused; rules_switch_errno() says why; nothing changed */
	RULES_OK,
	RULES_MISSING, /* a table of ours is gone, or is not the one that we loaded; nothing changed
			*/
	RULES_CHANGED, /* somebody changed rules inside a table of ours; nothing changed */
	RULES_BUSY,    /* foreign commits kept coming, RULES_SWITCH_TRIES times; nothing changed */
	RULES_RESULT_COUNT,
};

/* ---- slow half ------------------------------------------------------------------------------ */

/* rules_compile: both files of a group, each in a scratch network namespace of its own, checked for
 * everything that would fail later (does it survive being listed, loaded asleep and woken; table
 * names of master and backup differ; nothing that cannot be held asleep).
 *   spec    borrowed for the call.
 *   ret     heap object, rules_compiled_free(); untouched on failure.
 *   report  appended to, on failure at least one line.
 * Forks; blocks up to RULES_COMPILE_TIMEOUT_MS a file. Needs CAP_NET_ADMIN and CAP_SYS_ADMIN, or
 * user namespaces. Errors: -EINVAL the file is wrong; -ETIMEDOUT; -EPERM no namespace; other
 * -errno. */
int rules_compile(
	const struct rules_spec *spec, struct rules_compiled **ret, struct rules_report *report);
void rules_compiled_free(struct rules_compiled *compiled);

/* rules_compiled_fingerprint: canonical over both files; equal on nodes that differ only in the
 * names of their interfaces, in the order of set elements, or in counters. */
void rules_compiled_fingerprint(
	const struct rules_compiled *compiled, uint8_t ret[static RULES_FINGERPRINT_BYTES]);

/* rules_compiled_text: the canonical listing of the role's file, "" when it has none; borrowed
 * until rules_compiled_free(). */
const char *rules_compiled_text(const struct rules_compiled *compiled, enum rules_role role);

/* rules_load: puts the compiled tables and the shield into the caller's network namespace, in the
 * backup's state. Tables of this group left by an earlier run are put into the backup's state first
 * (withdraw addresses before), then replaced atomically; a table of the same name that is not ours
 * is an error, and nothing else in the namespace is touched.
 * Forks nft; blocks. -EEXIST: a foreign table has the name; -EINVAL: nft refused; other -errno. */
int rules_load(const struct rules_spec *spec, const struct rules_compiled *compiled,
	struct rules_manifest *ret, struct rules_report *report);

/* rules_compiled_write: the whole result into a file (a memfd), at its beginning;
 * rules_compiled_read: back again; *ret is the caller's. 0 or -errno; -ENODATA: nothing whole is in
 * it. Same build on both ends. */
int rules_compiled_write(const struct rules_compiled *compiled, int fd);
bool rules_compiled_is_whole(int fd); /* whether there is one to be read */
int rules_compiled_read(int fd, struct rules_compiled **ret);

/* The three steps of a reload without a gap (swap.c), with rules_switch_take_over() after the first
 * two. `old`: what is loaded now, or NULL: it tells which elements of sets came from the file.
 * The report also holds, after success, what could not be kept: one line each.
 * -EALREADY: twins of an earlier reload are still at work; -ENOENT: the shield is gone. */
int rules_beside(const struct rules_spec *spec, const struct rules_compiled *compiled,
	const struct rules_compiled *old, struct rules_manifest *ret, struct rules_report *report);
int rules_settle(const struct rules_spec *spec, const struct rules_compiled *compiled,
	const struct rules_compiled *old, struct rules_manifest *ret, struct rules_report *report);
int rules_drop(const struct rules_spec *spec, const struct rules_compiled *compiled,
	struct rules_report *report);

/* rules_diff: how what is in the kernel differs from what was loaded: one line of the report each,
 * "+ ..." or "- ...". 0 (also with differences) or -errno. Runs nft. */
int rules_diff(const struct rules_compiled *compiled, struct rules_report *report);

/* rules_shield: the shield alone, made or woken, and the master's tables of an earlier load asleep:
 * what can be had in a millisecond, without nft, a file of the operator's or an interface: at boot,
 * and where the files do not load. Withdraw addresses before. 0 or -errno. */
int rules_shield(const struct rules_spec *spec);

/* rules_clear: deletes every table in this namespace that carpool has made, whatever its group:
 * for a machine that is to be a node no more. *ret_count: how many. 0 or -errno. */
int rules_clear(size_t *ret_count);

/* rules_prepare: rules_compile() and rules_load(), for the helper process. */
int rules_prepare(
	const struct rules_spec *spec, struct rules_manifest *ret, struct rules_report *report);

/* rules_unload: removes what rules_load() put there, by handle; tables that are gone are no error.
 * Not part of a normal stop: a stopped node keeps its shield. Does not fork. */
int rules_unload(const struct rules_manifest *manifest);

struct config;

/* rules_spec_from_config: the spec of one group on one node, whole paths resolved by the config.
 * false when the group has no rules. */
bool rules_spec_from_config(
	const struct config *config, const char *node, const char *group, struct rules_spec *ret);

/* rules_check: for `carpool check`, all groups of the node: compiles, finds tables that two groups
 * share, and proves with real packets in the scratch namespace that every ruleset lets the sync
 * port in and out between the sync addresses (naming what stops it). 0, or -EINVAL with the report.
 */
int rules_check(const struct config *config, const char *node, struct rules_report *report);

/* ---- fast half ------------------------------------------------------------------------------ */

/* rules_switch_open: own sockets, batches prepared, a first look at which tables are there: quick.
 * What is in them is known when nobody committed since the load, and is else compared by the first
 * rules_switch_verify() or promotion: a dump of our rules, 0.1 s for 10,000 of them, seconds for
 * 100,000 in one chain (the kernel starts each part of a dump at the first rule). A demotion never
 * waits for that. The only call of this half that allocates (about 450 kB of address space, little
 * of it touched). *ret untouched on failure, -errno of the sockets. */
int rules_switch_open(const struct rules_manifest *manifest, struct rules_switch **ret);
void rules_switch_close(struct rules_switch *rules);

/* rules_switch_to_master: one batch wakes the master's tables and puts the backup's and the shield
 * to sleep; then reads back. On anything but RULES_OK the old role stays. `accept_changed`: go on
 * though somebody changed rules inside our tables (availability first; never with a missing table).
 */
enum rules_result rules_switch_to_master(struct rules_switch *rules, bool accept_changed);

/* rules_switch_to_backup: rules_switch_raise(), then rules_switch_lower(). Withdraw the addresses
 * first. Sleeps RULES_DEMOTION_GAP_US between. */
enum rules_result rules_switch_to_backup(struct rules_switch *rules);

/* rules_switch_raise: first half of a demotion: wakes the shield (re-made from a prepared batch if
 * it is gone) and the backup's tables. A changed or missing master table does not stop it. */
enum rules_result rules_switch_raise(struct rules_switch *rules);

/* rules_switch_lower: second half: puts the master's tables to sleep; one that is gone is asleep
 * enough. Sleeps what is left of RULES_DEMOTION_GAP_US since the first half. When that failed,
 * nothing is done (RULES_FAILED, ECANCELED): without a shield, asleep would mean open. */
enum rules_result rules_switch_lower(struct rules_switch *rules);

/* rules_switch_take_over: the tables of `rules`, loaded beside those of `old` (rules_beside(),
 * rules_settle()), take their place in the role that `old` is in now: awake; RULES_DEMOTION_GAP_US
 * later those of `old` that are not of `rules` sleep. On anything but RULES_OK `old` stays at work.
 */
enum rules_result rules_switch_take_over(struct rules_switch *rules, struct rules_switch *old);

/* rules_switch_close_gap: a quick look: when a table of ours is gone (`nft flush ruleset`), the
 * shield goes up, made again if need be, in any role: what the missing rules would have stopped is
 * stopped again. RULES_MISSING: so it was; RULES_OK: nothing is gone. rules_switch_verify() tells
 * the rest.
 */
enum rules_result rules_switch_close_gap(struct rules_switch *rules);

/* rules_switch_distrust: the next rules_switch_close_gap() looks, whatever the events have told:
 * for who knows of a commit whose events may be still on their way. */
void rules_switch_distrust(struct rules_switch *rules);

/* rules_switch_verify: is what is loaded what we loaded? Costs nothing when nobody committed since;
 * otherwise follows the commits from the event socket, and dumps our tables only when one touched
 * them or events were lost. */
enum rules_result rules_switch_verify(struct rules_switch *rules);

/* rules_switch_active: who the kernel says is awake: RULES_ROLE_MASTER only when every master table
 * is awake and the shield asleep, else RULES_ROLE_BACKUP. As of the last verify or switch. */
enum rules_role rules_switch_active(const struct rules_switch *rules);

/* rules_switch_fd: readable when somebody committed to nftables in this namespace: then call
 * rules_switch_verify() (optional; it keeps a later switch from having to catch up). */
int rules_switch_fd(const struct rules_switch *rules);

/* rules_events_open: a socket of the caller's own that becomes readable at every commit, for an
 * event loop that must not touch the switch; its fd or -errno. rules_events_drain: reads it empty.
 */
int rules_events_open(void);
void rules_events_drain(int fd);

/* rules_switch_errno: why the last call answered RULES_FAILED; 0 = it did not. */
int rules_switch_errno(const struct rules_switch *rules);

/* rules_switch_blame: who made the last foreign commit that touched a table of ours, "name (pid)",
 * and what it did; "" = nobody. Borrowed until the next call. */
const char *rules_switch_blame(const struct rules_switch *rules);

/* The latch (latch.h) keeps everything out between a foreign `nft flush ruleset` and the moment
 * when the shields of all groups are up again. One for a node; one thread at a time; forks nothing.
 *   rules_latch_open   before rules_load(): it must be older than the tables.
 *   rules_latch_arm    after it, for the interfaces of these manifests, none of which `uses_mark`.
 *                      Takes 1 ms. -EOPNOTSUPP: this kernel's tables have no owners; close it.
 *   rules_latch_shut   whether a flush has shut it. Then every group's gap is to be closed
 *                      (rules_switch_distrust(), rules_switch_close_gap()), and it may be opened:
 *   rules_latch_mend   takes 1 ms.
 *   rules_latch_close  packets are not asked for marks any more; NULL is fine.
 * 0 or -errno. */
struct rules_latch;

int rules_latch_open(struct rules_latch **ret);
int rules_latch_arm(
	struct rules_latch *latch, const struct rules_manifest *manifests, size_t count);
bool rules_latch_shut(struct rules_latch *latch);
int rules_latch_mend(struct rules_latch *latch);
void rules_latch_close(struct rules_latch *latch);

const char *rules_result_name(enum rules_result result);
const char *rules_role_name(enum rules_role role);

#endif
