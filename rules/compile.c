/* compile.c: an operator's file becomes canonical text that is known to load, asleep and awake.
 *
 * All of it happens in a scratch namespace (scratch.h), for each file:
 *   0. the kernel is asked, by trying, whether it does what the switch relies on (kernel.h);
 *   1. placeholder interfaces, so that `iif "ens3"` compiles;
 *   2. `nft -I FOLDER -f FILE`, as the operator would run it in the file's folder;
 *   3. the kernel's own list of tables is compared with the text's; what cannot be held asleep
 *      without harm is refused: flowtables (their hooks sit on the devices while the table sleeps);
 *   4. `nft -s list ruleset` gives the text (-s: without counters and expiry times, which would
 * make the text of a set's element wrong a second later);
 *   5. proof: everything is flushed, the text is loaded asleep with its canaries, woken by the very
 *      batch that the switch uses, listed again and compared. A kernel or nft that cannot do what
 *      the design relies on fails here, by behaviour, not by version. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/io/clock.h"
#include "rules/census.h"
#include "rules/compile.h"
#include "rules/kernel.h"
#include "rules/listing.h"
#include "rules/messages.h"
#include "rules/nfnl.h"
#include "rules/nft.h"
#include "rules/report.h"
#include "rules/scratch.h"

#define SOURCE_MAX_BYTES (64u << 20)
#define BATCH_BYTES	 32768u

struct rules_compiled {
	char *texts[RULES_ROLE_SHIELD]; /* never NULL */
	size_t table_count;
	struct rules_table tables[RULES_TABLES_MAX];
	uint8_t fingerprint[RULES_FINGERPRINT_BYTES];
};

/* What the child reads. */
struct job {
	const char *group;
	const char *file;
	char folder[RULES_FILE_MAX];
	enum rules_role role;
	size_t name_count;
	char names[COMPILE_INTERFACES_MAX][RULES_IFNAME_MAX];
};

/* What the child writes. */
struct outcome {
	struct rules_report report;
	size_t table_count;
	struct rules_table tables[RULES_TABLES_MAX];
	size_t length;
	char text[RULES_TEXT_MAX_BYTES];
};

size_t compile_interface_names(const struct rules_interface *interfaces, size_t interface_count,
	char names[static COMPILE_INTERFACES_MAX][RULES_IFNAME_MAX])
{
	struct if_nameindex *present = if_nameindex();
	size_t count = 0;

	for (size_t i = 0; i < interface_count && count < COMPILE_INTERFACES_MAX; i++)
		snprintf(names[count++], RULES_IFNAME_MAX, "%s", interfaces[i].name);
	for (size_t i = 0; present && present[i].if_name; i++) {
		if (count < COMPILE_INTERFACES_MAX)
			snprintf(names[count++], RULES_IFNAME_MAX, "%s", present[i].if_name);
	}
	if (present)
		if_freenameindex(present);
	return count;
}

/* read_source: the file's text for finding lines in it; "" when it cannot be read. */
static char *read_source(const char *path)
{
	FILE *file = fopen(path, "re");
	struct text t = {0};
	char part[4096];
	size_t got;

	text_add_string(&t, "");
	while (file && t.length < SOURCE_MAX_BYTES &&
		(got = fread(part, 1, sizeof(part), file)) > 0)
		text_add(&t, part, got);
	if (file)
		fclose(file);
	return t.bytes;
}

/* report_unreadable: nft does not read what it has listed itself; the line is in the listing. */
static void report_unreadable(
	const struct job *job, const char *listing, const char *errors, struct rules_report *report)
{
	const char *colon = strchr(errors, ':'), *word = strstr(errors, "Error: ");
	unsigned long line = colon ? strtoul(colon + 1, NULL, 10) : 0;

	for (unsigned long i = 1; i < line && listing; i++) {
		listing = strchr(listing, '\n');
		listing = listing ? listing + 1 : NULL;
	}
	if (!listing || line == 0)
		listing = "";
	listing += strspn(listing, "\t");
	word = word ? word + strlen("Error: ") : errors;
	report_add(report,
		"%s: cannot be held asleep: this nft lists \"%.*s\" and does not read that again: "
		"%.*s",
		job->file, (int)(strcspn(listing, "\n") > 200 ? 200 : strcspn(listing, "\n")),
		listing, (int)strcspn(word, "\n"), word);
}

