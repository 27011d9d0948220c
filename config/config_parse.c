/* The whole file except groups: see config_parse_group.c. The tables at the end of each part are
 * what the parser follows and what doc/config.md is made of. */
#include "config/config_parse.h"

#include "common/check.h"
#include "config/config_value.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000)
#define S  (1000 * MS)

/* An address that one host can have: not a multicast, not "any", not a mapped one. */
static const char *unfit_address(const struct ipaddr *addr)
{
	static const uint8_t zero[16];
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t loopback[16] = {[15] = 1};

	if (memcmp(addr->bytes, zero, sizeof(zero)) == 0)
		return "is the unspecified address";
	if (addr->family == IPADDR_V4) {
		if (addr->bytes[0] == 127)
			return "is a loopback address";
		if (addr->bytes[0] == 0 || addr->bytes[0] >= 240)
			return "is a reserved address";
		return (addr->bytes[0] & 0xf0) == 0xe0 ? "is a multicast address" : NULL;
	}
	if (memcmp(addr->bytes, loopback, sizeof(loopback)) == 0)
		return "is a loopback address";
	if (memcmp(addr->bytes, mapped, sizeof(mapped)) == 0)
		return "is an IPv4 address in IPv6 clothes; write it as IPv4";
	return addr->bytes[0] == 0xff ? "is a multicast address" : NULL;
}

bool config_parse_address(struct config_parser *parser, const struct config_tree_node *value,
	bool with_prefix, struct ipaddr *ret_addr)
{
	const char *what = with_prefix ? "an address with its prefix length, as 10.1.0.254/24"
				       : "an address, as 10.9.9.1 or fd00::1";
	const char *text = config_shape_word(parser, value, what);
	const char *unfit;
	struct ipaddr addr = {0};

	if (!text)
		return false;
	if (!ipaddr_parse(text, &addr)) {
		config_shape_error(
			parser, value, "'%.64s' is not an address; allowed: %s", text, what);
		return false;
	}
	if (!!strchr(text, '/') != with_prefix) {
		config_shape_error(parser, value, "'%.64s' %s prefix length; allowed: %s", text,
			with_prefix ? "has no" : "has a", what);
		return false;
	}
	unfit = addr.prefix_len == 0 ? "has prefix length 0" : unfit_address(&addr);
	if (unfit) {
		config_shape_error(parser, value, "'%.64s' %s; allowed: %s", text, unfit, what);
		return false;
	}
	*ret_addr = addr;
	return true;
}

/* ---- keys: and nodes: ---- */

static void take_cluster(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	static const char what[] = "1..32 characters of a-z 0-9 -";
	struct config *cfg = object;
	const char *text = config_shape_word(parser, value, what);

	if (!text)
		return;
	if (config_value_is_cluster(text))
		strcpy(cfg->cluster, text);
	else
		config_shape_error(
			parser, value, "'%.64s' is not a cluster name; allowed: %s", text, what);
}

static void take_keys(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config *cfg = object;

	if (!config_shape_kind(parser, value, CONFIG_TREE_LIST, "a list of key files"))
		return;
	if (value->count < 1 || value->count > KEYRING_KEYS_MAX) {
		config_shape_error(parser, value, "%u key files; allowed: 1..%u", value->count,
			KEYRING_KEYS_MAX);
		return;
	}
	for (const struct config_tree_node *item = value->first; item; item = item->next) {
		struct config_file *file = &cfg->keys[cfg->key_count];

		if (!config_shape_file(parser, item, file))
			continue;
		cfg->key_count++;
		for (uint32_t i = 0; i + 1 < cfg->key_count; i++)
			if (strcmp(cfg->keys[i].path, file->path) == 0)
				config_shape_error(parser, item,
					"'%.64s' is there twice (first in line %u)", file->text,
					cfg->keys[i].pos.line);
	}
}

static void take_node_addresses(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_node *node = object;
	const struct config_tree_node *item = value;

	if (value->kind == CONFIG_TREE_LIST) {
		if (value->count < 1 || value->count > LIMIT_SYNC_LINKS) {
			config_shape_error(parser, value, "%u addresses; allowed: 1..%u",
				value->count, LIMIT_SYNC_LINKS);
			return;
		}
		item = value->first;
	}
	for (; item; item = value->kind == CONFIG_TREE_LIST ? item->next : NULL) {
		struct ipaddr addr = {0};

		if (!config_parse_address(parser, item, false, &addr))
			continue;
		if (addr.family == IPADDR_V6 && ipaddr_is_link_local(&addr)) {
			config_shape_error(parser, item,
				"'%.64s' is link-local; allowed: an address that names one host by "
				"itself",
				item->text);
			continue;
		}
		node->addresses[node->address_count++] = addr;
	}
}

