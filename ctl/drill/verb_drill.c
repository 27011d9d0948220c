/* verb_drill.c: `carpool drill list | run | history | lab`.
 *
 * Here are only the words of the command: options, the report's directory, one sandbox a run, and
 * the verdicts put together. What happens in a run is run.c's. */
#include "ctl/drill/archive.h"
#include "ctl/drill/cluster.h"
#include "ctl/drill/compare.h"
#include "ctl/drill/labserver.h"
#include "ctl/drill/live.h"
#include "ctl/drill/rival.h"
#include "ctl/drill/run.h"
#include "ctl/drill/sandbox.h"
#include "ctl/drill/scenario.h"
#include "ctl/drill/scenario_file.h"
#include "ctl/drill/udp.h"
#include "ctl/drill/verb_probe.h"
#include "ctl/drill/verdict.h"

#include "ctl/args.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define VERB_DRILL_RATE_HZ    1000
#define VERB_DRILL_REPEAT_MAX 1000
#define VERB_DRILL_LINK_MBIT  1000
#define VERB_DRILL_SEED_MAX   0xffffffffffffL
#define VERB_DRILL_SEED_FRESH 1000000 /* a short one is easily typed again */
#define VERB_DRILL_SCHEMA     1	      /* of report.json: doc/drills.md */
#define VERB_DRILL_PAUSE_MS   10      /* our own sender late by more: the run was disturbed */
#define VERB_DRILL_COULD_NOT  2	      /* the exit status of a drill that could not run */
#define VERB_DRILL_EXAMPLE    "config/examples/pair.yaml"
#define VERB_DRILL_ETC	      "/etc/carpool/cluster.yaml"

struct verb_drill {
	const char *config_path;
	const char *report_base;
	const char *client;
	const char *server;
	const char *repeat_text;
	const char *flows_text;
	const char *rate_text;
	const char *seed_text;
	const char *link_text;
	const char *observe_text;
	const char *objectives_path;
	bool keep;
	bool run_hooks;
	bool yes;
	const char *compare;
	char rival[RIVAL_NAME_MAX];
	bool no_start;
	/* --live */
	bool live;
	bool dry_run;
	bool no_probe;
	struct live_options live_options;
	const char *quiet_text;
	const char *limit_text;
	long repeat;
	long flows;
	long rate;
	long link_mbit;
	long seed;
	int64_t observe_ms;
	int64_t steady_ms;
	const char *steady_text;
	struct args args;
	struct scenario_file *own;	  /* the scenario file, or NULL */
	struct scenario_file *objectives; /* --objectives, or NULL */
	struct config *cfg;
	json_t *earlier; /* archive_load() */
	int64_t started_us;
	char example[PATH_MAX];
	char report_base_dir[PATH_MAX];
	char report_dir[PATH_MAX];
};

static const char verb_drill_text[] =
	"Rebuilds the cluster of a config in network namespaces - real daemons, real rules, "
	"emulated\n"
	"links, a client and a server - injects a fault, measures, and judges. Nothing outside is\n"
	"touched, no production key is read. 'list' tells the scenarios; 'run' runs one, or your "
	"own\n"
	"(a file), or 'all'; 'history' tells the reports that are kept; 'lab' builds the cluster "
	"and\n"
	"takes orders on standard input (for tests). 'probe' and 'reflect' are the two ends of a "
	"live\n"
	"drill's traffic, on a client host and on a server host.\n"
	"With --live it is the running cluster: handed over, by plan, and back.\n"
	"Exit: 0 pass, 1 fail, 2 could not run.";

