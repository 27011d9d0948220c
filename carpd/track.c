/* track: tracked interfaces and scripts (`track:` of a group), and what becomes of their demotions.
 *
 * An interface fails the moment that rtnetlink says so. A script is run by the helper, one run of
 * it at a time, its process group killed at its timeout; the loop only takes the result and counts
 * (score.h). Each has one named demotion in the core, "track:NAME", which lives exactly as long as
 * the failure: a script that a reload removes takes its demotion along, a new life of the core is
 * told again, and what a `when: master` script found out expires with the core's rule (10 min).
 * A run that could not even begin (the helper is gone) says nothing about the thing tracked: the
 * last result stays, and status says that it is not known any more. See node.h. */
#include "carpd/node.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* The environment of a script, and what its words may hold in place of {group}. */
#define TRACK_WORD_MAX 1024u

static bool track_is_used(const struct node_track *track)
{
	return track->config || track->is_running;
}

static bool track_is_master(const struct node_track *track)
{
	struct election_group_view view;

	if (!track->node->is_started)
		return false;
	election_group_view(track->node->core, track->config->group, &view);
	return view.state == GROUP_STATE_MASTER;
}

static void track_tell(struct node_track *track, uint8_t group, uint16_t weight)
{
	struct election_event event = {.type = ELECTION_EVENT_DEMOTION, .group = group};

	event.demotion.name = track->name;
	event.demotion.weight = weight;
	event.demotion.when_master = track->config && track->config->when_master;
	node_event(track->node, &event);
}

static void track_publish_one(struct node_track *track)
{
	track_tell(track, track->config->group, track->score.is_failed ? track->config->demote : 0);
}

static void track_log(const struct node_track *track)
{
	const char *group = track->node->cfg->groups[track->config->group].name;

	if (track->score.is_failed)
		log_warnx("group %s: %s has failed (%s): demoted by %u", group, track->name,
			track->why, track->config->demote);
	else
		log_notice("group %s: %s is well again", group, track->name);
}

/* --- interfaces ------------------------------------------------------------------------------- */

static void track_judge_link(struct node_track *track)
{
	const struct links_entry *link = links_get(track->node->links, track->link);
	bool is_failed = !links_entry_alive(link);

	if (!links_is_known(track->node->links, track->link))
		return;
	snprintf(track->why, sizeof(track->why), "%s: %s", link->name,
		link->ifindex == 0   ? "not there"
		: !link->is_up	     ? "down"
		: !link->has_carrier ? "no carrier"
				     : "carrier");
	if (is_failed == track->score.is_failed)
		return;
	track->score.is_failed = is_failed;
	track_log(track);
	track_publish_one(track);
}

void track_link_changed(struct node *node, uint32_t link)
{
	for (unsigned int i = 0; i < NODE_TRACKS_MAX; i++) {
		struct node_track *track = &node->tracks[i];

		if (track->config && track->config->kind == CONFIG_TRACK_INTERFACE &&
			track->link == link)
			track_judge_link(track);
	}
}

/* --- scripts ---------------------------------------------------------------------------------- */

/* track_why: the exit and the first line of what it said, fit for one line of a log. */
static void track_why(struct node_track *track, const struct helper_result *result)
{
	size_t used;

	if (result->timed_out)
		used = (size_t)snprintf(track->why, sizeof(track->why), "timeout");
	else
		used = (size_t)snprintf(
			track->why, sizeof(track->why), "exit %d", result->exit_code);
	if (result->output[0] == '\0' || result->output[0] == '\n')
		return;
	used += (size_t)snprintf(track->why + used, sizeof(track->why) - used, ": ");
	for (const char *at = result->output;
		*at != '\0' && *at != '\n' && used < sizeof(track->why) - 1; at++)
		track->why[used++] = (char)(isprint((unsigned char)*at) ? *at : '?');
	track->why[used] = '\0';
}

static void track_could_not_run(struct node_track *track, int error)
{
	if (!track->is_unknown)
		log_warnx("%s cannot be run: %s: its last result stays", track->name,
			strerror(-error));
	track->is_unknown = true;
}

static void on_script_end(void *context, const struct helper_result *result)
{
	struct node_track *track = context;
	const struct config_track *config = track->config;

	track->is_running = false;
	if (!config || track->is_stale) {
		track->is_stale = false;
		return;
	}
	if (result->error < 0) {
		track_could_not_run(track, result->error);
		return;
	}
	/* What began as master and ended as something else says nothing about either. */
	if (config->when_master && !track_is_master(track))
		return;
	track->is_unknown = false;
	track_why(track, result);
	if (score_add(&track->score, !result->timed_out && result->exit_code == 0, config->rise,
		    config->fall))
		track_log(track);
	else if (!track->score.is_failed)
		return;
	/* Also when nothing changed: an expiry that ran while another was master is over. */
	track_publish_one(track);
}

/* track_word: {group} filled in; what does not fit is cut (config's words are shorter). */
static const char *track_word(char to[static TRACK_WORD_MAX], const char *from, const char *group)
{
	size_t used = 0;

	while (*from && used < TRACK_WORD_MAX - 1) {
		if (strncmp(from, "{group}", 7) == 0) {
			used += (size_t)snprintf(to + used, TRACK_WORD_MAX - used, "%s", group);
			from += 7;
		} else {
			to[used++] = *from++;
		}
	}
	to[used < TRACK_WORD_MAX ? used : TRACK_WORD_MAX - 1] = '\0';
	return to;
}