static bool take_ifname(
	struct config_parser *parser, const struct config_tree_node *value, char *ret_name)
{
	static const char what[] = "an interface name of 1..15 characters of A-Z a-z 0-9 . _ -";
	const char *text = config_shape_word(parser, value, what);

	if (!text)
		return false;
	if (!config_value_is_name(text, CONFIG_IFNAME_MAX - 1)) {
		config_shape_error(parser, value, "'%.64s'; allowed: %s", text, what);
		return false;
	}
	strcpy(ret_name, text);
	return true;
}

static void take_node_interfaces(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_node *node = object;

	if (!config_shape_kind(parser, value, CONFIG_TREE_MAPPING,
		    "the group's interface: this node's name for it"))
		return;
	for (const struct config_tree_node *child = value->first; child; child = child->next) {
		struct config_alias *alias = &node->aliases[node->alias_count];

		if (node->alias_count == LIMIT_INTERFACES) {
			config_shape_error(
				parser, child, "more than %u interfaces", LIMIT_INTERFACES);
			return;
		}
		if (!config_value_is_name(child->key, CONFIG_IFNAME_MAX - 1)) {
			config_errors_add(parser->errors, child->key_pos,
				"'%.64s' is not the name of a group's interface", child->key);
			continue;
		}
		if (!take_ifname(parser, child, alias->name))
			continue;
		strcpy(alias->logical, child->key);
		alias->pos = child->key_pos;
		node->alias_count++;
	}
}

#define NODE(field) CONFIG_SHAPE_FIELD(struct config_node, field)

static const struct config_shape_key node_keys[] = {
	{"id", CONFIG_SHAPE_NUMBER, true, NODE(id), .min = 1, .max = 255,
		.meaning =
			"The node's number on the wire and the last word in the election; unique."},
	{"address", CONFIG_SHAPE_OTHER, true, .take = take_node_addresses,
		.type_text = "address or list", .range_text = "1..4 addresses",
		.meaning = "The node's own address on the sync link, IPv4 or IPv6, without prefix "
			   "length. A list names redundant links: the k-th addresses of all nodes "
			   "are one link."},
	{"advskew", CONFIG_SHAPE_NUMBER, false, NODE(advskew), .min = 0, .max = CONFIG_ADVSKEW_MAX,
		.fallback = 0,
		.meaning = "How much slower this node advertises (interval = advbase * (1 + "
			   "advskew/256)): the lowest is preferred."},
	{"interfaces", CONFIG_SHAPE_OTHER, false, .take = take_node_interfaces,
		.type_text = "mapping", .range_text = "group interface: name",
		.fallback_text = "the same names",
		.meaning = "This node's own names for interfaces of the groups."},
};

static const struct config_shape node_shape = {"nodes.NODE", ARRAY_LEN(node_keys), node_keys};

static void take_nodes(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config *cfg = object;

	if (!config_shape_kind(parser, value, CONFIG_TREE_MAPPING, "2..8 nodes by name"))
		return;
	if (value->count < 2)
		config_shape_error(
			parser, value, "%u nodes; allowed: 2..%u", value->count, LIMIT_NODES);
	for (const struct config_tree_node *child = value->first; child; child = child->next) {
		struct config_node *node = &cfg->nodes[cfg->node_count];

		if (cfg->node_count == LIMIT_NODES) {
			config_errors_add(parser->errors, child->key_pos,
				"nodes: more than %u nodes; allowed: 2..%u", LIMIT_NODES,
				LIMIT_NODES);
			return;
		}
		if (!config_value_is_name(child->key, LIMIT_NAME - 1)) {
			config_errors_add(parser->errors, child->key_pos,
				"'%.80s' is not a node name; allowed: 1..63 characters of A-Z a-z "
				"0-9 . _ -",
				child->key);
			continue;
		}
		strcpy(node->name, child->key);
		node->index = (uint8_t)cfg->node_count++;
		node->pos = child->key_pos;
		config_shape_defaults(&node_shape, node);
		config_shape_read(parser, &node_shape, node, child);
	}
}

/* ---- election: and promotion: ---- */