static const char *verb_drill_bad_number(struct verb_drill *drill)
{
	drill->repeat = 1;
	drill->rate = VERB_DRILL_RATE_HZ;
	drill->link_mbit = VERB_DRILL_LINK_MBIT;
	drill->seed = clock_wall_us() % VERB_DRILL_SEED_FRESH;
	if (!args_number(drill->repeat_text, 1, VERB_DRILL_REPEAT_MAX, &drill->repeat))
		return "--repeat wants 1 to 1000";
	if (!args_number(drill->flows_text, 0, FLOWS_MAX, &drill->flows))
		return "--flows wants 0 to 4000000";
	if (!args_number(drill->rate_text, UDP_RATE_HZ_MIN, UDP_RATE_HZ_MAX, &drill->rate))
		return "--rate wants 10 to 20000 (probes a second)";
	if (!args_number(drill->seed_text, 0, VERB_DRILL_SEED_MAX, &drill->seed))
		return "--seed wants 0 to 281474976710655 (48 bits)";
	if (!args_number(drill->link_text, 0, 100000, &drill->link_mbit))
		return "--link wants 0 (as fast as it goes) to 100000 (Mbit/s)";
	if (drill->observe_text && !args_duration_ms(drill->observe_text, &drill->observe_ms))
		return "--observe wants a duration such as 15s";
	drill->steady_ms = ROOM_STEADY_MS;
	if (drill->steady_text && !args_duration_ms(drill->steady_text, &drill->steady_ms))
		return "--wait wants a duration such as 30s";
	return NULL;
}

/* Without --config: the installed cluster, else the example that is shipped with the sources. */
static void verb_drill_default_config(struct verb_drill *drill)
{
	char own[PATH_MAX];
	ssize_t n;
	char *slash;

	if (drill->config_path)
		return;
	drill->config_path = VERB_DRILL_ETC;
	n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	own[n > 0 ? n : 0] = '\0';
	slash = strrchr(own, '/');
	if (!slash)
		return;
	*slash = '\0';
	if (snprintf(drill->example, sizeof(drill->example), "%s/../../%s", own,
		    VERB_DRILL_EXAMPLE) < (int)sizeof(drill->example) &&
		access(drill->example, R_OK) == 0 && access(VERB_DRILL_ETC, R_OK) != 0)
		drill->config_path = drill->example;
}

