/* verb_doctor.c: `carpool doctor`: looks at this host and says what to change and why; changes
 * nothing. The judgement is in doctor.c; here is what it looks at. */
#include "ctl/args.h"
#include "ctl/doctor.h"
#include "ctl/field.h"
#include "ctl/report.h"
#include "ctl/verb.h"

#include "common/check.h"
#include "common/io/sysctl.h"
#include "config/config.h"

#include <ctype.h>
#include <dirent.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

static int verb_doctor_read(void *context, const char *name, int64_t *ret_value)
{
	(void)context;
	return sysctl_read(name, ret_value);
}

/* verb_doctor_runs: a process of that name, in whatever namespace this /proc shows. */
static bool verb_doctor_runs(const char *name)
{
	DIR *folder = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	while (folder && !found && (entry = readdir(folder))) {
		char path[300], comm[32] = "";
		FILE *file;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue; /* it has ended meanwhile */
		if (fgets(comm, sizeof(comm), file))
			comm[strcspn(comm, "\n")] = '\0';
		found = strcmp(comm, name) == 0;
		(void)fclose(file); /* only read */
	}
	if (folder)
		(void)closedir(folder);
	return found;
}

/* verb_doctor_namespaces: tried in a child, which ends with them. */
static bool verb_doctor_namespaces(void)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 ? 0
											       : 1);
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool verb_doctor_nft(void)
{
	return access("/usr/sbin/nft", X_OK) == 0 || access("/sbin/nft", X_OK) == 0 ||
	       access("/usr/local/sbin/nft", X_OK) == 0;
}

static bool verb_doctor_clock(void)
{
	struct timex timex = {0};

	return adjtimex(&timex) != TIME_ERROR && !(timex.status & STA_UNSYNC);
}

static json_t *verb_doctor_examine(const struct config *cfg, enum doctor_level *ret_level)
{
	const char *names[LIMIT_INTERFACES];
	bool exists[LIMIT_INTERFACES];
	struct doctor_host host = {
		.read = verb_doctor_read,
		.has_nft = verb_doctor_nft(),
		.has_namespaces = verb_doctor_namespaces(),
		.is_clock_synchronised = verb_doctor_clock(),
		.runs_keepalived = verb_doctor_runs("keepalived"),
		.runs_conntrackd = verb_doctor_runs("conntrackd"),
		.interfaces = names,
		.interface_exists = exists,
	};

	for (uint32_t i = 0; cfg && i < cfg->interface_count; i++) {
		names[i] = config_ifname(cfg, cfg->self, cfg->interfaces[i].name);
		exists[i] = if_nametoindex(names[i]) != 0;
		host.interface_count++;
	}
	return doctor_judge(&host, ret_level);
}

static void verb_doctor_print(const json_t *list, bool all)
{
	const json_t *finding;
	size_t index;

	json_array_foreach (list, index, finding) {
		bool is_ok = field_is(finding, "level", "ok");

		if (is_ok && !all)
			continue;
		printf("%-8s %s: %s; wanted: %s\n", field_text(finding, "level"),
			field_text(finding, "what"), field_text(finding, "is"),
			field_text(finding, "wanted"));
		if (is_ok)
			continue;
		printf("         why: %s\n", field_text(finding, "why"));
		printf("         -> %s\n", field_text(finding, "do"));
	}
}

static int verb_doctor_report(
	const struct args *args, const json_t *list, enum doctor_level level, bool all)
{
	json_t *document;
	bool done;

	if (!args->json) {
		verb_doctor_print(list, all);
		printf("%zu looked at: %s\n", json_array_size(list), doctor_level_name(level));
		return (int)level;
	}
	document = json_pack("{s:s,s:O}", "level", doctor_level_name(level), "findings", list);
	done = report_json(document);
	json_decref(document);
	return done ? (int)level : (int)VERB_EXIT_USAGE;
}

int verb_doctor(int argc, char **argv)
{
	const char *path = CONFIG_FILE_DEFAULT, *node = NULL;
	bool all = false;
	const struct args_option options[] = {
		{"--config", "FILE", "whose interfaces; default: " CONFIG_FILE_DEFAULT, NULL,
			&path},
		{"--node", "NODE", "this host's name in it (default: the host name)", NULL, &node},
		{"--all", NULL, "show also what is well", &all, NULL},
	};
	const struct args_spec spec = {
		.synopsis = "carpool doctor [--config FILE] [--node NODE] [--all] [--json]",
		.text = "Looks at this host: connection tracking, sysctls, clock, other daemons, "
			"the "
			"config's\n"
			"interfaces. Says what to change and why; changes nothing. Without a "
			"config "
			"that can\n"
			"be read the interfaces are left out ('carpool check' says what is wrong "
			"with "
			"it).\n"
			"Exit 0: all well; 1: warnings; 2: errors.",
		.options = options,
		.option_count = ARRAY_LEN(options),
	};
	static struct config_errors errors;
	char host_name[256];
	enum doctor_level level;
	struct config *cfg;
	struct args args;
	json_t *list;
	int exit_status;

	if (!args_parse(&spec, argc, argv, &args, &exit_status))
		return exit_status;
	if (!node && gethostname(host_name, sizeof(host_name)) == 0) {
		host_name[sizeof(host_name) - 1] = '\0';
		node = host_name;
	}
	cfg = config_load(path, node, &errors);
	list = verb_doctor_examine(cfg, &level);
	exit_status = verb_doctor_report(&args, list, level, all);
	json_decref(list);
	config_free(cfg);
	return exit_status;
}
