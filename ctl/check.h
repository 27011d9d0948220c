/* check.h: everything that can be wrong before a daemon starts, found in one run.
 *
 * Config first; then, when it can be read, the key files, the programs of its handlers and the
 * rulesets, each error at the place of the config (or of the nft file) that it belongs to. */
#ifndef CTL_CHECK_H
#define CTL_CHECK_H

#include "config/config.h"
#include "rules/rules.h"

#include <jansson.h>
#include <stdio.h>

struct check {
	struct config *cfg;    /* NULL when the file itself is wrong */
	char node[LIMIT_NAME]; /* whose view; "" when this host is no node of the file */
	bool node_guessed;     /* from the host's name */
	struct config_errors errors;
	struct rules_report rules; /* lines "FILE:LINE:COL: text" */
	bool rules_checked; /* all of them were tried, those of the first node when `node` is "" */
};

/* check_run: `node` NULL: the host's name, when the file has such a node. The result is the
 * caller's (check_free()); NULL without memory. */
struct check *check_run(const char *path, const char *node);
void check_free(struct check *check);

/* check_ok: nothing is wrong, and everything was looked at. */
bool check_ok(const struct check *check);

/* check_print: every error, one a line, on `errors`; one line on `out` when there is none. */
void check_print(const struct check *check, FILE *out, FILE *errors);

/* check_json: {"ok":...,"file":...,"node":...,"fingerprint":...,"errors":[{"file":...,"line":...,
 * "column":...,"text":...}],"errors_lost":0,"rules":{"checked":...,"errors":["FILE:LINE:COL:
 * text"]},"notes":["what is good and yet worth knowing"]}; the caller's. */
json_t *check_json(const struct check *check);

#endif