static int verb_drill_mkdirs(const char *path)
{
	char part[PATH_MAX];

	(void)snprintf(part, sizeof(part), "%s", path);
	for (char *c = part + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
		*c = '/';
	}
	return mkdir(part, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* BASE/20260101T000000Z-power-loss, absolute, new. */
static int verb_drill_make_report(struct verb_drill *drill, const char *what)
{
	char base[PATH_MAX / 2];
	char stamp[32];
	time_t now = (time_t)(clock_wall_us() / 1000000);
	struct tm tm;
	int r;

	archive_base(drill->report_base, base, sizeof(base));
	r = verb_drill_mkdirs(base);
	if (r < 0)
		return r;
	if (!realpath(base, drill->report_dir))
		return -errno;
	(void)snprintf(
		drill->report_base_dir, sizeof(drill->report_base_dir), "%s", drill->report_dir);
	drill->earlier = archive_load(drill->report_dir);
	(void)gmtime_r(&now, &tm);
	(void)strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	(void)snprintf(base, sizeof(base), "/%s-%s-%d", stamp, what, (int)getpid());
	(void)strncat(
		drill->report_dir, base, sizeof(drill->report_dir) - strlen(drill->report_dir) - 1);
	return verb_drill_mkdirs(drill->report_dir);
}

static struct room_options verb_drill_room(const struct verb_drill *drill, const char *report_dir)
{
	return (struct room_options){.config_path = drill->config_path,
		.client = drill->client,
		.server = drill->server,
		.report_dir = report_dir,
		.link_mbit = (uint32_t)drill->link_mbit,
		.labconf = {.run_hooks = drill->run_hooks}};
}

static json_t *verb_drill_load_result(
	const struct scenario *scenario, const char *report_dir, int status)
{
	char path[PATH_MAX];
	char why[256];
	json_t *run;

	(void)snprintf(path, sizeof(path), "%.*s/%s", PATH_MAX - 32, report_dir, RUN_RESULT_FILE);
	run = json_load_file(path, 0, NULL);
	if (run)
		return run;
	if (status == -EPERM || status == -ENOSPC)
		(void)snprintf(why, sizeof(why),
			"no sandbox: %s: this needs root, or user namespaces: sysctl "
			"user.max_user_namespaces above 0 (Debian also: "
			"kernel.unprivileged_userns_clone=1)",
			strerror(-status));
	else if (status < 0)
		(void)snprintf(why, sizeof(why), "no sandbox: %s", strerror(-status));
	else
		(void)snprintf(why, sizeof(why), "the run ended early (status %d)", status);
	return verdict_error(scenario->name, why, report_dir);
}

/* Bits. */
enum verb_drill_kind {
	VERB_DRILL_KIND_OWN = 0,
	VERB_DRILL_KIND_AGAIN = 1 << 0, /* the first one was spoiled */
	VERB_DRILL_KIND_RIVAL = 1 << 1, /* of --compare */
};

static json_t *verb_drill_run_once(const struct verb_drill *drill, const struct scenario *scenario,
	long round, unsigned int kind)
{
	static const char *const endings[] = {"", "-again", "-keepalived", "-keepalived-again"};
	const struct scenario_file *demands = drill->objectives ? drill->objectives : drill->own;
	struct run_options options = {.scenario = scenario,
		.objectives = demands ? &demands->objectives : NULL,
		.rate_hz = (uint32_t)drill->rate,
		.flow_count = (uint32_t)drill->flows,
		.steady_ms = (int)drill->steady_ms,
		.observe_ms = (int)drill->observe_ms,
		.seed = (uint64_t)drill->seed + (uint64_t)round - 1,
		.rival = (kind & VERB_DRILL_KIND_RIVAL) != 0,
		.keep = drill->keep};
	char report_dir[PATH_MAX];
	int64_t started_us;
	json_t *run;
	int status;

	(void)snprintf(report_dir, sizeof(report_dir), "%.*s/%s-%ld%s", PATH_MAX - 96,
		drill->report_dir, scenario->name, round, endings[kind]);
	status = verb_drill_mkdirs(report_dir);
	if (status < 0)
		return verdict_error(scenario->name, strerror(-status), report_dir);
	options.room = verb_drill_room(drill, report_dir);
	options.room.labconf.copy_rules = scenario->needs_rules;
	options.room.labconf.max_flows = scenario->max_flows;
	(void)fprintf(stderr, "%s, run %ld of %ld%s%s\n", scenario->name, round, drill->repeat,
		options.rival ? ", with " : "", options.rival ? drill->rival : "");
	started_us = clock_wall_us();
	status = sandbox_run(run_inside, &options);
	run = verb_drill_load_result(scenario, report_dir, status);
	(void)json_object_set_new(
		run, "duration_s", json_real((double)(clock_wall_us() - started_us) / 1e6));
	if (!options.rival)
		(void)json_object_set_new(run, "previous",
			archive_previous(drill->earlier, drill->cfg->cluster, scenario->name,
				drill->report_dir));
	return run;
}

/* A machine that stood still drops packets by itself, and moves a group whose master was asleep: a
 * failure beside such a pause is not judged but tried again, once, and told all the same. What is
 * wrong with the cluster is wrong again. A pause that was far from every loss excuses nothing. */
static bool verb_drill_is_spoiled(const json_t *run)
{
	const char *verdict = json_string_value(json_object_get(run, "verdict"));
	const json_t *probes = json_object_get(run, "probes");

	return verdict && strcmp(verdict, "pass") != 0 &&
	       json_number_value(json_object_get(probes, "pause_ms")) > VERB_DRILL_PAUSE_MS;
}

/* What was not judged is not hidden: the second try names it. */
static void verb_drill_tell_first(json_t *run, const json_t *first)
{
	const json_t *probes = json_object_get(first, "probes");
	const char *why = json_string_value(json_array_get(json_object_get(first, "reasons"), 0));
	json_t *notes = json_object_get(run, "notes");

	if (!json_is_array(notes)) {
		notes = json_array();
		(void)json_object_set_new(run, "notes", notes);
	}
	(void)json_array_append_new(notes,
		json_sprintf("a second try: the first one failed beside a pause of this machine of "
			     "%.1f ms: %s",
			json_number_value(json_object_get(probes, "pause_ms")), why ? why : "?"));
	(void)json_object_set_new(run, "first_try",
		json_pack("{s:O?, s:O?, s:O?}", "reasons", json_object_get(first, "reasons"),
			"probes", probes, "report", json_object_get(first, "report")));
}

static json_t *verb_drill_run_settled(const struct verb_drill *drill,
	const struct scenario *scenario, long round, unsigned int kind)
{
	json_t *first = verb_drill_run_once(drill, scenario, round, kind), *run;

	if (!verb_drill_is_spoiled(first) || sandbox_stopped())
		return first;
	(void)fprintf(stderr, "%s: failed, and this machine paused meanwhile: once more\n",
		scenario->name);
	run = verb_drill_run_once(drill, scenario, round, kind | VERB_DRILL_KIND_AGAIN);
	verb_drill_tell_first(run, first);
	json_decref(first);
	return run;
}

static void verb_drill_run_rounds(
	const struct verb_drill *drill, const struct scenario *scenario, json_t *runs)
{
	for (long round = 1; round <= drill->repeat && !sandbox_stopped(); round++) {
		json_t *run = verb_drill_run_settled(drill, scenario, round, VERB_DRILL_KIND_OWN);

		if (drill->compare && scenario_is_comparable(scenario) && !sandbox_stopped())
			compare_attach(run,
				verb_drill_run_settled(
					drill, scenario, round, VERB_DRILL_KIND_RIVAL),
				drill->rival);
		if (!drill->args.json)
			verdict_print(stdout, run);
		(void)fflush(stdout);
		(void)json_array_append_new(runs, run);
	}
}

/* What does not fit this cluster is passed over in 'all', and an error when asked for by name. */
static bool verb_drill_passed_over(
	const struct verb_drill *drill, const struct scenario *scenario, json_t *runs, bool by_name)
{
	const char *why = scenario_unfit(scenario, drill->cfg);

	if (!why)
		return false;
	if (by_name)
		(void)json_array_append_new(
			runs, verdict_error(scenario->name, why, drill->report_dir));
	(void)fprintf(stderr, "%s: passed over: %s\n", scenario->name, why);
	return true;
}

static json_t *verb_drill_run_all(const struct verb_drill *drill, const char *word)
{
	json_t *runs = json_array();

	if (drill->own) {
		if (!verb_drill_passed_over(drill, &drill->own->scenario, runs, true))
			verb_drill_run_rounds(drill, &drill->own->scenario, runs);
		return runs;
	}
	for (unsigned int i = 0; i < scenario_count() && !sandbox_stopped(); i++) {
		const struct scenario *scenario = scenario_nth(i);
		bool all = strcmp(word, "all") == 0;

		if (!all && strcmp(word, scenario->name) != 0)
			continue;
		if (!verb_drill_passed_over(drill, scenario, runs, !all))
			verb_drill_run_rounds(drill, scenario, runs);
	}
	return runs;
}

/* The config is judged here already, so that its errors are the command's and cost no sandbox. */
static bool verb_drill_config_good(struct verb_drill *drill)
{
	struct config_errors *errors = calloc(1, sizeof(*errors));
	struct config *cfg = errors ? config_load(drill->config_path, NULL, errors) : NULL;

	if (!cfg && errors)
		config_errors_print(errors, stderr);
	drill->cfg = cfg;
	free(errors);
	return cfg != NULL;
}

static struct scenario_file *verb_drill_load_file(const char *path)
{
	struct scenario_file *file = calloc(1, sizeof(*file));
	struct config_errors *errors = calloc(1, sizeof(*errors));
	bool good = file && errors && scenario_file_load(path, file, errors);

	if (!good && errors)
		config_errors_print(errors, stderr);
	free(errors);
	if (!good) {
		free(file);
		file = NULL;
	}
	return file;
}

/* A word with a slash or an ending names a file. False: it, or --objectives, has errors. */
static bool verb_drill_load_own(struct verb_drill *drill, const char *word)
{
	if (strchr(word, '/') || strchr(word, '.')) {
		drill->own = verb_drill_load_file(word);
		if (!drill->own)
			return false;
	}
	if (drill->objectives_path)
		drill->objectives = verb_drill_load_file(drill->objectives_path);
	return !drill->objectives_path || drill->objectives;
}

/* Whoever wants to know later, who it was: not "root" when it can be helped. */
static const char *verb_drill_operator(const struct verb_drill *drill)
{
	const char *name = drill->live_options.by;

	name = name ? name : getenv("SUDO_USER");
	name = name ? name : getenv("LOGNAME");
	return name ? name : "root";
}

/* The report on disk says more than what goes to a pipe: which cluster, who, where, when. */
static void verb_drill_keep(const struct verb_drill *drill, const char *word, const json_t *runs)
{
	char fingerprint[2 * CRYPTO_HASH_BYTES + 1];
	char time_text[CLOCK_TEXT_MAX];
	struct utsname machine = {0};
	json_t *document;
	int r;

	for (unsigned int i = 0; i < CRYPTO_HASH_BYTES; i++)
		(void)snprintf(fingerprint + 2 * (size_t)i, 3, "%02x", drill->cfg->fingerprint[i]);
	(void)uname(&machine);
	document = json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:O}", "schema",
		VERB_DRILL_SCHEMA, "time", clock_render(drill->started_us, time_text), "what", word,
		"cluster", drill->cfg->cluster, "config", drill->config_path, "config_fingerprint",
		fingerprint, "version", CARPOOL_VERSION, "host", machine.nodename, "kernel",
		machine.release, "operator", verb_drill_operator(drill), "runs",
		json_object_get(runs, "runs"));
	r = document ? archive_save(drill->report_dir, document) : -EINVAL;
	if (r == 0)
		r = archive_note_last(drill->report_base_dir, drill->report_dir, document);
	json_decref(document);
	if (r < 0)
		(void)fprintf(stderr, "carpool: the report could not be kept: %s\n", strerror(-r));
	else if (!drill->args.json)
		printf("\nreport: %s/report.html (.json, .txt, junit.xml)\n", drill->report_dir);
}

