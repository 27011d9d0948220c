#include "ctl/drill/archive.h"

#include "ctl/drill/html.h"
#include "ctl/drill/html_chart.h"
#include "ctl/drill/verdict.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARCHIVE_LAST_FILE "last.json" /* in the base folder */

void archive_base(const char *given, char *path, size_t size_bytes)
{
	const char *home = getenv("HOME");

	if (given)
		(void)snprintf(path, size_bytes, "%s", given);
	else if (geteuid() == 0)
		(void)snprintf(path, size_bytes, "%s", ARCHIVE_ROOT_DIR);
	else
		(void)snprintf(path, size_bytes, "%s/%s", home ? home : ".", ARCHIVE_USER_DIR);
}

static const char *archive_string(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* The median outage of each scenario that could be run, and what became of it: the worst. */
static json_t *archive_scenarios(const json_t *runs)
{
	json_t *scenarios = json_object();
	double *values = calloc(HTML_CHART_RUNS_MAX, sizeof(*values));
	json_t *run;
	size_t i;

	json_array_foreach (runs, i, run) {
		const char *name = archive_string(run, "scenario");
		const json_t *seen = json_object_get(scenarios, name);
		const char *verdict = archive_string(run, "verdict");
		size_t count = values ? html_chart_values(runs, name, values) : 0;

		if (seen && strcmp(archive_string(seen, "verdict"), "pass") != 0)
			continue;
		(void)json_object_set_new(scenarios, name,
			json_pack("{s:s,s:o}", "verdict", verdict, "outage_ms",
				count ? json_real(html_chart_median(values, count)) : json_null()));
	}
	free(values);
	return scenarios;
}

static json_t *archive_digest(const json_t *document, const char *folder)
{
	const json_t *runs = json_object_get(document, "runs");
	size_t passed = 0;
	const char *verdict = json_array_size(runs) > 0 ? "pass" : "error";
	json_t *run;
	size_t i;

	json_array_foreach (runs, i, run) {
		const char *its = archive_string(run, "verdict");

		passed += strcmp(its, "pass") == 0;
		if (strcmp(its, "error") == 0 ||
			(strcmp(its, "fail") == 0 && strcmp(verdict, "pass") == 0))
			verdict = its;
	}
	return json_pack("{s:s,s:s,s:s,s:I,s:I,s:s,s:s,s:s,s:o}", "time",
		archive_string(document, "time"), "what", archive_string(document, "what"),
		"verdict", verdict, "passed", (json_int_t)passed, "total",
		(json_int_t)json_array_size(runs), "cluster", archive_string(document, "cluster"),
		"config_fingerprint", archive_string(document, "config_fingerprint"), "report",
		folder, "scenarios", archive_scenarios(runs));
}

json_t *archive_load(const char *base)
{
	json_t *reports = json_array();
	struct dirent **entries = NULL;
	int count = scandir(base, &entries, NULL, alphasort); /* the names begin with the time */

	for (int i = 0; i < count; i++) {
		char path[PATH_MAX];
		json_t *document;

		/* Of very many the newest: they are the last. */
		if (entries[i]->d_name[0] != '.' && count - i <= (int)ARCHIVE_REPORTS_MAX &&
			snprintf(path, sizeof(path), "%s/%s/" ARCHIVE_FILE, base,
				entries[i]->d_name) < (int)sizeof(path)) {
			document = json_load_file(path, 0, NULL);
			*strrchr(path, '/') = '\0';
			if (json_is_array(json_object_get(document, "runs")) &&
				archive_string(document, "time")[0] != '\0')
				(void)json_array_append_new(
					reports, archive_digest(document, path));
			json_decref(document);
		}
		free(entries[i]);
	}
	free(entries);
	return reports;
}

json_t *archive_previous(
	const json_t *reports, const char *cluster, const char *scenario, const char *skip)
{
	for (size_t i = json_array_size(reports); i > 0; i--) {
		const json_t *report = json_array_get(reports, i - 1);
		const json_t *found =
			json_object_get(json_object_get(report, "scenarios"), scenario);

		if (!json_is_number(json_object_get(found, "outage_ms")) ||
			strcmp(archive_string(report, "cluster"), cluster) != 0 ||
			strcmp(archive_string(report, "report"), skip) == 0)
			continue;
		return json_pack("{s:s,s:f,s:s,s:s,s:s}", "time", archive_string(report, "time"),
			"outage_ms", json_number_value(json_object_get(found, "outage_ms")),
			"verdict", archive_string(found, "verdict"), "config_fingerprint",
			archive_string(report, "config_fingerprint"), "report",
			archive_string(report, "report"));
	}
	return NULL;
}

int archive_note_last(const char *base, const char *folder, const json_t *document)
{
	json_t *digest = archive_digest(document, folder);
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/" ARCHIVE_LAST_FILE, base);
	r = json_dump_file(digest, path, JSON_INDENT(1));
	json_decref(digest);
	return r < 0 ? -EIO : 0;
}

json_t *archive_last(const char *base, const char *cluster)
{
	char path[PATH_MAX];
	json_t *digest;

	(void)snprintf(path, sizeof(path), "%s/" ARCHIVE_LAST_FILE, base);
	digest = json_load_file(path, 0, NULL);
	if (digest && strcmp(archive_string(digest, "cluster"), cluster) == 0)
		return digest;
	json_decref(digest);
	return NULL;
}

static void archive_write_text(FILE *out, const json_t *document)
{
	const json_t *runs = json_object_get(document, "runs");
	json_t *run;
	size_t i;

	(void)fprintf(out, "drill of %s, %s: %s\n", archive_string(document, "cluster"),
		archive_string(document, "time"), archive_string(document, "what"));
	json_array_foreach (runs, i, run)
		verdict_print(out, run);
	if (json_array_size(runs) > 1)
		verdict_print_table(out, runs);
}

int archive_save(const char *folder, const json_t *document)
{
	static const struct {
		const char *name;
		void (*write)(FILE *out, const json_t *document);
	} papers[] = {{"report.html", html_write}, {"report.txt", archive_write_text},
		{"junit.xml", junit_write}};
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/" ARCHIVE_FILE, folder);
	if (json_dump_file(document, path, JSON_INDENT(1)) < 0)
		return -EIO;
	for (size_t i = 0; i < sizeof(papers) / sizeof(papers[0]); i++) {
		FILE *out;
		bool good;

		(void)snprintf(path, sizeof(path), "%s/%s", folder, papers[i].name);
		out = fopen(path, "we");
		if (!out)
			return -errno;
		papers[i].write(out, document);
		good = !ferror(out);
		if (fclose(out) != 0 || !good)
			return -EIO;
	}
	return 0;
}

void archive_print(FILE *out, const json_t *reports)
{
	json_t *report;
	size_t i;

	if (json_array_size(reports) == 0)
		(void)fprintf(out, "no drill has been kept; 'carpool drill run all' makes one\n");
	json_array_foreach (reports, i, report) {
		const json_t *scenarios = json_object_get(report, "scenarios");
		const json_t *outage = json_object_get(
			json_object_get(scenarios, archive_string(report, "what")), "outage_ms");

		(void)fprintf(out, "%.19s  %-18s %-5s %3lld of %-3lld",
			archive_string(report, "time"), archive_string(report, "what"),
			archive_string(report, "verdict"),
			(long long)json_integer_value(json_object_get(report, "passed")),
			(long long)json_integer_value(json_object_get(report, "total")));
		if (json_is_number(outage))
			(void)fprintf(out, " %8.1f ms", json_number_value(outage));
		(void)fprintf(out, "\n  %s\n", archive_string(report, "report"));
	}
}
