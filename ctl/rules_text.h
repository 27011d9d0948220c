/* rules_text.h: the answer to `carpool rules` for people. Pure. */
#ifndef CTL_RULES_TEXT_H
#define CTL_RULES_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* rules_text_render: `result` of the op rules. */
void rules_text_render(FILE *out, const json_t *result);

/* rules_text_drifts: whether any group's rules are not what was loaded. */
bool rules_text_drifts(const json_t *result);

#endif
