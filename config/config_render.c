/* The effective config as YAML, through libyaml's emitter: `carpool config show`. What it writes,
 * config_parse() reads back to the same content (a test says so); keys of features that are not
 * built have only their defaults and are left out. */
#include "config/config.h"
#include "config/config_text.h"
#include "config/config_value.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct writer {
	yaml_emitter_t emitter;
	struct config_text out;
	bool failed; /* sticky */
};

static int write_out(void *context, unsigned char *bytes, size_t size_bytes)
{
	struct writer *writer = context;

	config_text_add(&writer->out, bytes, size_bytes);
	return !writer->out.failed;
}

/* Emits an event that was initialised (or not: the emitter owns it either way). */
static void emit(struct writer *writer, yaml_event_t *event, int initialised)
{
	if (!initialised) {
		writer->failed = true;
		return;
	}
	if (writer->failed)
		yaml_event_delete(event);
	else if (!yaml_emitter_emit(&writer->emitter, event))
		writer->failed = true;
}

static void word(struct writer *writer, const char *text)
{
	yaml_event_t event;
	int ok = yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
		(int)strlen(text), 1, 1, YAML_ANY_SCALAR_STYLE);

	emit(writer, &event, ok);
}

static void open_mapping(struct writer *writer, bool flow)
{
	yaml_event_t event;
	int ok = yaml_mapping_start_event_initialize(
		&event, NULL, NULL, 1, flow ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE);

	emit(writer, &event, ok);
}

static void close_mapping(struct writer *writer)
{
	yaml_event_t event;

	emit(writer, &event, yaml_mapping_end_event_initialize(&event));
}

static void open_list(struct writer *writer, bool flow)
{
	yaml_event_t event;
	int ok = yaml_sequence_start_event_initialize(
		&event, NULL, NULL, 1, flow ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE);

	emit(writer, &event, ok);
}

static void close_list(struct writer *writer)
{
	yaml_event_t event;

	emit(writer, &event, yaml_sequence_end_event_initialize(&event));
}

static void pair(struct writer *writer, const char *key, const char *text)
{
	word(writer, key);
	word(writer, text);
}

static void pair_number(struct writer *writer, const char *key, uint32_t number)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	pair(writer, key, text);
}

static void pair_bool(struct writer *writer, const char *key, bool flag)
{
	pair(writer, key, flag ? "true" : "false");
}

static void pair_duration(struct writer *writer, const char *key, dur_t duration)
{
	char text[CONFIG_VALUE_DURATION_TEXT_MAX];

	pair(writer, key, config_value_render_duration(duration, text));
}

static void pair_addresses(struct writer *writer, const char *key, const struct ipaddr *addresses,
	uint32_t count, bool with_prefix)
{
	char text[IPADDR_TEXT_MAX];

	word(writer, key);
	open_list(writer, true);
	for (uint32_t i = 0; i < count; i++)
		word(writer, ipaddr_render(&addresses[i], with_prefix, text));
	close_list(writer);
}

static void render_nodes(struct writer *writer, const struct config *cfg)
{
	word(writer, "nodes");
	open_mapping(writer, false);
	for (uint32_t n = 0; n < cfg->node_count; n++) {
		const struct config_node *node = &cfg->nodes[n];

		word(writer, node->name);
		open_mapping(writer, false);
		pair_number(writer, "id", node->id);
		pair_addresses(writer, "address", node->addresses, node->address_count, false);
		pair_number(writer, "advskew", node->advskew);
		word(writer, "interfaces");
		open_mapping(writer, true);
		for (uint32_t i = 0; i < node->alias_count; i++)
			pair(writer, node->aliases[i].logical, node->aliases[i].name);
		close_mapping(writer);
		close_mapping(writer);
	}
	close_mapping(writer);
}

static void render_confirm(struct writer *writer, const struct config_confirm *confirm)
{
	if (!confirm->enabled) {
		pair(writer, "confirm", "off");
		return;
	}
	word(writer, "confirm");
	open_mapping(writer, true);
	pair_number(writer, "questions", confirm->questions);
	pair_duration(writer, "spacing", confirm->spacing);
	close_mapping(writer);
}

static void render_damping(struct writer *writer, const struct config_damping *damping)
{
	if (damping->moves == 0) {
		pair(writer, "damping", "off");
		return;
	}
	word(writer, "damping");
	open_mapping(writer, false);
	pair_number(writer, "moves", damping->moves);
	pair_duration(writer, "within", damping->within);
	pair_duration(writer, "hold", damping->hold);
	close_mapping(writer);
}