static int verb_drill_history(const struct verb_drill *drill)
{
	char base[PATH_MAX];
	json_t *reports;

	archive_base(drill->report_base, base, sizeof(base));
	reports = archive_load(base);
	if (drill->args.json) {
		json_t *document = json_pack("{s:O}", "drills", reports);

		(void)report_json(document);
		json_decref(document);
	} else {
		archive_print(stdout, reports);
	}
	json_decref(reports);
	return VERB_EXIT_DONE;
}

/* Said before anything is built: the other programs are not ours to install. */
static bool verb_drill_compare_fits(struct verb_drill *drill)
{
	char error[RIVAL_ERROR_MAX];
	const char *unfit = rival_unfit(drill->cfg);

	if (strcmp(drill->compare, "keepalived") != 0)
		unfit = "it knows keepalived";
	if (!unfit && !rival_find(drill->rival, error))
		unfit = error;
	if (!unfit)
		return true;
	report_error(drill->args.json, "COMPARE", unfit);
	return false;
}

static int verb_drill_run(struct verb_drill *drill, const struct args_spec *spec)
{
	const char *word = drill->args.word_count > 1 ? drill->args.words[1] : NULL;
	json_t *document;
	int exit_status;
	int r;

	if (!word)
		return args_fail(spec, &drill->args, "which scenario? 'carpool drill list' tells");
	if (drill->run_hooks && geteuid() == 0 && !drill->yes)
		return args_fail(spec, &drill->args,
			"--run-hooks runs your handlers and tracked scripts for real, here as "
			"root, and whatever they reach outside the sandbox is reached: add --yes");
	if (!verb_drill_load_own(drill, word)) {
		report_error(drill->args.json, "SCENARIO", "the scenario's file has errors");
		return VERB_EXIT_USAGE;
	}
	if (drill->own && drill->own->scenario.step_count == 0)
		return args_fail(spec, &drill->args, "%s has no steps:", word);
	if (drill->own)
		word = drill->own->name;
	else if (strcmp(word, "all") != 0 && !scenario_lookup(word))
		return args_fail(
			spec, &drill->args, "no scenario '%s'; 'carpool drill list' tells", word);
	if (!verb_drill_config_good(drill)) {
		report_error(drill->args.json, "CONFIG", "the config has errors");
		return VERB_EXIT_USAGE;
	}
	if (drill->compare && !verb_drill_compare_fits(drill))
		return VERB_DRILL_COULD_NOT;
	r = verb_drill_make_report(drill, word);
	if (r < 0)
		return args_fail(
			spec, &drill->args, "no directory for the report: %s", strerror(-r));
	document = json_pack("{s:o}", "runs", verb_drill_run_all(drill, word));
	exit_status = verdict_exit(json_object_get(document, "runs"));
	if (!drill->args.json && json_array_size(json_object_get(document, "runs")) > 1)
		verdict_print_table(stdout, json_object_get(document, "runs"));
	verb_drill_keep(drill, word, document);
	if (drill->args.json && !report_json(document))
		exit_status = VERB_DRILL_COULD_NOT;
	json_decref(document);
	return exit_status;
}

