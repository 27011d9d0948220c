#include "ctl/drill/labconf.h"

#include "common/io/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LABCONF_RULES_DIR SANDBOX_DIR "/rules"

static const char labconf_stub[] = "/bin/true";
static const char *const labconf_stub_arguments[] = {labconf_stub, NULL};

/* realpath(3) of a rules file: the daemons are started elsewhere. The string lives as long as the
 * process: a drill runs once. */
static int labconf_absolute(struct config_file *file, char error[static LABCONF_ERROR_MAX])
{
	char *path;

	if (!file->path)
		return 0;
	path = realpath(file->path, NULL);
	if (!path) {
		(void)snprintf(error, LABCONF_ERROR_MAX, "%s: %s", file->path, strerror(errno));
		return -errno;
	}
	file->path = path;
	file->text = path;
	return 0;
}

/* A copy in the sandbox, for scenarios that edit rules. A file that includes others by relative
 * names is read in its folder, so such a copy fails to load: the run says so. */
static int labconf_copy(
	struct config_file *file, uint32_t index, char error[static LABCONF_ERROR_MAX])
{
	static char paths[LIMIT_GROUPS][sizeof(LABCONF_RULES_DIR) + 24];
	char *path = paths[index];
	char block[4096];
	size_t count;
	FILE *from = fopen(file->path, "re");
	FILE *to = NULL;
	int r = 0;

	(void)mkdir(LABCONF_RULES_DIR, 0755);
	(void)snprintf(path, sizeof(paths[0]), LABCONF_RULES_DIR "/master%u.nft", index);
	if (from)
		to = fopen(path, "we");
	if (!from || !to)
		r = -errno;
	while (r == 0 && (count = fread(block, 1, sizeof(block), from)) > 0)
		if (fwrite(block, 1, count, to) != count)
			r = -EIO;
	if (to && fclose(to) != 0 && r == 0)
		r = -EIO;
	if (from)
		(void)fclose(from);
	if (r < 0) {
		(void)snprintf(
			error, LABCONF_ERROR_MAX, "copy of %s: %s", file->path, strerror(-r));
		return r;
	}
	file->path = path;
	file->text = path;
	return 0;
}

static void labconf_stub_handlers(struct config *cfg)
{
	for (uint32_t i = 0; i < cfg->handler_count; i++) {
		struct config_handler *handler = &cfg->handlers[i];

		handler->arguments = labconf_stub_arguments;
		handler->argument_count = 1;
		handler->program_text = labconf_stub;
	}
}

/* labconf_stub_tracks: scripts become stubs; tracked interfaces that no group uses are not in the
 * lab.
 */
static void labconf_stub_tracks(struct config *cfg)
{
	for (uint32_t i = 0; i < cfg->track_count; i++) {
		struct config_track *track = &cfg->tracks[i];

		if (track->kind != CONFIG_TRACK_SCRIPT)
			continue;
		track->arguments = labconf_stub_arguments;
		track->argument_count = 1;
		track->program_text = labconf_stub;
	}
}

static void labconf_stub_hooks(struct config *cfg)
{
	labconf_stub_handlers(cfg);
	labconf_stub_tracks(cfg);
}

static void labconf_drop_interfaces(struct config *cfg)
{
	for (uint32_t g = 0; g < cfg->group_count; g++) {
		struct config_group *group = &cfg->groups[g];
		struct config_track *tracks = &cfg->tracks[group->tracks - cfg->tracks];
		uint32_t kept = 0;

		for (uint32_t i = 0; i < group->track_count; i++)
			if (tracks[i].kind == CONFIG_TRACK_SCRIPT ||
				config_interface_lookup(cfg, tracks[i].interface))
				tracks[kept++] = tracks[i];
		group->track_count = kept;
	}
}

static int labconf_save(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t size_bytes = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, size_bytes);
	if (close(fd) < 0 || n != (ssize_t)size_bytes)
		return -EIO;
	return 0;
}

/* labconf_keys: of the lab's own: production ones are never read. */
static int labconf_keys(struct config *cfg, char error[static LABCONF_ERROR_MAX])
{
	struct config_file *passphrase = &cfg->election.passphrase;
	int r = keyfile_create(LABCONF_KEY);

	if (r == 0 && passphrase->path)
		r = labconf_save(LABCONF_PASS, "drill\n");
	if (r < 0) {
		(void)snprintf(error, LABCONF_ERROR_MAX, "keys of the lab: %s", strerror(-r));
		return r;
	}
	cfg->key_count = 1;
	cfg->keys[0].path = LABCONF_KEY;
	cfg->keys[0].text = LABCONF_KEY;
	if (passphrase->path) {
		passphrase->path = LABCONF_PASS;
		passphrase->text = LABCONF_PASS;
	}
	return 0;
}

int labconf_write(struct config *cfg, const struct labconf_options *options,
	char error[static LABCONF_ERROR_MAX])
{
	char *text;
	int r = labconf_keys(cfg, error);

	if (r < 0)
		return r;
	for (uint32_t i = 0; r == 0 && i < cfg->group_count; i++) {
		r = labconf_absolute(&cfg->groups[i].rules_master, error);
		if (r == 0)
			r = labconf_absolute(&cfg->groups[i].rules_backup, error);
		if (r == 0 && options->copy_rules && cfg->groups[i].rules_master.path)
			r = labconf_copy(&cfg->groups[i].rules_master, i, error);
	}
	if (r < 0)
		return r;
	if (!options->run_hooks)
		labconf_stub_hooks(cfg);
	labconf_drop_interfaces(cfg);
	if (options->max_flows > 0)
		cfg->sync.max_flows = options->max_flows;
	text = config_render(cfg);
	r = text ? labconf_save(LABCONF_FILE, text) : -ENOMEM;
	if (r < 0)
		(void)snprintf(error, LABCONF_ERROR_MAX, LABCONF_FILE ": %s", strerror(-r));
	free(text);
	return r;
}