static void take_wire(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	static const char *const names[] = {
		[CONFIG_WIRE_NATIVE] = "native", [CONFIG_WIRE_CARP2] = "carp2"};
	struct config_election *election = object;
	int wire = config_shape_choice(parser, value, names, ARRAY_LEN(names));

	election->wire_pos = value->pos;
	if (wire >= 0)
		election->wire = (enum config_wire)wire;
}

static void take_counter(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	static const char *const names[] = {"lenient", "strict"};
	struct config_election *election = object;

	election->counter_pos = value->pos;
	election->counter_strict = config_shape_choice(parser, value, names, ARRAY_LEN(names)) == 1;
}

static void take_passphrase_file(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_election *election = object;

	(void)config_shape_file(parser, value, &election->passphrase);
}

/* CARPv2 has a byte for seconds; 0 is OpenBSD's word for "the skew alone". */
static void take_advbase_carp2(struct config_parser *parser, struct config_election *election,
	const struct config_tree_node *value)
{
	dur_t advbase = DUR_ZERO;

	if (value->kind == CONFIG_TREE_SCALAR && strcmp(value->text, "0") == 0) {
		election->advbase = DUR_ZERO;
		return;
	}
	if (!config_shape_duration(parser, value, DUR_ZERO, dur_s(10), &advbase))
		return;
	if (advbase.us % 1000000 != 0)
		config_shape_error(parser, value,
			"%.64s is not whole seconds; allowed with carp2: 0s..10s", value->text);
	else
		election->advbase = advbase;
}

static void take_advbase(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_election *election = object;

	election->advbase_pos = value->pos;
	/* `wire` stands before this key in the table. */
	if (election->wire == CONFIG_WIRE_CARP2)
		take_advbase_carp2(parser, election, value);
	else
		(void)config_shape_duration(
			parser, value, dur_ms(1), dur_s(10), &election->advbase);
}

static void take_startup_hold(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_election *election = object;

	if (value->kind == CONFIG_TREE_SCALAR && strcmp(value->text, "auto") == 0)
		return;
	if (config_shape_duration(parser, value, dur_us(1), dur_s(600), &election->startup_hold))
		election->startup_hold_auto = false;
}

#define CONFIRM(field) CONFIG_SHAPE_FIELD(struct config_confirm, field)

static const struct config_shape_key confirm_keys[] = {
	{"questions", CONFIG_SHAPE_NUMBER, false, CONFIRM(questions), .min = 1, .max = 20,
		.fallback = 5, .fallback_text = "5, where it is on",
		.meaning = "How many questions a master leaves unanswered, on every path, before "
			   "it counts as dead."},
	{"spacing", CONFIG_SHAPE_DURATION, false, CONFIRM(spacing), .min = 1 * MS, .max = 1 * S,
		.fallback = 1 * MS, .fallback_text = "1ms, where it is on",
		.meaning = "Between two questions, and after the last one. All of them together "
			   "are how long a master may be stalled."},
};

static const struct config_shape confirm_shape = {
	"election.confirm", ARRAY_LEN(confirm_keys), confirm_keys};

static void take_confirm(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_election *election = object;

	election->confirm.enabled = false;
	if (value->kind == CONFIG_TREE_SCALAR && strcmp(value->text, "off") == 0)
		return;
	if (value->kind != CONFIG_TREE_MAPPING) {
		config_shape_kind(
			parser, value, CONFIG_TREE_MAPPING, "off, or questions and spacing");
		return;
	}
	config_shape_read(parser, &confirm_shape, &election->confirm, value);
	election->confirm.enabled = true;
	/* advbase stands before this key in the table, so it has been read. */
	if (election->advbase.us < CONFIG_CONFIRM_ADVBASE_MIN_US)
		config_shape_error(parser, value,
			"rapid confirmation needs an advbase of 5ms or more; allowed: off");
}

#define DAMPING(field) CONFIG_SHAPE_FIELD(struct config_damping, field)

static const struct config_shape_key damping_keys[] = {
	{"moves", CONFIG_SHAPE_NUMBER, false, DAMPING(moves), .min = 2,
		.max = CONFIG_DAMPING_MOVES_MAX, .fallback = 3,
		.meaning = "So many moves that neither a death, nor a resignation, nor an operator "
			   "brought about ..."},
	{"within", CONFIG_SHAPE_DURATION, false, DAMPING(within), .min = 1 * S, .max = 3600 * S,
		.fallback = 60 * S, .meaning = "... within this time are too many:"},
	{"hold", CONFIG_SHAPE_DURATION, false, DAMPING(hold), .min = 1 * S, .max = 3600 * S,
		.fallback = 300 * S,
		.meaning = "the group stays where it is for so long, with the alarm FLAPPING. A "
			   "dead master is always replaced."},
};

