/* verb_metrics.c: `carpool metrics`: the counters once, as text; with --textfile as a file for
 * node_exporter's textfile collector, which sees the old one or the new one, never a half. */
#include "ctl/args.h"
#include "ctl/metrics_fetch.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int verb_metrics_write_file(const char *path, const char *text)
{
	char temporary[PATH_MAX];
	size_t length = strlen(text);
	int fd, r = 0;

	/* The collector reads *.prom alone: this name is none. */
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= sizeof(temporary))
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, length) != (ssize_t)length)
		r = -EIO;
	else if (fchmod(fd, 0644) != 0)
		r = -errno;
	if (close(fd) != 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(temporary, path) != 0)
		r = -errno;
	if (r < 0)
		(void)unlink(temporary); /* the error that matters is r */
	return r;
}

static int verb_metrics_text(const struct args *args, const char *path, bool openmetrics)
{
	char *text = metrics_fetch_text(args, openmetrics), complaint[512];
	int exit_status = VERB_EXIT_DONE, r;

	if (!text) {
		report_error(false, "FAILED", "no memory");
		return VERB_EXIT_FAILED;
	}
	if (!path) {
		fputs(text, stdout);
	} else {
		r = verb_metrics_write_file(path, text);
		if (r < 0) {
			snprintf(complaint, sizeof(complaint), "%.400s: %s", path, strerror(-r));
			report_error(false, "FAILED", complaint);
			exit_status = VERB_EXIT_FAILED;
		}
	}
	free(text);
	return exit_status;
}

int verb_metrics(int argc, char **argv)
{
	const char *path = NULL;
	bool openmetrics = false, done;
	const struct args_option options[] = {
		{"--textfile", "FILE", "replace this file (.prom) instead of printing", NULL,
			&path},
		{"--openmetrics", NULL, "OpenMetrics 1.0 instead of Prometheus' text format",
			&openmetrics, NULL},
	};
	const struct args_spec spec = {
		.synopsis = "carpool metrics [--openmetrics] [--textfile FILE] [--json]",
		.text = "What the daemons of this node count, once. A daemon that is down is "
			"carpool_up 0.\n"
			"'carpool exporter' serves the same to Prometheus.",
		.options = options,
		.option_count = ARRAY_LEN(options),
	};
	struct args args;
	json_t *document;
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	if (args.json && (path || openmetrics))
		return args_fail(&spec, &args, "--json goes with no other option");
	if (!args.json)
		return verb_metrics_text(&args, path, openmetrics);
	document = metrics_fetch_json(&args);
	done = report_json(document);
	json_decref(document);
	return done ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
}