/* run: nft with a report of what it said; 0, -EINVAL, other -errno. */
static int run(const struct job *job, const char *const *arguments, const char *input,
	size_t length, mono_t deadline, struct nft_output *ret, struct rules_report *report)
{
	int r = nft_run(arguments, job->folder, input, length, deadline, ret);

	if (r == -ENOENT)
		report_add(report, "%s: the nft program is not installed", job->file);
	else if (r == -ETIMEDOUT)
		report_add(report, "%s: nft did not finish in %u s", job->file,
			RULES_COMPILE_TIMEOUT_MS / 1000);
	else if (r < 0)
		report_add(report, "%s: running nft: %s", job->file, strerror(-r));
	if (r == 0 && ret->status != 0) {
		if (input)
			report_unreadable(job, input, ret->errors, report);
		else
			messages_parse(ret->errors, job->file, job->folder, report);
		nft_output_fini(ret);
		r = -EINVAL;
	}
	return r;
}

/* refuse: one line with the place in the source. */
static int refuse(const struct job *job, struct rules_report *report,
	const struct census_table *table, const char *word, const char *why)
{
	char *source = read_source(job->file);
	unsigned int line = 1;

	if (source)
		line = word ? messages_find_word(source, word)
			    : messages_find_table(source, table->family, table->name);
	free(source);
	report_add(report, "%s:%u:1: table %s %s: %s", job->file, line,
		listing_family_name(table->family), table->name, why);
	return -EINVAL;
}

/* check_tables: what the kernel has, against what may be held. */
static int check_tables(const struct job *job, const struct census *census, const struct outcome *o,
	struct rules_report *report)
{
	int r = 0;

	for (size_t i = 0; i < census->count; i++) {
		const struct census_table *t = &census->tables[i];

		if (t->name[0] == '\0') {
			report_add(report, "%s:1:1: a table's name is longer than %u characters",
				job->file, RULES_TABLE_NAME_MAX - 1);
			r = -EINVAL;
		} else if (!strncmp(t->name, RULES_SHIELD_PREFIX, strlen(RULES_SHIELD_PREFIX))) {
			r = refuse(job, report, t, NULL,
				"names that begin with " RULES_SHIELD_PREFIX " are carpool's own");
		} else if (t->ours) {
			r = refuse(job, report, t, RULES_CANARY_SET,
				"the set " RULES_CANARY_SET " is carpool's own");
		} else if (t->has_flowtable) {
			r = refuse(job, report, t, "flowtable",
				"a flowtable cannot be held ready: its hooks stay on the devices "
				"while the table sleeps");
		}
	}
	if (r == 0 && census->count != o->table_count) {
		report_add(report, "%s: the kernel holds %zu tables, nft lists %zu", job->file,
			census->count, o->table_count);
		r = -EINVAL;
	}
	for (size_t i = 0; i < o->table_count && r == 0; i++) {
		const struct census_table *t =
			census_lookup(census, o->tables[i].family, o->tables[i].name);

		if (!t || t->asleep != o->tables[i].sleeps_always) {
			report_add(report, "%s: nft and the kernel disagree on table %s", job->file,
				o->tables[i].name);
			r = -EINVAL;
		}
	}
	return r;
}

static int take_census(struct census *census)
{
	struct nfnl *n = malloc(sizeof(*n));
	int r = n ? nfnl_open(n, false) : -ENOMEM;

	if (r == 0) {
		r = census_take(n, census);
		nfnl_close(n);
	}
	free(n);
	return r;
}