static const char *verb_drill_bad_live(struct verb_drill *drill)
{
	struct live_options *live = &drill->live_options;
	const char *word = drill->args.word_count > 1 ? drill->args.words[1] : "handover";

	live->quiet_ms = LIVE_QUIET_MS;
	live->limit_ms = LIVE_LIMIT_MS;
	live->observe_ms = drill->observe_ms > 0 ? drill->observe_ms : LIVE_OBSERVE_MS;
	if (strcmp(word, "handover") != 0)
		return "--live does a planned hand-over and back, and no other scenario";
	/* 0 is no duration: it says that the time does not matter. */
	if (drill->quiet_text && strcmp(drill->quiet_text, "0") == 0)
		live->quiet_ms = 0;
	else if (drill->quiet_text && !args_duration_ms(drill->quiet_text, &live->quiet_ms))
		return "--quiet wants 0 or a duration such as 10m";
	if (drill->limit_text && !args_duration_ms(drill->limit_text, &live->limit_ms))
		return "--limit wants a duration such as 1s";
	if (!live->probe && !drill->no_probe)
		return "--live wants --probe COMMAND (what runs 'carpool drill probe ADDRESS' on a "
		       "client host, such as 'ssh client carpool drill probe 10.2.0.100'), or "
		       "--no-probe: then nothing is measured";
	if (live->probe && drill->no_probe)
		return "--probe or --no-probe?";
	if (!live->reason && !drill->dry_run)
		return "--live wants --reason TEXT: it is logged on the nodes and kept in the "
		       "report";
	return NULL;
}

