/* event_text.h: one line of the live stream. Pure. */
#ifndef CTL_EVENT_TEXT_H
#define CTL_EVENT_TEXT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* event_text_render: a "transition" as history shows it; anything else as its time, its name and
 * its fields. `now_wall_us` stands in where the event carries no time. */
void event_text_render(FILE *out, const json_t *event, int64_t now_wall_us);

#endif