static void render_announce(struct writer *writer, const struct config_announce *announce)
{
	char text[CONFIG_VALUE_DURATION_TEXT_MAX];

	word(writer, "announce");
	open_mapping(writer, false);
	pair_number(writer, "burst", announce->burst);
	word(writer, "repeats");
	open_list(writer, true);
	for (uint8_t i = 0; i < announce->repeat_count; i++)
		word(writer, config_value_render_duration(announce->repeats[i], text));
	close_list(writer);
	pair_duration(writer, "refresh", announce->refresh);
	close_mapping(writer);
}

static void render_election(struct writer *writer, const struct config *cfg)
{
	const struct config_election *election = &cfg->election;

	word(writer, "election");
	open_mapping(writer, false);
	pair(writer, "wire", election->wire == CONFIG_WIRE_CARP2 ? "carp2" : "native");
	pair(writer, "counter", election->counter_strict ? "strict" : "lenient");
	if (election->passphrase.text)
		pair(writer, "passphrase_file", election->passphrase.text);
	pair_duration(writer, "advbase", election->advbase);
	pair_number(writer, "dead_factor", election->dead_factor);
	pair_bool(writer, "preempt", election->preempt);
	if (election->startup_hold_auto)
		pair(writer, "startup_hold", "auto");
	else
		pair_duration(writer, "startup_hold", election->startup_hold);
	pair_duration(writer, "settle", election->settle);
	render_confirm(writer, &election->confirm);
	render_damping(writer, &election->damping);
	close_mapping(writer);
	word(writer, "promotion");
	open_mapping(writer, false);
	word(writer, "deadlines");
	open_mapping(writer, false);
	pair_duration(writer, "before", cfg->deadlines.before);
	pair_duration(writer, "state", cfg->deadlines.state);
	pair_duration(writer, "rules", cfg->deadlines.rules);
	pair_duration(writer, "addresses", cfg->deadlines.addresses);
	close_mapping(writer);
	render_announce(writer, &cfg->announce);
	close_mapping(writer);
}

static void render_route(struct writer *writer, const struct config_route *route)
{
	char text[IPADDR_TEXT_MAX];

	open_mapping(writer, true);
	pair(writer, "to", ipaddr_render(&route->to, true, text));
	if (route->via.family != IPADDR_NONE)
		pair(writer, "via", ipaddr_render(&route->via, false, text));
	pair_number(writer, "metric", route->metric);
	close_mapping(writer);
}

static void render_interface(struct writer *writer, const struct config_interface *interface)
{
	word(writer, interface->name);
	open_mapping(writer, false);
	pair_addresses(writer, "addresses", interface->addresses, interface->address_count, true);
	pair_number(writer, "weight", interface->weight);
	if (interface->probe_count)
		pair_addresses(writer, "probe", interface->probes, interface->probe_count, false);
	pair_bool(writer, "virtual_mac", interface->virtual_mac);
	pair_bool(writer, "bring_up", interface->bring_up);
	word(writer, "routes");
	open_list(writer, interface->route_count == 0);
	for (uint32_t i = 0; i < interface->route_count; i++)
		render_route(writer, &interface->routes[i]);
	close_list(writer);
	close_mapping(writer);
}

static void render_handler(struct writer *writer, const struct config_handler *handler)
{
	open_mapping(writer, false);
	pair(writer, "name", handler->name);
	word(writer, "run");
	open_list(writer, true);
	word(writer, handler->program_text);
	for (uint32_t i = 1; i < handler->argument_count; i++)
		word(writer, handler->arguments[i]);
	close_list(writer);
	word(writer, "on");
	open_list(writer, true);
	if (handler->on_master)
		word(writer, "master");
	if (handler->on_backup)
		word(writer, "backup");
	close_list(writer);
	pair(writer, "phase", config_phase_name(handler->phase));
	pair_duration(writer, "timeout", handler->timeout);
	pair_bool(writer, "required", handler->required);
	pair(writer, "user", handler->user);
	close_mapping(writer);
}

static void render_track(struct writer *writer, const struct config_track *track)
{
	open_mapping(writer, false);
	pair(writer, "name", track->name);
	if (track->kind == CONFIG_TRACK_INTERFACE) {
		pair(writer, "interface", track->interface);
		pair_number(writer, "demote", track->demote);
		close_mapping(writer);
		return;
	}
	word(writer, "script");
	open_list(writer, true);
	word(writer, track->program_text);
	for (uint32_t i = 1; i < track->argument_count; i++)
		word(writer, track->arguments[i]);
	close_list(writer);
	pair_number(writer, "demote", track->demote);
	pair_duration(writer, "every", track->every);
	pair_duration(writer, "timeout", track->timeout);
	pair_number(writer, "rise", track->rise);
	pair_number(writer, "fall", track->fall);
	pair(writer, "when", track->when_master ? "master" : "always");
	pair(writer, "user", track->user);
	close_mapping(writer);
}

