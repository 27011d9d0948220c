/* rules_tool: the rules module by hand, for the system tests, in the caller's network namespace.
 *
 *   rules_tool load GROUP MASTER BACKUP|- IFNAMES ADDRESSES MANIFEST   (comma-separated; - = none)
 *   rules_tool text ROLE GROUP MASTER BACKUP|- IFNAMES                 the canonical text
 *   rules_tool master|master!|backup|verify|unload MANIFEST            prints the result
 *   rules_tool flip N MANIFEST                 N times master and back: time of each direction
 *   rules_tool check CONFIG NODE               what `carpool check` says of the rules
 *   rules_tool watch MANIFEST                  a line for each change, until stdin ends
 *   rules_tool reload GROUP MASTER BACKUP|- IFNAMES ADDRESSES MANIFEST     as carpd reloads
 *   rules_tool diff MANIFEST                   what `carpool rules diff` prints
 *   rules_tool gap MANIFEST                    a line for each gap that was closed, until stdin
 * ends
 *   rules_tool brace                           what the latch needs, before the load
 *   rules_tool latch MANIFEST                  as gap, with a latch, as carpd does */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/check.h"
#include "common/io/clock.h"
#include "config/config.h"
#include "rules/rules.h"

static struct rules_report report;
static struct rules_spec spec;
static struct rules_manifest manifest;

static int tell(const char *what, int r)
{
	for (size_t i = 0; i < report.count; i++)
		fprintf(stderr, "%s\n", report.lines[i]);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", what, strerror(-r));
	return r < 0 ? 1 : 0;
}

static void parse_spec(char **argv)
{
	snprintf(spec.group, sizeof(spec.group), "%s", argv[0]);
	snprintf(spec.master_file, sizeof(spec.master_file), "%s", argv[1]);
	if (strcmp(argv[2], "-") != 0)
		snprintf(spec.backup_file, sizeof(spec.backup_file), "%s", argv[2]);
	for (char *name = strtok(argv[3], ","); name; name = strtok(NULL, ",")) {
		struct rules_interface *interface = &spec.interfaces[spec.interface_count++];
		char *equals = strchr(name, '=');

		if (equals) {
			*equals = '\0';
			snprintf(interface->logical, sizeof(interface->logical), "%s", equals + 1);
		}
		snprintf(interface->name, sizeof(interface->name), "%s", name);
		interface->shielded = true;
	}
}

static void print_fingerprint(const uint8_t *print)
{
	for (size_t i = 0; i < RULES_FINGERPRINT_BYTES; i++)
		printf("%02x", print[i]);
	printf("\n");
}

/* save: the manifest, and beside it the compiled rules. */
static int save(const char *path, const struct rules_compiled *compiled)
{
	FILE *file = fopen(path, "w");
	char text[4096];
	int fd;

	if (!file || fwrite(&manifest, sizeof(manifest), 1, file) != 1 || fclose(file) != 0)
		return 1;
	snprintf(text, sizeof(text), "%s.text", path);
	fd = open(text, O_RDWR | O_CREAT | O_TRUNC, 0600);
	return fd < 0 || rules_compiled_write(compiled, fd) < 0 || close(fd) < 0;
}

static struct rules_compiled *saved(const char *path)
{
	struct rules_compiled *compiled = NULL;
	char text[4096];
	int fd;

	snprintf(text, sizeof(text), "%s.text", path);
	fd = open(text, O_RDONLY);
	if (fd < 0 || rules_compiled_read(fd, &compiled) < 0)
		return NULL;
	close(fd);
	return compiled;
}

static int parse_all(char **argv)
{
	parse_spec(argv);
	for (char *text = strtok(argv[4], ","); text; text = strtok(NULL, ",")) {
		if (strcmp(text, "-") != 0 &&
			!ipaddr_parse(text, &spec.addresses[spec.address_count++]))
			return 2;
	}
	return 0;
}

static int load(char **argv)
{
	struct rules_compiled *compiled;

	if (parse_all(argv))
		return 2;
	if (tell("load", rules_compile(&spec, &compiled, &report)) ||
		tell("load", rules_load(&spec, compiled, &manifest, &report)))
		return 1;
	print_fingerprint(manifest.fingerprint);
	return save(argv[5], compiled);
}

