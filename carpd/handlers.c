#include "carpd/handlers.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/evloop.h"
#include "common/io/log.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct handlers_entry {
	bool is_used;
	char name[LIMIT_NAME];
	enum config_phase phase;
	dur_t timeout;
	bool required;
	struct control_conn conn;	     /* registered ones */
	const struct config_handler *config; /* the config's, else NULL */
	uint8_t group;			     /* the config's: which group's */
	unsigned int reason_count;
	char reasons[CARPD_HEALTH_REASONS_MAX][LIMIT_NAME];
	unsigned int alarm_count;
	char alarm_codes[CARPD_HEALTH_ALARMS_MAX][LIMIT_NAME];
	char alarm_texts[CARPD_HEALTH_ALARMS_MAX][CARPD_HANDLER_TEXT_MAX];
};

/* One handler's part in one transition. */
struct handlers_event {
	uint32_t id; /* 0: free */
	uint8_t entry;
	uint8_t group;
	enum config_phase phase; /* of the stage that awaits it */
	bool is_demotion;
	bool is_awaited;
	bool required;
	mono_t told_at;
	mono_t deadline; /* MONO_NEVER: the helper's business */
};

/* What became of a phase so far. */
struct handlers_phase {
	bool is_telling; /* not all have been told yet: it cannot end */
	bool is_open;
	bool failed;
	bool required_failed;
	char error[TRANSACTION_ERROR_MAX];
};

struct handlers {
	struct handlers_options options;
	struct control_server *server;
	struct handlers_entry entries[LIMIT_HANDLERS];
	struct handlers_event events[CARPD_HANDLER_EVENTS_MAX];
	struct handlers_phase phases[LIMIT_GROUPS];
	uint32_t last_id;
	uint64_t ignored_count;
	uint32_t sync_uid; /* HANDLERS_SYNC_USER's; UINT32_MAX: there is none */
	struct evloop_timer timer;
	mono_t armed_for;
	bool is_late; /* carpd slept past armed_for: answers are read first */
};

/* --- answers -------------------------------------------------------------------------------- */

static void handlers_arm(struct handlers *h)
{
	mono_t next = MONO_NEVER;

	for (unsigned int i = 0; i < CARPD_HANDLER_EVENTS_MAX; i++)
		if (h->events[i].id != 0)
			next = mono_min(next, h->events[i].deadline);
	h->armed_for = next;
	evloop_timer_set(&h->timer, next);
}

static bool handlers_phase_waits(const struct handlers *h, uint8_t group)
{
	for (unsigned int i = 0; i < CARPD_HANDLER_EVENTS_MAX; i++)
		if (h->events[i].id != 0 && h->events[i].is_awaited && h->events[i].group == group)
			return true;
	return false;
}

/* handlers_finish: one answer, or the lack of one; the last one of its phase ends it. */
static void handlers_finish(
	struct handlers *h, struct handlers_event *event, bool ok, const char *error)
{
	struct handlers_event ended = *event;
	struct handlers_phase *phase = &h->phases[ended.group], over;
	const struct handlers_entry *entry = &h->entries[ended.entry];
	int64_t us = mono_diff(clock_now(), ended.told_at).us;
	char text[TRANSACTION_ERROR_MAX];

	event->id = 0;
	h->options.on_answer(h->options.context, ended.group, entry->name, us, ok, error);
	if (!ok) {
		snprintf(text, sizeof(text), "%.60s: %.90s", entry->name, error);
		log_warnx("handler %s failed after %lld us: %s", entry->name, (long long)us, error);
	}
	if (!ended.is_awaited || !(phase->is_open || phase->is_telling))
		return;
	if (!ok && (!phase->failed || (ended.required && !phase->required_failed)))
		snprintf(phase->error, sizeof(phase->error), "%s", text);
	phase->failed |= !ok;
	phase->required_failed |= !ok && ended.required;
	if (phase->is_telling || handlers_phase_waits(h, ended.group))
		return;
	over = *phase;
	*phase = (struct handlers_phase){0};
	h->options.on_phase(h->options.context, ended.group, ended.phase, ended.is_demotion,
		!over.failed, over.required_failed, over.error);
}

