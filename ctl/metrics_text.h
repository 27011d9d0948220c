/* metrics_text.h: what the daemons count, in the text formats that Prometheus reads. Pure.
 *
 * The names are those of design section 10; doc/metrics.md lists them. Besides, the names that
 * dashboards for keepalived know (keepalived_vrrp_state, ...) are told of the same facts. What a
 * daemon does not tell (because it is down, or of another version) is left out, never invented. */
#ifndef CTL_METRICS_TEXT_H
#define CTL_METRICS_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* All borrowed for the call; NULL: not known. */
struct metrics_source {
	const char *version;
	const json_t *status; /* carpd's `status` */
	const json_t *carpd;  /* carpd's `metrics` */
	const json_t *sync;   /* syncd's `status` */
	const json_t *syncd;  /* syncd's `metrics` */
	const json_t *drill;  /* archive_last() */
	double entries;	      /* of the kernel's connection table; negative: not known */
	double entries_limit;
};

/* metrics_text_render: Prometheus' text format 0.0.4, or, with `openmetrics`, OpenMetrics 1.0. */
void metrics_text_render(FILE *out, const struct metrics_source *source, bool openmetrics);

#endif
