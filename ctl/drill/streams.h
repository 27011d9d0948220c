/* streams.h: the probes beside the UDP stream: what they mean, and how it is told. Pure. */
#ifndef CTL_DRILL_STREAMS_H
#define CTL_DRILL_STREAMS_H

#include "ctl/drill/measure.h"

#include <jansson.h>
#include <stdio.h>

/* streams_judge: sentences into `reasons`. `bound_ns` is the outage that is allowed, where
 * something may be lost at all. A stream bears its own resolution: what it cannot tell is no
 * failure. */
void streams_judge(const struct measure *measure, int64_t bound_ns, json_t *reasons);

/* streams_json: the array "streams" of a run, the caller's. */
json_t *streams_json(const struct measure *measure);

/* streams_print: of a run's document, for people, at most 80 columns. */
void streams_print(FILE *out, const json_t *run);

#endif
