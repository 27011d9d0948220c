/* How a run's document is told to people. See verdict.h. */
#include "ctl/drill/verdict.h"

#include "ctl/drill/compare.h"
#include "ctl/drill/streams.h"

#include <stdlib.h>
#include <string.h>

static double verdict_number(const json_t *run, const char *object, const char *name)
{
	const json_t *from = object ? json_object_get(run, object) : run;

	return json_number_value(json_object_get(from, name));
}

static long long verdict_count(const json_t *run, const char *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(json_object_get(run, object), name));
}

static const char *verdict_text(const json_t *run, const char *object, const char *name)
{
	const json_t *from = object ? json_object_get(run, object) : run;
	const char *text = json_string_value(json_object_get(from, name));

	return text ? text : "?";
}

static void verdict_print_list(FILE *out, const json_t *run, const char *name, const char *label)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(run, name), i, item)
		(void)fprintf(out, "  %-12s %s\n", label, json_string_value(item));
}

static void verdict_print_stages(FILE *out, const json_t *run)
{
	json_t *stage;
	size_t i;

	json_array_foreach (json_object_get(run, "stages"), i, stage)
		(void)fprintf(out, "%s %s %.2f", i == 0 ? "  stages      " : ",",
			json_string_value(json_object_get(stage, "stage")),
			json_number_value(json_object_get(stage, "us")) / 1000.0);
	if (json_array_size(json_object_get(run, "stages")) > 0)
		(void)fprintf(out, " ms\n");
}

static void verdict_print_split(FILE *out, const json_t *run)
{
	const char *const names[] = {"detect", "decide", "activate", "learn"};
	const char *comma = "";

	if (!json_is_object(json_object_get(run, "split")))
		return;
	(void)fprintf(out, "  of these    ");
	for (unsigned int i = 0; i < 4; i++) {
		char key[32];
		const json_t *value;

		(void)snprintf(key, sizeof(key), "%s_ms", names[i]);
		value = json_object_get(json_object_get(run, "split"), key);
		if (json_is_number(value))
			(void)fprintf(
				out, "%s %s %.1f ms", comma, names[i], json_number_value(value));
		else if (i != 1) /* often nothing is to be decided */
			(void)fprintf(out, "%s %s ?", comma, names[i]);
		comma = ",";
	}
	(void)fprintf(out, "\n");
}

static void verdict_print_previous(FILE *out, const json_t *run)
{
	if (json_is_object(json_object_get(run, "previous")))
		(void)fprintf(out, "  before       %.1f ms, %s (%.19s)\n",
			verdict_number(run, "previous", "outage_ms"),
			verdict_text(run, "previous", "verdict"),
			verdict_text(run, "previous", "time"));
}

void verdict_print(FILE *out, const json_t *run)
{
	const char *verdict = verdict_text(run, NULL, "verdict");
	bool planned = verdict_number(run, NULL, "overlap_ms") > 0;

	(void)fprintf(out, "\n%s: %s\n", verdict_text(run, NULL, "scenario"),
		strcmp(verdict, "pass") == 0   ? "PASS"
		: strcmp(verdict, "fail") == 0 ? "FAIL"
					       : "COULD NOT RUN");
	verdict_print_list(out, run, "reasons", "because");
	if (verdict_is_measured(run)) {
		(void)fprintf(out, "  master       %s -> %s", verdict_text(run, "master", "before"),
			verdict_text(run, "master", "after"));
		if (json_is_string(json_object_get(run, "reason")))
			(void)fprintf(out, " (%s)", verdict_text(run, NULL, "reason"));
		(void)fprintf(out, "\n");
		(void)fprintf(out,
			"  outage       %.1f ms (+-%.1f) by time stamps; %.1f by loss, %.1f by "
			"time\n",
			verdict_number(run, NULL, "outage_ms"),
			verdict_number(run, NULL, "resolution_ms"),
			verdict_number(run, "methods", "loss_ms"),
			verdict_number(run, "methods", "time_ms"));
		verdict_print_split(out, run);
		verdict_print_stages(out, run);
		(void)fprintf(out, "  probes       %lld sent, %lld lost\n",
			verdict_count(run, "probes", "sent"), verdict_count(run, "probes", "lost"));
		(void)fprintf(out, "  TCP          %lld of %lld connections survived\n",
			verdict_count(run, "tcp", "survived"), verdict_count(run, "tcp", "total"));
		(void)fprintf(out, "  flows        %lld of %lld survived\n",
			verdict_count(run, "flows", "survived"),
			verdict_count(run, "flows", "before"));
		(void)fprintf(out, "  two masters  %.1f ms%s",
			verdict_number(run, NULL, "dual_master_ms"), planned ? "" : "\n");
		if (planned)
			(void)fprintf(out, " (overlap of the hand-over: %.1f ms)\n",
				verdict_number(run, NULL, "overlap_ms"));
	}
	streams_print(out, run);
	compare_print(out, run);
	verdict_print_previous(out, run);
	verdict_print_list(out, run, "notes", "note");
	(void)fprintf(out, "  seed         %lld\n",
		(long long)json_integer_value(json_object_get(run, "seed")));
	(void)fprintf(out, "  report       %s\n", verdict_text(run, NULL, "report"));
}

