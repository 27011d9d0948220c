/* The good side: examples, views, defaults, rendering, fingerprints, differences, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_TAG_LAN0  0x6c3d1110u
#define GROUP_TAG_EDGE 0x41cabbffu

static struct config_errors errors;

static struct config *load_text(const char *text)
{
	struct config *cfg = config_parse(text, strlen(text), "/etc/carpool/c.yaml", NULL, &errors);

	config_errors_print(&errors, stderr);
	assert_non_null(cfg);
	return cfg;
}

static const char small[] =
	"cluster: edge\n"
	"keys: [edge.key, /root/old.key]\n"
	"nodes:\n"
	"  fw1: { id: 1, address: [10.9.9.1, 10.9.8.1] }\n"
	"  fw2: { id: 2, address: 10.9.9.2, advskew: 100, interfaces: { lan0: ens3 } }\n"
	"groups:\n"
	"  edge:\n"
	"    vhid: 51\n"
	"    interfaces:\n"
	"      lan0: [10.1.0.254/24, 'fe80::1/64']\n"
	"      wan0: { addresses: [10.2.0.254/24], weight: 30, probe: [10.2.0.1] }\n"
	"    rules: { master: fw.nft }\n"
	"  dmz:\n"
	"    vhid: 51\n"
	"    advskew: { fw1: 200 }\n"
	"    interfaces:\n"
	"      dmz0: [10.3.0.254/24]\n"
	"    handlers:\n"
	"      - { name: tell, run: [bin/tell, '{group}', ''] }\n"
	"      - { name: hold, run: [/bin/true], phase: before, on: [master], required: true }\n";

/* The same content with comments, another order of keys, other words for the same durations, and
 * another folder: nothing that two nodes could disagree about. */
static const char small_reordered[] =
	"# a comment\n"
	"groups:\n"
	"  dmz:\n"
	"    interfaces: { dmz0: { weight: 100, addresses: [10.3.0.254/24] } }\n"
	"    handlers:\n"
	"      - run: [bin/tell, '{group}', '']\n"
	"        name: tell\n"
	"        timeout: 5000ms\n"
	"      - { name: hold, run: [/bin/true], phase: before, on: [master], required: true }\n"
	"    vhid: 51\n"
	"    advskew: { fw2: 100, fw1: 200 }\n"
	"  edge:\n"
	"    rules: { master: other-name.nft }\n"
	"    interfaces:\n"
	"      wan0: { addresses: [10.2.0.254/24], weight: 30, probe: [10.2.0.1] }\n"
	"      lan0: ['fe80:0::1/64', 10.1.0.254/24]\n"
	"    vhid: 51\n"
	"election: { advbase: 100000us, dead_factor: 3 }\n"
	"nodes:\n"
	"  fw2: { id: 2, address: [10.9.9.2], advskew: 100 }\n"
	"  fw1: { id: 1, address: [10.9.9.1, 10.9.8.1], advskew: 0 }\n"
	"keys: [another.key]\n"
	"cluster: edge\n";

static void test_examples(void **state)
{
	static const char *const names[] = {"pair", "dual-stack", "two-groups", "three-nodes"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[512], text[16384];
		struct config *cfg;
		size_t size;
		FILE *file;

		/* Parsed, not loaded: a clone may be writable by its owner's group. */
		snprintf(path, sizeof(path), "%s/%s.yaml", TEST_EXAMPLES_DIR, names[i]);
		file = fopen(path, "r");
		assert_non_null(file);
		size = fread(text, 1, sizeof(text), file);
		assert_int_equal(fclose(file), 0);
		cfg = config_parse(text, size, path, "fw1", &errors);
		config_errors_print(&errors, stderr);
		assert_non_null(cfg);
		for (uint32_t g = 0; g < cfg->group_count; g++) {
			file = fopen(cfg->groups[g].rules_master.path, "r");
			assert_non_null(file);
			assert_int_equal(fclose(file), 0);
		}
		config_free(cfg);
	}
}

