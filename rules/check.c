/* check.c: everything about a node's rules that can be known before they run, for `carpool check`.
 *
 * Beside compiling: two groups must not name one table, and every ruleset, as master and as backup
 * with its shield, must let the sync port in and out between the sync addresses. That is not argued
 * from the rules but tried: real connections through the woken ruleset in a scratch namespace. Each
 * group and role is tried alone; packets must pass all tables that are awake, so all together pass
 * what each of them passes. Adverts need no rule: packet sockets see them before nftables. */
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/io/clock.h"
#include "config/config.h"
#include "rules/compile.h"
#include "rules/listing.h"
#include "rules/messages.h"
#include "rules/nfnl.h"
#include "rules/nft.h"
#include "rules/probe.h"
#include "rules/report.h"
#include "rules/scratch.h"
#include "rules/shield.h"

#define CANDIDATES_MAX 8u
#define TRY_TIMEOUT_MS RULES_COMPILE_TIMEOUT_MS /* one load, and the trace */

/* A group of the node, compiled. */
struct checked {
	struct rules_spec spec;
	struct rules_compiled *compiled; /* NULL: it did not compile */
};

/* One trial: a role's rules and one pair of sync addresses. */
struct trial {
	const struct checked *checked;
	enum rules_role role;
	struct probe probe;
	size_t name_count;
	char names[COMPILE_INTERFACES_MAX][RULES_IFNAME_MAX];
};

/* ---- which interface holds the sync address ----------------------------------------------------
 */

struct candidates {
	size_t count;
	char names[CANDIDATES_MAX][RULES_IFNAME_MAX];
};

static void add_candidate(struct candidates *c, const char *name, size_t length)
{
	if (length == 0 || length >= RULES_IFNAME_MAX || c->count == CANDIDATES_MAX)
		return;
	for (size_t i = 0; i < c->count; i++) {
		if (strlen(c->names[i]) == length && !memcmp(c->names[i], name, length))
			return;
	}
	snprintf(c->names[c->count++], RULES_IFNAME_MAX, "%.*s", (int)length, name);
}

static bool holds(const struct ifaddrs *entry, const struct ipaddr *address)
{
	const void *bytes;

	if (!entry->ifa_addr)
		return false;
	if (entry->ifa_addr->sa_family == AF_INET && address->family == IPADDR_V4)
		bytes = &((const struct sockaddr_in *)(const void *)entry->ifa_addr)->sin_addr;
	else if (entry->ifa_addr->sa_family == AF_INET6 && address->family == IPADDR_V6)
		bytes = &((const struct sockaddr_in6 *)(const void *)entry->ifa_addr)->sin6_addr;
	else
		return false;
	return !memcmp(bytes, address->bytes, ipaddr_size_bytes(address));
}

/* present_name: where this machine has the address. */
static bool present_name(const struct ipaddr *address, struct candidates *c)
{
	struct ifaddrs *all = NULL;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *entry = all; entry && !found; entry = entry->ifa_next) {
		found = holds(entry, address);
		if (found)
			add_candidate(c, entry->ifa_name, strlen(entry->ifa_name));
	}
	freeifaddrs(all);
	return found;
}

/* guess_names: this is not the node itself (a laptop, a drill): any interface that the rules name
 * and that the group does not use may be the sync link's. */
static void guess_names(const struct checked *checked, enum rules_role role, struct candidates *c)
{
	const char *text = rules_compiled_text(checked->compiled, role);

	add_candidate(c, "sync0", 5);
	while ((text = strstr(text, "ifname "))) {
		const char *name, *end;

		text += strlen("ifname ");
		name = *text == '"' ? text + 1 : text;
		end = *text == '"' ? strchr(name, '"') : NULL;
		if (end && !memchr(name, '*', (size_t)(end - name)))
			add_candidate(c, name, (size_t)(end - name));
	}
}

/* ---- a trial, in the scratch namespace ---------------------------------------------------------
 */