static void on_deadline(void *context)
{
	struct handlers *h = context;
	mono_t now = clock_now();

	if (!h->is_late && !mono_is_never(h->armed_for) &&
		mono_diff(now, h->armed_for).us > CARPD_LATE_US) {
		h->is_late = true;
		evloop_timer_set(&h->timer, mono_add(now, dur_ms(CARPD_LATE_GRACE_MS)));
		return;
	}
	h->is_late = false;
	for (unsigned int i = 0; i < CARPD_HANDLER_EVENTS_MAX; i++)
		if (h->events[i].id != 0 && mono_reached(now, h->events[i].deadline))
			handlers_finish(h, &h->events[i], false, "no answer in time");
	handlers_arm(h);
}

/* --- telling -------------------------------------------------------------------------------- */

static struct handlers_event *handlers_event_new(struct handlers *h)
{
	for (unsigned int i = 0; i < CARPD_HANDLER_EVENTS_MAX; i++) {
		if (h->events[i].id != 0)
			continue;
		if (++h->last_id == 0)
			h->last_id = 1;
		h->events[i] = (struct handlers_event){.id = h->last_id};
		return &h->events[i];
	}
	return NULL;
}

static void handlers_tell_registered(struct handlers *h, const struct handlers_entry *entry,
	struct handlers_event *event, const struct handlers_transition *transition)
{
	json_t *line = json_pack("{s:s, s:I, s:s, s:I, s:i, s:s, s:s?}", "event",
		transition->is_demotion ? "become_backup" : "become_master", "id",
		(json_int_t)event->id, "group", h->options.cfg->groups[transition->group].name,
		"term", (json_int_t)transition->term.number, "term_owner",
		(int)transition->term.owner, "reason", reason_name(transition->reason),
		transition->is_demotion ? "to" : "from", transition->other);

	/* When it cannot be sent, the connection's end finishes the event. */
	if (!control_server_send(h->server, entry->conn, line))
		handlers_finish(h, event, false, "cannot be told");
}

static void on_program_end(void *context, const struct helper_result *result);

/* The helper's callbacks carry the event's id: the slot may be another's by then. */
struct handlers_program {
	struct handlers *handlers;
	uint32_t event_id;
};

/* handlers_expand: {group}, {state}, {reason} in one word of a command. */
static void handlers_expand(char *to, size_t size_bytes, const char *from, const char *group,
	const char *state, const char *reason)
{
	const char *const names[] = {"{group}", "{state}", "{reason}"};
	const char *const values[] = {group, state, reason};
	size_t used = 0;

	while (*from != '\0' && used + 1 < size_bytes) {
		bool matched = false;

		for (unsigned int i = 0; i < ARRAY_LEN(names) && !matched; i++) {
			if (strncmp(from, names[i], strlen(names[i])) != 0)
				continue;
			used += (size_t)snprintf(to + used, size_bytes - used, "%s", values[i]);
			from += strlen(names[i]);
			matched = true;
		}
		if (!matched)
			to[used++] = *from++;
	}
	to[used < size_bytes ? used : size_bytes - 1] = '\0';
}

static int handlers_run_program(struct handlers *h, const struct handlers_entry *entry,
	struct handlers_event *event, const struct handlers_transition *transition)
{
	const char *group = h->options.cfg->groups[transition->group].name;
	const char *state = transition->is_demotion ? "backup" : "master";
	const char *reason = reason_name(transition->reason);
	const char *arguments[CONFIG_ARGUMENTS_MAX + 1] = {0};
	char words[CONFIG_ARGUMENTS_MAX][256];
	char environment[5][LIMIT_NAME + 32];
	const char *const names[] = {environment[0], environment[1], environment[2], environment[3],
		environment[4], NULL};
	struct helper_command command = {
		.arguments = arguments,
		.environment = names,
		.user = entry->config->user,
		.timeout = entry->timeout,
	};
	struct handlers_program *program = malloc(sizeof(*program));
	int r;