static void render_group(
	struct writer *writer, const struct config *cfg, const struct config_group *group)
{
	word(writer, group->name);
	open_mapping(writer, false);
	pair_number(writer, "vhid", group->vhid);
	word(writer, "advskew");
	open_mapping(writer, true);
	for (uint32_t n = 0; n < cfg->node_count; n++)
		pair_number(writer, cfg->nodes[n].name, group->advskew[n]);
	close_mapping(writer);
	word(writer, "interfaces");
	open_mapping(writer, false);
	for (uint32_t i = 0; i < group->interface_count; i++)
		render_interface(writer, &group->interfaces[i]);
	close_mapping(writer);
	if (group->rules_master.path) {
		word(writer, "rules");
		open_mapping(writer, false);
		pair(writer, "master", group->rules_master.text);
		if (group->rules_backup.path)
			pair(writer, "backup", group->rules_backup.text);
		pair(writer, "drift",
			group->rules_drift == CONFIG_DRIFT_REPAIR ? "repair" : "report");
		close_mapping(writer);
	}
	word(writer, "track");
	open_list(writer, group->track_count == 0);
	for (uint32_t i = 0; i < group->track_count; i++)
		render_track(writer, &group->tracks[i]);
	close_list(writer);
	word(writer, "handlers");
	open_list(writer, group->handler_count == 0);
	for (uint32_t i = 0; i < group->handler_count; i++)
		render_handler(writer, &group->handlers[i]);
	close_list(writer);
	close_mapping(writer);
}

static void render_sync(struct writer *writer, const struct config_sync *sync)
{
	word(writer, "sync");
	open_mapping(writer, false);
	pair(writer, "mode", config_sync_mode_name(sync->mode));
	if (sync->max_flows)
		pair_number(writer, "max_flows", sync->max_flows);
	else
		pair(writer, "max_flows", "auto");
	pair_duration(writer, "liberal_grace", sync->liberal_grace);
	pair_number(writer, "port", sync->port);
	word(writer, "ignore");
	open_mapping(writer, false);
	pair_addresses(
		writer, "addresses", sync->ignore_addresses, sync->ignore_address_count, true);
	word(writer, "protocols");
	open_list(writer, true);
	for (uint32_t i = 0; i < sync->ignore_protocol_count; i++) {
		const char *name = config_value_protocol_name(sync->ignore_protocols[i]);
		char number[8];

		snprintf(number, sizeof(number), "%u", sync->ignore_protocols[i]);
		word(writer, name ? name : number);
	}
	close_list(writer);
	close_mapping(writer);
	close_mapping(writer);
}

static void render_file(struct writer *writer, const struct config *cfg)
{
	open_mapping(writer, false);
	pair(writer, "cluster", cfg->cluster);
	word(writer, "keys");
	open_list(writer, true);
	for (uint32_t i = 0; i < cfg->key_count; i++)
		word(writer, cfg->keys[i].text);
	close_list(writer);
	render_nodes(writer, cfg);
	render_election(writer, cfg);
	word(writer, "groups");
	open_mapping(writer, false);
	for (uint32_t g = 0; g < cfg->group_count; g++)
		render_group(writer, cfg, &cfg->groups[g]);
	close_mapping(writer);
	if (cfg->sync.configured)
		render_sync(writer, &cfg->sync);
	close_mapping(writer);
}

static void render_stream(struct writer *writer, const struct config *cfg)
{
	yaml_event_t event;

	if (!yaml_emitter_initialize(&writer->emitter)) {
		writer->failed = true;
		return;
	}
	yaml_emitter_set_output(&writer->emitter, write_out, writer);
	yaml_emitter_set_unicode(&writer->emitter, 1);
	yaml_emitter_set_width(&writer->emitter, -1); /* a word is never folded */
	emit(writer, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
	emit(writer, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
	render_file(writer, cfg);
	emit(writer, &event, yaml_document_end_event_initialize(&event, 1));
	emit(writer, &event, yaml_stream_end_event_initialize(&event));
	yaml_emitter_delete(&writer->emitter);
}

char *config_render(const struct config *cfg)
{
	struct writer writer = {0};

	render_stream(&writer, cfg);
	writer.out.failed |= writer.failed;
	return config_text_take(&writer.out, NULL);
}
