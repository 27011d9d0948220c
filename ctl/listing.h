/* listing.h: a streamed answer, item by item, as text or as one JSON document; for `history` and
 * `flows`. Nothing is kept: a million flows cost no more memory than one. */
#ifndef CTL_LISTING_H
#define CTL_LISTING_H

#include "ctl/args.h"
#include "ctl/ask.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct listing {
	const struct args *args;
	enum ask_daemon daemon;
	const char *name;  /* of the list in the JSON document: "transitions" */
	const char *empty; /* the sentence for people when there is nothing to show */
	bool (*keep)(const json_t *item, const void *context); /* NULL: all */
	const void *context;
	void (*render)(FILE *out, const json_t *item);
};

/* listing_run: asks, prints, reports errors; `request` is moved. The command's exit status. */
int listing_run(const struct listing *listing, json_t *request);

#endif
