/* history_text.h: transitions, one line each (design section 10), for `history` and `events`.
 * Pure. */
#ifndef CTL_HISTORY_TEXT_H
#define CTL_HISTORY_TEXT_H

#include <jansson.h>
#include <stdio.h>

/* history_text_render: "TIME  GROUP  FROM -> TO  REASON  numbers", then the stages with their times
 * on a second, indented line. `transition` as in `carpool history --json`. */
void history_text_render(FILE *out, const json_t *transition);

#endif
