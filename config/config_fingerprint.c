/* What the nodes of a cluster must agree on, as 32 bytes.
 *
 * The content is written out in one canonical form (sorted where the order means nothing, numbers
 * and addresses in full, a line a fact) and hashed. Left out: comments and layout, of course; what
 * may differ from node to node (names of key and rule files, a node's interface names); whose view
 * it is. No text of a config holds a control character, so lines and tabs separate safely. */
#include "config/config_parse.h"
#include "config/config_text.h"

#include "common/check.h"

#include <stdlib.h>
#include <string.h>

static int by_address(const void *a, const void *b)
{
	return ipaddr_compare(a, b);
}

static int by_byte(const void *a, const void *b)
{
	return (int)*(const uint8_t *)a - (int)*(const uint8_t *)b;
}

static int by_node_id(const void *a, const void *b)
{
	const struct config_node *const *first = a, *const *second = b;

	return (int)(*first)->id - (int)(*second)->id;
}

static int by_interface_name(const void *a, const void *b)
{
	const struct config_interface *const *first = a, *const *second = b;

	return strcmp((*first)->name, (*second)->name);
}

static int by_group_name(const void *a, const void *b)
{
	const struct config_group *const *first = a, *const *second = b;

	return strcmp((*first)->name, (*second)->name);
}

static void write_duration(struct config_text *out, const char *name, dur_t duration)
{
	config_text_printf(out, "%s\t%lld\n", name, (long long)duration.us);
}

/* A set of addresses, in an order of its own; false without memory. */
static bool write_addresses(
	struct config_text *out, const char *name, const struct ipaddr *addresses, uint32_t count)
{
	struct ipaddr *sorted = calloc(count + 1, sizeof(*sorted));
	char text[IPADDR_TEXT_MAX];

	if (!sorted)
		return false;
	if (count)
		memcpy(sorted, addresses, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), by_address);
	for (uint32_t i = 0; i < count; i++)
		config_text_printf(out, "%s\t%s\n", name, ipaddr_render(&sorted[i], true, text));
	free(sorted);
	return true;
}

/* A group's interfaces with their addresses; what the address fingerprint is made of. */
static bool write_group_addresses(struct config_text *out, const struct config_group *group)
{
	const struct config_interface *sorted[LIMIT_INTERFACES];
	bool ok = true;

	for (uint32_t i = 0; i < group->interface_count; i++)
		sorted[i] = &group->interfaces[i];
	qsort(sorted, group->interface_count, sizeof(sorted[0]), by_interface_name);
	config_text_printf(out, "vhid\t%u\n", group->vhid);
	for (uint32_t i = 0; i < group->interface_count; i++) {
		config_text_printf(out, "interface\t%s\n", sorted[i]->name);
		ok = ok && write_addresses(
				   out, "address", sorted[i]->addresses, sorted[i]->address_count);
	}
	return ok;
}

static void write_nodes(
	struct config_text *out, const struct config *cfg, const struct config_node **nodes)
{
	char text[IPADDR_TEXT_MAX];

	for (uint32_t n = 0; n < cfg->node_count; n++) {
		const struct config_node *node = nodes[n];

		config_text_printf(out, "node\t%u\t%s\t%u\n", node->id, node->name, node->advskew);
		for (uint32_t k = 0; k < node->address_count; k++)
			config_text_printf(out, "link\t%u\t%s\n", k,
				ipaddr_render(&node->addresses[k], false, text));
	}
}

/* write_later_keys: keys that older versions do not know, where they are not what those do: nodes
 * of two versions with one file agree. */