	if (!program)
		return -ENOMEM;
	*program = (struct handlers_program){.handlers = h, .event_id = event->id};
	arguments[0] = entry->config->arguments[0];
	for (uint32_t i = 1; i < entry->config->argument_count; i++) {
		handlers_expand(words[i], sizeof(words[i]), entry->config->arguments[i], group,
			state, reason);
		arguments[i] = words[i];
	}
	snprintf(environment[0], sizeof(environment[0]), "CARPOOL_GROUP=%s", group);
	snprintf(environment[1], sizeof(environment[1]), "CARPOOL_STATE=%s", state);
	snprintf(environment[2], sizeof(environment[2]), "CARPOOL_REASON=%s", reason);
	snprintf(environment[3], sizeof(environment[3]), "CARPOOL_TERM=%llu",
		(unsigned long long)transition->term.number);
	snprintf(environment[4], sizeof(environment[4]), "CARPOOL_NODE=%s",
		h->options.cfg->self->name);
	r = helper_run(h->options.helper, &command, on_program_end, program);
	if (r < 0)
		free(program);
	return r;
}

static void on_program_end(void *context, const struct helper_result *result)
{
	struct handlers_program *program = context;
	struct handlers *h = program->handlers;
	char error[TRANSACTION_ERROR_MAX] = "";

	for (unsigned int i = 0; i < CARPD_HANDLER_EVENTS_MAX; i++) {
		if (h->events[i].id != program->event_id)
			continue;
		if (result->error < 0)
			snprintf(error, sizeof(error), "%s", strerror(-result->error));
		else if (result->timed_out)
			snprintf(error, sizeof(error), "killed: its time was over");
		else if (result->exit_code != 0)
			snprintf(error, sizeof(error), "exit %d: %.100s", result->exit_code,
				result->output);
		error[strcspn(error, "\n")] = '\0';
		handlers_finish(h, &h->events[i], error[0] == '\0', error);
		break;
	}
	free(program);
}

static bool handlers_applies(const struct handlers_entry *entry, enum config_phase phase,
	const struct handlers_transition *transition)
{
	if (!entry->is_used)
		return false;
	if (entry->config && (entry->group != transition->group ||
				     !(transition->is_demotion ? entry->config->on_backup
							       : entry->config->on_master)))
		return false;
	if (transition->is_demotion && phase == CONFIG_PHASE_STATE)
		return entry->phase != CONFIG_PHASE_AFTER;
	return entry->phase == phase;
}

static void handlers_tell(struct handlers *h, unsigned int index, enum config_phase phase,
	const struct handlers_transition *transition)
{
	const struct handlers_entry *entry = &h->entries[index];
	struct handlers_event *event = handlers_event_new(h);
	mono_t now = clock_now();
	int r;

	if (!event) {
		log_warnx("handler %s: too many open events", entry->name);
		return;
	}
	event->entry = (uint8_t)index;
	event->group = transition->group;
	event->phase = phase;
	event->is_demotion = transition->is_demotion;
	event->is_awaited = phase != CONFIG_PHASE_AFTER;
	event->required = entry->required;
	event->told_at = now;
	/* The helper kills a program at its deadline and tells; a grace for a dead helper. */
	event->deadline =
		mono_add(now, entry->config ? dur_add(entry->timeout, dur_s(1)) : entry->timeout);
	if (!entry->config) {
		handlers_tell_registered(h, entry, event, transition);
		return;
	}
	r = handlers_run_program(h, entry, event, transition);
	if (r < 0)
		handlers_finish(h, event, false, strerror(-r));
}

int handlers_begin(struct handlers *h, enum config_phase phase,
	const struct handlers_transition *transition, struct handlers_failure *ret_failure)
{
	struct handlers_phase *open = &h->phases[transition->group];
	bool told[LIMIT_HANDLERS] = {0};
	int count = 0;

	for (unsigned int i = 0; i < LIMIT_HANDLERS; i++) {
		told[i] = handlers_applies(&h->entries[i], phase, transition);
		count += told[i];
	}
	if (count == 0)
		return 0;
	if (phase != CONFIG_PHASE_AFTER)
		*open = (struct handlers_phase){.is_telling = true};
	for (unsigned int i = 0; i < LIMIT_HANDLERS; i++)
		if (told[i])
			handlers_tell(h, i, phase, transition);
	handlers_arm(h);
	if (phase == CONFIG_PHASE_AFTER)
		return 0;
	open->is_telling = false;
	open->is_open = handlers_phase_waits(h, transition->group);
	if (open->is_open)
		return count;
	/* Every one of them failed while it was told. */
	ret_failure->required = open->required_failed;
	memcpy(ret_failure->error, open->error, sizeof(ret_failure->error));
	return -1;
}