static const struct config_shape damping_shape = {
	"election.damping", ARRAY_LEN(damping_keys), damping_keys};

static void take_damping(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_election *election = object;

	if (value->kind == CONFIG_TREE_SCALAR && strcmp(value->text, "off") == 0)
		election->damping.moves = 0;
	else if (value->kind != CONFIG_TREE_MAPPING)
		config_shape_kind(
			parser, value, CONFIG_TREE_MAPPING, "off, or moves, within and hold");
	else
		config_shape_read(parser, &damping_shape, &election->damping, value);
}

#define ELECTION(field) CONFIG_SHAPE_FIELD(struct config_election, field)

static const struct config_shape_key election_keys[] = {
	{"wire", CONFIG_SHAPE_OTHER, false, .take = take_wire, .type_text = "word",
		.fallback_text = "native", .range_text = "native, carp2",
		.meaning = "The adverts' format on the groups' interfaces. carp2: as OpenBSD, "
			   "FreeBSD and ucarp have it; between the nodes native adverts go on over "
			   "the sync addresses, and decide ([more](protocol-carp2.md))."},
	{"counter", CONFIG_SHAPE_OTHER, false, .take = take_counter, .type_text = "word",
		.fallback_text = "lenient", .range_text = "lenient, strict",
		.meaning = "carp2 only. lenient: foreign nodes are believed; then a group has one "
			   "interface. strict: this cluster's nodes alone, and no advert twice."},
	{"passphrase_file", CONFIG_SHAPE_OTHER, false, .take = take_passphrase_file,
		.type_text = "file", .range_text = "one line, 1..20 bytes; mode 0600",
		.meaning = "carp2 only, and required there: the passphrase of ifconfig and "
			   "ucarp."},
	{"advbase", CONFIG_SHAPE_OTHER, false, .take = take_advbase, .type_text = "duration",
		.fallback_text = "100ms; carp2: 1s",
		.range_text = "1ms..10s; carp2: whole seconds to 10s, or 0 with a skew",
		.meaning = "The interval of the adverts before skew."},
	{"dead_factor", CONFIG_SHAPE_NUMBER, false, ELECTION(dead_factor), .min = 2, .max = 10,
		.fallback = 3, .meaning = "After how many silent intervals a master is dead."},
	{"preempt", CONFIG_SHAPE_BOOL, false, ELECTION(preempt), .fallback = false,
		.meaning = "Whether a better node asks a healthy master to hand over."},
	{"startup_hold", CONFIG_SHAPE_OTHER, false, .take = take_startup_hold,
		.type_text = "duration", .fallback_text = "auto",
		.range_text = "auto, or master-down..10m",
		.meaning = "How long a starting node listens before it may promote; auto: the "
			   "greater of 1s and twice the master-down time. It ends early when every "
			   "node is known and none is master."},
	{"settle", CONFIG_SHAPE_DURATION, false, ELECTION(settle), .min = 0, .max = 600 * S,
		.fallback = 1 * S,
		.meaning = "How long a difference of health must last before it moves a group (not "
			   "for demotions of 100 and more)."},
	{"confirm", CONFIG_SHAPE_OTHER, false, .take = take_confirm, .type_text = "mapping or word",
		.fallback_text = "off", .range_text = "off, or see below (advbase 5ms and more)",
		.meaning = "Rapid confirmation: a backup that misses one advert asks the master "
			   "instead of waiting for more silence."},
	{"damping", CONFIG_SHAPE_OTHER, false, .take = take_damping, .type_text = "mapping or word",
		.fallback_text = "see below", .range_text = "off, or see below",
		.meaning = "A group that goes to and fro is held where it is."},
};

static const struct config_shape election_shape = {
	"election", ARRAY_LEN(election_keys), election_keys};

static void take_election(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config *cfg = object;
	const struct config_tree_node *hold = config_tree_child(value, "startup_hold");

	config_shape_read(parser, &election_shape, &cfg->election, value);
	if (cfg->election.wire == CONFIG_WIRE_CARP2 && !config_tree_child(value, "advbase"))
		cfg->election.advbase = dur_s(1);
	cfg->election.pos = hold ? hold->pos : value->pos;
}