static void test_defaults(void **state)
{
	struct config *cfg = load_text(small);

	(void)state;
	assert_int_equal(cfg->election.advbase.us, 100000);
	assert_int_equal(cfg->election.dead_factor, 3);
	assert_false(cfg->election.preempt);
	assert_true(cfg->election.startup_hold_auto);
	assert_int_equal(cfg->election.settle.us, 1000000);
	assert_false(cfg->election.confirm.enabled);
	assert_int_equal(cfg->election.damping.moves, 3);
	assert_int_equal(cfg->election.damping.within.us, 60000000);
	assert_int_equal(cfg->election.damping.hold.us, 300000000);
	assert_int_equal(cfg->announce.burst, 1);
	assert_int_equal(cfg->announce.repeat_count, 5);
	assert_int_equal(cfg->announce.repeats[0].us, 20000);
	assert_int_equal(cfg->announce.repeats[4].us, 3000000);
	assert_int_equal(cfg->announce.refresh.us, 60000000);
	assert_int_equal(cfg->deadlines.before.us, 500000);
	assert_int_equal(cfg->deadlines.state.us, 500000);
	assert_int_equal(cfg->deadlines.rules.us, 200000);
	assert_int_equal(cfg->deadlines.addresses.us, 500000);
	assert_false(cfg->sync.configured);
	assert_int_equal(cfg->sync.port, 3780);
	assert_int_equal(cfg->sync.liberal_grace.us, 120000000);
	assert_int_equal(cfg->sync.max_flows, 0);
	assert_int_equal(cfg->groups[0].interfaces[0].weight, 100);
	assert_int_equal(cfg->groups[0].interfaces[1].weight, 30);
	assert_int_equal(cfg->groups[0].interfaces[1].probe_count, 1);
	config_free(cfg);
}

static void test_handlers_and_files(void **state)
{
	struct config *cfg = load_text(small);
	const struct config_group *dmz = config_group_lookup(cfg, "dmz");

	(void)state;
	assert_int_equal(cfg->key_count, 2);
	assert_string_equal(cfg->keys[0].path, "/etc/carpool/edge.key");
	assert_string_equal(cfg->keys[0].text, "edge.key");
	assert_int_equal(cfg->keys[0].pos.line, 2);
	assert_int_equal(cfg->keys[0].pos.column, 8);
	assert_string_equal(cfg->keys[1].path, "/root/old.key");
	assert_string_equal(cfg->groups[0].rules_master.path, "/etc/carpool/fw.nft");
	assert_null(cfg->groups[0].rules_backup.path);
	assert_int_equal(dmz->handler_count, 2);
	assert_int_equal(dmz->handlers[0].argument_count, 3);
	assert_string_equal(dmz->handlers[0].arguments[0], "/etc/carpool/bin/tell");
	assert_string_equal(dmz->handlers[0].arguments[1], "{group}");
	assert_string_equal(dmz->handlers[0].arguments[2], "");
	assert_null(dmz->handlers[0].arguments[3]);
	assert_true(dmz->handlers[0].on_master && dmz->handlers[0].on_backup);
	assert_int_equal(dmz->handlers[0].phase, CONFIG_PHASE_AFTER);
	assert_int_equal(dmz->handlers[0].timeout.us, 5000000);
	assert_string_equal(dmz->handlers[0].user, "nobody");
	assert_int_equal(dmz->handlers[1].phase, CONFIG_PHASE_BEFORE);
	assert_int_equal(dmz->handlers[1].timeout.us, 500000);
	assert_true(dmz->handlers[1].required && !dmz->handlers[1].on_backup);
	config_free(cfg);
}