static int keep_text(struct outcome *o, const struct nft_output *listing, const struct job *job,
	struct rules_report *report)
{
	int r = listing_tables(listing->out, listing->out_length, job->role, o->tables,
		RULES_TABLES_MAX - 1, &o->table_count);

	if (r == -E2BIG)
		report_add(report, "%s:1:1: more than %u tables", job->file, RULES_TABLES_MAX - 1);
	else if (r < 0)
		report_add(report,
			"%s: nft lists it in a form that carpool does not hold (table flags other "
			"than dormant, or an odd table name)",
			job->file);
	if (r < 0 || listing->out_length >= sizeof(o->text))
		return -EINVAL;
	memcpy(o->text, listing->out, listing->out_length + 1);
	o->length = listing->out_length;
	return 0;
}

/* delete_all: the tables, without nft: `flush ruleset` in the next transaction would make nft read
 * them all once more, and 100,000 rules take the kernel seconds to list. */
static int delete_all(const struct outcome *o)
{
	struct nfnl *n = malloc(sizeof(*n));
	char *memory = aligned_alloc(8, BATCH_BYTES);
	struct nfnl_batch b;
	int r = n && memory ? nfnl_open(n, false) : -ENOMEM;

	if (r < 0)
		goto out;
	nfnl_batch_begin(&b, memory, BATCH_BYTES, false);
	for (size_t i = 0; i < o->table_count; i++) {
		struct nlmsghdr *nlh = nfnl_batch_add(&b, NFT_MSG_DELTABLE, 0, o->tables[i].family);

		if (!nlh)
			break;
		mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, o->tables[i].name);
		nfnl_batch_added(&b, nlh);
	}
	if (o->table_count > 0)
		r = nfnl_batch_end(&b) ? nfnl_send_batch(n, b.start, b.used_bytes) : -E2BIG;
	nfnl_close(n);
out:
	free(memory);
	free(n);
	return r;
}

/* wake_all: every table that was loaded asleep, with the switch's own kind of batch. */
static int wake_all(const struct outcome *o)
{
	struct nfnl *n = malloc(sizeof(*n));
	char *memory = aligned_alloc(8, BATCH_BYTES);
	struct nfnl_batch b;
	bool any = false;
	int r = n && memory ? nfnl_open(n, false) : -ENOMEM;

	if (r < 0)
		goto out;
	nfnl_batch_begin(&b, memory, BATCH_BYTES, false);
	for (size_t i = 0; i < o->table_count; i++) {
		const struct rules_table *t = &o->tables[i];

		if (t->sleeps_always)
			continue;
		nfnl_batch_canary(&b, t->family, t->name);
		nfnl_batch_flip(&b, t->family, t->name, false);
		any = true;
	}
	if (any)
		r = nfnl_batch_end(&b) ? nfnl_send_batch(n, b.start, b.used_bytes) : -E2BIG;
	nfnl_close(n);
out:
	free(memory);
	free(n);
	return r;
}

/* first_difference: the line where two texts part, for the report. */
static void first_difference(
	const struct job *job, const char *had, const char *got, struct rules_report *report)
{
	size_t at = 0, start = 0;

	for (; had[at] && had[at] == got[at]; at++) {
		if (had[at] == '\n')
			start = at + 1;
	}
	report_add(report, "%s: cannot be held asleep: nft reads \"%.*s\" back as \"%.*s\"",
		job->file,
		(int)(strcspn(had + start, "\n") > 160 ? 160 : strcspn(had + start, "\n")),
		had + start,
		(int)(strcspn(got + start, "\n") > 160 ? 160 : strcspn(got + start, "\n")),
		got + start);
}

/* compare: equal as they stand, or at least in canonical form (the order of hashed elements). */
static int compare(const struct job *job, const struct outcome *o, const struct nft_output *again,
	struct rules_report *report)
{
	struct text got = {0}, a = {0}, b = {0};
	int r = 0;

