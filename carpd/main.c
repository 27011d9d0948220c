/* carpd: the election, the addresses and the order of a promotion (doc/architecture.md). */
#include "carpd/logpipe.h"
#include "carpd/node.h"
#include "carpd/options.h"

#include "common/check.h"
#include "common/io/log.h"
#include "config/config.h"
#include "rules/rules.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAIN_FAILED 1
#define MAIN_USAGE  2

/* main_load: the config, or NULL after every error of it has been told. */
static struct config *main_load(const struct options *options)
{
	struct config_errors *errors = calloc(1, sizeof(*errors));
	struct config *cfg = NULL;

	if (!errors)
		return NULL;
	cfg = config_load(options->config, options->node, errors);
	if (!cfg)
		config_errors_print(errors, stderr);
	free(errors);
	return cfg;
}

static bool main_directory(const char *path)
{
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return true;
	log_error("%s", path);
	return false;
}

/* main_shields: of every group that has rules; what follows may fail or take its time. */
static int main_shields(const struct config *cfg, const char *node)
{
	struct rules_spec *spec = calloc(1, sizeof(*spec));
	int first = spec ? 0 : -ENOMEM;

	for (uint32_t i = 0; spec && i < cfg->group_count; i++) {
		int r = 0;

		if (rules_spec_from_config(cfg, node, cfg->groups[i].name, spec))
			r = rules_shield(spec);
		if (r < 0) {
			log_errorx("group %s: its shield: %s", spec->group, strerror(-r));
			first = first < 0 ? first : r;
		}
	}
	free(spec);
	return first;
}

static int main_clear(void)
{
	size_t count;
	int r = rules_clear(&count);

	if (r < 0)
		log_errorx("tables: %s", strerror(-r));
	else
		log_notice("%zu tables deleted", count);
	return r;
}

/* main_once: --sweep, --standby, --clear: addresses first, then rules (rules_load leaves those of a
 * backup awake). At boot nothing can be on the addresses yet: the shields come before all. */
static int main_once(
	struct node *node, const struct options *options, struct config *cfg, struct helper *helper)
{
	int r, shields = 0;

	node->options = options;
	node->cfg = cfg;
	node->self = cfg->self;
	node->helper = helper;
	if (options->standby)
		shields = main_shields(cfg, cfg->self->name);
	r = guard_wait_former(options->runtime_dir);
	if (r < 0)
		log_warnx("the guard of an earlier carpd does not end");
	r = node_sweep(node);
	if (r < 0)
		log_errorx("sweep: %s", strerror(-r));
	else
		r = options->clear ? main_clear() : node_rules_prepare(node);
	return r < 0 || shields < 0 ? MAIN_FAILED : 0;
}

/* main_serve: `cfg` is moved to the node where it opens one, and freed otherwise. */
static int main_serve(struct node *node, const struct options *options, struct config *cfg)
{
	struct helper *helper;
	int lock, r;

	lock = node_lock(options->runtime_dir);
	if (lock < 0) {
		log_errorx("%s: %s", options->runtime_dir,
			lock == -EBUSY ? "another carpd runs here" : strerror(-lock));
		config_free(cfg);
		return MAIN_FAILED;
	}
	/* Before threads, real time and capability limits: it keeps what it starts with. */
	r = helper_fork(&helper, cfg, options->node);
	if (r < 0) {
		log_errorx("helper: %s", strerror(-r));
		config_free(cfg);
		return MAIN_FAILED;
	}
	if (options->sweep || options->standby || options->clear) {
		r = main_once(node, options, cfg, helper);
		helper_close(helper);
		rules_latch_close(node->latch);
		free(node->manifests);
		config_free(cfg);
		return r;
	}
	r = node_open(node, options, cfg, helper);
	if (r == 0)
		r = node_run(node);
	node_close(node);
	log_notice("ended");
	return r;
}

int main(int argc, char **argv)
{
	struct options options;
	struct config *cfg;
	struct node *node;
	int result;

	log_open("carpd", LOG_LEVEL_INFO);
	switch (options_parse(argc, argv, &options)) {
	case OPTIONS_BAD:
		return MAIN_USAGE;
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_OK:
		break;
	}
	if (options.verbose)
		log_open("carpd", LOG_LEVEL_DEBUG);
	(void)signal(SIGPIPE, SIG_IGN);
	cfg = main_load(&options);
	if (!cfg)
		return MAIN_USAGE;
	if (!main_directory(options.runtime_dir) || !main_directory(options.state_dir))
		return MAIN_FAILED;
	/* Large, and the same for the life of the process: sized at start. */
	node = calloc(1, sizeof(*node));
	if (!node)
		return MAIN_FAILED;
	logpipe_open();
	result = main_serve(node, &options, cfg);
	logpipe_close();
	free(node);
	return result;
}