static void test_views(void **state)
{
	struct config *cfg = load_text(small);
	const struct config_node *fw1 = config_node_lookup(cfg, "fw1");
	const struct config_node *fw2 = config_node_lookup_id(cfg, 2);
	const struct config_group *edge = config_group_lookup(cfg, "edge");
	const struct config_group *dmz = config_group_lookup(cfg, "dmz");

	(void)state;
	assert_string_equal(config_ifname(cfg, fw1, "lan0"), "lan0");
	assert_string_equal(config_ifname(cfg, fw2, "lan0"), "ens3");
	assert_string_equal(config_ifname(cfg, fw2, "wan0"), "wan0");
	assert_int_equal(config_advskew(cfg, edge, fw2), 100);
	assert_int_equal(config_advskew(cfg, dmz, fw1), 200);
	assert_int_equal(config_advskew(cfg, dmz, fw2), 100);
	/* 100 ms * 100/256 = 39.0625 ms; 100 ms * 200/256 = 78.125 ms */
	assert_int_equal(config_advert_interval(cfg, edge, fw1).us, 100000);
	assert_int_equal(config_advert_interval(cfg, edge, fw2).us, 139062);
	assert_int_equal(config_master_down(cfg, edge, fw1).us, 3 * 139062);
	assert_int_equal(config_master_down(cfg, edge, fw2).us, 3 * 139062 + 39062);
	assert_int_equal(config_startup_hold(cfg, edge, fw1).us, 1000000);
	assert_int_equal(config_startup_hold(cfg, dmz, fw1).us, 2 * (3 * 178125 + 78125));
	assert_null(config_node_lookup(cfg, "fw3"));
	assert_null(config_node_lookup_id(cfg, 3));
	assert_null(config_group_lookup(cfg, "nope"));
	config_free(cfg);
}

static void test_paths_and_tags(void **state)
{
	struct config *cfg = load_text(small);
	const struct config_group *edge = config_group_lookup(cfg, "edge");
	const struct config_path *paths[LIMIT_PATHS];
	const struct config_path *sync1 = config_path_lookup(cfg, "sync1");

	(void)state;
	assert_int_equal(cfg->path_count, 5); /* lan0 wan0 dmz0 sync0 sync1 */
	assert_int_equal(config_group_paths(cfg, edge, paths), 4);
	assert_string_equal(paths[0]->name, "lan0");
	assert_string_equal(paths[1]->name, "wan0");
	assert_string_equal(paths[2]->name, "sync0");
	assert_string_equal(paths[3]->name, "sync1");
	assert_ptr_equal(paths[0]->interface, &edge->interfaces[0]);
	assert_int_equal(edge->interfaces[1].path, paths[1]->index);
	assert_non_null(config_sync_address(&cfg->nodes[0], sync1));
	assert_null(config_sync_address(&cfg->nodes[1], sync1));
	assert_null(config_sync_address(&cfg->nodes[0], paths[0]));
	/* printf 'path|lan0' | sha256sum; printf 'group|edge' | sha256sum */
	assert_int_equal(paths[0]->path_tag, PATH_TAG_LAN0);
	assert_int_equal(edge->group_tag, GROUP_TAG_EDGE);
	assert_ptr_equal(config_path_lookup_tag(cfg, PATH_TAG_LAN0), paths[0]);
	assert_ptr_equal(config_group_lookup_tag(cfg, GROUP_TAG_EDGE), edge);
	config_free(cfg);
}

static void test_fingerprint(void **state)
{
	struct config *a = load_text(small), *b = load_text(small_reordered), *c;
	char changed[sizeof(small)];

	(void)state;
	assert_memory_equal(a->fingerprint, b->fingerprint, CRYPTO_HASH_BYTES);
	assert_memory_equal(config_group_lookup(a, "edge")->address_fingerprint,
		config_group_lookup(b, "edge")->address_fingerprint, CRYPTO_HASH_BYTES);
	assert_memory_not_equal(config_group_lookup(a, "edge")->address_fingerprint,
		config_group_lookup(a, "dmz")->address_fingerprint, CRYPTO_HASH_BYTES);

	strcpy(changed, small);
	memcpy(strstr(changed, "10.1.0.254/24"), "10.1.0.253/24", 13);
	c = load_text(changed);
	assert_memory_not_equal(a->fingerprint, c->fingerprint, CRYPTO_HASH_BYTES);
	assert_memory_not_equal(a->groups[0].address_fingerprint, c->groups[0].address_fingerprint,
		CRYPTO_HASH_BYTES);
	assert_memory_equal(a->groups[1].address_fingerprint, c->groups[1].address_fingerprint,
		CRYPTO_HASH_BYTES);
	config_free(c);

	strcpy(changed, small);
	memcpy(strstr(changed, "weight: 30"), "weight: 31", 10);
	c = load_text(changed);
	assert_memory_not_equal(a->fingerprint, c->fingerprint, CRYPTO_HASH_BYTES);
	assert_memory_equal(a->groups[0].address_fingerprint, c->groups[0].address_fingerprint,
		CRYPTO_HASH_BYTES);
	config_free(c);
	config_free(a);
	config_free(b);
}

