/* verb_status.c: `carpool status`: carpd's document with syncd's put into it.
 *
 * --check is for monitoring plugins: one line, exit 0 ok, 1 warning, 2 critical, 3 unknown (carpd
 * does not answer). --watch shows it anew every second until q or an interrupt; on no terminal it
 * prints it again and again, with --json one document a line. */
#include "ctl/args.h"
#include "ctl/ask.h"
#include "ctl/drill/archive.h"
#include "ctl/field.h"
#include "ctl/report.h"
#include "ctl/screen.h"
#include "ctl/status_level.h"
#include "ctl/status_text.h"
#include "ctl/status_watch.h"
#include "ctl/verb.h"

#include "common/check.h"
#include "common/io/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VERB_STATUS_WATCH_MS	 1000
#define VERB_STATUS_SYNC_TIME_MS 2000

struct verb_status {
	struct args args;
	bool check;
	bool watch;
};

/* verb_status_add_sync: syncd's own answer, moved; its silence (NULL) is an alarm, unless carpd
 * says "sync_configured": false. */
static void verb_status_add_sync(json_t *status, json_t *sync, const char *silence)
{
	char now[CLOCK_TEXT_MAX];
	json_t *alarms = field_list(status, "alarms");

	if (!sync && alarms && field_bool(status, "sync_configured", true))
		json_array_append_new(alarms,
			json_pack("{s:s,s:n,s:s,s:s}", "code", "SYNCD_DOWN", "group", "since",
				clock_render(clock_wall_us(), now), "text", silence));
	json_object_set_new(status, "sync", sync ? sync : json_null());
}

/* When this cluster was drilled last, as far as this machine knows. Only for the installed daemons:
 * others (of tests, of the drill itself) have their own runtime folder. */
static void verb_status_add_drill(const struct verb_status *verb, json_t *status)
{
	json_t *last;

	if (strcmp(verb->args.runtime_dir, ARGS_RUNTIME_DIR) != 0)
		return;
	last = archive_last(ARCHIVE_ROOT_DIR, field_text(status, "cluster"));
	if (last)
		json_object_set_new(status, "drill", last);
}

/* verb_status_fetch: NULL and *ret_error when carpd does not answer. */
static json_t *verb_status_fetch(const struct verb_status *verb, struct ask_error *ret_error)
{
	json_t *status, *sync = NULL;
	struct ask_error sync_error = {0};

	if (!ask_try(&verb->args, ASK_CARPD, json_pack("{s:s}", "op", "status"),
		    dur_ms(ASK_TIMEOUT_MS), &status, ret_error))
		return NULL;
	(void)ask_try(&verb->args, ASK_SYNCD, json_pack("{s:s}", "op", "status"),
		dur_ms(VERB_STATUS_SYNC_TIME_MS), &sync, &sync_error); /* its silence is shown */
	verb_status_add_sync(status, sync, sync_error.text);
	verb_status_add_drill(verb, status);
	return status;
}

static int verb_status_print(const struct verb_status *verb, const json_t *status)
{
	struct status_level_report report;

	if (verb->args.json) {
		if (!report_json(status))
			return VERB_EXIT_FAILED;
	} else if (verb->check) {
		status_text_render_check(stdout, status);
	} else {
		status_text_render(stdout, status, clock_wall_us());
	}
	if (fflush(stdout) != 0)
		return VERB_EXIT_FAILED;
	if (!verb->check)
		return VERB_EXIT_DONE;
	status_level_judge(status, &report);
	return (int)report.level;
}

static int verb_status_fail(const struct verb_status *verb, const struct ask_error *error)
{
	if (verb->check && !verb->args.json)
		printf("CARPOOL UNKNOWN - %s\n", error->text);
	else
		report_error(verb->args.json, error->code, error->text);
	return verb->check ? (int)STATUS_LEVEL_UNKNOWN : (int)VERB_EXIT_FAILED;
}

static int verb_status_once(const struct verb_status *verb)
{
	struct ask_error error;
	json_t *status = verb_status_fetch(verb, &error);
	int exit_status;

	if (!status)
		return verb_status_fail(verb, &error);
	exit_status = verb_status_print(verb, status);
	json_decref(status);
	return exit_status;
}

/* verb_status_page: one page of --watch; the caller's. A daemon that is down for a moment is
 * something to watch, not the end of watching. */
static char *verb_status_page(const struct verb_status *verb, struct status_watch *watch)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct ask_error error;
	json_t *status;

	if (!out)
		return NULL;
	status = verb_status_fetch(verb, &error);
	if (status) {
		status_text_render(out, status, clock_wall_us());
		status_watch_render(out, watch, &verb->args, status);
	} else {
		fprintf(out, "carpool: %s\n", error.text);
	}
	fputs("\n(q quits)\n", out);
	json_decref(status);
	return fclose(out) == 0 ? text : NULL;
}

static int verb_status_screen(const struct verb_status *verb, struct screen *screen)
{
	struct status_watch watch = {0};
	enum screen_event event = SCREEN_TICK;
	char *page = NULL;

	while (event != SCREEN_QUIT) {
		unsigned int rows, columns;

		if (event == SCREEN_TICK || !page) {
			free(page);
			page = verb_status_page(verb, &watch);
		}
		screen_size(&rows, &columns);
		screen_frame(stdout, page ? page : "no memory\n", rows, columns);
		if (fflush(stdout) != 0 || ferror(stdout))
			break;
		event = screen_wait(screen, VERB_STATUS_WATCH_MS);
	}
	free(page);
	status_watch_fini(&watch);
	return event == SCREEN_QUIT ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
}

static int verb_status_watch(const struct verb_status *verb)
{
	const struct timespec pause = {.tv_sec = VERB_STATUS_WATCH_MS / 1000};
	struct screen screen;
	int exit_status;

	if (!verb->args.json && screen_open(&screen)) {
		exit_status = verb_status_screen(verb, &screen);
		screen_close(&screen);
		return exit_status;
	}
	for (;;) {
		(void)verb_status_once(verb);
		if (fflush(stdout) != 0 || ferror(stdout))
			return VERB_EXIT_FAILED;
		(void)nanosleep(&pause, NULL); /* a signal ends us, nothing else wakes us */
	}
}

int verb_status(int argc, char **argv)
{
	struct verb_status verb = {0};
	const struct args_option options[] = {
		{"--check", NULL, "one line and exit 0/1/2/3, for monitors", &verb.check, NULL},
		{"--watch", NULL, "as a page, anew every second; q quits", &verb.watch, NULL},
	};
	const struct args_spec spec = {
		.synopsis = "carpool status [--check | --watch] [--json]",
		.text = "Who is master, since when and why; who could take over, and if not, why;\n"
			"which paths are alive; rules and synchronisation.",
		.options = options,
		.option_count = ARRAY_LEN(options),
	};
	int exit_status;

	if (!args_parse(&spec, argc, argv, &verb.args, &exit_status))
		return exit_status;
	if (verb.check && verb.watch)
		return args_fail(&spec, &verb.args, "--check and --watch do not go together");
	return verb.watch ? verb_status_watch(&verb) : verb_status_once(&verb);
}