void handlers_cancel(struct handlers *h, uint8_t group)
{
	h->phases[group] = (struct handlers_phase){0};
	for (unsigned int i = 0; i < CARPD_HANDLER_EVENTS_MAX; i++)
		if (h->events[i].id != 0 && h->events[i].group == group && h->events[i].is_awaited)
			h->events[i].id = 0;
	handlers_arm(h);
}

/* --- the list ------------------------------------------------------------------------------- */

static struct handlers_entry *handlers_lookup(struct handlers *h, const char *name)
{
	for (unsigned int i = 0; i < LIMIT_HANDLERS; i++)
		if (h->entries[i].is_used && strcmp(h->entries[i].name, name) == 0)
			return &h->entries[i];
	return NULL;
}

bool handlers_has(const struct handlers *h, const char *name)
{
	for (unsigned int i = 0; i < LIMIT_HANDLERS; i++)
		if (h->entries[i].is_used && strcmp(h->entries[i].name, name) == 0)
			return true;
	return false;
}

static struct handlers_entry *handlers_entry_new(struct handlers *h)
{
	for (unsigned int i = 0; i < LIMIT_HANDLERS; i++)
		if (!h->entries[i].is_used)
			return &h->entries[i];
	return NULL;
}

/* handlers_remove: its open events fail: one that goes in the middle of its turn has failed. */
static void handlers_remove(struct handlers *h, struct handlers_entry *entry, const char *why)
{
	for (unsigned int i = 0; i < CARPD_HANDLER_EVENTS_MAX; i++)
		if (h->events[i].id != 0 && &h->entries[h->events[i].entry] == entry)
			handlers_finish(h, &h->events[i], false, why);
	*entry = (struct handlers_entry){0};
}

void handlers_reconfigure(struct handlers *h, const struct config *cfg)
{
	for (unsigned int i = 0; i < LIMIT_HANDLERS; i++)
		if (h->entries[i].is_used && h->entries[i].config)
			handlers_remove(h, &h->entries[i], "the config was reloaded");
	h->options.cfg = cfg;
	for (uint32_t g = 0; g < cfg->group_count; g++)
		for (uint32_t i = 0; i < cfg->groups[g].handler_count; i++) {
			const struct config_handler *config = &cfg->groups[g].handlers[i];
			struct handlers_entry *entry = handlers_entry_new(h);

			if (!entry) {
				log_warnx("handler %s: too many handlers", config->name);
				continue;
			}
			*entry = (struct handlers_entry){
				.is_used = true,
				.phase = config->phase,
				.timeout = config->timeout,
				.required = config->required,
				.config = config,
				.group = (uint8_t)g,
			};
			memcpy(entry->name, config->name, sizeof(entry->name));
		}
}

void handlers_health(const struct handlers *h, struct handlers_health *ret_health)
{
	ret_health->reason_count = 0;
	for (unsigned int i = 0; i < LIMIT_HANDLERS; i++)
		for (unsigned int k = 0; h->entries[i].is_used && k < h->entries[i].reason_count;
			k++)
			ret_health->reasons[ret_health->reason_count++] = h->entries[i].reasons[k];
}

void handlers_each_alarm(const struct handlers *h,
	void (*on_alarm)(void *context, const char *handler, const char *code, const char *text),
	void *context)
{
	for (unsigned int i = 0; i < LIMIT_HANDLERS; i++)
		for (unsigned int k = 0; h->entries[i].is_used && k < h->entries[i].alarm_count;
			k++)
			on_alarm(context, h->entries[i].name, h->entries[i].alarm_codes[k],
				h->entries[i].alarm_texts[k]);
}

uint64_t handlers_ignored_count(const struct handlers *h)
{
	return h->ignored_count;
}

/* handlers_is_first: no earlier handler has the same connection: one line is enough for both. */
static bool handlers_is_first(const struct handlers *h, unsigned int index)
{
	const struct control_conn *conn = &h->entries[index].conn;

	for (unsigned int i = 0; i < index; i++)
		if (h->entries[i].is_used && !h->entries[i].config &&
			h->entries[i].conn.slot == conn->slot &&
			h->entries[i].conn.generation == conn->generation)
			return false;
	return true;
}