static bool read_manifest(const char *path)
{
	FILE *file = fopen(path, "r");
	bool ok = file && fread(&manifest, sizeof(manifest), 1, file) == 1;

	if (file)
		fclose(file);
	return ok;
}

/* take_over: by the tables of `manifest`; the old switch is gone afterwards. */
static int take_over(struct rules_switch **rules)
{
	struct rules_switch *fresh;
	enum rules_result result;
	mono_t start = clock_now();

	if (tell("open", rules_switch_open(&manifest, &fresh)))
		return 1;
	result = rules_switch_take_over(fresh, *rules);
	printf("take-over %s %s %lld us\n", rules_role_name(rules_switch_active(fresh)),
		rules_result_name(result), (long long)mono_diff(clock_now(), start).us);
	if (result != RULES_OK)
		printf("%s\n", strerror(rules_switch_errno(fresh)));
	rules_switch_close(*rules);
	*rules = fresh;
	return result != RULES_OK;
}

static int reload(char **argv)
{
	struct rules_compiled *compiled, *old = saved(argv[5]);
	struct rules_switch *rules;

	if (parse_all(argv) || !old || !read_manifest(argv[5]) ||
		tell("open", rules_switch_open(&manifest, &rules)))
		return 2;
	if (tell("compile", rules_compile(&spec, &compiled, &report)) ||
		tell("beside", rules_beside(&spec, compiled, old, &manifest, &report)) ||
		take_over(&rules) ||
		tell("settle", rules_settle(&spec, compiled, old, &manifest, &report)) ||
		take_over(&rules) || tell("drop", rules_drop(&spec, compiled, &report)))
		return 1;
	rules_switch_close(rules);
	return save(argv[5], compiled);
}

static int diff(const char *path)
{
	struct rules_compiled *compiled = saved(path);

	return compiled ? tell("diff", rules_diff(compiled, &report)) : 2;
}

