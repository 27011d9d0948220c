#include "ctl/listing.h"

#include "ctl/document.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include <errno.h>

struct listing_run {
	const struct listing *listing;
	struct document document;
	unsigned long long shown_count;
};

static int listing_on_item(const json_t *item, void *context)
{
	struct listing_run *run = context;
	const struct listing *listing = run->listing;

	if (listing->keep && !listing->keep(item, listing->context))
		return 0;
	run->shown_count++;
	if (listing->args->json)
		return document_item(&run->document, item);
	listing->render(stdout, item);
	return ferror(stdout) ? -EPIPE : 0;
}

/* listing_fail: before the first item the error is the document; later it ends the one begun. */
static int listing_fail(struct listing_run *run, const struct ask_error *error)
{
	bool json = run->listing->args->json;

	report_error(json && run->shown_count == 0, error->code, error->text);
	if (json && run->shown_count > 0)
		(void)document_end(&run->document, error->code, error->text); /* failed anyway */
	return VERB_EXIT_FAILED;
}

int listing_run(const struct listing *listing, json_t *request)
{
	struct listing_run run = {.listing = listing};
	struct ask_error error;

	document_init(&run.document, stdout, listing->name);
	if (!ask_stream(listing->args, listing->daemon, request, dur_ms(ASK_TIMEOUT_MS),
		    listing_on_item, &run, &error))
		return listing_fail(&run, &error);
	if (listing->args->json)
		return document_end(&run.document, NULL, NULL) == 0 ? VERB_EXIT_DONE
								    : VERB_EXIT_FAILED;
	if (run.shown_count == 0)
		fprintf(stderr, "carpool: %s\n", listing->empty);
	return fflush(stdout) == 0 ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
}