void handlers_tell_role(struct handlers *h, struct control_conn conn, const json_t *role)
{
	for (unsigned int i = 0; i < LIMIT_HANDLERS; i++) {
		const struct handlers_entry *entry = &h->entries[i];

		if (!entry->is_used || entry->config || !handlers_is_first(h, i))
			continue;
		if (conn.generation != 0 && (conn.slot != entry->conn.slot ||
						    conn.generation != entry->conn.generation))
			continue;
		(void)control_server_send(h->server, entry->conn, json_deep_copy(role));
	}
}

/* --- operations ------------------------------------------------------------------------------ */

static bool handlers_name_is_sound(const char *name)
{
	size_t length = strlen(name);

	return length >= 1 && length < LIMIT_NAME &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == length;
}

static bool handlers_phase_parse(const char *text, enum config_phase *ret_phase)
{
	for (unsigned int i = 0; i < CONFIG_PHASE_COUNT; i++)
		if (strcmp(config_phase_name((enum config_phase)i), text) == 0) {
			*ret_phase = (enum config_phase)i;
			return true;
		}
	return false;
}

/* handlers_refusal: why this caller may not have that place, or NULL. Readiness and every promotion
 * hang on the name syncd: it is root's, or its own user's, and that user has no other place. */
static const char *handlers_refusal(const struct handlers *h, const struct control_request *request,
	const char *name, enum config_phase phase, bool required)
{
	bool is_root = request->rights >= CONTROL_RIGHTS_ROOT;

	if (strcmp(name, HANDLERS_SYNCD) == 0) {
		if (phase == CONFIG_PHASE_STATE && (is_root || request->uid == h->sync_uid))
			return NULL;
		return "the name syncd is root's and " HANDLERS_SYNC_USER "'s, in phase state";
	}
	if ((required || phase != CONFIG_PHASE_AFTER) && !is_root)
		return "required handlers and phases before `after` need root";
	return NULL;
}

void handlers_op_register(struct handlers *h, const struct control_request *request)
{
	const char *name = NULL, *phase_text = NULL;
	json_int_t timeout_ms = 500;
	const char *refusal;
	struct handlers_entry *entry;
	enum config_phase phase;
	int required = 0;

	if (json_unpack(request->body, "{s:s, s:s, s?I, s?b}", "name", &name, "phase", &phase_text,
		    "timeout_ms", &timeout_ms, "required", &required) < 0 ||
		!handlers_name_is_sound(name) || !handlers_phase_parse(phase_text, &phase) ||
		timeout_ms < 1 || timeout_ms > (json_int_t)CARPD_HANDLER_TIMEOUT_MS) {
		(void)control_server_error(h->server, &request->ticket, "BAD_REQUEST",
			"register wants name (1-63 of a-z 0-9 - _ .), phase (before, state, "
			"after), timeout_ms (1..60000), required (true, false)");
		return;
	}
	refusal = handlers_refusal(h, request, name, phase, required);
	if (refusal) {
		(void)control_server_error(h->server, &request->ticket, "FORBIDDEN", "%s", refusal);
		return;
	}
	if (handlers_lookup(h, name)) {
		(void)control_server_error(h->server, &request->ticket, "NAME_TAKEN",
			"a handler named %s is registered", name);
		return;
	}
	entry = handlers_entry_new(h);
	if (!entry) {
		(void)control_server_error(h->server, &request->ticket, "TOO_MANY",
			"at most %u handlers", LIMIT_HANDLERS);
		return;
	}
	*entry = (struct handlers_entry){
		.is_used = true,
		.phase = phase,
		.timeout = dur_ms(timeout_ms),
		.required = required,
		.conn = request->ticket.conn,
	};
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	log_info("handler %s: registered for phase %s, %lld ms%s", name, phase_text,
		(long long)timeout_ms, required ? ", required" : "");
	(void)control_server_ok(h->server, &request->ticket, NULL);
	h->options.on_registered(h->options.context, entry->conn);
	h->options.on_health(h->options.context);
}

static bool handlers_is_conn(const struct handlers_entry *entry, struct control_conn conn)
{
	return entry->is_used && !entry->config && entry->conn.slot == conn.slot &&
	       entry->conn.generation == conn.generation;
}