	text_add_string(&got, "");
	listing_strip(again->out, again->out_length, &got);
	if (!got.failed && strcmp(got.bytes, o->text) != 0) {
		listing_canonical(o->text, o->length, NULL, 0, &a);
		listing_canonical(got.bytes, got.length, NULL, 0, &b);
		if (a.length != b.length || a.failed || b.failed ||
			memcmp(a.bytes, b.bytes, a.length) != 0) {
			first_difference(job, o->text, got.bytes, report);
			r = -EINVAL;
		}
	}
	if (got.failed)
		r = -ENOMEM;
	free(got.bytes);
	free(a.bytes);
	free(b.bytes);
	return r;
}

/* prove: asleep, awake, and the same again. */
static int prove(const struct job *job, const struct outcome *o, mono_t deadline,
	struct rules_report *report)
{
	static const char *const load[] = {"-f", "-", NULL};
	static const char *const list[] = {"-s", "list", "ruleset", NULL};
	struct text text = {0};
	struct nft_output output = {0};
	char owner[CENSUS_OWNER_MAX];
	int r;

	text_add_string(&text, "");
	listing_to_load(
		o->text, o->length, census_owner(job->group, job->role, owner), true, &text);
	if (text.failed)
		return -ENOMEM;
	r = delete_all(o);
	if (r < 0) {
		free(text.bytes);
		return r;
	}
	r = run(job, load, text.bytes, text.length, deadline, &output, report);
	free(text.bytes);
	nft_output_fini(&output);
	if (r < 0)
		return r;
	r = wake_all(o);
	if (r < 0) {
		report_add(report, "%s: cannot be held asleep: this kernel refuses to wake it: %s",
			job->file, strerror(-r));
		return -EINVAL;
	}
	r = run(job, list, NULL, 0, deadline, &output, report);
	if (r == 0)
		r = compare(job, o, &output, report);
	nft_output_fini(&output);
	return r;
}

static int compile_work(const void *context, void *shared, mono_t deadline)
{
	static const char *const list[] = {"-s", "list", "ruleset", NULL};
	const struct job *job = context;
	struct outcome *o = shared;
	const char *const load[] = {"-I", job->folder, "-f", job->file, NULL};
	struct census *census = malloc(sizeof(*census));
	struct nft_output output = {0};
	int r = census ? scratch_interfaces(job->names, job->name_count) : -ENOMEM;

	if (r < 0) {
		report_add(&o->report, "%s: placeholder interfaces: %s", job->file, strerror(-r));
		goto out;
	}
	r = kernel_probe(&o->report);
	if (r == 0)
		r = run(job, load, NULL, 0, deadline, &output, &o->report);
	nft_output_fini(&output);
	if (r == 0)
		r = run(job, list, NULL, 0, deadline, &output, &o->report);
	if (r == 0)
		r = keep_text(o, &output, job, &o->report);
	nft_output_fini(&output);
	if (r == 0)
		r = take_census(census);
	if (r == 0)
		r = check_tables(job, census, o, &o->report);
	if (r == 0)
		r = prove(job, o, deadline, &o->report);
	if (r < 0 && o->report.count == 0)
		report_add(&o->report, "%s: %s", job->file, strerror(-r));
out:
	free(census);
	return r;
}

/* put_folder: where the file's includes are looked for. */
static void put_folder(struct job *job)
{
	const char *slash = strrchr(job->file, '/');

	if (!slash)
		strcpy(job->folder, ".");
	else if (slash == job->file)
		strcpy(job->folder, "/");
	else
		snprintf(job->folder, sizeof(job->folder), "%.*s", (int)(slash - job->file),
			job->file);
}

static int keep_outcome(
	struct rules_compiled *compiled, enum rules_role role, const struct outcome *o)
{
	compiled->texts[role] = strdup(o->text);
	if (!compiled->texts[role])
		return -ENOMEM;
	if (o->table_count > RULES_TABLES_MAX - 1 - compiled->table_count)
		return -E2BIG;
	memcpy(compiled->tables + compiled->table_count, o->tables,
		o->table_count * sizeof(o->tables[0]));
	compiled->table_count += o->table_count;
	return 0;
}