/* What config_render() writes is the same config again, and writes itself again. */
static void test_render_round_trip(void **state)
{
	struct config *a = load_text(small), *b;
	char *first = config_render(a), *second;

	(void)state;
	assert_non_null(first);
	b = load_text(first);
	assert_memory_equal(a->fingerprint, b->fingerprint, CRYPTO_HASH_BYTES);
	assert_int_equal(config_diff(a, b, NULL, NULL), 0);
	second = config_render(b);
	assert_string_equal(first, second);
	assert_non_null(strstr(first, "startup_hold: auto"));
	assert_non_null(strstr(first, "run: [bin/tell, '{group}', '']"));
	free(first);
	free(second);
	config_free(a);
	config_free(b);
}

struct seen {
	char text[4096];
};

static void remember(void *context, enum config_change change, const char *group, const char *text)
{
	struct seen *seen = context;
	size_t used = strlen(seen->text);

	snprintf(seen->text + used, sizeof(seen->text) - used, "%s/%s: %s\n",
		config_change_name(change), group ? group : "-", text);
}

static void replace(char *text, size_t size, const char *what, const char *with)
{
	char *at = strstr(text, what), *rest;

	assert_non_null(at);
	rest = strdup(at + strlen(what));
	assert_non_null(rest);
	snprintf(at, size - (size_t)(at - text), "%s%s", with, rest);
	free(rest);
}

/* Keys of later versions: what is written out is what is the default without them, so nodes of two
 * versions agree; another value is told, rendered and part of the fingerprint. */
static void test_later_keys(void **state)
{
	static const char usual[] = "election: { damping: { moves: 3, within: 1m, hold: 5m } }\n"
				    "promotion: { announce: { burst: 1, repeats: [20ms, 100ms, "
				    "300ms, 1s, 3s], refresh: "
				    "60s } }\ngroups:";
	static const char other[] = "election: { damping: { moves: 5, within: 2m } }\n"
				    "promotion: { announce: { burst: 2, repeats: [], refresh: 0s "
				    "} }\ngroups:";
	struct config *a = load_text(small), *b, *c;
	struct seen seen = {0};
	char text[4096], *rendered;

	(void)state;
	strcpy(text, small);
	replace(text, sizeof(text), "groups:", usual);
	b = load_text(text);
	assert_memory_equal(a->fingerprint, b->fingerprint, CRYPTO_HASH_BYTES);
	assert_int_equal(config_diff(a, b, NULL, NULL), 0);
	config_free(b);
	strcpy(text, small);
	replace(text, sizeof(text), "groups:", other);
	b = load_text(text);
	assert_memory_not_equal(a->fingerprint, b->fingerprint, CRYPTO_HASH_BYTES);
	assert_int_equal(b->announce.repeat_count, 0);
	assert_int_equal(config_diff(a, b, &seen, remember), 5);
	assert_string_equal(seen.text, "election/-: damping moves: 3 -> 5\n"
				       "election/-: damping within: 1m -> 2m\n"
				       "election/-: announce burst: 1 -> 2\n"
				       "election/-: announce repeats changed\n"
				       "election/-: announce refresh: 1m -> 0s\n");
	rendered = config_render(b);
	c = load_text(rendered);
	assert_memory_equal(b->fingerprint, c->fingerprint, CRYPTO_HASH_BYTES);
	assert_int_equal(config_diff(b, c, NULL, NULL), 0);
	free(rendered);
	config_free(c);
	config_free(b);
	strcpy(text, small);
	replace(text, sizeof(text), "groups:", "election: { damping: off }\ngroups:");
	b = load_text(text);
	assert_int_equal(b->election.damping.moves, 0);
	rendered = config_render(b);
	assert_non_null(strstr(rendered, "damping: off"));
	free(rendered);
	config_free(b);
	config_free(a);
}