static int raise_shield(const struct rules_spec *spec)
{
	const struct shield shield = {spec->group, spec->interfaces, spec->interface_count,
		spec->addresses, spec->address_count};
	char *memory = aligned_alloc(8, SHIELD_BATCH_BYTES);
	struct nfnl *n = malloc(sizeof(*n));
	struct nfnl_batch b;
	int r = memory && n ? nfnl_open(n, false) : -ENOMEM;

	if (r == 0) {
		r = shield_build(&b, memory, SHIELD_BATCH_BYTES, &shield, SHIELD_CREATE)
			    ? nfnl_send_batch(n, b.start, b.used_bytes)
			    : -E2BIG;
		nfnl_close(n);
	}
	free(n);
	free(memory);
	return r;
}

static int load_trial(const void *context, mono_t deadline)
{
	static const char *const load[] = {"-f", "-", NULL};
	const struct trial *trial = context;
	const char *text = rules_compiled_text(trial->checked->compiled, trial->role);
	struct nft_output output = {0};
	int r = 0;

	if (*text)
		r = nft_run(load, NULL, text, strlen(text), deadline, &output);
	if (r == 0 && output.status != 0)
		r = -EINVAL;
	nft_output_fini(&output);
	if (r == 0 && trial->role == RULES_ROLE_BACKUP)
		r = raise_shield(&trial->checked->spec);
	return r;
}

static int trial_work(const void *context, void *shared, mono_t deadline)
{
	const struct trial *trial = context;
	int r = scratch_interfaces(trial->names, trial->name_count);

	if (r < 0)
		return r;
	return probe_run(&trial->probe, deadline, shared, load_trial, trial);
}

static int run_trial(struct trial *trial, struct probe_result *ret)
{
	struct probe_result *shared = scratch_memory(sizeof(*shared));
	size_t kept = 0;
	int r;

	if (!shared)
		return -ENOMEM;
	trial->name_count = compile_interface_names(trial->checked->spec.interfaces,
		trial->checked->spec.interface_count, trial->names);
	for (size_t i = 0; i < trial->name_count; i++) { /* the probe makes its own */
		if (strcmp(trial->names[i], trial->probe.ifname) != 0)
			memmove(trial->names[kept++], trial->names[i], RULES_IFNAME_MAX);
	}
	trial->name_count = kept;
	r = scratch_run(trial_work, trial, shared, mono_add(clock_now(), dur_ms(TRY_TIMEOUT_MS)));
	*ret = *shared;
	scratch_memory_free(shared, sizeof(*shared));
	return r;
}

/* ---- what it means -----------------------------------------------------------------------------
 */

static unsigned int chain_line(const char *path, const char *chain)
{
	struct text source = {0};
	FILE *file = fopen(path, "re");
	char part[4096];
	size_t got;
	unsigned int line = 1;

	text_add_string(&source, "");
	while (file && (got = fread(part, 1, sizeof(part), file)) > 0)
		text_add(&source, part, got);
	if (file)
		fclose(file);
	if (source.bytes && chain[0])
		line = messages_find_chain(source.bytes, chain);
	free(source.bytes);
	return line;
}

static void report_stopped(
	const struct trial *trial, const struct probe_result *result, struct rules_report *report)
{
	const struct rules_spec *spec = &trial->checked->spec;
	bool master = trial->role == RULES_ROLE_MASTER;
	const char *file = master || !spec->backup_file[0] ? spec->master_file : spec->backup_file;
	char own[IPADDR_TEXT_MAX], peer[IPADDR_TEXT_MAX];

	ipaddr_render(&trial->probe.own, false, own);
	ipaddr_render(&trial->probe.peer, false, peer);
	if (!result->out_passes)
		report_add(report,
			"%s:%u:1: group %s as %s stops the sync port, %s to %s port %u: %s", file,
			chain_line(file, result->chain), spec->group, rules_role_name(trial->role),
			own, peer, trial->probe.port,
			result->out_stopper[0] ? result->out_stopper : "before prerouting");
	if (!result->in_passes)
		report_add(report,
			"%s:%u:1: group %s as %s stops the sync port, %s to %s port %u: %s", file,
			chain_line(file, result->chain), spec->group, rules_role_name(trial->role),
			peer, own, trial->probe.port,
			result->in_stopper[0] ? result->in_stopper : "before prerouting");
}

