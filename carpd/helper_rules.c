#include "carpd/helper_rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct helper_memory *find(
	struct helper_memory memories[static LIMIT_GROUPS], const char *group)
{
	for (unsigned int i = 0; i < LIMIT_GROUPS; i++) {
		if (!strcmp(memories[i].group, group))
			return &memories[i];
		if (memories[i].group[0] == '\0') {
			snprintf(memories[i].group, sizeof(memories[i].group), "%s", group);
			memories[i].loaded_fd = -1;
			memories[i].fresh_fd = -1;
			memories[i].compiled_fd = -1;
			return &memories[i];
		}
	}
	return NULL;
}

static bool fresh_counts(const struct helper_memory *memory)
{
	return memory->fresh_in_force && rules_compiled_is_whole(memory->fresh_fd);
}

static void forget(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool make(int *fd)
{
	forget(fd);
	*fd = memfd_create("carpool-rules", MFD_CLOEXEC);
	return *fd >= 0;
}

/* renew: room for what the task will load. */
static bool renew(struct helper_memory *memory)
{
	int *obsolete = fresh_counts(memory) ? &memory->loaded_fd : &memory->fresh_fd;

	forget(obsolete);
	if (obsolete == &memory->loaded_fd) {
		memory->loaded_fd = memory->fresh_fd;
		memory->fresh_fd = -1;
	}
	return make(&memory->fresh_fd);
}

/* remember_compiled: what a reload has compiled in order to judge it, it loads: 100,000 rules are
 * not compiled twice, and a file that changes in between is the next reload's. Used once: a load
 * that nothing was compiled for reads the files. */
static bool remember_compiled(struct helper_memory *memory, enum helper_rules_task task)
{
	memory->compiled_counts = false;
	switch (task) {
	case HELPER_RULES_COMPILE:
		return make(&memory->compiled_fd);
	case HELPER_RULES_LOAD:
	case HELPER_RULES_BESIDE:
		memory->compiled_counts = rules_compiled_is_whole(memory->compiled_fd);
		break;
	case HELPER_RULES_SETTLE: /* of the task before */
		forget(&memory->compiled_fd);
		break;
	case HELPER_RULES_RELOAD:
	case HELPER_RULES_REPAIR:
	case HELPER_RULES_DROP:
	case HELPER_RULES_DIFF:
	case HELPER_RULES_TASK_COUNT:
		break;
	}
	return true;
}

struct helper_memory *helper_rules_remember(struct helper_memory memories[static LIMIT_GROUPS],
	const char *group, enum helper_rules_task task)
{
	struct helper_memory *memory = find(memories, group);

	if (memory && !remember_compiled(memory, task))
		return NULL;
	switch (task) {
	case HELPER_RULES_LOAD:
	case HELPER_RULES_RELOAD:
	case HELPER_RULES_BESIDE:
	case HELPER_RULES_REPAIR:
		if (!memory || !renew(memory))
			return NULL;
		/* Beside the others it is in force when carpd has switched, and asks to settle. */
		memory->fresh_in_force = task == HELPER_RULES_LOAD || task == HELPER_RULES_RELOAD;
		break;
	case HELPER_RULES_SETTLE:
		if (memory)
			memory->fresh_in_force = true;
		break;
	case HELPER_RULES_COMPILE:
	case HELPER_RULES_DROP:
	case HELPER_RULES_DIFF:
	case HELPER_RULES_TASK_COUNT:
		break;
	}
	return memory;
}

/* source: what the task works on: the files, or what is remembered. */
static int source(const struct helper_memory *memory, enum helper_rules_task task,
	const struct rules_spec *spec, struct rules_compiled **ret, struct rules_report *report)
{
	int fd = memory->loaded_fd;

	if (memory->compiled_counts)
		return rules_compiled_read(memory->compiled_fd, ret);
	if (task == HELPER_RULES_COMPILE || task == HELPER_RULES_LOAD ||
		task == HELPER_RULES_BESIDE)
		return rules_compile(spec, ret, report);
	if (task == HELPER_RULES_SETTLE || task == HELPER_RULES_DROP ||
		(task == HELPER_RULES_DIFF && fresh_counts(memory)))
		fd = memory->fresh_fd;
	return rules_compiled_read(fd, ret);
}

static int carry_out(const struct helper_memory *memory, enum helper_rules_task task,
	const struct rules_spec *spec, const struct rules_compiled *compiled,
	struct helper_rules_result *result)
{
	struct rules_compiled *old = NULL;
	int r = 0;

	(void)rules_compiled_read(memory->loaded_fd, &old); /* none before the first load */
	switch (task) {
	case HELPER_RULES_COMPILE:
		rules_compiled_fingerprint(compiled, result->manifest.fingerprint);
		break;
	case HELPER_RULES_LOAD:
	case HELPER_RULES_RELOAD:
		r = rules_load(spec, compiled, &result->manifest, &result->report);
		break;
	case HELPER_RULES_BESIDE:
	case HELPER_RULES_REPAIR:
		r = rules_beside(spec, compiled, old, &result->manifest, &result->report);
		break;
	case HELPER_RULES_SETTLE:
		r = rules_settle(spec, compiled, old, &result->manifest, &result->report);
		break;
	case HELPER_RULES_DROP:
		r = rules_drop(spec, compiled, &result->report);
		break;
	case HELPER_RULES_DIFF:
		r = rules_diff(compiled, &result->report);
		break;
	case HELPER_RULES_TASK_COUNT:
		r = -EINVAL;
		break;
	}
	rules_compiled_free(old);
	return r;
}

void helper_rules_work(const struct config *cfg, const char *node,
	const struct helper_memory *memory, enum helper_rules_task task,
	struct helper_rules_result *result)
{
	struct rules_spec *spec = calloc(1, sizeof(*spec));
	struct rules_compiled *compiled = NULL;
	bool loads = task == HELPER_RULES_LOAD || task == HELPER_RULES_RELOAD ||
		     task == HELPER_RULES_BESIDE || task == HELPER_RULES_REPAIR;
	int r = spec ? 0 : -ENOMEM;

	if (r == 0 && !rules_spec_from_config(cfg, node, memory->group, spec))
		r = -ENOENT;
	if (r == 0)
		r = source(memory, task, spec, &compiled, &result->report);
	if (r == 0)
		r = carry_out(memory, task, spec, compiled, result);
	if (r == 0 && loads)
		r = rules_compiled_write(compiled, memory->fresh_fd);
	else if (r == 0 && task == HELPER_RULES_COMPILE)
		r = rules_compiled_write(compiled, memory->compiled_fd);
	result->error = r;
	rules_compiled_free(compiled);
	free(spec);
}