static void test_diff(void **state)
{
	struct config *a = load_text(small), *b;
	struct seen seen = {0};
	char text[4096];

	(void)state;
	strcpy(text, small);
	replace(text, sizeof(text), "edge.key", "new.key");
	replace(text, sizeof(text), "advskew: 100", "advskew: 50");
	replace(text, sizeof(text), "lan0: ens3", "lan0: ens4");
	replace(text, sizeof(text), "10.1.0.254/24", "10.1.0.253/24");
	replace(text, sizeof(text), "weight: 30", "weight: 31");
	replace(text, sizeof(text), "  dmz:", "  office:");
	replace(text, sizeof(text), "groups:", "sync: {}\nelection: { advbase: 50ms }\ngroups:");
	b = load_text(text);
	assert_int_equal(config_diff(a, b, &seen, remember), 10);
	assert_string_equal(seen.text,
		"keys/-: keys: another list of files\n"
		"timers/-: node fw2: advskew: 100 -> 50\n"
		"node/-: node fw2: other interface names\n"
		"timers/-: advbase: 100ms -> 50ms\n"
		"address/edge: group edge: address 10.1.0.254/24 on lan0 removed\n"
		"address/edge: group edge: address 10.1.0.253/24 on lan0 added\n"
		"interface/edge: group edge: weight of wan0: 30 -> 31\n"
		"group/dmz: group dmz removed\n"
		"group/office: group office added\n"
		"sync/-: sync added\n");
	config_free(b);

	memset(&seen, 0, sizeof(seen));
	strcpy(text, small);
	replace(text, sizeof(text), "cluster: edge", "cluster: core");
	replace(text, sizeof(text), "  fw2: { id: 2, address: 10.9.9.2",
		"  fw3: { id: 3, address: 10.9.9.3 }\n  fw2: { id: 4, address: 10.9.9.4");
	replace(text, sizeof(text), "vhid: 51", "vhid: 52");
	replace(text, sizeof(text), "fw.nft", "fw2.nft");
	replace(text, sizeof(text), "fw1: 200", "fw1: 20");
	replace(text, sizeof(text), "required: true", "required: false");
	replace(text, sizeof(text), "      wan0: {", "      wan1: {");
	replace(text, sizeof(text), "groups:",
		"election: { preempt: true, startup_hold: 5s }\n"
		"promotion: { deadlines: { state: 1s } }\ngroups:");
	b = load_text(text);
	assert_int_equal(config_diff(a, b, &seen, remember), 15);
	assert_string_equal(seen.text,
		"cluster/-: cluster: edge -> core\n"
		"node/-: node fw2: id: 2 -> 4\n"
		"node/-: node fw2: other sync addresses\n"
		"node/-: node fw3 added\n"
		"timers/-: startup_hold: no longer auto\n"
		"election/-: preempt: false -> true\n"
		"election/-: deadline state: 500ms -> 1s\n"
		"group/edge: group edge: vhid: 51 -> 52\n"
		"interface/edge: group edge: interface wan0 removed\n"
		"address/edge: group edge: address 10.2.0.254/24 on wan0 removed\n"
		"interface/edge: group edge: interface wan1 added\n"
		"address/edge: group edge: address 10.2.0.254/24 on wan1 added\n"
		"rules/edge: group edge: other rule files\n"
		"timers/dmz: group dmz: advskew of fw1: 200 -> 20\n"
		"handlers/dmz: group dmz: other handlers\n");
	config_free(a);
	config_free(b);
}

/* ---- limits: exactly at, and one above ---- */