static int gap(struct rules_switch *rules, bool with_latch)
{
	struct rules_latch *latch = NULL;
	int fd = rules_events_open();
	struct pollfd pollers[2] = {{.fd = 0, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	if (with_latch && (tell("latch", rules_latch_open(&latch)) ||
				  tell("latch", rules_latch_arm(latch, &manifest, 1))))
		return 1;
	printf("watching\n");
	fflush(stdout);
	while (poll(pollers, 2, -1) > 0 && !pollers[0].revents) {
		enum rules_result result;
		bool shut = latch && rules_latch_shut(latch);

		rules_events_drain(fd);
		if (shut)
			rules_switch_distrust(rules);
		result = rules_switch_close_gap(rules);
		if (result != RULES_OK)
			printf("%s\n", rules_result_name(result));
		if (shut && result != RULES_FAILED)
			printf("latch %d\n", rules_latch_mend(latch));
		fflush(stdout);
	}
	rules_latch_close(latch);
	return 0;
}

static int brace(void)
{
	struct rules_latch *latch;
	int r = rules_latch_open(&latch);

	if (r == 0)
		rules_latch_close(latch);
	return tell("brace", r);
}

static int text(char **argv)
{
	struct rules_compiled *compiled;
	enum rules_role role =
		strcmp(argv[0], "backup") == 0 ? RULES_ROLE_BACKUP : RULES_ROLE_MASTER;
	uint8_t print[RULES_FINGERPRINT_BYTES];

	parse_spec(argv + 1);
	if (tell("compile", rules_compile(&spec, &compiled, &report)))
		return 1;
	fputs(rules_compiled_text(compiled, role), stdout);
	rules_compiled_fingerprint(compiled, print);
	printf("# ");
	print_fingerprint(print);
	rules_compiled_free(compiled);
	return 0;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void print_times(const char *what, int64_t *us, size_t count)
{
	qsort(us, count, sizeof(*us), compare);
	printf("%s us: median %lld p99 %lld max %lld\n", what, (long long)us[count / 2],
		(long long)us[count * 99 / 100], (long long)us[count - 1]);
}

static int flip(struct rules_switch *rules, size_t count)
{
	const struct timespec dwell = {.tv_nsec = 500000};
	int64_t *up = calloc(count, sizeof(*up)), *down = calloc(count, sizeof(*down));

	for (size_t i = 0; i < count; i++) {
		mono_t start = clock_now();
		enum rules_result result = rules_switch_to_master(rules, false);

		up[i] = mono_diff(clock_now(), start).us;
		nanosleep(&dwell, NULL); /* long enough for packets to meet a master */
		start = clock_now();
		if (result == RULES_OK)
			result = rules_switch_to_backup(rules);
		down[i] = mono_diff(clock_now(), start).us;
		if (result != RULES_OK) {
			printf("flip %zu: %s (%s) %s\n", i, rules_result_name(result),
				strerror(rules_switch_errno(rules)), rules_switch_blame(rules));
			free(up);
			free(down);
			return 1;
		}
	}
	print_times("to master", up, count);
	print_times("to backup (1 ms of it a pause)", down, count);
	free(up);
	free(down);
	return 0;
}

static int watch(struct rules_switch *rules)
{
	struct pollfd pollers[2] = {
		{.fd = 0, .events = POLLIN}, {.fd = rules_switch_fd(rules), .events = POLLIN}};

	printf("watching\n");
	fflush(stdout);
	while (poll(pollers, 2, -1) > 0 && !pollers[0].revents) {
		enum rules_result result = rules_switch_verify(rules);

		printf("%s %s: %s\n", rules_role_name(rules_switch_active(rules)),
			rules_result_name(result), rules_switch_blame(rules));
		fflush(stdout);
	}
	return 0;
}

static int with_manifest(const char *verb, const char *count, const char *path)
{
	struct rules_switch *rules;
	enum rules_result result;
	int r;

	if (!read_manifest(path))
		return 2;
	if (strcmp(verb, "unload") == 0)
		return tell("unload", rules_unload(&manifest));
	r = rules_switch_open(&manifest, &rules);
	if (r < 0)
		return tell("open", r);
	if (strcmp(verb, "flip") == 0 || strcmp(verb, "watch") == 0 || strcmp(verb, "gap") == 0 ||
		strcmp(verb, "latch") == 0) {
		r = *verb == 'f'   ? flip(rules, strtoul(count, NULL, 10))
		    : *verb == 'w' ? watch(rules)
				   : gap(rules, *verb == 'l');
		rules_switch_close(rules);
		return r;
	}
	if (strcmp(verb, "verify") == 0)
		result = rules_switch_verify(rules);
	else if (strcmp(verb, "backup") == 0)
		result = rules_switch_to_backup(rules);
	else
		result = rules_switch_to_master(rules, strcmp(verb, "master!") == 0);
	printf("%s %s\n", rules_role_name(rules_switch_active(rules)), rules_result_name(result));
	if (result == RULES_FAILED)
		printf("%s\n", strerror(rules_switch_errno(rules)));
	rules_switch_close(rules);
	return result == RULES_OK ? 0 : 1;
}

static int check(const char *path, const char *node)
{
	static struct config_errors errors;
	struct config *config = config_load(path, node, &errors);
	int r;

	if (!config) {
		config_errors_print(&errors, stderr);
		return 2;
	}
	r = rules_check(config, node, &report);
	config_free(config);
	return tell("check", r);
}

int main(int argc, char **argv)
{
	if (argc == 8 && strcmp(argv[1], "load") == 0)
		return load(argv + 2);
	if (argc == 8 && strcmp(argv[1], "reload") == 0)
		return reload(argv + 2);
	if (argc == 3 && strcmp(argv[1], "diff") == 0)
		return diff(argv[2]);
	if (argc == 7 && strcmp(argv[1], "text") == 0)
		return text(argv + 2);
	if (argc == 4 && strcmp(argv[1], "check") == 0)
		return check(argv[2], argv[3]);
	if (argc == 2 && strcmp(argv[1], "brace") == 0)
		return brace();
	if (argc == 4)
		return with_manifest(argv[1], argv[2], argv[3]);
	if (argc == 3)
		return with_manifest(argv[1], "", argv[2]);
	fprintf(stderr, "see the head of rules_tool.c\n");
	return 2;
}