static int verdict_compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median outage of the runs of one scenario that could be run. */
static void verdict_print_median(FILE *out, const json_t *runs, const char *scenario)
{
	double *values = calloc(json_array_size(runs) + 1, sizeof(*values));
	size_t count = 0;
	json_t *run;
	size_t i;

	if (!values)
		return;
	json_array_foreach (runs, i, run)
		if (strcmp(verdict_text(run, NULL, "scenario"), scenario) == 0 &&
			json_is_number(json_object_get(run, "outage_ms")))
			values[count++] = verdict_number(run, NULL, "outage_ms");
	if (count > 1) {
		qsort(values, count, sizeof(*values), verdict_compare);
		(void)fprintf(out, "%-17s median outage of %zu runs: %.1f ms (%.1f to %.1f)\n",
			scenario, count, (values[(count - 1) / 2] + values[count / 2]) / 2,
			values[0], values[count - 1]);
	}
	free(values);
}

void verdict_print_table(FILE *out, const json_t *runs)
{
	const char *last = "";
	json_t *run;
	size_t i;

	(void)fprintf(out, "\n%-17s %-7s %9s %6s %7s %17s %8s\n", "scenario", "verdict", "outage",
		"lost", "TCP", "flows", "2 masters");
	json_array_foreach (runs, i, run) {
		const char *verdict = verdict_text(run, NULL, "verdict");

		if (!verdict_is_measured(run)) {
			(void)fprintf(out, "%-17s %s\n", verdict_text(run, NULL, "scenario"),
				strcmp(verdict, "error") == 0 ? "could not run"
							      : "fail    before the fault");
			continue;
		}
		(void)fprintf(out, "%-17s %-7s %6.1f ms %6lld %3lld/%-3lld %8lld/%-8lld %5.1f ms\n",
			verdict_text(run, NULL, "scenario"), verdict,
			verdict_number(run, NULL, "outage_ms"),
			verdict_count(run, "probes", "lost"), verdict_count(run, "tcp", "survived"),
			verdict_count(run, "tcp", "total"), verdict_count(run, "flows", "survived"),
			verdict_count(run, "flows", "before"),
			verdict_number(run, NULL, "dual_master_ms"));
	}
	json_array_foreach (runs, i, run) {
		const char *scenario = verdict_text(run, NULL, "scenario");

		if (strcmp(last, scenario) != 0)
			verdict_print_median(out, runs, scenario);
		last = scenario;
	}
	compare_print_table(out, runs);
}

int verdict_exit(const json_t *runs)
{
	int exit_status = json_array_size(runs) > 0 ? 0 : 2;
	json_t *run;
	size_t i;

	json_array_foreach (runs, i, run) {
		const char *verdict = verdict_text(run, NULL, "verdict");

		if (strcmp(verdict, "error") == 0)
			return 2;
		if (strcmp(verdict, "fail") == 0)
			exit_status = 1;
	}
	return exit_status;
}