#define DEADLINE(field) CONFIG_SHAPE_FIELD(struct config_deadlines, field)

static const struct config_shape_key deadlines_keys[] = {
	{"before", CONFIG_SHAPE_DURATION, false, DEADLINE(before), .min = 1 * MS, .max = 60 * S,
		.fallback = 500 * MS, .meaning = "Handlers of the phase before."},
	{"state", CONFIG_SHAPE_DURATION, false, DEADLINE(state), .min = 1 * MS, .max = 60 * S,
		.fallback = 500 * MS, .meaning = "syncd: the states in the kernel, confirmed."},
	{"rules", CONFIG_SHAPE_DURATION, false, DEADLINE(rules), .min = 1 * MS, .max = 60 * S,
		.fallback = 200 * MS, .meaning = "The switch of the rules."},
	{"addresses", CONFIG_SHAPE_DURATION, false, DEADLINE(addresses), .min = 1 * MS,
		.max = 60 * S, .fallback = 500 * MS, .meaning = "The addresses on the interfaces."},
};

static const struct config_shape deadlines_shape = {
	"promotion.deadlines", ARRAY_LEN(deadlines_keys), deadlines_keys};

static void take_deadlines(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config *cfg = object;

	config_shape_read(parser, &deadlines_shape, &cfg->deadlines, value);
}

/* take_repeats: a list of instants after the burst, each later than the one before. */
static void take_repeats(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_announce *announce = object;
	dur_t last = DUR_ZERO;

	if (!config_shape_kind(
		    parser, value, CONFIG_TREE_LIST, "a list of durations, as [20ms, 1s]"))
		return;
	announce->repeat_count = 0;
	for (const struct config_tree_node *item = value->first; item; item = item->next) {
		dur_t at;

		if (announce->repeat_count == CONFIG_ANNOUNCE_REPEATS_MAX) {
			config_shape_error(parser, item, "too many; allowed: at most %u",
				CONFIG_ANNOUNCE_REPEATS_MAX);
			return;
		}
		if (!config_shape_duration(parser, item, dur_ms(1), dur_s(60), &at))
			return;
		if (at.us <= last.us) {
			config_shape_error(parser, item,
				"is not later than the one before it; allowed: ascending times "
				"after the promotion");
			return;
		}
		last = at;
		announce->repeats[announce->repeat_count++] = at;
	}
}

#define ANNOUNCE(field) CONFIG_SHAPE_FIELD(struct config_announce, field)

static const struct config_shape_key announce_keys[] = {
	{"burst", CONFIG_SHAPE_NUMBER, false, ANNOUNCE(burst), .min = 1, .max = 5, .fallback = 1,
		.meaning = "Rounds at once; a round is every address on its interface."},
	{"repeats", CONFIG_SHAPE_OTHER, false, .take = take_repeats,
		.type_text = "list of durations", .fallback_text = "[20ms, 100ms, 300ms, 1s, 3s]",
		.range_text = "at most 8, ascending, 1ms..1m; [] for none",
		.meaning = "A round each, so long after the burst: frames get lost, and switches "
			   "learn slowly."},
	{"refresh", CONFIG_SHAPE_DURATION, false, ANNOUNCE(refresh), .min = 0, .max = 3600 * S,
		.fallback = 60 * S,
		.meaning = "And then a round each time this has passed, because switches forget a "
			   "quiet station; 0s: never."},
};

static const struct config_shape announce_shape = {
	"promotion.announce", ARRAY_LEN(announce_keys), announce_keys};

static void take_announce(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config *cfg = object;

	config_shape_read(parser, &announce_shape, &cfg->announce, value);
}

static void announce_defaults(struct config_announce *announce)
{
	static const int64_t repeats_ms[] = {20, 100, 300, 1000, 3000};

	config_shape_defaults(&announce_shape, announce);
	announce->repeat_count = ARRAY_LEN(repeats_ms);
	for (unsigned int i = 0; i < ARRAY_LEN(repeats_ms); i++)
		announce->repeats[i] = dur_ms(repeats_ms[i]);
}