static int verb_drill_live(struct verb_drill *drill, const struct args_spec *spec)
{
	struct live_options *live = &drill->live_options;
	const char *bad = verb_drill_bad_live(drill);
	json_t *document, *run;
	int exit_status;
	size_t i;

	if (bad)
		return args_fail(spec, &drill->args, "%s", bad);
	if (!verb_drill_load_own(drill, "") || !verb_drill_config_good(drill)) {
		report_error(
			drill->args.json, "CONFIG", "the config or the objectives have errors");
		return VERB_EXIT_USAGE;
	}
	live->args = &drill->args;
	live->cfg = drill->cfg;
	live->by = verb_drill_operator(drill);
	live->objectives = drill->objectives ? &drill->objectives->objectives : NULL;
	if (drill->dry_run)
		return live_plan(live);
	if (verb_drill_make_report(drill, LIVE_WHAT) < 0)
		return args_fail(spec, &drill->args, "no directory for the report");
	live->report_dir = drill->report_dir;
	document = json_pack("{s:o}", "runs", live_run(live));
	exit_status = verdict_exit(json_object_get(document, "runs"));
	json_array_foreach (json_object_get(document, "runs"), i, run) {
		(void)json_object_set_new(run, "previous",
			archive_previous(drill->earlier, drill->cfg->cluster,
				json_string_value(json_object_get(run, "scenario")),
				drill->report_dir));
		if (!drill->args.json)
			verdict_print(stdout, run);
	}
	verb_drill_keep(drill, LIVE_WHAT, document);
	if (drill->args.json && !report_json(document))
		exit_status = VERB_DRILL_COULD_NOT;
	json_decref(document);
	return exit_status;
}

