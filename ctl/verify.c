#include "ctl/verify.h"

#include "ctl/ask.h"
#include "ctl/field.h"
#include "ctl/flow_text.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include <stdlib.h>
#include <time.h>

struct verify_pass {
	json_t *found;	/* by identity: the differences that every pass until now has named */
	json_t *before; /* those of the passes before, NULL in the first */
	json_t *summary;
	size_t listed;
};

/* verify_identity: what makes two passes' differences the same one. Free it. */
static char *verify_identity(const json_t *item)
{
	static const char *const keys[] = {"node", "where", "kind", "proto", "zone", "orig"};
	json_t *identity = json_object();
	char *text;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		json_object_set(identity, keys[i], json_object_get(item, keys[i]));
	text = json_dumps(identity, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(identity);
	return text;
}

static int verify_on_item(const json_t *item, void *context)
{
	struct verify_pass *pass = context;
	char *identity;

	if (json_object_get(item, "summary")) {
		json_decref(pass->summary);
		pass->summary = json_incref(json_object_get(item, "summary"));
		return 0;
	}
	identity = verify_identity(item);
	pass->listed++;
	if (identity && (!pass->before || json_object_get(pass->before, identity)))
		json_object_set_new(pass->found, identity, json_deep_copy(item));
	free(identity);
	return 0;
}

/* verify_unlisted: so many differences that not all were named: whether they persist is unknown. */
static double verify_unlisted(const struct verify_pass *pass)
{
	return field_number(pass->summary, "differences", 0) - (double)pass->listed;
}

static json_t *verify_unproven(const json_t *summary)
{
	json_t *list = json_array();
	const json_t *peer;
	size_t index;

	if (!field_bool(summary, "kernel_read", false))
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "node", field_text(summary, "node"), "reason",
				      "its kernel's table could not be read"));
	json_array_foreach (field_list(summary, "peers"), index, peer) {
		if (!field_bool(peer, "compared", false))
			json_array_append_new(
				list, json_pack("{s:s, s:s}", "node", field_text(peer, "node"),
					      "reason", field_text(peer, "reason")));
	}
	return list;
}

/* ---- the result ---- */

static json_t *verify_document(const struct verify_pass *pass, int passes, bool equal)
{
	json_t *list = json_array(), *item;
	const char *identity;

	json_object_foreach (pass->found, identity, item) {
		json_array_append(list, item);
	}
	return json_pack("{s:{s:b, s:s, s:I, s:i, s:o, s:I, s:o}}", "verify", "equal", equal,
		"node", field_text(pass->summary, "node"), "flows",
		(json_int_t)field_number(pass->summary, "flows", 0), "passes", passes,
		"differences", list, "unlisted", (json_int_t)verify_unlisted(pass), "unproven",
		verify_unproven(pass->summary));
}

static void verify_text_difference(const json_t *item)
{
	printf("%s of ", field_is(item, "where", "kernel") ? "kernel" : "table");
	field_print(stdout, field_text(item, "node"), 0);
	if (field_is(item, "kind", "differs")) {
		fputs(" differs in ", stdout);
		field_print_list(stdout, field_list(item, "fields"));
	} else {
		fputs(field_is(item, "kind", "missing") ? " lacks" : " has in addition", stdout);
	}
	fputs(": ", stdout);
	flow_text_render(stdout, item);
}

static void verify_text(const json_t *document)
{
	const json_t *verify = json_object_get(document, "verify"), *item;
	size_t index;

	json_array_foreach (field_list(verify, "differences"), index, item) {
		verify_text_difference(item);
	}
	if (field_number(verify, "unlisted", 0) > 0)
		printf("and %.0f differences that are not listed\n",
			field_number(verify, "unlisted", 0));
	json_array_foreach (field_list(verify, "unproven"), index, item) {
		fputs("not proven: ", stdout);
		field_print(stdout, field_text(item, "node"), 0);
		fputs(": ", stdout);
		field_print(stdout, field_text(item, "reason"), 0);
		fputc('\n', stdout);
	}
	printf("%.0f flows: %s\n", field_number(verify, "flows", 0),
		field_bool(verify, "equal", false) ? "equal in all tables and kernels"
						   : "NOT EQUAL, or not proven");
}

static int verify_report(const struct args *args, const struct verify_pass *pass, int passes)
{
	json_t *unproven = verify_unproven(pass->summary);
	bool equal = json_object_size(pass->found) == 0 && verify_unlisted(pass) <= 0 &&
		     json_array_size(unproven) == 0;
	json_t *document = verify_document(pass, passes, equal);
	bool told = true;

	if (args->json)
		told = report_json(document);
	else
		verify_text(document);
	json_decref(document);
	json_decref(unproven);
	return equal && told ? VERB_EXIT_DONE : VERB_EXIT_FAILED;
}

int verify_run(const struct args *args)
{
	const struct timespec pause = {.tv_sec = VERIFY_PAUSE_MS / 1000};
	struct verify_pass pass = {0};
	struct ask_error error;
	int passes = 0, exit_status = VERB_EXIT_FAILED;
	bool more = true, asked = true;

	while (asked && more && passes < VERIFY_PASSES) {
		if (passes++ > 0)
			(void)nanosleep(&pause, NULL); /* a shorter pause is no harm */
		json_decref(pass.before);
		pass.before = pass.found;
		pass.found = json_object();
		pass.listed = 0;
		asked = ask_stream(args, ASK_SYNCD, json_pack("{s:s}", "op", "verify"),
			dur_ms(VERIFY_SILENCE_MS), verify_on_item, &pass, &error);
		more = json_object_size(pass.found) > 0 || verify_unlisted(&pass) > 0;
	}
	if (asked)
		exit_status = verify_report(args, &pass, passes);
	else
		report_error(args->json, error.code, error.text);
	json_decref(pass.before);
	json_decref(pass.found);
	json_decref(pass.summary);
	return exit_status;
}
