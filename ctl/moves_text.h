/* moves_text.h: what a command moved: {"groups":[{"group","from","to","ms"}]}, the answer to
 * `handover` and `maintenance`. Pure. */
#ifndef CTL_MOVES_TEXT_H
#define CTL_MOVES_TEXT_H

#include <jansson.h>
#include <stdio.h>

void moves_text_render(FILE *out, const json_t *result);

#endif