static int verb_drill_list(const struct verb_drill *drill)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < scenario_count(); i++) {
		const struct scenario *scenario = scenario_nth(i);

		(void)json_array_append_new(
			list, json_pack("{s:s,s:s,s:s}", "name", scenario->name, "summary",
				      scenario->summary, "description", scenario->description));
		if (!drill->args.json)
			printf("%-14s %s\n    %s\n\n", scenario->name, scenario->summary,
				scenario->description);
	}
	if (drill->args.json) {
		json_t *document = json_pack("{s:o}", "scenarios", list);

		(void)report_json(document);
		json_decref(document);
	} else {
		json_decref(list);
	}
	return VERB_EXIT_DONE;
}

static int verb_drill_lab(struct verb_drill *drill, const struct args_spec *spec)
{
	struct labserver_options options = {.no_start = drill->no_start};
	int r;

	if (!verb_drill_config_good(drill))
		return VERB_EXIT_USAGE;
	r = verb_drill_make_report(drill, "lab");
	if (r < 0)
		return args_fail(spec, &drill->args, "no directory for the logs: %s", strerror(-r));
	options.room = verb_drill_room(drill, drill->report_dir);
	r = sandbox_run(labserver_inside, &options);
	return r < 0 ? VERB_DRILL_COULD_NOT : r;
}

static int verb_drill_dispatch(struct verb_drill *drill, const struct args_spec *spec)
{
	const char *word = drill->args.word_count > 0 ? drill->args.words[0] : "";

	if (strcmp(word, "list") == 0)
		return verb_drill_list(drill);
	if (strcmp(word, "run") == 0)
		return drill->live ? verb_drill_live(drill, spec) : verb_drill_run(drill, spec);
	if (strcmp(word, "history") == 0)
		return verb_drill_history(drill);
	if (strcmp(word, "lab") == 0)
		return verb_drill_lab(drill, spec);
	return args_fail(spec, &drill->args, "list, run, history, probe, reflect or lab?");
}

/* One command a process: what was typed. */
static struct verb_drill verb_drill_words;

