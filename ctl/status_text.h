/* status_text.h: the status document as text for an operator at 3 a.m. Pure.
 *
 * First the judgement and its reasons, worst first; then each group: who is master, since when,
 * why; each peer with readiness and paths; then rules and synchronisation. Nothing is shown as
 * "fine" in the same words as something broken: what is broken is in capitals. */
#ifndef CTL_STATUS_TEXT_H
#define CTL_STATUS_TEXT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

void status_text_render(FILE *out, const json_t *status, int64_t now_wall_us);

/* status_text_render_check: the one line of a monitoring plugin, with performance data. */
void status_text_render_check(FILE *out, const json_t *status);

#endif