static const struct config_shape_key promotion_keys[] = {
	{"deadlines", CONFIG_SHAPE_OTHER, false, .take = take_deadlines, .type_text = "mapping",
		.fallback_text = "see below", .range_text = "see below",
		.meaning = "How long each stage of a promotion may take."},
	{"announce", CONFIG_SHAPE_OTHER, false, .take = take_announce, .type_text = "mapping",
		.fallback_text = "see below", .range_text = "see below",
		.meaning = "How often a master says where its addresses are: gratuitous ARP, "
			   "unsolicited neighbour advertisements."},
};

static const struct config_shape promotion_shape = {
	"promotion", ARRAY_LEN(promotion_keys), promotion_keys};

static void take_promotion(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	config_shape_read(parser, &promotion_shape, object, value);
}

/* ---- sync: ---- */

static void take_mode(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	const char *names[CONFIG_SYNC_MODE_COUNT];
	struct config_sync *sync = object;
	int mode;

	for (int i = 0; i < CONFIG_SYNC_MODE_COUNT; i++)
		names[i] = config_sync_mode_name((enum config_sync_mode)i);
	mode = config_shape_choice(parser, value, names, ARRAY_LEN(names));
	if (mode >= 0)
		sync->mode = (enum config_sync_mode)mode;
}

static void take_max_flows(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_sync *sync = object;
	int64_t number = 0;

	if (value->kind == CONFIG_TREE_SCALAR && strcmp(value->text, "auto") == 0)
		return;
	if (config_shape_number(parser, value, 1, CONFIG_MAX_FLOWS_MAX, &number))
		sync->max_flows = (uint32_t)number;
}

/* A network to ignore: any address, with or without prefix length; host bits are an error, since
 * they say that something else was meant. */
static bool take_network(
	struct config_parser *parser, const struct config_tree_node *value, struct ipaddr *ret_net)
{
	static const char what[] = "an address or a network, as 192.0.2.0/24";
	const char *text = config_shape_word(parser, value, what);
	struct ipaddr net = {0}, canonical;

	if (!text)
		return false;
	if (!ipaddr_parse(text, &net)) {
		config_shape_error(
			parser, value, "'%.64s' is not an address; allowed: %s", text, what);
		return false;
	}
	canonical = net;
	for (unsigned int bit = net.prefix_len; bit < 8 * ipaddr_size_bytes(&net); bit++)
		canonical.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	if (!ipaddr_equal(&net, &canonical)) {
		char right[IPADDR_TEXT_MAX];

		config_shape_error(parser, value,
			"'%.64s' has bits beyond its prefix length; allowed: %s", text,
			ipaddr_render(&canonical, true, right));
		return false;
	}
	*ret_net = net;
	return true;
}

static void take_ignore_addresses(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config_sync *sync = object;

	if (!config_shape_kind(parser, value, CONFIG_TREE_LIST, "a list of networks"))
		return;
	if (value->count > CONFIG_IGNORE_ADDRESSES_MAX) {
		config_shape_error(parser, value, "%u networks; allowed: at most %u", value->count,
			CONFIG_IGNORE_ADDRESSES_MAX);
		return;
	}
	for (const struct config_tree_node *item = value->first; item; item = item->next)
		if (take_network(parser, item, &sync->ignore_addresses[sync->ignore_address_count]))
			sync->ignore_address_count++;
}

static void take_ignore_protocols(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	static const char what[] =
		"tcp, udp, udplite, sctp, icmp, icmpv6, gre, dccp, esp, ah, igmp "
		"or 0..255";
	struct config_sync *sync = object;

	if (!config_shape_kind(parser, value, CONFIG_TREE_LIST, "a list of protocols"))
		return;
	if (value->count > CONFIG_IGNORE_PROTOCOLS_MAX) {
		config_shape_error(parser, value, "%u protocols; allowed: at most %u", value->count,
			CONFIG_IGNORE_PROTOCOLS_MAX);
		return;
	}
	for (const struct config_tree_node *item = value->first; item; item = item->next) {
		const char *text = config_shape_word(parser, item, what);

		if (!text)
			continue;
		if (config_value_protocol(
			    text, &sync->ignore_protocols[sync->ignore_protocol_count]))
			sync->ignore_protocol_count++;
		else
			config_shape_error(
				parser, item, "'%.64s' is not a protocol; allowed: %s", text, what);
	}
}

static const struct config_shape_key ignore_keys[] = {
	{"addresses", CONFIG_SHAPE_OTHER, false, .take = take_ignore_addresses,
		.type_text = "list of networks", .range_text = "at most 64",
		.meaning = "Flows from or to these are not replicated and never swept. Local "
			   "addresses that no group manages need not be named: they always are."},
	{"protocols", CONFIG_SHAPE_OTHER, false, .take = take_ignore_protocols,
		.type_text = "list of names or numbers", .range_text = "at most 16",
		.meaning = "IP protocols that are not replicated."},
};