static void write_later_keys(struct config_text *out, const struct config *cfg)
{
	static const int64_t repeats_ms[] = {20, 100, 300, 1000, 3000};
	const struct config_damping *damping = &cfg->election.damping;
	const struct config_announce *announce = &cfg->announce;
	bool is_usual = announce->burst == 1 && announce->refresh.us == dur_s(60).us &&
			announce->repeat_count == ARRAY_LEN(repeats_ms);

	for (unsigned int i = 0; is_usual && i < ARRAY_LEN(repeats_ms); i++)
		is_usual = announce->repeats[i].us == dur_ms(repeats_ms[i]).us;
	if (damping->moves != 3 || damping->within.us != dur_s(60).us ||
		damping->hold.us != dur_s(300).us) {
		config_text_printf(out, "damping\t%u\n", damping->moves);
		write_duration(out, "within", damping->within);
		write_duration(out, "hold", damping->hold);
	}
	if (is_usual)
		return;
	config_text_printf(out, "announce\t%u\n", announce->burst);
	for (uint8_t i = 0; i < announce->repeat_count; i++)
		write_duration(out, "repeat", announce->repeats[i]);
	write_duration(out, "refresh", announce->refresh);
}

static void write_election(struct config_text *out, const struct config *cfg)
{
	const struct config_election *election = &cfg->election;

	config_text_printf(out, "wire\t%d\n", (int)election->wire);
	if (election->wire == CONFIG_WIRE_CARP2)
		config_text_printf(out, "counter\t%d\n", election->counter_strict);
	write_duration(out, "advbase", election->advbase);
	config_text_printf(out, "dead_factor\t%u\n", election->dead_factor);
	config_text_printf(out, "preempt\t%d\n", election->preempt);
	write_duration(out, "startup_hold",
		election->startup_hold_auto ? dur_us(-1) : election->startup_hold);
	write_duration(out, "settle", election->settle);
	config_text_printf(out, "confirm\t%d\n", election->confirm.enabled);
	if (election->confirm.enabled) {
		config_text_printf(out, "questions\t%u\n", election->confirm.questions);
		write_duration(out, "spacing", election->confirm.spacing);
	}
	write_duration(out, "before", cfg->deadlines.before);
	write_duration(out, "state", cfg->deadlines.state);
	write_duration(out, "rules", cfg->deadlines.rules);
	write_duration(out, "addresses", cfg->deadlines.addresses);
	write_later_keys(out, cfg);
}

/* A word of a command may be longer than a line may be. */
static void write_word(struct config_text *out, const char *word)
{
	config_text_add(out, "word\t", 5);
	config_text_add(out, word, strlen(word));
	config_text_add(out, "\n", 1);
}

static void write_handler(struct config_text *out, const struct config_handler *handler)
{
	config_text_printf(out, "handler\t%s\t%d%d\t%d\t%d\t%s\n", handler->name,
		handler->on_master, handler->on_backup, (int)handler->phase, handler->required,
		handler->user);
	write_duration(out, "timeout", handler->timeout);
	write_word(out, handler->program_text);
	for (uint32_t i = 1; i < handler->argument_count; i++)
		write_word(out, handler->arguments[i]);
}

static void write_route(struct config_text *out, const struct config_route *route)
{
	char to[IPADDR_TEXT_MAX], via[IPADDR_TEXT_MAX] = "";

	if (route->via.family != IPADDR_NONE)
		ipaddr_render(&route->via, false, via);
	config_text_printf(out, "route\t%s\t%s\t%u\n", ipaddr_render(&route->to, true, to), via,
		route->metric);
}

static void write_track(struct config_text *out, const struct config_track *track)
{
	config_text_printf(out, "track\t%s\t%s\t%u\t%d\t%u\t%u\t%s\n", track->name,
		track->interface, track->demote, track->when_master, track->rise, track->fall,
		track->user);
	if (track->kind != CONFIG_TRACK_SCRIPT)
		return;
	write_duration(out, "every", track->every);
	write_duration(out, "timeout", track->timeout);
	write_word(out, track->program_text);
	for (uint32_t i = 1; i < track->argument_count; i++)
		write_word(out, track->arguments[i]);
}

