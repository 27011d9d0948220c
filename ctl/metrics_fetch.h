/* metrics_fetch.h: asks both daemons for what `carpool metrics` shows, and renders it.
 *
 * Needs no rights: `status` and `metrics` are for everybody. A daemon that does not answer is a
 * carpool_up of 0, not an error: that is what a monitor wants to hear. */
#ifndef CTL_METRICS_FETCH_H
#define CTL_METRICS_FETCH_H

#include "ctl/args.h"

#include <jansson.h>
#include <stdbool.h>

#define METRICS_FETCH_TIMEOUT_MS 2000 /* each daemon, each of its two answers */

/* metrics_fetch_text: the whole text, the caller's (free); NULL without memory. */
char *metrics_fetch_text(const struct args *args, bool openmetrics);

/* metrics_fetch_json: the daemons' own answers: {"carpd":...|null,"syncd":...|null}; the caller's.
 */
json_t *metrics_fetch_json(const struct args *args);

#endif