static const struct config_shape ignore_shape = {
	"sync.ignore", ARRAY_LEN(ignore_keys), ignore_keys};

static void take_ignore(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	config_shape_read(parser, &ignore_shape, object, value);
}

#define SYNC(field) CONFIG_SHAPE_FIELD(struct config_sync, field)

static const struct config_shape_key sync_keys[] = {
	{"mode", CONFIG_SHAPE_OTHER, false, .take = take_mode, .type_text = "word",
		.fallback_text = "warm", .range_text = "warm, on-promotion",
		.meaning = "warm: a standby's kernel holds every flow as it arrives. on-promotion: "
			   "the flows are put into the kernel at promotion."},
	{"max_flows", CONFIG_SHAPE_OTHER, false, .take = take_max_flows, .type_text = "number",
		.fallback_text = "auto", .range_text = "auto, or 1..67108864",
		.meaning = "How many flows a standby puts into its kernel; auto: "
			   "nf_conntrack_max."},
	{"liberal_grace", CONFIG_SHAPE_DURATION, false, SYNC(liberal_grace), .min = 0,
		.max = 3600 * S, .fallback = 120 * S,
		.meaning = "How long after a promotion replicated TCP flows are judged leniently."},
	{"port", CONFIG_SHAPE_NUMBER, false, SYNC(port), .min = 1, .max = 65535,
		.fallback = CONFIG_PORT_DEFAULT, .meaning = "TCP port on the sync addresses."},
	{"ignore", CONFIG_SHAPE_OTHER, false, .take = take_ignore, .type_text = "mapping",
		.range_text = "see below", .meaning = "What is not replicated."},
	{"select", CONFIG_SHAPE_LATER, false, .type_text = "mapping",
		.meaning = "What alone is replicated. Until then everything is but the nodes' own "
			   "traffic and what ignore names."},
	{"defer", CONFIG_SHAPE_LATER, false, .type_text = "duration",
		.meaning = "How long the first reply of a new flow waits for a peer to know the "
			   "flow."},
};

static const struct config_shape sync_shape = {"sync", ARRAY_LEN(sync_keys), sync_keys};

static void take_sync(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config *cfg = object;

	cfg->sync.configured = true;
	cfg->sync.pos = value->key_pos;
	config_shape_read(parser, &sync_shape, &cfg->sync, value);
}

/* ---- the file ---- */

static void take_groups(
	struct config_parser *parser, void *object, const struct config_tree_node *value)
{
	struct config *cfg = object;

	if (!config_shape_kind(parser, value, CONFIG_TREE_MAPPING, "1..32 groups by name"))
		return;
	if (value->count < 1)
		config_shape_error(parser, value, "no group; allowed: 1..%u", LIMIT_GROUPS);
	for (const struct config_tree_node *child = value->first; child; child = child->next) {
		if (cfg->group_count == LIMIT_GROUPS) {
			config_errors_add(parser->errors, child->key_pos,
				"groups: more than %u groups; allowed: 1..%u", LIMIT_GROUPS,
				LIMIT_GROUPS);
			return;
		}
		config_parse_group(parser, child);
	}
}

static const struct config_shape_key file_keys[] = {
	{"cluster", CONFIG_SHAPE_OTHER, true, .take = take_cluster, .type_text = "name",
		.range_text = "1..32 of a-z 0-9 -",
		.meaning = "The cluster's name. It is part of every signature: clusters that share "
			   "a wire or even a key do not hear each other."},
	{"keys", CONFIG_SHAPE_OTHER, true, .take = take_keys, .type_text = "list of files",
		.range_text = "1..8 files",
		.meaning = "Key files, made by `carpool keygen`, mode 0600. The first signs, all "
			   "are accepted: add a new one second everywhere, then first everywhere, "
			   "then remove the old one."},
	{"nodes", CONFIG_SHAPE_OTHER, true, .take = take_nodes, .type_text = "mapping",
		.range_text = "2..8 nodes", .meaning = "The firewalls, by name."},
	{"election", CONFIG_SHAPE_OTHER, false, .take = take_election, .type_text = "mapping",
		.fallback_text = "see below", .range_text = "see below",
		.meaning = "Who is master, and how fast that is found out."},
	{"promotion", CONFIG_SHAPE_OTHER, false, .take = take_promotion, .type_text = "mapping",
		.fallback_text = "see below", .range_text = "see below",
		.meaning = "What becoming master may take."},
	{"groups", CONFIG_SHAPE_OTHER, true, .take = take_groups, .type_text = "mapping",
		.range_text = "1..32 groups",
		.meaning = "What moves together, by name; each group is elected on its own."},
	{"sync", CONFIG_SHAPE_OTHER, false, .take = take_sync, .type_text = "mapping",
		.fallback_text = "no syncd", .range_text = "see below; {} for all defaults",
		.meaning = "Replication of the connection table. With it a promotion needs syncd."},
};