static int compile_file(const struct rules_spec *spec, enum rules_role role,
	struct rules_compiled *compiled, struct rules_report *report)
{
	mono_t deadline = mono_add(clock_now(), dur_ms(RULES_COMPILE_TIMEOUT_MS));
	struct outcome *o = scratch_memory(sizeof(*o));
	struct job *job = calloc(1, sizeof(*job));
	int r = o && job ? 0 : -ENOMEM;

	if (r == 0) {
		job->group = spec->group;
		job->file = role == RULES_ROLE_MASTER ? spec->master_file : spec->backup_file;
		job->role = role;
		put_folder(job);
		job->name_count = compile_interface_names(
			spec->interfaces, spec->interface_count, job->names);
		r = scratch_run(compile_work, job, o, deadline);
		for (size_t i = 0; i < o->report.count && i < RULES_REPORT_LINES; i++)
			report_add(report, "%s", o->report.lines[i]);
		if (r < 0 && o->report.count == 0)
			report_add(report, "%s: %s", job->file,
				r == -EPERM ? "cannot make a scratch network namespace: needs "
					      "CAP_SYS_ADMIN or user namespaces"
					    : strerror(-r));
	}
	if (r == 0)
		r = keep_outcome(compiled, role, o);
	free(job);
	scratch_memory_free(o, sizeof(*o));
	return r;
}

/* check_clash: the roles are told apart by their tables' names. */
static int check_clash(const struct rules_spec *spec, const struct rules_compiled *compiled,
	struct rules_report *report)
{
	int r = 0;

	for (size_t i = 0; i < compiled->table_count; i++) {
		const struct rules_table *a = &compiled->tables[i];

		for (size_t k = i + 1; k < compiled->table_count; k++) {
			const struct rules_table *b = &compiled->tables[k];
			char *source;

			if (a->role == b->role || a->family != b->family ||
				strcmp(a->name, b->name) != 0)
				continue;
			source = read_source(spec->backup_file);
			report_add(report,
				"%s:%u:1: table %s %s is in the master's file (%s) too: master and "
				"backup must name different tables",
				spec->backup_file,
				source ? messages_find_table(source, b->family, b->name) : 1,
				listing_family_name(b->family), b->name, spec->master_file);
			free(source);
			r = -EINVAL;
		}
	}
	return r;
}

int rules_compile(
	const struct rules_spec *spec, struct rules_compiled **ret, struct rules_report *report)
{
	struct rules_compiled *compiled = calloc(1, sizeof(*compiled));
	int r, second = 0;

	if (!compiled)
		return -ENOMEM;
	r = compile_file(spec, RULES_ROLE_MASTER, compiled, report);
	if (spec->backup_file[0])
		second = compile_file(spec, RULES_ROLE_BACKUP, compiled, report);
	else
		compiled->texts[RULES_ROLE_BACKUP] = strdup("");
	if (r == 0)
		r = second;
	if (r == 0 && !compiled->texts[RULES_ROLE_BACKUP])
		r = -ENOMEM;
	if (r == 0)
		r = check_clash(spec, compiled, report);
	if (r == 0 && !listing_fingerprint((const char *const *)compiled->texts, spec->interfaces,
			      spec->interface_count, compiled->fingerprint))
		r = -ENOMEM;
	if (r < 0) {
		rules_compiled_free(compiled);
		return r;
	}
	*ret = compiled;
	return 0;
}

void rules_compiled_free(struct rules_compiled *compiled)
{
	if (!compiled)
		return;
	for (size_t i = 0; i < RULES_ROLE_SHIELD; i++)
		free(compiled->texts[i]);
	free(compiled);
}