static int track_run(struct node_track *track)
{
	static char words[CONFIG_ARGUMENTS_MAX][TRACK_WORD_MAX]; /* the loop's alone */
	const struct config_track *config = track->config;
	const char *group = track->node->cfg->groups[config->group].name;
	const char *arguments[CONFIG_ARGUMENTS_MAX + 1] = {0};
	char environment[2][LIMIT_NAME + 32];
	const char *const names[] = {environment[0], environment[1], NULL};
	struct helper_command command = {
		.arguments = arguments,
		.environment = names,
		.user = config->user,
		.timeout = config->timeout,
	};

	for (uint32_t i = 0; i < config->argument_count; i++)
		arguments[i] = track_word(words[i], config->arguments[i], group);
	snprintf(environment[0], sizeof(environment[0]), "CARPOOL_GROUP=%s", group);
	snprintf(
		environment[1], sizeof(environment[1]), "CARPOOL_NODE=%s", track->node->self->name);
	return helper_run(track->node->helper, &command, on_script_end, track);
}

static void on_script_due(void *context)
{
	struct node_track *track = context;
	mono_t now = clock_now();
	int r;

	if (!track->config)
		return;
	track->due_at = mono_max(mono_add(track->due_at, track->config->every), now);
	evloop_timer_set(&track->timer, track->due_at);
	if (track->is_running)
		return;
	if (track->config->when_master && !track_is_master(track)) {
		track->score.streak = 0;
		return;
	}
	r = track_run(track);
	track->is_running = r == 0;
	if (r < 0)
		track_could_not_run(track, r);
}

/* --- opening, reload, status ------------------------------------------------------------------ */

/* track_begin: takes up a track of the config in force. */
static int track_begin(struct node *node, const struct config_track *config)
{
	struct node_track *track = node->tracks;

	while (track_is_used(track))
		track++;
	CHECK(track < node->tracks + NODE_TRACKS_MAX);
	evloop_timer_close(&track->timer);
	*track = (struct node_track){.node = node, .config = config, .due_at = clock_now()};
	snprintf(track->name, sizeof(track->name), "track:%.57s", config->name);
	if (config->kind == CONFIG_TRACK_INTERFACE) {
		track->link = links_add_interface(
			node->links, config_ifname(node->cfg, node->self, config->interface));
		return 0;
	}
	snprintf(track->why, sizeof(track->why), "not run yet");
	return evloop_timer_open(
		&track->timer, node->event, EVLOOP_PRIORITY_DEADLINE, on_script_due, track);
}

static void track_end(struct node_track *track, uint8_t group)
{
	const struct config_track *config = track->config;

	evloop_timer_close(&track->timer);
	track->config = NULL;
	track->is_stale = track->is_running;
	if (config->kind == CONFIG_TRACK_INTERFACE)
		links_release(track->node->links, track->link);
	track_tell(track, group, 0);
}

int track_open(struct node *node)
{
	int r = 0;

	for (uint32_t g = 0; g < node->cfg->group_count; g++)
		for (uint32_t i = 0; r == 0 && i < node->cfg->groups[g].track_count; i++)
			r = track_begin(node, &node->cfg->groups[g].tracks[i]);
	return r;
}

void track_close(struct node *node)
{
	for (unsigned int i = 0; i < NODE_TRACKS_MAX; i++)
		evloop_timer_close(&node->tracks[i].timer);
}

void track_publish(struct node *node)
{
	for (unsigned int i = 0; i < NODE_TRACKS_MAX; i++) {
		struct node_track *track = &node->tracks[i];

		if (!track->config)
			continue;
		if (track->config->kind == CONFIG_TRACK_INTERFACE)
			track_judge_link(track);
		else
			evloop_timer_set(&track->timer, track->due_at);
		if (track->score.is_failed)
			track_publish_one(track);
	}
}

/* track_adopt: what goes on under the new config; false: it is over. */
static bool track_adopt(struct node_track *track, const struct config *cfg)
{
	const struct config_track *config = config_track_lookup(
		&cfg->groups[track->config->group], track->name + strlen("track:"));

	if (!config || !config_track_equal(config, track->config))
		return false;
	track->config = config;
	/* The core forgets what stays only for fear of going back and forth (design section 6). */
	if (config->when_master && !track_is_master(track))
		track->score = (struct score){0};
	return true;
}

static bool track_is_known(const struct node *node, const struct config_track *config)
{
	for (unsigned int i = 0; i < NODE_TRACKS_MAX; i++)
		if (node->tracks[i].config == config)
			return true;
	return false;
}

void track_reconfigure(struct node *node)
{
	for (unsigned int i = 0; i < NODE_TRACKS_MAX; i++) {
		struct node_track *track = &node->tracks[i];

		if (track->config && !track_adopt(track, node->cfg))
			track_end(track, track->config->group);
	}
	for (uint32_t g = 0; g < node->cfg->group_count; g++)
		for (uint32_t i = 0; i < node->cfg->groups[g].track_count; i++) {
			const struct config_track *config = &node->cfg->groups[g].tracks[i];

			if (!track_is_known(node, config) && track_begin(node, config) < 0)
				log_errorx("track:%s cannot be watched", config->name);
		}
	track_publish(node);
}

json_t *track_status(const struct node *node, uint8_t group)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < NODE_TRACKS_MAX; i++) {
		const struct node_track *track = &node->tracks[i];

		if (!track->config || track->config->group != group)
			continue;
		(void)json_array_append_new(
			list, json_pack("{s:s, s:b, s:b, s:i, s:s}", "name", track->name, "ok",
				      !track->score.is_failed, "known", !track->is_unknown,
				      "demote", (int)track->config->demote, "last", track->why));
	}
	return list;
}
