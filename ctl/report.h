/* report.h: how the command answers, the same for every verb: text for people, or one JSON
 * document. */
#ifndef CTL_REPORT_H
#define CTL_REPORT_H

#include <jansson.h>
#include <stdbool.h>

/* report_error: "carpool: TEXT" on standard error; with `json` also
 * {"error":{"code":CODE,"text":TEXT}} on standard output, so that a program that reads it always
 * gets one document. */
void report_error(bool json, const char *code, const char *text);

/* report_json: the document and a newline on standard output. False when standard output does not
 * take it (full disk, closed pipe). */
bool report_json(const json_t *document);

#endif
