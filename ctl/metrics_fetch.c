#include "ctl/metrics_fetch.h"

#include "ctl/ask.h"
#include "ctl/drill/archive.h"
#include "ctl/field.h"
#include "ctl/metrics_text.h"

#include "common/io/sysctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *metrics_fetch_ask(const struct args *args, enum ask_daemon daemon, const char *op)
{
	struct ask_error error;
	json_t *result = NULL;

	/* Its silence is told as carpool_up 0. */
	if (!ask_try(args, daemon, json_pack("{s:s}", "op", op), dur_ms(METRICS_FETCH_TIMEOUT_MS),
		    &result, &error))
		return NULL;
	return result;
}

/* metrics_fetch_sysctl: -1 where connection tracking is not loaded. */
static double metrics_fetch_sysctl(const char *name)
{
	int64_t value;

	return sysctl_read(name, &value) == 0 ? (double)value : -1;
}

char *metrics_fetch_text(const struct args *args, bool openmetrics)
{
	json_t *status = metrics_fetch_ask(args, ASK_CARPD, "status");
	json_t *carpd = status ? metrics_fetch_ask(args, ASK_CARPD, "metrics") : NULL;
	json_t *sync = metrics_fetch_ask(args, ASK_SYNCD, "status");
	json_t *syncd = sync ? metrics_fetch_ask(args, ASK_SYNCD, "metrics") : NULL;
	struct metrics_source source = {
		.version = CARPOOL_VERSION,
		.status = status,
		.carpd = carpd,
		.sync = sync,
		.syncd = syncd,
		.entries = metrics_fetch_sysctl("net/netfilter/nf_conntrack_count"),
		.entries_limit = metrics_fetch_sysctl("net/netfilter/nf_conntrack_max"),
	};
	json_t *drill = NULL;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (status && strcmp(args->runtime_dir, ARGS_RUNTIME_DIR) == 0)
		drill = archive_last(ARCHIVE_ROOT_DIR, field_text(status, "cluster"));
	source.drill = drill;
	if (out) {
		metrics_text_render(out, &source, openmetrics);
		if (fclose(out) != 0) {
			free(text);
			text = NULL;
		}
	}
	json_decref(drill);
	json_decref(status);
	json_decref(carpd);
	json_decref(sync);
	json_decref(syncd);
	return text;
}

json_t *metrics_fetch_json(const struct args *args)
{
	return json_pack("{s:o?,s:o?}", "carpd", metrics_fetch_ask(args, ASK_CARPD, "metrics"),
		"syncd", metrics_fetch_ask(args, ASK_SYNCD, "metrics"));
}
