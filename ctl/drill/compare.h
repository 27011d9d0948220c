/* compare.h: another system's run of the same scenario beside ours: how it is told. Pure. */
#ifndef CTL_DRILL_COMPARE_H
#define CTL_DRILL_COMPARE_H

#include <jansson.h>
#include <stdio.h>

/* compare_attach: puts `other` (a run's document, taken over) into `run` as "compare", under the
 * system's name. */
void compare_attach(json_t *run, json_t *other, const char *system);

/* compare_print: of one run, for people; nothing without a comparison. */
void compare_print(FILE *out, const json_t *run);

/* compare_print_table: two lines a scenario; nothing when no run has a comparison. */
void compare_print_table(FILE *out, const json_t *runs);

/* compare_html: the same as a section of the page, for all runs; nothing when none has one. */
void compare_html(FILE *out, const json_t *runs);

#endif
