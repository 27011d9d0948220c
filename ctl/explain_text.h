/* explain_text.h: codes for people: what it is, what it means, what to do. Pure. */
#ifndef CTL_EXPLAIN_TEXT_H
#define CTL_EXPLAIN_TEXT_H

#include "ctl/codes.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* explain_text_matches: a code by its name, in either case ("master_dead"). */
bool explain_text_matches(const struct code *code, const char *typed);

/* explain_text_render: one entry, two or three lines. */
void explain_text_render(FILE *out, const struct code *code);

/* explain_text_list: every entry, one line each, under its kind. */
void explain_text_list(FILE *out);

/* explain_text_json: {"kind","code","text","advice"|null}; the caller's. */
json_t *explain_text_json(const struct code *code);

#endif