void rules_compiled_fingerprint(
	const struct rules_compiled *compiled, uint8_t ret[static RULES_FINGERPRINT_BYTES])
{
	memcpy(ret, compiled->fingerprint, RULES_FINGERPRINT_BYTES);
}

const char *rules_compiled_text(const struct rules_compiled *compiled, enum rules_role role)
{
	return role < RULES_ROLE_SHIELD ? compiled->texts[role] : "";
}

const struct rules_table *compile_tables(const struct rules_compiled *compiled, size_t *ret_count)
{
	*ret_count = compiled->table_count;
	return compiled->tables;
}

/* ---- in a file --------------------------------------------------------------------------------
 */

#define FILE_MAGIC 0x63727531u

struct file_head {
	uint32_t magic; /* written last: without it nothing whole is there */
	uint32_t reserved;
	uint64_t lengths[RULES_ROLE_SHIELD];
	uint64_t table_count;
	struct rules_table tables[RULES_TABLES_MAX];
	uint8_t fingerprint[RULES_FINGERPRINT_BYTES];
};

static int write_at(int fd, const void *bytes, size_t length, off_t *at)
{
	while (length > 0) {
		ssize_t done = pwrite(fd, bytes, length, *at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		bytes = (const char *)bytes + done;
		length -= (size_t)done;
		*at += done;
	}
	return 0;
}

static int read_at(int fd, void *bytes, size_t length, off_t *at)
{
	while (length > 0) {
		ssize_t done = pread(fd, bytes, length, *at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -ENODATA;
		bytes = (char *)bytes + done;
		length -= (size_t)done;
		*at += done;
	}
	return 0;
}

int rules_compiled_write(const struct rules_compiled *compiled, int fd)
{
	struct file_head *head = calloc(1, sizeof(*head));
	off_t at = sizeof(*head);
	int r = head ? 0 : -ENOMEM;

	for (size_t i = 0; i < RULES_ROLE_SHIELD && r == 0; i++) {
		head->lengths[i] = strlen(compiled->texts[i]);
		r = write_at(fd, compiled->texts[i], head->lengths[i], &at);
	}
	if (r == 0) {
		head->magic = FILE_MAGIC;
		head->table_count = compiled->table_count;
		memcpy(head->tables, compiled->tables, sizeof(head->tables));
		memcpy(head->fingerprint, compiled->fingerprint, sizeof(head->fingerprint));
		at = 0;
		r = write_at(fd, head, sizeof(*head), &at);
	}
	free(head);
	return r;
}

bool rules_compiled_is_whole(int fd)
{
	uint32_t magic = 0;

	return fd >= 0 && pread(fd, &magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
	       magic == FILE_MAGIC;
}

int rules_compiled_read(int fd, struct rules_compiled **ret)
{
	struct rules_compiled *compiled = calloc(1, sizeof(*compiled));
	struct file_head *head = calloc(1, sizeof(*head));
	off_t at = 0;
	int r = compiled && head ? read_at(fd, head, sizeof(*head), &at) : -ENOMEM;

	if (r == 0 && (head->magic != FILE_MAGIC || head->table_count > RULES_TABLES_MAX))
		r = -ENODATA;
	for (size_t i = 0; i < RULES_ROLE_SHIELD && r == 0; i++) {
		if (head->lengths[i] >= RULES_TEXT_MAX_BYTES) {
			r = -ENODATA;
			break;
		}
		compiled->texts[i] = calloc(1, head->lengths[i] + 1);
		r = compiled->texts[i] ? read_at(fd, compiled->texts[i], head->lengths[i], &at)
				       : -ENOMEM;
	}
	if (r == 0) {
		compiled->table_count = head->table_count;
		memcpy(compiled->tables, head->tables, sizeof(head->tables));
		memcpy(compiled->fingerprint, head->fingerprint, sizeof(head->fingerprint));
		*ret = compiled;
	} else {
		rules_compiled_free(compiled);
	}
	free(head);
	return r;
}