void handlers_op_done(struct handlers *h, const struct control_request *request)
{
	const char *error = "failed, and did not say why";
	json_int_t id = 0;
	int ok = 0;

	if (json_unpack(request->body, "{s:I, s:b, s?s}", "id", &id, "ok", &ok, "error", &error) <
		0) {
		(void)control_server_error(h->server, &request->ticket, "BAD_REQUEST",
			"done wants id, ok and, when it is false, error");
		return;
	}
	for (unsigned int i = 0; i < CARPD_HANDLER_EVENTS_MAX; i++) {
		struct handlers_event *event = &h->events[i];

		if (event->id == 0 || (json_int_t)event->id != id ||
			!handlers_is_conn(&h->entries[event->entry], request->ticket.conn))
			continue;
		handlers_finish(h, event, ok, error);
		handlers_arm(h);
		return;
	}
	h->ignored_count++;
}

static void handlers_take_health(struct handlers_entry *entry, const json_t *body)
{
	const json_t *reasons = json_object_get(body, "not_ready");
	const json_t *alarms = json_object_get(body, "alarms");
	const json_t *item;
	size_t index;

	entry->reason_count = 0;
	entry->alarm_count = 0;
	json_array_foreach (reasons, index, item) {
		if (!json_is_string(item) || entry->reason_count == CARPD_HEALTH_REASONS_MAX)
			continue;
		snprintf(entry->reasons[entry->reason_count++], LIMIT_NAME, "%.63s",
			json_string_value(item));
	}
	if (!json_is_true(json_object_get(body, "ready")) && entry->reason_count == 0)
		snprintf(entry->reasons[entry->reason_count++], LIMIT_NAME, "HANDLER_NOT_READY");
	if (json_is_true(json_object_get(body, "ready")))
		entry->reason_count = 0;
	json_array_foreach (alarms, index, item) {
		const char *code = json_string_value(json_object_get(item, "code"));
		const char *text = json_string_value(json_object_get(item, "text"));

		if (!code || entry->alarm_count == CARPD_HEALTH_ALARMS_MAX)
			continue;
		snprintf(entry->alarm_codes[entry->alarm_count], LIMIT_NAME, "%.63s", code);
		snprintf(entry->alarm_texts[entry->alarm_count], CARPD_HANDLER_TEXT_MAX, "%.159s",
			text ? text : "");
		entry->alarm_count++;
	}
}

void handlers_op_health(struct handlers *h, const struct control_request *request)
{
	if (!json_is_boolean(json_object_get(request->body, "ready"))) {
		(void)control_server_error(
			h->server, &request->ticket, "BAD_REQUEST", "health wants ready");
		return;
	}
	for (unsigned int i = 0; i < LIMIT_HANDLERS; i++) {
		if (!handlers_is_conn(&h->entries[i], request->ticket.conn))
			continue;
		handlers_take_health(&h->entries[i], request->body);
		(void)control_server_ok(h->server, &request->ticket, NULL);
		h->options.on_health(h->options.context);
		return;
	}
	(void)control_server_error(
		h->server, &request->ticket, "BAD_REQUEST", "register a handler first");
}

void handlers_conn_closed(struct handlers *h, struct control_conn conn)
{
	bool changed = false;

	for (unsigned int i = 0; i < LIMIT_HANDLERS; i++) {
		if (!handlers_is_conn(&h->entries[i], conn))
			continue;
		log_warnx("handler %s: its connection is closed", h->entries[i].name);
		handlers_remove(h, &h->entries[i], "its connection was closed");
		changed = true;
	}
	if (changed)
		h->options.on_health(h->options.context);
}

/* --- lifecycle ------------------------------------------------------------------------------- */

static uint32_t handlers_find_user(const char *name)
{
	const struct passwd *entry = getpwnam(name);

	return entry ? entry->pw_uid : UINT32_MAX;
}

int handlers_open(struct handlers **ret_handlers, const struct handlers_options *options)
{
	struct handlers *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->options = *options;
	h->sync_uid = handlers_find_user(HANDLERS_SYNC_USER);
	r = evloop_timer_open(&h->timer, options->event, EVLOOP_PRIORITY_DEADLINE, on_deadline, h);
	if (r < 0) {
		free(h);
		return r;
	}
	handlers_reconfigure(h, options->cfg);
	*ret_handlers = h;
	return 0;
}

void handlers_serve(struct handlers *h, struct control_server *server)
{
	h->server = server;
}

void handlers_close(struct handlers *h)
{
	if (!h)
		return;
	evloop_timer_close(&h->timer);
	free(h);
}
