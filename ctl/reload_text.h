/* reload_text.h: the answer to `reload`: {"changes":["groups.edge.advskew: 0 -> 100", ...],
 * "warnings":[...]}. Pure. */
#ifndef CTL_RELOAD_TEXT_H
#define CTL_RELOAD_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

void reload_text_render(FILE *out, const json_t *result, bool diff);

#endif