static const struct config_shape file_shape = {"", ARRAY_LEN(file_keys), file_keys};

const struct config_shape *const config_parse_shapes[] = {
	&file_shape,
	&node_shape,
	&election_shape,
	&confirm_shape,
	&damping_shape,
	&promotion_shape,
	&deadlines_shape,
	&announce_shape,
	&config_parse_group_shape,
	&config_parse_group_interface_shape,
	&config_parse_group_rules_shape,
	&config_parse_route_shape,
	&config_parse_track_shape,
	&config_parse_group_handler_shape,
	&sync_shape,
	&ignore_shape,
	NULL,
};

static bool read_tree(struct config_parser *parser, const char *text, size_t size_bytes)
{
	struct config *cfg = parser->cfg;
	struct config_tree *tree;

	if (size_bytes > CONFIG_FILE_BYTES_MAX) {
		config_errors_add(parser->errors, (struct config_pos){0, 0},
			"the file has %zu bytes; allowed: at most %u", size_bytes,
			CONFIG_FILE_BYTES_MAX);
		return false;
	}
	tree = config_tree_new(text, size_bytes, parser->errors);
	if (!tree)
		return false;
	config_shape_defaults(&election_shape, &cfg->election);
	config_shape_defaults(&confirm_shape, &cfg->election.confirm);
	config_shape_defaults(&damping_shape, &cfg->election.damping);
	config_shape_defaults(&deadlines_shape, &cfg->deadlines);
	announce_defaults(&cfg->announce);
	config_shape_defaults(&sync_shape, &cfg->sync);
	cfg->election.startup_hold_auto = true;
	cfg->election.advbase = dur_ms(100);
	config_shape_read(parser, &file_shape, cfg, config_tree_root(tree));
	config_tree_free(tree);
	return true;
}

static void find_self(struct config *cfg, const char *node, struct config_errors *errors)
{
	char known[256] = "";
	size_t used = 0;

	cfg->self = config_node_lookup(cfg, node);
	if (cfg->self)
		return;
	for (uint32_t i = 0; i < cfg->node_count && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
			cfg->nodes[i].name);
	config_errors_add(errors, (struct config_pos){0, 0},
		"no node '%.64s' in this file; allowed: %s", node, known);
}

struct config *config_parse_in(const char *text, size_t size_bytes, const char *path,
	const char *folder, const char *node, struct config_errors *errors)
{
	struct config_parser parser = {.cfg = calloc(1, sizeof(*parser.cfg)), .errors = errors};

	config_errors_init(errors, path);
	if (!parser.cfg) {
		config_errors_add(errors, (struct config_pos){0, 0}, "out of memory");
		return NULL;
	}
	snprintf(parser.folder, sizeof(parser.folder), "%s", folder);
	if (read_tree(&parser, text, size_bytes)) {
		struct config_tree_node file = {.kind = CONFIG_TREE_SCALAR};

		parser.cfg->file = config_shape_text(&parser, &file, path);
		if (node)
			find_self(parser.cfg, node, errors);
		config_check(parser.cfg, errors);
	}
	if (errors->count == 0 && !config_fingerprint(parser.cfg))
		config_errors_add(errors, (struct config_pos){0, 0}, "out of memory");
	config_errors_sort(errors);
	if (errors->count == 0)
		return parser.cfg;
	config_free(parser.cfg);
	return NULL;
}

struct config *config_parse(const char *text, size_t size_bytes, const char *path, const char *node,
	struct config_errors *errors)
{
	char folder[CONFIG_FILE_NAME_MAX];
	const char *slash = strrchr(path, '/');

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 0, path);
	return config_parse_in(text, size_bytes, path, folder, node, errors);
}