struct builder {
	char *text;
	size_t used;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static void add(struct builder *to, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	to->used += (size_t)vsnprintf(to->text + to->used, to->size - to->used, format, args);
	va_end(args);
	assert_true(to->used < to->size);
}

/* A file of that many of everything; addresses are spread over the interfaces. */
static char *build(unsigned int nodes, unsigned int groups, unsigned int interfaces,
	unsigned int addresses, unsigned int handlers)
{
	struct builder to = {malloc(1 << 20), 0, 1 << 20};
	unsigned int next_interface = 0, next_address = 0;

	assert_non_null(to.text);
	add(&to, "cluster: big\nkeys: [k]\nnodes:\n");
	for (unsigned int n = 1; n <= nodes; n++)
		add(&to, "  n%u: { id: %u, address: 10.0.0.%u }\n", n, n, n);
	add(&to, "groups:\n");
	for (unsigned int g = 0; g < groups; g++) {
		unsigned int until = interfaces * (g + 1) / groups;

		add(&to, "  g%u:\n    vhid: %u\n    interfaces:\n", g, g + 1);
		for (; next_interface < until; next_interface++) {
			unsigned int stop = addresses * (next_interface + 1) / interfaces;

			add(&to, "      if%u: [", next_interface);
			for (bool first = true; next_address < stop; next_address++, first = false)
				add(&to, "%s10.%u.%u.1/24", first ? "" : ", ",
					1 + next_address / 256, next_address % 256);
			add(&to, "]\n");
		}
		if (g > 0)
			continue;
		add(&to, "    handlers:\n");
		for (unsigned int h = 0; h < handlers; h++)
			add(&to, "      - { name: h%u, run: [/bin/true] }\n", h);
	}
	return to.text;
}

static void check_limit(char *text, const char *error)
{
	struct config *cfg = config_parse(text, strlen(text), "c.yaml", NULL, &errors);

	free(text);
	if (!error) {
		config_errors_print(&errors, stderr);
		assert_non_null(cfg);
		config_free(cfg);
		return;
	}
	assert_null(cfg);
	assert_true(errors.count >= 1);
	assert_non_null(strstr(errors.items[0].text, error));
}

static void test_limits(void **state)
{
	(void)state;
	check_limit(
		build(LIMIT_NODES, LIMIT_GROUPS, LIMIT_INTERFACES, LIMIT_ADDRESSES, LIMIT_HANDLERS),
		NULL);
	check_limit(build(LIMIT_NODES + 1, 1, 1, 1, 1), "more than 8 nodes");
	check_limit(build(2, LIMIT_GROUPS + 1, LIMIT_GROUPS + 1, 64, 1), "more than 32 groups");
	check_limit(build(2, 2, LIMIT_INTERFACES + 1, 128, 1), "more than 64 group interfaces");
	check_limit(build(2, 2, 2, LIMIT_ADDRESSES + 1, 1), "more than 1024 virtual addresses");
	check_limit(build(2, 2, 2, 2, LIMIT_HANDLERS + 1), "more than 32 handlers");
}

static void test_limit_of_text(void **state)
{
	struct builder to = {malloc(1 << 20), 0, 1 << 20};

	(void)state;
	assert_non_null(to.text);
	free(to.text);
	to.text = build(2, 1, 1, 1, LIMIT_HANDLERS - 1);
	to.text = realloc(to.text, to.size);
	assert_non_null(to.text);
	to.used = strlen(to.text);
	add(&to, "      - name: long\n        run:\n          - /bin/true\n");
	for (int i = 0; i < 20; i++)
		add(&to, "          - '%04000d'\n", i);
	check_limit(to.text, "more than 65536 bytes");
}

static void test_limit_of_file(void **state)
{
	size_t size = CONFIG_FILE_BYTES_MAX + 1;
	char *text = malloc(size);
	struct config *cfg;

	(void)state;
	assert_non_null(text);
	memset(text, ' ', size);
	memcpy(text, small, sizeof(small) - 1);
	text[sizeof(small) - 1] = '#';
	cfg = config_parse(text, size - 1, "c.yaml", NULL, &errors);
	assert_non_null(cfg);
	config_free(cfg);
	assert_null(config_parse(text, size, "c.yaml", NULL, &errors));
	assert_non_null(strstr(errors.items[0].text, "allowed: at most 1048576"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_handlers_and_files),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_paths_and_tags),
		cmocka_unit_test(test_fingerprint),
		cmocka_unit_test(test_render_round_trip),
		cmocka_unit_test(test_later_keys),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_limit_of_text),
		cmocka_unit_test(test_limit_of_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