static bool write_group(struct config_text *out, const struct config *cfg,
	const struct config_group *group, const struct config_node **nodes)
{
	const struct config_interface *sorted[LIMIT_INTERFACES];
	bool ok = true;

	config_text_printf(out, "group\t%s\n", group->name);
	for (uint32_t n = 0; n < cfg->node_count; n++)
		config_text_printf(out, "advskew\t%u\n", group->advskew[nodes[n]->index]);
	ok = write_group_addresses(out, group);
	for (uint32_t i = 0; i < group->interface_count; i++)
		sorted[i] = &group->interfaces[i];
	qsort(sorted, group->interface_count, sizeof(sorted[0]), by_interface_name);
	for (uint32_t i = 0; i < group->interface_count; i++) {
		config_text_printf(out, "weight\t%u\t%d%d\n", sorted[i]->weight,
			sorted[i]->virtual_mac, sorted[i]->bring_up);
		ok = ok && write_addresses(out, "probe", sorted[i]->probes, sorted[i]->probe_count);
		for (uint32_t k = 0; k < sorted[i]->route_count; k++)
			write_route(out, &sorted[i]->routes[k]);
	}
	config_text_printf(out, "rules\t%d%d\n", group->rules_master.path != NULL,
		group->rules_backup.path != NULL);
	for (uint32_t i = 0; i < group->handler_count; i++)
		write_handler(out, &group->handlers[i]);
	for (uint32_t i = 0; i < group->track_count; i++)
		write_track(out, &group->tracks[i]);
	return ok;
}

static bool write_sync(struct config_text *out, const struct config_sync *sync)
{
	uint8_t protocols[CONFIG_IGNORE_PROTOCOLS_MAX];

	config_text_printf(out, "sync\t%d\t%d\t%u\t%u\n", sync->configured, (int)sync->mode,
		sync->max_flows, sync->port);
	write_duration(out, "liberal_grace", sync->liberal_grace);
	memcpy(protocols, sync->ignore_protocols, sizeof(protocols));
	qsort(protocols, sync->ignore_protocol_count, sizeof(protocols[0]), by_byte);
	for (uint32_t i = 0; i < sync->ignore_protocol_count; i++)
		config_text_printf(out, "protocol\t%u\n", protocols[i]);
	return write_addresses(out, "ignore", sync->ignore_addresses, sync->ignore_address_count);
}

static bool write_file(struct config_text *out, const struct config *cfg)
{
	const struct config_node *nodes[LIMIT_NODES];
	const struct config_group *groups[LIMIT_GROUPS];
	bool ok = true;

	for (uint32_t n = 0; n < cfg->node_count; n++)
		nodes[n] = &cfg->nodes[n];
	for (uint32_t g = 0; g < cfg->group_count; g++)
		groups[g] = &cfg->groups[g];
	qsort(nodes, cfg->node_count, sizeof(nodes[0]), by_node_id);
	qsort(groups, cfg->group_count, sizeof(groups[0]), by_group_name);
	config_text_printf(out, "carpool config 1\ncluster\t%s\n", cfg->cluster);
	write_nodes(out, cfg, nodes);
	write_election(out, cfg);
	for (uint32_t g = 0; g < cfg->group_count; g++)
		ok = ok && write_group(out, cfg, groups[g], nodes);
	return ok && write_sync(out, &cfg->sync);
}

/* Hashes what was written and frees it. */
static bool finish(struct config_text *out, bool written, uint8_t *ret_hash)
{
	size_t size = 0;
	char *text = config_text_take(out, &size);
	const struct crypto_part part = {text, size};
	bool ok = text && written && crypto_hash(&part, 1, ret_hash) == CRYPTO_OK;

	free(text);
	return ok;
}

bool config_fingerprint(struct config *cfg)
{
	struct config_text out = {0};
	bool written = write_file(&out, cfg);

	if (!finish(&out, written, cfg->fingerprint))
		return false;
	for (uint32_t g = 0; g < cfg->group_count; g++) {
		struct config_group *group = &cfg->groups[g];

		written = write_group_addresses(&out, group);
		if (!finish(&out, written, group->address_fingerprint))
			return false;
	}
	return true;
}