/* try_pair: one pair of sync addresses under one role; with guessed names one success is enough. */
static int try_pair(
	struct trial *trial, const struct candidates *names, struct rules_report *report)
{
	struct probe_result first = {0};

	for (size_t i = 0; i < names->count; i++) {
		struct probe_result result;
		int r;

		memcpy(trial->probe.ifname, names->names[i], RULES_IFNAME_MAX);
		r = run_trial(trial, &result);
		if (r < 0) {
			report_add(report, "%s: trying the sync port: %s",
				trial->checked->spec.master_file, strerror(-r));
			return r;
		}
		if (result.out_passes && result.in_passes)
			return 0;
		if (i == 0)
			first = result;
	}
	report_stopped(trial, &first, report);
	return -EINVAL;
}

static int try_role(const struct config *config, const struct config_node *node,
	const struct checked *checked, enum rules_role role, struct rules_report *report)
{
	struct trial *trial = calloc(1, sizeof(*trial));
	int r = 0;

	if (!trial)
		return -ENOMEM;
	trial->checked = checked;
	trial->role = role;
	for (uint32_t i = 0; i < config->node_count && r == 0; i++) {
		const struct config_node *peer = &config->nodes[i];

		for (uint8_t k = 0; peer != node && k < peer->address_count && r == 0; k++) {
			struct candidates names = {0};

			if (k >= node->address_count ||
				node->addresses[k].family != peer->addresses[k].family)
				continue;
			trial->probe.own = node->addresses[k];
			trial->probe.peer = peer->addresses[k];
			trial->probe.port = config->sync.port;
			if (!present_name(&node->addresses[k], &names))
				guess_names(checked, role, &names);
			r = try_pair(trial, &names, report);
		}
	}
	free(trial);
	return r;
}

/* ---- all groups -------------------------------------------------------------------------------
 */

static int check_pair_of_groups(
	const struct checked *a, const struct checked *b, struct rules_report *report)
{
	size_t a_count, b_count;
	const struct rules_table *a_tables = compile_tables(a->compiled, &a_count);
	const struct rules_table *b_tables = compile_tables(b->compiled, &b_count);
	int r = 0;

	for (size_t i = 0; i < a_count; i++) {
		for (size_t k = 0; k < b_count; k++) {
			if (a_tables[i].family != b_tables[k].family ||
				strcmp(a_tables[i].name, b_tables[k].name) != 0)
				continue;
			report_add(report,
				"%s:1:1: table %s %s of group %s is in group %s too: groups are "
				"switched "
				"on their own and must name different tables",
				b->spec.master_file, listing_family_name(b_tables[k].family),
				b_tables[k].name, b->spec.group, a->spec.group);
			r = -EINVAL;
		}
	}
	return r;
}

static int check_group(const struct config *config, const struct config_node *node,
	struct checked *checked, struct rules_report *report)
{
	int r = rules_compile(&checked->spec, &checked->compiled, report);

	if (r < 0 || !config->sync.configured)
		return r;
	for (size_t role = 0; role < RULES_ROLE_SHIELD; role++) {
		int one = try_role(config, node, checked, (enum rules_role)role, report);

		if (r == 0)
			r = one;
	}
	return r;
}

int rules_check(const struct config *config, const char *node_name, struct rules_report *report)
{
	const struct config_node *node = config_node_lookup(config, node_name);
	struct checked *groups = calloc(LIMIT_GROUPS, sizeof(*groups));
	size_t count = 0;
	int r = 0;

	if (!groups || !node) {
		free(groups);
		return node ? -ENOMEM : -EINVAL;
	}
	for (uint32_t i = 0; i < config->group_count; i++) {
		struct checked *checked = &groups[count];

		if (!rules_spec_from_config(
			    config, node_name, config->groups[i].name, &checked->spec))
			continue;
		count++;
		if (check_group(config, node, checked, report) < 0)
			r = -EINVAL;
		for (size_t k = 0; checked->compiled && k + 1 < count; k++) {
			if (groups[k].compiled &&
				check_pair_of_groups(&groups[k], checked, report) < 0)
				r = -EINVAL;
		}
	}
	for (size_t i = 0; i < count; i++)
		rules_compiled_free(groups[i].compiled);
	free(groups);
	return r;
}