static const struct args_option verb_drill_options[] = {
	{"--config", "FILE", "the cluster (default: the installed one, else the example)", NULL,
		&verb_drill_words.config_path},
	{"--report", "DIR", "where reports go (default: /var/lib/carpool/drills)", NULL,
		&verb_drill_words.report_base},
	{"--repeat", "N", "each scenario N times, and the median", NULL,
		&verb_drill_words.repeat_text},
	{"--flows", "N", "N established flows in the master's table first", NULL,
		&verb_drill_words.flows_text},
	{"--rate", "HZ", "UDP probes a second (default 1000)", NULL, &verb_drill_words.rate_text},
	{"--link", "MBIT", "rate of the emulated links (default 1000; 0: no limit)", NULL,
		&verb_drill_words.link_text},
	{"--observe", "TIME", "from the last step to the judgement (default: the scenario's own)",
		NULL, &verb_drill_words.observe_text},
	{"--wait", "TIME", "until the cluster has to be at rest, before the fault (default 30s)",
		NULL, &verb_drill_words.steady_text},
	{"--objectives", "FILE", "what to demand: YAML, objectives: { outage: 50ms, ... }", NULL,
		&verb_drill_words.objectives_path},
	{"--client", "IF", "the interface of the client's side", NULL, &verb_drill_words.client},
	{"--server", "IF", "the interface of the server's side", NULL, &verb_drill_words.server},
	{"--seed", "N", "repeats what chance decided in the run that names it", NULL,
		&verb_drill_words.seed_text},
	{"--compare", "SYSTEM",
		"the same with keepalived (and conntrackd), side by side; they must be "
		"installed",
		NULL, &verb_drill_words.compare},
	{"--keep", NULL, "leave the lab standing after the run", &verb_drill_words.keep, NULL},
	{"--run-hooks", NULL, "run the operator's handlers, not stubs", &verb_drill_words.run_hooks,
		NULL},
	{"--yes", NULL, "yes, also as root (with --run-hooks)", &verb_drill_words.yes, NULL},
	{"--no-start", NULL, "lab: do not start the daemons", &verb_drill_words.no_start, NULL},
	{"--live", NULL, "run: the running cluster, by planned hand-overs, there and back",
		&verb_drill_words.live, NULL},
	{"--dry-run", NULL, "live: check, and tell the plan; touch nothing",
		&verb_drill_words.dry_run, NULL},
	{"--reason", "TEXT", "live: why; logged and kept", NULL,
		&verb_drill_words.live_options.reason},
	{"--operator", "NAME", "live: who (default: who logged in)", NULL,
		&verb_drill_words.live_options.by},
	{"--probe", "COMMAND", "live: what runs 'carpool drill probe ADDRESS' on a client host",
		NULL, &verb_drill_words.live_options.probe},
	{"--no-probe", NULL, "live: measure nothing", &verb_drill_words.no_probe, NULL},
	{"--group", "GROUP", "live: only this one", NULL, &verb_drill_words.live_options.group},
	{"--to", "NODE", "live: to this node (default: the best ready peer)", NULL,
		&verb_drill_words.live_options.to},
	{"--quiet", "TIME", "live: not so soon after the last live drill (default 10m)", NULL,
		&verb_drill_words.quiet_text},
	{"--limit", "TIME", "live: no answer for longer: back at once (default 1s)", NULL,
		&verb_drill_words.limit_text},
};

static const struct args_spec verb_drill_spec = {
	.synopsis = "carpool drill list | run SCENARIO|FILE|all [--config FILE] | run --live | "
		    "history | probe | reflect | lab",
	.text = verb_drill_text,
	.options = verb_drill_options,
	.option_count = ARRAY_LEN(verb_drill_options),
	.word_count_max = 2,
};

int verb_drill(int argc, char **argv)
{
	struct verb_drill *drill = &verb_drill_words;
	const char *bad;
	int exit_status;

	if (argc > 1 && strcmp(argv[1], "probe") == 0)
		return verb_probe_probe(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "reflect") == 0)
		return verb_probe_reflect(argc - 1, argv + 1);
	if (!args_parse(&verb_drill_spec, argc, argv, &drill->args, &exit_status))
		return exit_status;
	bad = verb_drill_bad_number(drill);
	if (bad)
		return args_fail(&verb_drill_spec, &drill->args, "%s", bad);
	verb_drill_default_config(drill);
	drill->started_us = clock_wall_us();
	cluster_note_self();
	exit_status = verb_drill_dispatch(drill, &verb_drill_spec);
	config_free(drill->cfg);
	json_decref(drill->earlier);
	free(drill->own);
	free(drill->objectives);
	return exit_status;
}
